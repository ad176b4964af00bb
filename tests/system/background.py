# SPDX-License-Identifier: GPL-2.0-or-later
"""
What tests of screen, keyboard and pointer share: a machine that is found by its name, told what to
do by commands, and looked at by screenshots.
"""

import os
import time

import checks
import picture
import vm


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

    def wait_text(self, words):
        """The text on the screen as soon as `words` are in it, or the last one."""
        return "\n".join(self.wait(lambda p: words in "\n".join(p.text())).text())
