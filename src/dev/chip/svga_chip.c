/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and picture of a VMware SVGA II: see svga_chip.h. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/svga_internal.h"

enum {
    ID_0 = (int)0x90000000, /* versions of the interface that a driver may ask for */
    ID_2 = (int)0x90000002,
    ENABLE_ENABLE = 1,
    ENABLE_HIDE = 2,
};

enum {
    CAP_RECT_COPY = 0x2,
    CAP_CURSOR = 0x20,
    CAP_CURSOR_BYPASS = 0x40,
    CAP_CURSOR_BYPASS_2 = 0x80,
    CAP_8BIT_EMULATION = 0x100,
    CAP_ALPHA_CURSOR = 0x200,
    CAP_EXTENDED_FIFO = 0x8000,
    CAP_PITCHLOCK = 0x20000,
    CAP_IRQMASK = 0x40000,
    CAPABILITIES = CAP_RECT_COPY | CAP_CURSOR | CAP_CURSOR_BYPASS | CAP_CURSOR_BYPASS_2 |
                   CAP_8BIT_EMULATION | CAP_ALPHA_CURSOR | CAP_EXTENDED_FIFO | CAP_PITCHLOCK |
                   CAP_IRQMASK,
    FIFO_CAP_FENCE = 0x1,
    FIFO_CAP_CURSOR_BYPASS_3 = 0x10,
};

void svga_chip_reset(struct svga_chip *c)
{
    c->index = 0;
    c->id = (uint32_t)ID_2;
    c->enable = c->config_done = c->guest_id = c->pitchlock = 0;
    c->width = c->width_wanted;
    c->height = c->height_wanted;
    c->bpp = 32;
    c->irq_mask = c->irq_status = 0;
    c->cursor_x = c->cursor_y = c->cursor_on = 0;
    memset(c->palette, 0, sizeof(c->palette));
    memset(c->scratch, 0, sizeof(c->scratch));
    memset(&c->cursor, 0, sizeof(c->cursor));
}

void svga_chip_init(struct svga_chip *c, uint8_t *vram, uint32_t vram_size, uint8_t *fifo,
                    uint32_t fifo_size, uint32_t width, uint32_t height)
{
    *c = (struct svga_chip){.vram = vram,
                            .vram_size = vram_size,
                            .fifo = (uint32_t *)(void *)fifo,
                            .fifo_size = fifo_size,
                            .width_wanted = width,
                            .height_wanted = height};
    svga_chip_reset(c);
}

/* --- registers --- */

static uint32_t mask_of(const struct svga_chip *c, unsigned color)
{
    static const uint32_t deep[3] = {0xff0000, 0xff00, 0xff}, high[3] = {0xf800, 0x7e0, 0x1f};

    return c->bpp == 32 ? deep[color] : c->bpp == 16 ? high[color] : 0;
}

static uint32_t fixed_reg(const struct svga_chip *c)
{
    switch (c->index) {
    case SVGA_REG_MAX_WIDTH:
        return SVGA_MAX_WIDTH;
    case SVGA_REG_MAX_HEIGHT:
        return SVGA_MAX_HEIGHT;
    case SVGA_FB_START:
        return c->vram_base;
    case SVGA_VRAM_SIZE:
        return c->vram_size;
    case SVGA_CAPABILITIES:
        return CAPABILITIES;
    case SVGA_MEM_START:
        return c->fifo_base;
    case SVGA_MEM_SIZE:
        return c->fifo_size;
    case SVGA_HOST_BITS_PER_PIXEL:
        return 32;
    case SVGA_SCRATCH_SIZE:
        return SVGA_SCRATCH;
    case SVGA_MEM_REGS:
        return FIFO_REGS;
    case SVGA_NUM_DISPLAYS:
        return 1;
    default:
        return 0;
    }
}

/* As far as they are in the memory. */
static uint32_t picture_bytes(const struct svga_chip *c)
{
    uint64_t bytes = (uint64_t)svga_pitch(c) * c->height;

    return bytes < c->vram_size ? (uint32_t)bytes : c->vram_size;
}

static uint32_t mode_reg(const struct svga_chip *c)
{
    switch (c->index) {
    case SVGA_WIDTH:
        return c->width;
    case SVGA_HEIGHT:
        return c->height;
    case SVGA_DEPTH:
        return c->bpp == 32 ? 24 : c->bpp;
    case SVGA_BITS_PER_PIXEL:
        return c->bpp;
    case SVGA_PSEUDOCOLOR:
        return c->bpp == 8;
    case SVGA_RED_MASK:
    case SVGA_GREEN_MASK:
    case SVGA_BLUE_MASK:
        return mask_of(c, c->index - SVGA_RED_MASK);
    case SVGA_BYTES_PER_LINE:
        return svga_pitch(c);
    case SVGA_FB_SIZE:
        return picture_bytes(c);
    default:
        return fixed_reg(c);
    }
}

static bool busy(const struct svga_chip *c)
{
    return c->config_done != 0 && svga_load(c, FIFO_NEXT_CMD) != svga_load(c, FIFO_STOP);
}

uint32_t svga_chip_read(struct svga_chip *c)
{
    if (c->index >= SVGA_PALETTE && c->index < SVGA_PALETTE + 768)
        return c->palette[c->index - SVGA_PALETTE];
    if (c->index >= SVGA_SCRATCH_BASE && c->index < SVGA_SCRATCH_BASE + SVGA_SCRATCH)
        return c->scratch[c->index - SVGA_SCRATCH_BASE];
    switch (c->index) {
    case SVGA_ID:
        return c->id;
    case SVGA_ENABLE:
        return c->enable;
    case SVGA_CONFIG_DONE:
        return c->config_done;
    case SVGA_BUSY:
        return busy(c);
    case SVGA_GUEST_ID:
        return c->guest_id;
    case SVGA_CURSOR_X:
        return c->cursor_x;
    case SVGA_CURSOR_Y:
        return c->cursor_y;
    case SVGA_CURSOR_ON:
        return c->cursor_on;
    case SVGA_PITCHLOCK:
        return c->pitchlock;
    case SVGA_IRQMASK:
        return c->irq_mask;
    default:
        return mode_reg(c);
    }
}

/* What the FIFO's registers say of us, before the driver looks at them. */
static void offer_fifo(struct svga_chip *c)
{
    svga_store(c, FIFO_CAPABILITIES, FIFO_CAP_FENCE | FIFO_CAP_CURSOR_BYPASS_3);
    svga_store(c, FIFO_FLAGS, 0);
}

static void set_mode(struct svga_chip *c, uint32_t value)
{
    if (c->index == SVGA_WIDTH && value > 0 && value <= SVGA_MAX_WIDTH)
        c->width = value;
    if (c->index == SVGA_HEIGHT && value > 0 && value <= SVGA_MAX_HEIGHT)
        c->height = value;
    if (c->index == SVGA_BITS_PER_PIXEL && (value == 8 || value == 16 || value == 32))
        c->bpp = value;
}

static void set_id(struct svga_chip *c, uint32_t value)
{
    if (value >= (uint32_t)ID_0 && value <= (uint32_t)ID_2)
        c->id = value;
}

bool svga_chip_write(struct svga_chip *c, uint32_t value)
{
    if (c->index >= SVGA_PALETTE && c->index < SVGA_PALETTE + 768)
        c->palette[c->index - SVGA_PALETTE] = (uint8_t)value;
    if (c->index >= SVGA_SCRATCH_BASE && c->index < SVGA_SCRATCH_BASE + SVGA_SCRATCH)
        c->scratch[c->index - SVGA_SCRATCH_BASE] = value;
    switch (c->index) {
    case SVGA_ID:
        set_id(c, value);
        break;
    case SVGA_ENABLE:
        c->enable = value & (ENABLE_ENABLE | ENABLE_HIDE);
        break;
    case SVGA_CONFIG_DONE:
        if (value != 0)
            offer_fifo(c);
        c->config_done = value != 0;
        break;
    case SVGA_SYNC:
        return true;
    case SVGA_GUEST_ID:
        c->guest_id = value;
        break;
    case SVGA_CURSOR_X:
        c->cursor_x = value;
        break;
    case SVGA_CURSOR_Y:
        c->cursor_y = value;
        break;
    case SVGA_CURSOR_ON:
        c->cursor_on = value;
        break;
    case SVGA_PITCHLOCK:
        c->pitchlock = value;
        break;
    case SVGA_IRQMASK:
        c->irq_mask = value;
        break;
    default:
        set_mode(c, value);
        break;
    }
    return false;
}

/* --- the picture --- */

bool svga_chip_shown(const struct svga_chip *c)
{
    return (c->enable & (ENABLE_ENABLE | ENABLE_HIDE)) == ENABLE_ENABLE;
}

/* The cursor's place is in the FIFO once there is one, else in registers. */
static void place_cursor(const struct svga_chip *c, struct cursor *to)
{
    bool bypass = c->config_done != 0;
    uint32_t x = bypass ? svga_load(c, FIFO_CURSOR_X) : c->cursor_x;
    uint32_t y = bypass ? svga_load(c, FIFO_CURSOR_Y) : c->cursor_y;

    *to = c->cursor;
    to->shown = to->width != 0 && (bypass ? svga_load(c, FIFO_CURSOR_ON) : c->cursor_on) != 0;
    to->x = (int32_t)(x - to->hot_x);
    to->y = (int32_t)(y - to->hot_y);
}

static void row_of(const struct svga_chip *c, const uint8_t *from, uint32_t *out)
{
    if (c->bpp == 32) {
        memcpy(out, from, (size_t)c->width * 4);
        return;
    }
    for (uint32_t x = 0; x < c->width; x++) {
        uint32_t v = c->bpp == 16 ? ld_le16(from + 2 * (size_t)x) : from[x];

        if (c->bpp == 16)
            out[x] = video_of_565(v);
        else
            out[x] = (uint32_t)c->palette[3 * v] << 16 | (uint32_t)c->palette[3 * v + 1] << 8 |
                     c->palette[3 * v + 2];
    }
}

int svga_chip_draw(const struct svga_chip *c, struct video_surface *s)
{
    uint32_t row[SVGA_MAX_WIDTH], with_cursor[SVGA_MAX_WIDTH];
    uint32_t bytes = c->width * (c->bpp / 8);
    struct cursor cursor;
    int rc = video_resize(s, c->width, c->height);

    place_cursor(c, &cursor);
    for (uint32_t y = 0; rc == 0 && y < c->height; y++) {
        uint64_t from = (uint64_t)y * svga_pitch(c);

        if (from + bytes > c->vram_size)
            memset(row, 0, sizeof(row));
        else
            row_of(c, c->vram + from, row);
        video_row(s, y, cursor_row(&cursor, y, row, c->width, with_cursor));
    }
    return rc;
}

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct svga_chip *c = object;

    if (c->width == 0 || c->height == 0 || (c->bpp != 8 && c->bpp != 16 && c->bpp != 32))
        return err_set(e, EINVAL, "svga: %u by %u with %u bits is no mode", c->width, c->height,
                       c->bpp);
    return 0;
}

static const struct state_field fields[] = {
    STATE_U32_F(struct svga_chip, index),
    STATE_U32_F(struct svga_chip, id),
    STATE_MAX_F(struct svga_chip, enable, STATE_U32, 3),
    STATE_MAX_F(struct svga_chip, width, STATE_U32, SVGA_MAX_WIDTH),
    STATE_MAX_F(struct svga_chip, height, STATE_U32, SVGA_MAX_HEIGHT),
    STATE_MAX_F(struct svga_chip, bpp, STATE_U32, 32),
    STATE_MAX_F(struct svga_chip, config_done, STATE_U32, 1),
    STATE_U32_F(struct svga_chip, guest_id),
    STATE_U32_F(struct svga_chip, pitchlock),
    STATE_U32_F(struct svga_chip, irq_mask),
    STATE_U32_F(struct svga_chip, irq_status),
    STATE_U32_F(struct svga_chip, cursor_x),
    STATE_U32_F(struct svga_chip, cursor_y),
    STATE_U32_F(struct svga_chip, cursor_on),
    STATE_BYTES_F(struct svga_chip, palette),
    STATE_ARRAY_F(struct svga_chip, scratch, STATE_U32, SVGA_SCRATCH),
    STATE_STRUCT_F(struct svga_chip, cursor, 1, &cursor_state),
    STATE_END_F,
};
const struct state_table svga_chip_state = {
    .name = "svga", .version = 1, .fields = fields, .validate = validate};
