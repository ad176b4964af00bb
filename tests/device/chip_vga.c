/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA's registers, its memory through the window, and what the monitor shows. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "dev/chip/edid.h"
#include "dev/chip/vga_chip.h"
#include "dev/chip/vga_draw.h"

#define MEMORY (1u << 20)
#define B8000 0x18000u /* in the window */

static uint8_t vram[MEMORY];

static void out(struct vga_chip *c, uint16_t port, uint8_t index, uint8_t value)
{
    vga_chip_write(c, port, index);
    vga_chip_write(c, port + 1, value);
}

static uint8_t in(struct vga_chip *c, uint16_t port, uint8_t index)
{
    vga_chip_write(c, port, index);
    return vga_chip_read(c, port + 1, 0);
}

static void attr(struct vga_chip *c, uint8_t index, uint8_t value)
{
    vga_chip_read(c, 0x3da, 0);
    vga_chip_write(c, 0x3c0, index);
    vga_chip_write(c, 0x3c0, value);
}

/* A mode as BIOSes set them: IBM's tables of registers. */
struct mode {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr_mode, panning;
};

static const struct mode mode_text = {0x67,
                                      {3, 0, 3, 0, 2},
                                      {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,
                                       0x4f, 0x0d, 0x0e, 0,    0,    0,    0,    0x9c, 0x8e,
                                       0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                      {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff},
                                      0x0c,
                                      8};
static const struct mode mode_12 = {0xe3,
                                    {3, 1, 15, 0, 6},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,
                                     0x40, 0,    0,    0,    0,    0,    0,    0xea, 0x8c,
                                     0xdf, 0x28, 0,    0xe7, 4,    0xe3, 0xff},
                                    {0, 0, 0, 0, 0, 0, 5, 15, 0xff},
                                    1,
                                    0};
static const struct mode mode_13 = {0x63,
                                    {3, 1, 15, 0, 14},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,
                                     0x41, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                     0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                                    {0, 0, 0, 0, 0, 0x40, 5, 15, 0xff},
                                    0x41,
                                    0};
static const struct mode mode_4 = {/* 320 by 200 with four colours, as on a CGA */
                                   0x63,
                                   {3, 9, 3, 0, 2},
                                   {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,
                                    0xc1, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                    0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff},
                                   {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff},
                                   1,
                                   0};

static void set_mode(struct vga_chip *c, const struct mode *m)
{
    vga_chip_write(c, 0x3c2, m->misc);
    for (uint8_t i = 0; i < 5; i++)
        out(c, 0x3c4, i, m->seq[i]);
    out(c, 0x3d4, 0x11, 0);
    for (uint8_t i = 0; i < 25; i++)
        out(c, 0x3d4, i, m->crtc[i]);
    for (uint8_t i = 0; i < 9; i++)
        out(c, 0x3ce, i, m->gfx[i]);
    for (uint8_t i = 0; i < 16; i++)
        attr(c, i, i);
    attr(c, 0x10, m->attr_mode);
    attr(c, 0x12, 15);
    attr(c, 0x13, m->panning);
    attr(c, 0x14, 0);
    vga_chip_read(c, 0x3da, 0);
    vga_chip_write(c, 0x3c0, 0x20);
    for (unsigned i = 0; i < 256; i++) { /* colour i is (i, 2i, 3i) of six bits */
        vga_chip_write(c, 0x3c8, (uint8_t)i);
        for (unsigned k = 1; k <= 3; k++)
            vga_chip_write(c, 0x3c9, (uint8_t)(k * i));
    }
}

static uint32_t color(unsigned i)
{
    uint32_t rgb = 0;

    for (unsigned k = 1; k <= 3; k++) {
        unsigned v = k * i & 0x3f;

        rgb = rgb << 8 | (v << 2 | v >> 4);
    }
    return rgb;
}

static struct vga_chip make(const struct mode *m)
{
    struct vga_chip c;

    memset(vram, 0, sizeof(vram));
    vga_chip_init(&c, vram, MEMORY);
    if (m != NULL)
        set_mode(&c, m);
    return c;
}

static uint32_t pixel(const struct video_surface *s, unsigned x, unsigned y)
{
    assert_true(x < s->width && y < s->height);
    return s->pixels[y * s->width + x] & 0xffffff;
}

/* --- registers --- */

static void test_registers(void **state)
{
    struct vga_chip c = make(&mode_text);

    assert_int_equal(in(&c, 0x3c4, 4), 2);
    assert_int_equal(in(&c, 0x3d4, 0x13), 0x28);
    assert_int_equal(vga_chip_read(&c, 0x3b5, 0), 0xff); /* not while it is a colour card */
    out(&c, 0x3d4, 0x11, 0x8e);                          /* protects 0 to 7 */
    out(&c, 0x3d4, 1, 0x27);
    assert_int_equal(in(&c, 0x3d4, 1), 0x4f);
    out(&c, 0x3d4, 7, 0xff);
    assert_int_equal(in(&c, 0x3d4, 7), 0x1f | 0x10);
    vga_chip_write(&c, 0x3c2, 0x66);
    assert_int_equal(vga_chip_read(&c, 0x3cc, 0), 0x66);
    out(&c, 0x3b4, 0x0f, 0x42);
    assert_int_equal(in(&c, 0x3b4, 0x0f), 0x42);
    assert_int_equal(vga_chip_read(&c, 0x3d5, 0), 0xff);
    vga_chip_write(&c, 0x3c2, 0x67);
    /* While the screen uses the palette it cannot be written. */
    attr(&c, 0x22, 0x3f);
    vga_chip_write(&c, 0x3c0, 0x22);
    assert_int_equal(vga_chip_read(&c, 0x3c1, 0), 2);
}

static void test_dac(void **state)
{
    struct vga_chip c = make(NULL);

    vga_chip_write(&c, 0x3c8, 7);
    for (uint8_t v = 1; v <= 6; v++)
        vga_chip_write(&c, 0x3c9, v | 0xc0);
    assert_int_equal(vga_chip_read(&c, 0x3c8, 0), 9);
    vga_chip_write(&c, 0x3c7, 7);
    assert_int_equal(vga_chip_read(&c, 0x3c7, 0), 3);
    for (uint8_t v = 1; v <= 6; v++)
        assert_int_equal(vga_chip_read(&c, 0x3c9, 0), v);
    vga_chip_dispi_write(&c, DISPI_ENABLE, DISPI_8BIT_DAC);
    vga_chip_write(&c, 0x3c8, 255);
    for (uint8_t v = 0; v < 3; v++)
        vga_chip_write(&c, 0x3c9, (uint8_t)(0xf1 + v));
    vga_chip_write(&c, 0x3c7, 255);
    for (uint8_t v = 0; v < 3; v++)
        assert_int_equal(vga_chip_read(&c, 0x3c9, 0), 0xf1 + v);
}

/* A frame of mode 13h: 449 lines of 31.778 us, of which 400 are shown. */
static void test_beam(void **state)
{
    struct vga_chip c = make(&mode_13);
    unsigned retrace = 0, blank = 0, n = 0;

    for (uint64_t t = 0; t < 449 * UINT64_C(31778); t += 500, n++) {
        uint8_t s = vga_chip_read(&c, 0x3da, t);

        blank += s & 1;
        retrace += s >> 3 & 1;
    }
    assert_in_range(retrace * 449 / n, 2, 3);
    assert_in_range(blank * 100 / n, 25, 31);
    assert_int_equal(vga_chip_read(&c, 0x3da, 0) & 9, 0);
}

/* --- window --- */

static void test_text_memory(void **state)
{
    struct vga_chip c = make(&mode_text);

    for (uint32_t i = 0; i < 8; i++)
        vga_chip_window_write(&c, B8000 + i, (uint8_t)(0x10 + i));
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(vga_chip_window_read(&c, B8000 + i), 0x10 + i);
    assert_int_equal(vram[vga_index(0, 2)], 0x12);
    assert_int_equal(vram[vga_index(1, 2)], 0x13);
    assert_int_equal(vram[vga_index(0, 3)], 0);
    assert_int_equal(vga_chip_window_read(&c, 0), 0xff); /* a0000 is not decoded */
    vga_chip_window_write(&c, 0x10000, 1);               /* nor is b0000 */
    assert_int_equal(vram[0], 0x10);
    vga_chip_write(&c, 0x3c2, 0x65); /* memory off */
    assert_int_equal(vga_chip_window_read(&c, B8000), 0xff);
}

static void check_planes(const struct vga_chip *c, uint32_t o, uint32_t want)
{
    for (unsigned p = 0; p < 4; p++)
        assert_int_equal(c->vram[vga_index(p, o)], want >> (8 * p) & 0xff);
}

static void test_write_modes(void **state)
{
    struct vga_chip c = make(&mode_12);

    vga_chip_window_write(&c, 5, 0xa5);
    check_planes(&c, 5, 0xa5a5a5a5);
    out(&c, 0x3c4, 2, 0x6); /* two planes */
    vga_chip_window_write(&c, 5, 0x0f);
    check_planes(&c, 5, 0xa50f0fa5);
    out(&c, 0x3c4, 2, 15);
    out(&c, 0x3ce, 0, 0x9); /* set/reset for planes 0 and 1 */
    out(&c, 0x3ce, 1, 0x3);
    vga_chip_window_write(&c, 6, 0x81);
    check_planes(&c, 6, 0x818100ff);
    out(&c, 0x3ce, 1, 0);
    out(&c, 0x3ce, 3, 3); /* rotate */
    vga_chip_window_write(&c, 7, 0x81);
    check_planes(&c, 7, 0x30303030);
    out(&c, 0x3ce, 3, 0x18); /* exclusive or with the latches */
    vga_chip_window_read(&c, 5);
    vga_chip_window_write(&c, 8, 0xff);
    check_planes(&c, 8, 0x5af0f05a);
    out(&c, 0x3ce, 3, 0);
    out(&c, 0x3ce, 8, 0xf0); /* some bits only */
    vga_chip_window_read(&c, 5);
    vga_chip_window_write(&c, 9, 0);
    check_planes(&c, 9, 0x050f0f05);
    out(&c, 0x3ce, 5, 1); /* mode 1: latches */
    vga_chip_window_read(&c, 5);
    vga_chip_window_write(&c, 10, 0);
    check_planes(&c, 10, 0xa50f0fa5);
    out(&c, 0x3ce, 5, 2); /* mode 2: a bit for each plane */
    out(&c, 0x3ce, 8, 0xff);
    vga_chip_window_write(&c, 11, 0x6);
    check_planes(&c, 11, 0x00ffff00);
    out(&c, 0x3ce, 5, 3); /* mode 3: set/reset, under a mask */
    vga_chip_window_read(&c, 5);
    vga_chip_window_write(&c, 12, 0x0f);
    check_planes(&c, 12, 0xaf0000af);
}

static void test_read_modes(void **state)
{
    struct vga_chip c = make(&mode_12);

    for (unsigned p = 0; p < 4; p++) {
        out(&c, 0x3c4, 2, (uint8_t)(1u << p));
        vga_chip_window_write(&c, 3, (uint8_t)(0x11 << p));
    }
    for (uint8_t p = 0; p < 4; p++) {
        out(&c, 0x3ce, 4, p);
        assert_int_equal(vga_chip_window_read(&c, 3), 0x11 << p);
    }
    out(&c, 0x3ce, 5, 8); /* where is colour 2? */
    out(&c, 0x3ce, 2, 2);
    assert_int_equal(vga_chip_window_read(&c, 3), 0x22);
    out(&c, 0x3ce, 7, 0xd); /* plane 1 does not matter */
    assert_int_equal(vga_chip_window_read(&c, 3), 0x22);
    out(&c, 0x3ce, 2, 0);
    assert_int_equal(vga_chip_window_read(&c, 3), 0x22);
}

/* The window of mode 13h is the memory itself, unless the graphics controller has its hand in. */
static void test_direct(void **state)
{
    struct vga_chip c = make(&mode_13);
    uint32_t at = 1;

    assert_true(vga_chip_direct(&c, &at));
    assert_int_equal(at, 0);
    for (uint32_t i = 0; i < 0x10000; i++)
        vga_chip_window_write(&c, i, (uint8_t)(i * 7 + (i >> 8)));
    for (uint32_t i = 0; i < 0x10000; i++) {
        assert_int_equal(vram[i], (uint8_t)(i * 7 + (i >> 8)));
        assert_int_equal(vga_chip_window_read(&c, i), vram[i]);
    }
    out(&c, 0x3ce, 8, 0x0f);
    assert_false(vga_chip_direct(&c, &at));
    out(&c, 0x3ce, 8, 0xff);
    assert_true(vga_chip_direct(&c, &at));
    out(&c, 0x3c4, 4, 6); /* not chained: mode X */
    assert_false(vga_chip_direct(&c, &at));
    assert_int_equal(vga_chip_window_read(&c, 4), vram[vga_index(0, 4)]);
    assert_int_equal(vram[vga_index(3, 4)], vram[7]); /* the same byte, by plane and offset */
    c = make(&mode_text);
    assert_false(vga_chip_direct(&c, &at));
}

static void test_banks(void **state)
{
    struct vga_chip c = make(&mode_13);
    uint32_t at;

    vga_chip_dispi_write(&c, DISPI_XRES, 640);
    vga_chip_dispi_write(&c, DISPI_YRES, 400);
    vga_chip_dispi_write(&c, DISPI_BPP, 8);
    vga_chip_dispi_write(&c, DISPI_ENABLE, DISPI_ENABLED);
    vga_chip_dispi_write(&c, DISPI_BANK, 3);
    assert_true(vga_chip_direct(&c, &at));
    assert_int_equal(at, 0x30000);
    vga_chip_window_write(&c, 0x123, 0x77);
    assert_int_equal(vram[0x30123], 0x77);
    vga_chip_dispi_write(&c, DISPI_BANK, MEMORY / 0x10000 + 1);
    assert_true(vga_chip_direct(&c, &at));
    assert_int_equal(at, 0x10000);
}

/* --- pictures --- */

static void draw(const struct vga_chip *c, uint64_t now, struct video_surface *s)
{
    assert_int_equal(vga_draw(c, now, s), 0);
}

static void test_draw_text(void **state)
{
    struct vga_chip c = make(&mode_text);
    struct video_surface s;
    struct video_rect r[4];
    unsigned n;

    video_init(&s);
    vram[vga_index(2, 'A' * 32 + 3)] = 0x81;
    vram[vga_index(2, 0xc4 * 32 + 3)] = 0x01;
    vga_chip_window_write(&c, B8000 + 160, 'A');
    vga_chip_window_write(&c, B8000 + 161, 0x1e);
    vga_chip_window_write(&c, B8000 + 162, 0xc4); /* a line: its last dot is doubled */
    vga_chip_window_write(&c, B8000 + 163, 0x07);
    vga_chip_window_write(&c, B8000 + 323, 0x07);
    draw(&c, 0, &s);
    assert_int_equal(s.width, 720);
    assert_int_equal(s.height, 400);
    assert_int_equal(pixel(&s, 0, 16 + 3), color(14));
    assert_int_equal(pixel(&s, 1, 16 + 3), color(1));
    assert_int_equal(pixel(&s, 7, 16 + 3), color(14));
    assert_int_equal(pixel(&s, 8, 16 + 3), color(1));
    assert_int_equal(pixel(&s, 0, 16 + 2), color(1));
    assert_int_equal(pixel(&s, 9 + 7, 16 + 3), color(7));
    assert_int_equal(pixel(&s, 9 + 8, 16 + 3), color(7));
    n = video_taken(&s, r, 4);
    assert_int_equal(n, 1);
    assert_int_equal(r[0].width, 720);
    assert_int_equal(r[0].height, 400);
    /* The cursor in row 2, column 1; and nothing else changes. */
    out(&c, 0x3d4, 0x0f, 161);
    draw(&c, 16 * UINT64_C(14285714) + 1, &s);
    n = video_taken(&s, r, 4);
    assert_int_equal(n, 1);
    assert_int_equal(r[0].x, 9);
    assert_int_equal(r[0].y, 32 + 13);
    assert_int_equal(r[0].width, 9);
    assert_int_equal(r[0].height, 2);
    draw(&c, 16 * UINT64_C(14285714) + 2, &s);
    assert_int_equal(video_taken(&s, r, 4), 0);
    /* Off: black. */
    vga_chip_read(&c, 0x3da, 0);
    vga_chip_write(&c, 0x3c0, 0);
    draw(&c, 0, &s);
    assert_int_equal(pixel(&s, 0, 19), 0);
    video_finish(&s);
}

/* Scrolling: the start address, and a second screen below the line that is compared. */
static void test_draw_split(void **state)
{
    struct vga_chip c = make(&mode_text);
    struct video_surface s;

    video_init(&s);
    vga_chip_window_write(&c, B8000 + 1, 0x10);   /* the first cell's background */
    vga_chip_window_write(&c, B8000 + 321, 0x20); /* that of the third row */
    out(&c, 0x3d4, 0x0d, 160);
    out(&c, 0x3d4, 0x18, 99);
    out(&c, 0x3d4, 7, 0x0f); /* bits 8 and 9 of it are 0 */
    out(&c, 0x3d4, 9, 0x0f);
    draw(&c, 0, &s);
    assert_int_equal(pixel(&s, 0, 0), color(2));
    assert_int_equal(pixel(&s, 0, 99), color(0));
    assert_int_equal(pixel(&s, 0, 100), color(1));
    assert_int_equal(pixel(&s, 0, 132), color(2));
    video_finish(&s);
}

static void test_draw_graphics(void **state)
{
    struct vga_chip c = make(&mode_12);
    struct video_surface s;

    video_init(&s);
    out(&c, 0x3ce, 5, 2);
    out(&c, 0x3ce, 8, 0x20); /* the third dot */
    vga_chip_window_read(&c, 80 * 479 + 79);
    vga_chip_window_write(&c, 80 * 479 + 79, 13);
    draw(&c, 0, &s);
    assert_int_equal(s.width, 640);
    assert_int_equal(s.height, 480);
    assert_int_equal(pixel(&s, 634, 479), color(13));
    assert_int_equal(pixel(&s, 633, 479), color(0));
    assert_int_equal(pixel(&s, 635, 479), color(0));
    attr(&c, 0x13, 2); /* two dots to the left */
    vga_chip_write(&c, 0x3c0, 0x20);
    draw(&c, 0, &s);
    assert_int_equal(pixel(&s, 632, 479), color(13));

    c = make(&mode_13);
    vga_chip_window_write(&c, 320 * 199 + 319, 200);
    draw(&c, 0, &s);
    assert_int_equal(s.width, 640);
    assert_int_equal(s.height, 400);
    assert_int_equal(pixel(&s, 639, 399), color(200));
    assert_int_equal(pixel(&s, 638, 398), color(200));
    assert_int_equal(pixel(&s, 637, 399), color(0));
    /* Mode X: the same memory by planes, and addresses of bytes. */
    out(&c, 0x3c4, 4, 6);
    out(&c, 0x3d4, 0x14, 0);
    out(&c, 0x3d4, 0x17, 0xe3);
    out(&c, 0x3c4, 2, 1 << 2);
    vga_chip_window_write(&c, 80, 33);
    draw(&c, 0, &s);
    assert_int_equal(pixel(&s, 4, 2), color(33));
    assert_int_equal(pixel(&s, 5, 3), color(33));
    assert_int_equal(pixel(&s, 6, 3), color(0));

    c = make(&mode_4);
    vga_chip_window_write(&c, B8000 + 1, 0x1b);      /* dots 4 to 7 of line 0 are 0, 1, 2, 3 */
    vga_chip_window_write(&c, B8000 + 0x2000, 0xc0); /* the first of line 1 */
    draw(&c, 0, &s);
    assert_int_equal(s.width, 640);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pixel(&s, 8 + 2 * i, 0), color(i));
    assert_int_equal(pixel(&s, 1, 1), color(0));
    assert_int_equal(pixel(&s, 1, 2), color(3));
    video_finish(&s);
}

static void test_draw_linear(void **state)
{
    static const struct {
        uint16_t bpp;
        uint32_t value, rgb;
    } depth[] = {{8, 5, 0},
                 {15, 0x7c1f, 0xf800f8},
                 {16, 0xffff, 0xf8fcf8},
                 {24, 0x123456, 0x123456},
                 {32, 0xab123456, 0x123456}};
    struct video_surface s;

    video_init(&s);
    for (unsigned i = 0; i < sizeof(depth) / sizeof(depth[0]); i++) {
        struct vga_chip c = make(&mode_text);
        unsigned bytes = (depth[i].bpp + 7u) / 8;

        vga_chip_dispi_write(&c, DISPI_XRES, 400);
        vga_chip_dispi_write(&c, DISPI_YRES, 300);
        vga_chip_dispi_write(&c, DISPI_BPP, depth[i].bpp);
        vga_chip_dispi_write(&c, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
        vga_chip_dispi_write(&c, DISPI_VIRT_WIDTH, 500);
        vga_chip_dispi_write(&c, DISPI_X_OFFSET, 8);
        vga_chip_dispi_write(&c, DISPI_Y_OFFSET, 2);
        assert_int_equal(vga_chip_dispi_read(&c, DISPI_VIRT_WIDTH), 500);
        memcpy(vram + (5 * 500 + 11) * bytes, &depth[i].value, bytes);
        draw(&c, 0, &s);
        assert_int_equal(s.width, 400);
        assert_int_equal(s.height, 300);
        assert_int_equal(pixel(&s, 3, 3), depth[i].bpp == 8 ? color(5) : depth[i].rgb);
        assert_int_equal(pixel(&s, 4, 3), 0);
    }
    video_finish(&s);
}

static void test_dispi(void **state)
{
    struct vga_chip c = make(&mode_text);
    struct video_surface s;

    assert_int_equal(vga_chip_dispi_read(&c, DISPI_ID), 0xb0c5);
    vga_chip_dispi_write(&c, DISPI_ID, 0xb0c0);
    assert_int_equal(vga_chip_dispi_read(&c, DISPI_ID), 0xb0c0);
    vga_chip_dispi_write(&c, DISPI_ID, 0x1234);
    assert_int_equal(vga_chip_dispi_read(&c, DISPI_ID), 0xb0c0);
    assert_int_equal(vga_chip_dispi_read(&c, DISPI_MEMORY_64K), MEMORY >> 16);
    vga_chip_dispi_write(&c, DISPI_XRES, 1024);
    vga_chip_dispi_write(&c, DISPI_YRES, 768);
    vga_chip_dispi_write(&c, DISPI_BPP, 32); /* more than there is memory for */
    vga_chip_dispi_write(&c, DISPI_ENABLE, DISPI_ENABLED);
    assert_false(vga_chip_dispi_on(&c));
    vga_chip_dispi_write(&c, DISPI_BPP, 8);
    memset(vram, 0xff, sizeof(vram));
    vga_chip_dispi_write(&c, DISPI_ENABLE, DISPI_ENABLED);
    assert_true(vga_chip_dispi_on(&c));
    assert_int_equal(vram[1024 * 768 - 1], 0);
    assert_int_equal(vram[1024 * 768], 0xff);
    assert_int_equal(vga_chip_dispi_read(&c, DISPI_VIRT_HEIGHT), 1024);
    vga_chip_dispi_write(&c, DISPI_XRES, 640);
    assert_int_equal(vga_chip_dispi_read(&c, DISPI_XRES), 1024);
    vga_chip_dispi_write(&c, DISPI_Y_OFFSET, 0xffff); /* beyond the memory: black */
    video_init(&s);
    draw(&c, 0, &s);
    assert_int_equal(pixel(&s, 0, 767), 0);
    video_finish(&s);
}

static void test_edid(void **state)
{
    uint8_t e[EDID_SIZE], sum = 0;

    edid_make(e, 1280, 800);
    for (unsigned i = 0; i < EDID_SIZE; i++)
        sum += e[i];
    assert_int_equal(sum, 0);
    assert_int_equal(e[0x38] | (e[0x3a] & 0xf0) << 4, 1280);
    assert_int_equal(e[0x3b] | (e[0x3d] & 0xf0) << 4, 800);
}

/* What is drawn stays inside, whatever the registers hold. */
static void test_any_registers(void **state)
{
    struct video_surface s;
    uint64_t seed = 1;

    video_init(&s);
    for (unsigned round = 0; round < 300; round++) {
        struct vga_chip c = make(round & 1 ? &mode_text : &mode_12);

        for (unsigned i = 0; i < 60; i++) {
            static const uint16_t ports[] = {0x3c4, 0x3ce, 0x3d4};
            uint64_t r = seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;

            if (r >> 60 == 0)
                vga_chip_dispi_write(&c, r >> 40 & 15, (uint16_t)(r >> 16));
            else if (r >> 60 < 4)
                attr(&c, r >> 40 & 0x3f, (uint8_t)(r >> 16));
            else
                out(&c, ports[(r >> 50) % 3], r >> 40 & 31, (uint8_t)(r >> 16));
            vga_chip_window_write(&c, r >> 20 & 0x1ffff, (uint8_t)r);
            vga_chip_window_read(&c, r >> 22 & 0x1ffff);
            vga_chip_read(&c, (uint16_t)(0x3b0 + (r >> 30) % 48), r);
        }
        draw(&c, seed, &s);
    }
    video_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),     cmocka_unit_test(test_dac),
        cmocka_unit_test(test_beam),          cmocka_unit_test(test_text_memory),
        cmocka_unit_test(test_write_modes),   cmocka_unit_test(test_read_modes),
        cmocka_unit_test(test_direct),        cmocka_unit_test(test_banks),
        cmocka_unit_test(test_draw_text),     cmocka_unit_test(test_draw_split),
        cmocka_unit_test(test_draw_graphics), cmocka_unit_test(test_draw_linear),
        cmocka_unit_test(test_dispi),         cmocka_unit_test(test_edid),
        cmocka_unit_test(test_any_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
