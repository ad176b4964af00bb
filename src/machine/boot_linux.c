/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux' 64-bit boot protocol, and the 32-bit one for kernels without a 64-bit entry:
 * Documentation/arch/x86/boot.rst and zero-page.rst. The setup header has the same offsets in the
 * zero page as in the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "machine/boot_internal.h"
#include "machine/linux_header.h"

enum zero_page {
    ZP_ACPI_RSDP = 0x070,
    ZP_E820_ENTRIES = 0x1e8,
    ZP_E820_TABLE = 0x2d0,
};

enum {
    HEADER_LIMIT = 0x290, /* what follows in the zero page is not the header's */
    ENTRY_64 = 0x200,
    IMAGE_MAX = 1 << 30,
};

/* --- zero page --- */

static unsigned put_e820(const struct layout *l, uint8_t *zp)
{
    struct layout_range r[LAYOUT_RANGES];
    unsigned n = layout_ranges(l, r);

    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = zp + ZP_E820_TABLE + i * 20;

        st_le64(p, r[i].base);
        st_le64(p + 8, r[i].size);
        st_le32(p + 16, r[i].type);
    }
    return n;
}

int boot_linux_zero_page(struct boot *b, const uint8_t *header, uint64_t len)
{
    uint8_t zp[4096] = {0};

    if (header != NULL) {
        memcpy(zp + HDR_START, header, len);
    } else {
        st_le16(zp + HDR_BOOT_FLAG, LINUX_BOOT_FLAG);
        memcpy(zp + HDR_MAGIC, "HdrS", 4);
        st_le16(zp + HDR_VERSION, LINUX_VERSION_64);
        st_le32(zp + HDR_KERNEL_ALIGNMENT, 0x1000000);
    }
    zp[HDR_TYPE_OF_LOADER] = LINUX_LOADER_UNDEFINED;
    zp[HDR_LOADFLAGS] |= LINUX_LOADED_HIGH | LINUX_CAN_USE_HEAP;
    st_le16(zp + HDR_HEAP_END, 0xfe00);
    st_le64(zp + HDR_SETUP_DATA, 0);
    st_le32(zp + HDR_RAMDISK_IMAGE, (uint32_t)b->initrd_base);
    st_le32(zp + HDR_RAMDISK_SIZE, (uint32_t)b->initrd_size);
    st_le32(zp + HDR_CMD_LINE_PTR, LAYOUT_CMDLINE);
    st_le64(zp + ZP_ACPI_RSDP, b->cfg->rsdp);
    zp[ZP_E820_ENTRIES] = (uint8_t)put_e820(b->layout, zp);
    return boot_put(b, LAYOUT_ZERO_PAGE, zp, sizeof(zp));
}

/* --- CPU --- */

enum { GDT_CS64 = 0x10, GDT_DS = 0x18 };

static const uint64_t boot_gdt[] = {
    0,
    0x00cf9b000000ffff, /* 08: code, 32-bit flat */
    0x00af9b000000ffff, /* 10: code, 64-bit */
    0x00cf93000000ffff, /* 18: data, flat */
    0x00008b0005800067, /* 20: TSS, busy */
    0,
};

/* Identity mapping of the first 4 GB by 2 MB pages. */
static int put_page_tables(struct boot *b)
{
    enum { PRESENT_WRITE = 3, LARGE = 0x80, TABLES = 6 };
    uint64_t *t = calloc(TABLES, 4096);
    int rc;

    if (t == NULL)
        return err_set(b->e, ENOMEM, "out of memory");
    t[0] = (LAYOUT_PAGE_TABLES + 0x1000) | PRESENT_WRITE;
    for (unsigned i = 0; i < 4; i++)
        t[512 + i] = (LAYOUT_PAGE_TABLES + 0x2000 + i * 0x1000u) | PRESENT_WRITE;
    for (uint64_t i = 0; i < 2048; i++)
        t[1024 + i] = i << 21 | LARGE | PRESENT_WRITE;
    rc = boot_put(b, LAYOUT_PAGE_TABLES, t, TABLES * 4096);
    free(t);
    return rc;
}

static void segment(struct x86_segment *s, uint16_t selector, uint16_t attr)
{
    *s = (struct x86_segment){.limit = 0xffffffff, .selector = selector, .attr = attr};
}

int boot_linux_cpu(struct boot *b, gpa_t entry)
{
    struct x86_cpu *c = b->cpu;
    int rc = put_page_tables(b);

    if (rc == 0)
        rc = boot_put(b, LAYOUT_BOOT_GDT, boot_gdt, sizeof(boot_gdt));
    if (rc < 0)
        return rc;
    memset(c->gpr, 0, sizeof(c->gpr));
    c->gpr[X86_RSI] = LAYOUT_ZERO_PAGE;
    c->gpr[X86_RSP] = LAYOUT_BOOT_STACK;
    c->rip = entry;
    c->rflags = 2;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        segment(&c->seg[i], GDT_DS, 0xc093);
    segment(&c->seg[X86_CS], GDT_CS64, 0xa09b);
    c->tr = (struct x86_segment){.base = 0x580, .limit = 0x67, .selector = 0x20, .attr = 0x8b};
    c->gdtr = (struct x86_table){.base = LAYOUT_BOOT_GDT, .limit = sizeof(boot_gdt) - 1};
    c->idtr = (struct x86_table){.base = 0, .limit = 0};
    c->cr0 = 0x80000033; /* PG NE ET MP PE */
    c->cr3 = LAYOUT_PAGE_TABLES;
    c->cr4 = 0x620;  /* PAE OSFXSR OSXMMEXCPT */
    c->efer = 0x500; /* LMA LME */
    return 0;
}

/* GDT_CS64 is the selector that the 32-bit protocol names, too. */
static int boot_linux_cpu32(struct boot *b, gpa_t entry)
{
    static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    struct x86_cpu *c = b->cpu;
    int rc = boot_put(b, LAYOUT_BOOT_GDT, gdt, sizeof(gdt));

    boot_protected_cpu(c, entry);
    c->gpr[X86_RSI] = LAYOUT_ZERO_PAGE;
    c->gpr[X86_RSP] = LAYOUT_BOOT_STACK;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        c->seg[i].selector = GDT_DS;
    c->seg[X86_CS].selector = GDT_CS64;
    c->gdtr = (struct x86_table){.base = LAYOUT_BOOT_GDT, .limit = sizeof(gdt) - 1};
    return rc;
}

/* --- bzImage --- */

struct image {
    uint8_t header[HEADER_LIMIT]; /* the file's first bytes; beyond header_end zeros */
    uint64_t header_end;
    uint64_t offset, size; /* the protected-mode part in the file */
    uint64_t pref, init_size, alignment;
    bool relocatable;
    bool wide; /* has a 64-bit entry */
};

static int bad(struct boot *b, const char *why)
{
    return err_set(b->e, EINVAL, "--kernel: %s: %s", b->kernel.path, why);
}

static int read_header(struct boot *b, struct image *im)
{
    int rc;

    if (b->kernel.size < HEADER_LIMIT)
        return bad(b, "the file is cut off in its header; get a complete file");
    rc = file_read(&b->kernel, 0, im->header, sizeof(im->header), b->e);
    if (rc < 0)
        return rc;
    if (ld_le16(im->header + HDR_BOOT_FLAG) != LINUX_BOOT_FLAG)
        return bad(b, "the boot sector signature is missing; the file is damaged");
    if (ld_le16(im->header + HDR_VERSION) < LINUX_VERSION_INIT_SIZE)
        return bad(b, "its boot protocol is older than 2.10; use Linux 2.6.31 or newer");
    im->wide = ld_le16(im->header + HDR_VERSION) >= LINUX_VERSION_64 &&
               (ld_le16(im->header + HDR_XLOADFLAGS) & LINUX_XLF_KERNEL_64);
    if (!(im->header[HDR_LOADFLAGS] & LINUX_LOADED_HIGH))
        return bad(b, "it is a zImage, which cannot be loaded; use a bzImage");
    im->header_end = HDR_MAGIC + im->header[HDR_JUMP];
    if (im->header_end < HDR_FULL)
        return bad(b, "its header is shorter than its version says; the file is damaged");
    if (im->header_end > HEADER_LIMIT)
        im->header_end = HEADER_LIMIT;
    return 0;
}

static int check_image(struct boot *b, struct image *im)
{
    im->offset = linux_setup_size(im->header);
    if (im->offset + ENTRY_64 >= b->kernel.size)
        return bad(b, "the file is cut off before its kernel; get a complete file");
    im->size = b->kernel.size - im->offset;
    im->pref = ld_le64(im->header + HDR_PREF_ADDRESS);
    im->init_size = ld_le32(im->header + HDR_INIT_SIZE);
    im->alignment = ld_le32(im->header + HDR_KERNEL_ALIGNMENT);
    im->relocatable = im->header[HDR_RELOCATABLE] != 0;
    if (im->size > IMAGE_MAX)
        return bad(b, "it is larger than 1 GB");
    if (im->init_size < im->size)
        im->init_size = im->size;
    if (im->relocatable && !is_pow2(im->alignment))
        return bad(b, "its kernel_alignment is not a power of two; the file is damaged");
    return 0;
}

static bool fits(const struct boot *b, uint64_t base, uint64_t size)
{
    return base >= LAYOUT_KERNEL_MIN &&
           range_inside(base, size, LAYOUT_KERNEL_MIN, b->layout->low_end - LAYOUT_KERNEL_MIN);
}

/* Where the kernel goes: the address it prefers, else the lowest that it can be moved to. */
static int place(struct boot *b, struct image *im)
{
    uint64_t base = im->pref;

    if (!fits(b, base, im->init_size) && im->relocatable &&
        !align_up(LAYOUT_KERNEL_MIN, im->alignment, &base))
        base = 0;
    if (!fits(b, base, im->init_size))
        return err_set(b->e, ENOMEM,
                       "--memory: %" PRIu64 "M is too small for the kernel %s, it needs %" PRIu64
                       " MB to unpack itself; give the machine more",
                       b->layout->memory >> 20, b->kernel.path,
                       (im->init_size + (im->relocatable ? im->alignment : im->pref)) >> 20);
    b->kernel_base = base;
    b->kernel_end = base + im->init_size;
    return 0;
}

int boot_linux_bzimage(struct boot *b)
{
    struct image im = {0};
    int rc = read_header(b, &im);

    if (rc == 0)
        rc = check_image(b, &im);
    if (rc == 0)
        rc = place(b, &im);
    if (rc == 0)
        rc = boot_copy(b, im.offset, b->kernel_base, im.size, "the kernel");
    if (rc == 0)
        rc = boot_load_initrd(b, (uint64_t)ld_le32(im.header + HDR_INITRD_ADDR_MAX) + 1);
    if (rc == 0)
        rc = boot_load_cmdline(b, ld_le32(im.header + HDR_CMDLINE_SIZE));
    if (rc == 0)
        rc = boot_linux_zero_page(b, im.header + HDR_START, im.header_end - HDR_START);
    if (rc == 0)
        rc = im.wide ? boot_linux_cpu(b, b->kernel_base + ENTRY_64)
                     : boot_linux_cpu32(b, b->kernel_base);
    return rc;
}
