#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disks and CD-ROM drives at SCSI adapters: Debian's generic kernel finds them with its own drivers,
data are compared by checksum, media and sizes change.
"""

import os

import checks
import generic
import qmp
import storage

DISK_SIZE = 24 << 20


class Scsi(storage.Drives):
    """One adapter with two disks and a CD-ROM drive."""

    def __init__(self, bus, modules, driver, directory, cpus=2):
        super().__init__(bus, directory)
        self.driver = driver
        self.disks = [storage.random_file(os.path.join(directory, f"{bus}{i}.raw"), DISK_SIZE)
                      for i in range(2)]
        initrd = os.path.join(directory, bus + ".initrd")
        generic.make_initrd(initrd, [*modules, "sd_mod", "sr_mod", "isofs"])
        extra = ["--cdrom", f"{self.iso},bus={bus}", "--control", self.socket]
        for disk in self.disks:
            extra += ["--disk", f"{disk},bus={bus}"]
        self.vm = generic.machine(initrd=initrd, memory="512M", cpus=cpus, extra=extra)

    def drivers(self):
        self.vm.prompt(180)
        self.sh("/more/load")
        self.sh("for i in $(seq 600); do [ -e /dev/sdb -a -e /dev/sr0 ] && break; usleep 50000; done")
        bound = self.sh(f"ls {self.driver}; cat /sys/block/sd?/device/vendor "
                        "/sys/block/sd?/device/model /sys/block/sr?/device/model")
        self.names = self.in_order()
        assert "virtio" in bound or "target" in bound, bound
        assert bound.count("DOPPEL") == 2 and bound.count("HARDDISK") == 2 and "DVD-ROM" in bound, bound

    def in_order(self):
        """The disks' names by their target: the kernel looks at all of them at once."""
        places = self.sh("for d in sda sdb; do echo $(readlink /sys/block/$d/device) $d; done")
        return [line.split()[1] for line in sorted(places.splitlines()) if line.strip()]

    def reads(self):
        for name, disk in zip(self.names, self.disks):
            assert storage.sha(disk) in self.sh(f"sha256sum /dev/{name}")
        self.mount_cd(self.file)
        self.sh("umount /mnt")

    def writes(self):
        """Both disks at once; what the guest wrote and flushed is in the images."""
        self.sh("for d in sda sdb; do dd if=/dev/urandom of=/dev/$d bs=64k seek=37 count=100 "
                "conv=fsync 2>/dev/null & done; wait")
        self.sh("dd if=/dev/urandom of=/dev/sda bs=512 seek=3 count=5 conv=fsync 2>/dev/null")
        self.sh("echo 3 >/proc/sys/vm/drop_caches")
        for name, disk in zip(self.names, self.disks):
            assert storage.sha(disk) in self.sh(f"sha256sum /dev/{name}")

    def grows(self):
        """The guest has the new size at once or when it looks again."""
        qmp.Qmp(self.socket).do("block_resize", device=self.bus + "1", size=2 * DISK_SIZE)
        is_there = f"[ $(cat /sys/block/{self.names[1]}/size) = {2 * DISK_SIZE // 512} ]"
        self.sh(f"for i in $(seq 100); do {is_there} && break; usleep 50000; done; {is_there}")

    def discards(self):
        """A hole where the guest discards, zeros where it wants zeros."""
        before = os.stat(self.disks[0]).st_blocks
        self.sh("blkdiscard -o 8388608 -l 8388608 /dev/" + self.names[0])
        assert before - os.stat(self.disks[0]).st_blocks >= 15000
        assert storage.sha(self.disks[0]) in self.sh("sha256sum /dev/" + self.names[0])

    def card(self):
        said = self.sh("dmesg | grep scsi0")
        assert "BusLogic Model BT-958 PCI Wide Ultra SCSI" in said, said
        assert "Firmware Version: 5.07B" in said and "Tagged Queuing: Enabled" in said, said

    def quiet(self):
        bad = self.sh("dmesg | grep -i -E '(sd|sr|scsi).*(error|failed|timeout|abort)' || true")
        assert not bad, bad


def run(t, name, s, first, last):
    """The steps of every adapter; `first` and `last` are this one's own before and after writes."""
    steps = [*first,
             ("what is read has the image's checksum", s.reads),
             ("what is written is in the image", s.writes),
             *last,
             ("media are changed and ejected", s.change_medium),
             ("the kernel complains of nothing", s.quiet),
             ("power-off", s.end)]
    with s.vm:
        if t.run(name + ": the kernel's drivers find disks and drive", s.step(s.drivers)):
            for what, work in steps:
                t.run(f"{name}: {what}", s.step(work))


def both(t):
    s = Scsi("scsi", ["virtio_scsi"], "/sys/bus/virtio/drivers/virtio_scsi", t.dir)
    run(t, "virtio-scsi", s, [], [("discards make holes", s.discards),
                                  ("the guest hears of a larger disk", s.grows)])
    # One CPU: while the driver starts, its interrupt handler takes no lock, and on another CPU may
    # note the end of a command when the next one has begun, which then fails.
    s = Scsi("buslogic", ["BusLogic"], "/sys/bus/pci/devices/0000:00:1e.0/host*", t.dir, cpus=1)
    run(t, "BusLogic", s, [("it is the card", s.card)], [])


if __name__ == "__main__":
    checks.require(["generic"], {"xorriso": "xorriso"})
    checks.steps(checks.Checks(), both)
