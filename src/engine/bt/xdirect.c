/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct accesses: the host's MMU translates guest addresses (view.c). The instruction keeps its
 * registers and gets a segment prefix, whose base turns linear addresses into host addresses:
 *
 *      rorx  t, address, 36; movzx t, tw       which region of 64 GB
 *      cmp   direct[t], 0; jne miss            nothing but guest memory and guards there?
 *  op: the instruction with an FS prefix
 *
 * Invariant: at `op` the address is less than GUARD away from an address of a direct region of the
 * view in use. Such host addresses are guest memory of that view, or not mapped. So one check
 * serves all accesses of a group (xgroup.c), and a loop whose addresses move by constants is
 * checked in front of it: each round's access succeeded, so that its address was in the view, and
 * the next one is near.
 *
 * A miss goes on at this instruction in the block's translation with the software TLB.
 *
 * Addresses below 64 GB of user programs have a window of their own, at a constant distance behind
 * the context: the GS prefix and a larger displacement. A program at low addresses has its stack
 * and libraries near the top, so that one base cannot serve both. Which of the two a site uses is
 * decided when it is translated, by the address it has then.
 */
#include "xlate.h"

#define FS 0x64u
#define GS 0x65u

static int32_t table_off(const struct xlate *x, bool low)
{
    unsigned t = !(x->key & MODE_USER) ? VIEW_KERNEL : low ? VIEW_LOW : VIEW_USER;

    return CTX_OFF(indirect[0]) + (int32_t)(t * sizeof(x->c->indirect[0]));
}

/* The address that the operand has now, when the block is about to run. */
uint64_t x_address_now(const struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    const struct bt_ctx *c = x->c;
    uint64_t a = (uint64_t)m->disp;

    if (m->rip)
        a += c->cur_lin[x->id] + in->off + in->len;
    if (m->base >= 0)
        a += c->gpr[m->base];
    if (m->index >= 0)
        a += c->gpr[m->index] * m->scale;
    if (m->seg >= X86_FS)
        a += c->seg_base[m->seg];
    return a;
}

static bool is_low(const struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    if (!(x->key & MODE_USER))
        return false;
    enum site_kind kind = bt_site_hint(x->en, (uint64_t)x->en->page[x->id].rpn << 12 | in->off);
    if (kind == SITE_LOW || kind == SITE_HIGH)
        return kind == SITE_LOW;
    return x_address_now(x, in, m) >> REGION_SHIFT == 0;
}

static void miss_exit(struct xlate *x, const struct insn *in, uint8_t *miss)
{
    x_to_cold(x);
    x_here(x, miss);
    x_canon_copy(x);
    uint8_t *jump = x_jcc(x, CC_JMP);
    x_here(x, jump);
    uint32_t site = code_off(x, x->out) + 12 + 5;
    x_store_imm(x, site, CTX_OFF(exit_site));
    x_jmp_abs(x, x->en->stub_direct);
    e32(x, code_off(x, jump)); /* struct bt_exit_site */
    e32(x, (uint32_t)(x->b - x->en->block));
    e32(x, x->id);
    e32(x, in->off);
    x_to_hot(x);
}

/* Is the region of the address in `reg` direct? Flags and t are free. */
static void check(struct xlate *x, const struct insn *in, unsigned reg, unsigned t, bool low)
{
    if (x->en->bmi2) {
        e8(x, 0xc4); /* rorx t, reg, 36 */
        e8(x, 0x43 | (t < 8 ? 0x80 : 0) | (reg < 8 ? 0x20 : 0) | 0x40);
        e8(x, 0xfb);
        e8(x, 0xf0);
        e8(x, 0xc0 | (t & 7) << 3 | (reg & 7));
        e8(x, REGION_SHIFT);
    } else {
        x_rr(x, true, 0x8b, t, reg);
        x_rr(x, true, 0xc1, 5, t); /* shr */
        e8(x, REGION_SHIFT);
    }
    x_rr(x, false, 0x0fb7, t, t); /* movzx t, t's low word */
    x_ctx_idx(x, false, 0x80, 7, t, table_off(x, low));
    e8(x, 0);
    miss_exit(x, in, x_jcc(x, CC_NE));
}

static void check_constant(struct xlate *x, const struct insn *in, uint64_t lin, bool low)
{
    x_ctx(x, false, 0x80, 7, table_off(x, low) + (int32_t)(lin >> REGION_SHIFT & 0xffff));
    e8(x, 0);
    miss_exit(x, in, x_jcc(x, CC_NE));
}

/* The check of an operand that keeps its registers. */
static void check_operand(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                          unsigned t, bool low)
{
    if (m->index >= 0) {
        x_lea(x, true, t, m->base, m->index, m->scale, (int32_t)m->disp);
        check(x, in, t, t, low);
    } else if (m->base >= 0) {
        check(x, in, (unsigned)m->base, t, low);
    } else {
        check_constant(x, in, (uint64_t)m->disp, low);
    }
}

/* The operand cannot keep its form: the address goes to t1. */
static bool rewritten(const struct insn *in, const struct insn_mem *m, bool low)
{
    unsigned k = 0;

    if (m->rip || m->seg >= X86_FS || m->addrsize != 8 || m->disp != (int32_t)m->disp)
        return true;
    while (x_is_prefix(in->raw[k]))
        k++;
    if ((in->raw[k] & 0xf0) == 0x40 && x_is_prefix(in->raw[k + 1])) /* prefix behind a REX */
        return true;
    if (low && m->disp + LOW_WINDOW != (int32_t)(m->disp + LOW_WINDOW))
        return true;
    return m == &in->mem && in->len + (low ? 5 : 1) > 15;
}

/* Small displacements only: a large one could lead from the window to the context before it. */
static bool low_disp(int64_t d)
{
    return d > -LOW_REACH && d < LOW_REACH;
}

static bool must_check(struct xlate *x, unsigned group)
{
    if (group == GROUP_NONE)
        return true;
    if (x->checked >> group & 1)
        return false;
    x->checked |= 1u << group;
    return true;
}

void x_direct_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                     uint16_t avoid, bool val, struct access *a)
{
    const struct member *me = &x->member[x->i];
    struct insn_mem own;
    bool grouped = me->group != GROUP_NONE && x_group_access(in, &own) && own.base == m->base;
    unsigned g = grouped ? me->group : GROUP_NONE;
    bool low;

    if (g != GROUP_NONE && (x->checked >> g & 1)) {
        low = x->low >> g & 1;
    } else {
        low = is_low(x, in, m);
        if (g != GROUP_NONE)
            x->low = (x->low & ~(1u << g)) | (uint32_t)low << g;
    }
    bool t1 = rewritten(in, m, low);
    if (low && !t1 && (!low_disp(m->disp) || (g != GROUP_NONE && !low_disp(me->at)))) {
        t1 = true;
        g = GROUP_NONE;
    }
    bool checks = must_check(x, g);
    if ((checks || (t1 && !m->rip)) && x->live[x->i])
        x_flags_save(x);
    a->seg = low ? GS : FS;
    a->member = true;
    a->t1 = a->t2 = 16;
    if (t1) {
        a->t1 = x_scratch(x, avoid);
        x->held |= (uint16_t)(1u << a->t1);
        x_address(x, in, m, a->t1, 16);
        a->base = (int8_t)a->t1;
    } else {
        a->base = m->base;
        a->index = m->index;
        a->scale = m->scale ? m->scale : 1;
        a->disp = (int32_t)m->disp;
        a->same = m == &in->mem && in->z.raw.modrm.offset != 0;
    }
    if (checks || val)
        a->t2 = a->val = x_scratch(x, avoid);
    if (checks && t1)
        check(x, in, a->t1, a->t2, low);
    else if (checks)
        check_operand(x, in, m, a->t2, low);
    if (low)
        a->disp += LOW_WINDOW;
    a->op = x->out;
    x_record(x, in);
}

void x_direct_encode(struct xlate *x, const struct insn *in, const struct access *a)
{
    unsigned k = 0, modrm = in->z.raw.modrm.offset;

    e8(x, a->seg);
    for (; x_is_prefix(in->raw[k]); k++) {
        unsigned b = in->raw[k];
        if (b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3)
            e8(x, b);
    }
    if (a->seg == FS) {
        ebytes(x, in->raw + k, in->len - k);
        return;
    }
    ebytes(x, in->raw + k, modrm - k);
    k = modrm + 1;
    bool no_base = a->base < 0;
    e8(x, (in->raw[modrm] & 0x3f) | (no_base ? 0 : 0x80));
    if (in->z.raw.sib.offset != 0)
        e8(x, in->raw[k++]);
    e32(x, (uint32_t)a->disp);
    k += in->z.raw.disp.size;
    ebytes(x, in->raw + k, in->len - k);
}

static uint16_t m_regs(const struct insn_mem *m)
{
    return (uint16_t)((m->base >= 0 ? 1u << m->base : 0) | (m->index >= 0 ? 1u << m->index : 0));
}

/* In front of a loop: the groups whose registers change by constants only, and that every round
 * uses before it may jump back. */
void x_direct_loop(struct xlate *x)
{
    bool saved = false;

    x->i = 0;
    for (unsigned i = 0; i < x->n; i++) {
        const struct insn *in = &x->in[i];
        const struct member *me = &x->member[i];
        struct insn_mem m;
        if (in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
            break;
        if (me->group == GROUP_NONE || !me->loop || (x->checked >> me->group & 1) ||
            !x_group_access(in, &m) || rewritten(in, &m, true) || !low_disp(me->at) ||
            !low_disp(m.disp))
            continue;
        if (!saved && x->live[0])
            x_flags_save(x);
        saved = true;
        bool low = is_low(x, in, &m);
        x->low = (x->low & ~(1u << me->group)) | (uint32_t)low << me->group;
        m.disp = me->at;
        check_operand(x, &x->in[0], &m, x_scratch(x, m_regs(&m)), low);
        x->checked |= 1u << me->group;
    }
    if (!saved)
        return;
    if (x->live[0])
        x_flags_restore(x);
    x->flags_saved = false;
    x_need(x, (uint16_t)~x->loop_regs);
}
