#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's installer from a virtual CD under SeaBIOS, driven through its dialogs by a VNC viewer's
keys: GRUB's menu, language, location, keyboard, network. With a folder as its argument it keeps
pictures of the stages there.
"""

import os
import shutil
import subprocess
import sys

import background
import checks
import rfb

FOLDER = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"

# In text mode, so that the dialogs can be read by their glyphs.
GRUB = """
set timeout=-1
terminal_input console
terminal_output console
menuentry "Debian installer" {
    set gfxpayload=text
    linux /linux fb=false modprobe.blacklist=bochs --- quiet
    initrd /initrd.gz
}
"""

# What is on the screen, the name of its picture, and what is typed then.
STAGES = (
    ("Debian installer", "grub", "\n"),
    ("Language:", "language", "\n"),
    ("Country, territory or area:", "location", "\n"),
    ("Keymap to use:", "keyboard", "\n"),
    ("Hostname:", "hostname", "\b" * 6 + "guest\n"),
    ("Domain name:", "domain", "example.org\n"),
    ("Debian archive mirror country:", "mirror", ""),
)


class Installer(background.NamedMachine):
    def __init__(self, pictures):
        super().__init__("d")
        self.pictures = pictures

    def make_cd(self):
        tree = self.path("cd")
        os.makedirs(os.path.join(tree, "boot", "grub"))
        for name in ("linux", "initrd.gz"):
            shutil.copy(os.path.join(FOLDER, name), tree)
        with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as f:
            f.write(GRUB)
        subprocess.run(["grub-mkrescue", "-o", self.path("cd.iso"), tree], check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with open(self.path("disk"), "wb") as f:
            f.truncate(4 << 30)

    def start(self):
        self.launch("-m", "1G", "--timeout", "15m", "--display", "vnc=unix:" + self.path("vnc"),
                    "--disk", self.path("disk"), "--cdrom", self.path("cd.iso"), "--firmware", "bios",
                    "--boot", "order=d")
        return rfb.Viewer(self.path("vnc")).start()

    def wait_dialog(self, words, limit):
        """The lines on the screen as soon as `words` are on it and nothing moves, or the last."""
        seen = [None]

        def settled(p):
            seen.append(p.text() if p.width == 720 else [])
            return any(words in line for line in seen[-1]) and seen[-1] == seen[-2]

        self.wait(settled, limit, 0.5)
        return "\n".join(seen[-1])

    def drive(self):
        viewer = self.start()
        for words, name, keys in STAGES:
            lines = self.wait_dialog(words, 400)
            if not self.check(f"the installer: {name}", words in lines, lines):
                return
            if self.pictures:
                shutil.copy(self.png, os.path.join(self.pictures, f"installer-{name}.png"))
            viewer.type(keys)
        viewer.close()


if __name__ == "__main__":
    checks.require(packages={os.path.join(FOLDER, "linux"): "debian-installer-12-netboot-amd64",
                             "grub-mkrescue": "grub-common", "/usr/lib/grub/i386-pc": "grub-pc-bin"})
    checks.steps(Installer(sys.argv[1] if len(sys.argv) > 1 else None), Installer.make_cd,
                 Installer.drive)
