/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pair of 8259: priorities, cascade, EOI modes, special mask, poll, triggers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/chip/i8259.h"

enum { MASTER, SLAVE };

static void init_chip(struct i8259_pair *p, unsigned which, uint8_t base, uint8_t icw4)
{
    i8259_pair_write(p, which, 0, 0x11);
    i8259_pair_write(p, which, 1, base);
    i8259_pair_write(p, which, 1, which == MASTER ? 4 : 2);
    i8259_pair_write(p, which, 1, icw4);
}

static struct i8259_pair started(uint8_t icw4)
{
    struct i8259_pair p = {0};

    i8259_pair_reset(&p);
    init_chip(&p, MASTER, 0x30, icw4);
    init_chip(&p, SLAVE, 0x38, icw4);
    return p;
}

static void pulse(struct i8259_pair *p, unsigned line)
{
    i8259_pair_set_line(p, line, true);
    i8259_pair_set_line(p, line, false);
}

static void test_priority_and_eoi(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    assert_false(i8259_pair_intr(&p));
    pulse(&p, 4);
    pulse(&p, 1);
    assert_true(i8259_pair_intr(&p));
    assert_int_equal(i8259_pair_acknowledge(&p), 0x31);
    assert_false(i8259_pair_intr(&p)); /* 4 waits for 1 */
    pulse(&p, 0);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x30);
    i8259_pair_write(&p, MASTER, 0, 0x20);
    assert_false(i8259_pair_intr(&p));
    i8259_pair_write(&p, MASTER, 0, 0x20);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x34);
    i8259_pair_write(&p, MASTER, 0, 0x64); /* specific */
    i8259_pair_write(&p, MASTER, 0, 0x0b);
    assert_int_equal(i8259_pair_read(&p, MASTER, 0), 0);
}

static void test_mask(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    i8259_pair_write(&p, MASTER, 1, 0x02);
    assert_int_equal(i8259_pair_read(&p, MASTER, 1), 0x02);
    pulse(&p, 1);
    assert_false(i8259_pair_intr(&p));
    i8259_pair_write(&p, MASTER, 1, 0);
    assert_true(i8259_pair_intr(&p));
}

static void test_cascade(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    pulse(&p, 12);
    pulse(&p, 8);
    i8259_pair_write(&p, MASTER, 0, 0x0a);
    assert_int_equal(i8259_pair_read(&p, MASTER, 0), 0x04);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x38);
    assert_false(i8259_pair_intr(&p));
    i8259_pair_write(&p, SLAVE, 0, 0x20);
    assert_false(i8259_pair_intr(&p)); /* the master still serves the slave */
    i8259_pair_write(&p, MASTER, 0, 0x20);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x3c);
}

static void test_special_fully_nested(void **state)
{
    struct i8259_pair p = started(0x11);

    (void)state;
    pulse(&p, 12);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x3c);
    pulse(&p, 8); /* better than 12: passes through the busy cascade */
    assert_int_equal(i8259_pair_acknowledge(&p), 0x38);
}

static void test_spurious(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    assert_int_equal(i8259_pair_acknowledge(&p), 0x37);
    i8259_pair_write(&p, MASTER, 0, 0x0b);
    assert_int_equal(i8259_pair_read(&p, MASTER, 0), 0);
}

static void test_auto_eoi_with_rotation(void **state)
{
    struct i8259_pair p = started(0x03);

    (void)state;
    i8259_pair_write(&p, MASTER, 0, 0x80);
    pulse(&p, 0);
    pulse(&p, 1);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x30);
    pulse(&p, 0); /* 0 has become the lowest */
    assert_int_equal(i8259_pair_acknowledge(&p), 0x31);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x30);
}

static void test_rotation(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    pulse(&p, 3);
    i8259_pair_acknowledge(&p);
    i8259_pair_write(&p, MASTER, 0, 0xa0); /* rotate on non-specific EOI */
    pulse(&p, 3);
    pulse(&p, 4);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x34);
    i8259_pair_write(&p, MASTER, 0, 0xe4);
    i8259_pair_write(&p, MASTER, 0, 0xc7); /* 7 lowest: the usual order */
    pulse(&p, 1);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x31);
}

static void test_special_mask(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    pulse(&p, 1);
    i8259_pair_acknowledge(&p);
    pulse(&p, 5);
    assert_false(i8259_pair_intr(&p));
    i8259_pair_write(&p, MASTER, 1, 0x02);
    i8259_pair_write(&p, MASTER, 0, 0x68);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x35);
}

static void test_poll(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    pulse(&p, 5);
    i8259_pair_write(&p, MASTER, 0, 0x0c);
    assert_int_equal(i8259_pair_read(&p, MASTER, 0), 0x85);
    i8259_pair_write(&p, MASTER, 0, 0x0c);
    assert_int_equal(i8259_pair_read(&p, MASTER, 0), 0);
}

static void test_level_trigger(void **state)
{
    struct i8259_pair p = started(1);

    (void)state;
    i8259_pair_elcr_write(&p, MASTER, 0xff);
    assert_int_equal(i8259_pair_elcr_read(&p, MASTER), 0xf8);
    i8259_pair_set_line(&p, 5, true);
    assert_int_equal(i8259_pair_acknowledge(&p), 0x35);
    i8259_pair_write(&p, MASTER, 0, 0x20);
    assert_true(i8259_pair_intr(&p)); /* still high */
    i8259_pair_set_line(&p, 5, false);
    assert_false(i8259_pair_intr(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority_and_eoi),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_cascade),
        cmocka_unit_test(test_special_fully_nested),
        cmocka_unit_test(test_spurious),
        cmocka_unit_test(test_auto_eoi_with_rotation),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_special_mask),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_level_trigger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
