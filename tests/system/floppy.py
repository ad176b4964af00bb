#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Floppy disks: the driver of Debian's kernel reads and writes every kind that it knows, compared by
checksum; a person changes them; the BIOS boots from one.
"""

import hashlib
import os

import checks
import generic
import qmp
import vm

KINDS = (360, 720, 1200, 1440, 2880)  # KB, those that the driver finds out by itself

# Says so on the serial line, and powers off by the port of the power management block.
BOOT_SECTOR = bytes.fromhex(
    "31c0 8ed8 be2b7c"        # xor ax,ax; mov ds,ax; mov si,text
    "bafd03 ec a820 74fb"     # 1: mov dx,3fd; in al,dx; test al,20; jz $-3
    "ac 84c0 7406"            # lodsb; test al,al; jz 2
    "baf803 ee ebed"          # mov dx,3f8; out dx,al; jmp 1
    "b80102 bb007e b90200 31d2 cd13"  # 2: read sector 2 of cylinder 0
    "faf4")                   # cli; hlt
TEXT = b"booted from a floppy disk\r\n\0"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def image(path, kilobytes):
    data = os.urandom(kilobytes << 10)
    with open(path, "wb") as f:
        f.write(data)
    return sha(data)


def sha_of(path):
    with open(path, "rb") as f:
        return sha(f.read())


def boot(extra):
    m = generic.machine(memory="256M", extra=extra)
    m.prompt(180)
    run(m, "insmod /lib/modules/floppy.ko; mknod /dev/fd1 b 2 1 2>/dev/null; ls /dev/fd0")
    return m


def run(m, command, timeout=240):
    output, status = m.run(command, timeout)
    assert status == 0, f"{command}: {status}\n{output}\n{m.tail()}"
    return output


def kind(kilobytes):
    def check(c):
        path = c.path(f"{kilobytes}.img")
        digest = image(path, kilobytes)
        with boot(["--machine", "pc", "--floppy", path]) as m:
            assert digest in run(m, "sha256sum /dev/fd0")
            run(m, "dd if=/dev/urandom of=/dev/fd0 bs=1k seek=13 count=200 conv=fsync 2>/dev/null; "
                   "echo 3 >/proc/sys/vm/drop_caches")
            assert sha_of(path) != digest
            assert sha_of(path) in run(m, "sha256sum /dev/fd0")
            bad = run(m, "dmesg | grep -i -E 'floppy.*(error|fail|timeout)|I/O error' || true")
            assert not bad, bad
            assert m.power_off() == 0
    return check


def change(c):
    """Two drives; one disk is read-only; a person puts in another one, and takes it out."""
    a, b, other = c.path("a.img"), c.path("b.img"), c.path("other.img")
    first, second, third = image(a, 1440), image(b, 1440), image(other, 720)
    odd = c.path("odd.img")
    image(odd, 700)
    socket = c.path("control")
    with boot(["--machine", "q35", "--floppy", a, "--floppy", b + ",readonly", "--control",
               socket]) as m:
        assert first in run(m, "sha256sum /dev/fd0")
        assert second in run(m, "sha256sum /dev/fd1")
        assert m.run("dd if=/dev/zero of=/dev/fd1 count=1 conv=fsync")[1] != 0
        drives = {d["device"]: d for d in qmp.Qmp(socket).do("query-block")}
        assert drives["floppy1"]["inserted"]["ro"] and drives["floppy0"]["removable"], drives
        insert = ("insert", "--control", socket, "--drive", "floppy0")
        status, out = vm.doppel(*insert, odd)
        assert status == 1 and "no floppy" not in out and "2880" in out, out
        assert first in run(m, "echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/fd0")
        status, out = vm.doppel(*insert, other)
        assert status == 0, out
        assert third in run(m, "sha256sum /dev/fd0")
        status, out = vm.doppel("eject", "--control", socket, "--drive", "floppy0")
        assert status == 0, out
        assert m.run("dd if=/dev/fd0 of=/dev/null count=1", 240)[1] != 0
        assert vm.doppel(*insert, a)[0] == 0
        assert first in run(m, "sha256sum /dev/fd0")
        assert m.power_off() == 0


def firmware(c):
    """The boot sector asks the BIOS for the next one, too, before it halts."""
    path = vm.boot_disk(c.path("boot.img"), BOOT_SECTOR.ljust(0x2b, b"\0") + TEXT, size=1440 << 10)
    with vm.Vm("doppel", kernel=None, initrd=None, append=None, memory="64M",
               extra=["--firmware", "bios", "--floppy", path]) as m:
        m.expect("booted from a floppy disk", 120)


if __name__ == "__main__":
    checks.main(["generic"], [
        *[(f"{n} KB: what is read and written has the image's checksum", kind(n)) for n in KINDS],
        ("two drives, write protection, other disks", change),
        ("the BIOS boots from a floppy disk", firmware),
    ])
