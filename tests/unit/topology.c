/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How CPUs are grouped: the user's words, and the leaves of CPUID. */
#include "test.h"

#include <cpuid.h>
#include <string.h>

#include "x86/cpuid.h"

static void words(void **state)
{
    const struct {
        const char *text;
        struct x86_topology t;
    } good[] = {
        {"1", {1, 1, 1}},
        {"255", {1, 255, 1}},
        {"4,sockets=1,cores=2,threads=2", {1, 2, 2}},
        {"4,threads=2", {1, 2, 2}},
        {"8,sockets=2", {2, 4, 1}},
        {"3,cores=3", {1, 3, 1}},
        {"6,threads=2", {1, 3, 2}},
        {"32,sockets=32", {32, 1, 1}},
    };
    const char *const bad[] = {
        "",
        "0",
        "256",
        "x",
        "4x",
        "4,",
        "4,2",
        "4,cores=",
        "4,cores=0",
        "4,cores",
        "4,cores=3",
        "4,cores=2",
        "4,dies",
        "6,threads=3",
        "6,sockets=2",
        "-1",
        "4,cores=-4",
        "64,sockets=64",
        "99999999999999999999",
        "4,cores=99999999999999999999",
    };
    struct x86_topology t;
    struct err e = {0};

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(x86_topology_parse(&t, "--cpus", good[i].text, 255, &e), 0);
        assert_memory_equal(&t, &good[i].t, sizeof(t));
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(x86_topology_parse(&t, "--cpus", bad[i], 255, &e) < 0);
}

static void ask(const struct cpuid_table *t, uint32_t id, uint32_t leaf, uint32_t sub, uint32_t *g)
{
    const struct cpuid_dynamic dyn = {.apic_id = id, .apic_enabled = true};

    cpuid_execute(t, &dyn, leaf, sub, g);
}

/* Two sockets of four cores of two threads: APIC id is socket, two bits of core, thread. */
static void leaves(void **state)
{
    const struct cpuid_request r = {.vcpus = 16, .topology = {2, 4, 2}};
    struct cpuid_table t;
    struct err e = {0};
    uint32_t g[4];

    assert_int_equal(cpuid_table_make(&t, &r, &e), 0);
    ask(&t, 13, 1, 0, g);
    assert_int_equal(g[1] >> 16 & 0xff, 8);
    assert_int_equal(g[1] >> 24, 13);
    assert_true(g[3] & 1u << 28);
    ask(&t, 13, 0xb, 0, g);
    assert_int_equal(g[0], 1);
    assert_int_equal(g[1], 2);
    assert_int_equal(g[2], 1u << 8);
    assert_int_equal(g[3], 13);
    ask(&t, 13, 0xb, 1, g);
    assert_int_equal(g[0], 3);
    assert_int_equal(g[1], 8);
    assert_int_equal(g[2], 2u << 8 | 1);
    ask(&t, 13, 0xb, 2, g);
    assert_int_equal(g[0] | g[1], 0);
    if (t.leaf[0].ebx == signature_INTEL_ebx) {
        ask(&t, 13, 4, 0, g);
        assert_int_equal(g[0] >> 26, 3);
        assert_int_equal(g[0] >> 14 & 0xfff, 1);
        return;
    }
    ask(&t, 13, 0x80000008, 0, g);
    assert_int_equal(g[2] & 0xff, 7);
    assert_int_equal(g[2] >> 12 & 15, 3);
    ask(&t, 13, 0x8000001d, 0, g);
    assert_int_equal(g[0] >> 14 & 0xfff, 1);
    ask(&t, 13, 0x8000001e, 0, g);
    assert_int_equal(g[0], 13);
    assert_int_equal(g[1], 1u << 8 | 6);
    assert_int_equal(g[2] & 0xff, 1);
}

/* Fields that are too small for all CPUs say what they can. */
static void largest(void **state)
{
    struct cpuid_table t;
    struct err e = {0};
    uint32_t g[4];

    assert_int_equal(cpuid_table_build(&t, 0, 255, &e), 0);
    ask(&t, 254, 1, 0, g);
    assert_int_equal(g[1] >> 16, 254u << 8 | 0xff);
    ask(&t, 254, 0xb, 1, g);
    assert_int_equal(g[0], 8);
    assert_int_equal(g[1], 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(leaves),
        cmocka_unit_test(largest),
    };

    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
