#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Firmware: SeaBIOS boots disks on both boards, runs option ROMs, has a menu; UEFI's variables."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile

import vm

DOPPEL = vm.doppel_binary()
BIOS = "/usr/share/seabios/bios-256k.bin"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"

# A boot sector: reads the second sector by INT 13h, sends its text to COM1, and powers off.
SECTOR = bytes.fromhex(
    "31c08ed88ec0"  # xor ax, ax; mov ds, ax; mov es, ax
    "b80102bb007eb90200b600cd13"  # ax = 0201, bx = 7e00, cx = 2, dh = 0; int 13h
    "7215be007e"  # jc to the end; mov si, 7e00
    "ac84c07406baf803eeebf5"  # each byte up to a 0: out 3f8
    "ba0406b80034ef"  # out 604, 3400: S5
    "f4ebfd"  # hlt for good
)


def disk(path, text):
    """A disk that says `text` when it is booted."""
    sector = SECTOR.ljust(510, b"\0") + b"\x55\xaa"
    with open(path, "wb") as f:
        f.write((sector + text.encode() + b"\0").ljust(1 << 20, b"\0"))
    return path


def option_rom(path, text):
    """An option ROM whose entry sends `text` to COM1."""
    code = b"\xba\xf8\x03" + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text.encode())
    rom = bytearray((b"\x55\xaa\x01" + code + b"\xcb").ljust(512, b"\0"))
    rom[511] = -sum(rom) & 0xff
    with open(path, "wb") as f:
        f.write(rom)
    return path


def run(*args, limit="60s"):
    """Status, the serial port's output, and what the command said."""
    done = subprocess.run([DOPPEL, "run", "--net", "none", "-m", "128M", "--timeout", limit, *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode()


class Tests:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="doppel-firmware-")
        self.bad = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def check(self, name, good, detail=""):
        self.bad += not good
        print(("ok - " if good else "not ok - ") + name, flush=True)
        if not good:
            print(detail[-2000:], flush=True)

    def boots(self, name, *args, expect="second sector"):
        status, out, err = run(*args)
        self.check(name, status == 0 and expect in out, f"status {status}\n{out}\n{err}")
        return out

    def bios(self):
        image = disk(self.path("disk"), "second sector")
        other = disk(self.path("other"), "another disk")
        self.boots("an image that is a disk boots", image)
        self.boots("a Q35 board boots", "--firmware", "bios", "--machine", "q35", "--disk", image)
        self.boots("an image file as firmware", "--firmware", BIOS, "--machine", "pc", "--disk",
                   image)
        self.boots("memory above 4 GB", "-m", "4G", image)
        self.boots("the first of two disks boots", image, "--disk", other)
        self.boots("and so the other way round", other, "--disk", image, expect="another disk")
        out = self.boots("a boot menu is offered", "--boot", "menu=on", image)
        self.check("the menu's line", "boot menu" in out, out)
        rom = option_rom(self.path("hello.rom"), "option ROM here")
        out = self.boots("an option ROM beside a disk", "--option-rom", rom, image)
        self.check("the option ROM ran", "option ROM here" in out, out)

    def variables(self):
        if not os.path.exists(VARS):
            print("skip - variables: the package ovmf is not installed")
            return
        name = self.path("machine.vars")
        status, _, err = run("--firmware", f"uefi,vars={name}", limit="100ms")
        with open(VARS, "rb") as a, open(name, "rb") as b:
            self.check("a machine gets its own variables", status == 1 and a.read() == b.read(),
                       err)
        with open(name, "r+b") as f:
            f.truncate(4096)
        status, _, err = run("--firmware", f"uefi,vars={name}", limit="100ms")
        self.check("a file that holds no variables is refused",
                   status == 1 and "does not hold variables" in err, err)

    def wrong(self):
        odd = self.path("odd")
        with open(odd, "wb") as f:
            f.write(struct.pack("<Q", 1) * 100)
        for name, args, want in (
                ("an odd image", ["--firmware", odd], "made of 4K blocks"),
                ("no image", ["--firmware", self.path("none")], "cannot open"),
                ("a kernel beside firmware", ["--firmware", "bios", "--kernel", odd], "drop one"),
                ("a boot order without firmware", ["--kernel", odd, "--boot", "order=c"],
                 "add --firmware"),
                ("an impossible order", ["--firmware", "bios", "--boot", "order=cc"],
                 "not an order"),
                ("suboptions of a BIOS", ["--firmware", "bios,vars=x"], "only uefi")):
            status, _, err = run(*args)
            self.check(name, status in (1, 2) and want in err, err)


def main():
    if not os.path.exists(BIOS):
        print("the package seabios is not installed")
        return 77
    t = Tests()
    try:
        t.bios()
        t.variables()
        t.wrong()
    finally:
        shutil.rmtree(t.dir)
    return t.bad != 0


if __name__ == "__main__":
    sys.exit(main())
