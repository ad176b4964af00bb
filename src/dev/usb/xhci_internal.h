/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The xHCI controller as its own files see it. */
#ifndef DOPPEL_DEV_USB_XHCI_INTERNAL_H
#define DOPPEL_DEV_USB_XHCI_INTERNAL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "dev/chip/usb_hid.h"
#include "dev/chip/xhci_chip.h"
#include "dev/usb/xhci.h"

#define XHCI_ENDPOINTS 32u /* by device context index; 1 is the control endpoint */

enum xhci_trb_type { /* 6.4.6 */
                     TRB_NORMAL = 1,
                     TRB_SETUP = 2,
                     TRB_DATA = 3,
                     TRB_STATUS = 4,
                     TRB_LINK = 6,
                     TRB_EVENT_DATA = 7,
                     TRB_NOOP = 8,
                     TRB_ENABLE_SLOT = 9,
                     TRB_DISABLE_SLOT = 10,
                     TRB_ADDRESS_DEVICE = 11,
                     TRB_CONFIGURE_ENDPOINT = 12,
                     TRB_EVALUATE_CONTEXT = 13,
                     TRB_RESET_ENDPOINT = 14,
                     TRB_STOP_ENDPOINT = 15,
                     TRB_SET_DEQUEUE = 16,
                     TRB_RESET_DEVICE = 17,
                     TRB_NOOP_COMMAND = 23,
                     TRB_TRANSFER_EVENT = 32,
                     TRB_COMMAND_EVENT = 33,
                     TRB_PORT_EVENT = 34,
};
enum { TRB_CYCLE = 1, TRB_TOGGLE = 2, TRB_ISP = 4, TRB_CHAIN = 16, TRB_IOC = 32 };

enum xhci_code { /* 6.4.5 */
                 CODE_SUCCESS = 1,
                 CODE_TRANSACTION = 4,
                 CODE_TRB = 5,
                 CODE_STALL = 6,
                 CODE_NO_SLOTS = 9,
                 CODE_SLOT_OFF = 11,
                 CODE_ENDPOINT_OFF = 12,
                 CODE_SHORT = 13,
                 CODE_PARAMETER = 17,
                 CODE_CONTEXT_STATE = 19,
                 CODE_RING_STOPPED = 24,
                 CODE_STOPPED = 26,
};

struct xhci_trb {
    uint64_t at; /* where it is */
    uint64_t parameter;
    uint32_t status, control;
};

struct xhci_ring {
    uint64_t at;
    bool cycle;
};

enum xhci_endpoint_state { EP_OFF, EP_RUNNING, EP_HALTED, EP_STOPPED }; /* 6.2.3 */
enum { EP_CONTROL = 4, EP_INTERRUPT_IN = 7 };

struct xhci_endpoint {
    uint8_t state, type;
    bool active; /* rung, and the ring's end not seen since */
    struct xhci_ring ring;
    uint32_t moved; /* bytes of the TD, for event data: EDTLA, 4.11.5.2 */
};

/* A control transfer on its way. */
struct xhci_control {
    uint8_t setup[8];
    uint8_t data[USB_CONTROL_MAX];
    uint16_t len, at;
    bool stalled;
};

/* 4.5.3; in the slot context one less. */
enum xhci_slot_state { SLOT_OFF, SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };

struct xhci_slot {
    uint8_t state;
    uint8_t port; /* from 1; 0: none yet */
    uint64_t context;
    struct xhci_endpoint ep[XHCI_ENDPOINTS];
    struct xhci_control control;
};

/* Where the next event goes. */
struct xhci_events {
    uint64_t base;
    uint32_t size, index; /* in TRBs; size 0: there is no ring */
    bool cycle;
};

struct xhci {
    struct xhci_config cfg;
    struct pci_func func;
    struct timer *idle; /* reports that are due again */
    atomic_bool posted; /* `run` is on its way to the loop */

    struct lock lock; /* chip and hid */
    struct xhci_chip chip;
    struct usb_hid hid[XHCI_PORTS_USB2];
    bool paused;

    /* The loop's. */
    struct xhci_slot slot[XHCI_SLOTS + 1]; /* 0 is not used */
    struct xhci_ring commands;
    struct xhci_events events;
};

/* --- xhci_ring.c --- */

static inline unsigned trb_type(const struct xhci_trb *t)
{
    return t->control >> 10 & 0x3f;
}

/* The next TRB that is the controller's, behind links; the ring stays where it is but for those. */
bool xhci_fetch(struct xhci *x, struct xhci_ring *r, struct xhci_trb *out);

/* Room for what one command or transfer tells. */
bool xhci_event_room(struct xhci *x);
void xhci_event_ring(struct xhci *x); /* looks at the segment table: it is new */
void xhci_event(struct xhci *x, uint64_t parameter, uint32_t status, uint32_t control);

/* --- xhci_command.c --- */

/* One command; false: there is none. */
bool xhci_command(struct xhci *x);
void xhci_command_done(struct xhci *x, uint64_t at, enum xhci_code code, unsigned slot);
/* State and dequeue pointer of an endpoint into the device context. */
void xhci_show_endpoint(struct xhci *x, const struct xhci_slot *s, unsigned dci);

/* --- xhci_transfer.c --- */

/* Goes on with an endpoint; false: nothing to do for now. */
bool xhci_transfer(struct xhci *x, unsigned slot, unsigned dci);
void xhci_transfer_event(struct xhci *x, unsigned slot, unsigned dci, uint64_t parameter,
                         uint32_t left, enum xhci_code code);
/* The device behind a slot, or NULL. With the lock held, if it is used then. */
struct usb_hid *xhci_device_of(struct xhci *x, const struct xhci_slot *s);

#endif
