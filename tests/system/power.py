#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How a machine ends, or starts again: reset, panic, exit device, time limit."""

import signal
import time

import checks
import overlay
import vm
from checks import Skip


def _boot(t, append="", **options):
    t.vm = vm.Vm(append="console=ttyS0 quiet " + append, memory="256M", **options)
    t.vm.prompt()


def start_again(t):
    _boot(t)
    for _ in range(2):
        t.vm.send("reboot -f\n")
        t.vm.expect("init: up", 60)
        t.vm.prompt()
    assert t.vm.run("echo $((6 * 7))") == ("42", 0)
    t.vm.kill()


def reset_ends(t):
    _boot(t, no_reboot=True)
    t.vm.send("reboot -f\n")
    assert t.vm.wait(30) == 0


def reset_methods(t):
    for method in ("kbd", "acpi", "triple", "pci"):
        _boot(t, f"reboot={method}", no_reboot=True)
        t.vm.send("reboot -f\n")
        try:
            status = t.vm.wait(30)
        except vm.VmError:
            raise AssertionError(f"reboot={method} does not reset") from None
        assert status == 0, f"reboot={method}: status {status}"


def panic(t):
    _boot(t, "panic=-1", no_reboot=True)
    t.vm.send("echo c >/proc/sysrq-trigger\n")
    t.vm.expect("Kernel panic", 30)
    assert t.vm.wait(30) == 0


def job_ends(t):
    t.vm = vm.Vm(append="console=ttyS0 quiet job=/bin/false", memory="256M")
    t.vm.expect("job ended with status 1")
    assert t.vm.wait(30) == 0


def exit_device(t):
    initrd = overlay.test_initrd(t.dir)
    for value in (0, 5, 127):
        _boot(t, initrd=initrd, debug_exit=True)
        t.vm.send(f"/opt/exitwith {value}\n")
        status = t.vm.wait(30)
        assert status == value << 1 | 1, f"value {value}: status {status}"


def no_exit_device(t):
    _boot(t, initrd=overlay.test_initrd(t.dir))
    assert t.vm.run("/opt/exitwith 1") == ("", 0)
    assert t.vm.run("echo alive") == ("alive", 0)
    t.vm.kill()


def time_limit(t):
    if t.monitor != "doppel":
        raise Skip("an option of our monitor")
    t.vm = vm.Vm(memory="256M", extra=["--timeout", "4s"])
    before = time.monotonic()
    status = t.vm.wait(20)
    took = time.monotonic() - before
    assert status != 0 and 3 <= took <= 8, f"status {status} after {took:.1f} s"


def terminated(t):
    _boot(t)
    t.vm.process.send_signal(signal.SIGTERM)
    t.vm.wait(20)


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("a reset boots again", start_again), ("--no-reboot ends with status 0", reset_ends),
        ("every way to reset", reset_methods), ("panic", panic), ("job ends", job_ends),
        ("exit device", exit_device), ("no exit device unless asked for", no_exit_device),
        ("--timeout", time_limit), ("SIGTERM ends it", terminated)])
