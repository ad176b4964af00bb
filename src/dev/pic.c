/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's interrupt controllers: lock and output pin around the pair of 8259 chips. */
#include "dev/pic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/i8259.h"
#include "dev/irq_out.h"

struct pic {
    struct lock lock; /* for all below */
    struct i8259_pair chips;
    struct irq_out intr;
};

static void unlock_and_flush(struct pic *p)
{
    irq_out_set(&p->intr, i8259_pair_intr(&p->chips));
    lock_drop(&p->lock);
    irq_out_flush(&p->intr);
}

void pic_set_line(void *opaque, unsigned line, bool level)
{
    struct pic *p = opaque;

    if (line > 15)
        return;
    lock_take(&p->lock);
    i8259_pair_set_line(&p->chips, line, level);
    unlock_and_flush(p);
}

/* INTR drops during INTA and rises again for the next request. */
int pic_acknowledge(void *opaque)
{
    struct pic *p = opaque;
    int vector = -1;

    lock_take(&p->lock);
    /* The wire may still look high to a CPU that has just acknowledged: another thread is on its
     * way to pull it down. A processor starts no cycle without INTR. */
    if (i8259_pair_intr(&p->chips)) {
        vector = i8259_pair_acknowledge(&p->chips);
        irq_out_set(&p->intr, false);
    }
    unlock_and_flush(p);
    return vector;
}

/* The port ranges differ only in the chip they reach, which the mapping's offset cannot tell: each
 * has its own handlers. */
static uint64_t chip_read(struct pic *p, unsigned which, uint64_t a0)
{
    uint8_t value;

    lock_take(&p->lock);
    value = i8259_pair_read(&p->chips, which, (unsigned)a0 & 1);
    unlock_and_flush(p);
    return value;
}

static void chip_write(struct pic *p, unsigned which, uint64_t a0, uint64_t value)
{
    lock_take(&p->lock);
    i8259_pair_write(&p->chips, which, (unsigned)a0 & 1, (uint8_t)value);
    unlock_and_flush(p);
}

static uint64_t master_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return chip_read(opaque, 0, offset);
}

static void master_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    chip_write(opaque, 0, offset, value);
}

static uint64_t slave_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return chip_read(opaque, 1, offset);
}

static void slave_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    chip_write(opaque, 1, offset, value);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pic *p = opaque;
    uint8_t value;

    (void)size;
    lock_take(&p->lock);
    value = i8259_pair_elcr_read(&p->chips, (unsigned)offset & 1);
    lock_drop(&p->lock);
    return value;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pic *p = opaque;

    (void)size;
    lock_take(&p->lock);
    i8259_pair_elcr_write(&p->chips, (unsigned)offset & 1, (uint8_t)value);
    unlock_and_flush(p);
}

static const struct bus_ops master_ops = {
    .name = "pic-master", .read = master_read, .write = master_write, .min_size = 1, .max_size = 1};
static const struct bus_ops slave_ops = {
    .name = "pic-slave", .read = slave_read, .write = slave_write, .min_size = 1, .max_size = 1};
static const struct bus_ops elcr_ops = {
    .name = "pic-elcr", .read = elcr_read, .write = elcr_write, .min_size = 1, .max_size = 1};

static void pic_reset(void *self)
{
    struct pic *p = self;

    lock_take(&p->lock);
    i8259_pair_reset(&p->chips);
    unlock_and_flush(p);
}

static void pic_restore(void *self)
{
    struct pic *p = self;

    irq_out_restore(&p->intr, i8259_pair_intr(&p->chips));
}

static void pic_destroy(void *self)
{
    struct pic *p = self;

    if (p == NULL)
        return;
    lock_finish(&p->lock);
    free(p);
}

static void *pic_state_object(void *self)
{
    struct pic *p = self;

    return &p->chips;
}

static const struct device_ops pic_ops = {
    .name = "pic",
    .reset = pic_reset,
    .restore = pic_restore,
    .destroy = pic_destroy,
    .state = &i8259_pair_state,
    .state_object = pic_state_object,
};

int pic_create(const struct pic_config *cfg, struct pic **out)
{
    struct pic *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    lock_init(&p->lock, LOCK_INTERRUPT);
    irq_out_init(&p->intr, cfg->intr);
    i8259_pair_reset(&p->chips);
    *out = p;
    return 0;
}

struct device pic_device(struct pic *p)
{
    return (struct device){.ops = &pic_ops, .self = p};
}

int pic_map(struct pic *p, struct bus *ports)
{
    int rc = bus_map(ports, 0x20, 2, &master_ops, p);

    if (rc == 0)
        rc = bus_map(ports, 0xa0, 2, &slave_ops, p);
    if (rc == 0)
        rc = bus_map(ports, 0x4d0, 2, &elcr_ops, p);
    return rc;
}
