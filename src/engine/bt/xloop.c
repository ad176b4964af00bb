/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that jump to their own start. What a round needs is prepared in front of it: scratch
 * registers, and checks that hold for all rounds (x_direct_loop).
 *
 * A short loop is emitted several times in a row, since the look at kicks that every way back has
 * would be a good part of it. Only the last copy jumps back; the others go on with the next one, or
 * leave to the code behind the loop, where all of them meet (xjoin.c):
 *
 *  head: body; jcc out    body; jcc out    body; jncc back
 *  out:  ...
 *  back: kicked? else head
 */
#include "xlate.h"

#define SHORT 8  /* instructions of a loop that is worth it */
#define ROUNDS 4 /* copies of the shortest */

static bool jumps_to_start(const struct xlate *x)
{
    for (unsigned i = 0; i < x->n; i++)
        if (x_to_start(x, &x->in[i]))
            return true;
    return false;
}

/* Storing and reloading scratch registers in each round is a chain through memory that bounds short
 * loops: up to three that the block does not use are spilled for all of them. */
void x_loop_head(struct xlate *x)
{
    uint16_t used = 1u << X86_RSP;

    if (x->oneshot || x->place || x->page2 != 0 || !jumps_to_start(x))
        return;
    for (unsigned i = 0; i < x->n; i++)
        used |= x->in[i].read | x->in[i].write;
    x_need(x, used & BT_LENT);
    for (unsigned k = 0; k < 3 && used != 0xffff; k++)
        used |= (uint16_t)(1u << x_scratch(x, used));
    x->loop_regs = x->spilled;
    if (x->direct)
        x_direct_loop(x);
    x->clean = 0;
    x_align(x, 32);
    x->loop = x->out;
    x->b->loop = true;
}

/* The jump that ends a loop of a few plain instructions, 0: it is another kind of loop. */
static unsigned short_loop(const struct xlate *x)
{
    if (x->loop == NULL || !x->long64 || x->verify || (x->key & MODE_COUNT))
        return 0;
    for (unsigned i = 0; i < SHORT && i + 1 < x->n; i++) {
        const struct insn *in = &x->in[i];
        if (x->joined[i] >= 0 || in->special)
            return 0;
        if (in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
            continue;
        return insn_jump(in) && in->z.mnemonic != ZYDIS_MNEMONIC_JMP && x_to_start(x, in) &&
                       x->joined[i + 1] < 0
                   ? i
                   : 0;
    }
    return 0;
}

void x_unroll(struct xlate *x)
{
    unsigned last = short_loop(x), rounds = last <= SHORT / 2 ? ROUNDS : ROUNDS / 2;
    uint32_t checked = x->checked, low = x->low;

    if (last == 0)
        return;
    x->joined[last + 1] = (int8_t)last;
    for (unsigned k = 1; k < rounds; k++) {
        for (x->i = 0; x->i < last; x->i++)
            x_emit_insn(x, &x->in[x->i]);
        x_leave_loop(x, &x->in[last]);
        x_groups_drop(x);
        x->checked = checked; /* what else was checked held in this round */
        x->low = low;
    }
    x->i = 0;
}
