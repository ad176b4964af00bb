#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
memtest86+ of Debian's package, started by both firmwares on one and on two processors: it finds all
of its tests but the last without an error. The last one waits minutes for bits to fade;
scripts/endurance has it, and so whole passes.
"""

import os
import re

import checks
import vm

BIOS = "/usr/share/seabios/bios-256k.bin"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
IMAGE = {"bios": "/boot/memtest86+x64.bin", "uefi": "/boot/memtest86+x64.efi"}
MEMORY = {"bios": "32M", "uefi": "64M"}
LAST_TEST = r"#10 +\[Bit fade"
WHOLE_PASS = r"Pass: +1 +Errors: +"
BUSY = "it measured its clock while the host was too busy: the last test would take hours"


def start(firmware, cpus):
    """A machine that tests its memory; what memtest86+ shows comes by the serial port, too."""
    return vm.Vm("doppel", memory=MEMORY[firmware], cpus=cpus, kernel=IMAGE[firmware], initrd=None,
                 append="console=ttyS0,115200 nopause",
                 extra=["--firmware", firmware, "--vga", "std"])


def errors(machine):
    """How many it has found, as the screen was last drawn."""
    counts = re.findall(rb"Errors: +(\d+)", bytes(machine.output))
    return int(counts[-1]) if counts else None


def clock(machine):
    """The frequency that it has measured, in MHz: its seconds are as long as that is right."""
    machine.expect("CLK/Temp: +", 60)
    return int(machine.expect(r"(\d+)MHz", 20).group(1))


def test(firmware, cpus, until, limit):
    """Sentence about what went wrong, or nothing."""
    with start(firmware, cpus) as machine:
        try:
            if clock(machine) > 10000 and until == WHOLE_PASS:
                return BUSY
            machine.expect(until, limit)
            machine.expect(r"Errors: +\d" if until == LAST_TEST else r"\d", 20)
        except vm.VmError as error:
            return str(error)
        found = errors(machine)
        return None if found == 0 else f"{found} errors"


class Tests(checks.Checks):
    def both(self):
        for firmware, cpus in (("bios", 2), ("uefi", 1)):
            if firmware == "uefi" and not os.path.exists(VARS):
                self.report("skip", "UEFI", "the package ovmf is not installed")
                continue
            trouble = test(firmware, cpus, LAST_TEST, 240)
            self.check(f"memory is good: {firmware}, {cpus} CPUs", trouble is None, trouble)


if __name__ == "__main__":
    checks.require(packages={BIOS: "seabios", IMAGE["bios"]: "memtest86+"})
    checks.steps(Tests(), Tests.both)
