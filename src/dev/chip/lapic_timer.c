/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer of a local APIC: Intel SDM vol. 3, 11.5.4. Nothing counts: the current count follows
 * from the time at which the initial count was loaded.
 */
#include "dev/chip/lapic_internal.h"

enum lapic_timer_mode lapic_chip_timer_mode(const struct lapic_chip *c)
{
    return (enum lapic_timer_mode)(c->lvt[LVT_TIMER] >> LVT_TIMER_MODE_SHIFT & 3);
}

/* SDM figure 11-10: 2, 4 ... 128, 1, from bits 3, 1 and 0. */
static unsigned divider(const struct lapic_chip *c)
{
    unsigned code = (c->divide & 3) | (c->divide >> 1 & 4);

    return 1u << ((code + 1) & 7);
}

/* ns from loading the initial count to zero. */
static uint64_t period(const struct lapic_chip *c)
{
    return (uint64_t)c->timer_initial * divider(c);
}

/* A start in the future can only come from a loaded state; nothing has been counted yet. */
static uint64_t elapsed(const struct lapic_chip *c, uint64_t now)
{
    return (int64_t)(now - c->timer_start) > 0 ? now - c->timer_start : 0;
}

static bool masked(const struct lapic_chip *c)
{
    return (c->lvt[LVT_TIMER] & LVT_MASKED) != 0;
}

static void expire(struct lapic_chip *c)
{
    if (!masked(c))
        lapic_chip_post(c, (uint8_t)c->lvt[LVT_TIMER], false);
}

/* One interrupt stands for all periods that have passed. */
static void poll_count(struct lapic_chip *c, uint64_t now)
{
    uint64_t p = period(c), d = elapsed(c, now);

    if (!c->timer_on || d < p)
        return;
    if (lapic_chip_timer_mode(c) == LAPIC_PERIODIC)
        c->timer_start += d - d % p;
    else
        c->timer_on = false;
    expire(c);
}

void lapic_chip_timer_poll(struct lapic_chip *c, uint64_t now, uint64_t tsc)
{
    if (lapic_chip_timer_mode(c) != LAPIC_TSC_DEADLINE) {
        poll_count(c, now);
    } else if (c->tsc_deadline != 0 && tsc >= c->tsc_deadline) {
        c->tsc_deadline = 0;
        expire(c);
    }
}

uint64_t lapic_chip_timer_due(const struct lapic_chip *c)
{
    if (lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE || !c->timer_on || masked(c))
        return UINT64_MAX;
    return c->timer_start + period(c);
}

uint32_t lapic_timer_current(struct lapic_chip *c, uint64_t now)
{
    poll_count(c, now);
    if (lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE || !c->timer_on)
        return 0;
    return c->timer_initial - (uint32_t)(elapsed(c, now) / divider(c));
}

/* Ignored in TSC-deadline mode. */
void lapic_timer_write_initial(struct lapic_chip *c, uint32_t value, uint64_t now)
{
    if (lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE)
        return;
    c->timer_initial = value;
    c->timer_start = now;
    c->timer_on = value != 0;
}

/* The count goes on at the new speed. */
void lapic_timer_write_divide(struct lapic_chip *c, uint8_t value, uint64_t now)
{
    uint32_t left = lapic_timer_current(c, now);

    c->divide = value;
    if (c->timer_on)
        c->timer_start = now - (uint64_t)(c->timer_initial - left) * divider(c);
}

/* Changing to or from TSC-deadline mode disarms the timer; mode 3 is reserved and behaves like the
 * one-shot mode. */
void lapic_timer_write_lvt(struct lapic_chip *c, uint32_t value, uint64_t now)
{
    bool was_deadline = lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE;

    poll_count(c, now);
    if ((value >> LVT_TIMER_MODE_SHIFT & 3) == 3)
        value &= ~(3u << LVT_TIMER_MODE_SHIFT);
    c->lvt[LVT_TIMER] = value;
    if ((lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE) == was_deadline)
        return;
    c->timer_on = false;
    c->timer_initial = 0;
    c->tsc_deadline = 0;
}

void lapic_chip_set_deadline(struct lapic_chip *c, uint64_t tsc)
{
    if (lapic_chip_timer_mode(c) == LAPIC_TSC_DEADLINE)
        c->tsc_deadline = tsc;
}

void lapic_chip_shift(struct lapic_chip *c, uint64_t delta)
{
    c->timer_start += delta;
}
