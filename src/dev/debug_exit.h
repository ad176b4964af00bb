/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port through which a test in the guest ends the machine with a status: a write of v calls back
 * with (v << 1) | 1.
 */
#ifndef DOPPEL_DEV_DEBUG_EXIT_H
#define DOPPEL_DEV_DEBUG_EXIT_H

#include <stdint.h>

#include "bus/bus.h"
#include "dev/device.h"

#define DEBUG_EXIT_PORT 0xf4
#define DEBUG_EXIT_PORTS 4

struct debug_exit_config {
    void (*exit)(void *opaque, uint32_t status); /* on the vCPU's thread, no lock held */
    void *opaque;
};

struct debug_exit;

int debug_exit_create(const struct debug_exit_config *cfg, struct debug_exit **out) MUST_CHECK;
struct device debug_exit_device(struct debug_exit *d);
int debug_exit_map(struct debug_exit *d, struct bus *ports, uint16_t base) MUST_CHECK;

#endif
