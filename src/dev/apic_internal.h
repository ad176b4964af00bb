/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fabric (apic_bus.c) and the local APICs (lapic.c) share.
 *
 * Other threads look at a local APIC without its lock where a glance is enough: is something
 * deliverable, does it match a destination. For them lapic_unlock publishes copies of what follows
 * from the registers.
 */
#ifndef DOPPEL_DEV_APIC_INTERNAL_H
#define DOPPEL_DEV_APIC_INTERNAL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "dev/apic.h"
#include "dev/chip/lapic_chip.h"

#define APIC_CACHE_LINE 64
#define APIC_EOI_SINKS 4

struct lapic {
    _Alignas(APIC_CACHE_LINE) struct apic_bus *bus;
    unsigned vcpu;
    struct timer *alarm;
    struct lock lock; /* for chip, armed and paused */
    struct lapic_chip chip;
    uint64_t armed; /* ns for which the alarm is set, UINT64_MAX: it is not */
    bool paused;    /* points in time in `chip` count from now */

    /* Published by lapic_unlock. */
    atomic_bool pending;  /* an interrupt can be taken */
    atomic_bool deferred; /* lapic_pv_settle has something to do */
    atomic_bool unhalt;   /* an end of HLT can be taken */
    _Atomic uint8_t nmis; /* that can be taken */
    atomic_bool startup;  /* an INIT or a start-up message can be taken */
    atomic_bool enabled;  /* by APIC_BASE */
    atomic_bool accepts;  /* enabled by APIC_BASE and SVR */
    atomic_bool x2;
    _Atomic uint8_t ppr; /* for lowest-priority arbitration */
    _Atomic uint32_t id, ldr, dfr;
    _Atomic uint64_t page; /* lapic_mmio_page */
};

struct apic_bus {
    struct apic_bus_config cfg;
    struct {
        apic_eoi_fn *fn;
        void *opaque;
    } eoi[APIC_EOI_SINKS];
    unsigned eoi_count;
    atomic_uint next_lowest; /* where the search for the lowest priority starts */
    atomic_bool renamed;     /* an APIC's id has once been another than its vCPU's number */
    struct lapic *lapics;    /* cfg.cpus of them */
};

int lapic_setup(struct lapic *l, struct apic_bus *b, unsigned vcpu) MUST_CHECK;
void lapic_finish(struct lapic *l);

void lapic_lock(struct lapic *l);
void lapic_unlock(struct lapic *l); /* publishes, kicks */

/* lapic_pv.c, on the vCPU's thread: settle before the registers are looked at, defer when a vector
 * was taken while the MSR said `msr`. */
void lapic_pv_settle_now(struct lapic *l);
void lapic_pv_defer(struct lapic *l, uint64_t msr);
bool lapic_pv_write(struct lapic *l, uint64_t value);

static inline void lapic_pv_settle(struct lapic *l)
{
    if (atomic_load_explicit(&l->deferred, memory_order_relaxed))
        lapic_pv_settle_now(l);
}

/* A message reaches the local APIC. */
void lapic_deliver(struct lapic *l, const struct apic_message *m);
void lapic_set_wire(struct lapic *l, unsigned lint, bool level);

/* Sends a message into the fabric; no lock held. `from`: the sender's vCPU, for shorthands. */
void apic_bus_deliver(struct apic_bus *b, const struct apic_message *m, unsigned from);
void apic_bus_end_of_interrupt(struct apic_bus *b, uint8_t vector);

#endif
