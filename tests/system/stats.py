#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A whole system under `--stats` and `--trace`: samples disturb nothing, the figures agree with each
other and with what the guest did, and a trace tells what happened.
"""

import os
import re
import signal
import subprocess
import time

import checks
import overlay
import vm
from checks import Skip


def report(text):
    """What --stats printed last: {group: {name: value}}, times in seconds."""
    groups, group = {}, None
    for line in text[text.rindex("time\n"):].splitlines():
        match = re.match(r"  (\S.*?) +([\d.,]+)(?: (?:s +[\d.]+ %|MB))?$", line)
        if match and group is not None:
            group[match.group(1)] = float(match.group(2).replace(",", ""))
        else:
            group = groups.setdefault(line.strip(), {})
    return groups


def ask(t):
    """The report while the machine runs."""
    before = t.vm.error_output().count("walks of page tables")
    os.kill(t.vm.process.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = t.vm.error_output()
        if text.count("walks of page tables") > before and "\ninterrupts\n" in text:
            time.sleep(0.2)
            return report(t.vm.error_output())
        time.sleep(0.05)
    raise vm.VmError("no report after SIGUSR1\n" + t.vm.tail())


def start(t):
    if t.monitor != "doppel":
        raise Skip("said of our monitor only")
    t.trace = os.path.join(t.dir, "trace")
    t.vm = vm.Vm(initrd=overlay.test_initrd(t.dir), append="console=ttyS0 quiet",
                 extra=["--stats", "--trace", "interrupts,exceptions:" + t.trace])
    t.note(f"shell after {t.vm.prompt():.2f} s")
    t.vm.run("dmesg -n 1")


def programs(t):
    """The samples' signal comes a thousand times a second, into all kinds of code."""
    assert t.vm.run("/opt/faults")[1] == 0
    assert t.vm.run("n=0; for i in $(seq 200); do n=$((n + $(echo 1 | cat))); done; echo $n") == \
        ("200", 0)
    one, status = t.vm.run("for i in 1 2 3 4 5 6 7 8; do sha256sum /bin/busybox; done | uniq | wc -l",
                           120)
    assert (one, status) == ("1", 0), one


def exceptions(t):
    before = ask(t)
    t.vm.run("for i in 1 2 3 4 5; do sh -c 'kill -SEGV $$'; /opt/faults; done")
    after = ask(t)
    faults = after["exceptions"]["#PF page fault"] - before["exceptions"]["#PF page fault"]
    assert faults > 100, f"{faults} page faults"
    for name in ("#DE divide error", "#UD undefined opcode", "#BP breakpoint"):
        t.note(f"{name}: {after['exceptions'].get(name, 0):.0f}")
    assert after["exceptions"]["#DE divide error"] >= 5, after["exceptions"]


def agreement(t):
    """What is counted in two ways."""
    seen = ask(t)
    memory = seen["memory"]
    reasons = sum(n for name, n in memory.items() if name.startswith(("slow: ", "group")))
    assert 0.98 < reasons / memory["slow paths"] < 1.02, memory
    assert sum(seen["ports"].values()) <= seen["events"]["port accesses"], seen["ports"]
    assert sum(seen["exceptions"].values()) >= seen["events"]["exceptions"] * 0.999, seen
    times = seen["time"]
    parts = (times["virtual CPUs run"] + times["virtual CPUs are halted"] +
             times["virtual CPUs wait for the host"])
    assert 0.98 < parts / times["elapsed"] < 1.02, times


def idle(t):
    before = ask(t)
    time.sleep(4)
    after = ask(t)
    elapsed = after["time"]["elapsed"] - before["time"]["elapsed"]
    halted = (after["time"]["virtual CPUs are halted"] -
              before["time"]["virtual CPUs are halted"]) / elapsed
    assert halted > 0.8, f"{halted * 100:.0f} % halted"


def busy(t):
    before = ask(t)
    t.vm.run("timeout 3 sh -c 'while :; do :; done'")
    after = ask(t)
    samples = "time of virtual CPUs, by samples"

    def spent(name):
        return after[samples][name] - before[samples][name]
    total = sum(after[samples].values()) - sum(before[samples].values())
    ran = after["time"]["virtual CPUs run"] - before["time"]["virtual CPUs run"]
    assert 0.9 < total / ran < 1.1, f"{total:.2f} s in samples, {ran:.2f} s of CPU time"
    user = spent("guest, user") + spent("guest, user, in cells")
    t.note(f"a busy shell: {user / total * 100:.0f} % guest, user")
    assert user > total * 0.3, after[samples]


def changing_windows(t):
    """Accesses that see low and high addresses in turn learn it, loops' among them."""
    elf = os.path.join(os.path.dirname(os.path.realpath(vm.doppel_binary())), "..", "..", "tests",
                       "guest", "mixed.elf")
    if not os.path.exists(elf):
        raise Skip("the flat guests were not built")
    done = subprocess.run([vm.doppel_binary(), "run", "--kernel", elf, "--net", "none",
                           "--no-reboot", "--debug-exit", "--stats"], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, text=True)
    direct = report(done.stderr)["direct access"]
    if direct["address spaces promoted"] == 0:
        raise Skip("no direct access on this host")
    assert direct["region not direct"] < 300, direct


def no_complaints(t):
    output, _ = t.vm.run("dmesg")
    found = [line for line in output.splitlines()
             if re.search(r"WARNING:|BUG:|Oops|Call Trace|stall|unstable|lockup", line)]
    assert not found, "\n".join(found)


def the_end(t):
    assert t.vm.power_off(30) == 0
    seen = report(t.vm.error_output())
    with open(t.trace, encoding="ascii") as f:
        lines = [line.split() for line in f]
    for group, kind in (("exceptions", "exceptions"), ("interrupts", "interrupts")):
        traced = sum(line[0] == kind and line[5] != "INT" for line in lines)
        counted = sum(seen[group].values())
        # Of interrupts the report has the ten most frequent ones.
        assert counted <= traced <= counted * 1.01 + 5, f"{kind}: {traced} lines, {counted} counted"
    stamps = [int(line[2]) for line in lines]
    assert stamps == sorted(stamps), "the time in the trace goes back"
    assert any(line[3].startswith("ffff") for line in lines), "no event in the kernel"
    assert len({line[4] for line in lines}) > 10, "hardly any address spaces"


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("boots to a shell", start), ("programs run right", programs),
        ("exceptions are counted", exceptions), ("figures agree", agreement),
        ("an idle guest", idle), ("a busy guest", busy),
        ("low and high addresses in turn", changing_windows), ("no kernel complaints", no_complaints),
        ("the report at the end, and the trace", the_end)])
