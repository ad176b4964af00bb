/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register model of a VMware SVGA II: modes, the FIFO, the cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "dev/chip/svga_chip.h"

#define VRAM (4u << 20)
#define FIFO (64u << 10)
#define MIN 4096u
#define ALL UINT32_MAX

struct env {
    struct svga_chip c;
    struct video_surface picture;
};

static uint32_t get(struct env *v, uint32_t index)
{
    v->c.index = index;
    return svga_chip_read(&v->c);
}

static bool put(struct env *v, uint32_t index, uint32_t value)
{
    v->c.index = index;
    return svga_chip_write(&v->c, value);
}

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));

    svga_chip_init(&v->c, calloc(1, VRAM), VRAM, calloc(1, FIFO), FIFO, 1024, 768);
    video_init(&v->picture);
    v->c.fifo[FIFO_MIN] = v->c.fifo[FIFO_NEXT_CMD] = v->c.fifo[FIFO_STOP] = MIN;
    v->c.fifo[FIFO_MAX] = FIFO;
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;

    video_finish(&v->picture);
    free(v->c.vram);
    free(v->c.fifo);
    free(v);
    return 0;
}

static void append(struct env *v, unsigned n, const uint32_t *words)
{
    uint32_t at = v->c.fifo[FIFO_NEXT_CMD];

    for (unsigned i = 0; i < n; i++) {
        v->c.fifo[at / 4] = words[i];
        at = at + 4 == v->c.fifo[FIFO_MAX] ? v->c.fifo[FIFO_MIN] : at + 4;
    }
    v->c.fifo[FIFO_NEXT_CMD] = at;
}

#define APPEND(v, ...) \
    append(v, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (const uint32_t[]){__VA_ARGS__})

/* A mode of that size, shown, with a FIFO. */
static void start(struct env *v, uint32_t width, uint32_t height, uint32_t bpp)
{
    put(v, SVGA_WIDTH, width);
    put(v, SVGA_HEIGHT, height);
    put(v, SVGA_BITS_PER_PIXEL, bpp);
    put(v, SVGA_ENABLE, 1);
    put(v, SVGA_CONFIG_DONE, 1);
}

static uint32_t *draw(struct env *v)
{
    assert_int_equal(svga_chip_draw(&v->c, &v->picture), 0);
    return v->picture.pixels;
}

static void test_registers(void **state)
{
    struct env *v = *state;

    assert_int_equal(get(v, SVGA_ID), 0x90000002);
    put(v, SVGA_ID, 0x90000001);
    assert_int_equal(get(v, SVGA_ID), 0x90000001);
    put(v, SVGA_ID, 0x90000003);
    assert_int_equal(get(v, SVGA_ID), 0x90000001);
    assert_int_equal(get(v, SVGA_WIDTH), 1024);
    assert_int_equal(get(v, SVGA_DEPTH), 24);
    assert_int_equal(get(v, SVGA_VRAM_SIZE), VRAM);
    assert_int_equal(get(v, SVGA_MEM_SIZE), FIFO);
    assert_false(put(v, SVGA_WIDTH, 0));
    put(v, SVGA_WIDTH, SVGA_MAX_WIDTH + 1);
    put(v, SVGA_BITS_PER_PIXEL, 24);
    assert_int_equal(get(v, SVGA_WIDTH), 1024);
    assert_int_equal(get(v, SVGA_BYTES_PER_LINE), 4096);
    assert_int_equal(get(v, SVGA_FB_SIZE), 4096 * 768);
    put(v, SVGA_PITCHLOCK, 8192);
    assert_int_equal(get(v, SVGA_BYTES_PER_LINE), 8192);
    assert_int_equal(get(v, SVGA_FB_SIZE), VRAM);
    put(v, SVGA_PITCHLOCK, 0x80000000);
    assert_int_equal(get(v, SVGA_FB_SIZE), VRAM);
    put(v, SVGA_SCRATCH_BASE + 5, 1234);
    assert_int_equal(get(v, SVGA_SCRATCH_BASE + 5), 1234);
    assert_int_equal(get(v, SVGA_SCRATCH_BASE + 5000), 0);
    assert_true(put(v, SVGA_SYNC, 1));
    assert_false(svga_chip_shown(&v->c));
    put(v, SVGA_ENABLE, 3); /* hidden */
    assert_false(svga_chip_shown(&v->c));
    put(v, SVGA_ENABLE, 1);
    assert_true(svga_chip_shown(&v->c));
}

static void test_modes(void **state)
{
    struct env *v = *state;

    start(v, 64, 48, 32);
    st_le32(v->c.vram + 4 * (64 * 2 + 3), 0x123456);
    assert_int_equal(draw(v)[64 * 2 + 3], 0x123456);
    assert_int_equal(v->picture.height, 48);
    put(v, SVGA_PITCHLOCK, 512);
    assert_int_equal(draw(v)[64 + 3], ld_le32(v->c.vram + 512 + 12));
    put(v, SVGA_PITCHLOCK, VRAM); /* only the first row is in the memory */
    st_le32(v->c.vram, 0x777777);
    assert_int_equal(draw(v)[0], 0x777777);
    assert_int_equal(draw(v)[64], 0);
    put(v, SVGA_PITCHLOCK, 0);
    put(v, SVGA_BITS_PER_PIXEL, 16);
    st_le16(v->c.vram, 0xf800 | 0x1f);
    assert_int_equal(draw(v)[0], 0xf800f8);
    assert_int_equal(get(v, SVGA_RED_MASK), 0xf800);
    put(v, SVGA_BITS_PER_PIXEL, 8);
    v->c.vram[0] = 9;
    for (unsigned i = 0; i < 3; i++)
        put(v, SVGA_PALETTE + 27 + i, 0x10 + i);
    assert_int_equal(draw(v)[0], 0x101112);
    assert_int_equal(get(v, SVGA_PSEUDOCOLOR), 1);
}

static void test_copy(void **state)
{
    struct env *v = *state;

    start(v, 64, 48, 32);
    for (unsigned i = 0; i < 64 * 48; i++)
        st_le32(v->c.vram + 4 * (size_t)i, i);
    APPEND(v, 3, 0, 0, 1, 1, 60, 40); /* onto itself, downwards */
    APPEND(v, 3, 10, 10, 9, 9, 5, 5);
    APPEND(v, 3, 10, 10, 60, 40, 5, 5); /* beyond the edge: nothing */
    APPEND(v, 3, ALL, 0, 0, 0, 2, 1);
    assert_int_equal(get(v, SVGA_BUSY), 1);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(get(v, SVGA_BUSY), 0);
    draw(v);
    assert_int_equal(v->picture.pixels[64 * 30 + 30], 64 * 29 + 29);
    assert_int_equal(v->picture.pixels[64 * 40 + 60], 64 * 39 + 59);
    assert_int_equal(v->picture.pixels[64 * 9 + 9], 64 * 9 + 9);
    assert_int_equal(v->picture.pixels[64 * 43 + 61], 64 * 43 + 61);
    assert_int_equal(v->c.irq_status, SVGA_IRQ_PROGRESS);
    assert_false(svga_chip_irq(&v->c));
    put(v, SVGA_IRQMASK, SVGA_IRQ_PROGRESS);
    assert_true(svga_chip_irq(&v->c));
}

/* Commands across the end, in pieces, and more of them than the budget. */
static void test_fifo(void **state)
{
    struct env *v = *state;

    start(v, 64, 48, 32);
    v->c.fifo[FIFO_NEXT_CMD] = v->c.fifo[FIFO_STOP] = FIFO - 4;
    v->c.fifo[FIFO_FENCE_GOAL] = 8;
    APPEND(v, 30, 7);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 7);
    assert_int_equal(v->c.fifo[FIFO_STOP], MIN + 4);
    assert_int_equal(v->c.irq_status, SVGA_IRQ_FENCE | SVGA_IRQ_PROGRESS);
    APPEND(v, 30);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_STOP], MIN + 4);
    APPEND(v, 8, 33, 0, 6, 0, 0);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 8);
    assert_true(v->c.irq_status & SVGA_IRQ_GOAL);
    assert_int_equal(v->c.fifo[FIFO_STOP], v->c.fifo[FIFO_NEXT_CMD]);
    APPEND(v, 3, 0, 0, 1, 1, 60, 40);
    APPEND(v, 30, 9);
    v->c.fifo[FIFO_BUSY] = 1;
    assert_true(svga_chip_run(&v->c, 1000));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 8);
    assert_int_equal(v->c.fifo[FIFO_BUSY], 1);
    assert_false(svga_chip_run(&v->c, 1000));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 9);
    assert_int_equal(v->c.fifo[FIFO_BUSY], 0);
}

static void test_nonsense(void **state)
{
    static const struct {
        unsigned reg;
        uint32_t value;
    } bad[] = {{FIFO_MIN, 8},           {FIFO_MIN, FIFO},   {FIFO_MAX, FIFO + 4},
               {FIFO_MAX, MIN},         {FIFO_STOP, FIFO},  {FIFO_STOP, MIN - 4},
               {FIFO_STOP, MIN + 1},    {FIFO_NEXT_CMD, 0}, {FIFO_NEXT_CMD, FIFO},
               {FIFO_NEXT_CMD, MIN + 2}};
    struct env *v = *state;

    start(v, 64, 48, 32);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t good = v->c.fifo[bad[i].reg];

        v->c.fifo[bad[i].reg] = bad[i].value;
        assert_false(svga_chip_run(&v->c, ALL));
        v->c.fifo[bad[i].reg] = good;
    }
    APPEND(v, 4711, 30, 5); /* no command: the rest goes */
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 0);
    APPEND(v, 33, 0, ALL); /* longer than the FIFO */
    APPEND(v, 30, 5);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 0);
    APPEND(v, 30, 5);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(v->c.fifo[FIFO_FENCE], 5);
}

static void test_cursor(void **state)
{
    struct env *v = *state;

    start(v, 64, 48, 32);
    for (unsigned i = 0; i < 64 * 48; i++)
        st_le32(v->c.vram + 4 * (size_t)i, 0x204060);
    v->c.fifo[FIFO_CURSOR_ON] = 1;
    v->c.fifo[FIFO_CURSOR_X] = 11;
    v->c.fifo[FIFO_CURSOR_Y] = 21;
    APPEND(v, 22, 0, 1, 1, 2, 2, 0xffabcdef, 0, 0, 0x80000080);
    assert_false(svga_chip_run(&v->c, ALL));
    draw(v);
    assert_int_equal(v->picture.pixels[64 * 20 + 10] & 0xffffff, 0xabcdef);
    assert_int_equal(v->picture.pixels[64 * 20 + 11], 0x204060);
    assert_int_equal(v->picture.pixels[64 * 21 + 11] & 0xffffff, 0x1020b0);
    /* Masks of one bit: keep and flip, black, white, as it is. */
    APPEND(v, 19, 0, 0, 0, 4, 1, 1, 1, 0x90, 0xa0);
    assert_false(svga_chip_run(&v->c, ALL));
    draw(v);
    assert_int_equal(v->picture.pixels[64 * 21 + 11] & 0xffffff, 0xdfbf9f);
    assert_int_equal(v->picture.pixels[64 * 21 + 12] & 0xffffff, 0);
    assert_int_equal(v->picture.pixels[64 * 21 + 13] & 0xffffff, 0xffffff);
    assert_int_equal(v->picture.pixels[64 * 21 + 14] & 0xffffff, 0x204060);
    assert_int_equal(v->picture.pixels[64 * 21 + 15], 0x204060);
    /* One that is too large is none. */
    APPEND(v, 19, 0, 0, 0, 65, 1, 1, 1, 0, 0, 0, 0, 0, 0);
    assert_false(svga_chip_run(&v->c, ALL));
    assert_int_equal(draw(v)[64 * 21 + 12], 0x204060);
    assert_int_equal(v->c.fifo[FIFO_STOP], v->c.fifo[FIFO_NEXT_CMD]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cursor, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
