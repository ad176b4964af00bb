/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instructions may appear in a case: harmless to the oracle's process, and with a result that
 * depends on nothing but the case.
 */
#include <cpuid.h>
#include <string.h>

#include "gen.h"

/* Not compared at all: a system call, a hypervisor's or the kernel's business, clocks and random
 * numbers, or extensions that no host of today offers to programs. */
static const ZydisISASet refused_sets[] = {
    ZYDIS_ISA_SET_AMD3DNOW,
    ZYDIS_ISA_SET_AMD_INVLPGB,
    ZYDIS_ISA_SET_AMX_BF16,
    ZYDIS_ISA_SET_AMX_INT8,
    ZYDIS_ISA_SET_AMX_TILE,
    ZYDIS_ISA_SET_AVX512ER_512,
    ZYDIS_ISA_SET_AVX512ER_SCALAR,
    ZYDIS_ISA_SET_AVX512PF_512,
    ZYDIS_ISA_SET_AVX512_4FMAPS_512,
    ZYDIS_ISA_SET_AVX512_4FMAPS_SCALAR,
    ZYDIS_ISA_SET_AVX512_4VNNIW_512,
    ZYDIS_ISA_SET_CET,
    ZYDIS_ISA_SET_CLDEMOTE,
    ZYDIS_ISA_SET_CLZERO,
    ZYDIS_ISA_SET_ENQCMD,
    ZYDIS_ISA_SET_FMA4,
    ZYDIS_ISA_SET_HRESET,
    ZYDIS_ISA_SET_INVPCID,
    ZYDIS_ISA_SET_KEYLOCKER,
    ZYDIS_ISA_SET_KEYLOCKER_WIDE,
    ZYDIS_ISA_SET_KNCE,
    ZYDIS_ISA_SET_KNCJKBR,
    ZYDIS_ISA_SET_KNCSTREAM,
    ZYDIS_ISA_SET_KNCV,
    ZYDIS_ISA_SET_KNC_MISC,
    ZYDIS_ISA_SET_KNC_PF_HINT,
    ZYDIS_ISA_SET_LWP,
    ZYDIS_ISA_SET_MCOMMIT,
    ZYDIS_ISA_SET_MONITOR,
    ZYDIS_ISA_SET_MONITORX,
    ZYDIS_ISA_SET_MOVDIR,
    ZYDIS_ISA_SET_MPX,
    ZYDIS_ISA_SET_PADLOCK_ACE,
    ZYDIS_ISA_SET_PADLOCK_PHE,
    ZYDIS_ISA_SET_PADLOCK_PMM,
    ZYDIS_ISA_SET_PADLOCK_RNG,
    ZYDIS_ISA_SET_PCONFIG,
    ZYDIS_ISA_SET_PKU,
    ZYDIS_ISA_SET_PT,
    ZYDIS_ISA_SET_RDPID,
    ZYDIS_ISA_SET_RDPMC,
    ZYDIS_ISA_SET_RDPRU,
    ZYDIS_ISA_SET_RDRAND,
    ZYDIS_ISA_SET_RDSEED,
    ZYDIS_ISA_SET_RDTSCP,
    ZYDIS_ISA_SET_RDWRFSGS,
    ZYDIS_ISA_SET_RTM,
    ZYDIS_ISA_SET_SERIALIZE,
    ZYDIS_ISA_SET_SGX,
    ZYDIS_ISA_SET_SGX_ENCLV,
    ZYDIS_ISA_SET_SMX,
    ZYDIS_ISA_SET_SNP,
    ZYDIS_ISA_SET_SVM,
    ZYDIS_ISA_SET_TBM,
    ZYDIS_ISA_SET_TDX,
    ZYDIS_ISA_SET_TSX_LDTRK,
    ZYDIS_ISA_SET_UINTR,
    ZYDIS_ISA_SET_VMFUNC,
    ZYDIS_ISA_SET_VTX,
    ZYDIS_ISA_SET_WAITPKG,
    ZYDIS_ISA_SET_XOP,
    ZYDIS_ISA_SET_XSAVE,
    ZYDIS_ISA_SET_XSAVEC,
    ZYDIS_ISA_SET_XSAVEOPT,
    ZYDIS_ISA_SET_XSAVES,
};

/* Extensions that need a CPUID bit: leaf, register (0 - 3), bit. */
static const struct {
    ZydisISASet first, last;
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
} optional_sets[] = {
    {ZYDIS_ISA_SET_ADOX_ADCX, ZYDIS_ISA_SET_ADOX_ADCX, 7, 0, 1, 19},
    {ZYDIS_ISA_SET_AES, ZYDIS_ISA_SET_AES, 1, 0, 2, 25},
    {ZYDIS_ISA_SET_AVX, ZYDIS_ISA_SET_AVX, 1, 0, 2, 28},
    {ZYDIS_ISA_SET_AVX2, ZYDIS_ISA_SET_AVX2GATHER, 7, 0, 1, 5},
    {ZYDIS_ISA_SET_AVX512BW_128, ZYDIS_ISA_SET_AVX512BW_KOP, 7, 0, 1, 30},
    {ZYDIS_ISA_SET_AVX512CD_128, ZYDIS_ISA_SET_AVX512CD_512, 7, 0, 1, 28},
    {ZYDIS_ISA_SET_AVX512DQ_128, ZYDIS_ISA_SET_AVX512DQ_SCALAR, 7, 0, 1, 17},
    {ZYDIS_ISA_SET_AVX512F_128, ZYDIS_ISA_SET_AVX512F_SCALAR, 7, 0, 1, 16},
    {ZYDIS_ISA_SET_AVX512_BF16_128, ZYDIS_ISA_SET_AVX512_BF16_512, 7, 1, 0, 5},
    {ZYDIS_ISA_SET_AVX512_BITALG_128, ZYDIS_ISA_SET_AVX512_BITALG_512, 7, 0, 2, 12},
    {ZYDIS_ISA_SET_AVX512_FP16_128, ZYDIS_ISA_SET_AVX512_FP16_SCALAR, 7, 0, 3, 23},
    {ZYDIS_ISA_SET_AVX512_GFNI_128, ZYDIS_ISA_SET_AVX512_GFNI_512, 7, 0, 2, 8},
    {ZYDIS_ISA_SET_AVX512_IFMA_128, ZYDIS_ISA_SET_AVX512_IFMA_512, 7, 0, 1, 21},
    {ZYDIS_ISA_SET_AVX512_VAES_128, ZYDIS_ISA_SET_AVX512_VAES_512, 7, 0, 2, 9},
    {ZYDIS_ISA_SET_AVX512_VBMI2_128, ZYDIS_ISA_SET_AVX512_VBMI2_512, 7, 0, 2, 6},
    {ZYDIS_ISA_SET_AVX512_VBMI_128, ZYDIS_ISA_SET_AVX512_VBMI_512, 7, 0, 2, 1},
    {ZYDIS_ISA_SET_AVX512_VNNI_128, ZYDIS_ISA_SET_AVX512_VNNI_512, 7, 0, 2, 11},
    {ZYDIS_ISA_SET_AVX512_VP2INTERSECT_128, ZYDIS_ISA_SET_AVX512_VP2INTERSECT_512, 7, 0, 3, 8},
    {ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512, 7, 0, 2, 10},
    {ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512, 7, 0, 2, 14},
    {ZYDIS_ISA_SET_AVXAES, ZYDIS_ISA_SET_AVXAES, 1, 0, 2, 25},
    {ZYDIS_ISA_SET_AVX_GFNI, ZYDIS_ISA_SET_AVX_GFNI, 7, 0, 2, 8},
    {ZYDIS_ISA_SET_AVX_VNNI, ZYDIS_ISA_SET_AVX_VNNI, 7, 1, 0, 4},
    {ZYDIS_ISA_SET_BMI1, ZYDIS_ISA_SET_BMI1, 7, 0, 1, 3},
    {ZYDIS_ISA_SET_BMI2, ZYDIS_ISA_SET_BMI2, 7, 0, 1, 8},
    {ZYDIS_ISA_SET_CLFLUSHOPT, ZYDIS_ISA_SET_CLFLUSHOPT, 7, 0, 1, 23},
    {ZYDIS_ISA_SET_CLWB, ZYDIS_ISA_SET_CLWB, 7, 0, 1, 24},
    {ZYDIS_ISA_SET_CMPXCHG16B, ZYDIS_ISA_SET_CMPXCHG16B, 1, 0, 2, 13},
    {ZYDIS_ISA_SET_F16C, ZYDIS_ISA_SET_F16C, 1, 0, 2, 29},
    {ZYDIS_ISA_SET_FMA, ZYDIS_ISA_SET_FMA, 1, 0, 2, 12},
    {ZYDIS_ISA_SET_GFNI, ZYDIS_ISA_SET_GFNI, 7, 0, 2, 8},
    {ZYDIS_ISA_SET_LAHF, ZYDIS_ISA_SET_LAHF, 0x80000001, 0, 2, 0},
    {ZYDIS_ISA_SET_LZCNT, ZYDIS_ISA_SET_LZCNT, 0x80000001, 0, 2, 5},
    {ZYDIS_ISA_SET_MOVBE, ZYDIS_ISA_SET_MOVBE, 1, 0, 2, 22},
    {ZYDIS_ISA_SET_PCLMULQDQ, ZYDIS_ISA_SET_PCLMULQDQ, 1, 0, 2, 1},
    {ZYDIS_ISA_SET_POPCNT, ZYDIS_ISA_SET_POPCNT, 1, 0, 2, 23},
    {ZYDIS_ISA_SET_SHA, ZYDIS_ISA_SET_SHA, 7, 0, 1, 29},
    {ZYDIS_ISA_SET_SSE4, ZYDIS_ISA_SET_SSE4, 1, 0, 2, 19},
    {ZYDIS_ISA_SET_SSE42, ZYDIS_ISA_SET_SSE42, 1, 0, 2, 20},
    {ZYDIS_ISA_SET_SSE4A, ZYDIS_ISA_SET_SSE4A, 0x80000001, 0, 2, 6},
    {ZYDIS_ISA_SET_VAES, ZYDIS_ISA_SET_VAES, 7, 0, 2, 9},
    {ZYDIS_ISA_SET_VPCLMULQDQ, ZYDIS_ISA_SET_VPCLMULQDQ, 7, 0, 2, 10},
};

static bool has(const struct gen *g, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    uint32_t r[4] = {0};

    __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]);
    if ((r[reg] >> bit & 1) == 0)
        return false;
    if (g->subject != NULL)
        subject_cpuid(g->subject, leaf, subleaf, r);
    return r[reg] >> bit & 1;
}

void gen_isa(struct gen *g)
{
    bool state = (diff_xcr0() & 0xe0) == 0xe0;

    memset(g->isa, true, sizeof(g->isa));
    for (size_t i = 0; i < sizeof(refused_sets) / sizeof(refused_sets[0]); i++)
        g->isa[refused_sets[i]] = false;
    for (size_t i = 0; i < sizeof(optional_sets) / sizeof(optional_sets[0]); i++)
        if (!has(g, optional_sets[i].leaf, optional_sets[i].subleaf, optional_sets[i].reg,
                 optional_sets[i].bit))
            for (unsigned s = optional_sets[i].first; s <= optional_sets[i].last; s++)
                g->isa[s] = false;
    g->avx = g->isa[ZYDIS_ISA_SET_AVX] && (diff_xcr0() & 4) != 0;
    g->avx512 = g->avx && state && g->isa[ZYDIS_ISA_SET_AVX512F_512] && has(g, 7, 0, 1, 31);
}

/* By name: what its set or category does not tell. */
static bool refused_mnemonic(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_FNSTENV: /* show the address of the last x87 instruction */
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_SGDT: /* with UMIP the host's kernel makes up a value */
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_LAR: /* show the host's descriptor tables */
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_POPF: /* by pattern only: TF, NT and friends */
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_GETSEC:
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS:
        return true;
    default:
        return false;
    }
}

/* Segment registers are read only where both sides hold the same selector, and never written. */
static bool segments_ok(enum diff_mode mode, const ZydisDecodedInstruction *in,
                        const ZydisDecodedOperand *op)
{
    for (unsigned i = 0; i < in->operand_count_visible; i++) {
        if (op[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
            ZydisRegisterGetClass(op[i].reg.value) != ZYDIS_REGCLASS_SEGMENT)
            continue;
        if (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            return false;
        if (mode == DIFF_KERNEL)
            return false;
    }
    return true;
}

/* Near branches: relative ones come from patterns only; a 16-bit operand size differs by vendor. */
static bool branch_ok(struct gen *g, const ZydisDecodedInstruction *in)
{
    bool wide = in->machine_mode != ZYDIS_MACHINE_MODE_LONG_COMPAT_16;

    if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    if (in->meta.category != ZYDIS_CATEGORY_COND_BR &&
        in->meta.category != ZYDIS_CATEGORY_UNCOND_BR && in->meta.category != ZYDIS_CATEGORY_CALL &&
        in->meta.category != ZYDIS_CATEGORY_RET)
        return true;
    if (in->raw.imm[0].is_relative || (wide && in->operand_width == 16))
        return false;
    for (unsigned i = 0; i < in->raw.prefix_count; i++)
        if (in->raw.prefixes[i].value == 0x66)
            return false;
    return g->only != NULL || diff_chance(&g->rng, 10);
}

/* In user mode a privileged instruction is a #GP; it ends the sequence, so there are few. */
static bool privileged_ok(struct gen *g, enum diff_mode mode, const ZydisDecodedInstruction *in)
{
    if (in->meta.category == ZYDIS_CATEGORY_IO || in->meta.category == ZYDIS_CATEGORY_IOSTRINGOP ||
        (in->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) || in->mnemonic == ZYDIS_MNEMONIC_CLI ||
        in->mnemonic == ZYDIS_MNEMONIC_STI)
        return mode != DIFF_KERNEL && (g->only != NULL || diff_chance(&g->rng, 4));
    return in->meta.category != ZYDIS_CATEGORY_SYSTEM || in->mnemonic == ZYDIS_MNEMONIC_LFENCE;
}

static bool rare_ok(struct gen *g, const ZydisDecodedInstruction *in)
{
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_BOUND:
        return g->only != NULL || diff_chance(&g->rng, 10);
    default:
        return true;
    }
}

/* 0F 0D with a register is a NOP of one vendor and invalid with the other; so is the W bit of some
 * moves outside 64-bit mode. */
static bool vendor_specific(const ZydisDecodedInstruction *in)
{
    if (in->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 &&
        in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        switch (in->mnemonic) {
        case ZYDIS_MNEMONIC_VPINSRD:
        case ZYDIS_MNEMONIC_VPINSRQ:
        case ZYDIS_MNEMONIC_VPEXTRD:
        case ZYDIS_MNEMONIC_VPEXTRQ:
            return true;
        default:
            break;
        }
    return in->opcode_map == ZYDIS_OPCODE_MAP_0F && in->opcode == 0x0d && in->raw.modrm.mod == 3;
}

static int gpr_number(ZydisRegister reg)
{
    ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

    if (ZydisRegisterGetClass(full) != ZYDIS_REGCLASS_GPR64)
        return -1;
    return ZydisRegisterGetId(full);
}

/* The stack pointer as source of an EVEX instruction (VPBROADCASTQ, VCVTSI2SD): a CPU at hand takes
 * the value from before a PUSH. */
static bool stale_stack_pointer(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    for (unsigned i = 0; i < in->operand_count_visible; i++)
        if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX &&
            op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_number(op[i].reg.value) == 4)
            return true;
    return false;
}

bool gen_allowed(const struct gen *g, enum diff_mode mode, const ZydisDecodedInstruction *in,
                 const ZydisDecodedOperand *op)
{
    struct gen *mutable = (struct gen *)(uintptr_t)g; /* only its dice */

    if (in->meta.isa_set != ZYDIS_ISA_SET_INVALID && !g->isa[in->meta.isa_set])
        return false;
    if (refused_mnemonic(in->mnemonic) || in->meta.category == ZYDIS_CATEGORY_SYSCALL ||
        in->meta.category == ZYDIS_CATEGORY_SYSRET)
        return false;
    if (in->mnemonic == ZYDIS_MNEMONIC_INVALID || vendor_specific(in) ||
        stale_stack_pointer(in, op) || !segments_ok(mode, in, op))
        return false;
    return branch_ok(mutable, in) && privileged_ok(mutable, mode, in) && rare_ok(mutable, in);
}

uint32_t gen_written(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    uint32_t set = 0;
    bool string = in->meta.category == ZYDIS_CATEGORY_STRINGOP;

    for (unsigned i = 0; i < in->operand_count; i++) {
        int n;

        if (op[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
            (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0)
            continue;
        n = gpr_number(op[i].reg.value);
        if (n < 0 ||
            (op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && (n == 4 || (string && n != 0))))
            continue;
        set |= 1u << n;
    }
    return set;
}
