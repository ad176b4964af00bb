#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The serial line: hundreds of kilobytes in both directions, every byte value, nothing lost."""

import hashlib
import random
import re
import time

import checks
import overlay
import vm


def start(t):
    t.vm = vm.Vm(initrd=overlay.test_initrd(t.dir), memory="256M")
    t.vm.prompt()


def flood_out(t):
    last = int(100000 / vm.PATIENCE)
    data = "".join(f"{i}\n" for i in range(1, last + 1)).encode()
    began = time.monotonic()
    t.vm.send(f"echo BEG''IN; seq {last}; echo EN''D\n")
    t.vm.expect(rb"BEGIN\r?\n")
    t.vm.expect(rb"(?<=\n)END\r?\n", 120)
    got = t.vm.before.replace(b"\r", b"")
    took = time.monotonic() - began
    t.note(f"{len(data) / took / 1000:.0f} KB/s from the guest")
    assert got == data, f"{len(got)} bytes instead of {len(data)}"


def _ping_pong(t, count, size, alphabet):
    count = int(count / vm.PATIENCE)
    source = random.Random(size)
    t.vm.send(f"/opt/serialpong {count} {size}\n")
    t.vm.expect("READY")
    began = time.monotonic()
    for number in range(count):
        message = bytes(source.choices(alphabet, k=size))
        t.vm.send(message)
        t.vm.expect(re.escape(message[::-1]), 30)
    took = time.monotonic() - began
    t.note(f"{count} messages of {size} bytes: {count * size / took / 1000:.1f} KB/s each way, "
           f"{took / count * 1e3:.2f} ms a round trip")
    assert t.vm.run("true")[1] == 0


def small_messages(t):
    _ping_pong(t, 300, 16, range(32, 127))


def large_messages(t):
    _ping_pong(t, 150, 2048, range(32, 127))


def binary_messages(t):
    # All but those that a monitor may take for its escape key.
    _ping_pong(t, 50, 1000, [c for c in range(256) if c not in (0x01, 0x1d, 0x1e)])


def typed_file(t):
    lines = ["".join(random.Random(i).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60))
             for i in range(200)]
    t.vm.send("stty -echo; cat >/tmp/typed\n")
    time.sleep(0.5)
    for line in lines:
        t.vm.send(line + "\n")
        time.sleep(0.002)
    t.vm.send("\x04")
    expected = hashlib.md5("".join(line + "\n" for line in lines).encode()).hexdigest()
    output, _ = t.vm.run("stty echo; md5sum /tmp/typed")
    assert output.split()[0] == expected, output


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("boots to a shell", start), ("600 KB from the guest", flood_out),
        ("small messages", small_messages), ("large messages", large_messages),
        ("every byte value", binary_messages), ("a typed file", typed_file)])
