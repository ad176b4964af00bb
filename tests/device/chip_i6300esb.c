/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 6300ESB's watchdog as its driver uses it, and one that expires as fast as it can. */
#include "test.h"

#include "dev/chip/i6300esb_chip.h"
#include "dev/watchdog/i6300esb.h"
#include "suite_env.h"

static struct i6300esb_chip fresh(void)
{
    struct i6300esb_chip c = {0};

    i6300esb_reset(&c);
    return c;
}

static enum i6300esb_effect unlocked(struct i6300esb_chip *c, uint32_t offset, uint32_t value)
{
    i6300esb_write(c, 0xc, 0x80);
    i6300esb_write(c, 0xc, 0x86);
    return i6300esb_write(c, offset, value);
}

static void test_stages(void **state)
{
    struct i6300esb_chip c = fresh();

    assert_true(i6300esb_stage_ns(&c) == UINT64_MAX);
    i6300esb_write_config(&c, 3); /* no interrupt */
    unlocked(&c, 0, 999);
    unlocked(&c, 4, 0xfff001f3); /* 20 bits */
    assert_int_equal(i6300esb_write_lock(&c, 2), I6300ESB_RESTART);
    assert_int_equal(i6300esb_stage_ns(&c), 1000 * 32768ull * 30);
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_RESTART);
    assert_int_equal(i6300esb_stage_ns(&c), 500 * 32768ull * 30);
    assert_false(i6300esb_level(&c));
    assert_int_equal(unlocked(&c, 0xc, 0x100), I6300ESB_RESTART); /* in time */
    assert_int_equal(i6300esb_stage_ns(&c), 1000 * 32768ull * 30);
    i6300esb_stage_over(&c);
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_EXPIRED);
    assert_int_equal(i6300esb_read(&c, 0xc), 0x200);
    i6300esb_reset(&c);
    assert_int_equal(i6300esb_read(&c, 0xc), 0x200); /* why the machine was reset */
    unlocked(&c, 0xc, 0x200);
    assert_int_equal(i6300esb_read(&c, 0xc), 0);
}

static void test_unlock(void **state)
{
    struct i6300esb_chip c = fresh();

    i6300esb_write(&c, 0, 5);
    assert_int_equal(c.preload[0], 0xfffff);
    i6300esb_write(&c, 0xc, 0x86);
    i6300esb_write(&c, 0xc, 0x80);
    assert_int_equal(i6300esb_write(&c, 0xc, 0x100), I6300ESB_NOTHING);
    i6300esb_write(&c, 0xc, 0x80);
    i6300esb_write(&c, 4, 0x86);
    i6300esb_write(&c, 0xc, 0x86);
    i6300esb_write(&c, 0, 5);
    assert_int_equal(c.preload[0], 0xfffff);
    unlocked(&c, 0, 5);
    assert_int_equal(c.preload[0], 5);
    i6300esb_write(&c, 0, 6); /* for one write only */
    assert_int_equal(c.preload[0], 5);
}

static void test_interrupt(void **state)
{
    struct i6300esb_chip c = fresh();

    i6300esb_write_config(&c, 0x24); /* an interrupt, fast, no output */
    i6300esb_write_lock(&c, 2);
    assert_int_equal(i6300esb_stage_ns(&c), 0x100000 * 32ull * 30);
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_RESTART);
    assert_true(i6300esb_level(&c));
    assert_int_equal(i6300esb_read(&c, 8), 1);
    i6300esb_write(&c, 8, 1);
    assert_false(i6300esb_level(&c));
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_RESTART);
    assert_int_equal(i6300esb_read(&c, 0xc), 0);
}

static void test_lock(void **state)
{
    struct i6300esb_chip c = fresh();

    i6300esb_write_lock(&c, 7);
    assert_int_equal(i6300esb_write_lock(&c, 0), I6300ESB_NOTHING);
    assert_int_equal(c.lock, 7);
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_RESTART); /* free running */
    assert_int_equal(c.stage, 0);
    i6300esb_reset(&c);
    assert_int_equal(c.lock, 0);
    assert_int_equal(i6300esb_stage_over(&c), I6300ESB_NOTHING);
}

/* --- the device --- */

#define DEVFN PCI_DEVFN(3, 0)

static void on_expired(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void on_end(void *opaque)
{
    loop_stop(opaque);
}

/* Two stages of a microsecond each, over and over: the loop has time for other things. */
static void test_shortest(void **state)
{
    const uint64_t run_ns = 20000000, cycle_ns = 2 * 20000;
    unsigned expired = 0;
    struct suite_env env;
    struct timer *end;
    struct device dev;
    uint64_t begin;

    suite_env_init(&env, 4096);
    assert_int_equal(i6300esb_create(&(struct i6300esb_config){.bus = suite_pci(&env),
                                                               .devfn = DEVFN,
                                                               .loop = env.loop,
                                                               .clock = env.clock,
                                                               .expired = on_expired,
                                                               .opaque = &expired},
                                     &dev, NULL),
                     0);
    assert_int_equal(timer_create_on(env.loop, env.clock, on_end, env.loop, &end), 0);
    suite_place(&env, DEVFN);
    for (unsigned reg = 0; reg < 8; reg += 4) {
        bus_write(env.mmio, SUITE_WINDOW + 0xc, 0x80, 2);
        bus_write(env.mmio, SUITE_WINDOW + 0xc, 0x86, 2);
        bus_write(env.mmio, SUITE_WINDOW + reg, 0, 4);
    }
    begin = vclock_now(env.clock);
    timer_arm(end, begin + run_ns);
    pci_config_write(env.pci, 0, DEVFN, I6300ESB_CONFIG, 2, 7); /* fast, no interrupt */
    pci_config_write(env.pci, 0, DEVFN, I6300ESB_LOCK, 1, 2);
    loop_run(env.loop);
    assert_true(expired > 0);
    assert_true(expired <= (vclock_now(env.clock) - begin) / cycle_ns);
    dev.ops->destroy(dev.self);
    timer_destroy(end);
    suite_env_finish(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),    cmocka_unit_test(test_unlock),
        cmocka_unit_test(test_interrupt), cmocka_unit_test(test_lock),
        cmocka_unit_test(test_shortest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
