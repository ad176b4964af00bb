/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The escape key: see escape.h. */
#include "vm/escape.h"

static enum escape_action action_of(uint8_t key)
{
    switch (key | 0x20) {
    case 'x':
    case 'q':
        return ESCAPE_QUIT;
    case 'p':
        return ESCAPE_POWER;
    case 'r':
        return ESCAPE_RESET;
    default:
        return ESCAPE_HELP;
    }
}

size_t escape_filter(struct escape *s, uint8_t *buf, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t key = buf[i];

        if (!s->armed) {
            s->armed = key == ESCAPE_KEY;
            if (!s->armed)
                buf[out++] = key;
            continue;
        }
        s->armed = false;
        if (key == ESCAPE_KEY || key == 'a' || key == 'A')
            buf[out++] = ESCAPE_KEY;
        else
            s->act(s->opaque, action_of(key));
    }
    return out;
}
