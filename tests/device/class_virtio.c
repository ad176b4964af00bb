/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block, console and entropy devices and the plain PCI functions in the generic suite: each behind
 * PCI on a bus of its own, with a driver that has requests in its queues.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/pci_plain.h"
#include "dev/virtio/virtio_blk.h"
#include "dev/virtio/virtio_console.h"
#include "dev/virtio/virtio_input.h"
#include "dev/virtio/virtio_rng.h"
#include "suite.h"
#include "temp_disk.h"
#include "virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0)
#define BARS_SIZE 0x100000u
#define RINGS 0x10000u
#define BUFFERS 0x100000u
#define BUFFER_SIZE 8192u
#define COUNT 16u
#define DISK_SIZE (256 << 10)
#define RANGES                                              \
    {                                                       \
        {false, 0xcf8, 8}, {true, SUITE_WINDOW, BARS_SIZE}, \
            {true, SUITE_ECAM + (DEVFN << 12), 4096},       \
    }

static struct virtio_place place(struct suite_env *env)
{
    return (struct virtio_place){
        .bus = suite_pci(env), .devfn = DEVFN, .ram = env->ram, .loop = env->loop};
}

/* Sets `queues` rings up and adds the same requests to each. */
static void start_driver(struct suite_env *env, unsigned queues, const struct drv_seg *segs,
                         unsigned n)
{
    struct drv_ring *rings = calloc(queues, sizeof(*rings));
    uint8_t *mem = ram_ptr(env->ram, 0, SUITE_RAM_SIZE, true);
    struct drv_dev d;
    gpa_t at = RINGS;
    bool kick;
    if (rings == NULL)
        abort();
    suite_place(env, DEVFN);
    drv_begin(&d, env->ports, env->mmio, DEVFN);
    for (unsigned q = 0; q < queues; q++) {
        at = drv_ring_init(&rings[q], mem, at, COUNT, false, false, true);
        drv_enable_queue(&d, q, &rings[q], 0);
        for (unsigned i = 0; i < COUNT; i++)
            drv_add(&rings[q], segs, n, &kick);
    }
    drv_ok(&d);
    for (unsigned q = 0; q < queues; q++)
        drv_kick(&d, q);
    free(rings);
}

/* --- block --- */

static int blk_create(struct suite_env *env, struct device *dev)
{
    struct loop *loops[] = {env->loop};
    env->extra = temp_disk(DISK_SIZE);
    struct virtio_blk_config cfg = {
        .place = place(env), .backend = env->extra, .loops = loops, .loop_count = 1, .queues = 2};
    return virtio_blk_create(&cfg, dev, NULL);
}

static void blk_finish(struct suite_env *env)
{
    block_close(env->extra);
}

/* Reads of the first sectors; the headers are zeros: a read of sector 0. */
static void blk_busy(struct suite_env *env, struct device *dev)
{
    static const struct drv_seg segs[] = {
        {BUFFERS, 16, false}, {BUFFERS + 4096, 2048, true}, {BUFFERS + 64, 1, true}};
    memset(ram_ptr(env->ram, BUFFERS, 16, true), 0, 16);
    start_driver(env, 2, segs, 3);
}

const struct suite_class suite_virtio_blk = {
    .name = "virtio-blk",
    .create = blk_create,
    .finish = blk_finish,
    .busy = blk_busy,
    .ranges = RANGES,
};

/* --- console --- */

static size_t console_output(void *opaque, const void *data, size_t len)
{
    suite_activity(opaque);
    return len / 2; /* never all of it */
}

static int console_create(struct suite_env *env, struct device *dev)
{
    struct virtio_console_config cfg = {
        .place = place(env), .output = console_output, .opaque = env};
    return virtio_console_create(&cfg, dev, NULL);
}

/* The same buffer for both queues: what is written there is sent from there. */
static void console_busy(struct suite_env *env, struct device *dev)
{
    static const struct drv_seg segs[] = {{BUFFERS, 64, false}, {BUFFERS + 4096, 64, true}};
    start_driver(env, 2, segs, 2);
    virtio_console_input(dev->self, "input", 5);
    virtio_console_resize(dev->self, 132, 50);
}

const struct suite_class suite_virtio_console = {
    .name = "virtio-console",
    .create = console_create,
    .busy = console_busy,
    .ranges = RANGES,
};

/* --- entropy --- */

static int rng_create(struct suite_env *env, struct device *dev)
{
    struct virtio_place at = place(env);
    return virtio_rng_create(&at, dev, NULL);
}

static void rng_busy(struct suite_env *env, struct device *dev)
{
    static const struct drv_seg segs[] = {{BUFFERS, BUFFER_SIZE, true}};
    start_driver(env, 1, segs, 1);
}

const struct suite_class suite_virtio_rng = {
    .name = "virtio-rng",
    .create = rng_create,
    .busy = rng_busy,
    .ranges = RANGES,
};

/* --- tablet --- */

static int tablet_create(struct suite_env *env, struct device *dev)
{
    struct virtio_place at = place(env);
    return virtio_tablet_create(&at, dev, NULL);
}

static void tablet_busy(struct suite_env *env, struct device *dev)
{
    static const struct drv_seg segs[] = {{BUFFERS, 8, true}};
    start_driver(env, 2, segs, 1);
    for (unsigned i = 0; i < 20; i++)
        virtio_tablet_event(dev->self, i * 1000, 32767 - i, (int)i % 3 - 1, i & 7);
}

const struct suite_class suite_virtio_tablet = {
    .name = "virtio-tablet",
    .create = tablet_create,
    .busy = tablet_busy,
    .ranges = RANGES,
};

/* --- plain functions --- */

static int plain_create(struct suite_env *env, struct device *dev)
{
    return pci_plain_create(suite_pci(env), DEVFN, &pci_plain_ich9_lpc, dev, NULL);
}

const struct suite_class suite_pci_plain = {
    .name = "pci-plain",
    .create = plain_create,
    .ranges = RANGES,
};
