/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Screens in the generic suite. */
#include <stdlib.h>

#include "dev/vga.h"
#include "suite.h"

#define REGS_BASE 0xe0000000u

struct card {
    struct vga *vga;
    uint8_t *vram;
};

static void on_placed(void *opaque, uint64_t base)
{
    suite_activity(opaque);
}

static void on_window(void *opaque, bool direct, uint32_t offset)
{
    suite_activity(opaque);
}

static int create_vga(struct suite_env *env, struct device *dev)
{
    static const uint8_t rom[3000] = {0x55, 0xaa};
    struct card *card = calloc(1, sizeof(*card));
    struct vga_config cfg = {.pci = suite_pci(env),
                             .ports = env->ports,
                             .mmio = env->mmio,
                             .clock = env->clock,
                             .rom = rom,
                             .rom_size = sizeof(rom),
                             .width = 1280,
                             .height = 800,
                             .placed = on_placed,
                             .window = on_window,
                             .opaque = env};
    int rc;

    if (card == NULL || (cfg.vram = card->vram = calloc(1, VGA_MEMORY_SIZE)) == NULL)
        abort();
    env->extra = card;
    rc = vga_create(&cfg, &card->vga, NULL);
    if (rc == 0)
        *dev = vga_device(card->vga);
    return rc;
}

static void finish_vga(struct suite_env *env)
{
    struct card *card = env->extra;

    free(card->vram);
    free(card);
}

/* Places the BARs, switches a mode on, and looks at the picture. */
static void busy_vga(struct suite_env *env, struct device *dev)
{
    struct card *card = env->extra;
    struct video video = vga_video(card->vga);
    struct video_surface s;

    pci_config_write(env->pci, 0, 0, 0x10, 4, 0xd0000000);
    pci_config_write(env->pci, 0, 0, 0x18, 4, REGS_BASE);
    pci_config_write(env->pci, 0, 0, 0x30, 4, 0xe0010001);
    pci_config_write(env->pci, 0, 0, 0x04, 2, 3);
    video_init(&s);
    if (video.draw(video.self, &s) < 0)
        abort();
    bus_write(env->ports, 0x1ce, 1, 2);
    bus_write(env->ports, 0x1cf, 320, 2);
    bus_write(env->mmio, REGS_BASE + 0x504, 200, 2);
    bus_write(env->mmio, REGS_BASE + 0x506, 32, 2);
    bus_write(env->mmio, REGS_BASE + 0x508, 0x41, 2);
    if (video.draw(video.self, &s) < 0)
        abort();
    video_finish(&s);
}

const struct suite_class suite_vga = {
    .name = "vga",
    .create = create_vga,
    .finish = finish_vga,
    .busy = busy_vga,
    .ranges = {{false, 0x3b0, 0x30},
               {false, 0x1ce, 3},
               {true, 0xa0000, 0x20000},
               {true, REGS_BASE, 0x1000},
               {true, 0xe0010000, 0x1000},
               {false, 0xcf8, 8}},
};
