/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio SCSI host as a driver sees it: through PCI, its queues on a loop of its own thread. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "dev/virtio/virtio_scsi.h"
#include "virtio_vm.h"

#define DISK_SIZE (4u << 20)
#define REQUEST VM_DATA
#define RESPONSE (VM_DATA + 0x100)
#define EVENTS (VM_DATA + 0x200)
#define DATA (VM_DATA + 0x1000)
#define DEFAULT_RESPONSE 108u

enum { Q_CONTROL, Q_EVENTS, Q_REQUESTS };

struct env {
    struct vm_env vm;
    char path[2][64];
    struct block_backend *backend[2];
    uint8_t *model;
    unsigned ejected;
};

static void on_eject(void *opaque, const struct scsi_unit *u)
{
    struct env *v = opaque;

    v->ejected++;
}

static void make_image(struct env *v, unsigned i)
{
    FILE *f;

    strcpy(v->path[i], "/tmp/test-scsi-XXXXXX");
    close(mkstemp(v->path[i]));
    f = fopen(v->path[i], "w");
    assert_int_equal(fwrite(v->model, 1, DISK_SIZE, f), DISK_SIZE);
    fclose(f);
    assert_int_equal(block_open(&(struct block_options){.path = v->path[i], .format = "raw"},
                                &v->backend[i], NULL),
                     0);
}

/* Target 1 is a disk, target 2 a CD-ROM drive with the same in it. */
static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct virtio_scsi_config cfg;

    srand(12);
    vm_setup(&v->vm);
    v->model = malloc(DISK_SIZE);
    for (unsigned i = 0; i < DISK_SIZE; i++)
        v->model[i] = (uint8_t)rand();
    make_image(v, 0);
    make_image(v, 1);
    cfg = (struct virtio_scsi_config){
        .place = vm_place(&v->vm), .queues = 2, .ejected = on_eject, .opaque = v};
    assert_int_equal(virtio_scsi_create(&cfg, &v->vm.dev, NULL), 0);
    assert_int_equal(virtio_scsi_add(v->vm.dev.self, 1, SCSI_DISK, v->backend[0], NULL), 0);
    assert_int_equal(virtio_scsi_add(v->vm.dev.self, 2, SCSI_CDROM, v->backend[1], NULL), 0);
    vm_go(&v->vm);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;

    vm_teardown(&v->vm);
    for (unsigned i = 0; i < 2; i++) {
        block_close(v->backend[i]);
        unlink(v->path[i]);
    }
    free(v->model);
    free(v);
    return 0;
}

struct answer {
    uint32_t sense_len, residual, used;
    uint8_t status, response;
    uint8_t sense[96];
};

static void put_request(struct env *v, unsigned target, unsigned lun, const uint8_t *cdb,
                        unsigned len)
{
    uint8_t *p = v->vm.mem + REQUEST;

    memset(p, 0, 51);
    p[0] = 1;
    p[1] = (uint8_t)target;
    p[2] = 0x40;
    p[3] = (uint8_t)lun;
    memcpy(p + 19, cdb, len);
    memset(v->vm.mem + RESPONSE, 0xee, DEFAULT_RESPONSE);
}

static struct answer answer(struct env *v, uint32_t used)
{
    const uint8_t *p = v->vm.mem + RESPONSE;
    struct answer a = {ld_le32(p), ld_le32(p + 4), used, p[10], p[11], {0}};

    memcpy(a.sense, p + 12, sizeof(a.sense));
    return a;
}

/* A command with `len` bytes of data at DATA, in two pieces. */
static struct answer command(struct env *v, unsigned target, const uint8_t *cdb, unsigned cdb_len,
                             uint32_t len, bool in)
{
    uint32_t first = len / 3;
    struct drv_seg s[4] = {{REQUEST, 51, false}, {RESPONSE, DEFAULT_RESPONSE, true}};
    unsigned n = 2;

    put_request(v, target, 0, cdb, cdb_len);
    if (len != 0 && in) {
        s[n++] = (struct drv_seg){DATA, first, true};
        s[n++] = (struct drv_seg){DATA + first, len - first, true};
    } else if (len != 0) {
        s[3] = s[1];
        s[1] = (struct drv_seg){DATA, first, false};
        s[2] = (struct drv_seg){DATA + first, len - first, false};
        n = 4;
    }
    return answer(v, vm_transact(&v->vm, Q_REQUESTS, s, n));
}
#define COMMAND(v, target, len, in, ...)                                                       \
    command(v, target, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), \
            len, in)

/* Past the attentions after a reset. */
static void start(struct env *v, uint64_t features)
{
    struct answer a;

    vm_start(&v->vm, 3, features);
    a = COMMAND(v, 1, 0, true, 0x00);
    assert_int_equal(a.status, 2);
    assert_int_equal(a.sense_len, 18);
    assert_int_equal(a.sense[2], 6);
    assert_int_equal(a.sense[12], 0x29);
    assert_int_equal(a.used, DEFAULT_RESPONSE);
    (void)COMMAND(v, 2, 0, true, 0x00);
    (void)COMMAND(v, 2, 0, true, 0x00);
}

static void good(struct answer a, uint32_t residual)
{
    assert_int_equal(a.response, 0);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.residual, residual);
}

static void config(void **state)
{
    struct env *v = *state;
    uint64_t at = v->vm.drv.regs + 0x2000, f = vm_start(&v->vm, 3, UINT64_MAX);

    assert_true((f & VM_FEATURE(1)) != 0 && (f & VM_FEATURE(2)) != 0);
    assert_int_equal(bus_read(v->vm.mmio, at, 4), 2);
    assert_int_equal(bus_read(v->vm.mmio, at + 4, 4), 254);
    assert_int_equal(bus_read(v->vm.mmio, at + 16, 4), 16);
    assert_int_equal(bus_read(v->vm.mmio, at + 20, 4), 96);
    assert_int_equal(bus_read(v->vm.mmio, at + 24, 4), 32);
    assert_int_equal(bus_read(v->vm.mmio, at + 30, 2), VIRTIO_SCSI_TARGETS - 1);
    bus_write(v->vm.mmio, at + 20, 18, 4);
    bus_write(v->vm.mmio, at + 24, 0, 4); /* no size */
    assert_int_equal(bus_read(v->vm.mmio, at + 20, 4), 18);
    assert_int_equal(bus_read(v->vm.mmio, at + 24, 4), 32);
    vm_start(&v->vm, 3, UINT64_MAX);
    assert_int_equal(bus_read(v->vm.mmio, at + 20, 4), 96);
}

/* What is read is on the disk, what is written gets there; over- and underruns are told. */
static void data(void **state)
{
    struct env *v = *state;
    uint8_t *mem = v->vm.mem + DATA;
    struct answer a;

    start(v, UINT64_MAX);
    a = COMMAND(v, 1, 8192, true, 0x28, 0, 0, 0, 0, 3, 0, 0, 16);
    good(a, 0);
    assert_int_equal(a.used, DEFAULT_RESPONSE + 8192);
    assert_memory_equal(mem, v->model + 3 * 512, 8192);
    for (unsigned i = 0; i < 1024; i++)
        mem[i] = (uint8_t)(i * 7);
    good(COMMAND(v, 1, 1024, false, 0x2a, 8, 0, 0, 0, 8, 0, 0, 2), 0);
    memcpy(v->model + 8 * 512, mem, 1024);
    memset(mem, 0, 4096);
    good(COMMAND(v, 1, 4096, true, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 8), 0);
    assert_memory_equal(mem, v->model + 6 * 512, 4096);
    a = COMMAND(v, 1, 1500, true, 0x28, 0, 0, 0, 0, 3, 0, 0, 16);
    assert_int_equal(a.response, 1); /* overrun */
    assert_memory_equal(mem, v->model + 3 * 512, 1024);
    good(COMMAND(v, 1, 4096, true, 0x28, 0, 0, 0, 0, 3, 0, 0, 1), 4096 - 512);
    good(COMMAND(v, 1, 255, true, 0x12, 0, 0, 0, 255), 255 - 36);
    a = COMMAND(v, 1, 512, true, 0x28, 0, 0, 0xff, 0xff, 0xff, 0, 0, 1);
    assert_int_equal(a.status, 2);
    assert_int_equal(a.residual, 512);
    assert_int_equal(a.sense[12], 0x21);
    good(COMMAND(v, 2, 4096, true, 0x28, 0, 0, 0, 0, 5, 0, 0, 2), 0); /* the CD */
    good(COMMAND(v, 1, 0, true, 0x35), 0);
}

static void zeros_and_patterns(void **state)
{
    struct env *v = *state;
    uint8_t *mem = v->vm.mem + DATA;

    start(v, UINT64_MAX);
    memset(mem, 0, 512);
    good(COMMAND(v, 1, 512, false, 0x41, 8, 0, 0, 0, 8, 0, 0, 4), 0);
    memset(v->model + 8 * 512, 0, 4 * 512);
    for (unsigned i = 0; i < 512; i++)
        mem[i] = (uint8_t)(i * 3 + 1);
    for (unsigned i = 0; i < 1025; i++) /* more than one piece */
        memcpy(v->model + (100 + i) * 512, mem, 512);
    good(COMMAND(v, 1, 512, false, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 4, 1), 0);
    for (unsigned at = 0; at < 1200; at += 100) {
        good(COMMAND(v, 1, 100 * 512, true, 0x28, 0, 0, 0, (uint8_t)(at >> 8), (uint8_t)at, 0, 0,
                     100),
             0);
        assert_memory_equal(mem, v->model + at * 512, 100 * 512);
    }
    memset(mem, 0, 24);
    mem[1] = 22;
    mem[3] = 16;
    mem[8 + 6] = 4; /* blocks 1024 to 1031 */
    mem[8 + 11] = 8;
    good(COMMAND(v, 1, 24, false, 0x42, 0, 0, 0, 0, 0, 0, 0, 24), 0);
    good(COMMAND(v, 1, 512, true, 0x28, 0, 0, 0, 4, 8, 0, 0, 1), 0);
    assert_memory_equal(mem, v->model + 1032 * 512, 512);
}

static void wrong_places(void **state)
{
    static const uint8_t ready[] = {0x00}, inquiry[] = {0x12, 0, 0, 0, 36};
    const struct drv_seg s[3] = {
        {REQUEST, 51, false}, {RESPONSE, DEFAULT_RESPONSE, true}, {DATA, 36, true}};
    struct env *v = *state;
    struct answer a;

    start(v, UINT64_MAX);
    assert_int_equal(COMMAND(v, 0, 0, true, 0x00).response, 3);
    assert_int_equal(COMMAND(v, 200, 0, true, 0x00).response, 3);
    put_request(v, 1, 5, ready, sizeof(ready));
    a = answer(v, vm_transact(&v->vm, Q_REQUESTS, s, 2));
    assert_int_equal(a.status, 2);
    assert_int_equal(a.sense[12], 0x25);
    put_request(v, 1, 5, inquiry, sizeof(inquiry));
    a = answer(v, vm_transact(&v->vm, Q_REQUESTS, s, 3));
    good(a, 0);
    assert_int_equal(v->vm.mem[DATA], 0x7f);
}

/* --- task management --- */

static uint8_t task(struct env *v, uint32_t type, uint32_t function, unsigned target)
{
    const struct drv_seg s[2] = {{REQUEST, 24, false}, {RESPONSE, 1, true}};
    uint8_t *p = v->vm.mem + REQUEST;

    memset(p, 0, 24);
    st_le32(p, type);
    st_le32(p + 4, function);
    p[8] = 1;
    p[9] = (uint8_t)target;
    v->vm.mem[RESPONSE] = 0xee;
    assert_int_equal(vm_transact(&v->vm, Q_CONTROL, s, 2), 1);
    return v->vm.mem[RESPONSE];
}

static void tasks(void **state)
{
    const struct drv_seg notify[2] = {{REQUEST, 16, false}, {RESPONSE, 5, true}};
    struct env *v = *state;
    struct answer a;

    start(v, UINT64_MAX);
    for (unsigned f = 0; f < 8; f++)
        assert_int_equal(task(v, 0, f, 1), f == 2 ? 11 : 0);
    assert_int_equal(task(v, 0, 0, 9), 3);
    assert_int_equal(task(v, 7, 0, 1), 11);
    a = COMMAND(v, 1, 0, true, 0x00); /* its reset */
    assert_int_equal(a.sense[12], 0x29);
    good(COMMAND(v, 1, 0, true, 0x00), 0);
    st_le32(v->vm.mem + REQUEST, 1); /* of asynchronous notifications there are none */
    assert_int_equal(vm_transact(&v->vm, Q_CONTROL, notify, 2), 5);
    assert_int_equal(ld_le32(v->vm.mem + RESPONSE), 0);
    assert_int_equal(v->vm.mem[RESPONSE + 4], 0);
}

/* A command for target 1 whose request, response and data lie at `at`; nobody is told of it. */
static void add_read(struct env *v, gpa_t at, uint8_t block)
{
    const struct drv_seg s[3] = {
        {at, 51, false}, {at + 0x100, DEFAULT_RESPONSE, true}, {at + 0x1000, 0x8000, true}};
    uint8_t *p = v->vm.mem + at;
    bool kick;

    memset(p, 0, 51);
    p[0] = p[1] = 1;
    p[19] = 0x28;
    p[19 + 5] = block;
    p[19 + 8] = 64;
    assert_true(drv_add(&v->vm.rings[Q_REQUESTS], s, 3, &kick) >= 0);
}

/* What was sent before an abort or a reset has ended when that has. */
static void tasks_end(void **state)
{
    struct env *v = *state;
    uint32_t len;
    uint16_t id;

    start(v, UINT64_MAX);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 8; i++)
            add_read(v, DATA + i * 0x10000, (uint8_t)(round + i));
        assert_int_equal(task(v, 0, round % 2 ? 1 : 5, 1), 0);
        for (unsigned i = 0; i < 8; i++)
            assert_true(drv_used(&v->vm.rings[Q_REQUESTS], &id, &len));
        if (round % 2 == 0) /* its reset */
            assert_int_equal(COMMAND(v, 1, 0, true, 0x00).sense[12], 0x29);
        assert_memory_equal(v->vm.mem + DATA + 0x71000, v->model + (round + 7) * 512, 0x8000);
    }
}

/* --- events --- */

static void add_event_buffer(struct env *v, unsigned i)
{
    const struct drv_seg s = {EVENTS + 16 * i, 16, true};
    bool kick;

    memset(v->vm.mem + EVENTS + 16 * i, 0xee, 16);
    assert_true(drv_add(&v->vm.rings[Q_EVENTS], &s, 1, &kick) >= 0);
    if (kick)
        drv_kick(&v->vm.drv, Q_EVENTS);
}

static void expect_event(struct env *v, unsigned i, uint32_t event, unsigned target,
                         uint32_t reason)
{
    const uint8_t *p = v->vm.mem + EVENTS + 16 * i;
    uint32_t len;
    uint16_t id;

    while (!drv_used(&v->vm.rings[Q_EVENTS], &id, &len)) {
        drv_want_interrupt(&v->vm.rings[Q_EVENTS], 0);
        if (drv_used(&v->vm.rings[Q_EVENTS], &id, &len))
            break;
        vm_wait_msi(&v->vm, Q_EVENTS);
    }
    assert_int_equal(len, 16);
    assert_int_equal(ld_le32(p), event);
    assert_int_equal(p[4], 1);
    assert_int_equal(p[5], target);
    assert_int_equal(ld_le32(p + 12), reason);
}

static void plug_and_pull(void **state)
{
    struct env *v = *state;
    struct err e = {0};

    start(v, UINT64_MAX);
    add_event_buffer(v, 0);
    virtio_scsi_remove(v->vm.dev.self, 2);
    expect_event(v, 0, 1, 2, 2);
    assert_int_equal(COMMAND(v, 2, 0, true, 0x00).response, 3);
    assert_null(virtio_scsi_unit(v->vm.dev.self, 2));
    /* Without a buffer for it the news wait for one. */
    assert_int_equal(virtio_scsi_add(v->vm.dev.self, 7, SCSI_DISK, v->backend[1], NULL), 0);
    assert_true(virtio_scsi_add(v->vm.dev.self, 7, SCSI_DISK, v->backend[1], &e) < 0);
    add_event_buffer(v, 1);
    expect_event(v, 1, 1, 7, 1);
    assert_int_equal(COMMAND(v, 7, 0, true, 0x00).sense[12], 0x29);
    good(COMMAND(v, 7, 512, true, 0x28, 0, 0, 0, 0, 3, 0, 0, 1), 0);
    assert_memory_equal(v->vm.mem + DATA, v->model + 3 * 512, 512);
}

static void grow(void **state)
{
    struct env *v = *state;

    start(v, UINT64_MAX);
    add_event_buffer(v, 0);
    assert_int_equal(block_grow(v->backend[0], 2 * DISK_SIZE, NULL), 0);
    virtio_scsi_resized(v->vm.dev.self, v->backend[0]);
    expect_event(v, 0, 3, 1, 0x092a);
    assert_int_equal(COMMAND(v, 1, 0, true, 0x00).sense[12], 0x2a);
    good(COMMAND(v, 1, 8, true, 0x25), 0);
    assert_int_equal(ld_be32(v->vm.mem + DATA), 2 * DISK_SIZE / 512 - 1);
}

static void media(void **state)
{
    struct env *v = *state;
    struct scsi_unit *u = virtio_scsi_unit(v->vm.dev.self, 2);

    start(v, UINT64_MAX);
    good(COMMAND(v, 2, 0, true, 0x1e, 0, 0, 0, 1), 0);
    assert_true(scsi_unit_locked(u));
    scsi_unit_request_eject(u);
    good(COMMAND(v, 2, 8, true, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0);
    assert_int_equal(v->vm.mem[DATA + 4], 1);
    good(COMMAND(v, 2, 0, true, 0x1e), 0);
    good(COMMAND(v, 2, 0, true, 0x1b, 0, 0, 0, 2), 0);
    assert_int_equal(v->ejected, 1);
    assert_int_equal(scsi_unit_change(u, NULL), 0);
    assert_int_equal(COMMAND(v, 2, 0, true, 0x00).sense[12], 0x3a);
    assert_int_equal(scsi_unit_change(u, v->backend[1]), 0);
    assert_int_equal(COMMAND(v, 2, 0, true, 0x00).sense[12], 0x28);
    good(COMMAND(v, 2, 2048, true, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), 0);
    assert_memory_equal(v->vm.mem + DATA, v->model + 2048, 2048);
}

/* A request that has no room for its response breaks the device, as one for a disk does. */
static void senseless(void **state)
{
    struct env *v = *state;
    const struct drv_seg s[2] = {{REQUEST, 51, false}, {RESPONSE, 20, true}};
    struct timespec end = vm_soon();
    bool kick;

    start(v, UINT64_MAX);
    assert_true(drv_add(&v->vm.rings[Q_REQUESTS], s, 2, &kick) >= 0);
    drv_kick(&v->vm.drv, Q_REQUESTS);
    while ((drv_status(&v->vm.drv) & 64) == 0 && vm_soon().tv_sec < end.tv_sec + 20)
        usleep(1000);
    assert_int_equal(drv_status(&v->vm.drv) & 64, 64);
    start(v, VM_NOT_PACKED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(config), TEST(data),      TEST(zeros_and_patterns), TEST(wrong_places),
        TEST(tasks),  TEST(tasks_end), TEST(plug_and_pull),      TEST(grow),
        TEST(media),  TEST(senseless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
