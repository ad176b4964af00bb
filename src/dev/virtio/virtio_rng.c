/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio entropy device, virtio 1.2 section 5.4: one queue of buffers to fill. */
#include "dev/virtio/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUEUE_SIZE 64
#define SEGMENTS 64
#define REQUEST_MAX 4096u /* bytes given to one request; the driver asks again */

struct virtio_rng {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    gpa_t gpa[SEGMENTS];
    struct iovec iov[SEGMENTS];
};

static uint32_t fill(struct virtq *q, struct virtq_req *r)
{
    uint32_t done = 0;
    for (unsigned i = 0; i < r->in_count && done < REQUEST_MAX; i++) {
        const struct iovec *v = &virtq_req_in(r)[i];
        uint32_t n = REQUEST_MAX - done;
        n = v->iov_len < n ? (uint32_t)v->iov_len : n;
        ssize_t got = getrandom(v->iov_base, n, 0);
        if (got > 0)
            done += (uint32_t)got;
        if (got < (ssize_t)n)
            break;
    }
    virtq_req_written(q, r, 0, done);
    return done;
}

static void rng_run(void *self, unsigned queue)
{
    struct virtio_rng *g = self;
    struct virtq *q = &g->vdev.queues[queue];
    unsigned budget = QUEUE_SIZE;
    do {
        struct virtq_req r = {.iov = g->iov, .gpa = g->gpa, .max = SEGMENTS};
        virtq_kicks_off(q);
        for (; budget != 0 && virtq_pop(q, &r) > 0; budget--)
            virtq_push(q, &r, fill(q, &r));
    } while (budget != 0 && virtq_kicks_on(q));
    virtq_commit(q);
    if (budget == 0) /* others on the loop have their turn */
        virtio_kick(&g->vdev, queue);
}

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    memset(buf, 0, len); /* there is none */
}

static const struct virtio_ops rng_virtio_ops = {
    .name = "virtio-rng",
    .device_id = VIRTIO_DEV_ENTROPY,
    .config_read = config_read,
    .run = rng_run,
};

static void rng_reset(void *self)
{
    struct virtio_rng *g = self;
    virtio_pci_reset(&g->pci);
}

static void rng_pause(void *self)
{
    struct virtio_rng *g = self;
    virtio_pci_pause(&g->pci);
}

static void rng_resume(void *self)
{
    struct virtio_rng *g = self;
    virtio_pci_resume(&g->pci);
}

static void rng_restore(void *self)
{
    struct virtio_rng *g = self;
    virtio_pci_restore(&g->pci);
}

static void rng_destroy(void *self)
{
    struct virtio_rng *g = self;
    if (g == NULL)
        return;
    virtio_pci_finish(&g->pci);
    virtio_dev_finish(&g->vdev);
    free(g);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_rng, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_rng, pci, 1, &virtio_pci_state),
    STATE_END_F,
};
static const struct state_table rng_state = {
    .name = "virtio-rng", .version = 1, .fields = fields, .validate = NULL};

static const struct device_ops rng_ops = {
    .name = "virtio-rng",
    .reset = rng_reset,
    .pause = rng_pause,
    .resume = rng_resume,
    .restore = rng_restore,
    .destroy = rng_destroy,
    .state = &rng_state,
};

int virtio_rng_create(const struct virtio_place *place, struct device *out, struct err *e)
{
    struct virtio_rng *g = calloc(1, sizeof(*g));
    struct virtio_dev_config vc = {.ops = &rng_virtio_ops,
                                   .self = g,
                                   .ram = place->ram,
                                   .no_packed = place->no_packed,
                                   .queue_count = 1,
                                   .queue_size = QUEUE_SIZE,
                                   .loop = place->loop};
    if (g == NULL || virtio_dev_init(&g->vdev, &vc) < 0) {
        free(g);
        return err_set(e, ENOMEM, "cannot set up the entropy device");
    }
    int r = virtio_pci_init(&g->pci, &g->vdev, place, 0x00ff00, e);
    if (r < 0) {
        virtio_dev_finish(&g->vdev);
        free(g);
        return r;
    }
    *out = (struct device){&rng_ops, g};
    return 0;
}
