/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254 register model: each mode's output, counting, gates, latches and read-back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/chip/i8254.h"

/* Programs counter 2 (whose gate can be moved); the count is loaded at tick `t` + 1. */
static struct i8254 programmed(uint8_t mode, uint16_t count, uint64_t t)
{
    struct i8254 c;

    i8254_reset(&c);
    i8254_set_gate(&c, 2, true, t);
    i8254_write(&c, 3, (uint8_t)(0xb0 | mode << 1), t);
    i8254_write(&c, 2, (uint8_t)count, t);
    i8254_write(&c, 2, (uint8_t)(count >> 8), t);
    return c;
}

static uint16_t count_at(struct i8254 *c, uint64_t t)
{
    uint8_t low;

    i8254_write(c, 3, 0x80, t); /* latch */
    low = i8254_read(c, 2, t + 1000);
    return (uint16_t)(i8254_read(c, 2, t + 1000) << 8 | low);
}

static void test_mode0(void **state)
{
    struct i8254 c = programmed(0, 100, 1000);

    (void)state;
    assert_false(i8254_out(&c, 2, 1000));
    assert_false(i8254_out(&c, 2, 1100));
    assert_true(i8254_out(&c, 2, 1101));
    assert_int_equal(count_at(&c, 1001), 100);
    assert_int_equal(count_at(&c, 1101), 0);
    assert_int_equal(count_at(&c, 1102), 0xffff);
    assert_int_equal(i8254_next_rise(&c, 2, 1000), 1101);
    assert_true(i8254_next_rise(&c, 2, 1101) == I8254_NEVER);
}

static void test_mode0_gate_stops_counting(void **state)
{
    struct i8254 c = programmed(0, 100, 0);

    (void)state;
    i8254_set_gate(&c, 2, false, 11);
    assert_int_equal(count_at(&c, 500), 90);
    assert_true(i8254_next_rise(&c, 2, 500) == I8254_NEVER);
    i8254_set_gate(&c, 2, true, 1000);
    assert_int_equal(i8254_next_rise(&c, 2, 1000), 1090);
    assert_true(i8254_out(&c, 2, 1090));
    i8254_set_gate(&c, 2, false, 1000000);
    assert_true(i8254_out(&c, 2, 1000000)); /* stays high */
}

static void test_mode1_is_triggered_by_the_gate(void **state)
{
    struct i8254 c = programmed(1, 50, 0);

    (void)state;
    assert_true(i8254_out(&c, 2, 100));
    i8254_set_gate(&c, 2, false, 100);
    i8254_set_gate(&c, 2, true, 200);
    assert_false(i8254_out(&c, 2, 201));
    assert_false(i8254_out(&c, 2, 250));
    assert_true(i8254_out(&c, 2, 251));
    i8254_set_gate(&c, 2, false, 260);
    i8254_set_gate(&c, 2, true, 300); /* again */
    assert_false(i8254_out(&c, 2, 310));
}

static void test_mode2(void **state)
{
    struct i8254 c = programmed(2, 10, 0);

    (void)state;
    assert_true(i8254_out(&c, 2, 9));
    assert_false(i8254_out(&c, 2, 10)); /* the last clock of the period */
    assert_true(i8254_out(&c, 2, 11));
    assert_int_equal(i8254_next_rise(&c, 2, 5), 11);
    assert_int_equal(i8254_next_rise(&c, 2, 11), 21);
    assert_int_equal(count_at(&c, 11), 10);
    assert_int_equal(count_at(&c, 12), 9);
}

static void test_mode2_takes_a_new_count_at_the_end_of_the_period(void **state)
{
    struct i8254 c = programmed(2, 10, 0);

    (void)state;
    i8254_write(&c, 2, 20, 5);
    i8254_write(&c, 2, 0, 5);
    assert_int_equal(i8254_next_rise(&c, 2, 5), 11);
    assert_int_equal(i8254_next_rise(&c, 2, 11), 31);
}

static void test_mode3(void **state)
{
    struct i8254 c = programmed(3, 10, 0);

    (void)state;
    assert_true(i8254_out(&c, 2, 5));
    assert_false(i8254_out(&c, 2, 6));
    assert_false(i8254_out(&c, 2, 10));
    assert_true(i8254_out(&c, 2, 11));
    assert_int_equal(count_at(&c, 3), 6); /* counts by two */
    assert_int_equal(i8254_next_rise(&c, 2, 1), 11);
    c = programmed(3, 9, 0); /* odd: 5 high, 4 low */
    assert_true(i8254_out(&c, 2, 5));
    assert_false(i8254_out(&c, 2, 6));
    assert_false(i8254_out(&c, 2, 9));
    assert_true(i8254_out(&c, 2, 10));
}

static void test_mode4_and_5_strobe(void **state)
{
    struct i8254 c = programmed(4, 10, 0);

    (void)state;
    assert_true(i8254_out(&c, 2, 10));
    assert_false(i8254_out(&c, 2, 11));
    assert_true(i8254_out(&c, 2, 12));
    assert_int_equal(i8254_next_rise(&c, 2, 0), 12);
    c = programmed(5, 10, 0);
    assert_true(i8254_out(&c, 2, 11));
    i8254_set_gate(&c, 2, false, 20);
    i8254_set_gate(&c, 2, true, 30);
    assert_false(i8254_out(&c, 2, 41));
    assert_true(i8254_out(&c, 2, 42));
}

static void test_bcd_and_zero(void **state)
{
    struct i8254 c;

    (void)state;
    i8254_reset(&c);
    i8254_set_gate(&c, 2, true, 0);
    i8254_write(&c, 3, 0xb1, 0);
    i8254_write(&c, 2, 0, 0);
    i8254_write(&c, 2, 0, 0); /* 10000 */
    assert_int_equal(i8254_next_rise(&c, 2, 0), 10001);
    assert_int_equal(count_at(&c, 2), 0x9999);
    c = programmed(0, 0, 0);
    assert_int_equal(i8254_next_rise(&c, 2, 0), 65537);
}

static void test_read_back(void **state)
{
    struct i8254 c = programmed(2, 10, 0);

    (void)state;
    i8254_write(&c, 3, 0xc8, 3); /* status and count of counter 2 */
    assert_int_equal(i8254_read(&c, 2, 500), 0xb4);
    assert_int_equal(i8254_read(&c, 2, 500), 8);
    assert_int_equal(i8254_read(&c, 2, 500), 0);
    i8254_write(&c, 2, 20, 501);
    i8254_write(&c, 2, 0, 501);
    i8254_write(&c, 3, 0xe8, 502); /* status: the new count is not loaded yet */
    assert_int_equal(i8254_read(&c, 2, 503) & 0x40, 0x40);
}

static void test_access_modes(void **state)
{
    struct i8254 c;

    (void)state;
    i8254_reset(&c);
    i8254_write(&c, 3, 0x14, 0); /* counter 0, low byte, mode 2 */
    i8254_write(&c, 0, 200, 0);
    assert_int_equal(i8254_next_rise(&c, 0, 0), 201);
    assert_int_equal(i8254_read(&c, 0, 1), 200);
    assert_int_equal(i8254_read(&c, 0, 2), 199);
    i8254_write(&c, 3, 0x24, 0); /* high byte */
    i8254_write(&c, 0, 2, 0);
    assert_int_equal(i8254_next_rise(&c, 0, 0), 513);
    assert_int_equal(i8254_read(&c, 0, 1), 2);
    assert_int_equal(i8254_read(&c, 0, 3), 1);
}

static void test_shift_moves_time(void **state)
{
    struct i8254 c = programmed(2, 100, 1000);

    (void)state;
    i8254_shift(&c, -(uint64_t)1050);
    i8254_shift(&c, 7);
    assert_int_equal(i8254_next_rise(&c, 2, 7), 1101 - 1050 + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode0),
        cmocka_unit_test(test_mode0_gate_stops_counting),
        cmocka_unit_test(test_mode1_is_triggered_by_the_gate),
        cmocka_unit_test(test_mode2),
        cmocka_unit_test(test_mode2_takes_a_new_count_at_the_end_of_the_period),
        cmocka_unit_test(test_mode3),
        cmocka_unit_test(test_mode4_and_5_strobe),
        cmocka_unit_test(test_bcd_and_zero),
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_access_modes),
        cmocka_unit_test(test_shift_moves_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
