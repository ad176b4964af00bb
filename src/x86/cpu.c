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
