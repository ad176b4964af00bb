/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Intel 8254: data sheet "mode definitions" and "read operations". The contract is in the
 * header. */
#include "dev/chip/i8254.h"

#include <errno.h>
#include <string.h>

#define STATUS_OUT 0x80
#define STATUS_NULL 0x40

static int validate_counter(const void *object, struct err *e)
{
    const struct i8254_counter *c = object;

    if (c->access == 0 || c->count == 0 || c->next_count == 0)
        return err_set(e, EINVAL, "i8254: a counter without access mode or count");
    if (c->held && c->start > UINT32_MAX)
        return err_set(e, EINVAL, "i8254: a counter held after too many clocks");
    return 0;
}

static const struct state_field counter_fields[] = {
    STATE_MAX_F(struct i8254_counter, mode, STATE_U8, 5),
    STATE_MAX_F(struct i8254_counter, access, STATE_U8, 3),
    STATE_BOOL_F(struct i8254_counter, bcd),
    STATE_BOOL_F(struct i8254_counter, gate),
    STATE_BOOL_F(struct i8254_counter, running),
    STATE_BOOL_F(struct i8254_counter, held),
    STATE_BOOL_F(struct i8254_counter, armed),
    STATE_BOOL_F(struct i8254_counter, second),
    STATE_BOOL_F(struct i8254_counter, read_high),
    STATE_BOOL_F(struct i8254_counter, reload),
    STATE_BOOL_F(struct i8254_counter, latched),
    STATE_BOOL_F(struct i8254_counter, status_latched),
    STATE_U8_F(struct i8254_counter, low),
    STATE_U8_F(struct i8254_counter, status),
    STATE_U16_F(struct i8254_counter, latch),
    STATE_MAX_F(struct i8254_counter, count, STATE_U32, 0x10000),
    STATE_MAX_F(struct i8254_counter, next_count, STATE_U32, 0x10000),
    STATE_U64_F(struct i8254_counter, start),
    STATE_END_F,
};

static const struct state_table counter_state = {
    .name = "i8254-counter", .version = 1, .fields = counter_fields, .validate = validate_counter};

static int validate(const void *object, struct err *e)
{
    const struct i8254 *t = object;

    for (unsigned i = 0; i < 3; i++) {
        int rc = validate_counter(&t->counter[i], e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct i8254, counter, 3, &counter_state),
    STATE_END_F,
};

const struct state_table i8254_state = {
    .name = "i8254", .version = 1, .fields = fields, .validate = validate};

void i8254_reset(struct i8254 *t)
{
    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < 3; i++) {
        struct i8254_counter *c = &t->counter[i];

        c->access = 3;
        c->count = c->next_count = 0x10000;
        c->gate = i != 2;
    }
}

static uint32_t modulus(const struct i8254_counter *c)
{
    return c->bcd ? 10000 : 0x10000;
}

static bool periodic(const struct i8254_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Clocks counted since the count was loaded. Loading takes a clock, so `start` may lie one ahead.
 */
static uint64_t elapsed(const struct i8254_counter *c, uint64_t tick)
{
    if (c->held)
        return c->start;
    return (int64_t)(tick - c->start) > 0 ? tick - c->start : 0;
}

/* Takes over a count that waited for the end of the period. */
static void sync(struct i8254_counter *c, uint64_t tick)
{
    uint64_t d = elapsed(c, tick);

    if (!c->reload || !c->running || c->held || d < c->count)
        return;
    c->start += c->count;
    c->count = c->next_count;
    c->reload = false;
}

static void load(struct i8254_counter *c, uint64_t tick)
{
    c->running = true;
    c->held = false;
    c->start = tick + 1;
}

static bool out_at(const struct i8254_counter *c, uint64_t tick)
{
    uint64_t d = elapsed(c, tick);

    if (!c->running)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1:
        return d >= c->count;
    case 2:
        return c->held || d % c->count != c->count - 1;
    case 3:
        return c->held || d % c->count < (c->count + 1) / 2;
    default:
        return d != c->count;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

/* The counting element. In mode 3 it counts down by two in each half of the period. */
static uint32_t counting_element(const struct i8254_counter *c, uint64_t tick)
{
    uint64_t d = elapsed(c, tick);
    uint32_t half = (c->count + 1) / 2, at;

    if (!c->running)
        return c->count;
    if (c->mode == 2)
        return c->count - (uint32_t)(d % c->count);
    if (c->mode == 3) {
        at = (uint32_t)(d % c->count);
        return (c->count & ~1u) - 2 * (at < half ? at : at - half);
    }
    return (uint32_t)((c->count + modulus(c) - d % modulus(c)) % modulus(c));
}

static uint16_t value_at(const struct i8254_counter *c, uint64_t tick)
{
    uint32_t v = counting_element(c, tick);

    return c->bcd ? to_bcd(v % 10000) : (uint16_t)v;
}

static bool null_count(const struct i8254_counter *c, uint64_t tick)
{
    return !c->running || c->reload || (!c->held && (int64_t)(tick - c->start) < 0);
}

static void latch_count(struct i8254_counter *c, uint64_t tick)
{
    if (c->latched)
        return;
    c->latch = value_at(c, tick);
    c->latched = true;
}

static void latch_status(struct i8254_counter *c, uint64_t tick)
{
    if (c->status_latched)
        return;
    c->status =
        (uint8_t)((out_at(c, tick) ? STATUS_OUT : 0) | (null_count(c, tick) ? STATUS_NULL : 0) |
                  c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

/* Data sheet "read-back command". */
static void read_back(struct i8254 *t, uint8_t value, uint64_t tick)
{
    for (unsigned i = 0; i < 3; i++) {
        if ((value >> (i + 1) & 1) == 0)
            continue;
        sync(&t->counter[i], tick);
        if ((value & 0x20) == 0)
            latch_count(&t->counter[i], tick);
        if ((value & 0x10) == 0)
            latch_status(&t->counter[i], tick);
    }
}

static void set_mode(struct i8254_counter *c, uint8_t value)
{
    uint8_t mode = value >> 1 & 7;

    c->mode = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
    c->access = value >> 4 & 3;
    c->bcd = (value & 1) != 0;
    c->running = c->held = c->armed = c->reload = false;
    c->second = c->read_high = false;
    c->latched = c->status_latched = false;
}

static void write_control(struct i8254 *t, uint8_t value, uint64_t tick)
{
    unsigned which = value >> 6;

    if (which == 3) {
        read_back(t, value, tick);
        return;
    }
    sync(&t->counter[which], tick);
    if ((value & 0x30) == 0)
        latch_count(&t->counter[which], tick);
    else
        set_mode(&t->counter[which], value);
}

/* Stops counting where it is. Whole rounds after the first one show nowhere and are dropped. */
static void hold(struct i8254_counter *c, uint64_t tick)
{
    uint64_t d = elapsed(c, tick);

    if (!c->running || c->held)
        return;
    c->start = d < modulus(c) ? d : d % modulus(c) + modulus(c);
    c->held = true;
}

static void unhold(struct i8254_counter *c, uint64_t tick)
{
    if (!c->running || !c->held)
        return;
    c->start = tick - c->start;
    c->held = false;
}

/* A whole count was written (data sheet: what it does depends on the mode). */
static void new_count(struct i8254_counter *c, uint16_t raw, uint64_t tick)
{
    uint32_t n = c->bcd ? from_bcd(raw) : raw;
    bool triggered = c->mode == 1 || c->mode == 5;

    if (n == 0)
        n = modulus(c);
    c->armed = true;
    c->next_count = n;
    if (triggered)
        return; /* the trigger loads it */
    if (periodic(c) && c->running) {
        /* The takeover counts from the current period. */
        if (!c->held)
            c->start += elapsed(c, tick) / c->count * c->count;
        c->reload = true;
        return;
    }
    c->count = n;
    c->reload = false;
    load(c, tick);
    if (!c->gate) {
        c->held = true;
        c->start = 0;
    }
}

static void write_count(struct i8254_counter *c, uint8_t value, uint64_t tick)
{
    switch (c->access) {
    case 1:
        new_count(c, value, tick);
        return;
    case 2:
        new_count(c, (uint16_t)(value << 8), tick);
        return;
    }
    if (c->second) {
        c->second = false;
        new_count(c, (uint16_t)(value << 8 | c->low), tick);
        return;
    }
    c->low = value;
    c->second = true;
    if (c->mode == 0) /* the first byte stops counting and clears OUT */
        c->running = false;
}

void i8254_write(struct i8254 *t, unsigned reg, uint8_t value, uint64_t tick)
{
    if ((reg & 3) == 3) {
        write_control(t, value, tick);
        return;
    }
    sync(&t->counter[reg & 3], tick);
    write_count(&t->counter[reg & 3], value, tick);
}

uint8_t i8254_read(struct i8254 *t, unsigned reg, uint64_t tick)
{
    struct i8254_counter *c = &t->counter[reg & 3];
    uint16_t v;
    bool high;

    if ((reg & 3) == 3)
        return 0xff;
    sync(c, tick);
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    v = c->latched ? c->latch : value_at(c, tick);
    high = c->access == 2 || (c->access == 3 && c->read_high);
    if (c->access == 3)
        c->read_high = !c->read_high;
    if (c->access != 3 || high)
        c->latched = false;
    return (uint8_t)(high ? v >> 8 : v);
}

/* A rising gate triggers modes 1 and 5 and restarts modes 2 and 3. */
static void trigger(struct i8254_counter *c, uint64_t tick)
{
    if (!c->armed)
        return;
    c->count = c->next_count;
    c->reload = false;
    load(c, tick);
}

void i8254_set_gate(struct i8254 *t, unsigned counter, bool level, uint64_t tick)
{
    struct i8254_counter *c = &t->counter[counter];
    bool rising = level && !c->gate;

    sync(c, tick);
    c->gate = level;
    if (c->mode == 0 || c->mode == 4) {
        if (level)
            unhold(c, tick);
        else
            hold(c, tick);
    } else if (rising) {
        trigger(c, tick);
    } else if (!level && periodic(c)) {
        hold(c, tick);
    }
}

bool i8254_out(struct i8254 *t, unsigned counter, uint64_t tick)
{
    sync(&t->counter[counter], tick);
    return out_at(&t->counter[counter], tick);
}

uint64_t i8254_next_rise(struct i8254 *t, unsigned counter, uint64_t tick)
{
    struct i8254_counter *c = &t->counter[counter];
    uint64_t d, at;

    sync(c, tick);
    if (!c->running || c->held)
        return I8254_NEVER;
    d = elapsed(c, tick);
    if (periodic(c))
        return c->start + (d / c->count + 1) * c->count;
    at = c->count + (c->mode >= 4); /* modes 4 and 5 strobe low for one clock */
    return d < at ? c->start + at : I8254_NEVER;
}

void i8254_shift(struct i8254 *t, uint64_t delta)
{
    for (unsigned i = 0; i < 3; i++)
        if (!t->counter[i].held)
            t->counter[i].start += delta;
}
