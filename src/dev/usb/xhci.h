/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB host controller, xHCI 1.1, as a PCI function with keyboard and tablet at its root ports.
 * Registers in BAR 0; MSI, or INTA.
 *
 * Rings and contexts are looked at on the loop, which is the main thread's.
 */
#ifndef DOPPEL_DEV_USB_XHCI_H
#define DOPPEL_DEV_USB_XHCI_H

#include "bus/pci.h"
#include "dev/device.h"
#include "loop/loop.h"
#include "mem/ram.h"

struct xhci_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop;
    struct vclock *clock;
    bool keyboard, tablet; /* what is attached */
};

int xhci_create(const struct xhci_config *cfg, struct device *out, struct err *e) MUST_CHECK;

/* Any thread; `self` is the device's. */
/* As usb_hid_key of dev/chip/usb_hid.h: 0, -EAGAIN or -ENODEV. */
int xhci_key(void *self, unsigned key, bool down) MUST_CHECK;
bool xhci_keyboard_ready(void *self); /* the guest uses it */
uint8_t xhci_leds(void *self);
bool xhci_tablet_ready(void *self);
void xhci_pointer(void *self, unsigned x, unsigned y, int wheel, unsigned buttons);

#endif
