/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HPET: specification 1.0a, 2.3. The contract is in the header. */
#include "dev/chip/hpet_chip.h"

#include <errno.h>
#include <string.h>

#define ID 0x8086a201ull      /* three timers, 64 bits, legacy replacement */
#define PERIOD_FS 10000000ull /* 100 MHz */
#define ROUTES 0x00f00000ull  /* I/O APIC pins 20 - 23 */
#define CONFIG_WRITABLE (HPET_CFG_ENABLE | HPET_CFG_LEGACY)
#define TIMER_WRITABLE                                                                    \
    (HPET_TN_LEVEL | HPET_TN_ENABLE | HPET_TN_PERIODIC | HPET_TN_SETVAL | HPET_TN_32BIT | \
     31u << HPET_TN_ROUTE_SHIFT | HPET_TN_FSB)

static uint32_t capabilities(unsigned timer)
{
    return HPET_TN_SIZE_CAP | HPET_TN_FSB_CAP | (timer == 0 ? HPET_TN_PERIODIC_CAP : 0);
}

static uint32_t writable(unsigned timer)
{
    return timer == 0 ? TIMER_WRITABLE : TIMER_WRITABLE & ~(uint32_t)HPET_TN_PERIODIC;
}

static int validate(const void *object, struct err *e)
{
    const struct hpet_chip *c = object;

    for (unsigned i = 0; i < HPET_TIMERS; i++)
        if ((c->timer[i].config & ~writable(i)) != capabilities(i))
            return err_set(e, EINVAL, "hpet: timer %u has an impossible configuration", i);
    return 0;
}

static const struct state_field timer_fields[] = {
    STATE_U32_F(struct hpet_timer, config),
    STATE_U64_F(struct hpet_timer, comparator),
    STATE_U64_F(struct hpet_timer, period),
    STATE_U64_F(struct hpet_timer, fsb),
    STATE_BOOL_F(struct hpet_timer, armed),
    STATE_U64_F(struct hpet_timer, due),
    STATE_END_F,
};
static const struct state_table timer_state = {
    .name = "hpet-timer", .version = 1, .fields = timer_fields};

static const struct state_field fields[] = {
    STATE_MAX_F(struct hpet_chip, config, STATE_U32, CONFIG_WRITABLE),
    STATE_MAX_F(struct hpet_chip, status, STATE_U32, (1u << HPET_TIMERS) - 1),
    STATE_U64_F(struct hpet_chip, counter),
    STATE_STRUCT_F(struct hpet_chip, timer, HPET_TIMERS, &timer_state),
    STATE_END_F,
};
const struct state_table hpet_chip_state = {
    .name = "hpet", .version = 1, .fields = fields, .validate = validate};

void hpet_chip_reset(struct hpet_chip *c)
{
    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        c->timer[i].config = capabilities(i);
        c->timer[i].comparator = UINT64_MAX;
    }
}

static bool running(const struct hpet_chip *c)
{
    return (c->config & HPET_CFG_ENABLE) != 0;
}

static uint64_t counter_at(const struct hpet_chip *c, uint64_t tick)
{
    return running(c) ? c->counter + tick : c->counter;
}

static bool is_32bit(const struct hpet_timer *t)
{
    return (t->config & HPET_TN_32BIT) != 0;
}

static bool is_periodic(const struct hpet_timer *t)
{
    return (t->config & HPET_TN_PERIODIC) != 0;
}

/* Finds the next match. A 64-bit comparator that the counter has passed matches only after the
 * counter has gone round, which is never. */
static void arm(const struct hpet_chip *c, struct hpet_timer *t, uint64_t tick)
{
    uint64_t now = counter_at(c, tick), wait = t->comparator - now;

    if (is_32bit(t))
        wait &= UINT32_MAX;
    t->armed = (int64_t)wait >= 0;
    t->due = now + wait;
}

static void arm_all(struct hpet_chip *c, uint64_t tick)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        arm(c, &c->timer[i], tick);
}

/* What a match does to the comparator: one match stands for all periods that have passed. */
static void rearm(struct hpet_timer *t, uint64_t now)
{
    uint64_t p = is_32bit(t) ? (uint32_t)t->period : t->period;

    if (is_periodic(t) && p != 0) {
        uint64_t passed = (now - t->due) / p + 1;

        t->due += passed * p;
        t->comparator += passed * p;
        if (is_32bit(t))
            t->comparator &= UINT32_MAX;
    } else if (is_32bit(t)) {
        t->due += ((now - t->due) >> 32 << 32) + (1ull << 32);
    } else {
        t->armed = false;
    }
}

static bool match(struct hpet_timer *t, uint64_t now)
{
    if (!t->armed || (int64_t)(now - t->due) < 0)
        return false;
    rearm(t, now);
    return (t->config & HPET_TN_ENABLE) != 0;
}

uint32_t hpet_chip_poll(struct hpet_chip *c, uint64_t tick)
{
    uint64_t now = counter_at(c, tick);
    uint32_t fire = 0;

    if (!running(c))
        return 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        if (!match(&c->timer[i], now))
            continue;
        fire |= 1u << i;
        if ((c->timer[i].config & HPET_TN_LEVEL) != 0)
            c->status |= 1u << i;
    }
    return fire;
}

uint64_t hpet_chip_due(const struct hpet_chip *c, uint64_t tick)
{
    uint64_t now = counter_at(c, tick), best = HPET_CHIP_NEVER;

    if (!running(c))
        return best;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_timer *t = &c->timer[i];
        uint64_t wait = (int64_t)(t->due - now) > 0 ? t->due - now : 0;

        if (t->armed && (t->config & HPET_TN_ENABLE) != 0 && wait < best)
            best = wait;
    }
    return best == HPET_CHIP_NEVER ? best : tick + best;
}

unsigned hpet_chip_line(const struct hpet_chip *c, unsigned timer)
{
    if (hpet_chip_legacy(c) && timer < 2)
        return timer == 0 ? 0 : 8;
    return c->timer[timer].config >> HPET_TN_ROUTE_SHIFT & 31;
}

static uint64_t read_timer(const struct hpet_timer *t, unsigned reg)
{
    switch (reg) {
    case HPET_TIMER_CONFIG:
        return t->config | ROUTES << 32;
    case HPET_TIMER_COMPARATOR:
        return is_32bit(t) ? (uint32_t)t->comparator : t->comparator;
    case HPET_TIMER_FSB:
        return t->fsb;
    }
    return 0;
}

uint64_t hpet_chip_read(const struct hpet_chip *c, unsigned offset, uint64_t tick)
{
    if (offset >= HPET_TIMER && offset < HPET_TIMER + 0x20 * HPET_TIMERS)
        return read_timer(&c->timer[(offset - HPET_TIMER) >> 5], offset & 0x18);
    switch (offset) {
    case HPET_ID:
        return PERIOD_FS << 32 | ID;
    case HPET_CONFIG:
        return c->config;
    case HPET_STATUS:
        return c->status;
    case HPET_COUNTER:
        return counter_at(c, tick);
    }
    return 0;
}

/* Starting and stopping: the counter goes on from where it stood. */
static void write_config(struct hpet_chip *c, uint32_t value, uint64_t tick)
{
    uint64_t now = counter_at(c, tick);

    c->config = value & CONFIG_WRITABLE;
    c->counter = running(c) ? now - tick : now;
    arm_all(c, tick);
}

/* The counter is only written while halted; else the write has no effect. */
static void write_counter(struct hpet_chip *c, uint64_t value, uint64_t tick)
{
    if (running(c))
        return;
    c->counter = value;
    arm_all(c, tick);
}

/* A route that the timer does not have is not taken (2.3.8). */
static uint32_t legal_route(uint32_t config, uint32_t old)
{
    uint32_t route_bits = 31u << HPET_TN_ROUTE_SHIFT;

    if ((ROUTES >> (config >> HPET_TN_ROUTE_SHIFT & 31) & 1) != 0)
        return config;
    return (config & ~route_bits) | (old & route_bits);
}

static void write_timer_config(struct hpet_chip *c, unsigned n, uint32_t value, uint64_t tick)
{
    struct hpet_timer *t = &c->timer[n];
    uint32_t config = (value & writable(n)) | capabilities(n);

    t->config = legal_route(config, t->config);
    if (is_32bit(t)) {
        t->comparator = (uint32_t)t->comparator;
        t->period = (uint32_t)t->period;
    }
    if ((t->config & HPET_TN_LEVEL) == 0)
        c->status &= ~(1u << n);
    arm(c, t, tick);
}

/* In periodic mode a write sets the period, and the comparator only if it was announced by SETVAL
 * (2.3.9.2.2). */
static void write_comparator(struct hpet_chip *c, struct hpet_timer *t, uint64_t value,
                             uint64_t tick)
{
    if (is_32bit(t))
        value = (uint32_t)value;
    if (!is_periodic(t) || (t->config & HPET_TN_SETVAL) != 0)
        t->comparator = value;
    if (is_periodic(t))
        t->period = value;
    t->config &= ~(uint32_t)HPET_TN_SETVAL;
    arm(c, t, tick);
}

static void write_timer(struct hpet_chip *c, unsigned n, unsigned reg, uint64_t value,
                        uint64_t mask, uint64_t tick)
{
    struct hpet_timer *t = &c->timer[n];
    uint64_t old = read_timer(t, reg);

    /* A 32-bit write in periodic mode is about the period. */
    if (reg == HPET_TIMER_COMPARATOR && is_periodic(t) && (t->config & HPET_TN_SETVAL) == 0)
        old = t->period;
    value = (old & ~mask) | (value & mask);
    if (reg == HPET_TIMER_CONFIG)
        write_timer_config(c, n, (uint32_t)value, tick);
    else if (reg == HPET_TIMER_COMPARATOR)
        write_comparator(c, t, value, tick);
    else if (reg == HPET_TIMER_FSB)
        t->fsb = value;
}

void hpet_chip_write(struct hpet_chip *c, unsigned offset, uint64_t value, uint64_t mask,
                     uint64_t tick)
{
    uint64_t merged = (hpet_chip_read(c, offset, tick) & ~mask) | (value & mask);

    if (offset >= HPET_TIMER && offset < HPET_TIMER + 0x20 * HPET_TIMERS)
        write_timer(c, (offset - HPET_TIMER) >> 5, offset & 0x18, value, mask, tick);
    else if (offset == HPET_CONFIG)
        write_config(c, (uint32_t)merged, tick);
    else if (offset == HPET_STATUS)
        c->status &= ~(uint32_t)(value & mask);
    else if (offset == HPET_COUNTER)
        write_counter(c, merged, tick);
}

void hpet_chip_shift(struct hpet_chip *c, uint64_t delta)
{
    if (running(c))
        c->counter -= delta;
}
