/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The YMF262 (OPL3): 36 operators of FM synthesis in up to 18 channels of two or four, rhythm mode,
 * eight wave forms, two timers. Register model by Yamaha's YMF262 application manual; the synthesis
 * works as the chip does, in steps of 1/64 octave of level: sines from a table of their logarithms,
 * levels added to them, and an exponent at the end.
 *
 * Pure: the caller says what time it is (nanoseconds, of the timers) and how many frames to make.
 * Timers of a chip that is saved hold how long ago they were started.
 */
#ifndef DOPPEL_DEV_CHIP_OPL3_H
#define DOPPEL_DEV_CHIP_OPL3_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define OPL3_RATE 49716u /* frames a second: 14.31818 MHz / 288 */
#define OPL3_OPERATORS 36u
#define OPL3_CHANNELS 18u

struct opl3_operator {
    uint32_t phase; /* 19 bits, of which the upper ten look into the table */
    uint16_t env;   /* attenuation in steps of 0.1875 dB: 0 is loudest, 511 silent */
    uint8_t stage;  /* of the envelope */
    uint8_t key;    /* who holds it: bit 0 its channel, bit 1 the rhythm register */
    int16_t out[2]; /* its last two samples */
};

struct opl3 {
    uint8_t reg[2][256];
    uint16_t address; /* of the next write, with the set in bit 8 */
    struct opl3_operator op[OPL3_OPERATORS];
    uint32_t clock; /* frames made */
    uint32_t noise; /* 23 bits, never 0 */
    uint8_t status;
    uint64_t started[2]; /* when each timer was, or last ran over */
};
extern const struct state_table opl3_state;

void opl3_reset(struct opl3 *o);

/* Ports 0 to 3: status when read, at 0; addresses at 0 and 2, data at 1 and 3 when written. */
uint8_t opl3_read(struct opl3 *o, unsigned port, uint64_t now);
void opl3_write(struct opl3 *o, unsigned port, uint8_t value, uint64_t now);

bool opl3_silent(const struct opl3 *o); /* it makes nothing but silence until it is written */
/* The next frames, left and right. */
void opl3_generate(struct opl3 *o, int16_t *out, unsigned frames);

/* From points in time to how long ago they were, and back. */
void opl3_turn_times(struct opl3 *o, uint64_t now);

#endif
