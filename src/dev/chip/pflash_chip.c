/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NOR flash; the contract is in the header. */
#include "dev/chip/pflash_chip.h"

#include <errno.h>
#include <string.h>

enum command {
    CMD_CONFIRM = 0xd0,
    CMD_PROGRAM = 0x40,
    CMD_PROGRAM_ALT = 0x10,
    CMD_ERASE = 0x20,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_BUFFER = 0xe8,
    CMD_ARRAY = 0xff,
    /* Not commands, but where a buffered program stands. */
    BUFFER_DATA = 0x01,
    BUFFER_CONFIRM = 0x02,
};

enum status { SR_LOCKED = 0x02, SR_PROGRAM = 0x10, SR_ERASE = 0x20, SR_READY = 0x80 };

enum { ID_MANUFACTURER = 0x89, ID_DEVICE = 0x18 };

static int validate(const void *object, struct err *e)
{
    const struct pflash_chip *c = object;

    if (c->buffer_len > PFLASH_BUFFER || c->buffer_done > c->buffer_len)
        return err_set(e, EINVAL, "pflash: a program buffer beyond its size");
    return 0;
}

static const struct state_field fields[] = {
    STATE_U8_F(struct pflash_chip, command),
    STATE_U8_F(struct pflash_chip, status),
    STATE_BYTES_F(struct pflash_chip, buffer),
    STATE_U32_F(struct pflash_chip, buffer_at),
    STATE_U32_F(struct pflash_chip, buffer_len),
    STATE_U32_F(struct pflash_chip, buffer_done),
    STATE_END_F,
};
const struct state_table pflash_chip_state = {
    .name = "pflash-chip", .version = 1, .fields = fields, .validate = validate};

void pflash_chip_init(struct pflash_chip *c, uint8_t *data, uint32_t size, bool readonly)
{
    *c = (struct pflash_chip){.data = data, .size = size, .readonly = readonly};
    pflash_chip_reset(c);
}

void pflash_chip_reset(struct pflash_chip *c)
{
    c->command = CMD_ARRAY;
    c->status = SR_READY;
    memset(c->buffer, 0, sizeof(c->buffer));
    c->buffer_at = c->buffer_len = c->buffer_done = 0;
}

bool pflash_chip_array(const struct pflash_chip *c)
{
    return c->command == CMD_ARRAY;
}

/* CFI query, JESD68 tables 1 - 4: "QRY", command set 1, no voltages, times 1 us - 1 s, geometry. */
static uint8_t query(const struct pflash_chip *c, uint32_t at)
{
    const uint32_t blocks = c->size / PFLASH_BLOCK - 1;
    uint8_t log2 = 0;

    while (UINT32_C(1) << log2 < c->size)
        log2++;
    switch (at) {
    case 0x10:
        return 'Q';
    case 0x11:
        return 'R';
    case 0x12:
        return 'Y';
    case 0x13:
        return 1;
    case 0x15: /* the address of the command set's own table */
        return 0x31;
    case 0x1b:
        return 0x45;
    case 0x1c:
        return 0x55;
    case 0x1f:
    case 0x20:
    case 0x23:
    case 0x24:
        return 7;
    case 0x21:
    case 0x25:
        return 10;
    case 0x27:
        return log2;
    case 0x2a:
        return 6; /* PFLASH_BUFFER */
    case 0x2c:
        return 1; /* all blocks are alike: */
    case 0x2d:
        return (uint8_t)blocks;
    case 0x2e:
        return (uint8_t)(blocks >> 8);
    case 0x2f: /* in units of 256 bytes */
        return PFLASH_BLOCK >> 8 & 0xff;
    case 0x30:
        return PFLASH_BLOCK >> 16;
    case 0x31:
        return 'P';
    case 0x32:
        return 'R';
    case 0x33:
        return 'I';
    case 0x34:
        return '1';
    case 0x35:
        return '0';
    }
    return 0;
}

uint8_t pflash_chip_read(const struct pflash_chip *c, uint32_t offset)
{
    switch (c->command) {
    case CMD_ARRAY:
        return c->data[offset];
    case CMD_READ_ID:
        return (offset & 0xff) == 0 ? ID_MANUFACTURER : (offset & 0xff) == 1 ? ID_DEVICE : 0;
    case CMD_QUERY:
        return query(c, offset & 0xff);
    }
    return c->status;
}

static void dirty(struct pflash_chip *c, uint32_t from, uint32_t to)
{
    if (c->dirty_from == c->dirty_to) {
        c->dirty_from = from;
        c->dirty_to = to;
        return;
    }
    if (from < c->dirty_from)
        c->dirty_from = from;
    if (to > c->dirty_to)
        c->dirty_to = to;
}

/* Programming clears bits and never sets any. */
static void program(struct pflash_chip *c, uint32_t offset, uint8_t value)
{
    if (c->readonly || offset >= c->size) {
        c->status |= SR_PROGRAM | SR_LOCKED;
        return;
    }
    c->data[offset] &= value;
    dirty(c, offset, offset + 1);
}

static void erase(struct pflash_chip *c, uint32_t offset)
{
    uint32_t block = offset & ~(PFLASH_BLOCK - 1);

    if (c->readonly) {
        c->status |= SR_ERASE | SR_LOCKED;
        return;
    }
    memset(c->data + block, 0xff, PFLASH_BLOCK);
    dirty(c, block, block + PFLASH_BLOCK);
}

static void program_buffer(struct pflash_chip *c)
{
    for (uint32_t i = 0; i < c->buffer_len; i++)
        program(c, c->buffer_at + i, c->buffer[i]);
}

static void first_cycle(struct pflash_chip *c, uint8_t value)
{
    switch (value) {
    case CMD_CLEAR_STATUS:
        c->status = 0;
        c->command = CMD_ARRAY;
        return;
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
    case CMD_ERASE:
    case CMD_LOCK:
    case CMD_READ_STATUS:
    case CMD_READ_ID:
    case CMD_QUERY:
        c->command = value;
        return;
    case CMD_BUFFER:
        c->command = value;
        c->status |= SR_READY;
        return;
    }
    c->command = CMD_ARRAY;
}

/* The operation is over; reads give the status until another command comes. */
static void done(struct pflash_chip *c)
{
    c->status |= SR_READY;
    c->command = CMD_READ_STATUS;
}

/* A command sequence error, data sheet table 6. */
static void sequence_error(struct pflash_chip *c)
{
    c->status |= SR_PROGRAM | SR_ERASE;
    done(c);
}

static void buffer_count(struct pflash_chip *c, uint32_t offset, uint8_t value)
{
    if (value >= PFLASH_BUFFER) {
        sequence_error(c);
        return;
    }
    c->buffer_at = offset & ~(PFLASH_BUFFER - 1);
    c->buffer_len = PFLASH_BUFFER;
    c->buffer_done = PFLASH_BUFFER - 1 - value; /* so many are left as they are */
    memset(c->buffer, 0xff, sizeof(c->buffer));
    c->command = BUFFER_DATA;
}

static void buffer_data(struct pflash_chip *c, uint32_t offset, uint8_t value)
{
    if (offset - c->buffer_at >= PFLASH_BUFFER) {
        sequence_error(c);
        return;
    }
    c->buffer[offset - c->buffer_at] = value;
    if (++c->buffer_done == c->buffer_len)
        c->command = BUFFER_CONFIRM;
}

static void confirm(struct pflash_chip *c, uint32_t offset, uint8_t value)
{
    if (value != CMD_CONFIRM) {
        sequence_error(c);
        return;
    }
    if (c->command == CMD_ERASE)
        erase(c, offset);
    else
        program_buffer(c);
    done(c);
}

void pflash_chip_write(struct pflash_chip *c, uint32_t offset, uint8_t value)
{
    switch (c->command) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
        program(c, offset, value);
        done(c);
        return;
    case CMD_ERASE:
    case BUFFER_CONFIRM:
        confirm(c, offset, value);
        return;
    case CMD_LOCK: /* lock bits are taken and have no effect */
        done(c);
        return;
    case CMD_BUFFER:
        buffer_count(c, offset, value);
        return;
    case BUFFER_DATA:
        buffer_data(c, offset, value);
        return;
    }
    first_cycle(c, value);
}
