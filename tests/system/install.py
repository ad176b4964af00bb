#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's installer from a virtual CD, driven through its first dialogs by a VNC viewer's keys, under
SeaBIOS and under OVMF: GRUB's menu, language, location, keyboard, network. With a folder as its
argument it keeps pictures of the stages there. `scripts/endurance install` goes on to the end.
"""

import sys

import checks
import dialogs

STAGES = dialogs.FIRST_STAGES + (("Debian archive mirror country:", "mirror", ""),)


def drive(t, firmware):
    i = dialogs.Installer(firmware, pictures=t.pictures if firmware == "bios" else None)
    try:
        i.make_cd()
        i.start("--cdrom", i.path("cd.iso"), "--boot", "order=d", limit="15m")
        i.choose_entry()
        for stage in STAGES:
            try:
                i.drive([stage])
                t.check(f"the installer, {firmware}: {stage[1]}", True)
            except dialogs.Stuck as stuck:
                t.check(f"the installer, {firmware}: {stage[1]}", False, stuck)
                return
    finally:
        i.close()


if __name__ == "__main__":
    checks.require(packages=dialogs.PACKAGES)
    tests = checks.Checks()
    tests.pictures = sys.argv[1] if len(sys.argv) > 1 else None
    checks.steps(tests, lambda t: drive(t, "bios"), lambda t: drive(t, "uefi"))
