/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog: lock, time and PCI function around the register model. */
#include "dev/watchdog/i6300esb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "dev/chip/i6300esb_chip.h"
#include "dev/ticks.h"

/* A shorter stage is lengthened: the thread that keeps the time has others to serve. */
#define MIN_STAGE_NS 20000u

struct i6300esb {
    struct i6300esb_config cfg;
    struct pci_func func;
    struct timer *timer;
    struct lock lock; /* below */
    struct i6300esb_chip chip;
    uint64_t end_ns; /* of the stage, UINT64_MAX: never; paused: what is left of it */
    bool paused;
};

static const struct pci_func_info info = {
    .name = "i6300esb",
    .vendor = 0x8086,
    .device = 0x25ab,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x088000,
    .revision = 2,
    .pin = 1,
    .multifunction = true, /* boards put such devices side by side */
};

/* Lock held before. */
static void unlock_and_tell(struct i6300esb *w)
{
    pci_intx_store(&w->func, i6300esb_level(&w->chip));
    lock_drop(&w->lock);
    pci_intx_update(&w->func);
}

static void arm(struct i6300esb *w)
{
    if (w->end_ns == UINT64_MAX)
        timer_cancel(w->timer);
    else if (!w->paused)
        timer_arm(w->timer, w->end_ns);
}

/* A stage begins. Lock held. */
static void follow(struct i6300esb *w, enum i6300esb_effect effect)
{
    uint64_t ns = i6300esb_stage_ns(&w->chip);

    if (effect == I6300ESB_NOTHING)
        return;
    w->end_ns = ticks_later(vclock_now(w->cfg.clock), ns < MIN_STAGE_NS ? MIN_STAGE_NS : ns);
    arm(w);
}

static void on_timer(void *opaque)
{
    struct i6300esb *w = opaque;
    enum i6300esb_effect effect = I6300ESB_NOTHING;

    lock_take(&w->lock);
    if (!w->paused && vclock_now(w->cfg.clock) >= w->end_ns) {
        effect = i6300esb_stage_over(&w->chip);
        follow(w, effect);
    }
    unlock_and_tell(w);
    if (effect == I6300ESB_EXPIRED)
        w->cfg.expired(w->cfg.opaque);
}

/* --- registers --- */

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i6300esb *w = opaque;
    uint32_t value;

    lock_take(&w->lock);
    value = i6300esb_read(&w->chip, (uint32_t)offset);
    lock_drop(&w->lock);
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i6300esb *w = opaque;

    lock_take(&w->lock);
    follow(w, i6300esb_write(&w->chip, (uint32_t)offset, (uint32_t)value));
    unlock_and_tell(w);
}

static const struct bus_ops mmio_ops = {
    .name = "i6300esb", .read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 4};

static bool config_read(void *opaque, unsigned reg, unsigned size, uint32_t *value)
{
    struct i6300esb *w = opaque;

    if (reg != I6300ESB_CONFIG && reg != I6300ESB_LOCK)
        return false;
    lock_take(&w->lock);
    *value = reg == I6300ESB_LOCK ? w->chip.lock : w->chip.config;
    lock_drop(&w->lock);
    return true;
}

static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    struct i6300esb *w = opaque;

    if (reg != I6300ESB_CONFIG && reg != I6300ESB_LOCK)
        return;
    lock_take(&w->lock);
    if (reg == I6300ESB_LOCK)
        follow(w, i6300esb_write_lock(&w->chip, (uint8_t)value));
    else
        follow(w, i6300esb_write_config(&w->chip, (uint16_t)value));
    unlock_and_tell(w);
}

static const struct pci_func_hooks hooks = {.config_read = config_read,
                                            .config_written = config_written};

/* --- life --- */

static void i6300esb_device_reset(void *self)
{
    struct i6300esb *w = self;

    pci_func_reset(&w->func);
    lock_take(&w->lock);
    i6300esb_reset(&w->chip);
    w->end_ns = UINT64_MAX;
    arm(w);
    unlock_and_tell(w);
}

static void i6300esb_pause(void *self)
{
    struct i6300esb *w = self;
    uint64_t now = vclock_now(w->cfg.clock);

    lock_take(&w->lock);
    if (!w->paused && w->end_ns != UINT64_MAX)
        w->end_ns = w->end_ns > now ? w->end_ns - now : 0;
    w->paused = true;
    timer_cancel(w->timer);
    lock_drop(&w->lock);
}

static void i6300esb_resume(void *self)
{
    struct i6300esb *w = self;

    lock_take(&w->lock);
    if (w->paused && w->end_ns != UINT64_MAX)
        w->end_ns = ticks_later(vclock_now(w->cfg.clock), w->end_ns);
    w->paused = false;
    arm(w);
    lock_drop(&w->lock);
}

static void i6300esb_restore(void *self)
{
    struct i6300esb *w = self;

    pci_func_restore(&w->func);
}

static void i6300esb_destroy(void *self)
{
    struct i6300esb *w = self;

    if (w == NULL)
        return;
    pci_remove(&w->func);
    pci_func_finish(&w->func);
    timer_destroy(w->timer);
    lock_finish(&w->lock);
    free(w);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct i6300esb, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct i6300esb, chip, 1, &i6300esb_chip_state),
    STATE_U64_F(struct i6300esb, end_ns),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "i6300esb", .version = 1, .fields = fields};

static const struct device_ops i6300esb_ops = {
    .name = "i6300esb",
    .reset = i6300esb_device_reset,
    .pause = i6300esb_pause,
    .resume = i6300esb_resume,
    .restore = i6300esb_restore,
    .destroy = i6300esb_destroy,
    .state = &state_table,
};

int i6300esb_create(const struct i6300esb_config *cfg, struct device *out, struct err *e)
{
    struct i6300esb *w = calloc(1, sizeof(*w));
    int rc;

    if (w == NULL || pci_func_init(&w->func, &info, &hooks, w) < 0) {
        free(w);
        return err_set(e, ENOMEM, "no memory for the watchdog");
    }
    w->cfg = *cfg;
    lock_init(&w->lock, LOCK_DEVICE);
    i6300esb_reset(&w->chip);
    w->end_ns = UINT64_MAX;
    pci_func_bar(&w->func, 0, PCI_BAR_MEM32, I6300ESB_SIZE, &mmio_ops, w);
    pci_func_set16(&w->func, I6300ESB_CONFIG, 0, 0xffff);
    pci_func_set8(&w->func, I6300ESB_LOCK, 0, 0xff);
    rc = timer_create_on(cfg->loop, cfg->clock, on_timer, w, &w->timer);
    rc = rc < 0 ? err_set(e, -rc, "cannot create a timer: %s", strerror(-rc))
                : pci_add(cfg->bus, cfg->devfn, &w->func, e);
    if (rc < 0) {
        i6300esb_destroy(w);
        return rc;
    }
    *out = (struct device){&i6300esb_ops, w};
    return 0;
}
