/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net in the generic suite: behind PCI on a bus of its own, with a driver that has posted
 * receive buffers and a network that has sent something.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/pci.h"
#include "dev/virtio/virtio_net.h"
#include "suite.h"
#include "virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0)
#define WINDOW 0xc0000000u
#define WINDOW_SIZE 0x100000u
#define RINGS 0x10000u
#define BUFFERS 0x100000u
#define BUFFER_SIZE 2048u
#define COUNT 16u

struct extra {
    struct suite_env *env;
    struct pci_bus *pci;
    const struct net_peer_ops *peer;
    void *peer_opaque;
};

static void on_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    struct extra *x = self;
    x->peer = ops;
    x->peer_opaque = opaque;
}

static void on_offloads(void *self, unsigned offloads)
{
    suite_activity(((struct extra *)self)->env);
}

static void on_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    suite_activity(((struct extra *)self)->env);
}

static void on_event(void *self)
{
    suite_activity(((struct extra *)self)->env);
}

static bool on_link(void *self)
{
    return true;
}

static const struct net_backend_ops backend_ops = {.name = "suite",
                                                   .attach = on_attach,
                                                   .set_offloads = on_offloads,
                                                   .send = on_send,
                                                   .send_end = on_event,
                                                   .ready = on_event,
                                                   .link_up = on_link};

static int make_device(struct suite_env *env, struct extra *x, struct device *dev)
{
    struct net_backend backend = {.ops = &backend_ops,
                                  .self = x,
                                  .offloads =
                                      NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6};
    struct virtio_net_config cfg = {
        .place = {.bus = x->pci, .devfn = DEVFN, .ram = env->ram, .loop = env->loop},
        .backend = &backend};
    return virtio_net_create(&cfg, dev, NULL);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct extra *x = calloc(1, sizeof(*x));
    struct pci_bus_config pc = {.mmio = env->mmio, .ports = env->ports, .msi = env->msi};
    if (x == NULL)
        return -ENOMEM;
    x->env = env;
    env->extra = x;
    int ret = pci_bus_create(&pc, &x->pci);
    return ret != 0 ? ret : make_device(env, x, dev);
}

static void finish(struct suite_env *env)
{
    struct extra *x = env->extra;
    pci_bus_destroy(x->pci);
    free(x);
}

static void start_driver(struct suite_env *env, struct drv_ring *rings)
{
    struct drv_dev d;
    uint8_t *mem = ram_ptr(env->ram, 0, SUITE_RAM_SIZE, true);
    gpa_t at = RINGS;
    bool kick;
    drv_find(&d, env->ports, env->mmio, DEVFN);
    drv_reset(&d);
    drv_negotiate(&d, ~(UINT64_C(1) << 34 | UINT64_C(1) << 29));
    drv_msix_vector(&d, 0, 0xfee00000, 0x40);
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
    struct extra *x = env->extra;
    struct pci_windows w = {.mem32_base = WINDOW, .mem32_size = WINDOW_SIZE};
    struct drv_ring *rings = calloc(3, sizeof(*rings));
    uint8_t bytes[600] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct net_meta meta = {0};
    if (rings == NULL || pci_bus_assign(x->pci, &w, NULL) != 0)
        abort();
    start_driver(env, rings);
    if (!x->peer->receive(x->peer_opaque, &meta, &iov, 1))
        abort();
    x->peer->receive_end(x->peer_opaque);
    free(rings);
}

const struct suite_class suite_virtio_net = {
    .name = "virtio-net",
    .create = create,
    .finish = finish,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8}, {true, WINDOW, WINDOW_SIZE}},
};
