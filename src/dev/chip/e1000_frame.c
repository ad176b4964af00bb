/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the 82540EM does to frames: the receive filter (section 3.2.1), statistics (13.7), checksums
 * (3.5.8) and TCP segmentation (3.5). Everything about a frame that it sends it knows from the
 * context descriptor alone: it parses nothing.
 */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/e1000_chip.h"
#include "net/frame.h"

enum { ETH_HEADER = 14 };

/* --- the filter --- */

static bool exact_match(const struct e1000_chip *c, const uint8_t *mac)
{
    for (unsigned i = 0; i < E1000_ADDRESSES; i++)
        if ((c->ra[2 * i + 1] & E1000_RAH_AV) != 0 && ld_le32(mac) == c->ra[2 * i] &&
            ld_le16(mac + 4) == (uint16_t)c->ra[2 * i + 1])
            return true;
    return false;
}

/* 12 bits of the address, which RCTL.MO chooses, are a bit of the table: 13.5.1. */
static bool hash_match(const struct e1000_chip *c, const uint8_t *mac)
{
    static const uint8_t shift[4] = {4, 3, 2, 0};
    unsigned bit = ld_le16(mac + 4) >> shift[c->reg[E1000_RCTL] >> 12 & 3] & 0xfff;

    return (c->mta[bit / 32] >> bit % 32 & 1) != 0;
}

static bool vlan_match(const struct e1000_chip *c, const uint8_t *frame, size_t len)
{
    uint32_t rctl = c->reg[E1000_RCTL];
    unsigned tag;

    if ((rctl & E1000_RCTL_VFE) == 0 || len < ETH_HEADER + 4 ||
        net_get16(frame + 12) != c->reg[E1000_VET])
        return true;
    tag = net_get16(frame + 14);
    if ((rctl & E1000_RCTL_CFIEN) != 0 && (tag >> 12 & 1) != ((rctl & E1000_RCTL_CFI) != 0))
        return false;
    return (c->vfta[tag >> 5 & 0x7f] >> (tag & 31) & 1) != 0;
}

static bool address_match(const struct e1000_chip *c, const uint8_t *mac, uint8_t *status)
{
    uint32_t rctl = c->reg[E1000_RCTL];

    if (exact_match(c, mac) || (net_is_broadcast(mac) && (rctl & E1000_RCTL_BAM) != 0))
        return true;
    if ((rctl & ((mac[0] & 1) != 0 ? E1000_RCTL_MPE : E1000_RCTL_UPE)) != 0)
        return true;
    *status |= E1000_RXD_PIF;
    return (mac[0] & 1) != 0 && hash_match(c, mac);
}

bool e1000_accepts(const struct e1000_chip *c, const uint8_t *frame, size_t len, uint8_t *status)
{
    uint32_t rctl = c->reg[E1000_RCTL];
    size_t most = (rctl & E1000_RCTL_LPE) != 0 ? E1000_FRAME_MAX : 1522;

    *status = 0;
    return c->link_up && (rctl & E1000_RCTL_EN) != 0 && len >= ETH_HEADER &&
           len + E1000_FCS <= most && vlan_match(c, frame, len) && address_match(c, frame, status);
}

/* --- statistics --- */

/* They stick at their end. */
static void count(struct e1000_chip *c, unsigned stat, uint32_t n)
{
    uint32_t *s = &c->stats[stat / 4];

    *s = *s > UINT32_MAX - n ? UINT32_MAX : *s + n;
}

static void count_octets(struct e1000_chip *c, unsigned stat, uint64_t octets)
{
    uint32_t *low = &c->stats[stat / 4];
    uint64_t v = (low[0] | (uint64_t)low[1] << 32) + octets;

    low[0] = (uint32_t)v;
    low[1] = (uint32_t)(v >> 32);
}

/* Six classes of size, the first of 64 bytes; with FCS. */
static unsigned size_class(size_t len)
{
    static const uint16_t ends[5] = {64, 127, 255, 511, 1023};
    unsigned i = 0;

    while (i < ARRAY_LEN(ends) && len > ends[i])
        i++;
    return 4 * i;
}

static void count_kind(struct e1000_chip *c, const uint8_t *frame, uint32_t n, unsigned broadcast,
                       unsigned multicast)
{
    if (net_is_broadcast(frame))
        count(c, broadcast, n);
    else if ((frame[0] & 1) != 0)
        count(c, multicast, n);
}

/* What comes is at least as long as Ethernet's shortest frame. */
void e1000_count_rx(struct e1000_chip *c, const uint8_t *frame, size_t len)
{
    len = len + E1000_FCS < 64 ? 64 : len + E1000_FCS;
    count(c, E1000_GPRC, 1);
    count(c, E1000_TPR, 1);
    count(c, E1000_PRC64 + size_class(len), 1);
    count_kind(c, frame, 1, E1000_BPRC, E1000_MPRC);
    count_octets(c, E1000_GORC, len);
    count_octets(c, E1000_TOR, len);
}

void e1000_count_missed(struct e1000_chip *c)
{
    count(c, E1000_MPC, 1);
}

/* A short frame is padded: TCTL.PSP. */
void e1000_count_tx(struct e1000_chip *c, const uint8_t *frame, size_t len, uint32_t n)
{
    len += E1000_FCS;
    if (len < 64 && (c->reg[E1000_TCTL] & E1000_TCTL_PSP) != 0)
        len = 64;
    count(c, E1000_GPTC, n);
    count(c, E1000_TPT, n);
    count(c, E1000_PTC64 + size_class(len), n);
    count_kind(c, frame, n, E1000_BPTC, E1000_MPTC);
    count_octets(c, E1000_GOTC, (uint64_t)len * n);
    count_octets(c, E1000_TOT, (uint64_t)len * n);
}

/* --- what is sent --- */

void e1000_take_context(struct e1000_chip *c, const uint8_t d[16])
{
    struct e1000_context ctx = {
        .ipcss = d[0],
        .ipcso = d[1],
        .ipcse = ld_le16(d + 2),
        .tucss = d[4],
        .tucso = d[5],
        .tucse = ld_le16(d + 6),
        .paylen = ld_le32(d + 8) & 0xfffff,
        .tucmd = d[11],
        .hdrlen = d[13],
        .mss = ld_le16(d + 14),
    };

    if (ctx.tucmd & E1000_TXD_TSE)
        c->tso = ctx;
    else
        c->csum = ctx;
}

void e1000_sum_range(uint8_t *frame, size_t len, size_t start, size_t end, size_t at)
{
    uint16_t sum;

    if (end > len)
        end = len;
    if (start >= end || at + 2 > len)
        return;
    sum = net_sum_finish(net_sum(frame + start, end - start, 0));
    memcpy(frame + at, &sum, 2);
}

/* An end of 0 is the frame's; else it is the last byte's offset. */
static size_t range_end(uint16_t last, size_t len)
{
    return last == 0 ? len : last + (size_t)1;
}

void e1000_sum(const struct e1000_context *x, uint8_t popts, uint8_t *frame, size_t len)
{
    if (popts & E1000_TXD_IXSM)
        e1000_sum_range(frame, len, x->ipcss, range_end(x->ipcse, len), x->ipcso);
    if (popts & E1000_TXD_TXSM)
        e1000_sum_range(frame, len, x->tucss, range_end(x->tucse, len), x->tucso);
}

/* 3.5.6: what changes in the headers of the piece behind `done` bytes of payload. */
static void segment_headers(const struct e1000_context *x, uint8_t *frame, size_t len,
                            uint32_t done, unsigned index, bool last)
{
    enum { FIN_PSH = 0x09, SEQUENCE = 4, FLAGS = 13, TCP_HEADER = 20 };
    uint8_t *ip = frame + x->ipcss, *tcp = frame + x->tucss;

    if (x->tucmd & E1000_TXD_IP) {
        net_put16(ip + 2, (uint16_t)(len - x->ipcss));
        net_put16(ip + 4, (uint16_t)(net_get16(ip + 4) + index));
    } else {
        net_put16(ip + 4, (uint16_t)(len - x->ipcss - 40));
    }
    if (x->tucmd & E1000_TXD_TCP) {
        net_put32(tcp + SEQUENCE, net_get32(tcp + SEQUENCE) + done);
        if (!last)
            tcp[FLAGS] &= (uint8_t)~FIN_PSH;
    } else {
        net_put16(tcp + 4, (uint16_t)(len - x->tucss)); /* a UDP header's length */
    }
}

/* The driver leaves the length out of the pseudo header's sum: 3.5.7. */
static void add_length(const struct e1000_context *x, uint8_t *frame, size_t len)
{
    uint8_t *field = frame + x->tucso;
    uint32_t sum = net_get16(field) + (uint32_t)(len - x->tucss);

    net_put16(field, (uint16_t)((sum & 0xffff) + (sum >> 16)));
}

static bool context_fits(const struct e1000_context *x, size_t len)
{
    return x->mss != 0 && x->hdrlen < len && x->ipcss + 20u <= x->tucss &&
           x->tucss + (x->tucmd & E1000_TXD_TCP ? 20u : 8u) <= x->hdrlen &&
           x->tucso + 2u <= x->hdrlen && x->ipcso + 2u <= x->hdrlen;
}

unsigned e1000_segment(const struct e1000_context *x, uint8_t popts, uint8_t *frame, size_t len,
                       e1000_emit_fn *emit, void *opaque)
{
    uint8_t headers[UINT8_MAX];
    uint32_t total, done = 0;
    unsigned index = 0;

    if (!context_fits(x, len))
        return 0;
    total = (uint32_t)(len - x->hdrlen);
    memcpy(headers, frame, x->hdrlen);
    do {
        uint32_t size = total - done < x->mss ? total - done : x->mss;
        uint8_t *piece = frame + done;
        size_t piece_len = x->hdrlen + size;

        memcpy(piece, headers, x->hdrlen);
        segment_headers(x, piece, piece_len, done, index++, done + size == total);
        if (popts & E1000_TXD_TXSM)
            add_length(x, piece, piece_len);
        e1000_sum(x, popts, piece, piece_len);
        emit(opaque, piece, piece_len);
        done += size;
    } while (done < total);
    return index;
}
