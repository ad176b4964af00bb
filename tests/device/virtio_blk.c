/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk as a driver sees it: through PCI, with its queues on a loop of its own thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dev/virtio/virtio_blk.h"
#include "virtio_vm.h"

#define DISK_SIZE (4u << 20)
#define SLOT_SIZE 0x10000u

struct env {
    struct vm_env vm;
    char path[64];
    struct block_backend *backend;
    uint8_t *model;
};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    srand(11);
    vm_setup(&v->vm);
    strcpy(v->path, "/tmp/test-virtio-XXXXXX");
    close(mkstemp(v->path));
    v->model = malloc(DISK_SIZE);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;
    vm_teardown(&v->vm);
    block_close(v->backend);
    unlink(v->path);
    free(v->model);
    free(v);
    return 0;
}

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
    struct loop *loops[] = {v->vm.loop};
    struct virtio_blk_config cfg = {.place = vm_place(&v->vm),
                                    .backend = v->backend,
                                    .loops = loops,
                                    .loop_count = 1,
                                    .queues = 2,
                                    .serial = "a-serial"};
    assert_int_equal(virtio_blk_create(&cfg, &v->vm.dev, &e), 0);
    vm_go(&v->vm);
}

static void put_header(struct env *v, gpa_t at, uint32_t type, uint64_t sector)
{
    memcpy(v->vm.mem + at, &type, 4);
    memset(v->vm.mem + at + 4, 0, 4);
    memcpy(v->vm.mem + at + 8, &sector, 8);
}

/* Header, one data segment, status; the status. */
static uint8_t request(struct env *v, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
    struct drv_seg s[3] = {
        {VM_DATA, 16, false}, {VM_DATA + 4096, len, in}, {VM_DATA + 16, 1, true}};
    unsigned n = 3;
    put_header(v, VM_DATA, type, sector);
    v->vm.mem[VM_DATA + 16] = 0xee;
    if (len == 0)
        s[1] = s[--n];
    vm_transact(&v->vm, 0, s, n);
    return v->vm.mem[VM_DATA + 16];
}

static uint8_t range_request(struct env *v, uint32_t type, uint64_t sector, uint32_t sectors,
                             uint32_t flags, uint32_t copies)
{
    for (uint32_t i = 0; i < copies; i++) {
        memcpy(v->vm.mem + VM_DATA + 4096 + 16 * i, &sector, 8);
        memcpy(v->vm.mem + VM_DATA + 4096 + 16 * i + 8, &sectors, 4);
        memcpy(v->vm.mem + VM_DATA + 4096 + 16 * i + 12, &flags, 4);
    }
    return request(v, type, 0, 16 * copies, false);
}

static void blk_config(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    uint64_t f = vm_start(&v->vm, 2, UINT64_MAX);
    assert_true((f & VM_FEATURE(9)) != 0 && (f & VM_FEATURE(12)) != 0 && (f & VM_FEATURE(13)) != 0);
    uint64_t at = v->vm.drv.regs + 0x2000;
    assert_int_equal(bus_read(v->vm.mmio, at, 8), DISK_SIZE / 512);
    assert_int_equal(bus_read(v->vm.mmio, at + 12, 4), 254);
    assert_int_equal(bus_read(v->vm.mmio, at + 20, 4), 512);
    assert_int_equal(bus_read(v->vm.mmio, at + 34, 2), 2);
    assert_int_equal(bus_read(v->vm.mmio, at + 32, 1), 1);
    assert_int_equal(bus_read(v->vm.mmio, at + 200, 4), 0);
    assert_int_equal(request(v, GET_ID, 0, 20, true), 0);
    assert_string_equal((char *)v->vm.mem + VM_DATA + 4096, "a-serial");
}

static void blk_requests(void **state)
{
    struct env *v = *state;
    uint8_t *data;
    open_disk(v, (struct block_options){0});
    vm_start(&v->vm, 2, VM_NOT_PACKED);
    data = v->vm.mem + VM_DATA + 4096;
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
    bus_write(v->vm.mmio, v->vm.drv.regs + 0x2000 + 32, 0, 1); /* write-through */
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 0x2000 + 32, 1), 0);
    assert_int_equal(request(v, OUT, 8, 4096, false), 0);
    assert_int_equal(range_request(v, ZEROES, 12, 1, 1, 2), 0);
}

static void blk_errors(void **state)
{
    struct env *v = *state;
    uint64_t end = DISK_SIZE / 512;
    open_disk(v, (struct block_options){0});
    vm_start(&v->vm, 2, VM_NOT_PACKED);
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
    struct drv_seg s[] = {{VM_DATA, 10, false}, {VM_DATA + 16, 1, true}};
    v->vm.mem[VM_DATA + 16] = 0xee;
    vm_transact(&v->vm, 0, s, 2);
    assert_int_equal(v->vm.mem[VM_DATA + 16], 1);
    assert_int_equal(drv_status(&v->vm.drv), 15);
    /* No room for a status. */
    bool kick;
    drv_add(&v->vm.rings[0], s, 1, &kick);
    bus_write(v->vm.mmio, v->vm.drv.regs + 16, 2, 2); /* configuration changes: vector 2 */
    drv_kick(&v->vm.drv, 0);
    vm_wait_msi(&v->vm, 2);
    assert_int_equal(drv_status(&v->vm.drv), 15 | 64);
    vm_start(&v->vm, 2, VM_NOT_PACKED);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
}

static void blk_readonly(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){.readonly = true});
    uint64_t f = vm_start(&v->vm, 2, UINT64_MAX);
    assert_true((f & VM_FEATURE(5)) != 0 && (f & VM_FEATURE(13)) == 0);
    assert_int_equal(request(v, OUT, 0, 512, false), 1);
    assert_int_equal(range_request(v, DISCARD, 0, 1, 0, 1), 2);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
    assert_memory_equal(v->vm.mem + VM_DATA + 4096, v->model, 512);
}

/* Header and status need not have descriptors of their own. */
static void blk_any_layout(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    vm_start(&v->vm, 2, VM_NOT_PACKED);
    struct drv_seg in[] = {{VM_DATA, 7, false},
                           {VM_DATA + 7, 9, false},
                           {VM_DATA + 4096, 100, true},
                           {VM_DATA + 4196, 413, true}};
    put_header(v, VM_DATA, IN, 5);
    v->vm.mem[VM_DATA + 4096 + 512] = 0xee;
    assert_int_equal(vm_transact(&v->vm, 0, in, 4), 513);
    assert_memory_equal(v->vm.mem + VM_DATA + 4096, v->model + 5 * 512, 512);
    assert_int_equal(v->vm.mem[VM_DATA + 4096 + 512], 0);
    struct drv_seg out[] = {{VM_DATA, 528, false}, {VM_DATA + 4096, 1, true}};
    put_header(v, VM_DATA, OUT, 6);
    vm_transact(&v->vm, 0, out, 2);
    assert_int_equal(v->vm.mem[VM_DATA + 4096], 0);
    memcpy(v->model, v->vm.mem + VM_DATA + 16, 512);
    assert_int_equal(request(v, IN, 6, 512, true), 0);
    assert_memory_equal(v->vm.mem + VM_DATA + 4096, v->model, 512);
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
    gpa_t at = VM_DATA + i * SLOT_SIZE;
    bool kick;
    t->slot[i].write = rand() % 2 == 0;
    t->slot[i].len = 512 * (1 + (uint32_t)rand() % 100);
    t->slot[i].sector = i * (DISK_SIZE / 512 / 64) + (uint64_t)rand() % 28;
    put_header(v, at, t->slot[i].write ? OUT : IN, t->slot[i].sector);
    v->vm.mem[at + 16] = 0xee;
    for (uint32_t k = 0; t->slot[i].write && k < t->slot[i].len; k += 64)
        memset(v->vm.mem + at + 4096 + k, rand(), 64);
    struct drv_seg s[] = {{at, 16, false},
                          {at + 4096, 512, !t->slot[i].write},
                          {at + 4608, t->slot[i].len - 512, !t->slot[i].write},
                          {at + 16, 1, true}};
    unsigned n = 4;
    if (t->slot[i].len == 512)
        s[2] = s[--n];
    t->slot[i].id = drv_add(&v->vm.rings[i % 2], s, n, &kick);
    if (t->slot[i].id >= 0)
        t->inflight++;
    if (t->slot[i].id >= 0 && kick)
        drv_kick(&v->vm.drv, i % 2);
}

static void traffic_done(struct env *v, struct traffic *t, unsigned queue, uint16_t id)
{
    unsigned i = queue;
    while (i < 64 && t->slot[i].id != id)
        i += 2;
    assert_true(i < 64);
    uint8_t *data = v->vm.mem + VM_DATA + i * SLOT_SIZE + 4096;
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
        while (drv_used(&v->vm.rings[q], &id, &len)) {
            traffic_done(v, t, q, id);
            any = true;
        }
    return any;
}

static void traffic_wait(struct env *v, struct traffic *t)
{
    struct timespec until = vm_soon();
    int r = 0;
    if (traffic_collect(v, t) || t->inflight == 0)
        return;
    pthread_mutex_lock(&v->vm.lock);
    v->vm.msis[0] = v->vm.msis[1] = 0;
    pthread_mutex_unlock(&v->vm.lock);
    drv_want_interrupt(&v->vm.rings[0], 0);
    drv_want_interrupt(&v->vm.rings[1], 0);
    if (traffic_collect(v, t))
        return;
    pthread_mutex_lock(&v->vm.lock);
    while (v->vm.msis[0] == 0 && v->vm.msis[1] == 0 && r == 0)
        r = pthread_cond_timedwait(&v->vm.cond, &v->vm.lock, &until);
    pthread_mutex_unlock(&v->vm.lock);
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
    vm_start(&v->vm, 2, features);
    for (unsigned round = 0; round < 400; round++) {
        for (unsigned k = (unsigned)rand() % 40; k != 0; k--) {
            unsigned i = (unsigned)rand() % 64;
            if (t.slot[i].id < 0)
                traffic_start(v, &t, i);
        }
        if (pauses && round % 10 == 0) {
            uint8_t *ring = malloc(0x20000);
            v->vm.dev.ops->pause(v->vm.dev.self);
            memcpy(ring, v->vm.mem + 0x10000, 0x20000);
            usleep(1000);
            assert_memory_equal(ring, v->vm.mem + 0x10000, 0x20000); /* quiet */
            v->vm.dev.ops->resume(v->vm.dev.self);
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
    traffic(v, VM_NOT_PACKED, false);
    traffic(v, ~VM_FEATURE(29), false);                 /* without event index */
    traffic(v, VM_NOT_PACKED & ~VM_FEATURE(29), false); /* the same, split */
    traffic(v, ~VM_FEATURE(28), true);                  /* without indirect descriptors */
    traffic(v, VM_NOT_PACKED, true);
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
        vm_start(&v->vm, 2, round % 2 != 0 ? UINT64_MAX : VM_NOT_PACKED);
        traffic_init(&t);
        for (unsigned i = 0; i < 64; i++)
            traffic_start(v, &t, i);
        if (round % 3 == 0)
            usleep((unsigned)rand() % 300);
        if (round % 5 == 0)
            v->vm.dev.ops->reset(v->vm.dev.self);
        else
            drv_reset(&v->vm.drv);
        memcpy(copy, v->vm.mem + VM_DATA, 64 * SLOT_SIZE);
        usleep(500);
        assert_memory_equal(copy, v->vm.mem + VM_DATA, 64 * SLOT_SIZE);
        free(copy);
        if (round % 5 == 0)
            vm_place_bars(&v->vm); /* the machine's reset took BARs and vectors */
    }
}

static void blk_state(void **state)
{
    struct env *v = *state;
    struct err e = {0};
    uint8_t *a, *b;
    size_t alen, blen;
    open_disk(v, (struct block_options){0});
    vm_start(&v->vm, 2, UINT64_MAX);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(request(v, IN, i, 4096, true), 0);
        assert_memory_equal(v->vm.mem + VM_DATA + 4096, v->model + i * 512, 4096);
        v->vm.dev.ops->pause(v->vm.dev.self);
        assert_int_equal(state_save(v->vm.dev.ops->state, v->vm.dev.self, &a, &alen), 0);
        v->vm.dev.ops->reset(v->vm.dev.self);
        assert_int_equal(state_load(v->vm.dev.ops->state, v->vm.dev.self, a, alen, &e), 0);
        v->vm.dev.ops->restore(v->vm.dev.self);
        assert_int_equal(state_save(v->vm.dev.ops->state, v->vm.dev.self, &b, &blen), 0);
        assert_int_equal(alen, blen);
        assert_memory_equal(a, b, alen);
        v->vm.dev.ops->resume(v->vm.dev.self);
        free(a);
        free(b);
    }
}

/* Without MSI-X: the line, and the ISR register that clears it. */
static void wait_intx(struct env *v, bool level)
{
    struct timespec until = vm_soon();
    int r = 0;
    pthread_mutex_lock(&v->vm.lock);
    while (v->vm.intx != level && r == 0)
        r = pthread_cond_timedwait(&v->vm.cond, &v->vm.lock, &until);
    pthread_mutex_unlock(&v->vm.lock);
    assert_int_equal(r, 0);
}

static void blk_intx(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    for (unsigned at = drv_config(v->vm.ports, VM_DEVFN, 0x34) & 0xff; at != 0;) {
        uint32_t cap = drv_config(v->vm.ports, VM_DEVFN, at);
        if ((cap & 0xff) == 0x11)
            drv_config_set(v->vm.ports, VM_DEVFN, at, 0);
        at = cap >> 8 & 0xff;
    }
    vm_start(&v->vm, 2, VM_NOT_PACKED);
    struct drv_seg s[] = {
        {VM_DATA, 16, false}, {VM_DATA + 4096, 512, true}, {VM_DATA + 16, 1, true}};
    bool kick;
    put_header(v, VM_DATA, IN, 0);
    drv_add(&v->vm.rings[0], s, 3, &kick);
    drv_kick(&v->vm.drv, 0);
    wait_intx(v, true);
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 0x1000, 1), 1);
    wait_intx(v, false); /* the disk's thread may still be telling the pin */
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 0x1000, 1), 0);
}

/* The registers through configuration space. */
static void pci_cfg_window(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    unsigned at = drv_config(v->vm.ports, VM_DEVFN, 0x34) & 0xff;
    while ((drv_config(v->vm.ports, VM_DEVFN, at) & 0xff0000ff) != 0x05000009)
        at = drv_config(v->vm.ports, VM_DEVFN, at) >> 8 & 0xff;
    drv_config_set(v->vm.ports, VM_DEVFN, at + 4, 4);
    drv_config_set(v->vm.ports, VM_DEVFN, at + 8, 0x2000);
    drv_config_set(v->vm.ports, VM_DEVFN, at + 12, 4);
    assert_int_equal(drv_config(v->vm.ports, VM_DEVFN, at + 16), DISK_SIZE / 512);
    drv_config_set(v->vm.ports, VM_DEVFN, at + 8, 8);
    drv_config_set(v->vm.ports, VM_DEVFN, at + 16, 1); /* driver_feature_select */
    assert_int_equal(bus_read(v->vm.mmio, v->vm.drv.regs + 8, 4), 1);
    drv_config_set(v->vm.ports, VM_DEVFN, at + 8, 0x4000); /* beyond the BAR */
    drv_config_set(v->vm.ports, VM_DEVFN, at + 16, 7);
    assert_int_equal(drv_config(v->vm.ports, VM_DEVFN, at + 16), 7); /* only a register */
}

/* Random accesses to all registers while the loop works. */
static void register_fuzz(void **state)
{
    struct env *v = *state;
    open_disk(v, (struct block_options){0});
    vm_start(&v->vm, 2, UINT64_MAX);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned size = 1u << (unsigned)(rand() % 4);
        uint64_t at = v->vm.drv.regs + (uint64_t)(rand() % 4) * 0x1000 + (uint64_t)(rand() % 72);
        uint64_t value = rand() % 3 == 0 ? (uint64_t)(rand() % 16) : (uint64_t)rand() * 0x1001;
        if (rand() % 3 == 0)
            bus_read(v->vm.mmio, at, size);
        else
            bus_write(v->vm.mmio, at, value, size);
    }
    vm_start(&v->vm, 2, UINT64_MAX);
    assert_int_equal(request(v, IN, 0, 512, true), 0);
    assert_memory_equal(v->vm.mem + VM_DATA + 4096, v->model, 512);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
