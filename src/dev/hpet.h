/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * High precision event timer: 64-bit counter at 100 MHz, three comparators (the first periodic),
 * legacy replacement, MSI (FSB) delivery. IA-PC HPET specification 1.0a.
 *
 * In legacy replacement mode the HPET takes IRQ 0 and IRQ 8 away from the 8254 and the RTC, so the
 * outputs of those two pass through it (hpet_isa_in).
 */
#ifndef DOPPEL_DEV_HPET_H
#define DOPPEL_DEV_HPET_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"

#define HPET_MMIO_BASE 0xfed00000u
#define HPET_MMIO_SIZE 0x1000u    /* 1 KiB of registers */
#define HPET_PERIOD_FS 10000000u  /* 10 ns */
#define HPET_BLOCK_ID 0x8086a201u /* low half of GCAP_ID, for the ACPI table */
#define HPET_ROUTES 0x00f00000u   /* I/O APIC pins 20 - 23; the board leaves them to the HPET */

struct hpet_config {
    struct loop *loop;
    struct vclock *clock;
    /* The board's lines: `set` is called with `line` 0, 8 and 20 - 23 (gsi_set_line); its own
     * `line` is not used. */
    struct pin lines;
    struct msi_sink msi;
};

struct hpet;

int hpet_create(const struct hpet_config *cfg, struct hpet **out) MUST_CHECK;
struct device hpet_device(struct hpet *h);
int hpet_map(struct hpet *h, struct bus *mmio, uint64_t base) MUST_CHECK;

/* Line 0: output of the 8254; line 8: output of the RTC. Fits struct pin, opaque is the struct
 * hpet. Any thread. */
void hpet_isa_in(void *opaque, unsigned line, bool level);

#endif
