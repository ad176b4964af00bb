#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The network card and the NAT behind it, with busybox at the guest's end."""

import hashlib
import socket
import time

import checks
import netserver
import vm

DATA = netserver.random_bytes(16 << 20)


def start(t):
    t.server = netserver.FileServer({"/data": DATA, "/empty": b""})
    t.forward = netserver.free_port()
    t.vm = vm.Vm(memory="256M", net=f"hostfwd=tcp:127.0.0.1:{t.forward}-:8080")
    t.vm.prompt()


def lease(t):
    output, status = t.vm.run("udhcpc -i eth0 -n -q -s /etc/udhcpc")
    assert status == 0 and "lease: address 10.0.2.15 router 10.0.2.2" in output, output


def ping(t):
    output, status = t.vm.run(f"ping -c 3 -i 0.2 {vm.HOST_ADDRESS}")
    assert status == 0, output


def download(t):
    before = time.monotonic()
    output, status = t.vm.run(
        f"wget -q -O /tmp/data http://{vm.HOST_ADDRESS}:{t.server.port}/data", 120)
    took = time.monotonic() - before
    assert status == 0, output
    t.note(f"{len(DATA) / took / 1e6:.1f} MB/s to the guest")
    output, _ = t.vm.run("md5sum /tmp/data")
    assert output.split()[0] == hashlib.md5(DATA).hexdigest(), output


def many_connections(t):
    url = f"http://{vm.HOST_ADDRESS}:{t.server.port}"
    output, _ = t.vm.run(f"n=0; for i in $(seq 50); do wget -q -O /dev/null {url}/empty && "
                         "n=$((n + 1)); done; echo $n", 120)
    assert output == "50", output
    assert t.vm.run(f"wget -q -O /dev/null {url}/missing")[1] != 0


def upload(t):
    sink = netserver.Sink()
    output, status = t.vm.run(f"nc {vm.HOST_ADDRESS} {sink.port} </tmp/data", 120)
    assert status == 0, output
    assert sink.result() == hashlib.md5(DATA).hexdigest(), f"{sink.size} bytes arrived"


def forwarded_port(t):
    t.vm.run("(nc -l -p 8080 -e /bin/echo from-the-guest) >/dev/null 2>&1 &")
    deadline = time.monotonic() + 20
    answer = b""
    while not answer and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", t.forward), 5) as s:
                s.settimeout(5)
                answer = s.recv(100)
        except OSError:
            pass
        if not answer:
            time.sleep(0.3)
    assert answer == b"from-the-guest\n", answer


def refused(t):
    port = netserver.free_port()
    assert t.vm.run(f"nc -w 5 {vm.HOST_ADDRESS} {port} </dev/null")[1] != 0


def link_again(t):
    t.vm.run("ifconfig eth0 down; rmmod virtio_net && insmod /lib/modules/virtio_net.ko")
    output, status = t.vm.run("udhcpc -i eth0 -n -q -s /etc/udhcpc")
    assert status == 0 and "lease:" in output, output


def end(t):
    assert t.vm.power_off(30) == 0
    t.server.close()


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("boots with a network card", start), ("address by DHCP", lease),
        ("ping of the gateway", ping), ("download of 16 MB", download),
        ("many connections", many_connections), ("upload of 16 MB", upload),
        ("forwarded port", forwarded_port), ("refused connection", refused),
        ("the driver taken out and in again", link_again), ("power-off", end)])
