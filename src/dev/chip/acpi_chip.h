/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the ACPI fixed hardware: ACPI 6.4, 4.8.3 (PM1, PM timer) and 4.8.4 (GPE0). No
 * lock, no clock: `tick` counts PM timer clocks since some start and never goes back.
 */
#ifndef DOPPEL_DEV_CHIP_ACPI_CHIP_H
#define DOPPEL_DEV_CHIP_ACPI_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

/* Offsets, as in dev/acpi_pm.h. */
enum {
    ACPI_CHIP_STATUS = 0x00,
    ACPI_CHIP_ENABLE = 0x02,
    ACPI_CHIP_CONTROL = 0x04,
    ACPI_CHIP_TIMER = 0x08,
    ACPI_CHIP_GPE_STATUS = 0x20,
    ACPI_CHIP_GPE_ENABLE = 0x28,
    ACPI_CHIP_END = 0x30,
};

/* PM1 status and enable bits. */
enum {
    ACPI_TMR = 1 << 0,
    ACPI_GBL = 1 << 5,
    ACPI_PWRBTN = 1 << 8,
    ACPI_RTC = 1 << 10, /* its alarm has ended a sleep */
    ACPI_WAK = 1 << 15, /* status only */
};

#define ACPI_CHIP_NEVER UINT64_MAX

struct acpi_chip {
    uint8_t timer_bits; /* 24 or 32; fixed */
    uint16_t status, enable, control;
    uint64_t timer_start; /* tick at which the timer was 0 */
    uint64_t half;        /* half periods of the timer seen so far */
    uint64_t gpe_status, gpe_enable;
};

extern const struct state_table acpi_chip_state;

void acpi_chip_reset(struct acpi_chip *c, uint64_t tick);
uint32_t acpi_chip_read(struct acpi_chip *c, unsigned offset, unsigned size, uint64_t tick);
/* Returns the SLP_TYP if the write asks to sleep, else -1. */
int acpi_chip_write(struct acpi_chip *c, unsigned offset, uint32_t value, unsigned size,
                    uint64_t tick);
void acpi_chip_power_button(struct acpi_chip *c);
void acpi_chip_wake(struct acpi_chip *c, bool by_rtc); /* a sleep ends */
void acpi_chip_gpe(struct acpi_chip *c, unsigned event);

void acpi_chip_poll(struct acpi_chip *c, uint64_t tick); /* sets the timer's status bit when due */
bool acpi_chip_sci(const struct acpi_chip *c);
/* The tick at which to poll for the timer's interrupt, or ACPI_CHIP_NEVER. */
uint64_t acpi_chip_due(const struct acpi_chip *c);
void acpi_chip_shift(struct acpi_chip *c, uint64_t delta);

#endif
