/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net in the generic suite: behind PCI on a bus of its own, with a driver that has posted
 * receive buffers and a network that has sent something.
 */
#include <stdlib.h>

#include "dev/virtio/virtio_net.h"
#include "net_stub.h"
#include "suite.h"
#include "virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0)
#define BARS_SIZE 0x100000u
#define RINGS 0x10000u
#define BUFFERS 0x100000u
#define BUFFER_SIZE 2048u
#define COUNT 16u

static int create(struct suite_env *env, struct device *dev)
{
    struct net_backend backend = net_stub_suite(env);
    struct virtio_net_config cfg = {
        .place = {.bus = suite_pci(env), .devfn = DEVFN, .ram = env->ram, .loop = env->loop},
        .backend = &backend};
    return virtio_net_create(&cfg, dev, NULL);
}

static void start_driver(struct suite_env *env, struct drv_ring *rings)
{
    struct drv_dev d;
    uint8_t *mem = ram_ptr(env->ram, 0, SUITE_RAM_SIZE, true);
    gpa_t at = RINGS;
    bool kick;
    drv_begin(&d, env->ports, env->mmio, DEVFN);
    for (unsigned q = 0; q < 3; q++) {
        at = drv_ring_init(&rings[q], mem, at, COUNT, false, false, true);
        drv_enable_queue(&d, q, &rings[q], 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        struct drv_seg seg = {BUFFERS + i * BUFFER_SIZE, BUFFER_SIZE, true};
        drv_add(&rings[0], &seg, 1, &kick);
    }
    struct drv_seg frame = {BUFFERS, 100, false};
    drv_add(&rings[1], &frame, 1, &kick);
    drv_ok(&d);
    drv_kick(&d, 0);
    drv_kick(&d, 1);
}

/* Where the guest had placed the BARs does not matter: they are placed anew. */
static void busy(struct suite_env *env, struct device *dev)
{
    struct drv_ring *rings = calloc(3, sizeof(*rings));
    uint8_t bytes[600] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (rings == NULL)
        abort();
    suite_place(env, DEVFN);
    start_driver(env, rings);
    if (!net_stub_receive(env->extra, &(struct net_meta){0}, bytes, sizeof(bytes)))
        abort();
    free(rings);
}

const struct suite_class suite_virtio_net = {
    .name = "virtio-net",
    .create = create,
    .finish = net_stub_free,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8}, {true, SUITE_WINDOW, BARS_SIZE}},
};
