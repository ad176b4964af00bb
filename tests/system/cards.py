#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network cards of real PCs: Debian's generic kernel drives them with its own drivers."""

import hashlib
import time

import checks
import generic
import netserver
import vm

DATA = netserver.random_bytes(16 << 20, seed=3)
SUM = hashlib.md5(DATA).hexdigest()
# Card, the kernel's driver, board, how many.
MACHINES = [("e1000", "e1000", "q35", 1), ("e1000", "e1000", "pc", 2),
            ("pcnet", "pcnet32", "q35", 1), ("pcnet", "pcnet32", "pc", 3)]


class Cards:
    def __init__(self, model, driver, board, count):
        self.model, self.driver, self.board, self.count = model, driver, board, count

    def start(self, t):
        t.server = netserver.FileServer({"/data": DATA})
        t.vm = generic.machine(memory="256M", net=[f"user,model={self.model}"] * self.count,
                               extra=["--machine", self.board])
        t.vm.prompt()
        t.vm.run("stty -echo; dmesg -n 1; PS1=")

    def bound(self, t):
        for i in range(self.count):
            output, _ = t.vm.run(f"readlink /sys/class/net/eth{i}/device/driver")
            assert output.endswith("/" + self.driver), output
            output, _ = t.vm.run(f"cat /sys/class/net/eth{i}/address")
            assert output == f"52:54:00:12:34:{0x56 + i:02x}", output

    def lease(self, t):
        for i in range(self.count):
            t.vm.run(f"ifconfig eth{i} up")
            output, status = t.vm.run(f"udhcpc -i eth{i} -n -q -s /etc/udhcpc", 90)
            assert status == 0 and "lease: address 10.0.2.15" in output, output
            assert t.vm.run(f"cat /sys/class/net/eth{i}/carrier")[0] == "1"
            # One at a time is on this network.
            output, status = t.vm.run(f"ping -c 3 -i 0.2 {vm.HOST_ADDRESS}")
            assert status == 0, output
            if i + 1 < self.count:
                t.vm.run(f"ifconfig eth{i} 0.0.0.0 down")

    def counter(self, t, name):
        card = f"eth{self.count - 1}"
        return int(t.vm.run(f"cat /sys/class/net/{card}/statistics/{name}")[0])

    def rate(self, t, before, what):
        t.note(f"{self.model}: {len(DATA) * 8 / (time.monotonic() - before) / 1e6:.0f} Mbit/s {what}")

    def download(self, t):
        frames, octets = self.counter(t, "rx_packets"), self.counter(t, "rx_bytes")
        before = time.monotonic()
        output, status = t.vm.run(
            f"wget -q -O /tmp/data http://{vm.HOST_ADDRESS}:{t.server.port}/data", 180)
        assert status == 0, output
        self.rate(t, before, "to the guest")
        assert t.vm.run("md5sum /tmp/data")[0].split()[0] == SUM
        # The wire carries frames of its MTU.
        assert self.counter(t, "rx_packets") - frames >= len(DATA) // 1460
        assert self.counter(t, "rx_bytes") - octets >= len(DATA)

    def upload(self, t):
        octets = self.counter(t, "tx_bytes")
        sink = netserver.Sink()
        before = time.monotonic()
        output, status = t.vm.run(f"nc {vm.HOST_ADDRESS} {sink.port} </tmp/data", 180)
        assert status == 0, output
        assert sink.result() == SUM, f"{sink.size} bytes arrived"
        self.rate(t, before, "from the guest")
        assert self.counter(t, "tx_bytes") - octets >= len(DATA)

    def clean(self, t):
        """Nothing was lost or wrong on the way, and the driver had nothing to complain of."""
        for name in ("rx_errors", "tx_errors", "rx_crc_errors", "tx_dropped", "collisions"):
            assert self.counter(t, name) == 0, name
        output, _ = t.vm.run(f"dmesg | grep -iE '{self.driver}.*(hang|timed out|fail|error)'")
        assert output == "", output

    def again(self, t):
        t.vm.run(f"rmmod {self.driver}; insmod /lib/modules/{self.driver}.ko")
        card = f"eth{self.count - 1}"
        output, status = t.vm.run(f"ifconfig {card} up; udhcpc -i {card} -n -q -s /etc/udhcpc", 90)
        assert status == 0, output
        assert t.vm.run(f"wget -q -O - http://{vm.HOST_ADDRESS}:{t.server.port}/data | md5sum",
                        180)[0].split()[0] == SUM

    def end(self, t):
        assert t.vm.power_off(60) == 0
        t.server.close()

    def checks(self):
        name = f"{self.count} {self.model} on {self.board}: "
        return [(name + what, function) for what, function in (
            ("boot", self.start), ("driver and address", self.bound), ("link and DHCP", self.lease),
            ("file to the guest", self.download), ("file from the guest", self.upload),
            ("no errors", self.clean), ("driver out and in again", self.again),
            ("power-off", self.end))]


def full(board):
    """All that a board may have at once finds a slot."""
    def check(t):
        disk = vm.INITRAMFS + ",readonly,format=raw"
        with vm.Vm(memory="256M", append="console=ttyS0 quiet job=/bin/true", disks=[disk] * 20,
                   net=["user", "user,model=e1000", "user,model=pcnet"],
                   extra=["--machine", board, "--vga", "std", "--watchdog", "reset"]) as machine:
            assert machine.wait(90) == 0, machine.tail()
            assert b"job ended with status 0" in machine.output, machine.tail()
    return check


if __name__ == "__main__":
    checks.main(["initramfs", "generic"],
                [c for m in MACHINES for c in Cards(*m).checks()] +
                [(f"a full board: {board}", full(board)) for board in ("q35", "pc")])
