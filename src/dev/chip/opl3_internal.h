/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The OPL3 as its own files see it. */
#ifndef DOPPEL_DEV_CHIP_OPL3_INTERNAL_H
#define DOPPEL_DEV_CHIP_OPL3_INTERNAL_H

#include "dev/chip/opl3.h"

enum { OPL3_SILENT = 511, OPL3_KEY_CHANNEL = 1, OPL3_KEY_RHYTHM = 2 };
enum opl3_stage { OPL3_ATTACK, OPL3_DECAY, OPL3_SUSTAIN, OPL3_RELEASE, OPL3_STAGES };

/* Register 0xbd. */
enum { OPL3_DEEP_TREMOLO = 0x80, OPL3_DEEP_VIBRATO = 0x40, OPL3_RHYTHM = 0x20 };

/* Of a quarter of a sine, -log2 in steps of 1/256, at the middles of 256 parts of it. */
extern const uint16_t opl3_log_sine[256];
/* (2^x - 1) * 1024 for x from 0 in steps of 1/256. */
extern const uint16_t opl3_exponent[256];

static inline bool opl3_new(const struct opl3 *o)
{
    return (o->reg[1][5] & 1) != 0;
}

/* The first operator of a channel; the second is three behind it. */
static inline unsigned opl3_first(unsigned channel)
{
    return channel / 9 * 18 + channel % 9 / 3 * 6 + channel % 3;
}

/* Is the channel the first (half 0) or second of two that are one of four operators? */
static inline bool opl3_four(const struct opl3 *o, unsigned channel, unsigned half)
{
    unsigned n = channel % 9;

    return opl3_new(o) && n / 3 == half && (o->reg[1][4] >> (channel / 9 * 3 + n % 3) & 1) != 0;
}

/* Someone presses or lets go. */
void opl3_key(struct opl3 *o, unsigned op, uint8_t who, bool down);

#endif
