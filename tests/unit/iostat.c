/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses by place: the most frequent first, and pages beyond the table's size counted, too. */
#include "test.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "machine/iostat.h"

#define LINES 32

struct told {
    unsigned count;
    char group[LINES][32], name[LINES][64];
    uint64_t value[LINES];
};

static void note(void *opaque, const struct counter *c)
{
    struct told *t = opaque;

    assert_true(t->count < LINES);
    snprintf(t->group[t->count], sizeof(t->group[0]), "%s", c->group);
    snprintf(t->name[t->count], sizeof(t->name[0]), "%s", c->name);
    t->value[t->count++] = c->value;
}

static const char *name(void *opaque, bool mmio, uint64_t addr)
{
    assert_ptr_equal(opaque, &name);
    if (!mmio)
        return addr == 0x3f8 ? "serial" : NULL;
    return addr == 0xfed00000 ? "hpet" : NULL;
}

static void ask(struct iostat *s, struct told *t)
{
    memset(t, 0, sizeof(*t));
    iostat_counters(s, name, (void *)&name, note, t);
}

static void test_order(void **state)
{
    struct iostat *s;
    struct told t;

    assert_int_equal(iostat_create(&s), 0);
    ask(s, &t);
    assert_int_equal(t.count, 0);
    for (unsigned i = 1; i <= 20; i++)
        for (unsigned k = 0; k < i; k++)
            iostat_port(s, (uint16_t)(0x3f8 + 20 - i));
    iostat_port(s, 0xffff);
    for (unsigned k = 0; k < 3; k++)
        iostat_mmio(s, 0xfed00000 + k * 0x40);
    iostat_mmio(s, 0);
    ask(s, &t);
    assert_int_equal(t.count, 12);
    assert_string_equal(t.group[0], "ports");
    assert_string_equal(t.name[0], "0x3f8 serial");
    assert_string_equal(t.name[1], "0x3f9 (nothing)");
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(t.value[i], 20 - i);
    assert_string_equal(t.group[10], "memory-mapped registers");
    assert_string_equal(t.name[10], "0xfed00000 hpet");
    assert_int_equal(t.value[10], 3);
    assert_string_equal(t.name[11], "0 (nothing)");
    assert_int_equal(t.value[11], 1);
    iostat_destroy(s);
}

static void test_many_pages(void **state)
{
    struct iostat *s;
    struct told t;

    assert_int_equal(iostat_create(&s), 0);
    for (uint64_t i = 0; i < 1000; i++)
        iostat_mmio(s, i << 12);
    ask(s, &t);
    assert_int_equal(t.count, 11);
    assert_string_equal(t.name[10], "other pages");
    assert_int_equal(t.value[10], 1000 - 256);
    iostat_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_many_pages)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
