/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the guest's registers and flags are while a block is translated: scratch registers, spills,
 * saved flags. */
#include "xlate.h"

static int32_t spill_slot(unsigned r)
{
    return CTX_OFF(spill[0]) + (int32_t)r * 8;
}

static unsigned lowest(uint16_t regs)
{
    return (unsigned)__builtin_ctz(regs); /* low registers encode shorter */
}

/* Of these, the register that is missed least: one that is overwritten whole next, or not used any
 * more in the block, or used last. */
static unsigned least_missed(const struct xlate *x, uint16_t regs)
{
    unsigned last = lowest(regs);

    for (unsigned k = x->i + 1; k < x->n; k++) {
        const struct insn *in = &x->in[k];
        if (regs & in->full)
            return lowest(regs & in->full);
        uint16_t used = regs & (in->read | in->write);
        if (used == 0)
            continue;
        last = lowest(used);
        regs &= (uint16_t)~used;
        if (regs == 0)
            return last;
    }
    return lowest(regs);
}

/* The host register of r becomes scratch. */
static void spill(struct xlate *x, unsigned r)
{
    uint16_t bit = (uint16_t)(1u << r);

    if (!((x->spilled | x->clean) & bit))
        x_store(x, r, spill_slot(r));
    x->spilled |= bit;
    x->clean &= (uint16_t)~bit;
}

unsigned x_scratch(struct xlate *x, uint16_t avoid)
{
    avoid |= x->held | x->pinned | 1u << X86_RSP;
    uint16_t spilled = x->spilled & (uint16_t)~avoid;
    if (spilled != 0)
        return lowest(spilled);
    unsigned best = least_missed(x, (uint16_t)~avoid);
    spill(x, best);
    return best;
}

/* A group gives its register up; its next access checks anew. */
static void unpin(struct xlate *x, uint16_t mask)
{
    if (mask & x->pinned)
        for (unsigned g = 0; g < GROUPS_MAX; g++)
            if (x->group_reg[g] >= 0 && (mask >> x->group_reg[g] & 1))
                x->group_reg[g] = -1;
    x->pinned &= (uint16_t)~mask;
}

void x_need(struct xlate *x, uint16_t mask)
{
    uint16_t m = x->spilled & mask;

    for (unsigned r = 0; m >> r; r++)
        if (m >> r & 1)
            x_load(x, r, spill_slot(r));
    unpin(x, mask);
    x->spilled &= (uint16_t)~mask;
    x->clean |= m;
}

void x_written(struct xlate *x, uint16_t mask)
{
    unpin(x, mask);
    x->spilled &= (uint16_t)~mask;
    x->clean &= (uint16_t)~mask;
}

/* RAX on its way: to a free register if there is one. */
static unsigned rax_keep(struct xlate *x)
{
    uint16_t free = x->spilled & (uint16_t) ~(x->held | x->pinned);

    if (free & 1)
        return X86_RAX;
    if (free == 0) {
        x_store(x, X86_RAX, CTX_OFF(temp[0]));
        return 16;
    }
    unsigned t = (unsigned)__builtin_ctz(free);
    x_rr(x, true, 0x8b, t, X86_RAX);
    return t;
}

static void rax_back(struct xlate *x, unsigned t)
{
    if (t == 16)
        x_load(x, X86_RAX, CTX_OFF(temp[0]));
    else if (t != X86_RAX)
        x_rr(x, true, 0x8b, X86_RAX, t);
}

void x_flags_save(struct xlate *x)
{
    if (x->flags_saved)
        return;
    unsigned t = rax_keep(x);
    e8(x, 0x9f); /* lahf */
    e8(x, 0x0f); /* seto al */
    e8(x, 0x90);
    e8(x, 0xc0);
    x_store(x, X86_RAX, CTX_OFF(saved_flags));
    rax_back(x, t);
    x->flags_saved = true;
}

static void load_flags(struct xlate *x)
{
    x_load(x, X86_RAX, CTX_OFF(saved_flags));
    e8(x, 0x04); /* add al, 0x7f: OF = bit 0 */
    e8(x, 0x7f);
    e8(x, 0x9e); /* sahf */
}

void x_flags_load(struct xlate *x, unsigned t)
{
    x_rr(x, true, 0x8b, t, X86_RAX);
    load_flags(x);
    x_rr(x, true, 0x8b, X86_RAX, t);
}

void x_flags_restore(struct xlate *x)
{
    if (!x->flags_saved)
        return;
    unsigned t = rax_keep(x);
    load_flags(x);
    rax_back(x, t);
    x->flags_saved = false;
}

void x_flags_for(struct xlate *x, const struct insn *in)
{
    if (!x->flags_saved)
        return;
    if (in->fl_read || (in->fl_mod && (x->live[x->i + 1] & ~in->fl_kill)))
        x_flags_restore(x);
    else if (in->fl_mod)
        x->flags_saved = false;
}

struct x_state x_state_get(const struct xlate *x)
{
    struct x_state s = {.spilled = x->spilled,
                        .clean = x->clean,
                        .pinned = x->pinned,
                        .held = x->held,
                        .checked = x->checked,
                        .low = x->low,
                        .flags_saved = x->flags_saved};

    __builtin_memcpy(s.group_reg, x->group_reg, sizeof(s.group_reg));
    return s;
}

void x_state_set(struct xlate *x, const struct x_state *s)
{
    x->spilled = s->spilled;
    x->clean = s->clean;
    x->pinned = s->pinned;
    x->held = s->held;
    x->checked = s->checked;
    x->low = s->low;
    x->flags_saved = s->flags_saved;
    __builtin_memcpy(x->group_reg, s->group_reg, sizeof(s->group_reg));
}

void x_canon_copy(struct xlate *x)
{
    struct x_state s = x_state_get(x);

    x_canon(x);
    x_state_set(x, &s);
}

bool x_is_canon(const struct xlate *x)
{
    return x->spilled == BT_LENT && !x->flags_saved;
}

void x_lend(struct xlate *x)
{
    spill(x, 10);
    spill(x, 11);
}

void x_take_lent(struct xlate *x)
{
    x_lend(x);
    unpin(x, BT_LENT);
}

void x_canon_regs(struct xlate *x)
{
    x->held = 0;
    x_groups_drop(x);
    x_need(x, (uint16_t)~BT_LENT);
    x_lend(x);
    x->clean = 0;
}

void x_canon(struct xlate *x)
{
    x->held = 0;
    x_groups_drop(x);
    x->checked = 0; /* a helper may change the view */
    x_flags_restore(x);
    x_canon_regs(x);
}

void x_loop_state(struct xlate *x)
{
    x->held = 0;
    x_groups_drop(x);
    if (x->live[0])
        x_flags_restore(x);
    x->flags_saved = false;
    x_need(x, (uint16_t)~x->loop_regs);
    for (unsigned r = 0; r < 16; r++)
        if (x->loop_regs >> r & 1)
            spill(x, r);
}

static void record(struct xlate *x, const struct insn *in, uint16_t spilled, bool flags_saved)
{
    struct translator *en = x->en;

    if (en->n_rec == en->max_rec) {
        x->overflow = true;
        return;
    }
    en->rec[en->n_rec++] =
        (struct bt_record){.off = code_off(x, x->out),
                           .goff = (uint16_t)(in->off | (flags_saved ? REC_FLAGS_SAVED : 0)),
                           .spill = spilled,
                           .sp = x->sp};
}

void x_record(struct xlate *x, const struct insn *in)
{
    record(x, in, x->spilled, x->flags_saved);
}

void x_record_at(struct xlate *x, const struct insn *in, const struct access *a)
{
    record(x, in, a->spilled, a->flags_saved);
}
