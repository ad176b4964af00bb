# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's installer from a virtual CD, driven through its dialogs by a VNC viewer's keys. The CD is
made of the package debian-installer-12-netboot-amd64, with GRUB for a BIOS and for UEFI. The dialogs
are in text mode, or drawn by the kernel with its own font, so that they can be read by their glyphs.
"""

import gzip
import os
import re
import shutil
import subprocess
import time

import background
import installer
import picture
import rfb
import vm

FOLDER = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"
KERNEL, INITRD = os.path.join(FOLDER, "linux"), os.path.join(FOLDER, "initrd.gz")
PACKAGES = {KERNEL: "debian-installer-12-netboot-amd64", picture.VGA_ROM: "seabios",
            "grub-mkrescue": "grub-common", "xorriso": "xorriso", "mformat": "mtools",
            "/usr/lib/grub/i386-pc": "grub-pc-bin",
            "/usr/lib/grub/x86_64-efi": "grub-efi-amd64-bin"}

# GRUB's menu goes to the serial port, too: with UEFI the screen has a font of the firmware's.
GRUB = """
set timeout=-1
insmod all_video
serial --unit=0
terminal_input console
terminal_output console serial
if [ "$grub_platform" = pc ]; then set gfxpayload=text; else set gfxpayload=800x600; fi
menuentry "Debian installer" {
    linux /linux fb=false modprobe.blacklist=bochs %s --- quiet
    initrd /initrd.gz
}
"""

# What is on the screen, the name of its picture, and what is typed then.
FIRST_STAGES = (
    ("Language:", "language", "\n"),
    ("Country, territory or area:", "location", "\n"),
    ("Keymap to use:", "keyboard", "\n"),
    ("Hostname:", "hostname", "\b" * 6 + "guest\n"),
    ("Domain name:", "domain", "example.org\n"),
)


class Stuck(vm.VmError):
    """The installer does not show what was waited for; the text is what it shows."""


class Installer(background.NamedMachine):
    """
    `firmware` is bios or uefi, `arguments` go to the installer. `pictures` is a folder for pictures
    of the stages, or None.
    """

    def __init__(self, firmware, arguments="", pictures=None):
        super().__init__(firmware)
        self.firmware, self.arguments, self.pictures = firmware, arguments, pictures
        self.fonts = [picture.font(), picture.kernel_font(KERNEL)]
        self.viewer = None

    def make_cd(self):
        tree = self.path("cd")
        os.makedirs(os.path.join(tree, "boot", "grub"))
        for file in (KERNEL, INITRD):
            shutil.copy(file, tree)
        with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as f:
            f.write(GRUB % self.arguments)
        subprocess.run(["grub-mkrescue", "-o", self.path("cd.iso"), tree], check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def start(self, *words, limit="30m"):
        """A machine with a new disk image, or the one that is there, and these options."""
        if not os.path.exists(self.path("disk.qcow2")):
            status, out = self.doppel("image", "create", self.path("disk.qcow2"), "4G")
            assert status == 0, out
        firmware = self.firmware
        if firmware == "uefi":
            firmware += ",vars=" + self.path("vars")
        self.launch("-m", "1G", "--timeout", limit, "--display", "vnc=unix:" + self.path("vnc"),
                    "--serial", "file:" + self.path("serial"), "--disk", self.path("disk.qcow2"),
                    "--firmware", firmware, *words)
        self.viewer = rfb.Viewer(self.path("vnc")).start()

    # --- what is on the screen -------------------------------------------------------------

    def lines(self, p=None):
        """The screen's text, by the font that knows most of it."""
        p = p or self.shot()
        return min((p.text(9 if p.width == 720 else 8, 16, font) for font in self.fonts),
                   key=lambda lines: "".join(lines).count("?"))

    @staticmethod
    def flat(lines):
        """Without the frames of dialogs and the ends of lines."""
        return re.sub(r"[?\s]+", " ", " ".join(lines))

    def wait_dialog(self, words, limit):
        """The lines on the screen as soon as `words` are there and nothing moves. Raises Stuck."""
        end, last = time.monotonic() + limit * vm.PATIENCE, None
        while True:
            lines = self.lines()
            if self.flat([words]).strip() in self.flat(lines) and lines == last:
                return lines
            if time.monotonic() > end:
                raise Stuck(f"'{words}' is not on the screen after {limit} s:\n" + "\n".join(lines))
            last = lines
            time.sleep(0.5)

    def keep(self, name):
        """The newest screenshot as a picture, with a palette."""
        if self.pictures:
            picture.Picture(self.png).save(os.path.join(self.pictures, f"{self.firmware}-{name}.png"))

    # --- what is done ----------------------------------------------------------------------

    def choose_entry(self):
        """GRUB's only one."""
        def shown():
            if not os.path.exists(self.path("serial")):
                return False
            with open(self.path("serial"), "rb") as f:
                return b"Debian installer" in f.read()

        if not vm.until(shown, 120, 0.5):
            raise Stuck("GRUB did not start")
        time.sleep(1)
        self.shot()
        self.keep("grub")
        self.viewer.type("\n")

    def keys(self, keys):
        """Texts and key symbols."""
        for k in [keys] if isinstance(keys, str) else keys:
            if isinstance(k, int):
                self.viewer.press(k)
            else:
                self.viewer.type(k)

    def drive(self, stages, limit=400):
        """Goes through dialogs: (words, the picture's name or None, keys) of each."""
        for words, name, keys in stages:
            self.wait_dialog(words, limit)
            if name:
                self.keep(name)
            self.keys(keys)


def installed_udebs():
    """The names of the installer's packages in its RAM disk."""
    with gzip.open(INITRD) as f:
        status = next(data for name, _, data in installer.entries(f.read())
                      if name.endswith("var/lib/dpkg/status"))
    return re.findall(r"^Package: (\S+)$", status.decode(), re.M)
