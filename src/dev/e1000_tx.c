/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82540EM's transmitter: manual 317453, 3.3 (descriptors), 3.4 (ring) and 3.5 (segmentation).
 *
 * A frame is fetched when all of its descriptors are there, up to the one with EOP. What the cable
 * can do itself it is asked to do, if it comes to the same: the sum of a frame without another one,
 * and the segmentation of an ordinary TCP frame.
 */
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "dev/e1000_internal.h"
#include "net/frame.h"

#define BUDGET 256u /* frames as they leave, before others on the loop have their turn */

/* A frame on its way from the ring to the cable. */
struct frame {
    uint32_t epoch;
    uint32_t head, count; /* descriptors; not wrapped */
    size_t len;
    uint8_t command, popts; /* of the last and of the first descriptor */
    uint8_t first;          /* the first one's command */
    bool extended, valid;
    uint8_t cso, css;             /* legacy; of the last */
    struct e1000_context context; /* extended */
};

enum { CONTEXT = 0 };

static bool is_context(const uint8_t *d)
{
    return (d[11] & E1000_TXD_DEXT) != 0 && d[10] >> 4 == CONTEXT;
}

static uint32_t length_of(const uint8_t *d)
{
    return (d[11] & E1000_TXD_DEXT) != 0 ? ld_le32(d + 8) & 0xfffff : ld_le16(d + 8);
}

/* An 802.1Q tag behind the addresses: VLE, with the type in VET. */
static void insert_tag(struct e1000 *e, struct frame *f, uint16_t special)
{
    uint8_t *p = e->nic.tx_frame + 12;

    if (f->len < 12 || f->len + 4 > NET_FRAME_MAX)
        return;
    memmove(p + 4, p, f->len - 12);
    net_put16(p, (uint16_t)e->chip.reg[E1000_VET]);
    net_put16(p + 2, special);
    f->len += 4;
    /* Offsets in the descriptors are those of the frame on the wire without the tag: 3.5.8. */
    f->context.ipcss += 4;
    f->context.ipcso += 4;
    f->context.ipcse += f->context.ipcse != 0 ? 4 : 0;
    f->context.tucss += 4;
    f->context.tucso += 4;
    f->context.tucse += f->context.tucse != 0 ? 4 : 0;
    f->context.hdrlen += 4;
    f->css += 4;
    f->cso += 4;
}

static void first_of(struct e1000 *e, struct frame *f, const uint8_t *d)
{
    f->first = d[11];
    f->extended = (d[11] & E1000_TXD_DEXT) != 0;
    f->popts = d[13];
    f->context = (d[11] & E1000_TXD_TSE) != 0 ? e->chip.tso : e->chip.csum;
}

/* Copies a frame's bytes; the lock is held. False: it is not complete yet. */
static bool fetch(struct e1000 *e, struct frame *f)
{
    const struct e1000_ring *r = &e->chip.tx;
    uint32_t available = e1000_available(r);
    const uint8_t *d = NULL;

    for (f->count = 0; f->count < available; f->count++) {
        d = nic_read(&e->nic, e1000_desc_at(r, f->head + f->count), 16);
        if (d == NULL || (f->count > 0 && is_context(d)))
            return false;
        if (f->count == 0)
            first_of(e, f, d);
        uint32_t len = length_of(d);
        const void *data = nic_read(&e->nic, ld_le64(d), len);
        f->valid = f->valid && len <= NET_FRAME_MAX - f->len && (data != NULL || len == 0);
        if (f->valid && len != 0)
            memcpy(e->nic.tx_frame + f->len, data, len);
        f->len += f->valid ? len : 0;
        if ((d[11] & E1000_TXD_EOP) != 0)
            break;
    }
    if (f->count == available)
        return false;
    f->count++;
    f->command = d[11];
    f->cso = d[10];
    f->css = d[13];
    if ((f->command & E1000_TXD_VLE) != 0 && (e->chip.reg[E1000_CTRL] & E1000_CTRL_VME) != 0)
        insert_tag(e, f, ld_le16(d + 14));
    return true;
}

/* --- to the cable --- */

static void count(struct e1000 *e, const uint8_t *frame, size_t len)
{
    nic_lock(&e->nic);
    e1000_count_tx(&e->chip, frame, len, 1);
    nic_unlock(&e->nic);
}

static void send_plain(void *opaque, uint8_t *frame, size_t len)
{
    struct e1000 *e = opaque;
    const struct net_meta plain = {0};

    if (len < NET_ETH_LEN)
        return;
    count(e, frame, len);
    nic_send(&e->nic, &plain, frame, len);
}

/* The sum is the cable's to make, if it goes to the end of the frame. */
static void send_summed(struct e1000 *e, size_t len, size_t start, size_t at)
{
    const struct net_meta meta = {.flags = NET_NEEDS_CSUM,
                                  .csum_start = (uint16_t)start,
                                  .csum_offset = (uint16_t)(at - start)};
    uint8_t *frame = e->nic.tx_frame;

    if ((e->nic.backend.offloads & NET_OFFLOAD_CSUM) == 0 || start < NET_ETH_LEN || at < start ||
        start >= len || at + 2 > len) {
        e1000_sum_range(frame, len, start, len, at);
        send_plain(e, frame, len);
        return;
    }
    count(e, frame, len);
    nic_send(&e->nic, &meta, frame, len);
}

/* Is the frame what the context says, and TCP? Then the cable may segment it, as soon as its
 * headers tell of the whole. */
static bool describe_gso(struct e1000 *e, struct frame *f, struct net_meta *meta)
{
    const struct e1000_context *x = &f->context;
    uint8_t *frame = e->nic.tx_frame, *ip = frame + x->ipcss;
    bool v4 = (x->tucmd & E1000_TXD_IP) != 0;
    unsigned needs = v4 ? NET_OFFLOAD_TSO4 : NET_OFFLOAD_TSO6;
    struct net_layout at;

    if ((e->nic.backend.offloads & needs) == 0 || (x->tucmd & E1000_TXD_TCP) == 0 ||
        (f->popts & E1000_TXD_TXSM) == 0 || (v4 && (f->popts & E1000_TXD_IXSM) == 0) ||
        x->mss == 0 || x->ipcss + 40u > f->len || f->len - x->ipcss > UINT16_MAX ||
        x->hdrlen >= f->len)
        return false;
    net_put16(ip + (v4 ? 2 : 4), (uint16_t)(f->len - x->ipcss - (v4 ? 0 : 40)));
    if (net_parse(frame, f->len, &at) < 0 || at.proto != NET_PROTO_TCP || at.fragment ||
        at.version != (v4 ? 4 : 6) || at.l3 != x->ipcss || at.l4 != x->tucss ||
        x->tucso != x->tucss + 16 || at.end - at.l4 < 20 ||
        at.l4 + (frame[at.l4 + 12] >> 4) * 4u != x->hdrlen)
        return false;
    if (v4)
        e1000_sum_range(frame, f->len, x->ipcss, x->ipcse + (size_t)1, x->ipcso);
    uint16_t pseudo = (uint16_t)~net_sum_finish(net_sum_pseudo(frame, &at, at.end - at.l4));
    memcpy(frame + x->tucso, &pseudo, 2);
    *meta = (struct net_meta){
        .flags = NET_NEEDS_CSUM,
        .gso = v4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .hdr_len = x->hdrlen,
        .gso_size = x->mss,
        .csum_start = x->tucss,
        .csum_offset = 16,
    };
    return true;
}

/* The pieces are counted as they would leave; their sizes differ in the last one only. */
static void count_pieces(struct e1000 *e, const struct frame *f)
{
    const struct e1000_context *x = &f->context;
    uint32_t payload = (uint32_t)f->len - x->hdrlen, last = payload % x->mss;

    nic_lock(&e->nic);
    e1000_count_tx(&e->chip, e->nic.tx_frame, x->hdrlen + (size_t)x->mss, payload / x->mss);
    e1000_count_tx(&e->chip, e->nic.tx_frame, x->hdrlen + (size_t)last, last != 0);
    nic_unlock(&e->nic);
}

static unsigned send_large(struct e1000 *e, struct frame *f)
{
    struct net_meta meta;
    unsigned frames;

    if (describe_gso(e, f, &meta)) {
        count_pieces(e, f);
        nic_send(&e->nic, &meta, e->nic.tx_frame, f->len);
        return 1;
    }
    frames = e1000_segment(&f->context, f->popts, e->nic.tx_frame, f->len, send_plain, e);
    if (frames != 0)
        return frames;
    log_guest("e1000: a frame to be segmented makes no sense, dropped");
    return 1;
}

/* Returns how many frames it was on the cable, or would have been. */
static unsigned send(struct e1000 *e, struct frame *f)
{
    const struct e1000_context *x = &f->context;
    uint8_t *frame = e->nic.tx_frame;

    if (!f->valid || f->len < NET_ETH_LEN) {
        log_guest("e1000: a frame of %zu bytes is not sent", f->len);
    } else if (f->extended && (f->first & E1000_TXD_TSE) != 0) {
        return send_large(e, f);
    } else if (f->extended && (f->popts & E1000_TXD_TXSM) != 0 && x->tucse == 0) {
        e1000_sum(x, f->popts & E1000_TXD_IXSM, frame, f->len);
        send_summed(e, f->len, x->tucss, x->tucso);
    } else if (f->extended) {
        e1000_sum(x, f->popts, frame, f->len);
        send_plain(e, frame, f->len);
    } else if ((f->command & E1000_TXD_IC) != 0) {
        send_summed(e, f->len, f->css, f->cso);
    } else {
        send_plain(e, frame, f->len);
    }
    return 1;
}

/* --- the ring --- */

/* The driver may have reset the card or set the ring up anew since the frame was fetched. */
static bool still_there(const struct e1000 *e, const struct frame *f)
{
    const struct e1000_ring *r = &e->chip.tx;

    return f->epoch == e->epoch && r->head == f->head && r->head < e1000_count(r);
}

/* DD, if RS asks for it. */
static void report(struct e1000 *e, gpa_t at)
{
    const uint8_t *d = nic_read(&e->nic, at, 16);
    uint8_t *status;

    if (d == NULL || (d[11] & E1000_TXD_RS) == 0)
        return;
    status = nic_write(&e->nic, at + 12, 1);
    if (status != NULL)
        *status |= E1000_TXD_DD;
    e1000_raise(&e->chip, E1000_TXDW);
}

/* Gives the descriptors back; lock held, dropped in between. */
static void give_back(struct e1000 *e, const struct frame *f)
{
    struct e1000_ring *r = &e->chip.tx;

    for (uint32_t i = 0; i < f->count && still_there(e, f); i++) {
        report(e, e1000_desc_at(r, f->head + i));
        nic_make_room(&e->nic);
    }
    if (!still_there(e, f))
        return;
    r->head = (f->head + f->count) % e1000_count(r);
    if (r->head == r->tail)
        e1000_raise(&e->chip, E1000_TXQE);
}

/* The next thing in the ring: 1: a frame was fetched, 0: something else was done, -1: nothing is
 * there. Lock held. */
static int next(struct e1000 *e, struct frame *f)
{
    const struct e1000_ring *r = &e->chip.tx;
    const uint8_t *d;

    *f = (struct frame){.epoch = e->epoch, .head = r->head, .valid = true};
    if ((e->chip.reg[E1000_TCTL] & E1000_TCTL_EN) == 0 || e1000_available(r) == 0)
        return -1;
    d = nic_read(&e->nic, e1000_desc_at(r, r->head), 16);
    if (d == NULL)
        return -1;
    if (!is_context(d) && fetch(e, f))
        return 1;
    if (is_context(d))
        e1000_take_context(&e->chip, d);
    else if (e1000_available(r) + 1 < e1000_count(r) && f->count == e1000_available(r))
        return -1; /* the rest will come */
    f->count = is_context(d) || f->count == 0 ? 1 : f->count;
    give_back(e, f);
    return 0;
}

/* How much of the budget it took; 0: nothing is there. */
static unsigned step(struct e1000 *e)
{
    unsigned frames;
    struct frame f;
    int rc;

    nic_lock(&e->nic);
    rc = next(e, &f);
    nic_unlock(&e->nic);
    if (rc <= 0)
        return rc == 0;
    frames = send(e, &f);
    nic_lock(&e->nic);
    give_back(e, &f);
    nic_unlock(&e->nic);
    return frames;
}

void e1000_run_tx(struct e1000 *e)
{
    unsigned done = 0, frames;

    while (done < BUDGET && (frames = step(e)) != 0)
        done += frames;
    if (done != 0)
        nic_send_end(&e->nic);
    if (done >= BUDGET)
        nic_kick(&e->nic);
}
