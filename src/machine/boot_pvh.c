/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PVH boot protocol: Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h. The guest
 * starts in 32-bit protected mode without paging, EBX pointing to the start info.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/boot_internal.h"

enum {
    START_MAGIC = 0x336ec578,
    START_VERSION = 1,
    START_SIZE = 56,
    MODULE_SIZE = 32,
    RANGE_SIZE = 24,
    MODULES_AT = START_SIZE,
    RANGES_AT = MODULES_AT + MODULE_SIZE,
    TOTAL = RANGES_AT + RANGE_SIZE * LAYOUT_RANGES
};

static unsigned put_ranges(const struct layout *l, uint8_t *p)
{
    struct layout_range r[LAYOUT_RANGES];
    unsigned n = layout_ranges(l, r);

    for (unsigned i = 0; i < n; i++, p += RANGE_SIZE) {
        st_le64(p, r[i].base);
        st_le64(p + 8, r[i].size);
        st_le32(p + 16, r[i].type);
    }
    return n;
}

static int put_start_info(struct boot *b)
{
    uint8_t s[TOTAL] = {0};
    unsigned ranges = put_ranges(b->layout, s + RANGES_AT);

    st_le32(s + 0, START_MAGIC);
    st_le32(s + 4, START_VERSION);
    if (b->initrd_size != 0) {
        st_le32(s + 12, 1);
        st_le64(s + 16, LAYOUT_PVH_INFO + MODULES_AT);
        st_le64(s + MODULES_AT, b->initrd_base);
        st_le64(s + MODULES_AT + 8, b->initrd_size);
    }
    st_le64(s + 24, LAYOUT_CMDLINE);
    st_le64(s + 32, b->cfg->rsdp);
    st_le64(s + 40, LAYOUT_PVH_INFO + RANGES_AT);
    st_le32(s + 48, ranges);
    return boot_put(b, LAYOUT_PVH_INFO, s, sizeof(s));
}

void boot_protected_cpu(struct x86_cpu *c, gpa_t entry)
{
    memset(c->gpr, 0, sizeof(c->gpr));
    c->rip = entry;
    c->rflags = 2;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        c->seg[i] = (struct x86_segment){.limit = 0xffffffff, .attr = 0xc093};
    c->seg[X86_CS].attr = 0xc09b;
    c->tr = (struct x86_segment){.limit = 0x67, .attr = 0x8b};
    c->gdtr = c->idtr = (struct x86_table){.base = 0, .limit = 0};
    c->cr0 = 0x11; /* ET PE */
}

int boot_pvh(struct boot *b, gpa_t entry)
{
    int rc = boot_load_initrd(b, UINT64_C(1) << 32);

    if (rc == 0)
        rc = boot_load_cmdline(b, LAYOUT_CMDLINE_MAX - 1);
    if (rc == 0)
        rc = put_start_info(b);
    if (rc == 0) {
        boot_protected_cpu(b->cpu, entry);
        b->cpu->gpr[X86_RBX] = LAYOUT_PVH_INFO;
    }
    return rc;
}
