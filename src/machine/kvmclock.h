/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kvm paravirtual clock: Documentation/virt/kvm/x86/msr.rst, MSRs 4b564d00 and 4b564d01. The
 * guest names a page; it gets from it how to compute nanoseconds since the machine was created from
 * its TSC, without any exit. All functions: the vCPU's thread, or the vCPU stopped.
 */
#ifndef DOPPEL_MACHINE_KVMCLOCK_H
#define DOPPEL_MACHINE_KVMCLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/ram.h"

#define KVMCLOCK_MSR_WALL 0x4b564d00u
#define KVMCLOCK_MSR_SYSTEM 0x4b564d01u

struct kvmclock {
    uint64_t wall, system; /* the MSRs' values */
};

/* One moment on both clocks. */
struct kvmclock_now {
    uint64_t tsc, tsc_khz;
    uint64_t ns;    /* virtual clock */
    int64_t utc_ns; /* UTC, nanoseconds since 1970 */
};

/* Factors such that ns = (tsc << shift, or >> -shift) * mul >> 32. */
void kvmclock_scale(uint64_t tsc_khz, uint32_t *mul, int8_t *shift);

void kvmclock_write_wall(struct kvmclock *k, uint64_t value, const struct kvmclock_now *now,
                         struct ram *ram);
void kvmclock_write_system(struct kvmclock *k, uint64_t value, const struct kvmclock_now *now,
                           struct ram *ram);
/* The relation of the clocks changed (resume, write to the TSC): tells the guest. */
void kvmclock_refresh(struct kvmclock *k, const struct kvmclock_now *now, struct ram *ram);

#endif
