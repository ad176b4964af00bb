/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports that take a byte and do nothing visible: POST code (0x80) and the delay port 0xed, and the
 * firmware's debug console (0x402, reads 0xe9).
 */
#ifndef DOPPEL_DEV_POST_PORTS_H
#define DOPPEL_DEV_POST_PORTS_H

#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"
#include "dev/device.h"

struct post_ports_config {
    /* Bytes of the debug console, on the vCPU's thread, no lock held. NULL: no console, the port is
     * not there. */
    void (*debug_tx)(void *opaque, const uint8_t *buf, size_t len);
    void *opaque;
};

struct post_ports;

int post_ports_create(const struct post_ports_config *cfg, struct post_ports **out) MUST_CHECK;
struct device post_ports_device(struct post_ports *p);
int post_ports_map(struct post_ports *p, struct bus *ports) MUST_CHECK;

#endif
