/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt lines of a PC's board. Line n < 16 is the ISA interrupt n: it goes to the 8259 pair
 * and to pin n of the I/O APIC, but line 0 goes to pin 2 (the MADT says so in an interrupt source
 * override) and line 2 does not exist. Lines 16 - 23 go to the I/O APIC alone. Every line has one
 * driver; who shares a line (PCI INTx) joins the sources first.
 */
#ifndef DOPPEL_DEV_GSI_H
#define DOPPEL_DEV_GSI_H

#include <stdbool.h>

#include "bus/pin.h"
#include "dev/ioapic.h"
#include "dev/pic.h"

struct gsi {
    struct pic *pic;       /* NULL: none */
    struct ioapic *ioapic; /* NULL: none */
};

/* Fits struct pin, opaque is the struct gsi. */
void gsi_set_line(void *opaque, unsigned line, bool level);

static inline struct pin gsi_pin(struct gsi *g, unsigned line)
{
    return (struct pin){.set = gsi_set_line, .opaque = g, .line = line};
}

#endif
