/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BusLogic BT-958, a PCI Ultra Wide SCSI adapter: 15 targets beside its own ID with one logical
 * unit each. CCBs are taken and done on the I/O loop, never on a vCPU's thread.
 */
#ifndef DOPPEL_DEV_SCSI_BUSLOGIC_H
#define DOPPEL_DEV_SCSI_BUSLOGIC_H

#include "bus/pci.h"
#include "dev/device.h"
#include "dev/scsi/scsi_unit.h"

struct buslogic_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop; /* not the main loop, see block_drain */
    void (*ejected)(void *opaque, const struct scsi_unit *u); /* the guest opened a tray */
    void *opaque;
};

int buslogic_create(const struct buslogic_config *cfg, struct device *out,
                    struct err *e) MUST_CHECK;
/* Before the machine runs; `backend` outlives the device. A target is 0 to 15, but not 7. */
int buslogic_add(void *self, unsigned target, enum scsi_kind kind, struct block_backend *backend,
                 struct err *e) MUST_CHECK;
struct scsi_unit *buslogic_unit(void *self, unsigned target); /* of a target that was added */
/* A back end has grown. Nothing happens if it is of no target here. Any thread. */
void buslogic_resized(void *self, const struct block_backend *backend);

#endif
