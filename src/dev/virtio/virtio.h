/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a virtio device that is the same for all types and transports: virtio 1.2 chapter 2
 * (status, features, reset, queues).
 *
 *   transport (virtio_pci)  --registers-->  virtio_dev  --ops-->  device type (virtio_blk ...)
 *
 * Life of a device in the driver's hands: features are negotiated, queues set up, DRIVER_OK calls
 * `ready`; then kicks lead to `run` on the loop that serves the queue; a reset waits until nothing
 * is in flight, calls `reset` and ends with status 0.
 *
 * Holding: work on guest memory and queues happens only while the device is held. `run` is called
 * with the device held; whoever keeps a popped request beyond that (a block request under way) or
 * comes from elsewhere (a packet from the network) holds it with virtio_hold. Pause and reset close
 * the device for new holds and wait for the old ones. A popped request that is neither pushed nor
 * given back must be held.
 *
 * Locks: `lock` guards status, features and configuration; nothing is called out with it held. A
 * kick on a vCPU's thread is one atomic operation and at most one write to an eventfd, or is served
 * there (virtio_notified).
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "dev/virtio/virtq.h"
#include "loop/loop.h"
#include "mem/ram.h"
#include "state/state.h"

#define VIRTIO_MAX_QUEUES 32

/* Device types, virtio 1.2 chapter 5. */
enum virtio_id {
    VIRTIO_DEV_NET = 1,
    VIRTIO_DEV_BLOCK = 2,
    VIRTIO_DEV_CONSOLE = 3,
    VIRTIO_DEV_ENTROPY = 4,
    VIRTIO_DEV_SCSI = 8,
    VIRTIO_DEV_GPU = 16,
    VIRTIO_DEV_INPUT = 18,
};

/* Device status, 2.1. */
enum virtio_status {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128,
};

/* Feature bits that the core handles, chapter 6; it offers them for every device. */
enum virtio_feature {
    VIRTIO_FEATURE_INDIRECT = 28,
    VIRTIO_FEATURE_EVENT_IDX = 29,
    VIRTIO_FEATURE_VERSION_1 = 32,
    VIRTIO_FEATURE_PACKED = 34,
};
#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

struct virtio_ops {
    const char *name; /* "virtio-blk" */
    uint16_t device_id;
    /* Device-specific configuration; offset + len lie inside config_size; no lock held, on a vCPU's
     * thread. config_write may be NULL: nothing is writable. */
    void (*config_read)(void *self, uint32_t offset, void *buf, uint32_t len);
    void (*config_write)(void *self, uint32_t offset, const void *buf, uint32_t len);
    /* DRIVER_OK: features and queues are final; before any `run`; also after a restore that finds
     * the device live. On a vCPU's or the main thread. May be NULL. */
    void (*ready)(void *self);
    /* Queue `queue` was kicked. On the queue's loop, device held. A spurious call is possible. */
    void (*run)(void *self, unsigned queue);
    /* Back to the state before `ready`; nothing is in flight, the device is closed. Any thread.
     * May be NULL. */
    void (*reset)(void *self);
    /* Helps pause and reset on the main thread: finishes what is in flight if the caller's thread
     * is the one that would have to. May be NULL. */
    void (*drain)(void *self);
};

/* What the transport does for the core; any thread, no lock held. */
struct virtio_transport {
    void (*notify_queue)(void *opaque, unsigned queue); /* used buffers */
    void (*notify_config)(void *opaque);                /* configuration or status changed */
    bool (*dma_allowed)(void *opaque);                  /* may the device touch guest memory? */
    void (*reset)(void *opaque);                        /* its registers, as part of a reset */
    void *opaque;
};

struct virtio_kicker; /* one loop that serves queues of the device */

/* The members belong to virtio.c and virtq.c. */
struct virtio_dev {
    struct lock lock;
    pthread_cond_t idle; /* nobody holds the device any more */
    const struct virtio_ops *ops;
    void *self;
    struct ram *ram;
    struct virtio_transport transport;
    uint64_t offered; /* feature bits */
    uint32_t config_size;
    unsigned queue_count;
    struct virtio_kicker *kickers; /* list */
    struct virtio_kicker *queue_kicker[VIRTIO_MAX_QUEUES];
    _Atomic uint32_t holds; /* VIRTIO_CLOSED | number of holders */
    _Atomic bool live;      /* DRIVER_OK and not broken: queues may run */
    bool paused;            /* lock */
    bool resetting;         /* lock: the driver wrote 0, holders remain */
    bool finishing;         /* lock: a thread is completing that reset */
    /* State (lock; features and status are read without it where a bit cannot change). */
    uint8_t status;
    uint8_t generation;
    uint64_t features; /* accepted by the driver */
    struct virtq queues[VIRTIO_MAX_QUEUES];
};
extern const struct state_table virtio_dev_state;

struct virtio_dev_config {
    const struct virtio_ops *ops;
    void *self;
    struct ram *ram;
    uint64_t features; /* of the device type; the core adds its own */
    bool no_packed;    /* do not offer the packed layout */
    uint32_t config_size;
    unsigned queue_count;
    uint16_t queue_size; /* entries offered, a power of two */
    struct loop *loop;   /* serves all queues unless virtio_queue_loop says otherwise */
};

int virtio_dev_init(struct virtio_dev *d, const struct virtio_dev_config *cfg) MUST_CHECK;
void virtio_dev_finish(struct virtio_dev *d);
/* Lets `loop` serve the queue. Before the machine runs. */
int virtio_queue_loop(struct virtio_dev *d, unsigned queue, struct loop *loop) MUST_CHECK;

/* --- for device types --- */
bool virtio_hold(struct virtio_dev *d) MUST_CHECK; /* false: closed (paused, in reset) */
void virtio_hold_more(struct virtio_dev *d);       /* one more, by someone who holds it */
void virtio_release(struct virtio_dev *d);
static inline bool virtio_live(struct virtio_dev *d)
{
    return atomic_load_explicit(&d->live, memory_order_acquire);
}
/* May the queue be used now? For work that does not come from `run`, after virtio_hold. */
bool virtio_queue_ready(struct virtio_dev *d, unsigned queue);
/* Accepted by the driver? Final from `ready` on. */
static inline bool virtio_has(const struct virtio_dev *d, unsigned bit)
{
    return (d->features >> bit & 1) != 0;
}
void virtio_config_changed(struct virtio_dev *d); /* new generation, interrupt */
/* The driver broke the rules beyond repair: DEVICE_NEEDS_RESET. `why` for the log. */
void virtio_broken(struct virtio_dev *d, const char *why);

/* The life cycle of dev/device.h; main thread, vCPUs stopped. */
void virtio_dev_reset(struct virtio_dev *d); /* waits for holders, calls ops->reset */
void virtio_dev_pause(struct virtio_dev *d);
void virtio_dev_resume(struct virtio_dev *d); /* looks at all queues */
void virtio_dev_restore(struct virtio_dev *d);

/* --- for transports --- */
uint8_t virtio_get_status(struct virtio_dev *d);
void virtio_set_status(struct virtio_dev *d, uint8_t status); /* never blocks */
uint32_t virtio_offered_features(struct virtio_dev *d, unsigned word);
uint32_t virtio_driver_features(struct virtio_dev *d, unsigned word);
void virtio_set_driver_features(struct virtio_dev *d, unsigned word, uint32_t value);
uint8_t virtio_generation(struct virtio_dev *d);
void virtio_config_read(struct virtio_dev *d, uint32_t offset, void *buf, uint32_t len);
void virtio_config_write(struct virtio_dev *d, uint32_t offset, const void *buf, uint32_t len);

/* Registers of a queue; setters are ignored once the queue is enabled. */
struct virtq_setup {
    uint16_t size;
    bool enabled;
    uint64_t desc, driver, device;
};
void virtio_queue_get(struct virtio_dev *d, unsigned queue, struct virtq_setup *s);
void virtio_queue_set(struct virtio_dev *d, unsigned queue, const struct virtq_setup *s);
void virtio_kick(struct virtio_dev *d, unsigned queue); /* cheap; any thread */
void virtio_kick_all(struct virtio_dev *d);
/* A kick by the driver, on a vCPU's thread with no lock held: serves the queue in place of its
 * loop's thread where that sleeps and is lent. */
void virtio_notified(struct virtio_dev *d, unsigned queue);
struct loop *virtio_queue_served_by(struct virtio_dev *d, unsigned queue);
/* What a kick leads to, for these queues (bits); on the loop that serves them. */
void virtio_serve(struct virtio_dev *d, uint32_t queues);

#endif
