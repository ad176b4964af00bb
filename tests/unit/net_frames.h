/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames for tests, built and checked byte by byte with code of their own: the checksum here is
 * the plain loop of RFC 1071, so that a mistake in the product's does not agree with itself.
 */
#ifndef DOPPEL_TESTS_UNIT_NET_FRAMES_H
#define DOPPEL_TESTS_UNIT_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_ETH 14u

enum { T_FIN = 1, T_SYN = 2, T_RST = 4, T_PSH = 8, T_ACK = 16, T_CWR = 128 };

static inline void frame_put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void frame_put32(uint8_t *p, uint32_t v)
{
    frame_put16(p, v >> 16);
    frame_put16(p + 2, v & 0xffff);
}

static inline unsigned frame_get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t frame_get32(const uint8_t *p)
{
    return (uint32_t)frame_get16(p) << 16 | frame_get16(p + 2);
}

static inline uint32_t frame_sum(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* The sum over pseudo header and transport; 0xffff when its checksum is right. */
static inline unsigned frame_l4_sum(const uint8_t *frame)
{
    const uint8_t *ip = frame + FRAME_ETH;
    uint8_t tail[4] = {0};
    if (ip[0] >> 4 == 4) {
        unsigned header = (ip[0] & 15u) * 4, len = frame_get16(ip + 2) - header;
        tail[1] = ip[9];
        frame_put16(tail + 2, len);
        return frame_sum(ip + header, len, frame_sum(tail, 4, frame_sum(ip + 12, 8, 0)));
    }
    unsigned len = frame_get16(ip + 4);
    tail[1] = ip[6];
    frame_put16(tail + 2, len);
    return frame_sum(ip + 40, len, frame_sum(tail, 4, frame_sum(ip + 8, 32, 0)));
}

static inline bool frame_ip4_ok(const uint8_t *frame)
{
    const uint8_t *ip = frame + FRAME_ETH;
    return frame_sum(ip, (ip[0] & 15u) * 4, 0) == 0xffff;
}

/* Both ends as the guest sees them, and where its connection stands. */
struct frame_ends {
    uint8_t mac[6], peer_mac[6];
    uint32_t ip, peer_ip;
    uint16_t port, peer_port;
    uint32_t seq, ack;
};

static inline void frame_eth(uint8_t *f, const struct frame_ends *e, unsigned type)
{
    memcpy(f, e->peer_mac, 6);
    memcpy(f + 6, e->mac, 6);
    frame_put16(f + 12, type);
}

static inline void frame_ip4(uint8_t *f, const struct frame_ends *e, unsigned proto, size_t l4_len)
{
    uint8_t *ip = f + FRAME_ETH;
    memset(ip, 0, 20);
    frame_eth(f, e, 0x0800);
    ip[0] = 0x45;
    frame_put16(ip + 2, (unsigned)l4_len + 20);
    frame_put16(ip + 4, 0x1234);
    ip[8] = 64;
    ip[9] = (uint8_t)proto;
    frame_put32(ip + 12, e->ip);
    frame_put32(ip + 16, e->peer_ip);
    frame_put16(ip + 10, ~frame_sum(ip, 20, 0) & 0xffff);
}

static inline void frame_ip6(uint8_t *f, const struct frame_ends *e, unsigned proto, size_t l4_len)
{
    uint8_t *ip = f + FRAME_ETH;
    memset(ip, 0, 40);
    frame_eth(f, e, 0x86dd);
    ip[0] = 0x60;
    frame_put16(ip + 4, (unsigned)l4_len);
    ip[6] = (uint8_t)proto;
    ip[7] = 64;
    ip[8] = ip[24] = 0xfe;
    ip[9] = ip[25] = 0xc0;
    frame_put32(ip + 20, e->ip);
    frame_put32(ip + 36, e->peer_ip);
}

/* Writes a TCP frame; the checksum is complete if `sum`, else that of the pseudo header. Returns
 * its length. */
static inline size_t frame_tcp(uint8_t *f, const struct frame_ends *e, int version, unsigned flags,
                               const uint8_t *opts, unsigned opts_len, const void *data, size_t len,
                               bool sum)
{
    size_t l4_len = 20 + opts_len + len;
    unsigned l4 = FRAME_ETH + (version == 4 ? 20u : 40u);
    if (version == 4)
        frame_ip4(f, e, 6, l4_len);
    else
        frame_ip6(f, e, 6, l4_len);
    uint8_t *t = f + l4;
    memset(t, 0, 20);
    frame_put16(t, e->port);
    frame_put16(t + 2, e->peer_port);
    frame_put32(t + 4, e->seq);
    frame_put32(t + 8, e->ack);
    t[12] = (uint8_t)((20 + opts_len) / 4 << 4);
    t[13] = (uint8_t)flags;
    frame_put16(t + 14, 65535);
    if (opts_len > 0)
        memcpy(t + 20, opts, opts_len);
    if (len > 0)
        memcpy(t + 20 + opts_len, data, len);
    unsigned whole = frame_l4_sum(f), rest = frame_sum(t, l4_len, 0);
    /* whole - rest, in ones' complement: what the pseudo header contributes */
    frame_put16(t + 16, sum ? ~whole & 0xffff
                            : frame_sum((uint8_t[]){0, 0}, 2, (whole + (~rest & 0xffff)) % 0xffff));
    return l4 + l4_len;
}

static inline size_t frame_udp(uint8_t *f, const struct frame_ends *e, const void *data, size_t len)
{
    frame_ip4(f, e, 17, 8 + len);
    uint8_t *u = f + FRAME_ETH + 20;
    frame_put16(u, e->port);
    frame_put16(u + 2, e->peer_port);
    frame_put16(u + 4, 8 + (unsigned)len);
    frame_put16(u + 6, 0);
    memcpy(u + 8, data, len);
    frame_put16(u + 6, ~frame_l4_sum(f) & 0xffff);
    return FRAME_ETH + 28 + len;
}

static inline size_t frame_arp_request(uint8_t *f, const struct frame_ends *e, uint32_t target)
{
    static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    memset(f, 0, 60);
    frame_eth(f, e, 0x0806);
    memset(f, 0xff, 6);
    memcpy(f + 14, fixed, 8);
    memcpy(f + 22, e->mac, 6);
    frame_put32(f + 28, e->ip);
    frame_put32(f + 38, target);
    return 60;
}

/* The answer to an ARP request. */
static inline size_t frame_arp_reply(uint8_t *f, const struct frame_ends *e, const uint8_t *request)
{
    frame_arp_request(f, e, frame_get32(request + 28));
    memcpy(f, request + 6, 6);
    f[21] = 2;
    memcpy(f + 32, request + 22, 6);
    return 60;
}

/* DHCPDISCOVER (1) or DHCPREQUEST (3), RFC 2131. */
static inline size_t frame_dhcp(uint8_t *f, const uint8_t *mac, uint8_t type, uint32_t wanted)
{
    struct frame_ends e = {.peer_ip = 0xffffffff, .port = 68, .peer_port = 67};
    uint8_t d[300] = {1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef};
    static const uint8_t cookie[4] = {0x63, 0x82, 0x53, 0x63};
    memcpy(e.mac, mac, 6);
    memset(e.peer_mac, 0xff, 6);
    memcpy(d + 28, mac, 6);
    memcpy(d + 236, cookie, 4);
    uint8_t *o = d + 240;
    *o++ = 53;
    *o++ = 1;
    *o++ = type;
    if (wanted != 0) {
        *o++ = 50;
        *o++ = 4;
        frame_put32(o, wanted);
        o += 4;
    }
    *o = 255;
    return frame_udp(f, &e, d, sizeof(d));
}

#endif
