/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups: accesses of one block whose addresses differ only by constants share one check.
 *
 * The analysis walks the block and gives every register a version, which changes when the register
 * is written with anything but itself plus a constant; such constants are summed up. Two accesses
 * with the same registers in the same versions then lie a known distance apart. A group is a set of
 * such accesses that spans less than SPAN_MAX bytes; the first one checks the whole span against
 * one page and keeps the host address in a scratch register.
 *
 * Invariant: between the check and the last member nothing runs that changes mappings, flushes the
 * TLB or brings code into the page, for these are done by helpers, and helpers end all groups
 * (x_canon). What the slow path of another access does in between only adds translations.
 *
 * Direct accesses only need to be near a place that is checked. So an index that is known to be
 * small (xrange.c) does not count: such accesses are members of the base's group.
 */
#include "xlate.h"

#define SPAN_MAX 512
#define SPAN_DIRECT (1 << 30) /* less than the guard between views */
#define AT_MAX 0x7fff0000ll   /* so that a place and a size make no larger number */
#define STEP_MAX (1 << 26)    /* of a register in one round of a loop, wherever it jumps back */
#define INDEX_BITS 35         /* of a small index, scaled: half of the guard */

struct place {
    int8_t base, index; /* -2: RIP */
    uint8_t scale, seg;
    uint32_t base_version, index_version;
    int64_t at;
};

struct analysis {
    uint32_t version[16];
    uint32_t since; /* helpers so far, and what may move FS and GS */
    int64_t sum[16];
    bool helped; /* a helper was called */
    /* Wherever the block jumps to its own start: registers that may be anything there, and those
     * that differ from the start. */
    uint16_t lost, moved;
    bool loop_helped;
    struct ranges ranges;
    struct {
        struct place p; /* of the first member */
        int64_t low, high;
        unsigned count;
        bool spread;
    } group[GROUPS_MAX];
    unsigned n;
};

static bool two_accesses(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_CALL:
        return in->has_mem;
    default:
        return false;
    }
}

static bool stack_access(const struct insn *in, struct insn_mem *m)
{
    int64_t size = in->opsize;

    *m = (struct insn_mem){
        .base = X86_RSP, .index = -1, .scale = 1, .seg = X86_SS, .addrsize = 8, .size = in->opsize};
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_CALL:
        m->disp = -size;
        m->access = ACC_W;
        return true;
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_RET:
        m->access = ACC_R;
        return true;
    case ZYDIS_MNEMONIC_LEAVE:
        m->base = X86_RBP;
        m->access = ACC_R;
        return true;
    default:
        return false;
    }
}

/* The one access of a plain or stack instruction. */
bool x_group_access(const struct insn *in, struct insn_mem *m)
{
    if (two_accesses(in) || in->special || in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    if (in->has_mem && in->z.mnemonic != ZYDIS_MNEMONIC_LEA) {
        *m = in->mem;
        bool bits = in->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    (in->z.mnemonic == ZYDIS_MNEMONIC_BT || in->z.mnemonic == ZYDIS_MNEMONIC_BTS ||
                     in->z.mnemonic == ZYDIS_MNEMONIC_BTR || in->z.mnemonic == ZYDIS_MNEMONIC_BTC);
        return !bits && !m->vsib && m->access != 0 && m->size > 0 && m->size <= 64 &&
               in->z.raw.modrm.offset != 0 && !in->masked;
    }
    return stack_access(in, m);
}

static struct place place_of(const struct analysis *an, const struct insn *in,
                             const struct insn_mem *m)
{
    struct place p = {.base = m->rip ? -2 : m->base,
                      .index = m->index,
                      .scale = m->index < 0 ? 0 : m->scale,
                      .seg = m->seg >= X86_FS ? m->seg : 0,
                      .at = m->disp};

    if (m->rip)
        p.at += in->off + in->len;
    if (m->base < 0) {
        p.base_version = an->since;
    } else {
        p.base_version = an->version[m->base];
        p.at += an->sum[m->base];
    }
    if (m->index >= 0) {
        p.index_version = an->version[m->index];
        p.at += an->sum[m->index] * m->scale;
    }
    return p;
}

/* A small index, or a small base of a pointer, is left out of the place. */
static enum spread spread(const struct ranges *rg, struct insn_mem *m)
{
    unsigned log = m->index < 0 ? 0 : (unsigned)__builtin_ctz(m->scale ? m->scale : 1);
    bool pair = m->base >= 0 && m->index >= 0 && log == 0;

    if (m->index < 0)
        return SPREAD_NONE;
    if (rg->bits[m->index] + log <= INDEX_BITS) {
        m->index = -1;
        return SPREAD_UP;
    }
    if (pair && rg->bits[m->base] <= INDEX_BITS) {
        m->base = m->index;
        m->index = -1;
        return SPREAD_UP;
    }
    if (m->base < 0)
        return SPREAD_NONE;
    if (rg->sign >> m->index & 1) {
        m->index = -1;
        return SPREAD_BOTH;
    }
    if (pair && (rg->sign >> m->base & 1)) {
        m->base = m->index;
        m->index = -1;
        return SPREAD_BOTH;
    }
    return SPREAD_NONE;
}

static bool same_kind(const struct place *a, const struct place *b)
{
    return a->base == b->base && a->index == b->index && a->scale == b->scale && a->seg == b->seg &&
           a->base_version == b->base_version && a->index_version == b->index_version;
}

static uint8_t join(struct analysis *an, const struct place *p, unsigned size, int64_t span)
{
    for (unsigned g = an->n; g-- > 0;) {
        if (!same_kind(&an->group[g].p, p))
            continue;
        int64_t low = p->at < an->group[g].low ? p->at : an->group[g].low;
        int64_t high = p->at + size > an->group[g].high ? p->at + size : an->group[g].high;
        if (high - low > span)
            continue;
        an->group[g].low = low;
        an->group[g].high = high;
        an->group[g].count++;
        return (uint8_t)g;
    }
    if (an->n == GROUPS_MAX)
        return GROUP_NONE;
    an->group[an->n].p = *p;
    an->group[an->n].low = p->at;
    an->group[an->n].high = p->at + size;
    an->group[an->n].count = 1;
    an->group[an->n].spread = false;
    return (uint8_t)an->n++;
}

/* Register += constant, as 64-bit arithmetic. */
static bool constant_add(const struct insn *in, unsigned *reg, int64_t *c)
{
    bool high;

    if (in->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || in->op[0].size != 64)
        return false;
    int r = insn_gpr(in->op[0].reg.value, &high);
    if (r < 0)
        return false;
    *reg = (unsigned)r;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_INC:
        *c = 1;
        return true;
    case ZYDIS_MNEMONIC_DEC:
        *c = -1;
        return true;
    case ZYDIS_MNEMONIC_ADD:
        *c = in->op[1].imm.value.s;
        return in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    case ZYDIS_MNEMONIC_SUB:
        *c = -in->op[1].imm.value.s;
        return in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    case ZYDIS_MNEMONIC_LEA:
        *c = in->mem.disp;
        return in->mem.base == r && in->mem.index < 0 && !in->mem.rip && in->mem.addrsize == 8;
    default:
        return false;
    }
}

static void forget(struct analysis *an, uint16_t regs)
{
    for (unsigned r = 0; r < 16; r++)
        if (regs >> r & 1) {
            an->version[r]++;
            an->sum[r] = 0;
        }
}

/* Registers that an instruction may change. */
static uint16_t written(const struct insn *in)
{
    bool stack = in->z.mnemonic == ZYDIS_MNEMONIC_PUSH || in->z.mnemonic == ZYDIS_MNEMONIC_POP;

    return in->special ? 0xffff : (uint16_t)(in->write | (stack ? 1u << X86_RSP : 0));
}

static void step(struct analysis *an, const struct insn *in)
{
    uint16_t written = in->write;
    unsigned r;
    int64_t c;

    if (constant_add(in, &r, &c)) {
        an->sum[r] += c;
        return;
    }
    if (in->special) { /* a helper: everything may have changed */
        forget(an, 0xffff);
        an->since++;
        an->helped = true;
        return;
    }
    if (in->z.mnemonic == ZYDIS_MNEMONIC_PUSH || in->z.mnemonic == ZYDIS_MNEMONIC_POP) {
        bool push = in->z.mnemonic == ZYDIS_MNEMONIC_PUSH, high;
        an->sum[X86_RSP] += push ? -(int64_t)in->opsize : in->opsize;
        written = 0;
        if (!push && in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
            written = (uint16_t)(1u << insn_gpr(in->op[0].reg.value, &high));
    }
    forget(an, written);
}

/* The instruction jumps back to the block's start: what is known of the registers there? */
static void loops(struct analysis *an)
{
    for (unsigned r = 0; r < 16; r++) {
        if (an->version[r] != 0 || an->sum[r] < -STEP_MAX || an->sum[r] > STEP_MAX)
            an->lost |= (uint16_t)(1u << r);
        if (an->version[r] != 0 || an->sum[r] != 0)
            an->moved |= (uint16_t)(1u << r);
    }
    an->loop_helped |= an->helped;
}

static bool in_regs(uint16_t regs, int8_t reg)
{
    return reg >= 0 && (regs >> reg & 1);
}

/* Does a check in front of the loop hold in all rounds? A register may change by a small constant
 * from one to the next, since each access shows that the next one is near. Where the index is left
 * out an access says little of the base, which must stay. */
static bool hoisted(const struct analysis *an, const struct member *me)
{
    const struct place *p = &an->group[me->group].p;

    if (!me->known || an->loop_helped)
        return false;
    if (an->group[me->group].spread)
        return !in_regs(an->moved, p->base);
    return !in_regs(an->lost, p->base) && !in_regs(an->lost, p->index);
}

static void member(struct analysis *an, struct member *me, const struct insn *in, struct insn_mem m,
                   bool direct)
{
    enum spread s = direct ? spread(&an->ranges, &m) : SPREAD_NONE;
    struct place p = place_of(an, in, &m);

    if (p.at <= -AT_MAX || p.at >= AT_MAX)
        return;
    *me = (struct member){.group = join(an, &p, m.size, direct ? SPAN_DIRECT : SPAN_MAX),
                          .write = m.access & ACC_W,
                          .known = p.base_version + p.index_version == 0,
                          .size = m.size,
                          .at = (int32_t)p.at,
                          .via = p.base,
                          .spread = s};
    if (me->group != GROUP_NONE)
        an->group[me->group].spread |= s != SPREAD_NONE;
}

void x_groups(struct xlate *x)
{
    struct analysis an;
    struct insn_mem m;

    for (unsigned i = 0; i < x->n; i++)
        x->member[i].group = GROUP_NONE;
    if (!x->long64 || x->nogroup || x->oneshot)
        return;
    an.n = an.since = 0;
    an.lost = an.moved = 0;
    an.helped = an.loop_helped = false;
    __builtin_memset(an.version, 0, sizeof(an.version));
    __builtin_memset(an.sum, 0, sizeof(an.sum));
    x_range_start(&an.ranges);
    for (unsigned i = 0; i < x->n; i++) {
        const struct insn *in = &x->in[i];
        if (x->joined[i] >= 0) /* these may have been jumped over */
            for (unsigned k = (unsigned)x->joined[i] + 1; k < i; k++) {
                forget(&an, written(&x->in[k]));
                x_range_forget(&an.ranges, written(&x->in[k]));
            }
        if (x_group_access(in, &m) && m.addrsize == 8 && (!x->direct || m.seg < X86_FS))
            member(&an, &x->member[i], in, m, x->direct);
        step(&an, in);
        x_range_step(&an.ranges, in, written(in));
        if (x_to_start(x, in))
            loops(&an);
    }
    for (unsigned i = 0; i < x->n; i++) /* what does not change from one round to the next */
        if (x->member[i].group != GROUP_NONE)
            x->member[i].loop = hoisted(&an, &x->member[i]);
}

void x_groups_drop(struct xlate *x)
{
    __builtin_memset(x->group_reg, -1, sizeof(x->group_reg));
    x->pinned = 0;
}

bool x_group_span(const struct xlate *x, int32_t *at, uint32_t *size, bool *write)
{
    unsigned g = x->member[x->i].group, members = 0;
    int32_t low = x->member[x->i].at, high = low + x->member[x->i].size;

    *write = false;
    for (unsigned k = x->i; k < x->n; k++) {
        const struct member *m = &x->member[k];
        if (m->group != g)
            continue;
        members++;
        low = m->at < low ? m->at : low;
        high = m->at + m->size > high ? m->at + m->size : high;
        *write |= m->write;
    }
    *at = low;
    *size = (uint32_t)(high - low);
    return members > 1;
}

bool x_group_last(const struct xlate *x)
{
    for (unsigned k = x->i + 1; k < x->n; k++)
        if (x->member[k].group == x->member[x->i].group)
            return false;
    return true;
}
