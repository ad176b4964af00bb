/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio console, virtio 1.2 section 5.3: queue 0 carries bytes to the guest, queue 1 from it.
 *
 * Output that the host does not take now stays in the guest: the request is given back to the
 * queue, and `out_done` remembers how much of it has gone. So nothing is in flight between calls,
 * and a pause finds no bytes of the guest in our hands.
 */
#include "dev/virtio/virtio_console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 64
#define SEGMENTS 64
#define F_SIZE 0

enum { QUEUE_IN, QUEUE_OUT, QUEUES };

/* 5.3.4 */
struct console_space {
    uint16_t cols, rows;
    uint32_t max_ports, emerg_wr;
} __attribute__((packed));

struct virtio_console {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    struct virtio_console_config cfg;
    _Atomic uint32_t size; /* cols | rows << 16 */
    bool input_wanted;     /* the host has more input than the guest took; loop's thread */
    bool output_full;      /* the host takes no output now; loop's thread */
    uint32_t out_done;     /* state: bytes of the next output request that have gone */
    gpa_t gpa[SEGMENTS];
    struct iovec iov[SEGMENTS];
};

static struct virtq_req request(struct virtio_console *c)
{
    return (struct virtq_req){.iov = c->iov, .gpa = c->gpa, .max = SEGMENTS};
}

/* --- from the guest --- */

/* Offers a request's bytes to the host; true: all of them have gone. */
static bool offer(struct virtio_console *c, const struct virtq_req *r)
{
    uint32_t skip = c->out_done;
    for (unsigned i = 0; i < r->out_count; i++) {
        size_t len = r->iov[i].iov_len;
        if (skip >= len) {
            skip -= (uint32_t)len;
            continue;
        }
        const uint8_t *from = (const uint8_t *)r->iov[i].iov_base + skip;
        size_t taken = c->cfg.output(c->cfg.opaque, from, len - skip);
        c->out_done += (uint32_t)taken;
        if (taken < len - skip)
            return false;
        skip = 0;
    }
    c->out_done = 0;
    return true;
}

static void run_output(struct virtio_console *c)
{
    struct virtq *q = &c->vdev.queues[QUEUE_OUT];
    unsigned budget = QUEUE_SIZE;
    do {
        struct virtq_req r = request(c);
        virtq_kicks_off(q);
        for (; budget != 0 && !c->output_full && virtq_pop(q, &r) > 0; budget--) {
            c->output_full = !offer(c, &r);
            if (c->output_full)
                virtq_unpop(q, &r);
            else
                virtq_push(q, &r, 0);
        }
    } while (budget != 0 && !c->output_full && virtq_kicks_on(q));
    virtq_commit(q);
    if (budget == 0) /* others on the loop have their turn */
        virtio_kick(&c->vdev, QUEUE_OUT);
}

void virtio_console_output_ready(void *self)
{
    struct virtio_console *c = self;
    c->output_full = false;
    virtio_kick(&c->vdev, QUEUE_OUT);
}

/* --- to the guest --- */

static size_t give(struct virtio_console *c, const uint8_t *data, size_t len)
{
    struct virtq *q = &c->vdev.queues[QUEUE_IN];
    struct virtq_req r = request(c);
    size_t done = 0;
    while (done < len && virtq_pop(q, &r) > 0) {
        size_t n = len - done < r.in_len ? len - done : r.in_len;
        virtq_req_write(q, &r, 0, data + done, (uint32_t)n);
        virtq_push(q, &r, (uint32_t)n);
        done += n;
    }
    virtq_commit(q);
    return done;
}

size_t virtio_console_input(void *self, const void *data, size_t len)
{
    struct virtio_console *c = self;
    struct virtq *q = &c->vdev.queues[QUEUE_IN];
    size_t done = 0;
    if (virtio_hold(&c->vdev)) {
        if (virtio_queue_ready(&c->vdev, QUEUE_IN)) {
            do {
                done += give(c, (const uint8_t *)data + done, len - done);
            } while (done < len && virtq_kicks_on(q));
        }
        virtio_release(&c->vdev);
    }
    c->input_wanted = done < len;
    return done;
}

static void run_input(struct virtio_console *c)
{
    bool wanted = c->input_wanted;
    c->input_wanted = false;
    virtq_kicks_off(&c->vdev.queues[QUEUE_IN]); /* until input finds no room */
    if (wanted && c->cfg.input_ready != NULL)
        c->cfg.input_ready(c->cfg.opaque);
}

static void console_run(void *self, unsigned queue)
{
    if (queue == QUEUE_IN)
        run_input(self);
    else
        run_output(self);
}

/* --- configuration and life --- */

void virtio_console_resize(void *self, uint16_t cols, uint16_t rows)
{
    struct virtio_console *c = self;
    uint32_t size = cols | (uint32_t)rows << 16;
    if (atomic_exchange(&c->size, size) != size)
        virtio_config_changed(&c->vdev);
}

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_console *c = self;
    uint32_t size = atomic_load(&c->size);
    struct console_space s = {
        .cols = (uint16_t)size, .rows = (uint16_t)(size >> 16), .max_ports = 1};
    memcpy(buf, (const uint8_t *)&s + offset, len);
}

static void console_virtio_reset(void *self)
{
    struct virtio_console *c = self;
    c->out_done = 0;
}

static const struct virtio_ops console_virtio_ops = {
    .name = "virtio-console",
    .device_id = VIRTIO_DEV_CONSOLE,
    .config_read = config_read,
    .run = console_run,
    .reset = console_virtio_reset,
};

static void console_reset(void *self)
{
    struct virtio_console *c = self;
    virtio_pci_reset(&c->pci);
}

static void console_pause(void *self)
{
    struct virtio_console *c = self;
    virtio_pci_pause(&c->pci);
}

static void console_resume(void *self)
{
    struct virtio_console *c = self;
    virtio_pci_resume(&c->pci);
}

static void console_restore(void *self)
{
    struct virtio_console *c = self;
    virtio_pci_restore(&c->pci);
}

static void console_destroy(void *self)
{
    struct virtio_console *c = self;
    if (c == NULL)
        return;
    virtio_pci_finish(&c->pci);
    virtio_dev_finish(&c->vdev);
    free(c);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_console, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_console, pci, 1, &virtio_pci_state),
    STATE_U32_F(struct virtio_console, out_done),
    STATE_END_F,
};
static const struct state_table console_state = {
    .name = "virtio-console", .version = 1, .fields = fields, .validate = NULL};

static const struct device_ops console_ops = {
    .name = "virtio-console",
    .reset = console_reset,
    .pause = console_pause,
    .resume = console_resume,
    .restore = console_restore,
    .destroy = console_destroy,
    .state = &console_state,
};

int virtio_console_create(const struct virtio_console_config *cfg, struct device *out,
                          struct err *e)
{
    struct virtio_console *c = calloc(1, sizeof(*c));
    struct virtio_dev_config vc = {.ops = &console_virtio_ops,
                                   .self = c,
                                   .ram = cfg->place.ram,
                                   .features = VIRTIO_BIT(F_SIZE),
                                   .no_packed = cfg->place.no_packed,
                                   .config_size = sizeof(struct console_space),
                                   .queue_count = QUEUES,
                                   .queue_size = QUEUE_SIZE,
                                   .loop = cfg->place.loop};
    if (c == NULL || virtio_dev_init(&c->vdev, &vc) < 0) {
        free(c);
        return err_set(e, ENOMEM, "cannot set up the virtio console");
    }
    c->cfg = *cfg;
    c->size = cfg->cols | (uint32_t)cfg->rows << 16;
    int r = virtio_pci_init(&c->pci, &c->vdev, &cfg->place, 0x078000, e);
    if (r < 0) {
        virtio_dev_finish(&c->vdev);
        free(c);
        return r;
    }
    *out = (struct device){&console_ops, c};
    return 0;
}
