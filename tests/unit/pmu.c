/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of AMD's performance counters, and what counts. */
#include "test.h"

#include "x86/pmu.h"

enum { OS = 0x420000, USR = 0x410000, ALL = 0x430000, INT = 0x100000 };
enum { CYCLES = 0x76, INSNS = 0xc0, BRANCHES = 0xc2 };

static struct x86_pmu with(unsigned n, uint64_t select, uint64_t count)
{
    struct x86_pmu p = {{0}, {0}};

    x86_pmu_write(&p, (struct x86_pmu_msr){n, true}, select);
    x86_pmu_write(&p, (struct x86_pmu_msr){n, false}, count);
    return p;
}

static void is(uint32_t msr, bool extended, unsigned counter, bool select)
{
    struct x86_pmu_msr r = {99, false};

    assert_true(x86_pmu_msr(msr, extended, &r));
    assert_int_equal(r.counter, counter);
    assert_int_equal(r.select, select);
}

static void test_numbers(void **state)
{
    struct x86_pmu_msr r;

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        is(0xc0010000 + n, n & 1, n, true);
        is(0xc0010004 + n, n & 1, n, false);
    }
    for (unsigned n = 0; n < 6; n++) {
        is(0xc0010200 + 2 * n, true, n, true);
        is(0xc0010201 + 2 * n, true, n, false);
        assert_false(x86_pmu_msr(0xc0010200 + 2 * n, false, &r));
    }
    assert_false(x86_pmu_msr(0xc000ffff, true, &r));
    assert_false(x86_pmu_msr(0xc0010008, true, &r));
    assert_false(x86_pmu_msr(0xc00101ff, true, &r));
    assert_false(x86_pmu_msr(0xc001020c, true, &r));
}

static void test_bits(void **state)
{
    struct x86_pmu p = with(5, UINT64_MAX, UINT64_MAX);

    (void)state;
    assert_int_equal(x86_pmu_read(&p, (struct x86_pmu_msr){5, true}), 0x30fffd7ffff);
    assert_int_equal(x86_pmu_read(&p, (struct x86_pmu_msr){5, false}), 0xffffffffffff);
    assert_int_equal(x86_pmu_read(&p, (struct x86_pmu_msr){4, true}), 0);
}

static void counted(uint64_t select, unsigned system, unsigned user)
{
    struct x86_pmu p = with(3, select, 0);

    assert_int_equal(x86_pmu_counted(&p, false), system);
    assert_int_equal(x86_pmu_counted(&p, true), user);
    assert_int_equal(x86_pmu_differs(&p), system != user);
}

static void test_events(void **state)
{
    (void)state;
    counted(ALL | CYCLES, 1 << X86_PMU_CYCLES, 1 << X86_PMU_CYCLES);
    counted(ALL | INSNS, 1 << X86_PMU_INSNS, 1 << X86_PMU_INSNS);
    counted(OS | BRANCHES, 1 << X86_PMU_BRANCHES, 0);
    counted(USR | BRANCHES, 0, 1 << X86_PMU_BRANCHES);
    counted((ALL | INSNS) & ~0x400000u, 0, 0);                      /* not enabled */
    counted(ALL | 0xc3, 0, 0);                                      /* unknown */
    counted(ALL | INSNS | UINT64_C(1) << 32, 0, 0);                 /* event 1c0 */
    counted(ALL | INSNS | 1 << 24, 0, 0);                           /* CntMask */
    counted(ALL | INSNS | 1 << 18, 0, 0);                           /* edges */
    counted(OS | INSNS | 1 << 23 | 0xf00, 1 << X86_PMU_INSNS, 0);   /* no CntMask to invert */
    counted(OS | INSNS | UINT64_C(3) << 40, 1 << X86_PMU_INSNS, 0); /* host and guest */
}

/* One counts for programs, one for the system, with one event. */
static void test_differs_by_counter(void **state)
{
    struct x86_pmu p = with(0, USR | INSNS, 0);
    const uint64_t done[X86_PMU_EVENTS] = {100, 10, 1};

    (void)state;
    p.select[1] = OS | INSNS;
    assert_true(x86_pmu_differs(&p));
    assert_int_equal(x86_pmu_add(&p, true, done), 0);
    assert_int_equal(x86_pmu_add(&p, true, done), 0);
    assert_int_equal(x86_pmu_add(&p, false, done), 0);
    assert_int_equal(p.count[0], 20);
    assert_int_equal(p.count[1], 10);
}

static void test_overflow(void **state)
{
    const uint64_t five[X86_PMU_EVENTS] = {0, 5, 0}, one[X86_PMU_EVENTS] = {0, 1, 0};
    struct x86_pmu p = with(0, OS | INT | INSNS, (uint64_t)-6);

    (void)state;
    p.select[1] = OS | INSNS;
    p.count[1] = X86_PMU_MASK;
    assert_int_equal(x86_pmu_due(&p, false, X86_PMU_INSNS), 6);
    assert_int_equal(x86_pmu_due(&p, true, X86_PMU_INSNS), UINT64_MAX);
    assert_int_equal(x86_pmu_due(&p, false, X86_PMU_BRANCHES), UINT64_MAX);
    assert_int_equal(x86_pmu_add(&p, false, five), 0);
    assert_int_equal(p.count[0], X86_PMU_MASK);
    assert_int_equal(p.count[1], 4); /* without an interrupt */
    assert_int_equal(x86_pmu_due(&p, false, X86_PMU_INSNS), 1);
    assert_int_equal(x86_pmu_add(&p, true, five), 0);
    assert_int_equal(x86_pmu_add(&p, false, one), 1);
    assert_int_equal(p.count[0], 0);
    assert_int_equal(x86_pmu_due(&p, false, X86_PMU_INSNS), UINT64_C(1) << 48);
    p.select[2] = OS | INT | INSNS;
    p.count[2] = X86_PMU_MASK - 2;
    assert_int_equal(x86_pmu_due(&p, false, X86_PMU_INSNS), 3); /* the nearest */
    p.count[0] = X86_PMU_MASK;
    assert_int_equal(x86_pmu_add(&p, false, five), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_bits),
        cmocka_unit_test(test_events),   cmocka_unit_test(test_differs_by_counter),
        cmocka_unit_test(test_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
