/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands and the contexts that they work on: xHCI 1.1, 4.6 and 6.2. */
#include <string.h>

#include "base/bits.h"
#include "dev/usb/xhci_internal.h"

enum { CONTEXT = 32, BLOCK_ADDRESS = 1 << 9, DECONFIGURE = 1 << 9 };
enum { ADD_SLOT = 1, ADD_CONTROL = 2 }; /* bits of the input control context */

/* The input context of a command: the flags, then a device context. */
struct input {
    uint64_t at;
    uint32_t drop, add;
};

static bool read_input(struct xhci *x, const struct xhci_trb *t, struct input *in)
{
    uint8_t raw[8];

    in->at = t->parameter & ~UINT64_C(15);
    if (ram_read(x->cfg.ram, in->at, raw, sizeof(raw)) < 0)
        return false;
    in->drop = ld_le32(raw);
    in->add = ld_le32(raw + 4);
    return true;
}

static bool input_context(struct xhci *x, const struct input *in, unsigned index,
                          uint8_t out[CONTEXT])
{
    return ram_read(x->cfg.ram, in->at + CONTEXT * (uint64_t)(index + 1), out, CONTEXT) == 0;
}

static bool get_context(struct xhci *x, const struct xhci_slot *s, unsigned index,
                        uint8_t out[CONTEXT])
{
    return ram_read(x->cfg.ram, s->context + CONTEXT * (uint64_t)index, out, CONTEXT) == 0;
}

static bool put_context(struct xhci *x, const struct xhci_slot *s, unsigned index,
                        const uint8_t in[CONTEXT])
{
    return ram_write(x->cfg.ram, s->context + CONTEXT * (uint64_t)index, in, CONTEXT) == 0;
}

static void set_slot_state(const struct xhci *x, const struct xhci_slot *s, uint8_t ctx[CONTEXT])
{
    bool addressed = s->state >= SLOT_ADDRESSED;

    st_le32(ctx + 12, (uint32_t)(s->state - 1) << 27 | (addressed ? (uint32_t)(s - x->slot) : 0));
}

void xhci_show_endpoint(struct xhci *x, const struct xhci_slot *s, unsigned dci)
{
    const struct xhci_endpoint *ep = &s->ep[dci];
    uint8_t ctx[CONTEXT];

    if (!get_context(x, s, dci, ctx))
        return;
    ctx[0] = (uint8_t)((ctx[0] & ~7) | ep->state);
    if (ep->state != EP_OFF)
        st_le64(ctx + 8, ep->ring.at | ep->ring.cycle);
    (void)!put_context(x, s, dci, ctx); /* it could be read, so it is memory */
}

/* Takes an endpoint's context from the input, and it runs. */
static bool start_endpoint(struct xhci *x, struct xhci_slot *s, const struct input *in,
                           unsigned dci)
{
    struct xhci_endpoint *ep = &s->ep[dci];
    uint8_t ctx[CONTEXT];

    if (!input_context(x, in, dci, ctx))
        return false;
    *ep = (struct xhci_endpoint){.state = EP_RUNNING,
                                 .type = ctx[4] >> 3 & 7,
                                 .ring = {ld_le64(ctx + 8) & ~UINT64_C(15), ctx[8] & 1}};
    ctx[0] = (uint8_t)((ctx[0] & ~7) | EP_RUNNING);
    return ep->type != 0 && put_context(x, s, dci, ctx);
}

/* --- slots --- */

static enum xhci_code enable_slot(struct xhci *x, unsigned *slot)
{
    unsigned enabled;

    lock_take(&x->lock);
    enabled = x->chip.config & 0xff;
    lock_drop(&x->lock);
    for (unsigned i = 1; i <= XHCI_SLOTS && i <= enabled; i++) {
        if (x->slot[i].state != SLOT_OFF)
            continue;
        x->slot[i] = (struct xhci_slot){.state = SLOT_ENABLED};
        *slot = i;
        return CODE_SUCCESS;
    }
    return CODE_NO_SLOTS;
}

static enum xhci_code disable_slot(struct xhci *x, struct xhci_slot *s)
{
    uint8_t ctx[CONTEXT];

    if (s->context != 0 && get_context(x, s, 0, ctx)) {
        st_le32(ctx + 12, 0);
        (void)!put_context(x, s, 0, ctx);
    }
    memset(s, 0, sizeof(*s));
    return CODE_SUCCESS;
}

static bool read_device_context(struct xhci *x, struct xhci_slot *s)
{
    uint64_t array;
    uint8_t raw[8];

    lock_take(&x->lock);
    array = x->chip.dcbaap;
    lock_drop(&x->lock);
    if (ram_read(x->cfg.ram, array + 8 * (uint64_t)(s - x->slot), raw, sizeof(raw)) < 0)
        return false;
    s->context = ld_le64(raw) & ~UINT64_C(63);
    return s->context != 0;
}

static bool port_works(struct xhci *x, unsigned port)
{
    bool good;

    if (port == 0 || port > XHCI_PORTS)
        return false;
    lock_take(&x->lock);
    good = xhci_chip_enabled(&x->chip, port - 1);
    lock_drop(&x->lock);
    return good;
}

/* 4.6.5 */
static enum xhci_code address_device(struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
    bool block = (t->control & BLOCK_ADDRESS) != 0;
    uint8_t ctx[CONTEXT];
    struct input in;

    if (s->state != SLOT_ENABLED && (s->state != SLOT_DEFAULT || block))
        return CODE_CONTEXT_STATE;
    if (!read_input(x, t, &in) || in.add != (ADD_SLOT | ADD_CONTROL) ||
        !input_context(x, &in, 0, ctx) || !read_device_context(x, s))
        return CODE_PARAMETER;
    if ((ld_le32(ctx) & 0xfffff) != 0) /* a route: there are no hubs */
        return CODE_PARAMETER;
    s->port = ctx[6] <= XHCI_PORTS ? ctx[6] : 0;
    if (!port_works(x, s->port))
        return CODE_TRANSACTION;
    s->state = block ? SLOT_DEFAULT : SLOT_ADDRESSED;
    set_slot_state(x, s, ctx);
    if (!put_context(x, s, 0, ctx) || !start_endpoint(x, s, &in, 1))
        return CODE_PARAMETER;
    return CODE_SUCCESS;
}

/* Stops all but the control endpoint. */
static void drop_endpoints(struct xhci *x, struct xhci_slot *s, uint32_t which)
{
    for (unsigned i = 2; i < XHCI_ENDPOINTS; i++) {
        if ((which >> i & 1) == 0 || s->ep[i].state == EP_OFF)
            continue;
        s->ep[i] = (struct xhci_endpoint){.state = EP_OFF};
        xhci_show_endpoint(x, s, i);
    }
}

/* The slot context with another state and number of entries. */
static bool show_slot(struct xhci *x, const struct xhci_slot *s, unsigned entries)
{
    uint8_t ctx[CONTEXT];

    if (!get_context(x, s, 0, ctx))
        return false;
    ctx[3] = (uint8_t)((ctx[3] & 7) | entries << 3);
    set_slot_state(x, s, ctx);
    return put_context(x, s, 0, ctx);
}

static unsigned entries_of(const struct xhci_slot *s)
{
    unsigned n = 1;

    for (unsigned i = 1; i < XHCI_ENDPOINTS; i++)
        if (s->ep[i].state != EP_OFF)
            n = i;
    return n;
}

/* 4.6.6 */
static enum xhci_code configure_endpoint(struct xhci *x, struct xhci_slot *s,
                                         const struct xhci_trb *t)
{
    struct input in;

    if (s->state < SLOT_ADDRESSED)
        return CODE_CONTEXT_STATE;
    if ((t->control & DECONFIGURE) != 0) {
        drop_endpoints(x, s, UINT32_MAX);
        s->state = SLOT_ADDRESSED;
        return show_slot(x, s, 1) ? CODE_SUCCESS : CODE_PARAMETER;
    }
    if (!read_input(x, t, &in) || (in.drop & (ADD_SLOT | ADD_CONTROL)) != 0 ||
        (in.add & ADD_CONTROL) != 0)
        return CODE_PARAMETER;
    drop_endpoints(x, s, in.drop);
    for (unsigned i = 2; i < XHCI_ENDPOINTS; i++)
        if ((in.add >> i & 1) != 0 && !start_endpoint(x, s, &in, i)) {
            s->ep[i] = (struct xhci_endpoint){.state = EP_OFF};
            return CODE_PARAMETER;
        }
    s->state = SLOT_CONFIGURED;
    return show_slot(x, s, entries_of(s)) ? CODE_SUCCESS : CODE_PARAMETER;
}

/* 4.6.7: interrupter and exit latency of the slot, packets of the control endpoint. */
static enum xhci_code evaluate_context(struct xhci *x, struct xhci_slot *s,
                                       const struct xhci_trb *t)
{
    uint8_t from[CONTEXT], to[CONTEXT];
    struct input in;

    if (s->state < SLOT_DEFAULT)
        return CODE_CONTEXT_STATE;
    if (!read_input(x, t, &in))
        return CODE_PARAMETER;
    if (in.add & ADD_SLOT) {
        if (!input_context(x, &in, 0, from) || !get_context(x, s, 0, to))
            return CODE_PARAMETER;
        memcpy(to + 4, from + 4, 2);
        st_le32(to + 8, (ld_le32(to + 8) & 0x3fffff) | (ld_le32(from + 8) & 0xffc00000));
        if (!put_context(x, s, 0, to))
            return CODE_PARAMETER;
    }
    if (in.add & ADD_CONTROL) {
        if (!input_context(x, &in, 1, from) || !get_context(x, s, 1, to))
            return CODE_PARAMETER;
        memcpy(to + 6, from + 6, 2);
        if (!put_context(x, s, 1, to))
            return CODE_PARAMETER;
    }
    return CODE_SUCCESS;
}

/* 4.6.11; the port was reset before. */
static enum xhci_code reset_device(struct xhci *x, struct xhci_slot *s)
{
    if (s->state < SLOT_ADDRESSED)
        return CODE_CONTEXT_STATE;
    drop_endpoints(x, s, UINT32_MAX);
    s->state = SLOT_DEFAULT;
    return show_slot(x, s, 1) ? CODE_SUCCESS : CODE_PARAMETER;
}

/* --- endpoints: 4.6.8 to 4.6.10 --- */

static enum xhci_code reset_endpoint(struct xhci *x, struct xhci_slot *s, unsigned dci)
{
    if (s->ep[dci].state != EP_HALTED)
        return CODE_CONTEXT_STATE;
    s->ep[dci].state = EP_STOPPED;
    s->ep[dci].active = false;
    xhci_show_endpoint(x, s, dci);
    return CODE_SUCCESS;
}

/* A TD that waits is told of, as if it had moved nothing. */
static enum xhci_code stop_endpoint(struct xhci *x, struct xhci_slot *s, unsigned dci)
{
    struct xhci_endpoint *ep = &s->ep[dci];
    struct xhci_trb t;

    if (ep->state != EP_RUNNING)
        return CODE_CONTEXT_STATE;
    if (ep->active && xhci_fetch(x, &ep->ring, &t))
        xhci_transfer_event(x, (unsigned)(s - x->slot), dci, t.at, t.status & 0x1ffff,
                            CODE_STOPPED);
    ep->state = EP_STOPPED;
    ep->active = false;
    xhci_show_endpoint(x, s, dci);
    return CODE_SUCCESS;
}

static enum xhci_code set_dequeue(struct xhci *x, struct xhci_slot *s, unsigned dci,
                                  uint64_t pointer)
{
    struct xhci_endpoint *ep = &s->ep[dci];

    if (ep->state != EP_STOPPED)
        return CODE_CONTEXT_STATE;
    ep->ring = (struct xhci_ring){pointer & ~UINT64_C(15), pointer & 1};
    ep->moved = 0;
    xhci_show_endpoint(x, s, dci);
    return CODE_SUCCESS;
}

static enum xhci_code endpoint_command(struct xhci *x, struct xhci_slot *s,
                                       const struct xhci_trb *t)
{
    unsigned dci = t->control >> 16 & 31;

    if (dci == 0 || s->ep[dci].state == EP_OFF)
        return CODE_ENDPOINT_OFF;
    switch (trb_type(t)) {
    case TRB_RESET_ENDPOINT:
        return reset_endpoint(x, s, dci);
    case TRB_STOP_ENDPOINT:
        return stop_endpoint(x, s, dci);
    default:
        return set_dequeue(x, s, dci, t->parameter);
    }
}

/* --- the ring --- */

static enum xhci_code slot_command(struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
    switch (trb_type(t)) {
    case TRB_DISABLE_SLOT:
        return disable_slot(x, s);
    case TRB_ADDRESS_DEVICE:
        return address_device(x, s, t);
    case TRB_CONFIGURE_ENDPOINT:
        return configure_endpoint(x, s, t);
    case TRB_EVALUATE_CONTEXT:
        return evaluate_context(x, s, t);
    case TRB_RESET_DEVICE:
        return reset_device(x, s);
    case TRB_RESET_ENDPOINT:
    case TRB_STOP_ENDPOINT:
    case TRB_SET_DEQUEUE:
        return endpoint_command(x, s, t);
    default:
        return CODE_TRB;
    }
}

void xhci_command_done(struct xhci *x, uint64_t at, enum xhci_code code, unsigned slot)
{
    xhci_event(x, at, (uint32_t)code << 24, TRB_COMMAND_EVENT << 10 | slot << 24);
}

bool xhci_command(struct xhci *x)
{
    enum xhci_code code = CODE_SUCCESS;
    struct xhci_trb t;
    unsigned slot;

    if (!xhci_fetch(x, &x->commands, &t))
        return false;
    slot = t.control >> 24;
    if (trb_type(&t) == TRB_ENABLE_SLOT)
        code = enable_slot(x, &slot);
    else if (trb_type(&t) == TRB_NOOP_COMMAND)
        slot = 0;
    else if (slot == 0 || slot > XHCI_SLOTS || x->slot[slot].state == SLOT_OFF)
        code = CODE_SLOT_OFF;
    else
        code = slot_command(x, &x->slot[slot], &t);
    x->commands.at += 16;
    xhci_command_done(x, t.at, code, slot);
    return true;
}
