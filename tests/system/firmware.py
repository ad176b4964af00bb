#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Firmware: SeaBIOS boots disks on both boards, runs option ROMs, has a menu; UEFI boots a disk through
systemd-boot and keeps its variables; both start a kernel of the command line.
"""

import os
import struct
import subprocess

import checks
import vm

DOPPEL = vm.doppel_binary()
BIOS = "/usr/share/seabios/bios-256k.bin"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
GUID = "4d1d1ee7-2c43-4a38-9d0e-6f2c2a0d3b11"  # of a vendor who names variables
SYSTEMD_BOOT = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"

# A boot sector: reads the second sector by INT 13h, sends its text to COM1, and powers off.
SECTOR = bytes.fromhex(
    "31c08ed88ec0"  # xor ax, ax; mov ds, ax; mov es, ax
    "b80102bb007eb90200b600cd13"  # ax = 0201, bx = 7e00, cx = 2, dh = 0; int 13h
    "7216fa"  # jc to the end; cli: SeaBIOS writes what it still has to say in its timer's interrupt
    "be007e"  # mov si, 7e00
    "ac84c07406baf803eeebf5"  # each byte up to a 0: out 3f8
    "ba0406b80034ef"  # out 604, 3400: S5
    "f4ebfd"  # hlt for good
)


def disk(path, text):
    """A disk that says `text` when it is booted."""
    return vm.boot_disk(path, SECTOR, text.encode())


def option_rom(path, text):
    """An option ROM whose entry sends `text` to COM1."""
    code = b"\xba\xf8\x03" + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text.encode())
    rom = bytearray((b"\x55\xaa\x01" + code + b"\xcb").ljust(512, b"\0"))
    rom[511] = -sum(rom) & 0xff
    with open(path, "wb") as f:
        f.write(rom)
    return path


def efi_disk(path, directory, kernel=vm.KERNEL, initrd=vm.INITRAMFS,
             append="console=ttyS0 quiet booted.by.disk"):
    """A FAT file system with systemd-boot, a kernel and an entry for it."""
    size = 32 + (os.path.getsize(kernel) + os.path.getsize(initrd) >> 20)
    entry = os.path.join(directory, "entry.conf")
    with open(entry, "w", encoding="ascii") as f:
        f.write("title test\nlinux /vmlinuz\ninitrd /initrd\n"
                f"options {append}\n")
    env = dict(os.environ, MTOOLS_SKIP_CHECK="1", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    for command in (["truncate", "-s", f"{max(size, 64)}M", path], ["mkfs.vfat", "-F", "32", path],
                    ["mmd", "-i", path, "::EFI", "::EFI/BOOT", "::loader", "::loader/entries"],
                    ["mcopy", "-i", path, SYSTEMD_BOOT, "::EFI/BOOT/BOOTX64.EFI"],
                    ["mcopy", "-i", path, entry, "::loader/entries/test.conf"],
                    ["mcopy", "-i", path, kernel, "::vmlinuz"],
                    ["mcopy", "-i", path, initrd, "::initrd"]):
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    return path


def uefi(*args, **kwargs):
    """A machine that UEFI starts."""
    options = dict(memory="256M", kernel=None, initrd=None, append=None)
    return vm.Vm("doppel", extra=["--firmware", *args], **(options | kwargs))


def run(*args, limit=60):
    """Status, the serial port's output, and what the command said. `limit`: seconds."""
    limit *= vm.PATIENCE
    done = subprocess.run([DOPPEL, "run", "--net", "none", "-m", "128M", "--timeout",
                           f"{limit * 1000:.0f}ms", *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=2 * limit + 60)
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode()


class Tests(checks.Checks):
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
        self.boots("a disk at the SCSI adapter boots", "--firmware", "bios", "--disk",
                   image + ",bus=scsi")
        self.boots("the first of two disks boots", image, "--disk", other)
        self.boots("and so the other way round", other, "--disk", image, expect="another disk")
        out = self.boots("a boot menu is offered", "--boot", "menu=on", image)
        self.check("the menu's line", "boot menu" in out, out)
        rom = option_rom(self.path("hello.rom"), "option ROM here")
        out = self.boots("an option ROM beside a disk", "--option-rom", rom, image)
        self.check("the option ROM ran", "option ROM here" in out, out)

    def variables(self):
        if not os.path.exists(VARS):
            self.report("skip", "variables", "the package ovmf is not installed")
            return
        name = self.path("machine.vars")
        status, _, err = run("--firmware", f"uefi,vars={name}", limit=0.1)
        with open(VARS, "rb") as a, open(name, "rb") as b:
            self.check("a machine gets its own variables", status == 1 and a.read() == b.read(),
                       err)
        with open(name, "r+b") as f:
            f.truncate(4096)
        status, _, err = run("--firmware", f"uefi,vars={name}", limit=0.1)
        self.check("a file that holds no variables is refused",
                   status == 1 and "does not hold variables" in err, err)

    def shell(self, name, command):
        """What a command of the EFI shell says, with the variables in the file `name`."""
        with uefi(f"uefi,vars={name}") as v:
            v.expect("Press.*ESC", 120)
            v.send("\x1b")
            v.expect("Shell> ", 30)
            v.send(command + "\r")
            v.expect("Shell> ", 30)
            said = v.before.decode("latin-1")
            v.send("reset -s\r")
            if v.wait(60) != 0:
                raise vm.VmError("the shell cannot power off")
            return said

    def uefi_variables(self):
        name = self.path("kept.vars")
        try:
            said = self.shell(name, f"setvar Kept -guid {GUID} -bs -nv =5a17c0de")
            said += self.shell(name, f"setvar Kept -guid {GUID}")
        except vm.VmError as e:
            said = str(e)
        self.check("a variable is there in the next run", "5A 17 C0 DE" in said, said)

    def boots_linux(self, name, words, v, proof="ls /sys/firmware/efi/runtime-map"):
        with v:
            try:
                v.prompt(180)
                out, status = v.run(f"cat /proc/cmdline; {proof} >/dev/null")
                ended = v.power_off()
            except vm.VmError as e:
                self.check(name, False, str(e))
                return
            self.check(name, status == 0 and words in out and ended == 0, out)

    def bios_kernel(self):
        # the BIOS's own area, which a kernel that is loaded without one does not have
        proof = "dmesg | grep 'BIOS-e820: .mem 0x00000000fffc0000-0x00000000ffffffff. reserved'"
        for board in ("pc", "q35"):
            self.boots_linux(f"a BIOS starts a kernel of the command line, {board}", "by.hand",
                             vm.Vm("doppel", memory="256M", append="console=ttyS0 quiet by.hand",
                                   extra=["--firmware", "bios", "--machine", board, "--disk",
                                          self.path("disk")]), proof)
        self.boots_linux("and so does an image of firmware, with memory above 4 GB", "by.hand",
                         vm.Vm("doppel", memory="4G", append="console=ttyS0 quiet by.hand",
                               extra=["--firmware", BIOS]), proof)

    def uefi(self):
        if not os.path.exists(VARS):
            self.report("skip", "UEFI", "the package ovmf is not installed")
            return
        self.uefi_variables()
        for board in ("q35", "pc"):
            self.boots_linux(f"UEFI starts a kernel of the command line, {board}", "by.hand",
                             uefi("uefi", "--machine", board, kernel=vm.KERNEL,
                                  initrd=vm.INITRAMFS, append="console=ttyS0 quiet by.hand"))
        if not os.path.exists(SYSTEMD_BOOT):
            self.report("skip", "an EFI disk", "the package systemd-boot-efi is not installed")
            return
        image = efi_disk(self.path("efi.raw"), self.dir)
        self.boots_linux("UEFI boots a disk through systemd-boot", "booted.by.disk",
                         uefi("uefi", disks=[image]))
        self.boots_linux("and with much memory", "booted.by.disk",
                         uefi("uefi", disks=[image], memory="5G"))

    def wrong(self):
        odd = self.path("odd")
        with open(odd, "wb") as f:
            f.write(struct.pack("<Q", 1) * 100)
        for name, args, want in (
                ("an odd image", ["--firmware", odd], "made of 4K blocks"),
                ("no image", ["--firmware", self.path("none")], "cannot open"),
                ("a kernel that a BIOS cannot start", ["--firmware", "bios", "--kernel", odd],
                 "not a Linux kernel"),
                ("a kernel too large for the memory", ["--firmware", "bios", "-m", "16M",
                 "--kernel", vm.KERNEL, "--initrd", vm.INITRAMFS], "too small for the kernel"),
                ("a kernel that UEFI cannot start", ["--firmware", "uefi", "--kernel", odd],
                 "not a Linux kernel"),
                ("a boot order without firmware", ["--kernel", odd, "--boot", "order=c"],
                 "add --firmware"),
                ("an impossible order", ["--firmware", "bios", "--boot", "order=cc"],
                 "not an order"),
                ("suboptions of a BIOS", ["--firmware", "bios,vars=x"], "only uefi")):
            status, _, err = run(*args)
            self.check(name, status in (1, 2) and want in err, err)


if __name__ == "__main__":
    checks.require(["initramfs"], {BIOS: "seabios"})
    checks.steps(Tests(), Tests.bios, Tests.bios_kernel, Tests.variables, Tests.uefi, Tests.wrong)
