/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cards that draw by themselves in the generic suite. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/svga_chip.h"
#include "dev/svga.h"
#include "dev/virtio/virtio_gpu.h"
#include "suite.h"
#include "virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0)
#define RINGS 0x10000u
#define COMMANDS 0x100000u
#define REPLIES 0x110000u
#define PIXELS 0x120000u
#define COUNT 16u

static void look(const struct video *video)
{
    struct video_surface s;

    video_init(&s);
    if (video->draw(video->self, &s) < 0)
        abort();
    video_finish(&s);
}

/* --- virtio --- */

static int gpu_create(struct suite_env *env, struct device *dev)
{
    struct virtio_gpu_config cfg = {
        .place = {.bus = suite_pci(env), .devfn = DEVFN, .ram = env->ram, .loop = env->loop},
        .memory = calloc(1, GPU_POOL_SIZE),
        .width = 1280,
        .height = 800};
    struct virtio_gpu *g;
    int rc;

    if (cfg.memory == NULL)
        abort();
    env->extra = cfg.memory;
    rc = virtio_gpu_create(&cfg, &g, NULL, NULL);
    if (rc == 0)
        *dev = virtio_gpu_device(g);
    return rc;
}

static void gpu_finish(struct suite_env *env)
{
    free(env->extra);
}

/* A command and what follows its header, as words; the address of a buffer that holds it. */
static gpa_t command(struct suite_env *env, unsigned n, uint32_t type, const uint32_t *words,
                     unsigned count)
{
    uint8_t *p = ram_ptr(env->ram, COMMANDS + 256 * n, 256, true);

    memset(p, 0, 256);
    st_le32(p, type);
    for (unsigned i = 0; i < count; i++)
        st_le32(p + 24 + 4 * (size_t)i, words[i]);
    return COMMANDS + 256 * n;
}

/* A picture in guest memory becomes the screen's and the cursor's. */
static const struct {
    uint32_t type, count, words[12];
} script[] = {
    {0x100, 0, {0}},
    {0x10a, 2, {0}},
    {0x101, 4, {7, 1, 64, 64}},
    {0x106, 6, {7, 1, PIXELS, 0, 64 * 64 * 4, 0}},
    {0x105, 8, {0, 0, 64, 64, 0, 0, 7, 0}},
    {0x103, 6, {0, 0, 64, 64, 0, 7}},
    {0x104, 6, {0, 0, 64, 64, 7, 0}},
    {0x101, 4, {8, 67, 300, 200}},
};

static void gpu_busy(struct suite_env *env, struct device *dev)
{
    static const uint32_t shape[8] = {0, 5, 6, 0, 7, 1, 1, 0};
    struct drv_ring control, cursor;
    struct drv_seg segs[2] = {{0, 24 + 48, false}, {REPLIES, 2048, true}};
    uint8_t *mem = ram_ptr(env->ram, 0, SUITE_RAM_SIZE, true);
    struct video video = virtio_gpu_video(dev->self);
    struct drv_dev d;
    bool kick;

    suite_place(env, DEVFN);
    drv_begin(&d, env->ports, env->mmio, DEVFN);
    drv_ring_init(&cursor, mem, drv_ring_init(&control, mem, RINGS, COUNT, false, false, false),
                  COUNT, false, false, false);
    drv_enable_queue(&d, 0, &control, 0);
    drv_enable_queue(&d, 1, &cursor, 0);
    for (unsigned i = 0; i < sizeof(script) / sizeof(script[0]); i++) {
        segs[0].gpa = command(env, i, script[i].type, script[i].words, script[i].count);
        drv_add(&control, segs, 2, &kick);
    }
    segs[0].gpa = command(env, COUNT, 0x300, shape, 8);
    drv_add(&cursor, segs, 2, &kick);
    drv_ok(&d);
    drv_kick(&d, 0);
    look(&video);
    drv_kick(&d, 1);
    look(&video);
}

const struct suite_class suite_virtio_gpu = {
    .name = "virtio-gpu",
    .create = gpu_create,
    .finish = gpu_finish,
    .busy = gpu_busy,
    .ranges = {{false, 0xcf8, 8},
               {true, SUITE_WINDOW, 0x100000},
               {true, SUITE_ECAM + (DEVFN << 12), 4096}},
};

/* --- VMware SVGA II --- */

struct svga_card {
    struct device vga;
    uint8_t *vram, *fifo;
};

static void on_placed(void *opaque, uint64_t base)
{
    suite_activity(opaque);
}

static void on_window(void *opaque, bool direct, uint32_t offset)
{
    suite_activity(opaque);
}

static int card_create(struct suite_env *env, struct device *dev)
{
    struct svga_card *card = calloc(1, sizeof(*card));
    struct svga_config cfg = {.vga = {.pci = suite_pci(env),
                                      .devfn = DEVFN,
                                      .ports = env->ports,
                                      .mmio = env->mmio,
                                      .clock = env->clock,
                                      .width = 1280,
                                      .height = 800,
                                      .placed = on_placed,
                                      .window = on_window,
                                      .opaque = env},
                              .loop = env->loop,
                              .fifo_placed = on_placed};
    struct svga *s;
    int rc;

    if (card == NULL || (card->vram = calloc(1, VGA_MEMORY_SIZE)) == NULL ||
        (card->fifo = calloc(1, SVGA_FIFO_SIZE)) == NULL)
        abort();
    env->extra = card;
    cfg.vga.vram = card->vram;
    cfg.fifo = card->fifo;
    rc = svga_create(&cfg, &s, &card->vga, NULL);
    if (rc == 0)
        *dev = svga_device(s);
    return rc;
}

static void card_finish(struct suite_env *env)
{
    struct svga_card *card = env->extra;

    card->vga.ops->destroy(card->vga.self);
    free(card->vram);
    free(card->fifo);
    free(card);
}

uint8_t *suite_svga_fifo(struct suite_env *env)
{
    return ((struct svga_card *)env->extra)->fifo;
}

static void put_reg(struct suite_env *env, uint16_t base, uint32_t index, uint32_t value)
{
    bus_write(env->ports, base, index, 4);
    bus_write(env->ports, base + 1u, value, 4);
}

/* Commands in the FIFO: a copy, a cursor, a fence, and one that is not complete. */
static void card_busy(struct suite_env *env, struct device *dev)
{
    static const uint32_t words[] = {3, 0, 0,          8,   8, 300, 200, 22, 0, 1, 1,
                                     2, 2, 0x80ff0000, ~0u, 1, 2,   30,  77, 1, 0};
    uint32_t *fifo = (uint32_t *)(void *)suite_svga_fifo(env);
    struct video video = svga_video(dev->self);
    uint16_t base = SUITE_PORTS;

    suite_place(env, DEVFN);
    put_reg(env, base, SVGA_ID, 0x90000002);
    put_reg(env, base, SVGA_WIDTH, 800);
    put_reg(env, base, SVGA_HEIGHT, 600);
    put_reg(env, base, SVGA_IRQMASK, 7);
    put_reg(env, base, SVGA_ENABLE, 1);
    fifo[FIFO_MIN] = FIFO_REGS * 4;
    fifo[FIFO_MAX] = SVGA_FIFO_SIZE;
    fifo[FIFO_STOP] = FIFO_REGS * 4;
    memcpy(fifo + FIFO_REGS, words, sizeof(words));
    fifo[FIFO_NEXT_CMD] = FIFO_REGS * 4 + sizeof(words);
    fifo[FIFO_CURSOR_ON] = 1;
    put_reg(env, base, SVGA_CONFIG_DONE, 1);
    put_reg(env, base, SVGA_SYNC, 1);
    look(&video);
}

const struct suite_class suite_svga = {
    .name = "svga",
    .create = card_create,
    .finish = card_finish,
    .busy = card_busy,
    .ranges = {{false, 0xcf8, 8},
               {false, SUITE_PORTS, 16},
               {false, 0x1ce, 3},
               {true, SUITE_ECAM + (DEVFN << 12), 4096}},
};
