/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet frames as bytes: where the headers are, and the Internet checksum.
 *
 * Everything here takes frames from guests: a parser trusts no length field beyond the bytes that
 * are there. IPv4 is RFC 791, IPv6 RFC 8200, TCP RFC 9293, the checksum RFC 1071.
 */
#ifndef DOPPEL_NET_FRAME_H
#define DOPPEL_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

enum { NET_ETH_IP4 = 0x0800, NET_ETH_VLAN = 0x8100, NET_ETH_IP6 = 0x86dd };
enum { NET_PROTO_TCP = 6, NET_PROTO_UDP = 17 };

struct net_layout {
    uint8_t version; /* 4 or 6 */
    uint8_t proto;   /* what follows the IP headers */
    bool fragment;   /* not a whole packet: the transport header may be missing */
    uint32_t l3;     /* offset of the IP header */
    uint32_t l4;     /* offset of the transport header; <= end */
    uint32_t end;    /* offset behind the packet; bytes beyond it are Ethernet padding */
};

/* Finds the headers. 0, or -EPROTO: not IP, or its lengths contradict the frame. */
int net_parse(const uint8_t *frame, size_t len, struct net_layout *out) MUST_CHECK;

static inline uint16_t net_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void net_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint32_t net_get32(const uint8_t *p)
{
    return (uint32_t)net_get16(p) << 16 | net_get16(p + 2);
}

static inline bool net_is_broadcast(const uint8_t mac[6])
{
    return net_get32(mac) == UINT32_MAX && net_get16(mac + 4) == UINT16_MAX;
}

static inline void net_put32(uint8_t *p, uint32_t v)
{
    net_put16(p, (uint16_t)(v >> 16));
    net_put16(p + 2, (uint16_t)v);
}

/* Adds bytes to a running sum of 16-bit words in host order. Only the last call of a sum may have
 * an odd length. */
uint64_t net_sum(const void *p, size_t len, uint64_t sum);

/* The ones' complement of the folded sum, ready to be stored with memcpy. */
uint16_t net_sum_finish(uint64_t sum);

/* The sum of the pseudo header for a transport of `l4_len` bytes. */
uint64_t net_sum_pseudo(const uint8_t *frame, const struct net_layout *at, uint32_t l4_len);

#endif
