/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct accesses: the host's MMU translates guest addresses (view.c). The instruction keeps its
 * registers and gets a segment prefix, whose base turns linear addresses into host addresses:
 *
 *      rorx  t, address, 36; movzx t, tw       which region of 64 GB
 *      cmp   direct[t], 0; jne miss            nothing but guest memory and guards there?
 *  op: the instruction with an FS prefix
 *
 * Where the address is known when the block is translated, and lies in a terabyte that is whole
 * (bt_view_whole), that is what the check expects; the table is asked in the cold part:
 *
 *      rorx  t, address, 40; cmp tw, terabyte; jne other
 *
 * Invariant: at `op` the address is less than GUARD away from an address of a direct region of the
 * view in use. Such host addresses are guest memory of that view, or not mapped. So one check
 * serves all accesses of a group (xgroup.c), and a loop whose addresses move by constants is
 * checked in front of it: each round's access succeeded, so that its address was in the view, and
 * the next one is near.
 *
 * What is addressed by RSP mostly needs no check at all (xstack.c).
 *
 * A miss goes on at this instruction in the block's translation with the software TLB.
 *
 * Addresses below 64 GB of user programs have a window of their own, at a constant distance behind
 * the context: the GS prefix and a larger displacement. A program at low addresses has its stack
 * and libraries near the top, so that one base cannot serve both. Which of the two a site uses is
 * decided when it is translated, by the address it has then, or by what was learnt of it. A site
 * that sees both kinds is *mixed*: the host address goes to a register.
 *
 *      lea   t, address; rorx u, t, 36; movzx u, uw
 *      cmp   direct[u], 0; jne other
 *      add   t, fs_base
 *  op: the instruction, its operand now (t)
 *  other (cold): cmp low[u], 0; jne miss; add t, low_base; jmp op
 *
 * The rest of its group uses the register, too. If there is no rest the instruction keeps its
 * operand, and the cold part has another copy of it with the other prefix. (One prefix would do for
 * both only with offsets that are not canonical, which some processors refuse when the page is not
 * there.)
 */
#include "view.h"
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

/* What is known of the instruction's own operand m; its accesses to the stack are not noted. */
static enum site_kind hint(const struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    if (!(x->key & MODE_USER) || m != &in->mem || !in->has_mem)
        return SITE_NEW;
    return bt_site_hint(x->en, (uint64_t)x->en->page[x->id].rpn << 12 | in->off);
}

static bool is_low(const struct xlate *x, enum site_kind kind, const struct insn *in,
                   const struct insn_mem *m)
{
    if (!(x->key & MODE_USER))
        return false;
    if (kind == SITE_LOW || kind == SITE_HIGH)
        return kind == SITE_LOW;
    return x_address_now(x, in, m) >> REGION_SHIFT == 0;
}

/* A miss, in the cold part. rcx: the register that holds RCX meanwhile, 16: none. */
static void miss_code(struct xlate *x, const struct insn *in, unsigned rcx)
{
    if (rcx < 16)
        x_rr(x, true, 0x8b, X86_RCX, rcx);
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
    e32(x, x->access_off);
}

/* The jump at `miss` (rel32) goes to one. */
static void miss_exit(struct xlate *x, const struct insn *in, uint8_t *miss, unsigned rcx)
{
    x_to_cold(x);
    x_here(x, miss);
    miss_code(x, in, rcx);
    x_to_hot(x);
}

/* Are the flags needed at the current instruction, and in their place? */
static bool flags_held(const struct xlate *x)
{
    return x->live[x->i] && !x->flags_saved;
}

/* Nothing in the rest of the block reads or changes the flags, and its end, an indirect branch, a
 * return or a call, saves them in any case: then it may as well be done now. */
static bool flags_wait(const struct xlate *x)
{
    for (unsigned k = x->i; k < x->n; k++) {
        const struct insn *in = &x->in[k];
        bool target =
            in->z.mnemonic == ZYDIS_MNEMONIC_JMP && in->op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE;
        if (in->fl_read || in->fl_mod || in->special || x->joined[k] >= 0)
            return false;
        if (target || in->z.mnemonic == ZYDIS_MNEMONIC_CALL || in->z.mnemonic == ZYDIS_MNEMONIC_RET)
            return true;
    }
    return false;
}

/* Tests the byte of the table at `off`, indexed by t unless that is 16: misses unless it is 0. With
 * the flags held it is done by JRCXZ. `avoid`: registers of the operand. */
static void test(struct xlate *x, const struct insn *in, unsigned t, int32_t off, uint16_t avoid)
{
    unsigned u = 16, op = flags_held(x) ? 0x0fb6 : 0x80, reg = flags_held(x) ? X86_RCX : 7;

    if (flags_held(x) && t != X86_RCX) {
        uint16_t rcx = 1u << X86_RCX;
        if (!(x->spilled & rcx) || ((x->held | avoid) & rcx)) {
            u = x_scratch(x, (uint16_t)(avoid | (t < 16 ? 1u << t : 0) | rcx));
            x_rr(x, true, 0x8b, u, X86_RCX);
        }
    }
    if (t < 16)
        x_ctx_idx(x, false, op, reg, t, off);
    else
        x_ctx(x, false, op, reg, off);
    if (op == 0x80) {
        e8(x, 0);
        miss_exit(x, in, x_jcc(x, CC_NE), 16);
        return;
    }
    e8(x, 0xe3); /* jrcxz over the jump */
    e8(x, 5);
    e8(x, 0xe9);
    x->out += 4;
    miss_exit(x, in, x->out - 4, u);
    if (u < 16)
        x_rr(x, true, 0x8b, X86_RCX, u);
}

/* t = number of the region of the address in `reg`. */
static void region(struct xlate *x, unsigned reg, unsigned t)
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
}

/* Asks the table about region t: equal, if it is direct. */
static void ask(struct xlate *x, unsigned t, bool low)
{
    x_ctx_idx(x, false, 0x80, 7, t, table_off(x, low)); /* cmpb */
    e8(x, 0);
}

/* The cluster of an access of the current instruction at `lin`, if it is one to expect; else -1. */
static int cluster(const struct xlate *x, uint64_t lin)
{
    if (!x->en->bmi2 || flags_held(x) || !x->member[x->i].known || !bt_view_whole(x->c, lin))
        return -1;
    return (int)(lin >> 40 & 0xffff);
}

uint8_t *x_expect(struct xlate *x, unsigned reg, unsigned t, int k)
{
    x_rorx(x, t, reg, 40);
    e8(x, 0x66); /* cmp tw, k */
    if (t >= 8)
        e8(x, 0x41);
    e8(x, k == (int8_t)k || k >= 0xff80 ? 0x83 : 0x81);
    e8(x, 0xf8 | (t & 7));
    e8(x, k & 0xff);
    if (!(k == (int8_t)k || k >= 0xff80))
        e8(x, k >> 8);
    return x_jcc(x, CC_NE);
}

/* Is the region of the address in `reg` direct? t is free. */
static void check(struct xlate *x, const struct insn *in, unsigned reg, unsigned t, bool low,
                  uint16_t avoid)
{
    region(x, reg, t);
    test(x, in, t, table_off(x, low), avoid);
}

/* The same for an operand whose cluster is expected. The address is in reg, or reg is t and it is
 * computed again from m. */
static void check_expected(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                           unsigned reg, unsigned t, int k)
{
    uint8_t *other = x_expect(x, reg, t, k), *here = x->out;

    x_to_cold(x);
    x_here(x, other);
    if (reg == t)
        x_lea(x, true, t, m->base, m->index, m->scale, (int32_t)m->disp);
    region(x, reg, t);
    ask(x, t, false);
    uint8_t *miss = x_jcc(x, CC_NE);
    x_jmp_to(x, here);
    x_to_hot(x);
    miss_exit(x, in, miss, 16);
}

static uint16_t m_regs(const struct insn_mem *m)
{
    return (uint16_t)((m->base >= 0 ? 1u << m->base : 0) | (m->index >= 0 ? 1u << m->index : 0));
}

/* The check of an operand that keeps its registers. */
static void check_operand(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                          unsigned t, bool low, uint16_t avoid)
{
    int k = low || m->base < 0 ? -1 : cluster(x, x_address_now(x, in, m));

    avoid |= m_regs(m);
    if (m->index >= 0) {
        x_lea(x, true, t, m->base, m->index, m->scale, (int32_t)m->disp);
        if (k >= 0)
            check_expected(x, in, m, t, t, k);
        else
            check(x, in, t, t, low, avoid);
    } else if (k >= 0) {
        check_expected(x, in, m, (unsigned)m->base, t, k);
    } else if (m->base >= 0) {
        check(x, in, (unsigned)m->base, t, low, avoid);
    } else {
        test(x, in, 16, table_off(x, low) + (int32_t)((uint64_t)m->disp >> REGION_SHIFT & 0xffff),
             avoid);
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

/* What is checked for a member of a group: without the index that the guards take in. */
static struct insn_mem near_operand(const struct insn_mem *m, const struct member *me)
{
    struct insn_mem c = *m;

    if (me->group == GROUP_NONE || me->spread == SPREAD_NONE)
        return c;
    c.base = me->via;
    c.index = -1;
    if (c.base >= 0)
        c.disp = 0;
    return c;
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

/*
 * Which window is the address in `reg` in? Goes on here if it is the high one. What is emitted next
 * into the cold part is for the low one; behind that comes neither_window. t and the flags are
 * free; reg may be t if the address is that of the operand m, which is computed again.
 */
static struct windows which_window(struct xlate *x, const struct insn_mem *m, unsigned reg,
                                   unsigned t)
{
    struct windows w = {.t = (uint8_t)t};
    uint8_t *other;

    w.whole = x->en->bmi2 && bt_view_whole(x->c, (uint64_t)USER_CLUSTER << 40);
    if (w.whole) {
        other = x_expect(x, reg, t, (int)USER_CLUSTER);
    } else {
        region(x, reg, t);
        ask(x, t, false);
        other = x_jcc(x, CC_NE);
    }
    w.high = x->out;
    w.state = x_state_get(x);
    x_to_cold(x);
    x_here(x, other);
    if (w.whole) {
        if (reg == t)
            x_lea(x, true, t, m->base, m->index, m->scale, (int32_t)m->disp);
        region(x, reg, t);
    }
    ask(x, t, true);
    w.not_low = x_jcc(x, CC_NE);
    x_to_hot(x);
    return w;
}

/* In the cold part: not the low window. It is the high one beside the terabyte, or a miss. */
static void neither_window(struct xlate *x, const struct insn *in, const struct windows *w)
{
    struct x_state now = x_state_get(x);

    x_here(x, w->not_low);
    if (w->whole) {
        ask(x, w->t, false);
        x_jcc_to(x, CC_E, w->high);
    }
    x_state_set(x, &w->state);
    miss_code(x, in, 16);
    x_state_set(x, &now);
}

/* The address in t1 becomes the host's, whichever kind it is; t2 is free, and so are the flags. */
static void check_mixed(struct xlate *x, const struct insn *in, unsigned t1, unsigned t2)
{
    struct windows w = which_window(x, NULL, t1, t2);

    x_ctx(x, true, 0x03, t1, CTX_OFF(fs_base));
    uint8_t *here = x->out;
    x_to_cold(x);
    x_ctx(x, true, 0x03, t1, CTX_OFF(low_base));
    x_jmp_to(x, here);
    neither_window(x, in, &w);
    x_to_hot(x);
}

#define MIXED_MAX 3 /* addresses of groups that are kept in registers */

/* Is the group's address in a register, or worth it? */
static bool keeps(const struct xlate *x, unsigned g)
{
    return g != GROUP_NONE && (x->group_reg[g] >= 0 ||
                               (!x_group_last(x) && __builtin_popcount(x->pinned) < MIXED_MAX));
}

/* May the operand keep its registers in both windows? */
static bool can_be_either(const struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    return x->en->bmi2 && !x->verify && m->base >= 0 && in->z.raw.modrm.offset != 0 &&
           !rewritten(in, m, true) && low_disp(m->disp);
}

/* A site that sees low and high addresses. g: its group, or GROUP_NONE. */
static void mixed_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                         uint16_t avoid, bool val, unsigned g, struct access *a)
{
    const struct member *me = &x->member[x->i];

    if (g != GROUP_NONE && x->group_reg[g] >= 0 && !(in->high_byte && x->group_reg[g] >= 8)) {
        a->t1 = (unsigned)x->group_reg[g];
        a->disp = me->at - x->group_at[g];
        x->held |= (uint16_t)(1u << a->t1);
        if (val)
            a->t2 = a->val = x_scratch(x, avoid);
    } else {
        bool keep = keeps(x, g) && x->group_reg[g] < 0;
        if (x->live[x->i])
            x_flags_save(x);
        a->t1 = x_scratch(x, avoid | (keep ? in->write : 0));
        x->held |= (uint16_t)(1u << a->t1);
        a->t2 = a->val = x_scratch(x, avoid);
        x_address(x, in, m, a->t1, 16);
        check_mixed(x, in, a->t1, a->t2);
        if (keep) {
            x->group_reg[g] = (int8_t)a->t1;
            x->group_at[g] = me->at;
            x->pinned |= (uint16_t)(1u << a->t1);
        }
    }
    a->base = (int8_t)a->t1;
    a->op = x->out;
    x_record(x, in);
}

void x_keep_operand(struct access *a, const struct insn_mem *m)
{
    a->base = m->base;
    a->index = m->index;
    a->scale = m->scale ? m->scale : 1;
    a->disp = (int32_t)m->disp;
}

/* One access of a site that sees low and high addresses: the instruction is there twice, for each
 * window once (x_direct_low). */
static void either_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                          uint16_t avoid, struct access *a)
{
    if (x->live[x->i])
        x_flags_save(x);
    a->t1 = a->t2 = x_scratch(x, avoid | m_regs(m));
    x->held |= (uint16_t)(1u << a->t1);
    if (m->index >= 0)
        x_lea(x, true, a->t1, m->base, m->index, m->scale, (int32_t)m->disp);
    /* The guards take the displacement in. */
    a->either = true;
    a->windows = which_window(x, m, m->index >= 0 ? a->t1 : (unsigned)m->base, a->t1);
    a->seg = FS;
    x_keep_operand(a, m);
    a->same = true;
    a->op = x->out;
    a->spilled = x->spilled;
    a->flags_saved = x->flags_saved;
    x_record(x, in);
}

void x_direct_low(struct xlate *x, const struct insn *in, const struct access *a, uint8_t *op)
{
    struct access low = *a;
    uint8_t *end = x->out;

    low.seg = GS;
    low.disp += LOW_WINDOW;
    x_to_cold(x);
    x_record_at(x, in, a);
    ebytes(x, a->op, (unsigned)(op - a->op)); /* the flags are brought back */
    x_direct_encode(x, in, &low);
    x_jmp_to(x, end);
    neither_window(x, in, &a->windows);
    x_to_hot(x);
}

/* The group of the current instruction, if this operand is what the analysis saw. */
static unsigned group_of(const struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    const struct member *me = &x->member[x->i];
    struct insn_mem own;

    if (me->group == GROUP_NONE || !x_group_access(in, &own) || own.base != m->base)
        return GROUP_NONE;
    return me->group;
}

/* RIP-relative: next to where the code is, which cur_host[] knows. A low place may be another
 * program's for a while; of a high one it is not expected, so that the access may fault. */
static bool near_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                        uint16_t avoid, bool val, struct access *a)
{
    int64_t d = m->disp + in->off + in->len;
    bool low = x->c->cur_lin[x->id] >> REGION_SHIFT == 0 && (x->key & MODE_USER);

    if (!m->rip || m->seg >= X86_FS || m->addrsize != 8 || !low_disp(d))
        return false;
    if (low && x->live[x->i])
        x_flags_save(x);
    a->t1 = x_scratch(x, avoid);
    x->held |= (uint16_t)(1u << a->t1);
    x_load(x, a->t1, CTX_OFF(cur_host[0]) + (int32_t)x->id * 8);
    if (low) {
        x_rr(x, true, 0x85, a->t1, a->t1); /* test: BT_NO_HOST? */
        miss_exit(x, in, x_jcc(x, CC_S), 16);
    }
    if (val)
        a->t2 = a->val = x_scratch(x, avoid);
    a->base = (int8_t)a->t1;
    a->disp = (int32_t)d;
    a->op = x->out;
    x_record(x, in);
    return true;
}

void x_direct_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                     uint16_t avoid, enum access_use use, struct access *a)
{
    const struct member *me = &x->member[x->i];
    enum site_kind kind = hint(x, in, m);
    unsigned g = group_of(x, in, m);
    bool low, val = use == ACCESS_VALUE, stack = x_stack_near(x, m, me);

    a->member = true;
    a->t1 = a->t2 = 16;
    x->access_off = in->off;
    if (near_access(x, in, m, avoid, val, a))
        return;
    if (!stack && (g == GROUP_NONE || !(x->checked >> g & 1)) &&
        (kind == SITE_MIXED || (g != GROUP_NONE && x->group_reg[g] >= 0))) {
        if (me->spread != SPREAD_NONE)
            g = GROUP_NONE;
        if (use == ACCESS_OWN && !keeps(x, g) && can_be_either(x, in, m))
            either_access(x, in, m, avoid, a);
        else
            mixed_access(x, in, m, avoid, val, g, a);
        return;
    }
    if (stack) {
        low = false;
    } else if (g != GROUP_NONE && (x->checked >> g & 1)) {
        low = x->low >> g & 1;
    } else {
        low = is_low(x, kind, in, m);
        if (g != GROUP_NONE)
            x->low = (x->low & ~(1u << g)) | (uint32_t)low << g;
    }
    bool t1 = rewritten(in, m, low);
    if (low && !t1 && (!low_disp(m->disp) || (g != GROUP_NONE && !low_disp(me->at)))) {
        t1 = true;
        g = GROUP_NONE;
    }
    if (low && g != GROUP_NONE && me->spread == SPREAD_BOTH) /* the window has no guard below */
        g = GROUP_NONE;
    bool near = g != GROUP_NONE && me->spread != SPREAD_NONE;
    bool checks = !stack && must_check(x, g), based = t1 && m->seg >= X86_FS;
    if (checks && x->live[x->i] && (!x->en->bmi2 || flags_wait(x)))
        x_flags_save(x);
    a->seg = low ? GS : FS;
    if (t1) {
        a->t1 = x_scratch(x, avoid);
        x->held |= (uint16_t)(1u << a->t1);
        a->base = (int8_t)a->t1;
    } else {
        x_keep_operand(a, m);
        a->same = m == &in->mem && in->z.raw.modrm.offset != 0;
    }
    if (checks || val || based)
        a->t2 = a->val = x_scratch(x, avoid);
    if (t1)
        x_address(x, in, m, a->t1, a->t2);
    int k = checks && t1 && !near && !low && !based ? cluster(x, x_address_now(x, in, m)) : -1;
    if (k >= 0) {
        check_expected(x, in, m, a->t1, a->t2, k);
    } else if (checks && t1 && !near) {
        check(x, in, a->t1, a->t2, low, avoid);
    } else if (checks) {
        struct insn_mem c = near ? near_operand(m, me) : *m;
        check_operand(x, in, &c, a->t2, low, avoid);
    }
    if (low)
        a->disp += LOW_WINDOW;
    a->op = x->out;
    x_record(x, in);
}

void x_direct_encode(struct xlate *x, const struct insn *in, const struct access *a)
{
    unsigned modrm = in->z.raw.modrm.offset;

    x_access_prefixes(x, a);
    unsigned k = x_keep_prefixes(x, in);
    if (a->seg == FS) {
        ebytes(x, in->raw + k, in->len - k);
        x_imm_copied(x, in, x->out - in->z.raw.imm[0].size);
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
    x_imm_copied(x, in, x->out - in->z.raw.imm[0].size);
}

/* What comes behind a branch at i of a loop: is it part of every round that jumps back? *skipped:
 * up to there a forward jump of the block leads. */
static bool round_goes_on(const struct xlate *x, unsigned i, unsigned *skipped)
{
    const struct insn *in = &x->in[i];

    if (in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
        return true;
    if (x_to_start(x, in))
        return false;
    if (x->target[i] > (int)*skipped)
        *skipped = (unsigned)x->target[i];
    return true;
}

/* In front of a loop: the groups whose registers change by constants only, and that every round
 * uses before it may jump back. */
void x_direct_loop(struct xlate *x)
{
    bool saved = false;
    unsigned skipped = 0;

    x->i = 0;
    for (unsigned i = 0; i < x->n && round_goes_on(x, i, &skipped); i++) {
        const struct insn *in = &x->in[i];
        const struct member *me = &x->member[i];
        enum site_kind kind = hint(x, in, &in->mem);
        struct insn_mem m;
        if (me->group == GROUP_NONE || !me->loop || (x->checked >> me->group & 1) || i < skipped ||
            !x_group_access(in, &m) || rewritten(in, &m, true) || !low_disp(me->at) ||
            !low_disp(m.disp) || kind == SITE_MIXED || x_stack_near(x, &m, me))
            continue;
        if (!saved && x->live[0])
            x_flags_save(x); /* once for all of them */
        saved = true;
        m = near_operand(&m, me);
        bool low = is_low(x, kind, in, &m);
        if (low && me->spread == SPREAD_BOTH)
            continue;
        x->low = (x->low & ~(1u << me->group)) | (uint32_t)low << me->group;
        m.disp = me->at;
        x->access_off = in->off;
        x_need(x, m_regs(&m)); /* another check may have taken them for scratch */
        check_operand(x, &x->in[0], &m, x_scratch(x, m_regs(&m)), low, 0);
        x->checked |= 1u << me->group;
    }
    if (!saved)
        return;
    if (x->live[0])
        x_flags_restore(x);
    x->flags_saved = false;
    x_need(x, (uint16_t)~x->loop_regs);
}
