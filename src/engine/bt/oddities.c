/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers for instructions that compilers rarely emit: ENTER, PUSHA, decimal arithmetic, BOUND,
 * ARPL. */
#include "helpers.h"

#include "segment.h"

/* A write without effect: ENTER faults if its final stack pointer is no place to push to. */
static int stack_probe(struct bt_ctx *c, int64_t off, unsigned size)
{
    uint64_t at = (c->gpr[X86_RSP] + (uint64_t)off) & h_stack_mask(c);
    struct bt_walk w;

    if (bt_seg_check(c, X86_SS, at, size, ACC_W))
        return 1;
    at += c->seg_base[X86_SS];
    if (!(c->mode_key & MODE_L))
        at &= 0xffffffff;

    if ((c->mode_key & MODE_L) && (!bt_canonical(at) || !bt_canonical(at + size - 1)))
        return bt_fault_err(c, 12, 0);
    return bt_walk(c, at, ACC_W, bt_data_mmu(c), &w);
}

uint64_t bt_h_enter(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15, level = (uint32_t)c->temp[2] & 31;
    uint32_t bytes = (uint16_t)c->temp[1];
    int64_t off = -(int64_t)size;
    uint64_t mask = h_stack_mask(c), v;

    if (h_stack_write(c, off, size, c->gpr[X86_RBP]))
        return h_fault(c);
    uint64_t frame = c->gpr[X86_RSP] + (uint64_t)off;
    for (unsigned i = 1; i < level; i++) {
        uint64_t at = (c->gpr[X86_RBP] - (uint64_t)i * size) & mask;
        off -= size;
        if (h_frame_read(c, at, size, &v))
            return h_fault(c);
        if (h_stack_write(c, off, size, v))
            return h_fault(c);
    }
    if (level > 0) {
        off -= size;
        if (h_stack_write(c, off, size, frame))
            return h_fault(c);
    }
    off -= bytes;
    if (stack_probe(c, off, size))
        return h_fault(c);
    h_set_gpr(c, X86_RBP, size, frame);
    h_move_sp(c, off);
    return 0;
}

uint64_t bt_h_pusha(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15;
    bool pop = arg >> 8 & 1;
    uint64_t v[8];

    for (unsigned k = 0; k < 8; k++) {
        unsigned i = pop ? 7 - k : k;
        int64_t off = pop ? (int64_t)(k * size) : -(int64_t)((k + 1) * size);
        if (pop ? h_stack_read(c, off, size, &v[i]) : h_stack_write(c, off, size, c->gpr[i]))
            return h_fault(c);
    }
    for (unsigned i = 0; pop && i < 8; i++)
        if (i != X86_RSP)
            h_set_gpr(c, i, size, v[i]);
    h_move_sp(c, pop ? 8 * (int64_t)size : -8 * (int64_t)size);
    return 0;
}

static void set_flag(struct bt_ctx *c, uint64_t bit, bool on)
{
    c->flags = on ? c->flags | bit : c->flags & ~bit;
}

static void szp(struct bt_ctx *c, uint8_t v)
{
    set_flag(c, 0x40, v == 0);
    set_flag(c, 0x80, v >> 7);
    set_flag(c, 0x04, !(__builtin_popcount(v) & 1));
}

static void decimal_adjust(struct bt_ctx *c, bool sub)
{
    uint8_t al = (uint8_t)c->gpr[X86_RAX], old = al;
    bool cf = c->flags & 1, af = (al & 15) > 9 || (c->flags & 0x10), ncf = false;

    if (af) {
        ncf = cf || (sub ? al < 6 : al > 0xf9);
        al = (uint8_t)(sub ? al - 6 : al + 6);
    }
    if (old > 0x99 || cf) {
        al = (uint8_t)(sub ? al - 0x60 : al + 0x60);
        ncf = true;
    }
    set_flag(c, 0x10, af);
    set_flag(c, 1, ncf);
    szp(c, al);
    c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffull) | al;
}

static void ascii_adjust(struct bt_ctx *c, bool sub)
{
    uint16_t ax = (uint16_t)c->gpr[X86_RAX];
    bool adj = (ax & 15) > 9 || (c->flags & 0x10);

    if (adj)
        ax = (uint16_t)(sub ? ax - 6 - 0x100 : ax + 0x106);
    set_flag(c, 0x11, adj);
    ax &= 0xff0f;
    c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffffull) | ax;
}

uint64_t bt_h_bcd(struct bt_ctx *c, uint32_t arg)
{
    unsigned imm = arg >> 12 & 0xff;
    uint16_t ax = (uint16_t)c->gpr[X86_RAX];

    switch (arg >> 4 & 15) {
    case 0:
        ascii_adjust(c, false);
        return 0;
    case 1:
        ascii_adjust(c, true);
        return 0;
    case 2:
        decimal_adjust(c, false);
        return 0;
    case 3:
        decimal_adjust(c, true);
        return 0;
    case 4: /* AAM */
        if (imm == 0) {
            bt_fault(c, 0);
            return h_fault(c);
        }
        ax = (uint16_t)(((ax & 0xff) / imm) << 8 | (ax & 0xff) % imm);
        break;
    case 5: /* AAD */
        ax = (uint8_t)((ax & 0xff) + (ax >> 8) * imm);
        break;
    default: /* SALC */
        c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffull) | (c->flags & 1 ? 0xff : 0);
        return 0;
    }
    szp(c, (uint8_t)ax);
    c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffffull) | ax;
    return 0;
}

uint64_t bt_h_bound(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 8 & 15;
    uint64_t lo, hi;

    if (bt_read(c, c->mem_addr, size, bt_data_mmu(c), &lo) ||
        bt_read(c, c->mem_addr + size, size, bt_data_mmu(c), &hi))
        return h_fault(c);
    int64_t v = size == 2 ? (int16_t)c->gpr[arg >> 4 & 15] : (int32_t)c->gpr[arg >> 4 & 15];
    int64_t l = size == 2 ? (int16_t)lo : (int32_t)lo, h = size == 2 ? (int16_t)hi : (int32_t)hi;
    if (v < l || v > h) {
        bt_fault(c, 5);
        return h_fault(c);
    }
    return 0;
}

uint64_t bt_h_arpl(struct bt_ctx *c, uint32_t arg)
{
    bool mem = arg >> 12 & 1;
    unsigned d = arg >> 8 & 15;
    uint64_t dst = c->gpr[d] & 0xffff, src = c->gpr[arg >> 4 & 15];

    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM))
        return h_ud(c);
    if (mem && bt_read(c, c->mem_addr, 2, bt_data_mmu(c), &dst))
        return h_fault(c);
    bool adj = (dst & 3) < (src & 3);
    if (adj) {
        dst = (dst & ~3ull) | (src & 3);
        if (!mem)
            h_set_gpr(c, d, 2, dst);
        else if (bt_write(c, c->mem_addr, 2, bt_data_mmu(c), dst))
            return h_fault(c);
    }
    set_flag(c, 0x40, adj);
    return 0;
}
