/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the PS/2 keyboard controller (Intel 8042 as IBM programmed it) with the two
 * devices behind it. IBM PS/2 hardware interface technical reference, "Keyboard and auxiliary
 * device controller". No lock, no pins.
 */
#ifndef DOPPEL_DEV_CHIP_I8042_CHIP_H
#define DOPPEL_DEV_CHIP_I8042_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/chip/ps2.h"
#include "state/state.h"

enum {
    I8042_STATUS_OBF = 0x01,
    I8042_STATUS_SYSTEM = 0x04,
    I8042_STATUS_COMMAND = 0x08,
    I8042_STATUS_UNLOCKED = 0x10,
    I8042_STATUS_AUX = 0x20,

    I8042_CTL_KBD_INT = 0x01,
    I8042_CTL_AUX_INT = 0x02,
    I8042_CTL_SYSTEM = 0x04,
    I8042_CTL_KBD_OFF = 0x10,
    I8042_CTL_AUX_OFF = 0x20,
    I8042_CTL_TRANSLATE = 0x40,
};

/* What a write does to the rest of the board. */
struct i8042_effect {
    bool reset;
    bool a20_changed;
};

struct i8042_chip {
    bool has_aux;    /* fixed */
    uint8_t ram[32]; /* byte 0: command byte */
    uint8_t output;  /* the byte at port 0x60 */
    bool full;       /* there is one */
    bool from_aux;
    uint8_t reply[4]; /* answers of the controller itself, sent before anything else */
    uint8_t reply_count;
    bool reply_aux;     /* they pretend to come from the mouse */
    uint8_t command;    /* waits for its parameter, or 0 */
    bool wrote_command; /* the last write went to port 0x64 */
    bool a20;
    bool release; /* translation saw 0xf0 */
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
};

extern const struct state_table i8042_chip_state;

void i8042_chip_reset(struct i8042_chip *c);
uint8_t i8042_chip_read_data(struct i8042_chip *c);
uint8_t i8042_chip_read_status(const struct i8042_chip *c);
struct i8042_effect i8042_chip_write_data(struct i8042_chip *c, uint8_t value);
struct i8042_effect i8042_chip_write_command(struct i8042_chip *c, uint8_t value);

/* Moves the next byte into the output buffer if that is empty; to be called after everything that
 * may have made one available. */
void i8042_chip_advance(struct i8042_chip *c);
bool i8042_chip_kbd_irq(const struct i8042_chip *c);
bool i8042_chip_aux_irq(const struct i8042_chip *c);

#endif
