/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A source of stereo frames of any rate, brought to SOUND_RATE by straight lines between them. */
#ifndef DOPPEL_DEV_SOUND_LINE_H
#define DOPPEL_DEV_SOUND_LINE_H

#include <stdint.h>

#include "dev/sound/sound.h"
#include "state/state.h"

struct sound_line {
    uint32_t at; /* between the two frames, in parts of SOUND_RATE */
    int16_t before[2], after[2];
};
extern const struct state_table sound_line_state;

/* How many frames of the source, at so many a second, the next `frames` need. */
unsigned sound_line_needs(const struct sound_line *l, uint32_t rate, unsigned frames);
/* Adds `frames` frames with factors of 65536 to `mix`. `in` has the `count` frames that they need;
 * where it has fewer, the last one is held. */
void sound_line_add(struct sound_line *l, uint32_t rate, const int16_t *in, unsigned count,
                    const uint32_t gain[2], int32_t *mix, unsigned frames);
/* The mix within the limits of samples. */
void sound_clip(const int32_t *mix, int16_t *out, unsigned frames);

#endif
