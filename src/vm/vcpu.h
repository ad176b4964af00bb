/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a vCPU.
 *
 *            vcpu_start                    vcpu_stop / vcpu_continue
 *   created ------------> running  <-----------------------------------> parked
 *                         | engine run |
 *                         | HLT: asleep until vcpu_wake
 *
 * A vCPU that ended by itself (triple fault, engine error) tells its owner and sleeps until it is
 * stopped, like one that a device told to (vcpu_hold).
 */
#ifndef DOPPEL_VM_VCPU_H
#define DOPPEL_VM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "engine/engine.h"

struct vcpu {
    const struct engine_ops *engine;
    struct engine_vcpu *ev;
    unsigned index;
    int processor; /* of the host that the thread runs on; -1: any */
    /* The engine came back with something that is not this thread's to handle. On the vCPU's
     * thread; afterwards it sleeps until vcpu_stop. */
    void (*ended)(void *opaque, unsigned index, enum engine_exit why);
    void *opaque;

    _Atomic bool debug_exit; /* ended with ENGINE_EXIT_DEBUG, which nobody looked at yet */
    bool frozen;             /* main thread's: a debugger wants it to stay where it is */

    pthread_t thread;
    _Atomic int tid; /* of the thread; 0: it has not begun */
    bool started;
    _Atomic uint32_t bell; /* futex: BELL_* of vcpu.c */
    _Atomic bool held;     /* the guest asked for power-off or reset: run no further */
    _Atomic bool stop_wanted;
    _Atomic uint64_t halts, halted_ns;
    _Atomic uint64_t asleep_ns;  /* CLOCK_MONOTONIC when it fell asleep in HLT; 0: awake */
    _Atomic uint64_t running_ns; /* set when the thread ends */
    struct lock lock;            /* below */
    pthread_cond_t changed;
    bool quit, parked;
};

void vcpu_init(struct vcpu *v);
void vcpu_finish(struct vcpu *v); /* joined before, or never started */

/* 0 or -errno. The vCPU starts parked. */
int vcpu_start(struct vcpu *v) MUST_CHECK;
void vcpu_join(struct vcpu *v); /* ends the thread; nothing if it never started */

/* Main thread: returns when the vCPU is parked. Idempotent. */
void vcpu_stop(struct vcpu *v);
void vcpu_continue(struct vcpu *v); /* also if it was held */
void vcpu_let_go(struct vcpu *v);   /* it goes on, or stays held */

/* Out of HLT. Any thread. */
void vcpu_wake(struct vcpu *v);
/* The vCPU executes no further instruction after the one under way until it was stopped. Any
 * thread. */
void vcpu_hold(struct vcpu *v);

struct vcpu_times {
    uint64_t running_ns; /* CPU time of its thread */
    uint64_t beside_ns;  /* that it took elsewhere */
    uint64_t halted_ns, halts;
};
/* Main thread, while it runs or not. */
void vcpu_times(struct vcpu *v, struct vcpu_times *out);

#endif
