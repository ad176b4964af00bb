/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the HPET: IA-PC HPET specification 1.0a, chapter 2. 64-bit counter, three
 * comparators, the first one periodic. No lock, no clock: `tick` counts clocks of the counter since
 * some start and never goes back; it goes on while the counter is halted.
 */
#ifndef DOPPEL_DEV_CHIP_HPET_CHIP_H
#define DOPPEL_DEV_CHIP_HPET_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define HPET_TIMERS 3
#define HPET_CHIP_NEVER UINT64_MAX

enum {
    HPET_ID = 0x000,
    HPET_CONFIG = 0x010,
    HPET_STATUS = 0x020,
    HPET_COUNTER = 0x0f0,
    HPET_TIMER = 0x100, /* 0x20 for each */
    HPET_TIMER_CONFIG = 0x00,
    HPET_TIMER_COMPARATOR = 0x08,
    HPET_TIMER_FSB = 0x10,
};

enum {
    HPET_CFG_ENABLE = 1,
    HPET_CFG_LEGACY = 2,

    HPET_TN_LEVEL = 1 << 1,
    HPET_TN_ENABLE = 1 << 2,
    HPET_TN_PERIODIC = 1 << 3,
    HPET_TN_PERIODIC_CAP = 1 << 4,
    HPET_TN_SIZE_CAP = 1 << 5,
    HPET_TN_SETVAL = 1 << 6,
    HPET_TN_32BIT = 1 << 8,
    HPET_TN_ROUTE_SHIFT = 9,
    HPET_TN_FSB = 1 << 14,
    HPET_TN_FSB_CAP = 1 << 15,
};

struct hpet_timer {
    uint32_t config; /* low half; the capabilities are fixed */
    uint64_t comparator;
    uint64_t period; /* last value written in periodic mode */
    uint64_t fsb;    /* address << 32 | data */
    bool armed;
    uint64_t due; /* counter value of the next match, not truncated to the timer's size */
};

struct hpet_chip {
    uint32_t config;
    uint32_t status;  /* level-triggered interrupts that are active */
    uint64_t counter; /* while halted its value, else what it was at tick 0 (modulo 2^64) */
    struct hpet_timer timer[HPET_TIMERS];
};

extern const struct state_table hpet_chip_state;

void hpet_chip_reset(struct hpet_chip *c);
/* `offset` is a multiple of 8: the register, or 0 where there is none. */
uint64_t hpet_chip_read(const struct hpet_chip *c, unsigned offset, uint64_t tick);
/* `mask`: the bits that are written (one half or both). */
void hpet_chip_write(struct hpet_chip *c, unsigned offset, uint64_t value, uint64_t mask,
                     uint64_t tick);

/* Lets timers match; the result has bit n for an interrupt of timer n that is due now. */
uint32_t hpet_chip_poll(struct hpet_chip *c, uint64_t tick) MUST_CHECK;
/* The tick of the next match, or HPET_CHIP_NEVER. */
uint64_t hpet_chip_due(const struct hpet_chip *c, uint64_t tick);

static inline bool hpet_chip_legacy(const struct hpet_chip *c)
{
    return (c->config & HPET_CFG_LEGACY) != 0;
}
/* The board line of a timer (after legacy replacement). */
unsigned hpet_chip_line(const struct hpet_chip *c, unsigned timer);

void hpet_chip_shift(struct hpet_chip *c, uint64_t delta);

#endif
