/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Header parsing and the Internet checksum; see frame.h. */
#include "net/frame.h"

#include <errno.h>

#include "net/net.h"

static int parse_ip4(const uint8_t *frame, size_t len, struct net_layout *at)
{
    if (len - at->l3 < 20)
        return -EPROTO;
    const uint8_t *ip = frame + at->l3;
    unsigned header = (ip[0] & 15u) * 4, total = net_get16(ip + 2);
    if (ip[0] >> 4 != 4 || header < 20 || total < header || total > len - at->l3)
        return -EPROTO;
    at->version = 4;
    at->proto = ip[9];
    at->fragment = (net_get16(ip + 6) & 0x3fff) != 0;
    at->l4 = at->l3 + header;
    at->end = at->l3 + total;
    return 0;
}

/* Walks the extension headers that may stand before a transport header. */
static int skip_ip6_extensions(const uint8_t *frame, struct net_layout *at)
{
    enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };
    while (at->proto == HOP_BY_HOP || at->proto == ROUTING || at->proto == DESTINATION ||
           at->proto == FRAGMENT) {
        if (at->end - at->l4 < 8)
            return -EPROTO;
        const uint8_t *ext = frame + at->l4;
        uint32_t size = at->proto == FRAGMENT ? 8 : (ext[1] + 1u) * 8;
        if (size > at->end - at->l4)
            return -EPROTO;
        at->fragment |= at->proto == FRAGMENT && (net_get16(ext + 2) & 0xfff9) != 0;
        at->proto = ext[0];
        at->l4 += size;
    }
    return 0;
}

static int parse_ip6(const uint8_t *frame, size_t len, struct net_layout *at)
{
    if (len - at->l3 < 40)
        return -EPROTO;
    const uint8_t *ip = frame + at->l3;
    uint32_t payload = net_get16(ip + 4);
    if (ip[0] >> 4 != 6 || payload > len - at->l3 - 40)
        return -EPROTO;
    at->version = 6;
    at->proto = ip[6];
    at->fragment = false;
    at->l4 = at->l3 + 40;
    at->end = at->l4 + payload;
    return skip_ip6_extensions(frame, at);
}

int net_parse(const uint8_t *frame, size_t len, struct net_layout *out)
{
    if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
        return -EPROTO;
    unsigned type = net_get16(frame + 12);
    struct net_layout at = {.l3 = NET_ETH_LEN};
    if (type == NET_ETH_VLAN) {
        if (len < NET_ETH_LEN + 4)
            return -EPROTO;
        type = net_get16(frame + 16);
        at.l3 += 4;
    }
    int ret = -EPROTO;
    if (type == NET_ETH_IP4)
        ret = parse_ip4(frame, len, &at);
    else if (type == NET_ETH_IP6)
        ret = parse_ip6(frame, len, &at);
    if (ret == 0)
        *out = at;
    return ret;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* 32-bit halves go into 64-bit accumulators, so no carry is lost below 2^32 words; four of them
 * keep the adds independent. */
uint64_t net_sum(const void *bytes, size_t len, uint64_t sum)
{
    const uint8_t *p = bytes;
    uint64_t s1 = 0, s2 = 0, s3 = 0;
    for (; len >= 16; p += 16, len -= 16) {
        uint64_t a = load64(p), b = load64(p + 8);
        sum += a & 0xffffffffu;
        s1 += a >> 32;
        s2 += b & 0xffffffffu;
        s3 += b >> 32;
    }
    sum += s1 + s2 + s3;
    uint16_t word;
    for (; len >= 2; p += 2, len -= 2) {
        memcpy(&word, p, 2);
        sum += word;
    }
    if (len == 1) {
        word = 0;
        memcpy(&word, p, 1);
        sum += word;
    }
    return sum;
}

uint16_t net_sum_finish(uint64_t sum)
{
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint64_t net_sum_pseudo(const uint8_t *frame, const struct net_layout *at, uint32_t l4_len)
{
    uint8_t tail[8] = {0};
    net_put32(tail, l4_len);
    tail[7] = at->proto;
    const uint8_t *ip = frame + at->l3;
    uint64_t sum = at->version == 4 ? net_sum(ip + 12, 8, 0) : net_sum(ip + 8, 32, 0);
    return net_sum(tail, sizeof(tail), sum);
}
