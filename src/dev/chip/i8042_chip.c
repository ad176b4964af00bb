/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PS/2 keyboard controller; the contract is in the header. */
#include "dev/chip/i8042_chip.h"

#include <errno.h>
#include <string.h>

enum {
    CMD_READ_RAM = 0x20, /* 0x20 - 0x3f */
    CMD_WRITE_RAM = 0x60,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD = 0xd2,
    CMD_WRITE_AUX = 0xd3,
    CMD_TO_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0, /* 0xf0 - 0xff: bits 0 - 3 of the output port low where 0 */

    OUTPUT_NOT_RESET = 0x01,
    OUTPUT_A20 = 0x02,
    OUTPUT_OBF = 0x10,
    OUTPUT_AUX_OBF = 0x20,
    OUTPUT_IDLE = 0xcc,
};

static int validate(const void *object, struct err *e)
{
    const struct i8042_chip *c = object;

    if (c->keyboard.queue.head >= PS2_QUEUE_SIZE || c->mouse.queue.head >= PS2_QUEUE_SIZE)
        return err_set(e, EINVAL, "i8042: a queue that begins outside itself");
    return 0;
}

static const struct state_field fields[] = {
    STATE_BYTES_F(struct i8042_chip, ram),
    STATE_U8_F(struct i8042_chip, output),
    STATE_BOOL_F(struct i8042_chip, full),
    STATE_BOOL_F(struct i8042_chip, from_aux),
    STATE_BYTES_F(struct i8042_chip, reply),
    STATE_MAX_F(struct i8042_chip, reply_count, STATE_U8, 4),
    STATE_BOOL_F(struct i8042_chip, reply_aux),
    STATE_U8_F(struct i8042_chip, command),
    STATE_BOOL_F(struct i8042_chip, wrote_command),
    STATE_BOOL_F(struct i8042_chip, a20),
    STATE_BOOL_F(struct i8042_chip, release),
    STATE_STRUCT_F(struct i8042_chip, keyboard, 1, &ps2_keyboard_state),
    STATE_STRUCT_F(struct i8042_chip, mouse, 1, &ps2_mouse_state),
    STATE_END_F,
};
const struct state_table i8042_chip_state = {
    .name = "i8042", .version = 1, .fields = fields, .validate = validate};

/* Scan code set 2 to set 1, as the controller translates. Codes from 0x84 on pass unchanged. */
static const uint8_t set1[0x84] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41,
};

static bool flag(const struct i8042_chip *c, uint8_t bit)
{
    return (c->ram[0] & bit) != 0;
}

static void set_flag(struct i8042_chip *c, uint8_t bit, bool on)
{
    c->ram[0] = (uint8_t)(on ? c->ram[0] | bit : c->ram[0] & ~bit);
}

/* As the firmware of a PC leaves it. */
void i8042_chip_reset(struct i8042_chip *c)
{
    *c = (struct i8042_chip){.has_aux = c->has_aux, .a20 = true};
    c->ram[0] = I8042_CTL_KBD_INT | I8042_CTL_SYSTEM | I8042_CTL_TRANSLATE |
                (c->has_aux ? I8042_CTL_AUX_INT : 0);
    ps2_keyboard_reset(&c->keyboard);
    ps2_mouse_reset(&c->mouse);
}

static void put_output(struct i8042_chip *c, uint8_t byte, bool aux)
{
    c->output = byte;
    c->full = true;
    c->from_aux = aux;
}

static void reply(struct i8042_chip *c, uint8_t byte, bool aux)
{
    if (c->reply_count == sizeof(c->reply))
        return;
    c->reply_aux = aux;
    c->reply[c->reply_count++] = byte;
}

static bool take_reply(struct i8042_chip *c)
{
    if (c->reply_count == 0)
        return false;
    put_output(c, c->reply[0], c->reply_aux);
    c->reply_count--;
    memmove(c->reply, c->reply + 1, c->reply_count);
    return true;
}

/* The break prefix 0xf0 of set 2 becomes bit 7 of the code that follows. */
static bool translate(struct i8042_chip *c, uint8_t *byte)
{
    if (!flag(c, I8042_CTL_TRANSLATE))
        return true;
    if (*byte == 0xf0) {
        c->release = true;
        return false;
    }
    if (*byte < sizeof(set1))
        *byte = set1[*byte] | (c->release ? 0x80 : 0);
    if (*byte != 0xe0 && *byte != 0xe1)
        c->release = false;
    return true;
}

static bool take_keyboard(struct i8042_chip *c)
{
    uint8_t byte;

    if (flag(c, I8042_CTL_KBD_OFF))
        return false;
    while (ps2_queue_take(&c->keyboard.queue, &byte)) {
        if (translate(c, &byte)) {
            put_output(c, byte, false);
            return true;
        }
    }
    return false;
}

static void take_mouse(struct i8042_chip *c)
{
    uint8_t byte;

    if (!c->has_aux || flag(c, I8042_CTL_AUX_OFF))
        return;
    ps2_mouse_report(&c->mouse);
    if (ps2_queue_take(&c->mouse.queue, &byte))
        put_output(c, byte, true);
}

void i8042_chip_advance(struct i8042_chip *c)
{
    if (!c->full && !take_reply(c) && !take_keyboard(c))
        take_mouse(c);
}

bool i8042_chip_kbd_irq(const struct i8042_chip *c)
{
    return c->full && !c->from_aux && flag(c, I8042_CTL_KBD_INT);
}

bool i8042_chip_aux_irq(const struct i8042_chip *c)
{
    return c->full && c->from_aux && flag(c, I8042_CTL_AUX_INT);
}

uint8_t i8042_chip_read_data(struct i8042_chip *c)
{
    c->full = false;
    return c->output;
}

uint8_t i8042_chip_read_status(const struct i8042_chip *c)
{
    uint8_t status = I8042_STATUS_UNLOCKED;

    if (c->full)
        status |= I8042_STATUS_OBF;
    if (c->full && c->from_aux)
        status |= I8042_STATUS_AUX;
    if (flag(c, I8042_CTL_SYSTEM))
        status |= I8042_STATUS_SYSTEM;
    if (c->wrote_command)
        status |= I8042_STATUS_COMMAND;
    return status;
}

static uint8_t output_port(const struct i8042_chip *c)
{
    return (uint8_t)(OUTPUT_IDLE | OUTPUT_NOT_RESET | (c->a20 ? OUTPUT_A20 : 0) |
                     (i8042_chip_kbd_irq(c) ? OUTPUT_OBF : 0) |
                     (i8042_chip_aux_irq(c) ? OUTPUT_AUX_OBF : 0));
}

static struct i8042_effect set_a20(struct i8042_chip *c, bool on)
{
    struct i8042_effect fx = {.a20_changed = c->a20 != on};

    c->a20 = on;
    return fx;
}

static struct i8042_effect write_output_port(struct i8042_chip *c, uint8_t value)
{
    struct i8042_effect fx = set_a20(c, (value & OUTPUT_A20) != 0);

    fx.reset = (value & OUTPUT_NOT_RESET) == 0;
    return fx;
}

/* A parameter of a controller command, or a byte for the keyboard, whose interface it turns on. */
struct i8042_effect i8042_chip_write_data(struct i8042_chip *c, uint8_t value)
{
    uint8_t command = c->command;

    c->command = 0;
    c->wrote_command = false;
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + 32)
        c->ram[command - CMD_WRITE_RAM] = value;
    else if (command == CMD_WRITE_OUTPUT)
        return write_output_port(c, value);
    else if (command == CMD_WRITE_KBD || (command == CMD_WRITE_AUX && !c->has_aux))
        reply(c, value, false);
    else if (command == CMD_WRITE_AUX)
        reply(c, value, true);
    else if (command == CMD_TO_AUX && c->has_aux)
        ps2_mouse_write(&c->mouse, value);
    else if (command == CMD_TO_AUX)
        reply(c, 0xfe, false);
    else {
        set_flag(c, I8042_CTL_KBD_OFF, false);
        ps2_keyboard_write(&c->keyboard, value);
    }
    return (struct i8042_effect){0};
}

static void simple_command(struct i8042_chip *c, uint8_t value)
{
    switch (value) {
    case CMD_AUX_OFF:
    case CMD_AUX_ON:
        if (c->has_aux)
            set_flag(c, I8042_CTL_AUX_OFF, value == CMD_AUX_OFF);
        break;
    case CMD_KBD_OFF:
    case CMD_KBD_ON:
        set_flag(c, I8042_CTL_KBD_OFF, value == CMD_KBD_OFF);
        break;
    case CMD_AUX_TEST:
        reply(c, c->has_aux ? 0 : 1, false);
        break;
    case CMD_SELF_TEST:
        c->reply_count = 0;
        c->full = false;
        c->ram[0] |= I8042_CTL_SYSTEM;
        reply(c, 0x55, false);
        break;
    case CMD_KBD_TEST:
        reply(c, 0, false);
        break;
    case CMD_READ_INPUT:
        reply(c, 0x80, false); /* not locked */
        break;
    case CMD_READ_OUTPUT:
        reply(c, output_port(c), false);
        break;
    case CMD_TEST_INPUTS:
        reply(c, 0, false);
        break;
    }
}

static bool takes_parameter(uint8_t value)
{
    return (value >= CMD_WRITE_RAM && value < CMD_WRITE_RAM + 32) ||
           (value >= CMD_WRITE_OUTPUT && value <= CMD_TO_AUX);
}

struct i8042_effect i8042_chip_write_command(struct i8042_chip *c, uint8_t value)
{
    c->wrote_command = true;
    c->command = takes_parameter(value) ? value : 0;
    if (value >= CMD_READ_RAM && value < CMD_READ_RAM + 32)
        reply(c, c->ram[value - CMD_READ_RAM], false);
    else if (value == CMD_A20_OFF || value == CMD_A20_ON)
        return set_a20(c, value == CMD_A20_ON);
    else if (value >= CMD_PULSE)
        return (struct i8042_effect){.reset = (value & OUTPUT_NOT_RESET) == 0};
    else
        simple_command(c, value);
    return (struct i8042_effect){0};
}
