/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virtio_net.c, virtio_net_rx.c and virtio_net_ctrl.c share. */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_NET_INTERNAL_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_NET_INTERNAL_H

#include "base/lock.h"
#include "dev/virtio/virtio_net.h"

enum { VIRTIO_NET_RX, VIRTIO_NET_TX, VIRTIO_NET_CTRL, VIRTIO_NET_QUEUES };

/* 5.1.6: in front of every frame, little endian. */
struct virtio_net_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
    uint16_t num_buffers;
};
#define VIRTIO_NET_HDR_LEN 12u

#define VIRTIO_NET_MAX_MACS 64u  /* of the filter; more than that turns it off */
#define VIRTIO_NET_MAX_MERGE 64u /* buffers that one frame is spread over */
#define VIRTIO_NET_RX_IOVS 2048u /* segments of these; VIRTQ_MAX_CHAIN must be left for each */

/* Bits of virtio_net.rx_mode. */
enum {
    RX_PROMISC = 1,
    RX_ALLMULTI = 2,
    RX_ALLUNI = 4,
    RX_NOMULTI = 8,
    RX_NOUNI = 16,
    RX_NOBCAST = 32,
    RX_TABLE_FULL = 64, /* the driver's address table is larger than `macs`: let all through */
    RX_MODE_ALL = 127,
};

struct virtio_net {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    struct net_backend backend; /* ops NULL: no cable */
    uint8_t default_mac[6];

    /* Of the loop's thread. */
    unsigned offloads;             /* that the back end was told */
    bool rx_held;                  /* frames are staged and not committed: the device is held */
    uint8_t *tx_frame;             /* NET_FRAME_MAX bytes: the copy of the frame being sent */
    struct iovec *tx_iov, *rx_iov; /* of a transmit request; of the requests in `rx` */
    gpa_t *tx_gpa, *rx_gpa;
    struct virtq_req rx[VIRTIO_NET_MAX_MERGE];

    /* The configuration space; read by vCPUs. */
    struct lock lock;
    uint8_t mac[6]; /* lock; state */
    bool link;      /* lock */

    /* State, of the loop's thread. */
    uint8_t rx_mode;
    uint8_t uni_count, multi_count; /* entries in macs: first the unicast ones */
    uint8_t macs[VIRTIO_NET_MAX_MACS * 6];
    uint64_t guest_offloads; /* feature bits that the driver has not switched off */
};

/* Which offloads towards the guest are in force, as NET_OFFLOAD_*. */
unsigned virtio_net_offloads(const struct virtio_net *n);
/* Tells the back end if they have changed. */
void virtio_net_sync(struct virtio_net *n);

void virtio_net_run_rx(struct virtio_net *n);
void virtio_net_run_ctrl(struct virtio_net *n);
extern const struct net_peer_ops virtio_net_peer;

#endif
