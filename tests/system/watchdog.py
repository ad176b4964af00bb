#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The watchdog: Debian's i6300esb binds, keeps the machine alive while it is fed, and makes what was
asked for happen when it is not.
"""

import time

import checks
import generic
import qmp


class Watchdog(checks.Checks):
    def start(self, action):
        self.socket = self.path(action + ".control")
        generic.boot(self, ["i6300esb"], memory="256M",
                     extra=["--watchdog", action, "--control", self.socket])
        out, status = self.vm.run("/more/load; cat /sys/class/watchdog/watchdog0/identity "
                                  "/sys/class/watchdog/watchdog0/bootstatus", 60)
        assert status == 0, out
        return out.replace("\r", "")

    def expire(self):
        """Starts the watchdog with its shortest time and does not feed it."""
        self.vm.send("watchdog -T 2 -t 1 -F /dev/watchdog & sleep 6; echo f''ed; killall -9 watchdog\n")

    def reset(self):
        out = self.start("reset")
        self.check("i6300esb binds", "i6300ESB timer" in out and "\n0" in out, out)
        session = qmp.Qmp(self.socket)
        began = time.monotonic()
        self.expire()
        self.vm.expect("fed", 60)
        self.check("a watchdog that is fed does nothing", time.monotonic() - began > 5)
        event = session.event("WATCHDOG")
        self.check("one that is not resets the machine",
                   event["data"] == {"action": "reset"}, event)
        session.close()
        self.vm.expect("init: up", 300)
        self.vm.prompt(300)
        out = self.vm.run("/more/load; cat /sys/class/watchdog/watchdog0/bootstatus", 60)[0]
        self.check("and the guest finds out why it was reset", "32" in out, out)
        self.vm.kill()

    def power_off(self):
        self.start("poweroff")
        self.expire()
        self.check("poweroff", self.vm.wait(90) == 0)

    def pause(self):
        self.start("pause")
        session = qmp.Qmp(self.socket)
        self.expire()
        session.event("WATCHDOG")
        end = time.monotonic() + 10
        while session.do("query-status")["status"] != "paused" and time.monotonic() < end:
            time.sleep(0.1)
        self.check("pause", session.do("query-status")["status"] == "paused")
        session.close()
        self.vm.kill()


if __name__ == "__main__":
    checks.require(["generic"])
    checks.steps(Watchdog(), Watchdog.reset, Watchdog.power_off, Watchdog.pause)
