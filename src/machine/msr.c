/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identity and configuration MSRs: see msr.h. */
#include <string.h>

#include "machine/msr.h"

enum {
    PLATFORM_ID = 0x17,
    FEATURE_CONTROL = 0x3a,
    SPEC_CTRL = 0x48,
    PRED_CMD = 0x49,
    UCODE_UPDATE = 0x79,
    UCODE_REV = 0x8b,
    PLATFORM_INFO = 0xce,
    MTRR_CAP = 0xfe,
    ARCH_CAPABILITIES = 0x10a,
    MISC_FEATURES = 0x140,
    MCG_CAP = 0x179,
    MCG_STATUS = 0x17a,
};

enum amd {
    AMD_PERF = 0xc0010000u, /* four event selects, four counters */
    AMD_SYSCFG = 0xc0010010u,
    AMD_HWCR = 0xc0010015u,
    AMD_NB_CFG = 0xc001001fu,
    AMD_INT_PENDING = 0xc0010055u,
    AMD_LS_CFG = 0xc0011020u,
    AMD_IC_CFG = 0xc0011021u,
    AMD_DC_CFG = 0xc0011022u,
    AMD_DE_CFG = 0xc0011029u,
    AMD_BU_CFG2 = 0xc001102au,
};

#define HWCR_TSC_FREQ_SEL (UINT64_C(1) << 24) /* the TSC counts at the P0 frequency */
#define DE_CFG_LFENCE (UINT64_C(1) << 1)      /* LFENCE waits for all before it */

/* Not affected by: Meltdown, L1TF, MDS, page-size change MCE, TAA, MMIO stale data, register file
 * and gather sampling, indirect target selection; no flush of L1D needed; IBRS protects always. See
 * cpuid.c for why the guest needs none of the mitigations. */
#define ARCH_CAPS                                                                                 \
    (1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 13 | 1u << 14 | 1u << 15 | \
     1u << 20 | 1u << 26 | 1u << 27 | UINT64_C(1) << 62)

void msr_reset(struct msr_file *f, bool amd)
{
    *f = (struct msr_file){.amd = amd, .hwcr = HWCR_TSC_FREQ_SEL};
}

static bool read_common(const struct msr_file *f, uint32_t index, uint64_t *value)
{
    switch (index) {
    case UCODE_REV:
        *value = f->amd ? 0x01000065u : UINT64_C(1) << 32;
        return true;
    case MTRR_CAP: /* 8 variable ranges, fixed ranges, write combining */
        *value = 0x508;
        return true;
    case MCG_CAP: /* no machine check banks */
    case MCG_STATUS:
        *value = 0;
        return true;
    }
    return false;
}

static bool read_intel(const struct msr_file *f, uint32_t index, uint64_t *value)
{
    switch (index) {
    case FEATURE_CONTROL: /* locked: neither VMX nor SGX */
        *value = 1;
        return true;
    case SPEC_CTRL:
        *value = f->spec_ctrl;
        return true;
    case ARCH_CAPABILITIES:
        *value = ARCH_CAPS;
        return true;
    case MISC_FEATURES:
    case PLATFORM_ID:
    case PLATFORM_INFO:
        *value = 0;
        return true;
    }
    return false;
}

static bool read_amd(const struct msr_file *f, uint32_t index, uint64_t *value)
{
    if (index - AMD_PERF < 8) {
        *value = f->perf[index - AMD_PERF];
        return true;
    }
    switch (index) {
    case AMD_HWCR:
        *value = f->hwcr;
        return true;
    case AMD_DE_CFG:
        *value = DE_CFG_LFENCE;
        return true;
    case AMD_SYSCFG:
    case AMD_NB_CFG:
    case AMD_INT_PENDING:
    case AMD_LS_CFG:
    case AMD_IC_CFG:
    case AMD_DC_CFG:
    case AMD_BU_CFG2:
        *value = 0;
        return true;
    }
    return false;
}

bool msr_read(const struct msr_file *f, uint32_t index, uint64_t *value)
{
    if (read_common(f, index, value))
        return true;
    return f->amd ? read_amd(f, index, value) : read_intel(f, index, value);
}

static bool write_intel(struct msr_file *f, uint32_t index, uint64_t value)
{
    switch (index) {
    case SPEC_CTRL: /* IBRS, STIBP, SSBD */
        f->spec_ctrl = value & 7;
        return (value & ~UINT64_C(7)) == 0;
    case PRED_CMD:
        return (value & ~UINT64_C(1)) == 0;
    case MISC_FEATURES: /* neither CPUID faulting nor ring 3 MWAIT */
        return value == 0;
    }
    return false;
}

/* Chicken bits are taken and have no effect. */
static bool write_amd(struct msr_file *f, uint32_t index, uint64_t value)
{
    uint64_t old;

    if (index - AMD_PERF < 8) { /* AMD APM vol. 2, 13.2.1: counters of 48 bits */
        f->perf[index - AMD_PERF] = index & 4 ? value & 0xffffffffffff : value;
        return true;
    }
    if (index == AMD_HWCR) {
        f->hwcr = value | HWCR_TSC_FREQ_SEL;
        return true;
    }
    return read_amd(f, index, &old);
}

bool msr_write(struct msr_file *f, uint32_t index, uint64_t value)
{
    switch (index) {
    case UCODE_REV: /* Intel's way to ask for the revision writes 0 first */
    case UCODE_UPDATE:
        return true;
    case MCG_STATUS:
        return value == 0;
    }
    return f->amd ? write_amd(f, index, value) : write_intel(f, index, value);
}
