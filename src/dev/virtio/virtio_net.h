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

struct virtio_net_config {
    struct virtio_place place;         /* place.loop serves the queues and runs the back end */
    const struct net_backend *backend; /* outlives the device; NULL: no cable */
    uint8_t mac[6];                    /* all zero: 52:54:00:12:34:56 */
};

/* Before the loop runs. Destroy after the loop has ended. */
int virtio_net_create(const struct virtio_net_config *cfg, struct device *out,
                      struct err *e) MUST_CHECK;

#endif
