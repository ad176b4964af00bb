/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed virtqueues, virtio 1.2 section 2.8.
 *
 *   desc    ring of {address, length, id, flags}; both sides write it
 *   driver  event suppression of the driver: {offset and wrap, flags}   (16-bit words)
 *   device  event suppression of the device, the same
 *
 * `avail` and `used` are ring positions with a wrap counter each. A descriptor is available when
 * its AVAIL flag equals the driver's wrap counter and its USED flag does not; it is used when both
 * equal the device's. `inflight` and `staged` count ring entries.
 *
 * Indirect tables have no links: all their entries count, in order (2.8.7).
 */
#include "dev/virtio/virtq_internal.h"

#define EVENT_ENABLE 0
#define EVENT_DISABLE 1
#define EVENT_DESC 2
#define EVENT_WRAP (1 << 15)

/* 16-bit words of a descriptor. */
#define WORD_ID 6
#define WORD_FLAGS 7

static uint16_t *event_words(const struct virtq *q, gpa_t gpa, bool write)
{
    return ram_ptr(q->dev->ram, gpa, 4, write);
}

static uint16_t *entry(const struct virtq *q, uint16_t at)
{
    uint8_t *ring = ram_ptr(q->dev->ram, q->desc, 16 * (uint64_t)q->size, true);
    return (uint16_t *)(void *)(ring + 16 * (size_t)at);
}

static bool packed_valid(struct virtq *q)
{
    return q->size != 0 && q->avail < q->size && q->used < q->size && q->desc % 16 == 0 &&
           q->driver % 4 == 0 && q->device % 4 == 0 && event_words(q, q->driver, false) != NULL &&
           event_words(q, q->device, true) != NULL &&
           ram_ptr(q->dev->ram, q->desc, 16 * (uint64_t)q->size, true) != NULL;
}

static bool packed_empty(struct virtq *q)
{
    uint16_t flags = __atomic_load_n(&entry(q, q->avail)[WORD_FLAGS], __ATOMIC_ACQUIRE);
    return ((flags & DESC_AVAIL) != 0) != q->avail_wrap ||
           ((flags & DESC_USED) != 0) == q->avail_wrap;
}

static struct virtq_desc load(const struct virtq *q, uint16_t at)
{
    struct virtq_desc d = virtq_desc_load(entry(q, at));
    virtq_desc_swap(&d);
    return d;
}

static void advance(const struct virtq *q, uint16_t *at, bool *wrap, unsigned by)
{
    unsigned next = *at + by;
    if (next >= q->size) {
        next -= q->size;
        *wrap = !*wrap;
    }
    *at = (uint16_t)next;
}

static void retreat(const struct virtq *q, uint16_t *at, bool *wrap, unsigned by)
{
    if (*at < by) {
        *at = (uint16_t)(*at + q->size);
        *wrap = !*wrap;
    }
    *at = (uint16_t)(*at - by);
}

static bool packed_pop(struct virtq *q, struct virtq_req *r, const char **why)
{
    if (packed_empty(q))
        return false;
    uint16_t at = q->avail;
    bool wrap = q->avail_wrap;
    for (r->slots = 1; *why == NULL; r->slots++) {
        struct virtq_desc d = load(q, at);
        if (q->inflight + r->slots > q->size) {
            *why = "descriptor chain longer than the ring has room for";
            break;
        }
        *why = (d.flags & DESC_INDIRECT) != 0 ? virtq_add_indirect(q, r, &d, false)
                                              : virtq_add(q, r, &d);
        advance(q, &at, &wrap, 1);
        r->id = d.next; /* the last one counts */
        if ((d.flags & DESC_NEXT) == 0)
            break;
    }
    if (*why != NULL)
        return false;
    q->avail = at;
    q->avail_wrap = wrap;
    q->inflight = (uint16_t)(q->inflight + r->slots);
    return true;
}

static void packed_unpop(struct virtq *q, const struct virtq_req *r)
{
    retreat(q, &q->avail, &q->avail_wrap, r->slots);
    q->inflight = (uint16_t)(q->inflight - r->slots);
}

/* Writes a used descriptor. The flags of the first staged one are kept for the commit: they make
 * the whole batch visible, because the driver looks at them first. */
static void packed_push(struct virtq *q, const struct virtq_req *r, uint32_t written)
{
    uint16_t at = q->used;
    bool wrap = q->used_wrap;
    advance(q, &at, &wrap, q->staged);
    uint16_t *e = entry(q, at);
    uint16_t flags = (uint16_t)((wrap ? DESC_AVAIL | DESC_USED : 0) | (written ? DESC_WRITE : 0));
    __atomic_store_n((uint32_t *)(void *)&e[4], written, __ATOMIC_RELAXED);
    __atomic_store_n(&e[WORD_ID], r->id, __ATOMIC_RELAXED);
    if (q->staged == 0)
        q->staged_flags = flags;
    else
        __atomic_store_n(&e[WORD_FLAGS], flags, __ATOMIC_RELEASE);
    q->staged = (uint16_t)(q->staged + r->slots);
    q->inflight = (uint16_t)(q->inflight - r->slots);
}

static bool wants_interrupt(struct virtq *q)
{
    const uint16_t *driver = event_words(q, q->driver, false);
    uint16_t flags = __atomic_load_n(&driver[1], __ATOMIC_ACQUIRE);
    uint16_t off = __atomic_load_n(&driver[0], __ATOMIC_RELAXED);
    uint16_t old = q->signalled;
    bool old_wrap = q->signalled_wrap, valid = q->signalled_valid;
    q->signalled = q->used;
    q->signalled_wrap = q->used_wrap;
    q->signalled_valid = true;
    if ((flags & 3) == EVENT_DISABLE)
        return false;
    if ((flags & 3) != EVENT_DESC || !virtio_has(q->dev, VIRTIO_FEATURE_EVENT_IDX) || !valid)
        return true;
    /* Positions of the previous round lie one ring size below those of this one. */
    if (old_wrap != q->used_wrap)
        old = (uint16_t)(old - q->size);
    uint16_t event = off & (EVENT_WRAP - 1);
    if (((off & EVENT_WRAP) != 0) != q->used_wrap)
        event = (uint16_t)(event - q->size);
    return virtq_crossed(event, q->used, old);
}

static bool packed_commit(struct virtq *q, struct virtq_dirty *d)
{
    uint32_t first = q->used, n = q->staged, tail = q->size - first;
    virtq_mark(d, q->desc + 16 * (gpa_t)first, 16 * (n < tail ? n : tail));
    if (n > tail)
        virtq_mark(d, q->desc, 16 * (n - tail));
    __atomic_store_n(&entry(q, q->used)[WORD_FLAGS], q->staged_flags, __ATOMIC_RELEASE);
    advance(q, &q->used, &q->used_wrap, q->staged);
    q->staged = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return wants_interrupt(q);
}

/* As with split rings, a driver that has passed the wanted position does not kick. */
static void packed_kicks(struct virtq *q, bool on, struct virtq_dirty *d)
{
    uint16_t *device = event_words(q, q->device, true);
    bool event_idx = virtio_has(q->dev, VIRTIO_FEATURE_EVENT_IDX);
    if (event_idx && !on)
        return;
    if (event_idx)
        __atomic_store_n(&device[0], (uint16_t)(q->avail | (q->avail_wrap ? EVENT_WRAP : 0)),
                         __ATOMIC_RELAXED);
    uint16_t flags = !on ? EVENT_DISABLE : event_idx ? EVENT_DESC : EVENT_ENABLE;
    __atomic_store_n(&device[1], flags, __ATOMIC_RELEASE);
    virtq_mark(d, q->device, 4);
}

const struct virtq_layout virtq_packed = {
    .pop = packed_pop,
    .unpop = packed_unpop,
    .push = packed_push,
    .commit = packed_commit,
    .kicks = packed_kicks,
    .empty = packed_empty,
    .valid = packed_valid,
};
