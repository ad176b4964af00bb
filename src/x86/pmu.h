/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The performance counters of an AMD processor: AMD64 APM vol. 2, 13.2 "Performance Monitoring
 * Counters", and of its events those of which a translator can know: cycles not halted, retired
 * instructions, retired branches. All others can be selected and stay where they are, and so do
 * counters that compare the events of one cycle with a mask or look for edges. No clock and no
 * interrupt: who executes the guest brings events and hears of overflows. Uses general registers
 * only and calls no library.
 */
#ifndef DOPPEL_X86_PMU_H
#define DOPPEL_X86_PMU_H

#include <stdbool.h>
#include <stdint.h>

#define X86_PMU_LEGACY 4   /* counters at c0010000, always there, */
#define X86_PMU_COUNTERS 6 /* and at c0010200 with PerfCtrExtCore, which the four are part of */
#define X86_PMU_MASK 0xffffffffffffu

enum x86_pmu_event { X86_PMU_CYCLES, X86_PMU_INSNS, X86_PMU_BRANCHES, X86_PMU_EVENTS };

struct x86_pmu {
    uint64_t select[X86_PMU_COUNTERS];
    uint64_t count[X86_PMU_COUNTERS]; /* 48 bits */
};

struct x86_pmu_msr {
    unsigned counter;
    bool select; /* its PerfEvtSel, else its PerfCtr */
};

/* Which register MSR `index` is, in *out. false: it is none of the counters'. extended: CPUID
 * announces PerfCtrExtCore. */
bool x86_pmu_msr(uint32_t index, bool extended, struct x86_pmu_msr *out);
uint64_t x86_pmu_read(const struct x86_pmu *p, struct x86_pmu_msr r);
/* Reserved bits are ignored. */
void x86_pmu_write(struct x86_pmu *p, struct x86_pmu_msr r, uint64_t value);

/* Bits by enum x86_pmu_event: what some counter counts at CPL 0, or above it (user). */
unsigned x86_pmu_counted(const struct x86_pmu *p, bool user);
/* Does some counter count at one of the two only? */
bool x86_pmu_differs(const struct x86_pmu *p);
/* Adds events that occurred at this privilege. Returns how many counters overflowed that interrupt
 * then. */
unsigned x86_pmu_add(struct x86_pmu *p, bool user, const uint64_t done[X86_PMU_EVENTS]);
/* The number of events at this privilege after which a counter interrupts, UINT64_MAX: none
 * does. */
uint64_t x86_pmu_due(const struct x86_pmu *p, bool user, enum x86_pmu_event event);

#endif
