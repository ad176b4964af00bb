#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network cards on taps, in a network namespace of the test's own."""

import hashlib
import socket
import sys
import time

import checks
import netns
import netserver
import vm

DATA = netserver.random_bytes(32 << 20)
SUM = hashlib.md5(DATA).hexdigest()


def start(t):
    netns.ip("link set lo up")
    netns.tap("tap0", "10.1.0.1/24")
    netns.ip("link add br0 type bridge")
    netns.ip("addr add 10.2.0.1/24 dev br0")
    netns.ip("link set br0 up")
    t.vm = vm.Vm(memory="256M", net=["tap,ifname=tap0,mac=52:54:00:00:00:77",
                                     "tap,ifname=tap1,bridge=br0"])
    t.vm.prompt()
    t.vm.run("stty -echo; ifconfig eth0 10.1.0.2 netmask 255.255.255.0; "
             "ifconfig eth1 10.2.0.2 netmask 255.255.255.0")


def addresses(t):
    output, _ = t.vm.run("cat /sys/class/net/eth0/address /sys/class/net/eth1/address")
    assert output.split()[:2] == ["52:54:00:00:00:77", "52:54:00:12:34:57"], output


def ping(t):
    for address in ("10.1.0.1", "10.2.0.1"):
        output, status = t.vm.run(f"ping -c 3 -i 0.2 {address}")
        assert status == 0 and "3 packets received" in output, output


def accept_from(listener, send):
    connection, _ = listener.accept()
    with connection:
        if send:
            connection.sendall(DATA)
            connection.shutdown(socket.SHUT_WR)
        digest = hashlib.md5()
        while data := connection.recv(1 << 18):
            digest.update(data)
    return digest.hexdigest()


def both_ways(t, address):
    with socket.create_server((address, 0)) as listener:
        port = listener.getsockname()[1]
        t.vm.send(f"nc {address} {port} </dev/null >/tmp/data; echo REC''EIVED\n")
        before = time.monotonic()
        accept_from(listener, True)
        t.vm.expect("RECEIVED")
        t.note(f"{len(DATA) * 8 / (time.monotonic() - before) / 1e6:.0f} Mbit/s to the guest")
        output, _ = t.vm.run("md5sum /tmp/data")
        assert output.split()[0] == SUM, output
        t.vm.send(f"nc {address} {port} </tmp/data\n")
        before = time.monotonic()
        assert accept_from(listener, False) == SUM
        t.note(f"{len(DATA) * 8 / (time.monotonic() - before) / 1e6:.0f} Mbit/s from the guest")


def transfer(t):
    both_ways(t, "10.1.0.1")


def bridged(t):
    both_ways(t, "10.2.0.1")


def large_frames(t):
    """A stream crosses in frames beyond the MTU, in both directions."""
    before = [netns.counter("tap0", w) for w in ("tx_packets", "rx_packets")]
    both_ways(t, "10.1.0.1")
    after = [netns.counter("tap0", w) for w in ("tx_packets", "rx_packets")]
    # By itself each direction's data would be 22,000 frames, and half as many acknowledgements.
    frames = [b - a for a, b in zip(before, after)]
    assert max(frames) < 10000, frames


def without_offloads(t):
    """A driver that leaves nothing to the card sends frames of the MTU with their sums."""
    t.vm.run("ifconfig eth0 down; rmmod virtio_net; insmod /lib/modules/virtio_net.ko "
             "csum=0 gso=0; ifconfig eth0 10.1.0.2 netmask 255.255.255.0")
    before = netns.counter("tap0", "rx_packets")
    both_ways(t, "10.1.0.1")
    assert netns.counter("tap0", "rx_packets") - before > 20000


def deleted(t):
    """Without its interface the machine goes on, and does not look for frames all the time."""
    netns.ip("link del tap0")
    before = t.vm.cpu_seconds()
    time.sleep(2)
    used = t.vm.cpu_seconds() - before
    assert used < 1, f"{used} s of 2 s"
    t.vm.run("ifconfig eth1 10.2.0.2 netmask 255.255.255.0")
    output, status = t.vm.run("ping -c 3 -i 0.2 10.2.0.1")
    assert status == 0, output


def end(t):
    assert t.vm.power_off(30) == 0


if __name__ == "__main__":
    reason = netns.enter()
    if reason:
        print(f"skip - all: {reason}")
        sys.exit(77)
    checks.main(["initramfs"], [
        ("two network cards", start), ("their addresses", addresses), ("ping", ping),
        ("files both ways", transfer), ("files both ways over a bridge", bridged),
        ("frames are large", large_frames), ("a driver without offloads", without_offloads),
        ("an interface that is deleted", deleted), ("power-off", end)])
