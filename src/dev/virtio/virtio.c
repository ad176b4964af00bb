/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core of a virtio device: status, features, holding, kicks. virtio 1.2 chapter 2 and 3.1.
 *
 * `holds` counts who works on the device; its top bit closes it. Pause, reset by the machine and
 * reset by the driver all set that bit; whoever drops the last hold of a closed device wakes the
 * main thread and completes a driver's reset. A vCPU never waits: a driver that resets a device
 * with disk requests under way reads a status other than 0 until they are done (2.4.1).
 */
#include "dev/virtio/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "dev/virtio/virtq_internal.h"

#define CLOSED (UINT32_C(1) << 31)
#define CORE_FEATURES                                                             \
    (VIRTIO_BIT(VIRTIO_FEATURE_INDIRECT) | VIRTIO_BIT(VIRTIO_FEATURE_EVENT_IDX) | \
     VIRTIO_BIT(VIRTIO_FEATURE_VERSION_1) | VIRTIO_BIT(VIRTIO_FEATURE_PACKED))

/* One loop that serves queues. */
struct virtio_kicker {
    struct virtio_kicker *next;
    struct virtio_dev *dev;
    struct loop *loop;
    struct loop_watch *watch;
    int fd;                   /* eventfd */
    _Atomic uint32_t pending; /* queues that were kicked */
};

/* --- holding --- */

static void finish_reset(struct virtio_dev *d);

/* The device is closed and the last hold is gone. */
static void drained(struct virtio_dev *d)
{
    finish_reset(d);
    lock_take(&d->lock);
    pthread_cond_broadcast(&d->idle);
    lock_drop(&d->lock);
}

void virtio_release(struct virtio_dev *d)
{
    if (atomic_fetch_sub(&d->holds, 1) == (CLOSED | 1))
        drained(d);
}

bool virtio_hold(struct virtio_dev *d)
{
    if ((atomic_fetch_add(&d->holds, 1) & CLOSED) == 0)
        return true;
    virtio_release(d);
    return false;
}

void virtio_hold_more(struct virtio_dev *d)
{
    atomic_fetch_add(&d->holds, 1);
}

/* Closes; on the main thread, waits until nobody holds the device. */
static void close_and_wait(struct virtio_dev *d)
{
    atomic_fetch_or(&d->holds, CLOSED);
    if (d->ops->drain != NULL)
        d->ops->drain(d->self);
    lock_take(&d->lock);
    while ((atomic_load(&d->holds) & ~CLOSED) != 0)
        lock_wait(&d->lock, &d->idle);
    lock_drop(&d->lock);
    finish_reset(d);
}

/* --- reset --- */

/* Everything to power-on values; the device is closed and idle. */
static void reset_core(struct virtio_dev *d)
{
    atomic_store(&d->live, false);
    if (d->ops->reset != NULL)
        d->ops->reset(d->self);
    if (d->transport.reset != NULL)
        d->transport.reset(d->transport.opaque);
    for (unsigned i = 0; i < d->queue_count; i++)
        virtq_reset(&d->queues[i]);
    for (struct virtio_kicker *k = d->kickers; k != NULL; k = k->next)
        atomic_store(&k->pending, 0);
}

/* Completes a driver's reset once: several threads may see the last hold go. */
static void finish_reset(struct virtio_dev *d)
{
    lock_take(&d->lock);
    bool mine = d->resetting && !d->finishing && (atomic_load(&d->holds) & ~CLOSED) == 0;
    if (mine)
        d->finishing = true;
    lock_drop(&d->lock);
    if (!mine)
        return;
    reset_core(d);
    lock_take(&d->lock);
    d->status = 0;
    d->features = 0;
    d->resetting = d->finishing = false;
    if (!d->paused)
        atomic_fetch_and(&d->holds, ~CLOSED);
    lock_drop(&d->lock);
}

static void driver_reset(struct virtio_dev *d)
{
    lock_take(&d->lock);
    bool again = d->resetting;
    d->resetting = true;
    atomic_store(&d->live, false);
    lock_drop(&d->lock);
    if (again)
        return;
    atomic_fetch_or(&d->holds, CLOSED);
    finish_reset(d);
}

/* Counts as paused meanwhile, so that a driver's reset that ends here does not open the device. */
void virtio_dev_reset(struct virtio_dev *d)
{
    lock_take(&d->lock);
    bool paused = d->paused;
    d->paused = true;
    lock_drop(&d->lock);
    close_and_wait(d);
    reset_core(d);
    lock_take(&d->lock);
    d->status = 0;
    d->features = 0;
    d->generation = 0;
    d->paused = paused;
    if (!paused)
        atomic_fetch_and(&d->holds, ~CLOSED);
    lock_drop(&d->lock);
}

void virtio_dev_pause(struct virtio_dev *d)
{
    lock_take(&d->lock);
    d->paused = true;
    lock_drop(&d->lock);
    close_and_wait(d);
}

void virtio_dev_resume(struct virtio_dev *d)
{
    lock_take(&d->lock);
    d->paused = false;
    if (!d->resetting)
        atomic_fetch_and(&d->holds, ~CLOSED);
    lock_drop(&d->lock);
    virtio_kick_all(d);
}

void virtio_dev_restore(struct virtio_dev *d)
{
    bool live =
        (d->status & VIRTIO_STATUS_DRIVER_OK) != 0 && (d->status & VIRTIO_STATUS_NEEDS_RESET) == 0;
    bool bad = (d->features & ~d->offered) != 0;
    d->features &= d->offered;
    for (unsigned i = 0; i < d->queue_count; i++) {
        struct virtq *q = &d->queues[i];
        q->staged = 0;
        q->kicks_wanted = true;
        if (q->size > q->max_size || q->inflight != 0 ||
            (q->enabled && !virtq_layout_of(q)->valid(q))) {
            bad = true;
            virtq_reset(q);
        }
    }
    if (live && bad)
        d->status |= VIRTIO_STATUS_NEEDS_RESET;
    else if (live) {
        if (d->ops->ready != NULL)
            d->ops->ready(d->self);
        atomic_store(&d->live, true);
    }
}

/* --- status and features --- */

uint8_t virtio_get_status(struct virtio_dev *d)
{
    lock_take(&d->lock);
    uint8_t status = d->status;
    lock_drop(&d->lock);
    return status;
}

static void driver_ok(struct virtio_dev *d)
{
    if (!virtio_hold(d))
        return;
    if (d->ops->ready != NULL)
        d->ops->ready(d->self);
    lock_take(&d->lock);
    if (!d->resetting && (d->status & VIRTIO_STATUS_NEEDS_RESET) == 0)
        atomic_store(&d->live, true);
    lock_drop(&d->lock);
    virtio_release(d);
    virtio_kick_all(d);
}

/* What of the bits that the driver adds may be set; lock held. */
static uint8_t acceptable(const struct virtio_dev *d, uint8_t add)
{
    add &= (uint8_t) ~(VIRTIO_STATUS_NEEDS_RESET | d->status);
    if ((d->features & ~d->offered) != 0 || !virtio_has(d, VIRTIO_FEATURE_VERSION_1))
        add &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    if (((d->status | add) & VIRTIO_STATUS_FEATURES_OK) == 0)
        add &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
    return add;
}

void virtio_set_status(struct virtio_dev *d, uint8_t status)
{
    if (status == 0) {
        driver_reset(d);
        return;
    }
    lock_take(&d->lock);
    uint8_t add = d->resetting ? 0 : acceptable(d, status);
    d->status |= add;
    lock_drop(&d->lock);
    if ((add & VIRTIO_STATUS_DRIVER_OK) != 0)
        driver_ok(d);
}

uint32_t virtio_offered_features(struct virtio_dev *d, unsigned word)
{
    return word < 2 ? (uint32_t)(d->offered >> (32 * word)) : 0;
}

uint32_t virtio_driver_features(struct virtio_dev *d, unsigned word)
{
    lock_take(&d->lock);
    uint64_t features = d->features;
    lock_drop(&d->lock);
    return word < 2 ? (uint32_t)(features >> (32 * word)) : 0;
}

void virtio_set_driver_features(struct virtio_dev *d, unsigned word, uint32_t value)
{
    if (word >= 2)
        return;
    lock_take(&d->lock);
    if ((d->status & VIRTIO_STATUS_FEATURES_OK) == 0 && !d->resetting) {
        d->features &= ~((uint64_t)UINT32_MAX << (32 * word));
        d->features |= (uint64_t)value << (32 * word);
    }
    lock_drop(&d->lock);
}

void virtio_broken(struct virtio_dev *d, const char *why)
{
    lock_take(&d->lock);
    bool first = (d->status & VIRTIO_STATUS_NEEDS_RESET) == 0;
    bool tell = first && (d->status & VIRTIO_STATUS_DRIVER_OK) != 0;
    atomic_store(&d->live, false);
    d->status |= VIRTIO_STATUS_NEEDS_RESET;
    lock_drop(&d->lock);
    if (first)
        log_guest("%s: %s; the device needs a reset", d->ops->name, why);
    if (tell && d->transport.notify_config != NULL)
        d->transport.notify_config(d->transport.opaque);
}

/* --- configuration --- */

uint8_t virtio_generation(struct virtio_dev *d)
{
    lock_take(&d->lock);
    uint8_t generation = d->generation;
    lock_drop(&d->lock);
    return generation;
}

void virtio_config_changed(struct virtio_dev *d)
{
    lock_take(&d->lock);
    d->generation++;
    lock_drop(&d->lock);
    if (virtio_live(d) && d->transport.notify_config != NULL)
        d->transport.notify_config(d->transport.opaque);
}

void virtio_config_read(struct virtio_dev *d, uint32_t offset, void *buf, uint32_t len)
{
    if (offset <= d->config_size && len <= d->config_size - offset)
        d->ops->config_read(d->self, offset, buf, len);
}

void virtio_config_write(struct virtio_dev *d, uint32_t offset, const void *buf, uint32_t len)
{
    if (d->ops->config_write != NULL && offset <= d->config_size && len <= d->config_size - offset)
        d->ops->config_write(d->self, offset, buf, len);
}

/* --- queues --- */

void virtio_queue_get(struct virtio_dev *d, unsigned queue, struct virtq_setup *s)
{
    *s = (struct virtq_setup){0};
    if (queue >= d->queue_count)
        return;
    struct virtq *q = &d->queues[queue];
    lock_take(&q->lock);
    *s = (struct virtq_setup){q->size, q->enabled, q->desc, q->driver, q->device};
    lock_drop(&q->lock);
}

void virtio_queue_set(struct virtio_dev *d, unsigned queue, const struct virtq_setup *s)
{
    if (queue >= d->queue_count || (virtio_get_status(d) & VIRTIO_STATUS_NEEDS_RESET) != 0)
        return;
    struct virtq *q = &d->queues[queue];
    bool negotiated = (virtio_get_status(d) & VIRTIO_STATUS_FEATURES_OK) != 0, bad = false;
    lock_take(&q->lock);
    if (!q->enabled) {
        if (s->size <= q->max_size)
            q->size = s->size;
        q->desc = s->desc;
        q->driver = s->driver;
        q->device = s->device;
        if (s->enabled) {
            virtq_start(q);
            bad = !negotiated || !virtq_layout_of(q)->valid(q);
            q->enabled = !bad;
        }
    }
    lock_drop(&q->lock);
    if (bad)
        virtio_broken(d, "a queue was enabled with a size or address that it cannot have");
}

/* --- kicks --- */

void virtio_kick(struct virtio_dev *d, unsigned queue)
{
    if (queue >= d->queue_count || !virtio_live(d))
        return;
    struct virtio_kicker *k = d->queue_kicker[queue];
    uint64_t one = 1;
    /* The reader empties the eventfd, then takes `pending`: a bit that was set while another one
     * was waiting is taken together with it. */
    if (atomic_fetch_or(&k->pending, UINT32_C(1) << queue) == 0 &&
        write(k->fd, &one, sizeof(one)) < 0)
        log_debug("%s: a kick was lost", d->ops->name);
}

void virtio_kick_all(struct virtio_dev *d)
{
    for (unsigned i = 0; i < d->queue_count; i++)
        virtio_kick(d, i);
}

bool virtio_queue_ready(struct virtio_dev *d, unsigned queue)
{
    bool dma = d->transport.dma_allowed == NULL || d->transport.dma_allowed(d->transport.opaque);
    return virtio_live(d) && dma && d->queues[queue].enabled;
}

void virtio_serve(struct virtio_dev *d, uint32_t queues)
{
    if (!virtio_hold(d)) /* resume and DRIVER_OK look at all queues anyway */
        return;
    while (queues != 0) {
        unsigned queue = (unsigned)__builtin_ctz(queues);
        if (virtio_queue_ready(d, queue))
            d->ops->run(d->self, queue);
        queues &= queues - 1;
    }
    virtio_release(d);
}

void virtio_notified(struct virtio_dev *d, unsigned queue)
{
    if (queue >= d->queue_count || !virtio_live(d))
        return;
    struct loop *l = d->queue_kicker[queue]->loop;
    if (!loop_borrow(l)) {
        virtio_kick(d, queue);
        return;
    }
    virtio_serve(d, UINT32_C(1) << queue);
    loop_return(l);
}

static void kicked(void *opaque, int fd, unsigned events)
{
    struct virtio_kicker *k = opaque;
    struct virtio_dev *d = k->dev;
    uint64_t n;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        log_debug("%s: eventfd: errno %d", d->ops->name, errno);
    virtio_serve(d, atomic_exchange(&k->pending, 0));
}

static void kicker_free(struct virtio_kicker *k)
{
    loop_unwatch(k->watch);
    if (k->fd >= 0)
        close(k->fd);
    free(k);
}

static int kicker_for(struct virtio_dev *d, struct loop *loop, struct virtio_kicker **out)
{
    struct virtio_kicker *k = d->kickers;
    while (k != NULL && k->loop != loop)
        k = k->next;
    *out = k;
    if (k != NULL)
        return 0;
    k = calloc(1, sizeof(*k));
    if (k == NULL)
        return -ENOMEM;
    k->dev = d;
    k->loop = loop;
    k->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = k->fd < 0 ? -errno : loop_watch(loop, k->fd, LOOP_READ, kicked, k, &k->watch);
    if (r < 0) {
        kicker_free(k);
        return r;
    }
    k->next = d->kickers;
    d->kickers = k;
    *out = k;
    return 0;
}

int virtio_queue_loop(struct virtio_dev *d, unsigned queue, struct loop *loop)
{
    return kicker_for(d, loop, &d->queue_kicker[queue]);
}

struct loop *virtio_queue_served_by(struct virtio_dev *d, unsigned queue)
{
    return d->queue_kicker[queue]->loop;
}

/* --- life --- */

int virtio_dev_init(struct virtio_dev *d, const struct virtio_dev_config *cfg)
{
    memset(d, 0, sizeof(*d));
    lock_init(&d->lock, LOCK_DEVICE);
    pthread_cond_init(&d->idle, NULL);
    d->ops = cfg->ops;
    d->self = cfg->self;
    d->ram = cfg->ram;
    d->offered = cfg->features | CORE_FEATURES;
    if (cfg->no_packed)
        d->offered &= ~VIRTIO_BIT(VIRTIO_FEATURE_PACKED);
    d->config_size = cfg->config_size;
    d->queue_count = cfg->queue_count;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        virtq_init(&d->queues[i], d, i, i < cfg->queue_count ? cfg->queue_size : 0);
    int r = 0;
    for (unsigned i = 0; i < cfg->queue_count && r == 0; i++)
        r = virtio_queue_loop(d, i, cfg->loop);
    if (r < 0)
        virtio_dev_finish(d);
    return r;
}

void virtio_dev_finish(struct virtio_dev *d)
{
    while (d->kickers != NULL) {
        struct virtio_kicker *k = d->kickers;
        d->kickers = k->next;
        kicker_free(k);
    }
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        virtq_finish(&d->queues[i]);
    pthread_cond_destroy(&d->idle);
    lock_finish(&d->lock);
}

static const struct state_field fields[] = {
    STATE_U8_F(struct virtio_dev, status),
    STATE_U8_F(struct virtio_dev, generation),
    STATE_U64_F(struct virtio_dev, features),
    STATE_STRUCT_F(struct virtio_dev, queues, VIRTIO_MAX_QUEUES, &virtq_state),
    STATE_END_F,
};
const struct state_table virtio_dev_state = {
    .name = "virtio", .version = 1, .fields = fields, .validate = NULL};
