# SPDX-License-Identifier: GPL-2.0-or-later
"""
A virtual machine in a process of its own, as the system tests and the bench use it: start it, talk
with it over its serial line, see how it ends.

The monitor is ours, or Debian's qemu-system-x86 with its TCG emulator given the equivalent options:
that is what the bench compares with, and how a test itself is tested.
"""

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUESTS = os.environ.get("DOPPEL_GUESTS", os.path.join(TOP, "build", "guests"))
KERNEL = os.path.join(GUESTS, "kernel", "vmlinuz")
INITRAMFS = os.path.join(GUESTS, "initramfs.cpio")
DEBIAN_DISK = os.environ.get("DOPPEL_DEBIAN_DISK", os.path.join(GUESTS, "debian", "disk.raw"))
TREE = os.path.join(GUESTS, "tree")
DEBIAN_INITRD = os.path.join(GUESTS, "debian", "initrd.img")

# All times that a machine is waited for are longer by this, where the host is slow.
PATIENCE = float(os.environ.get("DOPPEL_PATIENCE", "1"))

# Where the host is, seen from a guest behind the user-mode NAT.
HOST_ADDRESS = "10.0.2.2"


class VmError(Exception):
    """The machine did not do what the caller waited for; the text ends with what it last said."""


def doppel_binary():
    return os.environ.get("DOPPEL", os.path.join(TOP, "build", "doppel"))


def doppel(*words, timeout=120, stdin=subprocess.DEVNULL, env=None):
    """Runs a command: (exit status, what it printed)."""
    done = subprocess.run([doppel_binary(), *words], stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout * PATIENCE, env=env)
    return done.returncode, done.stdout


def work_dir(prefix="doppel-"):
    """A temporary directory on a real disk: /tmp may be small and in memory."""
    return tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("TMPDIR", "/var/tmp"))


def build_guests(*targets):
    """Makes sure that guests exist. Raises VmError with the builder's last words."""
    if os.environ.get("DOPPEL_GUESTS_BUILT"):  # by somebody else, for us
        return
    done = subprocess.run([os.path.join(TOP, "scripts", "guests", "build"), *targets],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise VmError("guests: " + (done.stdout.strip().splitlines() or ["?"])[-1])


def copy_disk(source, directory, name="disk.raw"):
    """A private copy that stays sparse, and costs nothing where the file system can share blocks."""
    target = os.path.join(directory, name)
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
    return target


def boot_disk(path, code, rest=b"", size=1 << 20):
    """A disk whose first sector is this code, for a BIOS to boot, with `rest` behind it; its path."""
    with open(path, "wb") as f:
        f.write(code.ljust(510, b"\0") + b"\x55\xaa" + rest)
        f.truncate(size)
    return path


def until(good, limit=30, pause=0.1):
    """Asks until the answer is true, or for so many seconds: the last answer."""
    end = time.monotonic() + limit * PATIENCE
    while not (answer := good()) and time.monotonic() < end:
        time.sleep(pause)
    return answer


def _end_with_parent():
    """In the child: no machine is left behind by a test that was killed."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Vm:
    """
    One machine. Options: memory ("1G"), cpus (1, or $DOPPEL_CPUS), kernel, initrd, append, disks (a
    list of paths, each with ",readonly" or ",snapshot" behind it if wanted), net (False, True, what
    follows "user,", or a list of values of --net), no_reboot, debug_exit, extra (further words for
    the monitor), wrapper (words before the monitor's), log (a file that gets all serial output).
    $DOPPEL_TCG is QEMU's emulator with its options ("tcg").
    """

    def __init__(self, monitor=None, *, memory="1G", cpus=None, kernel=KERNEL, initrd=INITRAMFS,
                 append="console=ttyS0 quiet", disks=(), net=False, no_reboot=False,
                 debug_exit=False, extra=(), wrapper=(), log=None, env=None):
        self.monitor = monitor or os.environ.get("DOPPEL_MONITOR", "doppel")
        self.cpus = cpus = cpus or int(os.environ.get("DOPPEL_CPUS", "1"))
        self.output = bytearray()      # all that came over the serial line
        self.position = 0              # what of it `expect` has consumed
        self.before = b""              # what came ahead of the last match
        self.arrivals = []             # (length of output after a read, time of the read)
        self.changed = threading.Condition()
        self.ended = False
        if append:
            append = f"{append} {os.environ.get('DOPPEL_APPEND', '')}".rstrip()
        build = {"doppel": self._doppel, "qemu": self._qemu}[self.monitor]
        self.command = list(wrapper) + build(memory, cpus, kernel, initrd, append, disks, net,
                                             no_reboot, debug_exit) + list(extra)
        self.log = open(log, "wb") if log else None
        self.errors = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0,
                                        env=env, preexec_fn=_end_with_parent)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    # --- command lines ---------------------------------------------------------------------

    @staticmethod
    def _doppel(memory, cpus, kernel, initrd, append, disks, net, no_reboot, debug_exit):
        words = [doppel_binary(), "run", "--accel", os.environ.get("DOPPEL_ACCEL", "bt"),
                 "--memory", memory, "--cpus", str(cpus)]
        for option, value in (("--kernel", kernel), ("--initrd", initrd), ("--append", append)):
            if value:
                words += [option, value]
        for disk in disks:
            words += ["--disk", disk]
        nets = net if isinstance(net, list) else \
            ["none" if not net else "user" if net is True else "user," + net]
        for value in nets:
            words += ["--net", value]
        words += ["--no-reboot"] * no_reboot + ["--debug-exit"] * debug_exit
        return words + shlex.split(os.environ.get("DOPPEL_OPTIONS", ""))

    # Without erms and fsrm, because libraries then use `rep movsb`, which TCG does byte by byte.
    @staticmethod
    def _qemu(memory, cpus, kernel, initrd, append, disks, net, no_reboot, debug_exit):
        words = ["qemu-system-x86_64", "-accel", os.environ.get("DOPPEL_TCG", "tcg"),
                 "-machine", "q35", "-cpu", "max,-erms,-fsrm", "-nodefaults",
                 "-no-user-config", "-display", "none", "-serial", "stdio",
                 "-m", memory, "-smp", str(cpus), "-device", "virtio-rng-pci"]
        for option, value in (("-kernel", kernel), ("-initrd", initrd), ("-append", append)):
            if value:
                words += [option, value]
        for number, disk in enumerate(disks):
            path, *flags = disk.split(",")
            drive = f"if=none,id=d{number},format=raw,discard=unmap,file={path}"
            drive += ",readonly=on" * ("readonly" in flags) + ",snapshot=on" * ("snapshot" in flags)
            words += ["-drive", drive, "-device", f"virtio-blk-pci,drive=d{number}"]
        if net:
            words += ["-netdev", "user,id=n0" + ("" if net is True else "," + net),
                      "-device", "virtio-net-pci,netdev=n0,romfile="]
        if debug_exit:
            words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        return words + ["-no-reboot"] * no_reboot

    # --- the serial line -------------------------------------------------------------------

    def _read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            now = time.monotonic()
            with self.changed:
                if data:
                    self.output += data
                    self.arrivals.append((len(self.output), now))
                    if self.log:
                        self.log.write(data)
                        self.log.flush()
                else:
                    self.ended = True
                self.changed.notify_all()
            if not data:
                return

    def tail(self, lines=12):
        """The last lines of the serial output, and of what the monitor reported itself."""
        text = bytes(self.output).decode("utf-8", "replace").splitlines()[-lines:]
        self.errors.seek(0)
        text += self.errors.read().decode("utf-8", "replace").splitlines()[-lines:]
        return "\n".join("    | " + line.rstrip() for line in text)

    def error_output(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def expect(self, pattern, timeout=60):
        """
        Waits until the output since the last match has `pattern` (a regular expression, str or
        bytes). Returns the match; `before` is what came ahead of it, and its end is what `arrival`
        takes.
        """
        expression = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.M)
        timeout *= PATIENCE
        deadline = time.monotonic() + timeout
        searched = self.position
        with self.changed:
            while True:
                # Not all of a long output again and again, but with room for a split match.
                begin = max(self.position, searched - 16384)
                match = expression.search(bytes(self.output[begin:]))
                if match:
                    self.before = bytes(self.output[self.position:begin + match.start()])
                    self.position = begin + match.end()
                    return match
                searched = len(self.output)
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the monitor ended" if self.ended else f"nothing in {timeout} s"
                    raise VmError(f"waiting for {pattern!r}: {why}\n{self.tail()}")
                self.changed.wait(left)

    def arrival(self):
        """When the last byte of the last match arrived, in seconds since the start."""
        for length, when in self.arrivals:
            if length >= self.position:
                return when - self.started
        raise VmError("nothing has arrived yet")

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        try:
            while data:
                data = data[os.write(self.process.stdin.fileno(), data):]
        except BrokenPipeError:
            raise VmError("the monitor ended\n" + self.tail()) from None

    def prompt(self, timeout=120):
        """Waits for the shell of either guest. Returns when it was there."""
        self.expect(r"/ # |:~# ", timeout)
        return self.arrival()

    def run(self, command, timeout=60):
        """
        Runs a command in the shell at the other end: (output, exit status). The markers are quoted
        so that the line's own echo does not match them.
        """
        self.send(f"echo BEG''IN; {command}\necho EN''D $?\n")
        self.expect(rb"BEGIN\r?\n", timeout)
        try:
            match = self.expect(rb"END (\d+)\r?\n", timeout)
        except VmError:
            self.send("\x03")  # so that the next command has a shell to talk to
            raise
        return self._printed(self.before), int(match.group(1))

    @staticmethod
    def _printed(raw):
        """A command's output without escape sequences, prompt and the echo of the marker's line."""
        text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", raw).decode("utf-8", "replace")
        lines = [line.rstrip("\r") for line in text.split("\n")]
        return "\n".join(line for line in lines if "EN''D" not in line).strip()

    # --- its end ---------------------------------------------------------------------------

    def wait(self, timeout=60):
        """The monitor's exit status."""
        timeout *= PATIENCE
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VmError(f"still running after {timeout} s\n{self.tail()}") from None
        self.reader.join(10)
        return status

    def power_off(self, timeout=60):
        """By a command in the guest's shell: the monitor's exit status."""
        self.send("poweroff -f\n")
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.reader.join(10)
        self.process.stdin.close()
        self.process.stdout.close()
        if self.log:
            self.log.close()
            self.log = None

    # --- what it costs ---------------------------------------------------------------------

    def cpu_seconds(self):
        """Host CPU time of all its threads so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def overhead_bytes(self):
        """
        Memory that the process holds beyond the guest's RAM, which is a memfd or what large pages
        were asked for. Shared pages count in proportion.
        """
        total = pss = 0
        memfd = False
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as f:
            for line in f:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    memfd = "/memfd:" in line
                elif line.startswith("Pss:"):
                    pss = int(line.split()[1]) * 1024
                elif line.startswith("VmFlags:") and not memfd and "hg" not in line.split():
                    total += pss
        return total


def have(monitor):
    """Can this monitor be started here? None, or why not."""
    if monitor == "qemu":
        return None if shutil.which("qemu-system-x86_64") else "qemu-system-x86 is not installed"
    path = doppel_binary()
    return None if os.access(path, os.X_OK) else f"{path} is not built"
