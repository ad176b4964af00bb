/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every device offers the machine, whatever it is. The life cycle, as a contract:
 *
 *   create      by the device's own function, with its pins, back end and loop; the device is in
 * its reset state. reset       power-on state; outputs (pins) go to their reset level; requests in
 * flight are cancelled or drained first. Idempotent. vCPUs are stopped. pause       after it
 * returns the device touches neither guest memory nor pins nor back end until resume. Requests in
 *               flight are finished or parked. Idempotent. vCPUs are stopped.
 *   state       save and load while paused, through the field table on `state_object`.
 *   restore     after all devices are loaded: outputs follow the loaded state.
 *   resume      the opposite of pause.
 *   destroy     after pause, when no vCPU and no loop runs any more; of a card that goes before, on
 *               its loop's thread, when no vCPU runs.
 *
 * All others are called on the machine's main thread. No device keeps static mutable state.
 */
#ifndef DOPPEL_DEV_DEVICE_H
#define DOPPEL_DEV_DEVICE_H

#include "state/state.h"

struct device_ops {
    const char *name; /* the type: "i8254", "virtio-blk" */
    void (*reset)(void *self);
    void (*pause)(void *self);   /* may be NULL: nothing runs on its own */
    void (*resume)(void *self);  /* may be NULL */
    void (*restore)(void *self); /* may be NULL */
    void (*destroy)(void *self);
    const struct state_table *state;
    void *(*state_object)(void *self); /* the object of `state`; NULL: self */
};

struct device {
    const struct device_ops *ops;
    void *self;
};

#endif
