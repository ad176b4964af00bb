/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device for test kernels; the contract is in the header. */
#include "dev/test_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct test_device {
    struct test_device_config cfg;
    struct lock lock; /* the rest */
    uint32_t reg;
    uint8_t memory[TEST_DEVICE_MMIO_SIZE];
};

static const struct state_field fields[] = {
    STATE_U32_F(struct test_device, reg),
    STATE_BYTES_F(struct test_device, memory),
    STATE_END_F,
};
static const struct state_table state_table = {
    .name = "test-device", .version = 1, .fields = fields};

/* `size` bytes of an array as a number, which the dispatcher keeps inside of it. */
static uint64_t get(struct test_device *d, const void *from, unsigned size)
{
    uint64_t v = 0;

    lock_take(&d->lock);
    memcpy(&v, from, size);
    lock_drop(&d->lock);
    return v;
}

static void put(struct test_device *d, void *to, uint64_t v, unsigned size)
{
    lock_take(&d->lock);
    memcpy(to, &v, size);
    lock_drop(&d->lock);
}

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
    struct test_device *d = opaque;

    return offset < 4 ? get(d, (uint8_t *)&d->reg + offset, size) : 0;
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct test_device *d = opaque;

    if (offset < 4)
        put(d, (uint8_t *)&d->reg + offset, value, size);
}

static uint64_t memory_read(void *opaque, uint64_t offset, unsigned size)
{
    struct test_device *d = opaque;

    return get(d, d->memory + offset, size);
}

static void memory_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct test_device *d = opaque;

    put(d, d->memory + offset, value, size);
}

static uint64_t line_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void set_line(struct test_device *d, unsigned line, bool level)
{
    struct pin pin = d->cfg.lines;

    pin.line += line;
    pin_set(&pin, level);
}

static void line_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    set_line(opaque, (unsigned)offset, value & 1);
}

/* Aligned accesses only, so that none goes over the end of an array. */
static const struct bus_ops reg_ops = {
    .name = "test-register", .read = reg_read, .write = reg_write, .min_size = 1, .max_size = 4};
static const struct bus_ops memory_ops = {.name = "test-memory",
                                          .read = memory_read,
                                          .write = memory_write,
                                          .min_size = 1,
                                          .max_size = 8};
static const struct bus_ops line_ops = {
    .name = "test-lines", .read = line_read, .write = line_write, .min_size = 1, .max_size = 1};

static void test_device_reset(void *self)
{
    struct test_device *d = self;

    lock_take(&d->lock);
    d->reg = 0;
    memset(d->memory, 0, sizeof(d->memory));
    lock_drop(&d->lock);
    for (unsigned i = 0; i < TEST_DEVICE_LINES; i++)
        set_line(d, i, false);
}

static void test_device_destroy(void *self)
{
    struct test_device *d = self;

    lock_finish(&d->lock);
    free(d);
}

static const struct device_ops test_device_ops = {
    .name = "test-device",
    .reset = test_device_reset,
    .destroy = test_device_destroy,
    .state = &state_table,
};

int test_device_create(const struct test_device_config *cfg, struct test_device **out)
{
    struct test_device *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -ENOMEM;
    d->cfg = *cfg;
    lock_init(&d->lock, LOCK_DEVICE);
    *out = d;
    return 0;
}

struct device test_device_device(struct test_device *d)
{
    return (struct device){.ops = &test_device_ops, .self = d};
}

int test_device_map(struct test_device *d, struct bus *ports, struct bus *mmio)
{
    int rc = bus_map(ports, TEST_DEVICE_PORT, 8, &reg_ops, d);

    if (rc == 0)
        rc = bus_map(ports, TEST_DEVICE_LINES_PORT, TEST_DEVICE_LINES, &line_ops, d);
    return rc == 0 ? bus_map(mmio, TEST_DEVICE_MMIO, TEST_DEVICE_MMIO_SIZE, &memory_ops, d) : rc;
}
