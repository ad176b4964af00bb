/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio network device, virtio 1.2 section 5.1: one receive and one transmit queue and a control
 * queue; MAC address, checksum and TCP segmentation offloads both ways, mergeable receive buffers,
 * receive filters, link status.
 *
 * All work is done on place.loop's thread, which is also the back end's: frames are copied between
 * guest memory and the back end there, never on a vCPU's thread. It may be the main loop, but a
 * loop of its own (or one shared with other I/O) lets copying and vCPUs overlap.
 *
 * A frame that finds no receive buffers stays with the back end, and the driver is asked to say
 * when it has added some. Frames for a driver that is not there are lost, as on a wire.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_NET_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_NET_H

#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"
#include "net/net.h"

/* Feature bits, 5.1.3. */
enum virtio_net_feature {
    VIRTIO_NET_F_CSUM = 0,
    VIRTIO_NET_F_GUEST_CSUM = 1,
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2,
    VIRTIO_NET_F_MAC = 5,
    VIRTIO_NET_F_GUEST_TSO4 = 7,
    VIRTIO_NET_F_GUEST_TSO6 = 8,
    VIRTIO_NET_F_HOST_TSO4 = 11,
    VIRTIO_NET_F_HOST_TSO6 = 12,
    VIRTIO_NET_F_HOST_ECN = 13,
    VIRTIO_NET_F_MRG_RXBUF = 15,
    VIRTIO_NET_F_STATUS = 16,
    VIRTIO_NET_F_CTRL_VQ = 17,
    VIRTIO_NET_F_CTRL_RX = 18,
    VIRTIO_NET_F_CTRL_RX_EXTRA = 20,
    VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
};

struct virtio_net_config {
    struct virtio_place place;         /* place.loop serves the queues and runs the back end */
    const struct net_backend *backend; /* outlives the device; NULL: no cable */
    uint8_t mac[6];
};

/* Before the loop runs. Destroy after the loop has ended. */
int virtio_net_create(const struct virtio_net_config *cfg, struct device *out,
                      struct err *e) MUST_CHECK;

#endif
