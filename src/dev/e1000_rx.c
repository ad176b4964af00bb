/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82540EM's receiver: manual 317453, 3.2. A frame lies in as many buffers as it needs, with its
 * FCS unless RCTL.SECRC strips that; the last descriptor tells of the frame. There is no overrun:
 * a frame waits on the cable until there are buffers.
 */
#include <string.h>

#include "base/bits.h"
#include "dev/e1000_internal.h"
#include "net/frame.h"

/* Buffers of a frame: the largest in the smallest would be too many parts of memory at once. */
#define MAX_BUFFERS (NIC_DIRTY / 2)

bool e1000_fits(void *self, uint32_t frames)
{
    struct e1000 *e = self;
    uint32_t need, available, all;
    bool deaf;

    nic_lock(&e->nic);
    need = (NET_MTU + 22) / e1000_buffer_size(&e->chip) + 1;
    available = e1000_available(&e->chip.rx);
    all = e1000_count(&e->chip.rx);
    deaf = (e->chip.reg[E1000_RCTL] & E1000_RCTL_EN) == 0 || !e->chip.link_up;
    nic_unlock(&e->nic);
    return deaf || (available >= need && (available >= frames * need || available + 1 >= all));
}

/* --- the sums, 3.2.9 --- */

static bool l4_right(const uint8_t *frame, const struct net_layout *at)
{
    uint64_t sum = net_sum_pseudo(frame, at, at->end - at->l4);

    return net_sum_finish(net_sum(frame + at->l4, at->end - at->l4, sum)) == 0;
}

/* Status and errors of what the hardware understands: IPv4 headers, TCP and UDP over either. */
static void check_sums(const struct e1000 *e, const uint8_t *frame, size_t len, bool verified,
                       uint8_t *status, uint8_t *errors)
{
    enum { IPOFL = 1 << 8, TUOFL = 1 << 9 };
    uint32_t rxcsum = e->chip.reg[E1000_RXCSUM];
    struct net_layout at;

    if ((rxcsum & (IPOFL | TUOFL)) == 0 || net_parse(frame, len, &at) < 0) {
        *status |= E1000_RXD_IXSM;
        return;
    }
    if ((rxcsum & IPOFL) != 0 && at.version == 4) {
        *status |= E1000_RXD_IPCS;
        if (!verified && net_sum_finish(net_sum(frame + at.l3, at.l4 - at.l3, 0)) != 0)
            *errors |= E1000_RXD_IPE;
    }
    if ((rxcsum & TUOFL) == 0 || at.fragment ||
        (at.proto == NET_PROTO_TCP ? at.end - at.l4 < 20
                                   : at.proto != NET_PROTO_UDP || at.end - at.l4 < 8))
        return;
    if (at.proto == NET_PROTO_UDP && net_get16(frame + at.l4 + 6) == 0)
        return; /* the sender made none */
    *status |= E1000_RXD_TCPCS;
    if (!verified && !l4_right(frame, &at))
        *errors |= E1000_RXD_TCPE;
}

/* The packet checksum: all from PCSS on. */
static uint16_t packet_sum(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    size_t start = e->chip.reg[E1000_RXCSUM] & 0xff;

    return start < len ? (uint16_t)~net_sum_finish(net_sum(frame + start, len - start, 0)) : 0;
}

/* --- into memory --- */

struct verdict {
    uint8_t status, errors;
    uint16_t sum, special;
};

/* The part of a frame that goes into the buffer of descriptor `i`; what is no memory is lost. */
static void fill(struct e1000 *e, uint32_t i, struct nic_wire *w, const struct verdict *v)
{
    gpa_t at = e1000_desc_at(&e->chip.rx, i);
    size_t left = w->total - w->at;
    size_t n = left < e1000_buffer_size(&e->chip) ? left : e1000_buffer_size(&e->chip);
    uint8_t *d = nic_write(&e->nic, at, 16), *data;

    data = d != NULL ? nic_write(&e->nic, ld_le64(d), (uint32_t)n) : NULL;
    nic_wire_take(w, data, n);
    if (d == NULL)
        return;
    st_le16(d + 8, (uint16_t)n);
    st_le16(d + 10, v->sum);
    d[13] = v->errors;
    st_le16(d + 14, v->special);
    /* The driver goes by the status: it comes last. */
    __atomic_store_n(d + 12, (uint8_t)(v->status | (w->at == w->total ? E1000_RXD_EOP : 0)),
                     __ATOMIC_RELEASE);
}

/* RXDMT0: RCTL.RDMTS of the ring are left. */
static void note_minimum(struct e1000 *e, uint32_t before)
{
    uint32_t limit = e1000_count(&e->chip.rx) >> ((e->chip.reg[E1000_RCTL] >> 8 & 3) + 1);

    if (before > limit && e1000_available(&e->chip.rx) <= limit)
        e1000_raise(&e->chip, E1000_RXDMT0);
}

/* VLAN tags are taken out with CTRL.VME. */
static const uint8_t *strip_tag(struct e1000 *e, const uint8_t *frame, size_t *len,
                                struct verdict *v)
{
    if ((e->chip.reg[E1000_CTRL] & E1000_CTRL_VME) == 0 || *len < 18 ||
        net_get16(frame + 12) != e->chip.reg[E1000_VET])
        return frame;
    v->special = net_get16(frame + 14);
    v->status |= E1000_RXD_VP;
    memcpy(e->strip, frame, 12);
    memcpy(e->strip + 12, frame + 16, *len - 16);
    *len -= 4;
    return e->strip;
}

static void store(struct e1000 *e, struct nic_wire *w, struct verdict *v)
{
    struct e1000_ring *r = &e->chip.rx;
    uint32_t before = e1000_available(r);
    uint32_t size = e1000_buffer_size(&e->chip), need = ((uint32_t)w->total + size - 1) / size;

    if (need > before || need > MAX_BUFFERS) {
        e1000_count_missed(&e->chip);
        e1000_raise(&e->chip, E1000_RXO);
        return;
    }
    v->status |= E1000_RXD_DD;
    for (uint32_t i = 0; i < need; i++)
        fill(e, r->head + i, w, v);
    r->head = (r->head + need) % e1000_count(r);
    e1000_raise(&e->chip, E1000_RXT0);
    note_minimum(e, before);
}

void e1000_receive(void *self, const uint8_t *frame, size_t len, bool verified)
{
    struct e1000 *e = self;
    struct verdict v = {0};
    struct nic_wire w;

    nic_lock(&e->nic);
    if (e1000_accepts(&e->chip, frame, len, &v.status)) {
        e1000_count_rx(&e->chip, frame, len);
        check_sums(e, frame, len, verified, &v.status, &v.errors);
        frame = strip_tag(e, frame, &len, &v);
        v.sum = packet_sum(e, frame, len);
        w = nic_wire(frame, len, (e->chip.reg[E1000_RCTL] & E1000_RCTL_SECRC) == 0);
        store(e, &w, &v);
    }
    nic_unlock(&e->nic);
}

void e1000_receive_end(void *self)
{
    struct e1000 *e = self;

    nic_lock(&e->nic);
    e1000_note(e);
    e1000_unlock(e);
}
