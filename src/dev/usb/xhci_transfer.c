/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers: xHCI 1.1, 4.10 and 4.11. The functions that are attached answer at once or have
 * nothing to say, so no transfer is ever under way between two runs: an interrupt endpoint's TD
 * just stays in its ring until there is a report.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "dev/usb/xhci_internal.h"

enum { TD_TRBS = 8, REPORT_DCI = 3 }; /* endpoint 1, to the host */
enum { IMMEDIATE = 1 << 6, EVENT_DATA = 1 << 2, SETUP_TO_HOST = 0x80 };

struct usb_hid *xhci_device_of(struct xhci *x, const struct xhci_slot *s)
{
    if (s->port == 0 || s->port > XHCI_PORTS_USB2)
        return NULL;
    return x->hid[s->port - 1].kind != USB_HID_NONE ? &x->hid[s->port - 1] : NULL;
}

static uint32_t length_of(const struct xhci_trb *t)
{
    return t->status & 0x1ffff;
}

void xhci_transfer_event(struct xhci *x, unsigned slot, unsigned dci, uint64_t parameter,
                         uint32_t left, enum xhci_code code)
{
    xhci_event(x, parameter, left | (uint32_t)code << 24,
               TRB_TRANSFER_EVENT << 10 | dci << 16 | slot << 24);
}

/* Event data TRB: 4.11.5.2. */
static void event_data(struct xhci *x, unsigned slot, unsigned dci, const struct xhci_trb *t,
                       enum xhci_code code)
{
    struct xhci_endpoint *ep = &x->slot[slot].ep[dci];

    if ((t->control & TRB_IOC) != 0)
        xhci_event(x, t->parameter, (ep->moved & 0xffffff) | (uint32_t)code << 24,
                   TRB_TRANSFER_EVENT << 10 | EVENT_DATA | dci << 16 | slot << 24);
    ep->moved = 0;
}

/* The endpoint halts at this TRB. */
static bool halt(struct xhci *x, unsigned slot, unsigned dci, const struct xhci_trb *t,
                 enum xhci_code code)
{
    struct xhci_slot *s = &x->slot[slot];

    s->ep[dci].state = EP_HALTED;
    s->ep[dci].active = false;
    xhci_show_endpoint(x, s, dci);
    xhci_transfer_event(x, slot, dci, t->at, length_of(t), code);
    return false;
}

/* --- control: 4.11.2 --- */

static bool to_host(const struct xhci_control *c)
{
    return (c->setup[0] & SETUP_TO_HOST) != 0 && ld_le16(c->setup + 6) != 0;
}

/* What comes from the device is there after the setup stage, the rest happens in the last one. */
static void request(struct xhci *x, struct xhci_slot *s)
{
    struct xhci_control *c = &s->control;
    struct usb_hid *h;
    int n = -EPIPE;

    lock_take(&x->lock);
    h = xhci_device_of(x, s);
    if (h != NULL)
        n = usb_hid_control(h, c->setup, c->data);
    lock_drop(&x->lock);
    c->stalled = n < 0;
    if (to_host(c))
        c->len = n > 0 ? (uint16_t)n : 0;
}

static bool setup_stage(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_control *c = &x->slot[slot].control;

    if ((t->control & IMMEDIATE) == 0 || length_of(t) != 8)
        return halt(x, slot, 1, t, CODE_TRB);
    memset(c, 0, sizeof(*c));
    st_le64(c->setup, t->parameter);
    if (to_host(c))
        request(x, &x->slot[slot]);
    if ((t->control & TRB_IOC) != 0)
        xhci_transfer_event(x, slot, 1, t->at, 0, CODE_SUCCESS);
    return true;
}

static bool data_stage(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->slot[slot];
    struct xhci_control *c = &s->control;
    uint32_t len = length_of(t), n;
    bool in = to_host(c);
    int rc;

    if (c->stalled)
        return halt(x, slot, 1, t, CODE_STALL);
    n = (in ? c->len : USB_CONTROL_MAX) - c->at;
    if (n > len)
        n = len;
    rc = in ? ram_write(x->cfg.ram, t->parameter, c->data + c->at, n)
            : ram_read(x->cfg.ram, t->parameter, c->data + c->at, n);
    if (rc < 0 || (!in && n < len))
        return halt(x, slot, 1, t, CODE_TRB);
    c->at = (uint16_t)(c->at + n);
    if (!in)
        c->len = c->at;
    s->ep[1].moved += n;
    if ((t->control & TRB_IOC) != 0 || (n < len && (t->control & TRB_ISP) != 0))
        xhci_transfer_event(x, slot, 1, t->at, len - n, n < len ? CODE_SHORT : CODE_SUCCESS);
    return true;
}

static bool status_stage(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->slot[slot];
    bool whole = s->control.len == ld_le16(s->control.setup + 6);

    if (!to_host(&s->control) && whole)
        request(x, s);
    else if (!to_host(&s->control))
        s->control.stalled = true;
    if (s->control.stalled)
        return halt(x, slot, 1, t, CODE_STALL);
    s->ep[1].moved = 0;
    if ((t->control & TRB_IOC) != 0)
        xhci_transfer_event(x, slot, 1, t->at, 0, CODE_SUCCESS);
    return true;
}

static bool control_trb(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    switch (trb_type(t)) {
    case TRB_SETUP:
        return setup_stage(x, slot, t);
    case TRB_DATA:
    case TRB_NORMAL:
        return data_stage(x, slot, t);
    case TRB_STATUS:
        return status_stage(x, slot, t);
    case TRB_EVENT_DATA:
        event_data(x, slot, 1, t, CODE_SUCCESS);
        return true;
    case TRB_NOOP:
        if ((t->control & TRB_IOC) != 0)
            xhci_transfer_event(x, slot, 1, t->at, 0, CODE_SUCCESS);
        return true;
    default:
        return halt(x, slot, 1, t, CODE_TRB);
    }
}

static bool control(struct xhci *x, unsigned slot)
{
    struct xhci_endpoint *ep = &x->slot[slot].ep[1];
    struct xhci_trb t;

    ep->active = xhci_fetch(x, &ep->ring, &t);
    if (!ep->active || !control_trb(x, slot, &t))
        return false;
    ep->ring.at += 16;
    return true;
}

/* --- reports: 4.10.1 --- */

/* The TRBs of the next TD, and the ring behind them. 0: it is not complete; -1: it is too long. */
static int take_td(struct xhci *x, struct xhci_ring *r, struct xhci_trb td[TD_TRBS])
{
    int n = 0;

    do {
        if (n == TD_TRBS)
            return -1;
        if (!xhci_fetch(x, r, &td[n]))
            return 0;
        r->at += 16;
    } while ((td[n++].control & TRB_CHAIN) != 0);
    return n;
}

/* The bytes of a report into the buffers of a TD. An event comes where a TRB asks for one, and when
 * the report is short at the first that asks for those, or else at the last. */
static void deliver(struct xhci *x, unsigned slot, unsigned dci, const struct xhci_trb *td,
                    int count, const uint8_t *report, uint32_t len)
{
    struct xhci_endpoint *ep = &x->slot[slot].ep[dci];
    uint32_t done = 0;
    bool told = false;

    for (int i = 0; i < count; i++) {
        const struct xhci_trb *t = &td[i];
        uint32_t n = length_of(t) < len - done ? length_of(t) : len - done;
        bool is_short = trb_type(t) == TRB_NORMAL && n < length_of(t);
        enum xhci_code code = is_short ? CODE_SHORT : CODE_SUCCESS;

        if (trb_type(t) == TRB_EVENT_DATA) {
            event_data(x, slot, dci, t, told ? CODE_SHORT : CODE_SUCCESS);
            continue;
        }
        if (trb_type(t) == TRB_NOOP)
            n = 0;
        if (n > 0 && ram_write(x->cfg.ram, t->parameter, report + done, n) < 0)
            log_guest("xhci: a buffer at %#llx is no memory", (unsigned long long)t->parameter);
        done += n;
        ep->moved += n;
        if (!told && ((t->control & TRB_IOC) != 0 || (is_short && (t->control & TRB_ISP) != 0)))
            xhci_transfer_event(x, slot, dci, t->at, length_of(t) - n, code);
        told |= is_short && (t->control & (TRB_IOC | TRB_ISP)) != 0;
    }
    ep->moved = 0;
}

static bool reports(struct xhci *x, unsigned slot, unsigned dci)
{
    struct xhci_slot *s = &x->slot[slot];
    struct xhci_endpoint *ep = &s->ep[dci];
    struct xhci_ring behind = ep->ring;
    uint8_t report[USB_HID_REPORT];
    struct xhci_trb td[TD_TRBS];
    int count = take_td(x, &behind, td), n = -EPIPE;
    struct usb_hid *h;

    if (count == 0) {
        ep->active = false;
        return false;
    }
    if (count < 0)
        return halt(x, slot, dci, &td[0], CODE_TRB);
    if (count == 1 && trb_type(&td[0]) == TRB_NOOP) {
        ep->ring = behind;
        if ((td[0].control & TRB_IOC) != 0)
            xhci_transfer_event(x, slot, dci, td[0].at, 0, CODE_SUCCESS);
        return true;
    }
    lock_take(&x->lock);
    h = xhci_device_of(x, s);
    if (h != NULL && dci == REPORT_DCI && ep->type == EP_INTERRUPT_IN)
        n = xhci_chip_enabled(&x->chip, s->port - 1u) ? usb_hid_report(h, report) : 0;
    lock_drop(&x->lock);
    if (n < 0)
        return halt(x, slot, dci, &td[0], h != NULL ? CODE_STALL : CODE_TRANSACTION);
    if (n == 0)
        return false;
    ep->ring = behind;
    deliver(x, slot, dci, td, count, report, (uint32_t)n);
    return true;
}

bool xhci_transfer(struct xhci *x, unsigned slot, unsigned dci)
{
    struct xhci_endpoint *ep = &x->slot[slot].ep[dci];

    if (ep->state != EP_RUNNING || !ep->active)
        return false;
    return dci == 1 ? control(x, slot) : reports(x, slot, dci);
}
