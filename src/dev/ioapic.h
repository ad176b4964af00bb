/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An I/O APIC with 24 pins (version 0x20, with the EOI register). Intel 82093AA data sheet, ICH9
 * data sheet 13.5. It sends its interrupts as MSIs. Any thread.
 */
#ifndef DOPPEL_DEV_IOAPIC_H
#define DOPPEL_DEV_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"

#define IOAPIC_MMIO_BASE 0xfec00000u
#define IOAPIC_MMIO_SIZE 0x1000u
#define IOAPIC_PINS 24

struct ioapic_config {
    struct msi_sink msi; /* apic_bus_msi */
    uint8_t id;          /* as in the MADT, 0 - 15 */
};

struct ioapic;

int ioapic_create(const struct ioapic_config *cfg, struct ioapic **out) MUST_CHECK;
struct device ioapic_device(struct ioapic *a);
int ioapic_map(struct ioapic *a, struct bus *mmio, uint64_t base) MUST_CHECK;

/* Input pins; fits struct pin, opaque is the struct ioapic. */
void ioapic_set_line(void *opaque, unsigned line, bool level);
/* An end of interrupt for a level-triggered vector; fits apic_bus_on_eoi. */
void ioapic_eoi(void *opaque, uint8_t vector);

#endif
