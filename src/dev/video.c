/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Surfaces: see video.h. */
#include "dev/video.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void video_init(struct video_surface *s)
{
    memset(s, 0, sizeof(*s));
}

void video_finish(struct video_surface *s)
{
    free(s->pixels);
    free(s->changed);
    memset(s, 0, sizeof(*s));
}

int video_resize(struct video_surface *s, unsigned width, unsigned height)
{
    uint32_t *pixels;
    struct video_span *changed;

    if (width == s->width && height == s->height)
        return 0;
    pixels = calloc((size_t)width * height, sizeof(*pixels));
    changed = calloc(height, sizeof(*changed));
    if (pixels == NULL || changed == NULL) {
        free(pixels);
        free(changed);
        return -ENOMEM;
    }
    video_finish(s);
    *s = (struct video_surface){
        .width = width, .height = height, .pixels = pixels, .changed = changed, .resized = true};
    for (unsigned y = 0; y < height; y++)
        changed[y].to = (uint16_t)width;
    return 0;
}

void video_row(struct video_surface *s, unsigned y, const uint32_t *pixels)
{
    uint32_t *row = s->pixels + (size_t)y * s->width;
    struct video_span *span = &s->changed[y];
    unsigned from = 0, to = s->width;

    if (memcmp(row, pixels, s->width * sizeof(*row)) == 0)
        return;
    while (from < to && row[from] == pixels[from])
        from++;
    while (to > from && row[to - 1] == pixels[to - 1])
        to--;
    memcpy(row + from, pixels + from, (to - from) * sizeof(*row));
    if (span->from == span->to) {
        *span = (struct video_span){(uint16_t)from, (uint16_t)to};
        return;
    }
    span->from = from < span->from ? (uint16_t)from : span->from;
    span->to = to > span->to ? (uint16_t)to : span->to;
}

void video_blank(struct video_surface *s)
{
    static const uint32_t black[VIDEO_MAX];

    for (unsigned y = 0; y < s->height; y++)
        video_row(s, y, black);
}

/* Is it better to send a row with the rectangle above it? Not if that doubles its width. */
static bool joins(const struct video_rect *r, const struct video_span *span)
{
    unsigned from = span->from < r->x ? span->from : r->x;
    unsigned end = r->x + r->width, to = span->to > end ? span->to : end;
    unsigned narrow =
        r->width > (unsigned)(span->to - span->from) ? (unsigned)(span->to - span->from) : r->width;

    return to - from <= 2 * narrow + 64;
}

static void join(struct video_rect *r, const struct video_span *span, unsigned y)
{
    unsigned end = r->x + r->width;

    if (span->from < r->x)
        r->x = span->from;
    if (span->to > end)
        end = span->to;
    r->width = end - r->x;
    r->height = y + 1 - r->y;
}

/* Neighbouring rows make one rectangle; the last takes what is left when there are too many. */
unsigned video_taken(struct video_surface *s, struct video_rect *out, unsigned max)
{
    unsigned n = 0;

    for (unsigned y = 0; y < s->height; y++) {
        struct video_span *span = &s->changed[y];
        struct video_rect *last = n > 0 ? &out[n - 1] : NULL;

        if (span->from == span->to)
            continue;
        if (last != NULL && (n == max || (last->y + last->height == y && joins(last, span))))
            join(last, span, y);
        else
            out[n++] = (struct video_rect){span->from, y, (unsigned)(span->to - span->from), 1};
        span->from = span->to = 0;
    }
    s->resized = false;
    return n;
}
