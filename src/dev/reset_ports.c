/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reset control register and system control port A; the contract is in the header. */
#include "dev/reset_ports.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"

#define CF9_SYS_RST 0x02
#define CF9_RST_CPU 0x04 /* its rising edge resets */
#define CF9_FULL_RST 0x08
#define CF9_WRITABLE (CF9_SYS_RST | CF9_RST_CPU | CF9_FULL_RST)

#define PORT92_INIT 0x01 /* its rising edge resets */
#define PORT92_A20 0x02

struct reset_ports_state {
    uint8_t cf9, port92;
};

struct reset_ports {
    struct reset_ports_config cfg;
    struct lock lock; /* for st */
    struct reset_ports_state st;
};

static const struct state_field fields[] = {
    STATE_MAX_F(struct reset_ports_state, cf9, STATE_U8, CF9_WRITABLE),
    STATE_U8_F(struct reset_ports_state, port92),
    STATE_END_F,
};

static const struct state_table state_table = {
    .name = "reset-ports", .version = 1, .fields = fields};

/* Puts the value into a register; true: `bit` rose. */
static bool latch(struct reset_ports *r, uint8_t *reg, uint8_t value, uint8_t bit)
{
    bool rose;

    lock_take(&r->lock);
    rose = (value & ~*reg & bit) != 0;
    *reg = value;
    lock_drop(&r->lock);
    return rose;
}

static uint8_t load(struct reset_ports *r, const uint8_t *reg)
{
    uint8_t value;

    lock_take(&r->lock);
    value = *reg;
    lock_drop(&r->lock);
    return value;
}

static uint64_t cf9_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *r = opaque;

    (void)offset, (void)size;
    return load(r, &r->st.cf9);
}

static void cf9_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct reset_ports *r = opaque;

    (void)offset, (void)size;
    if (latch(r, &r->st.cf9, (uint8_t)value & CF9_WRITABLE, CF9_RST_CPU))
        r->cfg.reset(r->cfg.opaque);
}

const struct bus_ops reset_ports_cf9_ops = {
    .name = "reset-cf9", .read = cf9_read, .write = cf9_write, .min_size = 1, .max_size = 1};

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *r = opaque;

    (void)offset, (void)size;
    return load(r, &r->st.port92);
}

static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct reset_ports *r = opaque;
    bool reset = latch(r, &r->st.port92, (uint8_t)value, PORT92_INIT);

    (void)offset, (void)size;
    if (r->cfg.a20 != NULL)
        r->cfg.a20(r->cfg.opaque, (value & PORT92_A20) != 0);
    if (reset)
        r->cfg.reset(r->cfg.opaque);
}

static const struct bus_ops port92_ops = {
    .name = "port92", .read = port92_read, .write = port92_write, .min_size = 1, .max_size = 1};

/* The firmware of a PC leaves A20 on. */
static void reset_ports_reset(void *self)
{
    struct reset_ports *r = self;

    lock_take(&r->lock);
    r->st.cf9 = 0;
    r->st.port92 = PORT92_A20;
    lock_drop(&r->lock);
}

static void reset_ports_restore(void *self)
{
    struct reset_ports *r = self;

    if (r->cfg.a20 != NULL)
        r->cfg.a20(r->cfg.opaque, (r->st.port92 & PORT92_A20) != 0);
}

static void reset_ports_destroy(void *self)
{
    struct reset_ports *r = self;

    if (r == NULL)
        return;
    lock_finish(&r->lock);
    free(r);
}

static void *reset_ports_state_object(void *self)
{
    struct reset_ports *r = self;

    return &r->st;
}

static const struct device_ops reset_ports_ops = {
    .name = "reset-ports",
    .reset = reset_ports_reset,
    .restore = reset_ports_restore,
    .destroy = reset_ports_destroy,
    .state = &state_table,
    .state_object = reset_ports_state_object,
};

int reset_ports_create(const struct reset_ports_config *cfg, struct reset_ports **out)
{
    struct reset_ports *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return -ENOMEM;
    lock_init(&r->lock, LOCK_DEVICE);
    r->cfg = *cfg;
    reset_ports_reset(r);
    *out = r;
    return 0;
}

struct device reset_ports_device(struct reset_ports *r)
{
    return (struct device){.ops = &reset_ports_ops, .self = r};
}

int reset_ports_map(struct reset_ports *r, struct bus *ports)
{
    return bus_map(ports, 0x92, 1, &port92_ops, r);
}
