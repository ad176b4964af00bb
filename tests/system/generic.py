# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's generic kernel with whichever of its drivers a test needs, beyond those of the guest
`generic`: put into a second archive behind its RAM disk, with files of the test's own. Or likewise
the 32-bit kernel of the guest `i386`.
"""

import os

import overlay
import vm

FOLDER = os.path.join(vm.GUESTS, "generic")
KERNEL = os.path.join(FOLDER, "vmlinuz")
INITRD = os.path.join(FOLDER, "initramfs.cpio")


KERNELS = {"generic": KERNEL, "i386": os.path.join(vm.GUESTS, "i386", "vmlinuz-686-pae")}


def machine(**options):
    """One of that kernel, with options of vm.Vm."""
    return vm.Vm("doppel", **{"kernel": KERNEL, "initrd": INITRD, **options})


def boot(t, modules, programs=(), guest="generic", **options):
    """
    The same, or that of another guest, with more in its RAM disk, as the machine of the checks `t`:
    to its shell. A module's name may have parameters behind it.
    """
    make_initrd(t.path("initrd"), modules, programs, guest)
    t.vm = machine(kernel=KERNELS[guest], initrd=t.path("initrd"), **options)
    t.vm.prompt(300)


def _modules(guest):
    """The paths of all modules of a guest by name."""
    found = {}
    for folder, _, files in os.walk(os.path.join(vm.GUESTS, guest, "modules")):
        for name in files:
            if name.endswith(".ko"):
                found[name[:-3].replace("-", "_")] = os.path.join(folder, name)
    return found


def _in_order(modules, guest):
    """(name, contents) of modules and what they need, each behind what it needs."""
    paths, done = _modules(guest), {}

    def add(name):
        if name in done or name not in paths:
            return
        with open(paths[name], "rb") as f:
            data = f.read()
        for need in overlay.needs_of(data):
            add(need)
        done[name] = data

    for name in modules:
        assert name in paths, f"no module {name}"
        add(name)
    return list(done.items())


def make_initrd(path, modules, programs=(), guest="generic"):
    """Writes the RAM disk; /more/load loads the modules, /more has the programs (host's paths)."""
    files, load = {}, "#!/bin/sh\ncd /more\n"
    words = {name: parameters for name, _, parameters in (m.partition(" ") for m in modules)}
    for name, data in _in_order(words, guest):
        files[f"more/{name}.ko"] = data
        load += (f"grep -q '^{name} ' /proc/modules || "
                 f"insmod {name}.ko {words.get(name, '')} || exit 1\n")
    for program in programs:
        with open(program, "rb") as f:
            files["more/" + os.path.basename(program)] = f.read()
    files["more/load"] = load.encode()
    overlay.append_files(path, os.path.join(vm.GUESTS, guest, "initramfs.cpio"), files)
