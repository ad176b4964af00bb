/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures: what a device with a screen gives to those who show it.
 *
 * Whoever shows a picture has a surface of his own and asks the device to draw it, as often as he
 * likes; the surface notes what became different. A device that nobody watches does nothing.
 */
#ifndef DOPPEL_DEV_VIDEO_H
#define DOPPEL_DEV_VIDEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VIDEO_MAX 8192u /* pixels, in both directions */

struct video_rect {
    unsigned x, y, width, height;
};

/* Columns [from, to) of a row that changed; none if they are equal. */
struct video_span {
    uint16_t from, to;
};

/* Pixels are 0x00rrggbb; the upper byte may hold anything. */
struct video_surface {
    unsigned width, height;     /* 0: nothing was drawn yet */
    uint32_t *pixels;           /* rows without gaps */
    struct video_span *changed; /* of each row, since video_taken */
    bool resized;               /* likewise */
};

void video_init(struct video_surface *s);
void video_finish(struct video_surface *s);
/* What a copy of the surface needs to become the same: at most `max` rectangles; then nothing has
 * changed any more. After `resized` it is everything. */
unsigned video_taken(struct video_surface *s, struct video_rect *out, unsigned max);

/* For devices. A new size makes everything black and changed. 0 or -ENOMEM. */
int video_resize(struct video_surface *s, unsigned width, unsigned height) MUST_CHECK;
/* The row has these pixels, one for each column. */
void video_row(struct video_surface *s, unsigned y, const uint32_t *pixels);
void video_blank(struct video_surface *s); /* all of it is black */

/* A pixel of 16 bits: 5 red, 6 green, 5 blue. */
static inline uint32_t video_of_565(uint32_t v)
{
    return (v & 0xf800) << 8 | (v & 0x7e0) << 5 | (v & 0x1f) << 3;
}

/* A device's screen. */
struct video {
    /* Any thread; takes no lock that others wait for while it draws. 0 or -ENOMEM. */
    int (*draw)(void *self, struct video_surface *s);
    /* Who shows the picture would like to have it in this size. Any thread; may be NULL. */
    void (*resize)(void *self, unsigned width, unsigned height);
    void *self; /* NULL: there is no screen */
};

#endif
