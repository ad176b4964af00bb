/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POST code, delay port and debug console; the contract is in the header. */
#include "dev/post_ports.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define POST_PORT 0x80
#define DELAY_PORT 0xed
#define CONSOLE_PORT 0x402
#define CONSOLE_ID 0xe9 /* what firmware reads to find the console */

struct post_ports {
    struct post_ports_config cfg;
    _Atomic uint8_t code; /* last POST code */
};

static const struct state_field fields[] = {
    STATE_U8_F(struct post_ports, code),
    STATE_END_F,
};
static const struct state_table state_table = {
    .name = "post-ports", .version = 1, .fields = fields};

static uint64_t post_read(void *opaque, uint64_t offset, unsigned size)
{
    struct post_ports *p = opaque;

    (void)offset, (void)size;
    return atomic_load_explicit(&p->code, memory_order_relaxed);
}

static void post_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct post_ports *p = opaque;

    (void)offset, (void)size;
    atomic_store_explicit(&p->code, (uint8_t)value, memory_order_relaxed);
}

static uint64_t console_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return CONSOLE_ID;
}

static void console_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct post_ports *p = opaque;
    uint8_t byte = (uint8_t)value;

    (void)offset, (void)size;
    p->cfg.debug_tx(p->cfg.opaque, &byte, 1);
}

static const struct bus_ops post_ops = {
    .name = "post", .read = post_read, .write = post_write, .min_size = 1, .max_size = 1};
static const struct bus_ops console_ops = {
    .name = "debug-console",
    .read = console_read,
    .write = console_write,
    .min_size = 1,
    .max_size = 1,
};

static void post_ports_reset(void *self)
{
    struct post_ports *p = self;

    atomic_store(&p->code, 0);
}

static const struct device_ops post_ports_ops = {
    .name = "post-ports",
    .reset = post_ports_reset,
    .destroy = free,
    .state = &state_table,
};

int post_ports_create(const struct post_ports_config *cfg, struct post_ports **out)
{
    struct post_ports *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    p->cfg = *cfg;
    *out = p;
    return 0;
}

struct device post_ports_device(struct post_ports *p)
{
    return (struct device){.ops = &post_ports_ops, .self = p};
}

int post_ports_map(struct post_ports *p, struct bus *ports)
{
    int rc = bus_map(ports, POST_PORT, 1, &post_ops, p);

    if (rc == 0)
        rc = bus_map(ports, DELAY_PORT, 1, &post_ops, p);
    if (rc == 0 && p->cfg.debug_tx != NULL)
        rc = bus_map(ports, CONSOLE_PORT, 1, &console_ops, p);
    return rc;
}
