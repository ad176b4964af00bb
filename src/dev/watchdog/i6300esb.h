/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog timer of the Intel 6300ESB as a PCI function: BAR 0, INTA. */
#ifndef DOPPEL_DEV_WATCHDOG_I6300ESB_H
#define DOPPEL_DEV_WATCHDOG_I6300ESB_H

#include "bus/pci.h"
#include "dev/device.h"
#include "loop/loop.h"

struct i6300esb_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct loop *loop;
    struct vclock *clock;
    /* Nobody has reset it in time. On the loop, with no lock held. */
    void (*expired)(void *opaque);
    void *opaque;
};

int i6300esb_create(const struct i6300esb_config *cfg, struct device *out,
                    struct err *e) MUST_CHECK;

#endif
