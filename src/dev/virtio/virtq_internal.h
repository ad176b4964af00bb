/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two ring layouts share. A layout function is called with the queue's lock held; one that
 * finds the ring broken returns why, and the caller breaks the device after dropping the lock.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTQ_INTERNAL_H
#define DOPPEL_DEV_VIRTIO_VIRTQ_INTERNAL_H

#include "dev/virtio/virtio.h"

/* Descriptor flags, virtio 1.2 2.7.5 and 2.8. */
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define DESC_AVAIL (1 << 7)
#define DESC_USED (1 << 15)

/* A descriptor, copied out of the ring. Split: `next` is the index; packed: the buffer's id. */
struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t next;
    uint16_t flags;
};

/* Parts of guest memory that were written under the lock, announced after it. */
struct virtq_dirty {
    unsigned count;
    struct {
        gpa_t gpa;
        uint32_t len;
    } part[3];
};

struct virtq_layout {
    /* *why stays NULL if all is well; true: r is filled. */
    bool (*pop)(struct virtq *q, struct virtq_req *r, const char **why);
    void (*unpop)(struct virtq *q, const struct virtq_req *r);
    void (*push)(struct virtq *q, const struct virtq_req *r, uint32_t written);
    /* true: the driver wants an interrupt. */
    bool (*commit)(struct virtq *q, struct virtq_dirty *d);
    void (*kicks)(struct virtq *q, bool on, struct virtq_dirty *d);
    bool (*empty)(struct virtq *q);
    /* Are sizes and addresses such that the ring can be used? */
    bool (*valid)(struct virtq *q);
};
extern const struct virtq_layout virtq_split, virtq_packed;

static inline const struct virtq_layout *virtq_layout_of(const struct virtq *q)
{
    return virtio_has(q->dev, VIRTIO_FEATURE_PACKED) ? &virtq_packed : &virtq_split;
}

static inline void virtq_mark(struct virtq_dirty *d, gpa_t gpa, uint32_t len)
{
    d->part[d->count].gpa = gpa;
    d->part[d->count++].len = len;
}

/* Is an interrupt due, when `event` is what the other side waits for and the index went from `old`
 * to `now`? virtio 1.2, 2.7.10. */
static inline bool virtq_crossed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* Reads one descriptor once: what is checked is what is used. An indirect table may have any
 * alignment. */
struct virtq_unaligned {
    uint64_t v;
} __attribute__((packed));

static inline struct virtq_desc virtq_desc_load(const void *p)
{
    const volatile struct virtq_unaligned *w = p;
    uint64_t addr = w[0].v, rest = w[1].v;
    return (struct virtq_desc){addr, (uint32_t)rest, (uint16_t)(rest >> 48),
                               (uint16_t)(rest >> 32)};
}

/* Packed descriptors have the id where split ones have the flags, and the other way round. */
static inline void virtq_desc_swap(struct virtq_desc *d)
{
    uint16_t flags = d->next;
    d->next = d->flags;
    d->flags = flags;
}

void virtq_init(struct virtq *q, struct virtio_dev *d, unsigned index, uint16_t max_size);
void virtq_finish(struct virtq *q);
void virtq_reset(struct virtq *q);
void virtq_start(struct virtq *q); /* counters of a ring that is enabled */

/* Adds a descriptor's memory to a request; NULL or why not. */
const char *virtq_add(struct virtq *q, struct virtq_req *r, const struct virtq_desc *d);
/* Adds an indirect table; in a split ring its entries are linked by `next`, in a packed one all of
 * them count, in order. */
const char *virtq_add_indirect(struct virtq *q, struct virtq_req *r, const struct virtq_desc *d,
                               bool split);

#endif
