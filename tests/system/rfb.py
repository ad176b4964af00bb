# SPDX-License-Identifier: GPL-2.0-or-later
"""A VNC viewer without a window (RFC 6143): raw pixels, changes of size, keys and pointer."""

import socket
import struct

ENCODINGS = (0, -223)  # raw, DesktopSize
SYMBOLS = {"\n": 0xff0d, "\t": 0xff09, "\b": 0xff08, "\033": 0xff1b}
SHIFT, HOME, UP, DOWN = 0xffe1, 0xff50, 0xff52, 0xff54
SHIFTED = set('~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ')


class Viewer:
    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(30)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")
        assert self.file.read(12) == b"RFB 003.008\n"
        self.socket.sendall(b"RFB 003.008\n")
        self.types = self.file.read(self.file.read(1)[0])
        self.size = None

    def start(self):
        """Without a password."""
        assert 1 in self.types, self.types
        self.socket.sendall(b"\x01")
        assert self.file.read(4) == bytes(4)
        self.socket.sendall(b"\x01")
        width, height = struct.unpack(">HH", self.file.read(20)[:4])
        self.name = self.file.read(struct.unpack(">I", self.file.read(4))[0]).decode()
        # 32 bits, little endian, red above green above blue
        self.socket.sendall(b"\0\0\0\0" + struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255,
                                                       16, 8, 0))
        self.socket.sendall(struct.pack(f">BxH{len(ENCODINGS)}i", 2, len(ENCODINGS), *ENCODINGS))
        self._resize(width, height)
        return self

    def _resize(self, width, height):
        self.size = width, height
        self.rows = [bytearray(4 * width) for _ in range(height)]

    def update(self, incremental=True):
        """Waits for one update; the number of rectangles of pixels in it."""
        self.socket.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, *self.size))
        while self.file.read(1) != b"\0":
            self._skip()
        count, drawn = struct.unpack(">xH", self.file.read(3))[0], 0
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.file.read(12))
            if encoding == -223:
                self._resize(width, height)
                continue
            assert encoding == 0, encoding
            drawn += 1
            for row in range(y, y + height):
                self.rows[row][4 * x:4 * (x + width)] = self.file.read(4 * width)
        return drawn

    def _skip(self):
        """The rest of a bell (nothing) or of a text for the clipboard is not expected."""
        raise AssertionError("an unexpected message")

    def pixel(self, x, y):
        blue, green, red = self.rows[y][4 * x:4 * x + 3]
        return red, green, blue

    def key(self, symbol, down):
        self.socket.sendall(struct.pack(">BBxxI", 4, down, symbol))

    def press(self, *symbols):
        for s in symbols:
            self.key(s, True)
        for s in reversed(symbols):
            self.key(s, False)

    def type(self, text):
        """As somebody with a US keyboard does."""
        for c in text:
            self.press(*[SHIFT] * (c in SHIFTED), SYMBOLS.get(c, ord(c)))

    def pointer(self, x, y, buttons=0):
        self.socket.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def resize(self, width, height):
        """Asks for a screen of this size, as who changes the size of his window."""
        self.socket.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width, height, 0))

    def close(self):
        self.file.close()
        self.socket.close()
