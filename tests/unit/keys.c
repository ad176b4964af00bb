/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys by names, characters and X's symbols; each is a key that the PS/2 keyboard has. */
#include "test.h"

#include <linux/input-event-codes.h>

#include "dev/chip/ps2_keys.h"
#include "display/keys.h"

static bool on_keyboard(unsigned key)
{
    uint8_t codes[PS2_CODES_MAX];

    return ps2_key_codes(2, key, true, codes) > 0;
}

static void test_names(void **state)
{
    assert_int_equal(key_by_name("a"), KEY_A);
    assert_int_equal(key_by_name("0"), KEY_0);
    assert_int_equal(key_by_name("ret"), KEY_ENTER);
    assert_int_equal(key_by_name("del"), key_by_name("delete"));
    assert_int_equal(key_by_name("kp_5"), KEY_KP5);
    assert_int_equal(key_by_name("f12"), KEY_F12);
    assert_int_equal(key_by_name("A"), 0); /* that is two keys */
    assert_int_equal(key_by_name(""), 0);
    assert_int_equal(key_by_name("f13"), 0);
}

static void test_characters(void **state)
{
    static const char shifted[] = "~!@#$%^&*()_+{}|:\"<>?ABCXYZ";
    static const char plain[] = "`1234567890-=[]\\;',./abcxyz";
    bool shift;

    for (char c = ' '; c < 127; c++)
        assert_true(on_keyboard(key_by_char(c, &shift)));
    for (unsigned i = 0; shifted[i] != '\0'; i++) {
        unsigned key = key_by_char(shifted[i], &shift);

        assert_true(shift);
        assert_int_equal(key, key_by_char(plain[i], &shift));
        assert_false(shift);
    }
    assert_int_equal(key_by_char('\n', &shift), KEY_ENTER);
    assert_int_equal(key_by_char('\0', &shift), 0);
    assert_int_equal(key_by_char('\xe4', &shift), 0);
}

static void test_symbols(void **state)
{
    unsigned n = 0;

    for (uint32_t symbol = 0; symbol < 0x20000; symbol++) {
        unsigned key = key_by_symbol(symbol);

        assert_true(key == 0 || on_keyboard(key));
        n += key != 0;
    }
    assert_true(n > 95 + 70);
    assert_int_equal(key_by_symbol(0xff0d), KEY_ENTER);
    assert_int_equal(key_by_symbol(0xffe9), KEY_LEFTALT);
    assert_int_equal(key_by_symbol('Q'), KEY_Q);
    assert_int_equal(key_by_symbol(UINT32_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_symbols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
