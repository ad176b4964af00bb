/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forward jumps within a block. The code that compilers make of an `if` skips a few instructions
 * and goes on behind them; a block that ended there would cut most loops into pieces. So the block
 * goes on, and where the paths meet (the join) each brings the state that the others have, too:
 * registers are spilled, flags saved and regions checked only if they are on all of them.
 */
#include "xlate.h"

void x_targets(struct xlate *x)
{
    unsigned edges = 0;

    for (unsigned i = 0; i < x->n; i++)
        x->target[i] = x->joined[i] = -1;
    if (x->oneshot || x->page2 != 0)
        return;
    for (unsigned i = 0; i < x->n && edges < EDGES_MAX; i++) {
        const struct insn *in = &x->in[i];
        if (!insn_jump(in) || !x_target_ok(x, in))
            continue;
        int64_t to = x_branch_target(x, in);
        for (unsigned k = i + 1; k < x->n; k++)
            if (x->in[k].off == to) {
                x->target[i] = (int8_t)k;
                if (x->joined[k] < 0)
                    x->joined[k] = (int8_t)i;
                edges++;
                break;
            }
    }
}

void x_edge_to(struct xlate *x, unsigned cc, unsigned to)
{
    struct edge *e = &x->edge[x->n_edge++];

    e->rel = x_jcc(x, cc);
    e->to = to;
    e->state = x_state_get(x);
}

void x_edge(struct xlate *x, unsigned cc)
{
    x_edge_to(x, cc, (unsigned)x->target[x->i]);
    if (cc == CC_JMP)
        x->ended = true;
}

/* Brings the current state to the one of the join. */
static void to_join(struct xlate *x, const struct x_state *join)
{
    x->held = 0;
    x_groups_drop(x);
    if (x->flags_saved && !join->flags_saved) {
        if (x->live[x->i])
            x_flags_restore(x);
        x->flags_saved = false;
    }
    x_need(x, (uint16_t)~join->spilled);
}

static void meet(struct x_state *join, const struct x_state *s)
{
    join->spilled &= s->spilled;
    join->checked &= s->checked & ~(join->low ^ s->low); /* in the same window */
    join->low &= s->low;
    join->flags_saved &= s->flags_saved;
}

void x_join(struct xlate *x)
{
    struct x_state join = {.spilled = 0xffff, .checked = ~0u, .flags_saved = true}, s;
    unsigned kept = 0;

    for (unsigned k = x->n_edge; k-- > 0;)
        if (x->edge[k].to == x->i)
            join.low = x->edge[k].state.low;
    if (!x->unreachable) {
        s = x_state_get(x);
        meet(&join, &s);
    }
    for (unsigned k = 0; k < x->n_edge; k++)
        if (x->edge[k].to == x->i)
            meet(&join, &x->edge[k].state);
    if (!x->unreachable)
        to_join(x, &join);
    uint8_t *here = x->out;
    for (unsigned k = 0; k < x->n_edge; k++) {
        struct edge *e = &x->edge[k];
        if (e->to != x->i) {
            x->edge[kept++] = *e;
            continue;
        }
        x_state_set(x, &e->state);
        x_to_cold(x);
        uint8_t *start = x->out;
        to_join(x, &join);
        int32_t d = (int32_t)((x->out == start ? here : start) - (e->rel + 4));
        __builtin_memcpy(e->rel, &d, 4);
        if (x->out != start)
            x_jmp_to(x, here);
        x_to_hot(x);
    }
    x->n_edge = kept;
    x->spilled = join.spilled;
    x->clean = 0;
    x->checked = join.checked;
    x->low = join.low;
    x->flags_saved = join.flags_saved;
    x->held = 0;
    x_groups_drop(x);
    x->unreachable = false;
}
