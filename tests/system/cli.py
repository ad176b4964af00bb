#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The command line: every wrong argument gets one line that says which, why and what to do, with
status 2 for usage and 1 for failure, and never a crash; terminals are put back as they were.
"""

import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

import vm

DOPPEL = vm.doppel_binary()
FAILED, USAGE = 1, 2


def make_elf(code, entry=0x100000, machine=62):
    """A 64-bit ELF file with one segment at 1 MB."""
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, machine, 1, entry, 64, 0,
                         0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, 0x100000, 0x100000, len(code), len(code), 4096)
    return (header + segment).ljust(4096, b"\0") + code


# cli; hlt; jmp back
HALT = make_elf(b"\xfa\xf4\xeb\xfd")
# mov dx, 0xf4; mov al, 3; out dx, al; hlt
EXIT_7 = make_elf(b"\x66\xba\xf4\x00\xb0\x03\xee\xf4")
# a triple fault: lidt of a zero limit, then int3 (IDT limit is 0 at entry)
TRIPLE = make_elf(b"\xcc")
# mov dx, 0x604; mov ax, 0x3400; out dx, ax; hlt: S5
POWER_OFF = make_elf(b"\x66\xba\x04\x06\x66\xb8\x00\x34\x66\xef\xf4")
# mov dx, 0x3f8; mov al, 'A'; out dx, al; then S5
HELLO = make_elf(b"\x66\xba\xf8\x03\xb0\x41\xee\x66\xba\x04\x06\x66\xb8\x00\x34\x66\xef\xf4")


class Files:
    """A directory with one file of each kind."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="doppel-cli-")
        self.put("halt.elf", HALT)
        self.put("exit.elf", EXIT_7)
        self.put("triple.elf", TRIPLE)
        self.put("off.elf", POWER_OFF)
        self.put("hello.elf", HELLO)
        self.put("arm.elf", make_elf(b"\0", machine=183))
        self.put("cut.elf", HALT[:100])
        self.put("high.elf", make_elf(b"\xf4", entry=0x900000))
        self.put("empty", b"")
        self.put("text", b"hello\n" * 1000)
        self.put("odd.raw", b"\0" * 1000)
        self.put("disk.raw", b"\0" * 1048576)
        self.put("qcow2", b"QFI\xfb" + b"\0" * 4096)
        self.put("zimage", b"\0" * 0x1fe + b"\x55\xaa\xeb\x66HdrS\x0f\x02" + b"\0" * 8192)
        self.put("secret", HALT)
        os.chmod(os.path.join(self.dir, "secret"), 0)
        os.mkdir(os.path.join(self.dir, "directory"))
        os.mkfifo(os.path.join(self.dir, "fifo"))

    def put(self, name, data):
        with open(os.path.join(self.dir, name), "wb") as f:
            f.write(data)


# (arguments, status, words that the one line must have)
WRONG = [
    ("", USAGE, ["no command", "--help"]),
    ("fly", USAGE, ["fly", "--help"]),
    ("--bogus", USAGE, ["--bogus"]),
    ("help fly", USAGE, ["fly"]),
    ("version x", USAGE, ["x"]),
    ("version --x", USAGE, ["--x"]),
    ("doctor --format", USAGE, ["--format", "missing"]),
    ("doctor --format xml", USAGE, ["xml", "json"]),
    ("doctor here", USAGE, ["here"]),
    ("run", USAGE, ["--kernel"]),
    ("run --bogus", USAGE, ["--bogus", "--help"]),
    ("run -Z", USAGE, ["-Z"]),
    ("run --kern halt.elf", USAGE, ["--kern"]),
    ("run --kernel", USAGE, ["--kernel", "missing"]),
    ("run --kernel=", USAGE, ["--kernel", "empty"]),
    ("run --kernel halt.elf --kernel exit.elf", USAGE, ["--kernel", "twice"]),
    ("run --no-reboot=yes --kernel halt.elf", USAGE, ["--no-reboot", "yes"]),
    ("run halt.elf exit.elf", USAGE, ["two images", "exit.elf"]),
    ("run halt.elf --kernel exit.elf", USAGE, ["halt.elf", "exit.elf"]),
    # memory and processors
    ("run halt.elf -m", USAGE, ["--memory", "missing"]),
    ("run halt.elf -m 512", USAGE, ["512", "unit"]),
    ("run halt.elf -m lots", USAGE, ["lots", "512M"]),
    ("run halt.elf -m 1X", USAGE, ["1X"]),
    ("run halt.elf -m -1G", USAGE, ["-1G"]),
    ("run halt.elf -m 0M", USAGE, ["--memory", "16M"]),
    ("run halt.elf -m 1M", USAGE, ["--memory", "16M"]),
    ("run halt.elf -m 17000K", USAGE, ["--memory", "megabytes"]),
    ("run halt.elf --memory=9999999T", FAILED, ["--memory"]),
    ("run halt.elf --memory=99999999999999999999T", USAGE, ["--memory"]),
    ("run halt.elf -m 16777215T", FAILED, ["--memory", "this host has"]),
    ("run halt.elf -m 64T", FAILED, ["--memory", "this host has"]),
    ("run halt.elf -m 64M,hugepages=4K", USAGE, ["--memory", "hugepages=4K", "hugepages=2M"]),
    ("run halt.elf --accel bt -m 64M,hugepages=2M", USAGE, ["--memory", "bt", "hugepages"]),
    ("run halt.elf -c 0", USAGE, ["--cpus", "1 to"]),
    ("run halt.elf -c 1000", USAGE, ["--cpus", "1000"]),
    ("run halt.elf -c two", USAGE, ["--cpus", "two"]),
    ("run halt.elf --accel bt -c 65", 1, ["64 virtual CPUs", "65"]),
    ("run halt.elf -c 4,cores=3", USAGE, ["--cpus", "3 cores", "4 CPUs"]),
    ("run halt.elf -c 6,threads=3", USAGE, ["--cpus", "3 threads"]),
    ("run halt.elf -c 4,dies=2", USAGE, ["--cpus", "dies=2"]),
    ("run halt.elf --accel tcg", USAGE, ["--accel", "tcg", "auto"]),
    ("run halt.elf --cpu v9", USAGE, ["--cpu", "v9", "baseline"]),
    ("run halt.elf --cpu v2,avx", USAGE, ["--cpu", "avx", "+FEATURE"]),
    ("run halt.elf --cpu host,+vmx", USAGE, ["--cpu", "+vmx", "/proc/cpuinfo"]),
    # files
    ("run nothing", FAILED, ["nothing", "No such file"]),
    ("run --kernel nothing", FAILED, ["--kernel", "nothing", "No such file"]),
    ("run --kernel directory", FAILED, ["--kernel", "directory"]),
    ("run --kernel fifo", FAILED, ["--kernel", "fifo", "regular"]),
    ("run --kernel empty", FAILED, ["--kernel", "empty"]),
    ("run --kernel text", FAILED, ["--kernel", "neither"]),
    ("run --kernel arm.elf", FAILED, ["--kernel", "processor"]),
    ("run --kernel cut.elf", FAILED, ["--kernel", "cut.elf"]),
    ("run --kernel high.elf", FAILED, ["--kernel", "entry point"]),
    ("run --kernel zimage", FAILED, ["--kernel", "zimage"]),
    ("run empty", FAILED, ["empty"]),
    ("run directory", FAILED, ["directory"]),
    ("run fifo", FAILED, ["fifo"]),
    ("run qcow2 --kernel halt.elf", FAILED, ["qcow2", "version 0"]),
    ("run --kernel halt.elf --initrd nothing", FAILED, ["--initrd", "nothing"]),
    ("run --kernel halt.elf --initrd empty", FAILED, ["--initrd", "empty"]),
    ("run --kernel halt.elf --initrd directory", FAILED, ["--initrd", "directory"]),
    # disks
    ("run halt.elf --disk", USAGE, ["--disk", "missing"]),
    ("run halt.elf --disk=", USAGE, ["--disk", "path"]),
    ("run halt.elf --disk disk.raw,fast", USAGE, ["--disk", "fast", "readonly"]),
    ("run halt.elf --disk disk.raw,", USAGE, ["--disk"]),
    ("run halt.elf --disk disk.raw,readonly,snapshot", USAGE, ["--disk", "exclude"]),
    ("run halt.elf --disk nothing", FAILED, ["nothing"]),
    ("run halt.elf --disk directory", FAILED, ["directory"]),
    ("run halt.elf --disk empty", FAILED, ["empty"]),
    ("run halt.elf --disk disk.raw --disk disk.raw", FAILED, ["disk.raw"]),
    ("run halt.elf --disk disk.raw,bus=sata", USAGE, ["--disk", "bus=sata", "nvme"]),
    ("run halt.elf --disk disk.raw,format=vmdk", USAGE, ["--disk", "format=vmdk", "qcow2"]),
    ("run halt.elf --disk disk.raw,format=qcow2", FAILED, ["disk.raw", "not a qcow2 image"]),
    ("run halt.elf --machine pc --disk disk.raw,bus=ahci", USAGE, ["bus=ahci", "q35"]),
    ("run halt.elf --disk disk.raw,bus=ide --disk odd.raw,bus=ahci", USAGE, ["ide", "ahci"]),
    ("run halt.elf --cdrom", USAGE, ["--cdrom", "missing"]),
    ("run halt.elf --cdrom=", USAGE, ["--cdrom", "empty"]),
    ("run halt.elf --cdrom nothing", FAILED, ["nothing"]),
    ("run halt.elf" + " --cdrom none" * 7, FAILED, ["--cdrom", "no place"]),
    ("run halt.elf --cdrom none,bus=ide", USAGE, ["--cdrom", "bus=ide", "buslogic"]),
    ("run halt.elf" + " --cdrom none,bus=scsi" * 9, FAILED, ["--cdrom", "no place"]),
    ("run halt.elf --floppy none,bus=scsi", USAGE, ["--floppy", "bus=scsi", "snapshot"]),
    ("run halt.elf --floppy odd.raw", FAILED, ["odd.raw", "1440"]),
    ("run halt.elf" + " --floppy none" * 3, FAILED, ["--floppy"]),
    # images
    ("image", USAGE, ["image", "--help"]),
    ("image fly", USAGE, ["fly", "--help"]),
    ("image create", USAGE, ["image create", "a file"]),
    ("image create new", USAGE, ["size"]),
    ("image create new 1X", USAGE, ["1X"]),
    ("image create disk.raw 1M", FAILED, ["disk.raw", "--force"]),
    ("image create -b disk.raw new", USAGE, ["--backing", "-F"]),
    ("image create --cluster-size 3K new 1M", USAGE, ["--cluster-size", "3K"]),
    ("image create --version 2 --lazy-refcounts new 1M", USAGE, ["--lazy-refcounts", "version 3"]),
    ("image info", USAGE, ["image info", "a file"]),
    ("image info nothing", FAILED, ["nothing"]),
    ("image convert disk.raw", USAGE, ["image convert", "new one"]),
    ("image resize disk.raw", USAGE, ["image resize", "a size"]),
    ("image resize disk.raw 512K", FAILED, ["disk.raw", "--shrink"]),
    ("image check disk.raw", FAILED, ["disk.raw", "not a qcow2 image"]),
    ("image check -r some disk.raw", USAGE, ["--repair", "some"]),
    ("image rebase disk.raw", USAGE, ["image rebase", "-b"]),
    ("image commit disk.raw", FAILED, ["disk.raw", "not a qcow2 image"]),
    ("image snapshot keep disk.raw x", USAGE, ["image snapshot", "create"]),
    # running machines
    ("type", USAGE, ["type"]),
    ("key nobody", USAGE, ["key", "nothing"]),
    ("click nobody 1", USAGE, ["click", "place"]),
    ("click nobody 1 x", USAGE, ["click", "x"]),
    ("click nobody 1 2 --button thumb", USAGE, ["--button", "thumb", "left"]),
    ("screenshot nobody", USAGE, ["--output"]),
    ("screenshot nobody --output=", USAGE, ["--output", "empty"]),
    ("insert nobody", USAGE, ["insert", "no image"]),
    ("insert nobody nothing", FAILED, ["nothing"]),
    ("eject", USAGE, ["--control"]),
    ("eject nobody disk.raw", USAGE, ["eject", "disk.raw"]),
    ("eject --control nothing", FAILED, ["nothing"]),
    # screen
    ("run halt.elf --vga best", USAGE, ["--vga", "best", "std", "virtio", "vmware"]),
    ("run halt.elf --display sdl", USAGE, ["--display", "sdl", "vnc"]),
    ("run halt.elf --display vnc=x", USAGE, ["--display", "'x'", "ADDRESS:PORT"]),
    ("run halt.elf --display vnc=unix:", USAGE, ["--display", "path"]),
    ("run halt.elf --display vnc=unix:v,password-file=", USAGE, ["--display", "password"]),
    ("run halt.elf --display vnc=unix:v,password-file=nothing", FAILED, ["--display", "nothing"]),
    ("run halt.elf --display vnc=unix:v --vga none", USAGE, ["--display", "--vga none"]),
    ("run halt.elf --usb mouse", USAGE, ["--usb", "mouse", "tablet"]),
    ("run halt.elf --sound gus", USAGE, ["--sound", "gus", "sb16"]),
    ("run halt.elf --sound sb16,wav=", USAGE, ["--sound", "wav=FILE"]),
    ("run halt.elf --sound sb16,wav=/nonexistent/x", FAILED, ["--sound", "/nonexistent/x"]),
    # network
    ("run halt.elf --net", USAGE, ["--net", "missing"]),
    ("run halt.elf --net tip", USAGE, ["--net", "tip"]),
    ("run halt.elf --net none --net user", USAGE, ["--net", "none"]),
    ("run halt.elf --net none -p 8080:80", USAGE, ["-p", "--net user"]),
    ("run halt.elf --net tap,ifname=lo", FAILED, ["--net tap", "tap"]),
    ("run halt.elf --net user,hostfwd=x", USAGE, ["--net", "x"]),
    ("run halt.elf --net user,hostfwd=tcp::99999-:22", USAGE, ["99999"]),
    ("run halt.elf --net user,speed=1", USAGE, ["speed"]),
    ("run halt.elf -p 80", USAGE, ["80"]),
    # serial, console and the rest
    ("run halt.elf --serial", USAGE, ["--serial", "missing"]),
    ("run halt.elf --serial tcp:1", USAGE, ["--serial", "tcp:1", "stdio"]),
    ("run halt.elf --serial file:", USAGE, ["--serial", "path"]),
    ("run halt.elf --serial file:/nonexistent/x", FAILED, ["--serial", "/nonexistent/x"]),
    ("run halt.elf --serial file:directory", FAILED, ["--serial", "directory"]),
    ("run halt.elf --serial unix:/nonexistent/x", FAILED, ["--serial", "/nonexistent/x"]),
    ("run halt.elf --serial unix:" + "x" * 200, FAILED, ["--serial", "too long"]),
    ("run halt.elf --serial stdio --console stdio", USAGE, ["--console", "stdio"]),
    ("run halt.elf --console what", USAGE, ["--console", "what"]),
    ("run halt.elf --parallel stdio", USAGE, ["--parallel", "terminal", "socket"]),
    ("run halt.elf --parallel socket", USAGE, ["--parallel", "--name"]),
    ("run halt.elf --parallel file:/nonexistent/x", FAILED, ["--parallel", "/nonexistent/x"]),
    ("run halt.elf --tpm=", USAGE, ["--tpm", "empty"]),
    ("run halt.elf --tpm a --tpm b", USAGE, ["--tpm", "twice"]),
    ("run halt.elf --tpm a,b", USAGE, ["--tpm", "comma"]),
    ("run halt.elf --tpm /nonexistent/x", FAILED, ["--tpm", "/nonexistent/x"]),
    ("run halt.elf --tpm unix:nothing", FAILED, ["--tpm", "nothing", "nobody"]),
    ("run halt.elf --slots 5", USAGE, ["--slots", "5", "4"]),
    ("run halt.elf --slots 0", USAGE, ["--slots"]),
    ("run halt.elf --machine pc --slots 1", USAGE, ["--slots", "q35"]),
    ("run halt.elf --watchdog bark", USAGE, ["--watchdog", "bark", "poweroff"]),
    ("run halt.elf --name -x", USAGE, ["--name"]),
    ("run halt.elf --name a/b", USAGE, ["--name", "a/b"]),
    ("run halt.elf --timeout 5", USAGE, ["--timeout", "unit"]),
    ("run halt.elf --timeout 0s", USAGE, ["--timeout"]),
    ("run halt.elf --timeout soon", USAGE, ["--timeout", "soon"]),
    ("run halt.elf --timeout 1d", USAGE, ["--timeout", "1d"]),
    ("run halt.elf --stats=yes", USAGE, ["--stats", "yes"]),
    ("run halt.elf --trace", USAGE, ["--trace", "missing"]),
    ("run halt.elf --trace=", USAGE, ["--trace", "''", "exceptions"]),
    ("run halt.elf --trace sports", USAGE, ["--trace", "sports", "exceptions", "mmio", "all"]),
    ("run halt.elf --trace pio,sports:out", USAGE, ["--trace", "sports", "exceptions"]),
    ("run halt.elf --trace pio,", USAGE, ["--trace", "''"]),
    ("run halt.elf --trace pio:", USAGE, ["--trace", "path"]),
    ("run halt.elf --trace :out", USAGE, ["--trace", "''"]),
    ("run halt.elf --trace pio --trace mmio", USAGE, ["--trace", "twice"]),
    ("run halt.elf --trace pio:directory", FAILED, ["--trace", "directory"]),
    ("run halt.elf --trace pio:/nonexistent/x", FAILED, ["--trace", "/nonexistent/x"]),
]


class Checks:
    def __init__(self):
        self.files = Files()
        self.bad = 0

    def doppel(self, words, timeout=20, **kw):
        return subprocess.run([DOPPEL, *words], cwd=self.files.dir, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, **kw)

    def run(self, name, function):
        try:
            function()
            print(f"ok - {name}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            self.bad += 1
            print(f"not ok - {name}\n    {error}", flush=True)

    def wrong(self, line, status, words):
        done = self.doppel(line.split())
        text = done.stderr
        assert done.returncode == status, f"status {done.returncode}, not {status}: {text}"
        assert text.startswith("doppel: ") and text.count("\n") == 1, f"not one line: {text!r}"
        assert text.endswith("\n") and not done.stdout, f"output: {done.stdout!r}"
        for word in words:
            assert word in text, f"'{word}' is missing in: {text}"

    # --- what is right -------------------------------------------------------------------------

    def helps(self):
        for words in (["--help"], ["-h"], ["help"], ["help", "run"], ["run", "--help"],
                      ["run", "-h"], ["doctor", "--help"], ["version", "--help"]):
            done = self.doppel(words)
            assert done.returncode == 0 and "Usage: doppel" in done.stdout, words
            assert not done.stderr, done.stderr
        text = self.doppel(["run", "--help"]).stdout
        for option in ("--accel", "--cpu ", "--memory", "--cpus", "--kernel", "--initrd", "--append",
                       "--disk", "--cdrom", "--floppy", "--net", "--serial", "--parallel", "--vga",
                       "--usb", "--sound", "--tpm", "--watchdog", "--slots", "--name", "--no-reboot",
                       "--timeout", "--debug-exit", "--stats", "--trace"):
            assert option in text, option

    def version(self):
        for word in ("version", "--version"):
            done = self.doppel([word])
            assert done.returncode == 0 and done.stdout.startswith("doppel "), done

    def doctor(self):
        done = self.doppel(["doctor"])
        assert "kvm" in done.stdout and "auto" in done.stdout, done.stdout
        done = self.doppel(["doctor", "--format", "json"])
        facts = {fact["name"]: fact for fact in json.loads(done.stdout)}
        assert "kvm" in facts and "auto" in facts, facts
        assert done.returncode == (1 if facts["auto"]["status"] == "bad" else 0)

    def ends(self, words, status, extra=""):
        done = self.doppel(["run", "-m", "16M", "--net", "none", "--timeout", "15s", *words])
        assert done.returncode == status, f"status {done.returncode}: {done.stderr}"
        assert extra in done.stderr, done.stderr
        return done

    def power_off(self):
        self.ends(["off.elf"], 0)

    def debug_exit(self):
        self.ends(["exit.elf", "--debug-exit"], 7)

    def little_address_space(self):
        """Less than direct access reserves: the machine runs without it."""
        limit = 6 << 30
        words = ["run", "-m", "16M", "--net", "none", "--accel", "bt", "off.elf"]
        done = self.doppel(words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                                        (limit, limit)))
        assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"

    def triple_fault(self):
        self.ends(["triple.elf", "--no-reboot"], 0)
        self.ends(["triple.elf", "--timeout", "0.5s"], 1, "--timeout")

    def timeout(self):
        began = time.monotonic()
        self.ends(["halt.elf", "--timeout", "300ms"], 1, "--timeout")
        assert 0.25 < time.monotonic() - began < 10

    def output(self):
        assert self.ends(["hello.elf"], 0).stdout == "A"
        self.ends(["hello.elf", "--serial", "file:out"], 0)
        with open(os.path.join(self.files.dir, "out")) as f:
            assert f.read() == "A"

    def closed_files(self):
        """Descriptors that the caller closed do no harm."""
        for fd in (0, 1, 2):
            done = subprocess.run([DOPPEL, "run", "-m", "16M", "--net", "none", "off.elf"],
                                  cwd=self.files.dir, timeout=20, preexec_fn=lambda: os.close(fd))
            assert done.returncode == 0, f"without {fd}: status {done.returncode}"

    def unreadable(self):
        if os.geteuid() == 0:
            return  # root reads everything
        self.wrong("run --kernel secret", FAILED, ["secret", "Permission denied"])

    def port_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            self.wrong(f"run halt.elf -p 127.0.0.1:{port}:22", FAILED, [str(port)])

    # --- statistics ----------------------------------------------------------------------------

    def counters(self, text):
        """The report as {group: {name: value}}; times are in seconds."""
        groups, group = {}, None
        for line in text.splitlines():
            match = re.match(r"  (\S.*?) +([\d.,]+)(?: (?:s +[\d.]+ %|MB))?\r?$", line)
            if match:
                group[match.group(1)] = float(match.group(2).replace(",", ""))
            elif re.match(r"[a-z][A-Za-z, -]*\r?$", line):
                group = groups.setdefault(line.strip(), {})
            else:
                assert not groups, f"not a line of a report: {line!r}"
        assert 0 < groups["time"]["elapsed"] < 60, text
        return groups

    def stats(self):
        assert "elapsed" not in self.ends(["hello.elf"], 0).stderr
        seen = self.counters(self.ends(["hello.elf", "--stats"], 0).stderr)
        assert seen["translation"]["blocks"] >= 1 and seen["translation"]["instructions"] >= 6, seen
        assert seen["events"]["port accesses"] == 2 and seen["events"]["exceptions"] == 0, seen
        assert seen["ports"] == {"0x3f8 serial": 1, "0x604 acpi-pm": 1}, seen
        assert "memory-mapped registers" not in seen, seen
        seen = self.counters(self.ends(["triple.elf", "--no-reboot", "--stats"], 0).stderr)
        assert seen["exceptions"] == {"#DF double fault": 1, "#GP general protection": 1}, seen
        assert seen["exits to the run loop"] == {"shutdown": 1}, seen

    def stats_while_running(self):
        """On SIGUSR1, with --stats and without, and more than once."""
        for options in (["--stats"], []):
            process = subprocess.Popen([DOPPEL, "run", "-m", "16M", "--net", "none", "halt.elf",
                                        *options], cwd=self.files.dir, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                for _ in range(3):
                    time.sleep(0.3)
                    process.send_signal(signal.SIGUSR1)
                    text = self.read(process.stderr.fileno(), b"modes")
                    while select.select([process.stderr], [], [], 0.2)[0]:
                        text += os.read(process.stderr.fileno(), 4096)
                    seen = self.counters(text.decode())
                    assert seen["time"]["halts"] == 0, seen
                    assert seen["time"]["virtual CPUs are halted"] > 0.1, seen
                process.terminate()
                rest = process.stderr.read().decode()
                assert ("elapsed" in rest) == bool(options), rest
                assert process.wait(10) == FAILED, process.returncode
            finally:
                process.kill()
                process.wait()
                process.stderr.close()

    def stats_on_terminal(self):
        def act(process, master):
            process.send_signal(signal.SIGUSR1)
            text = self.read(master, b"cache in use")
            assert text.count(b"\n") == text.count(b"\r\n") > 10, text
            os.write(master, b"\x01x")
        self.on_terminal(act, 0)

    def traced(self, text):
        """Lines of a trace as (category, TSC, RIP, CR3, text)."""
        lines = []
        for line in text.splitlines():
            match = re.fullmatch(r"(\w+) +0 (\d+) ([0-9a-f]{16}) ([0-9a-f]{12}) (.+)", line)
            assert match, f"not a line of a trace: {line!r}"
            lines.append((match.group(1), int(match.group(2)), int(match.group(3), 16),
                          int(match.group(4), 16), match.group(5)))
        assert [line[1] for line in lines] == sorted(line[1] for line in lines), text
        return lines

    def trace(self):
        path = os.path.join(self.files.dir, "trace")
        self.ends(["hello.elf", "--trace", "pio:trace"], 0)
        with open(path) as f:
            lines = self.traced(f.read())
        assert [(kind, rip, text) for kind, _, rip, _, text in lines] == [
            ("pio", 0x100006, "out 0x3f8, 1 bytes: 0x41"),
            ("pio", 0x10000f, "out 0x604, 2 bytes: 0x3400")], lines
        lines = self.traced(self.ends(["triple.elf", "--no-reboot", "--trace",
                                       "exceptions,interrupts"], 0).stderr)
        assert [(kind, text) for kind, _, _, _, text in lines] == [
            ("interrupts", "INT 0x3"), ("exceptions", "#GP general protection, error 0x1a"),
            ("exceptions", "#DF double fault, error 0")], lines
        kinds = {line[0] for line in self.traced(self.ends(["hello.elf", "--trace", "all"],
                                                           0).stderr)}
        assert kinds >= {"pio", "translate"}, kinds
        self.ends(["hello.elf", "--trace", "mmio:trace"], 0)
        assert os.stat(path).st_size == 0, "the file was not emptied"
        assert self.doppel(["run", "-m", "16M", "--net", "none", "--trace", "pio:/dev/full",
                            "off.elf"]).returncode == 0

    # --- terminals -----------------------------------------------------------------------------

    def start(self, *words):
        """A machine on a terminal of its own: process, master side, modes before."""
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)

        def session():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        process = subprocess.Popen([DOPPEL, "run", "-m", "16M", "--net", "none", *words],
                                   cwd=self.files.dir, stdin=slave, stdout=slave, stderr=slave,
                                   preexec_fn=session)
        return process, master, slave, before

    @staticmethod
    def read(master, word, timeout=10):
        text, deadline = b"", time.monotonic() + timeout
        while word not in text and time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                text += os.read(master, 4096)
        assert word in text, f"{word} is not in {text}"
        return text

    def on_terminal(self, act, status):
        process, master, slave, before = self.start("halt.elf")
        try:
            self.read(master, b"Ctrl-A h")
            deadline = time.monotonic() + 5
            while termios.tcgetattr(slave) == before and time.monotonic() < deadline:
                time.sleep(0.01)
            assert termios.tcgetattr(slave) != before, "the terminal is not in raw mode"
            act(process, master)
            assert process.wait(10) == status, f"status {process.returncode}"
            assert termios.tcgetattr(slave) == before, "the terminal was not put back"
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)

    def escape_quits(self):
        self.on_terminal(lambda p, m: os.write(m, b"\x01x"), 0)

    def escape_help(self):
        def act(process, master):
            os.write(master, b"\x01h")
            self.read(master, b"power button")
            os.write(master, b"\x01r")  # a reset leaves the machine running
            time.sleep(0.3)
            assert process.poll() is None
            os.write(master, b"\x01x")
        self.on_terminal(act, 0)

    def interrupt_key_is_the_guests(self):
        def act(process, master):
            os.write(master, b"\x03\x1a\x1c")
            time.sleep(0.3)
            assert process.poll() is None, "Ctrl-C ended it"
            os.write(master, b"\x01x")
        self.on_terminal(act, 0)

    def signals(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.on_terminal(lambda p, m, sig=sig: p.send_signal(sig), FAILED)

    def crash(self):
        for sig in (signal.SIGABRT, signal.SIGSEGV):
            self.on_terminal(lambda p, m, sig=sig: p.send_signal(sig), -sig)

    def pty_back_end(self):
        process, master, slave, _ = self.start("halt.elf", "--serial", "pty")
        try:
            text = self.read(master, b"/dev/pts/")
            assert b"serial port" in text, text
        finally:
            process.terminate()
            process.wait(10)
            os.close(master)
            os.close(slave)


def main():
    if not os.access(DOPPEL, os.X_OK):
        print(f"skip - all: {DOPPEL} is not there")
        sys.exit(77)
    c = Checks()
    try:
        for line, status, words in WRONG:
            c.run(f"refuses: {line[:60]}", lambda a=(line, status, words): c.wrong(*a))
        for name in ("helps", "version", "doctor", "power_off", "debug_exit", "little_address_space",
                     "triple_fault",
                     "timeout", "output", "closed_files", "unreadable", "port_taken", "stats",
                     "stats_while_running", "stats_on_terminal", "trace", "escape_quits",
                     "escape_help", "interrupt_key_is_the_guests", "signals", "crash",
                     "pty_back_end"):
            c.run(name.replace("_", " "), getattr(c, name))
    finally:
        shutil.rmtree(c.files.dir, ignore_errors=True)
    sys.exit(1 if c.bad else 0)


if __name__ == "__main__":
    main()
