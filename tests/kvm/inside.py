#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What scripts/test-kvm runs on the host whose KVM is true. Each test prints `begin NAME`, results as
all tests do, with the test's name in front, and `end NAME SECONDS`; lines that begin with `| ` are
what a failed test said. A program that SIGKILL does not end is the host's fault, not the test's:
then `the host hangs: WHY` is the last line.
"""

import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
BIN = os.path.join(os.path.dirname(TESTS), "bin")
sys.path.insert(0, os.path.join(TESTS, "system"))

import emulator  # noqa: E402
import vm  # noqa: E402

DOPPEL = vm.doppel_binary()
# TCG does not tell KVM of XSETBV, so a kernel that uses XSAVE finds sizes that do not fit.
CPU = ["--cpu", "host,-xsave"]
# Checks of whole systems that may fail, and why.
TSS = "QEMU's TCG knows permissions of ports only from a TSS that is not busy, as none is that KVM enters with"
STALE = "QEMU's TCG runs old code with nested pages: tests/kvm/emulator.py; `code that changes` has none"
MAY_FAIL = {
    "power, 1 CPU: exit device": TSS,
    "power, 1 CPU: no exit device unless asked for": TSS,
}


def report(result, name, text=""):
    print(f"{result} - {name}" + (f": {text}" if text else ""), flush=True)


def quote(text, lines=150):
    for line in text.strip().splitlines()[-lines:]:
        print("| " + line, flush=True)


class HostHangs(Exception):
    """The host did not do what it does whatever we do."""


def kill_group(group):
    """Ends all processes of a group; they have a minute, which is a second of a true processor."""
    os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        left = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if alive_in(pid, group)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise HostHangs(f"SIGKILL does not end {', '.join(left)}")
        time.sleep(1)


def alive_in(pid, group):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            state, _, process_group = f.read().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(process_group) == group and state != "Z"


def run_program(command, limit, env):
    """
    (exit status or None, output). The output is a file, which nobody can hold open against us. What
    comes is shown meanwhile, for the log.
    """
    end = time.monotonic() + limit
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **(env or {})})
        shown, status = 0, None
        while status is None and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(1)
            new = os.pread(output.fileno(), 1 << 20, shown)
            for line in new[:new.rfind(b"\n") + 1].decode(errors="replace").splitlines():
                print("> " + line, flush=True)
            shown += new.rfind(b"\n") + 1
        if status is None:
            kill_group(process.pid)
            process.wait()
        output.seek(0)
        return status, output.read().decode(errors="replace").replace("\r", "")


def relay(name, command, limit, env=None):
    """Runs a program that reports for itself, or whose status is its report. True, for run()."""
    status, text = run_program(command, limit, env)
    if status is None:
        report("not ok", name, f"no end within {limit} s")
        quote(text)
        return True
    found, bad, excused = 0, 0, 0
    for line in text.splitlines():
        result, mark, what = line.partition(" - ")
        if mark and result in ("ok", "not ok", "skip"):
            found += 1
            if result == "not ok" and f"{name}: {what}" in MAY_FAIL:
                excused += 1
                report("skip", f"{name}: {what}", MAY_FAIL[f"{name}: {what}"])
                continue
            bad += result == "not ok"
            report(result, f"{name}: {what}")
        elif line.startswith("# "):
            print(f"# {name}: {line[2:]}", flush=True)
    if status not in (0, 77) and not bad and not (status == 1 and excused):
        report("not ok", name, f"status {status}")
        bad = 1
    elif not found:
        report("ok", name)
    if bad:
        quote(text)
    return True


# --- the tests --------------------------------------------------------------------------------------
# Functions that raise what is wrong, or return True when they have reported.


def doctor():
    done = subprocess.run([DOPPEL, "doctor", "--format", "json"], stdout=subprocess.PIPE, text=True,
                          check=False)
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)}
    assert facts["kvm"]["status"] == "ok", facts["kvm"]
    assert facts["auto"]["text"].startswith("picks kvm"), facts["auto"]


def guest(elf):
    def test():
        return relay("guest", [sys.executable, os.path.join(TESTS, "guest", "run.py"), "--doppel",
                               DOPPEL, "--accel", "kvm", "--pending", "kvm-tcg", "--failures-only",
                               "--summary", "--timeout", "120", elf], 150)
    return test


def guests():
    """Those of the kit, which has fewer for the short run."""
    return [(f"flat guests: {os.path.basename(elf)[:-4]}", guest(elf), True)
            for elf in sorted(glob.glob("/mnt/elf/*.elf"))]


def program(name, *words, limit=600):
    def test():
        path = os.path.join(BIN, name)
        if not os.path.exists(path):
            report("skip", name, "it was not built, because cmocka is missing")
            return True
        return relay(name, [path, *words], limit, {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
    return test


def exits():
    """The bench has figures for this engine, too; they say nothing where TCG is the processor."""
    status, text = run_program([os.path.join(BIN, "bench-exits")], 600, {})
    for line in text.splitlines():
        print(f"# exits: {line}", flush=True)
    assert status == 0, status
    assert re.findall(r"^exit (\w+) kvm [1-9]\d*$", text, re.M) == ["port", "mmio", "halt", "kick"], text


def notifications(stats):
    """Writes to registers of disks' queues that came out of the guest, by the report of --stats."""
    return sum(int(n.replace(",", ""))
               for n in re.findall(r"^  0x[0-9a-f]*[37bf]000 virtio-blk +([0-9,]+)$", stats, re.M))


def counters(machine):
    """What the machine counts, while it runs."""
    before = len(machine.error_output())
    os.kill(machine.process.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 30
    while "\nmemory-mapped registers" not in machine.error_output()[before:] and time.monotonic() < deadline:
        time.sleep(1)
    return machine.error_output()[before:]


def boots(cpus):
    """To a shell, which sees its processors, its disk and a clock that runs, and off again."""
    def test():
        with tempfile.NamedTemporaryFile() as disk:
            disk.truncate(4 << 20)
            with vm.Vm(cpus=cpus, memory="512M", disks=[disk.name], extra=[*CPU, "--stats"]) as machine:
                try:
                    boot(machine, cpus)
                except vm.VmError:  # did it wait for an interrupt, or a processor for the host?
                    quote(counters(machine) + counters(machine))
                    raise
    return test


def boot(machine, cpus):
    machine.expect("init: up", 600)
    print(f"# boot: {cpus} CPU, init after {machine.arrival():.1f} s", flush=True)
    machine.prompt(300)
    seen = machine.run("nproc; cat /sys/devices/system/clocksource/*/current_clocksource", 120)
    assert seen == (f"{cpus}\nkvm-clock", 0), seen
    before = time.monotonic()
    output = machine.run("cat /proc/uptime; sleep 2; cat /proc/uptime", 120)[0]
    times = re.findall(r"^([0-9.]+) [0-9.]+$", output, re.M)
    took = time.monotonic() - before
    slept = float(times[1]) - float(times[0])
    assert 1.9 < slept < took + 0.5, (slept, took)
    expected = hashlib.md5("".join(f"{i}\n" for i in range(20000, 0, -1)).encode()).hexdigest()
    sorted_ = machine.run("seq 20000 | sort -rn | md5sum", 300)
    assert sorted_[0].split()[0] == expected, sorted_
    # TCG's time stamp counter is not called invariant, so Linux does not trust two of them.
    complaints = machine.run(
        r"dmesg | grep -v 'TSCs unsynchronized' | "
        r"grep -E 'WARNING:|BUG:|Oops|Call Trace|stall|unstable|lockup'", 120)
    assert complaints[1] == 1, complaints
    reads = machine.run("dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct", 120)
    assert reads[1] == 0 and "50+0 records in" in reads[0], reads
    status = machine.power_off(120)
    assert status == 0, f"exit status {status}"
    # KVM tells the disk's thread of requests; the vCPU does not come out for that.
    stats = machine.error_output()
    assert "virtio-blk" in stats and notifications(stats) == 0, stats


def huge_pages():
    """Memory of the pool's pages: the machine takes them, and gives them back."""
    pool = "/proc/sys/vm/nr_hugepages"
    with open(pool, "w", encoding="ascii") as f:
        f.write("160")
    try:
        before = free_huge_pages()
        assert before == 160, before
        with vm.Vm(memory="256M,hugepages=2M", extra=CPU) as machine:
            machine.expect("init: up", 600)
            used = before - free_huge_pages()
            assert 20 < used <= 129, used
            machine.prompt(300)
            assert machine.power_off(120) == 0
        assert free_huge_pages() == before
        with vm.Vm(memory="512M,hugepages=2M", extra=CPU) as machine:
            assert machine.wait(120) == 1 and "nr_hugepages" in machine.error_output(), machine.tail()
    finally:
        with open(pool, "w", encoding="ascii") as f:
            f.write("0")


def free_huge_pages():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"^HugePages_Free:\s+(\d+)", f.read(), re.M).group(1))


def whole(name, program, cpus, words=()):
    """A program of the system tests, or those of its checks that have one of the words in their names."""
    return relay(f"{name}, {cpus} CPU" + "s" * (cpus > 1),
                 [sys.executable, os.path.join(TESTS, "system", program + ".py"), *words], 3600,
                 {"DOPPEL_CPUS": str(cpus), "DOPPEL_OPTIONS": " ".join(CPU), "DOPPEL_PATIENCE": "10"})


def system(name, cpus=1):
    return lambda: whole(name, name, cpus)


def gdb():
    """All of the system test, or what a debugger can do without points."""
    words = []
    if not emulator.stops_at_points():
        words = ["first instruction", "changed", "monitor", "kill", "TCP", "trouble", "interrupt", "power-off"]
        report("skip", "gdb: points", "QEMU's TCG loads DR7 without watching what it names: tests/kvm/emulator.py")
    return whole("gdb", "gdb", 1, words)


def changing_code(cpus):
    """Where nested pages are what QEMU's TCG gets wrong, code changes without them."""
    def test():
        with no_nested_pages():
            assert emulator.sees_code_change()
            return whole("no nested pages", "boot", cpus, ["code that changes"])
    return test


@contextlib.contextmanager
def no_nested_pages():
    """KVM without them: it makes page tables of its own from those of the guest."""
    load_kvm("npt=0")
    try:
        with open("/sys/module/kvm_amd/parameters/npt", encoding="ascii") as f:
            assert f.read() == "N\n"
        yield
    finally:
        load_kvm()


def load_kvm(*parameters):
    while kept:
        os.close(kept.pop())
    subprocess.run(["rmmod", "kvm_amd"], check=True)
    subprocess.run(["insmod", "/mnt/modules/kvm_amd", *parameters], check=True)
    keep_a_machine()


TEST_LIST = [  # name, function, part of the short run
    ("doctor picks kvm", doctor, True),
    *guests(),
    ("state", program("test-engine-state"), True),
    ("lockstep", program("test-lockstep"), True),
    ("memory", program("test-memory"), True),
    ("kicks", program("test-stop", "kvm"), False),
    ("exits", exits, False),
    ("boot with 1 CPU", boots(1), True),
    ("boot with 2 CPUs", boots(2), False),
    ("memory of huge pages", huge_pages, False),
    ("firmware", system("firmware"), False),
    ("system boot 1", system("boot"), False),
    ("system boot 2", system("boot", 2), False),
    ("code that changes 1", changing_code(1), False),
    ("code that changes 2", changing_code(2), False),
    ("pinning", system("pin"), False),
    ("power", system("power"), False),
    ("serial", system("serial"), False),
    ("control", system("control"), False),
    ("gdb", gdb, False),
    ("debian 1", system("debian"), False),
    ("debian 2", system("debian", 2), False),
]


kept = []  # file descriptors of keep_a_machine


def keep_a_machine():
    """
    While there is a virtual CPU whose local APIC is not the kernel's, a kernel patches its code when
    the first comes and when the last goes. TCG with two processors may go on with what it made of
    the breakpoint that stands there meanwhile, for ever. So one is there all the time.
    """
    create_vm, create_vcpu = 0xAE01, 0xAE41
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, create_vm, 0)
    kept.extend((kvm, machine, fcntl.ioctl(machine, create_vcpu, 0)))


def keep_guests_awake():
    """
    Where interrupts come between STI and HLT, an idle CPU of a Linux guest may sleep on with something
    to do, until its next interrupt. With a tick that never stops that is soon.
    """
    if not emulator.keeps_interrupts_out():
        print("# interrupts come between STI and HLT, as with QEMU's TCG: Linux gets nohz=off", flush=True)
        os.environ["DOPPEL_APPEND"] = "nohz=off"


def excuse_stale_code():
    """Where KVM alone runs old code with nested pages, so do systems; changing_code is without them."""
    if not emulator.sees_code_change():
        print("# a guest does not see how its code changes, as with QEMU's TCG and nested pages", flush=True)
        for cpus in ("1 CPU", "2 CPUs"):
            MAY_FAIL[f"boot, {cpus}: code that changes"] = STALE


said = 0  # lines of the host's kernel


def host_complains():
    """What the host's kernel said since the last call, if a processor of its stood still."""
    global said
    lines = subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True, errors="replace",
                           check=False).stdout.splitlines()
    new, said = lines[said:], len(lines)
    found = [number for number, line in enumerate(new) if "lockup" in line or "stall" in line]
    if found:
        quote("\n".join("the host: " + line for line in new[found[0]:found[0] + 60]))


def run(name, function):
    print(f"begin {name}", flush=True)
    start = time.monotonic()
    try:
        if not function():
            report("ok", name)
    except HostHangs as error:
        print(f"the host hangs: {error}", flush=True)
        sys.exit(1)
    except Exception as error:  # a mistake in the test is a failure, not the end of the others
        report("not ok", name)
        quote(f"{type(error).__name__}: {error}")
    host_complains()
    print(f"end {name} {time.monotonic() - start:.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--done", action="append", default=[], help="tests that have reported")
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    keep_a_machine()
    keep_guests_awake()
    excuse_stale_code()
    for name, function, short in TEST_LIST:
        if args.only and not any(word in name for word in args.only):
            continue
        if name not in args.done and (short or not args.short):
            for _ in range(args.repeat):
                run(name, function)


main()
