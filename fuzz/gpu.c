/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio GPU with queues that a driver has made and commands that no driver sends: the input is
 * a row of commands, pieces of memory, register accesses, resizes and looks at the picture.
 */
#include "devices.h"

#include "dev/virtio/virtio_gpu.h"

#include "../tests/device/virtio_driver.h"

#define DEVFN PCI_DEVFN(3, 0) /* as in class_gpu.c */
#define RINGS 0x10000u
#define COMMAND 0x100000u
#define REPLY 0x110000u
#define MEMORY 0x20000u
#define COUNT 16u

struct target {
    struct fuzz_device *f;
    struct drv_dev d;
    struct drv_ring rings[2];
    struct video_surface picture;
};

static void start(struct target *t)
{
    uint8_t *mem = ram_ptr(t->f->env.ram, 0, SUITE_RAM_SIZE, true);

    memset(mem, 0, MEMORY);
    suite_place(&t->f->env, DEVFN);
    drv_find(&t->d, t->f->env.ports, t->f->env.mmio, DEVFN);
    drv_reset(&t->d);
    drv_negotiate(&t->d, DRV_SIMPLE);
    drv_ring_init(&t->rings[1], mem,
                  drv_ring_init(&t->rings[0], mem, RINGS, COUNT, false, false, true), COUNT, false,
                  false, true);
    drv_enable_queue(&t->d, 0, &t->rings[0], 0xffff);
    drv_enable_queue(&t->d, 1, &t->rings[1], 0xffff);
    drv_ok(&t->d);
}

/* Words are small numbers, which are IDs and sizes, or anything. */
static void command(struct target *t, unsigned queue, struct fuzz_input *in)
{
    static const uint16_t types[] = {0x100, 0x101, 0x102, 0x103, 0x104, 0x105,
                                     0x106, 0x107, 0x10a, 0x300, 0x301};
    uint8_t what = fuzz_u8(in), count = fuzz_u8(in) % 33;
    uint8_t *p = ram_ptr(t->f->env.ram, COMMAND, 4096, true);
    struct drv_seg segs[] = {{COMMAND, 24u + 4 * count, false}, {REPLY, 2048, true}};
    uint16_t type = types[what % (sizeof(types) / sizeof(types[0]))], id;
    bool kick;
    uint32_t len;

    memset(p, 0, 24);
    memcpy(p, &type, sizeof(type));
    p[4] = what >> 7;
    for (unsigned i = 0; i < count; i++) {
        uint8_t small = fuzz_u8(in);
        uint32_t word = small < 0xf0 ? small : small < 0xf8 ? fuzz_u16(in) : fuzz_u32(in);

        memcpy(p + 24 + 4 * (size_t)i, &word, 4);
    }
    segs[1].len = what & 0x40 ? fuzz_u8(in) + 1u : 2048;
    if (drv_add(&t->rings[queue], segs, 2, &kick) < 0)
        return;
    drv_kick(&t->d, queue);
    suite_settle(&t->f->env);
    while (drv_used(&t->rings[queue], &id, &len))
        FUZZ_REQUIRE(len <= segs[1].len);
}

static void step(struct target *t, struct fuzz_input *in)
{
    struct video video = virtio_gpu_video(t->f->dev.self);
    uint8_t what = fuzz_u8(in);

    switch (what & 7) {
    case 5:
        fuzz_access(t->f, in);
        break;
    case 6:
        video.resize(video.self, fuzz_u16(in) % 4096, fuzz_u16(in) % 4096);
        break;
    case 7:
        FUZZ_REQUIRE(video.draw(video.self, &t->picture) == 0);
        break;
    default:
        command(t, (what & 7) == 4, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct target t = {.f = fuzz_device_named("virtio-gpu")};

    video_init(&t.picture);
    start(&t);
    while (in.left > 0)
        step(&t, &in);
    suite_settle(&t.f->env);
    video_finish(&t.picture);
    return 0;
}
