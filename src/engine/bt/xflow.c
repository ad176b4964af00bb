/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers of control and the stack.
 *
 * A direct exit within the page is a jump that is patched to the target block once it exists. One
 * that leaves the page compares the page it computes with cur_lin of the target's page id first
 * (the guard): the same pages may be mapped side by side in one process and apart in another. An
 * indirect exit probes the jump cache.
 *
 * Every cycle of blocks has a backward direct jump or an indirect one; these look at ctx->kick,
 * which bounds the time until an interrupt is seen.
 */
#include "xlate.h"

struct exit_info {
    int32_t delta;
    bool guarded;
    bool kick;
};

/* The jumps of an exit's tests, to be filled. */
struct exit_tests {
    uint8_t *guard; /* displacement in the compare */
    uint8_t *miss, *kicked;
};

static void exit_data(struct xlate *x, uint32_t jump, uint32_t guard, int32_t delta, uint32_t form)
{
    e32(x, jump);
    e32(x, guard);
    e32(x, x->id);
    e32(x, (uint32_t)delta);
    e32(x, form);
}

/* Returns where the struct bt_exit_site is. */
static uint32_t exit_stub(struct xlate *x, const uint8_t *jump, const struct exit_tests *t,
                          int32_t delta, uint32_t form)
{
    uint32_t site = code_off(x, x->out) + 12 + 5;

    x_store_imm(x, site, CTX_OFF(exit_site));
    x_jmp_abs(x, x->en->stub_chain);
    exit_data(x, code_off(x, jump), t->guard != NULL ? code_off(x, t->guard) : 0, delta, form);
    return site;
}

static uint8_t *kick_check(struct xlate *x)
{
    x_ctx(x, false, 0x80, 7, CTX_OFF(kick)); /* cmpb $0, kick */
    e8(x, 0);
    return x_jcc(x, CC_NE);
}

static struct exit_tests exit_tests(struct xlate *x, const struct exit_info *ex)
{
    struct exit_tests r = {0};

    if (ex->guarded) {
        unsigned t = x_scratch(x, 0);
        x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
        if (ex->delta & ~0xfff)
            x_lea(x, true, t, (int)t, -1, 1, (int32_t)(ex->delta & ~0xfff));
        x_ctx(x, true, 0x3b, t, CTX_OFF(cur_lin[0]));
        r.guard = x->out - 4;
        r.miss = x_jcc(x, CC_NE);
    }
    if (ex->kick)
        r.kicked = kick_check(x);
    return r;
}

/* Where a kick is seen. Returns the immediate that names the exit site. */
static uint8_t *kick_stub(struct xlate *x, uint8_t *kicked, const struct x_state *s)
{
    x_here(x, kicked);
    x_state_set(x, s);
    x_canon(x);
    x_store_imm(x, 0, CTX_OFF(exit_site));
    uint8_t *site = x->out - 4;
    x_jmp_abs(x, x->en->stub_kick);
    return site;
}

/* The flags stay saved on the way to another page: its block may not want them. */
static uint32_t exit_form(struct xlate *x, const struct exit_info *ex, uint16_t live)
{
    if (live == 0)
        x->flags_saved = false;
    if (!ex->guarded)
        x_flags_restore(x);
    return x->flags_saved ? EXIT_FORM_SAVED : 0;
}

static void emit_exit(struct xlate *x, const struct exit_info *ex, uint16_t live)
{
    bool nested = x->in_cold;
    uint8_t *kick_site = NULL;

    if ((ex->guarded || ex->kick) && live)
        x_flags_save(x);
    struct exit_tests t = exit_tests(x, ex);
    struct x_state s = x_state_get(x);
    uint32_t form = exit_form(x, ex, live);
    x_canon_regs(x);
    uint8_t *jump = x_jcc(x, CC_JMP);
    if (!nested)
        x_to_cold(x);
    if (t.kicked != NULL)
        kick_site = kick_stub(x, t.kicked, &s);
    if (t.miss != NULL) {
        x_here(x, t.miss);
        x_state_set(x, &s);
        x->flags_saved &= live != 0;
        x_canon_regs(x);
    }
    x_here(x, jump);
    x_flags_restore(x);
    uint32_t at = exit_stub(x, jump, &t, ex->delta, form);
    if (kick_site != NULL)
        __builtin_memcpy(kick_site, &at, 4);
    if (!nested)
        x_to_hot(x);
}

struct bt_exit_site *x_exit_before(struct bt_ctx *c, uint32_t key)
{
    struct translator *en = c->v->en;
    struct bt_exit_site *s = (void *)(en->code_rw + c->exit_site);

    if (c->exit_site == 0 || en->n_block == 0 || s->guard != 0 || s->form != 0 || s->jump == 0 ||
        s->jump + 4 != en->hot || s->jump - 1 < en->block[en->n_block - 1].hot + 5 ||
        en->code_rw[s->jump - 1] != 0xe9 || s->id != key >> 12 || bt_block_known(en, key))
        return NULL;
    return s;
}

/* A direct call whose return will be predicted; the return address is pushed already. */
static void emit_call(struct xlate *x, const struct insn *in, const struct exit_info *ex,
                      uint16_t live)
{
    uint8_t *kick_site = NULL, *join = NULL;

    if (live)
        x_flags_save(x);
    else
        x->flags_saved = false;
    struct exit_tests t = exit_tests(x, ex);
    struct x_state s = x_state_get(x);
    x_canon_regs(x);
    uint8_t *jump = x_shadow_call(x);
    x_to_cold(x);
    if (t.kicked != NULL)
        kick_site = kick_stub(x, t.kicked, &s);
    if (t.miss != NULL) {
        x_here(x, t.miss);
        x_state_set(x, &s);
        x_canon_regs(x);
        join = x_jcc(x, CC_JMP);
    }
    x_here(x, jump);
    x_rsp_back(x);
    if (join != NULL)
        x_here(x, join);
    x->flags_saved = live != 0;
    x_flags_restore(x);
    uint32_t at = exit_stub(x, jump, &t, ex->delta, EXIT_FORM_CALL | (live ? EXIT_FORM_SAVED : 0));
    if (kick_site != NULL)
        __builtin_memcpy(kick_site, &at, 4);
    x_to_hot(x);
    x_return_point(x, in);
}

/* Back to the start of the block itself: no link to make, and the loop's scratch registers stay. */
static void emit_loop(struct xlate *x, int32_t delta)
{
    struct x_state s;
    uint8_t *kicked;

    if (x->live[0]) {
        x_flags_save(x);
        kicked = kick_check(x);
        s = x_state_get(x);
        x_loop_state(x);
        x_jmp_to(x, x->loop);
    } else { /* one jump in the loop */
        x_loop_state(x);
        s = x_state_get(x);
        x_ctx(x, false, 0x80, 7, CTX_OFF(kick));
        e8(x, 0);
        e8(x, 0x0f); /* je */
        e8(x, 0x84);
        e32(x, (uint32_t)(x->loop - (x->out + 4)));
        kicked = x_jcc(x, CC_JMP);
    }
    bool nested = x->in_cold;
    if (!nested)
        x_to_cold(x);
    uint8_t *kick_site = kick_stub(x, kicked, &s);
    uint32_t at = code_off(x, x->out);
    exit_data(x, 0, 0, delta, 0);
    __builtin_memcpy(kick_site, &at, 4);
    if (!nested)
        x_to_hot(x);
}

static void exit_far(struct xlate *x, int64_t delta)
{
    unsigned t = x_scratch(x, 0);

    x->held |= (uint16_t)(1u << t);
    if ((delta & ~0xffffll) == X_CUT16) { /* others may be negative */
        x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
        x_lea(x, false, t, (int)t, -1, 1, (int32_t)(delta & 0xffff));
        x_rr(x, false, 0x0fb7, t, t);
        x_exit_indirect(x, t, 0);
        return;
    }
    unsigned t2 = x_scratch(x, 0);
    x_mov_imm(x, t2, (uint64_t)delta);
    x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, x->long64, t, (int)t, (int)t2, 1, 0);
    x_exit_indirect(x, t, 0);
}

static struct exit_info exit_info(const struct xlate *x, int64_t delta)
{
    return (struct exit_info){.delta = (int32_t)delta,
                              .guarded = delta < 0 || delta >= BT_PAGE_SIZE,
                              .kick = delta <= x->in[x->i].off};
}

void x_exit_to(struct xlate *x, int64_t delta, uint16_t live)
{
    struct exit_info ex = exit_info(x, delta);

    if (delta != ex.delta || x->oneshot)
        exit_far(x, delta);
    else if (x->loop != NULL && delta == x->in[0].off)
        emit_loop(x, ex.delta);
    else
        emit_exit(x, &ex, live);
}

void x_exit_direct(struct xlate *x, int64_t delta)
{
    x_exit_to(x, delta, x->i + 1 < x->n ? x->live_exit[x->i] : x->live[x->n]);
    x->ended = true;
}

/* The next block runs in another mode, whose translations have page ids of their own: always
 * guarded. */
void x_exit_mode(struct xlate *x, int64_t delta, unsigned mode)
{
    struct exit_info ex = {.delta = (int32_t)delta, .guarded = true};

    x_store_imm(x, mode, CTX_OFF(mode));
    x_store_imm(x, x->en->mode_key[mode], CTX_OFF(mode_key));
    emit_exit(x, &ex, FLAGS_ARITH);
    x->ended = true;
}

/* The block's instruction goes on in the next page: that must still be the page it was translated
 * from. */
void x_guard_page2(struct xlate *x)
{
    x_flags_save(x); /* what is translated instead on a miss may read them */
    unsigned t = x_scratch(x, x->in[0].read | x->in[0].write);
    x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, true, t, (int)t, -1, 1, BT_PAGE_SIZE);
    x_ctx(x, true, 0x3b, t, CTX_OFF(cur_lin[0]) + (int32_t)x->page2 * 8);
    uint8_t *miss = x_jcc(x, CC_NE);
    x_to_cold(x);
    x_here(x, miss);
    x_canon_copy(x);
    x_store_imm(x, x->id << 12 | x->in[0].off, CTX_OFF(pc));
    x_jmp_abs(x, x->en->stub_page2);
    x_to_hot(x);
}

/* ---- jumps --------------------------------------------------------------------------------------
 * ------------------------ */

static int condition(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_JO:
        return 0;
    case ZYDIS_MNEMONIC_JNO:
        return 1;
    case ZYDIS_MNEMONIC_JB:
        return 2;
    case ZYDIS_MNEMONIC_JNB:
        return 3;
    case ZYDIS_MNEMONIC_JZ:
        return 4;
    case ZYDIS_MNEMONIC_JNZ:
        return 5;
    case ZYDIS_MNEMONIC_JBE:
        return 6;
    case ZYDIS_MNEMONIC_JNBE:
        return 7;
    case ZYDIS_MNEMONIC_JS:
        return 8;
    case ZYDIS_MNEMONIC_JNS:
        return 9;
    case ZYDIS_MNEMONIC_JP:
        return 10;
    case ZYDIS_MNEMONIC_JNP:
        return 11;
    case ZYDIS_MNEMONIC_JL:
        return 12;
    case ZYDIS_MNEMONIC_JNL:
        return 13;
    case ZYDIS_MNEMONIC_JLE:
        return 14;
    case ZYDIS_MNEMONIC_JNLE:
        return 15;
    default:
        return -1;
    }
}

void x_protection_if(struct xlate *x, const struct insn *in, unsigned cc)
{
    struct x_state s = x_state_get(x);
    uint8_t *rel = x_jcc(x, cc);

    x_to_cold(x);
    x_here(x, rel);
    x_protection(x, in);
    x_to_hot(x);
    x_state_set(x, &s);
    x->ended = false;
}

void x_leave_loop(struct xlate *x, const struct insn *in)
{
    x_flags_for(x, in);
    x->i = (unsigned)(in - x->in);
    x_edge_to(x, (unsigned)condition(in->z.mnemonic) ^ 1, x->i + 1);
}

static void side_exit(struct xlate *x, const struct insn *in, unsigned cc)
{
    int64_t delta = x_branch_target(x, in);
    bool near_fwd = delta > in->off && delta < BT_PAGE_SIZE && !x->oneshot;
    struct x_state s = x_state_get(x);

    if (near_fwd && x_is_canon(x)) {
        uint8_t *rel = x_jcc(x, cc);
        x_to_cold(x);
        x_here(x, rel);
        exit_stub(x, rel, &(struct exit_tests){0}, (int32_t)delta, 0);
        x_to_hot(x);
    } else if (delta > in->off) {
        uint8_t *rel = x_jcc(x, cc);
        x_to_cold(x);
        x_here(x, rel);
        x_exit_to(x, delta, x->live_exit[x->i]);
        x_to_hot(x);
    } else {
        uint8_t *rel = x_jcc(x, cc ^ 1);
        x_exit_to(x, delta, x->live_exit[x->i]);
        x_here(x, rel);
    }
    x_state_set(x, &s);
    x->ended = false;
}

/* The jump of LOOP and kin is taken; the count is one less already, unless `kept`. */
static void loop_taken(struct xlate *x, const struct insn *in, bool kept)
{
    if (x_target_ok(x, in)) {
        x_exit_to(x, x_branch_target(x, in), FLAGS_ARITH);
        return;
    }
    if (!kept && in->z.address_width == 16)
        e8(x, 0x66);
    if (!kept)
        x_lea(x, in->z.address_width == 64, X86_RCX, X86_RCX, -1, 1, 1);
    x_protection(x, in);
}

/* LOOP, LOOPE, LOOPNE, JRCXZ: the register test without flags. */
static void loop_insn(struct xlate *x, const struct insn *in)
{
    ZydisMnemonic m = in->z.mnemonic;
    bool jcxz = m == ZYDIS_MNEMONIC_JRCXZ || m == ZYDIS_MNEMONIC_JECXZ || m == ZYDIS_MNEMONIC_JCXZ;
    unsigned width = in->z.address_width / 8;
    uint8_t *skip[3];
    unsigned n = 0;

    x_need(x, 1u << X86_RCX);
    if (x->flags_saved)
        x_flags_restore(x);
    if (!jcxz) {
        if (width == 2)
            e8(x, 0x66);
        x_lea(x, width == 8, X86_RCX, X86_RCX, -1, 1, -1);
    }
    unsigned t = 16;
    if (width ==
        2) { /* JCXZ does not exist in 64-bit mode: zero-extend into a scratch via ECX itself */
        t = x_scratch(x, 1u << X86_RCX);
        x_rr(x, true, 0x8b, t, X86_RCX);
        x_rr(x, false, 0x0fb7, X86_RCX, X86_RCX);
    }
    if (width == 4)
        e8(x, 0x67);
    e8(x, 0xe3); /* jrcxz over the short jump */
    e8(x, 2);
    e8(x, 0xeb);
    uint8_t *over = x->out;
    e8(x, 0);
    /* RCX is zero here. */
    if (width == 2)
        x_rr(x, true, 0x8b, X86_RCX, t);
    uint8_t *zero = x_jcc(x, CC_JMP);
    *over = (uint8_t)(x->out - (over + 1));
    if (width == 2)
        x_rr(x, true, 0x8b, X86_RCX, t);
    struct x_state s = x_state_get(x);
    if (jcxz) { /* not zero: fall through; zero: taken */
        uint8_t *fall = x_jcc(x, CC_JMP);
        x_here(x, zero);
        loop_taken(x, in, true);
        x_here(x, fall);
    } else {
        if (m == ZYDIS_MNEMONIC_LOOPE)
            skip[n++] = x_jcc(x, CC_NE);
        else if (m == ZYDIS_MNEMONIC_LOOPNE)
            skip[n++] = x_jcc(x, CC_E);
        loop_taken(x, in, false);
        x_here(x, zero);
        for (unsigned k = 0; k < n; k++)
            x_here(x, skip[k]);
    }
    x_state_set(x, &s);
    x->ended = false;
}

/* Puts a near branch's operand (register or memory) into a held scratch register. */
static unsigned branch_operand(struct xlate *x, const struct insn *in)
{
    const struct insn_op *o = &in->op[0];
    bool high;
    unsigned t;

    if (in->has_mem) {
        struct access a;
        x_access_val(x, in, &in->mem, 0, &a);
        t = a.val;
        x_mem_op(x, in->opsize == 8 ? 8 : 4, in->opsize == 2 ? 0x0fb7 : 0x8b, t, &a);
        x_access_done(x, &a);
    } else {
        unsigned r = (unsigned)insn_gpr(o->reg.value, &high);
        t = x_scratch(x, (uint16_t)(1u << r));
        x_rr(x, in->opsize == 8, in->opsize == 2 ? 0x0fb7 : 0x8b, t, r);
    }
    x->held |= (uint16_t)(1u << t);
    return t;
}

static void push_return(struct xlate *x, const struct insn *in)
{
    unsigned size = in->opsize;
    struct insn_mem m;
    struct access a;

    x_stack_mem(x, &m, -(int64_t)size, size, ACC_W);
    x_access_val(x, in, &m, 0, &a);
    if (x->cs != NULL) {
        x_mov_imm(x, a.t2, x_eip(x, in->off + in->len));
    } else {
        x_load(x, a.t2, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
        x_lea(x, true, a.t2, (int)a.t2, -1, 1, in->off + in->len);
    }
    x_mem_op(x, size, 0x89, a.t2, &a);
    x_access_done(x, &a);
    x_move_sp(x, -(int32_t)size);
}

void x_check_canonical(struct xlate *x, const struct insn *in, unsigned r)
{
    unsigned t = x_scratch(x, (uint16_t)(in->read | 1u << r));

    if (x->en->bmi2) {
        x_rorx(x, t, r, 47);
    } else {
        x_rr(x, true, 0x8b, t, r);
        x_rr(x, true, 0xc1, 7, t); /* sar */
        e8(x, 47);
    }
    x_lea(x, false, t, (int)t, -1, 1, 1); /* all ones, or all zeroes, and 1 */
    x_rr(x, false, 0xf7, 0, t);           /* test */
    e32(x, 0x1fffe);
    x_protection_if(x, in, CC_NE);
}

static void call_indirect(struct xlate *x, const struct insn *in)
{
    unsigned t = in->has_mem ? 16 : (unsigned)insn_gpr(in->op[0].reg.value, &(bool){0});

    /* A register that neither the push nor we change may keep the target. */
    if (t == 16 || t == X86_RSP || (BT_LENT >> t & 1) || in->opsize == 2 || x->cs != NULL) {
        x_target(x, branch_operand(x, in));
        t = 11;
    }
    x_flags_save(x);
    x_linear_rip(x, in, t);
    if (x->long64) /* it faults before the return address is pushed */
        x_check_canonical(x, in, t);
    push_return(x, in);
    if (x_shadowed(x, in))
        x_call_indirect(x, in, t);
    else
        x_exit_indirect(x, t, -(int32_t)in->opsize);
}

/* A call of the next instruction only asks where it is: nothing returns from it. */
static void call_direct(struct xlate *x, const struct insn *in)
{
    int64_t delta = x_branch_target(x, in);
    struct exit_info ex = exit_info(x, delta);

    if (!x_target_ok(x, in)) {
        x_protection(x, in);
        return;
    }
    push_return(x, in);
    if (x_shadowed(x, in))
        emit_call(x, in, &ex, x->live_exit[x->i]);
    else
        x_exit_direct(x, delta);
}

/* RET leaves the address in R11 and lets x_return move RSP. */
static void ret(struct xlate *x, const struct insn *in)
{
    unsigned size = in->opsize;
    int32_t extra =
        in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (int32_t)in->op[0].imm.value.u : 0;
    struct insn_mem m;
    struct access a;

    x_lend(x);
    x_stack_mem(x, &m, 0, size, ACC_R);
    x_access(x, in, &m, 0, &a);
    x_mem_op(x, size == 8 ? 8 : 4, size == 2 ? 0x0fb7 : 0x8b, 11, &a);
    x_access_done(x, &a);
    x->held = 1u << 11;
    x_linear_rip(x, in, 11);
    if (x_shadowed(x, in)) {
        x_return(x, in, (int32_t)size + extra);
        return;
    }
    x_move_sp(x, (int32_t)size + extra);
    x_exit_indirect(x, 11, (int32_t)size + extra);
}

static void jump_direct(struct xlate *x, const struct insn *in)
{
    if (x_target_ok(x, in))
        x_exit_direct(x, x_branch_target(x, in));
    else
        x_protection(x, in);
}

static void jump_indirect(struct xlate *x, const struct insn *in)
{
    bool high, keeps = !in->has_mem && in->opsize == 8 && x->cs == NULL;
    /* A register may go to R11 at once. */
    unsigned t = keeps ? (unsigned)insn_gpr(in->op[0].reg.value, &high) : branch_operand(x, in);

    x_linear_rip(x, in, t);
    x_exit_indirect(x, t, 0);
}

bool x_flow(struct xlate *x, const struct insn *in)
{
    int cc = condition(in->z.mnemonic);

    if (cc >= 0) {
        x_flags_for(x, in);
        if (x->target[x->i] >= 0)
            x_edge(x, (unsigned)cc);
        else if (!x_target_ok(x, in))
            x_protection_if(x, in, (unsigned)cc);
        else
            side_exit(x, in, (unsigned)cc);
        return true;
    }
    if (in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
        if (x->target[x->i] >= 0)
            x_edge(x, CC_JMP);
        else if (in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            jump_direct(x, in);
        else
            jump_indirect(x, in);
        return true;
    case ZYDIS_MNEMONIC_CALL:
        if (in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            call_direct(x, in);
        else
            call_indirect(x, in);
        x->ended = true;
        return true;
    case ZYDIS_MNEMONIC_RET:
        ret(x, in);
        return true;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JCXZ:
        loop_insn(x, in);
        return true;
    default:
        return false;
    }
}

/* ---- PUSH, POP, ENTER, LEAVE
 * ----------------------------------------------------------------------------------------- */

void x_push_register(struct xlate *x, const struct insn *in, unsigned r)
{
    struct insn_mem m;
    struct access a;

    x_stack_mem(x, &m, -(int64_t)in->opsize, in->opsize, ACC_W);
    x_access(x, in, &m, 0, &a);
    x_mem_op(x, in->opsize, 0x89, r, &a);
    x_access_done(x, &a);
    x_move_sp(x, -(int32_t)in->opsize);
}

static void move_sp(struct xlate *x, int delta)
{
    if (delta % 8 == 0)
        x_move_later(x, delta / 8);
    else
        x_move_sp(x, delta);
}

static void push(struct xlate *x, const struct insn *in)
{
    const struct insn_op *o = &in->op[0];
    unsigned size = in->opsize, v = 16;
    struct insn_mem m;
    struct access a;
    bool high;

    if (in->has_mem) {
        x_access_val(x, in, &in->mem, 0, &a);
        v = a.val;
        x_mem_op(x, size, 0x8b, v, &a);
        x_access_done(x, &a);
        x->held |= (uint16_t)(1u << v);
    } else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        v = (unsigned)insn_gpr(o->reg.value, &high);
    }
    x_stack_mem(x, &m, -(int64_t)size, size, ACC_W);
    x_access(x, in, &m, 0, &a);
    if (v < 16) {
        x_mem_op(x, size, 0x89, v, &a);
    } else {
        x_mem_op(x, size, 0xc7, 0, &a);
        uint64_t imm = o->imm.value.u;
        if (size == 2) {
            e8(x, imm & 0xff);
            e8(x, imm >> 8 & 0xff);
        } else {
            e32(x, (uint32_t)imm);
        }
    }
    x_access_done(x, &a);
    if (in->has_mem)
        x->held = 0;
    move_sp(x, -(int)size);
}

static void pop(struct xlate *x, const struct insn *in)
{
    const struct insn_op *o = &in->op[0];
    unsigned size = in->opsize;
    struct insn_mem m;
    struct access a, d;
    bool high;

    x_stack_mem(x, &m, 0, size, ACC_R);
    if (!in->has_mem) {
        unsigned r = (unsigned)insn_gpr(o->reg.value, &high);
        x_access(x, in, &m, 0, &a);
        x_mem_op(x, size, 0x8b, r, &a);
        x_access_done(x, &a);
        x_written(x, size == 2 ? 0 : (uint16_t)(1u << r));
        if (r != X86_RSP)
            move_sp(x, (int)size);
        return;
    }
    x_access_val(x, in, &m, 0, &a);
    x_mem_op(x, size, 0x8b, a.val, &a);
    x_access_done(x, &a);
    x->held |= (uint16_t)(1u << a.val);
    struct insn_mem dst = in->mem; /* the address is computed after RSP was incremented */
    if (dst.base == X86_RSP)
        dst.disp += size;
    dst.access = ACC_W;
    dst.size = (uint16_t)size;
    x_access(x, in, &dst, 0, &d);
    x_mem_op(x, size, 0x89, a.val, &d);
    x_access_done(x, &d);
    x->held = 0;
    x_move_sp(x, (int32_t)size);
}

static void leave_insn(struct xlate *x, const struct insn *in)
{
    unsigned size = in->opsize, t;
    struct insn_mem m;
    struct access a;

    x_need(x, 1u << X86_RBP);
    x_stack_mem(x, &m, 0, size, ACC_R);
    m.base = X86_RBP;
    x_access_val(x, in, &m, 1u << X86_RBP, &a);
    t = a.val;
    x_mem_op(x, size, 0x8b, t, &a);
    x_access_done(x, &a);
    if (m.addrsize == 2)
        e8(x, 0x66);
    x_lea(x, m.addrsize == 8, X86_RSP, X86_RBP, -1, 1, (int32_t)size);
    if (size == 2)
        e8(x, 0x66);
    x_rr(x, size == 8, 0x8b, X86_RBP, t);
}

bool x_stack(struct xlate *x, const struct insn *in)
{
    bool seg = in->z.operand_count_visible > 0 && in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
               ZydisRegisterGetClass(in->op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;

    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
        if (seg)
            return false;
        push(x, in);
        return true;
    case ZYDIS_MNEMONIC_POP:
        if (seg)
            return false;
        pop(x, in);
        return true;
    case ZYDIS_MNEMONIC_LEAVE:
        leave_insn(x, in);
        return true;
    default:
        return false;
    }
}
