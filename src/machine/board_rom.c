/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that the chipset switches: the area from c0000 to 1 MB, whose segments show RAM or the end
 * of the firmware as the host bridge says, and the flash that holds a firmware's variables.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "machine/machine_internal.h"

enum { AREA_BASE = 0xc0000, AREA_SIZE = 0x40000 };

void board_remapped(struct machine *m)
{
    if (m->engine != NULL)
        m->cfg.engine->remap(m->engine);
}

/* --- c0000 to 1 MB --- */

static unsigned segment_of(uint64_t offset)
{
    unsigned s = (unsigned)(offset / 0x4000);

    return s < HOST_BRIDGE_SEGMENTS - 1 ? s : HOST_BRIDGE_SEGMENTS - 1;
}

/* Accesses come here if the segment is absent or its memory readonly: reads of the firmware's end,
 * writes to the memory that reads do not see. */
static uint64_t area_read(void *opaque, uint64_t offset, unsigned size)
{
    struct machine *m = opaque;
    gpa_t base = host_bridge_segment_base(segment_of(offset));
    uint64_t from;

    if (!layout_shadowed(&m->layout, base, &from))
        return 0xff;
    return ram_backing(m->ram)[from + (AREA_BASE + offset - base)];
}

static void area_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct machine *m = opaque;

    if (atomic_load(&m->pam[segment_of(offset)]) == PAM_WRITE)
        ram_backing(m->ram)[AREA_BASE + offset] = (uint8_t)value;
}

static const struct bus_ops area_ops = {
    .name = "shadow", .read = area_read, .write = area_write, .min_size = 1, .max_size = 1};

void board_pam(void *opaque, const uint8_t attributes[HOST_BRIDGE_SEGMENTS])
{
    struct machine *m = opaque;

    if (m->layout.rom_size == 0) /* everything is memory, as firmware would leave it */
        return;
    for (unsigned i = 0; i < HOST_BRIDGE_SEGMENTS; i++) {
        gpa_t base = host_bridge_segment_base(i);
        bool read = attributes[i] & PAM_READ, write = attributes[i] & PAM_WRITE;
        uint64_t offset = base;
        enum ram_mode mode = write ? RAM_WRITABLE : RAM_READONLY;

        if (!read)
            mode = !write && layout_shadowed(&m->layout, base, &offset) ? RAM_READONLY : RAM_ABSENT;
        atomic_store(&m->pam[i], attributes[i]);
        ram_remap(m->ram, base, offset, mode);
    }
    board_remapped(m);
    ram_written(m->ram, AREA_BASE, AREA_SIZE); /* what area_write wrote */
}

/* --- flash --- */

static void flash_array(void *opaque, bool on, uint32_t from, uint32_t to)
{
    struct machine *m = opaque;
    gpa_t base = LAYOUT_HIGH_BASE - m->layout.rom_size;

    ram_remap(m->ram, base, m->layout.rom_offset, on ? RAM_READONLY : RAM_ABSENT);
    board_remapped(m);
    if (on)
        ram_written(m->ram, base + from, to - from);
}

static int create_flash(struct machine *m, struct err *e)
{
    struct pflash_config cfg = {.loop = m->cfg.loop,
                                .data = ram_backing(m->ram) + m->layout.rom_offset,
                                .size = (uint32_t)m->layout.vars_size,
                                .fd = m->firmware.vars_fd,
                                .array = flash_array,
                                .opaque = m};
    struct pflash *p;
    int rc = pflash_create(&cfg, &p);

    if (rc < 0)
        return rc;
    m->firmware.vars_fd = -1;
    rc = machine_own(m, pflash_device(p), e);
    return rc == 0 ? pflash_map(p, m->mmio, LAYOUT_HIGH_BASE - m->layout.rom_size) : rc;
}

int board_create_rom(struct machine *m, struct err *e)
{
    int rc = 0;

    if (m->layout.rom_size != 0)
        rc = bus_map(m->mmio, AREA_BASE, AREA_SIZE, &area_ops, m);
    return rc == 0 && m->layout.vars_size != 0 ? create_flash(m, e) : rc;
}
