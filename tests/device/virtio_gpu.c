/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio GPU as a driver sees it, and its pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "dev/virtio/virtio_gpu.h"
#include "virtio_vm.h"

#define CONFIG 0x2000u /* in the BAR */
#define REPLY (VM_DATA + 0x10000u)
#define PIXELS (VM_DATA + 0x100000u)

enum { /* commands and answers, 5.7.6.7 */
       DISPLAY_INFO = 0x100,
       CREATE = 0x101,
       UNREF = 0x102,
       SCANOUT = 0x103,
       FLUSH = 0x104,
       TRANSFER = 0x105,
       ATTACH = 0x106,
       DETACH = 0x107,
       EDID = 0x10a,
       CURSOR = 0x300,
       MOVE = 0x301,
       OK = 0x1100,
       BAD_SCANOUT = 0x1202,
       BAD_RESOURCE = 0x1203,
       BAD_PARAMETER = 0x1205,
};

struct env {
    struct vm_env vm; /* first */
    struct virtio_gpu *gpu;
    struct video_surface picture;
    uint8_t *memory;
};

static int setup(void **state)
{
    struct env *v = calloc(1, sizeof(*v));
    struct virtio_gpu_config cfg = {
        .memory = calloc(1, GPU_POOL_SIZE), .width = 800, .height = 600};
    struct err e = {0};

    vm_setup(&v->vm);
    v->memory = cfg.memory;
    cfg.place = vm_place(&v->vm);
    assert_int_equal(virtio_gpu_create(&cfg, &v->gpu, NULL, &e), 0);
    v->vm.dev = virtio_gpu_device(v->gpu);
    vm_go(&v->vm);
    assert_int_not_equal(vm_start(&v->vm, 2, UINT64_MAX) & 2, 0); /* EDID */
    video_init(&v->picture);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct env *v = *state;

    vm_teardown(&v->vm);
    video_finish(&v->picture);
    free(v->memory);
    free(v);
    return 0;
}

static uint32_t reply32(struct env *v, unsigned at)
{
    return ld_le32(v->vm.mem + REPLY + at);
}

/* Sends a command of these words behind its header, with a fence; what it ends with. */
static uint32_t send(struct env *v, uint32_t type, unsigned count, const uint32_t *words)
{
    uint8_t *p = v->vm.mem + VM_DATA;
    struct drv_seg segs[] = {{VM_DATA, 24 + 4 * count, false}, {REPLY, 2048, true}};

    memset(p, 0, 24);
    st_le32(p, type);
    st_le32(p + 4, 1);
    st_le64(p + 8, 0x1122334455667788);
    for (unsigned i = 0; i < count; i++)
        st_le32(p + 24 + 4 * (size_t)i, words[i]);
    assert_true(vm_transact(&v->vm, type >= CURSOR ? 1 : 0, segs, 2) >= 24);
    assert_int_equal(reply32(v, 4), 1);
    assert_true(ld_le64(v->vm.mem + REPLY + 8) == 0x1122334455667788);
    return reply32(v, 0);
}

#define SEND(v, type, ...)                                              \
    send(v, type, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), \
         (const uint32_t[]){__VA_ARGS__})

static uint32_t *draw(struct env *v)
{
    struct video video = virtio_gpu_video(v->gpu);

    assert_int_equal(video.draw(video.self, &v->picture), 0);
    return v->picture.pixels;
}

static void put_pixels(struct env *v, uint32_t first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        st_le32(v->vm.mem + PIXELS + 4 * (size_t)i, first + i);
}

static void test_monitor(void **state)
{
    struct env *v = *state;
    struct video video = virtio_gpu_video(v->gpu);
    uint64_t config = v->vm.drv.regs + CONFIG;

    assert_int_equal(bus_read(v->vm.mmio, config + 8, 4), 1);
    assert_int_equal(SEND(v, DISPLAY_INFO, 0), 0x1101);
    assert_int_equal(reply32(v, 24 + 8), 800);
    assert_int_equal(reply32(v, 24 + 12), 600);
    assert_int_equal(reply32(v, 24 + 16), 1);
    assert_int_equal(reply32(v, 48 + 16), 0); /* the second one */
    assert_int_equal(SEND(v, EDID, 0, 0), 0x1104);
    assert_int_equal(reply32(v, 24), 128);
    assert_int_equal(reply32(v, 32), 0xffffff00);
    assert_int_equal(SEND(v, EDID, 1, 0), BAD_PARAMETER);
    assert_int_equal(bus_read(v->vm.mmio, config, 4), 0);
    video.resize(video.self, 1024, 700);
    assert_int_equal(bus_read(v->vm.mmio, config, 4), 1);
    bus_write(v->vm.mmio, config + 4, 1, 4);
    assert_int_equal(bus_read(v->vm.mmio, config, 4), 0);
    assert_int_equal(SEND(v, DISPLAY_INFO, 0), 0x1101);
    assert_int_equal(reply32(v, 24 + 8), 1024);
}

/* A picture of 40 by 30 in two pieces of guest memory. */
static void make_picture(struct env *v, uint32_t format)
{
    put_pixels(v, 0x10203040, 40 * 30);
    assert_int_equal(SEND(v, CREATE, 5, format, 40, 30), OK);
    assert_int_equal(SEND(v, ATTACH, 5, 2, PIXELS, 0, 1000, 0, PIXELS + 1000, 0, 3800, 0), OK);
    assert_int_equal(SEND(v, TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), OK);
}

static void test_picture(void **state)
{
    struct env *v = *state;

    draw(v);
    assert_int_equal(v->picture.width, 640);
    make_picture(v, 2);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 40, 30, 0, 5), OK);
    assert_int_equal(draw(v)[0], 0x10203040);
    assert_int_equal(v->picture.width, 40);
    assert_int_equal(v->picture.height, 30);
    assert_int_equal(v->picture.pixels[1199], 0x10203040 + 1199);
    /* Guest memory is shown once it is transferred, and only what is. */
    put_pixels(v, 0x40000000, 40 * 30);
    assert_int_equal(draw(v)[0], 0x10203040);
    assert_int_equal(SEND(v, TRANSFER, 10, 2, 3, 4, 4 * (2 * 40 + 10), 0, 5, 0), OK);
    assert_int_equal(SEND(v, FLUSH, 10, 2, 3, 4, 5, 0), OK);
    draw(v);
    for (unsigned y = 0; y < 30; y++)
        for (unsigned x = 0; x < 40; x++) {
            bool in = x >= 10 && x < 13 && y >= 2 && y < 6;

            assert_int_equal(v->picture.pixels[40 * y + x],
                             (in ? 0x40000000 : 0x10203040) + 40 * y + x);
        }
    /* A part of it as the screen. */
    assert_int_equal(SEND(v, SCANOUT, 10, 2, 16, 20, 0, 5), OK);
    assert_int_equal(draw(v)[0], 0x40000000 + 90);
    assert_int_equal(v->picture.width, 16);
    assert_int_equal(SEND(v, UNREF, 5, 0), OK);
    assert_int_equal(draw(v)[0], 0);
    assert_int_equal(SEND(v, FLUSH, 0, 0, 40, 30, 5, 0), BAD_RESOURCE);
}

static void test_formats(void **state)
{
    static const struct {
        uint32_t format, want; /* of the bytes 40 30 20 10 */
    } formats[] = {{1, 0x203040},  {2, 0x203040},  {3, 0x302010},   {4, 0x302010},
                   {67, 0x403020}, {68, 0x102030}, {121, 0x102030}, {134, 0x403020}};
    struct env *v = *state;

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        make_picture(v, formats[i].format);
        assert_int_equal(SEND(v, SCANOUT, 0, 0, 40, 30, 0, 5), OK);
        assert_int_equal(draw(v)[0] & 0xffffff, formats[i].want);
        assert_int_equal(SEND(v, UNREF, 5, 0), OK);
    }
    assert_int_equal(SEND(v, CREATE, 5, 5, 40, 30), BAD_PARAMETER);
}

static void test_refused(void **state)
{
    struct env *v = *state;

    assert_int_equal(SEND(v, CREATE, 0, 1, 40, 30), BAD_RESOURCE);
    assert_int_equal(SEND(v, CREATE, 1, 1, 0, 30), BAD_PARAMETER);
    assert_int_equal(SEND(v, CREATE, 1, 1, 8192, 8192), 0x1201); /* no room */
    make_picture(v, 1);
    assert_int_equal(SEND(v, CREATE, 5, 1, 40, 30), BAD_RESOURCE);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 41, 30, 0, 5), BAD_PARAMETER);
    assert_int_equal(SEND(v, SCANOUT, 0xfffffff0, 0, 40, 30, 0, 5), BAD_PARAMETER);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 0, 0, 0, 5), BAD_PARAMETER);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 40, 30, 1, 5), BAD_SCANOUT);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 40, 30, 0, 6), BAD_RESOURCE);
    assert_int_equal(SEND(v, TRANSFER, 0, 1, 40, 30, 0, 0, 5, 0), BAD_PARAMETER);
    assert_int_equal(SEND(v, TRANSFER, 0, 0, 40, 30, 4, 0, 5, 0), 0x1200); /* beyond the end */
    assert_int_equal(SEND(v, ATTACH, 5, 1, PIXELS, 0, 4800, 0), 0x1200);   /* it has one */
    assert_int_equal(SEND(v, DETACH, 5, 0), OK);
    assert_int_equal(SEND(v, TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), 0x1200);
    assert_int_equal(SEND(v, ATTACH, 5, 9, PIXELS, 0, 4800, 0), BAD_PARAMETER); /* a short list */
    assert_int_equal(SEND(v, ATTACH, 5, 1, 0xfffff000, 0xffffffff, 4800, 0), OK);
    assert_int_equal(SEND(v, TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), 0x1200); /* not in RAM */
    assert_int_equal(SEND(v, CREATE, 5), BAD_PARAMETER);                   /* cut off */
    assert_int_equal(SEND(v, 0x200, 0), 0x1200);
    assert_int_equal(SEND(v, MOVE, 1, 0, 0, 0, 0, 0, 0, 0), BAD_SCANOUT);
}

/* Room that is freed is used again, whatever its size. */
static void test_room(void **state)
{
    struct env *v = *state;

    for (unsigned round = 0; round < 4; round++) {
        for (unsigned id = 1; id <= 7; id++)
            assert_int_equal(SEND(v, CREATE, id, 1, 2048, 2048 + 16 * round), OK);
        assert_int_equal(SEND(v, CREATE, 9, 1, 2560, 2048), 0x1201);
        assert_int_equal(SEND(v, UNREF, 3, 0), OK);
        assert_int_equal(SEND(v, CREATE, 9, 1, 2048, 2000), OK);
        for (unsigned id = 1; id <= 9; id++)
            SEND(v, UNREF, id, 0);
    }
}

static void test_cursor(void **state)
{
    struct env *v = *state;

    make_picture(v, 2);
    assert_int_equal(SEND(v, SCANOUT, 0, 0, 40, 30, 0, 5), OK);
    assert_int_equal(SEND(v, CREATE, 6, 1, 4, 4), OK);
    for (unsigned i = 0; i < 16; i++)
        st_le32(v->vm.mem + PIXELS + 4 * (size_t)i, i < 8 ? 0xffabcdef : 0x80000080);
    assert_int_equal(SEND(v, ATTACH, 6, 1, PIXELS, 0, 64, 0), OK);
    assert_int_equal(SEND(v, TRANSFER, 0, 0, 4, 4, 0, 0, 6, 0), OK);
    assert_int_equal(SEND(v, CURSOR, 0, 11, 12, 0, 6, 1, 2, 0), OK);
    draw(v);
    assert_int_equal(v->picture.pixels[40 * 9 + 10], 0x10203040 + 370);
    assert_int_equal(v->picture.pixels[40 * 10 + 10] & 0xffffff, 0xabcdef);
    assert_int_equal(v->picture.pixels[40 * 11 + 13] & 0xffffff, 0xabcdef);
    assert_int_equal(v->picture.pixels[40 * 11 + 14], 0x10203040 + 454);
    /* Half of 20 32 2c, and half blue. */
    assert_int_equal(v->picture.pixels[40 * 12 + 12] & 0xffffff, 0x101996);
    /* Its hot spot in the corner: two rows and one column are outside. */
    assert_int_equal(SEND(v, MOVE, 0, 0, 0, 0, 0, 0, 0, 0), OK);
    draw(v);
    assert_int_equal(v->picture.pixels[0] & 0xffffff, 0x1018a0);
    assert_int_equal(v->picture.pixels[3], 0x10203043);
    assert_int_equal(v->picture.pixels[80], 0x10203040 + 80);
    assert_int_equal(v->picture.pixels[40 * 10 + 10], 0x10203040 + 410);
    assert_int_equal(SEND(v, CURSOR, 0, 0, 0, 0, 0, 0, 0, 0), OK);
    assert_int_equal(draw(v)[0], 0x10203040);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_monitor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_picture, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cursor, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
