/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions. A repeated one runs page piece by page piece; after each piece the registers
 * say how far it came, so that a fault or an interrupt in the middle restarts it where it stopped.
 *
 * arg >> 4: bits 0-2 operation, 3-4 log2 of the element, 5-6 repeat (1 REP/REPE, 2 REPNE), 7-8 log2
 * of the address size, 9-11 segment of the source.
 */
#include "helpers.h"
#include "segment.h"

enum { OP_MOVS, OP_STOS, OP_LODS, OP_SCAS, OP_CMPS, OP_INS, OP_OUTS };

struct str {
    unsigned op, size, rep, asize, mmu;
    uint64_t mask; /* of addresses and the count */
    uint64_t src_base, dst_base;
    unsigned src_seg;
    int64_t step; /* bytes per element, signed by DF */
    bool lin32;
};

static uint64_t masked(const struct str *s, uint64_t v)
{
    return v & s->mask;
}

static void reg_add(struct bt_ctx *c, const struct str *s, unsigned r, int64_t d)
{
    h_set_gpr(c, r, s->asize, c->gpr[r] + (uint64_t)d);
}

static uint64_t lin(const struct str *s, uint64_t base, uint64_t off)
{
    uint64_t v = base + off;
    return s->lin32 ? v & 0xffffffff : v;
}

static uint64_t src(const struct bt_ctx *c, const struct str *s)
{
    return lin(s, s->src_base, masked(s, c->gpr[X86_RSI]));
}

static uint64_t dst(const struct bt_ctx *c, const struct str *s)
{
    return lin(s, s->dst_base, masked(s, c->gpr[X86_RDI]));
}

/* How many elements from `at` on stay in its page, going in the string's direction; at least 1. */
static uint64_t in_page(const struct str *s, uint64_t at, uint64_t want)
{
    uint64_t n;

    if (s->step > 0)
        n = (BT_PAGE_SIZE - (at & 0xfff)) / s->size;
    else
        n = (at & 0xfff) / s->size + 1;
    return n == 0 ? 1 : n < want ? n : want;
}

/* How many elements from `reg` on, upwards, certainly lie in the segment before offsets wrap. */
static uint64_t in_segment(const struct bt_ctx *c, const struct str *s, unsigned reg, uint64_t want)
{
    bool to = reg == X86_RDI;
    uint64_t off = masked(s, c->gpr[reg]), n;

    if (!s->lin32)
        return want;
    n = bt_seg_room(c, to ? X86_ES : s->src_seg, off, s->size, to ? ACC_W : ACC_R);
    if (s->asize == 2 && (0x10000 - off) / s->size < n)
        n = (0x10000 - off) / s->size;
    return n < want ? n : want;
}

/* The element at `reg` is where its segment allows it. */
static int check(struct bt_ctx *c, const struct str *s, unsigned reg, unsigned access)
{
    return bt_seg_check(c, reg == X86_RDI ? X86_ES : s->src_seg, masked(s, c->gpr[reg]), s->size,
                        access);
}

static void move_elements(void *to, const void *from, unsigned size, uint64_t n)
{
    switch (size) {
    case 1:
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 2:
        __asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 4:
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    default:
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    }
}

/* A forward run of whole elements inside one page on each side, through host pointers. Returns the
 * elements done, 0 if it must go one by one, or -1 on a fault. */
static int64_t fast_movs(struct bt_ctx *c, const struct str *s, uint64_t n)
{
    uint64_t a = src(c, s), b = dst(c, s);
    int fault;

    if (s->step < 0 || (c->mode_key & MODE_AC))
        return 0;
    n = in_segment(c, s, X86_RSI, n);
    n = in_segment(c, s, X86_RDI, n);
    if (n == 0)
        return 0;
    n = in_page(s, a, n);
    n = in_page(s, b, n);
    unsigned len = (unsigned)n * s->size;
    const void *p = bt_host(c, a, len, ACC_R, s->mmu, &fault);
    if (p == NULL)
        return fault ? -1 : 0;
    void *q = bt_host(c, b, len, ACC_W, s->mmu, &fault);
    if (q == NULL)
        return fault ? -1 : 0;
    /* Overlap with the destination ahead repeats the pattern: element by element, as the processor
     * does. */
    if ((uint64_t)q - (uint64_t)p < len) {
        move_elements(q, p, s->size, n);
        return (int64_t)n;
    }
    bt_copy(q, p, len);
    return (int64_t)n;
}

static void fill(void *p, uint64_t v, unsigned size, uint64_t n)
{
    switch (size) {
    case 1:
        __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(v) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosw" : "+D"(p), "+c"(n) : "a"(v) : "memory");
        break;
    case 4:
        __asm__ volatile("rep stosl" : "+D"(p), "+c"(n) : "a"(v) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(v) : "memory");
        break;
    }
}

static int64_t fast_stos(struct bt_ctx *c, const struct str *s, uint64_t n)
{
    uint64_t b = dst(c, s);
    int fault;

    if (s->step < 0 || (c->mode_key & MODE_AC))
        return 0;
    n = in_segment(c, s, X86_RDI, n);
    if (n == 0)
        return 0;
    n = in_page(s, b, n);
    void *q = bt_host(c, b, (unsigned)n * s->size, ACC_W, s->mmu, &fault);
    if (q == NULL)
        return fault ? -1 : 0;
    fill(q, c->gpr[X86_RAX], s->size, n);
    return (int64_t)n;
}

/* Flags of a - b, from the processor itself. */
static void compare(struct bt_ctx *c, unsigned size, uint64_t a, uint64_t b)
{
    uint64_t f;
    unsigned shift = 64 - size * 8;

    /* Shifted to the top, CF, ZF, SF and OF come out right; PF and AF belong to the low byte. */
    a <<= shift;
    b <<= shift;
    __asm__("cmpq %2, %1; pushfq; popq %0" : "=r"(f) : "r"(a), "r"(b) : "cc");
    uint64_t lo = a >> shift, lb = b >> shift, g;
    __asm__("cmpb %b2, %b1; pushfq; popq %0" : "=r"(g) : "q"(lo), "q"(lb) : "cc");
    c->flags = (c->flags & ~0x8d5ull) | (f & 0x8c1) | (g & 0x14);
}

static int load(struct bt_ctx *c, const struct str *s, unsigned r, uint64_t *v)
{
    uint64_t at = r == X86_RSI ? src(c, s) : dst(c, s);

    return check(c, s, r, ACC_R) || bt_read(c, at, s->size, s->mmu, v);
}

/* AMD's processors look at the second operand of CMPS first, but of a repeated CMPSB (Zen 4). */
static int load_both(struct bt_ctx *c, const struct str *s, uint64_t *first, uint64_t *second)
{
    if (s->rep == 1 && s->size == 1)
        return load(c, s, X86_RSI, first) || load(c, s, X86_RDI, second);
    return load(c, s, X86_RDI, second) || load(c, s, X86_RSI, first);
}

static int one(struct bt_ctx *c, const struct str *s)
{
    uint64_t v, v2;
    struct bt_walk w;

    switch (s->op) {
    case OP_MOVS:
        if (check(c, s, X86_RSI, ACC_R) || bt_read(c, src(c, s), s->size, s->mmu, &v) ||
            check(c, s, X86_RDI, ACC_W) || bt_write(c, dst(c, s), s->size, s->mmu, v))
            return 1;
        break;
    case OP_STOS:
        if (check(c, s, X86_RDI, ACC_W) || bt_write(c, dst(c, s), s->size, s->mmu, c->gpr[X86_RAX]))
            return 1;
        break;
    case OP_LODS:
        if (load(c, s, X86_RSI, &v))
            return 1;
        if (s->size == 1)
            c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffull) | v;
        else
            h_set_gpr(c, X86_RAX, s->size, v);
        break;
    case OP_SCAS:
        if (load(c, s, X86_RDI, &v))
            return 1;
        compare(c, s->size, c->gpr[X86_RAX], v);
        break;
    case OP_CMPS:
        if (load_both(c, s, &v, &v2))
            return 1;
        compare(c, s->size, v, v2);
        break;
    case OP_INS:
        if (check(c, s, X86_RDI, ACC_W) ||
            bt_walk(c, dst(c, s), ACC_W, s->mmu,
                    &w)) /* the page is there before the port is read */
            return 1;
        if (bt_write(c, dst(c, s), s->size, s->mmu,
                     bt_port_in(c, c->gpr[X86_RDX] & 0xffff, s->size)))
            return 1;
        break;
    default:
        if (check(c, s, X86_RSI, ACC_R) || bt_read(c, src(c, s), s->size, s->mmu, &v))
            return 1;
        bt_port_out(c, c->gpr[X86_RDX] & 0xffff, s->size, (uint32_t)v);
        break;
    }
    return 0;
}

static void advance(struct bt_ctx *c, const struct str *s, int64_t n)
{
    if (s->op == OP_MOVS || s->op == OP_LODS || s->op == OP_CMPS || s->op == OP_OUTS)
        reg_add(c, s, X86_RSI, n * s->step);
    if (s->op != OP_LODS && s->op != OP_OUTS)
        reg_add(c, s, X86_RDI, n * s->step);
}

static bool stop_compare(const struct bt_ctx *c, const struct str *s)
{
    if (s->op != OP_SCAS && s->op != OP_CMPS)
        return false;
    bool zf = c->flags & 0x40;
    return s->rep == 1 ? !zf : zf;
}

/* 0 done, 1 fault, 2 interrupted: the instruction restarts with what is left. */
static int run(struct bt_ctx *c, const struct str *s)
{
    if (s->rep == 0) {
        if (one(c, s))
            return 1;
        advance(c, s, 1);
        return 0;
    }
    for (;;) {
        uint64_t left = masked(s, c->gpr[X86_RCX]);
        int64_t n = 0;
        if (left == 0)
            return 0;
        if (c->mode_key & MODE_TF) /* a step is one element */
            n = 0;
        else if (s->op == OP_MOVS)
            n = fast_movs(c, s, left);
        else if (s->op == OP_STOS)
            n = fast_stos(c, s, left);
        if (n < 0)
            return 1;
        if (n == 0) {
            if (one(c, s))
                return 1;
            n = 1;
        }
        advance(c, s, n);
        reg_add(c, s, X86_RCX, -n);
        if (stop_compare(c, s))
            return 0;
        if ((c->kick || (c->mode_key & MODE_TF)) && masked(s, c->gpr[X86_RCX]) != 0)
            return 2;
    }
}

uint64_t bt_h_string(struct bt_ctx *c, uint32_t arg)
{
    unsigned a = arg >> 4, seg = a >> 9 & 7;
    struct str s = {
        .op = a & 7, .size = 1u << (a >> 3 & 3), .rep = a >> 5 & 3, .asize = 1u << (a >> 7 & 3)};

    s.mmu = bt_data_mmu(c);
    s.mask = s.asize == 8 ? ~0ull : s.asize == 4 ? 0xffffffffull : 0xffffull;
    s.lin32 = !(c->mode_key & MODE_L);
    s.src_seg = seg;
    s.src_base = seg >= X86_FS || s.lin32 ? c->seg_base[seg] : 0;
    s.dst_base = s.lin32 ? c->seg_base[X86_ES] : 0;
    s.step = (int64_t)s.size * (int64_t)c->df;
    if (s.op >= OP_INS && bt_port_check(c, c->gpr[X86_RDX] & 0xffff, s.size))
        return h_fault(c);
    switch (run(c, &s)) {
    case 1:
        return h_fault(c);
    case 2:
        c->rip = bt_helper_rip(c);
        c->v->dr.rf_rip = c->rip; /* its breakpoint was met already */
        return bt_next(c);
    default:
        return 0;
    }
}
