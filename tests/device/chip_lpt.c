/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parallel port: what a driver finds, and bytes that are printed. */
#include "test.h"

#include "dev/chip/lpt_chip.h"

enum { READY = LPT_CONTROL_NINIT | LPT_CONTROL_SELECT, IDLE = 0xdf };

static unsigned put(struct lpt_chip *c, unsigned reg, uint8_t value, uint8_t *byte)
{
    *byte = 0;
    return lpt_write(c, reg, value, byte);
}

static void test_registers(void **state)
{
    struct lpt_chip c;
    uint8_t byte;

    lpt_reset(&c);
    assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE);
    assert_int_equal(lpt_read(&c, LPT_CONTROL), 0xc0);
    put(&c, LPT_DATA, 0xa5, &byte);
    assert_int_equal(lpt_read(&c, LPT_DATA), 0xa5);
    put(&c, LPT_CONTROL, 0xff & ~LPT_CONTROL_STROBE, &byte);
    assert_int_equal(lpt_read(&c, LPT_CONTROL), 0xfe);
    assert_int_equal(lpt_read(&c, LPT_DATA), 0xff); /* turned around, and nobody sends */
    put(&c, LPT_CONTROL, 0x0c, &byte);
    assert_int_equal(lpt_read(&c, LPT_CONTROL), 0xcc);
    assert_int_equal(lpt_read(&c, LPT_DATA), 0xa5);
    put(&c, LPT_STATUS, 0, &byte);
    assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE);
}

static void test_print(void **state)
{
    struct lpt_chip c;
    uint8_t byte;

    lpt_reset(&c);
    put(&c, LPT_CONTROL, READY, &byte);
    put(&c, LPT_DATA, 'x', &byte);
    assert_int_equal(put(&c, LPT_CONTROL, READY | LPT_CONTROL_STROBE, &byte), 0);
    assert_int_equal(lpt_read(&c, LPT_STATUS) & LPT_STATUS_NBUSY, 0);
    put(&c, LPT_DATA, 'y', &byte); /* too late */
    assert_int_equal(put(&c, LPT_CONTROL, READY | LPT_CONTROL_STROBE, &byte), 0);
    assert_int_equal(put(&c, LPT_CONTROL, READY, &byte), LPT_PRINTED);
    assert_int_equal(byte, 'x');
    assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE);
    assert_int_equal(put(&c, LPT_CONTROL, READY, &byte), 0);
}

static void test_interrupt(void **state)
{
    struct lpt_chip c;
    uint8_t byte;

    lpt_reset(&c);
    put(&c, LPT_CONTROL, READY | LPT_CONTROL_IRQ | LPT_CONTROL_STROBE, &byte);
    assert_int_equal(put(&c, LPT_CONTROL, READY | LPT_CONTROL_IRQ, &byte), LPT_PRINTED | LPT_EDGE);
    assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE & ~LPT_STATUS_IRQ);
    assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE);
}

/* Not selected, or being initialized: the printer does not listen, and forgets what it began. */
static void test_deaf(void **state)
{
    static const uint8_t controls[] = {0, LPT_CONTROL_NINIT, LPT_CONTROL_SELECT};
    struct lpt_chip c;
    uint8_t byte;

    lpt_reset(&c);
    for (unsigned i = 0; i < sizeof(controls); i++) {
        put(&c, LPT_CONTROL, controls[i] | LPT_CONTROL_STROBE, &byte);
        assert_int_equal(lpt_read(&c, LPT_STATUS), IDLE);
        assert_int_equal(put(&c, LPT_CONTROL, controls[i], &byte), 0);
    }
    put(&c, LPT_CONTROL, READY | LPT_CONTROL_STROBE, &byte);
    put(&c, LPT_CONTROL, LPT_CONTROL_SELECT | LPT_CONTROL_STROBE, &byte);
    assert_int_equal(put(&c, LPT_CONTROL, READY | LPT_CONTROL_STROBE, &byte), 0);
    assert_int_equal(put(&c, LPT_CONTROL, READY, &byte), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_deaf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
