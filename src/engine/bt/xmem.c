/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory operands. An access is emitted as
 *
 *      lea   t1, address
 *      rorx  t2, t1, 12; movzx t2, t2w         which entry of the software TLB
 *      sub   t1, entry.tag                     offset in the page if it hits, else large
 *      cmp   t1, 4096 - size; ja slow          also refuses accesses that cross the page
 *      add   t1, entry.host
 *  op: the instruction, its operand now (t1)
 *  end:
 *
 * and in the cold part
 *
 *  slow: t1 = linear address again; call bt_mem_slow
 *  A:  t1 = host address; jmp op               plain RAM, or a bounce buffer that only is read
 *  B:  t1 = bounce buffer; copy of op; call bt_mem_post; jmp end
 *
 * Only these sequences give translated code a host address, and only of a page of guest RAM or of
 * the bounce buffer.
 */
#include "xlate.h"

static void segment_base(struct xlate *x, const struct insn_mem *m, unsigned t, unsigned t2)
{
    bool based = m->seg >= X86_FS || (!x->long64 && (x->key & MODE_BASES));
    int32_t off = CTX_OFF(seg_base[0]) + m->seg * 8;

    if (!based)
        return;
    if (t2 < 16) {
        x_load(x, t2, off);
        x_lea(x, x->long64, t, (int)t, (int)t2, 1, 0);
    } else {
        x_ctx(x, x->long64, 0x03, t, off);
    }
}

void x_effective(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t)
{
    if (m->rip) {
        int64_t d = m->disp + in->off + in->len;
        x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
        if (d != (int32_t)d) {
            x_lea(x, true, t, (int)t, -1, 1, (int32_t)m->disp);
            d -= (int32_t)m->disp;
        }
        x_lea(x, m->addrsize == 8, t, (int)t, -1, 1, (int32_t)d);
    } else if (m->base < 0 && m->index < 0) {
        x_mov_imm(x, t,
                  m->addrsize == 8   ? (uint64_t)m->disp
                  : m->addrsize == 4 ? (uint32_t)m->disp
                                     : (uint16_t)m->disp);
    } else {
        x_lea(x, m->addrsize == 8, t, m->base, m->index, m->scale, (int32_t)m->disp);
    }
    if (m->addrsize == 2)
        x_rr(x, false, 0x0fb7, t, t);
}

void x_address(struct xlate *x, const struct insn *in, const struct insn_mem *m, unsigned t,
               unsigned t2)
{
    x_effective(x, in, m, t);
    segment_base(x, m, t, t2);
}

/* t2 = index in the TLB of the address in t1 */
static void tlb_index(struct xlate *x, unsigned t2, unsigned t1)
{
    if (x->en->bmi2) {
        e8(x, 0xc4); /* rorx t2, t1, 12 */
        e8(x, 0x43 | (t2 < 8 ? 0x80 : 0) | (t1 < 8 ? 0x20 : 0) | 0x40);
        e8(x, 0xfb);
        e8(x, 0xf0);
        e8(x, 0xc0 | (t2 & 7) << 3 | (t1 & 7));
        e8(x, 12);
    } else {
        x_rr(x, true, 0x8b, t2, t1);
        x_rr(x, true, 0xc1, 5, t2);
        e8(x, 12);
    }
    x_rr(x, false, 0x0fb7, t2, t2); /* movzx t2, t2's low word */
}

static int32_t tlb_off(const struct xlate *x, bool write, bool host)
{
    int32_t base = CTX_OFF(tlb[0]) + (int32_t)(x->mmu * sizeof(struct bt_tlb));

    if (host)
        return base + (int32_t)offsetof(struct bt_tlb, host);
    return base +
           (int32_t)(write ? offsetof(struct bt_tlb, tag_w) : offsetof(struct bt_tlb, tag_r));
}

/* A store of a checked block to its own page takes the slow path. */
static uint8_t *own_page(struct xlate *x, unsigned t2)
{
    int32_t rpn = CTX_OFF(tlb[0]) + (int32_t)(x->mmu * sizeof(struct bt_tlb)) +
                  (int32_t)offsetof(struct bt_tlb, rpn);

    e8(x, 0x65); /* cmpl $own, %gs:rpn(,t2,4) */
    if (t2 >= 8)
        e8(x, 0x42);
    e8(x, 0x81);
    e8(x, 0x3c);
    e8(x, 0x85 | (t2 & 7) << 3);
    e32(x, (uint32_t)rpn);
    e32(x, x->en->page[x->id].rpn);
    return x_jcc(x, CC_E);
}

/* t1 = host address of [t1, t1 + size), or off to the slow path. */
static void check(struct xlate *x, struct access *a, unsigned size, bool write)
{
    tlb_index(x, a->t2, a->t1);
    x_ctx_idx8(x, true, 0x2b, a->t1, a->t2, tlb_off(x, write, false)); /* sub t1, tag */
    x_alu_imm(x, true, 7, a->t1, (int32_t)(BT_PAGE_SIZE - size));      /* cmp */
    a->slow_jcc = x_jcc(x, x->key & MODE_AC ? CC_JMP : CC_A);
    a->own_jcc = write && x->verify ? own_page(x, a->t2) : NULL;
    x_ctx_idx8(x, true, 0x03, a->t1, a->t2, tlb_off(x, false, true)); /* add t1, host */
}

static void slow_call(struct xlate *x, const struct insn *in, const struct access *a, bool write,
                      uint64_t stub)
{
    x_here(x, a->slow_jcc);
    if (a->own_jcc != NULL)
        x_here(x, a->own_jcc);
    x_ctx_idx8(x, true, 0x03, a->t1, a->t2, tlb_off(x, write, false));
    x_store(x, a->t1, CTX_OFF(mem_addr));
    uint8_t *site = x->out + 8; /* the immediate of the next store */
    x_store_imm(x, 0, CTX_OFF(site));
    x_jmp_abs(x, stub);
    e32(x, a->info); /* struct bt_mem_site */
    e32(x, a->spilled | (a->flags_saved ? STATE_FLAGS_SAVED : 0));
    e32(x, x->id << 12 | in->off);
    uint32_t a_off = code_off(x, x->out);
    __builtin_memcpy(site, &a_off, 4);
    uint8_t *start = x->out;
    x_load(x, a->t1, CTX_OFF(mem_host));
    x_jmp_to(x, a->op);
    while (x->out < start + 16)
        e8(x, 0x90);
}

/* The first access of a group: one check for the whole span. Where that fails for good (two pages,
 * a device, code in the page) the block goes on in a copy of itself without groups, from this
 * instruction on. */
static void group_head(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                       uint16_t avoid, struct access *a)
{
    const struct member *me = &x->member[x->i];
    struct insn_mem low = *m;
    uint32_t size;
    int32_t at;
    bool write;

    x_group_span(x, &at, &size, &write);
    avoid |= in->write; /* the address outlives this instruction */
    low.disp += at - me->at;
    a->t1 = x_scratch(x, avoid);
    x->held |= (uint16_t)(1u << a->t1);
    a->t2 = x_scratch(x, avoid);
    x_address(x, in, &low, a->t1, 16);
    check(x, a, size, write);
    a->op = x->out;
    a->info = size | (uint32_t)(write ? ACC_R | ACC_W : ACC_R) << 12 | x->mmu << 16;
    a->spilled = x->spilled;
    a->flags_saved = x->flags_saved;
    x_to_cold(x);
    slow_call(x, in, a, write, x->en->stub_group);
    x_canon_copy(x);
    x_jmp_abs(x, x->en->stub_variant);
    x_to_hot(x);
    x->group_reg[me->group] = (int8_t)a->t1;
    x->group_at[me->group] = at;
    x->pinned |= (uint16_t)(1u << a->t1);
    x->held &= (uint16_t) ~(1u << a->t1);
}

static bool grouped(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                    uint16_t avoid, struct access *a)
{
    const struct member *me = &x->member[x->i];
    uint32_t size;
    int32_t at;
    bool write;

    if (me->group == GROUP_NONE || x->nogroup || x->direct)
        return false;
    if (x->group_reg[me->group] < 0) {
        if (__builtin_popcount(x->pinned) >= 4 || !x_group_span(x, &at, &size, &write))
            return false;
        if (x->live[x->i])
            x_flags_save(x);
        group_head(x, in, m, avoid, a);
    }
    a->t1 = (unsigned)x->group_reg[me->group];
    if (in->high_byte && a->t1 >= 8)
        return false;
    a->disp = me->at - x->group_at[me->group];
    a->member = true;
    a->t2 = a->val = x_scratch(x, avoid);
    a->base = (int8_t)a->t1;
    x->held |= (uint16_t)(1u << a->t1);
    a->op = x->out;
    x_record(x, in);
    return true;
}

uint16_t x_access_avoid(const struct insn *in, const struct insn_mem *m)
{
    uint16_t avoid = in->read | (uint16_t)(in->write & ~in->full);

    if (m->access & ACC_W)
        avoid |= in->write;
    if (in->high_byte)
        avoid |= 0xff00;
    return avoid;
}

/* Where there are others to see the difference. XCHG needs no prefix. */
static bool locked(const struct xlate *x, const struct insn *in)
{
    return x->en->machine->vcpus > 1 &&
           ((in->z.attributes & ZYDIS_ATTRIB_HAS_LOCK) || in->z.mnemonic == ZYDIS_MNEMONIC_XCHG);
}

static void access_host(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                        uint16_t avoid, struct access *a)
{
    bool write = m->access & ACC_W;
    unsigned size = m->size ? m->size : 1;

    if (grouped(x, in, m, avoid, a))
        return;
    if (x->live[x->i])
        x_flags_save(x);
    a->t1 = a->val = x_scratch(x, avoid);
    a->base = (int8_t)a->t1;
    x->held |= (uint16_t)(1u << a->t1);
    a->t2 = x_scratch(x, avoid);
    x_effective(x, in, m, a->t1);
    if (x_seg_limited(x, m))
        x_seg_check(x, in, m, a->t1, a->t2);
    segment_base(x, m, a->t1, 16);
    check(x, a, size, write);
    a->op = x->out;
    a->info = size | (uint32_t)m->access << 12 | x->mmu << 16 |
              (m->seg == X86_SS ? INFO_STACK : 0) | (x->long64 ? 0 : INFO_LIN32) |
              (in->masked ? INFO_MASKED : 0) | (in->aligned ? INFO_ALIGNED : 0) |
              (locked(x, in) ? INFO_LOCKED : 0);
    a->spilled = x->spilled;
    a->flags_saved = x->flags_saved;
    x_record(x, in);
}

static void access(struct xlate *x, const struct insn *in, const struct insn_mem *m, uint16_t avoid,
                   enum access_use use, struct access *a)
{
    *a = (struct access){.index = -1, .scale = 1};
    avoid |= x_access_avoid(in, m);
    if (!x->direct || (x->verify && (m->access & ACC_W)) || x_seg_limited(x, m))
        access_host(x, in, m, avoid, a);
    else if (!x->long64)
        x_narrow_access(x, in, m, avoid, use, a);
    else
        x_direct_access(x, in, m, avoid, use, a);
}

void x_access(struct xlate *x, const struct insn *in, const struct insn_mem *m, uint16_t avoid,
              struct access *a)
{
    access(x, in, m, avoid, ACCESS_OP, a);
}

void x_access_val(struct xlate *x, const struct insn *in, const struct insn_mem *m, uint16_t avoid,
                  struct access *a)
{
    access(x, in, m, avoid, ACCESS_VALUE, a);
}

void x_access_own(struct xlate *x, const struct insn *in, struct access *a)
{
    access(x, in, &in->mem, 0, ACCESS_OWN, a);
}

static void member_done(struct xlate *x, const struct access *a)
{
    unsigned g = x->member[x->i].group;

    x->held &= (uint16_t) ~(1u << a->t1);
    if (g == GROUP_NONE || x->group_reg[g] < 0 || !x_group_last(x))
        return;
    x->pinned &= (uint16_t) ~(1u << x->group_reg[g]);
    x->group_reg[g] = -1;
}

void x_access_done(struct xlate *x, struct access *a)
{
    const struct insn *in = &x->in[x->i];
    uint8_t *end = x->out;
    bool write = a->info >> 12 & ACC_W;

    if (a->member) {
        member_done(x, a);
        return;
    }
    x->held &= (uint16_t) ~(1u << a->t1);
    x_to_cold(x);
    slow_call(x, in, a, write, x->en->stub_mem);
    if (write) {
        x_load(x, a->t1, CTX_OFF(mem_host));
        x_record_at(x, in, a);
        x_imm_again(x, a->op, (unsigned)(end - a->op), x->out);
        ebytes(x, a->op, (unsigned)(end - a->op));
        x_store_imm(x, code_off(x, end), CTX_OFF(site));
        x_jmp_abs(x, x->en->stub_post);
    }
    x_to_hot(x);
}

/* ---- re-encoding --------------------------------------------------------------------------------
 * ------------------------ */

/* wide: EVEX scales 8-bit displacements, so it gets 32-bit ones. */
static void modrm_mem(struct xlate *x, unsigned reg, unsigned t, int32_t disp, bool wide)
{
    bool none = disp == 0 && (t & 7) != 5,
         small = disp == 0 || (!wide && disp >= -128 && disp < 128);

    e8(x, (none ? 0 : small ? 0x40 : 0x80) | reg << 3 | (t & 7));
    if ((t & 7) == 4)
        e8(x, 0x24);
    if (none)
        return;
    if (small)
        e8(x, (uint8_t)disp);
    else
        e32(x, (uint32_t)disp);
}

bool x_is_prefix(unsigned b)
{
    return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x26 ||
           b == 0x2e || b == 0x36 || b == 0x3e || b == 0x64 || b == 0x65;
}

static void encode_legacy(struct xlate *x, const struct insn *in, unsigned t)
{
    bool narrow = x_narrow_prefix(x, in);
    unsigned k = 0, old_rex = 0;

    if (narrow && in->opsize == 2)
        e8(x, 0x66);
    for (;; k++) { /* a REX counts only right before the opcode */
        unsigned b = in->raw[k];
        if (x->long64 && (b & 0xf0) == 0x40)
            old_rex = b;
        else if (x_is_prefix(b))
            old_rex = 0;
        else
            break;
        if ((b == 0x66 && !narrow) || b == 0xf0 || b == 0xf2 || b == 0xf3)
            e8(x, b);
    }
    unsigned rex = (old_rex & 0x4c) | (t >> 3);
    if (rex != 0 || old_rex != 0)
        e8(x, 0x40 | rex);
    if (!x->long64 && in->raw[k] == 0x82) { /* alias of 80 that 64-bit mode lost */
        e8(x, 0x80);
        return;
    }
    for (; k < in->z.raw.modrm.offset; k++)
        e8(x, in->raw[k]);
}

static void encode_vex(struct xlate *x, const struct insn *in, unsigned t)
{
    const uint8_t *v = in->raw + in->z.raw.vex.offset;

    if (v[0] == 0xc5 && t < 8) {
        ebytes(x, v, 2);
    } else if (v[0] == 0xc5) {
        e8(x, 0xc4);
        e8(x, (v[1] & 0x80) | 0x41);
        e8(x, v[1] & 0x7f);
    } else {
        e8(x, 0xc4);
        e8(x, (v[1] & 0x9f) | 0x40 | (t < 8 ? 0x20 : 0));
        e8(x, v[2]);
    }
    for (unsigned k = in->z.raw.vex.offset + (v[0] == 0xc5 ? 2u : 3u); k < in->z.raw.modrm.offset;
         k++)
        e8(x, in->raw[k]);
}

static void encode_evex(struct xlate *x, const struct insn *in, unsigned t)
{
    const uint8_t *v = in->raw + in->z.raw.evex.offset;

    e8(x, 0x62);
    e8(x, (v[1] & 0x9f) | 0x40 | (t < 8 ? 0x20 : 0));
    e8(x, v[2]);
    e8(x, v[3]);
    for (unsigned k = in->z.raw.evex.offset + 4u; k < in->z.raw.modrm.offset; k++)
        e8(x, in->raw[k]);
}

void x_access_prefixes(struct xlate *x, const struct access *a)
{
    if (a->seg != 0)
        e8(x, a->seg);
    if (a->narrow)
        e8(x, 0x67);
}

unsigned x_keep_prefixes(struct xlate *x, const struct insn *in)
{
    unsigned k = 0;

    for (; x_is_prefix(in->raw[k]); k++) {
        unsigned b = in->raw[k];
        if (b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3)
            e8(x, b);
    }
    return k;
}

void x_reencode(struct xlate *x, const struct insn *in, const struct access *a)
{
    bool evex = in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;

    if (a->same && a->narrow) {
        x_narrow_encode(x, in, a);
        return;
    }
    if (a->same) {
        uint8_t *op = x->out;
        x_direct_encode(x, in, a);
        if (a->either)
            x_direct_low(x, in, a, op);
        return;
    }
    x_access_prefixes(x, a);
    if (evex)
        encode_evex(x, in, a->t1);
    else if (in->z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        encode_vex(x, in, a->t1);
    else
        encode_legacy(x, in, a->t1);
    modrm_mem(x, in->z.raw.modrm.reg, a->t1, a->disp, evex);
    unsigned k = in->z.raw.modrm.offset + 1u;
    if (in->z.raw.sib.offset != 0)
        k++;
    k += in->z.raw.disp.size;
    x_imm_copied(x, in, x->out);
    for (; k < in->len; k++)
        e8(x, in->raw[k]);
}

void x_mem_op(struct xlate *x, unsigned size, unsigned op, unsigned reg, const struct access *a)
{
    unsigned i = a->index < 0 ? 4 : (unsigned)a->index, b = a->base < 0 ? 5 : (unsigned)a->base;
    bool sib = a->index >= 0 || a->base < 0 || (b & 7) == 4;

    x_access_prefixes(x, a);
    if (size == 2)
        e8(x, 0x66);
    unsigned rex = 0x40 | (size == 8 ? 8 : 0) | (reg >> 3 & 1) << 2 |
                   (a->index >= 0 ? i >> 3 & 1 : 0) << 1 | (a->base >= 0 ? b >> 3 & 1 : 0);
    if (rex != 0x40)
        e8(x, rex);
    if (op > 0xff)
        e8(x, op >> 8);
    e8(x, op & 0xff);
    bool none = a->base < 0 || (a->disp == 0 && (b & 7) != 5),
         small = a->disp >= -128 && a->disp < 128;
    e8(x, (none ? 0 : small ? 0x40 : 0x80) | (reg & 7) << 3 | (sib ? 4 : b & 7));
    if (sib)
        e8(x, (unsigned)__builtin_ctz(a->scale) << 6 | (i & 7) << 3 | (b & 7));
    if (a->base < 0 || (!none && !small))
        e32(x, (uint32_t)a->disp);
    else if (!none)
        e8(x, (uint8_t)a->disp);
}

/* ---- the stack ----------------------------------------------------------------------------------
 * ------------------------ */

static unsigned stack_width(const struct xlate *x)
{
    return x->long64 ? 8 : x->key & MODE_SB ? 4 : 2;
}

void x_stack_mem(struct xlate *x, struct insn_mem *m, int64_t disp, unsigned size, unsigned access)
{
    *m = (struct insn_mem){.base = X86_RSP,
                           .index = -1,
                           .scale = 1,
                           .seg = X86_SS,
                           .disp = disp + x->sp * 8,
                           .size = (uint16_t)size,
                           .access = (uint8_t)access,
                           .addrsize = (uint8_t)stack_width(x)};
}

void x_move_sp(struct xlate *x, int32_t delta)
{
    delta += x->sp * 8;
    x->sp = 0;
    if (stack_width(x) == 2)
        e8(x, 0x66);
    x_lea(x, stack_width(x) == 8, X86_RSP, X86_RSP, -1, 1, delta);
}
