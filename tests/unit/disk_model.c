/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images under test: see disk_model.h. */
#include "disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "test.h"

#define SECTOR 512u
#define WRITE_MAX 300u /* sectors */

/* --- random numbers --- */

static uint64_t seed_now = 1;

void disk_seed(uint64_t seed)
{
    seed_now = seed * 2654435761u + 88172645463325252u;
}

uint64_t disk_rand(uint64_t below)
{
    seed_now ^= seed_now << 13;
    seed_now ^= seed_now >> 7;
    seed_now ^= seed_now << 17;
    return seed_now % below;
}

/* --- the host file --- */

struct pending {
    uint64_t offset, bytes;
    uint8_t *data; /* NULL: zeros */
};

struct disk_host disk_host;
static uint8_t *durable;
static size_t durable_bytes;
static bool watching;
static struct pending pending[4096];
static unsigned pending_count;

static void apply(const struct pending *p, uint64_t from, uint64_t bytes)
{
    if (p->offset + from + bytes > durable_bytes) {
        size_t grown = p->offset + from + bytes;

        durable = realloc(durable, grown);
        memset(durable + durable_bytes, 0, grown - durable_bytes);
        durable_bytes = grown;
    }
    if (p->data != NULL)
        memcpy(durable + p->offset + from, p->data + from, bytes);
    else
        memset(durable + p->offset + from, 0, bytes);
}

static void drop_pending(void)
{
    for (unsigned i = 0; i < pending_count; i++)
        free(pending[i].data);
    pending_count = 0;
}

static void note(uint64_t offset, uint64_t bytes, uint8_t *data)
{
    if (!watching) {
        free(data);
        return;
    }
    assert_true(pending_count < sizeof(pending) / sizeof(pending[0]));
    pending[pending_count++] = (struct pending){offset, bytes, data};
}

void disk_host_watch(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    disk_host_forget();
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    durable_bytes = (size_t)st.st_size;
    durable = malloc(durable_bytes);
    assert_int_equal(read(fd, durable, durable_bytes), durable_bytes);
    close(fd);
    watching = true;
}

void disk_host_forget(void)
{
    drop_pending();
    free(durable);
    durable = NULL;
    durable_bytes = 0;
    watching = false;
    disk_host = (struct disk_host){0};
}

void disk_host_power_loss(const char *path)
{
    int fd;

    for (unsigned i = 0; i < pending_count; i++)
        for (uint64_t at = 0, n; at < pending[i].bytes; at += n) {
            n = SECTOR - (pending[i].offset + at) % SECTOR;
            n = n < pending[i].bytes - at ? n : pending[i].bytes - at;
            if (disk_rand(2) == 0)
                apply(&pending[i], at, n);
        }
    drop_pending();
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, durable, durable_bytes), durable_bytes);
    close(fd);
}

/* The names are those that programs with 64-bit file offsets call. */

/* true: this call is to fail, errno is set. */
static bool fails(void)
{
    disk_host.writes++;
    if (disk_host.stop_at != 0 && disk_host.writes >= disk_host.stop_at)
        disk_host.stopped = true;
    if (disk_host.stopped)
        errno = EIO;
    else if (disk_host.fail_at == disk_host.writes)
        errno = disk_host.error;
    else
        return false;
    return true;
}

ssize_t __real_pwritev64v2(int fd, const struct iovec *v, int n, off_t offset, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *v, int n, off_t offset, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *v, int n, off_t offset, int flags)
{
    size_t bytes = 0;
    uint8_t *copy;

    if (fails())
        return -1;
    for (int i = 0; i < n; i++)
        bytes += v[i].iov_len;
    copy = malloc(bytes + 1);
    bytes = 0;
    for (int i = 0; i < n; i++) {
        memcpy(copy + bytes, v[i].iov_base, v[i].iov_len);
        bytes += v[i].iov_len;
    }
    note((uint64_t)offset, bytes, copy);
    return __real_pwritev64v2(fd, v, n, offset, flags);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    if (fails())
        return -1;
    for (unsigned i = 0; i < pending_count; i++)
        apply(&pending[i], 0, pending[i].bytes);
    drop_pending();
    return 0;
}

int __real_fallocate64(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t bytes)
{
    if (fails() || __real_fallocate64(fd, mode, offset, bytes) < 0)
        return -1;
    note((uint64_t)offset, (uint64_t)bytes, NULL);
    return 0;
}

int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size)
{
    return fails() ? -1 : __real_ftruncate64(fd, size);
}

/* --- the model --- */

static void temporary(char path[64], const char *what)
{
    int fd;

    /* In memory if possible: a thousand files are replaced. */
    snprintf(path, 64, "%s/test-%s-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             what);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void fill(uint8_t *p, uint64_t sector, uint64_t stamp)
{
    for (unsigned i = 0; i < SECTOR; i += 16) {
        memcpy(p + i, &sector, 8);
        memcpy(p + i + 8, &stamp, 8);
    }
}

/* A raw file that is shorter than the disk, with a stamp in every sector. */
static void make_below(struct disk_model *d)
{
    uint64_t count = d->sectors * 3 / 4;
    uint8_t sector[SECTOR];
    FILE *f;

    temporary(d->below, "below");
    f = fopen(d->below, "w");
    for (uint64_t i = 0; i < count; i++) {
        d->now[i] = ++d->stamp;
        fill(sector, i, d->now[i]);
        assert_int_equal(fwrite(sector, SECTOR, 1, f), 1);
    }
    fclose(f);
    memcpy(d->flushed, d->now, d->sectors * 8);
    d->flushed_stamp = d->stamp;
}

void disk_create(struct disk_model *d, struct qcow2_create c, bool below)
{
    struct block_file f;
    struct err e = {0};

    disk_host_forget();
    *d = (struct disk_model){.sectors = c.size / SECTOR};
    d->now = calloc(d->sectors, 8);
    d->flushed = calloc(d->sectors, 8);
    d->zeroed = calloc(d->sectors, sizeof(bool));
    d->doubtful = calloc(d->sectors, sizeof(bool));
    temporary(d->path, "disk");
    if (below) {
        make_below(d);
        c.backing = d->below;
        c.backing_format = "raw";
    }
    assert_int_equal(block_file_create(&f, d->path, true, &e), 0);
    assert_int_equal(qcow2_create(&f, d->path, &c, &e), 0);
    block_file_close(&f);
    disk_open(d);
}

void disk_open(struct disk_model *d)
{
    struct err e = {0};

    if (block_image_open(d->path, "qcow2", BLOCK_IMAGE_WRITE, &d->im, &e) < 0)
        fail_msg("%s", e.text);
}

int disk_close(struct disk_model *d)
{
    int r = block_image_close(d->im);

    d->im = NULL;
    return r;
}

void disk_finish(struct disk_model *d)
{
    disk_host_forget();
    if (d->im != NULL)
        (void)!disk_close(d);
    unlink(d->path);
    if (d->below[0] != '\0')
        unlink(d->below);
    free(d->now);
    free(d->flushed);
    free(d->zeroed);
    free(d->doubtful);
}

static void doubt(struct disk_model *d, uint64_t sector, uint64_t count, int r)
{
    for (uint64_t i = sector; i < sector + count && r < 0; i++)
        d->doubtful[i] = true;
}

int disk_write(struct disk_model *d, uint64_t sector, uint64_t count)
{
    uint8_t *buf = calloc(count, SECTOR);
    int r;

    d->stamp++;
    for (uint64_t i = 0; i < count; i++)
        fill(buf + i * SECTOR, sector + i, d->stamp);
    r = block_image_pwrite(d->im, buf, count * SECTOR, sector * SECTOR);
    free(buf);
    for (uint64_t i = sector; i < sector + count && r == 0; i++)
        d->now[i] = d->stamp;
    doubt(d, sector, count, r);
    return r;
}

int disk_zero(struct disk_model *d, uint64_t sector, uint64_t count, bool unmap)
{
    int r = d->im->ops->zero(d->im, sector * SECTOR, count * SECTOR, unmap);

    for (uint64_t i = sector; i < sector + count; i++) {
        d->zeroed[i] = true;
        if (r == 0)
            d->now[i] = 0;
    }
    doubt(d, sector, count, r);
    return r;
}

/* What a discard leaves is read back: zeros, or what was there. */
int disk_discard(struct disk_model *d, uint64_t sector, uint64_t count)
{
    int r = d->im->ops->discard(d->im, sector * SECTOR, count * SECTOR);
    uint8_t buf[SECTOR] = {0};
    uint64_t seen;

    doubt(d, sector, count, r);
    for (uint64_t i = sector; i < sector + count; i++) {
        d->zeroed[i] = true;
        if (r < 0)
            continue;
        if (block_image_pread(d->im, buf, SECTOR, i * SECTOR) < 0)
            continue;
        memcpy(&seen, buf + 8, 8);
        if (!d->doubtful[i])
            assert_true(seen == 0 || seen == d->now[i]);
        d->now[i] = seen;
    }
    return r;
}

int disk_flush(struct disk_model *d)
{
    int r = d->im->ops->flush(d->im);

    if (r < 0)
        return r;
    memcpy(d->flushed, d->now, d->sectors * 8);
    memset(d->zeroed, 0, d->sectors * sizeof(bool));
    d->flushed_stamp = d->stamp;
    return 0;
}

int disk_random(struct disk_model *d)
{
    uint64_t sector = disk_rand(d->sectors), left = d->sectors - sector;
    uint64_t count = 1 + disk_rand(left < WRITE_MAX ? left : WRITE_MAX);

    switch (disk_rand(12)) {
    case 0:
        return disk_flush(d);
    case 1:
        return disk_zero(d, sector, count, true);
    case 2:
        return disk_zero(d, sector, count, false);
    case 3:
        return disk_discard(d, sector, count);
    case 4: /* whole clusters of most sizes */
        sector -= sector % 128;
        left = d->sectors - sector;
        return disk_zero(d, sector, left < 256 ? left : 256, true);
    default:
        return disk_write(d, sector, count < 24 || disk_rand(3) == 0 ? count : count % 24 + 1);
    }
}

/* --- what it shows --- */

static uint64_t shown(const struct disk_model *d, const uint8_t *p, uint64_t sector)
{
    static const uint8_t zeros[SECTOR];
    uint8_t want[SECTOR];
    uint64_t stamp;

    memcpy(&stamp, p + 8, 8);
    if (stamp == 0)
        assert_memory_equal(p, zeros, SECTOR);
    else if (!d->doubtful[sector]) {
        fill(want, sector, stamp);
        assert_memory_equal(p, want, SECTOR);
    }
    return stamp;
}

static void for_each(struct disk_model *d,
                     void (*look)(const struct disk_model *d, uint64_t sector, uint64_t stamp))
{
    uint8_t *buf = malloc(64 * SECTOR);

    for (uint64_t i = 0; i < d->sectors; i += 64) {
        uint64_t n = d->sectors - i < 64 ? d->sectors - i : 64;

        assert_int_equal(block_image_pread(d->im, buf, n * SECTOR, i * SECTOR), 0);
        for (uint64_t k = 0; k < n; k++)
            look(d, i + k, shown(d, buf + k * SECTOR, i + k));
    }
    free(buf);
}

static void same(const struct disk_model *d, uint64_t sector, uint64_t stamp)
{
    if (!d->doubtful[sector] && stamp != d->now[sector])
        fail_msg("sector %llu shows write %llu, not %llu", (unsigned long long)sector,
                 (unsigned long long)stamp, (unsigned long long)d->now[sector]);
}

static void possible(const struct disk_model *d, uint64_t sector, uint64_t stamp)
{
    if (stamp != d->flushed[sector] && stamp <= d->flushed_stamp &&
        !(stamp == 0 && d->zeroed[sector]))
        fail_msg("sector %llu shows write %llu, was flushed with %llu", (unsigned long long)sector,
                 (unsigned long long)stamp, (unsigned long long)d->flushed[sector]);
}

void disk_verify(struct disk_model *d)
{
    for_each(d, same);
}

void disk_verify_crash(struct disk_model *d)
{
    for_each(d, possible);
}

static void say(void *opaque, const char *text)
{
    if (getenv("DISK_CHECK") != NULL)
        print_message("%s\n", text);
}

void disk_check(struct disk_model *d, bool whole)
{
    struct qcow2_check c = {.say = say};
    struct err e = {0};

    if (qcow2_check(d->path, QCOW2_REPAIR_NOTHING, &c, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(c.corruptions, 0);
    assert_int_equal(c.errors, 0);
    if (whole)
        assert_int_equal(c.leaks + c.flags, 0);
}
