/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the register file of the local APIC asks of its timer. */
#ifndef DOPPEL_DEV_CHIP_LAPIC_INTERNAL_H
#define DOPPEL_DEV_CHIP_LAPIC_INTERNAL_H

#include "dev/chip/lapic_chip.h"

uint32_t lapic_timer_current(struct lapic_chip *c, uint64_t now);
void lapic_timer_write_initial(struct lapic_chip *c, uint32_t value, uint64_t now);
void lapic_timer_write_divide(struct lapic_chip *c, uint8_t value, uint64_t now);
void lapic_timer_write_lvt(struct lapic_chip *c, uint32_t value, uint64_t now);

#endif
