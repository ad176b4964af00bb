/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the VGA; the contract is in the header. Its memory: vga_memory.c. */
#include "dev/chip/vga_chip.h"

#include <errno.h>
#include <string.h>

enum {
    DISPI_ID_FIRST = 0xb0c0,
    DISPI_ID_LAST = 0xb0c5,
    STATUS_BLANK = 0x01,
    STATUS_RETRACE = 0x08,
    MISC_COLOR = 0x01,
    CRTC_PROTECT = 0x80, /* of register 11 */
};

/* Bits that exist. */
static const uint8_t seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct vga_chip *c = object;

    if (c->dac_part > 2)
        return err_set(e, EINVAL, "vga: a palette entry has three parts");
    if ((c->dispi[DISPI_ENABLE] & DISPI_ENABLED) &&
        (c->dispi[DISPI_XRES] == 0 || c->dispi[DISPI_XRES] > VGA_MAX_WIDTH ||
         c->dispi[DISPI_YRES] == 0 || c->dispi[DISPI_YRES] > VGA_MAX_HEIGHT ||
         c->dispi[DISPI_VIRT_WIDTH] < c->dispi[DISPI_XRES]))
        return err_set(e, EINVAL, "vga: an impossible resolution");
    return 0;
}

static const struct state_field fields[] = {
    STATE_U8_F(struct vga_chip, misc),
    STATE_U8_F(struct vga_chip, feature),
    STATE_MAX_F(struct vga_chip, seq_index, STATE_U8, 7),
    STATE_BYTES_F(struct vga_chip, seq),
    STATE_MAX_F(struct vga_chip, gfx_index, STATE_U8, 15),
    STATE_BYTES_F(struct vga_chip, gfx),
    STATE_MAX_F(struct vga_chip, crtc_index, STATE_U8, 31),
    STATE_BYTES_F(struct vga_chip, crtc),
    STATE_MAX_F(struct vga_chip, attr_index, STATE_U8, 63),
    STATE_BYTES_F(struct vga_chip, attr),
    STATE_BOOL_F(struct vga_chip, attr_data),
    STATE_U8_F(struct vga_chip, dac_mask),
    STATE_U8_F(struct vga_chip, dac_read),
    STATE_U8_F(struct vga_chip, dac_write),
    STATE_MAX_F(struct vga_chip, dac_state, STATE_U8, 3),
    STATE_MAX_F(struct vga_chip, dac_part, STATE_U8, 2),
    STATE_BYTES_F(struct vga_chip, dac_latch),
    STATE_BYTES_F(struct vga_chip, palette),
    STATE_BYTES_F(struct vga_chip, latch),
    STATE_U16_F(struct vga_chip, dispi_index),
    STATE_ARRAY_F(struct vga_chip, dispi, STATE_U16, DISPI_COUNT),
    STATE_END_F,
};
const struct state_table vga_chip_state = {
    .name = "vga", .version = 1, .fields = fields, .validate = validate};

void vga_chip_init(struct vga_chip *c, uint8_t *vram, uint32_t size)
{
    memset(c, 0, sizeof(*c));
    c->vram = vram;
    c->vram_size = size;
    vga_chip_reset(c);
}

void vga_chip_reset(struct vga_chip *c)
{
    uint8_t *vram = c->vram;
    uint32_t size = c->vram_size;

    memset(c, 0, sizeof(*c));
    c->vram = vram;
    c->vram_size = size;
    c->dac_mask = 0xff;
    c->gfx[8] = 0xff;
    c->dispi[DISPI_ID] = DISPI_ID_LAST;
}

/* --- CRTC --- */

unsigned vga_chip_v_total(const struct vga_chip *c)
{
    return (c->crtc[6] | (c->crtc[7] & 0x01) << 8 | (c->crtc[7] & 0x20) << 4) + 2u;
}

unsigned vga_chip_v_display(const struct vga_chip *c)
{
    return (c->crtc[0x12] | (c->crtc[7] & 0x02) << 7 | (c->crtc[7] & 0x40) << 3) + 1u;
}

unsigned vga_chip_line_compare(const struct vga_chip *c)
{
    return (unsigned)(c->crtc[0x18] | (c->crtc[7] & 0x10) << 4 | (c->crtc[9] & 0x40) << 3);
}

/* Registers 0 to 7 can be protected, all but the line compare's bit. */
static void crtc_write(struct vga_chip *c, uint8_t value)
{
    unsigned i = c->crtc_index;

    if (i > 0x18)
        return;
    if (i <= 7 && (c->crtc[0x11] & CRTC_PROTECT)) {
        if (i == 7)
            c->crtc[7] = (uint8_t)((c->crtc[7] & ~0x10) | (value & 0x10));
        return;
    }
    c->crtc[i] = value;
}

/* Where the beam is. The two dot clocks are 25.175 and 28.322 MHz. */
static uint8_t beam_status(const struct vga_chip *c, uint64_t now_ns)
{
    uint64_t dot_hz = (c->misc >> 2 & 3) == 1 ? 28322000 : 25175000;
    unsigned dots = (c->seq[1] & 1) ? 8 : 9;
    unsigned chars = c->crtc[0] + 5u, lines = vga_chip_v_total(c);
    uint64_t line_ns = chars * dots * UINT64_C(1000000000) / dot_hz;
    unsigned retrace = c->crtc[0x10] | (c->crtc[7] & 0x04) << 6 | (c->crtc[7] & 0x80) << 2;
    uint64_t at;
    unsigned line, column;
    uint8_t status = 0;

    if (c->seq[1] & 8)
        line_ns *= 2;
    at = now_ns % (line_ns * lines);
    line = (unsigned)(at / line_ns);
    column = (unsigned)(at % line_ns * chars / line_ns);
    if (line >= vga_chip_v_display(c) || column > c->crtc[1])
        status |= STATUS_BLANK;
    if (line >= retrace && line - retrace <= ((c->crtc[0x11] - retrace) & 15u))
        status |= STATUS_RETRACE;
    return status;
}

/* --- attribute controller and DAC --- */

static void attr_write(struct vga_chip *c, uint8_t value)
{
    unsigned i = c->attr_index & 31;

    c->attr_data = !c->attr_data;
    if (c->attr_data) {
        c->attr_index = value & 0x3f;
        return;
    }
    if (i < 16 && !(c->attr_index & 0x20)) /* not while the screen uses them */
        c->attr[i] = value & 0x3f;
    else if (i >= 16 && i <= ATTR_COLOR)
        c->attr[i] = value;
}

static bool wide_dac(const struct vga_chip *c)
{
    return (c->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC) != 0;
}

/* The palette is kept with eight bits, of which narrow registers show the upper six. */
static void dac_data_write(struct vga_chip *c, uint8_t value)
{
    c->dac_latch[c->dac_part] =
        wide_dac(c) ? value : (uint8_t)((value & 0x3f) << 2 | (value & 0x3f) >> 4);
    if (++c->dac_part < 3)
        return;
    c->dac_part = 0;
    memcpy(c->palette + 3 * c->dac_write++, c->dac_latch, 3);
}

static uint8_t dac_data_read(struct vga_chip *c)
{
    uint8_t value = c->palette[3 * c->dac_read + c->dac_part];

    if (++c->dac_part == 3) {
        c->dac_part = 0;
        c->dac_read++;
    }
    return wide_dac(c) ? value : value >> 2;
}

/* --- ports --- */

/* The CRTC and the status are at 3dx with colour, at 3bx without. */
static uint16_t canonical(const struct vga_chip *c, uint16_t port)
{
    bool color = c->misc & MISC_COLOR;

    if ((port & 0xfff0) == 0x3c0)
        return port;
    if ((port & 0xfff0) != (color ? 0x3d0 : 0x3b0))
        return 0;
    return (uint16_t)(0x3d0 | (port & 15));
}

static uint8_t read_status(struct vga_chip *c, uint64_t now_ns)
{
    c->attr_data = false;
    return beam_status(c, now_ns);
}

uint8_t vga_chip_read(struct vga_chip *c, uint16_t port, uint64_t now_ns)
{
    switch (canonical(c, port)) {
    case 0x3c0:
        return c->attr_index;
    case 0x3c1:
        return c->attr[c->attr_index & 31];
    case 0x3c2:
        return 0x10; /* a monitor is there */
    case 0x3c4:
        return c->seq_index;
    case 0x3c5:
        return c->seq[c->seq_index];
    case 0x3c6:
        return c->dac_mask;
    case 0x3c7:
        return c->dac_state;
    case 0x3c8:
        return c->dac_write;
    case 0x3c9:
        return dac_data_read(c);
    case 0x3ca:
        return c->feature;
    case 0x3cc:
        return c->misc;
    case 0x3ce:
        return c->gfx_index;
    case 0x3cf:
        return c->gfx[c->gfx_index];
    case 0x3d4:
        return c->crtc_index;
    case 0x3d5:
        return c->crtc[c->crtc_index];
    case 0x3da:
        return read_status(c, now_ns);
    default:
        return 0xff;
    }
}

void vga_chip_write(struct vga_chip *c, uint16_t port, uint8_t value)
{
    switch (canonical(c, port)) {
    case 0x3c0:
        attr_write(c, value);
        break;
    case 0x3c2:
        c->misc = value & 0xef;
        break;
    case 0x3c4:
        c->seq_index = value & 7;
        break;
    case 0x3c5:
        c->seq[c->seq_index] = value & seq_mask[c->seq_index];
        break;
    case 0x3c6:
        c->dac_mask = value;
        break;
    case 0x3c7:
        c->dac_read = value;
        c->dac_part = 0;
        c->dac_state = 3;
        break;
    case 0x3c8:
        c->dac_write = value;
        c->dac_part = 0;
        c->dac_state = 0;
        break;
    case 0x3c9:
        dac_data_write(c, value);
        break;
    case 0x3ce:
        c->gfx_index = value & 15;
        break;
    case 0x3cf:
        c->gfx[c->gfx_index] = value & gfx_mask[c->gfx_index];
        break;
    case 0x3d4:
        c->crtc_index = value & 31;
        break;
    case 0x3d5:
        crtc_write(c, value);
        break;
    case 0x3da:
        c->feature = value & 0x0b;
        break;
    }
}

/* --- dispi --- */

bool vga_chip_dispi_on(const struct vga_chip *c)
{
    return (c->dispi[DISPI_ENABLE] & DISPI_ENABLED) != 0;
}

bool vga_chip_linear(const struct vga_chip *c)
{
    return vga_chip_dispi_on(c) && c->dispi[DISPI_BPP] > 4;
}

static uint32_t pitch_of(uint32_t width, unsigned bpp)
{
    return bpp == 4 ? width / 8 : width * ((bpp + 7) / 8);
}

uint32_t vga_chip_pitch(const struct vga_chip *c)
{
    return pitch_of(c->dispi[DISPI_VIRT_WIDTH], c->dispi[DISPI_BPP]);
}

/* Memory for rows; with planes each has a quarter. */
static uint32_t room(const struct vga_chip *c)
{
    return c->dispi[DISPI_BPP] == 4 ? c->vram_size / 4 : c->vram_size;
}

static bool possible(const struct vga_chip *c)
{
    const uint16_t *d = c->dispi;
    unsigned bpp = d[DISPI_BPP];

    return d[DISPI_XRES] != 0 && d[DISPI_XRES] <= VGA_MAX_WIDTH && d[DISPI_YRES] != 0 &&
           d[DISPI_YRES] <= VGA_MAX_HEIGHT &&
           (bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32) &&
           (uint64_t)pitch_of(d[DISPI_XRES], bpp) * d[DISPI_YRES] <= room(c);
}

static void enable(struct vga_chip *c, uint16_t value)
{
    uint16_t *d = c->dispi;
    bool was = vga_chip_dispi_on(c);

    value &= DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB | DISPI_NOCLEAR;
    if ((value & DISPI_ENABLED) && !was) {
        if (!possible(c)) {
            value &= (uint16_t)~DISPI_ENABLED;
        } else {
            d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
            d[DISPI_X_OFFSET] = d[DISPI_Y_OFFSET] = d[DISPI_BANK] = 0;
            if (!(value & DISPI_NOCLEAR))
                memset(c->vram, 0,
                       (size_t)pitch_of(d[DISPI_XRES], d[DISPI_BPP]) * d[DISPI_YRES] *
                           (d[DISPI_BPP] == 4 ? 4 : 1));
        }
    }
    d[DISPI_ENABLE] = value;
}

/* The resolution stands while it is shown. */
static bool fixed(const struct vga_chip *c, uint16_t index)
{
    return vga_chip_dispi_on(c) && index >= DISPI_XRES && index <= DISPI_BPP;
}

static void set_virtual_width(struct vga_chip *c, uint16_t value)
{
    if (value < c->dispi[DISPI_XRES] ||
        (uint64_t)pitch_of(value, c->dispi[DISPI_BPP]) * c->dispi[DISPI_YRES] > room(c))
        return;
    c->dispi[DISPI_VIRT_WIDTH] = value;
}

void vga_chip_dispi_write(struct vga_chip *c, uint16_t index, uint16_t value)
{
    if (fixed(c, index))
        return;
    switch (index) {
    case DISPI_ID:
        if (value >= DISPI_ID_FIRST && value <= DISPI_ID_LAST)
            c->dispi[DISPI_ID] = value;
        break;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        c->dispi[index] = value;
        break;
    case DISPI_ENABLE:
        enable(c, value);
        break;
    case DISPI_BANK:
        c->dispi[DISPI_BANK] = (uint16_t)(value % (c->vram_size / VGA_BANK_SIZE));
        break;
    case DISPI_VIRT_WIDTH:
        set_virtual_width(c, value);
        break;
    }
}

static uint16_t virtual_height(const struct vga_chip *c)
{
    uint32_t pitch = vga_chip_pitch(c);
    uint32_t rows = pitch != 0 ? room(c) / pitch : 0;

    return (uint16_t)(rows < UINT16_MAX ? rows : UINT16_MAX);
}

uint16_t vga_chip_dispi_read(const struct vga_chip *c, uint16_t index)
{
    static const uint16_t most[] = {
        [DISPI_XRES] = VGA_MAX_WIDTH, [DISPI_YRES] = VGA_MAX_HEIGHT, [DISPI_BPP] = 32};

    if ((c->dispi[DISPI_ENABLE] & DISPI_GETCAPS) && index >= DISPI_XRES && index <= DISPI_BPP)
        return most[index];
    if (index == DISPI_MEMORY_64K)
        return (uint16_t)(c->vram_size / VGA_BANK_SIZE);
    if (index == DISPI_VIRT_HEIGHT)
        return virtual_height(c);
    return index < DISPI_COUNT ? c->dispi[index] : 0;
}
