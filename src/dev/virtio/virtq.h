/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues: virtio 1.2 sections 2.6 - 2.8, both layouts behind one interface.
 *
 *              driver                                         device
 *   fills descriptors, makes them    ---- kick ---->   virtq_pop:    a chain becomes a request
 *   available                                          ... works, in any order ...
 *                                                      virtq_push:   stages a used element
 *   reclaims what is used           <-- interrupt --   virtq_commit: publishes all staged ones,
 *                                                                    one interrupt for the batch
 *
 * All that lies in guest memory is hostile: descriptors are copied in once and checked, chains are
 * bounded, segments must lie in RAM. A ring that makes no sense breaks the device: it asks for a
 * reset (2.1.2), pops give nothing any more, and nothing is written to the ring.
 *
 * A typical `run` callback (on the queue's loop):
 *
 *     do {
 *         virtq_kicks_off(q);
 *         while (virtq_pop(q, &r->vr) > 0)
 *             ...
 *     } while (virtq_kicks_on(q));
 *     virtq_commit(q);
 *
 * Threads: a queue has a lock of its own; each function may be called from any thread that holds
 * the device (inside `run`, or between virtio_hold and virtio_release). Nothing is called out with
 * the lock held.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTQ_H
#define DOPPEL_DEV_VIRTIO_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/lock.h"
#include "mem/ram.h"
#include "state/state.h"

#define VIRTQ_MAX_SIZE 1024  /* entries of a ring */
#define VIRTQ_MAX_CHAIN 1024 /* descriptors of one request, indirect ones included */

struct virtio_dev;

/*
 * One request. The arrays are the caller's and hold `max` entries: first the segments that the
 * device reads (out), then those that it writes (in). Host pointers are good until virtq_push.
 * The device may trim the counts, entries and lengths as it works.
 */
struct virtq_req {
    struct iovec *iov;
    gpa_t *gpa; /* guest address of each iov entry */
    uint16_t max;
    uint16_t out_count, in_count;
    uint32_t out_len, in_len; /* bytes */
    uint16_t id, slots;       /* the queue's: which buffer, ring entries that it took */
};

static inline struct iovec *virtq_req_in(const struct virtq_req *r)
{
    return r->iov + r->out_count;
}

struct virtq {
    struct lock lock;
    struct virtio_dev *dev;
    unsigned index;
    uint16_t max_size;     /* what the device offers */
    bool kicks_wanted;     /* lock: notifications are enabled */
    uint16_t staged;       /* lock: pushed, not committed; split: elements, packed: ring entries */
    uint16_t staged_flags; /* lock; packed: flags of the first staged element, written last */
    /* State (lock; set up by the transport before the queue is enabled). */
    uint16_t size; /* entries, chosen by the driver */
    bool enabled;
    uint64_t desc, driver, device; /* the three areas */
    uint16_t avail;             /* next entry to pop; split: free-running, packed: ring position */
    uint16_t used;              /* next used entry to publish, the same way */
    bool avail_wrap, used_wrap; /* packed: wrap counters */
    uint16_t inflight;          /* ring entries popped and not pushed */
    uint16_t signalled;         /* `used` when the last interrupt was decided */
    bool signalled_wrap;
    bool signalled_valid;
};
extern const struct state_table virtq_state;

/* Takes the next available chain: 1 and a request, 0: none (or the device is broken). */
int virtq_pop(struct virtq *q, struct virtq_req *r) MUST_CHECK;
/* Gives back the latest popped request(s), the last one first, so that a later pop finds them. */
void virtq_unpop(struct virtq *q, struct virtq_req *r);
/* Stages the request as used with `written` bytes of its in part filled. The driver sees it at the
 * next commit. Requests may be pushed in any order. */
void virtq_push(struct virtq *q, const struct virtq_req *r, uint32_t written);
/* Publishes all staged elements at once (mergeable buffers rely on that) and sends an interrupt if
 * the driver wants one. */
void virtq_commit(struct virtq *q);

/* Asks the driver not to kick / to kick. kicks_on returns true if chains are available already: the
 * caller has to look again, no kick will come for them. Only a hint for the driver. */
void virtq_kicks_off(struct virtq *q);
bool virtq_kicks_on(struct virtq *q) MUST_CHECK;
bool virtq_empty(struct virtq *q); /* nothing to pop now */

/* Copies from the out part / into the in part at a byte offset; returns how many bytes there were.
 * virtq_req_write announces the write. */
uint32_t virtq_req_read(const struct virtq_req *r, uint32_t offset, void *buf, uint32_t len);
uint32_t virtq_req_write(struct virtq *q, const struct virtq_req *r, uint32_t offset,
                         const void *buf, uint32_t len);
/* Announces that `len` bytes of the in part from `offset` were written through the pointers. */
void virtq_req_written(struct virtq *q, const struct virtq_req *r, uint32_t offset, uint32_t len);
/* Removes bytes from the front of the out part (headers) or the end of the in part (status). The
 * caller has read or located them before; asks for no more than there is. */
void virtq_req_drop_out(struct virtq_req *r, uint32_t len);
void virtq_req_drop_in_tail(struct virtq_req *r, uint32_t len);

#endif
