/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function of a PIIX4 (data sheet 290562, chapter 8): two channels with two drives each at
 * the ports and interrupts of old, a bus master in BAR 4.
 */
#ifndef DOPPEL_DEV_IDE_H
#define DOPPEL_DEV_IDE_H

#include "block/block.h"
#include "bus/pci.h"
#include "dev/chip/ata.h"
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
    void (*ejected)(void *opaque,
                    unsigned drive); /* the guest opened the tray; the loop's thread */
    void *opaque;
};

/* An adapter without drives; they are added before the machine runs. */
int ide_create(const struct ide_config *cfg, struct device *out, struct err *e) MUST_CHECK;
/* `backend` outlives the device; NULL is a CD-ROM drive without a medium. */
int ide_add(const struct device *d, unsigned drive, enum ata_kind kind,
            struct block_backend *backend, struct err *e) MUST_CHECK;
/* What sits there. */
enum ata_kind ide_kind(const struct device *d, unsigned drive);
/* See ata_unit_change. */
int ide_change(const struct device *d, unsigned drive, struct block_backend *backend) MUST_CHECK;
bool ide_locked(const struct device *d, unsigned drive); /* the tray, by the guest */
/* Tells the guest that a person wants the tray open. */
void ide_request_eject(const struct device *d, unsigned drive);
/* What firmware does: decodes the ports. */
void ide_program(const struct device *d);

#endif
