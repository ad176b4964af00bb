/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One interrupt output of a device.
 *
 * A device computes the level of its output with its lock held but must not call the pin with it.
 * If each thread just called pin_set after dropping the lock, two threads could overtake each other
 * and leave the line at the older level for good. So the device notes every change under its lock
 * (irq_out_set) and afterwards, without the lock, lets irq_out_flush deliver what is due: the
 * changes reach the pin one by one in the order in which they were noted, whichever threads flush.
 * A flush may return while another thread is still delivering the caller's change.
 */
#ifndef DOPPEL_DEV_IRQ_OUT_H
#define DOPPEL_DEV_IRQ_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus/pin.h"

struct irq_out {
    struct pin pin;
    _Atomic uint32_t wanted; /* changes noted; bit 0 is the level the device wants */
    _Atomic uint32_t shown;  /* changes delivered; bit 0 is the level the pin has */
    atomic_bool busy;        /* a thread is delivering */
};

static inline void irq_out_init(struct irq_out *o, struct pin pin)
{
    o->pin = pin;
    atomic_init(&o->wanted, 0);
    atomic_init(&o->shown, 0);
    atomic_init(&o->busy, false);
}

/* Notes the level; with the device's lock held. */
static inline void irq_out_set(struct irq_out *o, bool level)
{
    uint32_t n = atomic_load_explicit(&o->wanted, memory_order_relaxed);

    if ((n & 1) != level)
        atomic_store(&o->wanted, n + 1);
}

/* Notes an edge: down if it was up, then up; with the device's lock held. */
static inline void irq_out_pulse(struct irq_out *o)
{
    irq_out_set(o, false);
    irq_out_set(o, true);
}

/* Delivers what is due; without any lock held. */
void irq_out_flush(struct irq_out *o);

/* Shows `level` on the pin even if nothing changed: the `restore` step of a device. vCPUs are
 * stopped. */
void irq_out_restore(struct irq_out *o, bool level);

#endif
