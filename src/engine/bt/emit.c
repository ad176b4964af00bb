/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders for the few instructions the translator adds of its own. */
#include "xlate.h"

static void rex(struct xlate *x, bool w, unsigned reg, unsigned index, unsigned base)
{
    unsigned v = 0x40 | (w ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
    if (v != 0x40)
        e8(x, v);
}

static void opcode(struct xlate *x, unsigned op)
{
    if (op > 0xff)
        e8(x, op >> 8);
    e8(x, op & 0xff);
}

void x_ctx(struct xlate *x, bool w, unsigned op, unsigned reg, int32_t off)
{
    e8(x, 0x65); /* %gs: */
    rex(x, w, reg, 0, 0);
    opcode(x, op);
    e8(x, (reg & 7) << 3 | 4);
    e8(x, 0x25);
    e32(x, (uint32_t)off);
}

void x_ctx_idx(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned idx, int32_t off)
{
    e8(x, 0x65); /* %gs: */
    rex(x, w, reg, 0, idx);
    opcode(x, op);
    e8(x, 0x80 | (reg & 7) << 3 | (idx & 7));
    if ((idx & 7) == 4)
        e8(x, 0x24);
    e32(x, (uint32_t)off);
}

void x_ctx_idx8(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned idx, int32_t off)
{
    e8(x, 0x65); /* %gs: */
    rex(x, w, reg, idx, 0);
    opcode(x, op);
    e8(x, (reg & 7) << 3 | 4);
    e8(x, 0xc0 | (idx & 7) << 3 | 5);
    e32(x, (uint32_t)off);
}

void x_rr(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned rm)
{
    rex(x, w, reg, 0, rm);
    opcode(x, op);
    e8(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void modrm_base(struct xlate *x, unsigned reg, unsigned base)
{
    if ((base & 7) == 4) {
        e8(x, (reg & 7) << 3 | 4);
        e8(x, 0x24);
    } else if ((base & 7) == 5) {
        e8(x, 0x40 | (reg & 7) << 3 | 5);
        e8(x, 0);
    } else {
        e8(x, (reg & 7) << 3 | (base & 7));
    }
}

void x_rm(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned base)
{
    rex(x, w, reg, 0, base);
    opcode(x, op);
    modrm_base(x, reg, base);
}

void x_rmd(struct xlate *x, bool w, unsigned op, unsigned reg, unsigned base, int32_t disp)
{
    if (disp == 0) {
        x_rm(x, w, op, reg, base);
        return;
    }
    bool small = disp >= -128 && disp < 128;
    rex(x, w, reg, 0, base);
    opcode(x, op);
    e8(x, (small ? 0x40 : 0x80) | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == 4)
        e8(x, 0x24);
    if (small)
        e8(x, (uint8_t)disp);
    else
        e32(x, (uint32_t)disp);
}

void x_lea(struct xlate *x, bool w, unsigned reg, int base, int index, unsigned scale, int32_t disp)
{
    unsigned s = scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
    unsigned i = index < 0 ? 4 : (unsigned)index;

    if (base >= 0 && index < 0 && disp == 0) { /* renamed, not computed */
        x_rr(x, w, 0x8b, reg, (unsigned)base);
        return;
    }
    rex(x, w, reg, index < 0 ? 0 : i, base < 0 ? 0 : (unsigned)base);
    e8(x, 0x8d);
    if (base < 0) { /* index*scale + disp32, or disp32 alone */
        e8(x, (reg & 7) << 3 | 4);
        e8(x, s << 6 | (i & 7) << 3 | 5);
        e32(x, (uint32_t)disp);
        return;
    }
    bool sib = index >= 0 || (base & 7) == 4;
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp >= -128 && disp < 128 ? 1 : 2;
    e8(x, mod << 6 | (reg & 7) << 3 | (sib ? 4 : (unsigned)base & 7));
    if (sib)
        e8(x, s << 6 | (i & 7) << 3 | ((unsigned)base & 7));
    if (mod == 1)
        e8(x, (uint8_t)disp);
    else if (mod == 2)
        e32(x, (uint32_t)disp);
}

void x_rorx(struct xlate *x, unsigned t, unsigned r, unsigned by)
{
    e8(x, 0xc4);
    e8(x, 0x43 | (t < 8 ? 0x80 : 0) | (r < 8 ? 0x20 : 0));
    e8(x, 0xfb);
    e8(x, 0xf0);
    e8(x, 0xc0 | (t & 7) << 3 | (r & 7));
    e8(x, by);
}

void x_load(struct xlate *x, unsigned reg, int32_t off)
{
    x_ctx(x, true, 0x8b, reg, off);
}

void x_store(struct xlate *x, unsigned reg, int32_t off)
{
    x_ctx(x, true, 0x89, reg, off);
}

void x_store_imm(struct xlate *x, uint32_t imm, int32_t off)
{
    x_ctx(x, false, 0xc7, 0, off);
    e32(x, imm);
}

void x_alu_imm(struct xlate *x, bool w, unsigned ext, unsigned reg, int32_t imm)
{
    bool small = imm >= -128 && imm < 128;

    x_rr(x, w, small ? 0x83 : 0x81, ext, reg);
    if (small)
        e8(x, (uint8_t)imm);
    else
        e32(x, (uint32_t)imm);
}

void x_mov_imm(struct xlate *x, unsigned reg, uint64_t v)
{
    if (v == (uint32_t)v) {
        rex(x, false, 0, 0, reg);
        e8(x, 0xb8 | (reg & 7));
        e32(x, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        x_rr(x, true, 0xc7, 0, reg);
        e32(x, (uint32_t)v);
    } else {
        rex(x, true, 0, 0, reg);
        e8(x, 0xb8 | (reg & 7));
        e64(x, v);
    }
}

uint8_t *x_jcc(struct xlate *x, unsigned cc)
{
    if (cc == CC_JMP) {
        e8(x, 0xe9);
    } else {
        e8(x, 0x0f);
        e8(x, 0x80 | cc);
    }
    x->out += 4;
    return x->out - 4;
}

uint8_t *x_call(struct xlate *x)
{
    e8(x, 0xe8);
    x->out += 4;
    return x->out - 4;
}

void x_here(struct xlate *x, uint8_t *rel32)
{
    int32_t d = (int32_t)(x->out - (rel32 + 4));
    __builtin_memcpy(rel32, &d, 4);
}

void x_jcc_to(struct xlate *x, unsigned cc, const uint8_t *to)
{
    uint8_t *rel = x_jcc(x, cc);
    int32_t d = (int32_t)(to - (rel + 4));

    __builtin_memcpy(rel, &d, 4);
}

void x_jmp_to(struct xlate *x, const uint8_t *to)
{
    e8(x, 0xe9);
    e32(x, (uint32_t)(to - (x->out + 4)));
}

void x_jmp_abs(struct xlate *x, uint64_t code)
{
    x_jmp_to(x, x->en->code_rw + (code - (uint64_t)x->en->code_rx));
}

void x_jcc_abs(struct xlate *x, unsigned cc, uint64_t code)
{
    const uint8_t *to = x->en->code_rw + (code - (uint64_t)x->en->code_rx);

    e8(x, 0x0f);
    e8(x, 0x80 | cc);
    e32(x, (uint32_t)(to - (x->out + 4)));
}

void x_align(struct xlate *x, unsigned to)
{
    static const uint8_t nop[9] = {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
    static const uint8_t shorter[8][8] = {{0x90},
                                          {0x66, 0x90},
                                          {0x0f, 0x1f, 0},
                                          {0x0f, 0x1f, 0x40, 0},
                                          {0x0f, 0x1f, 0x44, 0, 0},
                                          {0x66, 0x0f, 0x1f, 0x44, 0, 0},
                                          {0x0f, 0x1f, 0x80, 0, 0, 0, 0},
                                          {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}};
    unsigned n = (unsigned)-(uintptr_t)x->out & (to - 1);

    for (; n >= 9; n -= 9)
        ebytes(x, nop, 9);
    if (n > 0)
        ebytes(x, shorter[n - 1], n);
}

void x_to_cold(struct xlate *x)
{
    x->hot = x->out;
    x->out = x->cold;
    x->in_cold = true;
}

void x_to_hot(struct xlate *x)
{
    x->cold = x->out;
    x->out = x->hot;
    x->in_cold = false;
}
