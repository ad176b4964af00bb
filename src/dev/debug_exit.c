/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The port that ends the machine with a status; the contract is in the header. */
#include "dev/debug_exit.h"

#include <errno.h>
#include <stdlib.h>

struct debug_exit {
    struct debug_exit_config cfg;
};

static const struct state_field fields[] = {STATE_END_F};
static const struct state_table state_table = {
    .name = "debug-exit", .version = 1, .fields = fields};

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct debug_exit *d = opaque;

    (void)offset, (void)size;
    d->cfg.exit(d->cfg.opaque, (uint32_t)value << 1 | 1);
}

static const struct bus_ops port_ops = {
    .name = "debug-exit", .read = port_read, .write = port_write, .min_size = 1, .max_size = 4};

/* The device has no state. */
static void debug_exit_reset(void *self)
{
    (void)self;
}

static const struct device_ops debug_exit_ops = {
    .name = "debug-exit",
    .reset = debug_exit_reset,
    .destroy = free,
    .state = &state_table,
};

int debug_exit_create(const struct debug_exit_config *cfg, struct debug_exit **out)
{
    struct debug_exit *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -ENOMEM;
    d->cfg = *cfg;
    *out = d;
    return 0;
}

struct device debug_exit_device(struct debug_exit *d)
{
    return (struct device){.ops = &debug_exit_ops, .self = d};
}

int debug_exit_map(struct debug_exit *d, struct bus *ports, uint16_t base)
{
    return bus_map(ports, base, DEBUG_EXIT_PORTS, &port_ops, d);
}
