/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device suite's classes for fuzz targets; see devices.h. */
#include "devices.h"

#define CLASS_(n) &suite_##n,
static const struct suite_class *const classes[] = {SUITE_CLASSES(CLASS_)};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static struct fuzz_device devices[CLASSES];

static void make(struct fuzz_device *d, const struct suite_class *cls)
{
    suite_env_init(&d->env, SUITE_RAM_SIZE);
    FUZZ_REQUIRE(cls->create(&d->env, &d->dev) == 0);
    d->cls = cls;
}

struct fuzz_device *fuzz_device(uint8_t choice)
{
    struct fuzz_device *d = &devices[choice % CLASSES];
    if (d->cls == NULL)
        make(d, classes[choice % CLASSES]);
    d->dev.ops->reset(d->dev.self);
    return d;
}

struct fuzz_device *fuzz_device_named(const char *name)
{
    uint8_t i = 0;
    while (i < CLASSES && strcmp(classes[i]->name, name) != 0)
        i++;
    FUZZ_REQUIRE(i < CLASSES);
    return fuzz_device(i);
}

void fuzz_poke(struct fuzz_device *d, struct fuzz_input *in, uint32_t gpa, unsigned max)
{
    unsigned n = max < in->left ? max : (unsigned)in->left;
    if (n != 0)
        FUZZ_REQUIRE(ram_write(d->env.ram, gpa, in->p, n) == 0);
    in->p += n;
    in->left -= n;
}

void fuzz_access(struct fuzz_device *d, struct fuzz_input *in)
{
    unsigned count = 0;
    while (count < SUITE_RANGES && d->cls->ranges[count].size != 0)
        count++;
    if (count == 0) {
        in->left = 0;
        return;
    }
    uint8_t how = fuzz_u8(in);
    const struct suite_range *r = &d->cls->ranges[(how >> 2) % count];
    struct bus *bus = r->mmio ? d->env.mmio : d->env.ports;
    uint64_t addr = r->base + fuzz_take(in, r->size > 256 ? 3 : 1) % r->size;
    unsigned size = 1u << (r->mmio ? how & 3 : (how & 3) % 3);
    if (how & 0x80)
        bus_write(bus, addr, fuzz_take(in, size), size);
    else
        bus_read(bus, addr, size);
}

void fuzz_wait(struct fuzz_device *d, bool pause)
{
    suite_settle(&d->env);
    if (pause) {
        suite_pause(&d->dev);
        suite_resume(&d->dev);
    }
}
