# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's generic kernel with the drivers of a desktop, out of Debian's graphical installer (package
debian-installer-12-netboot-amd64): its programs and some of its modules as a small RAM disk, and
checks of a machine with a shell of them.
"""

import base64
import gzip
import os
import posixpath
import re
import struct
import threading
import time

import background
import overlay
import vm

PACKAGE = "debian-installer-12-netboot-amd64"
FOLDER = "/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64"
KERNEL = os.path.join(FOLDER, "linux")
EVENT = struct.Struct("<qqHHi")  # struct input_event
PROGRAMS = ("bin/", "sbin/", "usr/bin/", "usr/sbin/", "lib/")
FOLDERS = (".", "bin", "dev", "lib", "lib64", "lib64/ld-linux-x86-64.so.2", "proc", "sbin", "sys", "tmp", "usr",
           "usr/bin", "usr/sbin")


def entries(archive):
    """(name, the entry's bytes, its contents) for each file of a cpio archive of the new format."""
    at = 0
    while True:
        assert archive[at:at + 6] == b"070701", archive[at:at + 6]
        size, length = int(archive[at + 54:at + 62], 16), int(archive[at + 94:at + 102], 16)
        data = at + (110 + length + 3) // 4 * 4
        end = data + (size + 3) // 4 * 4
        name = archive[at + 110:at + 109 + length].decode()
        if name == "TRAILER!!!":
            return
        yield name, archive[at:end], archive[data:data + size]
        at = end


def _with_dependencies(files, modules):
    """Names of the modules and of what they need, as the modules themselves say."""
    data = {posixpath.basename(name)[:-3].replace("-", "_"): data
            for name, _, data in files if name.endswith(".ko")}
    todo, found = list(modules), set()
    while todo:
        module = todo.pop()
        if module in data and module not in found:
            found.add(module)
            todo += overlay.needs_of(data[module])
    return found


def make_initrd(path, modules):
    """Writes a RAM disk with busybox and these modules, for rdinit=/bin/sh; `depmod` comes first."""
    with gzip.open(os.path.join(FOLDER, "initrd.gz")) as f:
        files = list(entries(f.read()))
    wanted = _with_dependencies(files, modules)
    with open(path, "wb") as out:
        for name, raw, _ in files:
            inside = name.removeprefix("./")
            if inside.endswith(".ko"):
                keep = posixpath.basename(inside)[:-3].replace("-", "_") in wanted
            elif inside.startswith("lib/modules"):
                keep = "firmware" not in inside
            else:
                keep = inside.startswith(PROGRAMS) or inside in FOLDERS
            if keep:
                out.write(raw)
        out.write(overlay.archive({}))


def keys_of(events):
    """(key, value) of those that are of keys or buttons."""
    return [event[1:] for event in events if event[0] == 1]


class Shell(background.NamedMachine):
    """Checks of a machine with a shell of that RAM disk on its serial port, and a VNC server."""

    def boot(self, modules, append="console=ttyS0 quiet", extra=()):
        make_initrd(self.path("initrd"), modules)
        self.vm = vm.Vm(memory="512M", kernel=KERNEL, initrd=self.path("initrd"),
                        append=append + " rdinit=/bin/sh", env=self.env,
                        extra=["--name", self.name, "--display", "vnc=unix:" + self.path("vnc"),
                               *extra])
        self.vm.expect(r"# ", 120)
        self.vm.send("PS1=; PS2=\n")
        self.sh("mount -t proc proc /proc; mount -t sysfs sysfs /sys; "
                "mount -t devtmpfs dev /dev; depmod; stty -echo")
        for name in modules:
            self.sh(f"modprobe {name}", 60)

    def until(self, words, command):
        """Waits until `words` are in what a command prints."""
        assert vm.until(lambda: words in self.sh(command), 30, 0.5), self.sh("dmesg | tail -30")

    def device(self, word):
        """The event file of the input device with `word` in its name."""
        for block in self.sh("cat /proc/bus/input/devices").split("\n\n"):
            if word in block:
                return "/dev/input/" + re.search(r"event\d+", block).group()
        raise AssertionError(f"no device {word}")

    def events(self, word, act, count):
        """What `act` makes of a device: the first `count` events, as (type, code, value)."""
        path, out = self.device(word), []
        reader = threading.Thread(target=lambda: out.append(self.sh(
            f"dd if={path} bs=24 count={count} 2>/dev/null | base64", 30)))
        reader.start()
        time.sleep(1)
        act()
        reader.join()
        raw = base64.b64decode(out[0]) if out else b""
        return [EVENT.unpack_from(raw, i)[2:] for i in range(0, len(raw) - 23, 24)]
