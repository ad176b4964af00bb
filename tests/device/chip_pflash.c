/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NOR flash: detection as firmware does it, programming, erasing, buffered programming, locks. */
#include "test.h"

#include <string.h>

#include "dev/chip/pflash_chip.h"

enum { SIZE = 4 * PFLASH_BLOCK };

static uint8_t data[SIZE];

static struct pflash_chip make(bool readonly)
{
    struct pflash_chip c;

    memset(data, 0xff, sizeof(data));
    data[5] = 0x5a;
    pflash_chip_init(&c, data, SIZE, readonly);
    return c;
}

static void test_detection(void **state)
{
    struct pflash_chip c = make(false);

    assert_true(pflash_chip_array(&c));
    pflash_chip_write(&c, 5, 0x50); /* clear status */
    assert_true(pflash_chip_array(&c));
    assert_int_equal(pflash_chip_read(&c, 5), 0x5a);
    pflash_chip_write(&c, 5, 0x70); /* read status */
    assert_false(pflash_chip_array(&c));
    assert_int_equal(pflash_chip_read(&c, 5), 0);
    pflash_chip_write(&c, 0, 0x90);
    assert_int_equal(pflash_chip_read(&c, 0), 0x89);
    pflash_chip_write(&c, 0x55, 0x98);
    assert_int_equal(pflash_chip_read(&c, 0x10), 'Q');
    assert_int_equal(pflash_chip_read(&c, 0x27), 14);
    assert_int_equal(pflash_chip_read(&c, 0x2d), SIZE / PFLASH_BLOCK - 1);
    pflash_chip_write(&c, 5, 0xff);
    assert_int_equal(pflash_chip_read(&c, 5), 0x5a);
}

static void test_program_and_erase(void **state)
{
    struct pflash_chip c = make(false);

    pflash_chip_write(&c, 5, 0x10);
    pflash_chip_write(&c, 5, 0xf0); /* clears bits only */
    assert_int_equal(pflash_chip_read(&c, 5), 0x80);
    assert_int_equal(data[5], 0x50);
    assert_int_equal(c.dirty_from, 5);
    assert_int_equal(c.dirty_to, 6);
    pflash_chip_write(&c, 100, 0x20);
    pflash_chip_write(&c, 100, 0xd0);
    assert_int_equal(data[5], 0xff);
    assert_int_equal(c.dirty_from, 0);
    assert_int_equal(c.dirty_to, PFLASH_BLOCK);
    pflash_chip_write(&c, 0, 0x20);
    pflash_chip_write(&c, 0, 0x12); /* not confirmed */
    assert_int_equal(pflash_chip_read(&c, 0), 0xb0);
}

static void test_buffer(void **state)
{
    struct pflash_chip c = make(false);

    pflash_chip_write(&c, PFLASH_BUFFER, 0xe8);
    pflash_chip_write(&c, PFLASH_BUFFER, 2 - 1);
    pflash_chip_write(&c, PFLASH_BUFFER + 7, 0x11);
    pflash_chip_write(&c, PFLASH_BUFFER + 8, 0x22);
    pflash_chip_write(&c, PFLASH_BUFFER, 0xd0);
    assert_int_equal(pflash_chip_read(&c, 0), 0x80);
    assert_int_equal(data[PFLASH_BUFFER + 7], 0x11);
    assert_int_equal(data[PFLASH_BUFFER + 8], 0x22);
    assert_int_equal(data[PFLASH_BUFFER + 9], 0xff);
    pflash_chip_write(&c, 0, 0xe8);
    pflash_chip_write(&c, 0, PFLASH_BUFFER); /* longer than the buffer */
    assert_int_equal(pflash_chip_read(&c, 0) & 0x30, 0x30);
}

static void test_readonly(void **state)
{
    struct pflash_chip c = make(true);

    pflash_chip_write(&c, 5, 0x40);
    pflash_chip_write(&c, 5, 0);
    assert_int_equal(pflash_chip_read(&c, 5), 0x92);
    pflash_chip_write(&c, 5, 0x20);
    pflash_chip_write(&c, 5, 0xd0);
    assert_int_equal(data[5], 0x5a);
    assert_int_equal(c.dirty_to, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_program_and_erase),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_readonly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
