/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog in the generic suite, about to expire. */
#include <stdlib.h>

#include "dev/watchdog/i6300esb.h"
#include "suite.h"

#define DEVFN PCI_DEVFN(3, 0)
#define BAR 0xc0000000u

static void on_expired(void *opaque)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct i6300esb_config cfg = {.bus = suite_pci(env),
                                  .devfn = DEVFN,
                                  .loop = env->loop,
                                  .clock = env->clock,
                                  .expired = on_expired,
                                  .opaque = env};

    return i6300esb_create(&cfg, dev, NULL);
}

static void busy(struct suite_env *env, struct device *dev)
{
    pci_config_write(env->pci, 0, DEVFN, 0x10, 4, BAR);
    pci_config_write(env->pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    for (unsigned reg = 0; reg < 8; reg += 4) {
        bus_write(env->mmio, BAR + 0xc, 0x80, 2);
        bus_write(env->mmio, BAR + 0xc, 0x86, 2);
        bus_write(env->mmio, BAR + reg, 900, 4);
    }
    pci_config_write(env->pci, 0, DEVFN, 0x60, 2, 4); /* a bit less than a millisecond */
    pci_config_write(env->pci, 0, DEVFN, 0x68, 1, 2);
}

const struct suite_class suite_i6300esb = {
    .name = "i6300esb",
    .create = create,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8}, {true, BAR, 0x10}, {true, SUITE_ECAM + (DEVFN << 12), 256}},
    .battery = true,
};
