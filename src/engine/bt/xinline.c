/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions that kernels execute all the time, without a helper: interrupt flag, GS, FS
 * and GS bases, the time stamp counter, reads of flags, segment and control registers, STAC, CLAC.
 * What a mode does not allow is left to the helpers.
 *
 * Besides the context this code reads constant places in struct engine_vcpu, through ctx->v.
 */
#include "xlate.h"

#include "helpers.h"
#include "trace.h"

#define V_OFF(x) ((int32_t)offsetof(struct engine_vcpu, x))

static bool privileged(const struct xlate *x)
{
    return !(x->key & (MODE_USER | MODE_CPL12 | MODE_VM));
}

/* A register that is written whole and read by nothing, also if it is a lent one. */
static unsigned result(struct xlate *x, const struct insn_op *o)
{
    unsigned r = x_gpr_of(o);

    x_written(x, (uint16_t)(1u << r));
    return r;
}

static bool cli(struct xlate *x)
{
    if (!(x->key & MODE_IOPL))
        return false;
    x_ctx(x, false, 0xc6, 0, CTX_OFF(if_flag));
    e8(x, 0);
    return true;
}

/* The next instruction runs before an interrupt is taken: shadow_rip. One that waits, and a kick
 * that may mean one, are the helper's matter. */
_Static_assert(offsetof(struct bt_ctx, kick) == offsetof(struct bt_ctx, irq_wait) + 1, "one test");

static bool sti(struct xlate *x, const struct insn *in)
{
    if (!(x->key & MODE_IOPL) || x->oneshot)
        return false;
    if (x->live[x->i + 1])
        x_flags_save(x);
    e8(x, 0x66);
    x_ctx(x, false, 0x83, 7, CTX_OFF(irq_wait)); /* cmpw $0, irq_wait: and kick */
    e8(x, 0);
    uint8_t *waits = x_jcc(x, CC_NE);
    struct x_state s = x_state_get(x);
    x_to_cold(x);
    x_here(x, waits);
    x_helper_end(x, in, H_sti, 0);
    x_to_hot(x);
    x_state_set(x, &s);
    x->ended = false;
    unsigned t = x_scratch(x, 0);
    x_load(x, t, CTX_OFF(cur_lin[0]) + (int32_t)x->id * 8);
    x_lea(x, x->long64, t, (int)t, -1, 1, in->off + in->len);
    x_store(x, t, CTX_OFF(shadow_rip));
    x_ctx(x, false, 0xc6, 0, CTX_OFF(if_flag));
    e8(x, 1);
    return true;
}

static bool swapgs(struct xlate *x)
{
    if (!x->long64 || !privileged(x))
        return false;
    int32_t gs = CTX_OFF(seg_base[0]) + X86_GS * 8;
    unsigned t = x_scratch(x, 0);
    x->held |= (uint16_t)(1u << t);
    unsigned t2 = x_scratch(x, 0);
    x_load(x, t, gs);
    x_load(x, t2, CTX_OFF(kernel_gs_base));
    x_store(x, t2, gs);
    x_store(x, t, CTX_OFF(kernel_gs_base));
    x->held = 0;
    return true;
}

static bool rdtsc(struct xlate *x, bool aux)
{
    if ((x->key & MODE_USER) &&
        (x->c->v->cpu.cr4 & 4)) /* CR4.TSD; a change of it empties the cache */
        return false;
    x_need(x, 1u << X86_RAX | 1u << X86_RDX | (aux ? 1u << X86_RCX : 0));
    if (x->live[x->i + 1])
        x_flags_save(x);
    if (aux) { /* RDTSCP waits for what comes before it: LFENCE */
        e8(x, 0x0f);
        e8(x, 0xae);
        e8(x, 0xe8);
    }
    e8(x, 0x0f);
    e8(x, 0x31);
    x_rr(x, true, 0xc1, 4, X86_RDX); /* shl rdx, 32 */
    e8(x, 32);
    x_lea(x, true, X86_RDX, X86_RDX, X86_RAX, 1, 0);
    x_ctx(x, true, 0x03, X86_RDX, CTX_OFF(tsc_offset));
    x_rr(x, false, 0x8b, X86_RAX, X86_RDX);
    x_rr(x, true, 0xc1, 5, X86_RDX);
    e8(x, 32);
    if (aux) {
        x_load(x, X86_RCX, CTX_OFF(v));
        x_rmd(x, false, 0x8b, X86_RCX, X86_RCX, V_OFF(cpu.tsc_aux));
    }
    return true;
}

/* RDFSBASE and kin. CR4.FSGSBASE: a change of it empties the cache. */
static bool segment_base(struct xlate *x, const struct insn *in, unsigned seg, bool write)
{
    int32_t off = CTX_OFF(seg_base[0]) + (int32_t)seg * 8;
    bool wide = in->op[0].size == 64;

    if (!x->long64 || !(x->c->v->cpu.cr4 >> 16 & 1))
        return false;
    if (!write) {
        x_ctx(x, wide, 0x8b, result(x, &in->op[0]), off);
        return true;
    }
    unsigned r = x_gpr_of(&in->op[0]);
    if (wide) {
        if (x->live[x->i + 1])
            x_flags_save(x);
        x_check_canonical(x, in, r);
        x_store(x, r, off);
    } else {
        unsigned t = x_scratch(x, in->read);
        x_rr(x, false, 0x8b, t, r);
        x_store(x, t, off);
    }
    return true;
}

/* PUSHFQ: what LAHF and SETO left in saved_flags, and the flags of the context. */
static bool pushf(struct xlate *x, const struct insn *in)
{
    if (!x->long64 || in->opsize != 8)
        return false;
    x_flags_save(x);
    unsigned v = x_scratch(x, 0);
    x->held |= (uint16_t)(1u << v);
    unsigned t = x_scratch(x, 0);
    x_ctx(x, false, 0x0fb6, v, CTX_OFF(saved_flags) + 1);
    x_ctx(x, false, 0x0fb6, t, CTX_OFF(saved_flags));
    x_rr(x, false, 0xc1, 4, t); /* shl */
    e8(x, 11);
    x_rr(x, false, 0x0b, v, t);
    x_ctx(x, false, 0x8b, t, CTX_OFF(sys_flags));
    x_alu_imm(x, false, 4, t, ~(1 << 16 | 1 << 17)); /* RF, VM */
    x_rr(x, false, 0x0b, v, t);
    x_ctx(x, false, 0x0fb6, t, CTX_OFF(if_flag));
    x_rr(x, false, 0xc1, 4, t);
    e8(x, 9);
    x_rr(x, false, 0x0b, v, t);
    x_ctx(x, false, 0x8b, t, CTX_OFF(df));
    x_alu_imm(x, false, 4, t, 1 << 10);
    x_rr(x, false, 0x0b, v, t);
    x_push_register(x, in, v);
    x->held = 0;
    return true;
}

/* MOV from a segment register to a general one. */
static bool from_segment(struct xlate *x, const struct insn *in)
{
    int32_t off = V_OFF(cpu.seg[0].selector) +
                  (int32_t)(x_seg_of(in->op[1].reg.value) * sizeof(struct x86_segment));

    if (in->op[0].size == 16) {
        unsigned r = x_gpr_of(&in->op[0]);
        x_need(x, (uint16_t)(1u << r));
        unsigned t = x_scratch(x, (uint16_t)(1u << r));
        x_load(x, t, CTX_OFF(v));
        e8(x, 0x66);
        x_rmd(x, false, 0x8b, r, t, off);
        x_written(x, (uint16_t)(1u << r));
    } else {
        unsigned r = result(x, &in->op[0]);
        x_load(x, r, CTX_OFF(v));
        x_rmd(x, false, 0x0fb7, r, r, off);
    }
    return true;
}

static bool from_control(struct xlate *x, const struct insn *in)
{
    int32_t off;

    if (!privileged(x))
        return false;
    switch (in->op[1].reg.value) {
    case ZYDIS_REGISTER_CR0:
        off = V_OFF(cpu.cr0);
        break;
    case ZYDIS_REGISTER_CR2:
        off = V_OFF(cpu.cr2);
        break;
    case ZYDIS_REGISTER_CR3:
        off = V_OFF(cpu.cr3);
        break;
    case ZYDIS_REGISTER_CR4:
        off = V_OFF(cpu.cr4);
        break;
    default:
        return false;
    }
    unsigned r = result(x, &in->op[0]);
    x_load(x, r, CTX_OFF(v));
    x_rmd(x, x->long64, 0x8b, r, r, off);
    return true;
}

static bool mov(struct xlate *x, const struct insn *in)
{
    if (in->has_mem || in->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    if (x_is_seg(&in->op[1]))
        return from_segment(x, in);
    if (ZydisRegisterGetClass(in->op[1].reg.value) == ZYDIS_REGCLASS_CONTROL)
        return from_control(x, in);
    return false;
}

/* STAC and CLAC change whose eyes kernel accesses have, so the next block is one of another mode.
 */
static bool smap_switch(struct xlate *x, const struct insn *in, bool ac)
{
    struct bt_ctx *c = x->c;
    uint32_t old_sys = c->sys_flags, old_mode = c->mode;

    if (!privileged(x))
        return false;
    c->sys_flags = ac ? old_sys | 1u << 18 : old_sys & ~(1u << 18);
    bt_mode_update(c);
    unsigned mode = c->mode;
    c->sys_flags = old_sys;
    c->mode = old_mode;
    c->mode_key = x->key;
    /* or / and of a memory operand change the flags: they are saved if they matter */
    if (x->live[x->i + 1])
        x_flags_save(x);
    x_ctx(x, false, 0x81, ac ? 1 : 4, CTX_OFF(sys_flags));
    e32(x, ac ? 1u << 18 : ~(1u << 18));
    if (mode == x->mode)
        return true;
    if (mode >= BT_MODES || x->oneshot || bt_tracing(c, TRACE_mode)) /* rare */
        x_helper_end(x, in, H_resume, 0);
    else
        x_exit_mode(x, in->off + in->len, mode);
    return true;
}

bool x_inline(struct xlate *x, const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
        return cli(x);
    case ZYDIS_MNEMONIC_STI:
        return x->i + 1 < x->n && sti(x, in);
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
        x_ctx(x, true, 0xc7, 0, CTX_OFF(df));
        e32(x, in->z.mnemonic == ZYDIS_MNEMONIC_CLD ? 1u : ~0u);
        return true;
    case ZYDIS_MNEMONIC_PUSHFQ:
        return pushf(x, in);
    case ZYDIS_MNEMONIC_SWAPGS:
        return swapgs(x);
    case ZYDIS_MNEMONIC_RDTSC:
        return rdtsc(x, false);
    case ZYDIS_MNEMONIC_RDTSCP:
        return rdtsc(x, true);
    case ZYDIS_MNEMONIC_RDFSBASE:
        return segment_base(x, in, X86_FS, false);
    case ZYDIS_MNEMONIC_RDGSBASE:
        return segment_base(x, in, X86_GS, false);
    case ZYDIS_MNEMONIC_WRFSBASE:
        return segment_base(x, in, X86_FS, true);
    case ZYDIS_MNEMONIC_WRGSBASE:
        return segment_base(x, in, X86_GS, true);
    case ZYDIS_MNEMONIC_MOV:
        return mov(x, in);
    case ZYDIS_MNEMONIC_STAC:
        return smap_switch(x, in, true);
    case ZYDIS_MNEMONIC_CLAC:
        return smap_switch(x, in, false);
    default:
        return false;
    }
}

/* Does a special instruction want the flags, or keep some of them? What only may fault does not. */
bool x_special_flags(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_SWAPGS:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE:
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_WRMSR:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
        return false;
    default:
        return true;
    }
}
