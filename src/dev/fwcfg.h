/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: named blobs from the machine for firmware and guest, at ports 0x510 (selector), 0x511
 * (data) and 0x514 (DMA). QEMU docs/specs/fw_cfg.rst, which firmware and Linux know.
 */
#ifndef DOPPEL_DEV_FWCFG_H
#define DOPPEL_DEV_FWCFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"
#include "dev/device.h"
#include "mem/ram.h"

#define FWCFG_PORT 0x510
#define FWCFG_PORTS 12

/* Numbers of the well-known items. */
enum {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_KERNEL_ADDR = 0x07,
    FWCFG_KERNEL_SIZE = 0x08,
    FWCFG_INITRD_ADDR = 0x0a,
    FWCFG_INITRD_SIZE = 0x0b,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_KERNEL_DATA = 0x11,
    FWCFG_INITRD_DATA = 0x12,
    FWCFG_CMDLINE_ADDR = 0x13,
    FWCFG_CMDLINE_SIZE = 0x14,
    FWCFG_CMDLINE_DATA = 0x15,
    FWCFG_SETUP_ADDR = 0x16,
    FWCFG_SETUP_SIZE = 0x17,
    FWCFG_SETUP_DATA = 0x18,
    FWCFG_FILE_DIR = 0x19,
};

struct fwcfg;

/* `ram` is for the DMA interface. */
int fwcfg_create(struct ram *ram, struct fwcfg **out) MUST_CHECK;
struct device fwcfg_device(struct fwcfg *f);
int fwcfg_map(struct fwcfg *f, struct bus *ports) MUST_CHECK;

/* Adds a read-only item; only before the machine runs. `borrow`: the data is not copied and
 * outlives the device. -EEXIST, -ENOSPC (128 files), -ENAMETOOLONG (55 characters), -ENOMEM. */
int fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, size_t len, bool borrow) MUST_CHECK;
int fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, size_t len,
                   bool borrow) MUST_CHECK;
/* The same with borrowed data that `refresh` brings up to date whenever the guest selects the file:
 * on the vCPU's thread, with no lock held. */
int fwcfg_add_live(struct fwcfg *f, const char *name, const void *data, size_t len,
                   void (*refresh)(void *opaque), void *opaque) MUST_CHECK;
int fwcfg_add_u16(struct fwcfg *f, uint16_t key, uint16_t value) MUST_CHECK;
int fwcfg_add_u32(struct fwcfg *f, uint16_t key, uint32_t value) MUST_CHECK;

#endif
