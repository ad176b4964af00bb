/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See pmu.h. */
#include "x86/pmu.h"

enum {
    SELECT_LEGACY = 0xc0010000u,
    COUNT_LEGACY = 0xc0010004u,
    EXTENDED = 0xc0010200u, /* PerfEvtSel and PerfCtr in turn */
};

enum {
    USR = 1 << 16,
    OS = 1 << 17,
    EDGE = 1 << 18,
    INT = 1 << 20,
    EN = 1 << 22,
};

#define COUNTER_MASK 0xff000000u              /* CntMask */
#define EVENT 0xf000000ffu                    /* EventSelect, in two parts */
#define RESERVED UINT64_C(0xfffffcf000280000) /* all but HostOnly and GuestOnly above bit 35 */

bool x86_pmu_msr(uint32_t index, bool extended, struct x86_pmu_msr *out)
{
    uint32_t legacy = index - SELECT_LEGACY, core = index - EXTENDED;

    if (legacy < 2 * X86_PMU_LEGACY)
        *out = (struct x86_pmu_msr){legacy % X86_PMU_LEGACY, index < COUNT_LEGACY};
    else if (extended && core < 2 * X86_PMU_COUNTERS)
        *out = (struct x86_pmu_msr){core / 2, core % 2 == 0};
    else
        return false;
    return true;
}

uint64_t x86_pmu_read(const struct x86_pmu *p, struct x86_pmu_msr r)
{
    return r.select ? p->select[r.counter] : p->count[r.counter];
}

void x86_pmu_write(struct x86_pmu *p, struct x86_pmu_msr r, uint64_t value)
{
    if (r.select)
        p->select[r.counter] = value & ~RESERVED;
    else
        p->count[r.counter] = value & X86_PMU_MASK;
}

/* What counter n counts at this privilege, X86_PMU_EVENTS: nothing. */
static enum x86_pmu_event counts(const struct x86_pmu *p, unsigned n, bool user)
{
    uint64_t s = p->select[n];

    if (!(s & EN) || !(s & (user ? USR : OS)) || (s & (EDGE | COUNTER_MASK)))
        return X86_PMU_EVENTS;
    switch (s & EVENT) {
    case 0x76:
        return X86_PMU_CYCLES;
    case 0xc0:
        return X86_PMU_INSNS;
    case 0xc2:
        return X86_PMU_BRANCHES;
    default:
        return X86_PMU_EVENTS;
    }
}

unsigned x86_pmu_counted(const struct x86_pmu *p, bool user)
{
    unsigned events = 0;

    for (unsigned n = 0; n < X86_PMU_COUNTERS; n++)
        events |= 1u << counts(p, n, user);
    return events & ((1u << X86_PMU_EVENTS) - 1);
}

bool x86_pmu_differs(const struct x86_pmu *p)
{
    for (unsigned n = 0; n < X86_PMU_COUNTERS; n++)
        if (counts(p, n, false) != counts(p, n, true))
            return true;
    return false;
}

unsigned x86_pmu_add(struct x86_pmu *p, bool user, const uint64_t done[X86_PMU_EVENTS])
{
    unsigned interrupts = 0;

    for (unsigned n = 0; n < X86_PMU_COUNTERS; n++) {
        enum x86_pmu_event e = counts(p, n, user);
        uint64_t sum = p->count[n] + (e < X86_PMU_EVENTS ? done[e] : 0);

        interrupts += sum > X86_PMU_MASK && (p->select[n] & INT);
        p->count[n] = sum & X86_PMU_MASK;
    }
    return interrupts;
}

uint64_t x86_pmu_due(const struct x86_pmu *p, bool user, enum x86_pmu_event event)
{
    uint64_t due = UINT64_MAX;

    for (unsigned n = 0; n < X86_PMU_COUNTERS; n++) {
        uint64_t left = X86_PMU_MASK + 1 - p->count[n];

        if (counts(p, n, user) == event && (p->select[n] & INT) && left < due)
            due = left;
    }
    return due;
}
