/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AC'97: the mixer, and buffers as a driver queues them. */
#include "test.h"

#include "dev/chip/ac97_chip.h"

enum { PI = 0, PO = 0x10, MC = 0x20, BDBAR = 0, CIV = 4, LVI = 5, SR = 6, PICB = 8, CR = 0xb };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };
enum { DCH = 1, CELV = 2, LVBCI = 4, BCIS = 8, RUN = 1, RESET = 2, LVBIE = 4, IOCE = 16 };

static uint32_t get(struct ac97_chip *c, uint32_t reg, unsigned size)
{
    return ac97_master_read(c, reg, size, 0);
}

static void put(struct ac97_chip *c, uint32_t reg, uint32_t value, unsigned size)
{
    ac97_master_write(c, reg, value, size);
}

static void test_mixer(void **state)
{
    struct ac97_chip c;
    uint32_t gain[2];

    ac97_reset(&c);
    assert_int_equal(ac97_mixer_read(&c, 0x02), 0x8000);
    assert_int_equal(ac97_mixer_read(&c, 0x18), 0x8808);
    assert_int_equal(ac97_mixer_read(&c, 0x2c), 48000);
    assert_int_equal(ac97_mixer_read(&c, 0x26), 0x000f);
    ac97_gain(&c, gain);
    assert_int_equal(gain[0] | gain[1], 0); /* mute */
    ac97_mixer_write(&c, 0x02, 0x0004);
    ac97_mixer_write(&c, 0x18, 0x0808);
    ac97_gain(&c, gain);
    assert_int_equal(gain[0], 65536);
    assert_in_range(gain[1], 32845, 32847); /* -6 dB */
    ac97_mixer_write(&c, 0x18, 0x0008);
    ac97_gain(&c, gain);
    assert_in_range(gain[0], 260900, 260910); /* +12 dB */
    ac97_mixer_write(&c, 0x02, 0x2020);       /* has it six bits? */
    assert_int_equal(ac97_mixer_read(&c, 0x02), 0x1f1f);
    ac97_mixer_write(&c, 0x26, 0x0b00);
    assert_int_equal(ac97_mixer_read(&c, 0x26), 0x0b0f);
    ac97_mixer_write(&c, 0x7c, 0);
    assert_int_equal(ac97_mixer_read(&c, 0x7c), 0x8384);
    ac97_mixer_write(&c, 0x00, 1);
    assert_int_equal(ac97_mixer_read(&c, 0x02), 0x8000);
}

static void test_control(void **state)
{
    struct ac97_chip c;

    ac97_reset(&c);
    assert_int_equal(get(&c, GLOB_STA, 4), 0); /* the codec is held in reset */
    put(&c, GLOB_CNT, 2, 4);
    assert_int_equal(get(&c, GLOB_STA, 4), 0x100);
    assert_int_equal(get(&c, CAS, 1), 0);
    assert_int_equal(get(&c, CAS, 1), 1); /* taken */
    ac97_mixer_write(&c, 0x02, 0);
    assert_int_equal(get(&c, CAS, 1), 0);
    put(&c, GLOB_CNT, 0, 4);
    assert_int_equal(ac97_mixer_read(&c, 0x02), 0x8000);
}

/* The descriptor that the channel wants is number n. */
static void descriptor(struct ac97_chip *c, unsigned n, uint32_t at, uint32_t control)
{
    uint32_t address;

    assert_true(ac97_wants(c, AC97_PCM_OUT, &address));
    assert_int_equal(address, 0x1000 + 8 * n);
    ac97_descriptor(c, AC97_PCM_OUT, at, control);
}

static void test_buffers(void **state)
{
    struct ac97_chip c;
    uint32_t at;

    ac97_reset(&c);
    assert_int_equal(get(&c, PO + SR, 2), DCH);
    put(&c, PO + BDBAR, 0x1007, 4);
    put(&c, PO + LVI, 1, 1);
    assert_false(ac97_wants(&c, AC97_PCM_OUT, &at));
    put(&c, PO + CR, RUN | IOCE | LVBIE, 1);
    assert_true(ac97_runs(&c, AC97_PCM_OUT));
    assert_int_equal(ac97_samples(&c, AC97_PCM_OUT, &at), 0);
    descriptor(&c, 0, 0x5001, 100 | 0x80000000);
    assert_int_equal(ac97_samples(&c, AC97_PCM_OUT, &at), 100);
    assert_int_equal(at, 0x5000);
    ac97_moved(&c, AC97_PCM_OUT, 40);
    assert_int_equal(ac97_samples(&c, AC97_PCM_OUT, &at), 60);
    assert_int_equal(at, 0x5000 + 80);
    assert_int_equal(get(&c, PO + PICB, 2), 60);
    assert_int_equal(ac97_master_read(&c, PO + PICB, 2, 15), 30);
    assert_int_equal(ac97_master_read(&c, PO + PICB, 2, 2500), 2);
    put(&c, PO + CR, IOCE | LVBIE, 1); /* pause */
    assert_int_equal(ac97_samples(&c, AC97_PCM_OUT, &at), 0);
    put(&c, PO + CR, RUN | IOCE | LVBIE, 1);
    assert_int_equal(ac97_samples(&c, AC97_PCM_OUT, &at), 60);
    assert_false(ac97_level(&c));
    ac97_moved(&c, AC97_PCM_OUT, 60);
    assert_true(ac97_level(&c));
    assert_int_equal(get(&c, GLOB_STA, 4), 0x40);
    put(&c, PO + SR, BCIS, 2);
    assert_false(ac97_level(&c));
    assert_int_equal(get(&c, PO + CIV, 1), 1);
    descriptor(&c, 1, 0x6000, 10);
    ac97_moved(&c, AC97_PCM_OUT, 1000); /* more than there is: the last valid buffer ends */
    assert_int_equal(get(&c, PO + SR, 2), DCH | CELV | LVBCI);
    assert_true(ac97_level(&c));
    assert_false(ac97_runs(&c, AC97_PCM_OUT));
    put(&c, PO + LVI, 2, 1);      /* and there is one more */
    descriptor(&c, 2, 0x7000, 0); /* an empty one */
    assert_int_equal(get(&c, PO + SR, 2) & DCH, DCH);
    put(&c, PO + CR, RUN | RESET, 1); /* not while it runs */
    assert_int_equal(get(&c, PO + BDBAR, 4), 0x1000);
    put(&c, PO + CR, RESET, 1);
    assert_int_equal(get(&c, PO + BDBAR, 4), 0);
    assert_int_equal(get(&c, PO + SR, 2), DCH);
}

/* 15 frames are 30 samples of two channels, or 15 of one. */
static void test_recording(void **state)
{
    struct ac97_chip c;

    ac97_reset(&c);
    for (unsigned base = 0; base < 0x30; base += 0x10)
        put(&c, base + CR, RUN, 1);
    for (unsigned i = 0; i < AC97_CHANNELS; i++)
        ac97_descriptor(&c, i, 0x5000, 100);
    assert_int_equal(ac97_master_read(&c, PI + PICB, 2, 15), 70);
    assert_int_equal(ac97_master_read(&c, PO + PICB, 2, 15), 70);
    assert_int_equal(ac97_master_read(&c, MC + PICB, 2, 15), 85);
    put(&c, MC + CR, 0, 1); /* pause */
    assert_int_equal(ac97_master_read(&c, MC + PICB, 2, 15), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixer),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
