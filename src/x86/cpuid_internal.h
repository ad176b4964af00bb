/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of features, for the policy and the names. */
#ifndef DOPPEL_X86_CPUID_INTERNAL_H
#define DOPPEL_X86_CPUID_INTERNAL_H

#include "x86/cpuid.h"

enum cpuid_reg { EAX, EBX, ECX, EDX };

/*
 * What it takes to show a feature:
 *
 *              under the translator                       on the processor (KVM)
 *   HOST       host user mode executes it: it is copied   offered
 *   ENGINE     always, it is implemented                  offered
 *   ENGINE_AMD, ENGINE_INTEL
 *              always, with that vendor                   offered
 *   TRANSLATOR always, it is implemented                  never
 *   TRANSLATOR_AMD
 *              always, with that vendor                   never
 *   PROCESSOR  never                                      offered
 *   PLATFORM   always: devices of ours                    always
 *   DEADLINE   always, likewise                           never
 *
 * DEADLINE: the timer of our local APIC with deadlines. KVM takes WRMSR of IA32_TSC_DEADLINE on a
 * fast path for its own local APIC, before it asks whose the register is: where it has a timer of
 * the processor's for that (Intel, since Linux 5.8), the write would be lost.
 */
enum cpuid_kind {
    HOST,
    ENGINE,
    ENGINE_AMD,
    ENGINE_INTEL,
    TRANSLATOR,
    TRANSLATOR_AMD,
    PROCESSOR,
    PLATFORM,
    DEADLINE
};

#define XCR0_SSE 0x2u
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u

struct cpuid_feature {
    uint32_t leaf, subleaf;
    enum cpuid_reg reg;
    uint8_t bit;
    enum cpuid_kind kind;
    uint8_t xcr0;  /* components that the host's operating system must have enabled */
    uint8_t level; /* of x86-64 that has it, 1 - 4; 0: none */
    const char *name;
};

extern const struct cpuid_feature cpuid_features[];
extern const unsigned cpuid_feature_count;

#endif
