/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window of the VGA: what the graphics controller does between the processor and the planes.
 * IBM PS/2 hardware interface technical reference, "Video subsystem", graphics controller.
 */
#include "dev/chip/vga_chip.h"

enum {
    GFX_SET_RESET = 0,
    GFX_SET_RESET_ON = 1,
    GFX_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
    SEQ_MAP_MASK = 2,
    SEQ_MEMORY = 4,
    SEQ_LINEAR = 0x04, /* not odd and even */
    SEQ_CHAIN4 = 0x08,
    MISC_MEMORY = 0x02,
};

/* The window's place, which GFX_MISC chooses; offset in it, or false. */
static bool in_window(const struct vga_chip *c, uint32_t at, uint32_t *o)
{
    static const struct {
        uint32_t base, size;
    } window[] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned i = c->gfx[GFX_MISC] >> 2 & 3;

    if (!(c->misc & MISC_MEMORY) || at - window[i].base >= window[i].size)
        return false;
    *o = at - window[i].base;
    return true;
}

/* Beyond the first bank there is memory for linear modes, and for planes that are larger. */
static uint32_t banked(const struct vga_chip *c, uint32_t o)
{
    return o + c->dispi[DISPI_BANK] * VGA_BANK_SIZE * (vga_chip_dispi_on(c) ? 1u : 0u);
}

static uint8_t *linear(const struct vga_chip *c, uint32_t o)
{
    uint32_t at = banked(c, o);

    return at < c->vram_size ? c->vram + at : NULL;
}

/* The four bytes of an offset. */
static uint8_t *group(const struct vga_chip *c, uint32_t o)
{
    uint32_t at = vga_chip_dispi_on(c) ? banked(c, o) : o & 0xffff;

    return c->vram + vga_index(0, at) % c->vram_size;
}

/* Which planes an access at `o` is for, and the offset in them. */
static unsigned planes_of(const struct vga_chip *c, uint32_t *o)
{
    unsigned low;

    if (c->seq[SEQ_MEMORY] & SEQ_CHAIN4) {
        low = *o & 3;
        *o &= ~3u;
        return 1u << low;
    }
    if (!(c->seq[SEQ_MEMORY] & SEQ_LINEAR)) {
        low = *o & 1;
        *o &= ~1u;
        return low ? 0xa : 0x5;
    }
    return 0xf;
}

/* --- reads --- */

static uint8_t color_compare(const struct vga_chip *c)
{
    uint8_t differs = 0;

    for (unsigned p = 0; p < 4; p++) {
        uint8_t want = c->gfx[GFX_COMPARE] >> p & 1 ? 0xff : 0;

        if (c->gfx[GFX_DONT_CARE] >> p & 1)
            differs |= c->latch[p] ^ want;
    }
    return (uint8_t)~differs;
}

/* With odd and even planes the address chooses between two. */
static unsigned read_plane(const struct vga_chip *c, uint32_t at)
{
    unsigned plane = c->gfx[GFX_READ_MAP] & 3;

    if (c->seq[SEQ_MEMORY] & SEQ_CHAIN4)
        return at & 3;
    return c->gfx[GFX_MODE] & 0x10 ? (plane & 2) | (at & 1) : plane;
}

uint8_t vga_chip_window_read(struct vga_chip *c, uint32_t at)
{
    const uint8_t *g;
    uint32_t o, first;

    if (!in_window(c, at, &o))
        return 0xff;
    if (vga_chip_linear(c)) {
        g = linear(c, o);
        return g != NULL ? *g : 0xff;
    }
    first = o;
    planes_of(c, &o);
    g = group(c, o);
    for (unsigned p = 0; p < 4; p++)
        c->latch[p] = g[p];
    if (c->gfx[GFX_MODE] & 0x08)
        return color_compare(c);
    return c->latch[read_plane(c, first)];
}

/* --- writes --- */

static uint8_t rotate(uint8_t v, unsigned n)
{
    return (uint8_t)(v >> n | v << (8 - n));
}

/* What a plane gets before it is combined with the latch. */
static uint8_t source(const struct vga_chip *c, unsigned p, uint8_t value)
{
    bool set = c->gfx[GFX_SET_RESET] >> p & 1;

    switch (c->gfx[GFX_MODE] & 3) {
    case 0:
        if (c->gfx[GFX_SET_RESET_ON] >> p & 1)
            return set ? 0xff : 0;
        return rotate(value, c->gfx[GFX_ROTATE] & 7);
    case 2:
        return value >> p & 1 ? 0xff : 0;
    default:
        return set ? 0xff : 0;
    }
}

static uint8_t combine(unsigned function, uint8_t v, uint8_t latch)
{
    switch (function) {
    case 1:
        return v & latch;
    case 2:
        return v | latch;
    case 3:
        return v ^ latch;
    default:
        return v;
    }
}

static uint8_t result(const struct vga_chip *c, unsigned p, uint8_t value)
{
    unsigned mode = c->gfx[GFX_MODE] & 3;
    uint8_t mask = c->gfx[GFX_BIT_MASK], v;

    if (mode == 1)
        return c->latch[p];
    if (mode == 3)
        mask &= rotate(value, c->gfx[GFX_ROTATE] & 7);
    v = source(c, p, value);
    v = combine(c->gfx[GFX_ROTATE] >> 3 & 3, v, c->latch[p]);
    return (uint8_t)((v & mask) | (c->latch[p] & ~mask));
}

void vga_chip_window_write(struct vga_chip *c, uint32_t at, uint8_t value)
{
    unsigned planes;
    uint8_t *g;
    uint32_t o;

    if (!in_window(c, at, &o))
        return;
    if (vga_chip_linear(c)) {
        g = linear(c, o);
        if (g != NULL)
            *g = value;
        return;
    }
    planes = planes_of(c, &o) & c->seq[SEQ_MAP_MASK];
    g = group(c, o);
    for (unsigned p = 0; p < 4; p++)
        if (planes >> p & 1)
            g[p] = result(c, p, value);
}

/* --- memory as it is --- */

/* Does the graphics controller let everything pass? */
static bool transparent(const struct vga_chip *c)
{
    return (c->seq[SEQ_MEMORY] & SEQ_CHAIN4) && (c->seq[SEQ_MAP_MASK] & 15) == 15 &&
           (c->gfx[GFX_MODE] & 0x0b) == 0 && (c->gfx[GFX_SET_RESET_ON] & 15) == 0 &&
           (c->gfx[GFX_ROTATE] & 0x1f) == 0 && c->gfx[GFX_BIT_MASK] == 0xff;
}

bool vga_chip_direct(const struct vga_chip *c, uint32_t *offset)
{
    uint32_t first;

    if (!in_window(c, 0, &first) || (c->gfx[GFX_MISC] >> 2 & 3) != 1)
        return false;
    *offset = banked(c, 0);
    if (vga_chip_linear(c))
        return *offset + VGA_BANK_SIZE <= c->vram_size;
    return !vga_chip_dispi_on(c) && transparent(c);
}
