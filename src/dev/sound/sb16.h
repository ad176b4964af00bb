/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Sound Blaster 16: DSP, mixer and OPL3 at ports 0x220-0x22f, the OPL3 at 0x388-0x38b as well,
 * one of the interrupts 5, 7, 9 and 10, and DMA channels that the mixer chooses. What it plays goes
 * to a struct sound_out at the pace of the machine's clock; what it records is silence. Samples
 * move on the loop, which is the main thread's; FM is made up to now at each write to the OPL3.
 */
#ifndef DOPPEL_DEV_SOUND_SB16_H
#define DOPPEL_DEV_SOUND_SB16_H

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "dev/dma.h"
#include "dev/sound/sound.h"
#include "loop/loop.h"

#define SB16_PORT 0x220
#define SB16_FM_PORT 0x388

struct sb16_config {
    struct pin lines; /* with the numbers of ISA interrupts */
    struct dma *dma;
    struct loop *loop;
    struct vclock *clock;
    struct sound_out out;
};

int sb16_create(const struct sb16_config *cfg, struct bus *ports, struct device *out) MUST_CHECK;

#endif
