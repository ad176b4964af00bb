/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Doorbells of virtio devices: see virtio_bell.h. */
#include "dev/virtio/virtio_bell.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

struct bell {
    struct virtio_dev *dev;
    unsigned queue;
    int fd; /* eventfd */
    struct loop_watch *watch;
    bool on; /* the engine has it */
};

struct virtio_bells {
    struct virtio_doorbells who;
    uint64_t first;
    unsigned count;
    struct bell bell[];
};

static void rung(void *opaque, int fd, unsigned events)
{
    struct bell *b = opaque;
    uint64_t n;

    (void)events;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        log_debug("%s: doorbell: errno %d", b->dev->ops->name, errno);
    virtio_serve(b->dev, UINT32_C(1) << b->queue);
}

static int bell_init(struct bell *b, struct virtio_dev *d, unsigned queue)
{
    b->dev = d;
    b->queue = queue;
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd < 0)
        return -errno;
    return loop_watch(virtio_queue_served_by(d, queue), b->fd, LOOP_READ, rung, b, &b->watch);
}

int virtio_bells_create(struct virtio_dev *d, const struct virtio_doorbells *who,
                        struct virtio_bells **out)
{
    struct virtio_bells *b;
    int rc = 0;

    *out = NULL;
    if (who->set == NULL)
        return 0;
    b = calloc(1, sizeof(*b) + d->queue_count * sizeof(b->bell[0]));
    if (b == NULL)
        return -ENOMEM;
    b->who = *who;
    b->first = VIRTIO_BELLS_NOWHERE;
    while (b->count < d->queue_count && rc == 0) {
        rc = bell_init(&b->bell[b->count], d, b->count);
        b->count++;
    }
    if (rc < 0) {
        virtio_bells_destroy(b);
        return rc;
    }
    *out = b;
    return 0;
}

void virtio_bells_place(struct virtio_bells *b, uint64_t first)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct bell *bell = &b->bell[i];

        if (bell->on)
            (void)b->who.set(b->who.opaque, b->first + 4 * i, bell->fd, false);
        bell->on = first != VIRTIO_BELLS_NOWHERE &&
                   b->who.set(b->who.opaque, first + 4 * i, bell->fd, true) == 0;
    }
    b->first = first;
}

void virtio_bells_destroy(struct virtio_bells *b)
{
    if (b == NULL)
        return;
    virtio_bells_place(b, VIRTIO_BELLS_NOWHERE);
    for (unsigned i = 0; i < b->count; i++) {
        loop_unwatch(b->bell[i].watch);
        if (b->bell[i].fd >= 0)
            close(b->bell[i].fd);
    }
    free(b);
}
