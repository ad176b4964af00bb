/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HPET: lock, clock and interrupt lines around the register model. */
#include "dev/hpet.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/hpet_chip.h"
#include "dev/irq_out.h"
#include "dev/ticks.h"

#define NS_PER_TICK (HPET_PERIOD_FS / 1000000)

/* Faster interrupts than this are merged: a guest must not keep the loop busy. */
#define MIN_PERIOD_NS 20000

/* The board's lines that the HPET drives. */
static const uint8_t line_numbers[] = {0, 8, 20, 21, 22, 23};
enum { LINE_PIT, LINE_RTC, LINES = sizeof(line_numbers) };

struct hpet_state {
    struct hpet_chip chip;
    bool isa[2]; /* levels of the outputs of 8254 and RTC */
};

struct hpet {
    struct hpet_config cfg;
    struct timer *alarm; /* the next match */
    struct lock lock;    /* for all below */
    struct hpet_state st;
    struct irq_out out[LINES];
    bool paused; /* points in time in `st` count from now */
};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct hpet_state, chip, 1, &hpet_chip_state),
    STATE_ARRAY_F(struct hpet_state, isa, STATE_BOOL, 2),
    STATE_END_F,
};
static const struct state_table state_table = {
    .name = "hpet-board", .version = 1, .fields = fields};

static uint64_t tick_now(const struct hpet *h)
{
    return h->paused ? 0 : vclock_now(h->cfg.clock) / NS_PER_TICK;
}

/* The output of a timer, or LINES if its route leads nowhere. */
static unsigned output_of(const struct hpet *h, unsigned timer)
{
    unsigned line = hpet_chip_line(&h->st.chip, timer), i = 0;

    if (line == 0 && !hpet_chip_legacy(&h->st.chip))
        return LINES; /* the route is not programmed */
    while (i < LINES && line_numbers[i] != line)
        i++;
    return i;
}

/* A line is up while a level-triggered timer holds it, or with the 8254 and the RTC when these are
 * not replaced. */
static bool level_of(const struct hpet *h, unsigned out)
{
    const struct hpet_chip *c = &h->st.chip;

    if (out <= LINE_RTC && !hpet_chip_legacy(c))
        return h->st.isa[out];
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        if ((c->status >> i & 1) != 0 && (c->timer[i].config & HPET_TN_FSB) == 0 &&
            (c->timer[i].config & HPET_TN_ENABLE) != 0 && output_of(h, i) == out)
            return true;
    return false;
}

/* Edge-triggered timers pulse their line. */
static void pulse(struct hpet *h, uint32_t fire)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        uint32_t config = h->st.chip.timer[i].config;
        unsigned out = output_of(h, i);

        if ((fire >> i & 1) != 0 && (config & (HPET_TN_FSB | HPET_TN_LEVEL)) == 0 && out < LINES)
            irq_out_pulse(&h->out[out]);
    }
}

static void schedule(struct hpet *h)
{
    uint64_t tick = tick_now(h), due = hpet_chip_due(&h->st.chip, tick), wait;

    if (h->paused || due == HPET_CHIP_NEVER)
        return;
    wait = ticks_scale(due - tick, NS_PER_TICK, 1);
    timer_arm(h->alarm,
              ticks_later(vclock_now(h->cfg.clock), wait < MIN_PERIOD_NS ? MIN_PERIOD_NS : wait));
}

/* Drops the lock and delivers what happened: changes of the lines and the messages of the timers in
 * `fire`. */
static void unlock_and_deliver(struct hpet *h, uint32_t fire)
{
    uint64_t message[HPET_TIMERS];
    unsigned n = 0;

    pulse(h, fire);
    for (unsigned i = 0; i < LINES; i++)
        irq_out_set(&h->out[i], level_of(h, i));
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        if ((fire >> i & 1) != 0 && (h->st.chip.timer[i].config & HPET_TN_FSB) != 0)
            message[n++] = h->st.chip.timer[i].fsb;
    lock_drop(&h->lock);
    for (unsigned i = 0; i < LINES; i++)
        irq_out_flush(&h->out[i]);
    for (unsigned i = 0; i < n; i++)
        msi_send(&h->cfg.msi, message[i] >> 32, (uint32_t)message[i]);
}

static void on_alarm(void *opaque)
{
    struct hpet *h = opaque;
    uint32_t fire = 0;

    lock_take(&h->lock);
    if (!h->paused) {
        fire = hpet_chip_poll(&h->st.chip, tick_now(h));
        schedule(h);
    }
    unlock_and_deliver(h, fire);
}

void hpet_isa_in(void *opaque, unsigned line, bool level)
{
    struct hpet *h = opaque;

    lock_take(&h->lock);
    h->st.isa[line == 0 ? LINE_PIT : LINE_RTC] = level;
    unlock_and_deliver(h, 0);
}

/* Accesses are 4 or 8 bytes on their natural boundaries (specification 2.3.2); narrower reads see a
 * part of the register, and what crosses its end reads as zero. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct hpet *h = opaque;
    uint64_t value;

    (void)size;
    lock_take(&h->lock);
    value = hpet_chip_read(&h->st.chip, (unsigned)offset & ~7u, tick_now(h));
    lock_drop(&h->lock);
    return value >> (offset & 7) * 8;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct hpet *h = opaque;
    unsigned shift = (unsigned)(offset & 7) * 8;
    uint64_t mask = size == 8 ? UINT64_MAX : (1ull << size * 8) - 1;
    uint64_t tick;
    uint32_t fire;

    if ((offset & (size - 1)) != 0 || size < 4)
        return;
    lock_take(&h->lock);
    tick = tick_now(h);
    fire = hpet_chip_poll(&h->st.chip, tick);
    hpet_chip_write(&h->st.chip, (unsigned)offset & ~7u, value << shift, mask << shift, tick);
    schedule(h);
    unlock_and_deliver(h, fire);
}

static const struct bus_ops mmio_ops = {
    .name = "hpet", .read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 8};

static void hpet_reset(void *self)
{
    struct hpet *h = self;

    lock_take(&h->lock);
    hpet_chip_reset(&h->st.chip);
    unlock_and_deliver(h, 0);
    timer_cancel(h->alarm);
}

static void hpet_pause(void *self)
{
    struct hpet *h = self;

    lock_take(&h->lock);
    if (!h->paused) {
        hpet_chip_shift(&h->st.chip, -tick_now(h));
        h->paused = true;
    }
    lock_drop(&h->lock);
    timer_cancel(h->alarm);
}

static void hpet_resume(void *self)
{
    struct hpet *h = self;

    lock_take(&h->lock);
    if (h->paused) {
        h->paused = false;
        hpet_chip_shift(&h->st.chip, tick_now(h));
        schedule(h);
    }
    lock_drop(&h->lock);
}

static void hpet_restore(void *self)
{
    struct hpet *h = self;

    for (unsigned i = 0; i < LINES; i++)
        irq_out_restore(&h->out[i], level_of(h, i));
}

static void hpet_destroy(void *self)
{
    struct hpet *h = self;

    if (h == NULL)
        return;
    timer_destroy(h->alarm);
    lock_finish(&h->lock);
    free(h);
}

static void *hpet_state_object(void *self)
{
    struct hpet *h = self;

    return &h->st;
}

static const struct device_ops hpet_ops = {
    .name = "hpet",
    .reset = hpet_reset,
    .pause = hpet_pause,
    .resume = hpet_resume,
    .restore = hpet_restore,
    .destroy = hpet_destroy,
    .state = &state_table,
    .state_object = hpet_state_object,
};

static void set_up_lines(struct hpet *h)
{
    for (unsigned i = 0; i < LINES; i++) {
        struct pin pin = h->cfg.lines;

        pin.line = line_numbers[i];
        irq_out_init(&h->out[i], pin);
    }
}

int hpet_create(const struct hpet_config *cfg, struct hpet **out)
{
    struct hpet *h = calloc(1, sizeof(*h));
    int rc;

    if (h == NULL)
        return -ENOMEM;
    rc = timer_create_on(cfg->loop, cfg->clock, on_alarm, h, &h->alarm);
    if (rc != 0) {
        free(h);
        return rc;
    }
    h->cfg = *cfg;
    lock_init(&h->lock, LOCK_DEVICE);
    set_up_lines(h);
    hpet_chip_reset(&h->st.chip);
    *out = h;
    return 0;
}

struct device hpet_device(struct hpet *h)
{
    return (struct device){.ops = &hpet_ops, .self = h};
}

int hpet_map(struct hpet *h, struct bus *mmio, uint64_t base)
{
    return bus_map(mmio, base, HPET_MMIO_SIZE, &mmio_ops, h);
}
