/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio GPU without 3D, virtio 1.2 section 5.7: one screen with a cursor and a monitor whose
 * size may change. Alone it is a display controller; with a VGA on the same PCI function it is what
 * firmware and systems without a driver know, until a driver sets a scanout.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_GPU_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_GPU_H

#include "dev/device.h"
#include "dev/vga.h"
#include "dev/video.h"
#include "dev/virtio/gpu_pool.h"
#include "dev/virtio/virtio_pci.h"

struct virtio_gpu_config {
    struct virtio_place place;
    uint8_t *memory;              /* GPU_POOL_SIZE bytes, zeros; outlives the device */
    unsigned width, height;       /* that the monitor prefers */
    const struct vga_config *vga; /* NULL: without one; its `func` is set here */
};

struct virtio_gpu;

/* With a VGA: *vga is a device of its own, which is destroyed after this one. */
int virtio_gpu_create(const struct virtio_gpu_config *cfg, struct virtio_gpu **out,
                      struct device *vga, struct err *e) MUST_CHECK;
struct device virtio_gpu_device(struct virtio_gpu *g);
struct video virtio_gpu_video(struct virtio_gpu *g);

#endif
