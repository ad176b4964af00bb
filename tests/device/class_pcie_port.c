/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A port of PCI Express in the generic suite, with a card that comes and is asked to go. */
#include <stdlib.h>

#include "dev/pcie_port.h"
#include "suite.h"

#define DEVFN PCI_DEVFN(28, 0)

static void on_spent(void *opaque)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    const struct pcie_port_config cfg = {
        .bus = suite_pci(env), .devfn = DEVFN, .number = 1, .spent = on_spent, .opaque = env};
    int rc = pcie_port_create(&cfg, dev, NULL);

    if (rc == 0) {
        pcie_port_insert(dev);
        dev->ops->reset(dev->self);
    }
    return rc;
}

static void busy(struct suite_env *env, struct device *dev)
{
    pci_config_write(env->pci, 0, DEVFN, 0x18, 4, 0x010100);
    pci_config_write(env->pci, 0, DEVFN, 0x20, 4, 0xc000c000);
    pci_config_write(env->pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_MEM);
    pci_config_write(env->pci, 0, DEVFN, 0x58, 2, 0x1f9);
    if (pcie_port_press(dev) < 0)
        abort();
}

const struct suite_class suite_pcie_port = {
    .name = "pcie-port",
    .create = create,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8},
               {true, SUITE_ECAM + (DEVFN << 12), 256},
               {true, SUITE_ECAM + (DEVFN << 12) + 0x40, 0x40}},
};
