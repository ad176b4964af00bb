#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disks and CD-ROM drives at the board's own adapter: Debian's generic kernel finds them with its own
drivers, data are compared by checksum; firmware boots from them.
"""

import hashlib
import os
import subprocess
import time

import checks
import generic
import qmp
import vm

DISK_SIZE = 24 << 20
BOARDS = {"ide": ("pc", "ata_piix"), "ahci": ("q35", "ahci")}


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def random_file(path, size):
    with open(path, "wb") as f:
        f.write(os.urandom(size))
    return path


def iso(path, directory, name, size):
    """An ISO file system with one file; the file's checksum."""
    tree = os.path.join(directory, name)
    os.mkdir(tree)
    random_file(os.path.join(tree, "file"), size)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-V", name, "-R", "-o", path, tree],
                   check=True, stderr=subprocess.DEVNULL)
    return sha(os.path.join(tree, "file"))


class Drives:
    """An image for a CD-ROM drive, and the guest (self.vm) that has the drive."""

    def __init__(self, bus, directory):
        self.bus, self.dir = bus, directory
        self.iso = os.path.join(directory, bus + ".iso")
        self.file = iso(self.iso, directory, bus, 3 << 20)
        self.socket = os.path.join(directory, bus + ".control")

    def step(self, work):
        return lambda checks: work()

    def sh(self, command, timeout=120):
        out, status = self.vm.run(command, timeout)
        assert status == 0, f"{command}: {status}\n{out}"
        return out

    def doppel(self, command, *words):
        return vm.doppel(command, "--control", self.socket, *words)

    def mount_cd(self, file):
        """The medium, which has this file in it."""
        self.sh("mount -t iso9660 /dev/sr0 /mnt")
        assert file in self.sh("sha256sum /mnt/file")

    def change_medium(self):
        """Another one comes, cannot be taken out while it is mounted, and then can."""
        other = os.path.join(self.dir, self.bus + "2.iso")
        file = iso(other, self.dir, self.bus + "2", 1 << 20)
        status, out = self.doppel("insert", other)
        assert status == 0, out
        self.mount_cd(file)
        status, out = self.doppel("eject")
        assert status == 1 and "locked" in out, out
        self.sh("umount /mnt")
        status, out = self.doppel("eject")
        assert status == 0, out
        assert "No medium" in self.sh("dd if=/dev/sr0 count=1 of=/dev/null 2>&1 || true")

    def end(self):
        assert self.vm.power_off() == 0


class Storage(Drives):
    def __init__(self, bus, directory):
        super().__init__(bus, directory)
        self.board, self.driver = BOARDS[bus]
        self.disk = random_file(os.path.join(directory, bus + ".raw"), DISK_SIZE)
        self.vm = generic.machine(memory="512M",
                                  extra=["--machine", self.board, "--disk", f"{self.disk},bus={bus}",
                                         "--cdrom", self.iso, "--control", self.socket])

    def wait_for_drives(self):
        self.sh("for i in $(seq 600); do [ -e /dev/sda -a -e /dev/sr0 ] && break; usleep 50000; done")

    def drivers(self):
        self.vm.prompt(180)
        self.wait_for_drives()
        bound = self.sh(f"ls /sys/bus/pci/drivers/{self.driver}; cat /sys/block/sd?/device/model "
                        "/sys/block/sr?/device/model; cat /proc/sys/dev/cdrom/info")
        assert "0000:00:" in bound and "DOPPEL HARDDISK" in bound and "DVD-ROM" in bound, bound

    def reads(self):
        assert sha(self.disk) in self.sh("sha256sum /dev/sda")
        self.mount_cd(self.file)
        self.sh("umount /mnt")

    def writes(self):
        """What the guest wrote and flushed is in the image, while it runs."""
        self.sh("dd if=/dev/urandom of=/dev/sda bs=64k seek=37 count=100 conv=fsync 2>/dev/null")
        self.sh("dd if=/dev/urandom of=/dev/sda bs=512 seek=3 count=5 conv=fsync 2>/dev/null")
        self.sh("echo 3 >/proc/sys/vm/drop_caches")
        assert sha(self.disk) in self.sh("sha256sum /dev/sda")

    def interrupts(self):
        return int(self.sh("grep ata_piix /proc/interrupts | head -1").split()[1])

    def pio(self):
        """The same by the data register."""
        self.sh("cd /lib/modules; rmmod ata_piix ahci libahci libata; insmod libata.ko dma=0 && "
                "insmod ata_piix.ko; cd /")
        self.wait_for_drives()
        before = self.interrupts()
        self.reads()
        assert self.interrupts() - before > DISK_SIZE // 8192  # one for each block
        self.writes()

    def media(self):
        """A person changes the medium; a mounted one is locked; the guest opens the tray."""
        session = qmp.Qmp(self.socket)
        drive = next(d for d in session.do("query-block") if d["device"] == "cd0")
        assert drive["removable"] and drive["inserted"]["file"] == self.iso, drive
        self.change_medium()
        assert "inserted" not in next(d for d in session.do("query-block") if d["device"] == "cd0")
        assert self.doppel("insert", self.iso)[0] == 0
        session.do("query-status")
        session.events.clear()
        self.sh("echo 1 >/proc/sys/dev/cdrom/autoeject; dd if=/dev/sr0 count=1 of=/dev/null")
        for _ in range(100):
            session.do("query-status")
            moved = [e["data"] for e in session.events if e["event"] == "DEVICE_TRAY_MOVED"]
            if moved:
                break
            time.sleep(0.1)
        assert moved == [{"device": "cd0", "id": "cd0", "tray-open": True}], moved

    def quiet(self):
        bad = self.sh("dmesg | grep -i -E 'ata[0-9].*(exception|error|failed|timeout|frozen)' || true")
        assert not bad, bad

    def run(self, t):
        with self.vm:
            if not t.run(f"{self.bus}: the kernel's drivers find disk and drive", self.step(self.drivers)):
                return
            t.run(f"{self.bus}: what is read has the image's checksum", self.step(self.reads))
            t.run(f"{self.bus}: what is written is in the image", self.step(self.writes))
            if self.bus == "ide":
                t.run("ide: the same without DMA", self.step(self.pio))
            t.run(f"{self.bus}: media are changed and ejected", self.step(self.media))
            t.run(f"{self.bus}: the kernel complains of nothing", self.step(self.quiet))
            t.run(f"{self.bus}: power-off", self.step(self.end))


def all_buses(t):
    for bus in BOARDS:
        Storage(bus, t.dir).run(t)


if __name__ == "__main__":
    checks.require(["generic"], {"xorriso": "xorriso"})
    checks.steps(checks.Checks(), all_buses)
