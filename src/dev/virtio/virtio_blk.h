/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio block device, virtio 1.2 section 5.2: several queues, flush, discard, write zeroes,
 * write-cache control. Requests are popped and submitted on the I/O loops, never on a vCPU's
 * thread.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_BLK_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_BLK_H

#include "block/block.h"
#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"

struct virtio_blk_config {
    struct virtio_place place;     /* place.loop is not used */
    struct block_backend *backend; /* outlives the device */
    struct loop *const *loops;     /* queue i is served by loops[i % loop_count]; not the main */
    unsigned loop_count;           /*   loop, see block_drain; at least 1 */
    unsigned queues;               /* 1 to VIRTIO_BLK_MAX_QUEUES */
    const char *serial;            /* up to 20 bytes; NULL: "" */
};
#define VIRTIO_BLK_MAX_QUEUES 16

int virtio_blk_create(const struct virtio_blk_config *cfg, struct device *out,
                      struct err *e) MUST_CHECK;
/* The back end has grown: the driver is told. Nothing happens if it is not this disk's. Any
 * thread. */
void virtio_blk_resized(void *self, const struct block_backend *backend);

#endif
