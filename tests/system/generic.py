# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's generic kernel with whichever of its drivers a test needs, beyond those of the guest
`generic`: put into a second archive behind its RAM disk, with files of the test's own.
"""

import os
import posixpath

import vm

FOLDER = os.path.join(vm.GUESTS, "generic")
KERNEL = os.path.join(FOLDER, "vmlinuz")


def _modules():
    """The paths of all modules by name."""
    found = {}
    for folder, _, files in os.walk(os.path.join(FOLDER, "modules")):
        for name in files:
            if name.endswith(".ko"):
                found[name[:-3].replace("-", "_")] = os.path.join(folder, name)
    return found


def _in_order(modules):
    """(name, contents) of modules and what they need, each behind what it needs."""
    paths, done = _modules(), {}

    def add(name):
        if name in done or name not in paths:
            return
        with open(paths[name], "rb") as f:
            data = f.read()
        at = data.index(b"\0depends=") + 9
        for need in data[at:data.index(b"\0", at)].decode().split(","):
            add(need.replace("-", "_"))
        done[name] = data

    for name in modules:
        assert name in paths, f"no module {name}"
        add(name)
    return list(done.items())


def _entry(name, mode, data=b""):
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    raw = b"070701" + b"".join(b"%08x" % v for v in fields) + name.encode() + b"\0"
    raw = raw.ljust((len(raw) + 3) // 4 * 4, b"\0") + data
    return raw.ljust((len(raw) + 3) // 4 * 4, b"\0")


def make_initrd(path, modules, programs=()):
    """Writes the RAM disk; /more/load loads the modules, /more has the programs (host's paths)."""
    with open(os.path.join(FOLDER, "initramfs.cpio"), "rb") as f:
        first = f.read()
    load = "cd /more\n"
    with open(path, "wb") as out:
        out.write(first.ljust((len(first) + 511) // 512 * 512, b"\0"))
        out.write(_entry("more", 0o40755))
        for name, data in _in_order(modules):
            out.write(_entry(f"more/{name}.ko", 0o100644, data))
            load += f"grep -q '^{name} ' /proc/modules || insmod {name}.ko || exit 1\n"
        for program in programs:
            with open(program, "rb") as f:
                out.write(_entry("more/" + posixpath.basename(program), 0o100755, f.read()))
        out.write(_entry("more/load", 0o100755, ("#!/bin/sh\n" + load).encode()))
        out.write(_entry("TRAILER!!!", 0))
