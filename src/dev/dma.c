/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's DMA controllers: lock, ports and memory around the chips. */
#include "dev/dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct watcher {
    void (*changed)(void *opaque); /* NULL: none */
    void *opaque;
};

struct dma {
    struct ram *ram;
    struct watcher watcher[I8237_CHANNELS];
    struct lock lock;
    struct i8237 chip; /* lock */
};

static uint64_t chip_read(struct dma *d, unsigned controller, unsigned reg)
{
    uint8_t value;

    lock_take(&d->lock);
    value = i8237_read(&d->chip, controller, reg);
    lock_drop(&d->lock);
    return value;
}

static void chip_write(struct dma *d, unsigned controller, unsigned reg, uint8_t value)
{
    lock_take(&d->lock);
    i8237_write(&d->chip, controller, reg, value);
    lock_drop(&d->lock);
    if (reg < 8)
        return;
    for (unsigned i = 0; i < I8237_CHANNELS; i++)
        if (d->watcher[i].changed != NULL)
            d->watcher[i].changed(d->watcher[i].opaque);
}

static uint64_t first_read(void *opaque, uint64_t offset, unsigned size)
{
    return chip_read(opaque, 0, (unsigned)offset);
}

static void first_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    chip_write(opaque, 0, (unsigned)offset, (uint8_t)value);
}

/* The second controller's registers are two ports apart. */
static uint64_t second_read(void *opaque, uint64_t offset, unsigned size)
{
    return chip_read(opaque, 1, (unsigned)offset / 2);
}

static void second_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    chip_write(opaque, 1, (unsigned)offset / 2, (uint8_t)value);
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    struct dma *d = opaque;
    uint8_t value;

    lock_take(&d->lock);
    value = d->chip.page[1 + offset];
    lock_drop(&d->lock);
    return value;
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct dma *d = opaque;

    lock_take(&d->lock);
    d->chip.page[1 + offset] = (uint8_t)value;
    lock_drop(&d->lock);
}

static const struct bus_ops first_ops = {
    .name = "dma", .read = first_read, .write = first_write, .min_size = 1, .max_size = 1};
static const struct bus_ops second_ops = {
    .name = "dma", .read = second_read, .write = second_write, .min_size = 1, .max_size = 1};
static const struct bus_ops page_ops = {
    .name = "dma-page", .read = page_read, .write = page_write, .min_size = 1, .max_size = 1};

/* Memory that is not there swallows what is written and gives ones. */
static void copy(struct dma *d, enum i8237_direction direction, uint32_t address, void *buf,
                 uint32_t bytes)
{
    if (direction == I8237_TO_MEMORY)
        (void)!ram_write(d->ram, address, buf, bytes);
    else if (ram_read(d->ram, address, buf, bytes) < 0)
        memset(buf, 0xff, bytes);
}

uint32_t dma_move(struct dma *d, unsigned channel, enum i8237_direction direction, void *buf,
                  uint32_t bytes, bool *end)
{
    uint32_t done = 0;

    *end = false;
    while (done < bytes && !*end) {
        uint32_t address, n;
        bool verify;

        lock_take(&d->lock);
        n = i8237_next(&d->chip, channel, direction, &address, &verify);
        n = n < bytes - done ? n : bytes - done;
        if (n != 0)
            *end = i8237_moved(&d->chip, channel, n);
        lock_drop(&d->lock);
        if (n == 0)
            break;
        if (!verify)
            copy(d, direction, address, (uint8_t *)buf + done, n);
        else if (direction == I8237_FROM_MEMORY)
            memset((uint8_t *)buf + done, 0xff, n);
        done += n;
    }
    return done;
}

void dma_watch(struct dma *d, unsigned channel, void (*changed)(void *opaque), void *opaque)
{
    d->watcher[channel] = (struct watcher){changed, opaque};
}

static void dma_reset(void *self)
{
    struct dma *d = self;

    lock_take(&d->lock);
    i8237_reset(&d->chip);
    lock_drop(&d->lock);
}

static void dma_destroy(void *self)
{
    struct dma *d = self;

    if (d == NULL)
        return;
    lock_finish(&d->lock);
    free(d);
}

static void *dma_state_object(void *self)
{
    struct dma *d = self;

    return &d->chip;
}

static const struct device_ops dma_ops = {
    .name = "dma",
    .reset = dma_reset,
    .destroy = dma_destroy,
    .state = &i8237_state,
    .state_object = dma_state_object,
};

int dma_create(struct ram *ram, struct dma **out)
{
    struct dma *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -ENOMEM;
    d->ram = ram;
    lock_init(&d->lock, LOCK_DEVICE);
    i8237_reset(&d->chip);
    *out = d;
    return 0;
}

struct device dma_device(struct dma *d)
{
    return (struct device){.ops = &dma_ops, .self = d};
}

int dma_map(struct dma *d, struct bus *ports)
{
    int rc = bus_map(ports, 0x00, I8237_REGS, &first_ops, d);

    if (rc == 0)
        rc = bus_map(ports, 0xc0, 2 * I8237_REGS, &second_ops, d);
    return rc == 0 ? bus_map(ports, 0x81, I8237_PAGES - 1, &page_ops, d) : rc;
}
