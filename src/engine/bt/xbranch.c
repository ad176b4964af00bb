/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Indirect branches, and how a call and its return meet (branch.c has the tables).
 *
 * A call also does a host CALL, with RSP in the shadow stack at the place that belongs to the
 * guest's RSP, and a return does a host RET from there: so the host's own return predictor works.
 * Right behind the host CALL is the return point, which compares the address that the guest's RET
 * found on the guest's stack with its own. Around these RSP is the host's for a few instructions
 * that cannot fault; the guest's is in R10.
 */
#include "xlate.h"

void x_rsp_back(struct xlate *x)
{
    x_rr(x, true, 0x8b, X86_RSP, 10);
}

void x_jump_table(struct xlate *x)
{
    x_rr(x, false, 0x69, 10, 11); /* imul r10d, r11d, BT_JUMP_HASH */
    e32(x, BT_JUMP_HASH);
    x_rr(x, false, 0xc1, 5, 10); /* shr */
    e8(x, BT_JUMP_SHIFT);
    x_alu_imm(x, false, 4, 10, BT_JUMP_MASK);
    x_ctx(x, true, 0x03, 10, CTX_OFF(branch[0]) + (int32_t)x->mode * 8);
    x_rmd(x, false, 0xff, 4, 10, BT_SHADOW_SIZE); /* jmp */
}

/* The page's cur_lin may be bt_no_lin: then nothing matches. */
void x_check_rip(struct xlate *x, uint32_t id, uint32_t off, uint64_t miss)
{
    x_lea(x, x->long64, 10, 11, -1, 1, -(int32_t)off);
    x_ctx(x, true, 0x3b, 10, CTX_OFF(cur_lin[0]) + (int32_t)id * 8);
    x_jcc_abs(x, CC_NE, miss);
    if (x->cs == NULL)
        return;
    x_ctx(x, false, 0x81, 7, CTX_OFF(code_seg)); /* cmpl number, code_seg */
    e32(x, x->cs_number);
    x_jcc_abs(x, CC_NE, miss);
}

/* ctx->site tells bt_lookup_next about the branch. */
static void branch_site(struct xlate *x, const struct insn *in, int32_t moved)
{
    bool nested = x->in_cold;

    if (!nested)
        x_to_cold(x);
    uint32_t at = code_off(x, x->out);
    if (nested) { /* right here: jump around it */
        e8(x, 0xeb);
        e8(x, 8);
        at += 2;
    }
    e32(x, x->id << 12 | in->off);
    e32(x, (uint32_t)moved);
    if (!nested)
        x_to_hot(x);
    x_store_imm(x, at, CTX_OFF(site));
}

/* The address in t, a scratch register, goes to R11 and stays there. */
void x_target(struct xlate *x, unsigned t)
{
    x_take_lent(x);
    if (t != 11)
        x_rr(x, true, 0x8b, 11, t);
    x->held = 1u << 11;
}

static void leave_indirect(struct xlate *x)
{
    x_canon_regs(x);
    if (x->oneshot)
        x_jmp_abs(x, x->en->stub_lookup);
    else
        x_jump_table(x);
    x->flags_saved = false;
    x->ended = true;
}

void x_exit_indirect(struct xlate *x, unsigned t, int32_t moved)
{
    x_target(x, t);
    x_flags_save(x);
    branch_site(x, &x->in[x->i], moved);
    leave_indirect(x);
}

void x_exit_lookup(struct xlate *x, unsigned t)
{
    x_target(x, t);
    x_flags_save(x);
    branch_site(x, &x->in[x->i], 0);
    x_canon_regs(x);
    x_jmp_abs(x, x->en->stub_lookup);
}

/* ---- calls and returns
 * -------------------------------------------------------------------------------------------------
 */

/* A call of the next instruction only asks where it is: nothing returns from it. */
static bool asks_place(const struct insn *in)
{
    return in->z.mnemonic == ZYDIS_MNEMONIC_CALL &&
           in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->op[0].imm.value.s == 0;
}

bool x_shadowed(const struct xlate *x, const struct insn *in)
{
    return !x->oneshot && !asks_place(in) &&
           (x->long64 ? in->opsize == 8 : in->opsize == 4 && (x->key & MODE_SB));
}

/* RSP, the guest's, becomes an address in a table of the shadow stack. */
static void to_shadow(struct xlate *x, int32_t table)
{
    if (!x->long64) /* return addresses may be 4 bytes apart */
        x_rr(x, false, 0x03, X86_RSP, X86_RSP);
    x_alu_imm(x, false, 4, X86_RSP, BT_SHADOW_MASK);
    x_ctx(x, true, 0x03, X86_RSP, table + (int32_t)x->mode * 8);
}

uint8_t *x_shadow_call(struct xlate *x)
{
    x_rr(x, true, 0x8b, 10, X86_RSP);
    to_shadow(x, CTX_OFF(branch_call[0]));
    return x_call(x);
}

void x_return_point(struct xlate *x, const struct insn *in)
{
    uint16_t live = x_peek_flags(x, in->off + in->len);

    x->b->ret = code_off(x, x->out);
    x_rsp_back(x);
    x_check_rip(x, x->id, in->off + in->len, x->en->stub_branch[x->mode]);
    x->flags_saved = live != 0;
    x_exit_to(x, in->off + in->len, live);
    x->ended = true;
}

/* The target is in t and known to be canonical, the return address is pushed, the flags are saved.
 */
void x_call_indirect(struct xlate *x, const struct insn *in, unsigned t)
{
    x_canon_regs(x);
    if (t != 11)
        x_rr(x, x->long64, 0x8b, 11, t);
    uint8_t *over = x_shadow_call(x);
    struct x_state s = x_state_get(x);
    x_to_cold(x);
    x_here(x, over);
    x_rsp_back(x);
    x_jump_table(x);
    x_to_hot(x);
    x_state_set(x, &s);
    x_return_point(x, in);
}

void x_return(struct xlate *x, const struct insn *in, int32_t moved)
{
    x->held = 1u << 11;
    x_flags_save(x);
    branch_site(x, in, moved);
    x_canon_regs(x);
    x_lea(x, x->long64, 10, X86_RSP, -1, 1, moved);
    to_shadow(x, CTX_OFF(branch[0]));
    e8(x, 0xc3);
    x->flags_saved = false;
    x->ended = true;
}
