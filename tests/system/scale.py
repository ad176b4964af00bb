#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests of size: much memory, many processes, many mappings, compilers that make code while they run.
Everything that runs checks its own results, or we know them; the guest's kernel must not complain.
"""

import hashlib
import math
import os
import re
import shutil
import subprocess

import checks
import netserver
import overlay
import vm
from checks import Skip

HERE = os.path.join(vm.TOP, "tests", "system", "scale")
COMPLAINTS = (r"WARNING:|BUG:|Oops|Call Trace|stall|unstable|lockup|hung task|segfault|"
              r"general protection|invalid opcode|trap |Out of memory|oom-kill|I/O error")
GIGABYTE = 1 << 30


def compile_programs(directory):
    return overlay.compile_programs(os.path.join(HERE, "*.c"), directory)


def compile_32(directory):
    """Programs of 32 bits, which use no library; none where the compiler makes none."""
    program = os.path.join(directory, "remap32")
    done = subprocess.run(["cc", "-m32", "-O2", "-static", "-nostdlib", "-ffreestanding", "-no-pie",
                           "-fno-pic", "-fno-stack-protector", "-o", program,
                           os.path.join(HERE, "m32", "remap32.c")], capture_output=True, check=False)
    return [program] if done.returncode == 0 else []


def boot(t, memory="1G", disks=()):
    """The initial RAM disk with our programs in /opt."""
    path = os.path.join(t.dir, "initrd")
    if not os.path.exists(path):
        overlay.make_initrd(path, compile_programs(t.dir) + compile_32(t.dir))
    machine = vm.Vm(initrd=path, append="console=ttyS0 quiet", memory=memory, disks=disks)
    machine.prompt()
    machine.run("dmesg -n 1")
    return machine


def works(machine, command, timeout, expected):
    output, status = machine.run(command, timeout)
    assert status == 0 and re.search(expected, output, re.M), f"status {status}:\n{output}"
    return output


def quiet_kernel(machine):
    output, _ = machine.run("dmesg")
    found = [line for line in output.splitlines() if re.search(COMPLAINTS, line)]
    assert not found, "\n".join(found)


def host_memory():
    """What the host could give without swapping."""
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"MemAvailable: *(\d+)", f.read()).group(1)) * 1024


# --- memory ---------------------------------------------------------------------------------------


def much_memory(t):
    free = host_memory()
    if free < 10 * GIGABYTE:
        raise Skip(f"needs 10 GB of free memory, this host has {free / GIGABYTE:.1f}")
    t.vm = boot(t, "8G")
    output = works(t.vm, "/opt/touch", 300, r"^\d+ MB, 0 errors$")
    assert int(output.split()[0]) > 7400, output
    t.note(output)
    quiet_kernel(t.vm)
    assert t.vm.power_off() == 0


# --- processes and mappings -----------------------------------------------------------------------


def start(t):
    if t.vm:
        t.vm.kill()
    t.vm = boot(t)


def mappings(t):
    works(t.vm, "sysctl -w vm.max_map_count=300000 && /opt/mappings 100000", 180,
          "^100000 mappings, 0 errors$")


def fork_storm(t):
    for _ in range(2):
        works(t.vm, "/opt/forkstorm 3", 120, "^1741 processes of 1741, 0 errors$")


def remapping(t):
    for seed in range(1, 4):
        works(t.vm, f"/opt/remap 30000 {seed}", 120, "^30000 steps, 0 errors$")


def code(t):
    for seed in range(1, 4):
        works(t.vm, f"/opt/code 20000 {seed}", 120, r"^20000 steps, \d+ calls, 0 errors$")


def remapping_32(t):
    if t.vm.run("test -e /opt/remap32")[1]:
        raise Skip("the compiler makes no programs of 32 bits")
    works(t.vm, "/opt/remap32", 120, "^40000 steps, 0 errors$")


def no_complaints(t):
    quiet_kernel(t.vm)


def power_off(t):
    assert t.vm.power_off() == 0
    t.vm = None


# --- pages that move ------------------------------------------------------------------------------


def swap(t):
    """Little memory, and a kernel that moves, merges, collapses and swaps out as it can."""
    path = os.path.join(t.dir, "swap.raw")
    with open(path, "wb") as f:
        f.truncate(GIGABYTE)
    t.vm = boot(t, "512M", [path])
    works(t.vm, "mkswap /dev/vda && swapon /dev/vda && sysctl -w vm.max_map_count=300000", 60, "")
    for file, value in (("ksm/run", 1), ("ksm/sleep_millisecs", 1), ("ksm/pages_to_scan", 2000),
                        ("transparent_hugepage/enabled", "always"),
                        ("transparent_hugepage/khugepaged/pages_to_scan", 4096),
                        ("transparent_hugepage/khugepaged/scan_sleep_millisecs", 10)):
        t.vm.run(f"echo {value} >/sys/kernel/mm/{file}")


def swapping(t):
    works(t.vm, "/opt/touch 600", 300, "^600 MB, 0 errors$")


def moving(t, steps=2500):
    t.vm.run("(while :; do echo 1 >/proc/sys/vm/compact_memory; usleep 100000; done) & mover=$!")
    output, _ = t.vm.run(
        f"for i in 1 2 3; do (/opt/moves {steps} $i 48; echo status $?) >/tmp/moves$i & "
        "all=\"$all $!\"; done; /opt/remap 5000 4; /opt/code 5000 4; /opt/processes 500; "
        "wait $all; cat /tmp/moves?; kill $mover", 600)
    assert output.count(f"{steps} steps, 0 errors") == output.count("status 0") == 3, output
    assert "5000 steps, 0 errors" in output and "calls, 0 errors" in output, output
    assert "500 processes, 0 errors" in output, output
    counts, _ = t.vm.run("cat /proc/vmstat")
    counts = dict(line.split() for line in counts.splitlines())
    for name in ("pswpout", "pswpin", "pgmigrate_success", "thp_collapse_alloc"):
        t.note(f"{name}: {counts.get(name, '-')}")
    assert int(counts["pswpin"]) > 1000 and int(counts["pgmigrate_success"]) > 1000, counts


# --- Debian ---------------------------------------------------------------------------------------


def debian(t):
    t.node_options = []
    t.vm = vm.Vm(append="root=/dev/vda rw console=ttyS0 quiet",
                 disks=[vm.DEBIAN_DISK + ",snapshot"], net=True)
    t.vm.prompt(300)
    t.vm.run("dmesg -n 1; stty -echo; bind 'set enable-bracketed-paste off'; PS1= PS2=; cd /srv")
    # As shipped a login has 15 % of what the system allows, 1,150 here.
    works(t.vm, "systemctl set-property --runtime serial-getty@ttyS0.service TasksMax=infinity", 60,
          "")
    files = {}
    for path in [*compile_programs(t.dir), *(os.path.join(HERE, n) for n in ("jit.lua", "jit.js"))]:
        with open(path, "rb") as f:
            files["/" + os.path.basename(path)] = f.read()
    server = netserver.FileServer(files)
    url = f"http://{vm.HOST_ADDRESS}:{server.port}"
    # The address may take a moment.
    names = "processes jit.lua jit.js"
    output, status = t.vm.run(f"for n in {names}; do wget -nv --tries=20 --waitretry=1 "
                              f"--retry-connrefused {url}/$n || exit_status=1; done; chmod +x *; "
                              "test -s jit.js -a -s processes", 90)
    server.close()
    assert status == 0, output


def many_processes(t):
    works(t.vm, "./processes 2000", 240, "^2000 processes, 0 errors$")


def many_programs(t):
    """As many, each with a program of its own."""
    works(t.vm, "(for i in $(seq 2000); do sleep 1000 & done; sleep 1; "
          "echo alive: $(ps -C sleep --no-headers | wc -l); kill $(jobs -p) 2>/dev/null; wait; "
          "echo left: $(ps -C sleep --no-headers | wc -l)) 2>&1 | tail -3", 240,
          "^alive: 2000\nleft: 0$")


def _signed(x):
    return (x & 0xffffffff) - ((x & 0x80000000) << 1)


def _hash(n):
    h = 1
    for i in range(1, n + 1):
        h = (h * 65599 + i % 256) & 0xffffffff
    return _signed(h)


def _float(n):
    x = 0.0
    for i in range(1, n + 1):
        x = x * 0.999 + 1 / i
    return f"{x:.17g}"


def _numbers(n, seed, exact):
    """The generator of the scripts; Lua computes it in floating point, which rounds."""
    out = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) % (1 << 31) if exact else \
            math.fmod(float(seed) * 1103515245.0 + 12345.0, 2147483648.0)
        out.append(int(seed))
    return out


def _weighted(values):
    total = 0
    for i, v in enumerate(values):
        total = (total + v * ((i + 1) % 1000)) % (1 << 32)
    return total


def _strings(n):
    words = [f"key{i % 5000}" + "x" * (i % 7) for i in range(1, n + 1)]
    return f"{sum(map(len, words))} {len(set(words))}"


def _generated(n):
    return sum(i + sum(k % i for k in range(1, 201)) for i in range(1, n + 1))


def _same(output, expected):
    """Every line of the script is a name and a result."""
    seen = dict(line.split(None, 1) for line in output.splitlines() if " " in line or "\t" in line)
    for name, value in expected.items():
        assert seen.get(name, "").strip() == str(value), f"{name}: {seen.get(name)}, not {value}"
    return seen


def luajit(t):
    """Compiled, and interpreted."""
    callback = sorted(_numbers(5000, 2, False))
    total = 0
    for i, v in enumerate(callback):
        total = (total + v * (i % 1000)) % (1 << 32)
    expected = {"hash": _hash(3000000), "float": _float(1000000),
                "sorted": _weighted(sorted(_numbers(100000, 1, False))),
                "strings": _strings(200000), "callback": total,
                "coroutines": 55 * 2000 * 2001 // 2, "generated": _generated(2000)}
    for options, state in (("", "true"), ("-joff", "false")):
        output, status = t.vm.run(f"luajit {options} jit.lua", 120)
        assert status == 0, output
        seen = _same(output, expected)
        assert seen["compiler"].startswith(state), seen


def _garbage(n):
    keep, total = [], 0
    for i in range(n):
        keep.append(i)
        if len(keep) == 50000:
            keep = [k for k in keep if k % 7 == 0]
            total += len(keep)
    return total + sum(k + 1 for k in keep)


def node(t):
    """t.node_options: further ways to run it."""
    if t.vm.run("node --version")[1]:
        raise Skip("the guest's disk has no node")
    data = bytes((i * i >> 8) & 255 for i in range(4 << 20))
    h = _hash(3000000)
    expected = {"hash": h, "float": float(_float(1000000)),
                "sorted": _weighted(sorted(_numbers(50000, 1, True))), "strings": _strings(200000),
                "generated": f"{_generated(2000) + 99999 * 100000 // 2 + 100000} 100",
                "wasm": f"{h} {h} {h} 1000", "exceptions": 20001,
                "packed": hashlib.sha256(data).hexdigest(), "big": 3 ** 5000 % 10 ** 30,
                "garbage": _garbage(300000), "workers": f"400000 {4 * (_hash(100000) & 0xffff)}",
                "child": 42, "timers": "fired"}
    # The second time V8 compiles and throws away much more.
    for options in ("", "--interrupt-budget=10000", *t.node_options):
        output, status = t.vm.run(f"NO_COLOR=1 node {options} jit.js", 600)
        assert status == 0, output
        _same(output, expected)


def debian_power_off(t):
    t.vm.send("poweroff\n")
    assert t.vm.wait(120) == 0


if __name__ == "__main__":
    if not shutil.which("cc"):
        print("skip - all: no C compiler")
        raise SystemExit(77)
    checks.main(["debian"], [
        ("8 GB of memory, all of it used", much_memory), ("boots to a shell", start),
        ("100,000 mappings", mappings), ("a storm of forks", fork_storm),
        ("mappings that change", remapping), ("code that changes", code),
        ("mappings of a 32-bit program", remapping_32), ("no kernel complaints", no_complaints),
        ("power-off", power_off), ("boots with swap", swap), ("more memory than there is", swapping),
        ("pages that the kernel moves", moving),
        ("no complaints with swap", no_complaints), ("power-off with swap", power_off),
        ("Debian boots", debian), ("2,000 processes", many_processes),
        ("2,000 programs", many_programs), ("LuaJIT", luajit), ("Node", node),
        ("no complaints of Debian's kernel", no_complaints),
        ("Debian's power-off", debian_power_off)])
