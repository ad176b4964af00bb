/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the Intel 8254 programmable interval timer (data sheet order number 231164).
 * No lock and no clock: every call says how many input clocks have passed since some start
 * (`tick`, never going back); what happened in between is computed.
 */
#ifndef DOPPEL_DEV_CHIP_I8254_H
#define DOPPEL_DEV_CHIP_I8254_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

struct i8254_counter {
    uint8_t mode;   /* 0 - 5 */
    uint8_t access; /* 1 low byte, 2 high byte, 3 both in turn */
    bool bcd;
    bool gate;      /* the GATE input */
    bool running;   /* a count was loaded (and for modes 1 and 5 triggered) */
    bool held;      /* counting is stopped by GATE or half a count; `start` is clocks counted */
    bool armed;     /* a count was written since the mode was set */
    bool second;    /* access 3: the next write is the high byte */
    bool read_high; /* access 3: the next read is the high byte */
    bool reload;    /* modes 2 and 3: next_count is taken at the end of the period */
    bool latched, status_latched;
    uint8_t low;    /* access 3: the low byte waiting for the high one */
    uint8_t status; /* the latched status */
    uint16_t latch; /* the latched count */
    uint32_t count; /* 1 - 65536 (10000 in BCD), in clocks */
    uint32_t next_count;
    uint64_t start; /* tick at which the count was loaded; clocks counted while held */
};

struct i8254 {
    struct i8254_counter counter[3];
};

#define I8254_NEVER UINT64_MAX

extern const struct state_table i8254_state;

/* Gates: 0 and 1 are tied high on a PC, 2 is low after reset. */
void i8254_reset(struct i8254 *t);

uint8_t i8254_read(struct i8254 *t, unsigned reg, uint64_t tick);              /* reg 0 - 3 */
void i8254_write(struct i8254 *t, unsigned reg, uint8_t value, uint64_t tick); /* 3: control */
void i8254_set_gate(struct i8254 *t, unsigned counter, bool level, uint64_t tick);
bool i8254_out(struct i8254 *t, unsigned counter, uint64_t tick);

/* The first tick after `tick` at which OUT rises if nobody touches the counter, or I8254_NEVER. */
uint64_t i8254_next_rise(struct i8254 *t, unsigned counter, uint64_t tick);

/* Moves all points in time by `delta` (modulo 2^64): before saving by minus the current tick, after
 * loading by plus the current tick. */
void i8254_shift(struct i8254 *t, uint64_t delta);

#endif
