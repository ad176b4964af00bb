/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A parallel port: lock, interrupt and back end around the chip. */
#include "dev/parallel.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/lpt_chip.h"
#include "dev/irq_out.h"

struct parallel {
    struct parallel_config cfg;
    struct bus *ports; /* NULL: not mapped */
    uint16_t base;
    struct lock lock; /* below */
    struct lpt_chip chip;
    struct irq_out irq;
};

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct parallel *p = opaque;
    uint8_t value;

    lock_take(&p->lock);
    value = lpt_read(&p->chip, (unsigned)offset);
    lock_drop(&p->lock);
    return value;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct parallel *p = opaque;
    uint8_t byte;
    unsigned made;

    lock_take(&p->lock);
    made = lpt_write(&p->chip, (unsigned)offset, (uint8_t)value, &byte);
    lock_drop(&p->lock);
    if ((made & LPT_PRINTED) != 0)
        p->cfg.print(p->cfg.opaque, &byte, 1);
    if ((made & LPT_EDGE) == 0)
        return;
    lock_take(&p->lock);
    irq_out_pulse(&p->irq);
    irq_out_set(&p->irq, false);
    lock_drop(&p->lock);
    irq_out_flush(&p->irq);
}

static const struct bus_ops port_ops = {
    .name = "parallel", .read = port_read, .write = port_write, .min_size = 1, .max_size = 1};

static void parallel_reset(void *self)
{
    struct parallel *p = self;

    lock_take(&p->lock);
    lpt_reset(&p->chip);
    lock_drop(&p->lock);
}

static void parallel_destroy(void *self)
{
    struct parallel *p = self;

    if (p->ports != NULL)
        bus_unmap(p->ports, p->base, &port_ops, p);
    lock_finish(&p->lock);
    free(p);
}

static void *parallel_state_object(void *self)
{
    struct parallel *p = self;

    return &p->chip;
}

static const struct device_ops parallel_ops = {
    .name = "parallel",
    .reset = parallel_reset,
    .destroy = parallel_destroy,
    .state = &lpt_chip_state,
    .state_object = parallel_state_object,
};

int parallel_create(const struct parallel_config *cfg, struct bus *ports, uint16_t base,
                    struct device *out)
{
    struct parallel *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL)
        return -ENOMEM;
    p->cfg = *cfg;
    p->base = base;
    lock_init(&p->lock, LOCK_DEVICE);
    irq_out_init(&p->irq, cfg->irq);
    lpt_reset(&p->chip);
    rc = bus_map(ports, base, LPT_REGS, &port_ops, p);
    if (rc < 0) {
        parallel_destroy(p);
        return rc;
    }
    p->ports = ports;
    *out = (struct device){&parallel_ops, p};
    return 0;
}
