/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC: lock and messages around the register model. */
#include "dev/ioapic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "dev/chip/ioapic_chip.h"

_Static_assert(IOAPIC_PINS == IOAPIC_CHIP_PINS, "the chip has the pins that the header promises");

struct ioapic {
    struct msi_sink msi;
    struct lock lock; /* for chip */
    struct ioapic_chip chip;
};

/* Drops the lock and sends the interrupts of the pins in `send`. */
static void unlock_and_send(struct ioapic *a, uint32_t send)
{
    struct {
        uint64_t addr;
        uint32_t data;
    } msg[IOAPIC_PINS];
    unsigned n = 0;

    for (; send != 0; send &= send - 1, n++)
        ioapic_chip_message(&a->chip, (unsigned)__builtin_ctz(send), &msg[n].addr, &msg[n].data);
    lock_drop(&a->lock);
    for (unsigned i = 0; i < n; i++)
        msi_send(&a->msi, msg[i].addr, msg[i].data);
}

void ioapic_set_line(void *opaque, unsigned line, bool level)
{
    struct ioapic *a = opaque;

    if (line >= IOAPIC_PINS)
        return;
    lock_take(&a->lock);
    unlock_and_send(a, ioapic_chip_set_line(&a->chip, line, level));
}

void ioapic_eoi(void *opaque, uint8_t vector)
{
    struct ioapic *a = opaque;

    lock_take(&a->lock);
    unlock_and_send(a, ioapic_chip_eoi(&a->chip, vector));
}

/* Registers are 32 bits wide on 16-byte boundaries; what lies between reads as zero. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ioapic *a = opaque;
    uint32_t value;

    (void)size;
    if ((offset & 0xc) != 0)
        return 0;
    lock_take(&a->lock);
    value = ioapic_chip_read(&a->chip, (unsigned)offset & ~3u);
    lock_drop(&a->lock);
    return value >> (offset & 3) * 8;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ioapic *a = opaque;

    (void)size;
    lock_take(&a->lock);
    unlock_and_send(a, ioapic_chip_write(&a->chip, (unsigned)offset, (uint32_t)value));
}

static const struct bus_ops mmio_ops = {
    .name = "ioapic", .read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 4};

static void ioapic_reset(void *self)
{
    struct ioapic *a = self;

    lock_take(&a->lock);
    ioapic_chip_reset(&a->chip);
    lock_drop(&a->lock);
}

static void ioapic_destroy(void *self)
{
    struct ioapic *a = self;

    if (a == NULL)
        return;
    lock_finish(&a->lock);
    free(a);
}

static void *ioapic_state_object(void *self)
{
    struct ioapic *a = self;

    return &a->chip;
}

static const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .reset = ioapic_reset,
    .destroy = ioapic_destroy,
    .state = &ioapic_chip_state,
    .state_object = ioapic_state_object,
};

int ioapic_create(const struct ioapic_config *cfg, struct ioapic **out)
{
    struct ioapic *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return -ENOMEM;
    lock_init(&a->lock, LOCK_INTERRUPT);
    a->msi = cfg->msi;
    a->chip.id = cfg->id & 15;
    ioapic_chip_reset(&a->chip);
    *out = a;
    return 0;
}

struct device ioapic_device(struct ioapic *a)
{
    return (struct device){.ops = &ioapic_ops, .self = a};
}

int ioapic_map(struct ioapic *a, struct bus *mmio, uint64_t base)
{
    return bus_map(mmio, base, IOAPIC_MMIO_SIZE, &mmio_ops, a);
}
