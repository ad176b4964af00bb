#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A TPM: Linux's tpm_tis binds to the one that ACPI names, and commands through /dev/tpm0 are carried
out by swtpm: a PCR is extended and has the value that follows, a reset clears it, and what is to
last is there for the next machine; by a swtpm that is started, and by one that listens. Firmware
hands the ACPI tables on, too.
"""

import hashlib
import os
import subprocess

import checks
import generic
import vm

PCR = 16


def command(code, body, tag=0x8001):
    return (tag.to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body)


READ = command(0x17e, bytes.fromhex("00000001" "000b" "03") + (1 << PCR).to_bytes(3, "little"))
SESSION = bytes.fromhex("00000009" "40000009" "0000" "00" "0000")  # the empty password
EXTEND = command(0x182, PCR.to_bytes(4, "big") + SESSION + bytes.fromhex("00000001" "000b") + bytes(range(32)),
                 0x8002)
NV = 0x1500001
DEFINE = command(0x12a, bytes.fromhex("40000001") + SESSION + bytes.fromhex("0000" "000e") +
                 NV.to_bytes(4, "big") + bytes.fromhex("000b" "00040004" "0000" "0008"), 0x8002)
WRITE = command(0x137, bytes.fromhex("01500001" "01500001") + SESSION + b"\0\x08remember" + b"\0\0", 0x8002)
NV_READ = command(0x14e, bytes.fromhex("01500001" "01500001") + SESSION + b"\0\x08\0\0", 0x8002)


class Tpm(checks.Checks):
    def start(self, where, **options):
        self.vm = generic.machine(memory="256M", extra=["--tpm", where], **options)
        self.vm.prompt(300)

    def ask(self, request):
        """The answer to a command, in hexadecimal digits."""
        text = "".join(f"\\x{b:02x}" for b in request)
        out, _ = self.vm.run(f"exec 3<>/dev/tpm0; printf '{text}' > /tmp/c; cat /tmp/c >&3; "
                             "dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1; exec 3>&-", 60)
        return "".join(out.split())

    def pcr(self):
        return self.ask(READ)[-64:]

    def bound(self):
        self.start(self.path("state"))
        out, _ = self.vm.run("dmesg | grep -i tpm; cat /sys/class/tpm/tpm0/tpm_version_major; "
                             "readlink /sys/class/tpm/tpm0/device/driver; mknod /dev/tpm0 c "
                             "$(tr : ' ' < /sys/class/tpm/tpm0/dev) 2>/dev/null; ls /dev/tpm0")
        self.check("tpm_tis binds to a TPM 2.0", "tpm_tis" in out and "\n2" in out and
                   "/dev/tpm0" in out, out)

    def measures(self):
        before = self.pcr()
        answer = self.ask(EXTEND)
        want = hashlib.sha256(bytes(32) + bytes(range(32))).hexdigest()
        self.check("a PCR is extended", before == "0" * 64 and self.pcr() == want,
                   (before, answer, self.pcr(), want))
        answers = [self.ask(request)[12:20] for request in (DEFINE, WRITE)]
        self.check("memory is defined and written", answers == ["00000000"] * 2, answers)

    def after_reset(self):
        self.vm.send("reboot -f\n")
        self.vm.expect("init: up", 300)
        self.vm.prompt(300)
        self.check("a reset clears the PCR", self.pcr() == "0" * 64, self.pcr())
        self.vm.send("poweroff -f\n")
        self.vm.wait(60)

    def next_machine(self):
        self.start(self.path("state"))
        answer = bytes.fromhex(self.ask(NV_READ))
        self.check("the next machine reads what was written", b"remember" in answer, answer.hex())
        self.vm.kill()

    def listening(self):
        """A swtpm of somebody else, under firmware."""
        socket = self.path("ctrl")
        os.mkdir(self.path("other"))
        with subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + self.path("other"),
                               "--ctrl", "type=unixio,path=" + socket]) as process:
            vm.until(lambda: os.path.exists(socket), 20)
            self.vm = generic.machine(memory="512M", extra=["--tpm", "unix:" + socket, "--firmware", "uefi"])
            self.vm.prompt(300)
            self.check("under UEFI, with a swtpm that listens", self.pcr() == "0" * 64, self.pcr())
            self.vm.kill()
            process.kill()


if __name__ == "__main__":
    checks.require(["generic"], packages={"swtpm": "swtpm"})
    checks.steps(Tpm(), Tpm.bound, Tpm.measures, Tpm.after_reset, Tpm.next_machine, Tpm.listening)
