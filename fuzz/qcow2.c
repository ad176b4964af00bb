/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 images: the input changes bytes of a good image and then says what is done with it. The
 * image has clusters of 512 bytes, a snapshot and data, and lies in memory.
 */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/qcow2.h"

#define SIZE 65536u
#define FILE_MAX (4u << 20) /* more than any input makes of it is cut */

static uint8_t *good;
static size_t good_size;

static int new_file(char path[32])
{
    int fd = memfd_create("qcow2", MFD_CLOEXEC);

    FUZZ_REQUIRE(fd >= 0);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static void make_good(void)
{
    const struct qcow2_create c = {
        .size = SIZE, .version = 3, .cluster_bits = 9, .refcount_order = 4};
    char path[32], data[3000];
    struct block_image *im;
    struct block_file f;
    int fd = new_file(path);

    memset(data, 7, sizeof(data));
    FUZZ_REQUIRE(block_file_create(&f, path, true, NULL) == 0);
    FUZZ_REQUIRE(qcow2_create(&f, path, &c, NULL) == 0);
    block_file_close(&f);
    FUZZ_REQUIRE(block_image_open(path, "qcow2", BLOCK_IMAGE_WRITE, &im, NULL) == 0);
    FUZZ_REQUIRE(block_image_pwrite(im, data, 2560, 1024) == 0);
    FUZZ_REQUIRE(qcow2_snapshot_create(im, "a", NULL) == 0);
    FUZZ_REQUIRE(block_image_pwrite(im, data, 2560, 2048) == 0);
    FUZZ_REQUIRE(block_image_close(im) == 0);
    good_size = (size_t)lseek(fd, 0, SEEK_END);
    good = malloc(good_size);
    FUZZ_REQUIRE(good != NULL && pread(fd, good, good_size, 0) == (ssize_t)good_size);
    close(fd);
}

static void write_changed(int fd, struct fuzz_input *in)
{
    uint8_t *copy = malloc(good_size);

    FUZZ_REQUIRE(copy != NULL);
    memcpy(copy, good, good_size);
    for (unsigned n = fuzz_u8(in) % 8; n > 0; n--) {
        size_t at = fuzz_u16(in) % good_size;
        unsigned len = fuzz_size(in, 1);
        uint64_t v = fuzz_take(in, len);

        memcpy(copy + at, &v, len < good_size - at ? len : good_size - at);
    }
    FUZZ_REQUIRE(write(fd, copy, good_size) == (ssize_t)good_size);
    free(copy);
}

static void act(struct block_image *im, struct fuzz_input *in, uint8_t *buf)
{
    uint64_t size = block_image_size(im), offset = (uint64_t)fuzz_u16(in) * 512;
    size_t bytes = (1 + fuzz_u8(in) % 16) * 512u;
    unsigned what = fuzz_u8(in) % 9;

    if (what < 4 && (offset > size || bytes > size - offset))
        return;
    switch (what) {
    case 0:
        (void)!block_image_pread(im, buf, bytes, offset);
        break;
    case 1:
        (void)!block_image_pwrite(im, buf, bytes, offset);
        break;
    case 2:
        (void)!im->ops->zero(im, offset, bytes, true);
        break;
    case 3:
        (void)!im->ops->discard(im, offset, bytes);
        break;
    case 4:
        (void)!im->ops->flush(im);
        break;
    case 5:
        (void)!qcow2_snapshot_create(im, "b", NULL);
        break;
    case 6:
        (void)!qcow2_snapshot_apply(im, "1", NULL);
        break;
    case 7:
        (void)!qcow2_snapshot_delete(im, "a", NULL);
        break;
    case 8:
        if (offset < SIZE * 8)
            (void)!im->ops->resize(im, offset, true, NULL);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct qcow2_check c = {.say = NULL};
    struct block_image *im;
    static uint8_t buf[16 * 512];
    char path[32];
    int fd;

    if (good == NULL)
        make_good();
    fd = new_file(path);
    write_changed(fd, &in);
    if (block_image_open(path, "qcow2", BLOCK_IMAGE_WRITE | BLOCK_IMAGE_NO_BACKING, &im, NULL) ==
        0) {
        while (in.left > 0 && lseek(fd, 0, SEEK_END) < FILE_MAX)
            act(im, &in, buf);
        (void)!block_image_close(im);
    }
    (void)!qcow2_check(path, (enum qcow2_repair)(size % 3), &c, NULL);
    close(fd);
    return 0;
}
