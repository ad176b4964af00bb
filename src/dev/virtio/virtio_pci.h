/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modern PCI transport, virtio 1.2 section 4.1: vendor capabilities for common, notification,
 * ISR and device-specific configuration in one 64-bit BAR (4), MSI-X in BAR 1, and the window in
 * configuration space (VIRTIO_PCI_CAP_PCI_CFG). No legacy interface.
 *
 * A device type embeds a virtio_dev and a virtio_pci and makes one state table of both:
 *
 *     struct virtio_foo { struct virtio_dev vdev; struct virtio_pci pci; ... };
 *     STATE_STRUCT_F(struct virtio_foo, vdev, 1, &virtio_dev_state),
 *     STATE_STRUCT_F(struct virtio_foo, pci, 1, &virtio_pci_state),
 *
 * and calls virtio_pci_reset/pause/resume/restore in its device_ops; these do the virtio_dev's part
 * too.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_PCI_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_PCI_H

#include "base/lock.h"
#include "bus/pci.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_bell.h"

/* Where and how a virtio device sits in the machine; common to all types. */
struct virtio_place {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop; /* serves the queues; not the main thread's loop for block devices */
    bool no_packed;    /* do not offer packed rings */
    struct virtio_doorbells doorbells;
};

struct virtio_pci {
    struct virtio_dev *vdev;
    struct pci_func func; /* state */
    struct lock lock;
    struct bus_ops regs; /* with the device's own name */
    unsigned cfg_cap;    /* offset of the PCI_CFG capability */
    _Atomic bool master; /* bus mastering is on */
    struct virtio_bells *bells;
    /* State (lock). */
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select;
    uint16_t config_vector;
    uint16_t queue_vector[VIRTIO_MAX_QUEUES];
    uint8_t isr; /* the lock is for this one */
};
extern const struct state_table virtio_pci_state;

/* Puts an initialised virtio_dev on the bus. class_code as in pci_func_info. */
int virtio_pci_init(struct virtio_pci *p, struct virtio_dev *vdev, const struct virtio_place *place,
                    uint32_t class_code, struct err *e) MUST_CHECK;
/* The same without pci_add, for a function that more belongs to: BARs 0, 2 and 3 are free. */
int virtio_pci_declare(struct virtio_pci *p, struct virtio_dev *vdev,
                       const struct virtio_place *place, uint32_t class_code,
                       struct err *e) MUST_CHECK;
void virtio_pci_finish(struct virtio_pci *p); /* the virtio_dev's finish comes after it */

void virtio_pci_reset(struct virtio_pci *p);
void virtio_pci_pause(struct virtio_pci *p);
void virtio_pci_resume(struct virtio_pci *p);
void virtio_pci_restore(struct virtio_pci *p);

#endif
