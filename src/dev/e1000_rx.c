/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82540EM's receiver: manual 317453, 3.2. A frame lies in as many buffers as it needs, with its
 * FCS unless RCTL.SECRC strips that; the last descriptor tells of the frame. There is no overrun:
 * a frame waits on the cable until there are buffers.
 */
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "dev/e1000_internal.h"
#include "net/frame.h"

/* Buffers of a frame: the largest in the smallest would be too many parts of memory at once. */
#define MAX_BUFFERS (NIC_DIRTY / 2)

static gpa_t desc_at(const struct e1000_ring *r, uint32_t i)
{
    return r->base + 16 * (uint64_t)(i % e1000_count(r));
}

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

/* A frame and what goes behind it. */
struct source {
    const uint8_t *frame;
    size_t len;
    uint8_t tail[64 + E1000_FCS]; /* padding, FCS */
    size_t tail_len, at;
};

static void take(struct source *s, uint8_t *to, size_t n)
{
    size_t from_frame = s->at < s->len ? s->len - s->at : 0;

    if (from_frame > n)
        from_frame = n;
    memcpy(to, s->frame + s->at, from_frame);
    s->at += from_frame;
    if (n > from_frame) {
        memcpy(to + from_frame, s->tail + (s->at - s->len), n - from_frame);
        s->at += n - from_frame;
    }
}

static void finish_source(const struct e1000 *e, struct source *s)
{
    uint32_t fcs;
    size_t pad = s->len < 60 ? 60 - s->len : 0;

    memset(s->tail, 0, sizeof(s->tail));
    s->tail_len = pad;
    if ((e->chip.reg[E1000_RCTL] & E1000_RCTL_SECRC) != 0)
        return;
    fcs = (uint32_t)crc32(crc32(0, s->frame, (unsigned)s->len), s->tail, (unsigned)pad);
    st_le32(s->tail + pad, fcs);
    s->tail_len += E1000_FCS;
}

struct verdict {
    uint8_t status, errors;
    uint16_t sum, special;
};

/* The part of a frame that goes into the buffer of descriptor `i`; what is no memory is lost. */
static void fill(struct e1000 *e, uint32_t i, struct source *s, const struct verdict *v)
{
    gpa_t at = desc_at(&e->chip.rx, i);
    size_t total = s->len + s->tail_len, left = total - s->at;
    size_t n = left < e1000_buffer_size(&e->chip) ? left : e1000_buffer_size(&e->chip);
    uint8_t *d = nic_write(&e->nic, at, 16), *data;

    if (d == NULL) {
        s->at += n;
        return;
    }
    data = nic_write(&e->nic, ld_le64(d), (uint32_t)n);
    if (data != NULL)
        take(s, data, n);
    else
        s->at += n;
    st_le16(d + 8, (uint16_t)n);
    st_le16(d + 10, v->sum);
    d[13] = v->errors;
    st_le16(d + 14, v->special);
    /* The driver goes by the status: it comes last. */
    __atomic_store_n(d + 12, (uint8_t)(v->status | (s->at == total ? E1000_RXD_EOP : 0)),
                     __ATOMIC_RELEASE);
}

/* RXDMT0: RCTL.RDMTS of the ring are left. */
static void note_minimum(struct e1000 *e, uint32_t before)
{
    uint32_t limit = e1000_count(&e->chip.rx) >> ((e->chip.reg[E1000_RCTL] >> 8 & 3) + 1);

    if (before > limit && e1000_available(&e->chip.rx) <= limit)
        e1000_raise(&e->chip, E1000_RXDMT0);
}

/* VLAN tags are taken out with CTRL.VME; `strip` has room for what is left. */
static void strip_tag(const struct e1000 *e, struct source *s, struct verdict *v, uint8_t *strip)
{
    if ((e->chip.reg[E1000_CTRL] & E1000_CTRL_VME) == 0 || s->len < 18 ||
        net_get16(s->frame + 12) != e->chip.reg[E1000_VET])
        return;
    v->special = net_get16(s->frame + 14);
    v->status |= E1000_RXD_VP;
    memcpy(strip, s->frame, 12);
    memcpy(strip + 12, s->frame + 16, s->len - 16);
    s->frame = strip;
    s->len -= 4;
}

static void store(struct e1000 *e, struct source *s, struct verdict *v)
{
    struct e1000_ring *r = &e->chip.rx;
    uint32_t before = e1000_available(r);
    size_t total = s->len + s->tail_len;
    uint32_t need =
        (uint32_t)((total + e1000_buffer_size(&e->chip) - 1) / e1000_buffer_size(&e->chip));

    if (need > before || need > MAX_BUFFERS) {
        e->chip.stats[0x10 / 4]++; /* MPC: missed */
        e1000_raise(&e->chip, E1000_RXO);
        return;
    }
    v->status |= E1000_RXD_DD;
    for (uint32_t i = 0; i < need; i++)
        fill(e, r->head + i, s, v);
    r->head = (r->head + need) % e1000_count(r);
    e1000_raise(&e->chip, E1000_RXT0);
    note_minimum(e, before);
}

void e1000_receive(void *self, const uint8_t *frame, size_t len, bool verified)
{
    struct e1000 *e = self;
    struct source s = {.frame = frame, .len = len};
    struct verdict v = {0};

    nic_lock(&e->nic);
    if (e1000_accepts(&e->chip, frame, len, &v.status)) {
        e1000_count_rx(&e->chip, frame, len);
        check_sums(e, frame, len, verified, &v.status, &v.errors);
        strip_tag(e, &s, &v, e->strip);
        finish_source(e, &s);
        v.sum = packet_sum(e, s.frame, s.len);
        store(e, &s, &v);
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
