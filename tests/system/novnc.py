#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A desktop in a browser: an X server in the guest, with a window that moves, seen by noVNC in headless
Chromium, which is driven by its DevTools protocol. Its pictures are counted, keys and clicks arrive.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading

import background
import checks
import installer
import netserver
import overlay
import vm

NOVNC = "/usr/share/novnc"
SECONDS = 5
GREY, RED, BLUE = [0x80, 0x80, 0x80], [0xff, 0, 0], [0, 0, 0xff]
PAGE = """<!DOCTYPE html><body style="margin:0"><div id="screen"></div><script type="module">
import RFB from "/core/rfb.js";
const rfb = new RFB(document.getElementById("screen"), "ws://127.0.0.1:%d");
rfb.addEventListener("connect", () => { window.connected = true; });
const canvas = () => document.querySelector("canvas");
const context = () => canvas().getContext("2d");
window.pixel = (x, y) => Array.from(context().getImageData(x, y, 1, 1).data).slice(0, 3);
window.corner = () => { const r = canvas().getBoundingClientRect(); return [r.left, r.top]; };
window.size = () => [canvas().width, canvas().height];
// Where the red window begins on its row, or -1.
function edge() {
  const d = context().getImageData(0, 300, canvas().width, 1).data;
  for (let i = 0; i < d.length; i += 4)
    if (d[i] > 200 && d[i + 1] < 80) return i / 4;
  return -1;
}
// Places in which the window was seen one after the other, for some seconds.
window.watch = seconds => new Promise(done => {
  let places = 0, last = -1;
  const end = performance.now() + 1000 * seconds;
  (function look() {
    const now = edge();
    if (now >= 0 && now != last) { places++; last = now; }
    if (performance.now() < end) requestAnimationFrame(look); else done(places);
  })();
});
window.type = c => { rfb.sendKey(c.charCodeAt(0)); };
rfb.focus();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/page":
            super().do_GET()
            return
        body = (PAGE % self.server.vnc_port).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Browser:
    """Chromium with one page; commands go through pipes, one JSON object and a zero each."""

    def __init__(self, folder, url):
        from_us, to_it = os.pipe()
        from_it, to_us = os.pipe()

        def pipes():
            # Both above 4 first, so that neither overwrites the other.
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate((from_us, to_us))]
            for number, fd in zip((3, 4), high):
                os.dup2(fd, number)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
             "--no-first-run", "--disable-dev-shm-usage", "--window-size=1400,1000",
             "--user-data-dir=" + folder, "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=pipes, close_fds=False, start_new_session=True,
            env={**os.environ, "HOME": folder})
        os.close(from_us)
        os.close(to_us)
        self.output, self.input = os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb")
        self.number, self.session = 0, None
        target = self.do("Target.createTarget", url=url)["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _message(self):
        text = b""
        while not text.endswith(b"\0"):
            byte = self.input.read(1)
            assert byte, "the browser has ended"
            text += byte
        return json.loads(text[:-1])

    def do(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.output.write(json.dumps(message).encode() + b"\0")
        self.output.flush()
        while True:
            answer = self._message()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression):
        got = self.do("Runtime.evaluate", expression=expression, awaitPromise=True,
                      returnByValue=True)
        return got["result"].get("value")

    def until(self, expression, limit=30):
        assert vm.until(lambda: self.value(expression), limit, 0.2), expression

    def click(self, x, y):
        """At a place on the guest's screen."""
        left, top = self.value("corner()")
        x, y = x + left, y + top
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.output.close()
        self.input.close()


class Tests(background.NamedMachine):
    browser = server = None

    def __init__(self):
        super().__init__("novnc")

    def start(self):
        """The graphical installer's X server, on the frame buffer that UEFI leaves."""
        self.port = netserver.free_port()
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "window.c")
        initrd = self.path("initrd")
        shutil.copy(os.path.join(installer.FOLDER, "initrd.gz"), initrd)
        with open(initrd, "ab") as out, open(overlay.compile_programs(source, self.dir)[0], "rb") as f:
            out.write(b"\0" * (-out.tell() % 512) + overlay.archive({"more/window": f.read()}))
        self.vm = vm.Vm(memory="1G", kernel=installer.KERNEL, initrd=initrd, env=self.env,
                        append="console=ttyS0 quiet rdinit=/bin/sh",
                        extra=["--firmware", "uefi", "--name", self.name,
                               "--display", f"vnc=127.0.0.1:{self.port}"])
        self.vm.expect(r"# ", 240)
        self.vm.send("PS1=; PS2=\n")
        self.vm.run("mount -t proc proc /proc; mount -t sysfs sysfs /sys; stty -echo; "
                    "mount -t devtmpfs dev /dev; depmod")
        # The tablet and the keyboard come by udev, as libinput wants them.
        self.vm.run("modprobe evdev; modprobe virtio_input; modprobe virtio_pci; modprobe atkbd; "
                    "mkdir -p /run /var/log /tmp; /lib/systemd/systemd-udevd --daemon; "
                    "udevadm trigger; udevadm settle", 120)
        self.vm.run("Xorg :0 -noreset -nolisten tcp -s 0 >/tmp/x 2>&1 & "
                    "i=0; while [ ! -S /tmp/.X11-unix/X0 ] && [ $i -lt 60 ]; do sleep 1; "
                    "i=$((i+1)); done", 120)
        self.vm.send("/more/window\n")
        try:
            self.vm.expect(r"width 1280", 60)
        except vm.VmError:
            self.vm.send("\x03")
            raise vm.VmError(self.vm.run("cat /tmp/x /var/log/Xorg.0.log | tail -40")[0]) from None
        self.check("an X server with a window", True)

    def connect(self):
        handler = functools.partial(Handler, directory=NOVNC)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.vnc_port = self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.browser = Browser(self.path("chromium"),
                               f"http://127.0.0.1:{self.server.server_port}/page")
        self.browser.until("window.connected === true && window.size()[0] == 1280")
        self.browser.until(f"String(pixel(40, 40)) == '{','.join(map(str, BLUE))}'")
        got = [self.browser.value(f"pixel({x}, {y})") for x, y in ((40, 40), (640, 700))]
        self.check("noVNC shows the desktop", got == [BLUE, GREY], got)

    def frames(self):
        self.browser.value("watch(1)")
        places = self.browser.value(f"watch({SECONDS})")
        rate = places / SECONDS
        self.note(f"{rate:.0f} frames a second with a moving window")
        self.check("the window moves", places >= SECONDS, places)

    def input(self):
        self.browser.click(30, 50)
        at = self.vm.expect(r"button (\d+) at (\d+) (\d+)\r?\n", 20).groups()
        self.check("clicks arrive where they were made", at[0] == b"1" and
                   abs(int(at[1]) - 30) <= 1 and abs(int(at[2]) - 50) <= 1, at)
        self.browser.value("type('a')")
        key = int(self.vm.expect(r"key (\d+)\r?\n", 20).group(1))
        self.check("keys arrive", key == 38, key)  # evdev's KEY_A and 8

    def close(self):
        if self.browser:
            self.browser.close()
        if self.server:
            self.server.shutdown()
        super().close()


if __name__ == "__main__":
    checks.require(packages={installer.KERNEL: installer.PACKAGE, "chromium": "chromium",
                             NOVNC + "/core/rfb.js": "novnc"})
    checks.steps(Tests(), Tests.start, Tests.connect, Tests.frames, Tests.input)
