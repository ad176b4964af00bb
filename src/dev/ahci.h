/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial ATA adapter of an ICH9 in AHCI mode (data sheet 316972, chapter 14; AHCI 1.3.1): six
 * ports with a disk or a CD-ROM drive each, native command queueing, MSI.
 */
#ifndef DOPPEL_DEV_AHCI_H
#define DOPPEL_DEV_AHCI_H

#include "block/block.h"
#include "bus/pci.h"
#include "dev/ata_unit.h"
#include "dev/chip/ahci_chip.h"
#include "dev/device.h"
#include "mem/ram.h"

struct ahci_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop; /* not the main loop, see block_drain */
    /* The guest opened the tray; the loop's thread. */
    void (*ejected)(void *opaque, const struct ata_unit *u);
    void *opaque;
};

/* An adapter without drives; they are added before the machine runs. */
int ahci_create(const struct ahci_config *cfg, struct device *out, struct err *e) MUST_CHECK;
/* See ata_unit_init. */
int ahci_add(const struct device *d, unsigned port, enum ata_kind kind,
             struct block_backend *backend, struct err *e) MUST_CHECK;
/* What sits there, or NULL. */
struct ata_unit *ahci_unit(const struct device *d, unsigned port);

#endif
