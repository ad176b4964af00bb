#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux counts and samples with the processor's performance counters, on two CPUs."""

import checks
import overlay
import vm
from boot import no_complaints, reach_shell

ROUNDS = 2000000


def start(t):
    t.vm = vm.Vm(initrd=overlay.test_initrd(t.dir), append="console=ttyS0", memory="512M", cpus="2")
    reach_shell(t)


def amd(t):
    if t.vm.run("grep -c AuthenticAMD /proc/cpuinfo")[0] == "0":
        raise checks.Skip("the counters are AMD's")


def found(t):
    """The kernel's driver takes the counters."""
    amd(t)
    assert "perfctr_core" in t.vm.run("grep -m 1 flags /proc/cpuinfo")[0]
    said = t.vm.run("dmesg | grep -i 'performance events\\|pmu'")[0]
    assert "AMD PMU driver" in said, said


def counts(t):
    """What is known of a loop is what they say; the rest is the way to it and from it."""
    amd(t)
    output, status = t.vm.run("/opt/counters", 120)
    assert status == 0, output
    t.said = {name: int(value) for name, value in (line.split() for line in output.splitlines())}
    t.note(", ".join(output.splitlines()))
    assert 2 * ROUNDS <= t.said["instructions"] < 2.02 * ROUNDS, output
    assert ROUNDS <= t.said["branches"] < 1.02 * ROUNDS, output
    assert t.said["instructions-all"] > t.said["instructions"], output
    assert t.said["branches-all"] > t.said["branches"], output
    assert t.said["cycles"] > ROUNDS / 2, output


def samples(t):
    """An interrupt each so many events; nearly all find the program in its loop."""
    amd(t)
    assert 95 <= t.said["samples-instructions"] <= 101, t.said
    assert t.said["samples-instructions-inside"] >= 90, t.said
    assert 35 <= t.said["samples-branches"] <= 41, t.said
    assert t.said["samples-branches-inside"] >= 30, t.said
    assert t.said["samples-cycles"] >= 5, t.said
    assert t.said["samples-cycles-inside"] >= 3, t.said


def all_at_once(t):
    amd(t)
    output, _ = t.vm.run("(for i in 1 2 3 4; do /opt/counters >/tmp/c$i & done; wait); "
                         "sed -n 's/^instructions //p' /tmp/c[1-4]", 180)
    numbers = [int(n) for n in output.split()]
    assert len(numbers) == 4 and all(2 * ROUNDS <= n < 2.02 * ROUNDS for n in numbers), output


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("boot", start), ("the kernel finds the counters", found),
        ("instructions, branches and cycles of a loop", counts), ("samples", samples),
        ("four programs on two processors", all_at_once), ("no kernel complaints", no_complaints)])
