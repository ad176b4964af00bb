/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio input device, virtio 1.2 section 5.8, that is a tablet: a pointer with a place on the
 * screen, three buttons and a wheel, so that whoever shows the screen needs no grab.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_INPUT_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_INPUT_H

#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"

#define VIRTIO_TABLET_MAX 32767u /* of both coordinates, at the right and at the bottom */

int virtio_tablet_create(const struct virtio_place *place, struct device *out,
                         struct err *e) MUST_CHECK;
/* Any thread; `self` is the device's. */
bool virtio_tablet_ready(void *self); /* the guest has a driver for it */
/* wheel: notches away from the user; buttons: bit 0 left, 1 right, 2 middle. What the guest does
 * not take in time it finds summed up. */
void virtio_tablet_event(void *self, unsigned x, unsigned y, int wheel, unsigned buttons);

#endif
