/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LPT1 of a PC, with a printer whose paper is a back end: three ports from 0x378, IRQ 7. A byte is
 * handed to the back end before the write that ends its strobe returns.
 */
#ifndef DOPPEL_DEV_PARALLEL_H
#define DOPPEL_DEV_PARALLEL_H

#include <stddef.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"

#define PARALLEL_LPT1_PORT 0x378
#define PARALLEL_LPT1_IRQ 7

struct parallel_config {
    struct pin irq;
    /* With no lock held, on the thread of the vCPU that made the access. Takes all. */
    void (*print)(void *opaque, const uint8_t *buf, size_t len);
    void *opaque;
};

int parallel_create(const struct parallel_config *cfg, struct bus *ports, uint16_t base,
                    struct device *out) MUST_CHECK;

#endif
