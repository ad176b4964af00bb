/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function of a PIIX4 (data sheet 290562, chapter 8): two channels with two drives each at
 * the ports and interrupts of old, a bus master in BAR 4.
 */
#ifndef DOPPEL_DEV_IDE_H
#define DOPPEL_DEV_IDE_H

#include "block/block.h"
#include "bus/pci.h"
#include "dev/ata_unit.h"
#include "dev/device.h"
#include "mem/ram.h"

#define IDE_CHANNELS 2u
#define IDE_DRIVES 4u /* primary master, slave, secondary master, slave */
#define IDE_IRQ 14u   /* of the first channel; 15 of the second */

struct ide_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct bus *ports;
    struct ram *ram;
    struct loop *loop;            /* not the main loop, see block_drain */
    struct pin irq[IDE_CHANNELS]; /* the ISA interrupts */
    /* The guest opened the tray; the loop's thread. */
    void (*ejected)(void *opaque, const struct ata_unit *u);
    void *opaque;
};

/* An adapter without drives; they are added before the machine runs. */
int ide_create(const struct ide_config *cfg, struct device *out, struct err *e) MUST_CHECK;
/* See ata_unit_init. */
int ide_add(const struct device *d, unsigned drive, enum ata_kind kind,
            struct block_backend *backend, struct err *e) MUST_CHECK;
/* What sits there, or NULL. */
struct ata_unit *ide_unit(const struct device *d, unsigned drive);
/* What firmware does: decodes the ports. */
void ide_program(const struct device *d);

#endif
