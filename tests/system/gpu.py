#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cards that draw by themselves: the drivers of Debian's generic kernel bind to them, what they draw is
looked at by screenshots, pixel by pixel; a viewer changes the monitor's size.
"""

import os

import background
import checks
import generic
import overlay
import picture
import screen
import vm

WIDTH, HEIGHT = 1280, 800
RED, GREEN, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 0)


class Card(background.NamedMachine):
    def __init__(self, model, modules, driver, frame_buffer, connector):
        super().__init__("gpu-" + model)
        self.model, self.modules, self.driver = model, modules, driver
        self.frame_buffer, self.connector = frame_buffer, connector

    def say(self, what, good, detail=""):
        self.check(f"{self.model}: {what}", good, detail)

    def start(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cursor.c")
        generic.boot(self, self.modules, overlay.compile_programs(source, self.dir), memory="256M",
                     append="console=tty0 console=ttyS0 quiet fbcon=nodefer consoleblank=0",
                     env=self.env,
                     extra=["--name", self.name, "--vga", self.model,
                            "--display", "vnc=unix:" + self.path("vnc")])
        self.vm.run("stty -echo; dmesg -n 1; PS1=")
        out, status = self.vm.run("/more/load", 60)
        self.say("its modules load", status == 0, out)

    def bound(self):
        got = self.sh("cat /sys/class/graphics/fb0/name")
        self.say(f"{self.driver} binds", got == self.frame_buffer, got)
        size = self.sh("cat /sys/class/graphics/fb0/virtual_size")
        self.say("the console has the size that the monitor prefers", size == f"{WIDTH},{HEIGHT}",
                 size + self.sh("dmesg | tail -20"))

    def console(self):
        self.stripes((WIDTH, HEIGHT), f"{self.model}: what the console draws is on the screen",
                     f"{self.model}: and on a viewer's")

    def has_cursor(self, p, x, y):
        """All of the cursor on black, as far as it is on the screen, and nothing beside it."""
        want = {(x + i, y + j): RED if i < 32 else GREEN for i in range(64) for j in range(64)}
        return all(p.pixel(i, j) == want.get((i, j), BLACK)
                   for i in range(max(x - 8, 0), min(x + 72, WIDTH))
                   for j in range(max(y - 8, 0), min(y + 72, HEIGHT)))

    def cursor(self):
        places = [(300, 400), (1250, 700), (-20, 420)]
        self.sh("printf '\\033[H\\033[2J' > /dev/tty0")
        self.vm.send("/more/cursor " + " ".join(f"{x} {y}" for x, y in places) + "; echo END''ED $?\n")
        for x, y in places:
            self.vm.expect(rf"at {x} {y}\r?\n")
            p = self.wait(lambda p: self.has_cursor(p, x, y), 10)
            self.say(f"the cursor is at {x}, {y}", self.has_cursor(p, x, y),
                     [p.pixel(max(x, 0) + i, y + i) for i in (0, 31, 32, 63) if x + i < WIDTH])
            self.vm.send("\n")
        status = self.vm.expect(r"ENDED (\d+)").group(1)
        p = self.wait(lambda p: p.pixel(10, 440) == BLACK, 10)
        self.say("and goes away", status == b"0" and p.pixel(10, 440) == BLACK, status)

    def resize(self):
        if self.connector is None:
            return
        modes = f"cat /sys/class/drm/card0-{self.connector}/modes"
        self.viewer.resize(1024, 768)
        good = vm.until(lambda: self.sh(modes).startswith("1024x768"), 20, 0.5)
        self.say("a viewer's size is the monitor's", good, self.sh(modes))
        p = self.wait(lambda p: (p.width, p.height) == (1024, 768), 20)
        self.say("and the screen's", (p.width, p.height) == (1024, 768), (p.width, p.height))

    def end(self):
        # vmwgfx would talk with VMware's back door, too, which is no part of the card.
        log = self.sh(f"dmesg | grep -iE '{self.driver}.*(fail|error|timed out|unsupported command)' "
                      "| grep -vE 'host log message|unsupported hypervisor|likely broken|Please switch'")
        self.say("the driver has nothing to complain of", log == "", log)
        self.viewer.close()
        self.say("power-off", self.vm.power_off(60) == 0)

    def firmware(self):
        """As a VGA: what SeaBIOS writes, and a mode that a boot sector sets by the video BIOS."""
        self.name += "-vga"
        for what, code, good in (
                ("text", screen.START + screen.STOP,
                 lambda p: any("Booting from Hard Disk" in t for t in p.text())),
                ("a mode of VBE", screen.SECTORS["vbe"],
                 lambda p: (p.width, p.height) == (640, 480) and p.pixel(0, 0) == (255, 255, 255))):
            self.launch("--net", "none", "-m", "128M", "--timeout", "90s", "--vga", self.model,
                        vm.boot_disk(self.path("disk"), bytes.fromhex(code)))
            p = self.wait(good)
            self.say(f"firmware's {what}", good(p), (p.width, p.height))
            self.stop()


CARDS = {"virtio": (["virtio_gpu", "virtio_pci"], "virtio_gpu", "virtio_gpudrmfb", "Virtual-1"),
         "vmware": (["vmwgfx"], "vmwgfx", "vmwgfxdrmfb", None)}

if __name__ == "__main__":
    checks.require(["generic"], {picture.VGA_ROM: "seabios", "/usr/include/libdrm/drm.h": "libdrm-dev"})
    results = []
    for card, words in CARDS.items():
        t = Card(card, *words)
        t.run("no surprise", lambda t: [step(t) for step in (
            Card.start, Card.bound, Card.console, Card.cursor, Card.resize, Card.end, Card.firmware)])
        t.close()
        results.append(t.status())
    raise SystemExit(max(results))
