/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "insn.h"

#include <string.h>

#include "xlate.h"

void insn_decoder_init(struct insn_decoder *d, unsigned bits, bool long_mode,
                       struct insn_cache *cache)
{
    ZydisMachineMode m = ZYDIS_MACHINE_MODE_LONG_64;
    ZydisStackWidth w = ZYDIS_STACK_WIDTH_64;

    if (bits == 32) {
        m = long_mode ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LEGACY_32;
        w = ZYDIS_STACK_WIDTH_32;
    } else if (bits == 16) {
        m = long_mode ? ZYDIS_MACHINE_MODE_LONG_COMPAT_16 : ZYDIS_MACHINE_MODE_LEGACY_16;
        w = ZYDIS_STACK_WIDTH_16;
    }
    ZydisDecoderInit(&d->z, m, w);
    ZydisDecoderEnableMode(&d->z, ZYDIS_DECODER_MODE_CET, ZYAN_TRUE);
    d->long64 = bits == 64;
    d->bits = (uint8_t)bits;
    d->mode = (uint8_t)(bits | long_mode);
    d->cache = cache;
}

int insn_gpr(ZydisRegister r, bool *high)
{
    ZyanI8 id = ZydisRegisterGetId(r);

    *high = false;
    switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR64:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR16:
        return id;
    case ZYDIS_REGCLASS_GPR8:
        if (id < 4)
            return id;
        if (id < 8) {
            *high = true;
            return id - 4;
        }
        return id - 4;
    default:
        return -1;
    }
}

static uint16_t reg_bit(ZydisRegister r)
{
    bool high;
    int n = insn_gpr(r, &high);
    return n < 0 ? 0 : (uint16_t)(1u << n);
}

static uint8_t seg_number(ZydisRegister r)
{
    switch (r) {
    case ZYDIS_REGISTER_ES:
        return X86_ES;
    case ZYDIS_REGISTER_CS:
        return X86_CS;
    case ZYDIS_REGISTER_SS:
        return X86_SS;
    case ZYDIS_REGISTER_FS:
        return X86_FS;
    case ZYDIS_REGISTER_GS:
        return X86_GS;
    default:
        return X86_DS;
    }
}

static void take_mem(struct insn *in, const ZydisDecodedInstruction *z,
                     const ZydisDecodedOperand *o)
{
    struct insn_mem *m = &in->mem;
    bool high;

    *m = (struct insn_mem){.base = -1, .index = -1, .scale = 1};
    m->disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;
    if (o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP)
        m->rip = true;
    else
        m->base = (int8_t)insn_gpr(o->mem.base, &high);
    if (ZydisRegisterGetClass(o->mem.index) == ZYDIS_REGCLASS_XMM ||
        ZydisRegisterGetClass(o->mem.index) == ZYDIS_REGCLASS_YMM ||
        ZydisRegisterGetClass(o->mem.index) == ZYDIS_REGCLASS_ZMM)
        m->vsib = true;
    else
        m->index = (int8_t)insn_gpr(o->mem.index, &high);
    /* The tables miss that no base goes with mod 0, SIB base 5 when the address size is 32. */
    if (z->raw.modrm.mod == 0 && z->raw.modrm.rm == 4 && z->raw.sib.base == 5 &&
        z->raw.sib.offset != 0) {
        m->base = -1;
        m->disp = z->raw.disp.value;
    }
    m->scale = o->mem.scale ? o->mem.scale : 1;
    m->seg = seg_number(o->mem.segment);
    m->addrsize = z->address_width / 8;
    m->size = o->size / 8;
    m->access =
        (uint8_t)((o->actions & (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD) ? ACC_R
                                                                                            : 0) |
                  (o->actions & (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE)
                       ? ACC_W
                       : 0));
    in->has_mem = true;
}

static void take_flags(struct insn *in, const ZydisAccessedFlags *f)
{
    if (f == NULL)
        return;
    in->fl_read = (uint16_t)(f->tested & FLAGS_ARITH);
    in->fl_mod = (uint16_t)((f->modified | f->set_0 | f->set_1 | f->undefined) & FLAGS_ARITH);
    in->fl_kill = in->fl_mod;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
        /* A count of 0 leaves the flags alone; counts above 1 leave OF of rotates as it was. */
        in->fl_kill = 0; /* but see insn_kills */
        break;
    default:
        break;
    }
}

static enum insn_result failure(ZyanStatus st, unsigned avail)
{
    if (st == ZYDIS_STATUS_NO_MORE_DATA)
        return avail < 15 ? INSN_MORE : INSN_TOO_LONG;
    return st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? INSN_TOO_LONG : INSN_INVALID;
}

/* The parts of Zydis' decoding that struct insn_decoded has. */
static void take_decoded(struct insn *in, const ZydisDecodedInstruction *z)
{
    struct insn_decoded *d = &in->z;

    d->attributes = z->attributes;
    d->mnemonic = (uint16_t)z->mnemonic;
    d->encoding = (uint8_t)z->encoding;
    d->opcode = z->opcode;
    d->opcode_map = (uint8_t)z->opcode_map;
    d->operand_count_visible = z->operand_count_visible;
    d->address_width = z->address_width;
    d->avx.broadcast_mode = (uint8_t)z->avx.broadcast.mode;
    d->avx.vector_length = z->avx.vector_length;
    d->meta.category = (uint16_t)z->meta.category;
    d->meta.isa_ext = (uint16_t)z->meta.isa_ext;
    d->meta.branch_type = (uint8_t)z->meta.branch_type;
    d->meta.exception_class = (uint8_t)z->meta.exception_class;
    d->raw.modrm.offset = z->raw.modrm.offset;
    d->raw.modrm.mod = z->raw.modrm.mod;
    d->raw.modrm.reg = z->raw.modrm.reg;
    d->raw.modrm.rm = z->raw.modrm.rm;
    d->raw.sib.offset = z->raw.sib.offset;
    d->raw.sib.base = z->raw.sib.base;
    d->raw.disp.offset = z->raw.disp.offset;
    d->raw.disp.size = z->raw.disp.size / 8;
    for (unsigned i = 0; i < 2; i++) {
        d->raw.imm[i].offset = z->raw.imm[i].offset;
        d->raw.imm[i].size = z->raw.imm[i].size / 8;
        d->raw.imm[i].is_signed = z->raw.imm[i].is_signed;
    }
    d->raw.rex.B = z->raw.rex.B;
    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        d->raw.vex.offset = z->raw.vex.offset;
        d->raw.vex.W = z->raw.vex.W;
    } else if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
        d->raw.evex.offset = z->raw.evex.offset;
        d->raw.evex.W = z->raw.evex.W;
        d->raw.evex.aaa = z->raw.evex.aaa;
    }
}

static void take_operand(struct insn_op *op, const ZydisDecodedOperand *o)
{
    op->type = (uint8_t)o->type;
    op->actions = (uint8_t)o->actions;
    op->size = o->size;
    op->element_size = o->element_size;
    switch (o->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        op->reg.value = (uint16_t)o->reg.value;
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        op->mem.index = (uint16_t)o->mem.index;
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        op->imm.value.u = o->imm.value.u;
        break;
    default:
        op->ptr.segment = o->ptr.segment;
        op->ptr.offset = o->ptr.offset;
        break;
    }
}

/* What all operands, hidden ones too, say about the instruction. */
static void take_register(struct insn *in, const ZydisDecodedOperand *o)
{
    uint16_t bit = reg_bit(o->reg.value);
    bool wr = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE,
         rd = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    bool sure = o->actions == ZYDIS_OPERAND_ACTION_WRITE && o->size >= 32;

    if (rd || (wr && !sure))
        in->read |= bit;
    if (wr)
        in->write |= bit;
    if (sure)
        in->full |= bit;
    switch (ZydisRegisterGetClass(o->reg.value)) {
    case ZYDIS_REGCLASS_MASK:
        in->avx512 = true;
        in->vector = true;
        break;
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
        in->vector = true;
        break;
    default:
        break;
    }
}

static void take_operands(struct insn *in, const ZydisDecodedInstruction *z,
                          const ZydisDecodedOperand *op)
{
    bool high;

    for (unsigned i = 0; i < z->operand_count; i++) {
        const ZydisDecodedOperand *o = &op[i];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            in->read |= reg_bit(o->mem.base) | reg_bit(o->mem.index);
            if (in->str_size == 0)
                in->str_size = (uint8_t)(o->size / 8);
            if (o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && !in->has_mem)
                take_mem(in, z, o);
        }
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        take_register(in, o);
        if (i < z->operand_count_visible && insn_gpr(o->reg.value, &high) >= 0)
            in->high_byte |= high;
    }
    for (unsigned i = 0; i < z->operand_count_visible && i < INSN_OPS; i++)
        take_operand(&in->op[i], &op[i]);
}

/* Does nothing that a program can see on a processor that shows what the guest's CPUID does. Such
 * an operand is no access: it never faults, so that it says nothing of the address. */
static bool hint(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_RDSSPD: /* leave their register alone without shadow stacks */
    case ZYDIS_MNEMONIC_RDSSPQ:
    case ZYDIS_MNEMONIC_CLDEMOTE:
        return true;
    default:
        break;
    }
    if (in->z.meta.isa_ext == ZYDIS_ISA_EXT_MPX)
        return true;
    if (!in->has_mem) /* register forms may be undefined: the processor knows */
        return false;
    return in->z.meta.category == ZYDIS_CATEGORY_PREFETCH ||
           in->z.meta.category == ZYDIS_CATEGORY_PREFETCHWT1 ||
           in->z.meta.category == ZYDIS_CATEGORY_WIDENOP ||
           in->z.meta.category == ZYDIS_CATEGORY_NOP;
}

/* Corrections of the tables. */
static void correct(struct insn *in)
{
    /* With a source of 0 these leave the destination as it was. */
    if (in->z.mnemonic == ZYDIS_MNEMONIC_BSF || in->z.mnemonic == ZYDIS_MNEMONIC_BSR)
        in->read |= in->write;
    /* 90 with REX.B is XCHG rAX, r8, also behind the F3 that makes it a PAUSE otherwise. */
    if (in->z.opcode == 0x90 && in->z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && in->z.raw.rex.B) {
        in->read |= 1u << X86_RAX | 1u << X86_R8;
        in->write |= 1u << X86_RAX | 1u << X86_R8;
    }
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
    case ZYDIS_MNEMONIC_CLDEMOTE:
        in->mem.size = 1; /* a byte is addressed, its line is meant */
        break;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
    case ZYDIS_MNEMONIC_EMMS:
    case ZYDIS_MNEMONIC_VZEROALL:
    case ZYDIS_MNEMONIC_VZEROUPPER:
        in->vector = true;
        break;
    default:
        break;
    }
    in->full &= (uint16_t)~in->read;
    in->hint = hint(in);
    in->has_mem &= !in->hint;
}

/* Has a mask over the elements of its memory operand? */
static bool masked(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
        return true;
    default:
        break;
    }
    if (in->z.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || in->z.raw.evex.aaa == 0)
        return false;
    switch (in->z.mnemonic) { /* nor do these, whatever their class in the tables */
    case ZYDIS_MNEMONIC_VDBPSADBW:
    case ZYDIS_MNEMONIC_VGF2P8AFFINEQB:
    case ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB:
    case ZYDIS_MNEMONIC_VCVTNE2PS2BF16:
        return false;
    default:
        break;
    }
    switch (in->z.meta.exception_class) { /* the NF classes read their operand whole */
    case ZYDIS_EXCEPTION_CLASS_E1NF:
    case ZYDIS_EXCEPTION_CLASS_E3NF:
    case ZYDIS_EXCEPTION_CLASS_E4NF:
    case ZYDIS_EXCEPTION_CLASS_E5NF:
    case ZYDIS_EXCEPTION_CLASS_E6NF:
    case ZYDIS_EXCEPTION_CLASS_E9NF:
    case ZYDIS_EXCEPTION_CLASS_E10NF:
        return false;
    default:
        return true;
    }
}

/* Does it insist on an aligned one? */
static bool aligned(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
        return false;
    case ZYDIS_MNEMONIC_CMPXCHG16B:
        return true;
    default:
        break;
    }
    if (in->z.meta.isa_ext == ZYDIS_ISA_EXT_SHA) /* page faults come first there */
        return false;
    switch (in->z.meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_SSE1:
    case ZYDIS_EXCEPTION_CLASS_AVX1:
    case ZYDIS_EXCEPTION_CLASS_E1:
    case ZYDIS_EXCEPTION_CLASS_E1NF:
        return in->mem.size >= 16;
    case ZYDIS_EXCEPTION_CLASS_SSE2:
    case ZYDIS_EXCEPTION_CLASS_SSE4:
        return in->mem.size == 16;
    default:
        return false;
    }
}

enum insn_result insn_decode_full(const struct insn_decoder *d, const uint8_t *bytes,
                                  unsigned avail, struct insn *in)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    ZyanStatus st = ZydisDecoderDecodeFull(&d->z, bytes, avail > 15 ? 15 : avail, &z, op);

    if (!ZYAN_SUCCESS(st))
        return failure(st, avail);
    memset(in, 0, sizeof(*in));
    take_decoded(in, &z);
    in->len = z.length;
    memcpy(in->raw, bytes, in->len);
    in->opsize = z.operand_width / 8;
    take_flags(in, z.cpu_flags);
    take_operands(in, &z, op);
    in->avx512 |= z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    in->vector |= z.meta.isa_ext == ZYDIS_ISA_EXT_X87;
    correct(in);
    in->masked = masked(in);
    in->aligned = aligned(in);
    in->special = x_is_special(in);
    in->end = x_is_end(in);
    return INSN_OK;
}

bool insn_jump(const struct insn *in)
{
    if (in->op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return false;
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
        return false;
    case ZYDIS_MNEMONIC_JMP:
        return in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
    default:
        return in->z.meta.category == ZYDIS_CATEGORY_COND_BR;
    }
}

uint16_t insn_kills(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
        if (in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
            (in->op[1].imm.value.u & (in->opsize == 8 ? 63 : 31)) != 0)
            return in->fl_mod;
        return 0;
    default:
        return in->fl_kill;
    }
}
