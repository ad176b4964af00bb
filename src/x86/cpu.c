/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power-on state of an x86 CPU: Intel SDM vol. 3, table 10-1; AMD64 APM vol. 2, table 14-1.
 */
#include <string.h>

#include "x86/cpu.h"

enum {
    ATTR_DATA_RW_ACCESSED = 0x93,
    ATTR_CODE_RX_ACCESSED = 0x9b,
    ATTR_LDT = 0x82,
    ATTR_TSS16_BUSY = 0x83,
};

static void segment_reset(struct x86_segment *s, uint16_t attr)
{
    *s = (struct x86_segment){.base = 0, .limit = 0xffff, .selector = 0, .attr = attr};
}

/* FCW and MXCSR after RESET#. XSTATE_BV marks x87 and SSE as present, so that these values and not
 * the XSAVE initial configuration (FCW 037f) are loaded. */
static void xsave_reset(uint8_t *x)
{
    static const uint16_t fcw = 0x0040;
    static const uint32_t mxcsr = 0x1f80;
    static const uint64_t xstate_bv = 3;

    memset(x, 0, X86_XSAVE_SIZE);
    memcpy(x, &fcw, sizeof(fcw));
    x[4] = 0xff; /* abridged FTW: all registers valid (full tag word 5555) */
    memcpy(x + 24, &mxcsr, sizeof(mxcsr));
    memcpy(x + 512, &xstate_bv, sizeof(xstate_bv));
}

void x86_cpu_reset(struct x86_cpu *cpu)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->rip = 0xfff0;
    cpu->rflags = 2;
    cpu->gpr[X86_RDX] = 0x600;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        segment_reset(&cpu->seg[i], ATTR_DATA_RW_ACCESSED);
    segment_reset(&cpu->seg[X86_CS], ATTR_CODE_RX_ACCESSED);
    cpu->seg[X86_CS].selector = 0xf000;
    cpu->seg[X86_CS].base = 0xffff0000;
    segment_reset(&cpu->ldtr, ATTR_LDT);
    segment_reset(&cpu->tr, ATTR_TSS16_BUSY);
    cpu->gdtr.limit = 0xffff;
    cpu->idtr.limit = 0xffff;
    cpu->cr0 = 0x60000010;
    cpu->xcr0 = 1;
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->pat = 0x0007040600070406;
    cpu->misc_enable = 1; /* fast strings */
    cpu->mp_state = X86_MP_RUNNABLE;
    xsave_reset(cpu->xsave);
}

/* The parts that INIT leaves alone: time stamp and performance counters, what belongs to the model,
 * memory types, x87 and vector state, XCR0, and of CR0 the cache bits. */
static void keep_over_init(struct x86_cpu *to, const struct x86_cpu *from)
{
    const uint64_t cd_nw = UINT64_C(3) << 29;

    to->cr0 = (to->cr0 & ~cd_nw) | (from->cr0 & cd_nw);
    to->xcr0 = from->xcr0;
    to->star = from->star;
    to->lstar = from->lstar;
    to->cstar = from->cstar;
    to->fmask = from->fmask;
    to->kernel_gs_base = from->kernel_gs_base;
    to->tsc_aux = from->tsc_aux;
    to->pat = from->pat;
    to->sysenter_cs = from->sysenter_cs;
    to->sysenter_esp = from->sysenter_esp;
    to->sysenter_eip = from->sysenter_eip;
    to->mtrr_def_type = from->mtrr_def_type;
    memcpy(to->mtrr_fixed, from->mtrr_fixed, sizeof(to->mtrr_fixed));
    memcpy(to->mtrr_base, from->mtrr_base, sizeof(to->mtrr_base));
    memcpy(to->mtrr_mask, from->mtrr_mask, sizeof(to->mtrr_mask));
    to->misc_enable = from->misc_enable;
    to->tsc = from->tsc;
    to->tsc_adjust = from->tsc_adjust;
    to->pmu = from->pmu;
    to->pkru = from->pkru;
    memcpy(to->xsave, from->xsave, sizeof(to->xsave));
}

void x86_cpu_init(struct x86_cpu *cpu)
{
    struct x86_cpu old = *cpu;

    x86_cpu_reset(cpu);
    keep_over_init(cpu, &old);
    cpu->mp_state = X86_MP_INIT;
}

void x86_cpu_sipi(struct x86_cpu *cpu, uint8_t vector)
{
    cpu->seg[X86_CS].selector = (uint16_t)(vector << 8);
    cpu->seg[X86_CS].base = (uint64_t)vector << 12;
    cpu->rip = 0;
    cpu->mp_state = X86_MP_RUNNABLE;
}
