/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resources of a virtio GPU, virtio 1.2 section 5.7.6: pictures in the device's own memory, and
 * where in the guest's the driver prepares what it transfers to them.
 *
 * All of it lies in one pool that outlives the device: the pixels, and the lists of guest pages as
 * the driver gave them. So the table is all that a saved state needs, and who draws may read pixels
 * of a resource that goes away meanwhile.
 */
#ifndef DOPPEL_DEV_VIRTIO_GPU_POOL_H
#define DOPPEL_DEV_VIRTIO_GPU_POOL_H

#include <stdint.h>

#include "dev/virtio/virtq.h"
#include "mem/ram.h"
#include "state/state.h"

#define GPU_POOL_SIZE (128u << 20)
#define GPU_RESOURCES 256

/* 5.7.6.8; what commands end with. */
enum gpu_response {
    GPU_OK_NODATA = 0x1100,
    GPU_OK_DISPLAY_INFO = 0x1101,
    GPU_OK_EDID = 0x1104,
    GPU_ERR_UNSPEC = 0x1200,
    GPU_ERR_OUT_OF_MEMORY = 0x1201,
    GPU_ERR_INVALID_SCANOUT_ID = 0x1202,
    GPU_ERR_INVALID_RESOURCE_ID = 0x1203,
    GPU_ERR_INVALID_PARAMETER = 0x1205,
};

struct gpu_resource {
    uint32_t id; /* 0: this entry of the table is free */
    uint32_t format, width, height;
    uint32_t pixels;           /* offset in the pool; rows of 4 * width bytes */
    uint32_t backing, entries; /* the list: offset in the pool; 0 entries: none is attached */
};

struct gpu_rect {
    uint32_t x, y, width, height;
};

struct gpu_pool {
    uint8_t *memory; /* GPU_POOL_SIZE bytes; outlives the pool */
    struct gpu_resource resources[GPU_RESOURCES];
};
extern const struct state_table gpu_pool_state;

void gpu_pool_reset(struct gpu_pool *p);
struct gpu_resource *gpu_pool_find(struct gpu_pool *p, uint32_t id); /* NULL: there is none */
enum gpu_response gpu_pool_create(struct gpu_pool *p, uint32_t id, uint32_t format, uint32_t width,
                                  uint32_t height);
enum gpu_response gpu_pool_unref(struct gpu_pool *p, uint32_t id);
/* The list is in the request's out part from `at` on. */
enum gpu_response gpu_pool_attach(struct gpu_pool *p, uint32_t id, uint32_t entries,
                                  const struct virtq_req *r, uint32_t at);
enum gpu_response gpu_pool_detach(struct gpu_pool *p, uint32_t id);
/* From guest memory, in which the rectangle begins at `offset`, in rows as long as the resource's.
 */
enum gpu_response gpu_pool_transfer(struct gpu_pool *p, uint32_t id, const struct gpu_rect *rect,
                                    uint64_t offset, const struct ram *ram);

bool gpu_rect_inside(const struct gpu_rect *r, uint32_t width, uint32_t height);
/* `n` pixels of that format from `at` in the pool on as 0xaarrggbb; inside the pool. */
void gpu_pool_pixels(const struct gpu_pool *p, uint32_t format, uint64_t at, uint32_t *out,
                     unsigned n);

#endif
