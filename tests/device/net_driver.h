/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for virtio-net as small as it can be, for tests: finds the device's registers through
 * its PCI capabilities, uses split rings without event index and one MSI-X vector, and hands
 * frames to a function. Everything runs on the test's thread: interrupts come from inside the loop.
 */
#ifndef DOPPEL_TESTS_DEVICE_NET_DRIVER_H
#define DOPPEL_TESTS_DEVICE_NET_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pci.h"
#include "dev/device.h"
#include "dev/virtio/virtio_net.h"
#include "loop/loop.h"
#include "mem/ram.h"
#include "net/net.h"

#define ND_RAM_SIZE (16u << 20)
#define ND_RING 64u
#define ND_RX_BASE 0x100000u /* ND_RING buffers of rx_size */
#define ND_TX_BASE 0x800000u /* ND_RING buffers of ND_TX_SIZE */
#define ND_TX_SIZE 0x11000u

enum { ND_RX, ND_TX, ND_CTRL, ND_QUEUES };

struct nd_queue {
    gpa_t desc, avail, used;
    uint16_t next;      /* next avail entry to write */
    uint16_t last_used; /* next used entry to look at */
    uint64_t busy;      /* descriptors with the device (one for each request) */
};

struct net_driver {
    struct loop *loop;
    struct ram *ram;
    struct bus *ports, *mmio;
    struct pci_bus *pci;
    struct device dev;
    uint64_t bar, common, notify, config; /* addresses */
    uint32_t notify_scale;
    uint64_t features; /* accepted */
    struct nd_queue queues[ND_QUEUES];
    uint32_t rx_size;  /* of one receive buffer */
    unsigned rx_count; /* of them */
    bool hold_rx;      /* do not give receive buffers back */
    unsigned interrupts, received;
    bool overflow; /* a frame found no transmit buffer */
    uint8_t ack;   /* of the last control command */
    /* Gets each frame; the test's. */
    void (*input)(void *opaque, const struct net_meta *meta, const uint8_t *frame, size_t len);
    void *opaque;
    uint8_t frame[NET_FRAME_MAX + 64];
};

/* Machine, device with the back end (may be NULL). */
void nd_create(struct net_driver *d, struct loop *loop, const struct net_backend *backend);
void nd_destroy(struct net_driver *d);

/* Reset, negotiation of `features` (what is not offered is not accepted), rings, DRIVER_OK. */
void nd_start(struct net_driver *d, uint64_t features, unsigned rx_count, uint32_t rx_size);
uint64_t nd_offered(struct net_driver *d);
uint8_t nd_status(struct net_driver *d);

/* Queues one frame with its header, in two descriptors' worth of one buffer. */
void nd_send(struct net_driver *d, const struct net_meta *meta, const uint8_t *frame, size_t len);
/* Queues raw bytes as a transmit request (header included or not). */
void nd_send_raw(struct net_driver *d, const void *bytes, size_t len);
/* Posts one receive buffer again; for hold_rx. */
void nd_post_rx(struct net_driver *d, unsigned index);
void nd_kick(struct net_driver *d, unsigned queue);
/* Runs a control command to its end; returns the acknowledgement. */
uint8_t nd_control(struct net_driver *d, uint8_t class, uint8_t cmd, const void *data, size_t len);
/* Lets the loop run until nothing is left to do at once. */
void nd_settle(struct net_driver *d);

uint32_t nd_read(struct net_driver *d, uint64_t addr, unsigned size);
void nd_write(struct net_driver *d, uint64_t addr, uint64_t value, unsigned size);

#endif
