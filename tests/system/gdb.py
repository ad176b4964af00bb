#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A debugger on a machine (--gdb): Debian's gdb against a flat guest and against Debian's kernel, and
peers that only make trouble.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import checks
import vm
from checks import Skip

# mov ecx, 1000; L: inc dword [data]; inc eax; mov edx, [data]; dec ecx; jnz L; inc ebx; jmp 0x100000
CODE = bytes.fromhex("b9e8030000" "ff0535000000" "ffc0" "8b152d000000" "ffc9" "75ee" "ffc3" "ebe5")
LOOP, AFTER_WRITE, AFTER_READ, DATA = 0x100005, 0x10000b, 0x100013, 0x100040


def make_elf(path):
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, 62, 1, 0x100000, 64, 0, 0,
                         64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, 0x100000, 0x100000, 4096, 4096, 4096)
    with open(path, "wb") as f:
        f.write((header + segment).ljust(4096, b"\0") + CODE.ljust(4096, b"\0"))
    return path


def gdb_command(where, commands):
    if not shutil.which("gdb"):
        raise Skip("gdb is not installed")
    words = ["gdb", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set tcp auto-retry on",
             "-ex", f"set remotetimeout {30 * vm.PATIENCE:.0f}", "-ex", f"target remote {where}"]
    for command in commands:
        words += ["-ex", command]
    return words


def gdb(where, *commands, timeout=60):
    """What gdb prints when it is told to do this, one command after the other."""
    done = subprocess.run(gdb_command(where, commands), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout * vm.PATIENCE)
    return done.stdout


def number(text, name):
    """The value that `print/x name` or `info registers` showed."""
    match = re.search(rf"^(?:{re.escape(name)}\s+|.*= )(0x[0-9a-f]+)", text, re.M)
    assert match, text
    return int(match.group(1), 16)


def flat(t, *extra):
    """A flat guest; where to connect to."""
    path = os.path.join(t.dir, "gdb.sock")
    if t.vm:
        t.vm.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    t.vm = vm.Vm(kernel=make_elf(os.path.join(t.dir, "flat.elf")), initrd=None, append=None,
                 memory="128M", extra=("--gdb", f"unix:{path}", *extra))
    deadline = time.monotonic() + 30 * vm.PATIENCE
    while not os.path.exists(path):
        assert time.monotonic() < deadline and not t.vm.ended, t.vm.tail()
        time.sleep(0.05)
    return path


def first_instruction(t):
    where = flat(t, "--paused")
    out = gdb(where, "print/x $rip", "stepi", "print/x $rip", "print $rcx", "x/i $pc", "print $rax")
    values = re.findall(r"^\$\d+ = (\S+)", out, re.M)
    assert values[:3] == ["0x100000", hex(LOOP), "1000"], out
    assert re.search(r"=> 0x100005:\s+inc", out), out


def breakpoints(t):
    where = flat(t, "--paused")
    for kind in ("break", "hbreak"):
        out = gdb(where, f"{kind} *{AFTER_WRITE:#x}", "continue", "print $rcx", "continue", "continue",
                  "print $rcx", "delete", "print *(int *)%#x" % DATA)
        first, third, count = re.findall(r"^\$\d+ = (\d+)", out, re.M)
        assert int(first) - int(third) == 2, out
        assert "SIGTRAP" not in out, out
    # None is left behind: the guest runs through it while no debugger is there.
    counts = [gdb(where, "print *(int *)%#x" % DATA) for _ in range(2)]
    assert counts[0] != counts[1], counts


def watchpoints(t):
    where = flat(t, "--paused")
    for command, stops in (("watch", [AFTER_WRITE, AFTER_WRITE]), ("rwatch", [AFTER_WRITE, AFTER_READ]),
                           ("awatch", [AFTER_WRITE, AFTER_READ])):
        out = gdb(where, f"tbreak *{LOOP:#x}", "continue", f"{command} *(int *){DATA:#x}", "continue",
                  "print/x $rip", "continue", "print/x $rip")
        values = [int(v, 16) for v in re.findall(r"^\$\d+ = (0x\S+)", out, re.M)]
        assert values == stops, (command, out)


def changes(t):
    where = flat(t, "--paused")
    out = gdb(where, "set $rbx = 0x1234567890abcdef", "set $xmm3.uint128 = 5", "print/x $rbx",
              "print $xmm3.uint128", f"set *(int *){DATA:#x} = 77", f"print *(int *){DATA:#x}",
              "print/x $cr0", "print/x $efer", "set $cr0 = 0",
              "maint packet qqemu.PhyMemMode", "monitor physical", f"x/5xb {0x100000:#x}")
    values = re.findall(r"^\$\d+ = (\S+)", out, re.M)
    assert values[:3] == ["0x1234567890abcdef", "5", "77"], out
    assert int(values[3], 16) & 0x80000001 == 0x80000001 and int(values[4], 16) & 0x500 == 0x500, out
    assert "Could not write register" in out, out
    assert "0xb9\t0xe8\t0x03" in out, out
    # Code that the debugger changes is what runs: inc eax becomes dec eax.
    script = os.path.join(t.dir, "steps")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"while $rip != {AFTER_WRITE:#x}\nstepi\nend\n")
    out = gdb(where, f"source {script}", "print $eax",
              f"set *(char *){AFTER_WRITE + 1:#x} = 0xc8", "stepi", "print $eax")
    before, after = re.findall(r"^\$\d+ = (-?\d+)", out, re.M)
    assert int(after) == int(before) - 1, out


def monitor(t):
    where = flat(t, "--paused")
    out = gdb(where, "stepi", "monitor info registers", "monitor nonsense", "monitor reset",
              "maint flush register-cache", "print/x $rip", "monitor quit")
    assert "cr3" in out and "unknown" in out, out
    assert number(out, "$rip") == 0x100000, out
    assert t.vm.wait(20) == 0


def kill(t):
    where = flat(t)
    gdb(where, "kill")
    assert t.vm.wait(20) == 0


def tcp(t):
    """TCP, on the loopback alone; the port is told."""
    if t.vm:
        t.vm.kill()
    t.vm = vm.Vm(kernel=make_elf(os.path.join(t.dir, "flat.elf")), initrd=None, append=None,
                 memory="128M", extra=("--gdb", "tcp:0,wait"))
    deadline = time.monotonic() + 30 * vm.PATIENCE
    while not (match := re.search(r"debuggers connect to tcp:127\.0\.0\.1:(\d+)",
                                  t.vm.error_output())):
        assert time.monotonic() < deadline, t.vm.tail()
        time.sleep(0.05)
    assert number(gdb(f"127.0.0.1:{match.group(1)}", "print/x $rip"), "$rip") == 0x100000


def connect(s, where):
    """One debugger at a time is served; others are hung up on or wait."""
    deadline = time.monotonic() + 30 * vm.PATIENCE
    while True:
        try:
            return s.connect(where)
        except BlockingIOError:
            assert time.monotonic() < deadline, "nobody accepts connections"
            time.sleep(0.05)


def trouble(t):
    """Nonsense, a packet cut off, a peer that reads nothing: the machine runs on."""
    where = flat(t)
    for data in (os.urandom(65536), b"$" + b"g" * 100000, b"$m100000,1000#00" * 2000, b"$g#67" * 30000,
                 b"\x03" * 1000, b"$vCont;c#a8\x03" * 500, b"$Z0," + b"f" * 40 + b"#00"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            connect(s, where)
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
    time.sleep(0.5)
    counts = [gdb(where, "print *(int *)%#x" % DATA) for _ in range(2)]
    assert all(" = " in c for c in counts) and counts[0] != counts[1], counts


# --- Debian's kernel ---


def start(t):
    t.path = os.path.join(t.dir, "kernel.sock")
    t.vm = vm.Vm(extra=("--gdb", f"unix:{t.path}"), memory="256M")
    t.vm.prompt()


def system_call(t):
    """A breakpoint at the kernel's entry for system calls, steps there, and on with the system."""
    out = gdb(t.path, "print/x $lstar")
    entry = number(out, "$lstar")
    later = threading.Timer(2 * vm.PATIENCE, lambda: t.vm.send("echo between\n"))
    later.start()
    out = gdb(t.path, f"break *{entry:#x}", "continue", "print/x $rip", "x/i $pc", "print $cs & 3",
              "stepi", "print/x $k_gs_base", "print/x $gs_base", "stepi", "stepi", "print/x $rip",
              "info threads", timeout=120)
    later.join()
    assert number(out, "$rip") == entry and "swapgs" in out, out
    assert "CPU 0" in out, out
    values = re.findall(r"^\$\d+ = (\S+)", out, re.M)
    assert values[1] == "0", out                   # the kernel's code segment
    assert int(values[3], 16) >> 63 == 1, out      # GS is the kernel's now
    assert 0 < int(values[4], 16) - entry < 64, out
    t.vm.expect("between", 30)
    assert t.vm.run("echo $((6 * 7))") == ("42", 0)


def kernel_data(t):
    """What a process writes to its stack, watched by address while all of the system runs."""
    entry = number(gdb(t.path, "print/x $lstar"), "$lstar")
    later = threading.Timer(2 * vm.PATIENCE, lambda: t.vm.send("for i in 1 2 3; do ls / >/dev/null; done\n"))
    later.start()
    out = gdb(t.path, f"tbreak *{entry:#x}", "continue", "set $a = $rsp", "watch *(long *)$a",
              "continue", "print/x $rip", "info watchpoints", "delete", timeout=180)
    later.join()
    assert re.search(r"Old value = .*\nNew value = ", out), out
    assert re.search(r"already hit \d+ time", out), out
    assert t.vm.run("echo $((6 * 7))") == ("42", 0)


def interrupt(t):
    """Ctrl-C while it runs."""
    commands = ["continue", "print/x $cr3", "print/x $rip", "detach"]
    with subprocess.Popen(gdb_command(t.path, commands), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
        time.sleep(4 * vm.PATIENCE)
        p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=60 * vm.PATIENCE)[0]
    assert "SIGINT" in out and number(out, "$cr3") != 0, out
    assert t.vm.run("echo $((6 * 7))") == ("42", 0)


def power_off(t):
    """The debugger is told that the machine ended."""
    later = threading.Timer(2 * vm.PATIENCE, lambda: t.vm.send("poweroff -f\n"))
    later.start()
    out = gdb(t.path, "continue", timeout=120)
    later.join()
    assert "exited normally" in out, out
    assert t.vm.wait(30) == 0


if __name__ == "__main__":
    if os.environ.get("DOPPEL_MONITOR", "doppel") != "doppel":
        print("skip - all: --gdb is doppel's")
        sys.exit(77)
    checks.main(["kernel", "initramfs"], [
        ("first instruction", first_instruction),
        ("breakpoints", breakpoints),
        ("watchpoints", watchpoints),
        ("registers, memory and code changed", changes),
        ("monitor commands", monitor),
        ("kill", kill),
        ("TCP", tcp),
        ("peers that make trouble", trouble),
        ("kernel: boots", start),
        ("kernel: a system call", system_call),
        ("kernel: watched data", kernel_data),
        ("kernel: interrupt", interrupt),
        ("kernel: power-off", power_off),
    ])
