/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB controller in the generic suite, with a driver that polls its keyboard. */
#include <linux/input-event-codes.h>

#include "dev/usb/xhci.h"
#include "suite.h"
#include "usb_driver.h"

#define DEVFN PCI_DEVFN(3, 0)

static int create(struct suite_env *env, struct device *dev)
{
    return xhci_create(&(struct xhci_config){.bus = suite_pci(env),
                                             .devfn = DEVFN,
                                             .ram = env->ram,
                                             .loop = env->loop,
                                             .clock = env->clock,
                                             .keyboard = true,
                                             .tablet = true},
                       dev, NULL);
}

/* Up to a TD that waits, and keys. */
static void busy(struct suite_env *env, struct device *dev)
{
    struct usbd d;

    usbd_use(&d, env, DEVFN);
    usbd_poll(&d, 1, 8);
    for (unsigned i = 0; i < 5; i++)
        (void)!xhci_key(dev->self, KEY_A + i, true);
}

const struct suite_class suite_xhci = {
    .name = "xhci",
    .create = create,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8},
               {true, SUITE_WINDOW, 0x4000},
               {true, SUITE_WINDOW + 0x40, 0x40},
               {true, SUITE_WINDOW + 0x440, 0x80},
               {true, SUITE_WINDOW + 0x1020, 0x20},
               {true, SUITE_WINDOW + 0x2000, 0x24}},
};
