/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rings of transfer request blocks: xHCI 1.1, 4.9. */
#include "base/bits.h"
#include "base/log.h"
#include "dev/usb/xhci_internal.h"

enum { LINKS_MAX = 8, ROOM = 12, TRB_SIZE = 16, SEGMENT_MAX = 4096 };

bool xhci_fetch(struct xhci *x, struct xhci_ring *r, struct xhci_trb *out)
{
    uint8_t raw[TRB_SIZE];

    for (unsigned links = 0; links < LINKS_MAX; links++) {
        if (ram_read(x->cfg.ram, r->at, raw, sizeof(raw)) < 0) {
            log_guest("xhci: a ring at %#llx is no memory", (unsigned long long)r->at);
            return false;
        }
        *out = (struct xhci_trb){r->at, ld_le64(raw), ld_le32(raw + 8), ld_le32(raw + 12)};
        if ((out->control & TRB_CYCLE) != r->cycle)
            return false;
        if (trb_type(out) != TRB_LINK)
            return true;
        r->at = out->parameter & ~UINT64_C(15);
        r->cycle ^= (out->control & TRB_TOGGLE) != 0;
    }
    log_guest("xhci: links without end at %#llx", (unsigned long long)r->at);
    return false;
}

/* 4.9.4.1, 6.5: the table has one entry. */
void xhci_event_ring(struct xhci *x)
{
    struct xhci_events *ev = &x->events;
    uint64_t table;
    uint8_t raw[16];

    lock_take(&x->lock);
    table = x->chip.erstsz > 0 ? x->chip.erstba : 0;
    x->chip.erst_changed = false;
    lock_drop(&x->lock);
    *ev = (struct xhci_events){.cycle = true};
    if (table == 0 || ram_read(x->cfg.ram, table, raw, sizeof(raw)) < 0)
        return;
    ev->base = ld_le64(raw) & ~UINT64_C(63);
    ev->size = ld_le32(raw + 8) & 0xffff;
    if (ev->size < 16 || ev->size > SEGMENT_MAX)
        ev->size = 0;
}

bool xhci_event_room(struct xhci *x)
{
    const struct xhci_events *ev = &x->events;
    uint64_t taken, used;

    lock_take(&x->lock);
    taken = ((x->chip.erdp & ~UINT64_C(15)) - ev->base) / TRB_SIZE;
    lock_drop(&x->lock);
    if (ev->size == 0)
        return false;
    used = taken < ev->size ? (ev->index + ev->size - taken) % ev->size : 0;
    return ev->size - used > ROOM;
}

void xhci_event(struct xhci *x, uint64_t parameter, uint32_t status, uint32_t control)
{
    struct xhci_events *ev = &x->events;
    uint8_t raw[TRB_SIZE];

    if (ev->size == 0)
        return;
    st_le64(raw, parameter);
    st_le32(raw + 8, status);
    st_le32(raw + 12, control | ev->cycle);
    if (ram_write(x->cfg.ram, ev->base + (uint64_t)ev->index * TRB_SIZE, raw, sizeof(raw)) < 0)
        log_guest("xhci: events at %#llx, which is no memory", (unsigned long long)ev->base);
    if (++ev->index == ev->size) {
        ev->index = 0;
        ev->cycle = !ev->cycle;
    }
    lock_take(&x->lock);
    xhci_chip_event(&x->chip);
    lock_drop(&x->lock);
}
