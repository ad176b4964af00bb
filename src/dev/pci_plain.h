/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI functions that are there to be found: configuration space and nothing behind it. Boards use
 * them for the bridge to the legacy devices, whose registers are elsewhere.
 */
#ifndef DOPPEL_DEV_PCI_PLAIN_H
#define DOPPEL_DEV_PCI_PLAIN_H

#include "bus/pci.h"
#include "dev/device.h"

extern const struct pci_func_info pci_plain_ich9_lpc;  /* 8086:2918, multifunction */
extern const struct pci_func_info pci_plain_piix3_isa; /* 8086:7000, multifunction */
extern const struct pci_func_info pci_plain_piix4_pm;  /* 8086:7113 */

int pci_plain_create(struct pci_bus *bus, unsigned devfn, const struct pci_func_info *info,
                     struct device *out, struct err *e) MUST_CHECK;
/* The function of a plain device, to give it registers (pci_func_set8 ...) before the machine
 * runs. */
struct pci_func *pci_plain_func(const struct device *d);

#endif
