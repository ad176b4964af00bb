/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pointer's shape that a card lays over its picture. */
#ifndef DOPPEL_DEV_CURSOR_H
#define DOPPEL_DEV_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define CURSOR_MAX 64u /* columns and rows */

struct cursor {
    bool shown;
    int32_t x, y; /* of its upper left corner */
    uint32_t width, height;
    uint32_t hot_x, hot_y; /* what of it points; for the card's own use */
    /* A pixel of the picture becomes (pixel & keep) ^ color where `masks` is set; else the colours
     * are 0xaarrggbb, multiplied by their alpha. Rows of `width` without gaps. */
    bool masks;
    uint32_t color[CURSOR_MAX * CURSOR_MAX];
    uint32_t keep[CURSOR_MAX * CURSOR_MAX];
};
extern const struct state_table cursor_state;

/* Row y of a picture of that width with the cursor on it: `row` itself where there is none, else
 * `out`, which has room for it. */
const uint32_t *cursor_row(const struct cursor *c, unsigned y, const uint32_t *row, unsigned width,
                           uint32_t *out);

#endif
