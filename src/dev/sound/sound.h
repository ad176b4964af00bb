/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a sound device's output goes. */
#ifndef DOPPEL_DEV_SOUND_SOUND_H
#define DOPPEL_DEV_SOUND_SOUND_H

#include <stdint.h>

#define SOUND_RATE 48000u /* frames a second */

/* `frames` frames of two samples, left and right; on the device's loop. `play` NULL: nowhere. */
struct sound_out {
    void (*play)(void *opaque, const int16_t *samples, unsigned frames);
    void *opaque;
};

/* What of a sum is within the limits of a sample. */
static inline int16_t sound_sample(int64_t v)
{
    return (int16_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v);
}

#endif
