/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID as the guest sees it: a table of leaves, made from the host's by policy (cpuid_table_host)
 * and adjusted by the machine (topology, APIC ids). Engine-neutral.
 */
#ifndef DOPPEL_X86_CPUID_H
#define DOPPEL_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct cpuid_leaf {
    uint32_t leaf, subleaf;
    bool indexed; /* subleaf matters */
    uint32_t eax, ebx, ecx, edx;
};

#define CPUID_MAX_LEAVES 96

/* The local APIC timer's input clock as told to the guest (leaves 15 and 40000010). */
#define CPUID_APIC_KHZ 1000000u

struct cpuid_table {
    unsigned count;
    struct cpuid_leaf leaf[CPUID_MAX_LEAVES];
};

/* The CPU's run-time state that shows through CPUID (Intel SDM vol. 2, CPUID): OSXSAVE, APIC, XSAVE
 * size, OSPKE. */
struct cpuid_dynamic {
    uint64_t cr4, xcr0, xss;
    uint32_t apic_id;
    bool apic_enabled;
};

/* Builds the table for the bt engine on this host: all that the host's user mode executes, plus
 * what the engine implements itself (paging features, x2APIC, TSC deadline, kvm paravirtual
 * leaves), minus what is not built. tsc_khz: shown in leaves 0x15/0x16 and the hypervisor's timing
 * leaf; vcpus: for the topology leaves. */
int cpuid_table_build(struct cpuid_table *t, uint64_t tsc_khz, unsigned vcpus,
                      struct err *e) MUST_CHECK;

/* The CPUID instruction: fills out[4] = eax, ebx, ecx, edx. Out-of-range leaves behave as the
 * vendor's CPUs do. Uses general registers only and calls no library: the bt engine calls it with
 * the guest's vector state live. */
void cpuid_execute(const struct cpuid_table *t, const struct cpuid_dynamic *dyn, uint32_t leaf,
                   uint32_t subleaf, uint32_t out[4]);

/* The guest-physical address width and features an MMU needs, read off the table. */
unsigned cpuid_phys_bits(const struct cpuid_table *t);

#endif
