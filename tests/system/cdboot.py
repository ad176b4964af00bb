#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's installer from a virtual CD: an ISO image of its kernel and initial RAM disk with isolinux
for a BIOS and systemd-boot for UEFI comes up to its first question, on the serial console.
"""

import os
import shutil
import subprocess

import checks
import firmware
import vm

IMAGES = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"
ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
APPEND = "console=ttyS0 quiet"


def make_iso(directory):
    tree = os.path.join(directory, "tree")
    os.makedirs(os.path.join(tree, "isolinux"))
    shutil.copy(os.path.join(IMAGES, "linux"), os.path.join(tree, "vmlinuz"))
    shutil.copy(os.path.join(IMAGES, "initrd.gz"), os.path.join(tree, "initrd"))
    for file in (ISOLINUX, LDLINUX):
        shutil.copy(file, os.path.join(tree, "isolinux"))
    with open(os.path.join(tree, "isolinux", "isolinux.cfg"), "w", encoding="ascii") as f:
        f.write(f"DEFAULT linux\nLABEL linux\n  KERNEL /vmlinuz\n  APPEND initrd=/initrd {APPEND}\n")
    firmware.efi_disk(os.path.join(tree, "efi.img"), directory, os.path.join(tree, "vmlinuz"),
                      os.path.join(tree, "initrd"), APPEND)
    image = os.path.join(directory, "installer.iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", image, "-b",
                    "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
                    "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e",
                    "efi.img", "-no-emul-boot", tree], check=True, stderr=subprocess.DEVNULL)
    return image


def starts(image, *options):
    def check(_):
        with vm.Vm("doppel", memory="1536M", kernel=None, initrd=None, append=None,
                   extra=[*options, "--cdrom", image]) as v:
            v.expect("(?i)choose.{0,40}language|select a language", 240)
            v.send("\x1b[B")  # the screen answers
            v.expect(".", 60)
    return check


def starts_everywhere(t):
    image = make_iso(t.dir)
    t.run("a BIOS starts the installer from an IDE drive",
          starts(image, "--firmware", "bios", "--machine", "pc"))
    t.run("a BIOS starts it from a serial ATA drive",
          starts(image, "--firmware", "bios", "--machine", "q35"))
    t.run("UEFI starts it from an IDE drive",
          starts(image, "--firmware", "uefi", "--machine", "pc"))
    t.run("UEFI starts it from a serial ATA drive",
          starts(image, "--firmware", "uefi", "--machine", "q35"))


if __name__ == "__main__":
    checks.require(packages={IMAGES: "debian-installer-12-netboot-amd64", ISOLINUX: "isolinux",
                             LDLINUX: "syslinux-common", "xorriso": "xorriso",
                             firmware.SYSTEMD_BOOT: "systemd-boot-efi", firmware.VARS: "ovmf"})
    checks.steps(checks.Checks(), starts_everywhere)
