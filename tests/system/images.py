#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disk images: qemu-img and `doppel image` agree about each other's images; machines that are killed
under write load leave images that are whole and hold what the guest has synced; an NVMe disk and
growing disks in a guest.

DOPPEL_KILLS=200 kills more often.
"""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

import checks
import vm

KILLS = int(os.environ.get("DOPPEL_KILLS", "6"))
SIZE = 48 << 20

# Records of 4 KB, each with its number and a checksum; `S n` after the sync of record n.
WRITER = r"""
i=0
while :; do
    at=$(( (i * 7919) % 12000 ))
    { printf '%08d' $i; head -c 4088 /dev/urandom; } | dd of=/dev/vda bs=4096 seek=$at conv=notrunc 2>/dev/null
    [ $((i % 4)) -ne 3 ] || { sync /dev/vda; echo "S $i"; }
    i=$((i+1))
done
"""


def doppel(*words, status=0):
    done = subprocess.run([vm.doppel_binary(), "image", *words], capture_output=True, text=True)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def qemu(*words):
    done = subprocess.run(["qemu-img", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"qemu-img {words}: {done.stdout}{done.stderr}"
    return done.stdout


def same(a, b):
    qemu("compare", "-q", a, b)


def content(path):
    """Half random, half easily compressed, with holes."""
    rng = random.Random(5)
    with open(path, "wb") as f:
        for i in range(SIZE >> 20):
            f.seek(i << 20)
            if i % 3:
                f.write(rng.randbytes(1 << 19) if i % 2 else b"text" * (1 << 17))
        f.truncate(SIZE)


def conversions(d):
    raw, back = f"{d}/raw", f"{d}/back"
    content(raw)
    for number, options in enumerate((["-o", "compat=0.10"], ["-o", "cluster_size=4k"], ["-c"],
                                      ["-c", "-o", "compression_type=zstd"],
                                      ["-o", "lazy_refcounts=on,refcount_bits=64"],
                                      ["-o", "preallocation=metadata"])):
        theirs = f"{d}/theirs{number}"
        qemu("convert", "-O", "qcow2", *options, raw, theirs)
        doppel("check", theirs)
        doppel("convert", "--force", "-O", "raw", theirs, back)
        same(raw, back)
        doppel("resize", theirs, "+1G")
        doppel("snapshot", "create", theirs, "one")
        qemu("check", theirs)
        doppel("snapshot", "apply", theirs, "one")
        doppel("snapshot", "delete", theirs, "one")
        doppel("resize", "--shrink", theirs, "48M")
        qemu("check", theirs)
        same(raw, theirs)
        os.unlink(theirs)
    for size in ("512", "4K", "64K", "2M"):
        doppel("convert", "--force", "--cluster-size", size, raw, f"{d}/ours")
        qemu("check", f"{d}/ours")
        same(raw, f"{d}/ours")


def chains(d):
    raw, top, flat = f"{d}/raw", f"{d}/top", f"{d}/flat"
    doppel("convert", "--force", raw, f"{d}/base")
    doppel("create", "-b", "base", "-F", "qcow2", top)
    subprocess.run(["qemu-io", "-c", "write -P 5 1M 300k", "-c", "write -z 5M 1M", top], check=True,
                   stdout=subprocess.DEVNULL)
    qemu("convert", "-O", "raw", top, flat)
    doppel("convert", "--force", "-O", "raw", top, f"{d}/back")
    same(flat, f"{d}/back")
    doppel("rebase", "-b", "raw", "-F", "raw", top)
    same(flat, top)
    doppel("rebase", "-b", "", top)
    same(flat, top)
    doppel("rebase", "-b", "base", "-F", "qcow2", top)
    doppel("commit", top)
    same(flat, f"{d}/base")
    same(flat, top)
    for name in (top, f"{d}/base"):
        qemu("check", name)


def foreign(d):
    doppel("convert", "-O", "vmdk", f"{d}/raw", f"{d}/f.vmdk")
    doppel("convert", f"{d}/f.vmdk", f"{d}/f.qcow2")
    same(f"{d}/raw", f"{d}/f.qcow2")
    text = doppel("info", f"{d}/f.vmdk", status=1)
    assert "convert" in text, text


def lock(d):
    with vm.Vm(disks=[f"{d}/ours"]) as m:
        m.prompt()
        assert "in use" in doppel("resize", f"{d}/ours", "+1G", status=1)
        done = subprocess.run(["qemu-io", "-c", "write 0 512", f"{d}/ours"], capture_output=True)
        assert done.returncode != 0
        m.power_off()


def start_writer(m):
    m.prompt()
    m.send("cat >/w <<'EOF'\n" + WRITER + "EOF\n")
    m.prompt()
    m.send("sh /w\n")


def last_synced(m):
    return max((int(n) for n in re.findall(rb"^S (\d+)\r?$", bytes(m.output), re.M)), default=-1)


def verify(path, synced):
    """What was synced last in each place, or something that came later, is there."""
    flat = path + ".flat"
    qemu("convert", "-O", "raw", path, flat)
    newest = {(i * 7919) % 12000: i for i in range(synced + 1)}
    with open(flat, "rb") as f:
        for place, i in newest.items():
            f.seek(place * 4096)
            number = f.read(8)
            assert number.isdigit() and int(number) >= i, f"record {i}: {number}"
    os.unlink(flat)


def kill(d, number, rng):
    path = f"{d}/kill"
    words = [["--version", "2"], [], ["--lazy-refcounts"], ["--cluster-size", "4K"]][number % 4]
    doppel("create", "--force", *words, path, "48M")
    with vm.Vm(disks=[path], memory="256M") as m:
        start_writer(m)
        m.expect(r"S 3\r?\n", 120)
        time.sleep(rng.random() * 4)
        m.kill()
        synced = last_synced(m)
    if "--lazy-refcounts" not in words:
        done = subprocess.run(["qemu-img", "check", path], capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: clusters that leaked
    # Opening it for writing repairs version 3; version 2 only forgets space.
    if "2" in words:
        doppel("check", "-r", "leaks", path)
    else:
        doppel("resize", path, "48M")
    qemu("check", path)
    verify(path, synced)
    return synced


def kills(d):
    rng = random.Random(int(os.environ.get("DOPPEL_TEST_SEED", "1")))
    total = sum(kill(d, i, rng) + 1 for i in range(KILLS))
    assert total >= KILLS * 4


def nvme(d):
    digest = hashlib.sha256()
    with open(f"{d}/raw", "rb") as f:
        digest.update(f.read())
    with vm.Vm(initrd=vm.DEBIAN_INITRD, append="root=/dev/vda console=ttyS0 quiet",
               disks=[vm.DEBIAN_DISK + ",snapshot", f"{d}/raw,bus=nvme,readonly",
                      f"{d}/ours,bus=nvme"]) as m:
        m.prompt(240)
        m.run("modprobe nvme; udevadm settle 2>/dev/null; for i in $(seq 100); do "
              "[ -e /dev/nvme1n1 ] && break; sleep .1; done")
        assert digest.hexdigest() in m.run("sha256sum /dev/nvme0n1", 200)[0]
        text, status = m.run("mke2fs -q -F /dev/nvme1n1 && mount /dev/nvme1n1 /mnt && "
                             "cp -r /usr/lib/python3 /mnt/ && umount /mnt && mount /dev/nvme1n1 /mnt "
                             "&& diff -r /usr/lib/python3 /mnt/python3 && umount /mnt", 240)
        assert status == 0, text
        assert m.run("cat /proc/interrupts | grep -c nvme1q")[1] == 0
        m.send("poweroff\n")
        assert m.wait(120) == 0
    qemu("check", f"{d}/ours")


def with_dir(check):
    return lambda c: check(c.dir)


def main():
    if os.environ.get("DOPPEL_MONITOR", "doppel") != "doppel" or not shutil.which("qemu-img"):
        print("skip - all: needs doppel and qemu-img (package qemu-utils)")
        sys.exit(77)
    checks.main(["initramfs", "debian"], [
        ("images of qemu-img are read and changed, ours are good for it", with_dir(conversions)),
        ("backing files: rebase, commit", with_dir(chains)),
        ("other formats", with_dir(foreign)),
        ("a disk in use is locked", with_dir(lock)),
        (f"{KILLS} machines killed under write load", with_dir(kills)),
        ("NVMe disks hold data", with_dir(nvme)),
    ])


if __name__ == "__main__":
    main()
