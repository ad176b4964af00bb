#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that lets the process have few mappings: it comes to the limit again and again, and goes on."""

import os
import subprocess

import checks
import vm
from boot import no_complaints, reach_shell

HERE = os.path.dirname(os.path.abspath(__file__))
LEFT = 1700 # enough for what is not direct access
WORK = "for i in $(seq 40); do sh -c 'seq 200 | sort -n >/dev/null'; done; echo done"


def limit():
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as f:
        return int(f.read())


def start(t):
    library = os.path.join(t.dir, "mappings.so")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "mappings.c")], check=True)
    os.environ.update(LD_PRELOAD=library, MAPPINGS=str((limit() - LEFT) // 2), DOPPEL_DIRECT="eager")
    try:
        t.vm = vm.Vm(append="console=ttyS0", memory="1G", cpus=2, extra=("--stats",))
    finally:
        for name in ("LD_PRELOAD", "MAPPINGS", "DOPPEL_DIRECT"):
            del os.environ[name]
    reach_shell(t, 180)


def work(t):
    assert t.vm.run(WORK, 180) == ("done", 0)


def power_off(t):
    status = t.vm.power_off()
    assert status == 0, f"status {status}"
    for line in t.vm.error_output().splitlines():
        if "all views emptied" in line:
            t.note(line.strip())
            assert int(line.split()[-1].replace(",", "")) > 0, "the limit was not met"
            return
    raise AssertionError("no statistics")


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("two CPUs boot with few mappings", start), ("programs", work),
        ("no kernel complaints", no_complaints), ("power-off ends with status 0", power_off)])
