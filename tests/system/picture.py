# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of a guest's screen: a decoder for our PNG files, and of text by its glyphs."""

import gzip
import lzma
import struct
import zlib

VGA_ROM = "/usr/share/seabios/vgabios-stdvga.bin"

# The first lines of the characters 0 and 1 of the 8x16 font that every video BIOS has.
FONT_START = bytes(16) + bytes.fromhex("00007e81a58181bd9981817e")

XZ_START = b"\xfd7zXZ\0"


class Picture:
    """Pixels by pixel[y][x], as (red, green, blue)."""

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:16]
        at, packed = 8, b""
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8:at + 8 + length]
            assert zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + length)[0]
            if kind == b"IHDR":
                self.width, self.height, depth, color = struct.unpack_from(">IIBB", body)
                assert (depth, color) == (8, 2), (depth, color)
            if kind == b"IDAT":
                packed += body
            at += 12 + length
        self.rows = self._unfilter(zlib.decompress(packed))

    def _unfilter(self, raw):
        rows, size = [], 3 * self.width + 1
        for y in range(self.height):
            kind, row = raw[y * size], bytearray(raw[y * size + 1:(y + 1) * size])
            assert kind in (0, 1), kind
            if kind == 1:
                for i in range(3, len(row)):
                    row[i] = (row[i] + row[i - 3]) & 0xff
            rows.append(bytes(row))
        return rows

    def pixel(self, x, y):
        return tuple(self.rows[y][3 * x:3 * x + 3])

    def colors(self):
        return len({self.pixel(x, y) for y in range(0, self.height, 4)
                    for x in range(0, self.width, 4)})

    def save(self, path):
        """As a PNG file with a palette. At most 256 colours."""
        palette = sorted({row[i:i + 3] for row in set(self.rows) for i in range(0, len(row), 3)})
        depth = 4 if len(palette) <= 16 else 8
        number = {color: n for n, color in enumerate(palette)}
        raw = b""
        for row in self.rows:
            pixels = bytes(number[row[i:i + 3]] for i in range(0, len(row), 3))
            if depth == 4:
                pixels = bytes(a << 4 | b for a, b in zip(pixels[::2], pixels[1::2]))
            raw += b"\0" + pixels
        with open(path, "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n")
            for kind, body in ((b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, depth, 3,
                                                     0, 0, 0)),
                               (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(raw, 9)),
                               (b"IEND", b"")):
                f.write(struct.pack(">I", len(body)) + kind + body +
                        struct.pack(">I", zlib.crc32(kind + body)))

    def text(self, width=9, height=16, glyphs=None):
        """
        Lines of text: each cell is the glyph whose dots have one of its two colours. `glyphs` are
        those of the video BIOS or others.
        """
        glyphs = glyphs or font()
        lines = []
        for top in range(0, self.height - height + 1, height):
            line = ""
            if len(set(self.rows[top:top + height])) == 1 and not any(self.rows[top]):
                lines.append(line)
                continue
            for left in range(0, self.width - width + 1, width):
                line += self._character(glyphs, left, top, height)
            lines.append(line.rstrip())
        return lines

    def _character(self, glyphs, left, top, height):
        cells = [[sum(self.pixel(left + x, top + y)) for x in range(8)] for y in range(height)]
        dim = min(map(min, cells))
        dots = bytes(sum((v > dim) << (7 - x) for x, v in enumerate(row)) for row in cells)
        if dots == bytes(height):
            return " "
        dark = bytes(v ^ 0xff for v in dots)  # on a bright background
        return glyphs.get(dots) or glyphs.get(dark, "?")


def _glyphs(data):
    at = data.index(FONT_START)
    return {data[at + 16 * c:at + 16 * c + 16]: chr(c) for c in range(127, 31, -1)}


def font():
    """Glyphs of the video BIOS, as a dictionary from their rows to the character."""
    with open(VGA_ROM, "rb") as f:
        return _glyphs(f.read())


def kernel_font(path):
    """Those of the console that a kernel draws itself, out of a bzImage that xz has packed."""
    with open(path, "rb") as f:
        image = f.read()
    return _glyphs(lzma.LZMADecompressor().decompress(image[image.index(XZ_START):]))


def console_font(path):
    """Those of a font for Linux' console, as kbd's files have them (PSF 1), packed by gzip."""
    with gzip.open(path) as f:
        data = f.read()
    assert data[:2] == b"\x36\x04" and data[2] & 2, data[:4]  # with a table of Unicode
    size, glyphs = data[3], {}
    number, at = 0, 4 + (512 if data[2] & 1 else 256) * size
    for (code,) in struct.iter_unpack("<H", data[at:]):
        if code == 0xffff:
            number += 1
        elif 32 <= code < 127:
            glyphs[data[4 + number * size:4 + number * size + size]] = chr(code)
    return glyphs
