/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dispatch: layering, borders, access sizes, and unmapping under load. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"

/* 64 bytes of memory as a device, with a record of the last call. */
struct dev {
    uint8_t mem[64];
    uint64_t offset;
    unsigned size, reads, writes;
};

static uint64_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
    struct dev *d = opaque;
    uint64_t v = 0;

    d->offset = offset;
    d->size = size;
    d->reads++;
    assert_true(offset + size <= sizeof(d->mem));
    memcpy(&v, d->mem + offset, size);
    return v;
}

static void dev_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct dev *d = opaque;

    d->offset = offset;
    d->size = size;
    d->writes++;
    assert_true(offset + size <= sizeof(d->mem));
    memcpy(d->mem + offset, &value, size);
}

static const struct bus_ops any = {"any", dev_read, dev_write, 0, 0};
static const struct bus_ops bytes = {"bytes", dev_read, dev_write, 1, 1};
static const struct bus_ops dwords = {"dwords", dev_read, dev_write, 4, 4};
static const struct bus_ops deaf = {"deaf", NULL, NULL, 0, 0};

static struct bus *make(uint64_t limit)
{
    struct bus *b;

    assert_int_equal(bus_create(&b, limit), 0);
    return b;
}

static void fill(struct dev *d, uint8_t first)
{
    memset(d, 0, sizeof(*d));
    for (unsigned i = 0; i < sizeof(d->mem); i++)
        d->mem[i] = (uint8_t)(first + i);
}

static void test_nothing(void **state)
{
    struct bus *b = make(0x10000);
    struct dev d;

    assert_int_equal(bus_read(b, 0, 1), 0xff);
    assert_int_equal(bus_read(b, 0xffff, 4), 0xffffffff);
    assert_true(bus_read(b, UINT64_MAX, 8) == UINT64_MAX);
    bus_write(b, UINT64_MAX - 1, 0, 8);
    assert_int_equal(bus_map(b, 0xfff0, 17, &any, &d), -ENOSPC);
    assert_int_equal(bus_map(b, UINT64_MAX, 2, &any, &d), -ENOSPC);
    assert_int_equal(bus_map(b, 0, 0, &any, &d), -ENOSPC);
    assert_int_equal(bus_map(b, 0, 16, &deaf, NULL), 0);
    assert_int_equal(bus_read(b, 2, 2), 0xffff);
    bus_write(b, 2, 0, 2);
    bus_unmap(b, 0, &any, NULL); /* not what is mapped there */
    bus_destroy(b);
    bus_destroy(NULL);
}

static void test_layers(void **state)
{
    struct bus *b = make(0x10000);
    struct dev low, high;

    fill(&low, 0);
    fill(&high, 0x80);
    assert_int_equal(bus_map(b, 0x100, 64, &any, &low), 0);
    assert_int_equal(bus_map(b, 0x110, 16, &any, &high), 0);
    assert_int_equal(bus_read(b, 0x10f, 1), 0x0f);
    assert_int_equal(bus_read(b, 0x110, 1), 0x80);
    assert_int_equal(bus_read(b, 0x120, 1), 0x20); /* offsets count from the mapping's base */
    assert_int_equal(bus_read(b, 0x10e, 4), 0x81800f0e);
    assert_int_equal(bus_read(b, 0xff, 2), 0x00ff);
    assert_int_equal(bus_read(b, 0x13f, 4), 0xffffff3f);
    bus_write(b, 0x11e, 0x44332211, 4);
    assert_int_equal(high.mem[15], 0x22);
    assert_int_equal(low.mem[0x20], 0x33);
    bus_unmap(b, 0x110, &any, &high);
    assert_int_equal(bus_read(b, 0x110, 1), 0x10);
    bus_unmap(b, 0x100, &any, &low);
    assert_int_equal(bus_read(b, 0x110, 1), 0xff);
    bus_destroy(b);
}

static void test_sizes(void **state)
{
    struct bus *b = make(UINT64_C(1) << 52);
    struct dev d;

    fill(&d, 0);
    assert_int_equal(bus_map(b, 0x1000, 64, &bytes, &d), 0);
    assert_int_equal(bus_map(b, 0x2000, 64, &dwords, &d), 0);
    assert_int_equal(bus_map(b, 0x3000, 64, &any, &d), 0);
    assert_int_equal(bus_read(b, 0x1004, 4), 0x07060504);
    assert_int_equal(d.reads, 4);
    assert_int_equal(bus_read(b, 0x2005, 1), 0x05);
    assert_true(d.size == 4 && d.offset == 4);
    assert_int_equal(bus_read(b, 0x2002, 4), 0x05040302);
    assert_true(bus_read(b, 0x2000, 8) == 0x0706050403020100);
    assert_true(d.size == 4 && d.offset == 4);
    assert_true(bus_read(b, 0x3001, 8) == 0x0807060504030201);
    assert_int_equal(d.size, 8);
    bus_write(b, 0x2006, 0xaabb, 2); /* merged with the rest of the register */
    assert_true(d.size == 4 && d.offset == 4);
    assert_true(d.mem[4] == 4 && d.mem[5] == 5 && d.mem[6] == 0xbb && d.mem[7] == 0xaa);
    d.reads = 0;
    bus_write(b, 0x2008, 0x1122334455667788, 8);
    assert_int_equal(d.reads, 0);
    assert_int_equal(d.mem[15], 0x11);
    bus_destroy(b);
}

/* Against a byte-by-byte model, for random stacks of mappings and random accesses. */
static void test_random(void **state)
{
    struct bus *b = make(256);
    struct dev d[12];
    unsigned base[12], size[12];
    unsigned seed = 1;

    for (unsigned i = 0; i < 12; i++) {
        fill(&d[i], (uint8_t)(i * 17));
        base[i] = (unsigned)rand_r(&seed) % 192;
        size[i] = 1 + (unsigned)rand_r(&seed) % 64;
        assert_int_equal(bus_map(b, base[i], size[i], &any, &d[i]), 0);
    }
    for (unsigned n = 0; n < 20000; n++) {
        unsigned addr = (unsigned)rand_r(&seed) % 256, len = 1u << rand_r(&seed) % 4;
        uint64_t want = 0;

        for (unsigned k = 0; k < len; k++) {
            uint64_t byte = 0xff;

            for (unsigned i = 0; i < 12; i++) {
                if (addr + k - base[i] < size[i])
                    byte = d[i].mem[addr + k - base[i]];
            }
            want |= byte << 8 * k;
        }
        assert_true(bus_read(b, addr, len) == want);
    }
    bus_destroy(b);
}

/* A handler that unmaps its own range while it runs. */
struct mover {
    struct bus *b;
    unsigned calls;
};

static void mover_write(void *opaque, uint64_t offset, uint64_t value, unsigned size);
static const struct bus_ops mover_ops = {"mover", NULL, mover_write, 0, 0};

static void mover_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct mover *m = opaque;

    m->calls++;
    bus_unmap(m->b, 0x100, &mover_ops, m);
    assert_int_equal(bus_map(m->b, value, 16, &mover_ops, m), 0);
}

static void test_self(void **state)
{
    struct mover m = {.b = make(0x10000)};

    assert_int_equal(bus_map(m.b, 0x100, 16, &mover_ops, &m), 0);
    bus_write(m.b, 0x100, 0x200, 4);
    bus_write(m.b, 0x100, 0x300, 4);
    assert_int_equal(m.calls, 1);
    bus_write(m.b, 0x208, 0x300, 4);
    assert_int_equal(m.calls, 2);
    bus_destroy(m.b);
}

/* Readers hammer a range that comes and goes; after bus_unmap no handler may run. */
struct shared {
    struct bus *b;
    _Atomic bool mapped, stop;
    _Atomic unsigned late, calls;
};

static uint64_t shared_read(void *opaque, uint64_t offset, unsigned size)
{
    struct shared *s = opaque;

    s->calls++;
    for (int i = 0; i < 50; i++) {
        if (!s->mapped)
            s->late++;
    }
    return bus_read(s->b, 0x8000, 4) & 1; /* nested, elsewhere */
}

static const struct bus_ops shared_ops = {"shared", shared_read, NULL, 0, 0};

static void *hammer(void *arg)
{
    struct shared *s = arg;

    while (!s->stop)
        bus_read(s->b, 0x100, 4);
    return NULL;
}

static void test_quiesce(void **state)
{
    struct shared s = {.b = make(0x10000)};
    time_t end = time(NULL) + 2;
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, &s), 0);
    for (int i = 0; time(NULL) < end || s.calls == 0; i++) {
        s.mapped = true;
        assert_int_equal(bus_map(s.b, 0x100, 16, &shared_ops, &s), 0);
        if (i % 16 == 0)
            usleep(1);
        bus_unmap(s.b, 0x100, &shared_ops, &s);
        s.mapped = false;
    }
    s.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(s.late, 0);
    assert_true(s.calls > 0);
    bus_destroy(s.b);
}

static void test_name(void **state)
{
    struct bus *b = make(0x1000);
    struct dev d = {0};

    assert_null(bus_name(b, 0x10));
    assert_int_equal(bus_map(b, 0x10, 8, &any, &d), 0);
    assert_int_equal(bus_map(b, 0x14, 2, &bytes, &d), 0);
    assert_string_equal(bus_name(b, 0x13), "any");
    assert_string_equal(bus_name(b, 0x15), "bytes");
    assert_string_equal(bus_name(b, 0x17), "any");
    assert_null(bus_name(b, 0x18));
    assert_null(bus_name(b, 0x1000));
    bus_unmap(b, 0x10, &any, &d);
    assert_null(bus_name(b, 0x13));
    assert_int_equal(d.reads + d.writes, 0);
    bus_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_layers),
        cmocka_unit_test(test_sizes),   cmocka_unit_test(test_random),
        cmocka_unit_test(test_self),    cmocka_unit_test(test_quiesce),
        cmocka_unit_test(test_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
