/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one x86 CPU, engine-neutral: the only form in which a CPU is saved, shown to a
 * debugger or handed from one engine to another. Plain facts; no policy.
 */
#ifndef DOPPEL_X86_CPU_H
#define DOPPEL_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/pmu.h"

/* Encoding order of the manuals (Intel SDM vol. 2, table 2-8). */
enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8 = 8,
    X86_R15 = 15
};
enum x86_seg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEG_COUNT };

/* A segment register with its hidden part. attr: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14
 * D/B, 15 G (the second dword of the descriptor, bits 8-23, without the limit nibble); `unusable`
 * as in VMX for null selectors. */
struct x86_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint16_t selector;
    uint16_t attr;
    bool unusable;
};

struct x86_table {
    uint64_t base;
    uint16_t limit;
};

/* PKRU in XSAVE areas of the standard format; it is the last component. */
#define XSAVE_PKRU 9
#define XSAVE_PKRU_OFFSET 2688
#define XSAVE_PKRU_SIZE 8

#define X86_XSAVE_SIZE 4096 /* holds every component up to AVX-512 and PKRU in standard format */

enum x86_mp_state { X86_MP_RUNNABLE, X86_MP_HALTED, X86_MP_INIT, X86_MP_SIPI };

struct x86_cpu {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
    struct x86_segment seg[X86_SEG_COUNT];
    struct x86_segment ldtr, tr;
    struct x86_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t xcr0;
    uint64_t dr[8]; /* 4 and 5 unused */
    uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, pat;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t misc_enable, spec_ctrl, xss;
    uint64_t tsc; /* value at the moment of the save */
    uint64_t tsc_adjust;
    uint64_t kvm_steal; /* KVM's MSR 4b564d03: where the guest is told of stolen time */
    struct x86_pmu pmu; /* of AMD's processors */
    uint32_t pkru, pkrs;
    enum x86_mp_state mp_state;
    bool nmi_blocked;      /* between an NMI and its IRET */
    bool nmi_pending;      /* one that left the local APIC and could not be taken yet */
    bool interrupt_shadow; /* STI or MOV SS just executed */
    /* An exception or interrupt that is due before the next instruction. */
    bool event_pending, event_has_error;
    uint8_t event_vector,
        event_type; /* type as in VMX: 0 external, 2 NMI, 3 exception, 4 software interrupt */
    uint32_t event_error;
    uint8_t xsave[X86_XSAVE_SIZE]
        __attribute__((aligned(64))); /* standard (non-compacted) XSAVE format */
};

/* Power-on state after RESET# (Intel SDM vol. 3, table 10-1): CS:IP f000:fff0. */
void x86_cpu_reset(struct x86_cpu *cpu);
/* State after INIT (the same table): waits for a start-up message. */
void x86_cpu_init(struct x86_cpu *cpu);
/* A start-up message (Intel SDM vol. 3, 9.4.4.1): runs at vector << 12 in real mode. */
void x86_cpu_sipi(struct x86_cpu *cpu, uint8_t vector);

#endif
