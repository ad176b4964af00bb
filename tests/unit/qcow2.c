/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 images against a model: all kinds, errors of the host in the middle, snapshots, sizes,
 * several threads; and images that somebody broke on purpose.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#include "disk_model.h"

static const struct qcow2_create kinds[] = {
    {.size = 4u << 20, .version = 3, .cluster_bits = 16, .refcount_order = 4},
    {.size = 3u << 20, .version = 3, .cluster_bits = 12, .refcount_order = 5},
    {.size = 1u << 20, .version = 3, .cluster_bits = 9, .refcount_order = 1},
    {.size = (1u << 20) + 512, .version = 2, .cluster_bits = 10, .refcount_order = 4},
    {.size = 5u << 20, .version = 3, .cluster_bits = 21, .refcount_order = 3},
    {.size = 2u << 20, .version = 3, .cluster_bits = 12, .refcount_order = 6, .lazy = true},
    {.size = 1u << 20, .version = 3, .cluster_bits = 9, .refcount_order = 0},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void test_random(void **state)
{
    for (size_t i = 0; i < 2 * KINDS; i++) {
        struct disk_model d;

        disk_seed(i);
        disk_create(&d, kinds[i / 2], i % 2 != 0);
        for (unsigned n = 0; n < 400; n++) {
            assert_int_equal(disk_random(&d), 0);
            if (n % 50 == 49)
                disk_verify(&d);
            if (n % 100 == 99) {
                assert_int_equal(disk_close(&d), 0);
                disk_check(&d, true);
                disk_open(&d);
            }
        }
        disk_finish(&d);
    }
}

/* A write of the host's fails once: the request may fail, nothing else does. */
static void test_errors(void **state)
{
    static const int errors[] = {EIO, ENOSPC};

    for (size_t i = 0; i < KINDS * 40; i++) {
        struct disk_model d;

        disk_seed(i);
        disk_create(&d, kinds[i % KINDS], i % 2 != 0);
        disk_host.fail_at = disk_host.writes + 1 + i * 3 / 2;
        disk_host.error = errors[i / 2 % 2];
        for (unsigned n = 0; n < 100; n++)
            (void)!disk_random(&d);
        disk_host.fail_at = 0;
        disk_verify(&d);
        assert_int_equal(disk_close(&d), 0);
        disk_check(&d, false);
        disk_open(&d);
        disk_verify(&d);
        disk_finish(&d);
    }
}

static void keep(const struct disk_model *d, uint64_t **to)
{
    *to = malloc(d->sectors * 8);
    memcpy(*to, d->now, d->sectors * 8);
}

static void back(struct disk_model *d, const uint64_t *from)
{
    memcpy(d->now, from, d->sectors * 8);
    disk_verify(d);
}

static void some(struct disk_model *d)
{
    for (unsigned n = 0; n < 60; n++)
        assert_int_equal(disk_random(d), 0);
}

static void test_snapshots(void **state)
{
    for (size_t i = 0; i < KINDS; i++) {
        struct disk_model d;
        struct err e = {0};
        uint64_t *one, *two;

        if (kinds[i].refcount_order < 2)
            continue; /* counts of 1 or 2 bits are too small for two snapshots */
        disk_seed(i);
        disk_create(&d, kinds[i], i % 2 != 0);
        some(&d);
        keep(&d, &one);
        assert_int_equal(qcow2_snapshot_create(d.im, "one", &e), 0);
        assert_true(qcow2_snapshot_create(d.im, "one", &e) < 0);
        some(&d);
        keep(&d, &two);
        assert_int_equal(qcow2_snapshot_create(d.im, "two", &e), 0);
        some(&d);
        disk_verify(&d);
        assert_int_equal(qcow2_snapshot_apply(d.im, "one", &e), 0);
        back(&d, one);
        some(&d);
        disk_verify(&d);
        assert_int_equal(disk_close(&d), 0);
        disk_check(&d, true);
        disk_open(&d);
        assert_int_equal(qcow2_snapshot_delete(d.im, "one", &e), 0);
        disk_verify(&d);
        assert_int_equal(qcow2_snapshot_apply(d.im, "two", &e), 0);
        back(&d, two);
        assert_int_equal(qcow2_snapshot_delete(d.im, "two", &e), 0);
        assert_true(qcow2_snapshot_delete(d.im, "two", &e) < 0);
        some(&d);
        disk_verify(&d);
        assert_int_equal(disk_close(&d), 0);
        disk_check(&d, true);
        disk_open(&d);
        disk_finish(&d);
        free(one);
        free(two);
    }
}

/* Counts of one bit cannot count a second user: refused, and nothing is harmed. */
static void test_no_room(void **state)
{
    struct disk_model d;
    struct err e = {0};

    disk_create(&d, kinds[6], false);
    some(&d);
    assert_true(qcow2_snapshot_create(d.im, "one", &e) < 0);
    disk_verify(&d);
    some(&d);
    disk_verify(&d);
    assert_int_equal(disk_close(&d), 0);
    disk_check(&d, false);
    disk_open(&d);
    disk_finish(&d);
}

/* Larger: the tables of the image grow, also that of the counts; smaller: the rest is gone. */
static void test_size(void **state)
{
    struct disk_model d;
    struct err e = {0};
    uint64_t sectors;

    disk_create(&d,
                (struct qcow2_create){
                    .size = 1u << 20, .version = 3, .cluster_bits = 9, .refcount_order = 6},
                true);
    sectors = d.sectors;
    some(&d);
    assert_true(d.im->ops->resize(d.im, 512, false, &e) < 0);
    assert_int_equal(d.im->ops->resize(d.im, 64u << 20, false, &e), 0);
    disk_verify(&d);
    d.now = realloc(d.now, 8 * (64u << 11));
    d.flushed = realloc(d.flushed, 8 * (64u << 11));
    d.zeroed = realloc(d.zeroed, 64u << 11);
    d.doubtful = realloc(d.doubtful, 64u << 11);
    d.sectors = 64u << 11;
    for (uint64_t i = sectors; i < d.sectors; i++) {
        d.now[i] = d.flushed[i] = 0;
        d.zeroed[i] = d.doubtful[i] = false;
    }
    disk_verify(&d);
    for (uint64_t i = 0; i < d.sectors; i += 1024)
        assert_int_equal(disk_write(&d, i, 1024), 0);
    disk_verify(&d);
    assert_int_equal(disk_close(&d), 0);
    disk_check(&d, true);
    disk_open(&d);
    disk_verify(&d);
    d.sectors = 2000;
    assert_int_equal(d.im->ops->resize(d.im, 2000 * 512, true, &e), 0);
    disk_verify(&d);
    assert_int_equal(disk_close(&d), 0);
    disk_check(&d, true);
    disk_open(&d);
    assert_int_equal(d.im->ops->resize(d.im, 2200 * 512, false, &e), 0);
    for (d.sectors = 2200, sectors = 2000; sectors < 2200; sectors++)
        d.now[sectors] = 0;
    disk_verify(&d);
    disk_finish(&d);
}

/* --- threads --- */

struct writer {
    struct disk_model *d;
    unsigned number;
};

/* Sectors that are its own, in clusters that are everybody's. */
static void *write_all(void *opaque)
{
    struct writer *w = opaque;
    uint8_t buf[512], seen[512];

    for (unsigned round = 0; round < 3; round++)
        for (uint64_t i = w->number; i < w->d->sectors; i += 4) {
            memset(buf, (int)(i + round), sizeof(buf));
            if (block_image_pwrite(w->d->im, buf, 512, i * 512) < 0 ||
                block_image_pread(w->d->im, seen, 512, i * 512) < 0 || memcmp(buf, seen, 512) != 0)
                return w;
            if (i % 97 == 0 && w->d->im->ops->flush(w->d->im) < 0)
                return w;
        }
    return NULL;
}

static void test_threads(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct disk_model d;
        struct writer w[4];
        pthread_t t[4];
        uint8_t buf[512];
        void *failed;

        disk_create(&d, kinds[i], i == 1);
        for (unsigned n = 0; n < 4; n++) {
            w[n] = (struct writer){&d, n};
            assert_int_equal(pthread_create(&t[n], NULL, write_all, &w[n]), 0);
        }
        for (unsigned n = 0; n < 4; n++) {
            pthread_join(t[n], &failed);
            assert_null(failed);
        }
        assert_int_equal(disk_close(&d), 0);
        disk_check(&d, true);
        disk_open(&d);
        for (uint64_t s = 0; s < d.sectors; s++) {
            assert_int_equal(block_image_pread(d.im, buf, 512, s * 512), 0);
            assert_int_equal(buf[77], (uint8_t)(s + 2));
        }
        disk_finish(&d);
    }
}

/* --- trust --- */

static void test_trust(void **state)
{
    struct block_image *im;
    struct disk_model d;
    struct err e = {0};
    uint8_t head[512] = "QFI\xfb";
    int fd;

    disk_create(&d, kinds[0], true);
    assert_true(block_image_open(d.path, NULL, 0, &im, &e) == -EBUSY);
    assert_int_equal(qcow2_set_backing(d.im, d.below, NULL, &e), 0);
    assert_int_equal(disk_close(&d), 0);
    assert_true(block_image_open(d.path, NULL, 0, &im, &e) < 0);
    assert_non_null(strstr(e.text, "rebase -u"));
    assert_int_equal(
        block_image_open(d.path, NULL, BLOCK_IMAGE_WRITE | BLOCK_IMAGE_NO_BACKING, &im, &e), 0);
    assert_int_equal(qcow2_set_backing(im, d.path, "qcow2", &e), 0);
    assert_int_equal(block_image_close(im), 0);
    assert_true(block_image_open(d.path, NULL, 0, &im, &e) == -ELOOP);
    /* What was taken for raw does not become another format's. */
    fd = open(d.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, 65536) == 0);
    close(fd);
    assert_int_equal(block_image_open(d.path, NULL, BLOCK_IMAGE_WRITE, &im, &e), 0);
    assert_int_equal(block_image_pwrite(im, head, 512, 0), -EPERM);
    assert_int_equal(block_image_pwrite(im, head, 512, 512), 0);
    assert_int_equal(block_image_close(im), 0);
    assert_int_equal(block_image_open(d.path, "raw", BLOCK_IMAGE_WRITE, &im, &e), 0);
    assert_int_equal(block_image_pwrite(im, head, 512, 0), 0);
    assert_int_equal(block_image_close(im), 0);
    disk_finish(&d);
}

/* --- hostile images --- */

static uint8_t *image;
static size_t image_size;

static void load(const char *path)
{
    FILE *f = fopen(path, "r");

    fseek(f, 0, SEEK_END);
    image_size = (size_t)ftell(f);
    rewind(f);
    image = malloc(image_size);
    assert_int_equal(fread(image, image_size, 1, f), 1);
    fclose(f);
}

/* An image with one number changed is opened or not, and used: nothing happens to anything else. */
static void use_changed(const char *path, size_t at, size_t len, uint64_t value)
{
    static uint8_t buf[65536];
    struct qcow2_check c = {.say = NULL};
    struct block_image *im;
    struct err e = {0};
    uint64_t big = __builtin_bswap64(value) >> (64 - 8 * len);
    FILE *f = fopen(path, "w");

    assert_int_equal(fwrite(image, image_size, 1, f), 1);
    fseek(f, (long)at, SEEK_SET);
    assert_int_equal(fwrite(&big, len, 1, f), 1);
    fclose(f);
    if (block_image_open(path, "qcow2", BLOCK_IMAGE_WRITE | BLOCK_IMAGE_NO_BACKING, &im, &e) < 0) {
        assert_true(e.text[0] != '\0');
    } else {
        uint64_t size = block_image_size(im);

        for (uint64_t o = 0; o + 4096 <= size && o < 1u << 19; o += 20480) {
            (void)!block_image_pread(im, buf, 4096, o);
            (void)!block_image_pwrite(im, buf, 4096, o);
            (void)!im->ops->zero(im, o, 4096, true);
        }
        (void)!qcow2_snapshot_apply(im, "one", &e);
        (void)!qcow2_snapshot_delete(im, "one", &e);
        (void)!block_image_close(im);
    }
    (void)!qcow2_check(path, QCOW2_REPAIR_ALL, &c, &e);
}

/* The data that writes go through damaged entries never hits the header, whatever they name. */
static void test_header_stays(void **state)
{
    struct disk_model d;
    struct err e = {0};
    struct block_image *im;
    uint8_t before[112], after[112];
    uint64_t l1, l2, entry = __builtin_bswap64(UINT64_C(1) << 63);
    int fd;

    disk_create(&d, kinds[1], false);
    assert_int_equal(disk_write(&d, 0, 8), 0);
    assert_int_equal(disk_close(&d), 0);
    fd = open(d.path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &l1, 8, 40), 8);
    assert_int_equal(pread(fd, &l2, 8, (off_t)__builtin_bswap64(l1)), 8);
    l2 = __builtin_bswap64(l2) & UINT64_C(0x00fffffffffffe00);
    for (uint64_t host = 0; host <= l2; host += 4096) {
        entry = __builtin_bswap64(UINT64_C(1) << 63 | host);
        assert_int_equal(pwrite(fd, &entry, 8, (off_t)l2), 8);
        assert_int_equal(pread(fd, before, sizeof(before), 0), sizeof(before));
        assert_int_equal(block_image_open(d.path, "qcow2", BLOCK_IMAGE_WRITE, &im, &e), 0);
        uint8_t data[512];
        memset(data, 0xee, sizeof(data));
        int r = block_image_pwrite(im, data, 512, 0);
        assert_true(host == 0 ? r == 0 : r == -EIO);
        assert_int_equal(block_image_close(im), 0);
        assert_int_equal(pread(fd, after, sizeof(after), 0), sizeof(after));
        assert_memory_equal(before, after, sizeof(before));
    }
    close(fd);
    d.im = NULL;
    disk_finish(&d);
}

static void test_hostile(void **state)
{
    static const uint64_t values[] = {0,
                                      1,
                                      0x200,
                                      0x1000,
                                      0x8000000000000200,
                                      0x8000000000001000,
                                      0x4000000000001000,
                                      0x7fffffffffffffff,
                                      UINT64_MAX,
                                      0x00fffffffffff000};
    struct disk_model d;
    struct err e = {0};

    disk_create(&d, kinds[1], false);
    some(&d);
    assert_int_equal(qcow2_snapshot_create(d.im, "one", &e), 0);
    some(&d);
    assert_int_equal(disk_close(&d), 0);
    load(d.path);
    for (size_t at = 0; at < 112; at += 4)
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            use_changed(d.path, at, 4, values[v] >> (v % 2 * 32));
    for (size_t at = 8; at < 104; at += 8)
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            use_changed(d.path, at, 8, values[v]);
    /* Whatever looks like a pointer, wherever it is. */
    for (size_t at = 4096, n = 0; at + 8 <= image_size; at += 8) {
        uint64_t word;

        memcpy(&word, image + at, 8);
        word = __builtin_bswap64(word) & ~(UINT64_C(1) << 63);
        if (word != 0 && word < image_size && word % 4096 == 0 && n++ % 3 == 0)
            for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
                use_changed(d.path, at, 8, values[v]);
    }
    free(image);
    d.im = NULL;
    disk_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_snapshots), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_size),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_trust),     cmocka_unit_test(test_header_stays),
        cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
