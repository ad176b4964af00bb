/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses through the stack pointer without a check. Nearly all 64-bit programs have their stacks
 * in USER_CLUSTER, which is whole in all user views (bt_view_whole). MODE_STACK is the mode of
 * direct user code whose RSP is there, so that its blocks need not ask at each access.
 *
 * Invariant: where a block of MODE_STACK begins or goes on, RSP is less than 4 GB away from
 * USER_CLUSTER. With any displacement, and an index that the guards take in (xgroup.c), an access
 * then reaches memory of the view or a guard beside the cluster, whose accesses fault.
 *
 *  1. bt_mode_update sets the mode by RSP, and whatever looks a block up asks again
 *     (bt_left_stack): so the invariant holds when code is entered.
 *  2. An instruction that changes RSP by a small constant keeps it if the block also accesses the
 *     stack directly, before or after, on all the ways that come by: the access succeeded, so RSP
 *     was in the cluster or the code was left. Where there is no such access, and where anything
 *     else is written to RSP, a check follows the instruction.
 *  3. Code that does not access memory directly (the software TLB) could go on where a direct
 *     access faults. It checks RSP when it begins.
 *
 * Between two of these places RSP moves by one block's constants: XLATE_MAX * STACK_STEP. Three
 * blocks may follow each other so; the guards are 64 GB wide.
 *
 * A check that fails leaves the block to a look-up, which takes another mode.
 */
#include "view.h"
#include "xlate.h"

#define STACK_STEP (1 << 20) /* of an instruction */

static bool writes_rsp(const struct insn *in)
{
    return in->write >> X86_RSP & 1;
}

bool x_stack_near(const struct xlate *x, const struct insn_mem *m, const struct member *me)
{
    bool index = m->index >= 0 &&
                 (me->group == GROUP_NONE || me->spread == SPREAD_NONE || me->via != X86_RSP);

    return x->stack && m->base == X86_RSP && !index && m->seg < X86_FS && m->addrsize == 8 &&
           !m->vsib;
}

/* Leaves the block for the instruction at `off` if RSP is not near the cluster. The flags live
 * there are saved. */
static void check_rsp(struct xlate *x, unsigned off)
{
    unsigned t = x_scratch(x, 0);

    uint8_t *left = x_expect(x, X86_RSP, t, (int)USER_CLUSTER);
    struct x_state s = x_state_get(x);
    x_to_cold(x);
    x_here(x, left);
    x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, true, t, (int)t, -1, 1, (int32_t)off);
    x_exit_lookup(x, t);
    x_to_hot(x);
    x_state_set(x, &s);
}

/* RSP += a small constant, or is aligned. */
static bool small_step(const struct insn *in)
{
    bool imm = in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    int64_t c = imm ? in->op[1].imm.value.s : in->mem.disp;

    if (in->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || in->op[0].size != 64 || c <= -STACK_STEP ||
        c >= STACK_STEP)
        return false;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
        return imm;
    case ZYDIS_MNEMONIC_AND:
        return imm && c < 0;
    case ZYDIS_MNEMONIC_LEA:
        return in->mem.base == X86_RSP && in->mem.index < 0 && !in->mem.rip &&
               in->mem.addrsize == 8;
    default:
        return false;
    }
}

static bool accesses_stack(const struct insn *in)
{
    struct insn_mem m;

    return x_group_access(in, &m) && m.base == X86_RSP && m.index < 0 && m.seg < X86_FS &&
           m.addrsize == 8;
}

static bool branches(const struct insn *in)
{
    return in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
}

/* Does the block access the stack on all ways that pass the current instruction? */
static bool anchored(const struct xlate *x)
{
    for (unsigned k = x->i + 1; k < x->n; k++) {
        if (accesses_stack(&x->in[k]))
            return true;
        if (branches(&x->in[k]))
            break;
    }
    for (unsigned k = x->i; k-- > 0 && x->joined[k + 1] < 0;)
        if (accesses_stack(&x->in[k]))
            return true;
    return false;
}

/* PUSH, or POP of anything but RSP: the access is the instruction's own. */
static bool moves_by_access(const struct insn *in)
{
    bool high;

    if (in->special || in->opsize != 8)
        return false;
    return in->z.mnemonic == ZYDIS_MNEMONIC_PUSH ||
           (in->z.mnemonic == ZYDIS_MNEMONIC_POP &&
            (in->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
             insn_gpr(in->op[0].reg.value, &high) != X86_RSP));
}

void x_stack_moved(struct xlate *x, const struct insn *in)
{
    if (!(x->key & MODE_STACK) || x->oneshot || x->ended || !writes_rsp(in) || branches(in))
        return;
    if (moves_by_access(in) || (small_step(in) && (!x->stack || anchored(x))))
        return;
    if (x->live[x->i + 1])
        x_flags_save(x);
    check_rsp(x, in->off + in->len);
}

/* ---- PUSH and POP in a row ------------------------------------------------------------------- */

#define WORDS_MAX 15 /* that RSP may be behind: struct bt_record */

/* May it run while RSP is behind? */
static bool in_row(const struct insn *in)
{
    bool high, reg = in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER;

    if (in->special || in->has_mem || in->opsize != 8)
        return false;
    if (reg && insn_gpr(in->op[0].reg.value, &high) == X86_RSP)
        return false;
    return in->z.mnemonic == ZYDIS_MNEMONIC_PUSH || in->z.mnemonic == ZYDIS_MNEMONIC_POP;
}

void x_move_later(struct xlate *x, int words)
{
    unsigned next = x->i + 1;
    int sp = x->sp + words;

    if (x->stack && in_row(&x->in[x->i]) && next < x->n && x->joined[next] < 0 &&
        in_row(&x->in[next]) && sp < WORDS_MAX && sp > -WORDS_MAX)
        x->sp = (int8_t)sp;
    else
        x_move_sp(x, words * 8);
}

void x_stack_entry(struct xlate *x)
{
    if (!(x->key & MODE_STACK) || x->oneshot || x->stack)
        return;
    x->i = 0;
    if (x->live[0])
        x_flags_save(x);
    check_rsp(x, x->in[0].off);
}
