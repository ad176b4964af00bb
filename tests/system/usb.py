#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The USB controller with keyboard and tablet: Debian's xhci_pci and usbhid bind, keys and pointer
arrive as events, a sleeping port wakes; SeaBIOS knows the keyboard, too.
"""

import base64
import os
import re
import struct
import sys
import threading
import time

import background
import installer
import picture
import rfb
import vm

EVENT = struct.Struct("<qqHHi")  # struct input_event
MODULES = ["xhci_pci", "usbhid", "hid_generic", "evdev", "bochs"]
KEYBOARD, TABLET = "doppel USB keyboard", "doppel USB tablet"


class Tests(background.NamedMachine):
    def __init__(self):
        super().__init__("usb")

    def start(self, board):
        installer.make_initrd(self.path("initrd"), MODULES)
        self.vm = vm.Vm(memory="512M", kernel=installer.KERNEL, initrd=self.path("initrd"),
                        append="console=ttyS0 quiet rdinit=/bin/sh", env=self.env,
                        extra=["--machine", board, "--name", self.name, "--usb", "keyboard,tablet",
                               "--vga", "std", "--display", "vnc=unix:" + self.path("vnc")])
        self.vm.expect(r"# ", 120)
        self.vm.send("PS1=; PS2=\n")
        self.sh("mount -t proc proc /proc; mount -t sysfs sysfs /sys; "
                "mount -t devtmpfs dev /dev; depmod; stty -echo")
        for name in MODULES:
            self.sh(f"modprobe {name}", 60)
        end = time.monotonic() + 30
        while TABLET not in self.sh("cat /proc/bus/input/devices"):
            assert time.monotonic() < end, self.sh("dmesg | tail -30")
            time.sleep(0.5)

    def sh(self, command, timeout=60):
        return self.vm.run(command, timeout)[0]

    def drivers(self, board):
        names = self.sh("cat /proc/bus/input/devices")
        bound = self.sh("ls /sys/bus/pci/drivers/xhci_hcd /sys/bus/hid/drivers/*")
        self.check(f"{board}: xhci_hcd and usbhid bind",
                   KEYBOARD in names and TABLET in names and "0000:00:1d.0" in bound and
                   "0003:0627:0001.0001" in bound and "0003:0627:0001.0002" in bound,
                   names + bound + self.sh("dmesg | tail -40"))

    def device(self, word):
        """The event file of the input device with `word` in its name."""
        for block in self.sh("cat /proc/bus/input/devices").split("\n\n"):
            if word in block:
                return "/dev/input/" + re.search(r"event\d+", block).group()
        raise AssertionError(f"no device {word}")

    def events(self, word, act, count):
        """What `act` makes of a device: the first `count` events, as (type, code, value)."""
        path, out = self.device(word), []
        reader = threading.Thread(target=lambda: out.append(self.sh(
            f"dd if={path} bs=24 count={count} 2>/dev/null | base64", 30)))
        reader.start()
        time.sleep(1)
        act()
        reader.join()
        raw = base64.b64decode(out[0]) if out else b""
        return [EVENT.unpack_from(raw, i)[2:] for i in range(0, len(raw) - 23, 24)]

    def keys(self, board):
        def keys_of(got):
            return [e[1:] for e in got if e[0] == 1]

        # EV_MSC scan code, EV_KEY, EV_SYN for each of: shift, a down, a up, shift
        got = self.events(KEYBOARD, lambda: self.viewer.press(0xffe1, ord("A")), 12)
        self.check(f"{board}: a viewer's keys arrive at usbhid",
                   keys_of(got) == [(42, 1), (30, 1), (30, 0), (42, 0)], got)
        got = self.events(KEYBOARD, lambda: self.doppel("key", self.name, "ctrl-delete"), 12)
        self.check(f"{board}: doppel key",
                   keys_of(got) == [(29, 1), (111, 1), (111, 0), (29, 0)], got)
        text = "the quick brown fox jumps over 1234567890 lazy dogs" * 4
        got = self.events(KEYBOARD, lambda: self.doppel("type", self.name, text), 6 * len(text))
        self.check(f"{board}: nothing of a long text is lost",
                   len(keys_of(got)) == 2 * len(text) and
                   [k for k, down in keys_of(got) if down][:4] == [20, 35, 18, 57], keys_of(got)[:20])

    def pointer(self, board):
        width, height = self.viewer.size
        got = self.events(TABLET, lambda: self.viewer.pointer(width - 1, 100, 1), 5)
        self.check(f"{board}: a viewer's pointer", [e for e in got if e[0] != 4] ==
                   [(1, 0x110, 1), (3, 0, 32767), (3, 1, 100 * 32767 // (height - 1)), (0, 0, 0)],
                   got)
        self.events(TABLET, lambda: self.viewer.pointer(width - 1, 100, 0), 3)
        # motion; scan code, down; scan code, up
        got = self.events(TABLET, lambda: self.doppel("click", self.name, "320", "0"), 9)
        self.check(f"{board}: doppel click",
                   [e for e in got if e[0] == 3] == [(3, 0, 320 * 32767 // (width - 1)), (3, 1, 0)]
                   and [e for e in got if e[0] == 1] == [(1, 0x110, 1), (1, 0x110, 0)], got)
        got = self.events(TABLET, lambda: self.viewer.pointer(320, 0, 8), 2)
        self.check(f"{board}: the wheel", (2, 8, 1) in got, got)

    def replug(self, board):
        """The driver takes the controller down and up again."""
        self.sh("echo 0000:00:1d.0 > /sys/bus/pci/drivers/xhci_hcd/unbind; sleep 1; "
                "echo 0000:00:1d.0 > /sys/bus/pci/drivers/xhci_hcd/bind")
        end = time.monotonic() + 30
        while KEYBOARD not in self.sh("cat /proc/bus/input/devices") and time.monotonic() < end:
            time.sleep(0.5)
        got = self.events(KEYBOARD, lambda: self.doppel("key", self.name, "x"), 6)
        self.check(f"{board}: after the driver has been restarted",
                   [e[1:] for e in got if e[0] == 1] == [(45, 1), (45, 0)], got)

    def suspend(self, board):
        """An idle port sleeps; a key wakes it."""
        hubs = self.sh("for d in /sys/bus/usb/devices/*/product; do grep -q 'USB keyboard' $d && "
                       "dirname $d; done").split()
        self.sh(f"echo enabled > {hubs[0]}/power/wakeup; echo 0 > {hubs[0]}/power/autosuspend; "
                f"echo auto > {hubs[0]}/power/control; sleep 3")
        state = self.sh(f"cat {hubs[0]}/power/runtime_status")
        got = self.events(KEYBOARD, lambda: self.doppel("key", self.name, "y"), 6)
        self.check(f"{board}: with the keyboard's power management on ({state})",
                   [e[1:] for e in got if e[0] == 1] == [(21, 1), (21, 0)], got)

    def linux(self, board):
        self.start(board)
        self.viewer = rfb.Viewer(self.path("vnc")).start()
        self.viewer.update(False)
        self.drivers(board)
        self.keys(board)
        self.pointer(board)
        if board == "q35":
            self.replug(board)
            self.suspend(board)
        self.vm.kill()
        self.stop()

    # --- SeaBIOS ---------------------------------------------------------------------------

    def firmware(self):
        """A boot sector that shows what int 16h gives it."""
        code = bytes.fromhex("fa31c08ed88ed0bc007cfb" "30e4cd16b40ecd10ebf6")
        with open(self.path("disk"), "wb") as f:
            f.write((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
        self.launch("--net", "none", "-m", "128M", "--timeout", "90s", "--usb", "keyboard",
                    self.path("disk"))
        self.wait(lambda p: any("Booting from Hard Disk" in line for line in p.text()))
        self.doppel("type", self.name, "Usb Keys!")
        text = self.wait_text("Usb Keys!")
        self.check("SeaBIOS reads the USB keyboard", "Usb Keys!" in text, text)
        self.stop()


def main():
    if not os.path.exists(installer.KERNEL):
        print("the package debian-installer-12-netboot-amd64 is not installed")
        return 77
    t = Tests()
    try:
        for board in ("q35", "pc"):
            t.linux(board)
        if os.path.exists(picture.VGA_ROM):
            t.firmware()
        else:
            t.report("skip", "SeaBIOS reads the USB keyboard", "the package seabios is not installed")
    except (vm.VmError, AssertionError) as error:
        t.check("no surprise", False, repr(error) + (t.vm.tail() if t.vm else ""))
    finally:
        t.close()
    return t.status()


if __name__ == "__main__":
    sys.exit(main())
