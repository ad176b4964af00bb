/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture of a VGA, row by row: see vga_draw.h. The CRTC counts characters (eight or nine dots)
 * and lines; an address and the line in the character's row give what is shown: a glyph's row,
 * eight dots of four planes, or four bytes. IBM PS/2 hardware interface technical reference, "Video
 * subsystem": CRT controller, attribute controller.
 */
#include "dev/chip/vga_draw.h"

#include <errno.h>
#include <string.h>

#define MAX_DOTS 4096u
#define FRAME_NS 14285714u /* 70 Hz, for what blinks */

enum {
    CURSOR_OFF = 0x20,
    ATTR_GRAPHICS = 0x01,
    ATTR_MONO = 0x02,
    ATTR_LINE_GRAPHICS = 0x04,
    ATTR_BLINK = 0x08,
    ATTR_PANNING_SPLIT = 0x20,
    ATTR_PALETTE_BITS = 0x80,
    SHIFT_PAIRS = 0x20, /* of the graphics controller's mode: two bits of one plane each */
    SHIFT_256 = 0x40,
    HALF_CLOCK = 0x08,
    SCREEN_OFF = 0x20,
};

/* What stays the same for all rows. */
struct picture {
    const struct vga_chip *c;
    uint32_t color[256]; /* of the DAC */
    uint32_t dot[16];    /* of the attribute controller's outputs */
    unsigned chars, dots, height, double_dots;
    unsigned row_lines; /* scan lines that a character's row takes */
    unsigned split;     /* the line behind which addresses begin at 0 */
    bool blink_on, cursor_on;
    uint32_t row[MAX_DOTS + 64];
};

/* --- colours --- */

static void load_colors(struct picture *p)
{
    const struct vga_chip *c = p->c;

    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *rgb = c->palette + 3 * (i & c->dac_mask);

        p->color[i] = (uint32_t)(rgb[0] << 16 | rgb[1] << 8 | rgb[2]);
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned v = c->attr[i & c->attr[ATTR_PLANES]] & 0x3f;

        if (c->attr[ATTR_MODE] & ATTR_PALETTE_BITS)
            v = (v & 0x0f) | (c->attr[ATTR_COLOR] & 3u) << 4;
        p->dot[i] = p->color[(v | (c->attr[ATTR_COLOR] & 0x0cu) << 4) & 0xff];
    }
}

/* --- addresses --- */

/* The address of a character that the CRTC counts as `ma`, in line `line` of its row. */
static uint32_t address(const struct vga_chip *c, uint32_t ma, unsigned line)
{
    uint32_t a = ma & 0xffff;

    if (c->crtc[0x14] & 0x40)
        a = (ma << 2 | (ma >> 14 & 3)) & 0xffff;
    else if (!(c->crtc[0x17] & 0x40))
        a = (ma << 1 | (c->crtc[0x17] & 0x20 ? ma >> 15 & 1 : ma >> 13 & 1)) & 0xffff;
    if (!(c->crtc[0x17] & 0x01))
        a = (a & ~0x2000u) | (line & 1) << 13;
    if (!(c->crtc[0x17] & 0x02))
        a = (a & ~0x4000u) | (line >> 1 & 1) << 14;
    return a;
}

/* The counter goes on with each, every second or every fourth character. */
static unsigned count_shift(const struct vga_chip *c)
{
    return c->crtc[0x14] & 0x20 ? 2 : c->crtc[0x17] & 0x08 ? 1 : 0;
}

static const uint8_t *fetch(const struct picture *p, uint32_t ma, unsigned line)
{
    return p->c->vram + vga_index(0, address(p->c, ma, line));
}

/* --- text --- */

/* Of the second and the first character set: bit 3 of the attribute chooses. */
static uint32_t font(const struct vga_chip *c, unsigned attribute)
{
    unsigned v = c->seq[3];
    unsigned n = attribute & 8 ? (v >> 2 & 3) | (v >> 3 & 4) : (v & 3) | (v >> 2 & 4);

    return (n & 3) << 14 | (n & 4) << 11;
}

static bool at_cursor(const struct picture *p, uint32_t ma, unsigned line)
{
    const uint8_t *crtc = p->c->crtc;

    return p->cursor_on && (ma & 0xffff) == (uint32_t)(crtc[0x0e] << 8 | crtc[0x0f]) &&
           !(crtc[0x0a] & CURSOR_OFF) && line >= (crtc[0x0a] & 31u) && line <= (crtc[0x0b] & 31u);
}

static bool underlined(const struct picture *p, unsigned attribute, unsigned line)
{
    return (p->c->attr[ATTR_MODE] & ATTR_MONO) && (attribute & 7) == 1 &&
           line == (p->c->crtc[0x14] & 31u);
}

/* Nine dots of a character; the ninth is the background's, or continues a line. */
static void text_cell(const struct picture *p, uint32_t ma, unsigned line, uint32_t *out)
{
    const struct vga_chip *c = p->c;
    const uint8_t *cell = fetch(p, ma, 0);
    unsigned ch = cell[0], attribute = cell[1];
    unsigned glyph = c->vram[vga_index(2, font(c, attribute) + ch * 32 + (line & 31))] * 2u;
    unsigned back = attribute >> 4, front = attribute & 15;

    if ((c->attr[ATTR_MODE] & ATTR_LINE_GRAPHICS) && ch >= 0xc0 && ch <= 0xdf)
        glyph |= glyph >> 1 & 1;
    if (c->attr[ATTR_MODE] & ATTR_BLINK) {
        back &= 7;
        if ((attribute & 0x80) && !p->blink_on)
            glyph = 0;
    }
    if (underlined(p, attribute, line) || at_cursor(p, ma, line))
        glyph = 0x1ff;
    for (unsigned i = 0; i < 9; i++)
        out[i] = p->dot[glyph >> (8 - i) & 1 ? front : back];
}

static void text_row(struct picture *p, uint32_t ma, unsigned line)
{
    for (unsigned i = 0; i <= p->chars; i++)
        text_cell(p, ma + i, line, p->row + i * p->dots);
}

/* --- graphics --- */

/* One bit from each plane for each dot. */
static void planar_cell(const struct picture *p, const uint8_t *g, uint32_t *out)
{
    unsigned a = g[0], b = g[1], c = g[2], d = g[3];

    for (unsigned i = 0; i < 8; i++) {
        unsigned s = 7 - i;

        out[i] = p->dot[(a >> s & 1) | (b >> s & 1) << 1 | (c >> s & 1) << 2 | (d >> s & 1) << 3];
    }
}

/* Two bits from each of two planes: four dots of the even ones, then four of the odd ones. */
static void paired_cell(const struct picture *p, const uint8_t *g, uint32_t *out)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned odd = i >> 2, s = 6 - 2 * (i & 3);

        out[i] = p->dot[(g[odd] >> s & 3) | (g[odd + 2] >> s & 3) << 2];
    }
}

/* Four bytes, of two dots each. */
static void wide_cell(const struct picture *p, const uint8_t *g, uint32_t *out)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = p->color[g[i >> 1]];
}

static void graphics_row(struct picture *p, uint32_t ma, unsigned line)
{
    unsigned mode = p->c->gfx[5], shift = count_shift(p->c);

    for (unsigned i = 0; i <= p->chars; i++) {
        const uint8_t *g = fetch(p, ma + (i >> shift), line);
        uint32_t *out = p->row + i * 8;

        if (mode & SHIFT_256)
            wide_cell(p, g, out);
        else if (mode & SHIFT_PAIRS)
            paired_cell(p, g, out);
        else
            planar_cell(p, g, out);
    }
}

/* --- the VGA's own modes --- */

static bool graphics(const struct vga_chip *c)
{
    return (c->attr[ATTR_MODE] & ATTR_GRAPHICS) || (c->gfx[6] & 1);
}

static unsigned panning(const struct picture *p, bool below)
{
    unsigned n = p->c->attr[ATTR_PANNING] & 15;

    if (below && (p->c->attr[ATTR_MODE] & ATTR_PANNING_SPLIT))
        return 0;
    if (p->dots == 9)
        return n >= 8 ? 0 : n + 1;
    return n & 7;
}

/* The dots of scan line y, with those that panning needs behind them. Returns the first. */
static const uint32_t *draw_line(struct picture *p, unsigned y)
{
    const struct vga_chip *c = p->c;
    bool below = y > p->split;
    unsigned lines = below ? y - p->split - 1 : y + (c->crtc[8] & 31u);
    unsigned row = lines / p->row_lines, line = lines % p->row_lines;
    uint32_t start =
        below ? 0 : (uint32_t)(c->crtc[0x0c] << 8 | c->crtc[0x0d]) + (c->crtc[8] >> 5 & 3);
    uint32_t ma = start + row * c->crtc[0x13] * 2u;

    if (c->crtc[9] & 0x80)
        line /= 2;
    if (graphics(c))
        graphics_row(p, ma, line);
    else
        text_row(p, ma, line);
    return p->row + panning(p, below);
}

/* With half the dot clock each dot is two pixels wide. */
static const uint32_t *widen(struct picture *p, const uint32_t *dots, uint32_t *wide)
{
    if (!p->double_dots)
        return dots;
    for (unsigned i = p->chars * p->dots; i-- > 0;)
        wide[2 * i] = wide[2 * i + 1] = dots[i];
    return wide;
}

static bool measure(struct picture *p)
{
    const struct vga_chip *c = p->c;
    unsigned width;

    p->chars = c->crtc[1] + 1u;
    p->dots = graphics(c) || (c->seq[1] & 1) ? 8 : 9;
    p->double_dots = (c->seq[1] & HALF_CLOCK) != 0;
    p->height = vga_chip_v_display(c);
    p->row_lines = ((c->crtc[9] & 31u) + 1) << (c->crtc[9] >> 7);
    p->split = vga_chip_line_compare(c);
    width = p->chars * p->dots << p->double_dots;
    return width >= 64 && width <= MAX_DOTS && p->height >= 64; /* a mode was set at all */
}

static bool screen_on(const struct vga_chip *c)
{
    return (c->attr_index & 0x20) && !(c->seq[1] & SCREEN_OFF) && (c->seq[0] & 3) == 3;
}

static int draw_vga(struct picture *p, uint64_t now_ns, struct video_surface *s)
{
    uint32_t wide[MAX_DOTS];
    uint64_t frame = now_ns / FRAME_NS;
    int rc;

    if (!measure(p)) {
        rc = video_resize(s, 640, 400);
        if (rc == 0)
            video_blank(s);
        return rc;
    }
    rc = video_resize(s, p->chars * p->dots << p->double_dots, p->height);
    if (rc < 0)
        return rc;
    if (!screen_on(p->c)) {
        video_blank(s);
        return 0;
    }
    p->cursor_on = frame & 16;
    p->blink_on = frame & 32;
    for (unsigned y = 0; y < p->height; y++)
        video_row(s, y, widen(p, draw_line(p, y), wide));
    return 0;
}

/* --- linear modes --- */

static void linear_row(struct picture *p, const uint8_t *at, unsigned width, unsigned bpp)
{
    for (unsigned x = 0; x < width; x++) {
        const uint8_t *b = at + (size_t)x * ((bpp + 7) / 8);
        unsigned v = bpp > 8 ? b[0] | (unsigned)b[1] << 8 : b[0];

        switch (bpp) {
        case 8:
            p->row[x] = p->color[v];
            break;
        case 15:
            p->row[x] = (v & 0x7c00) << 9 | (v & 0x3e0) << 6 | (v & 0x1f) << 3;
            break;
        case 16:
            p->row[x] = video_of_565(v);
            break;
        default:
            p->row[x] = v | (unsigned)b[2] << 16;
            break;
        }
    }
}

static const uint32_t *dispi_row(struct picture *p, unsigned y)
{
    const struct vga_chip *c = p->c;
    const uint16_t *d = c->dispi;
    unsigned bpp = d[DISPI_BPP], width = d[DISPI_XRES], bytes = (bpp + 7) / 8;
    uint64_t from = (uint64_t)(y + d[DISPI_Y_OFFSET]) * vga_chip_pitch(c);

    if (bpp == 4) {
        from += d[DISPI_X_OFFSET] / 8;
        for (unsigned i = 0; i < width / 8; i++)
            planar_cell(p, c->vram + vga_index(0, (uint32_t)((from + i) % (c->vram_size / 4))),
                        p->row + 8 * i);
        return p->row;
    }
    from += (uint64_t)d[DISPI_X_OFFSET] * bytes;
    if (from + (uint64_t)width * bytes > c->vram_size) {
        memset(p->row, 0, width * sizeof(p->row[0]));
        return p->row;
    }
    if (bpp == 32 && from % 4 == 0)
        return (const uint32_t *)(const void *)(c->vram + from);
    linear_row(p, c->vram + from, width, bpp);
    return p->row;
}

static int draw_dispi(struct picture *p, struct video_surface *s)
{
    int rc = video_resize(s, p->c->dispi[DISPI_XRES], p->c->dispi[DISPI_YRES]);

    if (rc == 0 && !(p->c->attr_index & 0x20))
        video_blank(s);
    else if (rc == 0)
        for (unsigned y = 0; y < s->height; y++)
            video_row(s, y, dispi_row(p, y));
    return rc;
}

int vga_draw(const struct vga_chip *c, uint64_t now_ns, struct video_surface *s)
{
    struct picture p = {.c = c};

    load_colors(&p);
    return vga_chip_dispi_on(c) ? draw_dispi(&p, s) : draw_vga(&p, now_ns, s);
}
