/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog in the generic suite, about to expire. */
#include <stdlib.h>

#include "dev/watchdog/i6300esb.h"
#include "suite.h"

#define DEVFN PCI_DEVFN(3, 0)
#define BAR 0xc0000000u
#define ECAM 0xb0000000u

static void on_expired(void *opaque)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct pin pin = suite_pin(env, 0);
    struct pci_bus_config bus = {
        .mmio = env->mmio, .ports = env->ports, .msi = env->msi, .intx = &pin, .intx_count = 1};
    struct i6300esb_config cfg = {.devfn = DEVFN,
                                  .loop = env->loop,
                                  .clock = env->clock,
                                  .expired = on_expired,
                                  .opaque = env};

    if (pci_bus_create(&bus, &cfg.bus) < 0 || pci_bus_ecam(cfg.bus, ECAM, 1) < 0)
        abort();
    env->extra = cfg.bus;
    return i6300esb_create(&cfg, dev, NULL);
}

static void finish(struct suite_env *env)
{
    pci_bus_destroy(env->extra);
}

static void busy(struct suite_env *env, struct device *dev)
{
    pci_config_write(env->extra, 0, DEVFN, 0x10, 4, BAR);
    pci_config_write(env->extra, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    for (unsigned reg = 0; reg < 8; reg += 4) {
        bus_write(env->mmio, BAR + 0xc, 0x80, 2);
        bus_write(env->mmio, BAR + 0xc, 0x86, 2);
        bus_write(env->mmio, BAR + reg, 900, 4);
    }
    pci_config_write(env->extra, 0, DEVFN, 0x60, 2, 4); /* a bit less than a millisecond */
    pci_config_write(env->extra, 0, DEVFN, 0x68, 1, 2);
}

const struct suite_class suite_i6300esb = {
    .name = "i6300esb",
    .create = create,
    .finish = finish,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8}, {true, BAR, 0x10}, {true, ECAM + (DEVFN << 12), 256}},
    .battery = true,
};
