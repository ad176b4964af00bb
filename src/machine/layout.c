/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory map of the board: see layout.h. */
#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "dev/host_bridge.h"
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
    *l = (struct layout){.memory = memory};
    l->low_end = memory < LAYOUT_LOW_MAX ? memory : LAYOUT_LOW_SPLIT;
    l->high_end = LAYOUT_HIGH_BASE + (memory - l->low_end);
    l->pci64_base = align_down(l->high_end + 64 * GB - 1, 64 * GB);
    l->pci64_size = l->pci64_base + LAYOUT_PCI64_SIZE <= space ? LAYOUT_PCI64_SIZE : 0;
    return 0;
}

/* Firmware finds its own place for 64-bit windows: anywhere above memory. */
void layout_firmware(struct layout *l, uint64_t rom_size, uint64_t vars_size, unsigned phys_bits)
{
    l->rom_size = rom_size;
    l->vars_size = vars_size;
    l->pci64_base = align_down(l->high_end + GB - 1, GB);
    l->pci64_size = (UINT64_C(1) << phys_bits) - l->pci64_base;
}

static int add_direct(const struct layout *l, struct ram *r, struct err *e)
{
    int rc = ram_add(r, 0, LAYOUT_VGA_BASE, false, e);

    if (rc == 0)
        rc = ram_add(r, LAYOUT_ROM_BASE, LAYOUT_ROM_SIZE, true, e);
    return rc == 0 ? ram_add(r, LAYOUT_VGA_END, l->low_end - LAYOUT_VGA_END, false, e) : rc;
}

bool layout_shadowed(const struct layout *l, gpa_t base, uint64_t *offset)
{
    uint64_t below = LAYOUT_KERNEL_MIN - base; /* bytes from the end of the firmware */

    if (below > LAYOUT_SHADOW_ROM || below > l->rom_size)
        return false;
    *offset = l->rom_offset + l->rom_size - below;
    return true;
}

/* After reset the bus answers: firmware, or nothing. */
static int add_segments(const struct layout *l, struct ram *r, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < HOST_BRIDGE_SEGMENTS && rc == 0; i++) {
        gpa_t base = host_bridge_segment_base(i);
        uint64_t offset = base;
        enum ram_mode mode = layout_shadowed(l, base, &offset) ? RAM_READONLY : RAM_ABSENT;

        rc = ram_map(r, base, host_bridge_segment_size(i), offset, mode, e);
    }
    return rc;
}

static int add_firmware(struct layout *l, struct ram *r, struct err *e)
{
    const gpa_t base = LAYOUT_HIGH_BASE - l->rom_size;
    uint64_t low;
    int rc = ram_take(r, l->low_end, &low, e);

    if (rc == 0)
        rc = ram_take(r, l->rom_size, &l->rom_offset, e);
    if (rc == 0)
        rc = ram_map(r, 0, LAYOUT_VGA_BASE, low, RAM_WRITABLE, e);
    if (rc == 0)
        rc = add_segments(l, r, e);
    if (rc == 0)
        rc = ram_map(r, LAYOUT_KERNEL_MIN, l->low_end - LAYOUT_KERNEL_MIN, LAYOUT_KERNEL_MIN,
                     RAM_WRITABLE, e);
    if (rc == 0 && l->vars_size != 0)
        rc = ram_map(r, base, l->vars_size, l->rom_offset, RAM_READONLY, e);
    if (rc == 0)
        rc = ram_map(r, base + l->vars_size, l->rom_size - l->vars_size,
                     l->rom_offset + l->vars_size, RAM_READONLY, e);
    return rc;
}

/* Without firmware the video hole's share of the backing goes to the ROM, so that below 4 GB a
 * region's offset in the backing is its address: host pages of any size fit guest pages of that
 * size. */
_Static_assert(LAYOUT_ROM_SIZE == LAYOUT_VGA_END - LAYOUT_VGA_BASE, "the ROM fills the hole");

/* A screen's memory has no place of its own but where PCI puts it; its first bank may show in the
 * old window. */
static int add_video(struct layout *l, struct ram *r, struct err *e)
{
    int rc = ram_take(r, l->video_size, &l->video_offset, e);

    if (rc == 0)
        rc = ram_map_movable(r, l->video_size, l->video_offset, e);
    return rc == 0 ? ram_map(r, LAYOUT_VGA_BASE, LAYOUT_VGA_BANK, l->video_offset, RAM_ABSENT, e)
                   : rc;
}

int layout_create_ram(struct layout *l, enum ram_pages pages, struct ram **out, struct err *e)
{
    struct ram *r;
    int rc = ram_create_of(&r, l->memory + l->rom_size + l->video_size + l->gpu_size + l->fifo_size,
                           pages, e);

    if (rc < 0)
        return rc;
    rc = l->rom_size != 0 ? add_firmware(l, r, e) : add_direct(l, r, e);
    if (rc == 0 && l->high_end > LAYOUT_HIGH_BASE)
        rc = ram_add(r, LAYOUT_HIGH_BASE, l->high_end - LAYOUT_HIGH_BASE, false, e);
    if (rc == 0 && l->video_size != 0)
        rc = add_video(l, r, e);
    if (rc == 0 && l->gpu_size != 0)
        rc = ram_take(r, l->gpu_size, &l->gpu_offset, e);
    if (rc == 0 && l->fifo_size != 0)
        rc = ram_take(r, l->fifo_size, &l->fifo_offset, e);
    if (rc == 0 && l->fifo_size != 0)
        rc = ram_map_movable(r, l->fifo_size, l->fifo_offset, e);
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
