/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the Motorola MC146818A real-time clock with 128 bytes of RAM and the century
 * byte at 0x32. No lock, no clock: every call brings the real time in ns since 1970 (UTC). The
 * chip's time is that plus `offset` seconds.
 *
 * While the SET bit halts updates the time registers hold what is in them; when it is cleared the
 * chip goes on from there.
 */
#ifndef DOPPEL_DEV_CHIP_MC146818_H
#define DOPPEL_DEV_CHIP_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

enum rtc_reg {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_CENTURY_REG = 0x32,
};

enum {
    RTC_A_UIP = 0x80,
    RTC_B_24H = 0x02,
    RTC_B_BINARY = 0x04,
    RTC_B_UIE = 0x10,
    RTC_B_AIE = 0x20,
    RTC_B_PIE = 0x40,
    RTC_B_SET = 0x80,
    RTC_C_UF = 0x10,
    RTC_C_AF = 0x20,
    RTC_C_PF = 0x40,
    RTC_C_IRQF = 0x80,
};

#define MC146818_NEVER INT64_MAX

struct mc146818 {
    uint8_t cmos[128]; /* time registers are current only while SET */
    int64_t offset;    /* seconds; in `cmos` terms unsigned for saving */
    int64_t seen;      /* ns: flags are up to date until here */
};

extern const struct state_table mc146818_state;

/* First power-up, with an empty RAM. */
void mc146818_init(struct mc146818 *c, int64_t now);
/* The RESET pin: interrupts off; time and RAM stay (they are on the battery). */
void mc146818_reset(struct mc146818 *c, int64_t now);

uint8_t mc146818_read(struct mc146818 *c, unsigned reg, int64_t now);
void mc146818_write(struct mc146818 *c, unsigned reg, uint8_t value, int64_t now);

/* Brings the flags up to date. */
void mc146818_poll(struct mc146818 *c, int64_t now);
bool mc146818_irq(const struct mc146818 *c);
/* When to poll for the next interrupt: ns since 1970, or MC146818_NEVER. After a poll at `now`. */
int64_t mc146818_due(const struct mc146818 *c, int64_t now);

#endif
