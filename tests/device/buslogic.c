/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BT-958 as a driver sees it: registers, commands, mailboxes of both formats, CCBs, resets. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "buslogic_driver.h"
#include "dev/chip/buslogic_chip.h"
#include "dev/scsi/buslogic.h"
#include "temp_disk.h"

#define DEVFN PCI_DEVFN(5, 0)
#define DISK_SIZE (1u << 20)
#define RAM_SIZE (4u << 20)
#define DATA 0x100000u

struct env {
    struct suite_env s;
    struct block_backend *disk, *cd;
    struct device dev;
    struct bld d;
    unsigned line_changes;
    bool line;
};

static void on_line(void *opaque, unsigned line, bool level)
{
    struct env *v = opaque;

    v->line = level;
    v->line_changes++;
}

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct buslogic_config cfg;

    suite_env_init(&v->s, RAM_SIZE);
    v->s.intx = (struct pin){.set = on_line, .opaque = v};
    v->disk = temp_disk(DISK_SIZE);
    v->cd = temp_disk(DISK_SIZE);
    cfg = (struct buslogic_config){
        .bus = suite_pci(&v->s), .devfn = DEVFN, .ram = v->s.ram, .loop = v->s.loop};
    assert_int_equal(buslogic_create(&cfg, &v->dev, NULL), 0);
    assert_int_equal(buslogic_add(v->dev.self, 0, SCSI_DISK, v->disk, NULL), 0);
    assert_int_equal(buslogic_add(v->dev.self, 9, SCSI_CDROM, v->cd, NULL), 0);
    bld_find(&v->d, &v->s, DEVFN);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;

    suite_pause(&v->dev);
    v->dev.ops->destroy(v->dev.self);
    block_close(v->disk);
    block_close(v->cd);
    suite_env_finish(&v->s);
    free(v);
    return 0;
}

/* A CCB of one command and what came of it. */
static struct bld_result run(struct env *v, struct bld_ccb c)
{
    struct bld_result r;

    bld_submit(&v->d, &c);
    suite_settle(&v->s);
    assert_true(bld_take(&v->d, &r));
    return r;
}

static struct bld_ccb command(uint8_t opcode, unsigned target, uint32_t len, const uint8_t *cdb,
                              uint8_t cdb_len)
{
    struct bld_ccb c = {
        .opcode = opcode, .target = (uint8_t)target, .data = DATA, .len = len, .cdb_len = cdb_len};

    memcpy(c.cdb, cdb, cdb_len);
    return c;
}
#define COMMAND(opcode, target, len, ...)                        \
    command(opcode, target, len, (const uint8_t[]){__VA_ARGS__}, \
            sizeof((const uint8_t[]){__VA_ARGS__}))

static void good(struct bld_result r)
{
    assert_int_equal(r.code, 1);
    assert_int_equal(r.adapter, 0);
    assert_int_equal(r.status, 0);
}

/* Past the attentions of a reset. */
static void start(struct env *v, bool wide)
{
    bld_start(&v->d, wide, 4);
    assert_int_equal(run(v, COMMAND(0, 0, 0, 0x00)).status, 2);
    if (!wide)
        return; /* target 9 has no number there */
    (void)run(v, COMMAND(0, 9, 0, 0x00));
    (void)run(v, COMMAND(0, 9, 0, 0x00));
}

/* --- registers --- */

static void probe(void **state)
{
    struct env *v = *state;

    assert_int_equal(bld_read(&v->d, 0), 0x30); /* ready, no mailboxes */
    assert_int_equal(bld_read(&v->d, 2), 0);
    assert_int_equal(bld_read(&v->d, 3), 0x81); /* a small first disk */
    bld_write(&v->d, 0, 0x80);
    assert_int_equal(bld_read(&v->d, 0), 0x80); /* diagnostics */
    suite_settle(&v->s);
    assert_int_equal(bld_read(&v->d, 0), 0x30);
}

static void inquire(struct env *v, uint8_t command, int parameter, const char *expected,
                    unsigned len)
{
    uint8_t reply[256];
    uint8_t p = (uint8_t)parameter;

    assert_int_equal(bld_command(&v->d, command, &p, parameter >= 0, reply, sizeof(reply)), len);
    assert_memory_equal(reply, expected, len);
    assert_int_equal(bld_read(&v->d, 0) & 1, 0);
}

static void commands(void **state)
{
    struct env *v = *state;
    uint8_t reply[256], fetch[2] = {64 + 3, 6};

    pci_config_write(v->s.pci, 0, DEVFN, PCI_REG_INT_LINE, 1, 11);
    inquire(v, 0x04, -1, "AA50", 4);
    inquire(v, 0x84, -1, "7", 1);
    inquire(v, 0x85, -1, "B", 1);
    inquire(v, 0x8b, 5, "958  ", 5);
    inquire(v, 0x8b, 3, "958", 3);
    inquire(v, 0x0b, -1, "\0\x04\x07", 3);
    inquire(v, 0x86, -1, "\x06\x0b\x83\0", 4);
    inquire(v, 0x24, -1, "\x01\x02", 2);
    inquire(v, 0x0a, -1, "\1\0\0\0\0\0\0\0", 8);
    inquire(v, 0x23, -1, "\0\1\0\0\0\0\0\0", 8);
    inquire(v, 0x1f, 0x5a, "\x5a", 1);
    assert_int_equal(bld_command(&v->d, 0x91, fetch, 2, reply, sizeof(reply)), 6);
    assert_memory_equal(reply, "BT-958", 6);
    assert_int_equal(bld_command(&v->d, 0x8d, (const uint8_t[]){14}, 1, reply, 256), 14);
    assert_int_equal(reply[0], 'E');
    assert_int_equal(bld_command(&v->d, 0x0d, (const uint8_t[]){34}, 1, reply, 256), 34);
    assert_int_equal(reply[8], 0x8f);
    assert_int_equal(reply[23], 0x8f);

    /* The line follows the interrupt register, unless the host does not want it. */
    bld_write(&v->d, 1, 0x00);
    assert_int_equal(bld_read(&v->d, 2), 0x84);
    assert_true(v->line);
    bld_write(&v->d, 0, 0x20);
    assert_false(v->line);
    bld_write(&v->d, 1, 0x25);
    bld_write(&v->d, 1, 0);
    assert_int_equal(bld_read(&v->d, 2), 0);
    bld_write(&v->d, 1, 0x00);
    assert_int_equal(bld_read(&v->d, 2), 0x84);
    assert_false(v->line);
    bld_write(&v->d, 0, 0x20);

    bld_write(&v->d, 1, 0x77); /* no command */
    assert_int_equal(bld_read(&v->d, 0) & 1, 1);
    assert_int_equal(bld_read(&v->d, 2), 0x84);
    bld_write(&v->d, 0, 0x20);
    assert_int_equal(bld_read(&v->d, 0) & 1, 0);
    bld_command(&v->d, 0x81, (const uint8_t[]){0, 0, 0, 1, 0}, 5, reply, 256); /* no boxes */
    assert_int_equal(bld_read(&v->d, 0) & 0x20, 0x20);
}

/* --- commands --- */

static void transfers(bool wide, struct env *v)
{
    uint8_t *mem = ram_ptr(v->s.ram, 0, RAM_SIZE, true), pattern[2048];
    struct bld_ccb c = COMMAND(0, 0, 2048, 0x2a, 0, 0, 0, 0, 8, 0, 0, 4);
    struct bld_result r;

    start(v, wide);
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 11 + 3);
    memcpy(mem + DATA, pattern, sizeof(pattern));
    c.direction = 2;
    good(run(v, c));
    assert_true(v->line);
    bld_write(&v->d, 0, 0x20);
    assert_false(v->line);

    /* Back in pieces of memory, in another order. */
    c = COMMAND(2, 0, 0, 0x28, 0, 0, 0, 0, 8, 0, 0, 4);
    bld_segment(&v->d, &c, DATA + 0x3000, 700);
    bld_segment(&v->d, &c, DATA + 0x1001, 1000);
    bld_segment(&v->d, &c, DATA + 0x5000, 348);
    good(run(v, c));
    assert_memory_equal(mem + DATA + 0x3000, pattern, 700);
    assert_memory_equal(mem + DATA + 0x1001, pattern + 700, 1000);
    assert_memory_equal(mem + DATA + 0x5000, pattern + 1700, 348);

    /* Less than there is memory for is an error, or a residual; more is an error. */
    r = run(v, COMMAND(0, 0, 255, 0x12, 0, 0, 0, 255));
    assert_int_equal(r.adapter, 0x12);
    assert_int_equal(r.code, 4);
    r = run(v, COMMAND(3, 0, 255, 0x12, 0, 0, 0, 255));
    good(r);
    assert_int_equal(r.residual, 255 - 36);
    assert_memory_equal(mem + DATA + 8, "DOPPEL", 6);
    assert_int_equal(run(v, COMMAND(3, 0, 1024, 0x28, 0, 0, 0, 0, 8, 0, 0, 4)).adapter, 0x12);
    for (unsigned i = 0; i < 10; i++) /* around all boxes */
        good(run(v, COMMAND(3, 0, 512, 0x28, 0, 0, 0, 0, 8, 0, 0, 1)));
}

static void wide_transfers(void **state)
{
    transfers(true, *state);
}

static void narrow_transfers(void **state)
{
    transfers(false, *state);
}

static void failures(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(0, 0, 512, 0x28, 0, 0xff, 0, 0, 0, 0, 0, 1);
    struct bld_result r;

    start(v, true);
    r = run(v, c);
    assert_int_equal(r.code, 4);
    assert_int_equal(r.adapter, 0);
    assert_int_equal(r.status, 2);
    assert_int_equal(r.sense[2], 5);
    assert_int_equal(r.sense[12], 0x21);
    c.sense_len = 1; /* none wanted */
    assert_int_equal(run(v, c).sense[2], 0xee);
    assert_int_equal(run(v, COMMAND(0, 3, 0, 0x00)).adapter, 0x11);
    assert_int_equal(run(v, COMMAND(0, 7, 0, 0x00)).adapter, 0x11);
    assert_int_equal(run(v, COMMAND(0x55, 0, 0, 0x00)).adapter, 0x16);
    c = COMMAND(0, 0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    c.data = 0xf0000000;
    assert_int_equal(run(v, c).adapter, 0x1a);
    c = COMMAND(2, 0, (BUSLOGIC_SEGMENTS + 1) * 8, 0x00); /* empty pieces, too many of them */
    c.data = DATA + 0x80000;
    assert_int_equal(run(v, c).adapter, 0x1a);
    c.len = BUSLOGIC_SEGMENTS * 8;
    good(run(v, c));
    c = COMMAND(0, 0, 0, 0x00);
    c.lun = 1;
    assert_int_equal(run(v, c).sense[12], 0x25);
    good(run(v, COMMAND(3, 9, 2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 1))); /* the CD */
    bld_put(&v->d, &c, 9);                                           /* no action */
    suite_settle(&v->s);
    assert_true(bld_take(&v->d, &r));
    assert_int_equal(r.adapter, 0x15);
    bld_put(&v->d, &c, 2); /* to abort what is not under way */
    suite_settle(&v->s);
    assert_true(bld_take(&v->d, &r));
    assert_int_equal(r.code, 3);
}

/* Results wait for the host to free its boxes; CCBs are many. */
static void full_boxes(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(3, 0, 512, 0x28, 0, 0, 0, 0, 8, 0, 0, 1);
    struct bld_result r;

    start(v, true);
    for (unsigned i = 0; i < 4; i++)
        bld_submit(&v->d, &c);
    suite_settle(&v->s);
    for (unsigned i = 0; i < 3; i++) {
        bld_submit(&v->d, &c);
        suite_settle(&v->s);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(bld_take(&v->d, &r));
        good(r);
    }
    assert_false(bld_take(&v->d, &r));
    bld_write(&v->d, 0, 0x20);
    suite_settle(&v->s);
    for (unsigned i = 0; i < 3; i++)
        assert_true(bld_take(&v->d, &r));
    assert_false(bld_take(&v->d, &r));
}

/* --- when there is nothing to do --- */

struct rounds {
    struct loop *loop;
    uint64_t end; /* ns */
    unsigned count;
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_round(void *opaque, int64_t *timeout_ns)
{
    struct rounds *r = opaque;

    if (timeout_ns == NULL)
        return;
    *timeout_ns = 10000000;
    r->count++;
    if (now() >= r->end)
        loop_stop(r->loop);
}

/* The loop waits: it does not look again and again at what cannot go on. */
static void expect_idle(struct env *v)
{
    struct rounds r = {.loop = v->s.loop, .end = now() + 50000000};

    assert_int_equal(loop_add_prepare(r.loop, on_round, &r), 0);
    loop_run(r.loop);
    loop_remove_prepare(r.loop, on_round, &r);
    assert_in_range(r.count, 1, 20);
}

/* The host takes no results: CCBs wait until there is room for theirs. */
static void no_room(void **state)
{
    const unsigned most = 4 + BUSLOGIC_QUEUE;
    struct env *v = *state;
    struct bld_ccb c = COMMAND(3, 0, 0, 0x00);
    struct bld_result r;

    start(v, true);
    for (unsigned i = 0; i < most + 2; i++) {
        bld_submit(&v->d, &c);
        suite_settle(&v->s);
    }
    expect_idle(v);
    for (unsigned i = 0; i < most + 2; i++) {
        if (!bld_take(&v->d, &r)) {
            bld_write(&v->d, 0, 0x20);
            suite_settle(&v->s);
            assert_true(bld_take(&v->d, &r));
        }
        good(r);
    }
    assert_false(bld_take(&v->d, &r));
}

static void no_master(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(3, 0, 0, 0x00);
    struct bld_result r;

    start(v, true);
    pci_config_write(v->s.pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM);
    bld_submit(&v->d, &c);
    suite_settle(&v->s);
    expect_idle(v);
    assert_false(bld_take(&v->d, &r));
    pci_config_write(v->s.pci, 0, DEVFN, PCI_REG_COMMAND, 2,
                     PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
    suite_settle(&v->s);
    assert_true(bld_take(&v->d, &r));
    good(r);
}

static void *loop_main(void *opaque)
{
    loop_run(opaque);
    return NULL;
}

static void take_until(struct env *v, uint64_t end)
{
    struct bld_result r = {0};

    while (!bld_take(&v->d, &r) && now() < end)
        ;
    good(r);
}

/* A command that comes while the card looks at empty mailboxes is not lost: the second one of a
 * pair comes at any time after the first. Where the order is free it looks at all of them. */
static void at_the_last_moment(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(3, 0, 0, 0x00);
    uint64_t end = now() + 20000000000u;
    pthread_t thread;

    start(v, false);
    bld_start(&v->d, false, 255);
    assert_int_equal(pthread_create(&thread, NULL, loop_main, v->s.loop), 0);
    for (unsigned i = 0; i < 4000; i++) {
        bld_submit(&v->d, &c);
        for (uint64_t from = now(); now() - from < i % 200 * 100;)
            ;
        bld_submit(&v->d, &c);
        take_until(v, end);
        take_until(v, end);
    }
    loop_stop(v->s.loop);
    pthread_join(thread, NULL);
}

static void resets(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(0x81, 0, 0, 0x00);
    struct bld_result r;

    start(v, true);
    good(run(v, c)); /* the target */
    assert_int_equal(run(v, COMMAND(0, 0, 0, 0x00)).sense[12], 0x29);
    bld_write(&v->d, 0, 0x10); /* the bus */
    suite_settle(&v->s);
    assert_int_equal(run(v, COMMAND(0, 0, 0, 0x00)).sense[12], 0x29);
    assert_int_equal(run(v, COMMAND(0, 9, 0, 0x00)).sense[12], 0x29);
    /* The card: what it has not begun it forgets. */
    c = COMMAND(3, 0, 512, 0x28, 0, 0, 0, 0, 8, 0, 0, 1);
    bld_submit(&v->d, &c);
    bld_write(&v->d, 0, 0x80);
    suite_settle(&v->s);
    assert_false(bld_take(&v->d, &r));
    assert_int_equal(bld_read(&v->d, 0), 0x80);
    assert_int_equal(bld_read(&v->d, 0), 0x30);
    start(v, true);
    good(run(v, COMMAND(3, 0, 512, 0x28, 0, 0, 0, 0, 8, 0, 0, 1)));
}

/* With pause and resume between command and work nothing is lost. */
static void pauses(void **state)
{
    struct env *v = *state;
    struct bld_ccb c = COMMAND(3, 0, 512, 0x28, 0, 0, 0, 0, 8, 0, 0, 1);
    struct bld_result r;

    start(v, true);
    bld_submit(&v->d, &c);
    suite_pause(&v->dev);
    suite_settle(&v->s);
    assert_false(bld_take(&v->d, &r));
    suite_resume(&v->dev);
    suite_settle(&v->s);
    assert_true(bld_take(&v->d, &r));
    good(r);
}

static void growth(void **state)
{
    struct env *v = *state;
    const uint8_t *mem = ram_ptr(v->s.ram, 0, RAM_SIZE, true);

    start(v, true);
    assert_int_equal(block_grow(v->disk, 2 * DISK_SIZE, NULL), 0);
    buslogic_resized(v->dev.self, v->disk);
    assert_int_equal(run(v, COMMAND(0, 0, 0, 0x00)).sense[12], 0x2a);
    good(run(v, COMMAND(0, 0, 8, 0x25)));
    assert_int_equal(ld_be32(mem + DATA), 2 * DISK_SIZE / 512 - 1);
}

/* Heads and sectors are those of the size at the last reset. */
static void geometry(void **state)
{
    struct env *v = *state;

    assert_int_equal(bld_read(&v->d, 3), 0x81);
    assert_int_equal(block_grow(v->disk, UINT64_C(3) << 29, NULL), 0);
    buslogic_resized(v->dev.self, v->disk);
    assert_int_equal(bld_read(&v->d, 3), 0x81);
    v->dev.ops->reset(v->dev.self);
    bld_find(&v->d, &v->s, DEVFN);
    assert_int_equal(bld_read(&v->d, 3), 0x82);
}

/* A state from elsewhere that would have the card look at mailboxes of which there are none. */
static void no_mailboxes(void **state)
{
    struct buslogic_chip c;

    buslogic_init(&c);
    assert_int_equal(buslogic_chip_state.validate(&c, NULL), 0);
    c.start = true;
    assert_int_equal(buslogic_chip_state.validate(&c, NULL), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(probe),
        TEST(commands),
        TEST(wide_transfers),
        TEST(narrow_transfers),
        TEST(failures),
        TEST(full_boxes),
        TEST(no_room),
        TEST(no_master),
        TEST(at_the_last_moment),
        TEST(resets),
        TEST(pauses),
        TEST(growth),
        TEST(geometry),
        TEST(no_mailboxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
