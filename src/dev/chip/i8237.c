/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two 8237A DMA controllers and their page registers: see i8237.h. */
#include "dev/chip/i8237.h"

#include <string.h>

enum {                  /* registers from 8 on, as written; table "Software Command Codes" */
       REG_COMMAND = 8, /* read: status */
       REG_REQUEST,
       REG_MASK_ONE,
       REG_MODE,
       REG_FIRST_LAST,
       REG_MASTER_CLEAR, /* read: temporary register */
       REG_CLEAR_MASK,
       REG_MASK_ALL, /* read: the mask, on the PC's controllers */
};
enum {
    COMMAND_DISABLE = 1 << 2,
    MODE_TRANSFER = 3 << 2,
    MODE_AUTO = 1 << 4,
    MODE_DOWN = 1 << 5,
    MODE_CASCADE = 3 << 6,
    MASK_SET = 1 << 2,
};

/* Ports 0x80 to 0x8f: where the page of each channel is. */
static const uint8_t page_of[I8237_CHANNELS] = {7, 3, 1, 2, 15, 11, 9, 10};

void i8237_reset(struct i8237 *d)
{
    memset(d, 0, sizeof(*d));
    d->mask = 0xff;
}

static void master_clear(struct i8237 *d, unsigned controller)
{
    d->mask |= (uint8_t)(0x0f << 4 * controller);
    d->status &= (uint8_t) ~(0x0f << 4 * controller);
    d->request &= (uint8_t) ~(0x0f << 4 * controller);
    d->command[controller] = 0;
    d->high[controller] = false;
}

static uint8_t nibble(uint8_t bits, unsigned controller)
{
    return bits >> 4 * controller & 0x0f;
}

uint8_t i8237_read(struct i8237 *d, unsigned controller, unsigned reg)
{
    uint8_t value = 0;

    if (reg < 8) {
        const struct i8237_channel *c = &d->channel[4 * controller + reg / 2];

        value = (uint8_t)((reg % 2 == 0 ? c->address : c->count) >> (d->high[controller] ? 8 : 0));
        d->high[controller] = !d->high[controller];
    } else if (reg == REG_COMMAND) {
        value = (uint8_t)(nibble(d->request, controller) << 4 | nibble(d->status, controller));
        d->status &= (uint8_t) ~(0x0f << 4 * controller);
    } else if (reg == REG_MASK_ALL) {
        value = nibble(d->mask, controller) | 0xf0;
    }
    return value;
}

static void put_half(uint16_t *base, uint16_t *now, uint8_t value, bool high)
{
    *base = high ? (uint16_t)((*base & 0xff) | value << 8) : (uint16_t)((*base & 0xff00) | value);
    *now = *base;
}

static void put_bit(uint8_t *bits, unsigned bit, bool set)
{
    *bits = (uint8_t)(set ? *bits | 1u << bit : *bits & ~(1u << bit));
}

static void put_nibble(uint8_t *bits, unsigned controller, uint8_t value)
{
    *bits = (uint8_t)((*bits & ~(0x0f << 4 * controller)) | (value & 0x0f) << 4 * controller);
}

void i8237_write(struct i8237 *d, unsigned controller, unsigned reg, uint8_t value)
{
    unsigned channel = 4 * controller + (value & 3);

    if (reg < 8) {
        struct i8237_channel *c = &d->channel[4 * controller + reg / 2];

        if (reg % 2 == 0)
            put_half(&c->base_address, &c->address, value, d->high[controller]);
        else
            put_half(&c->base_count, &c->count, value, d->high[controller]);
        d->high[controller] = !d->high[controller];
        return;
    }
    switch (reg) {
    case REG_COMMAND:
        d->command[controller] = value;
        break;
    case REG_REQUEST: /* kept; transfers from memory to memory are not wired on a PC */
        put_bit(&d->request, channel, (value & MASK_SET) != 0);
        break;
    case REG_MASK_ONE:
        put_bit(&d->mask, channel, (value & MASK_SET) != 0);
        break;
    case REG_MODE:
        d->channel[channel].mode = value & 0xfc;
        break;
    case REG_FIRST_LAST:
        d->high[controller] = false;
        break;
    case REG_MASTER_CLEAR:
        master_clear(d, controller);
        break;
    case REG_CLEAR_MASK:
        put_nibble(&d->mask, controller, 0);
        break;
    case REG_MASK_ALL:
        put_nibble(&d->mask, controller, value);
        break;
    default:
        break;
    }
}

static unsigned width(unsigned channel)
{
    return channel < 4 ? 1 : 2;
}

static bool granted(const struct i8237 *d, unsigned channel)
{
    bool masked = (d->mask >> channel & 1) != 0, first = channel < 4;
    bool cascade = (d->mask >> 4 & 1) == 0 && (d->command[1] & COMMAND_DISABLE) == 0;

    return !masked && (d->command[channel / 4] & COMMAND_DISABLE) == 0 && (!first || cascade) &&
           (d->channel[channel].mode & MODE_CASCADE) != MODE_CASCADE;
}

uint32_t i8237_next(const struct i8237 *d, unsigned channel, enum i8237_direction direction,
                    uint32_t *address, bool *verify)
{
    const struct i8237_channel *c = &d->channel[channel];
    enum i8237_direction mode = (c->mode & MODE_TRANSFER) >> 2;
    uint32_t page = d->page[page_of[channel]], units = c->count + 1u, room;

    if (!granted(d, channel) ||
        (mode != I8237_VERIFY && direction != I8237_VERIFY && mode != direction))
        return 0;
    *verify = mode == I8237_VERIFY || direction == I8237_VERIFY;
    *address =
        channel < 4 ? page << 16 | c->address : (page & 0xfe) << 16 | (uint32_t)c->address << 1;
    /* The address wraps inside its page. */
    room = (c->mode & MODE_DOWN) != 0 ? 1 : 0x10000u - c->address;
    return (units < room ? units : room) * width(channel);
}

bool i8237_moved(struct i8237 *d, unsigned channel, uint32_t bytes)
{
    struct i8237_channel *c = &d->channel[channel];
    uint32_t units = bytes / width(channel);
    bool end = units > c->count;

    c->address = (uint16_t)((c->mode & MODE_DOWN) != 0 ? c->address - units : c->address + units);
    c->count = (uint16_t)(c->count - units);
    if (!end)
        return false;
    put_bit(&d->status, channel, true);
    put_bit(&d->request, channel, false);
    if ((c->mode & MODE_AUTO) != 0) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        put_bit(&d->mask, channel, true);
    }
    return true;
}

static const struct state_field channel_fields[] = {
    STATE_U16_F(struct i8237_channel, base_address), STATE_U16_F(struct i8237_channel, base_count),
    STATE_U16_F(struct i8237_channel, address),      STATE_U16_F(struct i8237_channel, count),
    STATE_U8_F(struct i8237_channel, mode),          STATE_END_F,
};
static const struct state_table channel_state = {
    .name = "i8237-channel", .version = 1, .fields = channel_fields};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct i8237, channel, I8237_CHANNELS, &channel_state),
    STATE_BYTES_F(struct i8237, page),
    STATE_U8_F(struct i8237, mask),
    STATE_U8_F(struct i8237, request),
    STATE_U8_F(struct i8237, status),
    STATE_BYTES_F(struct i8237, command),
    STATE_FIELD_(struct i8237, high, STATE_BOOL, 2, 1),
    STATE_END_F,
};
const struct state_table i8237_state = {.name = "i8237", .version = 1, .fields = fields};
