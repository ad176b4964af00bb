/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dispatch to devices; the contract is in bus.h.
 *
 * Mappings are flattened into a sorted table of segments that do not overlap; a change publishes a
 * fresh table. Two things need care: a reader may still hold the old table, and bus_unmap promises
 * that no handler of the range runs any more. Both are solved by slots that readers occupy for the
 * duration of an access (hazard pointers):
 *
 *   reader                                    writer (bus lock held)
 *   slot.table = t   (claims the slot)        publish the new table
 *   is t still the published one? else retry  tables in no slot are freed, others later
 *   find the mapping, slot.mapping = m        unmap drops the lock, then waits while a slot of
 *   call the handler                          another thread holds m or has claimed the slot and
 *   slot.mapping = slot.table = NULL          found nothing yet
 *
 * The claim and the check against the publication and the scan are a store-then-load on either
 * side; both sides are sequentially consistent, so at least one sees the other. A mapping is freed
 * by the unmap that removed it, after the wait: a reader of a newer table cannot reach it.
 *
 * A handler may unmap its own range (a device that moves its own registers): the slots of the
 * calling thread are not waited for. Handlers that unmap each other's ranges from two threads would
 * wait for each other; no device does that.
 */
#include "bus/bus.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/list.h"
#include "base/lock.h"

#define SLOTS 128 /* accesses in flight, nested ones included; more wait for a free slot */

struct mapping {
    struct list link; /* in bus.mappings, earliest first */
    uint64_t base, size;
    const struct bus_ops *ops;
    void *opaque;
    unsigned min, max; /* access sizes of the handlers */
};

struct segment {
    uint64_t start, end; /* [start, end) */
    _Atomic(struct mapping *) m;
};

struct table {
    struct table *next_retired;
    unsigned count;
    struct segment seg[];
};

struct slot {
    _Atomic(struct table *) table; /* NULL: the slot is free */
    _Atomic(struct mapping *) mapping;
    _Atomic(const void *) thread; /* &thread_tag of the owner once it is known */
} __attribute__((aligned(64)));

struct bus {
    _Atomic(struct table *) table;
    uint64_t limit;
    struct lock lock; /* protects all below */
    struct list mappings;
    struct table *retired;
    struct slot slot[SLOTS];
};

static _Thread_local char thread_tag; /* its address names the thread */

int bus_create(struct bus **out, uint64_t limit)
{
    struct bus *b = aligned_alloc(64, sizeof(*b));
    struct table *t = calloc(1, sizeof(*t));

    if (b == NULL || t == NULL) {
        free(b);
        free(t);
        return -ENOMEM;
    }
    memset(b, 0, sizeof(*b));
    atomic_init(&b->table, t);
    b->limit = limit;
    lock_init(&b->lock, LOCK_BUS);
    list_init(&b->mappings);
    *out = b;
    return 0;
}

void bus_destroy(struct bus *b)
{
    if (b == NULL)
        return;
    LIST_EACH_SAFE(p, &b->mappings)
    free(LIST_ITEM(p, struct mapping, link));
    while (b->retired != NULL) {
        struct table *t = b->retired;

        b->retired = t->next_retired;
        free(t);
    }
    free(atomic_load(&b->table));
    lock_finish(&b->lock);
    free(b);
}

/* The latest mapping that covers addr, NULL for none; *end is where the answer stops being right.
 */
static struct mapping *topmost(const struct bus *b, uint64_t addr, uint64_t *end)
{
    struct mapping *top = NULL;

    *end = b->limit;
    for (struct list *p = b->mappings.prev; p != &b->mappings; p = p->prev) {
        struct mapping *m = LIST_ITEM(p, struct mapping, link);

        if (addr - m->base < m->size) {
            *end = m->base + m->size < *end ? m->base + m->size : *end;
            top = m;
            break;
        }
        /* A later mapping further up hides what is found below. */
        if (m->base > addr && m->base < *end)
            *end = m->base;
    }
    return top;
}

/* Every mapping adds at most two borders, so at most 2n + 1 segments. NULL: out of memory. */
static struct table *flatten(const struct bus *b)
{
    unsigned n = 0;
    struct table *t;

    LIST_EACH(p, &b->mappings)
    n++;
    t = calloc(1, sizeof(*t) + (2 * n + 1) * sizeof(t->seg[0]));
    if (t == NULL)
        return NULL;
    for (uint64_t at = 0, end; at < b->limit; at = end) {
        struct mapping *m = topmost(b, at, &end);

        if (m != NULL)
            t->seg[t->count++] = (struct segment){at, end, m};
    }
    return t;
}

static bool table_in_use(struct bus *b, const struct table *t)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (atomic_load(&b->slot[i].table) == t)
            return true;
    }
    return false;
}

/* Replaces the published table and frees the retired ones that nobody reads. Lock held. */
static void publish(struct bus *b, struct table *t)
{
    struct table *old = atomic_exchange(&b->table, t);
    struct table **p = &b->retired;

    old->next_retired = b->retired;
    b->retired = old;
    while (*p != NULL) {
        struct table *r = *p;

        if (table_in_use(b, r)) {
            p = &r->next_retired;
        } else {
            *p = r->next_retired;
            free(r);
        }
    }
}

int bus_map(struct bus *b, uint64_t base, uint64_t size, const struct bus_ops *ops, void *opaque)
{
    struct mapping *m;
    struct table *t;

    if (size == 0 || !range_inside(base, size, 0, b->limit))
        return -ENOSPC;
    m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    *m = (struct mapping){.base = base, .size = size, .ops = ops, .opaque = opaque};
    m->min = ops->min_size != 0 ? ops->min_size : 1;
    m->max = ops->max_size != 0 ? ops->max_size : 8;
    lock_take(&b->lock);
    list_append(&b->mappings, &m->link);
    t = flatten(b);
    if (t == NULL)
        list_remove(&m->link);
    else
        publish(b, t);
    lock_drop(&b->lock);
    if (t == NULL)
        free(m);
    return t == NULL ? -ENOMEM : 0;
}

static struct mapping *lookup(struct bus *b, uint64_t base, const struct bus_ops *ops, void *opaque)
{
    for (struct list *p = b->mappings.prev; p != &b->mappings; p = p->prev) {
        struct mapping *m = LIST_ITEM(p, struct mapping, link);

        if (m->base == base && m->ops == ops && m->opaque == opaque)
            return m;
    }
    return NULL;
}

/* May the slot's owner be in a handler of `m`, or get there? No published table leads to `m`. */
static bool slot_blocks(const struct slot *s, const struct mapping *m)
{
    const struct table *t = atomic_load(&s->table);
    const struct mapping *busy = atomic_load(&s->mapping);

    return t != NULL && (busy == NULL || busy == m) && atomic_load(&s->thread) != &thread_tag;
}

/* A slot that was once seen not to block cannot come back to `m`. */
static void quiesce(const struct bus *b, const struct mapping *m)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        while (slot_blocks(&b->slot[i], m))
            sched_yield();
    }
}

/* Out of memory: the mapping's segments become holes in place; what it hid stays hidden until the
 * next change. */
static void punch(struct bus *b, const struct mapping *m)
{
    struct table *t = atomic_load(&b->table);

    for (unsigned i = 0; i < t->count; i++) {
        if (atomic_load(&t->seg[i].m) == m)
            atomic_store(&t->seg[i].m, NULL);
    }
}

void bus_unmap(struct bus *b, uint64_t base, const struct bus_ops *ops, void *opaque)
{
    struct mapping *m;
    struct table *t;

    lock_take(&b->lock);
    m = lookup(b, base, ops, opaque);
    if (m != NULL) {
        list_remove(&m->link);
        t = flatten(b);
        if (t != NULL)
            publish(b, t);
        else
            punch(b, m);
    }
    lock_drop(&b->lock);
    if (m == NULL)
        return;
    quiesce(b, m);
    free(m);
}

/* Claims a slot with the published table in it. */
static struct slot *enter(struct bus *b, struct table **out)
{
    unsigned first = (unsigned)(((uintptr_t)&thread_tag >> 6) * 0x9e3779b1u >> 20);

    for (unsigned i = 0;; i++) {
        struct slot *s = &b->slot[(first + i) % SLOTS];
        struct table *t = atomic_load(&b->table), *none = NULL;

        if (atomic_compare_exchange_strong(&s->table, &none, t)) {
            if (atomic_load(&b->table) == t) {
                atomic_store_explicit(&s->thread, &thread_tag, memory_order_relaxed);
                *out = t;
                return s;
            }
            atomic_store_explicit(&s->table, NULL, memory_order_release);
        }
        if (i % SLOTS == SLOTS - 1)
            sched_yield();
    }
}

static void leave(struct slot *s)
{
    atomic_store_explicit(&s->mapping, NULL, memory_order_relaxed);
    atomic_store_explicit(&s->thread, NULL, memory_order_relaxed);
    atomic_store_explicit(&s->table, NULL, memory_order_release);
}

/* The mapping at addr, or NULL, and how many bytes from addr on the answer covers. */
static struct mapping *find(struct table *t, uint64_t limit, uint64_t addr, uint64_t *rest)
{
    unsigned lo = 0, hi = t->count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (t->seg[mid].end <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->count && t->seg[lo].start <= addr) {
        *rest = t->seg[lo].end - addr;
        return atomic_load_explicit(&t->seg[lo].m, memory_order_relaxed);
    }
    *rest = (lo < t->count ? t->seg[lo].start : limit) - addr;
    return NULL;
}

/* The largest power of two that is at most n and at most max. */
static unsigned chunk_size(unsigned n, unsigned max)
{
    unsigned p = 1u << log2_floor(n);

    return p < max ? p : max;
}

static uint64_t call_read(const struct mapping *m, uint64_t offset, unsigned size)
{
    if (m->ops->read == NULL)
        return mask_bytes(size);
    return m->ops->read(m->opaque, offset, size) & mask_bytes(size);
}

static void call_write(const struct mapping *m, uint64_t offset, uint64_t value, unsigned size)
{
    if (m->ops->write != NULL)
        m->ops->write(m->opaque, offset, value & mask_bytes(size), size);
}

/*
 * The aligned registers of min_size bytes under an access that is smaller or not aligned to them.
 * `lane` is the bit position of the access in the register, `n` the bytes that it has there.
 */
static uint64_t read_narrow(const struct mapping *m, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        unsigned lane = (unsigned)((offset + done) % m->min);

        n = size - done < m->min - lane ? size - done : m->min - lane;
        value |= (call_read(m, offset + done - lane, m->min) >> 8 * lane & mask_bytes(n))
                 << 8 * done;
    }
    return value;
}

static void write_narrow(const struct mapping *m, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned done = 0, n; done < size; done += n) {
        unsigned lane = (unsigned)((offset + done) % m->min);
        uint64_t mask, reg;

        n = size - done < m->min - lane ? size - done : m->min - lane;
        mask = mask_bytes(n) << 8 * lane;
        reg = mask == mask_bytes(m->min) ? 0 : call_read(m, offset + done - lane, m->min);
        reg = (reg & ~mask) | ((value >> 8 * done << 8 * lane) & mask);
        call_write(m, offset + done - lane, reg, m->min);
    }
}

static bool is_narrow(const struct mapping *m, uint64_t offset, unsigned size)
{
    return ((offset | size) & (m->min - 1)) != 0;
}

static uint64_t mapping_read(const struct mapping *m, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    if (is_narrow(m, offset, size))
        return read_narrow(m, offset, size);
    for (unsigned done = 0, n; done < size; done += n) {
        n = chunk_size(size - done, m->max);
        value |= call_read(m, offset + done, n) << 8 * done;
    }
    return value;
}

static void mapping_write(const struct mapping *m, uint64_t offset, uint64_t value, unsigned size)
{
    if (is_narrow(m, offset, size)) {
        write_narrow(m, offset, value, size);
        return;
    }
    for (unsigned done = 0, n; done < size; done += n) {
        n = chunk_size(size - done, m->max);
        call_write(m, offset + done, value >> 8 * done, n);
    }
}

/* One piece of an access: the bytes up to the next border. Returns how many those are. */
static unsigned piece(struct bus *b, uint64_t addr, unsigned size, uint64_t *value, bool write)
{
    struct table *t;
    struct slot *s = enter(b, &t);
    uint64_t rest;
    struct mapping *m = find(t, b->limit, addr, &rest);
    unsigned n = size < rest ? size : (unsigned)rest;

    atomic_store(&s->mapping, m);
    if (m != NULL && write)
        mapping_write(m, addr - m->base, *value, n);
    else if (m != NULL)
        *value = mapping_read(m, addr - m->base, n);
    else
        *value = mask_bytes(n);
    leave(s);
    return n;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
    uint64_t value = mask_bytes(size);

    for (unsigned done = 0, n; done < size && addr < b->limit; done += n, addr += n) {
        uint64_t part;

        n = piece(b, addr, size - done, &part, false);
        value = (value & ~(mask_bytes(n) << 8 * done)) | part << 8 * done;
    }
    return value;
}

void bus_write(struct bus *b, uint64_t addr, uint64_t value, unsigned size)
{
    for (unsigned done = 0, n; done < size && addr < b->limit; done += n, addr += n) {
        uint64_t part = value >> 8 * done;

        n = piece(b, addr, size - done, &part, true);
    }
}

const char *bus_name(struct bus *b, uint64_t addr)
{
    struct table *t;
    struct slot *s;
    uint64_t rest;
    struct mapping *m;
    const char *name;

    if (addr >= b->limit)
        return NULL;
    s = enter(b, &t);
    m = find(t, b->limit, addr, &rest);
    atomic_store(&s->mapping, m);
    name = m != NULL ? m->ops->name : NULL;
    leave(s);
    return name;
}
