/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test driver; layouts after virtio 1.2, 2.7, 2.8 and 4.1. */
#include "virtio_driver.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define NEXT 1
#define WRITE 2
#define INDIRECT 4
#define AVAIL (1 << 7)
#define USED (1 << 15)

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t a, b; /* split: flags, next; packed: id, flags */
};

static struct desc *desc_at(struct drv_ring *r, gpa_t base, unsigned i)
{
    return (struct desc *)(void *)(r->mem + base) + i;
}

static uint16_t *words(struct drv_ring *r, gpa_t gpa)
{
    return (uint16_t *)(void *)(r->mem + gpa);
}

static gpa_t up(gpa_t v)
{
    return (v + 63) & ~(gpa_t)63;
}

gpa_t drv_ring_init(struct drv_ring *r, uint8_t *mem, gpa_t base, uint16_t size, bool packed,
                    bool event_idx, bool indirect)
{
    memset(r, 0, sizeof(*r));
    r->mem = mem;
    r->packed = packed;
    r->event_idx = event_idx;
    r->indirect = indirect;
    r->size = size;
    r->desc = up(base);
    r->driver = up(r->desc + 16 * (gpa_t)size);
    r->device = up(r->driver + 6 + 2 * (gpa_t)size);
    r->tables = up(r->device + 6 + 8 * (gpa_t)size);
    gpa_t end = r->tables + (gpa_t)size * DRV_INDIRECT * 16;
    memset(mem + base, 0, end - base);
    r->wrap = r->used_wrap = true;
    r->free_count = size;
    for (unsigned i = 0; i < size; i++)
        r->free_ids[i] = (uint16_t)i;
    drv_want_interrupt(r, 0);
    return end;
}

static uint16_t take_id(struct drv_ring *r)
{
    unsigned at = (unsigned)rand() % r->free_count;
    uint16_t id = r->free_ids[at];
    r->free_ids[at] = r->free_ids[--r->free_count];
    return id;
}

static void put_id(struct drv_ring *r, uint16_t id)
{
    r->free_ids[r->free_count++] = id;
}

static uint16_t flags_of(const struct drv_seg *s, bool more)
{
    return (uint16_t)((s->write ? WRITE : 0) | (more ? NEXT : 0));
}

static void fill_table(struct drv_ring *r, gpa_t table, const struct drv_seg *segs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct desc d = {segs[i].gpa, segs[i].len, 0, 0};
        if (r->packed) {
            d.b = segs[i].write ? WRITE : 0;
        } else {
            d.a = flags_of(&segs[i], i + 1 < n);
            d.b = (uint16_t)(i + 1);
        }
        *desc_at(r, table, i) = d;
    }
}

static int split_add(struct drv_ring *r, const struct drv_seg *segs, unsigned n, bool *kick)
{
    bool table = r->indirect && n > 1;
    unsigned need = table ? 1 : n;
    if (r->free_count < need)
        return -1;
    uint16_t ids[DRV_INDIRECT] = {0};
    for (unsigned i = 0; i < need; i++)
        ids[i] = take_id(r);
    gpa_t at = r->tables + (gpa_t)ids[0] * DRV_INDIRECT * 16;
    if (table) {
        fill_table(r, at, segs, n);
        *desc_at(r, r->desc, ids[0]) = (struct desc){at, 16 * n, INDIRECT, 0};
    }
    for (unsigned i = 0; !table && i < n; i++)
        *desc_at(r, r->desc, ids[i]) = (struct desc){
            segs[i].gpa, segs[i].len, flags_of(&segs[i], i + 1 < n), i + 1 < n ? ids[i + 1] : 0};
    memcpy(r->chain[ids[0]], ids, sizeof(ids));
    r->slots[ids[0]] = (uint16_t)need;
    uint16_t *avail = words(r, r->driver), *used = words(r, r->device), old = r->next;
    avail[2 + r->next % r->size] = ids[0];
    __atomic_store_n(&avail[1], ++r->next, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint16_t event = __atomic_load_n(&used[2 + 4 * r->size], __ATOMIC_RELAXED);
    *kick = r->event_idx ? (uint16_t)(r->next - event - 1) < (uint16_t)(r->next - old)
                         : (__atomic_load_n(&used[0], __ATOMIC_RELAXED) & 1) == 0;
    return ids[0];
}

static bool packed_kick(struct drv_ring *r, uint16_t old, bool old_wrap)
{
    uint16_t *device = words(r, r->device);
    uint16_t flags = __atomic_load_n(&device[1], __ATOMIC_ACQUIRE);
    uint16_t off = __atomic_load_n(&device[0], __ATOMIC_RELAXED);
    if ((flags & 3) != 2)
        return (flags & 3) == 0;
    uint16_t event = off & 0x7fff;
    if ((off >> 15 != 0) != r->wrap)
        event = (uint16_t)(event - r->size);
    if (old_wrap != r->wrap)
        old = (uint16_t)(old - r->size);
    return (uint16_t)(r->next - event - 1) < (uint16_t)(r->next - old);
}

static int packed_add(struct drv_ring *r, const struct drv_seg *segs, unsigned n, bool *kick)
{
    static const struct drv_seg none;
    bool table = r->indirect && n > 1;
    unsigned need = table ? 1 : n, busy = 0;
    for (unsigned i = 0; i < r->size; i++)
        busy += r->slots[i];
    if (r->size - busy < need)
        return -1;
    uint16_t id = take_id(r), first = r->next, first_flags = 0;
    bool wrap = r->wrap;
    gpa_t at = r->tables + (gpa_t)id * DRV_INDIRECT * 16;
    if (table)
        fill_table(r, at, segs, n);
    for (unsigned i = 0; i < need; i++) {
        const struct drv_seg *s = table ? &none : &segs[i];
        struct desc *d = desc_at(r, r->desc, r->next);
        uint16_t flags = flags_of(s, i + 1 < need);
        flags |= (uint16_t)((r->wrap ? AVAIL : USED) | (table ? INDIRECT : 0));
        d->addr = table ? at : s->gpa;
        d->len = table ? 16 * n : s->len;
        d->a = id;
        if (i == 0)
            first_flags = flags;
        else
            d->b = flags;
        if (++r->next == r->size) {
            r->next = 0;
            r->wrap = !r->wrap;
        }
    }
    r->slots[id] = (uint16_t)need;
    __atomic_store_n(&desc_at(r, r->desc, first)->b, first_flags, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    *kick = packed_kick(r, first, wrap);
    return id;
}

int drv_add(struct drv_ring *r, const struct drv_seg *segs, unsigned n, bool *kick)
{
    return r->packed ? packed_add(r, segs, n, kick) : split_add(r, segs, n, kick);
}

static bool packed_used(struct drv_ring *r, uint16_t *id, uint32_t *len)
{
    struct desc *d = desc_at(r, r->desc, r->last_used);
    uint16_t flags = __atomic_load_n(&d->b, __ATOMIC_ACQUIRE);
    if (((flags & AVAIL) != 0) != r->used_wrap || ((flags & USED) != 0) != r->used_wrap)
        return false;
    *id = d->a;
    *len = d->len;
    unsigned next = r->last_used + r->slots[*id];
    if (next >= r->size) {
        next -= r->size;
        r->used_wrap = !r->used_wrap;
    }
    r->last_used = (uint16_t)next;
    r->slots[*id] = 0;
    put_id(r, *id);
    return true;
}

bool drv_used(struct drv_ring *r, uint16_t *id, uint32_t *len)
{
    if (r->packed)
        return packed_used(r, id, len);
    uint16_t *used = words(r, r->device);
    if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == r->last_used)
        return false;
    uint32_t *elem = (uint32_t *)(void *)(used + 2) + 2 * (r->last_used++ % r->size);
    *id = (uint16_t)elem[0];
    *len = elem[1];
    for (unsigned i = 0; i < r->slots[*id]; i++)
        put_id(r, r->chain[*id][i]);
    return true;
}

void drv_want_interrupt(struct drv_ring *r, uint16_t more)
{
    uint16_t *w = words(r, r->driver);
    if (!r->packed) {
        __atomic_store_n(&w[0], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&w[2 + r->size], (uint16_t)(r->last_used + more), __ATOMIC_RELAXED);
    } else {
        unsigned at = r->last_used + more;
        bool wrap = at >= r->size ? !r->used_wrap : r->used_wrap;
        uint16_t off = (uint16_t)((at % r->size) | (wrap ? 1 << 15 : 0));
        __atomic_store_n(&w[0], off, __ATOMIC_RELAXED);
        __atomic_store_n(&w[1], r->event_idx ? 2 : 0, __ATOMIC_RELEASE);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void drv_no_interrupt(struct drv_ring *r)
{
    words(r, r->driver)[r->packed ? 1 : 0] = 1;
}

/* --- behind virtio_pci --- */

uint32_t drv_config(struct bus *ports, unsigned devfn, unsigned reg)
{
    bus_write(ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    return (uint32_t)bus_read(ports, 0xcfc, 4);
}

void drv_config_set(struct bus *ports, unsigned devfn, unsigned reg, uint32_t value)
{
    bus_write(ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    bus_write(ports, 0xcfc, value, 4);
}

uint64_t drv_bar(struct bus *ports, unsigned devfn, unsigned bar)
{
    uint32_t low = drv_config(ports, devfn, 0x10 + 4 * bar);
    uint64_t high = (low & 6) == 4 ? drv_config(ports, devfn, 0x14 + 4 * bar) : 0;
    return high << 32 | (low & ~15u);
}

void drv_find(struct drv_dev *d, struct bus *ports, struct bus *mmio, unsigned devfn)
{
    d->mmio = mmio;
    d->regs = drv_bar(ports, devfn, 4);
    d->msix = drv_bar(ports, devfn, 1);
    drv_config_set(ports, devfn, 4, drv_config(ports, devfn, 4) | 4); /* bus master */
    for (unsigned at = drv_config(ports, devfn, 0x34) & 0xff; at != 0;) {
        uint32_t cap = drv_config(ports, devfn, at);
        if ((cap & 0xff) == 0x11)
            drv_config_set(ports, devfn, at, 1u << 31); /* MSI-X enable */
        at = cap >> 8 & 0xff;
    }
}

static void set(struct drv_dev *d, unsigned reg, uint64_t value, unsigned size)
{
    bus_write(d->mmio, d->regs + reg, value, size);
}

static uint64_t get(struct drv_dev *d, unsigned reg, unsigned size)
{
    return bus_read(d->mmio, d->regs + reg, size);
}

uint8_t drv_status(struct drv_dev *d)
{
    return (uint8_t)get(d, 20, 1);
}

void drv_reset(struct drv_dev *d)
{
    set(d, 20, 0, 1);
    while (drv_status(d) != 0)
        sched_yield();
}

uint64_t drv_negotiate(struct drv_dev *d, uint64_t wanted)
{
    uint64_t offered = 0;
    set(d, 20, 3, 1);
    for (unsigned w = 0; w < 2; w++) {
        set(d, 0, w, 4);
        offered |= get(d, 4, 4) << (32 * w);
    }
    wanted &= offered;
    for (unsigned w = 0; w < 2; w++) {
        set(d, 8, w, 4);
        set(d, 12, (uint32_t)(wanted >> (32 * w)), 4);
    }
    set(d, 20, 11, 1);
    return (drv_status(d) & 8) != 0 ? wanted : 0;
}

void drv_enable_queue(struct drv_dev *d, unsigned queue, const struct drv_ring *r, uint16_t vector)
{
    set(d, 22, queue, 2);
    set(d, 24, r->size, 2);
    set(d, 26, vector, 2);
    set(d, 32, r->desc, 8);
    set(d, 40, r->driver, 8);
    set(d, 48, r->device, 8);
    set(d, 28, 1, 2);
}

void drv_ok(struct drv_dev *d)
{
    set(d, 20, 15, 1);
}

void drv_kick(struct drv_dev *d, unsigned queue)
{
    set(d, 0x3000 + 4 * queue, queue, 2);
}

void drv_msix_vector(struct drv_dev *d, unsigned vector, uint64_t addr, uint32_t data)
{
    bus_write(d->mmio, d->msix + 16 * vector, addr, 8);
    bus_write(d->mmio, d->msix + 16 * vector + 8, data, 4);
    bus_write(d->mmio, d->msix + 16 * vector + 12, 0, 4);
}

void drv_begin(struct drv_dev *d, struct bus *ports, struct bus *mmio, unsigned devfn)
{
    drv_find(d, ports, mmio, devfn);
    drv_reset(d);
    drv_negotiate(d, DRV_SIMPLE);
    drv_msix_vector(d, 0, 0xfee00000, 0x40);
}
