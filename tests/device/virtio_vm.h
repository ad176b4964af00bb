/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test of a virtio device needs around it: RAM, buses, PCI, a loop on its own thread, and a
 * driver that waits for interrupts. It never looks at a ring again without one, so a lost kick or
 * interrupt is a test that ends in a timeout.
 */
#ifndef DOPPEL_TESTS_DEVICE_VIRTIO_VM_H
#define DOPPEL_TESTS_DEVICE_VIRTIO_VM_H

#include <pthread.h>
#include <time.h>

#include "dev/device.h"
#include "dev/virtio/virtio_pci.h"
#include "virtio_driver.h"

#define VM_RAM_SIZE (32u << 20)
#define VM_DATA 0x800000u /* behind the rings */
#define VM_DEVFN PCI_DEVFN(4, 0)
#define VM_FEATURE(n) (UINT64_C(1) << (n))
#define VM_NOT_PACKED (~VM_FEATURE(34))

struct vm_env {
    struct ram *ram;
    uint8_t *mem; /* of guest address 0 */
    struct bus *mmio, *ports;
    struct pci_bus *bus;
    struct loop *loop; /* on a thread of its own from vm_go on */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned msis[8]; /* lock; by the message's data */
    bool intx;        /* lock */
    struct device dev;
    struct drv_dev drv;
    struct drv_ring rings[4];
};

void vm_setup(struct vm_env *v);
void vm_teardown(struct vm_env *v); /* the device, if there is one, and the rest */
struct virtio_place vm_place(struct vm_env *v);
/* The device (v->dev) has been created: lets the loop run, places BARs, sets vectors 0 - 2 up. */
void vm_go(struct vm_env *v);
void vm_place_bars(struct vm_env *v);
/* Resets, negotiates and sets `queues` queues up; queue i interrupts with vector i. */
uint64_t vm_start(struct vm_env *v, unsigned queues, uint64_t features);
struct timespec vm_soon(void); /* the end of a test's patience */
void vm_wait_msi(struct vm_env *v, unsigned vector);
/* Adds a request, kicks if the device wants that, waits for its interrupt; the used length. */
uint32_t vm_transact(struct vm_env *v, unsigned queue, const struct drv_seg *segs, unsigned n);

#endif
