/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Linux kernel that a BIOS starts: an option ROM that is the first device to boot from. It has
 * fw_cfg copy the kernel's parts into memory and enters them by the 16-bit protocol (Linux
 * Documentation/arch/x86/boot.rst), so that the kernel asks the BIOS for memory and screen itself.
 *
 *   10000 the kernel's real-mode part, its heap and stack     20000 command line
 *   100000 the rest of the kernel     below the end of low RAM: initial RAM disk
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "machine/boot_internal.h"
#include "machine/linux_header.h"
#include "machine/machine_internal.h"

enum {
    CMDLINE_MAX = 255, /* before LINUX_VERSION_CMDLINE_SIZE */
    INITRD_ADDR_MAX = 0x37ffffff,
};

enum {
    SETUP_AT = 0x10000,
    SETUP_MAX = 0x8000,
    HEAP_END = 0xe000, /* and the stack, in the segment of the setup part */
    CMDLINE_AT = 0x20000,
    KERNEL_AT = 0x100000,
    BIOS_ROOM = 0x100000, /* for tables of the BIOS, at the end of low RAM */
};

/* The option ROM: PnP BIOS Specification 1.0A, section 3. */
enum {
    ROM_SIZE = 512,
    ROM_PNP = 0x20,
    ROM_BOOT = 0x40,
    ROM_REQUESTS = 0xc0,
    REQUEST_SIZE = 16,
    REQUESTS = 4,
    DMA_READ_ITEM = 0x0a, /* select and read; QEMU docs/specs/fw_cfg.rst */
};

static const uint8_t rom_start[] = {
    0x55, 0xaa, ROM_SIZE / 512, /* signature, size */
    0x31, 0xc0,                 /* xor ax, ax: nothing to set up */
    0xcb,                       /* retf */
};

static const uint8_t pnp_header[] = {
    '$',      'P',  'n', 'P',  1,
    2,        0,    0,   0,    0, /* revision 1, 2 * 16 bytes, no other, checksum later */
    0,        0,    0,   0,       /* device identifier */
    0,        0,    0,   0,       /* names: none */
    0,        0x80, 1,   0x14,    /* type: other mass storage; IPL device, no input */
    0,        0,    0,   0,       /* boot connection and disconnect vectors: none */
    ROM_BOOT, 0,                  /* bootstrap entry vector */
    0,        0,    0,   0,       /* reserved, static resources: none */
};

/* Bytes of the code. */
enum {
    REQS = ROM_REQUESTS,
    LEN = (REQUESTS + 1) * REQUEST_SIZE / 2,
    STEP = REQUEST_SIZE,
    SEG = SETUP_AT >> 12,
    TOP = HEAP_END >> 8,
};

/* The requests go to 7c00, where a boot sector would be: their results are written to them. */
static const uint8_t boot_code[] = {
    0xfa,                               /* cli */
    0xfc,                               /* cld */
    0x31, 0xc0,                         /* xor ax, ax */
    0x8e, 0xc0,                         /* mov es, ax */
    0xbe, REQS, 0x00,                   /* mov si, requests */
    0xbf, 0x00, 0x7c,                   /* mov di, 7c00h */
    0xb9, LEN,  0x00,                   /* mov cx, words */
    0x2e, 0xf3, 0xa5,                   /* rep cs movsw */
    0x8e, 0xd8,                         /* mov ds, ax */
    0xbe, 0x00, 0x7c,                   /* mov si, 7c00h */
    0x66, 0x83, 0x3c, 0x00,             /* next: cmp dword [si], 0 */
    0x74, 0x29,                         /* je start */
    0x66, 0x31, 0xc0,                   /* xor eax, eax */
    0xba, 0x14, 0x05,                   /* mov dx, 514h */
    0x66, 0xef,                         /* out dx, eax */
    0x89, 0xf0,                         /* mov ax, si */
    0x66, 0x0f, 0xc8,                   /* bswap eax */
    0xba, 0x18, 0x05,                   /* mov dx, 518h */
    0x66, 0xef,                         /* out dx, eax: begins */
    0x66, 0x8b, 0x04,                   /* wait: mov eax, [si] */
    0x66, 0x85, 0xc0,                   /* test eax, eax */
    0x74, 0x0a,                         /* jz done */
    0x66, 0xa9, 0x00, 0x00, 0x00, 0x01, /* test eax, error */
    0x74, 0xf0,                         /* jz wait */
    0xcd, 0x18,                         /* int 18h: cannot boot */
    0x83, 0xc6, STEP,                   /* done: add si, 16 */
    0xeb, 0xd1,                         /* jmp next */
    0xb8, 0x00, SEG,                    /* start: mov ax, segment */
    0x8e, 0xd8,                         /* mov ds, ax */
    0x8e, 0xc0,                         /* mov es, ax */
    0x8e, 0xe0,                         /* mov fs, ax */
    0x8e, 0xe8,                         /* mov gs, ax */
    0x8e, 0xd0,                         /* mov ss, ax */
    0x66, 0xbc, 0x00, TOP,  0x00, 0x00, /* mov esp, HEAP_END */
    0xea, 0x00, 0x00, 0x20, SEG,        /* jmp segment + 20h : 0 */
};

_Static_assert(ROM_BOOT + sizeof(boot_code) <= ROM_REQUESTS &&
                   sizeof(pnp_header) == ROM_BOOT - ROM_PNP,
               "the parts of the ROM do not overlap");

static uint8_t *request(uint8_t *p, uint16_t item, uint64_t len, uint32_t to)
{
    if (len == 0)
        return p;
    st_be32(p, (uint32_t)item << 16 | DMA_READ_ITEM);
    st_be32(p + 4, (uint32_t)len);
    st_be32(p + 12, to);
    return p + REQUEST_SIZE;
}

static int add_rom(struct machine *m, const struct board_kernel *k, uint64_t initrd_at)
{
    uint8_t rom[ROM_SIZE] = {0}, *p = rom + ROM_REQUESTS;

    memcpy(rom, rom_start, sizeof(rom_start));
    st_le16(rom + 0x1a, ROM_PNP);
    memcpy(rom + ROM_PNP, pnp_header, sizeof(pnp_header));
    rom[ROM_PNP + 9] = byte_checksum(pnp_header, sizeof(pnp_header));
    memcpy(rom + ROM_BOOT, boot_code, sizeof(boot_code));
    p = request(p, FWCFG_SETUP_DATA, k->setup_len, SETUP_AT);
    p = request(p, FWCFG_KERNEL_DATA, k->len - k->setup_len, KERNEL_AT);
    p = request(p, FWCFG_INITRD_DATA, k->initrd_len, (uint32_t)initrd_at);
    request(p, FWCFG_CMDLINE_DATA, m->cfg.append != NULL ? strlen(m->cfg.append) + 1 : 0,
            CMDLINE_AT);
    rom[ROM_SIZE - 1] = byte_checksum(rom, ROM_SIZE);
    return fwcfg_add_file(m->fwcfg, BOARD_KERNEL_ROM, rom, sizeof(rom), false);
}

static int check_header(const struct machine *m, const struct board_kernel *k, struct err *e)
{
    const char *path = m->cfg.kernel;
    uint64_t max = CMDLINE_MAX;

    if (ld_le16(k->data + HDR_BOOT_FLAG) != LINUX_BOOT_FLAG)
        return err_set(e, EINVAL,
                       "--kernel: %s: the boot sector signature is missing; the file is damaged",
                       path);
    if (ld_le16(k->data + HDR_VERSION) < LINUX_VERSION_CMD_LINE_PTR ||
        !(k->data[HDR_LOADFLAGS] & LINUX_LOADED_HIGH))
        return err_set(e, EINVAL,
                       "--kernel: %s is too old to be loaded; it needs boot protocol 2.02 and "
                       "to be a bzImage",
                       path);
    if (k->setup_len > SETUP_MAX)
        return err_set(e, EINVAL, "--kernel: %s: its real-mode part has more than 32K", path);
    if (ld_le16(k->data + HDR_VERSION) >= LINUX_VERSION_CMDLINE_SIZE)
        max = ld_le32(k->data + HDR_CMDLINE_SIZE);
    return boot_check_cmdline(m->cfg.append, max, e);
}

/* The first address that the kernel does not need to unpack itself. */
static uint64_t kernel_end(const struct board_kernel *k)
{
    uint64_t end = KERNEL_AT + (k->len - k->setup_len), pref, size;

    if (ld_le16(k->data + HDR_VERSION) < LINUX_VERSION_INIT_SIZE)
        return end;
    pref = ld_le64(k->data + HDR_PREF_ADDRESS);
    size = ld_le32(k->data + HDR_INIT_SIZE);
    if (pref < KERNEL_AT)
        pref = KERNEL_AT;
    if (pref > UINT32_MAX || pref + size < end)
        return end;
    return pref + size;
}

/* The initial RAM disk lies as high as it can. */
static int place(const struct machine *m, const struct board_kernel *k, uint64_t *at, struct err *e)
{
    uint64_t top = m->layout.low_end - BIOS_ROOM, max = INITRD_ADDR_MAX, end = kernel_end(k);

    if (ld_le16(k->data + HDR_VERSION) >= LINUX_VERSION_INITRD_ADDR_MAX)
        max = ld_le32(k->data + HDR_INITRD_ADDR_MAX);
    if (top > max + 1)
        top = max + 1;
    *at = top < k->initrd_len ? 0 : align_down(top - k->initrd_len, 4096);
    if (top < end || *at < (k->initrd_len > 0 ? end : 0))
        return err_set(e, ENOMEM,
                       "--memory: %" PRIu64 "M is too small for the kernel %s and its files; "
                       "give the machine more",
                       m->layout.memory >> 20, m->cfg.kernel);
    return 0;
}

int board_kernel_rom(struct machine *m, const struct board_kernel *k, struct err *e)
{
    uint64_t initrd_at = 0;
    int rc = check_header(m, k, e);

    if (rc == 0)
        rc = place(m, k, &initrd_at, e);
    if (rc < 0)
        return rc;
    k->data[HDR_TYPE_OF_LOADER] = LINUX_LOADER_UNDEFINED;
    k->data[HDR_LOADFLAGS] |= LINUX_CAN_USE_HEAP;
    st_le16(k->data + HDR_HEAP_END, HEAP_END - 0x200);
    st_le32(k->data + HDR_CMD_LINE_PTR, m->cfg.append != NULL ? CMDLINE_AT : 0);
    st_le32(k->data + HDR_RAMDISK_IMAGE, k->initrd_len > 0 ? (uint32_t)initrd_at : 0);
    st_le32(k->data + HDR_RAMDISK_SIZE, (uint32_t)k->initrd_len);
    rc = add_rom(m, k, initrd_at);
    return rc < 0 ? err_set(e, -rc, "the firmware cannot be given the kernel: %s", strerror(-rc))
                  : 0;
}
