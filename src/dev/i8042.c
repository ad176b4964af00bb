/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller: lock and interrupts around the register model. */
#include "dev/i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/i8042_chip.h"
#include "dev/irq_out.h"
#include "dev/ticks.h"

#define DATA_PORT 0x60
#define COMMAND_PORT 0x64

struct i8042 {
    struct i8042_config cfg;
    struct timer *repeat; /* of the key that is held */
    struct lock lock;     /* for all below */
    struct i8042_chip chip;
    struct irq_out kbd_irq, aux_irq;
    bool paused;
};

static void update_irqs(struct i8042 *k)
{
    irq_out_set(&k->kbd_irq, i8042_chip_kbd_irq(&k->chip));
    irq_out_set(&k->aux_irq, i8042_chip_aux_irq(&k->chip));
}

/* The lines go down with the byte that was read before they go up for the next one: that is an edge
 * for each byte. */
static void unlock_and_flush(struct i8042 *k)
{
    update_irqs(k);
    i8042_chip_advance(&k->chip);
    update_irqs(k);
    lock_drop(&k->lock);
    irq_out_flush(&k->kbd_irq);
    irq_out_flush(&k->aux_irq);
}

static void tell_board(struct i8042 *k, struct i8042_effect fx, bool a20)
{
    if (fx.a20_changed && k->cfg.a20 != NULL)
        k->cfg.a20(k->cfg.opaque, a20);
    if (fx.reset)
        k->cfg.reset(k->cfg.opaque);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *k = opaque;
    uint8_t value;

    (void)offset, (void)size;
    lock_take(&k->lock);
    value = i8042_chip_read_data(&k->chip);
    unlock_and_flush(k);
    return value;
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *k = opaque;
    uint8_t value;

    (void)offset, (void)size;
    lock_take(&k->lock);
    value = i8042_chip_read_status(&k->chip);
    lock_drop(&k->lock);
    return value;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *k = opaque;
    struct i8042_effect fx;
    bool a20;

    (void)offset, (void)size;
    lock_take(&k->lock);
    fx = i8042_chip_write_data(&k->chip, (uint8_t)value);
    a20 = k->chip.a20;
    unlock_and_flush(k);
    tell_board(k, fx, a20);
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *k = opaque;
    struct i8042_effect fx;
    bool a20;

    (void)offset, (void)size;
    lock_take(&k->lock);
    fx = i8042_chip_write_command(&k->chip, (uint8_t)value);
    a20 = k->chip.a20;
    unlock_and_flush(k);
    tell_board(k, fx, a20);
}

static const struct bus_ops data_ops = {
    .name = "i8042-data", .read = data_read, .write = data_write, .min_size = 1, .max_size = 1};
static const struct bus_ops command_ops = {
    .name = "i8042-command",
    .read = status_read,
    .write = command_write,
    .min_size = 1,
    .max_size = 1,
};

/* While paused the event waits in the device; its interrupt comes with the resume. */
static void unlock_after_event(struct i8042 *k)
{
    if (k->paused)
        lock_drop(&k->lock);
    else
        unlock_and_flush(k);
}

/* Lock held. */
static void wait_for_repeat(struct i8042 *k, uint64_t ns)
{
    if (k->chip.keyboard.held == 0)
        timer_cancel(k->repeat);
    else if (!k->paused)
        timer_arm(k->repeat, ticks_later(vclock_now(k->cfg.clock), ns));
}

static void on_repeat(void *opaque)
{
    struct i8042 *k = opaque;

    lock_take(&k->lock);
    if (k->paused) {
        lock_drop(&k->lock);
        return;
    }
    ps2_keyboard_repeat(&k->chip.keyboard);
    wait_for_repeat(k, ps2_keyboard_period_ns(&k->chip.keyboard));
    unlock_and_flush(k);
}

int i8042_key(struct i8042 *k, unsigned key, bool down)
{
    uint8_t held;
    int rc;

    lock_take(&k->lock);
    held = k->chip.keyboard.held;
    rc = ps2_keyboard_key(&k->chip.keyboard, key, down);
    if (k->chip.keyboard.held != held)
        wait_for_repeat(k, ps2_keyboard_delay_ns(&k->chip.keyboard));
    unlock_after_event(k);
    return rc;
}

uint8_t i8042_leds(struct i8042 *k)
{
    uint8_t leds;

    lock_take(&k->lock);
    leds = k->chip.keyboard.leds;
    lock_drop(&k->lock);
    return leds;
}

void i8042_mouse(struct i8042 *k, int dx, int dy, int dz, unsigned buttons)
{
    lock_take(&k->lock);
    ps2_mouse_event(&k->chip.mouse, dx, dy, dz, buttons);
    unlock_after_event(k);
}

static void i8042_reset(void *self)
{
    struct i8042 *k = self;

    lock_take(&k->lock);
    i8042_chip_reset(&k->chip);
    timer_cancel(k->repeat);
    unlock_and_flush(k);
}

static void i8042_pause(void *self)
{
    struct i8042 *k = self;

    lock_take(&k->lock);
    k->paused = true;
    timer_cancel(k->repeat);
    lock_drop(&k->lock);
}

static void i8042_resume(void *self)
{
    struct i8042 *k = self;

    lock_take(&k->lock);
    k->paused = false;
    wait_for_repeat(k, ps2_keyboard_delay_ns(&k->chip.keyboard));
    unlock_and_flush(k);
}

static void i8042_restore(void *self)
{
    struct i8042 *k = self;

    irq_out_restore(&k->kbd_irq, i8042_chip_kbd_irq(&k->chip));
    irq_out_restore(&k->aux_irq, i8042_chip_aux_irq(&k->chip));
    if (k->cfg.a20 != NULL)
        k->cfg.a20(k->cfg.opaque, k->chip.a20);
}

static void i8042_destroy(void *self)
{
    struct i8042 *k = self;

    if (k == NULL)
        return;
    timer_destroy(k->repeat);
    lock_finish(&k->lock);
    free(k);
}

static void *i8042_state_object(void *self)
{
    struct i8042 *k = self;

    return &k->chip;
}

static const struct device_ops i8042_ops = {
    .name = "i8042",
    .reset = i8042_reset,
    .pause = i8042_pause,
    .resume = i8042_resume,
    .restore = i8042_restore,
    .destroy = i8042_destroy,
    .state = &i8042_chip_state,
    .state_object = i8042_state_object,
};

int i8042_create(const struct i8042_config *cfg, struct i8042 **out)
{
    struct i8042 *k = calloc(1, sizeof(*k));
    int rc;

    if (k == NULL)
        return -ENOMEM;
    rc = timer_create_on(cfg->loop, cfg->clock, on_repeat, k, &k->repeat);
    if (rc < 0) {
        free(k);
        return rc;
    }
    k->cfg = *cfg;
    k->chip.has_aux = !cfg->no_aux;
    lock_init(&k->lock, LOCK_DEVICE);
    irq_out_init(&k->kbd_irq, cfg->kbd_irq);
    irq_out_init(&k->aux_irq, cfg->aux_irq);
    i8042_chip_reset(&k->chip);
    *out = k;
    return 0;
}

struct device i8042_device(struct i8042 *k)
{
    return (struct device){.ops = &i8042_ops, .self = k};
}

int i8042_map(struct i8042 *k, struct bus *ports)
{
    int rc = bus_map(ports, DATA_PORT, 1, &data_ops, k);

    if (rc == 0)
        rc = bus_map(ports, COMMAND_PORT, 1, &command_ops, k);
    return rc;
}
