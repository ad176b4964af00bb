#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual CPUs on processors of the host's that the user names."""

import os
import time

import checks
import vm


def affinities(pid):
    """{a thread's name: processors that it may run on}"""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as f:
            found[f.read().strip()] = sorted(os.sched_getaffinity(int(tid)))
    return found


def pinned(t):
    mine = sorted(os.sched_getaffinity(0))
    wanted = [mine[-1], mine[0], mine[-1]]
    pin = ":".join(map(str, wanted))
    with vm.Vm(cpus=f"3,pin={pin}", memory="128M") as machine:
        deadline = time.monotonic() + 60 * vm.PATIENCE
        while "vcpu 2" not in (seen := affinities(machine.process.pid)):
            assert time.monotonic() < deadline, (seen, machine.tail())
            time.sleep(0.05)
        for number, processor in enumerate(wanted):
            assert seen[f"vcpu {number}"] == [processor], seen
        others = {name: where for name, where in seen.items() if not name.startswith("vcpu ")}
        assert others and all(where == mine for where in others.values()), seen


def wrong(t):
    mine = sorted(os.sched_getaffinity(0))
    foreign = mine[-1] + 1
    for words, status, sentence in (
            ("2,pin=0", 2, "pin has to name as many processors as there are CPUs, 2, not 1"),
            ("1,pin=x", 2, "pin=x is no list of processors such as 0-3:8"),
            ("1,pin=0,pin=0", 2, "pin is given twice; give it once"),
            (f"1,pin={foreign}", 1, f"pin names processor {foreign}; here are processors ")):
        got, said = vm.doppel("run", "--accel", os.environ.get("DOPPEL_ACCEL", "bt"),
                              "--kernel", vm.KERNEL, "--cpus", words)
        assert got == status and f"--cpus: {sentence}" in said, (words, got, said)


if __name__ == "__main__":
    checks.main(["kernel", "initramfs"], [
        ("virtual CPUs run where --cpus pin= says, other threads anywhere", pinned),
        ("wrong words of pin end in one sentence", wrong)])
