/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a case starts with: pointers into the data pages and small numbers in the registers that
 * addresses are made of, and numbers worth computing with everywhere else.
 */
#include <string.h>

#include "gen.h"

static uint64_t number(struct gen *g)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     UINT64_MAX,
                                     0x7f,
                                     0x80,
                                     0x7fff,
                                     0x8000,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x100000000,
                                     0x7fffffffffffffff,
                                     0x8000000000000000};
    uint64_t r = diff_rng_next(&g->rng);

    switch (diff_below(&g->rng, 5)) {
    case 0:
        return edges[diff_below(&g->rng, sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return r & 0xff;
    case 2:
        return (uint64_t)(int64_t)(int16_t)r;
    case 3:
        return r & 0xffffffff;
    default:
        return r;
    }
}

static uint64_t pointer(struct gen *g)
{
    unsigned kind = diff_below(&g->rng, 100);
    uint64_t middle = DIFF_DATA + 0x200 + diff_below(&g->rng, DIFF_DATA_SIZE - 0x400);

    if (kind < 60)
        return middle & ~63ull;
    if (kind < 78)
        return middle;
    if (kind < 91) /* across the border of the two pages */
        return DIFF_DATA + DIFF_PAGE - diff_below(&g->rng, 70);
    if (kind < 95) /* across the end */
        return DIFF_DATA + DIFF_DATA_SIZE - diff_below(&g->rng, 70);
    if (kind < 97)
        return DIFF_DATA + diff_below(&g->rng, 32) - 16;
    if (kind < 99)
        return DIFF_RO + diff_below(&g->rng, DIFF_PAGE);
    return number(g);
}

static float special32(struct gen *g)
{
    static const uint32_t v[] = {0,          0x80000000, 0x3f800000, 0xbfc00000, 0x7f800000,
                                 0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff,
                                 0x7f7fffff, 0x42280000, 0x4f000000, 0x33800000, 0xc0490fdb};
    float f;

    memcpy(&f, &v[diff_below(&g->rng, sizeof(v) / sizeof(v[0]))], 4);
    return f;
}

static uint64_t special64(struct gen *g)
{
    static const uint64_t v[] = {0,
                                 0x8000000000000000,
                                 0x3ff0000000000000,
                                 0xbff8000000000000,
                                 0x7ff0000000000000,
                                 0xfff0000000000000,
                                 0x7ff8000000000000,
                                 0x7ff0000000000001,
                                 1,
                                 0x000fffffffffffff,
                                 0x7fefffffffffffff,
                                 0x4045000000000000,
                                 0x43e0000000000000,
                                 0x400921fb54442d18};

    return v[diff_below(&g->rng, sizeof(v) / sizeof(v[0]))];
}

/* Numbers of one type, one quadword. */
static uint64_t quadword(struct gen *g, unsigned type)
{
    uint64_t r = diff_rng_next(&g->rng);
    double d;
    float f[2];

    switch (type) {
    case 0:
        return r;
    case 1:
        d = (double)(int64_t)(r & 0xfffff) / 64.0 - 5000.0;
        memcpy(&r, &d, 8);
        return r;
    case 2:
        f[0] = (float)(int32_t)(r & 0xffff) / 16.0f;
        f[1] = (float)(int32_t)(r >> 48) / -32.0f;
        memcpy(&r, f, 8);
        return r;
    case 3:
        return special64(g);
    case 4:
        f[0] = special32(g);
        f[1] = special32(g);
        memcpy(&r, f, 8);
        return r;
    case 5:
        return r & 0x00ff00ff00ff00ff;
    default:
        return (r & 1) != 0 ? UINT64_MAX : 0;
    }
}

static void fill(struct gen *g, uint8_t *p, unsigned size, bool mixed)
{
    unsigned type = diff_below(&g->rng, 7);

    for (unsigned i = 0; i + 8 <= size; i += 8) {
        uint64_t q;

        if (mixed && i % 64 == 0)
            type = diff_below(&g->rng, 7);
        q = quadword(g, type);
        memcpy(p + i, &q, 8);
    }
}

static void fill_index(struct gen *g, uint8_t *p, unsigned size)
{
    for (unsigned i = 0; i + 8 <= size; i += 8) {
        uint64_t q = diff_below(&g->rng, 100);

        memcpy(p + i, &q, 8);
    }
}

/* The ten bytes of one x87 register: a number, a special value, an MMX value, or noise. */
static void fill_st(struct gen *g, uint8_t *p)
{
    static const uint16_t exponents[] = {0x3fff, 0xc000, 0x7fff, 0, 0x4005, 0xbffe, 0x8000};
    uint64_t mantissa = diff_rng_next(&g->rng);
    uint16_t exponent = exponents[diff_below(&g->rng, 7)];

    if (diff_chance(&g->rng, 80))
        mantissa |= 1ull << 63;
    if (diff_chance(&g->rng, 30))
        mantissa &= 0xfff0000000000000;
    if (diff_chance(&g->rng, 20))
        exponent = 0xffff;
    memcpy(p, &mantissa, 8);
    memcpy(p + 8, &exponent, 2);
}

static void make_legacy(struct gen *g, uint8_t *x)
{
    uint16_t fcw = 0x37f, fsw = 0;
    uint32_t mxcsr = 0x1f80;

    if (diff_chance(&g->rng, 25))
        fcw = (uint16_t)(0x7f | (diff_rng_next(&g->rng) & 0xf00));
    if (diff_chance(&g->rng, 4))
        fcw &= (uint16_t) ~(1u << diff_below(&g->rng, 6));
    if (diff_chance(&g->rng, 40))
        fsw = (uint16_t)(diff_rng_next(&g->rng) & 0x7f00);
    if (diff_chance(&g->rng, 25))
        mxcsr |= (uint32_t)diff_rng_next(&g->rng) & 0xe07f;
    if (diff_chance(&g->rng, 4))
        mxcsr &= ~(0x80u << diff_below(&g->rng, 6));
    memcpy(x, &fcw, 2);
    memcpy(x + 2, &fsw, 2);
    x[4] = diff_chance(&g->rng, 50) ? 0 : (uint8_t)diff_rng_next(&g->rng);
    memcpy(x + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        fill_st(g, x + 32 + i * 16);
}

/* Registers that gathers and scatters take as index hold small numbers. */
static void make_vectors(struct gen *g, enum diff_mode mode, uint8_t *x)
{
    uint64_t xcr0 = diff_xcr0();
    unsigned first = diff_narrow(mode) ? 6 : 14;
    struct diff_component ymm = diff_xsave_component(2), k = diff_xsave_component(5),
                          zmm = diff_xsave_component(6), high = diff_xsave_component(7);

    for (unsigned i = 0; i < 16; i++) {
        bool index = i == first || i == first + 1;
        void (*make)(struct gen *, uint8_t *, unsigned) = index ? fill_index : NULL;
        unsigned at[3] = {160 + i * 16, ymm.offset + i * 16, zmm.offset + i * 32};

        for (unsigned p = 0; p < 3; p++) {
            if ((p == 1 && (xcr0 & 4) == 0) || (p == 2 && (xcr0 & 0x40) == 0))
                continue;
            if (make != NULL)
                make(g, x + at[p], p == 2 ? 32 : 16);
            else
                fill(g, x + at[p], p == 2 ? 32 : 16, false);
        }
    }
    if ((xcr0 & 0x80) != 0)
        fill(g, x + high.offset, 1024, true);
    for (unsigned i = 0; i < 8 && (xcr0 & 0x20) != 0; i++) {
        uint64_t mask = diff_chance(&g->rng, 30) ? UINT64_MAX : diff_rng_next(&g->rng);

        memcpy(x + k.offset + i * 8, &mask, 8);
    }
}

static void make_gprs(struct gen *g, enum diff_mode mode, uint64_t *gpr)
{
    uint32_t pointers = diff_narrow(mode) ? 0xf8 : 0x32f8;
    uint32_t indexes = diff_narrow(mode) ? 0x2 : 0xc02;

    for (unsigned i = 0; i < 16; i++) {
        gpr[i] = number(g);
        if (pointers >> i & 1)
            gpr[i] = pointer(g);
        if (indexes >> i & 1)
            gpr[i] = diff_below(&g->rng, 16);
        if ((i == 10 || i == 11) && diff_chance(&g->rng, 50))
            gpr[i] = 0 - gpr[i];
        if (diff_narrow(mode) && i < 8)
            gpr[i] = (uint32_t)gpr[i];
    }
    if (diff_chance(&g->rng, 70)) /* a stack that is in order */
        gpr[4] = (!diff_narrow(mode) && diff_chance(&g->rng, 70) ? DIFF_HIGH : DIFF_DATA) + 0x400 +
                 (diff_below(&g->rng, 0x1800) & ~7u);
}

/* Pointers become offsets in segments. In 16-bit code SI and DI are often what is added to another
 * one, and upper halves may hold anything. */
static void to_offsets(struct gen *g, enum diff_mode mode, struct diff_case *c)
{
    uint64_t *gpr = c->regs.gpr;

    for (unsigned i = 3; i < 8; i++) {
        gpr[i] = (uint32_t)(gpr[i] - g->seq->data_base);
        if (i >= 6 && mode == DIFF_SEG16 && diff_chance(&g->rng, 40))
            gpr[i] = diff_below(&g->rng, 64);
        if (i != 4 && mode == DIFF_SEG16 && diff_chance(&g->rng, 15))
            gpr[i] = (gpr[i] & 0xffff) | (diff_rng_next(&g->rng) & 0xffff0000);
    }
    if (!c->seg[DIFF_SS].big)
        gpr[4] = (gpr[4] & 0xffff) | DIFF_STACK16_HIGH;
}

/* Where the data's segments begin, about. 16-bit code reaches 64 KB, so in its cases the data is
 * there; in others it may be far from the base, or below it. */
static uint32_t data_base(struct gen *g, enum diff_mode mode)
{
    uint32_t near = DIFF_DATA - diff_below(&g->rng, 0xc000), r = (uint32_t)diff_rng_next(&g->rng);

    if (mode == DIFF_SEG16 || diff_chance(&g->rng, 50))
        return near;
    return diff_chance(&g->rng, 50) ? r % DIFF_DATA : r;
}

/* Reaches to `last`, an offset, or somewhat farther if that takes pages. */
static void set_limit(struct diff_segment *s, uint32_t last)
{
    s->pages = last > 0xfffff;
    s->limit = s->pages ? last >> 12 : last;
}

static struct diff_segment data_segment(struct gen *g, enum diff_mode mode, bool stack)
{
    struct diff_segment s = {.big = mode == DIFF_SEG32};
    uint32_t middle;

    if (stack && diff_chance(&g->rng, 25))
        s.big = !s.big;
    s.base = g->seq->data_base + diff_below(&g->rng, 3) * diff_below(&g->rng, 0x100);
    middle = DIFF_DATA + 0x400 + diff_below(&g->rng, DIFF_DATA_SIZE - 0x400) - s.base;
    s.readonly = !stack && diff_chance(&g->rng, 4);
    set_limit(&s, mode == DIFF_SEG32 ? UINT32_MAX : 0xffff);
    if (diff_chance(&g->rng, 15))
        set_limit(&s, middle);
    if (diff_chance(&g->rng, 8)) { /* what is below is outside */
        s.down = true;
        set_limit(&s, diff_chance(&g->rng, 50) ? middle : DIFF_DATA - 1 - s.base);
    }
    return s;
}

void gen_segments(struct gen *g, enum diff_mode mode, struct diff_case *c)
{
    struct diff_segment *cs = &c->seg[DIFF_CS];
    uint32_t start = g->seq->start;

    memset(c->seg, 0, sizeof(c->seg));
    g->seq->cs_base = g->seq->data_base = 0;
    if (!diff_segmented(mode))
        return;
    g->seq->data_base = data_base(g, mode);
    *cs = (struct diff_segment){.big = mode == DIFF_SEG32, .readonly = diff_chance(&g->rng, 5)};
    cs->base = start - diff_below(&g->rng, 0xe000);
    if (diff_chance(&g->rng, 30))
        cs->base &= ~0xfffu;
    if (mode == DIFF_SEG32 && diff_chance(&g->rng, 30))
        cs->base = (uint32_t)diff_rng_next(&g->rng);
    set_limit(cs, mode == DIFF_SEG32 ? UINT32_MAX : 0xffff);
    if (diff_chance(&g->rng, 8) && !g->whole)
        set_limit(cs, start - cs->base + diff_below(&g->rng, 80));
    g->seq->cs_base = cs->base;
    for (unsigned i = DIFF_DS; i <= DIFF_SS; i++)
        c->seg[i] = data_segment(g, mode, i == DIFF_SS);
}

static uint64_t segment_base(struct gen *g)
{
    static const uint64_t bases[] = {0, 0, 0x40, 0x100, (uint64_t)-0x80, 0x10};

    return bases[diff_below(&g->rng, 6)];
}

void gen_state(struct gen *g, enum diff_mode mode, struct diff_case *c)
{
    uint64_t bv = diff_xcr0();

    memset(c->xsave, 0, sizeof(c->xsave));
    make_legacy(g, c->xsave);
    make_vectors(g, mode, c->xsave);
    if (diff_chance(&g->rng, 10)) /* some components in their initial state */
        bv &= diff_rng_next(&g->rng) | 2;
    memcpy(c->xsave + 512, &bv, 8);
    make_gprs(g, mode, c->regs.gpr);
    if (diff_segmented(mode))
        to_offsets(g, mode, c);
    c->regs.rflags = 2 | DIFF_IF | (diff_rng_next(&g->rng) & DIFF_STATUS);
    if (diff_chance(&g->rng, 8))
        c->regs.rflags |= DIFF_DF;
    if (g->alignment && mode != DIFF_KERNEL && diff_chance(&g->rng, 10))
        c->regs.rflags |= DIFF_AC;
    c->regs.fs_base = segment_base(g);
    c->regs.gs_base = segment_base(g);
    c->regs.tls_selector = (uint16_t)g->tls_selector;
    fill(g, c->data, DIFF_DATA_SIZE, true);
}
