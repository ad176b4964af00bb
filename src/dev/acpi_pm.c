/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI power management block: lock, clock and SCI around the register model. */
#include "dev/acpi_pm.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/log.h"
#include "dev/chip/acpi_chip.h"
#include "dev/irq_out.h"
#include "dev/ticks.h"

_Static_assert(ACPI_PM1_CNT == ACPI_CHIP_CONTROL && ACPI_PM_TMR == ACPI_CHIP_TIMER &&
                   ACPI_PM_GPE0 == ACPI_CHIP_GPE_STATUS,
               "the chip has its registers where the header says");

struct acpi_pm {
    struct acpi_pm_config cfg;
    struct timer *alarm; /* the timer's interrupt */
    struct lock lock;    /* for all below */
    struct acpi_chip chip;
    struct irq_out sci;
    bool paused; /* points in time in `chip` count from now */
};

static uint64_t tick_now(const struct acpi_pm *p)
{
    return p->paused ? 0 : ticks_of_ns(vclock_now(p->cfg.clock), ACPI_PM_TIMER_HZ);
}

static void schedule(struct acpi_pm *p)
{
    uint64_t tick = tick_now(p), due = acpi_chip_due(&p->chip);

    if (p->paused || due == ACPI_CHIP_NEVER || (int64_t)(due - tick) < 0)
        return;
    timer_arm(p->alarm,
              ticks_later(vclock_now(p->cfg.clock), ticks_to_ns(due - tick, ACPI_PM_TIMER_HZ)));
}

static void unlock_and_flush(struct acpi_pm *p)
{
    irq_out_set(&p->sci, acpi_chip_sci(&p->chip));
    lock_drop(&p->lock);
    irq_out_flush(&p->sci);
}

static void on_alarm(void *opaque)
{
    struct acpi_pm *p = opaque;

    lock_take(&p->lock);
    if (!p->paused) {
        acpi_chip_poll(&p->chip, tick_now(p));
        schedule(p);
    }
    unlock_and_flush(p);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *p = opaque;
    uint32_t value;

    lock_take(&p->lock);
    value = acpi_chip_read(&p->chip, (unsigned)offset, size, tick_now(p));
    unlock_and_flush(p);
    return value;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *p = opaque;
    int sleep;

    lock_take(&p->lock);
    sleep = acpi_chip_write(&p->chip, (unsigned)offset, (uint32_t)value, size, tick_now(p));
    schedule(p);
    unlock_and_flush(p);
    if (sleep == ACPI_PM_SLP_TYP_S5 || sleep == ACPI_PM_SLP_TYP_UEFI)
        p->cfg.power_off(p->cfg.opaque);
    else if (sleep == ACPI_PM_SLP_TYP_S3)
        p->cfg.sleep(p->cfg.opaque);
    else if (sleep >= 0)
        log_guest("acpi: there is no sleep state of type %d", sleep);
}

static const struct bus_ops port_ops = {
    .name = "acpi-pm", .read = port_read, .write = port_write, .min_size = 1, .max_size = 4};

/* Of something outside that may come while it is paused: the SCI comes with the resume then. */
static void unlock_after_event(struct acpi_pm *p)
{
    if (p->paused)
        lock_drop(&p->lock);
    else
        unlock_and_flush(p);
}

void acpi_pm_power_button(struct acpi_pm *p)
{
    lock_take(&p->lock);
    acpi_chip_power_button(&p->chip);
    unlock_after_event(p);
}

void acpi_pm_wake(struct acpi_pm *p, enum acpi_pm_wake why)
{
    lock_take(&p->lock);
    acpi_chip_wake(&p->chip, why == ACPI_PM_WAKE_RTC);
    unlock_after_event(p);
}

void acpi_pm_gpe(struct acpi_pm *p, unsigned event)
{
    lock_take(&p->lock);
    acpi_chip_gpe(&p->chip, event);
    unlock_after_event(p);
}

static void acpi_pm_reset(void *self)
{
    struct acpi_pm *p = self;

    lock_take(&p->lock);
    acpi_chip_reset(&p->chip, tick_now(p));
    unlock_and_flush(p);
    timer_cancel(p->alarm);
}

static void acpi_pm_pause(void *self)
{
    struct acpi_pm *p = self;

    lock_take(&p->lock);
    if (!p->paused) {
        acpi_chip_shift(&p->chip, -tick_now(p));
        p->paused = true;
    }
    lock_drop(&p->lock);
    timer_cancel(p->alarm);
}

static void acpi_pm_resume(void *self)
{
    struct acpi_pm *p = self;

    lock_take(&p->lock);
    if (p->paused) {
        p->paused = false;
        acpi_chip_shift(&p->chip, tick_now(p));
        schedule(p);
    }
    unlock_and_flush(p);
}

static void acpi_pm_restore(void *self)
{
    struct acpi_pm *p = self;

    irq_out_restore(&p->sci, acpi_chip_sci(&p->chip));
}

static void acpi_pm_destroy(void *self)
{
    struct acpi_pm *p = self;

    if (p == NULL)
        return;
    timer_destroy(p->alarm);
    lock_finish(&p->lock);
    free(p);
}

static void *acpi_pm_state_object(void *self)
{
    struct acpi_pm *p = self;

    return &p->chip;
}

static const struct device_ops acpi_pm_ops = {
    .name = "acpi-pm",
    .reset = acpi_pm_reset,
    .pause = acpi_pm_pause,
    .resume = acpi_pm_resume,
    .restore = acpi_pm_restore,
    .destroy = acpi_pm_destroy,
    .state = &acpi_chip_state,
    .state_object = acpi_pm_state_object,
};

int acpi_pm_create(const struct acpi_pm_config *cfg, struct acpi_pm **out)
{
    struct acpi_pm *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL)
        return -ENOMEM;
    rc = timer_create_on(cfg->loop, cfg->clock, on_alarm, p, &p->alarm);
    if (rc != 0) {
        free(p);
        return rc;
    }
    p->cfg = *cfg;
    p->chip.timer_bits = cfg->timer_32bit ? 32 : 24;
    lock_init(&p->lock, LOCK_DEVICE);
    irq_out_init(&p->sci, cfg->sci);
    acpi_chip_reset(&p->chip, tick_now(p));
    *out = p;
    return 0;
}

struct device acpi_pm_device(struct acpi_pm *p)
{
    return (struct device){.ops = &acpi_pm_ops, .self = p};
}

int acpi_pm_map(struct acpi_pm *p, struct bus *ports, uint16_t base)
{
    return bus_map(ports, base, ACPI_PM_SIZE, &port_ops, p);
}
