/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small virtio driver for tests: rings of both layouts in guest RAM, written and read through
 * pointers into it, and the way to a device behind virtio_pci.
 */
#ifndef DOPPEL_TESTS_DEVICE_VIRTIO_DRIVER_H
#define DOPPEL_TESTS_DEVICE_VIRTIO_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "mem/ram.h"

#define DRV_MAX_SIZE 256
#define DRV_INDIRECT 32 /* entries of an indirect table */

struct drv_seg {
    gpa_t gpa;
    uint32_t len;
    bool write;
};

struct drv_ring {
    uint8_t *mem; /* guest RAM from address 0 */
    bool packed, event_idx, indirect;
    uint16_t size;
    gpa_t desc, driver, device, tables; /* areas; tables: size * DRV_INDIRECT * 16 bytes */
    /* The driver's own books. */
    uint16_t next, last_used;
    bool wrap, used_wrap;
    uint16_t free_count;
    uint16_t free_ids[DRV_MAX_SIZE]; /* split: descriptors, packed: buffer ids */
    uint16_t slots[DRV_MAX_SIZE];    /* by id: ring entries it took */
    uint16_t chain[DRV_MAX_SIZE][DRV_INDIRECT];
    uint16_t published; /* split: avail index that the last kick decision saw */
};

/* Lays a ring out from `base` on; returns the first address behind it. */
gpa_t drv_ring_init(struct drv_ring *r, uint8_t *mem, gpa_t base, uint16_t size, bool packed,
                    bool event_idx, bool indirect);
/* Makes a request available; its id, or -1: no room. *kick: the device wants to be told. */
int drv_add(struct drv_ring *r, const struct drv_seg *segs, unsigned n, bool *kick);
/* Takes a used request; false: there is none. */
bool drv_used(struct drv_ring *r, uint16_t *id, uint32_t *len);
/* Asks for an interrupt after `more` further used elements (event index), or for each. */
void drv_want_interrupt(struct drv_ring *r, uint16_t more);
void drv_no_interrupt(struct drv_ring *r);

/* A device behind virtio_pci, found at `devfn`, its BARs placed by pci_bus_assign. */
struct drv_dev {
    struct bus *mmio;
    uint64_t regs, msix;
};
uint64_t drv_bar(struct bus *ports, unsigned devfn, unsigned bar);
uint32_t drv_config(struct bus *ports, unsigned devfn, unsigned reg);
void drv_config_set(struct bus *ports, unsigned devfn, unsigned reg, uint32_t value);
void drv_find(struct drv_dev *d, struct bus *ports, struct bus *mmio, unsigned devfn);
void drv_reset(struct drv_dev *d); /* waits until the status is 0 */
/* Negotiates: all offered features out of `wanted`; what was accepted. Stops before DRIVER_OK. */
uint64_t drv_negotiate(struct drv_dev *d, uint64_t wanted);
#define DRV_SIMPLE (~(UINT64_C(1) << 34 | UINT64_C(1) << 29)) /* split rings, no event index */
/* All of that with the features of DRV_SIMPLE; vector 0 is a message. */
void drv_begin(struct drv_dev *d, struct bus *ports, struct bus *mmio, unsigned devfn);
void drv_enable_queue(struct drv_dev *d, unsigned queue, const struct drv_ring *r, uint16_t vector);
void drv_ok(struct drv_dev *d);
void drv_kick(struct drv_dev *d, unsigned queue);
uint8_t drv_status(struct drv_dev *d);
void drv_msix_vector(struct drv_dev *d, unsigned vector, uint64_t addr, uint32_t data);

#endif
