#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Sound: Debian's snd_intel8x0 binds to the AC'97 device; tones that the guest plays are found in the
spectrum of the WAV file.
"""

import cmath
import os
import wave

import checks
import generic
import overlay

GAP = 480  # frames that no tone is silent for
MODULES = ["snd_intel8x0", "snd_pcm_oss", "snd_mixer_oss"]


def level(samples, hertz, rate=48000):
    """How loud a frequency is: the amplitude of its sine."""
    total = sum(s * cmath.exp(-2j * cmath.pi * hertz * i / rate) for i, s in enumerate(samples))
    return 2 * abs(total) / max(len(samples), 1)


class Sound(checks.Checks):
    def start(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "play.c")
        self.wav = self.path("out.wav")
        generic.boot(self, MODULES, overlay.compile_programs(source, self.dir), memory="512M",
                     extra=["--usb", "tablet", "--sound", f"ac97,wav={self.wav}"])

    def bound(self):
        out = self.sh("/more/load; cat /proc/asound/cards; ls /sys/bus/pci/drivers/snd_intel8x0", 120)
        self.check("snd_intel8x0 binds", "0000:00:1d.1" in out and "Intel 82801AA-ICH" in out and
                   "SigmaTel" in self.sh("cat /proc/asound/card0/codec97*/*"), out)

    def samples(self):
        with wave.open(self.wav, "rb") as w:
            assert (w.getnchannels(), w.getsampwidth(), w.getframerate()) == (2, 2, 48000)
            raw = memoryview(w.readframes(w.getnframes())).cast("h")
        return raw[0::2].tolist(), raw[1::2].tolist()

    def played(self, hertz, ms, volume, rate, bits):
        """(the left, the right, what the program says), again where a busy host made the guest late."""
        for _ in range(5):
            before = len(self.samples()[0])
            out, status = self.vm.run(f"/more/play {hertz} {ms} {volume} {rate} {bits}", 120)
            left, right = (side[before:] for side in self.samples())
            loud = [i for i, s in enumerate(left) if abs(s) > 100]
            if all(b - a < GAP for a, b in zip(loud, loud[1:])):
                break
            self.note("a gap: the guest was late, once more")
        return left, right, out, status

    def tone(self, hertz, ms, volume, rate=48000, bits=16):
        left, right, out, status = self.played(hertz, ms, volume, rate, bits)
        self.check(f"{hertz} Hz: the program ends well", status == 0, out)
        self.check(f"{hertz} Hz: nothing is lost", len(left) >= 48 * ms, len(left))
        loud = [i for i, s in enumerate(left) if abs(s) > 100] or [0, 0]
        left = left[loud[0]:loud[-1]]
        right = right[loud[0]:loud[-1]]
        return left, right

    def tones(self):
        for hertz in (440, 1000, 5000):
            left, right = self.tone(hertz, 500, 100)
            part = left[4800:9600]  # whole periods of all three
            levels = {h: level(part, h) for h in (440, 1000, 5000, 2 * hertz, hertz + 200)}
            loudest = max(levels, key=levels.get)
            others = max(v for h, v in levels.items() if h != hertz)
            self.check(f"{hertz} Hz is what is heard on the left",
                       loudest == hertz and levels[hertz] > 1000 and others < levels[hertz] / 20, levels)
            self.check(f"{hertz} Hz: and not on the right", level(right[4800:9600], hertz) < 100,
                       level(right[4800:9600], hertz))
        quiet = level(self.tone(1000, 300, 50)[0][4800:9600], 1000)
        self.check("half the volume is quieter", 10 < quiet < levels[5000] / 2, (quiet, levels))


if __name__ == "__main__":
    checks.require(["generic"])
    checks.steps(Sound(), Sound.start, Sound.bound, Sound.tones)
