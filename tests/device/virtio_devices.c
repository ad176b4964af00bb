/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block, console and entropy devices as a driver sees them: through PCI, with their queues on a
 * loop of its own thread. The test waits for interrupts and never looks without one, so a lost kick
 * or interrupt is a test that ends in a timeout.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dev/virtio/virtio_blk.h"
#include "dev/virtio/virtio_console.h"
#include "dev/virtio/virtio_rng.h"
#include "virtio_driver.h"

#define RAM_SIZE (32u << 20)
#define DISK_SIZE (4u << 20)
#define DATA 0x800000u /* request buffers */
#define SLOT_SIZE 0x10000u
#define DEVFN PCI_DEVFN(4, 0)
#define NOTHING 0xffff
#define FEATURE(n) (UINT64_C(1) << (n))
#define ALL_BUT_PACKED (~FEATURE(34))

struct env {
    struct ram *ram;
    uint8_t *mem;
    struct bus *mmio, *ports;
    struct pci_bus *bus;
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned msis[8]; /* lock; by vector */
    bool intx;        /* lock */
    struct device dev;
    struct drv_dev drv;
    struct drv_ring rings[4];
    /* Disk. */
    char path[64];
    struct block_backend *backend;
    uint8_t *model;
    /* Console. */
    uint8_t output[65536];
    size_t output_len, output_room;
    unsigned input_ready;
};

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->lock);
    v->msis[data % 8]++;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static void on_pin(void *opaque, unsigned line, bool level)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->lock);
    v->intx = level;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static struct timespec soon(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 20;
    return t;
}

/* Waits for an interrupt on the vector and takes all that are there. */
static void wait_msi(struct env *v, unsigned vector)
{
    struct timespec t = soon();
    int r = 0;
    pthread_mutex_lock(&v->lock);
    while (v->msis[vector] == 0 && r == 0)
        r = pthread_cond_timedwait(&v->cond, &v->lock, &t);
    v->msis[vector] = 0;
    pthread_mutex_unlock(&v->lock);
    assert_int_equal(r, 0);
}

static void *loop_thread(void *opaque)
{
    loop_run(opaque);
    return NULL;
}

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct err e = {0};
    srand(11);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->cond, NULL);
    assert_int_equal(ram_create(&v->ram, RAM_SIZE, &e), 0);
    assert_int_equal(ram_add(v->ram, 0, RAM_SIZE, false, &e), 0);
    v->mem = ram_ptr(v->ram, 0, RAM_SIZE, true);
    assert_int_equal(bus_create(&v->mmio, UINT64_C(1) << 40), 0);
    assert_int_equal(bus_create(&v->ports, 0x10000), 0);
    assert_int_equal(loop_create(&v->loop), 0);
    struct pin pin = {on_pin, v, 0};
    struct pci_bus_config cfg = {
        .mmio = v->mmio, .ports = v->ports, .msi = {on_msi, v}, .intx = &pin, .intx_count = 1};
    assert_int_equal(pci_bus_create(&cfg, &v->bus), 0);
    strcpy(v->path, "/tmp/test-virtio-XXXXXX");
    close(mkstemp(v->path));
    v->model = malloc(DISK_SIZE);
    v->output_room = sizeof(v->output);
    *state = v;
    return 0;
}

static struct virtio_place place(struct env *v)
{
    return (struct virtio_place){.bus = v->bus, .devfn = DEVFN, .ram = v->ram, .loop = v->loop};
}

/* The device has been created: lets its loop run, places BARs, sets vectors up. */
static void go(struct env *v)
{
    struct pci_windows w = {.mem32_base = 0xc0000000, .mem32_size = 0x1000000};
    struct err e = {0};
    assert_int_equal(pthread_create(&v->thread, NULL, loop_thread, v->loop), 0);
    assert_int_equal(pci_bus_assign(v->bus, &w, &e), 0);
    drv_find(&v->drv, v->ports, v->mmio, DEVFN);
    for (unsigned i = 0; i < 3; i++)
        drv_msix_vector(&v->drv, i, 0xfee00000, i);
}

/* Resets, negotiates and sets `queues` queues up; queue i interrupts with vector i. */
static uint64_t start(struct env *v, unsigned queues, uint64_t features)
{
    drv_reset(&v->drv);
    uint64_t f = drv_negotiate(&v->drv, features);
    assert_int_not_equal(f, 0);
    gpa_t at = 0x10000;
    for (unsigned i = 0; i < queues; i++) {
        at = drv_ring_init(&v->rings[i], v->mem, at, 64, (f & FEATURE(34)) != 0,
                           (f & FEATURE(29)) != 0, (f & FEATURE(28)) != 0);
        drv_enable_queue(&v->drv, i, &v->rings[i], (uint16_t)i);
    }
    memset(v->msis, 0, sizeof(v->msis));
    drv_ok(&v->drv);
    assert_int_equal(drv_status(&v->drv), 15);
    return f;
}

static int teardown(void **state)
{
    struct env *v = *state;
    if (v->dev.ops != NULL) {
        v->dev.ops->pause(v->dev.self);
        loop_stop(v->loop);
        pthread_join(v->thread, NULL);
        v->dev.ops->destroy(v->dev.self);
    }
    block_close(v->backend);
    pci_bus_destroy(v->bus);
    loop_destroy(v->loop);
    bus_destroy(v->mmio);
    bus_destroy(v->ports);
    ram_destroy(v->ram);
    unlink(v->path);
    free(v->model);
    free(v);
    return 0;
}

/* Adds a request, kicks if the device wants that, waits for its interrupt; the used length. */
static uint32_t transact(struct env *v, unsigned queue, const struct drv_seg *segs, unsigned n)
{
    bool kick;
    uint16_t id;
    uint32_t len;
    assert_true(drv_add(&v->rings[queue], segs, n, &kick) >= 0);
    if (kick)
        drv_kick(&v->drv, queue);
    while (!drv_used(&v->rings[queue], &id, &len)) {
        drv_want_interrupt(&v->rings[queue], 0);
        if (drv_used(&v->rings[queue], &id, &len))
            break;
        wait_msi(v, queue);
    }
    return len;
}

/* --- block --- */

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };

static void open_disk(struct env *v, struct block_options o)
{
    struct err e = {0};
    for (unsigned i = 0; i < DISK_SIZE; i++)
        v->model[i] = (uint8_t)rand();
    FILE *f = fopen(v->path, "w");
    assert_int_equal(fwrite(v->model, 1, DISK_SIZE, f), DISK_SIZE);
    fclose(f);
    o.path = v->path;
    assert_int_equal(block_open(&o, &v->backend, &e), 0);
    struct loop *loops[] = {v->loop};
    struct virtio_blk_config cfg = {.place = place(v),
                                    .backend = v->backend,
                                    .loops = loops,
                                    .loop_count = 1,
                                    .queues = 2,
                                    .serial = "a-serial"};
    assert_int_equal(virtio_blk_create(&cfg, &v->dev, &e), 0);
    go(v);
}

static void put_header(struct env *v, gpa_t at, uint32_t type, uint64_t sector)
{
    memcpy(v->mem + at, &type, 4);
    memset(v->mem + at + 4, 0, 4);
    memcpy(v->mem + at + 8, &sector, 8);
}

/* Header, one data segment, status; the status. */
static uint8_t request(struct env *v, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
    struct drv_seg s[3] = {{DATA, 16, false}, {DATA + 4096, len, in}, {DATA + 16, 1, true}};
    unsigned n = 3;
    put_header(v, DATA, type, sector);
    v->mem[DATA + 16] = 0xee;
    if (len == 0)
        s[1] = s[--n];
    transact(v, 0, s, n);
    return v->mem[DATA + 16];
}

static uint8_t range_request(struct env *v, uint32_t type, uint64_t sector, uint32_t sectors,
                             uint32_t flags, uint32_t copies)
{
    for (uint32_t i = 0; i < copies; i++) {
        memcpy(v->mem + DATA + 4096 + 16 * i, &sector, 8);
        memcpy(v->mem + DATA + 4096 + 16 * i + 8, &sectors, 4);
        memcpy(v->mem + DATA + 4096 + 16 * i + 12, &flags, 4);
    }
    return request(v, type, 0, 16 * copies, false);
}

static void blk_config(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    uint64_t f = start(v, 2, UINT64_MAX);
    assert_true((f & FEATURE(9)) != 0 && (f & FEATURE(12)) != 0 && (f & FEATURE(13)) != 0);
    uint64_t at = v->drv.regs + 0x2000;
    assert_int_equal(bus_read(v->mmio, at, 8), DISK_SIZE / 512);
    assert_int_equal(bus_read(v->mmio, at + 12, 4), 254);
    assert_int_equal(bus_read(v->mmio, at + 20, 4), 512);
    assert_int_equal(bus_read(v->mmio, at + 34, 2), 2);
    assert_int_equal(bus_read(v->mmio, at + 32, 1), 1);
    assert_int_equal(bus_read(v->mmio, at + 200, 4), 0);
    assert_int_equal(request(v, GET_ID, 0, 20, true), 0);
    assert_string_equal((char *)v->mem + DATA + 4096, "a-serial");
}

static void blk_requests(void **state)
{
    struct env *v = *state;
    uint8_t *data;
    open_disk(v, (struct block_options){0});
    start(v, 2, ALL_BUT_PACKED);
    data = v->mem + DATA + 4096;
    assert_int_equal(request(v, IN, 3, 8192, true), 0);
    assert_memory_equal(data, v->model + 3 * 512, 8192);
    memset(data, 0x5a, 4096);
    assert_int_equal(request(v, OUT, 8, 4096, false), 0);
    assert_int_equal(request(v, FLUSH, 0, 0, false), 0);
    assert_int_equal(range_request(v, ZEROES, 9, 2, 0, 1), 0);
    assert_int_equal(range_request(v, ZEROES, 12, 1, 1, 16), 0); /* sixteen ranges, unmap */
    memset(data, 0xff, 4096);
    assert_int_equal(request(v, IN, 8, 4096, true), 0);
    for (unsigned i = 0; i < 4096; i++) {
        unsigned sector = 8 + i / 512;
        assert_int_equal(data[i], sector == 9 || sector == 10 || sector == 12 ? 0 : 0x5a);
    }
    assert_int_equal(range_request(v, DISCARD, 16, 8, 0, 1), 0);
    bus_write(v->mmio, v->drv.regs + 0x2000 + 32, 0, 1); /* write-through */
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 0x2000 + 32, 1), 0);
    assert_int_equal(request(v, OUT, 8, 4096, false), 0);
    assert_int_equal(range_request(v, ZEROES, 12, 1, 1, 2), 0);
}

static void blk_errors(void **state)
{
    struct env *v = *state;
    uint64_t end = DISK_SIZE / 512;
    open_disk(v, (struct block_options){0});
    start(v, 2, ALL_BUT_PACKED);
    assert_int_equal(request(v, IN, end, 512, true), 1);
    assert_int_equal(request(v, IN, end - 1, 1024, true), 1);
    assert_int_equal(request(v, OUT, UINT64_MAX, 512, false), 1);
    assert_int_equal(request(v, IN, UINT64_MAX / 512 + 1, 512, true), 1);
    assert_int_equal(request(v, IN, 0, 100, true), 1);
    assert_int_equal(request(v, OUT, 0, 513, false), 1);
    assert_int_equal(request(v, 2, 0, 512, true), 2);
    assert_int_equal(request(v, 0x80000000, 0, 512, true), 2);
    assert_int_equal(range_request(v, DISCARD, end, 1, 0, 1), 1);
    assert_int_equal(range_request(v, DISCARD, 0, UINT32_MAX, 0, 1), 1);
    assert_int_equal(range_request(v, DISCARD, 0, 1, 1, 1), 2);
    assert_int_equal(range_request(v, ZEROES, 0, 1, 2, 1), 2);
    assert_int_equal(range_request(v, ZEROES, 0, 1, 0, 17), 1);
    assert_int_equal(request(v, ZEROES, 0, 15, false), 1);
    assert_int_equal(request(v, DISCARD, 0, 0, false), 1);
    assert_int_equal(request(v, IN, 0, 0, true), 0);
    /* A header that is too short. */
    struct drv_seg s[] = {{DATA, 10, false}, {DATA + 16, 1, true}};
    v->mem[DATA + 16] = 0xee;
    transact(v, 0, s, 2);
    assert_int_equal(v->mem[DATA + 16], 1);
    assert_int_equal(drv_status(&v->drv), 15);
    /* No room for a status. */
    bool kick;
    drv_add(&v->rings[0], s, 1, &kick);
    bus_write(v->mmio, v->drv.regs + 16, 2, 2); /* configuration changes: vector 2 */
    drv_kick(&v->drv, 0);
    wait_msi(v, 2);
    assert_int_equal(drv_status(&v->drv), 15 | 64);
    start(v, 2, ALL_BUT_PACKED);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
}

static void blk_readonly(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){.readonly = true});
    uint64_t f = start(v, 2, UINT64_MAX);
    assert_true((f & FEATURE(5)) != 0 && (f & FEATURE(13)) == 0);
    assert_int_equal(request(v, OUT, 0, 512, false), 1);
    assert_int_equal(range_request(v, DISCARD, 0, 1, 0, 1), 2);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
    assert_memory_equal(v->mem + DATA + 4096, v->model, 512);
}

/* Header and status need not have descriptors of their own. */
static void blk_any_layout(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    start(v, 2, ALL_BUT_PACKED);
    struct drv_seg in[] = {
        {DATA, 7, false}, {DATA + 7, 9, false}, {DATA + 4096, 100, true}, {DATA + 4196, 413, true}};
    put_header(v, DATA, IN, 5);
    v->mem[DATA + 4096 + 512] = 0xee;
    assert_int_equal(transact(v, 0, in, 4), 513);
    assert_memory_equal(v->mem + DATA + 4096, v->model + 5 * 512, 512);
    assert_int_equal(v->mem[DATA + 4096 + 512], 0);
    struct drv_seg out[] = {{DATA, 528, false}, {DATA + 4096, 1, true}};
    put_header(v, DATA, OUT, 6);
    transact(v, 0, out, 2);
    assert_int_equal(v->mem[DATA + 4096], 0);
    memcpy(v->model, v->mem + DATA + 16, 512);
    assert_int_equal(request(v, IN, 6, 512, true), 0);
    assert_memory_equal(v->mem + DATA + 4096, v->model, 512);
}

/* Many requests in flight on two queues; the disk is cut in slots that do not overlap. */
struct traffic {
    struct {
        int id;
        bool write, reset;
        uint32_t len;
        uint64_t sector;
    } slot[64];
    unsigned inflight;
};

static void traffic_start(struct env *v, struct traffic *t, unsigned i)
{
    gpa_t at = DATA + i * SLOT_SIZE;
    bool kick;
    t->slot[i].write = rand() % 2 == 0;
    t->slot[i].len = 512 * (1 + (uint32_t)rand() % 100);
    t->slot[i].sector = i * (DISK_SIZE / 512 / 64) + (uint64_t)rand() % 28;
    put_header(v, at, t->slot[i].write ? OUT : IN, t->slot[i].sector);
    v->mem[at + 16] = 0xee;
    for (uint32_t k = 0; t->slot[i].write && k < t->slot[i].len; k += 64)
        memset(v->mem + at + 4096 + k, rand(), 64);
    struct drv_seg s[] = {{at, 16, false},
                          {at + 4096, 512, !t->slot[i].write},
                          {at + 4608, t->slot[i].len - 512, !t->slot[i].write},
                          {at + 16, 1, true}};
    unsigned n = 4;
    if (t->slot[i].len == 512)
        s[2] = s[--n];
    t->slot[i].id = drv_add(&v->rings[i % 2], s, n, &kick);
    if (t->slot[i].id >= 0)
        t->inflight++;
    if (kick && t->slot[i].id >= 0)
        drv_kick(&v->drv, i % 2);
}

static void traffic_done(struct env *v, struct traffic *t, unsigned queue, uint16_t id)
{
    unsigned i = queue;
    while (i < 64 && t->slot[i].id != id)
        i += 2;
    assert_true(i < 64);
    uint8_t *data = v->mem + DATA + i * SLOT_SIZE + 4096;
    uint8_t *model = v->model + t->slot[i].sector * 512;
    assert_int_equal(data[16 - 4096], 0);
    if (t->slot[i].write)
        memcpy(model, data, t->slot[i].len);
    else
        assert_memory_equal(data, model, t->slot[i].len);
    t->slot[i].id = -1;
    t->inflight--;
}

static bool traffic_collect(struct env *v, struct traffic *t)
{
    uint16_t id;
    uint32_t len;
    bool any = false;
    for (unsigned q = 0; q < 2; q++)
        while (drv_used(&v->rings[q], &id, &len)) {
            traffic_done(v, t, q, id);
            any = true;
        }
    return any;
}

static void traffic_wait(struct env *v, struct traffic *t)
{
    struct timespec until = soon();
    int r = 0;
    if (traffic_collect(v, t) || t->inflight == 0)
        return;
    pthread_mutex_lock(&v->lock);
    v->msis[0] = v->msis[1] = 0;
    pthread_mutex_unlock(&v->lock);
    drv_want_interrupt(&v->rings[0], 0);
    drv_want_interrupt(&v->rings[1], 0);
    if (traffic_collect(v, t))
        return;
    pthread_mutex_lock(&v->lock);
    while (v->msis[0] == 0 && v->msis[1] == 0 && r == 0)
        r = pthread_cond_timedwait(&v->cond, &v->lock, &until);
    pthread_mutex_unlock(&v->lock);
    assert_int_equal(r, 0);
}

static void traffic_init(struct traffic *t)
{
    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < 64; i++)
        t->slot[i].id = -1;
}

static void traffic(struct env *v, uint64_t features, bool pauses)
{
    struct traffic t;
    traffic_init(&t);
    start(v, 2, features);
    for (unsigned round = 0; round < 400; round++) {
        for (unsigned k = (unsigned)rand() % 40; k != 0; k--) {
            unsigned i = (unsigned)rand() % 64;
            if (t.slot[i].id < 0)
                traffic_start(v, &t, i);
        }
        if (pauses && round % 10 == 0) {
            uint8_t *ring = malloc(0x20000);
            v->dev.ops->pause(v->dev.self);
            memcpy(ring, v->mem + 0x10000, 0x20000);
            usleep(1000);
            assert_memory_equal(ring, v->mem + 0x10000, 0x20000); /* quiet */
            v->dev.ops->resume(v->dev.self);
            free(ring);
        }
        traffic_wait(v, &t);
    }
    while (t.inflight != 0)
        traffic_wait(v, &t);
}

static void blk_traffic_variants(struct env *v, struct block_options o)
{
    open_disk(v, o);
    traffic(v, UINT64_MAX, false);
    traffic(v, ALL_BUT_PACKED, false);
    traffic(v, ~FEATURE(29), false);                  /* without event index */
    traffic(v, ALL_BUT_PACKED & ~FEATURE(29), false); /* the same, split */
    traffic(v, ~FEATURE(28), true);                   /* without indirect descriptors */
    traffic(v, ALL_BUT_PACKED, true);
}

static void blk_traffic(void **state)
{
    blk_traffic_variants(*state, (struct block_options){0});
}

static void blk_traffic_threads(void **state)
{
    blk_traffic_variants(*state, (struct block_options){.aio = BLOCK_AIO_THREADS});
}

static void blk_traffic_snapshot(void **state)
{
    blk_traffic_variants(*state, (struct block_options){.snapshot = true});
}

/* The driver resets a device with requests under way: nothing is written after the status is 0. */
static void blk_reset_under_load(void **state)
{
    struct env *v = *state;
    struct traffic t;
    open_disk(v, (struct block_options){.aio = BLOCK_AIO_THREADS});
    for (unsigned round = 0; round < 100; round++) {
        uint8_t *copy = malloc(64 * SLOT_SIZE);
        start(v, 2, round % 2 != 0 ? UINT64_MAX : ALL_BUT_PACKED);
        traffic_init(&t);
        for (unsigned i = 0; i < 64; i++)
            traffic_start(v, &t, i);
        if (round % 3 == 0)
            usleep((unsigned)rand() % 300);
        if (round % 5 == 0)
            v->dev.ops->reset(v->dev.self);
        else
            drv_reset(&v->drv);
        memcpy(copy, v->mem + DATA, 64 * SLOT_SIZE);
        usleep(500);
        assert_memory_equal(copy, v->mem + DATA, 64 * SLOT_SIZE);
        free(copy);
        if (round % 5 == 0) { /* the machine's reset took the BARs and vectors */
            struct pci_windows w = {.mem32_base = 0xc0000000, .mem32_size = 0x1000000};
            struct err e = {0};
            assert_int_equal(pci_bus_assign(v->bus, &w, &e), 0);
            drv_find(&v->drv, v->ports, v->mmio, DEVFN);
            for (unsigned i = 0; i < 3; i++)
                drv_msix_vector(&v->drv, i, 0xfee00000, i);
        }
    }
}

static void blk_state(void **state)
{
    struct env *v = *state;
    struct err e = {0};
    uint8_t *a, *b;
    size_t alen, blen;
    open_disk(v, (struct block_options){0});
    start(v, 2, UINT64_MAX);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(request(v, IN, i, 4096, true), 0);
        assert_memory_equal(v->mem + DATA + 4096, v->model + i * 512, 4096);
        v->dev.ops->pause(v->dev.self);
        assert_int_equal(state_save(v->dev.ops->state, v->dev.self, &a, &alen), 0);
        v->dev.ops->reset(v->dev.self);
        assert_int_equal(state_load(v->dev.ops->state, v->dev.self, a, alen, &e), 0);
        v->dev.ops->restore(v->dev.self);
        assert_int_equal(state_save(v->dev.ops->state, v->dev.self, &b, &blen), 0);
        assert_int_equal(alen, blen);
        assert_memory_equal(a, b, alen);
        v->dev.ops->resume(v->dev.self);
        free(a);
        free(b);
    }
}

/* Without MSI-X: the line, and the ISR register that clears it. */
static void blk_intx(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    for (unsigned at = drv_config(v->ports, DEVFN, 0x34) & 0xff; at != 0;) {
        uint32_t cap = drv_config(v->ports, DEVFN, at);
        if ((cap & 0xff) == 0x11)
            drv_config_set(v->ports, DEVFN, at, 0);
        at = cap >> 8 & 0xff;
    }
    start(v, 2, ALL_BUT_PACKED);
    struct drv_seg s[] = {{DATA, 16, false}, {DATA + 4096, 512, true}, {DATA + 16, 1, true}};
    struct timespec until = soon();
    bool kick;
    int r = 0;
    put_header(v, DATA, IN, 0);
    drv_add(&v->rings[0], s, 3, &kick);
    drv_kick(&v->drv, 0);
    pthread_mutex_lock(&v->lock);
    while (!v->intx && r == 0)
        r = pthread_cond_timedwait(&v->cond, &v->lock, &until);
    pthread_mutex_unlock(&v->lock);
    assert_int_equal(r, 0);
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 0x1000, 1), 1);
    assert_false(v->intx);
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 0x1000, 1), 0);
}

/* The registers through configuration space. */
static void pci_cfg_window(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    unsigned at = drv_config(v->ports, DEVFN, 0x34) & 0xff;
    while ((drv_config(v->ports, DEVFN, at) & 0xff0000ff) != 0x05000009)
        at = drv_config(v->ports, DEVFN, at) >> 8 & 0xff;
    drv_config_set(v->ports, DEVFN, at + 4, 4);
    drv_config_set(v->ports, DEVFN, at + 8, 0x2000);
    drv_config_set(v->ports, DEVFN, at + 12, 4);
    assert_int_equal(drv_config(v->ports, DEVFN, at + 16), DISK_SIZE / 512);
    drv_config_set(v->ports, DEVFN, at + 8, 8);
    drv_config_set(v->ports, DEVFN, at + 16, 1); /* driver_feature_select */
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 8, 4), 1);
    drv_config_set(v->ports, DEVFN, at + 8, 0x4000); /* beyond the BAR */
    drv_config_set(v->ports, DEVFN, at + 16, 7);
    assert_int_equal(drv_config(v->ports, DEVFN, at + 16), 7); /* only a register */
}

/* Random accesses to all registers while the loop works. */
static void register_fuzz(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    start(v, 2, UINT64_MAX);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned size = 1u << (unsigned)(rand() % 4);
        uint64_t at = v->drv.regs + (uint64_t)(rand() % 4) * 0x1000 + (uint64_t)(rand() % 72);
        uint64_t value = rand() % 3 == 0 ? (uint64_t)(rand() % 16) : (uint64_t)rand() * 0x1001;
        if (rand() % 3 == 0)
            bus_read(v->mmio, at, size);
        else
            bus_write(v->mmio, at, value, size);
    }
    start(v, 2, UINT64_MAX);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
    assert_memory_equal(v->mem + DATA + 4096, v->model, 512);
}

/* --- console --- */

static size_t console_output(void *opaque, const void *data, size_t len)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->lock);
    size_t n = len < v->output_room ? len : v->output_room;
    memcpy(v->output + v->output_len, data, n);
    v->output_len += n;
    v->output_room -= n;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
    return n;
}

static void console_input_ready(void *opaque)
{
    struct env *v = opaque;
    pthread_mutex_lock(&v->lock);
    v->input_ready++;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static void open_console(struct env *v)
{
    struct err e = {0};
    struct virtio_console_config cfg = {.place = place(v),
                                        .output = console_output,
                                        .input_ready = console_input_ready,
                                        .opaque = v,
                                        .cols = 80,
                                        .rows = 25};
    assert_int_equal(virtio_console_create(&cfg, &v->dev, &e), 0);
    go(v);
}

/* Runs a function on the loop's thread and waits for it. */
struct call {
    struct env *v;
    void (*fn)(struct env *v, struct call *c);
    const char *text;
    size_t taken;
    bool done;
};

static void call_here(void *opaque)
{
    struct call *c = opaque;
    c->fn(c->v, c);
    pthread_mutex_lock(&c->v->lock);
    c->done = true;
    pthread_cond_broadcast(&c->v->cond);
    pthread_mutex_unlock(&c->v->lock);
}

static size_t on_loop(struct env *v, void (*fn)(struct env *v, struct call *c), const char *text)
{
    struct call c = {.v = v, .fn = fn, .text = text};
    assert_int_equal(loop_post(v->loop, call_here, &c), 0);
    pthread_mutex_lock(&v->lock);
    while (!c.done)
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
    return c.taken;
}

static void do_input(struct env *v, struct call *c)
{
    c->taken = virtio_console_input(v->dev.self, c->text, strlen(c->text));
}

static void do_ready(struct env *v, struct call *c)
{
    virtio_console_output_ready(v->dev.self);
}

static void console(void **state)
{
    struct env *v = *state;
    bool kick;
    uint16_t id;
    uint32_t len;
    open_console(v);
    assert_int_equal(on_loop(v, do_input, "early"), 0); /* no driver yet */
    start(v, 2, UINT64_MAX);
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 0x2000, 4), 80 | 25 << 16);
    /* Out, with a host that takes five bytes, then the rest. */
    memcpy(v->mem + DATA, "hello, world", 12);
    struct drv_seg out[] = {{DATA, 4, false}, {DATA + 4, 8, false}};
    v->output_room = 5;
    drv_add(&v->rings[1], out, 2, &kick);
    drv_kick(&v->drv, 1);
    pthread_mutex_lock(&v->lock);
    while (v->output_len < 5)
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
    v->dev.ops->pause(v->dev.self); /* nothing is in flight even now */
    assert_false(drv_used(&v->rings[1], &id, &len));
    v->dev.ops->resume(v->dev.self);
    v->output_room = 100;
    on_loop(v, do_ready, NULL);
    wait_msi(v, 1);
    assert_true(drv_used(&v->rings[1], &id, &len));
    assert_int_equal(v->output_len, 12);
    assert_memory_equal(v->output, "hello, world", 12);
    /* In: room for four, then for more. */
    unsigned ready = v->input_ready;
    struct drv_seg in[] = {{DATA, 4, true}}, more[] = {{DATA + 4, 100, true}};
    drv_add(&v->rings[0], in, 1, &kick);
    assert_int_equal(on_loop(v, do_input, "abcdef"), 4);
    wait_msi(v, 0);
    assert_true(drv_used(&v->rings[0], &id, &len));
    assert_int_equal(len, 4);
    drv_add(&v->rings[0], more, 1, &kick);
    assert_true(kick);
    drv_kick(&v->drv, 0);
    pthread_mutex_lock(&v->lock);
    while (v->input_ready == ready)
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
    assert_int_equal(on_loop(v, do_input, "ef"), 2);
    assert_true(drv_used(&v->rings[0], &id, &len));
    assert_int_equal(len, 2);
    assert_memory_equal(v->mem + DATA, "abcdef", 6);
    /* The window changes. */
    uint64_t generation = bus_read(v->mmio, v->drv.regs + 21, 1);
    bus_write(v->mmio, v->drv.regs + 16, 2, 2);
    virtio_console_resize(v->dev.self, 100, 40);
    wait_msi(v, 2);
    assert_int_equal(bus_read(v->mmio, v->drv.regs + 0x2000, 4), 100 | 40 << 16);
    assert_int_not_equal(bus_read(v->mmio, v->drv.regs + 21, 1), generation);
}

/* --- entropy --- */

static void entropy(void **state)
{
    struct env *v = *state;
    struct err e = {0};
    struct virtio_place at = place(v);
    unsigned zeros = 0;
    assert_int_equal(virtio_rng_create(&at, &v->dev, &e), 0);
    go(v);
    start(v, 1, UINT64_MAX);
    memset(v->mem + DATA, 0, 8192);
    struct drv_seg s[] = {{DATA, 4096, true}, {DATA + 4096, 1000, true}};
    assert_int_equal(transact(v, 0, s, 2), 5096);
    for (unsigned i = 0; i < 5096; i++)
        zeros += v->mem[DATA + i] == 0;
    assert_true(zeros < 100);
    for (unsigned i = 5096; i < 8192; i++)
        assert_int_equal(v->mem[DATA + i], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(blk_config),
        T(blk_requests),
        T(blk_errors),
        T(blk_readonly),
        T(blk_any_layout),
        T(blk_traffic),
        T(blk_traffic_threads),
        T(blk_traffic_snapshot),
        T(blk_reset_under_load),
        T(blk_state),
        T(blk_intx),
        T(pci_cfg_window),
        T(register_fuzz),
        T(console),
        T(entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
