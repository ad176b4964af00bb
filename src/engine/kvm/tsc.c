/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's time stamp counter: the host's plus an offset. */
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kvm_internal.h"

#define MSR_TSC 0x10

uint64_t kvm_tsc_measure(void)
{
    struct timespec a, b;
    uint64_t t0, ns;

    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    t0 = kvm_host_tsc();
    do {
        clock_gettime(CLOCK_MONOTONIC_RAW, &b);
        ns = (uint64_t)(b.tv_sec - a.tv_sec) * UINT64_C(1000000000) +
             (uint64_t)(b.tv_nsec - a.tv_nsec);
    } while (ns < 10000000);
    return (kvm_host_tsc() - t0) * 1000000 / ns;
}

/* The counter reads `now` at some time since `before`. What can be vCPU 0's offset is. */
static uint64_t offset_of(const struct engine_vcpu *v, uint64_t now, uint64_t before)
{
    const struct engine_vcpu *first = v->en->vcpu[0];
    uint64_t took = kvm_host_tsc() - before, most = now - before;
    uint64_t zero = first != NULL ? atomic_load(&first->tsc_offset) : most;

    return v->index != 0 && most - zero <= took ? zero : most - took / 2;
}

/* Linux 5.16 lets us say the offset; with an older one the counter is set and the offset, which
 * differs by the time that took, is read off it. */
static int set_offset(struct engine_vcpu *v, uint64_t offset)
{
    struct kvm_device_attr attr = {.group = KVM_VCPU_TSC_CTRL,
                                   .attr = KVM_VCPU_TSC_OFFSET,
                                   .addr = (uint64_t)(uintptr_t)&offset};
    uint64_t before, now;
    int rc;

    if (ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr) == 0) {
        atomic_store(&v->tsc_offset, offset);
        return 0;
    }
    rc = kvm_msr_set(v, MSR_TSC, kvm_host_tsc() + offset);
    before = kvm_host_tsc();
    if (rc == 0)
        rc = kvm_msr_get(v, MSR_TSC, &now);
    if (rc == 0)
        atomic_store(&v->tsc_offset, offset_of(v, now, before));
    return rc;
}

/* The counters of all vCPUs are set one after the other, yet they have to agree: one that is meant
 * to be within a second of vCPU 0's becomes equal to it. */
int kvm_tsc_set(struct engine_vcpu *v, uint64_t tsc)
{
    uint64_t offset = tsc - kvm_host_tsc();
    const struct engine_vcpu *first = v->en->vcpu[0];
    int64_t apart = first != NULL ? (int64_t)(offset - atomic_load(&first->tsc_offset)) : 0;
    int64_t second = (int64_t)v->en->tsc_khz * 1000;

    if (v->index != 0 && first != NULL && apart < second && apart > -second)
        offset = atomic_load(&first->tsc_offset);
    return set_offset(v, offset);
}

int kvm_tsc_move(struct engine_vcpu *v, uint64_t delta)
{
    return set_offset(v, atomic_load(&v->tsc_offset) + delta);
}
