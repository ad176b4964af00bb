/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DMA and floppy controllers in the generic suite. */
#include <stdlib.h>

#include "dev/floppy.h"
#include "suite.h"
#include "temp_disk.h"

static int create_dma(struct suite_env *env, struct device *dev)
{
    struct dma *d;
    int rc = dma_create(env->ram, &d);

    if (rc != 0)
        return rc;
    *dev = dma_device(d);
    return dma_map(d, env->ports);
}

static void program(struct suite_env *env, uint16_t count)
{
    static const uint8_t writes[][2] = {{0xd6, 0xc0}, {0xd4, 0}, {0x0c, 0},   {0x04, 0x00},
                                        {0x04, 0x20}, {0x81, 1}, {0x0b, 0x46}};

    for (unsigned i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        bus_write(env->ports, writes[i][0], writes[i][1], 1);
    bus_write(env->ports, 5, (uint8_t)count, 1);
    bus_write(env->ports, 5, count >> 8, 1);
    bus_write(env->ports, 0x0a, 2, 1);
}

static void busy_dma(struct suite_env *env, struct device *dev)
{
    program(env, 1000);
}

const struct suite_class suite_dma = {
    .name = "dma",
    .create = create_dma,
    .busy = busy_dma,
    .ranges = {{false, 0, 16}, {false, 0xc0, 32}, {false, 0x81, 15}},
};

struct extra {
    struct device dma;
    struct block_backend *disk;
};

static int create_floppy(struct suite_env *env, struct device *dev)
{
    struct extra *x = calloc(1, sizeof(*x));
    struct floppy_config cfg = {.irq = suite_pin(env, FLOPPY_IRQ), .loop = env->loop};
    struct floppy *f;
    unsigned type;

    if (x == NULL)
        abort();
    env->extra = x;
    if (create_dma(env, &x->dma) < 0)
        abort();
    cfg.dma = x->dma.self;
    x->disk = temp_disk(360 << 10);
    if (floppy_create(&cfg, &f) < 0 || floppy_add(f, x->disk, &type, NULL) < 0 ||
        floppy_add(f, NULL, &type, NULL) < 0)
        abort();
    *dev = floppy_device(f);
    return floppy_map(f, env->ports);
}

static void finish_floppy(struct suite_env *env)
{
    struct extra *x = env->extra;

    x->dma.ops->destroy(x->dma.self);
    block_close(x->disk);
    free(x);
}

static void command(struct suite_env *env, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bus_write(env->ports, 0x3f5, bytes[i], 1);
}

/* A read of a whole cylinder by DMA. */
static void busy_floppy(struct suite_env *env, struct device *dev)
{
    static const uint8_t read[] = {0xe6, 0, 0, 0, 1, 2, 9, 0x1b, 0xff};

    program(env, 18 * 512 - 1);
    bus_write(env->ports, 0x3f2, 0x1c, 1);
    bus_write(env->ports, 0x3f7, 2, 1);
    command(env, read, sizeof(read));
}

const struct suite_class suite_floppy = {
    .name = "floppy",
    .create = create_floppy,
    .finish = finish_floppy,
    .busy = busy_floppy,
    .ranges = {{false, 0x3f0, 6}, {false, 0x3f7, 1}, {false, 0, 16}, {false, 0xd4, 4}},
};
