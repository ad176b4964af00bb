#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A Sound Blaster 16: snd_sb16 of Debian's 32-bit kernel (the 64-bit one has no ISA cards) binds with
its OPL3; tones of 8 and 16 bits, and notes of the FM synthesizer, are found in the spectrum of the
WAV file, where nothing is lost and interrupts have moved the guest on.
"""

import glob
import os

import checks
import generic
import overlay
import sound

MODULES = ["snd_sb16 port=0x220 irq=5 dma8=1 dma16=5 mpu_port=0 isapnp=0", "snd_opl3_lib", "snd_pcm_oss",
           "snd_mixer_oss"]
NOTE = 580 * 16 * 49716 / 2**20  # hertz, of fm.c


class Blaster(sound.Sound):
    def start(self):
        folder = os.path.dirname(os.path.abspath(__file__))
        self.wav = self.path("out.wav")
        programs = [program for name in ("play.c", "fm.c") for program in overlay.compile_programs(
            glob.escape(os.path.join(folder, name)), self.dir, ["-m32"])]
        generic.boot(self, MODULES, programs, guest="i386", memory="256M",
                     extra=["--sound", f"sb16,wav={self.wav}"])

    def bound(self):
        out = self.sh("/more/load; cat /proc/asound/cards; ls /dev/snd; cat /proc/ioports /proc/dma", 120)
        self.check("snd_sb16 binds, with its OPL3", "at 0x220, irq 5, dma 1&5" in out and
                   "hwC0D" in out and "0388-038b" in out, out)

    def interrupts(self):
        return int(self.sh("grep SoundBlaster /proc/interrupts").split()[1])

    def pcm(self):
        for rate, bits in ((44100, 16), (22050, 8), (8000, 16)):
            before = self.interrupts()
            left, right = self.tone(1000, 500, 100, rate, bits)
            part = left[4800:14400]
            levels = {h: sound.level(part, h) for h in (1000, 1500, 2000, 3000)}
            name = f"{bits} bits at {rate} Hz"
            self.check(f"{name}: the tone is what is heard on the left",
                       levels.pop(1000) > 500 and max(levels.values()) < 60, levels)
            self.check(f"{name}: and not on the right", sound.level(right[4800:14400], 1000) < 30)
            self.check(f"{name}: with interrupts", self.interrupts() > before)

    def fm_levels(self, modulation):
        before = len(self.samples()[0])
        out, status = self.vm.run(f"/more/fm $(ls /dev/snd/hwC0D* | head -1) 500 {modulation}", 120)
        self.check(f"FM, modulated by {modulation}: the program ends well", status == 0, out)
        left = self.samples()[0][before:][2400:14400]
        return {n: sound.level(left, n * NOTE) for n in (1, 1.5, 3, 5)}

    def fm(self):
        levels = self.fm_levels(0)
        self.check("FM: a sine where nothing modulates",
                   levels[1] > 500 and levels[3] < levels[1] / 10, levels)
        levels = self.fm_levels(50)
        self.check("FM: a modulator of twice the pitch makes side bands",
                   levels[3] > 100 and levels[5] > 10 and levels[1.5] < levels[3] / 10, levels)


if __name__ == "__main__":
    checks.require(["i386"], packages={"/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a": "gcc-multilib"})
    checks.steps(Blaster(), Blaster.start, Blaster.bound, Blaster.pcm, Blaster.fm)
