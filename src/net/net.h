/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between a network device and what its cable is plugged into.
 *
 * A *back end* (user-mode NAT, a tap) carries Ethernet frames without FCS.
 * Its *peer* is the device. Each is bound to one struct loop, the same for both: every function
 * below is called on that loop's thread, with no lock held, except destroy, which may also come
 * after the loop has ended. A machine that wants its vCPUs and its main loop undisturbed gives the
 * network a loop and a thread of its own.
 *
 *   device -> back end   send() or sendv() for each frame, then send_end() once for the batch
 *   back end -> device   receive() for each frame, then receive_end() once for the batch
 *
 * A send() may answer with receive() before it returns (ARP, DHCP, TCP ACKs), but a receive() never
 * calls back: what the device wants to send or to say then comes from the loop.
 *
 * Back-pressure: receive() returning false means that the device has no room now. The back end
 * keeps the frame (or drops it, as Ethernet may) and offers nothing until the device calls ready().
 * A back end's send() never refuses: it takes or drops.
 *
 * Offloads: a frame may be larger than the MTU or lack its checksum if the receiver has said that
 * it takes such frames. struct net_meta says what is missing, in the vocabulary of struct
 * virtio_net_hdr (virtio 1.2, 5.1.6), which tap and the switch speak too.
 */
#ifndef DOPPEL_NET_NET_H
#define DOPPEL_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define NET_MTU 1500u
#define NET_ETH_LEN 14u
/* The largest frame that anybody hands over: an IPv6 packet of 64 KB payload with one VLAN tag. */
#define NET_FRAME_MAX (NET_ETH_LEN + 4u + 40u + 65535u)

/* net_meta.flags */
enum {
    NET_NEEDS_CSUM = 1, /* the receiver (or the wire) still has to sum csum_start..end */
    NET_DATA_VALID = 2, /* the checksum has been verified, or the frame never left this host */
};

/* net_meta.gso */
enum { NET_GSO_NONE = 0, NET_GSO_TCP4 = 1, NET_GSO_TCP6 = 4, NET_GSO_ECN = 0x80 };

struct net_meta {
    uint8_t flags;        /* NET_NEEDS_CSUM, NET_DATA_VALID */
    uint8_t gso;          /* NET_GSO_*: the frame stands for several segments */
    uint16_t hdr_len;     /* bytes of headers to repeat; a hint, receivers parse for themselves */
    uint16_t gso_size;    /* payload bytes of each segment */
    uint16_t csum_start;  /* offset in the frame from which to sum */
    uint16_t csum_offset; /* where the sum goes, from csum_start */
};

/* What a receiver takes beyond complete frames of at most NET_MTU + headers. */
enum { NET_OFFLOAD_CSUM = 1, NET_OFFLOAD_TSO4 = 2, NET_OFFLOAD_TSO6 = 4 };

/* The device as the back end sees it. */
struct net_peer_ops {
    /* One frame of `len` bytes in `count` pieces, which are the device's only during the call.
     * false: no room, call again after ready(). */
    bool (*receive)(void *opaque, const struct net_meta *meta, const struct iovec *iov,
                    unsigned count);
    /* The batch is over: the time to interrupt the guest. */
    void (*receive_end)(void *opaque);
    /* The carrier came or went; may be NULL. */
    void (*link)(void *opaque, bool up);
};

struct net_backend;

struct net_backend_ops {
    const char *name; /* "user", "tap" */
    /* Plugs the cable in; also before the loop runs. Before it, and after a NULL, received frames
     * are dropped. */
    void (*attach)(void *self, const struct net_peer_ops *ops, void *opaque);
    /* What the device takes from now on: a set of NET_OFFLOAD_*. 0 at start and at device reset;
     * frames that wait for the device are dropped, as they may not suit any more. */
    void (*set_offloads)(void *self, unsigned offloads);
    /* One frame of `len` <= NET_FRAME_MAX bytes, in a buffer of the caller's that the back end may
     * scribble on. `meta` and the frame come from the guest and have not been checked. */
    void (*send)(void *self, const struct net_meta *meta, uint8_t *frame, size_t len);
    /* The same for a frame in up to `sendv_max` pieces, which are read only, and once: they may be
     * guest memory, which changes meanwhile. NULL: the back end wants a frame of its own. */
    void (*sendv)(void *self, const struct net_meta *meta, const struct iovec *pieces,
                  unsigned count);
    unsigned sendv_max;
    void (*send_end)(void *self);
    void (*ready)(void *self);
    bool (*link_up)(void *self);
    void (*destroy)(void *self);
};

struct net_backend {
    const struct net_backend_ops *ops;
    void *self;
    unsigned offloads; /* NET_OFFLOAD_*: what send() takes */
};

#endif
