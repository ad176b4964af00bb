# SPDX-License-Identifier: GPL-2.0-or-later
"""
A whole installation of Debian, by keys at the screen: from the installer's CD through all of its
dialogs to a disk that the firmware boots, where the user who was made logs in. Its packages come
from the host's mirror (mirror.py). `scripts/endurance install` runs it.
"""

import os
import subprocess
import time

import dialogs
import mirror
import picture
import rfb
import vm

CODENAME = "bookworm"
USER, PASSWORD, ROOT_PASSWORD = "ann", "annsword", "rootsword"
# A suite of the mirror's own without a signature; no services beside the mirror.
ARGUMENTS = (f"mirror/udeb/suite={mirror.SUITE} debian-installer/allow_unauthenticated=true "
             "apt-setup/services-select=")
DOWN, UP, HOME = rfb.DOWN, rfb.UP, rfb.HOME
TASKS = 12  # lines in the list of software; the last two are chosen


def stages(address, firmware):
    """All dialogs behind the first ones: (words, the picture's name or None, keys)."""
    return (
        ("Debian archive mirror country:", None, [HOME, "\n"]),
        ("Debian archive mirror hostname:", None, "\b" * 40 + address + "\n"),
        ("Debian archive mirror directory:", None, "\b" * 40 + "/debian\n"),
        ("HTTP proxy information", None, "\n"),
        ("set the password for that account here", None, ROOT_PASSWORD + "\n"),
        ("Re-enter password", None, ROOT_PASSWORD + "\n"),
        ("Full name for the new user:", None, "Ann User\n"),
        ("Username for your account:", "user", "\n"),
        ("Choose a password for the new user:", None, PASSWORD + "\n"),
        ("Re-enter password", None, PASSWORD + "\n"),
        ("Select your time zone:", None, "\n"),
        ("Partitioning method:", None, "\n"),
        ("Select disk to partition:", "disk", "\n"),
        ("Partitioning scheme:", None, "\n"),
        ("Finish partitioning and write changes to disk", "partitions", "\n"),
        ("Write the changes to disks?", "write", "\t\n"),
        ("Participate in the package usage survey?", None, "\n"),
        ("Choose software to install:", None, [DOWN] * (TASKS - 1) + [" ", UP, " "]),
        ("[ ] standard system utilities", "software", "\t\n"),
    ) + ((
        ("Install the GRUB boot loader to your primary drive?", None, "\n"),
        ("Device for boot loader installation:", "bootloader", [DOWN, "\n"]),
    ) if firmware == "bios" else ()) + (
        ("Installation complete", "complete", "\n"),
    )


def console_font(codename):
    """The font that the installed system's console has, of the package that brings it."""
    folder = os.path.join(mirror.CACHE, codename, "font")
    path = os.path.join(folder, "usr/share/consolefonts/Lat15-Fixed16.psf.gz")
    if not os.path.exists(path):
        mirror.unpack("console-setup-linux", folder)
    return picture.console_font(path)


class Whole(dialogs.Installer):
    """`say` is told how far it is."""

    def __init__(self, firmware, pictures, say):
        super().__init__(firmware, ARGUMENTS, pictures)
        self.say = say
        self.mirror = mirror.Mirror(CODENAME, dialogs.installed_udebs())
        self.fonts.append(console_font(CODENAME))

    def close(self):
        super().close()
        self.mirror.close()

    def install(self):
        started = time.monotonic()
        self.make_cd()
        self.start("--cdrom", self.path("cd.iso"), "--boot", "order=cd", limit="3h")
        self.choose_entry()
        for stage in dialogs.FIRST_STAGES + stages(self.mirror.address, self.firmware):
            self.drive([stage], 3600)
            if stage[1]:
                self.say(f"install: {self.firmware}: {stage[1]} after "
                         f"{time.monotonic() - started:.0f} s")

    def login(self):
        """At the console of the disk that the firmware boots, still with the CD in its drive."""
        self.wait_dialog("guest login:", 900)
        self.viewer.type(USER + "\n")
        self.wait_dialog("Password:", 60)
        self.viewer.type(PASSWORD + "\n")
        self.wait_dialog(f"{USER}@guest:~$", 120)

    def command(self, text, limit=300):
        """Types a command: what it leaves on the screen. Raises vm.VmError if it fails."""
        self.viewer.type(f"clear; {text}; echo \"<$?>\"\n")
        lines = self.wait_dialog("<0>", limit)
        return [line for line in lines if line]

    def as_root(self, text, limit=300):
        self.viewer.type(f"clear; su - -c '{text}'; echo \"<$?>\"\n")
        self.wait_dialog("Password:", 60)
        self.viewer.type(ROOT_PASSWORD + "\n")
        return self.wait_dialog("<0>", limit)

    def look(self):
        """What was installed is whole, and can install more."""
        out = self.command("uname -sr; id -un; findmnt -no FSTYPE /; [ -d /sys/firmware/efi ] && "
                           "findmnt -no FSTYPE /boot/efi; dpkg -l | grep -c ^ii; dpkg --audit")
        words = " ".join(out).split()
        assert "Linux" in words and USER in words and "ext4" in words, out
        assert ("vfat" in words) == (self.firmware == "uefi"), out
        assert max(int(w) for w in words if w.isdigit()) > 150, out
        self.keep("login")
        self.as_root("dpkg --verify && echo all files are as in their packages", 1800)
        self.as_root("apt-get update >/dev/null && apt-get -qq install hello >/dev/null", 900)
        out = self.command("hello")
        assert "Hello, world!" in out, out
        self.viewer.type("clear; su - -c poweroff\n")
        self.wait_dialog("Password:", 60)
        self.viewer.type(ROOT_PASSWORD + "\n")
        if not vm.until(lambda: self.doppel("list")[1].find(self.name) < 0, 300, 1):
            raise dialogs.Stuck("it does not power off")

    def check_disk(self):
        """The image and the file system in it, after the machine has ended."""
        status, out = self.doppel("image", "check", self.path("disk.qcow2"))
        assert status == 0, out
        raw = self.path("disk.raw")
        status, out = self.doppel("image", "convert", "-O", "raw", self.path("disk.qcow2"), raw)
        assert status == 0, out
        kind = _tool("blkid", "-p", "-s", "PTTYPE", "-o", "value", raw)
        for start in _tool("partx", "-g", "-o", "START", raw).split():
            offset = int(start) * 512
            if "ext4" in _tool("blkid", "-p", "-O", str(offset), "-s", "TYPE", raw, failing=True):
                _tool("e2fsck", "-fn", f"{raw}?offset={offset}")
                return kind
        raise AssertionError("no ext4 file system on the disk")


def _tool(*words, failing=False):
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert failing or done.returncode == 0, f"{words[0]}: {done.stdout}"
    return done.stdout.strip()


def run(firmware, pictures, say):
    """
    Installs under this firmware, boots, looks. Raises vm.VmError, AssertionError or
    mirror.MirrorError.
    """
    whole = Whole(firmware, pictures, say)
    try:
        whole.install()
        whole.login()
        say(f"install: {firmware}: {USER} is logged in")
        whole.look()
        say(f"install: {firmware}: the file system is whole, {whole.check_disk()}")
    finally:
        whole.close()
