/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VMware SVGA II as its own files see it: words of its FIFO, and rows of its frame buffer. */
#ifndef DOPPEL_DEV_CHIP_SVGA_INTERNAL_H
#define DOPPEL_DEV_CHIP_SVGA_INTERNAL_H

#include "dev/chip/svga_chip.h"

static inline uint32_t svga_load(const struct svga_chip *c, unsigned word)
{
    return __atomic_load_n(&c->fifo[word], __ATOMIC_ACQUIRE);
}

static inline void svga_store(struct svga_chip *c, unsigned word, uint32_t value)
{
    __atomic_store_n(&c->fifo[word], value, __ATOMIC_RELEASE);
}

/* Bytes of a row. */
static inline uint32_t svga_pitch(const struct svga_chip *c)
{
    return c->pitchlock != 0 ? c->pitchlock : c->width * (c->bpp / 8);
}

#endif
