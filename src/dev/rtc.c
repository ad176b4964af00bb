/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's real-time clock: lock, host time and interrupt around the MC146818 chip. */
#include "dev/rtc.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/lock.h"
#include "dev/chip/mc146818.h"
#include "dev/irq_out.h"
#include "dev/ticks.h"

_Static_assert(RTC_CENTURY == RTC_CENTURY_REG, "the FADT names the chip's century byte");

/* Faster periodic interrupts do not exist (8192 Hz), but the host's time may jump. */
#define MIN_WAIT_NS 50000

struct rtc_state {
    struct mc146818 chip;
    uint8_t index; /* written to port 0x70; bit 7 masks NMI on a PC */
};

struct rtc {
    struct rtc_config cfg;
    struct timer *alarm; /* next interrupt */
    struct lock lock;    /* for all below */
    struct rtc_state st;
    struct irq_out irq;
    bool paused;
};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct rtc_state, chip, 1, &mc146818_state),
    STATE_U8_F(struct rtc_state, index),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "rtc", .version = 1, .fields = fields};

static int64_t utc_now(const struct rtc *r)
{
    struct timespec ts;

    if (r->cfg.utc_ns != NULL)
        return r->cfg.utc_ns(r->cfg.opaque);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

/* Sets the alarm for the next interrupt; time measured by the host's UTC is waited for on the
 * virtual clock, and looked at again when the wait is over. */
static void schedule(struct rtc *r)
{
    int64_t now = utc_now(r), due = mc146818_due(&r->st.chip, now);
    uint64_t wait;

    if (r->paused || due == MC146818_NEVER)
        return;
    wait = due - now < MIN_WAIT_NS ? MIN_WAIT_NS : (uint64_t)(due - now);
    timer_arm(r->alarm, ticks_later(vclock_now(r->cfg.clock), wait));
}

static void unlock_and_flush(struct rtc *r)
{
    irq_out_set(&r->irq, mc146818_irq(&r->st.chip));
    lock_drop(&r->lock);
    irq_out_flush(&r->irq);
}

static void on_alarm(void *opaque)
{
    struct rtc *r = opaque;

    lock_take(&r->lock);
    if (!r->paused) {
        mc146818_poll(&r->st.chip, utc_now(r));
        schedule(r);
    }
    unlock_and_flush(r);
}

/* The index port cannot be read back. */
static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct rtc *r = opaque;
    uint8_t value = 0xff;

    (void)size;
    if (offset == 0)
        return value;
    lock_take(&r->lock);
    value = mc146818_read(&r->st.chip, r->st.index & 127, utc_now(r));
    if ((r->st.index & 127) == RTC_C)
        schedule(r);
    unlock_and_flush(r);
    return value;
}

/* Registers whose write moves the next interrupt: all but the RAM. */
static bool affects_interrupts(unsigned reg)
{
    return reg <= RTC_B || reg == RTC_CENTURY_REG;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct rtc *r = opaque;

    (void)size;
    lock_take(&r->lock);
    if (offset == 0) {
        r->st.index = (uint8_t)value;
    } else {
        mc146818_write(&r->st.chip, r->st.index & 127, (uint8_t)value, utc_now(r));
        if (affects_interrupts(r->st.index & 127))
            schedule(r);
    }
    unlock_and_flush(r);
}

static const struct bus_ops port_ops = {
    .name = "rtc", .read = port_read, .write = port_write, .min_size = 1, .max_size = 1};

void rtc_set_cmos(struct rtc *r, unsigned index, uint8_t value)
{
    lock_take(&r->lock);
    if (index > RTC_D && index < sizeof(r->st.chip.cmos))
        r->st.chip.cmos[index] = value;
    lock_drop(&r->lock);
}

static void set_cmos16(struct rtc *r, unsigned index, uint64_t value)
{
    uint16_t v = value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;

    rtc_set_cmos(r, index, (uint8_t)v);
    rtc_set_cmos(r, index + 1, (uint8_t)(v >> 8));
}

/* Base memory in KiB, memory above 1 MiB in KiB (twice), above 16 MiB in 64 KiB, above 4 GiB in
 * 64 KiB. */
void rtc_set_memory(struct rtc *r, uint64_t below_4g, uint64_t above_4g)
{
    uint64_t above_1m = below_4g > 1u << 20 ? below_4g - (1u << 20) : 0;
    uint64_t above_16m = below_4g > 16u << 20 ? below_4g - (16u << 20) : 0;
    uint64_t high = above_4g >> 16;

    set_cmos16(r, 0x15, 640);
    set_cmos16(r, 0x17, above_1m >> 10);
    set_cmos16(r, 0x30, above_1m >> 10);
    set_cmos16(r, 0x34, above_16m >> 16);
    rtc_set_cmos(r, 0x5b, (uint8_t)high);
    rtc_set_cmos(r, 0x5c, (uint8_t)(high >> 8));
    rtc_set_cmos(r, 0x5d, (uint8_t)(high >> 16));
}

static void rtc_reset(void *self)
{
    struct rtc *r = self;

    lock_take(&r->lock);
    mc146818_reset(&r->st.chip, utc_now(r));
    r->st.index = 0;
    unlock_and_flush(r);
    timer_cancel(r->alarm);
}

static void rtc_pause(void *self)
{
    struct rtc *r = self;

    lock_take(&r->lock);
    r->paused = true;
    lock_drop(&r->lock);
    timer_cancel(r->alarm);
}

/* The clock went on; interrupts of the time in between are not made up for. */
static void rtc_resume(void *self)
{
    struct rtc *r = self;

    lock_take(&r->lock);
    if (r->paused) {
        r->paused = false;
        r->st.chip.seen = utc_now(r);
        schedule(r);
    }
    lock_drop(&r->lock);
}

static void rtc_restore(void *self)
{
    struct rtc *r = self;

    irq_out_restore(&r->irq, mc146818_irq(&r->st.chip));
}

static void rtc_destroy(void *self)
{
    struct rtc *r = self;

    if (r == NULL)
        return;
    timer_destroy(r->alarm);
    lock_finish(&r->lock);
    free(r);
}

static void *rtc_state_object(void *self)
{
    struct rtc *r = self;

    return &r->st;
}

static const struct device_ops rtc_ops = {
    .name = "rtc",
    .reset = rtc_reset,
    .pause = rtc_pause,
    .resume = rtc_resume,
    .restore = rtc_restore,
    .destroy = rtc_destroy,
    .state = &state_table,
    .state_object = rtc_state_object,
};

int rtc_create(const struct rtc_config *cfg, struct rtc **out)
{
    struct rtc *r = calloc(1, sizeof(*r));
    int rc;

    if (r == NULL)
        return -ENOMEM;
    rc = timer_create_on(cfg->loop, cfg->clock, on_alarm, r, &r->alarm);
    if (rc != 0) {
        free(r);
        return rc;
    }
    r->cfg = *cfg;
    lock_init(&r->lock, LOCK_DEVICE);
    irq_out_init(&r->irq, cfg->irq);
    mc146818_init(&r->st.chip, utc_now(r));
    *out = r;
    return 0;
}

struct device rtc_device(struct rtc *r)
{
    return (struct device){.ops = &rtc_ops, .self = r};
}

int rtc_map(struct rtc *r, struct bus *ports)
{
    return bus_map(ports, 0x70, 2, &port_ops, r);
}
