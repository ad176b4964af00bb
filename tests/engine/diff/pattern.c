/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patterns of several instructions: control flow, and operand values that random bytes rarely give.
 */
#include <string.h>

#include "gen.h"

#define RAX 1u
#define RCX 2u
#define RDX 4u
#define RSP 16u

static struct gen_item *emit(struct gen *g, const void *bytes, unsigned len)
{
    struct gen_item item = {.len = (uint8_t)len, .target = GEN_NO_TARGET};
    unsigned at = g->seq->count;

    memcpy(item.bytes, bytes, len);
    gen_add(g, &item);
    return &g->seq->item[at < GEN_MAX_ITEMS ? at : GEN_MAX_ITEMS - 1];
}

#define EMIT(g, ...) emit(g, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void glue(struct gen_item *item)
{
    item->glued = true;
}

static bool compat(const struct gen *g)
{
    return diff_narrow(g->seq->mode);
}

/* 16-bit code: displacements and immediates of 32 bits have 16 there. */
static bool small(const struct gen *g)
{
    return g->seq->mode == DIFF_SEG16;
}

static unsigned word_size(const struct gen *g)
{
    return small(g) ? 2 : 4;
}

/* An opcode of one byte and a word. */
static struct gen_item *emit_word(struct gen *g, uint8_t opcode, uint32_t v)
{
    const uint8_t b[] = {opcode, (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
                         (uint8_t)(v >> 24)};

    return emit(g, b, 1 + word_size(g));
}

static unsigned here(const struct gen *g)
{
    return g->seq->count;
}

static void branch_to(struct gen_item *item, unsigned size)
{
    item->fix = GEN_FIX_BRANCH;
    item->size = (uint8_t)size;
}

static void forward_branch(struct gen *g)
{
    unsigned cc = diff_below(&g->rng, 16), at = here(g);

    switch (diff_below(&g->rng, 5)) {
    case 0:
    case 1:
        branch_to(EMIT(g, 0x70 | cc, 0), 1);
        break;
    case 2:
        branch_to(emit(g, (const uint8_t[]){0x0f, 0x80 | cc, 0, 0, 0, 0}, 2 + word_size(g)),
                  word_size(g));
        break;
    case 3:
        branch_to(EMIT(g, 0xe0 | (cc & 3), 0), 1); /* LOOPNE, LOOPE, LOOP, JRCXZ */
        break;
    default:
        if (cc & 1)
            branch_to(EMIT(g, 0xeb, 0), 1);
        else
            branch_to(emit_word(g, 0xe9, 0), word_size(g));
    }
    gen_body(g, diff_below(&g->rng, 4), 0);
    g->seq->item[at].target = (int)here(g);
}

/* A counter in R15D (64-bit) or ECX, counted down by DEC, SUB or LOOP. */
static void counted_loop(struct gen *g)
{
    uint8_t n = (uint8_t)(1 + diff_below(&g->rng, diff_chance(&g->rng, 15) ? 100 : 6));
    bool ecx = compat(g) || diff_chance(&g->rng, 40);
    unsigned top, at;

    if (ecx)
        emit_word(g, 0xb9, n);
    else
        EMIT(g, 0x41, 0xbf, n, 0, 0, 0);
    top = here(g);
    gen_body(g, 1 + diff_below(&g->rng, 3), (ecx ? RCX : 0x8000u) | RSP);
    for (unsigned i = top; i < here(g); i++)
        if (g->seq->item[i].fix == GEN_FIX_NONE && g->seq->item[i].bytes[0] == 0xf3 && ecx)
            return; /* a repeated instruction would count ECX too */
    if (ecx && diff_chance(&g->rng, 50)) {
        at = here(g);
        branch_to(EMIT(g, 0xe2, 0), 1);
    } else {
        if (ecx)
            EMIT(g, 0xff, 0xc9);
        else if (diff_chance(&g->rng, 50))
            EMIT(g, 0x41, 0xff, 0xcf);
        else
            EMIT(g, 0x41, 0x83, 0xef, 1);
        at = here(g);
        branch_to(EMIT(g, 0x75, 0), 1);
        glue(&g->seq->item[at]);
    }
    g->seq->item[at].target = (int)top;
}

/* CALL over a JMP to a body that ends in RET. */
static void call_return(struct gen *g)
{
    unsigned call = here(g), jump;

    branch_to(emit_word(g, 0xe8, 0), word_size(g));
    gen_body(g, diff_below(&g->rng, 2), RSP);
    jump = here(g);
    branch_to(emit_word(g, 0xe9, 0), word_size(g));
    g->seq->item[call].target = (int)here(g);
    gen_body(g, diff_below(&g->rng, 3), RSP);
    if (diff_chance(&g->rng, 70))
        EMIT(g, 0xc3);
    else
        EMIT(g, 0xc2, 8, 0);
    g->seq->item[jump].target = (int)here(g);
}

/* Loads RAX with the address of an item that the caller sets as target. */
static unsigned load_item_address(struct gen *g)
{
    unsigned at = here(g);
    struct gen_item *item;

    if (compat(g)) {
        item = emit_word(g, 0xb8, 0);
        item->fix = GEN_FIX_ABS_ITEM;
        item->offset = 1;
        item->size = (uint8_t)word_size(g);
    } else {
        item = EMIT(g, 0x48, 0x8d, 0x05, 0, 0, 0, 0);
        item->fix = GEN_FIX_RIP_ITEM;
        item->offset = 3;
    }
    return at;
}

static void indirect_jump(struct gen *g)
{
    unsigned at = load_item_address(g);

    switch (diff_below(&g->rng, small(g) ? 3 : 4)) {
    case 0:
        EMIT(g, 0xff, 0xe0);
        break;
    case 1:
        EMIT(g, 0x50);
        EMIT(g, 0xc3);
        break;
    case 2:
        EMIT(g, 0xff, 0xd0); /* a CALL that nobody returns from */
        break;
    default:
        EMIT(g, 0x50);
        EMIT(g, 0xff, 0x24, 0x24);
    }
    gen_body(g, diff_below(&g->rng, 2), 0);
    g->seq->item[at].target = (int)here(g);
}

/* PUSHF, change some bits that programs may change, POPF. */
static void change_flags(struct gen *g)
{
    uint32_t bits = DIFF_STATUS | DIFF_DF | DIFF_ID;
    uint32_t change;

    if (g->alignment && g->seq->mode != DIFF_KERNEL && diff_chance(&g->rng, 10))
        bits |= DIFF_AC;
    if (g->seq->mode != DIFF_KERNEL && diff_chance(&g->rng, 2))
        bits |= DIFF_TF;
    change = (uint32_t)diff_rng_next(&g->rng) & bits;
    EMIT(g, 0x9c);
    glue(EMIT(g, 0x81, 0x34, 0x24, (uint8_t)change, (uint8_t)(change >> 8), (uint8_t)(change >> 16),
              (uint8_t)(change >> 24)));
    glue(EMIT(g, 0x9d));
}

/* Divisions that mostly do not overflow. */
static void divide(struct gen *g)
{
    static const uint8_t modrm[] = {0xf1, 0xf3, 0xf9, 0xfb, 0x33, 0x3b, 0x36, 0x3e};
    uint8_t m = modrm[diff_below(&g->rng, small(g) ? 4 : sizeof(modrm))];
    bool wide = !compat(g) && diff_chance(&g->rng, 40);

    if (m & 8 && diff_chance(&g->rng, 70)) {
        if (wide)
            EMIT(g, 0x48, 0x99);
        else
            EMIT(g, 0x99);
    } else {
        EMIT(g, 0x31, 0xd2);
    }
    if (wide)
        EMIT(g, 0x48, 0xf7, m);
    else
        EMIT(g, 0xf7, m);
}

static void repeat_string(struct gen *g)
{
    static const uint8_t ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    uint8_t op = ops[diff_below(&g->rng, sizeof(ops))];
    uint8_t rep = diff_chance(&g->rng, 70) ? 0xf3 : 0xf2;
    uint8_t n = (uint8_t)diff_below(&g->rng, diff_chance(&g->rng, 20) ? 200 : 24);

    emit_word(g, 0xb9, n);
    if (diff_chance(&g->rng, 20))
        EMIT(g, 0xfc | (n & 1));
    if (compat(g) || diff_chance(&g->rng, 70)) {
        if (diff_chance(&g->rng, 15))
            EMIT(g, 0x66, rep, op);
        else if (diff_chance(&g->rng, 10) && !compat(g))
            EMIT(g, 0x67, rep, op);
        else
            EMIT(g, rep, op);
    } else {
        EMIT(g, rep, 0x48, op);
    }
}

/* A compare-and-exchange that succeeds: the accumulator is loaded from the same place. */
static void compare_exchange(struct gen *g)
{
    static const uint8_t modrm[] = {0x13, 0x16, 0x17};
    uint8_t m = modrm[diff_below(&g->rng, 3)];
    bool lock = diff_chance(&g->rng, 50), wide = !compat(g) && diff_chance(&g->rng, 40);
    uint8_t rex = wide ? 0x48 : 0x3e; /* a no-op prefix elsewhere */

    EMIT(g, rex, 0x8b, m & 7);
    if (lock && wide)
        EMIT(g, 0xf0, rex, 0x0f, 0xb1, m);
    else if (lock)
        EMIT(g, 0xf0, 0x0f, 0xb1, m);
    else
        EMIT(g, rex, 0x0f, 0xb1, m);
}

/* CMPXCHG8B or 16B of [RSI] or [RDI] with the value that is there. */
static void compare_exchange_pair(struct gen *g)
{
    uint8_t rm = diff_chance(&g->rng, 50) ? 6 : 7;
    bool wide = !compat(g) && diff_chance(&g->rng, 50);

    if (wide) {
        EMIT(g, 0x48, 0x8b, rm);
        EMIT(g, 0x48, 0x8b, 0x50 | rm, 8);
        EMIT(g, 0xf0, 0x48, 0x0f, 0xc7, 0x08 | rm);
    } else {
        EMIT(g, 0x8b, rm);
        EMIT(g, 0x8b, 0x50 | rm, 4);
        EMIT(g, 0x0f, 0xc7, 0x08 | rm);
    }
}

/* A valid MXCSR: rounding, flush to zero, denormals are zero; rarely an unmasked exception. */
static void load_mxcsr(struct gen *g)
{
    uint32_t v = 0x1f80 | ((uint32_t)diff_rng_next(&g->rng) & 0xe040);

    if (diff_chance(&g->rng, 15))
        v &= ~(0x80u << diff_below(&g->rng, 6));
    EMIT(g, 0xc7, 0x03, (uint8_t)v, (uint8_t)(v >> 8), 0, 0);
    EMIT(g, 0x0f, 0xae, 0x13);
}

/* Pushes what it then pops into another register. */
static void push_pop(struct gen *g)
{
    uint8_t from = (uint8_t)diff_below(&g->rng, 8), to = diff_chance(&g->rng, 50) ? 0 : 2;

    if (!compat(g) && diff_chance(&g->rng, 40))
        EMIT(g, 0x41, 0x50 | from);
    else if (diff_chance(&g->rng, 20))
        EMIT(g, 0x66, 0x50 | from);
    else
        EMIT(g, 0x50 | from);
    gen_body(g, diff_below(&g->rng, 2), RSP);
    EMIT(g, 0x58 | to);
}

/* An x87 computation on a fresh stack. */
static void x87_fresh(struct gen *g)
{
    static const uint8_t ops[] = {0xc1, 0xc9, 0xe1, 0xe9, 0xf1, 0xf9, 0xd1};
    unsigned n = 1 + diff_below(&g->rng, 3);

    EMIT(g, 0xdb, 0xe3);
    EMIT(g, 0xdd, 0x06);
    EMIT(g, 0xd9, 0x07);
    for (unsigned i = 0; i < n; i++)
        EMIT(g, 0xd8, ops[diff_below(&g->rng, sizeof(ops))]);
    if (diff_chance(&g->rng, 50))
        EMIT(g, 0xdd, 0x1b);
}

/* One access through `base`, with a displacement. */
static void access_base(struct gen *g, uint8_t base, int disp)
{
    static const uint8_t ops[] = {0x8b, 0x89, 0x03, 0x01, 0x3b, 0x31, 0x8a, 0x88, 0x63, 0x85};
    static const uint8_t scratch[] = {0, 2};
    uint8_t op = ops[diff_below(&g->rng, sizeof(ops))];
    uint8_t reg = scratch[diff_below(&g->rng, 2)], b[12];
    unsigned n = 0, mod = disp >= -128 && disp < 128 ? 1 : 2;
    bool vector = diff_chance(&g->rng, 20);

    if (op == 0x63 && compat(g)) /* ARPL there */
        op = 0x8b;
    if (small(g))
        b[n++] = 0x67;
    if (!compat(g))
        b[n++] = (uint8_t)(0x40 | (diff_chance(&g->rng, 60) ? 8 : 0) | (base >> 3));
    if (vector) {
        b[n++] = 0x0f; /* MOVUPS */
        op = 0x10 | (op & 1);
    }
    b[n++] = op;
    b[n++] = (uint8_t)(mod << 6 | reg << 3 | (base & 7));
    if ((base & 7) == 4)
        b[n++] = 0x24;
    memcpy(b + n, &disp, 4);
    emit(g, b, n + (mod == 1 ? 1 : 4));
}

/* Several accesses through one register that may move in between: what an engine checks once. */
static void cluster(struct gen *g)
{
    static const uint8_t bases[] = {3, 4, 5, 6, 7, 9, 12, 13};
    uint8_t base = bases[diff_below(&g->rng, compat(g) ? 5 : 8)];
    unsigned n = 2 + diff_below(&g->rng, 5);
    int range = diff_chance(&g->rng, 70) ? 100 : diff_chance(&g->rng, 70) ? 3000 : 20000;

    for (unsigned i = 0; i < n; i++) {
        int disp = (int)diff_below(&g->rng, (uint32_t)range) - range / 3;
        uint8_t step = (uint8_t)(disp & 0x38);

        if (diff_chance(&g->rng, 12)) {
            if (compat(g))
                EMIT(g, 0x83, 0xc0 | base, step);
            else
                EMIT(g, 0x48 | base >> 3, 0x83, 0xc0 | (base & 7), step);
        } else if (diff_chance(&g->rng, 8)) {
            gen_body(g, 1, 0);
        } else {
            access_base(g, base, disp);
        }
    }
}

void gen_pattern(struct gen *g)
{
    static void (*const patterns[])(struct gen *) = {
        forward_branch,   forward_branch,
        forward_branch,   counted_loop,
        counted_loop,     call_return,
        call_return,      indirect_jump,
        change_flags,     divide,
        repeat_string,    repeat_string,
        compare_exchange, compare_exchange_pair,
        load_mxcsr,       push_pop,
        x87_fresh,        cluster,
        cluster,          cluster,
    };

    static void (*const patterns16[])(struct gen *) = {
        forward_branch, forward_branch, counted_loop,  counted_loop, call_return, call_return,
        indirect_jump,  divide,         repeat_string, push_pop,     cluster,     cluster,
    };

    if (small(g))
        patterns16[diff_below(&g->rng, sizeof(patterns16) / sizeof(patterns16[0]))](g);
    else
        patterns[diff_below(&g->rng, sizeof(patterns) / sizeof(patterns[0]))](g);
}
