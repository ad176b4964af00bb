#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Suspend to RAM: a guest sleeps, costs nothing meanwhile, and is woken by its alarm, the control
socket, a key or the power button; without firmware and with each; with disks, network and other
devices, each of which its driver finds as it left it.
"""

import hashlib
import os
import shutil
import time

import checks
import generic
import netserver
import picture
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


# TPM2_PCR_Extend of PCR 8 by zeros, with the empty password, and TPM2_PCR_Read of it.
EXTEND = bytes.fromhex("8002 00000041 00000182 00000008 00000009 40000009 0000 00 0000 00000001 000b") + bytes(32)
READ = bytes.fromhex("8001 00000014 0000017e 00000001 000b 03 000100")


def tpm(t, request):
    """The answer to a command."""
    text = "".join(f"\\x{byte:02x}" for byte in request)
    output, _ = t.vm.run(f"printf '{text}' >/tmp/c; exec 3<>/dev/tpm0; cat /tmp/c >&3; "
                         "dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1; exec 3>&-", 60)
    return bytes.fromhex(output)


def shows(t, code, color):
    """The console fills the screen with a colour, and it is to be seen."""
    t.vm.run(f"printf '\\033[{code}m\\033[H\\033[2J' >/dev/tty0")
    path = os.path.join(t.dir, "screen.png")

    def pixel():
        assert vm.doppel("screenshot", "--control", os.path.join(t.dir, "control"), "-o", path) == (0, "")
        p = picture.Picture(path)
        return (p.width, p.height, *p.pixel(p.width // 2, p.height // 2))

    assert vm.until(lambda: pixel() == (1280, 800, *color)), (code, pixel(), t.vm.run("dmesg | tail -n 20")[0])


def check_devices(t, number, color):
    """What was written is there, more can be, the TPM remembers, the screen is drawn."""
    want = [hashlib.md5(DATA).hexdigest()] * 2
    output, _ = t.vm.run("echo 3 >/proc/sys/vm/drop_caches; for d in sda nvme0n1; do "
                         "head -c 4194304 /dev/$d | md5sum; done", 60)
    assert [line.split()[0] for line in output.splitlines()] == want, output
    for disk in ("sda", "nvme0n1"):
        output, status = t.vm.run(f"dd if=/dev/urandom of=/tmp/b bs=4096 count=64 && dd if=/tmp/b of=/dev/{disk} "
                                  f"bs=4096 seek={1024 + 64 * number} conv=fsync && "
                                  f"echo 3 >/proc/sys/vm/drop_caches && dd if=/dev/{disk} bs=4096 count=64 "
                                  f"skip={1024 + 64 * number} | cmp - /tmp/b", 60)
        assert status == 0, output
    pcr = bytes(32)
    for _ in range(number):
        pcr = hashlib.sha256(pcr + bytes(32)).digest()
    answers = tpm(t, READ), tpm(t, EXTEND), tpm(t, READ)
    assert [a[6:10] for a in answers] == [bytes(4)] * 3, answers
    assert answers[0][-32:] == pcr, (number, answers)
    assert answers[2][-32:] == hashlib.sha256(pcr + bytes(32)).digest(), (number, answers)
    shows(t, *color)


def devices(t):
    """
    Disks of AHCI and NVMe, a TPM and a graphics card: as they were, and of use. The card is the VGA,
    because neither Linux' driver of virtio-gpu nor vmwgfx sets up a card that has lost its state.
    """
    if not shutil.which("swtpm"):
        raise checks.Skip("the package swtpm is not installed")
    vm.build_guests("generic")
    disks = [os.path.join(t.dir, bus) for bus in ("ahci", "nvme")]
    for disk in disks:
        with open(disk, "wb") as f:
            f.write(DATA)
            f.truncate(2 * len(DATA))
    generic.boot(t, ["bochs"], memory="512M", cpus=2,
                 disks=[f"{disk},bus={os.path.basename(disk)}" for disk in disks],
                 append="console=tty0 console=ttyS0 quiet fbcon=nodefer consoleblank=0",
                 extra=["--machine", "q35", "--vga", "std", "--tpm", os.path.join(t.dir, "tpm"),
                        "--control", os.path.join(t.dir, "control")])
    t.vm.run("stty -echo; dmesg -n 1; PS1=; mknod /dev/tpm0 c $(tr : ' ' </sys/class/tpm/tpm0/dev)")
    output, status = t.vm.run("/more/load", 60)
    assert status == 0, output
    check_devices(t, 0, (41, (170, 0, 0)))
    for number, color in ((1, (42, (0, 170, 0))), (2, (44, (0, 0, 170)))):
        sleep(t, alarm=3)
        awake(t, 2)
        check_devices(t, number, color)
    assert t.vm.power_off() == 0


CHECKS = [
    ("a kernel without firmware wakes by its alarm", alarm_alone),
    ("control socket, power button and key wake it", wakes),
    ("doppel stop wakes it and ends it", stops),
    ("BIOS, by the alarm", alarm_bios),
    ("UEFI, by the alarm", alarm_uefi),
    ("Debian with disk and network", debian),
    ("AHCI, NVMe, TPM and a graphics card", devices),
]

if __name__ == "__main__":
    checks.require(["initramfs"], {BIOS: "seabios"})
    checks.main(["initramfs"], CHECKS)
