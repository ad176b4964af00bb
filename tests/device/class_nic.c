/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network cards of real PCs in the generic suite: on a PCI bus of their own, with a driver that has
 * filled its rings and a network that has sent something.
 */
#include <stdlib.h>

#include "dev/chip/e1000_chip.h"
#include "dev/e1000.h"
#include "dev/pcnet.h"
#include "net_stub.h"
#include "suite.h"

#define DEVFN PCI_DEVFN(3, 0)
#define WINDOW SUITE_WINDOW
#define PORTS SUITE_PORTS
#define RINGS 0x10000u
#define BUFFERS 0x100000u
#define COUNT 16u

typedef int create_fn(const struct nic_config *cfg, struct device *out, struct err *e);

static int make(struct suite_env *env, struct device *dev, create_fn *create)
{
    struct net_backend backend = net_stub_suite(env);

    return create(&(struct nic_config){.bus = suite_pci(env),
                                       .devfn = DEVFN,
                                       .ram = env->ram,
                                       .loop = env->loop,
                                       .clock = env->clock,
                                       .backend = &backend,
                                       .mac = {0x52, 0x54, 0, 1, 2, 3}},
                  dev, NULL);
}

static void put(struct suite_env *env, gpa_t gpa, const void *bytes, size_t len)
{
    if (ram_write(env->ram, gpa, bytes, len) < 0)
        abort();
}

/* Whatever happened before, a frame for the card is now taken, kept or lost. */
static void arrive(struct suite_env *env)
{
    uint8_t frame[600] = {0x52, 0x54, 0, 1, 2, 3};

    (void)net_stub_receive(env->extra, &(struct net_meta){0}, frame, sizeof(frame));
}

/* --- 82540EM --- */

static int e1000_make(struct suite_env *env, struct device *dev)
{
    return make(env, dev, e1000_create);
}

static void reg(struct suite_env *env, uint32_t offset, uint32_t value)
{
    bus_write(env->mmio, WINDOW + offset, value, 4);
}

static void e1000_busy(struct suite_env *env, struct device *dev)
{
    suite_place(env, DEVFN);
    reg(env, 0x0000, E1000_CTRL_RST);
    reg(env, 0x0000, E1000_CTRL_SLU | 1);
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t rx[2] = {BUFFERS + i * 2048, 0};
        /* 100 bytes, EOP, IFCS and RS. */
        uint64_t tx[2] = {BUFFERS + 0x80000 + i * 2048, 100 | UINT64_C(11) << 24};

        put(env, RINGS + 16 * i, rx, 16);
        put(env, RINGS + 0x1000 + 16 * i, tx, 16);
    }
    for (unsigned ring = 0; ring < 2; ring++) {
        reg(env, 0x2800 + ring * 0x1000, RINGS + ring * 0x1000);
        reg(env, 0x2804 + ring * 0x1000, 0);
        reg(env, 0x2808 + ring * 0x1000, 16 * COUNT);
        reg(env, 0x2810 + ring * 0x1000, 0);
    }
    reg(env, 0x00d0, E1000_CAUSES);
    reg(env, 0x0100, E1000_RCTL_EN | E1000_RCTL_BAM);
    reg(env, 0x0400, E1000_TCTL_EN | E1000_TCTL_PSP);
    reg(env, 0x2818, COUNT - 1);
    reg(env, 0x3818, COUNT - 1);
    arrive(env);
}

const struct suite_class suite_e1000 = {
    .name = "e1000",
    .create = e1000_make,
    .finish = net_stub_free,
    .busy = e1000_busy,
    .ranges = {{false, 0xcf8, 8},
               {false, PORTS, 64},
               {true, WINDOW, 0x6000},
               {true, WINDOW, 0x200},
               {true, WINDOW + 0x2800, 0x20},
               {true, WINDOW + 0x3800, 0x20}},
};

/* --- Am79C970A --- */

static int pcnet_make(struct suite_env *env, struct device *dev)
{
    return make(env, dev, pcnet_create);
}

static void port(struct suite_env *env, unsigned offset, unsigned reg, uint16_t value)
{
    bus_write(env->ports, PORTS + 0x12, reg, 2);
    bus_write(env->ports, PORTS + offset, value, 2);
}

static void pcnet_busy(struct suite_env *env, struct device *dev)
{
    /* Rings of 16 without a filter, 32-bit descriptors. */
    uint32_t block[7] = {0x40408000, 0x01005452, 0x0302, 0, 0, RINGS, RINGS + 0x1000};

    dev->ops->reset(dev->self);
    suite_place(env, DEVFN);
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t rx[4] = {BUFFERS + i * 2048, 0x8000f000 | (0x1000 - 1600), 0, 0};
        uint32_t tx[4] = {BUFFERS + 0x80000 + i * 2048, 0x8300f000 | (0x1000 - 100), 0, 0};

        put(env, RINGS + 16 * i, rx, 16);
        put(env, RINGS + 0x1000 + 16 * i, tx, 16);
    }
    put(env, 0x8000, block, sizeof(block));
    port(env, 0x16, 20, 2);
    port(env, 0x10, 1, 0x8000);
    port(env, 0x10, 2, 0);
    port(env, 0x10, 0, 1);    /* INIT */
    port(env, 0x10, 0, 0x42); /* STRT, IENA */
    arrive(env);
}

const struct suite_class suite_pcnet = {
    .name = "pcnet",
    .create = pcnet_make,
    .finish = net_stub_free,
    .busy = pcnet_busy,
    .ranges = {{false, 0xcf8, 8}, {false, PORTS, 32}, {true, WINDOW, 32}},
};
