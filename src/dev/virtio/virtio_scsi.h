/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio SCSI host, virtio 1.2 section 5.6: targets with one logical unit each, several request
 * queues, task management, events when a target comes, goes or grows. All queues are served on one
 * I/O loop, never on a vCPU's thread.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_SCSI_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_SCSI_H

#include "dev/device.h"
#include "dev/scsi/scsi_unit.h"
#include "dev/virtio/virtio_pci.h"

#define VIRTIO_SCSI_TARGETS 32u
#define VIRTIO_SCSI_MAX_QUEUES 16u

struct virtio_scsi_config {
    struct virtio_place place; /* place.loop: not the main loop, see block_drain */
    unsigned queues;           /* for requests, 1 to VIRTIO_SCSI_MAX_QUEUES */
    void (*ejected)(void *opaque, const struct scsi_unit *u); /* the guest opened a tray */
    void *opaque;
};

int virtio_scsi_create(const struct virtio_scsi_config *cfg, struct device *out,
                       struct err *e) MUST_CHECK;

/* --- the main thread, vCPUs may run --- */

/* A new target, which the guest hears of; `backend` outlives it and is NULL for a CD-ROM drive
 * without a medium. -EEXIST: there is one, with this number. */
int virtio_scsi_add(void *self, unsigned target, enum scsi_kind kind, struct block_backend *backend,
                    struct err *e) MUST_CHECK;
/* The target goes, and its back end is not used any more. */
void virtio_scsi_remove(void *self, unsigned target);
/* The unit of a target, or NULL. */
struct scsi_unit *virtio_scsi_unit(void *self, unsigned target);
/* A back end has grown. Nothing happens if it is of no target here. */
void virtio_scsi_resized(void *self, const struct block_backend *backend);

#endif
