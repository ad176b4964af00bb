#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The screen: what SeaBIOS writes on it, modes that a boot sector sets by the video BIOS, and pictures
of them.
"""

import background
import checks
import picture
import vm

# A boot sector for each mode: sets it, draws with 0xa000 in ES, and halts.
START = "fa31c08ed88ed0bc007c"  # cli; xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 7c00
STOP = "f4ebfd"
SECTORS = {
    # int 10h ax = 13h; es = a000; from offset 0: a byte each, its low byte the colour
    "13h": START + "b81300cd10" + "b800a08ec0" + "31ff89f8aa81ff00fa75f7" + STOP,
    # int 10h ax = 12h; map mask: plane 2; 480 lines of 80 bytes 0xf0
    "12h": START + "b81200cd10" + "b800a08ec0" + "bac403b80204ef" + "31ffb0f0b90096f3aa" + STOP,
    # ax = 4f02h, bx = 4112h (640x480, 32 bits): the banked window; a quarter of a bank white
    "vbe": START + "b8024fbb1201cd10" + "b800a08ec0" + "31ffb0ffb90040f3aa" + STOP,
}


class Tests(background.NamedMachine):
    def __init__(self):
        super().__init__("s")

    def launch(self, *words):
        super().launch("--net", "none", "-m", "128M", "--timeout", "90s", *words)

    def disk(self, code):
        return vm.boot_disk(self.path("disk"), bytes.fromhex(code))

    def text(self):
        self.launch(self.disk(START + STOP))
        p = self.wait(lambda p: any("Booting from Hard Disk" in line for line in p.text()))
        lines = p.text()
        self.check("the BIOS writes on the screen",
                   lines[0].startswith("SeaBIOS (version") and
                   any("Booting from Hard Disk" in line for line in lines), lines)
        self.check("in 720 by 400 dots", (p.width, p.height) == (720, 400), (p.width, p.height))
        status, out = self.doppel("screenshot", "s", "-o", self.path("s.ppm"))
        with open(self.path("s.ppm"), "rb") as f:
            ppm = f.read()
        self.check("as a PPM", status == 0 and ppm.startswith(b"P6\n720 400\n255\n") and
                   len(ppm) == 15 + 3 * 720 * 400, out)
        status, out = self.doppel("screenshot", "s", "-o", self.path("none/s.png"))
        self.check("into a folder that is not there", status == 1 and "cannot create" in out, out)
        self.stop()

    def graphics(self):
        self.launch(self.disk(SECTORS["13h"]))
        p = self.wait(lambda p: p.height == 400 and p.width == 640 and p.pixel(639, 399) != (0, 0, 0))
        same = all(p.rows[2 * y] == p.rows[2 * y + 1] for y in range(200))
        stripe = [p.pixel(2 * x, 0) for x in range(256)]
        again = [p.pixel(2 * ((256 + x) % 320), 2 * ((256 + x) // 320)) for x in range(64)]
        self.check("mode 13h: 256 colours by the linear window",
                   same and p.colors() > 100 and stripe[:64] == again, (same, p.colors()))
        self.stop()
        self.launch(self.disk(SECTORS["12h"]))
        p = self.wait(lambda p: p.width == 640 and p.height == 480 and p.pixel(632, 479) != (0, 0, 0))
        self.check("mode 12h: one of four planes",
                   all(p.pixel(x, y) == ((0xaa, 0, 0) if x % 8 < 4 else (0, 0, 0))
                       for y in (0, 250, 479) for x in range(640)), p.rows[0][:48])
        self.stop()
        self.launch(self.disk(SECTORS["vbe"]))
        p = self.wait(lambda p: p.width == 640 and p.height == 480 and p.pixel(0, 0) != (0, 0, 0))
        white = sum(p.pixel(x, y) == (255, 255, 255) for y in range(30) for x in range(640))
        self.check("VBE: a linear mode by its banks",
                   white == 0x4000 // 4 or white == 0x4000 // 3, white)
        self.stop()

    def without(self):
        self.launch("--vga", "none", self.disk(START + STOP))
        status, out = self.doppel("screenshot", "s", "-o", self.png)
        self.check("a machine without a screen", status == 1 and "no screen" in out, out)
        self.stop()


if __name__ == "__main__":
    checks.require(packages={picture.VGA_ROM: "seabios"})
    checks.steps(Tests(), Tests.text, Tests.graphics, Tests.without)
