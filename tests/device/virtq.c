/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues in both layouts against a test driver: exchange of random requests with completion in
 * any order, suppression of kicks and interrupts, state, reset; then hostile rings, which must end
 * in DEVICE_NEEDS_RESET or be harmless, never in an access outside guest memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/virtio/virtio.h"
#include "virtio_driver.h"

#define RAM_SIZE (8u << 20)
#define RING_BASE 0x10000u
#define DATA_BASE 0x400000u
#define SEGS 24

struct env {
    struct ram *ram;
    uint8_t *mem;
    struct loop *loop;
    struct virtio_dev dev;
    struct drv_ring ring;
    unsigned interrupts, config_interrupts, readies, resets;
};

static void on_queue(void *opaque, unsigned queue)
{
    struct env *v = opaque;
    v->interrupts++;
}

static void on_config(void *opaque)
{
    struct env *v = opaque;
    v->config_interrupts++;
}

static void dev_config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    memset(buf, 0, len);
}

static void dev_ready(void *self)
{
    struct env *v = self;
    v->readies++;
}

static void dev_run(void *self, unsigned queue)
{
}

static void dev_reset(void *self)
{
    struct env *v = self;
    v->resets++;
}

static const struct virtio_ops ops = {.name = "test",
                                      .device_id = 63,
                                      .config_read = dev_config_read,
                                      .ready = dev_ready,
                                      .run = dev_run,
                                      .reset = dev_reset};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct err e = {0};
    assert_int_equal(ram_create(&v->ram, RAM_SIZE + RAM_PAGE_SIZE, &e), 0);
    assert_int_equal(ram_add(v->ram, 0, RAM_SIZE, false, &e), 0);
    assert_int_equal(ram_add(v->ram, 0xfffff000, RAM_PAGE_SIZE, true, &e), 0); /* a ROM */
    v->mem = ram_ptr(v->ram, 0, RAM_SIZE, true);
    assert_int_equal(loop_create(&v->loop), 0);
    struct virtio_dev_config cfg = {.ops = &ops,
                                    .self = v,
                                    .ram = v->ram,
                                    .config_size = 8,
                                    .queue_count = 2,
                                    .queue_size = DRV_MAX_SIZE,
                                    .loop = v->loop};
    assert_int_equal(virtio_dev_init(&v->dev, &cfg), 0);
    v->dev.transport = (struct virtio_transport){
        .notify_queue = on_queue, .notify_config = on_config, .opaque = v};
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;
    virtio_dev_pause(&v->dev);
    virtio_dev_finish(&v->dev);
    loop_destroy(v->loop);
    ram_destroy(v->ram);
    free(v);
    return 0;
}

/* Bits of a variant. */
enum { PACKED = 1, EVENT = 2, TABLES = 4, VARIANTS = 8 };

static void negotiate(struct env *v, unsigned variant)
{
    uint64_t f = VIRTIO_BIT(VIRTIO_FEATURE_VERSION_1);
    f |= (variant & PACKED) != 0 ? VIRTIO_BIT(VIRTIO_FEATURE_PACKED) : 0;
    f |= (variant & EVENT) != 0 ? VIRTIO_BIT(VIRTIO_FEATURE_EVENT_IDX) : 0;
    f |= (variant & TABLES) != 0 ? VIRTIO_BIT(VIRTIO_FEATURE_INDIRECT) : 0;
    virtio_set_status(&v->dev, 0);
    assert_int_equal(virtio_get_status(&v->dev), 0);
    virtio_set_status(&v->dev, 3);
    virtio_set_driver_features(&v->dev, 0, (uint32_t)f);
    virtio_set_driver_features(&v->dev, 1, (uint32_t)(f >> 32));
    virtio_set_status(&v->dev, 11);
    assert_int_equal(virtio_get_status(&v->dev), 11);
}

static void start(struct env *v, unsigned variant, uint16_t size)
{
    negotiate(v, variant);
    drv_ring_init(&v->ring, v->mem, RING_BASE, size, (variant & PACKED) != 0,
                  (variant & EVENT) != 0, (variant & TABLES) != 0);
    struct virtq_setup s = {size, true, v->ring.desc, v->ring.driver, v->ring.device};
    virtio_queue_set(&v->dev, 0, &s);
    virtio_set_status(&v->dev, 15);
    assert_int_equal(virtio_get_status(&v->dev), 15);
    v->interrupts = v->config_interrupts = 0;
}

static bool broken(struct env *v)
{
    return (virtio_get_status(&v->dev) & VIRTIO_STATUS_NEEDS_RESET) != 0;
}

/* --- exchange --- */

struct item {
    struct virtq_req r;
    struct iovec iov[SEGS];
    gpa_t gpa[SEGS];
    uint32_t tag;
};

/* What the driver expects of a request, by id. */
struct expect {
    uint32_t tag;
    struct drv_seg in[SEGS];
    unsigned ins;
    uint32_t in_len;
};

struct used {
    uint16_t id;
    uint32_t len, tag;
    unsigned slots;
};

struct exchange {
    struct env *v;
    struct virtq *q;
    struct expect expect[DRV_MAX_SIZE];
    struct item *items[DRV_MAX_SIZE]; /* popped, in order of popping */
    unsigned popped;
    struct used pushed[DRV_MAX_SIZE]; /* staged and committed, in order */
    unsigned first, staged_from, end;
    uint64_t used_abs, driver_abs, event_abs; /* ring units since the start */
    bool committed_once;
    uint32_t tag;
};

static struct item *item_new(void)
{
    struct item *i = calloc(1, sizeof(*i));
    i->r = (struct virtq_req){.iov = i->iov, .gpa = i->gpa, .max = SEGS};
    return i;
}

static uint8_t pattern(uint32_t tag, uint32_t at)
{
    return (uint8_t)(tag * 31 + at * 7 + (at >> 8));
}

/* One request: the tag and a pattern out, room for a pattern in. */
static void add(struct exchange *x)
{
    struct env *v = x->v;
    struct drv_seg segs[SEGS];
    unsigned outs = 1 + (unsigned)rand() % 5, ins = (unsigned)rand() % 6, n = 0;
    uint32_t tag = x->tag + 1, at = 0;
    bool kick;
    gpa_t data = DATA_BASE + (tag % 1024) * 2048;
    struct expect ex = {.tag = tag};
    for (unsigned i = 0; i < outs + ins; i++) {
        uint32_t len = i == 0 ? 4 : 1 + (uint32_t)rand() % 150;
        segs[n++] = (struct drv_seg){data, len, i >= outs};
        data += len;
    }
    if (v->ring.free_count < DRV_MAX_SIZE / 8 && rand() % 4 != 0)
        return;
    for (unsigned i = 0; i < outs; i++)
        for (uint32_t k = 0; k < segs[i].len; k++, at++)
            v->mem[segs[i].gpa + k] = at < 4 ? (uint8_t)(tag >> (8 * at)) : pattern(tag, at);
    for (unsigned i = outs; i < n; i++) {
        ex.in[ex.ins++] = segs[i];
        ex.in_len += segs[i].len;
        memset(v->mem + segs[i].gpa, 0xee, segs[i].len);
    }
    int id = drv_add(&v->ring, segs, n, &kick);
    if (id < 0)
        return;
    x->expect[id] = ex;
    x->tag = tag;
}

static void pop(struct exchange *x)
{
    struct item *i = item_new();
    uint8_t bytes[1024];
    if (virtq_pop(x->q, &i->r) == 0) {
        assert_false(broken(x->v));
        free(i);
        return;
    }
    uint32_t n = virtq_req_read(&i->r, 0, bytes, sizeof(bytes));
    assert_int_equal(n, i->r.out_len);
    memcpy(&i->tag, bytes, 4);
    for (uint32_t k = 4; k < n; k++)
        assert_int_equal(bytes[k], pattern(i->tag, k));
    x->items[x->popped++] = i;
}

static void unpop(struct exchange *x)
{
    if (x->popped == 0)
        return;
    struct item *i = x->items[x->popped - 1];
    /* Only the latest popped one may go back: one that was popped after it must not be pushed. */
    if (i->tag != x->tag)
        return;
    virtq_unpop(x->q, &i->r);
    x->popped--;
    free(i);
}

static void push(struct exchange *x)
{
    if (x->popped == 0)
        return;
    unsigned at = (unsigned)rand() % x->popped;
    struct item *i = x->items[at];
    uint8_t bytes[1024];
    uint32_t written = i->r.in_len != 0 ? (uint32_t)rand() % (i->r.in_len + 1) : 0;
    for (uint32_t k = 0; k < written; k++)
        bytes[k] = pattern(~i->tag, k);
    assert_int_equal(virtq_req_write(x->q, &i->r, 0, bytes, written), written);
    x->pushed[x->end++ % DRV_MAX_SIZE] = (struct used){i->r.id, written, i->tag, i->r.slots};
    virtq_push(x->q, &i->r, written);
    memmove(&x->items[at], &x->items[at + 1], (--x->popped - at) * sizeof(x->items[0]));
    free(i);
}

static void commit(struct exchange *x)
{
    struct env *v = x->v;
    unsigned before = v->interrupts;
    uint64_t old = x->used_abs;
    for (; x->staged_from != x->end; x->staged_from++)
        x->used_abs += x->pushed[x->staged_from % DRV_MAX_SIZE].slots;
    virtq_commit(x->q);
    if (old == x->used_abs) {
        assert_int_equal(v->interrupts, before);
        return;
    }
    bool due = !v->ring.event_idx || (old <= x->event_abs && x->event_abs < x->used_abs) ||
               !x->committed_once;
    x->committed_once = true;
    assert_int_equal(v->interrupts - before, due);
}

static void collect(struct exchange *x)
{
    struct env *v = x->v;
    uint16_t id;
    uint32_t len;
    while (x->first != x->staged_from) {
        struct used *u = &x->pushed[x->first++ % DRV_MAX_SIZE];
        assert_true(drv_used(&v->ring, &id, &len));
        x->driver_abs += u->slots;
        assert_int_equal(id, u->id);
        assert_int_equal(len, u->len);
        const struct expect *ex = &x->expect[id];
        assert_int_equal(ex->tag, u->tag);
        uint32_t at = 0;
        for (unsigned i = 0; i < ex->ins; i++)
            for (uint32_t k = 0; k < ex->in[i].len; k++, at++)
                assert_int_equal(v->mem[ex->in[i].gpa + k], at < len ? pattern(~u->tag, at) : 0xee);
    }
    assert_false(drv_used(&v->ring, &id, &len)); /* staged ones are not visible */
    uint16_t more = (uint16_t)(rand() % 4);
    if (v->ring.packed && more >= v->ring.size)
        more = 0;
    drv_want_interrupt(&v->ring, more);
    x->event_abs = x->driver_abs + more;
}

static void exchange(struct env *v, unsigned variant, uint16_t size, unsigned rounds)
{
    struct exchange *x = calloc(1, sizeof(*x));
    start(v, variant, size);
    x->v = v;
    x->q = &v->dev.queues[0];
    for (unsigned i = 0; i < rounds; i++) {
        switch (rand() % 8) {
        case 0:
        case 1:
            add(x);
            break;
        case 2:
        case 3:
            pop(x);
            break;
        case 4:
            unpop(x);
            break;
        case 5:
        case 6:
            push(x);
            break;
        default:
            commit(x);
            collect(x);
        }
    }
    while (x->popped != 0)
        push(x);
    commit(x);
    collect(x);
    assert_false(broken(v));
    assert_true(x->tag > rounds / 64);
    free(x);
}

static void exchanges(void **state)
{
    static const uint16_t sizes[] = {8, 64, 256};
    srand(7);
    for (unsigned variant = 0; variant < VARIANTS; variant++)
        for (unsigned i = 0; i < 3; i++)
            exchange(*state, variant, sizes[i], 60000);
    exchange(*state, PACKED | EVENT, 37, 60000); /* packed rings may have any size */
    exchange(*state, PACKED | EVENT | TABLES, 5, 60000);
}

/* --- suppression --- */

static void kicks(void **state)
{
    struct env *v = *state;
    struct drv_seg s = {DATA_BASE, 16, false};
    for (unsigned variant = 0; variant < 4; variant++) {
        start(v, variant, 16);
        struct virtq *q = &v->dev.queues[0];
        struct item *i = item_new();
        bool kick;
        for (unsigned round = 0; round < 100; round++) {
            assert_false(virtq_kicks_on(q));
            assert_true(drv_add(&v->ring, &s, 1, &kick) >= 0);
            assert_true(kick);
            virtq_kicks_off(q);
            assert_true(drv_add(&v->ring, &s, 1, &kick) >= 0);
            assert_false(kick);
            assert_true(virtq_kicks_on(q)); /* they are there: no kick will come */
            for (unsigned k = 0; k < 2; k++) {
                assert_int_equal(virtq_pop(q, &i->r), 1);
                virtq_push(q, &i->r, 0);
            }
            assert_true(virtq_empty(q));
            virtq_commit(q);
            uint16_t id;
            uint32_t len;
            assert_true(drv_used(&v->ring, &id, &len) && drv_used(&v->ring, &id, &len));
        }
        free(i);
    }
}

static void no_interrupt(void **state)
{
    struct env *v = *state;
    struct drv_seg s = {DATA_BASE, 16, true};
    for (unsigned variant = 0; variant < 2; variant++) {
        start(v, variant, 16);
        struct item *i = item_new();
        bool kick;
        drv_no_interrupt(&v->ring);
        assert_true(drv_add(&v->ring, &s, 1, &kick) >= 0);
        assert_int_equal(virtq_pop(&v->dev.queues[0], &i->r), 1);
        virtq_push(&v->dev.queues[0], &i->r, 1);
        virtq_commit(&v->dev.queues[0]);
        assert_int_equal(v->interrupts, 0);
        free(i);
    }
}

/* --- trimming --- */

static void trimming(void **state)
{
    struct env *v = *state;
    start(v, 0, 16);
    struct drv_seg segs[] = {{DATA_BASE, 10, false},
                             {DATA_BASE + 100, 6, false},
                             {DATA_BASE + 200, 8, false},
                             {DATA_BASE + 300, 5, true},
                             {DATA_BASE + 400, 1, true}};
    struct item *i = item_new();
    bool kick;
    drv_add(&v->ring, segs, 5, &kick);
    assert_int_equal(virtq_pop(&v->dev.queues[0], &i->r), 1);
    virtq_req_drop_in_tail(&i->r, 1);
    assert_int_equal(i->r.in_count, 1);
    assert_int_equal(i->r.in_len, 5);
    virtq_req_drop_in_tail(&i->r, 2);
    assert_int_equal(virtq_req_in(&i->r)->iov_len, 3);
    virtq_req_drop_out(&i->r, 16);
    assert_int_equal(i->r.out_count, 1);
    assert_int_equal(i->r.gpa[0], DATA_BASE + 200);
    virtq_req_drop_out(&i->r, 3);
    assert_int_equal(i->r.gpa[0], DATA_BASE + 203);
    assert_ptr_equal(i->r.iov[0].iov_base, v->mem + DATA_BASE + 203);
    assert_int_equal(i->r.out_len, 5);
    assert_int_equal(virtq_req_in(&i->r)->iov_len, 3);
    free(i);
}

/* --- life --- */

static void resets(void **state)
{
    struct env *v = *state;
    start(v, 0, 16);
    assert_int_equal(v->readies, 1);
    unsigned resets_before = v->resets;
    assert_true(virtio_hold(&v->dev));
    virtio_set_status(&v->dev, 0);
    assert_int_not_equal(virtio_get_status(&v->dev), 0); /* someone is at work */
    assert_false(virtio_hold(&v->dev));
    virtio_set_status(&v->dev, 3); /* does not count during a reset */
    virtio_release(&v->dev);
    assert_int_equal(virtio_get_status(&v->dev), 0);
    assert_int_equal(v->resets, resets_before + 1);
    assert_true(virtio_hold(&v->dev));
    virtio_release(&v->dev);
    virtio_dev_pause(&v->dev);
    virtio_dev_pause(&v->dev);
    assert_false(virtio_hold(&v->dev));
    virtio_dev_reset(&v->dev);
    assert_false(virtio_hold(&v->dev)); /* still paused */
    virtio_dev_resume(&v->dev);
    assert_true(virtio_hold(&v->dev));
    virtio_release(&v->dev);
}

static void negotiation(void **state)
{
    struct env *v = *state;
    virtio_set_status(&v->dev, 3);
    virtio_set_status(&v->dev, 11); /* without VERSION_1 */
    assert_int_equal(virtio_get_status(&v->dev), 3);
    virtio_set_driver_features(&v->dev, 1, 1 | 1u << 31); /* one that is not offered */
    virtio_set_status(&v->dev, 11);
    assert_int_equal(virtio_get_status(&v->dev), 3);
    virtio_set_status(&v->dev, 7); /* DRIVER_OK too early */
    assert_int_equal(virtio_get_status(&v->dev), 3);
    virtio_set_driver_features(&v->dev, 1, 1);
    virtio_set_status(&v->dev, 11);
    assert_int_equal(virtio_get_status(&v->dev), 11);
    virtio_set_driver_features(&v->dev, 1, 5); /* too late */
    assert_int_equal(virtio_driver_features(&v->dev, 1), 1);
    struct virtq_setup s = {16, true, 3, 0x1000, 0x2000}; /* not aligned */
    virtio_queue_set(&v->dev, 0, &s);
    assert_true(broken(v));
}

static void saved_state(void **state)
{
    struct env *v = *state;
    struct err e = {0};
    for (unsigned variant = 0; variant < VARIANTS; variant++) {
        struct drv_seg s = {DATA_BASE, 16, true};
        struct item *i = item_new();
        uint8_t *a, *b;
        size_t alen, blen;
        bool kick;
        uint16_t id;
        uint32_t len;
        start(v, variant, 16);
        for (unsigned k = 0; k < 1000; k++) {
            assert_true(drv_add(&v->ring, &s, 1, &kick) >= 0);
            if (k % 97 == 0) {
                virtio_dev_pause(&v->dev);
                assert_int_equal(state_save(&virtio_dev_state, &v->dev, &a, &alen), 0);
                virtio_dev_reset(&v->dev);
                assert_int_equal(state_load(&virtio_dev_state, &v->dev, a, alen, &e), 0);
                virtio_dev_restore(&v->dev);
                assert_int_equal(state_save(&virtio_dev_state, &v->dev, &b, &blen), 0);
                assert_int_equal(alen, blen);
                assert_memory_equal(a, b, alen);
                virtio_dev_resume(&v->dev);
                free(a);
                free(b);
            }
            assert_int_equal(virtq_pop(&v->dev.queues[0], &i->r), 1);
            virtq_push(&v->dev.queues[0], &i->r, 1);
            virtq_commit(&v->dev.queues[0]);
            assert_true(drv_used(&v->ring, &id, &len));
        }
        assert_false(broken(v));
        free(i);
    }
}

/* A record whose queue lies outside memory restores to a device that asks for a reset. */
static void hostile_state(void **state)
{
    struct env *v = *state;
    start(v, 0, 16);
    virtio_dev_pause(&v->dev);
    v->dev.queues[0].desc = UINT64_C(1) << 50;
    virtio_dev_restore(&v->dev);
    assert_true(broken(v));
    virtio_dev_resume(&v->dev);
}

/* --- hostile rings --- */

struct raw_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t a, b;
};
#define NEXT 1
#define WRITE 2
#define INDIRECT 4
#define AVAIL_0 (1 << 7) /* available in the first round */

static struct raw_desc *raw(struct env *v, gpa_t at, unsigned i)
{
    return (struct raw_desc *)(void *)(v->mem + at) + i;
}

static void offer_split(struct env *v, uint16_t head, uint16_t idx)
{
    uint16_t *w = (uint16_t *)(void *)(v->mem + v->ring.driver);
    w[2] = head;
    w[1] = idx;
}

static void refused(struct env *v)
{
    struct item *i = item_new();
    assert_int_equal(virtq_pop(&v->dev.queues[0], &i->r), 0);
    assert_true(broken(v));
    assert_int_equal(v->config_interrupts, 1);
    assert_int_equal(virtq_pop(&v->dev.queues[0], &i->r), 0);
    virtq_commit(&v->dev.queues[0]);
    assert_int_equal(v->interrupts, 0);
    free(i);
}

static void hostile_split(void **state)
{
    struct env *v = *state;
    static const struct {
        struct raw_desc d[2], table[2]; /* a: flags, b: next */
        uint16_t head, idx;
    } cases[] = {
        {{{DATA_BASE, 8, NEXT, 1}, {DATA_BASE, 8, NEXT, 0}}, {{0}}, 0, 1},      /* loop */
        {{{DATA_BASE, 8, NEXT, 0}}, {{0}}, 0, 1},                               /* to itself */
        {{{DATA_BASE, 8, NEXT, 16}}, {{0}}, 0, 1},                              /* next too large */
        {{{DATA_BASE, 8, 0, 0}}, {{0}}, 16, 1},                                 /* head too large */
        {{{DATA_BASE, 8, 0, 0}}, {{0}}, 0xffff, 1},                             /* the same */
        {{{DATA_BASE, 8, 0, 0}}, {{0}}, 0, 17},                                 /* idx jumps */
        {{{DATA_BASE, 8, 0, 0}}, {{0}}, 0, 0xffff},                             /* idx backwards */
        {{{RAM_SIZE, 8, 0, 0}}, {{0}}, 0, 1},                                   /* outside RAM */
        {{{RAM_SIZE - 4, 8, 0, 0}}, {{0}}, 0, 1},                               /* across the end */
        {{{UINT64_MAX - 3, 8, 0, 0}}, {{0}}, 0, 1},                             /* wraps */
        {{{0, UINT32_MAX, 0, 0}}, {{0}}, 0, 1},                                 /* too long */
        {{{0xfffff000, 8, WRITE, 0}}, {{0}}, 0, 1},                             /* into the ROM */
        {{{DATA_BASE, 8, WRITE | NEXT, 1}, {DATA_BASE, 8, 0, 0}}, {{0}}, 0, 1}, /* order */
        {{{DATA_BASE, 20, INDIRECT, 0}}, {{DATA_BASE, 8, 0, 0}}, 0, 1},         /* table length */
        {{{DATA_BASE, 0, INDIRECT, 0}}, {{DATA_BASE, 8, 0, 0}}, 0, 1},          /* empty table */
        {{{DATA_BASE, 16 << 20, INDIRECT, 0}}, {{DATA_BASE, 8, 0, 0}}, 0, 1},   /* huge table */
        {{{RAM_SIZE, 16, INDIRECT, 0}}, {{0}}, 0, 1},                           /* table outside */
        {{{DATA_BASE, 16, INDIRECT | NEXT, 1}, {DATA_BASE, 8, 0, 0}},
         {{DATA_BASE, 8, 0, 0}},
         0,
         1},                                                                    /* and goes on */
        {{{DATA_BASE, 32, INDIRECT, 0}}, {{DATA_BASE, 32, INDIRECT, 0}}, 0, 1}, /* nested */
        {{{DATA_BASE, 32, INDIRECT, 0}}, {{DATA_BASE, 8, NEXT, 0}}, 0, 1},      /* loop in table */
        {{{DATA_BASE, 32, INDIRECT, 0}}, {{DATA_BASE, 8, NEXT, 2}}, 0, 1},      /* out of table */
    };
    for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        start(v, TABLES, 16);
        memcpy(raw(v, v->ring.desc, 0), cases[c].d, sizeof(cases[c].d));
        memcpy(raw(v, DATA_BASE, 0), cases[c].table, sizeof(cases[c].table));
        offer_split(v, cases[c].head, cases[c].idx);
        refused(v);
    }
    start(v, 0, 16); /* indirect was not negotiated */
    *raw(v, v->ring.desc, 0) = (struct raw_desc){DATA_BASE, 16, INDIRECT, 0};
    offer_split(v, 0, 1);
    refused(v);
}

/* A chain with more segments than the device takes. */
static void too_many_segments(void **state)
{
    struct env *v = *state;
    start(v, 0, 256);
    for (unsigned i = 0; i < 100; i++)
        *raw(v, v->ring.desc, i) = (struct raw_desc){DATA_BASE, 8, NEXT, (uint16_t)(i + 1)};
    offer_split(v, 0, 1);
    refused(v);
}

/* The same head again and again while it is in flight: no more than `size` come out. */
static void flood(void **state)
{
    struct env *v = *state;
    struct item *items[17];
    unsigned n = 0;
    start(v, 0, 16);
    *raw(v, v->ring.desc, 0) = (struct raw_desc){DATA_BASE, 8, 0, 0};
    uint16_t *w = (uint16_t *)(void *)(v->mem + v->ring.driver);
    for (uint16_t idx = 1; idx < 100 && n < 17; idx++) {
        w[1] = idx;
        items[n] = item_new();
        if (virtq_pop(&v->dev.queues[0], &items[n++]->r) == 0)
            break;
    }
    assert_int_equal(n, 17);
    assert_true(broken(v));
    while (n != 0)
        free(items[--n]);
}

static void hostile_packed(void **state)
{
    struct env *v = *state;
    static const struct {
        struct raw_desc d[2], table[2]; /* a: id, b: flags */
    } cases[] = {
        {{{RAM_SIZE, 8, 0, AVAIL_0}}, {{0}}},
        {{{0xfffff000, 8, 0, AVAIL_0 | WRITE}}, {{0}}},
        {{{DATA_BASE, 8, 0, AVAIL_0 | NEXT | WRITE}, {DATA_BASE, 8, 0, AVAIL_0}}, {{0}}},
        {{{DATA_BASE, 20, 0, AVAIL_0 | INDIRECT}}, {{0}}},
        {{{DATA_BASE, 0, 0, AVAIL_0 | INDIRECT}}, {{0}}},
        {{{DATA_BASE, 1 << 24, 0, AVAIL_0 | INDIRECT}}, {{0}}},
        {{{RAM_SIZE, 16, 0, AVAIL_0 | INDIRECT}}, {{0}}},
        {{{DATA_BASE, 16, 0, AVAIL_0 | INDIRECT | NEXT}}, {{DATA_BASE, 8, 0, 0}}},
        {{{DATA_BASE, 32, 0, AVAIL_0 | INDIRECT}}, {{DATA_BASE, 32, 0, INDIRECT}}},
        {{{DATA_BASE, 32, 0, AVAIL_0 | INDIRECT}},
         {{DATA_BASE, 8, 0, WRITE}, {DATA_BASE, 8, 0, 0}}},
    };
    for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        start(v, PACKED | TABLES, 16);
        memcpy(raw(v, v->ring.desc, 0), cases[c].d, sizeof(cases[c].d));
        memcpy(raw(v, DATA_BASE, 0), cases[c].table, sizeof(cases[c].table));
        refused(v);
    }
    start(v, PACKED, 16); /* a chain without an end */
    for (unsigned i = 0; i < 16; i++)
        *raw(v, v->ring.desc, i) = (struct raw_desc){DATA_BASE, 8, 0, AVAIL_0 | NEXT};
    refused(v);
}

/* --- random rings --- */

static uint64_t random_address(void)
{
    switch (rand() % 8) {
    case 0:
        return RAM_SIZE - (uint64_t)(rand() % 64);
    case 1:
        return (uint64_t)rand() << 40;
    case 2:
        return 0xfffff000u + (uint64_t)(rand() % 8192);
    case 3:
        return RING_BASE + (uint64_t)(rand() % 8192);
    default:
        return DATA_BASE + (uint64_t)(rand() % 65536);
    }
}

static void scribble(struct env *v, bool packed)
{
    gpa_t base = rand() % 3 == 0 ? DATA_BASE : v->ring.desc;
    struct raw_desc *d = raw(v, base, (unsigned)rand() % 16);
    uint16_t flags = (uint16_t)(rand() % 8 == 0 ? rand() : rand() & 7);
    if (rand() % 2 == 0)
        flags &= (uint16_t)~INDIRECT;
    if (packed)
        flags |= (uint16_t)(rand() % 2 == 0 ? AVAIL_0 : 1 << 15);
    d->addr = rand() % 4 == 0 ? DATA_BASE & ~15u : random_address();
    d->len = rand() % 4 == 0 ? (uint32_t)rand() : 16 * ((uint32_t)rand() % 20);
    d->a = packed ? (uint16_t)rand() : flags;
    d->b = packed ? flags : (uint16_t)(rand() % 20);
}

static void scribble_indices(struct env *v)
{
    uint16_t *driver = (uint16_t *)(void *)(v->mem + v->ring.driver);
    uint16_t *device = (uint16_t *)(void *)(v->mem + v->ring.device);
    driver[2 + rand() % 16] = (uint16_t)(rand() % 18);
    driver[1] = (uint16_t)(driver[1] + (rand() % 32 == 0 ? rand() : 1));
    driver[18] = (uint16_t)rand();
    if (rand() % 16 == 0)
        driver[0] = device[0] = (uint16_t)rand();
}

static void fuzz_round(struct env *v, unsigned variant)
{
    struct item *items[16];
    unsigned n = 0;
    struct virtq *q = &v->dev.queues[0];
    start(v, variant, 16);
    for (unsigned step = 0; step < 200 && !broken(v); step++) {
        scribble(v, (variant & PACKED) != 0);
        scribble_indices(v);
        struct item *i = item_new();
        if (n < 16 && virtq_pop(q, &i->r) > 0) {
            for (unsigned k = 0; k < (unsigned)i->r.out_count + i->r.in_count; k++)
                memset(i->iov[k].iov_base, (int)step,
                       k < i->r.out_count ? 0 : i->iov[k].iov_len); /* must be our memory */
            items[n++] = i;
        } else {
            free(i);
        }
        if (n != 0 && rand() % 2 == 0) {
            virtq_push(q, &items[--n]->r, (uint32_t)rand());
            free(items[n]);
        }
        if (rand() % 3 == 0)
            virtq_commit(q);
        if (rand() % 5 == 0)
            virtq_kicks_off(q);
        else if (virtq_kicks_on(q))
            step++;
    }
    while (n != 0)
        free(items[--n]);
}

static void fuzz(void **state)
{
    srand(99);
    for (unsigned i = 0; i < 8000; i++)
        fuzz_round(*state, i % VARIANTS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(exchanges),         T(kicks),       T(no_interrupt),  T(trimming),      T(resets),
        T(negotiation),       T(saved_state), T(hostile_state), T(hostile_split), T(hostile_packed),
        T(too_many_segments), T(flood),       T(fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
