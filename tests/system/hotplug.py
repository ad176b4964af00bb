#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disks and network cards that come and go while the machine runs: Debian's generic kernel looks after
the slots with its own driver, data are compared by checksum.
"""

import hashlib
import os

import checks
import generic
import netserver
import qmp
import storage
import vm

DISK_SIZE = 24 << 20
SLOTS = 3
DATA = netserver.random_bytes(4 << 20, seed=9)
MODULES = ["virtio_blk", "nvme", "virtio_net", "e1000", "pcnet32", "virtio_scsi", "sd_mod"]


class Plug:
    """A machine with slots and a SCSI adapter, and images to plug in."""

    def __init__(self, t):
        self.t = t
        self.disks = {name: storage.random_file(t.path(name + ".raw"), DISK_SIZE)
                      for name in ("one", "two")}

    def boot(self, t):
        extra = ["--slots", str(SLOTS), "--control", t.path("control"), "--cdrom", "none,bus=scsi"]
        generic.boot(t, MODULES, memory="512M", cpus=2, net=["none"], extra=extra)
        t.sh("stty -echo; dmesg -n 1; PS1=")
        self.qmp = qmp.Qmp(t.path("control"))
        self.load()

    def load(self):
        self.sh("/more/load", 120)

    def sh(self, command, timeout=120):
        out, status = self.t.vm.run(command, timeout)
        assert status == 0, f"{command}: {status}\n{out}"
        return out

    def until(self, good):
        self.sh(f"for i in $(seq 600); do {good} && break; usleep 50000; done; {good}")

    def ports(self, t):
        slots = self.sh("ls /sys/bus/pci/slots").split()
        assert slots == [str(i + 1) for i in range(SLOTS)], slots
        bound = self.sh("ls /sys/bus/pci_express/drivers/pciehp")
        assert bound.count("pcie") >= SLOTS, bound

    def image(self, name):
        self.qmp.do("blockdev-add", **{"node-name": name, "driver": "raw",
                                       "file": {"driver": "file", "filename": self.disks[name]}})

    def names(self):
        return [d["device"] for d in self.qmp.do("query-block")]

    def unplug(self, device):
        """The guest is asked, as soon as it is done with the slot's power."""
        assert vm.until(lambda: self.asked(device), 120, 0.2), f"{device} stays busy"

    def asked(self, device):
        message = self.qmp.answer("device_del", {"id": device})
        assert "return" in message or "try again" in message["error"]["desc"], message
        return "return" in message

    def asked_while_stopped(self, device):
        self.qmp.do("stop")
        if self.asked(device):
            return True
        self.qmp.do("cont")
        return False

    def gone(self, device):
        event = self.qmp.event("DEVICE_DELETED")
        assert event["data"] == {"device": device, "path": "/machine/peripheral/" + device}, event
        assert device not in self.names()

    def disk(self, driver, name, node, **more):
        """It comes, is read and written, and goes with what was written in the image."""
        self.image(name)
        self.qmp.do("device_add", driver=driver, id="d1", drive=name, **more)
        self.until(f"[ -b /dev/{node} ]")
        assert storage.sha(self.disks[name]) in self.sh(f"sha256sum /dev/{node}")
        self.sh(f"dd if=/dev/urandom of=/dev/{node} bs=64k seek=11 count=99 conv=fsync 2>/dev/null")
        self.sh("echo 3 >/proc/sys/vm/drop_caches")
        written = self.sh(f"sha256sum /dev/{node}").split()[0]
        assert "is busy" in self.qmp.refused("blockdev-del", **{"node-name": name})
        self.qmp.do("block_resize", device="d1", size=DISK_SIZE + (1 << 20))
        self.unplug("d1")
        self.gone("d1")
        self.until(f"[ ! -e /dev/{node} ]")
        self.qmp.do("blockdev-del", **{"node-name": name})
        with open(self.disks[name], "r+b") as f:
            f.truncate(DISK_SIZE)
        assert storage.sha(self.disks[name]) == written

    def disks_come_and_go(self, t):
        self.disk("virtio-blk-pci", "one", "vda")
        self.disk("nvme", "two", "nvme0n1", bus="slot2")
        self.disk("scsi-hd", "one", "sda")

    def card(self, model, driver, number):
        self.qmp.do("netdev_add", type="user", id="n1")
        self.qmp.do("device_add", driver=model, id="c1", netdev="n1", bus=f"slot{number}",
                    mac="52:54:00:ab:cd:01")
        self.until("[ -e /sys/class/net/eth0 ]")
        assert self.sh("readlink /sys/class/net/eth0/device/driver").endswith("/" + driver)
        assert self.sh("cat /sys/class/net/eth0/address") == "52:54:00:ab:cd:01"
        self.sh("ifconfig eth0 up && udhcpc -i eth0 -n -q -s /etc/udhcpc", 90)
        server = netserver.FileServer({"/data": DATA})
        self.sh(f"wget -q -O /tmp/data http://{vm.HOST_ADDRESS}:{server.port}/data", 180)
        assert self.sh("md5sum /tmp/data").split()[0] == hashlib.md5(DATA).hexdigest()
        self.unplug("c1")
        self.gone("c1")
        self.until("[ ! -e /sys/class/net/eth0 ]")
        self.qmp.do("netdev_del", id="n1")

    def cards_come_and_go(self, t):
        self.card("virtio-net-pci", "virtio_net", 1)
        self.card("e1000", "e1000", 2)
        self.card("pcnet", "pcnet32", 3)

    def power(self, t):
        """A card that the guest turns off and on again is as new, and stays."""
        self.image("two")
        self.qmp.do("device_add", driver="nvme", id="d2", drive="two", bus="slot3")
        self.until("[ -b /dev/nvme0n1 ]")
        self.sh("echo 0 >/sys/bus/pci/slots/3/power; [ ! -e /dev/nvme0n1 ]")
        self.sh("echo 1 >/sys/bus/pci/slots/3/power")
        self.until("[ -b /dev/nvme0n1 ]")
        assert storage.sha(self.disks["two"]) in self.sh("sha256sum /dev/nvme0n1")
        assert "d2" in self.names()

    def stopped(self, t):
        """Nobody takes a card away from a guest that does not answer."""
        self.image("one")
        self.qmp.do("device_add", driver="virtio-blk-pci", id="d1", drive="one")
        self.until("[ -b /dev/vda ]")
        assert vm.until(lambda: self.asked_while_stopped("d1"), 120, 0.2)
        assert self.asked("d1") and "d1" in self.names()
        self.qmp.do("cont")
        self.gone("d1")
        # While the machine stands still a card may come, too.
        self.qmp.do("stop")
        self.qmp.do("device_add", driver="virtio-blk-pci", id="d1", drive="one", bus="slot2")
        self.qmp.do("cont")
        self.until("[ -b /dev/vda ]")
        assert storage.sha(self.disks["one"]) in self.sh("sha256sum /dev/vda")

    def reset(self, t):
        """What was to go is gone with a reset; the other card is found by the next boot."""
        self.unplug("d1")
        self.qmp.do("system_reset")
        self.gone("d1")
        t.vm.expect(rb"init: up", 300)
        t.vm.prompt(60)
        self.load()
        self.until("[ -b /dev/nvme0n1 ]")
        assert storage.sha(self.disks["two"]) in self.sh("sha256sum /dev/nvme0n1")
        self.sh("[ ! -e /dev/vda ]")
        self.unplug("d2")
        self.gone("d2")
        for name in ("one", "two"):
            self.qmp.do("blockdev-del", **{"node-name": name})

    def mistakes(self, t):
        add = {"node-name": "m", "driver": "raw", "file": {"filename": self.disks["one"]}}
        device = {"driver": "nvme", "id": "x", "drive": "m"}
        refused = [
            ("blockdev-add", {**add, "node-name": ""}, "is no name"),
            ("blockdev-add", {**add, "node-name": "../m"}, "is no name"),
            ("blockdev-add", {**add, "node-name": "cd0"}, "began with"),
            ("blockdev-add", {**add, "driver": "vmdk"}, "use raw or qcow2"),
            ("blockdev-add", {**add, "driver": "qcow2"}, self.disks["one"]),
            ("blockdev-add", {**add, "file": "f"}, "no object"),
            ("blockdev-add", {**add, "file": {"filename": "/none"}}, "/none"),
            ("blockdev-add", {**add, "cache": {}}, "'cache' is unexpected"),
            ("device_add", device, "can't find value 'm'"),
            ("device_add", {**device, "driver": "vga"}, "not a device that comes"),
            ("device_add", {"driver": "e1000", "id": "x"}, "'netdev' is missing"),
            ("device_add", {**device, "netdev": "m"}, "takes no 'netdev'"),
            ("device_del", {"id": "x"}, "Device 'x' not found"),
            ("device_del", {"id": ""}, "not found"),
            ("device_del", {}, "'id' is missing"),
            ("blockdev-del", {"node-name": "x"}, "Failed to find"),
            ("netdev_add", {"type": "vde", "id": "n"}, "not user or tap"),
            ("netdev_add", {"type": "tap", "id": "n", "ifname": "a" * 99}, "no name of an interface"),
            ("netdev_del", {"id": "n"}, "not found"),
        ]
        for command, arguments, why in refused:
            said = self.qmp.refused(command, **arguments)
            assert why in said, (command, arguments, said)
        self.qmp.do("blockdev-add", **add)
        self.qmp.do("netdev_add", type="user", id="n")
        refused = [
            ("blockdev-add", add, "Duplicate"),
            ("blockdev-add", {**add, "node-name": "m2"}, "in use"),
            ("netdev_add", {"type": "user", "id": "n"}, "Duplicate"),
            ("device_add", {**device, "bus": "slot9"}, "'slot9' not found"),
            ("device_add", {**device, "mac": "1:2"}, "no card's address"),
        ]
        for command, arguments, why in refused:
            said = self.qmp.refused(command, **arguments)
            assert why in said, (command, arguments, said)
        self.qmp.do("device_add", bus="slot1", **device)
        assert "is taken" in self.qmp.refused("device_add", driver="e1000", id="y", netdev="n",
                                              bus="slot1")
        assert "Duplicate" in self.qmp.refused("device_add", driver="e1000", id="x", netdev="n")
        assert "another device" in self.qmp.refused("device_add", **{**device, "id": "y"})
        self.until("[ -b /dev/nvme0n1 ]")

    def ends(self, t):
        """A machine with cards in it."""
        self.qmp.close()
        t.vm.power_off()


def no_slots(t):
    with generic.machine(memory="256M", extra=["--control", t.path("bare")]) as bare:
        bare.prompt(180)
        session = qmp.Qmp(t.path("bare"))
        disk = storage.random_file(t.path("bare.raw"), 1 << 20)
        session.do("blockdev-add", **{"node-name": "m", "driver": "raw", "file": {"filename": disk}})
        for driver, why in (("nvme", "no slots"), ("scsi-hd", "no SCSI adapter")):
            assert why in session.refused("device_add", driver=driver, id="x", drive="m")
        assert "no slot" in session.refused("netdev_add", type="user", id="n")
        # A guest without the driver's slots sees nothing of them.
        assert "pciehp" not in bare.run("ls /sys/bus/pci_express/drivers/pciehp")[0].split()
        bare.power_off()


class Booted(Plug):
    """A machine whose firmware has set the ports up."""

    def __init__(self, t, kind):
        super().__init__(t)
        self.kind = kind

    def boot(self, t):
        socket = t.path(self.kind)
        generic.boot(t, MODULES, memory="512M", net=["none"],
                     extra=["--slots", "2", "--control", socket, "--machine", "q35",
                            "--firmware", self.kind])
        t.sh("stty -echo; dmesg -n 1; PS1=")
        self.qmp = qmp.Qmp(socket)
        self.load()

    def cards(self):
        self.until("[ -b /dev/nvme0n1 -a -e /sys/class/net/eth0 ]")
        assert storage.sha(self.disks["one"]) in self.sh("sha256sum /dev/nvme0n1")
        assert self.sh("readlink /sys/class/net/eth0/device/driver").endswith("/pcnet32")

    def comes(self, t):
        self.image("one")
        self.qmp.do("netdev_add", type="user", id="n1")
        self.qmp.do("device_add", driver="nvme", id="d1", drive="one")
        self.qmp.do("device_add", driver="pcnet", id="c1", netdev="n1")
        self.cards()

    def again(self, t):
        self.qmp.do("system_reset")
        t.vm.expect(rb"init: up", 300)
        t.vm.prompt(60)
        self.load()
        self.cards()
        self.unplug("d1")
        self.gone("d1")


def with_firmware(t, kind):
    p = Booted(t, kind)
    if not t.run(f"{kind}: the kernel boots", p.boot):
        return
    with t.vm:
        t.run(f"{kind}: a disk and a network card come", p.comes)
        t.run(f"{kind}: the firmware finds them after a reset, and a disk goes", p.again)
        t.run(f"{kind}: power-off", p.ends)


def everything(t):
    p = Plug(t)
    if not t.run("the kernel boots", p.boot):
        return
    with t.vm:
        t.run("its driver finds the slots", p.ports)
        t.run("disks come, move data and go", p.disks_come_and_go)
        t.run("network cards come, move data and go", p.cards_come_and_go)
        t.run("a card that is turned off and on stays", p.power)
        t.run("a guest that does not answer keeps its card", p.stopped)
        t.run("a reset ends what was to go", p.reset)
        t.run("mistakes are told", p.mistakes)
        t.run("power-off with a card in a slot", p.ends)
    t.run("a machine without slots says so", no_slots)
    for kind in ("bios", "uefi"):
        with_firmware(t, kind)


if __name__ == "__main__":
    checks.require(["generic"], {"/usr/share/seabios/bios-256k.bin": "seabios",
                                 "/usr/share/OVMF/OVMF_VARS_4M.fd": "ovmf"})
    checks.steps(checks.Checks(), everything)
