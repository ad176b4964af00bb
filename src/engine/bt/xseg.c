/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments in translated code: where EIP is, for code segments that are not flat (codeseg.c), and
 * limits of data segments (limits.c). 64-bit code and flat 32-bit code have none of this, but for
 * accesses through CS, FS and GS of the latter.
 */
#include "xlate.h"

void x_code_seg(struct xlate *x, uint32_t id)
{
    const struct bt_code_page *p = &x->en->page[id];

    x->cs_number = p->code_seg;
    x->cs = p->code_seg != 0 ? &x->en->code_segs.seg[p->code_seg] : NULL;
    x->lin = p->lin;
}

uint32_t x_eip(const struct xlate *x, unsigned off)
{
    return x->lin + off - x->cs->base;
}

unsigned x_fetch_limit(const struct xlate *x, unsigned off, unsigned avail)
{
    if (x->cs == NULL)
        return avail;
    uint32_t ip = x_eip(x, off);
    if (ip > x->cs->limit)
        return 0;
    uint64_t n = (uint64_t)x->cs->limit - ip + 1;
    return n < avail ? (unsigned)n : avail;
}

/* The target of a near jump to a constant place: EIP, for code that knows it. */
static uint32_t target_eip(const struct xlate *x, const struct insn *in)
{
    uint32_t ip = x_eip(x, in->off + in->len) + (uint32_t)in->op[0].imm.value.s;

    return in->opsize == 2 ? ip & 0xffff : ip;
}

int64_t x_branch_target(const struct xlate *x, const struct insn *in)
{
    int64_t d = in->off + in->len + in->op[0].imm.value.s;

    if (x->cs != NULL)
        return (int32_t)(target_eip(x, in) + x->cs->base - x->lin);
    if (!x->long64 && in->opsize == 2)
        return X_CUT16 | (uint16_t)d;
    return d;
}

bool x_target_ok(const struct xlate *x, const struct insn *in)
{
    return x->cs == NULL || target_eip(x, in) <= x->cs->limit;
}

void x_linear_rip(struct xlate *x, const struct insn *in, unsigned t)
{
    if (x->cs == NULL)
        return;
    if (x->cs->limit < (in->opsize == 2 ? 0xffffu : 0xffffffffu)) {
        x_flags_save(x);
        x_alu_imm(x, false, 7, t, (int32_t)x->cs->limit); /* cmp */
        x_protection_if(x, in, CC_A);
    }
    x_lea(x, false, t, (int)t, -1, 1, (int32_t)x->cs->base);
}

/* ---- data ------------------------------------------------------------------------------------ */

bool x_seg_limited(const struct xlate *x, const struct insn_mem *m)
{
    if (x->long64)
        return false;
    return (x->key & MODE_LIMITS) || (m->seg != X86_ES && m->seg != X86_SS && m->seg != X86_DS);
}

void x_seg_check(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t,
                 unsigned t2)
{
    unsigned size = m->size ? m->size : 1;
    bool write = m->access & ACC_W;

    x_lea(x, true, t2, (int)t, -1, 1, (int32_t)size - 1);
    x_ctx(x, true, 0x3b, t2, CTX_OFF(seg_top[0][0]) + (write * X86_SEG_COUNT + m->seg) * 8);
    uint8_t *slow = x_jcc(x, CC_G);
    const uint8_t *back = x->out;
    x_to_cold(x);
    x_here(x, slow);
    x_store(x, t, CTX_OFF(mem_addr));
    uint8_t *site = x->out + 8; /* the immediate of the next store */
    x_store_imm(x, 0, CTX_OFF(site));
    x_jmp_abs(x, x->en->stub_seg);
    e32(x, size | (uint32_t)(write ? ACC_W : ACC_R) << 12 | (uint32_t)m->seg << 24 |
               (in->masked ? INFO_MASKED : 0));
    e32(x, x->spilled | (x->flags_saved ? STATE_FLAGS_SAVED : 0));
    e32(x, x->id << 12 | in->off);
    uint32_t at = code_off(x, x->out);
    __builtin_memcpy(site, &at, 4);
    x_jmp_to(x, back);
    x_to_hot(x);
}

/* ---- 16-bit code ----------------------------------------------------------------------------- */

/* Does the prefix 66 change the operand's size? Elsewhere it is part of the opcode, or ignored. */
static bool sized(const struct insn *in)
{
    switch (in->z.opcode_map) {
    case ZYDIS_OPCODE_MAP_DEFAULT:
        return true;
    case ZYDIS_OPCODE_MAP_0F:
        return !in->vector && in->z.opcode != 0xae && in->z.opcode != 0xc3;
    case ZYDIS_OPCODE_MAP_0F38: /* MOVBE, CRC32 */
        return in->z.opcode == 0xf0 || in->z.opcode == 0xf1;
    default:
        return false;
    }
}

bool x_narrow_prefix(const struct xlate *x, const struct insn *in)
{
    return x->dec.bits == 16 && in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && sized(in);
}
