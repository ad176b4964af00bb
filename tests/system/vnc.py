#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
VNC and scripted keys with the BIOS's boot menu as the guest: our own viewer and one of Debian's
(vncsnapshot), passwords, browsers' WebSockets.
"""

import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import time

import background
import checks
import netserver
import picture
import rfb

ESCAPE = 0xff1b


class Tests(background.NamedMachine):
    def __init__(self):
        super().__init__("v")
        self.disk = self.path("disk")
        with open(self.disk, "wb") as f:
            f.truncate(1 << 20)

    def launch(self, display):
        super().launch("--net", "none", "-m", "128M", "--timeout", "120s", "--boot", "menu=on",
                       "--display", display, self.disk)

    def viewer(self):
        path = self.path("vnc")
        self.launch("vnc=unix:" + path)
        self.wait_text("Press ESC for boot menu")
        v = rfb.Viewer(path).start()
        self.check("a viewer learns the name", v.name == "v", v.name)
        v.update(False)
        shot = picture.Picture(self.png)
        same = v.size == (shot.width, shot.height) and all(
            v.pixel(x, y) == shot.pixel(x, y) for y in range(0, 64) for x in range(0, 720))
        self.check("it sees what a screenshot shows", same, v.size)
        v.press(ESCAPE)
        out = self.wait_text("Select boot device")
        self.check("its keys arrive", "Select boot device" in out, out)
        changed = sum(v.update() for _ in range(2))
        self.check("it is told what changes", changed > 0, changed)
        second = rfb.Viewer(path).start()
        second.update(False)
        self.check("a second viewer", second.rows[:400] == v.rows[:400] or second.update() > 0)
        second.pointer(5, 5, 1)
        second.socket.sendall(b"\xff" * 100)  # no message
        deadline = time.monotonic() + 10
        try:
            while second.file.read(1) and time.monotonic() < deadline:
                pass
            hung_up = time.monotonic() < deadline
        except ConnectionError:
            hung_up = True
        self.check("nonsense is hung up on", hung_up)
        v.press(ord("1"))
        out = self.wait_text("Booting from Hard Disk")
        self.check("the first viewer goes on", "Booting from Hard Disk" in out, out)
        v.close()
        second.close()
        self.stop()
        self.check("the socket is gone", not os.path.exists(path))

    def scripted(self):
        self.launch("none")
        self.wait_text("Press ESC for boot menu")
        status, out = self.doppel("key", "v", "esc")
        out += self.wait_text("Select boot device")
        self.check("doppel key", status == 0 and "Select boot device" in out, out)
        status, out = self.doppel("type", "v", "1")
        out += self.wait_text("Booting from Hard Disk")
        self.check("doppel type", status == 0 and "Booting from Hard Disk" in out, out)
        for words, want in ((("key", "v", "ctrl-nokey"), "The key 'nokey' is unknown"),
                            (("type", "v", "\u00e4"), "no key"),
                            (("key", "v"), "nothing was given")):
            status, out = self.doppel(*words)
            self.check(f"wrong: {words[2:]}", status in (1, 2) and want in out, out)
        self.stop()

    def slow_viewer(self):
        """One that asks for the whole screen and does not read it."""
        path = self.path("vnc")
        self.launch("vnc=unix:" + path)
        self.wait_text("Press ESC for boot menu")
        v = rfb.Viewer(path).start()
        for _ in range(3):
            v.socket.sendall(b"\x03\0" + struct.pack(">HHHH", 0, 0, *v.size))
        time.sleep(0.5)
        before = time.monotonic()
        self.stop()
        took = time.monotonic() - before
        self.check("the machine's end does not wait for a viewer that does not read", took < 2.5, took)
        v.close()

    def snapshot(self, number):
        done = subprocess.run(["vncsnapshot", "-quiet", f"127.0.0.1:{number}",
                               self.path("v.jpg")], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60)
        return done.returncode == 0 and os.path.getsize(self.path("v.jpg")) > 1000

    def password(self):
        port = netserver.free_port()
        with open(self.path("password"), "w", encoding="utf-8") as f:
            f.write("sesame\n")
        self.launch(f"vnc=127.0.0.1:{port},password-file={self.path('password')}")
        v = rfb.Viewer(("127.0.0.1", port))
        self.check("a password is asked for", v.types == b"\x02", v.types)
        v.close()
        self.stop()

    def stock_viewer(self):
        if shutil.which("vncsnapshot") is None:
            self.report("skip", "a stock viewer", "vncsnapshot is not installed")
            return
        port = netserver.free_port()
        self.launch(f"vnc=127.0.0.1:{port}")
        self.wait_text("Press ESC for boot menu")
        self.check("a stock viewer", self.snapshot(port - 5900))
        self.stop()

    def browser(self):
        """What noVNC does first: a WebSocket with binary frames."""
        port = netserver.free_port()
        self.launch(f"vnc=127.0.0.1:{port}")
        key = base64.b64encode(bytes(range(16)))
        s = socket.create_connection(("127.0.0.1", port), 20)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Key: " + key + b"\r\nSec-WebSocket-Version: 13\r\n"
                  b"Origin: http://x\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
        f = s.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = f.readline()
            assert line, head
            head += line
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
                                  .digest())
        hello = f.read(14)
        self.check("WebSockets", accept in head and hello[:2] == b"\x82\x0c" and
                   hello[2:] == b"RFB 003.008\n", (head, hello))
        s.close()
        self.stop()


if __name__ == "__main__":
    checks.require(packages={picture.VGA_ROM: "seabios"})
    checks.steps(Tests(), Tests.viewer, Tests.slow_viewer, Tests.scripted, Tests.password,
                 Tests.stock_viewer, Tests.browser)
