/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A serial port of a PC: eight ports, one interrupt (gated by OUT2).
 *
 * Transmission takes no time: what the guest writes is handed to the back end before the write
 * returns. Input is never lost: the back end offers bytes and is told how many were taken; when
 * there is room again it is called. Any thread.
 */
#ifndef DOPPEL_DEV_SERIAL_H
#define DOPPEL_DEV_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"

#define SERIAL_COM1_PORT 0x3f8
#define SERIAL_COM1_IRQ 4
#define SERIAL_COM2_PORT 0x2f8
#define SERIAL_COM2_IRQ 3
#define SERIAL_PORTS 8

/* Called with no lock held, on the thread of the vCPU that made the access. */
struct serial_backend {
    void *opaque;
    /* Bytes from the guest. All must be taken (the back end buffers or drops). */
    void (*tx)(void *opaque, const uint8_t *buf, size_t len);
    /* serial_rx took less than was offered and now there is room again. May be NULL. The back end
     * usually posts to its loop and offers the rest there. */
    void (*rx_ready)(void *opaque);
};

struct serial_config {
    struct serial_backend backend;
    struct pin irq;
};

struct serial;

int serial_create(const struct serial_config *cfg, struct serial **out) MUST_CHECK;
struct device serial_device(struct serial *s);
int serial_map(struct serial *s, struct bus *ports, uint16_t base) MUST_CHECK;

/* Offers input from the line. Returns how many bytes were taken (0 while the FIFO is full, in
 * loopback mode or while the device is paused); if fewer than `len`, rx_ready is called later. */
size_t serial_rx(struct serial *s, const uint8_t *buf, size_t len);
size_t serial_rx_space(struct serial *s); /* what serial_rx would take now */
/* The line sends a break. */
void serial_rx_break(struct serial *s);

#endif
