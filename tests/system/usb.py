#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The USB controller with keyboard and tablet: Debian's xhci_pci and usbhid bind, keys and pointer
arrive as events, a sleeping port wakes; SeaBIOS knows the keyboard, too.
"""

import os

import checks
import installer
import picture
import rfb
import vm
from installer import keys_of

MODULES = ["xhci_pci", "usbhid", "hid_generic", "evdev", "bochs"]
KEYBOARD, TABLET = "doppel USB keyboard", "doppel USB tablet"


class Tests(installer.Shell):
    def __init__(self):
        super().__init__("usb")

    def start(self, board):
        self.boot(MODULES, extra=["--machine", board, "--usb", "keyboard,tablet", "--vga", "std"])
        self.until(TABLET, "cat /proc/bus/input/devices")

    def drivers(self, board):
        names = self.sh("cat /proc/bus/input/devices")
        bound = self.sh("ls /sys/bus/pci/drivers/xhci_hcd /sys/bus/hid/drivers/*")
        self.check(f"{board}: xhci_hcd and usbhid bind",
                   KEYBOARD in names and TABLET in names and "0000:00:1d.0" in bound and
                   "0003:0627:0001.0001" in bound and "0003:0627:0001.0002" in bound,
                   names + bound + self.sh("dmesg | tail -40"))

    def keys(self, board):
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
                   and keys_of(got) == [(0x110, 1), (0x110, 0)], got)
        got = self.events(TABLET, lambda: self.viewer.pointer(320, 0, 8), 2)
        self.check(f"{board}: the wheel", (2, 8, 1) in got, got)

    def replug(self, board):
        """The driver takes the controller down and up again."""
        self.sh("echo 0000:00:1d.0 > /sys/bus/pci/drivers/xhci_hcd/unbind; sleep 1; "
                "echo 0000:00:1d.0 > /sys/bus/pci/drivers/xhci_hcd/bind")
        self.until(KEYBOARD, "cat /proc/bus/input/devices")
        got = self.events(KEYBOARD, lambda: self.doppel("key", self.name, "x"), 6)
        self.check(f"{board}: after the driver has been restarted",
                   keys_of(got) == [(45, 1), (45, 0)], got)

    def suspend(self, board):
        """An idle port sleeps; a key wakes it."""
        hubs = self.sh("for d in /sys/bus/usb/devices/*/product; do grep -q 'USB keyboard' $d && "
                       "dirname $d; done").split()
        self.sh(f"echo enabled > {hubs[0]}/power/wakeup; echo 0 > {hubs[0]}/power/autosuspend; "
                f"echo auto > {hubs[0]}/power/control; sleep 3")
        state = self.sh(f"cat {hubs[0]}/power/runtime_status")
        got = self.events(KEYBOARD, lambda: self.doppel("key", self.name, "y"), 6)
        self.check(f"{board}: with the keyboard's power management on ({state})",
                   keys_of(got) == [(21, 1), (21, 0)], got)

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
        if not os.path.exists(picture.VGA_ROM):
            self.report("skip", "SeaBIOS reads the USB keyboard", "the package seabios is not installed")
            return
        code = bytes.fromhex("fa31c08ed88ed0bc007cfb" "30e4cd16b40ecd10ebf6")
        self.launch("--net", "none", "-m", "128M", "--timeout", "90s", "--usb", "keyboard",
                    vm.boot_disk(self.path("disk"), code))
        self.wait(lambda p: any("Booting from Hard Disk" in line for line in p.text()))
        self.doppel("type", self.name, "Usb Keys!")
        text = self.wait_text("Usb Keys!")
        self.check("SeaBIOS reads the USB keyboard", "Usb Keys!" in text, text)
        self.stop()


if __name__ == "__main__":
    checks.require(packages={installer.KERNEL: installer.PACKAGE})
    checks.steps(Tests(), lambda t: t.linux("q35"), lambda t: t.linux("pc"), Tests.firmware)
