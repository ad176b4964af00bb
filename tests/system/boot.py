#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel with a busybox initial RAM disk: it boots, programs run right, time passes right."""

import datetime
import hashlib
import os
import re
import time

import checks
import overlay
import vm
from checks import Skip

COMPLAINTS = r"WARNING:|BUG:|Oops|Call Trace|rcu.*stall|unstable|soft lockup|hung task|Unknown NMI"


def reach_shell(t, timeout=60):
    """Waits for the shell of busybox, which nothing that the kernel says disturbs then."""
    t.vm.expect("init: up", timeout)
    up = t.vm.arrival()
    t.note(f"init after {up:.2f} s, shell after {t.vm.prompt():.2f} s")
    t.vm.run("dmesg -n 1")


def start(t):
    t.vm = vm.Vm(initrd=overlay.test_initrd(t.dir), append="console=ttyS0", memory="1G")
    reach_shell(t)


def kernel_version(t):
    with open(os.path.join(vm.GUESTS, "kernel", "version"), encoding="utf-8") as f:
        assert t.vm.run("uname -r") == (f.read().strip(), 0)


def exit_statuses(t):
    for status in (0, 1, 7, 127, 255):
        assert t.vm.run(f"sh -c 'exit {status}'")[1] == status
    assert t.vm.run("sh -c 'kill -SEGV $$'")[1] == 139
    assert t.vm.run("no-such-program")[1] == 127


def pipelines(t):
    expected = hashlib.md5("".join(f"{i}\n" for i in range(1, 100001)).encode()).hexdigest()
    output, status = t.vm.run("seq 100000 | gzip -c | gzip -dc | sort -n | md5sum")
    assert status == 0 and output.split()[0] == expected, output


def faults(t):
    output, status = t.vm.run("/opt/faults")
    assert status == 0, output


def processes(t):
    output, _ = t.vm.run("n=0; for i in $(seq 200); do n=$((n + $(echo 1 | cat))); done; echo $n")
    assert output == "200", output


def changing_code(t):
    for seed in range(1, 9):
        output, status = t.vm.run(f"/opt/changecode {seed} 3000")
        assert status == 0, f"seed {seed}: {output[:2000]}"


def memory_size(t):
    output, _ = t.vm.run("grep 'System RAM' /proc/iomem")
    size = 0
    for low, high in re.findall(r"([0-9a-f]+)-([0-9a-f]+) : System RAM", output):
        size += int(high, 16) + 1 - int(low, 16)
    assert (1 << 30) - (2 << 20) <= size <= 1 << 30, f"{size >> 10} KB of RAM in /proc/iomem"


def processor_count(t):
    assert t.vm.run("grep -c ^processor /proc/cpuinfo") == (str(t.vm.cpus), 0)


def date(t):
    before = time.time()
    output, _ = t.vm.run("date -u +%s")
    after = time.time()
    assert before - 2 <= int(output) <= after + 2, \
        f"guest {datetime.datetime.fromtimestamp(int(output))}, host {datetime.datetime.now()}"


def _time_is_right(t, command):
    """Guest time passes as the host's does, as exactly as a host that is slow to ask lets one see."""
    def uptime():
        before = time.monotonic()
        output, _ = t.vm.run("cat /proc/uptime")
        return before, float(output.split()[0]), time.monotonic()
    first = uptime()
    t.vm.run(command)
    last = uptime()
    shortest, passed, longest = last[0] - first[2], last[1] - first[1], last[2] - first[0]
    assert 0.97 * shortest <= passed <= 1.03 * longest, \
        f"{passed:.2f} s of guest time in {shortest:.2f} s to {longest:.2f} s"


def time_while_idle(t):
    _time_is_right(t, "sleep 5")


def time_while_busy(t):
    _time_is_right(t, "timeout 5 sh -c 'while :; do :; done'")


def sleep_length(t):
    # The first run of the programs takes its own time; the sleeps are what is measured.
    output, _ = t.vm.run("time sh -c 'for i in $(seq 50); do usleep 10000; done' 2>&1 | grep real")
    minutes, seconds = re.search(r"(\d+)m *([\d.]+)s", output).groups()
    took = int(minutes) * 60 + float(seconds)
    assert 0.5 <= took <= 3 * vm.PATIENCE, f"50 sleeps of 10 ms took {took} s"


def entropy(t):
    output, _ = t.vm.run("cat /sys/class/misc/hw_random/rng_current")
    if not output.startswith("virtio"):
        raise Skip("no virtio entropy device in this machine")
    one, two = (t.vm.run("head -c 64 /dev/hwrng | md5sum")[0] for _ in range(2))
    assert one != two, f"{one} {two}"


def devices(t):
    output, _ = t.vm.run("cat /proc/interrupts; cat /sys/devices/system/clocksource/*/current*")
    t.note("clock source: " + output.splitlines()[-1])
    assert "timer" in output or "LOC" in output, output


def idle_cost(t):
    if vm.PATIENCE > 1:
        raise Skip("the host is slow")
    t.vm.run("true")
    time.sleep(2)
    before, start_time = t.vm.cpu_seconds(), time.monotonic()
    time.sleep(10)
    share = (t.vm.cpu_seconds() - before) / (time.monotonic() - start_time)
    t.note(f"idle guest: {share * 100:.1f} % of a host CPU")
    assert share < 0.10, f"{share * 100:.1f} % of a host CPU while the guest sleeps"


def overhead(t):
    if t.vm.monitor != "doppel":
        raise Skip("said of our monitor only")
    megabytes = t.vm.overhead_bytes() / (1 << 20)
    t.note(f"{megabytes:.1f} MB beyond the guest's RAM")
    assert megabytes < 60, f"{megabytes:.1f} MB beyond the guest's RAM"


def no_complaints(t):
    output, _ = t.vm.run("dmesg")
    found = [line for line in output.splitlines() if re.search(COMPLAINTS, line)]
    if t.vm.run("grep -qw constant_tsc /proc/cpuinfo")[1] != 0:
        # What Linux then says of more than one processor, whatever their counters are like.
        found = [line for line in found if "TSCs unsynchronized" not in line]
    assert not found, "\n".join(found)


def power_off(t):
    assert t.vm.power_off(30) == 0


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("boots to a shell", start), ("the kernel is Debian's", kernel_version),
        ("memory beyond the guest's", overhead),
        ("exit statuses", exit_statuses), ("pipelines", pipelines), ("many processes", processes),
        ("faults of programs", faults), ("code that changes", changing_code),
        ("memory size", memory_size),
        ("number of processors", processor_count), ("date", date), ("time while idle", time_while_idle),
        ("time while busy", time_while_busy), ("length of sleeps", sleep_length),
        ("entropy device", entropy), ("devices", devices), ("idle guest", idle_cost),
        ("no kernel complaints", no_complaints), ("power-off ends with status 0", power_off)])
