# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's generic kernel with the drivers of a desktop, out of Debian's graphical installer (package
debian-installer-12-netboot-amd64): its programs and some of its modules as a small RAM disk.
"""

import gzip
import os
import posixpath

FOLDER = "/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64"
KERNEL = os.path.join(FOLDER, "linux")
PROGRAMS = ("bin/", "sbin/", "usr/bin/", "usr/sbin/", "lib/")
FOLDERS = (".", "bin", "dev", "lib", "lib64", "lib64/ld-linux-x86-64.so.2", "proc", "sbin", "sys", "tmp", "usr",
           "usr/bin", "usr/sbin")


def _entries(archive):
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
            at = data[module].index(b"\0depends=") + 9
            needs = data[module][at:data[module].index(b"\0", at)].decode()
            todo += [n.replace("-", "_") for n in needs.split(",") if n]
    return found


def _entry(name, mode):
    """An entry without contents."""
    fields = [0, mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(name) + 1, 0]
    raw = b"070701" + b"".join(b"%08x" % v for v in fields) + name.encode() + b"\0"
    return raw.ljust((len(raw) + 3) // 4 * 4, b"\0")


def make_initrd(path, modules):
    """Writes a RAM disk with busybox and these modules, for rdinit=/bin/sh; `depmod` comes first."""
    with gzip.open(os.path.join(FOLDER, "initrd.gz")) as f:
        files = list(_entries(f.read()))
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
        out.write(_entry("TRAILER!!!", 0))
