/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259A interrupt controllers of a PC at ports 0x20/0x21 and 0xa0/0xa1, the slave on
 * line 2 of the master, with the edge/level control registers 0x4d0/0x4d1. Intel 8259A data sheet.
 *
 * The output INTR goes to the CPU through LINT0 (apic_bus_set_intr); the CPU answers with
 * pic_acknowledge. Any thread.
 */
#ifndef DOPPEL_DEV_PIC_H
#define DOPPEL_DEV_PIC_H

#include <stdbool.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"

struct pic_config {
    struct pin intr; /* apic_bus_set_intr */
};

struct pic;

int pic_create(const struct pic_config *cfg, struct pic **out) MUST_CHECK;
struct device pic_device(struct pic *p);
int pic_map(struct pic *p, struct bus *ports) MUST_CHECK;

/* Input lines 0-15 (2 is the cascade and ignored); fits struct pin, opaque is the struct pic. */
void pic_set_line(void *opaque, unsigned line, bool level);

/* The INTA cycle: the vector, or -1 while INTR is low. Fits
 * apic_bus_config.extint_ack, opaque is the struct pic. */
int pic_acknowledge(void *opaque);

#endif
