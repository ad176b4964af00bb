/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of an I/O APIC: Intel 82093AA data sheet, chapter 3, with the version 0x20 EOI
 * register. No lock, no messages: functions return the set of pins (bit n: pin n) that send their
 * interrupt now; ioapic_chip_message says what that is.
 */
#ifndef DOPPEL_DEV_CHIP_IOAPIC_CHIP_H
#define DOPPEL_DEV_CHIP_IOAPIC_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define IOAPIC_CHIP_PINS 24

/* Memory-mapped registers. */
enum { IOAPIC_REGSEL = 0x00, IOAPIC_WIN = 0x10, IOAPIC_EOIR = 0x40 };

/* Bits of a redirection table entry. */
#define IOAPIC_RTE_STATUS (1ull << 12)
#define IOAPIC_RTE_REMOTE_IRR (1ull << 14)
#define IOAPIC_RTE_LEVEL (1ull << 15)
#define IOAPIC_RTE_MASKED (1ull << 16)

struct ioapic_chip {
    uint8_t id;     /* as set at power-on; fixed */
    uint8_t id_reg; /* bits 24 - 27 of the ID register */
    uint8_t select;
    uint32_t lines; /* levels of the inputs */
    uint64_t rte[IOAPIC_CHIP_PINS];
};

extern const struct state_table ioapic_chip_state;

void ioapic_chip_reset(struct ioapic_chip *c); /* the levels of the inputs stay */
uint32_t ioapic_chip_read(const struct ioapic_chip *c, unsigned offset);
uint32_t ioapic_chip_write(struct ioapic_chip *c, unsigned offset, uint32_t value) MUST_CHECK;
uint32_t ioapic_chip_set_line(struct ioapic_chip *c, unsigned pin, bool level) MUST_CHECK;
uint32_t ioapic_chip_eoi(struct ioapic_chip *c, uint8_t vector) MUST_CHECK;

/* The interrupt of a pin as an MSI (Intel SDM vol. 3, 11.11). */
void ioapic_chip_message(const struct ioapic_chip *c, unsigned pin, uint64_t *addr, uint32_t *data);

#endif
