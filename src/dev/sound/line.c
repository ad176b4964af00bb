/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates and mixing: see line.h. */
#include "dev/sound/line.h"

#include <string.h>

unsigned sound_line_needs(const struct sound_line *l, uint32_t rate, unsigned frames)
{
    return (unsigned)((l->at + (uint64_t)rate * frames) / SOUND_RATE);
}

static int32_t between(const struct sound_line *l, unsigned side)
{
    int64_t rise = (int64_t)l->after[side] - l->before[side];

    return (int32_t)(l->before[side] + rise * l->at / SOUND_RATE);
}

void sound_line_add(struct sound_line *l, uint32_t rate, const int16_t *in, unsigned count,
                    const uint32_t gain[2], int32_t *mix, unsigned frames)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < frames; i++) {
        for (l->at += rate; l->at >= SOUND_RATE; l->at -= SOUND_RATE) {
            memcpy(l->before, l->after, sizeof(l->before));
            if (taken < count)
                memcpy(l->after, in + 2 * taken++, sizeof(l->after));
        }
        for (unsigned side = 0; side < 2; side++)
            mix[2 * i + side] += (int32_t)((int64_t)between(l, side) * gain[side] / 65536);
    }
}

void sound_clip(const int32_t *mix, int16_t *out, unsigned frames)
{
    for (unsigned i = 0; i < 2 * frames; i++)
        out[i] = sound_sample(mix[i]);
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct sound_line, at, STATE_U32, SOUND_RATE - 1),
    STATE_ARRAY_F(struct sound_line, before, STATE_U16, 2),
    STATE_ARRAY_F(struct sound_line, after, STATE_U16, 2),
    STATE_END_F,
};
const struct state_table sound_line_state = {.name = "sound-line", .version = 1, .fields = fields};
