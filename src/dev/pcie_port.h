/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root port of PCI Express with a slot for one card, which comes and goes while the machine runs:
 * that of the ICH9 (data sheet 316972, chapter 20). Its driver is whatever knows hot plug of PCI
 * Express. The card is a function added at PCI_BEHIND(devfn).
 */
#ifndef DOPPEL_DEV_PCIE_PORT_H
#define DOPPEL_DEV_PCIE_PORT_H

#include "bus/pci.h"
#include "dev/device.h"

struct pcie_port_config {
    struct pci_bus *bus;
    unsigned devfn;
    unsigned number; /* of the slot, as a person counts, from 1 */
    /* The guest has turned the card's power off, or resets it: pcie_port_spent says so until the
     * card is taken out or pcie_port_renewed. Any thread, no lock held. */
    void (*spent)(void *opaque);
    void *opaque;
};

int pcie_port_create(const struct pcie_port_config *cfg, struct device *out,
                     struct err *e) MUST_CHECK;

/* Main thread, vCPUs stopped. The card is on the bus, or is not on it any more. */
void pcie_port_insert(struct device *d);
void pcie_port_take(struct device *d);
void pcie_port_renewed(struct device *d); /* it was reset */

/* Main thread. */
bool pcie_port_spent(struct device *d);
bool pcie_port_link(struct device *d); /* does the guest reach the card? */
/* Asks the guest to let go of the card. -EBUSY: it is about to turn power on or off. */
int pcie_port_press(struct device *d) MUST_CHECK;

#endif
