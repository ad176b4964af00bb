/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's DMA controllers: ports 0x00-0x0f and 0xc0-0xdf, page registers 0x81-0x8f. A device on a
 * channel moves its bytes with dma_move, from its own thread and without a lock of its own.
 */
#ifndef DOPPEL_DEV_DMA_H
#define DOPPEL_DEV_DMA_H

#include "bus/bus.h"
#include "dev/chip/i8237.h"
#include "dev/device.h"
#include "mem/ram.h"

struct dma;

int dma_create(struct ram *ram, struct dma **out) MUST_CHECK;
struct device dma_device(struct dma *d);
int dma_map(struct dma *d, struct bus *ports) MUST_CHECK;

/* Called after each access that may have opened the channel, on a vCPU's thread, with no lock held;
 * before the machine runs. */
void dma_watch(struct dma *d, unsigned channel, void (*changed)(void *opaque), void *opaque);

/* Moves up to `bytes` between buf and the channel's memory; fewer where the channel is masked, goes
 * the other way or ends. *end: terminal count. The number of bytes. */
uint32_t dma_move(struct dma *d, unsigned channel, enum i8237_direction direction, void *buf,
                  uint32_t bytes, bool *end);

#endif
