/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818A real-time clock; the contract is in the header. */
#include "dev/chip/mc146818.h"

#include <errno.h>
#include <string.h>

#define SECOND 1000000000ll
#define DAY 86400
#define UIP_NS 244000 /* the update begins that long after UIP rises */
#define OFFSET_MAX (400ll * 366 * DAY)
#define WILDCARD 0xc0 /* alarm bytes from here match everything */

#define REG_A_RESET 0x26 /* 32.768 kHz, 1024 Hz */
#define REG_D_VALID 0x80 /* the battery is good */

static int validate(const void *object, struct err *e)
{
    const struct mc146818 *c = object;

    if (c->offset > OFFSET_MAX || c->offset < -OFFSET_MAX)
        return err_set(e, EINVAL, "rtc: a clock that is centuries off");
    return 0;
}

static const struct state_field fields[] = {
    STATE_BYTES_F(struct mc146818, cmos),
    STATE_U64_F(struct mc146818, offset),
    STATE_END_F,
};

const struct state_table mc146818_state = {
    .name = "mc146818", .version = 1, .fields = fields, .validate = validate};

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, weekday; /* weekday 1: Sunday */
};

/* Days since 1970 of a date in the Gregorian calendar; years begin in March here, so that the leap
 * day is the last one. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct civil civil_of(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY), z = days + 719468;
    int64_t era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned rest = (unsigned)(seconds - days * DAY);
    struct civil t = {
        .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
        .month = (unsigned)(mp < 10 ? mp + 3 : mp - 9),
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (unsigned)(((days + 4) % 7 + 7) % 7 + 1),
    };

    t.year = yoe + era * 400 + (t.month <= 2);
    return t;
}

/* The chip's time in whole seconds. */
static int64_t chip_seconds(const struct mc146818 *c, int64_t now)
{
    return floor_div(now, SECOND) + c->offset;
}

static uint8_t encode(const struct mc146818 *c, unsigned v)
{
    v %= 100;
    return (uint8_t)((c->cmos[RTC_B] & RTC_B_BINARY) != 0 ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct mc146818 *c, uint8_t v)
{
    return (c->cmos[RTC_B] & RTC_B_BINARY) != 0 ? v : (v >> 4) * 10u + (v & 15);
}

/* 12-hour mode: 12, 1 .. 11, with bit 7 in the afternoon. */
static uint8_t encode_hour(const struct mc146818 *c, unsigned hour)
{
    if ((c->cmos[RTC_B] & RTC_B_24H) != 0)
        return encode(c, hour);
    return (uint8_t)(encode(c, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct mc146818 *c, uint8_t v)
{
    if ((c->cmos[RTC_B] & RTC_B_24H) != 0)
        return decode(c, v);
    return decode(c, v & 0x7f) % 12 + ((v & 0x80) != 0 ? 12 : 0);
}

static void store_time(struct mc146818 *c, int64_t seconds)
{
    struct civil t = civil_of(seconds);

    c->cmos[RTC_SECONDS] = encode(c, t.second);
    c->cmos[RTC_MINUTES] = encode(c, t.minute);
    c->cmos[RTC_HOURS] = encode_hour(c, t.hour);
    c->cmos[RTC_WEEKDAY] = encode(c, t.weekday);
    c->cmos[RTC_DAY] = encode(c, t.day);
    c->cmos[RTC_MONTH] = encode(c, t.month);
    c->cmos[RTC_YEAR] = encode(c, (unsigned)(t.year % 100));
    c->cmos[RTC_CENTURY_REG] = (uint8_t)(t.year / 1000 % 10 << 4 | t.year / 100 % 10);
}

/* Values that are no date are taken modulo what a date can be. */
static int64_t load_time(const struct mc146818 *c)
{
    const uint8_t *m = c->cmos;
    int64_t century = (m[RTC_CENTURY_REG] >> 4) * 10 + (m[RTC_CENTURY_REG] & 15);
    int64_t year = century * 100 + decode(c, m[RTC_YEAR]) % 100;
    unsigned month = (decode(c, m[RTC_MONTH]) + 11) % 12 + 1;
    unsigned day = (decode(c, m[RTC_DAY]) + 30) % 31 + 1;

    return days_of(year, month, day) * DAY + decode_hour(c, m[RTC_HOURS]) % 24 * 3600 +
           decode(c, m[RTC_MINUTES]) % 60 * 60 + decode(c, m[RTC_SECONDS]) % 60;
}

static void set_time(struct mc146818 *c, int64_t now)
{
    int64_t offset = load_time(c) - floor_div(now, SECOND);

    if (offset >= -OFFSET_MAX && offset <= OFFSET_MAX)
        c->offset = offset;
}

static bool halted(const struct mc146818 *c)
{
    return (c->cmos[RTC_B] & RTC_B_SET) != 0;
}

static bool is_time(unsigned reg)
{
    return reg == RTC_SECONDS || reg == RTC_MINUTES || reg == RTC_HOURS ||
           (reg >= RTC_WEEKDAY && reg <= RTC_YEAR) || reg == RTC_CENTURY_REG;
}

/* ns between periodic interrupts, or 0 (data sheet table 5). */
static int64_t period(const struct mc146818 *c)
{
    unsigned rate = c->cmos[RTC_A] & 15;

    if (rate == 0)
        return 0;
    if (rate <= 2)
        rate += 7;
    return (SECOND << (rate - 1)) / 32768;
}

/* Does an alarm byte match? From `WILDCARD` on it matches everything. */
static bool matches(uint8_t byte, unsigned decoded, unsigned value)
{
    return byte >= WILDCARD || decoded == value;
}

/* How many seconds after `of_day` (second of the day) the alarm may go off at the earliest: 0 if
 * now, else to the next hour, minute or second that is worth looking at. */
static unsigned alarm_step(const struct mc146818 *c, unsigned of_day)
{
    const uint8_t *m = c->cmos;
    unsigned second = decode(c, m[RTC_SECONDS_ALARM]);

    if (!matches(m[RTC_HOURS_ALARM], decode_hour(c, m[RTC_HOURS_ALARM]), of_day / 3600))
        return 3600 - of_day % 3600;
    if (!matches(m[RTC_MINUTES_ALARM], decode(c, m[RTC_MINUTES_ALARM]), of_day / 60 % 60))
        return 60 - of_day % 60;
    if (matches(m[RTC_SECONDS_ALARM], second, of_day % 60))
        return 0;
    return second < 60 && second > of_day % 60 ? second - of_day % 60 : 60 - of_day % 60;
}

/* The first second after `from` (chip time) at which the alarm goes off. */
static int64_t next_alarm(const struct mc146818 *c, int64_t from)
{
    int64_t s = from + 1;
    unsigned step;

    while (s <= from + DAY) {
        step = alarm_step(c, (unsigned)(s - floor_div(s, DAY) * DAY));
        if (step == 0)
            return s;
        s += step;
    }
    return MC146818_NEVER;
}

static void update_irqf(struct mc146818 *c)
{
    uint8_t flags = c->cmos[RTC_C] & (RTC_C_PF | RTC_C_AF | RTC_C_UF);

    c->cmos[RTC_C] = (flags & c->cmos[RTC_B]) != 0 ? flags | RTC_C_IRQF : flags;
}

void mc146818_poll(struct mc146818 *c, int64_t now)
{
    int64_t p = period(c);

    if (p != 0 && floor_div(now, p) > floor_div(c->seen, p))
        c->cmos[RTC_C] |= RTC_C_PF;
    if (!halted(c) && floor_div(now, SECOND) > floor_div(c->seen, SECOND)) {
        c->cmos[RTC_C] |= RTC_C_UF;
        if (next_alarm(c, chip_seconds(c, c->seen)) <= chip_seconds(c, now))
            c->cmos[RTC_C] |= RTC_C_AF;
    }
    c->seen = now;
    update_irqf(c);
}

bool mc146818_irq(const struct mc146818 *c)
{
    return (c->cmos[RTC_C] & RTC_C_IRQF) != 0;
}

/* Is an interrupt enabled whose flag is not set yet? The bits are the same in B and C. */
static bool awaited(const struct mc146818 *c, uint8_t bit)
{
    return (c->cmos[RTC_B] & ~c->cmos[RTC_C] & bit) != 0;
}

int64_t mc146818_due(const struct mc146818 *c, int64_t now)
{
    int64_t due = MC146818_NEVER, p = period(c), alarm;

    if (p != 0 && awaited(c, RTC_C_PF))
        due = (floor_div(now, p) + 1) * p;
    if (halted(c))
        return due;
    if (awaited(c, RTC_C_UF) && (floor_div(now, SECOND) + 1) * SECOND < due)
        due = (floor_div(now, SECOND) + 1) * SECOND;
    if (!awaited(c, RTC_C_AF))
        return due;
    alarm = next_alarm(c, chip_seconds(c, now));
    if (alarm != MC146818_NEVER && (alarm - c->offset) * SECOND < due)
        due = (alarm - c->offset) * SECOND;
    return due;
}

static uint8_t read_a(const struct mc146818 *c, int64_t now)
{
    bool updating = !halted(c) && now - floor_div(now, SECOND) * SECOND >= SECOND - UIP_NS;

    return updating ? c->cmos[RTC_A] | RTC_A_UIP : c->cmos[RTC_A];
}

static uint8_t read_c(struct mc146818 *c)
{
    uint8_t value = c->cmos[RTC_C];

    c->cmos[RTC_C] = 0;
    return value;
}

uint8_t mc146818_read(struct mc146818 *c, unsigned reg, int64_t now)
{
    reg &= 127;
    mc146818_poll(c, now);
    if (reg == RTC_A)
        return read_a(c, now);
    if (reg == RTC_C)
        return read_c(c);
    if (is_time(reg) && !halted(c))
        store_time(c, chip_seconds(c, now));
    return c->cmos[reg];
}

static void write_b(struct mc146818 *c, uint8_t value, int64_t now)
{
    bool was_halted = halted(c);

    if ((value & RTC_B_SET) != 0) {
        if (!was_halted)
            store_time(c, chip_seconds(c, now));
        value &= (uint8_t)~RTC_B_UIE; /* SET clears it */
    }
    c->cmos[RTC_B] = value;
    if (was_halted && !halted(c))
        set_time(c, now);
    update_irqf(c);
}

static void write_time(struct mc146818 *c, unsigned reg, uint8_t value, int64_t now)
{
    if (halted(c)) {
        c->cmos[reg] = value;
        return;
    }
    store_time(c, chip_seconds(c, now));
    c->cmos[reg] = value;
    set_time(c, now);
}

void mc146818_write(struct mc146818 *c, unsigned reg, uint8_t value, int64_t now)
{
    reg &= 127;
    mc146818_poll(c, now);
    if (reg == RTC_A)
        c->cmos[RTC_A] = value & (uint8_t)~RTC_A_UIP;
    else if (reg == RTC_B)
        write_b(c, value, now);
    else if (is_time(reg))
        write_time(c, reg, value, now);
    else if (reg != RTC_C && reg != RTC_D)
        c->cmos[reg] = value;
}

void mc146818_reset(struct mc146818 *c, int64_t now)
{
    c->cmos[RTC_B] &= (uint8_t) ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | 0x08);
    c->cmos[RTC_C] = 0;
    c->seen = now;
}

void mc146818_init(struct mc146818 *c, int64_t now)
{
    memset(c, 0, sizeof(*c));
    c->cmos[RTC_A] = REG_A_RESET;
    c->cmos[RTC_B] = RTC_B_24H;
    c->cmos[RTC_D] = REG_D_VALID;
    c->seen = now;
}
