#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian disk: login shell, network, everyday programs, and a clean file system afterwards."""

import hashlib
import os
import subprocess
import time

import checks
import netserver
import vm

DATA = netserver.random_bytes(20 << 20, seed=2)
PROGRAM = """
#include <math.h>
#include <stdio.h>
int main(void)
{
    double sum = 0;
    for (int i = 1; i <= 1000000; i++)
        sum += sin(i) / i;
    printf("%.15f\\n", sum);
    return 42;
}
"""


def start(t):
    t.disk = vm.copy_disk(vm.DEBIAN_DISK, t.dir)
    t.vm = vm.Vm(append="root=/dev/vda rw console=ttyS0 quiet", disks=[t.disk], net=True)
    t.note(f"login shell after {t.vm.prompt(300):.1f} s")
    t.vm.run("dmesg -n 1; stty -echo; cd /srv; bind 'set enable-bracketed-paste off'; PS1= PS2=")


def boot_finishes(t):
    output, status = t.vm.run("systemctl is-system-running --wait", 180)
    failed, _ = t.vm.run("systemctl --no-pager --failed --plain --no-legend")
    assert status == 0, f"{output}: {failed}"
    t.note(t.vm.run("systemd-analyze time")[0].splitlines()[0])


def lease(t):
    deadline = time.monotonic() + 60 * vm.PATIENCE
    output = ""
    while "10.0.2." not in output and time.monotonic() < deadline:
        output, _ = t.vm.run("networkctl --no-pager status 2>&1; ip -4 addr show scope global; sleep 0.5")
    assert "10.0.2.15" in output, output
    output, _ = t.vm.run("ip route")
    assert "default via 10.0.2.2" in output, output


def download(t):
    server = netserver.FileServer({"/data": DATA})
    output, status = t.vm.run(
        f"wget -nv -O data http://{vm.HOST_ADDRESS}:{server.port}/data", 180)
    server.close()
    assert status == 0, output
    output, _ = t.vm.run("md5sum data")
    assert output.split()[0] == hashlib.md5(DATA).hexdigest(), output


def apt(t):
    output, status = t.vm.run("apt-get --version")
    assert status == 0 and output.startswith("apt 2."), output


def python(t):
    assert t.vm.run("python3 -c 'print(2**100)'", 120) == (str(2 ** 100), 0)
    command = "import hashlib; print(hashlib.sha256(b'x' * 10**6).hexdigest())"
    assert t.vm.run(f'python3 -c "{command}"') == (hashlib.sha256(b"x" * 10**6).hexdigest(), 0)


def large_file(t):
    # 200 MB: the same 20 MB ten times.
    t.vm.run("for i in 0 1 2 3 4 5 6 7 8 9; do cat data; done >large; sync", 300)
    expected = hashlib.sha256(DATA * 10).hexdigest()
    for _ in range(2):
        output, status = t.vm.run("sha256sum large", 300)
        assert status == 0 and output.split()[0] == expected, output
        t.vm.run("echo 3 >/proc/sys/vm/drop_caches")


def compiler(t):
    source = os.path.join(t.dir, "sum.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(PROGRAM)
    native = os.path.join(t.dir, "sum")
    subprocess.run(["cc", "-O2", "-o", native, source, "-lm"], check=True)
    expected = subprocess.run([native], stdout=subprocess.PIPE, text=True, check=False)
    t.vm.run("cat >sum.c <<'EOF'\n" + PROGRAM + "EOF")
    output, status = t.vm.run("gcc -O2 -o sum sum.c -lm && ./sum", 180)
    assert (output, status) == (expected.stdout.strip(), expected.returncode), output


def disk_under_load(t):
    output, status = t.vm.run(
        "fio --name=t --filename=fio.dat --size=32M --rw=randrw --bs=4k --ioengine=libaio "
        "--iodepth=16 --verify=crc32c --do_verify=1 --direct=1 --numjobs=1 --group_reporting "
        "--output-format=terse", 300)
    assert status == 0, output
    t.vm.run("rm fio.dat")


def trim(t):
    output, status = t.vm.run("rm -f large; sync; fstrim -v /", 120)
    assert status == 0, output
    used = os.stat(t.disk).st_blocks * 512
    t.note(f"the image takes {used >> 20} MB; fstrim says {output}")
    assert used < 1200 << 20, f"{used >> 20} MB"


def stress(t):
    for kind in ("cpu", "vm", "fork", "switch", "pipe", "io"):
        extra = "--vm-bytes 64M" if kind == "vm" else ""
        output, status = t.vm.run(f"stress-ng --{kind} 2 {extra} --timeout 3s 2>&1", 120)
        assert status == 0, output


def no_complaints(t):
    output, _ = t.vm.run("dmesg --level=emerg,alert,crit,err,warn | "
                         "grep -E 'WARNING:|BUG:|Oops|Call Trace|stall|unstable|lockup|I/O error'")
    assert not output, output


def power_off(t):
    t.vm.send("echo written in the guest >/srv/marker; poweroff\n")
    began = time.monotonic()
    assert t.vm.wait(120) == 0
    t.note(f"power-off took {time.monotonic() - began:.1f} s")
    t.vm = None


def _tool(*words):
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def clean_file_system(t):
    done = _tool("fsck.ext4", "-fn", t.disk)
    assert done.returncode == 0, done.stdout


def marker(t):
    done = _tool("debugfs", "-R", "cat /srv/marker", t.disk)
    assert "written in the guest\n" in done.stdout, done.stdout
    out = os.path.join(t.dir, "data")
    _tool("debugfs", "-R", f"dump /srv/data {out}", t.disk)
    with open(out, "rb") as f:
        assert hashlib.md5(f.read()).digest() == hashlib.md5(DATA).digest(), "contents differ"


def snapshot_disk(t):
    before = os.stat(t.disk).st_mtime_ns
    t.vm = vm.Vm(append="root=/dev/vda rw console=ttyS0 quiet", disks=[t.disk + ",snapshot"])
    t.vm.prompt(300)
    t.vm.run("cat /srv/marker; echo changed >/srv/marker; sync")
    t.vm.send("poweroff\n")
    assert t.vm.wait(120) == 0
    assert os.stat(t.disk).st_mtime_ns == before, "the image was written"


def stock_initrd(t):
    """Debian's own initial RAM disk, with udev and its scripts."""
    t.vm = vm.Vm(append="root=/dev/vda ro console=ttyS0 quiet", disks=[t.disk],
                 initrd=vm.DEBIAN_INITRD)
    t.note(f"login shell after {t.vm.prompt(300):.1f} s")
    assert t.vm.run("cat /srv/marker")[0] == "written in the guest"
    t.vm.send("poweroff\n")
    assert t.vm.wait(120) == 0


if __name__ == "__main__":
    checks.main(["debian"], [
        ("boots to a login shell", start), ("the boot finishes", boot_finishes),
        ("address by DHCP", lease), ("download of 20 MB", download), ("apt-get", apt),
        ("python3", python), ("sha256sum of 200 MB", large_file), ("gcc", compiler),
        ("fio with verification", disk_under_load), ("discard", trim), ("stress-ng", stress),
        ("no kernel complaints", no_complaints), ("power-off", power_off),
        ("the file system is clean", clean_file_system), ("files of the guest", marker),
        ("snapshot disk", snapshot_disk), ("Debian's own initial RAM disk", stock_initrd)])
