/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen of the board: a VGA whose memory is a part of the RAM's backing. The guest sees it
 * through two regions: one where the PCI BAR is, one in the old window while that is linear.
 */
#include <errno.h>
#include <stdlib.h>

#include "dev/vga.h"
#include "machine/machine_internal.h"

enum { SLOT_VGA = 28, ROM_MAX = 0x10000, PREFERRED_WIDTH = 1280, PREFERRED_HEIGHT = 800 };

static const char rom_path[] = "/usr/share/seabios/vgabios-stdvga.bin";

static void vga_placed(void *opaque, uint64_t base)
{
    struct machine *m = opaque;

    ram_move(m->ram, m->layout.video_offset, base == PCI_UNMAPPED ? RAM_NOWHERE : base);
    board_remapped(m);
}

static void vga_window(void *opaque, bool direct, uint32_t offset)
{
    struct machine *m = opaque;

    ram_remap(m->ram, LAYOUT_VGA_BASE, m->layout.video_offset + offset,
              direct ? RAM_WRITABLE : RAM_ABSENT);
    board_remapped(m);
}

/* The video BIOS; kernels that are started directly do without. */
static int load_rom(const struct machine *m, uint8_t **data, size_t *size, struct err *e)
{
    struct file f;
    int rc;

    if (m->layout.rom_size == 0)
        return 0;
    rc = file_open(&f, "--vga", rom_path, e);
    if (rc == -ENOENT)
        return err_set(e, ENOENT, "--vga: %s is missing; install the package seabios", rom_path);
    if (rc < 0)
        return rc;
    *size = f.size;
    if (f.size == 0 || f.size > ROM_MAX)
        rc = err_set(e, EINVAL, "--vga: %s is no video BIOS", rom_path);
    else
        rc = file_read_all(&f, data, e);
    file_close(&f);
    return rc;
}

int board_create_video(struct machine *m, struct err *e)
{
    struct vga_config cfg = {.pci = m->pci,
                             .devfn = PCI_DEVFN(SLOT_VGA, 0),
                             .ports = m->ports,
                             .mmio = m->mmio,
                             .clock = m->clock,
                             .vram = ram_backing(m->ram) + m->layout.video_offset,
                             .width = PREFERRED_WIDTH,
                             .height = PREFERRED_HEIGHT,
                             .placed = vga_placed,
                             .window = vga_window,
                             .opaque = m};
    uint8_t *rom = NULL;
    struct vga *v;
    int rc;

    if (!m->cfg.vga)
        return 0;
    rc = load_rom(m, &rom, &cfg.rom_size, e);
    cfg.rom = rom;
    if (rc == 0)
        rc = vga_create(&cfg, &v, e);
    free(rom);
    if (rc < 0)
        return rc;
    m->video = vga_video(v);
    return machine_own(m, vga_device(v), e);
}

const struct video *machine_video(struct machine *m)
{
    return m->video.self != NULL ? &m->video : NULL;
}
