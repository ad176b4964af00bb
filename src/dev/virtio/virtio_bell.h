/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells. A notification is a write to a register, which brings the vCPU back to this process.
 * An engine that can may make an eventfd readable instead, and the vCPU goes on: each queue then
 * has one, which the queue's loop watches. Where the engine refuses, the register is served as
 * ever.
 *
 *   guest writes --engine--> eventfd --loop--> the device's run(queue)
 *
 * Nothing of it is state: a bell that rings while the device is closed is dropped, because resume
 * and DRIVER_OK look at all queues.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_BELL_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_BELL_H

#include "dev/virtio/virtio.h"

/* Who makes `fd` readable at each write, of any size, that begins at `gpa`; or stops it. 0 or
 * -errno. Any thread. */
struct virtio_doorbells {
    int (*set)(void *opaque, uint64_t gpa, int fd, bool on); /* NULL: nobody does */
    void *opaque;
};

struct virtio_bells;

#define VIRTIO_BELLS_NOWHERE UINT64_MAX

/* One for each queue, once its loop is known and before that runs. *out is NULL if nobody rings. */
int virtio_bells_create(struct virtio_dev *d, const struct virtio_doorbells *who,
                        struct virtio_bells **out) MUST_CHECK;
/* The register of queue i is at first + 4 * i now, or nowhere. One call at a time. */
void virtio_bells_place(struct virtio_bells *b, uint64_t first);
/* As a kicker's end: on the loop's thread, or after it ended. NULL is fine. */
void virtio_bells_destroy(struct virtio_bells *b);

#endif
