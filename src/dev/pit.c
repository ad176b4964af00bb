/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's interval timer: lock, clock and interrupt around the 8254 chip, and port 0x61. */
#include "dev/pit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/i8254.h"
#include "dev/irq_out.h"
#include "dev/ticks.h"

#define PORT61_GATE 0x01
#define PORT61_SPEAKER 0x02
#define PORT61_WRITABLE 0x0f /* with the two NMI enables, which do nothing */
#define PORT61_REFRESH 0x10
#define PORT61_OUT2 0x20
#define REFRESH_NS 15085 /* half a period of the memory refresh request */

/* Faster interrupts than this are merged: a guest must not keep the loop busy. */
#define MIN_PERIOD_NS 20000

struct pit_state {
    struct i8254 timer;
    uint8_t port61; /* the written bits but the gate, which is in the chip */
};

struct pit {
    struct vclock *clock;
    struct timer *alarm; /* next interrupt of counter 0 */
    struct lock lock;    /* for all below */
    struct pit_state st;
    struct irq_out irq;
    uint64_t due; /* tick of the next rising edge, or I8254_NEVER */
    bool paused;  /* points in time in `st` count from now */
};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct pit_state, timer, 1, &i8254_state),
    STATE_MAX_F(struct pit_state, port61, STATE_U8, PORT61_WRITABLE & ~PORT61_GATE),
    STATE_END_F,
};

static const struct state_table pit_state_table = {.name = "pit", .version = 1, .fields = fields};

static uint64_t tick_now(const struct pit *p)
{
    return p->paused ? 0 : ticks_of_ns(vclock_now(p->clock), PIT_HZ);
}

/* Finds the next edge of counter 0 and sets the alarm for it. Lock held. */
static void schedule(struct pit *p)
{
    uint64_t tick = tick_now(p), due = i8254_next_rise(&p->st.timer, 0, tick), wait;

    p->due = due != I8254_NEVER && due > tick ? due : I8254_NEVER;
    if (p->paused || p->due == I8254_NEVER)
        return;
    wait = ticks_to_ns(due - tick, PIT_HZ);
    timer_arm(p->alarm,
              ticks_later(vclock_now(p->clock), wait < MIN_PERIOD_NS ? MIN_PERIOD_NS : wait));
}

static void update_irq(struct pit *p)
{
    irq_out_set(&p->irq, i8254_out(&p->st.timer, 0, tick_now(p)));
}

/* An alarm may be left over from before the counter was written: only `due` counts. */
static void on_alarm(void *opaque)
{
    struct pit *p = opaque;

    lock_take(&p->lock);
    if (!p->paused && p->due != I8254_NEVER) {
        if (tick_now(p) >= p->due)
            irq_out_pulse(&p->irq);
        schedule(p);
    }
    lock_drop(&p->lock);
    irq_out_flush(&p->irq);
}

static uint64_t counter_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pit *p = opaque;
    uint8_t value;

    (void)size;
    lock_take(&p->lock);
    value = i8254_read(&p->st.timer, (unsigned)offset & 3, tick_now(p));
    lock_drop(&p->lock);
    return value;
}

static bool touches_counter0(unsigned reg, uint8_t value)
{
    return reg == 0 || (reg == 3 && value >> 6 == 0 && (value & 0x30) != 0);
}

static void counter_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pit *p = opaque;
    unsigned reg = (unsigned)offset & 3;

    (void)size;
    lock_take(&p->lock);
    i8254_write(&p->st.timer, reg, (uint8_t)value, tick_now(p));
    if (touches_counter0(reg, (uint8_t)value)) {
        update_irq(p);
        schedule(p);
    }
    lock_drop(&p->lock);
    irq_out_flush(&p->irq);
}

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pit *p = opaque;
    uint8_t value;

    (void)offset, (void)size;
    lock_take(&p->lock);
    value = p->st.port61;
    if (p->st.timer.counter[2].gate)
        value |= PORT61_GATE;
    if (i8254_out(&p->st.timer, 2, tick_now(p)))
        value |= PORT61_OUT2;
    if ((vclock_now(p->clock) / REFRESH_NS & 1) != 0)
        value |= PORT61_REFRESH;
    lock_drop(&p->lock);
    return value;
}

static void port61_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pit *p = opaque;

    (void)offset, (void)size;
    lock_take(&p->lock);
    p->st.port61 = (uint8_t)value & PORT61_WRITABLE & (uint8_t)~PORT61_GATE;
    i8254_set_gate(&p->st.timer, 2, (value & PORT61_GATE) != 0, tick_now(p));
    lock_drop(&p->lock);
}

static const struct bus_ops counter_ops = {
    .name = "pit", .read = counter_read, .write = counter_write, .min_size = 1, .max_size = 1};
static const struct bus_ops port61_ops = {
    .name = "port61", .read = port61_read, .write = port61_write, .min_size = 1, .max_size = 1};

static void pit_reset(void *self)
{
    struct pit *p = self;

    lock_take(&p->lock);
    i8254_reset(&p->st.timer);
    p->st.port61 = 0;
    p->due = I8254_NEVER;
    irq_out_set(&p->irq, false);
    lock_drop(&p->lock);
    timer_cancel(p->alarm);
    irq_out_flush(&p->irq);
}

static void pit_pause(void *self)
{
    struct pit *p = self;

    lock_take(&p->lock);
    if (!p->paused) {
        i8254_shift(&p->st.timer, -tick_now(p));
        p->paused = true;
    }
    lock_drop(&p->lock);
    timer_cancel(p->alarm);
}

static void pit_resume(void *self)
{
    struct pit *p = self;

    lock_take(&p->lock);
    if (p->paused) {
        p->paused = false;
        i8254_shift(&p->st.timer, tick_now(p));
        schedule(p);
    }
    lock_drop(&p->lock);
}

static void pit_restore(void *self)
{
    struct pit *p = self;

    irq_out_restore(&p->irq, i8254_out(&p->st.timer, 0, tick_now(p)));
}

static void pit_destroy(void *self)
{
    struct pit *p = self;

    if (p == NULL)
        return;
    timer_destroy(p->alarm);
    lock_finish(&p->lock);
    free(p);
}

static void *pit_state_object(void *self)
{
    struct pit *p = self;

    return &p->st;
}

static const struct device_ops pit_ops = {
    .name = "pit",
    .reset = pit_reset,
    .pause = pit_pause,
    .resume = pit_resume,
    .restore = pit_restore,
    .destroy = pit_destroy,
    .state = &pit_state_table,
    .state_object = pit_state_object,
};

int pit_create(const struct pit_config *cfg, struct pit **out)
{
    struct pit *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL)
        return -ENOMEM;
    rc = timer_create_on(cfg->loop, cfg->clock, on_alarm, p, &p->alarm);
    if (rc != 0) {
        free(p);
        return rc;
    }
    p->clock = cfg->clock;
    p->due = I8254_NEVER;
    lock_init(&p->lock, LOCK_DEVICE);
    irq_out_init(&p->irq, cfg->irq);
    i8254_reset(&p->st.timer);
    *out = p;
    return 0;
}

struct device pit_device(struct pit *p)
{
    return (struct device){.ops = &pit_ops, .self = p};
}

int pit_map(struct pit *p, struct bus *ports)
{
    int rc = bus_map(ports, 0x40, 4, &counter_ops, p);

    if (rc == 0)
        rc = bus_map(ports, 0x61, 1, &port61_ops, p);
    return rc;
}
