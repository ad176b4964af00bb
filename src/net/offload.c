/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums, segmentation and fragmentation in software; see offload.h. */
#include "net/offload.h"

#include <errno.h>

#include "net/frame.h"

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_PSH = 0x08, TCP_CWR = 0x80 };

/* Of a frame we cut; IPv6 extension headers have no bound of their own. */
#define HEADERS_MAX 512u

/* A TCP frame taken apart. */
struct tcp_frame {
    struct net_layout at;
    uint32_t payload; /* offset of the first byte after the headers; <= at.end */
};

static int parse_tcp(const uint8_t *frame, size_t len, struct tcp_frame *t)
{
    if (net_parse(frame, len, &t->at) != 0 || t->at.proto != NET_PROTO_TCP || t->at.fragment ||
        t->at.end - t->at.l4 < 20)
        return -EPROTO;
    uint32_t header = (frame[t->at.l4 + 12] >> 4) * 4u;
    if (header < 20 || header > t->at.end - t->at.l4)
        return -EPROTO;
    t->payload = t->at.l4 + header;
    return 0;
}

static int parse_gso(const uint8_t *frame, size_t len, const struct net_meta *meta,
                     struct tcp_frame *t)
{
    int ret = parse_tcp(frame, len, t);
    if (ret != 0)
        return ret;
    unsigned kind = meta->gso & ~(unsigned)NET_GSO_ECN;
    return kind == (t->at.version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6) ? 0 : -EPROTO;
}

int net_csum_complete(uint8_t *frame, size_t len, const struct net_meta *meta)
{
    if (!(meta->flags & NET_NEEDS_CSUM))
        return 0;
    size_t start = meta->csum_start, field = start + meta->csum_offset;
    if (start < NET_ETH_LEN || start >= len || field + 2 > len)
        return -EPROTO;
    uint16_t sum = net_sum_finish(net_sum(frame + start, len - start, 0));
    if (sum == 0)
        sum = 0xffff; /* 0 means "none" to UDP, and both are zero in ones' complement */
    memcpy(frame + field, &sum, 2);
    return 0;
}

static void ip4_csum(uint8_t *ip)
{
    memset(ip + 10, 0, 2);
    uint16_t sum = net_sum_finish(net_sum(ip, (ip[0] & 15u) * 4, 0));
    memcpy(ip + 10, &sum, 2);
}

/* Sets the lengths of a TCP frame that ends at at->end, then its checksums. */
static void tcp_seal(uint8_t *frame, const struct net_layout *at)
{
    uint8_t *ip = frame + at->l3, *field = frame + at->l4 + 16;
    if (at->version == 4) {
        net_put16(ip + 2, (uint16_t)(at->end - at->l3));
        ip4_csum(ip);
    } else {
        net_put16(ip + 4, (uint16_t)(at->end - at->l3 - 40));
    }
    uint32_t l4_len = at->end - at->l4;
    memset(field, 0, 2);
    uint64_t sum = net_sum_pseudo(frame, at, l4_len);
    uint16_t csum = net_sum_finish(net_sum(frame + at->l4, l4_len, sum));
    memcpy(field, &csum, 2);
}

int net_tcp_csum(uint8_t *frame, size_t len, const struct net_meta *meta)
{
    struct tcp_frame t;
    int ret = parse_gso(frame, len, meta, &t);
    if (ret == 0)
        tcp_seal(frame, &t.at);
    return ret;
}

/* Turns the headers of the whole into those of the piece that starts `done` bytes into the payload
 * (RFC 9293 for sequence numbers and flags, RFC 3168 6.1.2 for CWR). */
static void segment_headers(uint8_t *frame, const struct tcp_frame *t, uint32_t done,
                            unsigned index, bool last)
{
    uint8_t *ip = frame + t->at.l3, *tcp = frame + t->at.l4;
    if (t->at.version == 4)
        net_put16(ip + 4, (uint16_t)(net_get16(ip + 4) + index));
    net_put32(tcp + 4, net_get32(tcp + 4) + done);
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (index > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
}

int net_segment(uint8_t *frame, size_t len, const struct net_meta *meta, net_emit_fn *emit,
                void *opaque)
{
    uint8_t headers[HEADERS_MAX];
    struct tcp_frame t;
    int ret = parse_gso(frame, len, meta, &t);
    if (ret != 0)
        return ret;
    if (meta->gso_size == 0 || t.payload > sizeof(headers))
        return -EPROTO;
    memcpy(headers, frame, t.payload);
    uint32_t total = t.at.end - t.payload, done = 0;
    unsigned index = 0;
    do {
        uint32_t size = total - done < meta->gso_size ? total - done : meta->gso_size;
        uint8_t *piece = frame + done;
        struct net_layout at = t.at;
        at.end = t.payload + size;
        memcpy(piece, headers, t.payload);
        segment_headers(piece, &t, done, index++, done + size == total);
        tcp_seal(piece, &at);
        emit(opaque, piece, at.end);
        done += size;
    } while (done < total);
    return 0;
}

int net_fragment4(uint8_t *frame, size_t len, unsigned mtu, net_emit_fn *emit, void *opaque)
{
    enum { MORE = 0x2000, OFFSET = 0x1fff };
    uint8_t headers[NET_ETH_LEN + 4 + 60];
    struct net_layout at;
    if (net_parse(frame, len, &at) != 0 || at.version != 4 || at.l4 - at.l3 + 8 > mtu)
        return -EPROTO;
    memcpy(headers, frame, at.l4);
    uint32_t room = (mtu - (at.l4 - at.l3)) & ~7u, total = at.end - at.l4, done = 0;
    unsigned old = net_get16(headers + at.l3 + 6);
    do {
        uint32_t size = total - done < room ? total - done : room;
        uint8_t *piece = frame + done, *ip = piece + at.l3;
        memcpy(piece, headers, at.l4);
        unsigned offset = ((old & OFFSET) + done / 8) & OFFSET;
        unsigned more = done + size < total ? MORE : old & MORE;
        net_put16(ip + 2, (uint16_t)(at.l4 - at.l3 + size));
        net_put16(ip + 6, (uint16_t)((old & 0xc000u) | more | offset));
        ip4_csum(ip);
        emit(opaque, piece, at.l4 + size);
        done += size;
    } while (done < total);
    return 0;
}

int net_make_gso(uint8_t *frame, size_t len, struct net_meta *meta)
{
    struct tcp_frame t;
    int ret = parse_tcp(frame, len, &t);
    if (ret != 0)
        return ret;
    unsigned ip_len = t.at.l4 - t.at.l3, tcp_len = t.payload - t.at.l4;
    if (ip_len + tcp_len >= NET_MTU || t.payload > HEADERS_MAX)
        return -EPROTO;
    *meta = (struct net_meta){
        .flags = NET_NEEDS_CSUM,
        .gso = t.at.version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
        .hdr_len = (uint16_t)t.payload,
        .gso_size = (uint16_t)(NET_MTU - ip_len - tcp_len),
        .csum_start = (uint16_t)t.at.l4,
        .csum_offset = 16,
    };
    uint16_t pseudo = (uint16_t)~net_sum_finish(net_sum_pseudo(frame, &t.at, t.at.end - t.at.l4));
    memcpy(frame + t.at.l4 + 16, &pseudo, 2);
    return (int)t.payload;
}

/* Replaces a 16-bit word at `p` and corrects the checksum at `csum` (RFC 1624, equation 3). `odd`
 * says that the word straddles two words of the sum. */
static void replace16(uint8_t *p, uint16_t value, uint8_t *csum, bool odd)
{
    uint16_t was = net_get16(p), now = value, sum = net_get16(csum);
    if (odd) {
        was = __builtin_bswap16(was);
        now = __builtin_bswap16(now);
    }
    uint32_t s = (uint16_t)~sum + (uint32_t)(uint16_t)~was + now;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    net_put16(csum, (uint16_t)~s);
    net_put16(p, value);
}

void net_raise_mss(uint8_t *frame, size_t len, uint16_t mss)
{
    enum { END = 0, NOP = 1, MSS = 2 };
    struct tcp_frame t;
    if (parse_tcp(frame, len, &t) != 0 || !(frame[t.at.l4 + 13] & TCP_SYN))
        return;
    unsigned full = NET_MTU - (t.at.version == 4 ? 20u : 40u) - 20u;
    for (uint32_t i = t.at.l4 + 20; i + 4 <= t.payload && frame[i] != END;) {
        if (frame[i] == NOP) {
            i++;
            continue;
        }
        if (frame[i] == MSS) {
            if (frame[i + 1] == 4 && net_get16(frame + i + 2) == full)
                replace16(frame + i + 2, mss, frame + t.at.l4 + 16, (i - t.at.l4) & 1);
            return;
        }
        if (frame[i + 1] < 2)
            return;
        i += frame[i + 1];
    }
}
