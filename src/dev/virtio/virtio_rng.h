/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio entropy device, virtio 1.2 section 5.4, fed by the host's getrandom. */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_RNG_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_RNG_H

#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"

int virtio_rng_create(const struct virtio_place *place, struct device *out,
                      struct err *e) MUST_CHECK;

#endif
