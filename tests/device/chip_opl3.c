/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The OPL3: what detects it, and what its synthesis sounds like, by spectrum and by level. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "dev/chip/opl3.h"

enum { FRAMES = 16384 };

static int16_t out[2 * OPL3_RATE];

static void put(struct opl3 *o, unsigned reg, uint8_t value)
{
    opl3_write(o, reg >> 8 ? 2 : 0, (uint8_t)reg, 0);
    opl3_write(o, reg >> 8 ? 3 : 1, value, 0);
}

/* How loud a frequency is on one side of what was made: the amplitude of its sine. */
static double level(double hertz, unsigned side, unsigned from, unsigned count)
{
    double re = 0, im = 0;

    for (unsigned i = 0; i < count; i++) {
        double window = 1 - cos(2 * M_PI * i / count), at = 2 * M_PI * hertz * i / OPL3_RATE;

        re += window * out[2 * (from + i) + side] * cos(at);
        im += window * out[2 * (from + i) + side] * sin(at);
    }
    return 2 * sqrt(re * re + im * im) / count;
}

/* An operator that is at its full level at once and stays there. Others never sound: their attack's
 * rate is 0. */
static void op(struct opl3 *o, unsigned at, uint8_t multiple, uint8_t total_level)
{
    put(o, 0x20 + at, 0x20 | multiple);
    put(o, 0x40 + at, total_level);
    put(o, 0x60 + at, 0xf0);
    put(o, 0x80 + at, 0x0f);
}

/* F-number 580 of block 4: 440 Hz. */
static const double a = 580.0 * 16 * OPL3_RATE / (1 << 20);

static void key(struct opl3 *o, unsigned channel)
{
    put(o, channel + 0xa0, 580 & 0xff);
    put(o, channel + 0xb0, 0x20 | 4 << 2 | 580 >> 8);
}

static void start(struct opl3 *o)
{
    opl3_reset(o);
    assert_true(opl3_silent(o));
    put(o, 0x105, 1);
}

static void test_timers(void **state)
{
    struct opl3 o;

    opl3_reset(&o);
    put(&o, 4, 0x60);
    put(&o, 4, 0x80);
    assert_int_equal(opl3_read(&o, 0, 1000000), 0);
    put(&o, 2, 0xff);
    opl3_write(&o, 0, 4, 1000000);
    opl3_write(&o, 1, 0x21, 1000000);
    assert_int_equal(opl3_read(&o, 0, 1079999), 0);
    assert_int_equal(opl3_read(&o, 0, 1080000), 0xc0);
    opl3_write(&o, 1, 0x80, 1090000);
    assert_int_equal(opl3_read(&o, 0, 1100000), 0);
    assert_int_equal(opl3_read(&o, 0, 1160000), 0xc0); /* it has gone on */
    opl3_write(&o, 1, 0x80, 1160000);
    opl3_write(&o, 1, 0x42, 1160000); /* now timer 2, of 256 counts */
    assert_int_equal(opl3_read(&o, 0, 1160000 + 256 * 320000 - 1), 0);
    opl3_turn_times(&o, 1160000 + 1000); /* saved, and goes on much later */
    opl3_turn_times(&o, 500000000 + 1000);
    assert_int_equal(opl3_read(&o, 0, 500000000 + 256 * 320000 - 1), 0);
    assert_int_equal(opl3_read(&o, 0, 500000000 + 256 * 320000), 0xa0);
}

static void test_sine(void **state)
{
    struct opl3 o;

    start(&o);
    op(&o, 0x03, 1, 0);
    put(&o, 0xc0, 0x10); /* left only */
    key(&o, 0);
    opl3_generate(&o, out, FRAMES);
    assert_in_range((int)level(a, 0, 0, FRAMES), 4050, 4090);
    assert_true(level(2 * a, 0, 0, FRAMES) < 10);
    assert_true(level(a, 1, 0, FRAMES) < 1);
    put(&o, 0x43, 8); /* -6 dB */
    opl3_generate(&o, out, FRAMES);
    assert_in_range((int)level(a, 0, 0, FRAMES), 2025, 2060);
    put(&o, 0xb0, 4 << 2 | 580 >> 8); /* the key is let go: rate 15 */
    opl3_generate(&o, out, 1000);
    assert_true(opl3_silent(&o));
}

/* Frequency modulation makes side bands: by Bessel's functions, J0 to J2 of what the level says. */
static void test_modulation(void **state)
{
    struct opl3 o;
    double index = 4084 * pow(10, -24 * 0.75 / 20) / 1024 * 2 * M_PI; /* of 18 dB less */

    start(&o);
    op(&o, 0x00, 3, 24);
    op(&o, 0x03, 1, 0);
    put(&o, 0xc0, 0x30);
    key(&o, 0);
    opl3_generate(&o, out, FRAMES);
    for (int n = 0; n <= 2; n++) {
        double want = 4084 * fabs(jn(n, index)), got = level(a * (1 + 3 * n), 0, 0, FRAMES);

        assert_true(fabs(got - want) < 60);
    }
    assert_true(level(2.5 * a, 0, 0, FRAMES) < 10);
}

static void test_feedback_and_sum(void **state)
{
    struct opl3 o;

    start(&o);
    op(&o, 0x00, 1, 0);
    op(&o, 0x03, 2, 0);
    put(&o, 0xc0, 0x31); /* side by side */
    key(&o, 0);
    opl3_generate(&o, out, FRAMES);
    assert_in_range((int)level(a, 0, 0, FRAMES), 4050, 4090);
    assert_in_range((int)level(2 * a, 1, 0, FRAMES), 4050, 4090);
    assert_true(level(3 * a, 0, 0, FRAMES) < 20);
    put(&o, 0xc0, 0x31 | 5 << 1);
    opl3_generate(&o, out, FRAMES);
    assert_true(level(3 * a, 0, 0, FRAMES) > 100); /* a saw has all of them */
}

/* The harmonics by which wave forms differ; of 4084, 0: less than a hundredth. */
static void test_waves(void **state)
{
    static const double want[8][4] = {
        {1, 0, 0, 0},
        {0.5, 0.2122, 0, 0.0424},
        {0, 0.4244, 0, 0.0849},
        {0.2122, 0.3395, 0.1819, 0.0404},
        {0.4244, 0.5, 0.2546, 0},
        {0, 0.2122 * 2, 0, 0.4244},
        {1.2732, 0, 0.4244, 0},
        {0.18, 0, 0.11, 0},
    };
    struct opl3 o;

    for (unsigned form = 0; form < 8; form++) {
        start(&o);
        op(&o, 0x03, 1, 0);
        put(&o, 0xe3, (uint8_t)form);
        put(&o, 0xc0, 0x30);
        key(&o, 0);
        opl3_generate(&o, out, FRAMES);
        for (unsigned n = 0; n < 4 && form != 3 && form != 5 && form != 7; n++) {
            double got = level(a * (n + 1), 0, 0, FRAMES) / 4084;

            assert_true(fabs(got - want[form][n]) < 0.02);
        }
    }
}

/* Attack and decay take the times of the application manual, within a few percent. */
static void test_envelope(void **state)
{
    struct opl3 o;
    unsigned n;

    start(&o);
    op(&o, 0x03, 1, 0);
    put(&o, 0x63, 0x80); /* attack 8: rate 34 with block 4 */
    put(&o, 0x83, 0x07);
    put(&o, 0xc0, 0x30);
    key(&o, 0);
    for (n = 0; o.op[3].env > 0 && n < OPL3_RATE; n++)
        opl3_generate(&o, out, 1);
    assert_in_range(n * 1000 / OPL3_RATE, 5, 20); /* ms */
    put(&o, 0x63, 0xf4); /* decay 4: from 0 to 96 dB 3.9 s, by 12 dB an eighth of it */
    put(&o, 0x83, 0x4f); /* to -12 dB */
    put(&o, 0xb0, 0);
    opl3_generate(&o, out, 500);
    key(&o, 0);
    for (n = 0; o.op[3].stage < 2 && n < OPL3_RATE; n++)
        opl3_generate(&o, out, 1);
    assert_in_range(n * 1000 / OPL3_RATE, 200, 620);
    assert_in_range(o.op[3].env, 64, 65);
    opl3_generate(&o, out, 5000);
    assert_in_range(o.op[3].env, 64, 65); /* held */
    put(&o, 0x23, 0x01);
    opl3_generate(&o, out, 5000);
    assert_int_equal(o.op[3].env, 511); /* not with a percussive sound */
}

/* Four operators: two chains side by side and all in a row differ by what is heard alone. */
static void test_four(void **state)
{
    struct opl3 o;

    start(&o);
    put(&o, 0x104, 1);
    op(&o, 0x03, 1, 0);
    op(&o, 0x0b, 3, 0);
    put(&o, 0xc0, 0x30);
    put(&o, 0xc3, 0x31); /* 1 -> 2 + 3 -> 4 */
    key(&o, 0);          /* of the first channel alone */
    opl3_generate(&o, out, FRAMES);
    assert_in_range((int)level(a, 0, 0, FRAMES), 4050, 4090);
    assert_in_range((int)level(3 * a, 0, 0, FRAMES), 4050, 4090);
    put(&o, 0xc3, 0x30); /* 1 -> 2 -> 3 -> 4 with 3 silent */
    opl3_generate(&o, out, FRAMES);
    assert_true(level(a, 0, 0, FRAMES) < 10);
    assert_in_range((int)level(3 * a, 0, 0, FRAMES), 4050, 4090);
}

/* The bass drum has a pitch; the hi-hat is noise. */
static void test_rhythm(void **state)
{
    struct opl3 o;

    start(&o);
    op(&o, 0x13, 1, 0);
    op(&o, 0x11, 1, 0);
    for (unsigned i = 6; i < 9; i++) {
        put(&o, 0xc0 + i, 0x30);
        put(&o, 0xa0 + i, 580 & 0xff);
        put(&o, 0xb0 + i, 4 << 2 | 580 >> 8);
    }
    opl3_generate(&o, out, 100);
    assert_true(opl3_silent(&o));
    put(&o, 0xbd, 0x30);
    opl3_generate(&o, out, FRAMES);
    assert_in_range((int)level(a, 0, 0, FRAMES), 2 * 4050, 2 * 4090);
    put(&o, 0xbd, 0x20);
    opl3_generate(&o, out, 1000);
    assert_true(opl3_silent(&o));
    put(&o, 0xbd, 0x21);
    opl3_generate(&o, out, FRAMES);
    assert_true(level(a, 0, 0, FRAMES) < 500);
    assert_true(level(9 * a + 123, 0, 0, FRAMES) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers),     cmocka_unit_test(test_sine),
        cmocka_unit_test(test_modulation), cmocka_unit_test(test_feedback_and_sum),
        cmocka_unit_test(test_waves),      cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_four),       cmocka_unit_test(test_rhythm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
