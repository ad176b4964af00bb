/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen of the board: a card whose memory is a part of the RAM's backing. Of a VGA's the guest
 * sees two regions: one where the PCI BAR is, one in the old window while that is linear.
 */
#include <errno.h>
#include <stdlib.h>

#include "dev/svga.h"
#include "dev/vga.h"
#include "dev/virtio/virtio_gpu.h"
#include "machine/machine_internal.h"

enum { SLOT_VGA = 28, ROM_MAX = 0x10000, PREFERRED_WIDTH = 1280, PREFERRED_HEIGHT = 800 };

/* The video BIOS finds its card by the PCI IDs in it. */
static const char *const rom_path[] = {
    [MACHINE_VGA_STD] = "/usr/share/seabios/vgabios-stdvga.bin",
    [MACHINE_VGA_VIRTIO] = "/usr/share/seabios/vgabios-virtio.bin",
    [MACHINE_VGA_VMWARE] = "/usr/share/seabios/vgabios-vmware.bin",
};

static void vga_placed(void *opaque, uint64_t base)
{
    struct machine *m = opaque;

    ram_move(m->ram, m->layout.video_offset, base == PCI_UNMAPPED ? RAM_NOWHERE : base);
    board_remapped(m);
}

static void fifo_placed(void *opaque, uint64_t base)
{
    struct machine *m = opaque;

    ram_move(m->ram, m->layout.fifo_offset, base == PCI_UNMAPPED ? RAM_NOWHERE : base);
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
    const char *path = rom_path[m->cfg.vga];
    struct file f;
    int rc;

    if (m->layout.rom_size == 0)
        return 0;
    rc = file_open(&f, "--vga", path, e);
    if (rc == -ENOENT)
        return err_set(e, ENOENT, "--vga: %s is missing; install the package seabios", path);
    if (rc < 0)
        return rc;
    *size = f.size;
    if (f.size == 0 || f.size > ROM_MAX)
        rc = err_set(e, EINVAL, "--vga: %s is no video BIOS", path);
    else
        rc = file_read_all(&f, data, e);
    file_close(&f);
    return rc;
}

/* A kernel that is started directly needs no VGA in front of a virtio GPU. */
static bool with_vga(const struct machine *m)
{
    if (m->cfg.vga == MACHINE_VGA_VIRTIO)
        return m->layout.rom_size != 0;
    return m->cfg.vga != MACHINE_VGA_NONE;
}

void board_size_video(struct machine *m)
{
    m->layout.video_size = with_vga(m) ? VGA_MEMORY_SIZE : 0;
    m->layout.gpu_size = m->cfg.vga == MACHINE_VGA_VIRTIO ? GPU_POOL_SIZE : 0;
    m->layout.fifo_size = m->cfg.vga == MACHINE_VGA_VMWARE ? SVGA_FIFO_SIZE : 0;
}

static int create_std(struct machine *m, const struct vga_config *cfg, struct err *e)
{
    struct vga *v;
    int rc = vga_create(cfg, &v, e);

    if (rc < 0)
        return rc;
    m->video = vga_video(v);
    return machine_own(m, vga_device(v), e);
}

/* The VGA is made with the GPU and goes after it. */
static int create_virtio(struct machine *m, const struct vga_config *vga, struct err *e)
{
    const struct virtio_gpu_config cfg = {
        .place = board_virtio_place(m, PCI_DEVFN(SLOT_VGA, 0), m->cfg.loop),
        .memory = ram_backing(m->ram) + m->layout.gpu_offset,
        .width = PREFERRED_WIDTH,
        .height = PREFERRED_HEIGHT,
        .vga = with_vga(m) ? vga : NULL};
    struct device part = {0};
    struct virtio_gpu *g;
    int rc = virtio_gpu_create(&cfg, &g, &part, e);

    if (rc < 0)
        return rc;
    m->video = virtio_gpu_video(g);
    rc = part.ops != NULL ? machine_own(m, part, e) : 0;
    return rc == 0 ? machine_own(m, virtio_gpu_device(g), e) : rc;
}

static int create_vmware(struct machine *m, const struct vga_config *vga, struct err *e)
{
    const struct svga_config cfg = {.vga = *vga,
                                    .fifo = ram_backing(m->ram) + m->layout.fifo_offset,
                                    .loop = m->cfg.loop,
                                    .fifo_placed = fifo_placed};
    struct device part;
    struct svga *s;
    int rc = svga_create(&cfg, &s, &part, e);

    if (rc < 0)
        return rc;
    m->video = svga_video(s);
    rc = machine_own(m, part, e);
    return rc == 0 ? machine_own(m, svga_device(s), e) : rc;
}

int board_create_video(struct machine *m, struct err *e)
{
    struct vga_config cfg = {.memory_bar = VGA_MEMORY_BAR,
                             .regs_bar = VGA_REGS_BAR,
                             .pci = m->pci,
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
    static int (*const create[])(struct machine * m, const struct vga_config *vga,
                                 struct err *e) = {
        [MACHINE_VGA_STD] = create_std,
        [MACHINE_VGA_VIRTIO] = create_virtio,
        [MACHINE_VGA_VMWARE] = create_vmware,
    };
    uint8_t *rom = NULL;
    int rc;

    if (m->cfg.vga == MACHINE_VGA_NONE)
        return 0;
    rc = load_rom(m, &rom, &cfg.rom_size, e);
    cfg.rom = rom;
    if (rc == 0)
        rc = create[m->cfg.vga](m, &cfg, e);
    free(rom);
    return rc;
}

const struct video *machine_video(struct machine *m)
{
    return m->video.self != NULL ? &m->video : NULL;
}
