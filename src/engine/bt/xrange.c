/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How large a register's value can be, as far as a block tells: an operation on 32 bits clears the
 * upper half, MOVZX, AND and shifts say more. An index that is known to be small reaches less far
 * than the guards between views are wide, so that checking the base is enough (xgroup.c).
 */
#include "xlate.h"

#define WIDE 64u /* nothing is known */

void x_range_start(struct ranges *rg)
{
    __builtin_memset(rg->bits, WIDE, sizeof(rg->bits));
    rg->sign = 0;
}

void x_range_forget(struct ranges *rg, uint16_t regs)
{
    for (unsigned r = 0; r < 16; r++)
        if (regs >> r & 1)
            rg->bits[r] = WIDE;
    rg->sign &= (uint16_t)~regs;
}

static int gpr_of(const struct insn_op *o)
{
    bool high = false;
    int r = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? insn_gpr(o->reg.value, &high) : -1;

    return high ? -1 : r;
}

/* Bits of a source operand; the operation has `size` of them. */
static unsigned source(const struct ranges *rg, const struct insn_op *o, unsigned size)
{
    int r = gpr_of(o);
    unsigned n = o->size < size ? o->size : size;

    if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return o->imm.value.s < 0 ? size : 64u - (unsigned)__builtin_clzll(o->imm.value.u | 1);
    return r >= 0 && rg->bits[r] < n ? rg->bits[r] : n;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Bits of the result in operand 0, a general register of `size` bits, 32 or 64. */
static unsigned result(const struct ranges *rg, const struct insn *in, unsigned size)
{
    unsigned own = source(rg, &in->op[0], size), other = source(rg, &in->op[1], size);
    bool constant = in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    unsigned count = constant ? (unsigned)in->op[1].imm.value.u & (size - 1) : 0;

    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVZX:
        return other;
    case ZYDIS_MNEMONIC_AND:
        return least(own, other);
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_OR:
        if (in->z.mnemonic == ZYDIS_MNEMONIC_XOR && gpr_of(&in->op[0]) == gpr_of(&in->op[1]))
            return 0;
        return own > other ? own : other;
    case ZYDIS_MNEMONIC_ADD:
        return least(size, (own > other ? own : other) + 1);
    case ZYDIS_MNEMONIC_SHR:
        return constant ? own - least(own, count) : own;
    case ZYDIS_MNEMONIC_SHL:
        return constant ? least(size, own + count) : size;
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_RORX:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_SHRX:
    case ZYDIS_MNEMONIC_PMOVMSKB:
    case ZYDIS_MNEMONIC_VPMOVMSKB:
    case ZYDIS_MNEMONIC_BSWAP:
        return size;
    default:
        return WIDE;
    }
}

/* Is the result a number of 32 bits with its sign? */
static bool is_signed(const struct ranges *rg, const struct insn *in)
{
    int r = gpr_of(&in->op[1]);

    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_MOVSX:
        return in->op[0].size == 64;
    case ZYDIS_MNEMONIC_CDQE:
        return true;
    case ZYDIS_MNEMONIC_MOV:
        return in->op[0].size == 64 && r >= 0 && (rg->sign >> r & 1);
    default:
        return false;
    }
}

void x_range_step(struct ranges *rg, const struct insn *in, uint16_t written)
{
    int r = in->z.mnemonic == ZYDIS_MNEMONIC_CDQE ? X86_RAX : gpr_of(&in->op[0]);
    unsigned bits = WIDE;
    bool sign = false;

    if (in->special || r < 0 || written != 1u << r) {
        x_range_forget(rg, written);
        return;
    }
    sign = is_signed(rg, in);
    if (in->z.operand_count_visible > 0 && (in->op[0].size == 32 || in->op[0].size == 64))
        bits = result(rg, in, in->op[0].size);
    x_range_forget(rg, written);
    rg->bits[r] = (uint8_t)bits;
    if (sign)
        rg->sign |= (uint16_t)(1u << r);
}
