/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Sound Blaster 16: its DSP's commands and transfers, its mixer; rates brought to 48 kHz. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "dev/chip/ct1745.h"
#include "dev/chip/sb16_dsp.h"
#include "dev/sound/line.h"

enum { RESET = 6, READ = 0xa, COMMAND = 0xc, STATUS = 0xe, ACK16 = 0xf };

static void command(struct sb16_dsp *d, unsigned count, ...)
{
    va_list ap;

    va_start(ap, count);
    for (unsigned i = 0; i < count; i++)
        sb16_dsp_write(d, COMMAND, (uint8_t)va_arg(ap, int));
    va_end(ap);
}

static uint8_t answer(struct sb16_dsp *d)
{
    assert_int_equal(sb16_dsp_read(d, STATUS) & 0x80, 0x80);
    return sb16_dsp_read(d, READ);
}

static void start(struct sb16_dsp *d)
{
    memset(d, 0, sizeof(*d));
    sb16_dsp_init(d);
    sb16_dsp_write(d, RESET, 1);
    sb16_dsp_write(d, RESET, 0);
    assert_int_equal(answer(d), 0xaa);
    assert_int_equal(sb16_dsp_read(d, STATUS) & 0x80, 0);
}

static void test_questions(void **state)
{
    struct sb16_dsp d;

    start(&d);
    assert_int_equal(sb16_dsp_read(&d, COMMAND) & 0x80, 0);
    command(&d, 1, 0xe1);
    assert_int_equal(answer(&d), 4);
    assert_int_equal(answer(&d), 5);
    command(&d, 2, 0xe0, 0x5a);
    assert_int_equal(answer(&d), 0xa5);
    command(&d, 3, 0xe4, 0x77, 0xe8);
    assert_int_equal(answer(&d), 0x77);
    command(&d, 2, 0xd1, 0xd8);
    assert_int_equal(answer(&d), 0xff);
    command(&d, 2, 0xd3, 0xd8);
    assert_int_equal(answer(&d), 0);
    command(&d, 1, 0xe3);
    assert_int_equal(answer(&d), 'C');
    command(&d, 1, 0xf2);
    assert_int_equal(d.interrupts, 1);
    sb16_dsp_read(&d, STATUS);
    assert_int_equal(d.interrupts, 0);
    command(&d, 1, 0xf3);
    sb16_dsp_read(&d, STATUS);
    assert_int_equal(d.interrupts, 2);
    sb16_dsp_read(&d, ACK16);
    assert_int_equal(d.interrupts, 0);
}

/* One block of 8 bits, as old programs play it. */
static void test_single(void **state)
{
    struct sb16_dsp d;

    start(&d);
    command(&d, 5, 0x40, 256 - 1000000 / 22050, 0x14, 99, 0);
    assert_int_equal(d.way[SB16_WAY_8].rate, 1000000 / (1000000 / 22050));
    assert_int_equal(sb16_dsp_wants(&d, SB16_WAY_8), 100);
    sb16_dsp_moved(&d, SB16_WAY_8, 60);
    command(&d, 1, 0xd0);
    assert_int_equal(sb16_dsp_wants(&d, SB16_WAY_8), 0);
    command(&d, 1, 0xd4);
    assert_int_equal(sb16_dsp_wants(&d, SB16_WAY_8), 40);
    assert_int_equal(d.interrupts, 0);
    sb16_dsp_moved(&d, SB16_WAY_8, 40);
    assert_int_equal(d.interrupts, 1);
    assert_false(sb16_dsp_runs(&d, SB16_WAY_8));
}

/* Block after block of 16 bits, until it is to end. */
static void test_repeated(void **state)
{
    struct sb16_dsp d;

    start(&d);
    command(&d, 7, 0x41, 44100 >> 8, 44100 & 0xff, 0xb6, 0x30, 199, 0);
    assert_int_equal(d.way[SB16_WAY_16].rate, 44100);
    assert_int_equal(sb16_dsp_frame(&d, SB16_WAY_16), 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sb16_dsp_wants(&d, SB16_WAY_16), 400);
        sb16_dsp_moved(&d, SB16_WAY_16, 400);
        assert_int_equal(d.interrupts, 2);
        sb16_dsp_read(&d, ACK16);
    }
    command(&d, 1, 0xd9);
    assert_true(sb16_dsp_runs(&d, SB16_WAY_16));
    sb16_dsp_moved(&d, SB16_WAY_16, 400);
    assert_int_equal(d.interrupts, 2);
    assert_false(sb16_dsp_runs(&d, SB16_WAY_16));
}

static void test_high_speed(void **state)
{
    struct sb16_dsp d;

    start(&d);
    command(&d, 4, 0x48, 0xff, 0, 0x90);
    assert_int_equal(sb16_dsp_wants(&d, SB16_WAY_8), 256);
    command(&d, 1, 0xd0); /* is not heard */
    assert_true(sb16_dsp_runs(&d, SB16_WAY_8));
    sb16_dsp_write(&d, RESET, 1);
    sb16_dsp_write(&d, RESET, 0);
    assert_false(sb16_dsp_runs(&d, SB16_WAY_8));
    assert_int_equal(sb16_dsp_read(&d, STATUS) & 0x80, 0);
    command(&d, 1, 0xe1);
    assert_int_equal(answer(&d), 4);
}

static void test_formats(void **state)
{
    static const uint8_t raw[4] = {0x80, 0xff, 0x34, 0x12};
    struct sb16_dsp d;
    int16_t out[2];

    start(&d);
    command(&d, 4, 0xc6, 0x20, 99, 0);
    sb16_dsp_decode(&d, SB16_WAY_8, raw, out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 0x7f00);
    assert_int_equal(sb16_dsp_silence(&d, SB16_WAY_8), 0x8080);
    command(&d, 4, 0xc6, 0x10, 99, 0);
    sb16_dsp_decode(&d, SB16_WAY_8, raw, out);
    assert_int_equal(out[0], -32768);
    assert_int_equal(out[1], -32768);
    command(&d, 4, 0xb6, 0x30, 99, 0);
    sb16_dsp_decode(&d, SB16_WAY_16, raw, out);
    assert_int_equal(out[0], -128);
    assert_int_equal(out[1], 0x1234);
    command(&d, 4, 0xb6, 0x00, 99, 0);
    sb16_dsp_decode(&d, SB16_WAY_16, raw, out);
    assert_int_equal(out[0], 0x7f80);
    command(&d, 4, 0xce, 0x10, 99, 0);
    assert_true(d.way[SB16_WAY_8].records);
    assert_true(sb16_dsp_write(&d, COMMAND, 0x10) == false && sb16_dsp_write(&d, COMMAND, 0xc0));
    assert_int_equal(d.level, 0x4000);
}

static uint8_t mixer_get(struct ct1745 *m, uint8_t at)
{
    m->index = at;
    return ct1745_read(m, 3);
}

static void mixer_put(struct ct1745 *m, uint8_t at, uint8_t value)
{
    m->index = at;
    ct1745_write(m, value);
}

static void test_mixer(void **state)
{
    struct ct1745 m;
    uint32_t gain[2];

    ct1745_init(&m);
    assert_int_equal(ct1745_irq(&m), 5);
    assert_int_equal(ct1745_dma(&m, false), 1);
    assert_int_equal(ct1745_dma(&m, true), 5);
    assert_int_equal(mixer_get(&m, 0x82), 3);
    assert_int_equal(mixer_get(&m, 0x22), 0xcc);
    mixer_put(&m, 0x30, 0xff);
    mixer_put(&m, 0x31, 0xf8);
    mixer_put(&m, 0x04, 0xf0);
    assert_int_equal(mixer_get(&m, 0x30), 0xf8);
    assert_int_equal(mixer_get(&m, 0x32), 0xf8);
    assert_int_equal(mixer_get(&m, 0x33), 0x08);
    ct1745_gain(&m, false, gain);
    assert_int_equal(gain[0], 65536);
    assert_in_range(gain[1], 64, 68); /* -60 dB */
    mixer_put(&m, 0x32, 28 << 3);
    mixer_put(&m, 0x41, 0x40);
    ct1745_gain(&m, false, gain);
    assert_in_range(gain[0], 65600, 65800); /* -6 dB, +6 dB */
    ct1745_gain(&m, true, gain);
    assert_in_range(gain[1], 13076, 13076); /* -14 dB, as after a reset */
    mixer_put(&m, 0x80, 0x08);
    mixer_put(&m, 0x81, 0x08);
    mixer_put(&m, 0x00, 0);
    assert_int_equal(ct1745_irq(&m), 10); /* a reset is of the levels only */
    assert_int_equal(ct1745_dma(&m, true), 3);
    assert_int_equal(mixer_get(&m, 0x30), 0xc0);
    mixer_put(&m, 0x80, 0);
    mixer_put(&m, 0x81, 0x20);
    assert_int_equal(ct1745_irq(&m), 0);
    assert_int_equal(ct1745_dma(&m, false), -1);
    assert_int_equal(mixer_get(&m, 0x77), 0xff);
}

/* A ramp at 12 kHz is the same ramp at 48 kHz, whatever the pieces. */
static void test_line(void **state)
{
    static const uint32_t gain[2] = {65536, 32768};
    struct sound_line l = {0};
    int16_t in[2 * 64], next = 0, out[2 * 7];
    unsigned made = 0;

    for (unsigned i = 0; i < 100; i++) {
        int32_t mix[2 * 7] = {0};
        unsigned count = sound_line_needs(&l, 12000, 7);

        for (unsigned k = 0; k < count; k++, next += 400)
            in[2 * k] = in[2 * k + 1] = next;
        sound_line_add(&l, 12000, in, count, gain, mix, 7);
        sound_clip(mix, out, 7);
        for (unsigned k = 0; k < 7; k++, made++) {
            int want = (int)made * 100 - 700;

            assert_int_equal(out[2 * k], want > 0 ? want : 0);
            assert_int_equal(out[2 * k + 1], want > 0 ? want / 2 : 0);
        }
        if (next > 30000)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions), cmocka_unit_test(test_single),
        cmocka_unit_test(test_repeated),  cmocka_unit_test(test_high_speed),
        cmocka_unit_test(test_formats),   cmocka_unit_test(test_mixer),
        cmocka_unit_test(test_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
