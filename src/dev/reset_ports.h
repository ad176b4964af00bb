/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reset control register of the chip set (port 0xcf9) and system control port A (port 0x92: A20
 * and fast reset). Intel ICH9 data sheet, 13.7.
 *
 * Port 0xcf9 lies inside the PCI configuration address register: a dword access to 0xcf8 belongs to
 * PCI as a whole, only a byte access to 0xcf9 to this device. So reset_ports_map takes port 0x92
 * alone and the PCI bus gets reset_ports_cf9_ops (pci_bus_config.cf9, opaque is the struct
 * reset_ports).
 */
#ifndef DOPPEL_DEV_RESET_PORTS_H
#define DOPPEL_DEV_RESET_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "dev/device.h"

struct reset_ports_config {
    /* The guest resets the machine. On the vCPU's thread, no lock held. */
    void (*reset)(void *opaque);
    void (*a20)(void *opaque, bool on); /* may be NULL: A20 is always on */
    void *opaque;
};

struct reset_ports;

int reset_ports_create(const struct reset_ports_config *cfg, struct reset_ports **out) MUST_CHECK;
struct device reset_ports_device(struct reset_ports *r);
int reset_ports_map(struct reset_ports *r, struct bus *ports) MUST_CHECK;

extern const struct bus_ops reset_ports_cf9_ops;

#endif
