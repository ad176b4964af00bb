/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kvm engine as its own files see it.
 *
 * All interrupt controllers are ours (src/dev): the kernel has none, so a local APIC's state has
 * one form, and what a vCPU needs comes through engine_host as with every engine. KVM_RUN brings
 * port, memory-mapped and some MSR accesses here; interrupts go in with KVM_INTERRUPT when the
 * vCPU can take them.
 *
 * Kicks. A request (stop, an interrupt pending in the local APIC) is noted first, then
 * `immediate_exit` is set, then the thread gets a signal if it is `inside`. The vCPU's thread sets
 * `inside`, clears `immediate_exit`, looks for requests and enters KVM_RUN, in this order. So a
 * request that the look missed has set immediate_exit after it was cleared, and KVM_RUN returns at
 * once; and one whose signal was left out because the thread was outside is found by the look.
 */
#ifndef DOPPEL_ENGINE_KVM_KVM_INTERNAL_H
#define DOPPEL_ENGINE_KVM_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/lock.h"
#include "engine/engine.h"
#include "sys.h"

/* Field, group, name: see bt/stats.h. One set for each vCPU, its thread's. */
#define KVM_STATS(S)                                        \
    S(exits, "exits", "all")                                \
    S(io, "exits", "port accesses")                         \
    S(mmio, "exits", "memory-mapped accesses to devices")   \
    S(msr, "exits", "accesses to model-specific registers") \
    S(halt, "exits", "HLT")                                 \
    S(window, "exits", "the guest can take interrupts")     \
    S(tpr, "exits", "task priority lowered")                \
    S(intr, "exits", "signals and kicks")                   \
    S(other, "exits", "others")                             \
    S(irq, "events", "interrupts")                          \
    S(nmi, "events", "non-maskable interrupts")             \
    S(settle, "events", "instructions completed before something else")

struct kvm_stat {
#define KVM_STAT_FIELD(field, group, name) uint64_t field;
    KVM_STATS(KVM_STAT_FIELD)
#undef KVM_STAT_FIELD
};

struct engine {
    const struct kvm_sys *sys;
    struct ram *ram;
    const struct engine_host *host;
    const struct cpuid_table *cpuid;
    unsigned vcpus;
    int kvm, vm;
    int first_vcpu; /* fd of vCPU 0 until it is created: the TSC's frequency is asked of a vCPU */
    size_t run_size;
    uint64_t tsc_khz;
    bool doorbells; /* this KVM has them, for writes of any size */
    uint32_t *msrs; /* that this KVM saves */
    unsigned msr_count;
    struct engine_vcpu *vcpu[256];
    /* A debugger's, changed while all vCPUs are stopped. */
    struct kvm_watch {
        struct engine_point point;
        uint64_t lin;
        uint8_t size;
    } watch[4];
    unsigned watches;
    struct lock lock; /* below */
    struct ram_region slot[RAM_MAX_REGIONS];
    unsigned slots;
    bool dirty_log;
    bool changed[RAM_MAX_REGIONS]; /* with a log: the slot was made anew */
};

struct engine_vcpu {
    struct engine *en;
    unsigned index;
    int fd;
    struct kvm_run *run;
    const struct engine_host *host;

    _Atomic bool stop, inside;
    _Atomic pid_t tid; /* of the thread that is inside, or was last */

    /* The vCPU's thread's, or the owner's while it is stopped. */
    enum x86_mp_state mp;
    bool incomplete;             /* KVM has to finish an instruction before it says what is what */
    bool fresh;                  /* its state was set: what kvm_run says of it is old */
    bool ready;                  /* an interrupt can go in now */
    _Atomic uint64_t tsc_offset; /* guest's TSC - host's */
    uint64_t apic_base;          /* as KVM was told */
    bool step, debug_stale;      /* KVM has not been told of the debugger's wishes yet */
    struct engine_debug_stop stopped;
    struct kvm_stat stat;
    struct x86_cpu scratch;
    char error[512];
};

static inline uint64_t kvm_host_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

/* msr.c */
int kvm_msr_setup(struct engine *en, struct err *e) MUST_CHECK; /* list, filter */
int kvm_msr_get(struct engine_vcpu *v, uint32_t index, uint64_t *value) MUST_CHECK;
int kvm_msr_set(struct engine_vcpu *v, uint32_t index, uint64_t value) MUST_CHECK;
void kvm_msr_save(struct engine_vcpu *v, struct x86_cpu *cpu);
int kvm_msr_load(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e) MUST_CHECK;
/* RDMSR and WRMSR that the kernel leaves to us. false: #GP(0). */
bool kvm_msr_read(struct engine_vcpu *v, uint32_t index, uint64_t *value);
bool kvm_msr_write(struct engine_vcpu *v, uint32_t index, uint64_t value);

/* tsc.c */
uint64_t kvm_tsc_measure(void); /* kHz */
int kvm_tsc_set(struct engine_vcpu *v, uint64_t tsc) MUST_CHECK;
int kvm_tsc_move(struct engine_vcpu *v, uint64_t delta) MUST_CHECK;

/* state.c */
void kvm_get_state(struct engine_vcpu *v, struct x86_cpu *cpu);
int kvm_set_state(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e);
int kvm_sync_apic_base(struct engine_vcpu *v) MUST_CHECK;

/* memory.c */
int kvm_memory_setup(struct engine *en, struct err *e) MUST_CHECK;
void kvm_remap(struct engine *en);
int kvm_dirty_log(struct engine *en, bool on);
int kvm_dirty_take(struct engine *en, ram_write_fn *fn, void *opaque);

/* debug.c */
int kvm_debug_points(struct engine *en, const struct engine_point *p, unsigned n);
void kvm_debug_step(struct engine_vcpu *v, bool on);
void kvm_debug_stop(struct engine_vcpu *v, struct engine_debug_stop *out);
int kvm_debug_load(struct engine_vcpu *v) MUST_CHECK;
void kvm_debug_exit(struct engine_vcpu *v);

/* run.c */
enum engine_exit kvm_run(struct engine_vcpu *v);
void kvm_kick(struct engine_vcpu *v, bool stop);
int kvm_kick_setup(void) MUST_CHECK;

/* stats.c */
void kvm_counters(struct engine *en, counter_fn *fn, void *opaque);

#endif
