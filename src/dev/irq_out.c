/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delivery of interrupt output changes in order; the problem is explained in the header. */
#include "dev/irq_out.h"

static bool due(struct irq_out *o)
{
    return atomic_load(&o->shown) != atomic_load(&o->wanted);
}

/*
 * Only the thread that turned `busy` on delivers. One that finds it on may leave: its change was
 * noted before it looked, and the deliverer looks for changes once more after it turned `busy` off.
 */
void irq_out_flush(struct irq_out *o)
{
    while (due(o) && !atomic_exchange(&o->busy, true)) {
        while (due(o)) {
            uint32_t n = atomic_load(&o->shown) + 1;

            pin_set(&o->pin, (n & 1) != 0);
            atomic_store(&o->shown, n);
        }
        atomic_store(&o->busy, false);
    }
}

void irq_out_restore(struct irq_out *o, bool level)
{
    atomic_store(&o->wanted, level);
    atomic_store(&o->shown, level);
    pin_set(&o->pin, level);
}
