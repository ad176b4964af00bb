#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's 32-bit kernels, without and with PAE, and a 32-bit busybox: they boot, programs run right."""

import hashlib
import os

import checks
import vm
from boot import COMPLAINTS, reach_shell

DIRECTORY = os.path.join(vm.GUESTS, "i386")
EXPECTED = hashlib.md5("".join(f"{i}\n" for i in range(1, 50001)).encode()).hexdigest()


def start(flavour):
    def check(t):
        if t.vm:
            t.vm.kill()
        t.vm = vm.Vm(kernel=os.path.join(DIRECTORY, "vmlinuz-" + flavour),
                     initrd=os.path.join(DIRECTORY, "initramfs.cpio"), append="console=ttyS0",
                     memory="256M")
        reach_shell(t, 180)
    return check


def machine(t):
    assert t.vm.run("uname -m") == ("i686", 0)


def pipelines(t):
    output, status = t.vm.run("seq 50000 | gzip -c | gzip -dc | sort -n | md5sum", 120)
    assert status == 0 and output.split()[0] == EXPECTED, output


def processes(t):
    output, _ = t.vm.run("n=0; for i in $(seq 100); do n=$((n + $(echo 1 | cat))); done; echo $n", 120)
    assert output == "100", output


def floating_point(t):
    output, _ = t.vm.run("awk 'BEGIN { for (i = 1; i <= 100000; i++) s += 1 / i; "
                         "printf \"%.9f\\n\", s }'", 120)
    assert output == "12.090146130", output


def complaints(t):
    output, _ = t.vm.run(f"dmesg | grep -E '{COMPLAINTS}'")
    assert output == "", output


def power_off(t):
    assert t.vm.power_off() == 0


def flavours(t):
    for flavour in ("686", "686-pae"):
        if t.run(f"{flavour}: boot", start(flavour)):
            for check in (machine, pipelines, processes, floating_point, complaints, power_off):
                t.run(f"{flavour}: {check.__name__.replace('_', ' ')}", check)


if __name__ == "__main__":
    checks.require(["i386"])
    checks.steps(checks.Checks(), flavours)
