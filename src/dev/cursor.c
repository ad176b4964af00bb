/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pointer's shape on a picture: see cursor.h. */
#include "dev/cursor.h"

#include <string.h>

/* Porter and Duff's "over" with 8 bits a colour. */
static uint32_t over(uint32_t below, uint32_t color)
{
    uint32_t rest = 255 - (color >> 24), out = 0;

    for (unsigned shift = 0; shift < 24; shift += 8) {
        uint32_t v = (color >> shift & 255) + ((below >> shift & 255) * rest + 127) / 255;

        out |= (v < 255 ? v : 255) << shift;
    }
    return out;
}

const uint32_t *cursor_row(const struct cursor *c, unsigned y, const uint32_t *row, unsigned width,
                           uint32_t *out)
{
    int64_t line = (int64_t)y - c->y;

    if (!c->shown || line < 0 || line >= c->height)
        return row;
    memcpy(out, row, width * sizeof(*out));
    for (unsigned i = 0; i < c->width; i++) {
        int64_t x = (int64_t)c->x + i;
        size_t at = (size_t)line * c->width + i;

        if (x < 0 || x >= width)
            continue;
        out[x] = c->masks ? (out[x] & c->keep[at]) ^ c->color[at] : over(out[x], c->color[at]);
    }
    return out;
}

static const struct state_field fields[] = {
    STATE_BOOL_F(struct cursor, shown),
    STATE_U32_F(struct cursor, x),
    STATE_U32_F(struct cursor, y),
    STATE_MAX_F(struct cursor, width, STATE_U32, CURSOR_MAX),
    STATE_MAX_F(struct cursor, height, STATE_U32, CURSOR_MAX),
    STATE_U32_F(struct cursor, hot_x),
    STATE_U32_F(struct cursor, hot_y),
    STATE_BOOL_F(struct cursor, masks),
    STATE_ARRAY_F(struct cursor, color, STATE_U32, CURSOR_MAX *CURSOR_MAX),
    STATE_ARRAY_F(struct cursor, keep, STATE_U32, CURSOR_MAX *CURSOR_MAX),
    STATE_END_F,
};
const struct state_table cursor_state = {.name = "cursor", .version = 1, .fields = fields};
