/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller with keyboard and mouse, driven as operating systems probe it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <linux/input-event-codes.h>

#include <cmocka.h>

#include "dev/chip/i8042_chip.h"

static struct i8042_chip started(bool aux)
{
    struct i8042_chip c = {.has_aux = aux};

    i8042_chip_reset(&c);
    return c;
}

static void command(struct i8042_chip *c, uint8_t value)
{
    i8042_chip_write_command(c, value);
    i8042_chip_advance(c);
}

static void data(struct i8042_chip *c, uint8_t value)
{
    i8042_chip_write_data(c, value);
    i8042_chip_advance(c);
}

/* The next byte: bit 8 is set if it comes from the mouse; -1 if there is none. */
static int next(struct i8042_chip *c)
{
    uint8_t status = i8042_chip_read_status(c);
    int byte = (status & I8042_STATUS_AUX) != 0 ? 0x100 : 0;

    if ((status & I8042_STATUS_OBF) == 0)
        return -1;
    byte |= i8042_chip_read_data(c);
    i8042_chip_advance(c);
    return byte;
}

static void to_mouse(struct i8042_chip *c, uint8_t value)
{
    command(c, 0xd4);
    data(c, value);
}

static void test_controller(void **state)
{
    struct i8042_chip c = started(true);

    (void)state;
    assert_int_equal(next(&c), -1);
    command(&c, 0xaa);
    assert_int_equal(next(&c), 0x55);
    command(&c, 0xab);
    assert_int_equal(next(&c), 0);
    command(&c, 0xa9);
    assert_int_equal(next(&c), 0);
    command(&c, 0x60);
    data(&c, 0x74);
    command(&c, 0x20);
    assert_int_equal(next(&c), 0x74);
    command(&c, 0xa7);
    command(&c, 0x20);
    assert_int_equal(next(&c) & 0x20, 0x20);
    command(&c, 0xa8);
    command(&c, 0x20);
    assert_int_equal(next(&c) & 0x20, 0);
}

static void test_aux_loop_and_interrupts(void **state)
{
    struct i8042_chip c = started(true);

    (void)state;
    command(&c, 0x60);
    data(&c, I8042_CTL_AUX_INT | I8042_CTL_KBD_OFF);
    command(&c, 0xd3);
    data(&c, 0xa5);
    assert_true(i8042_chip_aux_irq(&c));
    assert_false(i8042_chip_kbd_irq(&c));
    assert_int_equal(next(&c), 0x1a5);
    command(&c, 0xd2);
    data(&c, 0x12);
    assert_int_equal(next(&c), 0x12);
    c = started(false);
    command(&c, 0xd3);
    data(&c, 0x5a);
    assert_int_equal(next(&c), 0x5a); /* not from a mouse */
}

static void test_reset_and_a20(void **state)
{
    struct i8042_chip c = started(true);

    (void)state;
    assert_true(i8042_chip_write_command(&c, 0xfe).reset);
    assert_false(i8042_chip_write_command(&c, 0xff).reset);
    i8042_chip_write_command(&c, 0xd1);
    assert_true(i8042_chip_write_data(&c, 0xdd).a20_changed);
    assert_false(c.a20);
    assert_true(i8042_chip_write_command(&c, 0xdf).a20_changed);
    command(&c, 0xd0);
    assert_int_equal(next(&c) & 3, 3);
    i8042_chip_write_command(&c, 0xd1);
    assert_true(i8042_chip_write_data(&c, 0xfe).reset);
}

static void test_keyboard_commands(void **state)
{
    struct i8042_chip c = started(true);

    (void)state;
    command(&c, 0x60);
    data(&c, I8042_CTL_KBD_INT); /* no translation */
    data(&c, 0xff);
    assert_true(i8042_chip_kbd_irq(&c));
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(next(&c), 0xaa);
    data(&c, 0xf2);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(next(&c), 0xab);
    assert_int_equal(next(&c), 0x83);
    data(&c, 0xed);
    assert_int_equal(next(&c), 0xfa);
    data(&c, 0x02);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(c.keyboard.leds, 2);
    data(&c, 0xf0);
    assert_int_equal(next(&c), 0xfa);
    data(&c, 0);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(next(&c), 2);
    data(&c, 0x10);
    assert_int_equal(next(&c), 0xfe);
    data(&c, 0xee);
    assert_int_equal(next(&c), 0xee);
    assert_int_equal(next(&c), -1);
}

static void test_translation(void **state)
{
    struct i8042_chip c = started(true);

    (void)state;
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_A, true), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_A, false), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_UP, true), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_UP, true), 0); /* it is already */
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_UP, false), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_A, false), 0);
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), 0x1e);
    assert_int_equal(next(&c), 0x9e);
    assert_int_equal(next(&c), 0xe0);
    assert_int_equal(next(&c), 0x48);
    assert_int_equal(next(&c), 0xe0);
    assert_int_equal(next(&c), 0xc8);
    assert_int_equal(next(&c), -1);
    data(&c, 0xf5); /* scanning off */
    next(&c);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_A, true), 0);
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), -1);
}

/* What the controller makes of every key in set 2 is what the key sends in set 1. */
static void test_all_keys(void **state)
{
    unsigned keys = 0;

    for (unsigned key = 1; key < PS2_KEYS; key++) {
        struct i8042_chip c = started(true);
        uint8_t want[PS2_CODES_MAX];

        for (unsigned up = 0; up < 2; up++) {
            unsigned n = ps2_key_codes(1, key, !up, want);

            assert_int_equal(ps2_keyboard_key(&c.keyboard, key, !up), 0);
            i8042_chip_advance(&c);
            for (unsigned i = 0; i < n; i++)
                assert_int_equal(next(&c), want[i]);
            assert_int_equal(next(&c), -1);
            keys += n > 0 && !up;
        }
    }
    assert_true(keys >= 104);
}

static void test_scan_sets(void **state)
{
    struct i8042_chip c = started(true);

    command(&c, 0x60);
    data(&c, 0x05); /* no translation */
    data(&c, 0xf0);
    assert_int_equal(next(&c), 0xfa);
    data(&c, 1);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_RIGHTCTRL, true), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_RIGHTCTRL, false), 0);
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), 0xe0);
    assert_int_equal(next(&c), 0x1d);
    assert_int_equal(next(&c), 0xe0);
    assert_int_equal(next(&c), 0x9d);
    data(&c, 0xf0);
    assert_int_equal(next(&c), 0xfa);
    data(&c, 3);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_RIGHTCTRL, true), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_RIGHTCTRL, false), 0);
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), 0x58);
    assert_int_equal(next(&c), 0xf0);
    assert_int_equal(next(&c), 0x58);
    assert_int_equal(next(&c), -1);
}

static void test_typematic(void **state)
{
    struct i8042_chip c = started(true);

    assert_int_equal(ps2_keyboard_delay_ns(&c.keyboard), 500000000);
    assert_in_range(ps2_keyboard_period_ns(&c.keyboard), 91000000, 92000000); /* 10.9 a second */
    data(&c, 0xf3);
    assert_int_equal(next(&c), 0xfa);
    data(&c, 0x60);
    assert_int_equal(next(&c), 0xfa);
    assert_int_equal(ps2_keyboard_delay_ns(&c.keyboard), 1000000000);
    assert_in_range(ps2_keyboard_period_ns(&c.keyboard), 33000000, 34000000); /* 30 */
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_A, true), 0);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_B, true), 0);
    ps2_keyboard_repeat(&c.keyboard);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_B, false), 0);
    ps2_keyboard_repeat(&c.keyboard); /* A is down, but not the last: nothing repeats */
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), 0x1e);
    assert_int_equal(next(&c), 0x30);
    assert_int_equal(next(&c), 0x30);
    assert_int_equal(next(&c), 0xb0);
    assert_int_equal(next(&c), -1);
}

/* A guest that takes nothing: keys wait for room. */
static void test_full(void **state)
{
    struct i8042_chip c = started(true);
    unsigned n = 0, got = 0;

    while (ps2_keyboard_key(&c.keyboard, KEY_A + n % 9, n / 9 % 2 == 0) == 0 && n < 1000)
        n++;
    assert_in_range(n, 20, 60);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_Z, true), -EAGAIN);
    i8042_chip_advance(&c);
    while (next(&c) >= 0)
        got++;
    assert_int_equal(got, n);
    assert_int_equal(ps2_keyboard_key(&c.keyboard, KEY_Z, true), 0);
}

static void test_mouse(void **state)
{
    struct i8042_chip c = started(true);
    static const uint8_t knock[] = {0xf3, 200, 0xf3, 100, 0xf3, 80};

    (void)state;
    to_mouse(&c, 0xff);
    assert_int_equal(next(&c), 0x1fa);
    assert_int_equal(next(&c), 0x1aa);
    assert_int_equal(next(&c), 0x100);
    for (unsigned i = 0; i < sizeof(knock); i++) {
        to_mouse(&c, knock[i]);
        assert_int_equal(next(&c), 0x1fa);
    }
    to_mouse(&c, 0xf2);
    assert_int_equal(next(&c), 0x1fa);
    assert_int_equal(next(&c), 0x103);
    ps2_mouse_event(&c.mouse, 1, 1, 0, 0); /* not reporting yet */
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), -1);
    to_mouse(&c, 0xf6);
    assert_int_equal(next(&c), 0x1fa);
    to_mouse(&c, 0xf4);
    assert_int_equal(next(&c), 0x1fa);
    ps2_mouse_event(&c.mouse, 300, -2, 1, 1);
    i8042_chip_advance(&c);
    assert_int_equal(next(&c), 0x129);
    assert_int_equal(next(&c), 0x1ff);
    assert_int_equal(next(&c), 0x1fe);
    assert_int_equal(next(&c), 0x101);
    assert_int_equal(next(&c), 0x109); /* the rest */
    assert_int_equal(next(&c), 0x12d);
    assert_int_equal(next(&c), 0x100);
    assert_int_equal(next(&c), 0x100);
    to_mouse(&c, 0xe1); /* unknown */
    assert_int_equal(next(&c), 0x1fe);
    to_mouse(&c, 0xe9);
    assert_int_equal(next(&c), 0x1fa);
    assert_int_equal(next(&c), 0x124);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controller),    cmocka_unit_test(test_aux_loop_and_interrupts),
        cmocka_unit_test(test_reset_and_a20), cmocka_unit_test(test_keyboard_commands),
        cmocka_unit_test(test_translation),   cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_scan_sets),     cmocka_unit_test(test_typematic),
        cmocka_unit_test(test_full),          cmocka_unit_test(test_mouse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
