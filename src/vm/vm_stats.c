/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a machine's time goes, and what its parts count. */
#include "vm/vm_internal.h"

void vm_stats_start(struct vm *vm)
{
    vm->started_ns = clock_ns(CLOCK_MONOTONIC);
    vm->spent_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void vm_stats_end(struct vm *vm)
{
    vm->ended_ns = clock_ns(CLOCK_MONOTONIC);
}

static void tell(counter_fn *fn, void *opaque, const char *name, const char *unit, uint64_t value)
{
    fn(opaque, &(struct counter){"time", name, unit, value});
}

void vm_counters(struct vm *vm, counter_fn *fn, void *opaque)
{
    uint64_t end = vm->ended_ns != 0 ? vm->ended_ns : clock_ns(CLOCK_MONOTONIC);
    uint64_t elapsed = vm->started_ns != 0 ? end - vm->started_ns : 0;
    uint64_t process = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - vm->spent_ns,
             rest = elapsed * vm->cfg.cpus;
    struct vcpu_times sum = {0};

    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        struct vcpu_times t;

        vcpu_times(&vm->vcpu[i], &t);
        sum.running_ns += t.running_ns;
        sum.beside_ns += t.beside_ns;
        sum.halted_ns += t.halted_ns;
        sum.halts += t.halts;
    }
    uint64_t run = sum.running_ns + sum.beside_ns;
    rest -= run + sum.halted_ns < rest ? run + sum.halted_ns : rest;
    tell(fn, opaque, "elapsed", "ns", elapsed);
    tell(fn, opaque, "virtual CPUs run", "ns", run);
    tell(fn, opaque, "virtual CPUs are halted", "ns", sum.halted_ns);
    tell(fn, opaque, "virtual CPUs wait for the host", "ns", rest);
    tell(fn, opaque, "other threads run", "ns",
         process > sum.running_ns ? process - sum.running_ns : 0);
    tell(fn, opaque, "halts", "", sum.halts);
    machine_counters(vm->machine, fn, opaque);
}
