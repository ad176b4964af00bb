#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The parallel port: Debian's parport_pc and lp bind, and what is printed arrives in a file, by
interrupts as well as without, and at a listening socket.
"""

import hashlib
import os
import socket
import time

import checks
import generic
import vm


class Parallel(checks.Checks):
    def start(self, where):
        generic.boot(self, ["parport_pc", "lp"], memory="256M", extra=["--parallel", where])

    def bound(self):
        self.paper = self.path("paper")
        self.start("file:" + self.paper)
        out = self.sh("/more/load; dmesg | grep -e parport -e lp0; grep parport /proc/ioports /proc/interrupts; "
                      "ls /dev/lp0; head -c 100000 /bin/busybox > /tmp/page; sha256sum < /tmp/page", 120)
        self.check("parport_pc binds to the device that ACPI names", "PC-style at 0x378" in out and
                   "irq 7" in out and "PCSPP,TRISTATE" in out, out)
        self.check("lp binds", "/dev/lp0" in out and "lp0: using parport0" in out, out)
        self.page = out.strip().split()[-2]

    def printed(self, size):
        vm.until(lambda: os.path.getsize(self.paper) >= size)
        with open(self.paper, "rb") as f:
            return f.read()

    def by_irq(self):
        out = self.sh("grep parport /proc/interrupts; cat /tmp/page > /dev/lp0 && echo do''ne; "
                      "grep parport /proc/interrupts", 120)
        paper = self.printed(100000)
        self.check("what is printed arrives", "done" in out and
                   hashlib.sha256(paper).hexdigest() == self.page, (out, len(paper)))
        counts = [int(line.split()[1]) for line in out.splitlines() if "parport" in line]
        self.check("with interrupts", len(counts) == 2 and counts[1] > counts[0], out)

    def polled(self):
        out = self.sh("rmmod lp parport_pc; "
                      "insmod /more/parport_pc.ko io=0x378 irq=none; insmod /more/lp.ko; "
                      "cat /tmp/page > /dev/lp0 && echo do''ne", 120)
        paper = self.printed(200000)
        self.check("without interrupts, too", "done" in out and len(paper) == 200000 and
                   hashlib.sha256(paper[100000:]).hexdigest() == self.page, (out, len(paper)))
        self.vm.kill()

    def at_socket(self):
        self.start("unix:" + self.path("lpt"))
        self.sh("/more/load", 120)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60 * vm.PATIENCE)
            s.connect(self.path("lpt"))
            time.sleep(0.5)
            self.sh("echo hello, printer > /dev/lp0", 120)
            self.check("a socket hears the same", s.recv(64).startswith(b"h"))


if __name__ == "__main__":
    checks.require(["generic"])
    checks.steps(Parallel(), Parallel.bound, Parallel.by_irq, Parallel.polled, Parallel.at_socket)
