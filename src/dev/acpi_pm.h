/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI fixed hardware: PM1 event and control registers with the power button, PM timer, an
 * empty GPE0 block. ACPI 6.4, 4.8. There is no SMI command port: the hardware is always in ACPI
 * mode (SCI_EN reads 1), so the FADT has SMI_CMD 0.
 *
 * Offsets from the base port, for the FADT:
 */
#ifndef DOPPEL_DEV_ACPI_PM_H
#define DOPPEL_DEV_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"

#define ACPI_PM_BASE 0x600 /* the customary base */
#define ACPI_PM_SIZE 0x80  /* ports it occupies */
#define ACPI_PM1_EVT 0x00  /* length 4: status, enable */
#define ACPI_PM1_CNT 0x04  /* length 2 */
#define ACPI_PM_TMR 0x08   /* length 4 */
#define ACPI_PM_GPE0 0x20  /* length 16: 8 bytes status, 8 bytes enable */
#define ACPI_PM_GPE0_LEN 16
#define ACPI_PM_SCI 9          /* IRQ of the SCI: level, active high in the MADT's override */
#define ACPI_PM_SLP_TYP_UEFI 0 /* S5, too: what UEFI takes on these boards, without tables */
#define ACPI_PM_SLP_TYP_S3 1   /* the DSDT's \_S3 is Package { 1, 1, 0, 0 } */
#define ACPI_PM_SLP_TYP_S5 5   /* the DSDT's \_S5 is Package { 5, 5, 0, 0 } */
#define ACPI_PM_TIMER_HZ 3579545

struct acpi_pm_config {
    struct loop *loop;
    struct vclock *clock;
    struct pin sci;
    bool timer_32bit; /* FADT flag TMR_VAL_EXT */
    /* The guest entered S5. On the vCPU's thread, no lock held. */
    void (*power_off)(void *opaque);
    void (*sleep)(void *opaque); /* S3, likewise */
    void *opaque;
};

struct acpi_pm;

int acpi_pm_create(const struct acpi_pm_config *cfg, struct acpi_pm **out) MUST_CHECK;
struct device acpi_pm_device(struct acpi_pm *p);
int acpi_pm_map(struct acpi_pm *p, struct bus *ports, uint16_t base) MUST_CHECK;

/* Presses the power button (once, shortly). Any thread. */
void acpi_pm_power_button(struct acpi_pm *p);
/* The machine wakes from S3, by what. Any thread. */
enum acpi_pm_wake { ACPI_PM_WAKE_OTHER, ACPI_PM_WAKE_RTC };
void acpi_pm_wake(struct acpi_pm *p, enum acpi_pm_wake why);
/* A general-purpose event 0 - 63 happened (hot plug). Any thread. */
void acpi_pm_gpe(struct acpi_pm *p, unsigned event);

#endif
