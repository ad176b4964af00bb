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

    usbd_find(&d, env->pci, env->mmio, env->ram, DEVFN, true);
    usbd_start(&d);
    usbd_write(&d, USBD_PORTS, 1 << 4 | 1 << 9);
    suite_settle(env);
    usbd_enable_slot(&d);
    suite_settle(env);
    usbd_address(&d, 1, 1);
    suite_settle(env);
    usbd_configure(&d, 1);
    usbd_control(&d, 1, 0, 9, 1, 0, 0);
    suite_settle(env);
    usbd_poll(&d, 1, 8);
    for (unsigned i = 0; i < 5; i++)
        (void)!xhci_key(dev->self, KEY_A + i, true);
}

const struct suite_class suite_xhci = {
    .name = "xhci",
    .create = create,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8},
               {true, USBD_WINDOW, 0x4000},
               {true, USBD_WINDOW + 0x40, 0x40},
               {true, USBD_WINDOW + 0x440, 0x80},
               {true, USBD_WINDOW + 0x1020, 0x20},
               {true, USBD_WINDOW + 0x2000, 0x24}},
};
