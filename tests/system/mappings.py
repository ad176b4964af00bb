#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that lets the process have few mappings: it comes to the limit again and again, and goes on."""

import os
import re
import shutil
import subprocess

import checks
import vm
from boot import no_complaints, reach_shell

HERE = os.path.dirname(os.path.abspath(__file__))
ROOM = 600  # for direct access, beside the other mappings: two CPUs that work soon use more
MOST = 1 << 20  # a mapping costs the host some 200 bytes
WORK = "for i in $(seq 40); do sh -c 'seq 200 | sort -n >/dev/null'; done; echo done"


def limit():
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as f:
        return int(f.read())


def possible(_):
    if os.environ.get("DOPPEL_ACCEL", "bt") != "bt":
        raise checks.Skip("direct access is the bt engine's")
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        if not re.search(r"^flags\s*:.* fsgsbase\b", f.read(), re.M):
            raise checks.Skip("without FSGSBASE there is no direct access")
    if not 4 * ROOM <= limit() <= MOST:
        raise checks.Skip(f"vm.max_map_count is {limit()}, not {4 * ROOM} to {MOST}")
    if not shutil.which("cc"):
        raise checks.Skip("no C compiler")


def boot(**env):
    return vm.Vm(append="console=ttyS0", memory="1G", cpus=2, extra=("--stats",),
                 env={**os.environ, **env})


def used_without():
    """Mappings of a machine that has no direct access."""
    with boot(DOPPEL_DIRECT="off") as machine:
        machine.prompt(180)
        with open(f"/proc/{machine.process.pid}/maps", encoding="utf-8") as f:
            return len(f.readlines())


def start(t):
    possible(t)
    library = os.path.join(t.dir, "mappings.so")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "mappings.c")], check=True)
    left = used_without() + ROOM
    t.note(f"{left} of {limit()} mappings are left")
    t.vm = boot(LD_PRELOAD=library, MAPPINGS=str((limit() - left) // 2), DOPPEL_DIRECT="eager")
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
