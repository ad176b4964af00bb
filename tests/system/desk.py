#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Screen, keyboard and pointer with the drivers of Debian's generic kernel: bochs-drm, atkbd, psmouse,
virtio_input. A shell on the serial port looks at what they say.
"""

import os
import threading

import checks
import installer
import qmp
import vm

WIDTH, HEIGHT = 1280, 800

MODULES = ["bochs", "psmouse", "virtio_input", "evdev", "virtio_pci"]


class Tests(installer.Shell):
    def __init__(self):
        super().__init__("desk")

    def start(self):
        self.boot(MODULES, "console=tty0 console=ttyS0 quiet fbcon=nodefer")
        self.until("bochs", "cat /sys/class/graphics/fb0/name 2>/dev/null")

    # --- screen ----------------------------------------------------------------------------

    def screen(self):
        size = self.sh("cat /sys/class/graphics/fb0/virtual_size")
        self.check("bochs-drm takes the size that the monitor prefers", size == f"{WIDTH},{HEIGHT}",
                   size)
        edid = self.sh("cat /sys/class/drm/card0-*/edid | wc -c")
        self.check("and reads its EDID", edid == "128", edid)
        self.stripes((WIDTH, HEIGHT), "what fbcon draws is on the screen", "and on the viewer's")

    # --- keyboard and pointer --------------------------------------------------------------

    def keyboard(self):
        # EV_MSC scan code, EV_KEY, EV_SYN for each of: shift, a down, a up, shift
        got = self.events("AT Translated", lambda: self.viewer.press(0xffe1, ord("A")), 12)
        self.check("a viewer's keys arrive at atkbd",
                   installer.keys_of(got) == [(42, 1), (30, 1), (30, 0), (42, 0)], got)
        got = self.events("AT Translated", lambda: self.doppel("key", "desk", "ctrl-delete"), 12)
        self.check("doppel key",
                   installer.keys_of(got) == [(29, 1), (111, 1), (111, 0), (29, 0)], got)
        got = self.events("AT Translated", lambda: self.viewer.key(0xff52, True), 9)
        self.viewer.key(0xff52, False)
        keys = installer.keys_of(got)
        self.check("a key that is held repeats", keys == [(103, 1), (103, 2), (103, 2)], got)

    def many_keys(self):
        """At once, while somebody else keeps the machine's main loop busy with screenshots."""
        text = "".join(chr(ord("a") + i % 26) for i in range(2000))
        self.sh("(stty -icanon -echo; cat >/tmp/typed) </dev/tty1 & sleep 1")
        busy = [threading.Thread(target=self.shot) for _ in range(3)]
        for thread in busy:
            thread.start()
        for start in range(0, len(text), 500):
            self.viewer.type(text[start:start + 500])
        for thread in busy:
            thread.join()
        vm.until(lambda: text[-1000:] in self.sh("cat /tmp/typed"), 60, 0.5)
        got = self.sh("cat /tmp/typed")
        self.check("none of many keys at once is lost", text in got, (len(got), got[-60:]))

    def relative(self):
        session = qmp.Qmp(os.path.join(self.dir, "doppel", "desk.control"))

        def move():
            for events in ([{"type": "rel", "data": {"axis": "x", "value": 7}},
                            {"type": "rel", "data": {"axis": "y", "value": -3}}],
                           [{"type": "btn", "data": {"button": "wheel-up", "down": True}}]):
                session.do("input-send-event", events=events)

        got = self.events("Mouse", move, 5)
        session.close()
        self.check("psmouse: motion and wheel",
                   [e for e in got if e[0] == 2] == [(2, 0, 7), (2, 1, -3), (2, 8, 1)], got)

    def tablet(self):
        got = self.events("doppel tablet", lambda: self.viewer.pointer(1279, 400, 1), 4)
        self.check("virtio_input: a viewer's pointer",
                   got == [(3, 0, 32767), (3, 1, 400 * 32767 // 799), (1, 0x110, 1), (0, 0, 0)], got)
        self.viewer.pointer(1279, 400, 0)
        self.viewer.pointer(1279, 400, 8)
        got = self.events("doppel tablet", lambda: self.doppel("click", "desk", "640", "0"), 7)
        self.check("doppel click",
                   [e for e in got if e[0] == 3] == [(3, 0, 640 * 32767 // 1279), (3, 1, 0)] and
                   installer.keys_of(got) == [(0x110, 1), (0x110, 0)], got)
        status, out = self.doppel("click", "desk", "1280", "0")
        self.check("a click beside the screen", status == 1 and "1280 by 800" in out, out)


if __name__ == "__main__":
    checks.require(packages={installer.KERNEL: installer.PACKAGE})
    checks.steps(Tests(), Tests.start, Tests.screen, Tests.keyboard, Tests.many_keys,
                 Tests.relative, Tests.tablet)
