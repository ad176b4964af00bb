/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stolen time, as KVM tells guests of it (Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_STEAL_TIME): a record of 64 bytes in the guest's memory, one for each vCPU.
 *
 *    0  nanoseconds that the vCPU wanted to run and did not
 *    8  a version, odd while the rest changes
 *   16  bit 0: it is not running (KVM_VCPU_PREEMPTED); bit 1: and is to flush its TLB before it
 *       does (KVM_VCPU_FLUSH_TLB), which other vCPUs set instead of sending an interrupt
 *
 * Stolen is what of the time within `run` the thread's CPU clock did not see: the host had other
 * things to do, or the vCPU waited for another one. That the host's scheduler takes the processor
 * away cannot be seen when it happens, so "not running" are vCPUs outside of `run`: in HLT.
 */
#include "steal.h"

#include <time.h>

#include "bt_view.h"
#include "mem/ram.h"

enum { RECORD = 64, STEAL = 0, VERSION = 8, PREEMPTED = 16 };
enum { NOT_RUNNING = 1, FLUSH_TLB = 2 };

#define MSR_RESERVED 0x3eu

static uint64_t clock_of(clockid_t id)
{
    struct timespec t = {0};

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* NULL: the guest's memory is elsewhere now. */
static uint8_t *record_of(const struct engine_vcpu *v, uint64_t msr)
{
    return ram_ptr(v->machine->ram, msr & ~(uint64_t)(RECORD - 1), RECORD, true);
}

static void told(struct engine_vcpu *v)
{
    ram_written(v->machine->ram, v->cpu.kvm_steal & ~(uint64_t)(RECORD - 1), RECORD);
}

/* Reckoning begins anew. Returns what was stolen since the last time. */
static uint64_t reckon(struct engine_vcpu *v)
{
    uint64_t wall = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) + v->cell_ns;
    uint64_t awake = wall - v->steal_wall_ns, ran = cpu - v->steal_cpu_ns;

    v->steal_wall_ns = wall;
    v->steal_cpu_ns = cpu;
    v->steal_looked = bt_tsc();
    return awake > ran ? awake - ran : 0;
}

void bt_steal_count(struct engine_vcpu *v)
{
    uint64_t stolen = reckon(v);
    uint8_t *r = record_of(v, v->cpu.kvm_steal);

    if (r == NULL || stolen == 0)
        return;
    uint64_t *steal = (uint64_t *)(r + STEAL);
    uint32_t *version = (uint32_t *)(r + VERSION);
    uint32_t now = __atomic_load_n(version, __ATOMIC_RELAXED) | 1;

    __atomic_store_n(version, now, __ATOMIC_SEQ_CST);
    __atomic_store_n(steal, *steal + stolen, __ATOMIC_SEQ_CST);
    __atomic_store_n(version, now + 1, __ATOMIC_SEQ_CST);
    told(v);
}

/* What other vCPUs asked for while this one did not run comes before anything it does. */
void bt_steal_begin(struct engine_vcpu *v)
{
    uint8_t *r = record_of(v, v->cpu.kvm_steal);
    struct bt_ctx *c = v->ctx;

    (void)reckon(v);
    if (r == NULL)
        return;
    uint8_t was = __atomic_exchange_n(r + PREEMPTED, 0, __ATOMIC_SEQ_CST);

    told(v);
    if (!(was & FLUSH_TLB))
        return;
    v->en->stat.flush_all++;
    bt_tlb_flush(c, true);
    bt_exec_flush(c, true);
    bt_view_flush(c, true);
}

void bt_steal_end(struct engine_vcpu *v)
{
    uint8_t *r;

    bt_steal_count(v);
    r = record_of(v, v->cpu.kvm_steal);
    if (r == NULL)
        return;
    __atomic_store_n(r + PREEMPTED, NOT_RUNNING, __ATOMIC_SEQ_CST);
    told(v);
}

bool bt_steal_set(struct bt_ctx *c, uint64_t value)
{
    struct engine_vcpu *v = c->v;
    bool ok;

    bt_vector_out();
    ok = !(value & MSR_RESERVED) && (!(value & 1) || record_of(v, value) != NULL);
    if (ok) {
        v->cpu.kvm_steal = value;
        (void)reckon(v);
    }
    bt_vector_in();
    return ok;
}
