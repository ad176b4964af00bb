/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Multiboot Specification, version 0.6.96 ("multiboot 1"): the kernel has a header in its first
 * 8 KB and starts in 32-bit protected mode without paging, EBX pointing to the boot information.
 * Modules are the initrd and what --module names, in this order.
 */
#include <string.h>

#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
#include "base/checked.h"
#include "machine/boot_internal.h"

enum {
    HEADER_MAGIC = 0x1badb002,
    BOOT_MAGIC = 0x2badb002,
    SEARCH = 8192,
    /* Flags of the header: what is demanded is below bit 16. */
    WANT_ALIGNED = 1 << 0, /* modules on page boundaries: always so */
    WANT_MEMORY = 1 << 1,  /* always told */
    HAS_ADDRESSES = 1 << 16,
    /* Flags of the information: what is valid. */
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MAP = 1 << 6,
    INFO_LOADER = 1 << 9,
    INFO_SIZE = 88,
    MODULE_SIZE = 16,
    RANGE_SIZE = 24,
    MODULES_AT = INFO_SIZE,
    RANGES_AT = MODULES_AT + MODULE_SIZE * (1 + BOOT_MAX_MODULES),
    TEXT_AT = RANGES_AT + RANGE_SIZE * LAYOUT_RANGES,
    TOTAL = 4096
};

struct info {
    uint8_t raw[TOTAL];
    uint32_t text; /* next free byte for strings */
};

static int bad(struct boot *b, const char *why)
{
    return err_set(b->e, EINVAL, "--kernel: %s: %s", b->kernel.path, why);
}

int boot_multiboot_find(struct boot *b, struct boot_multiboot *m)
{
    uint8_t head[SEARCH];
    uint64_t len = b->kernel.size < SEARCH ? b->kernel.size : SEARCH;
    int rc = file_read(&b->kernel, 0, head, len, b->e);

    *m = (struct boot_multiboot){0};
    for (uint64_t at = 0; rc == 0 && at + 12 <= len; at += 4) {
        uint32_t flags = ld_le32(head + at + 4);

        if (ld_le32(head + at) != HEADER_MAGIC ||
            HEADER_MAGIC + flags + ld_le32(head + at + 8) != 0)
            continue;
        m->found = true;
        m->offset = at;
        m->flags = flags;
        m->placed = (flags & HAS_ADDRESSES) && at + 32 <= len;
        if (m->placed)
            for (unsigned i = 0; i < 5; i++)
                m->address[i] = ld_le32(head + at + 12 + 4 * i);
        break;
    }
    return rc;
}

/* --- loading without ELF --- */

enum { HEADER_ADDR, LOAD_ADDR, LOAD_END_ADDR, BSS_END_ADDR, ENTRY_ADDR };

/* The image as its header's addresses say. */
static int load_placed(struct boot *b, const struct boot_multiboot *m, gpa_t *entry)
{
    const uint32_t *a = m->address;
    uint64_t before = a[HEADER_ADDR] - (uint64_t)a[LOAD_ADDR], offset, end, bss;
    void *p;
    int rc;

    if (a[LOAD_ADDR] > a[HEADER_ADDR] || !checked_sub(m->offset, before, &offset))
        return bad(b, "its multiboot header lies outside of what it wants to load");
    end = a[LOAD_END_ADDR] != 0 ? a[LOAD_END_ADDR] : a[LOAD_ADDR] + (b->kernel.size - offset);
    bss = a[BSS_END_ADDR] != 0 ? a[BSS_END_ADDR] : end;
    if (end < a[LOAD_ADDR] || bss < end || a[ENTRY_ADDR] < a[LOAD_ADDR] || a[ENTRY_ADDR] >= end)
        return bad(b, "the addresses in its multiboot header contradict each other");
    rc = boot_copy(b, offset, a[LOAD_ADDR], end - a[LOAD_ADDR], "its image");
    if (rc < 0)
        return rc;
    if (a[LOAD_ADDR] < LAYOUT_KERNEL_MIN && bss > LAYOUT_MULTIBOOT_INFO)
        return bad(b, "its image fills more than the low memory that a kernel may have");
    p = bss > end ? ram_ptr(b->ram, end, bss - end, true) : NULL;
    if (bss > end && p == NULL)
        return err_set(b->e, ENOMEM, "--kernel: %s needs more memory; give it with --memory",
                       b->kernel.path);
    if (p != NULL) {
        memset(p, 0, bss - end);
        ram_written(b->ram, end, bss - end);
    }
    b->kernel_base = a[LOAD_ADDR];
    b->kernel_end = bss;
    *entry = a[ENTRY_ADDR];
    return 0;
}

int boot_multiboot_flat(struct boot *b, const struct boot_multiboot *m)
{
    gpa_t entry = 0;
    int rc = load_placed(b, m, &entry);

    return rc == 0 ? boot_multiboot(b, m, entry) : rc;
}

/* --- boot information --- */

/* Two strings with a space between them. *at: where they are. */
static int put_text(struct boot *b, struct info *in, const char *first, const char *second,
                    uint32_t *at)
{
    size_t room = TOTAL - in->text;
    int n = snprintf((char *)in->raw + in->text, room, "%s%s%s", first,
                     second != NULL && second[0] != '\0' ? " " : "", second != NULL ? second : "");

    if (n < 0 || (size_t)n >= room)
        return err_set(b->e, EINVAL,
                       "--append: the command line and the modules' texts are longer than a "
                       "multiboot kernel can be given (about 3000 characters)");
    *at = LAYOUT_MULTIBOOT_INFO + in->text;
    in->text += (uint32_t)n + 1;
    return 0;
}

static int put_module(struct boot *b, struct info *in, const char *option, const char *path,
                      const char *text)
{
    uint32_t n = ld_le32(in->raw + 20), string;
    uint64_t base, size;
    int rc = boot_load_file(b, option, path, UINT32_MAX, &base, &size);

    if (rc == 0)
        rc = put_text(b, in, path, text, &string);
    if (rc < 0)
        return rc;
    uint8_t *p = in->raw + MODULES_AT + (size_t)n * MODULE_SIZE;
    st_le32(p, (uint32_t)base);
    st_le32(p + 4, (uint32_t)(base + size));
    st_le32(p + 8, string);
    st_le32(in->raw + 20, n + 1);
    return 0;
}

static int put_modules(struct boot *b, struct info *in)
{
    int rc = 0;

    if (b->cfg->initrd != NULL)
        rc = put_module(b, in, "--initrd", b->cfg->initrd, NULL);
    for (unsigned i = 0; i < b->cfg->module_count && rc == 0; i++)
        rc = put_module(b, in, "--module", b->cfg->modules[i].path, b->cfg->modules[i].text);
    st_le32(in->raw + 24, LAYOUT_MULTIBOOT_INFO + MODULES_AT);
    return rc;
}

/* An entry begins with the size of the rest. */
static void put_map(const struct layout *l, struct info *in)
{
    struct layout_range r[LAYOUT_RANGES];
    unsigned n = layout_ranges(l, r);

    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = in->raw + RANGES_AT + (size_t)i * RANGE_SIZE;
        st_le32(p, RANGE_SIZE - 4);
        st_le64(p + 4, r[i].base);
        st_le64(p + 12, r[i].size);
        st_le32(p + 20, r[i].type);
    }
    st_le32(in->raw + 44, n * RANGE_SIZE);
    st_le32(in->raw + 48, LAYOUT_MULTIBOOT_INFO + RANGES_AT);
}

static int put_info(struct boot *b)
{
    struct info in = {.text = TEXT_AT};
    uint32_t cmdline, loader;
    int rc = put_text(b, &in, b->kernel.path, b->cfg->append, &cmdline);

    if (rc == 0)
        rc = put_text(b, &in, "doppel", NULL, &loader);
    if (rc == 0)
        rc = put_modules(b, &in);
    if (rc < 0)
        return rc;
    put_map(b->layout, &in);
    st_le32(in.raw, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER);
    st_le32(in.raw + 4, LAYOUT_EBDA >> 10);
    st_le32(in.raw + 8, (uint32_t)((b->layout->low_end - LAYOUT_KERNEL_MIN) >> 10));
    st_le32(in.raw + 16, cmdline);
    st_le32(in.raw + 64, loader);
    return boot_put(b, LAYOUT_MULTIBOOT_INFO, in.raw, in.text);
}

int boot_multiboot(struct boot *b, const struct boot_multiboot *m, gpa_t entry)
{
    int rc;

    if (m->flags & 0xffff & ~(uint32_t)(WANT_ALIGNED | WANT_MEMORY))
        return bad(b,
                   "its multiboot header demands what this machine does not have (a video mode)");
    if (entry > UINT32_MAX)
        return bad(b, "its entry point lies above 4 GB");
    rc = put_info(b);
    if (rc == 0)
        boot_protected_cpu(b->cpu, entry);
    b->bios = true;
    if (rc == 0) {
        b->cpu->gpr[X86_RAX] = BOOT_MAGIC;
        b->cpu->gpr[X86_RBX] = LAYOUT_MULTIBOOT_INFO;
    }
    return rc;
}
