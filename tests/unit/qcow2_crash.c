/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 images whose writer is cut off at any moment: killed, or without power. What was flushed is
 * there, and the image is whole after it was opened again. Every write to the host's file is tried
 * as the last one, for images of several kinds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#include "disk_model.h"

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind {
    struct qcow2_create c;
    bool below;
} kinds[] = {
    {{.size = 4u << 20, .version = 3, .cluster_bits = 16, .refcount_order = 4}, false},
    {{.size = 3u << 20, .version = 3, .cluster_bits = 12, .refcount_order = 4}, true},
    {{.size = 1u << 20, .version = 3, .cluster_bits = 9, .refcount_order = 4}, false},
    {{.size = 1u << 20, .version = 2, .cluster_bits = 9, .refcount_order = 4}, true},
    {{.size = 2u << 20, .version = 2, .cluster_bits = 12, .refcount_order = 4}, false},
    {{.size = 2u << 20, .version = 3, .cluster_bits = 12, .refcount_order = 6, .lazy = true}, true},
    {{.size = 1u << 20, .version = 3, .cluster_bits = 9, .refcount_order = 0}, true},
};

/* After the end: the image as it was left, opened again and looked at. Version 2 has no mark that
 * says it was not closed: it may have lost clusters until somebody repairs that. */
static void examine(struct disk_model *d, const struct kind *k, bool power)
{
    (void)!disk_close(d);
    disk_host.stop_at = 0;
    if (power)
        disk_host_power_loss(d->path);
    disk_host_forget();
    if (!k->c.lazy)
        disk_check(d, false);
    disk_open(d);
    disk_verify_crash(d);
    assert_int_equal(disk_close(d), 0);
    disk_check(d, k->c.version >= 3);
    disk_open(d);
}

static uint64_t one_run(const struct kind *k, uint64_t seed, uint64_t stop_at, bool power)
{
    struct disk_model d;
    uint64_t writes;

    disk_seed(seed);
    disk_create(&d, k->c, k->below);
    disk_host_watch(d.path);
    disk_host.stop_at = stop_at;
    for (unsigned i = 0; i < 120 && !disk_host.stopped; i++)
        (void)!disk_random(&d);
    writes = disk_host.writes;
    examine(&d, k, power);
    disk_finish(&d);
    return writes;
}

static void cut_off(bool power)
{
    for (size_t i = 0; i < KINDS; i++) {
        uint64_t all = one_run(&kinds[i], i, 0, power);

        for (unsigned n = 0; n < 60; n++)
            one_run(&kinds[i], i * 100 + n, 1 + (n * all / 60) + n % 7, power);
    }
}

static void test_kill(void **state)
{
    cut_off(false);
}

static void test_power(void **state)
{
    cut_off(true);
}

/* A change of the whole image is made or not made. */
struct change {
    const char *name;
    int (*prepare)(struct block_image *im, struct err *e);
    int (*run)(struct block_image *im, struct err *e);
    bool back; /* afterwards the content may be the prepared one, else it stays */
};

static int make_snapshot(struct block_image *im, struct err *e)
{
    return qcow2_snapshot_create(im, "one", e);
}

static int second_snapshot(struct block_image *im, struct err *e)
{
    return qcow2_snapshot_create(im, "two", e);
}

static int apply_snapshot(struct block_image *im, struct err *e)
{
    return qcow2_snapshot_apply(im, "one", e);
}

static int delete_snapshot(struct block_image *im, struct err *e)
{
    return qcow2_snapshot_delete(im, "one", e);
}

static int grow(struct block_image *im, struct err *e)
{
    return im->ops->resize(im, UINT64_C(200) << 20, false, e);
}

static const struct change changes[] = {
    {"create", make_snapshot, second_snapshot, false},
    {"apply", make_snapshot, apply_snapshot, true},
    {"delete", make_snapshot, delete_snapshot, false},
    {"grow", make_snapshot, grow, false},
};

/* Is all of the disk as the stamps say? */
static bool shows(struct disk_model *d, const uint64_t *stamps)
{
    uint8_t buf[512];
    uint64_t stamp;

    for (uint64_t i = 0; i < d->sectors; i++) {
        assert_int_equal(block_image_pread(d->im, buf, 512, i * 512), 0);
        memcpy(&stamp, buf + 8, 8);
        if (stamp != stamps[i])
            return false;
    }
    return true;
}

static bool one_change(const struct kind *k, const struct change *c, uint64_t stop_at, bool power)
{
    struct disk_model d;
    struct err e = {0};
    uint64_t *before, *prepared;
    bool stopped;

    disk_seed(7);
    disk_create(&d, k->c, k->below);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(disk_random(&d), 0);
    if (c->prepare(d.im, &e) < 0)
        fail_msg("%s", e.text);
    prepared = malloc(d.sectors * 8);
    before = malloc(d.sectors * 8);
    memcpy(prepared, d.now, d.sectors * 8);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(disk_random(&d), 0);
    assert_int_equal(disk_close(&d), 0);
    memcpy(before, d.now, d.sectors * 8);
    disk_open(&d);
    disk_host_watch(d.path);
    disk_host.stop_at = stop_at;
    if (c->run(d.im, &e) < 0)
        assert_true(disk_host.stopped);
    stopped = disk_host.stopped;
    (void)!disk_close(&d);
    disk_host.stop_at = 0;
    if (power && stopped)
        disk_host_power_loss(d.path);
    disk_host_forget();
    if (!k->c.lazy)
        disk_check(&d, false);
    disk_open(&d);
    assert_true((c->back && stopped && shows(&d, before)) ||
                shows(&d, c->back ? prepared : before));
    assert_int_equal(disk_close(&d), 0);
    disk_check(&d, k->c.version >= 3);
    disk_finish(&d);
    free(before);
    free(prepared);
    return stopped;
}

static void test_changes(void **state)
{
    static const unsigned which[] = {1, 2, 4};

    for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++)
        for (size_t c = 0; c < sizeof(changes) / sizeof(changes[0]); c++)
            if (changes[c].run != grow || kinds[which[i]].c.version == 3)
                for (uint64_t n = 1, step = 1;
                     one_change(&kinds[which[i]], &changes[c], n, n % 2 == 0);
                     n += step, step += n > 20)
                    ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
