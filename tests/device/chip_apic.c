/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register models of the local APIC and the I/O APIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dev/chip/ioapic_chip.h"
#include "dev/chip/lapic_chip.h"

static struct lapic_effect write_at(struct lapic_chip *c, unsigned reg, uint64_t value,
                                    uint64_t now)
{
    struct lapic_effect fx = {.eoi = -1};

    assert_true(lapic_chip_write(c, reg, value, now, &fx));
    return fx;
}

static uint64_t read_at(struct lapic_chip *c, unsigned reg, uint64_t now)
{
    uint64_t v;

    assert_true(lapic_chip_read(c, reg, now, &v));
    return v;
}

static struct lapic_chip started(uint32_t id, bool x2)
{
    struct lapic_chip c = {.id = id};

    lapic_chip_reset(&c);
    if (x2)
        assert_true(lapic_chip_set_base(&c, c.base | APIC_BASE_X2));
    write_at(&c, LAPIC_SVR, 0x1ff, 0);
    return c;
}

static void test_reset_values(void **state)
{
    struct lapic_chip c = {.id = 3};

    (void)state;
    lapic_chip_reset(&c);
    assert_int_equal(c.base, 0xfee00800);
    assert_int_equal(read_at(&c, LAPIC_ID, 0), 3u << 24);
    assert_int_equal(read_at(&c, LAPIC_VERSION, 0), 0x50014);
    assert_int_equal(read_at(&c, LAPIC_SVR, 0), 0xff);
    assert_int_equal(read_at(&c, LAPIC_DFR, 0), 0xffffffff);
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        assert_int_equal(read_at(&c, LAPIC_LVT + i, 0), LVT_MASKED);
    lapic_chip_post(&c, 0x40, false); /* disabled by software: not taken */
    assert_int_equal(lapic_chip_pending(&c), -1);
    write_at(&c, LAPIC_LVT + LVT_ERROR, 0x33, 0); /* and the mask stays */
    assert_int_equal(read_at(&c, LAPIC_LVT + LVT_ERROR, 0), LVT_MASKED | 0x33);
}

static void test_priorities(void **state)
{
    struct lapic_chip c = started(0, true);

    (void)state;
    lapic_chip_post(&c, 0x41, false);
    lapic_chip_post(&c, 0x55, true);
    assert_int_equal(lapic_chip_take(&c), 0x55);
    assert_int_equal(lapic_chip_ppr(&c), 0x50);
    assert_int_equal(lapic_chip_take(&c), -1);
    lapic_chip_post(&c, 0x5f, false); /* same class: waits */
    assert_int_equal(lapic_chip_take(&c), -1);
    lapic_chip_post(&c, 0xf0, false);
    assert_int_equal(lapic_chip_take(&c), 0xf0);
    assert_int_equal(write_at(&c, LAPIC_EOI, 0, 0).eoi, -1);
    assert_int_equal(write_at(&c, LAPIC_EOI, 0, 0).eoi, 0x55); /* level: broadcast */
    write_at(&c, LAPIC_TPR, 0x50, 0);
    assert_int_equal(lapic_chip_pending(&c), -1);
    write_at(&c, LAPIC_TPR, 0x4f, 0);
    assert_int_equal(lapic_chip_take(&c), 0x5f);
    assert_int_equal(read_at(&c, LAPIC_ISR + 2, 0), 1u << 31);
    assert_int_equal(read_at(&c, LAPIC_IRR + 2, 0), 2);
    assert_int_equal(read_at(&c, LAPIC_TMR + 2, 0), 1u << 21);
}

static void test_base_transitions(void **state)
{
    struct lapic_chip c = started(0, false);
    uint64_t xapic = c.base, off = c.base & ~(uint64_t)APIC_BASE_EN;

    (void)state;
    assert_false(lapic_chip_set_base(&c, off | APIC_BASE_X2));
    assert_false(lapic_chip_set_base(&c, xapic | 1));
    assert_true(lapic_chip_set_base(&c, xapic | APIC_BASE_X2));
    assert_int_equal(c.svr, 0x1ff);
    assert_false(lapic_chip_set_base(&c, xapic));
    assert_true(lapic_chip_set_base(&c, off));
    assert_int_equal(c.svr, 0xff); /* reset */
    assert_false(lapic_chip_set_base(&c, xapic | APIC_BASE_X2));
    assert_true(lapic_chip_set_base(&c, xapic));
    assert_true(lapic_chip_set_base(&c, 0xfe000000u | APIC_BASE_EN)); /* BSP cannot be changed */
    assert_int_equal(c.base, 0xfe000000u | APIC_BASE_EN | APIC_BASE_BSP);
}

/* The guest may give itself another id in xAPIC mode; only what disables the APIC takes it back. */
static void test_written_id(void **state)
{
    struct lapic_chip c = started(3, false), loaded = {.id = 3};
    uint64_t base = c.base;
    uint8_t *record;
    size_t len;

    (void)state;
    write_at(&c, LAPIC_ID, 0x2a123456, 0);
    assert_int_equal(read_at(&c, LAPIC_ID, 0), 0x2a000000);
    assert_int_equal(lapic_chip_id(&c), 0x2a);
    lapic_chip_init(&c);
    assert_int_equal(lapic_chip_id(&c), 0x2a);
    assert_int_equal(state_save(&lapic_chip_state, &c, &record, &len), 0);
    lapic_chip_reset(&loaded);
    assert_int_equal(lapic_chip_id(&loaded), 3);
    assert_int_equal(state_load(&lapic_chip_state, &loaded, record, len, NULL), 0);
    assert_int_equal(lapic_chip_id(&loaded), 0x2a);
    free(record);
    assert_true(lapic_chip_set_base(&c, base | APIC_BASE_X2));
    assert_int_equal(read_at(&c, LAPIC_ID, 0), 3);
    assert_true(lapic_chip_set_base(&c, base & ~(uint64_t)APIC_BASE_EN));
    assert_true(lapic_chip_set_base(&c, base));
    assert_int_equal(read_at(&c, LAPIC_ID, 0), 3u << 24);
    lapic_chip_reset(&loaded);
    assert_int_equal(lapic_chip_id(&loaded), 3);
}

static void test_x2_faults(void **state)
{
    struct lapic_chip c = started(0, true);
    struct lapic_effect fx = {.eoi = -1};
    uint64_t v;

    (void)state;
    assert_false(lapic_chip_write(&c, LAPIC_EOI, 1, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_TPR, 0x100, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_ID, 0, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_LDR, 0, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_ICR_HIGH, 0, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_ICR, 1 << 12, 0, &fx));
    assert_false(lapic_chip_write(&c, LAPIC_SVR, 1ull << 32, 0, &fx));
    assert_false(lapic_chip_read(&c, LAPIC_EOI, 0, &v));
    assert_false(lapic_chip_read(&c, LAPIC_DFR, 0, &v));
    assert_false(lapic_chip_read(&c, LAPIC_SELF_IPI, 0, &v));
    assert_false(lapic_chip_read(&c, 0x3a, 0, &v));
    write_at(&c, LAPIC_SELF_IPI, 0x77, 0);
    assert_int_equal(lapic_chip_take(&c), 0x77);
}

static void test_commands(void **state)
{
    struct lapic_chip c = started(0, false);
    struct lapic_effect fx;

    (void)state;
    write_at(&c, LAPIC_ICR_HIGH, 0x05000000, 0);
    fx = write_at(&c, LAPIC_ICR, 0x000c40fb, 0);
    assert_true(fx.send);
    assert_int_equal(fx.message.shorthand, APIC_TO_OTHERS);
    assert_int_equal(fx.message.vector, 0xfb);
    fx = write_at(&c, LAPIC_ICR, 0x00000830 | APIC_LOWEST << 8, 0);
    assert_int_equal(fx.message.dest, 5);
    assert_true(fx.message.logical);
    assert_int_equal(fx.message.mode, APIC_LOWEST);
    assert_false(write_at(&c, LAPIC_ICR, 0x8500, 0).send); /* INIT de-assert */
    assert_true(write_at(&c, LAPIC_ICR, 0xc500, 0).send);
    write_at(&c, LAPIC_LVT + LVT_ERROR, 0xfe, 0);
    assert_false(write_at(&c, LAPIC_ICR, 0x0e, 0).send); /* vector below 16 */
    assert_int_equal(read_at(&c, LAPIC_ESR, 0), 0);
    write_at(&c, LAPIC_ESR, 0, 0);
    assert_int_equal(read_at(&c, LAPIC_ESR, 0), ESR_SEND_VECTOR);
    assert_int_equal(lapic_chip_take(&c), 0xfe);
    write_at(&c, LAPIC_ICR_HIGH, 0xff000000, 0);
    assert_true(write_at(&c, LAPIC_ICR, 0x40, 0).message.dest == APIC_BROADCAST);
    c = started(0, true);
    fx = write_at(&c, LAPIC_ICR, 0x1234500000040, 0);
    assert_int_equal(fx.message.dest, 0x12345);
}

static void test_destinations(void **state)
{
    (void)state;
    /* physical */
    assert_true(lapic_chip_match(true, 300, 0, 0, 300, false));
    assert_false(lapic_chip_match(false, 3, 0, 0, 4, false));
    assert_true(lapic_chip_match(false, 3, 0, 0, APIC_BROADCAST, false));
    /* flat */
    assert_true(lapic_chip_match(false, 0, 0x04000000, 0xffffffff, 0x06, true));
    assert_false(lapic_chip_match(false, 0, 0x04000000, 0xffffffff, 0x03, true));
    /* cluster */
    assert_true(lapic_chip_match(false, 0, 0x12000000, 0x0fffffff, 0x13, true));
    assert_false(lapic_chip_match(false, 0, 0x12000000, 0x0fffffff, 0x23, true));
    assert_true(lapic_chip_match(false, 0, 0x12000000, 0x0fffffff, 0xf2, true));
    /* x2APIC cluster */
    assert_true(lapic_chip_match(true, 17, 0x00010002, 0, 0x00010003, true));
    assert_false(lapic_chip_match(true, 17, 0x00010002, 0, 0x00000003, true));
}

static void test_count_timer(void **state)
{
    struct lapic_chip c = started(0, false);

    (void)state;
    write_at(&c, LAPIC_TIMER_DIVIDE, 0x3, 0); /* by 16 */
    write_at(&c, LAPIC_LVT + LVT_TIMER, 0x40, 0);
    write_at(&c, LAPIC_TIMER_INITIAL, 1000, 5000);
    assert_int_equal(lapic_chip_timer_due(&c), 5000 + 16000);
    assert_int_equal(read_at(&c, LAPIC_TIMER_CURRENT, 5160), 990);
    write_at(&c, LAPIC_TIMER_DIVIDE, 0xb, 5160); /* by 1: the count goes on */
    assert_int_equal(read_at(&c, LAPIC_TIMER_CURRENT, 5170), 980);
    assert_int_equal(lapic_chip_timer_due(&c), 5160 + 990);
    lapic_chip_timer_poll(&c, 6149, 0);
    assert_int_equal(lapic_chip_pending(&c), -1);
    lapic_chip_timer_poll(&c, 6150, 0);
    assert_int_equal(lapic_chip_take(&c), 0x40);
    assert_int_equal(read_at(&c, LAPIC_TIMER_CURRENT, 7000), 0);
    assert_true(lapic_chip_timer_due(&c) == UINT64_MAX);
}

static void test_periodic_timer(void **state)
{
    struct lapic_chip c = started(0, false);

    (void)state;
    write_at(&c, LAPIC_TIMER_DIVIDE, 0xb, 0);
    write_at(&c, LAPIC_LVT + LVT_TIMER, LAPIC_PERIODIC << LVT_TIMER_MODE_SHIFT | 0x40, 0);
    write_at(&c, LAPIC_TIMER_INITIAL, 1000, 0);
    lapic_chip_timer_poll(&c, 3500, 0); /* late: one interrupt for three */
    assert_int_equal(lapic_chip_take(&c), 0x40);
    write_at(&c, LAPIC_EOI, 0, 3500);
    assert_int_equal(lapic_chip_pending(&c), -1);
    assert_int_equal(lapic_chip_timer_due(&c), 4000);
    write_at(&c, LAPIC_LVT + LVT_TIMER, read_at(&c, LAPIC_LVT, 0) | LVT_MASKED, 3600);
    assert_true(lapic_chip_timer_due(&c) == UINT64_MAX);
    assert_int_equal(read_at(&c, LAPIC_TIMER_CURRENT, 10300), 700);
    assert_int_equal(lapic_chip_pending(&c), -1);
    lapic_chip_shift(&c, -(uint64_t)10300);
    assert_int_equal(read_at(&c, LAPIC_TIMER_CURRENT, 100), 600);
}

static void test_tsc_deadline(void **state)
{
    struct lapic_chip c = started(0, true);

    (void)state;
    lapic_chip_set_deadline(&c, 5); /* ignored: not in this mode */
    assert_int_equal(c.tsc_deadline, 0);
    write_at(&c, LAPIC_LVT + LVT_TIMER, LAPIC_TSC_DEADLINE << LVT_TIMER_MODE_SHIFT | 0xec, 0);
    lapic_chip_set_deadline(&c, 1000);
    lapic_chip_timer_poll(&c, 0, 999);
    assert_int_equal(lapic_chip_pending(&c), -1);
    lapic_chip_timer_poll(&c, 0, 1000);
    assert_int_equal(lapic_chip_take(&c), 0xec);
    assert_int_equal(c.tsc_deadline, 0);
    lapic_chip_set_deadline(&c, 2000);
    write_at(&c, LAPIC_LVT + LVT_TIMER, 0xec, 0); /* leaving the mode disarms */
    assert_int_equal(c.tsc_deadline, 0);
}

static void test_lint(void **state)
{
    struct lapic_chip c = started(0, false);

    (void)state;
    lapic_chip_set_lint(&c, 0, true);
    assert_false(lapic_chip_extint(&c));
    write_at(&c, LAPIC_LVT + LVT_LINT0, APIC_EXTINT << LVT_MODE_SHIFT, 0);
    assert_true(lapic_chip_extint(&c));
    write_at(&c, LAPIC_LVT + LVT_LINT0, LVT_MASKED, 0);
    assert_false(lapic_chip_extint(&c));
    write_at(&c, LAPIC_LVT + LVT_LINT1, APIC_NMI << LVT_MODE_SHIFT, 0);
    lapic_chip_set_lint(&c, 1, true);
    assert_int_equal(c.nmis, 1);
    for (unsigned i = 0; i < 2 * LAPIC_NMIS; i++)
        lapic_chip_nmi(&c);
    assert_int_equal(c.nmis, LAPIC_NMIS);
    /* level-triggered fixed: again after EOI as long as the wire is high */
    write_at(&c, LAPIC_LVT + LVT_LINT0, LVT_LEVEL | 0x60, 0);
    assert_int_equal(lapic_chip_take(&c), 0x60);
    write_at(&c, LAPIC_EOI, 0, 0);
    assert_int_equal(lapic_chip_take(&c), 0x60);
    lapic_chip_set_lint(&c, 0, false);
    write_at(&c, LAPIC_EOI, 0, 0);
    assert_int_equal(lapic_chip_take(&c), -1);
    /* disabled: the pins of the boot processor */
    assert_true(lapic_chip_set_base(&c, c.base & ~(uint64_t)APIC_BASE_EN));
    assert_false(lapic_chip_extint(&c));
    lapic_chip_set_lint(&c, 0, true);
    assert_true(lapic_chip_extint(&c));
}

static void test_perf(void **state)
{
    struct lapic_chip c = started(0, false);

    (void)state;
    lapic_chip_perf(&c); /* masked */
    assert_int_equal(lapic_chip_take(&c), -1);
    write_at(&c, LAPIC_LVT + LVT_PERF, 0x61, 0);
    lapic_chip_perf(&c);
    assert_int_equal(lapic_chip_take(&c), 0x61);
    write_at(&c, LAPIC_EOI, 0, 0);
    assert_int_equal(c.lvt[LVT_PERF], 0x61); /* unmasked still */
    write_at(&c, LAPIC_LVT + LVT_PERF, APIC_NMI << LVT_MODE_SHIFT, 0);
    lapic_chip_perf(&c);
    assert_int_equal(c.nmis, 1);
    assert_int_equal(lapic_chip_take(&c), -1);
    write_at(&c, LAPIC_LVT + LVT_PERF, LVT_MASKED | APIC_NMI << LVT_MODE_SHIFT, 0);
    lapic_chip_perf(&c);
    assert_int_equal(c.nmis, 1);
    write_at(&c, LAPIC_LVT + LVT_PERF, APIC_NMI << LVT_MODE_SHIFT, 0);
    assert_true(lapic_chip_set_base(&c, c.base & ~(uint64_t)APIC_BASE_EN));
    lapic_chip_perf(&c);
    assert_int_equal(c.nmis, 0);
}

static void set_rte(struct ioapic_chip *c, unsigned pin, uint64_t rte)
{
    assert_int_equal(ioapic_chip_write(c, IOAPIC_REGSEL, 0x10 + pin * 2), 0);
    (void)!ioapic_chip_write(c, IOAPIC_WIN, (uint32_t)rte);
    assert_int_equal(ioapic_chip_write(c, IOAPIC_REGSEL, 0x11 + pin * 2), 0);
    (void)!ioapic_chip_write(c, IOAPIC_WIN, (uint32_t)(rte >> 32));
}

static struct ioapic_chip ioapic(void)
{
    struct ioapic_chip c = {.id = 2};

    ioapic_chip_reset(&c);
    return c;
}

static void test_ioapic_registers(void **state)
{
    struct ioapic_chip c = ioapic();

    (void)state;
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_REGSEL, 1), 0);
    assert_int_equal(ioapic_chip_read(&c, IOAPIC_WIN), 0x00170020);
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_REGSEL, 0), 0);
    assert_int_equal(ioapic_chip_read(&c, IOAPIC_WIN), 2u << 24);
    set_rte(&c, 5, 0xab0000000001ffffull);
    assert_true(c.rte[5] == 0xab0000000001afffull); /* status and remote IRR are read-only */
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_REGSEL, 0x40), 0);
    assert_int_equal(ioapic_chip_read(&c, IOAPIC_WIN), 0);
}

static void test_ioapic_edge(void **state)
{
    struct ioapic_chip c = ioapic();
    uint64_t addr;
    uint32_t data;

    (void)state;
    assert_int_equal(ioapic_chip_set_line(&c, 4, true), 0); /* masked: lost */
    assert_int_equal(ioapic_chip_set_line(&c, 4, false), 0);
    set_rte(&c, 4, 0x0300000000000931ull);
    assert_int_equal(ioapic_chip_set_line(&c, 4, true), 1 << 4);
    assert_int_equal(ioapic_chip_set_line(&c, 4, true), 0);
    ioapic_chip_message(&c, 4, &addr, &data);
    assert_int_equal(addr, 0xfee03004);
    assert_int_equal(data, 0x131);
}

static void test_ioapic_level(void **state)
{
    struct ioapic_chip c = ioapic();
    uint64_t addr;
    uint32_t data;

    (void)state;
    set_rte(&c, 9, IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED | 0x55);
    assert_int_equal(ioapic_chip_set_line(&c, 9, true), 0);
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_REGSEL, 0x10 + 18), 0);
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_WIN, IOAPIC_RTE_LEVEL | 0x55), 1 << 9);
    ioapic_chip_message(&c, 9, &addr, &data);
    assert_int_equal(data, 0xc055);
    assert_int_equal(ioapic_chip_set_line(&c, 9, false), 0);
    assert_int_equal(ioapic_chip_set_line(&c, 9, true), 0); /* remote IRR */
    assert_int_equal(ioapic_chip_eoi(&c, 0x54), 0);
    assert_int_equal(ioapic_chip_eoi(&c, 0x55), 1 << 9); /* still high */
    assert_int_equal(ioapic_chip_set_line(&c, 9, false), 0);
    assert_int_equal(ioapic_chip_write(&c, IOAPIC_EOIR, 0x55), 0);
    assert_int_equal(c.rte[9] & IOAPIC_RTE_REMOTE_IRR, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_values),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_base_transitions),
        cmocka_unit_test(test_x2_faults),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_count_timer),
        cmocka_unit_test(test_periodic_timer),
        cmocka_unit_test(test_tsc_deadline),
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_ioapic_registers),
        cmocka_unit_test(test_ioapic_edge),
        cmocka_unit_test(test_ioapic_level),
        cmocka_unit_test(test_written_id),
        cmocka_unit_test(test_perf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
