/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory map of the board: see layout.h. */
#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "machine/layout.h"

#define GB (UINT64_C(1) << 30)

int layout_init(struct layout *l, uint64_t memory, unsigned phys_bits, struct err *e)
{
    uint64_t space = UINT64_C(1) << phys_bits;

    if (memory < LAYOUT_MEMORY_MIN)
        return err_usage(e, "--memory: %" PRIu64 "K is too small, at least 16M are needed",
                         memory >> 10);
    if (!is_aligned(memory, UINT64_C(1) << 20))
        return err_usage(e, "--memory: %" PRIu64 "K is not a whole number of megabytes",
                         memory >> 10);
    if (memory > space / 2)
        return err_usage(e,
                         "--memory: %" PRIu64 "G is more than the guest's %u address bits hold, "
                         "at most %" PRIu64 "G",
                         memory >> 30, phys_bits, space / 2 >> 30);
    l->memory = memory;
    l->low_end = memory < LAYOUT_LOW_MAX ? memory : LAYOUT_LOW_SPLIT;
    l->high_end = LAYOUT_HIGH_BASE + (memory - l->low_end);
    l->pci64_base = align_down(l->high_end + 64 * GB - 1, 64 * GB);
    l->pci64_size = l->pci64_base + LAYOUT_PCI64_SIZE <= space ? LAYOUT_PCI64_SIZE : 0;
    return 0;
}

/* The video hole's share of the backing goes to the ROM, so that below 4 GB a region's offset in
 * the backing is its address: host pages of any size fit guest pages of that size. */
_Static_assert(LAYOUT_ROM_SIZE == LAYOUT_VGA_END - LAYOUT_VGA_BASE, "the ROM fills the hole");

int layout_create_ram(const struct layout *l, struct ram **out, struct err *e)
{
    struct ram *r;
    int rc = ram_create(&r, l->memory, e);

    if (rc < 0)
        return rc;
    rc = ram_add(r, 0, LAYOUT_VGA_BASE, false, e);
    if (rc == 0)
        rc = ram_add(r, LAYOUT_ROM_BASE, LAYOUT_ROM_SIZE, true, e);
    if (rc == 0)
        rc = ram_add(r, LAYOUT_VGA_END, l->low_end - LAYOUT_VGA_END, false, e);
    if (rc == 0 && l->high_end > LAYOUT_HIGH_BASE)
        rc = ram_add(r, LAYOUT_HIGH_BASE, l->high_end - LAYOUT_HIGH_BASE, false, e);
    if (rc < 0) {
        ram_destroy(r);
        return rc;
    }
    *out = r;
    return 0;
}

unsigned layout_ranges(const struct layout *l, struct layout_range out[LAYOUT_RANGES])
{
    unsigned n = 0;

    out[n++] = (struct layout_range){0, LAYOUT_EBDA, E820_RAM};
    out[n++] = (struct layout_range){LAYOUT_EBDA, LAYOUT_VGA_BASE - LAYOUT_EBDA, E820_RESERVED};
    out[n++] = (struct layout_range){LAYOUT_ACPI_BASE, LAYOUT_SMBIOS_END - LAYOUT_ACPI_BASE,
                                     E820_RESERVED};
    out[n++] = (struct layout_range){LAYOUT_KERNEL_MIN, l->low_end - LAYOUT_KERNEL_MIN, E820_RAM};
    out[n++] = (struct layout_range){LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE, E820_RESERVED};
    out[n++] = (struct layout_range){LAYOUT_ROM_BASE, LAYOUT_ROM_SIZE, E820_RESERVED};
    if (l->high_end > LAYOUT_HIGH_BASE)
        out[n++] =
            (struct layout_range){LAYOUT_HIGH_BASE, l->high_end - LAYOUT_HIGH_BASE, E820_RAM};
    return n;
}
