#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Suspend to RAM: a guest sleeps, costs nothing meanwhile, and is woken by its alarm, the control
socket, a key or the power button; without firmware and with each; with disks and network.
"""

import hashlib
import os
import time

import checks
import netserver
import vm
from qmp import Qmp

BIOS = "/usr/share/seabios/bios-256k.bin"
OVMF = "/usr/share/OVMF/OVMF_VARS_4M.fd"
DATA = netserver.random_bytes(4 << 20, seed=5)
COMPLAINTS = "grep -E 'WARNING:|BUG:|Call Trace|I/O error|PM: .*(error|fail)|timed out'"


def sleep(t, alarm=None):
    """In the guest's shell; its answer comes when it is awake again."""
    if alarm:
        t.vm.run(f"echo 0 >/sys/class/rtc/rtc0/wakealarm; echo +{alarm} >/sys/class/rtc/rtc0/wakealarm")
    t.vm.send("echo mem >/sys/power/state && echo AWA''KE\n")


def awake(t, cpus):
    t.vm.expect("AWAKE", 60)
    output, status = t.vm.run("nproc; dmesg | " + COMPLAINTS)
    assert (output, status) == (str(cpus), 1), output


def machine(t, *extra, memory="256M", **options):
    control = os.path.join(t.dir, "control")
    t.vm = vm.Vm("doppel", memory=memory, extra=["--control", control, *extra], **options)
    t.vm.prompt(240)
    return control


def wakes(t):
    q = Qmp(machine(t, "--firmware", "bios", cpus=2))
    for how in ("system_wakeup", "system_powerdown", "send-key"):
        sleep(t)
        q.event("SUSPEND")
        assert q.do("query-status") == {"status": "suspended", "singlestep": False,
                                        "running": False}
        before = t.vm.cpu_seconds()
        time.sleep(1)
        assert t.vm.cpu_seconds() - before < 0.1, "a sleeping machine works"
        q.do("stop")  # and paused, it goes on sleeping
        q.do("cont")
        assert q.do("query-status")["status"] == "suspended"
        q.do(how, **({"keys": [{"type": "qcode", "data": "spc"}]} if how == "send-key" else {}))
        q.event("WAKEUP")
        awake(t, 2)
        assert q.do("query-status")["status"] == "running"
    sleep(t)
    q.event("SUSPEND")
    q.do("system_reset")  # instead
    t.vm.expect("init: up", 120)
    t.vm.prompt()
    q.close()
    assert t.vm.power_off() == 0


def stops(t):
    """A guest that powers off by its button, but is not asked to by what wakes it."""
    control = machine(t)
    q = Qmp(control)
    t.vm.send("echo mem >/sys/power/state; n=0; while [ $n = 0 ]; do sleep 1; "
              "read n _ </sys/firmware/acpi/interrupts/ff_pwr_btn; done; poweroff -f\n")
    q.event("SUSPEND")
    q.close()
    assert vm.doppel("stop", "--control", control) == (0, "")
    assert t.vm.wait(10) == 0


def alarm(t, *extra):
    machine(t, *extra, cpus=2)
    for _ in range(2):
        start = time.monotonic()
        sleep(t, alarm=3)
        awake(t, 2)
        assert time.monotonic() - start >= 1, "it did not sleep"
    assert t.vm.power_off() == 0


def alarm_alone(t):
    alarm(t)


def alarm_bios(t):
    alarm(t, "--firmware", "bios", "--machine", "q35")


def alarm_uefi(t):
    if not os.path.exists(OVMF):
        raise checks.Skip("the package ovmf is not installed")
    alarm(t, "--firmware", "uefi")


def debian(t):
    """What is on the disk and in its cache is there afterwards, and so is the network."""
    vm.build_guests("debian")
    server = netserver.FileServer({"/data": DATA})
    machine(t, initrd=None if not os.path.exists(vm.DEBIAN_INITRD) else vm.DEBIAN_INITRD,
            append="root=/dev/vda rw console=ttyS0 quiet", memory="1G", net=True,
            disks=[vm.DEBIAN_DISK + ",snapshot"], cpus=2)
    t.vm.run("dmesg -n 1; stty -echo; cd /srv; bind 'set enable-bracketed-paste off'; PS1= PS2=")
    fetch = f"wget -nv -O data http://{vm.HOST_ADDRESS}:{server.port}/data"
    output, status = t.vm.run("systemctl is-system-running --wait >/dev/null; " + fetch, 240)
    assert status == 0, output
    sleep(t, alarm=4)
    awake(t, 2)
    want = hashlib.md5(DATA).hexdigest()
    output, _ = t.vm.run("md5sum <data; echo 3 >/proc/sys/vm/drop_caches; md5sum <data")
    assert [line.split()[0] for line in output.splitlines()] == [want, want], output
    deadline = time.monotonic() + 60
    while t.vm.run(fetch, 120)[1] != 0:
        assert time.monotonic() < deadline, "the network does not come back"
    assert want in t.vm.run("md5sum <data")[0]
    server.close()
    t.vm.send("poweroff\n")
    assert t.vm.wait(120) == 0


CHECKS = [
    ("a kernel without firmware wakes by its alarm", alarm_alone),
    ("control socket, power button and key wake it", wakes),
    ("doppel stop wakes it and ends it", stops),
    ("BIOS, by the alarm", alarm_bios),
    ("UEFI, by the alarm", alarm_uefi),
    ("Debian with disk and network", debian),
]

if __name__ == "__main__":
    checks.require(["initramfs"], {BIOS: "seabios"})
    checks.main(["initramfs"], CHECKS)
