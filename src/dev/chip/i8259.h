/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the two cascaded Intel 8259A of a PC (data sheet order number 231468), with the
 * edge/level control registers of the PIIX/ICH chip sets. No lock, no pins.
 *
 * The slave's output drives line 2 of the master as a level: the master requests line 2 as long as
 * the slave has something to say. All other edge-triggered requests stay latched until they are
 * acknowledged.
 */
#ifndef DOPPEL_DEV_CHIP_I8259_H
#define DOPPEL_DEV_CHIP_I8259_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define I8259_CASCADE 2 /* master line of the slave */

struct i8259 {
    uint8_t lines; /* levels of the inputs */
    uint8_t irr;   /* latched requests; for level-triggered lines the level */
    uint8_t isr, imr;
    uint8_t elcr;   /* 1: level triggered */
    uint8_t lowest; /* line of lowest priority, 7 after initialization */
    uint8_t base;   /* ICW2: vector of line 0 */
    uint8_t icw;    /* the ICW expected next at A0 = 1 (2, 3, 4); 0: operational */
    bool icw4;      /* ICW1 announced an ICW4 */
    bool single;    /* ICW1: no ICW3 */
    bool auto_eoi, rotate_auto_eoi;
    bool nested; /* special fully nested mode */
    bool special_mask;
    bool poll;     /* the next read is a poll */
    bool read_isr; /* OCW3: A0 = 0 reads ISR instead of IRR */
};

struct i8259_pair {
    struct i8259 chip[2]; /* master, slave */
};

extern const struct state_table i8259_pair_state;

/* Power-on; the levels of the inputs stay. */
void i8259_pair_reset(struct i8259_pair *p);

void i8259_pair_set_line(struct i8259_pair *p, unsigned line, bool level); /* line 0 - 15 */
bool i8259_pair_intr(const struct i8259_pair *p);                          /* output INT */
uint8_t i8259_pair_acknowledge(struct i8259_pair *p);                      /* both INTA pulses */

/* which: 0 master, 1 slave; a0: the address line. */
uint8_t i8259_pair_read(struct i8259_pair *p, unsigned which, unsigned a0);
void i8259_pair_write(struct i8259_pair *p, unsigned which, unsigned a0, uint8_t value);
uint8_t i8259_pair_elcr_read(const struct i8259_pair *p, unsigned which);
void i8259_pair_elcr_write(struct i8259_pair *p, unsigned which, uint8_t value);

#endif
