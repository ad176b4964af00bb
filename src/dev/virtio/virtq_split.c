/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues, virtio 1.2 section 2.7.
 *
 *   desc    16 bytes each: address, length, flags, next
 *   driver  flags, idx, ring[size], used_event          (16-bit words)
 *   device  flags, idx, ring[size] of {id, length}, avail_event
 *
 * `avail` and `used` run freely modulo 2^16; the entry is the value modulo the size, which is a
 * power of two. `inflight` counts chains.
 */
#include "dev/virtio/virtq_internal.h"

#define DRIVER_NO_INTERRUPT 1
#define DEVICE_NO_NOTIFY 1
#define DRIVER_BYTES(size) (6 + 2 * (uint64_t)(size))
#define DEVICE_BYTES(size) (6 + 8 * (uint64_t)(size))

struct used_elem {
    uint32_t id, len;
};

static uint16_t *driver_words(const struct virtq *q)
{
    return ram_ptr(q->dev->ram, q->driver, DRIVER_BYTES(q->size), false);
}

static uint16_t *device_words(const struct virtq *q)
{
    return ram_ptr(q->dev->ram, q->device, DEVICE_BYTES(q->size), true);
}

static bool split_valid(struct virtq *q)
{
    return q->size != 0 && (q->size & (q->size - 1)) == 0 && q->desc % 16 == 0 &&
           q->driver % 2 == 0 && q->device % 4 == 0 && driver_words(q) != NULL &&
           device_words(q) != NULL &&
           ram_ptr(q->dev->ram, q->desc, 16 * (uint64_t)q->size, false) != NULL;
}

static uint16_t available(struct virtq *q)
{
    const uint16_t *driver = driver_words(q);
    return (uint16_t)(__atomic_load_n(&driver[1], __ATOMIC_ACQUIRE) - q->avail);
}

static bool split_empty(struct virtq *q)
{
    return available(q) == 0;
}

static const char *walk(struct virtq *q, struct virtq_req *r, uint16_t head)
{
    const uint8_t *table = ram_ptr(q->dev->ram, q->desc, 16 * (uint64_t)q->size, false);
    uint16_t i = head;
    for (unsigned steps = 0; steps < q->size; steps++) {
        if (i >= q->size)
            return "descriptor index beyond the ring";
        struct virtq_desc d = virtq_desc_load(table + 16 * (size_t)i);
        if ((d.flags & DESC_INDIRECT) != 0)
            return virtq_add_indirect(q, r, &d, true);
        const char *why = virtq_add(q, r, &d);
        if (why != NULL || (d.flags & DESC_NEXT) == 0)
            return why;
        i = d.next;
    }
    return "loop in a descriptor chain";
}

static bool split_pop(struct virtq *q, struct virtq_req *r, const char **why)
{
    uint16_t n = available(q);
    if (n == 0)
        return false;
    if (n > q->size || q->inflight >= q->size) {
        *why = "more available entries than the ring has";
        return false;
    }
    const uint16_t *driver = driver_words(q);
    r->id = __atomic_load_n(&driver[2 + (q->avail & (q->size - 1))], __ATOMIC_RELAXED);
    r->slots = 1;
    *why = walk(q, r, r->id);
    if (*why != NULL)
        return false;
    q->avail++;
    q->inflight++;
    return true;
}

static void split_unpop(struct virtq *q, const struct virtq_req *r)
{
    q->avail--;
    q->inflight--;
}

static void split_push(struct virtq *q, const struct virtq_req *r, uint32_t written)
{
    struct used_elem *ring = (void *)(device_words(q) + 2);
    ring[(uint16_t)(q->used + q->staged) & (q->size - 1)] = (struct used_elem){r->id, written};
    q->staged++;
    q->inflight--;
}

static void mark_elements(struct virtq *q, struct virtq_dirty *d)
{
    uint32_t first = q->used & (q->size - 1u), n = q->staged, tail = q->size - first;
    gpa_t ring = q->device + 4;
    virtq_mark(d, ring + 8 * (gpa_t)first, 8 * (n < tail ? n : tail));
    if (n > tail)
        virtq_mark(d, ring, 8 * (n - tail));
}

static bool wants_interrupt(struct virtq *q)
{
    const uint16_t *driver = driver_words(q);
    uint16_t old = q->signalled;
    bool valid = q->signalled_valid;
    q->signalled = q->used;
    q->signalled_valid = true;
    if (!virtio_has(q->dev, VIRTIO_FEATURE_EVENT_IDX))
        return (__atomic_load_n(&driver[0], __ATOMIC_RELAXED) & DRIVER_NO_INTERRUPT) == 0;
    uint16_t event = __atomic_load_n(&driver[2 + q->size], __ATOMIC_RELAXED);
    return !valid || virtq_crossed(event, q->used, old);
}

static bool split_commit(struct virtq *q, struct virtq_dirty *d)
{
    uint16_t *device = device_words(q);
    mark_elements(q, d);
    q->used = (uint16_t)(q->used + q->staged);
    q->staged = 0;
    __atomic_store_n(&device[1], q->used, __ATOMIC_RELEASE);
    virtq_mark(d, q->device, 4);
    /* The index must be out before the driver's wish is read: it writes its wish, then looks. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return wants_interrupt(q);
}

/* With event index a driver that has passed avail_event does not kick until it is moved: switching
 * off needs no write. */
static void split_kicks(struct virtq *q, bool on, struct virtq_dirty *d)
{
    uint16_t *device = device_words(q);
    if (!virtio_has(q->dev, VIRTIO_FEATURE_EVENT_IDX)) {
        __atomic_store_n(&device[0], on ? 0 : DEVICE_NO_NOTIFY, __ATOMIC_RELAXED);
        virtq_mark(d, q->device, 2);
    } else if (on) {
        __atomic_store_n(&device[2 + 4 * (size_t)q->size], q->avail, __ATOMIC_RELAXED);
        virtq_mark(d, q->device + 4 + 8 * (gpa_t)q->size, 2);
    }
}

const struct virtq_layout virtq_split = {
    .pop = split_pop,
    .unpop = split_unpop,
    .push = split_push,
    .commit = split_commit,
    .kicks = split_kicks,
    .empty = split_empty,
    .valid = split_valid,
};
