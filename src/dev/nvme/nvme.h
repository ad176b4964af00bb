/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe controller with one namespace: NVM Express Base Specification 1.4, NVM command set. One
 * administration queue and up to NVME_QUEUES pairs of I/O queues, MSI-X, a volatile write cache,
 * shadow doorbells. Queues are served on the I/O loop, never on a vCPU's thread.
 */
#ifndef DOPPEL_DEV_NVME_NVME_H
#define DOPPEL_DEV_NVME_NVME_H

#include "block/block.h"
#include "bus/pci.h"
#include "dev/device.h"
#include "mem/ram.h"

#define NVME_QUEUES 16

struct nvme_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct block_backend *backend; /* outlives the device */
    struct loop *loop;             /* not the main loop, see block_drain */
    unsigned number;               /* of the controller, for its serial number */
};

int nvme_create(const struct nvme_config *cfg, struct device *out, struct err *e) MUST_CHECK;

#endif
