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
#include "x86/topology.h"

struct cpuid_leaf {
    uint32_t leaf, subleaf;
    bool indexed; /* subleaf matters */
    uint32_t eax, ebx, ecx, edx;
};

#define CPUID_MAX_LEAVES 96

/* The local APIC timer's input clock as told to the guest (leaves 15 and 40000010). */
#define CPUID_APIC_KHZ 1000000u

struct cpuid_table {
    uint8_t thread_bits, socket_shift; /* of an APIC id */
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

/* What a user chose: a level of x86-64, more than it or less. Features by number, as
 * cpuid_policy_parse finds them. All zero: whatever the host offers. */
enum cpuid_level { CPUID_HOST, CPUID_BASELINE, CPUID_V2, CPUID_V3, CPUID_V4 };

#define CPUID_MAX_FEATURES 192

struct cpuid_policy {
    enum cpuid_level level;
    uint64_t add[CPUID_MAX_FEATURES / 64], remove[CPUID_MAX_FEATURES / 64];
};

/* "v3,+aes,-avx2": a level, then features by the names of /proc/cpuinfo. A usage error names the
 * word. */
int cpuid_policy_parse(struct cpuid_policy *p, const char *option, const char *text,
                       struct err *e) MUST_CHECK;

/* What an engine that runs guests on the processor itself can show them, as leaves of features. */
struct cpuid_offer {
    unsigned count;
    struct cpuid_leaf leaf[128];
};

struct cpuid_request {
    uint64_t tsc_khz; /* shown in leaves 0x15/0x16 and the hypervisor's timing leaf */
    unsigned vcpus;
    struct x86_topology topology; /* all 0: flat */
    unsigned phys_max;            /* most guest-physical address bits to show; 0: what there is */
    struct cpuid_policy policy;
    const struct cpuid_offer *offer; /* NULL: the translator, which shows what the host's user mode
                                        executes and what it implements itself */
};

/* Builds the table. An error names --cpu: the host does not offer what the policy demands. */
int cpuid_table_make(struct cpuid_table *t, const struct cpuid_request *ask,
                     struct err *e) MUST_CHECK;
/* The table of the translator for the policy `host`. */
int cpuid_table_build(struct cpuid_table *t, uint64_t tsc_khz, unsigned vcpus,
                      struct err *e) MUST_CHECK;

/* The CPUID instruction: fills out[4] = eax, ebx, ecx, edx. Out-of-range leaves behave as the
 * vendor's CPUs do. Uses general registers only and calls no library: the bt engine calls it with
 * the guest's vector state live. */
void cpuid_execute(const struct cpuid_table *t, const struct cpuid_dynamic *dyn, uint32_t leaf,
                   uint32_t subleaf, uint32_t out[4]);

/* Has the guest's CPU the feature at this bit of a leaf's register, EAX 0 to EDX 3? */
bool cpuid_has(const struct cpuid_table *t, uint32_t leaf, unsigned reg, unsigned bit);

/* The guest-physical address width and features an MMU needs, read off the table. */
unsigned cpuid_phys_bits(const struct cpuid_table *t);

#endif
