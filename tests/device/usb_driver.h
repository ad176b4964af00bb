/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of an xHCI controller for tests: rings and contexts in RAM, commands, transfers. */
#ifndef DOPPEL_TESTS_DEVICE_USB_DRIVER_H
#define DOPPEL_TESTS_DEVICE_USB_DRIVER_H

#include "suite_env.h"

#define USBD_RINGS 0x20000u /* where the driver's structures are */
#define USBD_SIZE 0x10000u
#define USBD_BUFFER (USBD_RINGS + 0xf000u)

enum usbd_reg { USBD_CMD = 0x40, USBD_STS = 0x44, USBD_PORTS = 0x440, USBD_IMAN = 0x1020 };

struct usbd_event {
    uint64_t parameter;
    uint32_t status, control;
};

struct usbd_ring {
    uint64_t base;
    unsigned next, cycle;
};

struct usbd {
    struct bus *mmio;
    struct ram *ram;
    uint64_t bar;
    struct usbd_ring commands, control, reports;
    unsigned event, event_cycle;
};

/* Places the BAR, turns bus mastering on and MSI if `msi`. */
void usbd_find(struct usbd *d, struct suite_env *env, unsigned devfn, bool msi);
void usbd_start(struct usbd *d); /* rings, run */
uint32_t usbd_read(struct usbd *d, unsigned reg);
void usbd_write(struct usbd *d, unsigned reg, uint32_t value);
/* Puts a TRB into a ring of 16, the last of which is a link. */
void usbd_put(struct usbd *d, struct usbd_ring *r, uint64_t parameter, uint32_t status,
              uint32_t control);
void usbd_command(struct usbd *d, uint64_t parameter, uint32_t type, unsigned slot, unsigned dci);
void usbd_ring(struct usbd *d, unsigned slot, unsigned dci);
/* true: one was there and is taken. */
bool usbd_take(struct usbd *d, struct usbd_event *out);

/* The steps to a device that is in use; each is one command or one transfer. */
void usbd_enable_slot(struct usbd *d);
void usbd_address(struct usbd *d, unsigned slot, unsigned port);
void usbd_configure(struct usbd *d, unsigned slot); /* the endpoint of its reports */
void usbd_control(struct usbd *d, unsigned slot, uint8_t type, uint8_t request, uint16_t value,
                  uint16_t index, uint16_t length);
void usbd_poll(struct usbd *d, unsigned slot, uint32_t length); /* one report */
/* All but the last, for the device at port 1 as slot 1, whatever comes of them; with MSI. */
void usbd_use(struct usbd *d, struct suite_env *env, unsigned devfn);

#endif
