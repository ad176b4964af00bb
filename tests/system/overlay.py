# SPDX-License-Identifier: GPL-2.0-or-later
"""
More files for an initial RAM disk: the kernel unpacks every archive of a concatenation, so ours is
simply put behind it.
"""

import glob
import os
import subprocess

import vm


def compile_programs(pattern, directory, flags=()):
    """
    Compiles each C file that matches into a static program of the same name in `directory`.
    Returns their paths. Programs that are newer than their sources stay.
    """
    os.makedirs(directory, exist_ok=True)
    programs = []
    for source in sorted(glob.glob(pattern)):
        program = os.path.join(directory, os.path.basename(source)[:-2])
        programs.append(program)
        inputs = [source] + glob.glob(os.path.join(os.path.dirname(source), "*.h"))
        if os.path.exists(program) and all(
                os.path.getmtime(program) > os.path.getmtime(i) for i in inputs):
            continue
        done = subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", program, source, *flags, "-lm"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise vm.VmError(f"cannot compile {source}:\n{done.stdout}")
    return programs


def _entry(number, name, mode, data):
    """One member in the `newc` format of cpio: a header of hexadecimal fields, name, data."""
    name = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    head = header + name
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def archive(files):
    """A cpio archive of {name: bytes}; all files are executable, the folders are made too."""
    folders = sorted({os.path.dirname(name)[:end] for name in files
                      for end in _ends(os.path.dirname(name))})
    members = [(folder, 0o040755, b"") for folder in folders]
    members += [(name, 0o100755, data) for name, data in sorted(files.items())]
    members.append(("TRAILER!!!", 0, b""))
    out = b"".join(_entry(n + 1, *member) for n, member in enumerate(members))
    return out + b"\0" * (-len(out) % 512)


def _ends(path):
    return [i for i, c in enumerate(path) if c == "/"] + ([len(path)] if path else [])


def test_initrd(directory):
    """An initial RAM disk with the guest programs of the system tests in /opt."""
    sources = os.path.join(vm.TOP, "tests", "system", "programs", "*.c")
    return make_initrd(os.path.join(directory, "initrd"), compile_programs(sources, directory))


def make_initrd(path, programs, base=vm.INITRAMFS, where="opt"):
    """Writes an initial RAM disk with these programs in /opt behind what `base` holds."""
    files = {}
    for program in programs:
        with open(program, "rb") as f:
            files[f"{where}/{os.path.basename(program)}"] = f.read()
    return append_files(path, base, files)


def append_files(path, base, files):
    """Writes to `path` what `base` holds, with these files (as for archive) behind it."""
    with open(base, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data + b"\0" * (-len(data) % 512) + archive(files))
    return path


def needs_of(module):
    """Names of the modules that a kernel module, of these bytes, needs."""
    at = module.index(b"\0depends=") + 9
    names = module[at:module.index(b"\0", at)].decode().split(",")
    return [name.replace("-", "_") for name in names if name]
