# SPDX-License-Identifier: GPL-2.0-or-later
"""
What tests of screen, keyboard and pointer share: a machine that is found by its name, told what to
do by commands, and looked at by screenshots.
"""

import os
import time

import checks
import picture
import rfb
import vm

# Of a console's text.
COLORS = [(0xaa * (c & 1), 0xaa * (c >> 1 & 1) if c != 3 else 0x55, 0xaa * (c >> 2))
          for c in range(8)]


class NamedMachine(checks.Checks):
    """Checks of one machine at a time, whose sockets are in a folder of its own."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.env = {**os.environ, "XDG_RUNTIME_DIR": self.dir}
        self.png = self.path("shot.png")  # the newest screenshot

    def doppel(self, *words):
        return vm.doppel(*words, env=self.env)

    def launch(self, *words):
        status, out = self.doppel("run", "--name", self.name, "--detach", "--accel",
                                  os.environ.get("DOPPEL_ACCEL", "bt"), *words)
        assert status == 0, out

    def stop(self):
        self.doppel("stop", "--force", self.name)

    def close(self):
        self.stop()
        super().close()

    def shot(self):
        status, out = self.doppel("screenshot", self.name, "-o", self.png)
        assert status == 0, out
        return picture.Picture(self.png)

    def wait(self, good, limit=40, pause=0.2):
        """The first picture that `good` likes, or the last one."""
        end = time.monotonic() + limit
        while True:
            p = self.shot()
            if good(p) or time.monotonic() > end:
                return p
            time.sleep(pause)

    def stripes(self, size, on_screen, on_viewer):
        """
        Eight rows of text on the guest's console, each in its background colour: two checks of
        these names, by a screenshot and by a viewer, who stays.
        """
        width, height = size
        self.sh("printf '\\033[H\\033[2J\\033[?25l' > /dev/tty0; for c in 0 1 2 3 4 5 6 7; do "
                "printf \"\\033[4${c}m%160s\" '' > /dev/tty0; done; printf '\\033[0m' > /dev/tty0")
        p = self.wait(lambda p: p.width == width and p.pixel(0, 7 * 16) == COLORS[7], 20)
        got = [{p.pixel(x, y) for x in range(width) for y in range(16 * c, 16 * c + 16)}
               for c in range(8)] if (p.width, p.height) == size else []
        self.check(on_screen, got == [{color} for color in COLORS], (p.width, p.height, got))
        self.viewer = rfb.Viewer(self.path("vnc")).start()
        self.viewer.update(False)
        if self.viewer.size != size:
            self.viewer.update(False)
        self.check(on_viewer, self.viewer.size == size and
                   all(self.viewer.pixel(x, y) == COLORS[y // 16] for x in range(width)
                       for y in range(128)), self.viewer.size)

    def wait_text(self, words):
        """The text on the screen as soon as `words` are in it, or the last one."""
        return "\n".join(self.wait(lambda p: words in "\n".join(p.text())).text())
