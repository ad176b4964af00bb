#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
In a container with the usual restrictions: an ordinary user, no /dev/kvm, no io_uring, no
userfaultfd, no perf events, no new privileges. Everything must still work, disk and network too.
"""

import hashlib
import os
import shutil
import subprocess

import checks
import netserver
import vm
from checks import Skip

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = netserver.random_bytes(4 << 20, seed=3)


def start(t):
    t.sandbox = os.path.join(t.dir, "sandbox")
    done = subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", t.sandbox,
                           os.path.join(HERE, "sandbox.c"), "-lseccomp"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if "seccomp.h: No such file" in done.stdout:
        raise Skip("libseccomp-dev is not installed")
    assert done.returncode == 0, done.stdout
    # The ordinary user may be another one than ours: what it needs goes where it can reach it.
    os.chmod(t.dir, 0o755)
    t.kernel = shutil.copy(vm.KERNEL, t.dir)
    t.initrd = shutil.copy(vm.INITRAMFS, t.dir)
    t.disk = os.path.join(t.dir, "disk.raw")
    with open(t.disk, "wb") as f:
        f.write(DATA)
        f.truncate(64 << 20)
    for path in (t.kernel, t.initrd):
        os.chmod(path, 0o644)
    os.chmod(t.disk, 0o666)
    if t.monitor == "doppel":
        os.environ["DOPPEL"] = shutil.copy(vm.doppel_binary(), os.path.join(t.dir, "doppel"))


def restrictions(t):
    for program, number in (("io_uring_setup", 425), ("userfaultfd", 323), ("perf_event_open", 298)):
        script = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); " \
                 f"r = c.syscall({number}, 0, 0, 0, 0, 0); print(r, ctypes.get_errno())"
        done = subprocess.run([t.sandbox, "python3", "-c", script], stdout=subprocess.PIPE,
                              text=True, check=True, cwd="/")
        assert done.stdout.split() == ["-1", "1"], f"{program}: {done.stdout}"


def boot(t):
    t.server = netserver.FileServer({"/data": DATA})
    t.vm = vm.Vm(memory="512M", kernel=t.kernel, initrd=t.initrd, disks=[t.disk], net=True,
                 wrapper=[t.sandbox])
    t.note(f"shell after {t.vm.prompt():.2f} s")
    with open(f"/proc/{t.vm.process.pid}/status", encoding="utf-8") as f:
        status = dict(line.split(":\t") for line in f if ":\t" in line)
    assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1", status
    assert status["CapEff"].strip() == "0" * 16, status["CapEff"]


def disk(t):
    expected = hashlib.md5(DATA).hexdigest()
    output, _ = t.vm.run("dd if=/dev/vda bs=1M count=4 2>/dev/null | md5sum")
    assert output.split()[0] == expected, output
    output, status = t.vm.run("dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=8 && sync")
    assert status == 0, output


def network(t):
    output, status = t.vm.run("udhcpc -i eth0 -n -q -s /etc/udhcpc")
    assert status == 0, output
    output, _ = t.vm.run(f"wget -q -O - http://{vm.HOST_ADDRESS}:{t.server.port}/data | md5sum")
    assert output.split()[0] == hashlib.md5(DATA).hexdigest(), output


def end(t):
    assert t.vm.power_off(30) == 0
    t.server.close()
    with open(t.disk, "rb") as f:
        f.seek(8 << 20)
        assert f.read(len(DATA)) == DATA, "what the guest wrote is not in the image"


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("the sandbox", start), ("its restrictions", restrictions), ("boots in it", boot),
        ("disk", disk), ("network", network), ("power-off", end)])
