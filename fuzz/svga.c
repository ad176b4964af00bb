/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMware SVGA II: the input fills the FIFO with commands whose words are small numbers or
 * anything, moves its pointers, writes registers and looks at the picture.
 */
#include "devices.h"

#include "dev/chip/svga_chip.h"
#include "dev/svga.h"

static void put(struct fuzz_device *f, uint32_t index, uint32_t value)
{
    bus_write(f->env.ports, SUITE_PORTS, index, 4);
    bus_write(f->env.ports, SUITE_PORTS + 1, value, 4);
}

static uint32_t word(struct fuzz_input *in)
{
    uint8_t small = fuzz_u8(in);

    return small < 0xf0 ? small : small < 0xf8 ? fuzz_u16(in) : fuzz_u32(in);
}

/* Appends a command as a driver would, if the FIFO has limits that make sense. */
static void command(struct fuzz_device *f, uint32_t *fifo, struct fuzz_input *in)
{
    static const uint8_t types[] = {1, 3, 19, 22, 25, 30, 33};
    uint8_t what = fuzz_u8(in), count = what >> 3;
    uint32_t min = fifo[FIFO_MIN], max = fifo[FIFO_MAX], next = fifo[FIFO_NEXT_CMD];

    for (unsigned i = 0; i <= count; i++) {
        if (max > SVGA_FIFO_SIZE || (next & 3) != 0 || next >= max || min >= max)
            return;
        fifo[next / 4] = i == 0 && (what & 7) < 7 ? types[what & 7] : word(in);
        next = next + 4 >= max ? min : next + 4;
    }
    fifo[FIFO_NEXT_CMD] = next;
    put(f, SVGA_SYNC, 1);
}

static void step(struct fuzz_device *f, struct video_surface *picture, struct fuzz_input *in)
{
    uint32_t *fifo = (uint32_t *)(void *)suite_svga_fifo(&f->env);
    struct video video = svga_video(f->dev.self);
    uint8_t what = fuzz_u8(in);

    switch (what & 7) {
    case 4:
        put(f, what >> 3, word(in));
        break;
    case 5:
        fifo[(what >> 3) % 16] = what & 0x80 ? fuzz_u32(in) : fuzz_u16(in) & ~3u;
        break;
    case 6:
        fuzz_access(f, in);
        suite_settle(&f->env);
        break;
    case 7:
        FUZZ_REQUIRE(video.draw(video.self, picture) == 0);
        break;
    default:
        command(f, fifo, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_device *f = fuzz_device_named("svga");
    struct video_surface picture;

    memset(suite_svga_fifo(&f->env), 0, FIFO_REGS * 4);
    f->cls->busy(&f->env, &f->dev);
    video_init(&picture);
    while (in.left > 0)
        step(f, &picture, &in);
    suite_settle(&f->env);
    video_finish(&picture);
    return 0;
}
