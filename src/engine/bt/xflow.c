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

/* A struct bt_exit_site. */
static void exit_data(struct xlate *x, uint32_t jump, uint32_t guard, int32_t delta)
{
    e32(x, jump);
    e32(x, guard);
    e32(x, x->id);
    e32(x, (uint32_t)delta);
}

/* Returns where the struct bt_exit_site is. */
static uint32_t exit_stub(struct xlate *x, uint32_t jump, uint32_t guard, int32_t delta)
{
    uint32_t site = code_off(x, x->out) + 12 + 5;

    x_store_imm(x, site, CTX_OFF(exit_site));
    x_jmp_abs(x, x->en->stub_chain);
    exit_data(x, jump, guard, delta);
    return site;
}

static uint8_t *kick_check(struct xlate *x)
{
    x_ctx(x, false, 0x80, 7, CTX_OFF(kick)); /* cmpb $0, kick */
    e8(x, 0);
    return x_jcc(x, CC_NE);
}

static void emit_exit(struct xlate *x, const struct exit_info *ex, uint16_t live)
{
    uint8_t *guard = NULL, *miss = NULL, *kicked = NULL;
    bool nested = x->in_cold;

    if ((ex->guarded || ex->kick) && live)
        x_flags_save(x);
    if (ex->guarded) {
        unsigned t = x_scratch(x, 0);
        x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
        if (ex->delta & ~0xfff)
            x_lea(x, true, t, (int)t, -1, 1, (int32_t)(ex->delta & ~0xfff));
        x_ctx(x, true, 0x3b, t, CTX_OFF(cur_lin[0]));
        guard = x->out - 4;
        miss = x_jcc(x, CC_NE);
    }
    if (ex->kick)
        kicked = kick_check(x);
    struct x_state s = x_state_get(x);
    x_canon(x);
    uint8_t *site = x_jcc(x, CC_JMP);
    if (!nested)
        x_to_cold(x);
    uint8_t *kick_site = NULL;
    if (kicked != NULL) {
        x_here(x, kicked);
        x_state_set(x, &s);
        x_canon(x);
        kick_site = x->out + 8;
        x_store_imm(x, 0, CTX_OFF(exit_site));
        x_jmp_abs(x, x->en->stub_kick);
    }
    if (miss != NULL) {
        x_here(x, miss);
        x_state_set(x, &s);
        x_canon(x);
    }
    x_here(x, site);
    uint32_t at =
        exit_stub(x, code_off(x, site), guard != NULL ? code_off(x, guard) : 0, ex->delta);
    if (kick_site != NULL)
        __builtin_memcpy(kick_site, &at, 4);
    if (!nested)
        x_to_hot(x);
}

/* Back to the start of the block itself: no link to make, and the loop's scratch registers stay. */
static void emit_loop(struct xlate *x, int32_t delta)
{
    if (x->live[0])
        x_flags_save(x);
    uint8_t *kicked = kick_check(x);
    struct x_state s = x_state_get(x);
    x_loop_state(x);
    x_jmp_to(x, x->loop);
    bool nested = x->in_cold;
    if (!nested)
        x_to_cold(x);
    x_here(x, kicked);
    x_state_set(x, &s);
    x_canon(x);
    uint32_t at = code_off(x, x->out) + 12 + 5;
    x_store_imm(x, at, CTX_OFF(exit_site));
    x_jmp_abs(x, x->en->stub_kick);
    exit_data(x, 0, 0, delta);
    if (!nested)
        x_to_hot(x);
}

static void exit_far(struct xlate *x, int64_t delta)
{
    unsigned t = x_scratch(x, 0);

    x->held |= (uint16_t)(1u << t);
    unsigned t2 = x_scratch(x, 0);
    x_mov_imm(x, t2, (uint64_t)delta);
    x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, true, t, (int)t, (int)t2, 1, 0);
    x_exit_indirect(x, t);
}

static void exit_to(struct xlate *x, int64_t delta, uint16_t live)
{
    const struct insn *in = &x->in[x->i];
    struct exit_info ex = {.delta = (int32_t)delta};

    if (delta != ex.delta || x->oneshot) {
        exit_far(x, delta);
        return;
    }
    if (x->loop != NULL && delta == x->in[0].off) {
        emit_loop(x, ex.delta);
        return;
    }
    ex.guarded = delta < 0 || delta >= BT_PAGE_SIZE;
    ex.kick = delta <= in->off;
    emit_exit(x, &ex, live);
}

void x_exit_direct(struct xlate *x, int64_t delta)
{
    exit_to(x, delta, x->i + 1 < x->n ? x->live_exit[x->i] : x->live[x->n]);
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

/* Should the target prove non-canonical, the branch itself faults: its address, and how far it
 * moved RSP. */
static void miss_stub(struct xlate *x)
{
    const struct insn *in = &x->in[x->i];
    int32_t moved = 0;

    if (in->z.mnemonic == ZYDIS_MNEMONIC_RET)
        moved =
            in->opsize +
            (in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (int32_t)in->op[0].imm.value.u : 0);
    else if (in->z.mnemonic == ZYDIS_MNEMONIC_CALL)
        moved = -(int32_t)in->opsize;
    x_store_imm(x, x->id << 12 | in->off, CTX_OFF(pc));
    x_store_imm(x, (uint32_t)moved, CTX_OFF(exit_delta));
    x_jmp_abs(x, x->en->stub_lookup);
}

/* Looks the address in t up in the jump cache: t2 = host code, or the returned jump is taken. Uses
 * up t; ctx->rip keeps the address. */
static uint8_t *probe(struct xlate *x, unsigned t, unsigned t2)
{
    int32_t jc = CTX_OFF(jc[0]) + (int32_t)(x->mode * sizeof(struct bt_jc_entry) * JC_SIZE);

    x_rr(x, false, 0x8b, t2, t);
    x_alu_imm(x, false, 4, t2, JC_SIZE - 1);
    x_rr(x, false, 0xc1, 4, t2); /* shl t2, 4 */
    e8(x, 4);
    x_ctx(x, true, 0x03, t, CTX_OFF(jc_salt[0]) + (int32_t)x->mode * 8);
    x_ctx_idx(x, true, 0x3b, t, t2, jc + (int32_t)offsetof(struct bt_jc_entry, tag));
    uint8_t *miss = x_jcc(x, CC_NE);
    x_ctx_idx(x, true, 0x8b, t2, t2, jc + (int32_t)offsetof(struct bt_jc_entry, code));
    return miss;
}

/* Jumps to the host code at the context's `slot`, unless kicked or `miss` is taken: then by look-
 * up. */
static void jump_through(struct xlate *x, int32_t slot, uint8_t *miss)
{
    uint8_t *kicked = kick_check(x);

    x_canon_copy(x);
    x_ctx(x, false, 0xff, 4, slot);
    bool nested = x->in_cold;
    if (!nested)
        x_to_cold(x);
    if (miss != NULL)
        x_here(x, miss);
    x_here(x, kicked);
    x_canon(x);
    miss_stub(x);
    if (!nested)
        x_to_hot(x);
    x->ended = true;
}

void x_exit_indirect(struct xlate *x, unsigned t)
{
    x->held |= (uint16_t)(1u << t);
    x_flags_save(x);
    x_store(x, t, CTX_OFF(rip));
    if (x->oneshot) {
        x_canon(x);
        miss_stub(x);
        x->ended = true;
        return;
    }
    unsigned t2 = x_scratch(x, 0);
    uint8_t *miss = probe(x, t, t2);
    x_store(x, t2, CTX_OFF(jmp_target));
    jump_through(x, CTX_OFF(jmp_target), miss);
}

/* The block's instruction goes on in the next page: that must still be the page it was translated
 * from. */
void x_guard_page2(struct xlate *x)
{
    if (x->live[0])
        x_flags_save(x);
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

static int64_t branch_target(const struct xlate *x, const struct insn *in)
{
    int64_t d = in->off + in->len + in->op[0].imm.value.s;

    if (!x->long64 && in->opsize == 2) /* EIP is cut to 16 bits: only code below 64 KB uses it */
        d = in->off + in->len + (int16_t)in->op[0].imm.value.s;
    return d;
}

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

static void side_exit(struct xlate *x, const struct insn *in, unsigned cc)
{
    int64_t delta = branch_target(x, in);
    bool near_fwd = delta > in->off && delta < BT_PAGE_SIZE && !x->oneshot;
    struct x_state s = x_state_get(x);

    if (near_fwd && x_is_canon(x)) {
        uint8_t *rel = x_jcc(x, cc);
        x_to_cold(x);
        x_here(x, rel);
        exit_stub(x, code_off(x, rel), 0, (int32_t)delta);
        x_to_hot(x);
    } else if (delta > in->off) {
        uint8_t *rel = x_jcc(x, cc);
        x_to_cold(x);
        x_here(x, rel);
        exit_to(x, delta, x->live_exit[x->i]);
        x_to_hot(x);
    } else {
        uint8_t *rel = x_jcc(x, cc ^ 1);
        exit_to(x, delta, x->live_exit[x->i]);
        x_here(x, rel);
    }
    x_state_set(x, &s);
    x->ended = false;
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
        exit_to(x, branch_target(x, in), FLAGS_ARITH);
        x_here(x, fall);
    } else {
        if (m == ZYDIS_MNEMONIC_LOOPE)
            skip[n++] = x_jcc(x, CC_NE);
        else if (m == ZYDIS_MNEMONIC_LOOPNE)
            skip[n++] = x_jcc(x, CC_E);
        exit_to(x, branch_target(x, in), FLAGS_ARITH);
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
    x_load(x, a.t2, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, true, a.t2, (int)a.t2, -1, 1, in->off + in->len);
    x_mem_op(x, size, 0x89, a.t2, &a);
    x_access_done(x, &a);
    x_move_sp(x, -(int32_t)size);
}

/* The target is looked up before the return address is pushed: a call to a non-canonical address
 * faults with the stack untouched. What the jump cache knows is canonical. */
static void call_indirect(struct xlate *x, const struct insn *in)
{
    unsigned t = branch_operand(x, in);

    x_flags_save(x);
    x_store(x, t, CTX_OFF(rip));
    unsigned t2 = x_scratch(x, 0);
    uint8_t *miss = probe(x, t, t2);
    x_store(x, t2, CTX_OFF(call_target));
    const uint8_t *back = x->out;
    struct x_state s = x_state_get(x);
    x_to_cold(x);
    x_here(x, miss);
    x_load(x, t, CTX_OFF(rip));
    x_rr(x, true, 0xc1, 7, t); /* sar t, 47: 0 or -1 if canonical */
    e8(x, 47);
    x_alu_imm(x, true, 0, t, 1);
    x_alu_imm(x, true, 7, t, 1);
    uint8_t *bad = x_jcc(x, CC_A);
    x_mov_imm(x, t, x->en->stub_lookup);
    x_store(x, t, CTX_OFF(call_target));
    x_jmp_to(x, back);
    x_here(x, bad);
    x_protection(x, in);
    x_state_set(x, &s);
    x->ended = false;
    x_to_hot(x);
    x->held = 0;
    push_return(x, in);
    jump_through(x, CTX_OFF(call_target), NULL);
}

static void call(struct xlate *x, const struct insn *in)
{
    if (in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        push_return(x, in);
        x_exit_direct(x, branch_target(x, in));
    } else if (x->oneshot || !x->long64) {
        unsigned t = branch_operand(x, in);
        push_return(x, in);
        x_exit_indirect(x, t);
    } else {
        call_indirect(x, in);
    }
}

static void ret(struct xlate *x, const struct insn *in)
{
    unsigned size = in->opsize;
    int32_t extra =
        in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (int32_t)in->op[0].imm.value.u : 0;
    struct insn_mem m;
    struct access a;

    x_stack_mem(x, &m, 0, size, ACC_R);
    x_access_val(x, in, &m, 0, &a);
    unsigned t = a.val;
    x_mem_op(x, size == 8 ? 8 : 4, size == 2 ? 0x0fb7 : 0x8b, t, &a);
    x_access_done(x, &a);
    x->held |= (uint16_t)(1u << t);
    x_move_sp(x, (int32_t)size + extra);
    x_exit_indirect(x, t);
}

bool x_flow(struct xlate *x, const struct insn *in)
{
    int cc = condition(in->z.mnemonic);

    if (cc >= 0) {
        x_flags_for(x, in);
        if (x->target[x->i] >= 0)
            x_edge(x, (unsigned)cc);
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
            x_exit_direct(x, branch_target(x, in));
        else
            x_exit_indirect(x, branch_operand(x, in));
        return true;
    case ZYDIS_MNEMONIC_CALL:
        call(x, in);
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
    x_move_sp(x, -(int32_t)size);
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
            x_move_sp(x, (int32_t)size);
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
