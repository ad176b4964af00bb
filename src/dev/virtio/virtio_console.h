/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio console, virtio 1.2 section 5.3: one port, with window size. Bytes flow both ways through
 * callbacks on the device's loop.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_CONSOLE_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_CONSOLE_H

#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"

struct virtio_console_config {
    struct virtio_place place;
    /* The guest writes: returns how many bytes were taken; when fewer than `len`, nothing more is
     * offered until virtio_console_output_ready. On place.loop. */
    size_t (*output)(void *opaque, const void *data, size_t len);
    /* There may be room for input again after virtio_console_input took less than offered. On
     * place.loop; may be NULL. */
    void (*input_ready)(void *opaque);
    void *opaque;
    uint16_t cols, rows; /* 0: unknown */
};

int virtio_console_create(const struct virtio_console_config *cfg, struct device *out,
                          struct err *e) MUST_CHECK;

/* `self` is the device's. Loop's thread. Returns how many bytes the guest took. */
size_t virtio_console_input(void *self, const void *data, size_t len);
void virtio_console_output_ready(void *self);                         /* loop's thread */
void virtio_console_resize(void *self, uint16_t cols, uint16_t rows); /* any thread */

#endif
