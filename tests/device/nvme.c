/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NVMe controller, driven as a guest does: data, errors, PRP lists, queues, reset, shutdown. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dev/nvme/nvme.h"
#include "nvme_driver.h"
#include "suite_env.h"
#include "temp_disk.h"

#define RAM_SIZE (4u << 20)
#define DISK_SIZE (4u << 20)
#define DATA 0x100000u
#define LIST 0x80000u
#define DEVFN PCI_DEVFN(3, 0)

struct env {
    struct suite_env around;
    uint8_t *mem;
    pthread_t thread;
    struct block_backend *disk;
    struct device dev;
    struct nvd d;
    _Atomic unsigned msis[3], line;
    void (*busy)(struct env *v); /* the driver at work in the interrupt of queue 1 */
    _Atomic unsigned finished;
};

static void sent(void *opaque, uint64_t address, uint32_t data)
{
    struct env *v = opaque;

    if (data < 3)
        v->msis[data]++;
    if (data == 1 && v->busy != NULL)
        v->busy(v);
}

static void set_line(void *opaque, unsigned line, bool level)
{
    struct env *v = opaque;

    v->line = level;
}

static void *loop_main(void *opaque)
{
    loop_run(opaque);
    return NULL;
}

static int setup_with(void **state, bool msix)
{
    struct env *v = calloc(1, sizeof(*v));
    struct suite_env *around = &v->around;

    suite_env_init(around, RAM_SIZE);
    around->msi = (struct msi_sink){.send = sent, .opaque = v};
    around->intx = (struct pin){.set = set_line, .opaque = v};
    v->mem = ram_ptr(around->ram, 0, RAM_SIZE, true);
    v->disk = temp_disk(DISK_SIZE);
    assert_int_equal(nvme_create(&(struct nvme_config){.bus = suite_pci(around),
                                                       .devfn = DEVFN,
                                                       .ram = around->ram,
                                                       .backend = v->disk,
                                                       .loop = around->loop},
                                 &v->dev, NULL),
                     0);
    v->dev.ops->reset(v->dev.self);
    nvd_find(&v->d, around, DEVFN, msix);
    assert_int_equal(pthread_create(&v->thread, NULL, loop_main, around->loop), 0);
    *state = v;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, true);
}

static int setup_line(void **state)
{
    return setup_with(state, false);
}

static int teardown(void **state)
{
    struct env *v = *state;

    v->dev.ops->pause(v->dev.self);
    loop_stop(v->around.loop);
    pthread_join(v->thread, NULL);
    v->dev.ops->destroy(v->dev.self);
    block_close(v->disk);
    suite_env_finish(&v->around);
    free(v);
    return 0;
}

static void until_status(struct env *v, uint32_t mask, uint32_t want)
{
    for (unsigned i = 0; i < 100000 && (nvd_status(&v->d) & mask) != want; i++)
        usleep(100);
    assert_int_equal(nvd_status(&v->d) & mask, want);
}

/* Waits for the interrupt first: one that is lost is a failure. */
static struct nvd_completion run(struct env *v, unsigned queue, struct nvd_command c)
{
    unsigned before = v->msis[queue];
    struct nvd_completion e;

    nvd_submit(&v->d, queue, c);
    for (unsigned i = 0; i < 100000 && v->msis[queue] == before; i++)
        usleep(100);
    assert_int_not_equal(v->msis[queue], before);
    assert_true(nvd_take(&v->d, queue, &e));
    assert_int_equal(e.cid, c.cid);
    assert_int_equal(e.sqid, queue);
    return e;
}

static unsigned status(struct env *v, unsigned queue, struct nvd_command c)
{
    return run(v, queue, c).status & 0x7ff;
}

static void start(struct env *v)
{
    nvd_enable(&v->d);
    until_status(v, 3, 1);
    for (unsigned q = 1; q < 3; q++) {
        assert_int_equal(status(v, 0, nvd_create_cq(q)), 0);
        assert_int_equal(status(v, 0, nvd_create_sq(q)), 0);
    }
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

static void test_identify(void **state)
{
    struct env *v = *state;

    start(v);
    assert_int_equal(status(v, 0, (struct nvd_command){.opcode = 6, .prp1 = DATA, .cdw = {1}}), 0);
    assert_int_equal(v->mem[DATA + 512], 0x66);
    assert_int_equal(v->mem[DATA + 516], 1);
    assert_int_equal(
        status(v, 0, (struct nvd_command){.opcode = 6, .nsid = 1, .prp1 = DATA, .cdw = {0}}), 0);
    assert_int_equal(*(uint64_t *)(v->mem + DATA), DISK_SIZE / 512);
    assert_int_equal(
        status(v, 0, (struct nvd_command){.opcode = 6, .nsid = 2, .prp1 = DATA, .cdw = {0}}), 0x0b);
    assert_int_equal(status(v, 0, (struct nvd_command){.opcode = 0x77}), 1);
    assert_int_equal(run(v, 0, (struct nvd_command){.opcode = 9, .cdw = {7, 0x30003}}).result,
                     15 | 15 << 16);
}

/* One page, two pages, a list that goes on in another page, beginnings inside of a page. */
static void test_data(void **state)
{
    static const struct {
        uint64_t lba, offset;
        unsigned blocks;
    } cases[] = {{0, 0, 1}, {100, 0, 8}, {8000, 512, 24}, {17, 0, 64}, {1000, 1024, 1000}};
    struct env *v = *state;
    uint64_t *list = (uint64_t *)(v->mem + LIST + 4096 - 16);

    start(v);
    list[0] = DATA + 0x1000;
    list[1] = LIST + 8192; /* two entries to the end of the page, the second one leads on */
    for (unsigned i = 0; i < 200; i++)
        ((uint64_t *)(v->mem + LIST + 8192))[i] = DATA + 0x2000 + i * 0x1000;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t bytes = cases[i].blocks * 512u;
        uint64_t prp2 = cases[i].offset + bytes > 8192 ? LIST + 4096 - 16 : DATA + 0x1000;
        uint8_t *copy = malloc(bytes);

        fill(v->mem + DATA + cases[i].offset, bytes, i);
        memcpy(copy, v->mem + DATA + cases[i].offset, bytes);
        assert_int_equal(
            status(v, 1, nvd_rw(1, cases[i].lba, cases[i].blocks, DATA + cases[i].offset, prp2)),
            0);
        memset(v->mem + DATA, 0xee, bytes + 4096);
        assert_int_equal(
            status(v, 2, nvd_rw(2, cases[i].lba, cases[i].blocks, DATA + cases[i].offset, prp2)),
            0);
        assert_memory_equal(v->mem + DATA + cases[i].offset, copy, bytes);
        free(copy);
    }
    assert_int_equal(status(v, 1, (struct nvd_command){.opcode = 0, .nsid = 1}), 0);
}

static void test_zeroes(void **state)
{
    struct env *v = *state;
    uint64_t *ranges = (uint64_t *)(v->mem + LIST);

    start(v);
    fill(v->mem + DATA, 4096, 1);
    assert_int_equal(status(v, 1, nvd_rw(1, 64, 8, DATA, 0)), 0);
    assert_int_equal(status(v, 1, nvd_rw(1, 72, 8, DATA, 0)), 0);
    assert_int_equal(status(v, 1, nvd_rw(8, 64, 4, 0, 0)), 0);
    assert_int_equal(status(v, 1, nvd_rw(2, 64, 8, DATA + 4096, 0)), 0);
    for (unsigned i = 0; i < 2048; i++)
        assert_int_equal(v->mem[DATA + 4096 + i], 0);
    assert_memory_equal(v->mem + DATA + 4096 + 2048, v->mem + DATA + 2048, 2048);
    ranges[0] = UINT64_C(8) << 32;
    ranges[1] = 64;
    ranges[2] = UINT64_C(8) << 32;
    ranges[3] = 72;
    assert_int_equal(
        status(v, 1, (struct nvd_command){.opcode = 9, .nsid = 1, .prp1 = LIST, .cdw = {1, 4}}), 0);
    ranges[3] = DISK_SIZE;
    assert_int_equal(
        status(v, 1, (struct nvd_command){.opcode = 9, .nsid = 1, .prp1 = LIST, .cdw = {1, 4}}),
        0x80);
}

static void test_errors(void **state)
{
    struct env *v = *state;

    start(v);
    assert_int_equal(status(v, 1, nvd_rw(2, DISK_SIZE / 512, 1, DATA, 0)), 0x80);
    assert_int_equal(status(v, 1, nvd_rw(2, UINT64_MAX, 8, DATA, 0)), 0x80);
    assert_int_equal(status(v, 1, nvd_rw(2, 0, 8, RAM_SIZE, 0)), 4);
    assert_int_equal(status(v, 1, nvd_rw(2, 0, 8, DATA + 1, 0)), 0x13);
    assert_int_equal(status(v, 1, nvd_rw(2, 0, 16, DATA, DATA + 512)), 0x13);
    assert_int_equal(status(v, 1, nvd_rw(2, 0, 64, DATA, LIST + 4)), 4);
    assert_int_equal(status(v, 1, nvd_rw(2, 0, 4096, DATA, LIST)), 2);
    assert_int_equal(status(v, 1, nvd_rw(0x55, 0, 1, DATA, 0)), 1);
    assert_int_equal(status(v, 0, nvd_create_cq(1)), 0x101);
    assert_int_equal(status(v, 0, nvd_create_sq(2)), 0x101);
    assert_int_equal(status(v, 0, (struct nvd_command){.opcode = 4, .cdw = {1}}), 0x10c);
    assert_int_equal(status(v, 0, (struct nvd_command){.opcode = 0, .cdw = {1}}), 0);
    assert_int_equal(status(v, 0, (struct nvd_command){.opcode = 4, .cdw = {1}}), 0);
    assert_int_equal(status(v, 2, nvd_rw(2, 0, 1, DATA, 0)), 0);
}

static void test_life(void **state)
{
    struct env *v = *state;

    start(v);
    bus_write(v->around.mmio, v->d.bar + 0x14, 4 << 20 | 6 << 16 | 1 << 14 | 1, 4); /* shut down */
    until_status(v, 0xc, 8);
    bus_write(v->around.mmio, v->d.bar + 0x14, 0, 4);
    until_status(v, 0xf, 0);
    start(v);
    assert_int_equal(status(v, 2, nvd_rw(2, 0, 1, DATA, 0)), 0);
    v->dev.ops->pause(v->dev.self);
    nvd_submit(&v->d, 2, nvd_rw(2, 0, 1, DATA, 0));
    usleep(2000);
    struct nvd_completion e;
    assert_false(nvd_take(&v->d, 2, &e));
    v->dev.ops->resume(v->dev.self);
    for (unsigned i = 0; i < 100000 && !nvd_take(&v->d, 2, &e); i++)
        usleep(100);
    assert_int_equal(e.status & 0x7ff, 0);
    bus_write(v->around.mmio, v->d.bar + 0x14, 0, 4);
    until_status(v, 3, 0);
    bus_write(v->around.mmio, v->d.bar + 0x24, 0, 4); /* queues of one entry */
    bus_write(v->around.mmio, v->d.bar + 0x14, 1, 4);
    until_status(v, 2, 2);
}

/* Doorbells in memory: the register is needed only where the controller said so. */
static void test_shadow(void **state)
{
    struct env *v = *state;
    uint32_t *bells = (uint32_t *)(v->mem + LIST), *wanted = (uint32_t *)(v->mem + LIST + 4096);
    struct nvd_completion e;

    start(v);
    memset(bells, 0, 8192);
    assert_int_equal(
        status(v, 0, (struct nvd_command){.opcode = 0x7c, .prp1 = LIST, .prp2 = LIST + 4096}), 0);
    for (unsigned i = 0; i < 20; i++) {
        __atomic_store_n(&bells[2], (v->d.sq_tail[1] + 1) % NVD_ENTRIES, __ATOMIC_RELEASE);
        nvd_submit(&v->d, 1, nvd_rw(2, i, 1, DATA, 0));
        for (unsigned k = 0; k < 100000 && !nvd_take(&v->d, 1, &e); k++)
            usleep(100);
        assert_int_equal(e.status & 0x7ff, 0);
        __atomic_store_n(&bells[3], v->d.cq_head[1], __ATOMIC_RELEASE);
    }
    for (unsigned k = 0;
         k < 10000 && __atomic_load_n(&wanted[2], __ATOMIC_ACQUIRE) != v->d.sq_tail[1]; k++)
        usleep(100);
    assert_int_equal(wanted[2], v->d.sq_tail[1]);
}

#define BUSY_COMMANDS 100u

/* Takes what was completed and adds as much, by the doorbells in memory as long as they do. */
static void keep_busy(struct env *v)
{
    uint32_t *bells = (uint32_t *)(v->mem + LIST), *wanted = (uint32_t *)(v->mem + LIST + 4096);
    struct nvd_completion e;

    while (nvd_get(&v->d, 1, &e)) {
        unsigned tail = v->d.sq_tail[1];

        __atomic_store_n(&bells[3], v->d.cq_head[1], __ATOMIC_RELEASE);
        if (++v->finished >= BUSY_COMMANDS)
            continue;
        nvd_put(&v->d, 1, nvd_rw(1, v->finished, 1, DATA, 0));
        __atomic_store_n(&bells[2], v->d.sq_tail[1], __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&wanted[2], __ATOMIC_SEQ_CST) == tail) /* a write that took long */
            nvd_ring(&v->d, 1);
    }
}

/* A driver that is never idle rings no more: not for new commands, not for the room that it makes
 * in the completion queue. */
static void test_shadow_busy(void **state)
{
    struct env *v = *state;
    uint32_t *bells = (uint32_t *)(v->mem + LIST);

    start(v);
    memset(bells, 0, 8192);
    assert_int_equal(
        status(v, 0, (struct nvd_command){.opcode = 0x7c, .prp1 = LIST, .prp2 = LIST + 4096}), 0);
    v->busy = keep_busy;
    __atomic_store_n(&bells[2], (v->d.sq_tail[1] + 1) % NVD_ENTRIES, __ATOMIC_RELEASE);
    nvd_submit(&v->d, 1, nvd_rw(1, 1, 1, DATA, 0));
    for (unsigned i = 0; i < 50000 && v->finished < BUSY_COMMANDS; i++)
        usleep(100);
    assert_int_equal(v->finished, BUSY_COMMANDS);
}

/* Without MSI-X the line stays up until all completions were taken, or is masked. */
static void test_line(void **state)
{
    struct env *v = *state;
    struct nvd_completion e;

    nvd_enable(&v->d);
    until_status(v, 3, 1);
    assert_int_equal(v->line, 0);
    nvd_submit(&v->d, 0, (struct nvd_command){.opcode = 6, .prp1 = DATA, .cdw = {1}});
    for (unsigned i = 0; i < 100000 && !v->line; i++)
        usleep(100);
    assert_int_equal(v->line, 1);
    bus_write(v->around.mmio, v->d.bar + 0x0c, 1, 4);
    assert_int_equal(v->line, 0);
    bus_write(v->around.mmio, v->d.bar + 0x10, 1, 4);
    assert_int_equal(v->line, 1);
    assert_true(nvd_take(&v->d, 0, &e));
    assert_int_equal(v->line, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zeroes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shadow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shadow_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line, setup_line, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
