/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generic device suite: every device class goes through the same tests (suite.c):
 *
 *   reset      is idempotent and brings back the state after create, whatever happened before
 *   state      save, load into a fresh device, save again gives the same bytes
 *   hostile    truncated and mutated records are refused or harmless
 *   pause      after it neither pins, MSIs, back end nor guest memory change until resume
 *   fuzz       random accesses of every size and offset never crash (run under the sanitizers)
 *
 * How to add a class:
 *
 *   1. In tests/device/class_<name>.c define a `const struct suite_class suite_<name>`: a create
 *      function that makes the device with what the environment (suite_env.h) offers and maps it on
 *      env->ports or env->mmio or puts it on the PCI bus of suite_pci, and the ranges in which
 *      random accesses are to go. Back ends and pins that the device gets call suite_activity(env),
 *      so that the pause test sees them. The suite runs env->loop between its accesses, on the same
 *      thread.
 *   2. Add X(<name>) to SUITE_CLASSES below and the file to suite_src in meson.build.
 *
 * `test-device-suite <class name>` runs one class; DOPPEL_TEST_SEED chooses other accesses.
 */
#ifndef DOPPEL_TESTS_DEVICE_SUITE_H
#define DOPPEL_TESTS_DEVICE_SUITE_H

#include "suite_env.h"

#define SUITE_CLASSES(X) \
    X(serial)            \
    X(pic)               \
    X(pit)               \
    X(lapic)             \
    X(ioapic)            \
    X(acpi_pm)           \
    X(reset_ports)       \
    X(rtc)               \
    X(hpet)              \
    X(i8042)             \
    X(fwcfg)             \
    X(debug_exit)        \
    X(test_device)       \
    X(post_ports)        \
    X(virtio_blk)        \
    X(virtio_console)    \
    X(virtio_rng)        \
    X(virtio_scsi)       \
    X(buslogic)          \
    X(virtio_tablet)     \
    X(virtio_gpu)        \
    X(virtio_net)        \
    X(e1000)             \
    X(pcnet)             \
    X(pci_plain)         \
    X(pcie_port)         \
    X(host_bridge)       \
    X(pflash)            \
    X(vga)               \
    X(svga)              \
    X(dma)               \
    X(floppy)            \
    X(ide)               \
    X(nvme)              \
    X(xhci)              \
    X(ac97)              \
    X(sb16)              \
    X(i6300esb)          \
    X(parallel)          \
    X(tpm)               \
    X(ahci)

#define SUITE_RAM_SIZE (4u << 20) /* guest RAM from address 0 */
#define SUITE_RANGES 6

struct suite_range {
    bool mmio;
    uint64_t base, size; /* size 0 ends the list */
};

struct suite_class {
    const char *name;
    /* Makes the device in its reset state and maps it. 0 or -errno. */
    int (*create)(struct suite_env *env, struct device *dev);
    /* May be NULL: frees what create put into env->extra, after the device was destroyed. */
    void (*finish)(struct suite_env *env);
    /* May be NULL: gets the device busy (starts timers, offers input), for the state and pause
     * tests. The suite does random accesses as well. */
    void (*busy)(struct suite_env *env, struct device *dev);
    struct suite_range ranges[SUITE_RANGES];
    bool battery; /* keeps contents over a reset (the reset test compares two resets only) */
};

/* The memory of the class svga's FIFO. */
uint8_t *suite_svga_fifo(struct suite_env *env);

#define SUITE_DECLARE_(n) extern const struct suite_class suite_##n;
SUITE_CLASSES(SUITE_DECLARE_)
#undef SUITE_DECLARE_

#endif
