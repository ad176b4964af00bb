#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel on four virtual CPUs: all of them run, what it sees of them, power, debuggers."""

import os
import re
import time

import checks
import overlay
import vm
from boot import idle_cost, no_complaints, reach_shell
from gdb import gdb

CPUS = 4
WORK = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); seq 20 | sort -n >/dev/null; done; echo $i"


def start(t):
    where = os.path.join(t.dir, "gdb.sock")
    t.gdb = where
    t.vm = vm.Vm(initrd=overlay.test_initrd(t.dir), append="console=ttyS0", memory="1G",
                 cpus="4,sockets=1,cores=2,threads=2", extra=("--gdb", f"unix:{where}"))
    reach_shell(t, 120)
    t.vm.run(f"echo '{WORK}' >/tmp/work")


def all_online(t):
    assert t.vm.run("cat /sys/devices/system/cpu/online") == ("0-3", 0)
    assert t.vm.run("grep -c ^processor /proc/cpuinfo") == ("4", 0)


def topology(t):
    where = "/sys/devices/system/cpu/cpu$c/topology"
    output, _ = t.vm.run(f"for c in 0 1 2 3; do echo $(cat {where}/physical_package_id "
                         f"{where}/core_id {where}/thread_siblings_list); done")
    rows = [line.split() for line in output.splitlines()]
    assert [r[0] for r in rows] == ["0"] * CPUS, output
    assert rows[0][1] == rows[1][1] != rows[2][1] == rows[3][1], output
    assert [r[2] for r in rows] == ["0-1", "0-1", "2-3", "2-3"], output


def each_runs(t):
    """A process that is bound to a CPU gets that CPU's time."""
    for cpu in range(CPUS):
        output, status = t.vm.run(f"taskset {1 << cpu:x} sh -c '. /tmp/work; cut -d\" \" -f39 "
                                  "/proc/self/stat'")
        assert status == 0 and output.split() == ["100", str(cpu)], output


def all_at_once(t):
    output, _ = t.vm.run("for i in 1 2 3; do for m in 1 2 4 8; do "
                         "taskset $m sh /tmp/work >/tmp/w$m$i & done; done; wait; "
                         "cat /tmp/w[1-8]* | sort | uniq -c", 180)
    assert output.split()[:2] == ["12", "100"], output


def moving(t):
    """A process that is moved from CPU to CPU, and code that changes there."""
    t.vm.run("/opt/changecode 3 20000 >/tmp/code; echo $? >>/tmp/code & pid=$!; i=0; "
             "while kill -0 $pid 2>/dev/null; do i=$((i+1)); "
             "taskset -p $((1 << i % 4)) $pid >/dev/null 2>&1; usleep 2000; done", 180)
    output, _ = t.vm.run("tail -n 1 /tmp/code")
    assert output == "0", t.vm.run("cat /tmp/code")[0][:2000]


def memory_order(t):
    """Litmus tests: what no processor shows is not seen, what real ones do is."""
    output, status = t.vm.run("/opt/litmus 20", 180)
    assert status == 0, output
    relaxed = sum(int(n) for n in re.findall(r"(\d+) relaxed", output))
    t.note(f"litmus tests: {relaxed} relaxed outcomes")
    assert output.count(" 0 forbidden") == 11 and "exact" in output, output


def responsive(t):
    """The console while more processes than CPUs compute."""
    t.vm.run("for i in 1 2 3 4 5 6 7 8; do timeout 10 sh -c 'while :; do :; done' & done")
    slowest = 0
    for _ in range(5):
        before = time.monotonic()
        t.vm.run("true", 30)
        slowest = max(slowest, time.monotonic() - before)
        time.sleep(0.3)
    t.vm.run("wait", 120)
    t.note(f"slowest answer under load: {slowest:.2f} s")
    assert slowest < 5, f"{slowest:.2f} s"


def paravirtual(t):
    output, _ = t.vm.run("dmesg")
    for what in ("setup pv remote TLB flush", "PV sched yield", "PV spinlocks enabled", "PV IPIs"):
        assert what in output, output


def stolen(t):
    """Four CPUs on one of the host's: most of their time is the others'."""
    tids = [int(tid) for tid in os.listdir(f"/proc/{t.vm.process.pid}/task")]
    before = {tid: os.sched_getaffinity(tid) for tid in tids}
    seen = "awk '/^cpu[0-9]/ {print $9; s += $9} END {print s}' /proc/stat"
    old = t.vm.run(seen)[0].split()
    for tid in tids:
        os.sched_setaffinity(tid, {min(before[tid])})
    start = time.monotonic()
    t.vm.run("for m in 1 2 4 8; do taskset $m timeout 5 sh -c 'while :; do :; done' & done; wait", 60)
    passed = time.monotonic() - start
    for tid in tids:
        os.sched_setaffinity(tid, before[tid])
    now = t.vm.run(seen)[0].split()
    each = [(int(b) - int(a)) / 100 for a, b in zip(old, now)]
    t.note(f"stolen in {passed:.1f} s: {each}")
    assert 0.5 * passed < each[CPUS] / CPUS <= passed + 1, (passed, each)
    assert all(s > 0.25 * passed for s in each), (passed, each)


def offline_and_back(t):
    for _ in range(3):
        output, status = t.vm.run("for c in 1 2 3; do echo 0 >/sys/devices/system/cpu/cpu$c/online; "
                                  "done; cat /sys/devices/system/cpu/online; for c in 1 2 3; do "
                                  "echo 1 >/sys/devices/system/cpu/cpu$c/online; done; "
                                  "cat /sys/devices/system/cpu/online")
        assert status == 0 and output.split() == ["0", "0-3"], output


def clocks(t):
    """Time on one CPU is never behind what another one has said."""
    output, _ = t.vm.run("old=0; for i in $(seq 200); do for m in 1 2 4 8; do "
                         "now=$(taskset $m awk '{print $1 * 100}' /proc/uptime); "
                         "[ $now -ge $old ] || echo back; old=$now; done; done", 120)
    assert output == "", output


def debugger(t):
    out = gdb(t.gdb, "info threads", "thread 4", "print/x $cr0", "thread 1", "print/x $cr0",
              "detach")
    threads = re.findall(r"^[* ] +(\d+) +Thread", out, re.M)
    assert threads == ["1", "2", "3", "4"], out
    values = [int(v, 16) for v in re.findall(r"^\$\d+ = (0x\S+)", out, re.M)]
    assert len(values) == 2 and all(v & 0x80000001 == 0x80000001 for v in values), out
    assert t.vm.run("echo $((6 * 7))") == ("42", 0)


def starts_again(t):
    t.vm.send("reboot -f\n")
    t.vm.expect("init: up", 120)
    t.vm.prompt()
    assert t.vm.run("cat /sys/devices/system/cpu/online") == ("0-3", 0)


def power_off(t):
    status = t.vm.power_off()
    assert status == 0, f"status {status}"


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("four CPUs boot", start), ("all CPUs are online", all_online),
        ("sockets, cores, threads", topology), ("each CPU runs what is bound to it", each_runs),
        ("all CPUs at once", all_at_once),
        ("a process moves while its code changes", moving),
        ("memory order", memory_order),
        ("the console answers under load", responsive),
        ("paravirtual features", paravirtual), ("stolen time", stolen),
        ("CPUs go offline and come back", offline_and_back), ("clocks agree", clocks),
        ("a debugger sees CPUs as threads", debugger), ("idle guest", idle_cost),
        ("no kernel complaints", no_complaints), ("it starts again", starts_again),
        ("no kernel complaints after that", no_complaints),
        ("power-off ends with status 0", power_off)])
