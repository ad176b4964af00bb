/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DSP 4.05 of a Sound Blaster 16: commands, and its two ways to move samples by DMA, of 8 and
 * of 16 bits, each in a single block or block after block. Creative's Sound Blaster Series Hardware
 * Programming Guide, chapters 2, 3 and 6. Compressed samples (ADPCM), MIDI and the signal processor
 * of the ASP are not there: their commands take their parameters and do nothing.
 *
 * Pure: the device asks how many bytes a way wants, moves them, and says so.
 */
#ifndef DOPPEL_DEV_CHIP_SB16_DSP_H
#define DOPPEL_DEV_CHIP_SB16_DSP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define SB16_DSP_OUT 64u /* bytes that can wait to be read */
#define SB16_RATE_MIN 4000u
#define SB16_RATE_MAX 48000u

enum { SB16_WAY_8, SB16_WAY_16, SB16_WAYS };

struct sb16_way {
    bool on, paused;
    bool repeats; /* auto-init: another block follows */
    bool ends;    /* but not after this one */
    bool records, is_signed, stereo;
    bool silent;          /* nothing is moved, only the time passes */
    uint32_t block, left; /* in bytes, of one block and until its end */
    uint32_t rate;        /* frames a second */
    uint32_t epoch;       /* another transfer has begun since: not state */
};

struct sb16_dsp {
    uint8_t command, needed, got, parameter[4];
    uint8_t out[SB16_DSP_OUT], out_count, last; /* last: what was read before there was nothing */
    bool in_reset;
    bool speaker, high_speed, old_stereo;
    uint8_t test;
    uint16_t block; /* samples - 1, of commands without a length */
    uint32_t out_rate, in_rate;
    bool by_constant;   /* the rate counts samples, not frames, as the time constant does */
    uint8_t interrupts; /* bit 0: of 8 bits, 1: of 16; as in mixer register 0x82 */
    int16_t level;      /* of the direct output */
    struct sb16_way way[SB16_WAYS];
};
extern const struct state_table sb16_dsp_state;

void sb16_dsp_init(struct sb16_dsp *d);
/* Ports 6 and 0xa to 0xf of the card. */
uint8_t sb16_dsp_read(struct sb16_dsp *d, unsigned port);
/* true: there is a new level of the direct output. */
bool sb16_dsp_write(struct sb16_dsp *d, unsigned port, uint8_t value);

bool sb16_dsp_runs(const struct sb16_dsp *d, unsigned way);
/* Bytes of a frame. */
unsigned sb16_dsp_frame(const struct sb16_dsp *d, unsigned way);
/* How many bytes can be moved before something happens; 0: none. */
uint32_t sb16_dsp_wants(const struct sb16_dsp *d, unsigned way);
void sb16_dsp_moved(struct sb16_dsp *d, unsigned way, uint32_t bytes);
/* A frame of these bytes, left and right. */
void sb16_dsp_decode(const struct sb16_dsp *d, unsigned way, const uint8_t *raw, int16_t out[2]);
/* A sample of silence. */
uint16_t sb16_dsp_silence(const struct sb16_dsp *d, unsigned way);

#endif
