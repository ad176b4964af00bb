/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyboard controller at ports 0x60/0x64 with a PS/2 keyboard (IRQ 1) and a PS/2 mouse with
 * wheel (IRQ 12). Every command is answered at once. IBM PS/2 technical reference, keyboard and
 * auxiliary device controller.
 */
#ifndef DOPPEL_DEV_I8042_H
#define DOPPEL_DEV_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"

#define I8042_KBD_IRQ 1
#define I8042_AUX_IRQ 12

struct i8042_config {
    struct loop *loop; /* where a key that is held repeats, */
    struct vclock *clock;
    struct pin kbd_irq;
    struct pin aux_irq;
    bool no_aux; /* no mouse port */
    /* The guest pulses the reset line (0xfe). On the vCPU's thread, no lock held. */
    void (*reset)(void *opaque);
    void (*a20)(void *opaque, bool on); /* may be NULL */
    void *opaque;
};

struct i8042;

int i8042_create(const struct i8042_config *cfg, struct i8042 **out) MUST_CHECK;
struct device i8042_device(struct i8042 *k);
int i8042_map(struct i8042 *k, struct bus *ports) MUST_CHECK;

/* A key of the keyboard (KEY_* of Linux) goes down or up. 0, or -EAGAIN: the guest has not taken
 * what came before. Any thread. */
int i8042_key(struct i8042 *k, unsigned key, bool down) MUST_CHECK;
uint8_t i8042_leds(struct i8042 *k); /* bit 0 scroll lock, 1 num lock, 2 caps lock; any thread */
/* The mouse moved (dy > 0: up, dz > 0: wheel towards the user) or a button changed (bit 0 left, 1
 * right, 2 middle). Any thread. */
void i8042_mouse(struct i8042 *k, int dx, int dy, int dz, unsigned buttons);

#endif
