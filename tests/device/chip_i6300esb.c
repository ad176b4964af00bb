/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 6300ESB's watchdog as its driver uses it. */
#include "test.h"

#include "dev/chip/i6300esb_chip.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_unlock),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
