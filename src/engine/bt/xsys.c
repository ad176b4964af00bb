/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions and those whose effect is not that of their bytes: which helper does them.
 * Frequent ones need none (xinline.c).
 */
#include "xlate.h"

#include "helpers.h"
#include "trace.h"

static void call_helper(struct xlate *x, unsigned at, unsigned len, unsigned helper, uint32_t arg)
{
    if (x->live[x->i] == 0)
        x->flags_saved = false;
    x_canon(x);
    x_store_imm(x, x->id << 12 | at, CTX_OFF(pc));
    x_store_imm(x, helper | (arg << 4 | len) << 8, CTX_OFF(arg));
    uint8_t *site = x->out + 8;
    x_store_imm(x, 0, CTX_OFF(site));
    x_jmp_abs(x, x->en->stub_helper);
    uint32_t off = code_off(x, x->out);
    __builtin_memcpy(site, &off, 4);
}

void x_helper(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg)
{
    call_helper(x, in->off, in->len, helper, arg);
}

void x_place(struct xlate *x)
{
    call_helper(x, x->in[0].off, 0, H_place, 0);
}

void x_helper_end(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg)
{
    x_helper(x, in, helper, arg);
    x->ended = true;
}

void x_invalid(struct xlate *x, const struct insn *in)
{
    x_helper_end(x, in, H_raise, 6);
}

void x_device_not_available(struct xlate *x, const struct insn *in)
{
    x_helper_end(x, in, H_raise, 7);
}

void x_protection(struct xlate *x, const struct insn *in)
{
    x_helper_end(x, in, H_raise, 13 | 1u << 8);
}

/* The linear address of the memory operand goes to ctx->mem_addr. The state is canonical; flags
 * stay as they are. */
static void helper_address(struct xlate *x, const struct insn *in, const struct insn_mem *m)
{
    unsigned t = x_scratch(x, in->read);
    x->held |= (uint16_t)(1u << t);
    unsigned t2 = x_scratch(x, in->read);
    bool check = x_seg_limited(x, m) && m->access != 0 && !m->vsib;
    if (check)
        x_effective(x, in, m, t);
    else
        x_address(x, in, m, t, t2);
    x_store(x, t, CTX_OFF(mem_addr));
    x->held = 0;
    if (check)
        x_helper(x, in, H_seg_address, m->seg | (uint32_t)m->access << 3 | (uint32_t)m->size << 5);
}

unsigned x_gpr_of(const struct insn_op *o)
{
    bool high;
    return (unsigned)insn_gpr(o->reg.value, &high);
}

/* A 16-bit source (register or memory) goes to ctx->temp[1]. */
static void source_word(struct xlate *x, const struct insn *in, unsigned operand)
{
    struct access a;

    if (in->op[operand].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        struct insn_mem m = in->mem;
        m.size = 2;
        m.access = ACC_R;
        x_access_val(x, in, &m, 0, &a);
        x_mem_op(x, 4, 0x0fb7, a.val, &a);
        x_access_done(x, &a);
        x_store(x, a.val, CTX_OFF(temp[1]));
    } else {
        x_store(x, x_gpr_of(&in->op[operand]), CTX_OFF(temp[1]));
    }
}

static unsigned log2_size(unsigned size)
{
    return size == 8 ? 3 : size == 4 ? 2 : size == 2 ? 1 : 0;
}

unsigned x_seg_of(ZydisRegister r)
{
    switch (r) {
    case ZYDIS_REGISTER_ES:
        return X86_ES;
    case ZYDIS_REGISTER_CS:
        return X86_CS;
    case ZYDIS_REGISTER_SS:
        return X86_SS;
    case ZYDIS_REGISTER_DS:
        return X86_DS;
    case ZYDIS_REGISTER_FS:
        return X86_FS;
    default:
        return X86_GS;
    }
}

bool x_is_seg(const struct insn_op *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool is_class(const struct insn_op *o, ZydisRegisterClass k)
{
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) == k;
}

/* ---- table --------------------------------------------------------------------------------------
 * -------------------------- */

/* Of an implicit operand through DS. */
static unsigned source_segment(const struct xlate *x, const struct insn *in)
{
    uint64_t a = in->z.attributes;

    if (a & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
        return X86_FS;
    if (a & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
        return X86_GS;
    if (x->long64)
        return X86_DS;
    return a & ZYDIS_ATTRIB_HAS_SEGMENT_ES   ? X86_ES
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_CS ? X86_CS
           : a & ZYDIS_ATTRIB_HAS_SEGMENT_SS ? X86_SS
                                             : X86_DS;
}

static bool string_insn(struct xlate *x, const struct insn *in)
{
    unsigned op;

    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSQ:
        op = 0;
        break;
    case ZYDIS_MNEMONIC_MOVSD:
        if (in->z.meta.category != ZYDIS_CATEGORY_STRINGOP)
            return false;
        op = 0;
        break;
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
        op = 1;
        break;
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
        op = 2;
        break;
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
        op = 3;
        break;
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSQ:
        op = 4;
        break;
    case ZYDIS_MNEMONIC_CMPSD:
        if (in->z.meta.category != ZYDIS_CATEGORY_STRINGOP)
            return false;
        op = 4;
        break;
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
        op = 5;
        break;
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        op = 6;
        break;
    default:
        return false;
    }
    if (x == NULL)
        return true;
    unsigned size = in->str_size, rep = 0;
    if (in->z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
        rep = 1;
    else if (in->z.attributes & ZYDIS_ATTRIB_HAS_REPNE)
        rep = 2;
    unsigned seg = source_segment(x, in);
    uint32_t arg =
        op | log2_size(size) << 3 | rep << 5 | log2_size(in->z.address_width / 8) << 7 | seg << 9;
    if (op > 1 || rep == 0 || in->z.address_width != 64 || seg >= X86_FS ||
        !x_string_direct(x, in, op == 0, log2_size(size), arg))
        x_helper(x, in, H_string, arg);
    return true;
}

/* Moves from and to segment, control and debug registers. */
static bool mov_system(struct xlate *x, const struct insn *in)
{
    const struct insn_op *d = &in->op[0], *s = &in->op[1];

    if (x_is_seg(s)) {
        if (x == NULL)
            return true;
        if (in->has_mem) {
            struct insn_mem m = in->mem;
            m.size = 2;
            x_canon(x);
            helper_address(x, in, &m);
            x_helper(x, in, H_seg_get,
                     x_seg_of(s->reg.value) | 1u << 12 | (m.seg == X86_SS ? 1u << 13 : 0));
        } else {
            x_helper(x, in, H_seg_get,
                     x_seg_of(s->reg.value) | x_gpr_of(d) << 4 | (unsigned)(d->size / 8) << 8);
        }
        return true;
    }
    if (x_is_seg(d)) {
        if (x == NULL)
            return true;
        if (d->reg.value == ZYDIS_REGISTER_CS) {
            x_invalid(x, in);
            return true;
        }
        source_word(x, in, 1);
        x_helper_end(x, in, H_seg_set, x_seg_of(d->reg.value));
        return true;
    }
    bool cr = is_class(s, ZYDIS_REGCLASS_CONTROL) || is_class(d, ZYDIS_REGCLASS_CONTROL);
    bool dr = is_class(s, ZYDIS_REGCLASS_DEBUG) || is_class(d, ZYDIS_REGCLASS_DEBUG);
    if (!cr && !dr)
        return false;
    if (x == NULL)
        return true;
    bool from = is_class(s, ZYDIS_REGCLASS_CONTROL) || is_class(s, ZYDIS_REGCLASS_DEBUG);
    unsigned n = (unsigned)ZydisRegisterGetId(from ? s->reg.value : d->reg.value);
    unsigned arg = n | x_gpr_of(from ? d : s) << 4;
    if (from)
        x_helper(x, in, cr ? H_mov_from_cr : H_mov_from_dr, arg);
    else
        x_helper_end(x, in, cr ? H_mov_to_cr : H_mov_to_dr, arg);
    return true;
}

static void in_out(struct xlate *x, const struct insn *in, bool out)
{
    const struct insn_op *port = &in->op[out ? 0 : 1], *data = &in->op[out ? 1 : 0];
    unsigned arg = data->size / 8;

    if (port->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        arg |= (unsigned)(port->imm.value.u & 0xff) << 8;
    else
        arg |= 1u << 4;
    x_helper(x, in, out ? H_out : H_in, arg);
}

static void with_address(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg,
                         bool end)
{
    x_canon(x);
    helper_address(x, in, &in->mem);
    x_helper(x, in, helper, arg);
    x->ended = end;
}

static void store_system(struct xlate *x, const struct insn *in, unsigned what)
{
    if (in->has_mem)
        with_address(x, in, H_store_system, what | 1u << 12, false);
    else
        x_helper(x, in, H_store_system,
                 what | x_gpr_of(&in->op[0]) << 4 | (unsigned)(in->op[0].size / 8) << 8);
}

static void load_system(struct xlate *x, const struct insn *in, unsigned helper, uint32_t arg)
{
    source_word(x, in, 0);
    x_helper_end(x, in, helper, arg);
}

static void seg_query(struct xlate *x, const struct insn *in, unsigned what)
{
    bool ver = what >= 2;

    source_word(x, in, ver ? 0 : 1);
    x_helper(x, in, H_seg_query,
             what | (ver ? 0 : x_gpr_of(&in->op[0]) << 4 | (unsigned)(in->op[0].size / 8) << 8));
}

static void far_branch(struct xlate *x, const struct insn *in, bool call)
{
    unsigned arg = in->opsize | (call ? 16 : 0);

    if (in->has_mem) {
        with_address(x, in, H_far_jump, arg | 32, true);
        return;
    }
    x_store_imm(x, in->op[0].ptr.segment, CTX_OFF(temp[1]));
    x_store_imm(x, in->op[0].ptr.offset, CTX_OFF(temp[2]));
    x_helper_end(x, in, H_far_jump, arg);
}

static void enter_insn(struct xlate *x, const struct insn *in)
{
    x_store_imm(x, (uint32_t)in->op[0].imm.value.u, CTX_OFF(temp[1]));
    x_store_imm(x, (uint32_t)in->op[1].imm.value.u, CTX_OFF(temp[2]));
    x_helper(x, in, H_enter, in->opsize);
}

static void xlat(struct xlate *x, const struct insn *in)
{
    struct access a;
    struct insn_mem m = {.base = X86_RBX,
                         .index = -1,
                         .scale = 1,
                         .seg = (uint8_t)source_segment(x, in),
                         .addrsize = in->z.address_width / 8,
                         .size = 1,
                         .access = ACC_R};
    x_need(x, 1u << X86_RAX | 1u << X86_RBX);
    unsigned t = x_scratch(x, 1u << X86_RAX | 1u << X86_RBX);
    x->held |= (uint16_t)(1u << t);
    x_rr(x, false, 0x0fb6, t, X86_RAX);
    m.index = (int8_t)t;
    x_access(x, in, &m, 1u << X86_RAX | 1u << X86_RBX | (uint16_t)(1u << t), &a);
    x_mem_op(x, 1, 0x8a, X86_RAX, &a);
    x_access_done(x, &a);
    x->held = 0;
}

static void rd_wr_base(struct xlate *x, const struct insn *in, unsigned which)
{
    x_helper(x, in, H_fsgsbase,
             which | x_gpr_of(&in->op[0]) << 4 | (unsigned)(in->op[0].size / 8) << 8);
}

static bool is_seg_stack(const struct insn *in)
{
    return (in->z.mnemonic == ZYDIS_MNEMONIC_PUSH || in->z.mnemonic == ZYDIS_MNEMONIC_POP) &&
           x_is_seg(&in->op[0]);
}

/* Unprivileged, but waiting, moving between worlds or with operands of their own: never offered. */
static bool hidden(const struct insn *in)
{
    switch (in->z.encoding) { /* nor do we know how to encode these anew */
    case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
    case ZYDIS_INSTRUCTION_ENCODING_MVEX:
        return true;
    default:
        break;
    }
    switch (in->z.meta.isa_ext) {
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_WAITPKG:
    case ZYDIS_ISA_EXT_SGX:
    case ZYDIS_ISA_EXT_SGX_ENCLV:
    case ZYDIS_ISA_EXT_UINTR:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_AMX_INT8:
    case ZYDIS_ISA_EXT_AMX_BF16:
    case ZYDIS_ISA_EXT_RTM:
    case ZYDIS_ISA_EXT_VTX:
    case ZYDIS_ISA_EXT_SVM:
    case ZYDIS_ISA_EXT_SMX:
    case ZYDIS_ISA_EXT_VMFUNC:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
    case ZYDIS_ISA_EXT_PADLOCK:
        return true;
    default:
        return false;
    }
}

/* Who waits for another vCPU lets it run: there may be more of them than host processors. */
static void pause_here(struct xlate *x, const struct insn *in)
{
    if (x->en->machine->vcpus > 1)
        x_helper(x, in, H_pause, 0);
    else
        ebytes(x, in->raw, in->len);
}

/* x NULL: only says whether the instruction belongs here. */
static bool table(struct xlate *x, const struct insn *in)
{
#define DO(action)       \
    do {                 \
        if (x != NULL) { \
            action;      \
        }                \
        return true;     \
    } while (0)

    if (in->z.mnemonic == ZYDIS_MNEMONIC_MOV)
        return mov_system(x, in);
    if (is_seg_stack(in)) {
        unsigned s = x_seg_of(in->op[0].reg.value);
        if (in->z.mnemonic == ZYDIS_MNEMONIC_PUSH)
            DO(x_helper(x, in, H_seg_push, s | (unsigned)in->opsize << 4));
        DO(x_helper_end(x, in, H_seg_pop, s | (unsigned)in->opsize << 4));
    }
    if (in->has_mem && in->mem.vsib)
        DO(with_address(x, in, H_gather, 0, false));
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_MOVDIR64B:
    case ZYDIS_MNEMONIC_ENQCMD:
    case ZYDIS_MNEMONIC_ENQCMDS:
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XTEST:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_MONITORX:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_CLZERO:
    case ZYDIS_MNEMONIC_RDPRU:
    case ZYDIS_MNEMONIC_INVLPGB:
    case ZYDIS_MNEMONIC_TLBSYNC:
    case ZYDIS_MNEMONIC_INCSSPD:
    case ZYDIS_MNEMONIC_INCSSPQ:
    case ZYDIS_MNEMONIC_SAVEPREVSSP:
    case ZYDIS_MNEMONIC_RSTORSSP:
    case ZYDIS_MNEMONIC_SETSSBSY:
    case ZYDIS_MNEMONIC_CLRSSBSY:
    case ZYDIS_MNEMONIC_WRSSD:
    case ZYDIS_MNEMONIC_WRSSQ:
    case ZYDIS_MNEMONIC_WRUSSD:
    case ZYDIS_MNEMONIC_WRUSSQ:
        DO(x_invalid(x, in));
    case ZYDIS_MNEMONIC_RDPKRU:
        DO(x_helper(x, in, H_pkru, 0));
    case ZYDIS_MNEMONIC_WRPKRU:
        DO(x_helper_end(x, in, H_pkru, 1));
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMMCALL:
        DO(x_helper_end(x, in, H_hypercall, 0));
    case ZYDIS_MNEMONIC_CPUID:
        DO(x_helper(x, in, H_cpuid, 0));
    case ZYDIS_MNEMONIC_SYSCALL:
        DO(x_helper_end(x, in, H_syscall, 0));
    case ZYDIS_MNEMONIC_SYSRET:
        DO(x_helper_end(x, in, H_sysret, in->opsize == 8));
    case ZYDIS_MNEMONIC_SYSENTER:
        DO(x_helper_end(x, in, H_sysenter, 0));
    case ZYDIS_MNEMONIC_SYSEXIT:
        DO(x_helper_end(x, in, H_sysexit, in->opsize == 8));
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        DO(x_helper_end(x, in, H_iret, in->opsize));
    case ZYDIS_MNEMONIC_INT:
        DO(x_helper_end(x, in, H_int, ((uint32_t)in->op[0].imm.value.u & 0xff) | 0x400));
    case ZYDIS_MNEMONIC_INT3:
        DO(x_helper_end(x, in, H_int, 3));
    case ZYDIS_MNEMONIC_INT1:
        DO(x_helper_end(x, in, H_int, 1 | 0x200)); /* asks no gate's DPL */
    case ZYDIS_MNEMONIC_INTO:
        DO(x_helper_end(x, in, H_int, 4 | 0x100));
    case ZYDIS_MNEMONIC_HLT:
        DO(x_helper_end(x, in, H_hlt, 0));
    case ZYDIS_MNEMONIC_CLI:
        DO(x_helper(x, in, H_cli, 0));
    case ZYDIS_MNEMONIC_STI:
        DO(x_helper_end(x, in, H_sti, 0));
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        DO(x_helper(x, in, H_pushf, in->opsize));
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
        DO(x_helper_end(x, in, H_popf, in->opsize));
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
        DO((void)in); /* always inline */
    case ZYDIS_MNEMONIC_IN:
        DO(in_out(x, in, false));
    case ZYDIS_MNEMONIC_OUT:
        DO(in_out(x, in, true));
    case ZYDIS_MNEMONIC_RDMSR:
        DO(x_helper(x, in, H_rdmsr, 0));
    case ZYDIS_MNEMONIC_WRMSR:
        DO(x_helper_end(x, in, H_wrmsr, 0));
    case ZYDIS_MNEMONIC_RDTSC:
        DO(x_helper(x, in, H_rdtsc, 0));
    case ZYDIS_MNEMONIC_RDTSCP:
        DO(x_helper(x, in, H_rdtsc, 1));
    case ZYDIS_MNEMONIC_RDPMC:
        DO(x_helper(x, in, H_rdpmc, 0));
    case ZYDIS_MNEMONIC_PAUSE:
        DO(pause_here(x, in));
    case ZYDIS_MNEMONIC_CLTS:
        DO(x_helper_end(x, in, H_clts, 0));
    case ZYDIS_MNEMONIC_LMSW:
        DO(load_system(x, in, H_lmsw, 0));
    case ZYDIS_MNEMONIC_SMSW:
        DO(store_system(x, in, 0));
    case ZYDIS_MNEMONIC_SLDT:
        DO(store_system(x, in, 1));
    case ZYDIS_MNEMONIC_STR:
        DO(store_system(x, in, 2));
    case ZYDIS_MNEMONIC_LLDT:
        DO(load_system(x, in, H_load_system, 0));
    case ZYDIS_MNEMONIC_LTR:
        DO(load_system(x, in, H_load_system, 1));
    case ZYDIS_MNEMONIC_LGDT:
        DO(with_address(x, in, H_load_table, 0 | (unsigned)in->opsize << 4, true));
    case ZYDIS_MNEMONIC_LIDT:
        DO(with_address(x, in, H_load_table, 1 | (unsigned)in->opsize << 4, true));
    case ZYDIS_MNEMONIC_SGDT:
        DO(with_address(x, in, H_store_table, 0, false));
    case ZYDIS_MNEMONIC_SIDT:
        DO(with_address(x, in, H_store_table, 1, false));
    case ZYDIS_MNEMONIC_INVLPG:
        DO(with_address(x, in, H_invlpg, 0, true));
    case ZYDIS_MNEMONIC_INVPCID:
        DO(with_address(x, in, H_invpcid, x_gpr_of(&in->op[0]), true));
    case ZYDIS_MNEMONIC_WBINVD:
    case ZYDIS_MNEMONIC_INVD:
        DO(x_helper(x, in, H_nop0, 0));
    case ZYDIS_MNEMONIC_XGETBV:
        DO(x_helper(x, in, H_xgetbv, 0));
    case ZYDIS_MNEMONIC_XSETBV:
        DO(x_helper_end(x, in, H_xsetbv, 0));
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVEOPT:
        DO(with_address(x, in, H_xsave, 0, false));
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
        DO(with_address(x, in, H_xsave, 1, false));
    case ZYDIS_MNEMONIC_XSAVEC:
        DO(with_address(x, in, H_xsave, 2, false));
    case ZYDIS_MNEMONIC_XSAVEC64:
        DO(with_address(x, in, H_xsave, 3, false));
    case ZYDIS_MNEMONIC_XRSTOR:
        DO(with_address(x, in, H_xrstor, 0, false));
    case ZYDIS_MNEMONIC_XRSTOR64:
        DO(with_address(x, in, H_xrstor, 1, false));
    case ZYDIS_MNEMONIC_XSAVES:
        DO(with_address(x, in, H_xsave, 2 | 4, false));
    case ZYDIS_MNEMONIC_XSAVES64:
        DO(with_address(x, in, H_xsave, 3 | 4, false));
    case ZYDIS_MNEMONIC_XRSTORS:
        DO(with_address(x, in, H_xrstor, 0 | 4, false));
    case ZYDIS_MNEMONIC_XRSTORS64:
        DO(with_address(x, in, H_xrstor, 1 | 4, false));
    case ZYDIS_MNEMONIC_FXSAVE:
        DO(with_address(x, in, H_fxsave, 0, false));
    case ZYDIS_MNEMONIC_FXSAVE64:
        DO(with_address(x, in, H_fxsave, 1, false));
    case ZYDIS_MNEMONIC_FXRSTOR:
        DO(with_address(x, in, H_fxrstor, 0, false));
    case ZYDIS_MNEMONIC_FXRSTOR64:
        DO(with_address(x, in, H_fxrstor, 1, false));
    case ZYDIS_MNEMONIC_FNSTENV:
        DO(with_address(x, in, H_x87_store, in->mem.size == 14 ? 2 : 0, false));
    case ZYDIS_MNEMONIC_FNSAVE:
        DO(with_address(x, in, H_x87_store, in->mem.size == 94 ? 3 : 1, false));
    case ZYDIS_MNEMONIC_FLDENV:
        DO(with_address(x, in, H_x87_load, in->mem.size == 14 ? 2 : 0, false));
    case ZYDIS_MNEMONIC_FRSTOR:
        DO(with_address(x, in, H_x87_load, in->mem.size == 94 ? 3 : 1, false));
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS: {
        unsigned seg = in->z.mnemonic == ZYDIS_MNEMONIC_LDS   ? X86_DS
                       : in->z.mnemonic == ZYDIS_MNEMONIC_LES ? X86_ES
                       : in->z.mnemonic == ZYDIS_MNEMONIC_LFS ? X86_FS
                       : in->z.mnemonic == ZYDIS_MNEMONIC_LGS ? X86_GS
                                                              : X86_SS;
        DO(with_address(x, in, H_seg_far,
                        seg | x_gpr_of(&in->op[0]) << 4 | (unsigned)in->opsize << 8, true));
    }
    case ZYDIS_MNEMONIC_LAR:
        DO(seg_query(x, in, 0));
    case ZYDIS_MNEMONIC_LSL:
        DO(seg_query(x, in, 1));
    case ZYDIS_MNEMONIC_VERR:
        DO(seg_query(x, in, 2));
    case ZYDIS_MNEMONIC_VERW:
        DO(seg_query(x, in, 3));
    case ZYDIS_MNEMONIC_SWAPGS:
        DO(x_helper_end(x, in, H_swapgs, 0));
    case ZYDIS_MNEMONIC_RDFSBASE:
        DO(rd_wr_base(x, in, 0));
    case ZYDIS_MNEMONIC_RDGSBASE:
        DO(rd_wr_base(x, in, 1));
    case ZYDIS_MNEMONIC_WRFSBASE:
        DO(rd_wr_base(x, in, 2));
    case ZYDIS_MNEMONIC_WRGSBASE:
        DO(rd_wr_base(x, in, 3));
    case ZYDIS_MNEMONIC_STAC:
        DO(x_helper_end(x, in, H_raise, 6));
    case ZYDIS_MNEMONIC_CLAC:
        DO(x_helper_end(x, in, H_raise, 6));
    case ZYDIS_MNEMONIC_RDPID:
        DO(x_helper(x, in, H_rdpid, x_gpr_of(&in->op[0])));
    case ZYDIS_MNEMONIC_ENTER:
        DO(enter_insn(x, in));
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD:
        DO(x_helper(x, in, H_pusha, in->opsize));
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD:
        DO(x_helper(x, in, H_pusha, in->opsize | 16));
    case ZYDIS_MNEMONIC_AAA:
        DO(x_helper(x, in, H_bcd, 0));
    case ZYDIS_MNEMONIC_AAS:
        DO(x_helper(x, in, H_bcd, 1));
    case ZYDIS_MNEMONIC_DAA:
        DO(x_helper(x, in, H_bcd, 2));
    case ZYDIS_MNEMONIC_DAS:
        DO(x_helper(x, in, H_bcd, 3));
    case ZYDIS_MNEMONIC_AAM:
        DO(x_helper(x, in, H_bcd, 4 | (uint32_t)(in->op[0].imm.value.u & 0xff) << 8));
    case ZYDIS_MNEMONIC_AAD:
        DO(x_helper(x, in, H_bcd, 5 | (uint32_t)(in->op[0].imm.value.u & 0xff) << 8));
    case ZYDIS_MNEMONIC_SALC:
        DO(x_helper(x, in, H_bcd, 6));
    case ZYDIS_MNEMONIC_BOUND:
        DO(with_address(x, in, H_bound, x_gpr_of(&in->op[0]) | (unsigned)in->opsize << 4, false));
    case ZYDIS_MNEMONIC_ARPL:
        if (in->has_mem)
            DO(with_address(x, in, H_arpl, x_gpr_of(&in->op[1]) | 1u << 8, false));
        DO(x_helper(x, in, H_arpl, x_gpr_of(&in->op[1]) | x_gpr_of(&in->op[0]) << 4));
    case ZYDIS_MNEMONIC_XLAT:
        DO(xlat(x, in));
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
        DO(x_helper(x, in, H_maskmov, 0));
    default:
        break;
    }
    if (in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        if (in->z.mnemonic == ZYDIS_MNEMONIC_RET)
            DO(x_helper_end(x, in, H_far_return,
                            in->opsize | (in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE
                                              ? (uint32_t)in->op[0].imm.value.u << 4
                                              : 0)));
        if (in->z.mnemonic == ZYDIS_MNEMONIC_JMP || in->z.mnemonic == ZYDIS_MNEMONIC_CALL)
            DO(far_branch(x, in, in->z.mnemonic == ZYDIS_MNEMONIC_CALL));
    }
    if (string_insn(x, in))
        return true;
    if (hidden(in))
        DO(x_invalid(x, in));
    /* What is privileged and not listed is not offered by CPUID. */
    if (in->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        DO(x_invalid(x, in));
    return false;
#undef DO
}

bool x_system(struct xlate *x, const struct insn *in)
{
    return in->special && (x_inline(x, in) || table(x, in));
}

bool x_is_special(const struct insn *in)
{
    return table(NULL, in);
}

bool x_is_end(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_WRMSR:
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
        return true;
    default:
        return false;
    }
}
