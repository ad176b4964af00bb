/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The setup header of a bzImage (Linux Documentation/arch/x86/boot.rst), by offsets from the start
 * of the file. The loader of boot.h and the firmware's ways both read and fill it in.
 */
#ifndef DOPPEL_MACHINE_LINUX_HEADER_H
#define DOPPEL_MACHINE_LINUX_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum linux_header {
    HDR_START = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x201, /* second byte of the jump: the header ends 0x202 + this */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_KERNEL_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_SETUP_DATA = 0x250,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_FULL = 0x264, /* what version 2.12 has at least */
};

/* Versions of the protocol: the first ones with a field. */
enum {
    LINUX_VERSION_CMD_LINE_PTR = 0x0202,
    LINUX_VERSION_INITRD_ADDR_MAX = 0x0203,
    LINUX_VERSION_CMDLINE_SIZE = 0x0206,
    LINUX_VERSION_INIT_SIZE = 0x020a, /* and HDR_PREF_ADDRESS */
    LINUX_VERSION_64 = 0x020c,        /* the 64-bit entry */
};

/* What is in the fields. */
enum {
    LINUX_BOOT_FLAG = 0xaa55,
    LINUX_LOADER_UNDEFINED = 0xff,
    LINUX_LOADED_HIGH = 1, /* loadflags: a bzImage */
    LINUX_CAN_USE_HEAP = 0x80,
    LINUX_XLF_KERNEL_64 = 1,
};

/* Is it a Linux kernel? At least HDR_VERSION bytes of the file. */
static inline bool linux_header_found(const uint8_t *file)
{
    return memcmp(file + HDR_MAGIC, "HdrS", 4) == 0;
}

/* How long the real-mode part is, at the start of the file. */
static inline uint32_t linux_setup_size(const uint8_t *file)
{
    uint32_t sectors = file[HDR_SETUP_SECTS] != 0 ? file[HDR_SETUP_SECTS] : 4;

    return (sectors + 1) * 512;
}

#endif
