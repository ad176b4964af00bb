/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "insn.h"

#include <string.h>

#include "bt_internal.h"

void insn_decoder_init(struct insn_decoder *d, unsigned bits, bool long_mode)
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

static void take_mem(struct insn *in, const ZydisDecodedOperand *o)
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
    if (in->z.raw.modrm.mod == 0 && in->z.raw.modrm.rm == 4 && in->z.raw.sib.base == 5 &&
        in->z.raw.sib.offset != 0) {
        m->base = -1;
        m->disp = in->z.raw.disp.value;
    }
    m->scale = o->mem.scale ? o->mem.scale : 1;
    m->seg = seg_number(o->mem.segment);
    m->addrsize = in->z.address_width / 8;
    m->size = o->size / 8;
    m->access =
        (uint8_t)((o->actions & (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD) ? ACC_R
                                                                                            : 0) |
                  (o->actions & (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE)
                       ? ACC_W
                       : 0));
    in->has_mem = true;
}

static void take_flags(struct insn *in)
{
    const ZydisAccessedFlags *f = in->z.cpu_flags;

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
        in->fl_kill = 0;
        in->fl_read |= in->fl_mod;
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

enum insn_result insn_peek(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                           struct insn *in)
{
    ZydisDecoderContext zc;
    ZyanStatus st =
        ZydisDecoderDecodeInstruction(&d->z, &zc, bytes, avail > 15 ? 15 : avail, &in->z);

    if (!ZYAN_SUCCESS(st))
        return failure(st, avail);
    in->len = in->z.length;
    in->fl_read = in->fl_kill = in->fl_mod = 0;
    take_flags(in);
    return INSN_OK;
}

enum insn_result insn_decode(const struct insn_decoder *d, const uint8_t *bytes, unsigned avail,
                             struct insn *in)
{
    ZyanStatus st = ZydisDecoderDecodeFull(&d->z, bytes, avail > 15 ? 15 : avail, &in->z, in->op);

    if (!ZYAN_SUCCESS(st))
        return failure(st, avail);
    in->len = in->z.length;
    memcpy(in->raw, bytes, in->len);
    in->opsize = in->z.operand_width / 8;
    in->has_mem = false;
    in->read = in->write = in->full = 0;
    in->fl_read = in->fl_kill = in->fl_mod = 0;
    take_flags(in);
    for (unsigned i = 0; i < in->z.operand_count; i++) {
        const ZydisDecodedOperand *o = &in->op[i];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            in->read |= reg_bit(o->mem.base) | reg_bit(o->mem.index);
            if (o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && !in->has_mem)
                take_mem(in, o);
            continue;
        }
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
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
    }
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
    default:
        break;
    }
    in->full &= (uint16_t)~in->read;
    return INSN_OK;
}

bool insn_masked(const struct insn *in)
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

bool insn_aligned(const struct insn *in)
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
