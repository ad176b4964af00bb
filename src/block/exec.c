/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request, carried out on the calling thread: what the thread pool does, and what io_uring
 * leaves to it (transfers cut short, mixed with an overlay, discards).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/block_internal.h"

#define SLICE 64 /* iovec entries of one system call */

/* A place in a request's iovec. */
struct cursor {
    const struct iovec *iov;
    unsigned count;
    size_t skip; /* bytes of iov[0] that are done */
};

/* Up to `bytes` from the cursor on, as an iovec of its own; *total is what it holds. */
static unsigned slice(const struct cursor *c, uint64_t bytes, struct iovec *out, uint64_t *total)
{
    unsigned n = 0;
    size_t skip = c->skip;
    *total = 0;
    for (unsigned i = 0; i < c->count && n < SLICE && *total < bytes; i++, skip = 0) {
        uint64_t len = c->iov[i].iov_len - skip;
        if (len > bytes - *total)
            len = bytes - *total;
        out[n++] = (struct iovec){(uint8_t *)c->iov[i].iov_base + skip, (size_t)len};
        *total += len;
    }
    return n;
}

static void advance(struct cursor *c, uint64_t bytes)
{
    while (c->count != 0 && bytes >= c->iov[0].iov_len - c->skip) {
        bytes -= c->iov[0].iov_len - c->skip;
        c->skip = 0;
        c->iov++;
        c->count--;
    }
    c->skip += bytes;
}

static void zero(const struct iovec *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        memset(v[i].iov_base, 0, v[i].iov_len);
}

/* Moves `bytes` between one file and the cursor. A read beyond the end of the file gives zeros. */
static int transfer(int fd, bool write, int flags, struct cursor *c, uint64_t offset,
                    uint64_t bytes)
{
    struct iovec v[SLICE];
    uint64_t want;
    while (bytes != 0) {
        int n = (int)slice(c, bytes, v, &want);
        ssize_t got =
            write ? pwritev2(fd, v, n, (off_t)offset, flags) : preadv(fd, v, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0 && write)
            return -ENOSPC;
        if (got == 0) {
            zero(v, (unsigned)n);
            got = (ssize_t)want;
        }
        advance(c, (uint64_t)got);
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return 0;
}

static int exec_read(struct block_backend *b, const struct block_req *r)
{
    struct cursor c = {r->iov, r->iov_count, 0};
    uint64_t offset = r->offset, left = r->bytes;
    int result = 0;
    while (left != 0 && result == 0) {
        bool inside = false;
        uint64_t run =
            b->overlay != NULL ? block_overlay_run(b->overlay, offset, left, &inside) : left;
        int fd = inside ? block_overlay_fd(b->overlay) : b->fd;
        result = transfer(fd, false, 0, &c, offset, run);
        offset += run;
        left -= run;
    }
    return result;
}

static int write_fd(const struct block_backend *b)
{
    return b->overlay != NULL ? block_overlay_fd(b->overlay) : b->fd;
}

void block_wrote(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    if (b->overlay != NULL)
        block_overlay_mark(b->overlay, offset, bytes);
}

static int write_flags(const struct block_backend *b, const struct block_req *r)
{
    return r->durable && b->overlay == NULL ? RWF_DSYNC : 0;
}

static int exec_write(struct block_backend *b, const struct block_req *r)
{
    struct cursor c = {r->iov, r->iov_count, 0};
    int result = transfer(write_fd(b), true, write_flags(b, r), &c, r->offset, r->bytes);
    if (result == 0)
        block_wrote(b, r->offset, r->bytes);
    return result;
}

static int exec_flush(struct block_backend *b)
{
    if (b->readonly || b->overlay != NULL)
        return 0;
    return fdatasync(b->fd) < 0 ? -errno : 0;
}

/* fallocate, remembering that the file system does not know the mode: -EOPNOTSUPP then. */
static int allocate(struct block_backend *b, int mode, _Atomic bool *unable, uint64_t offset,
                    uint64_t bytes)
{
    int r;
    if (atomic_load_explicit(unable, memory_order_relaxed))
        return -EOPNOTSUPP;
    do
        r = fallocate(write_fd(b), mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENODEV && errno != EINVAL)
        return -errno;
    atomic_store_explicit(unable, true, memory_order_relaxed);
    return -EOPNOTSUPP;
}

static int punch(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    return allocate(b, FALLOC_FL_PUNCH_HOLE, &b->no_punch, offset, bytes);
}

static int write_zeros(struct block_backend *b, const struct block_req *r)
{
    static const uint8_t zeros[4096];
    struct iovec v[SLICE];
    uint64_t offset = r->offset, left = r->bytes;
    int result = 0;
    for (unsigned i = 0; i < SLICE; i++)
        v[i] = (struct iovec){(void *)(uintptr_t)zeros, sizeof(zeros)};
    while (left != 0 && result == 0) {
        struct cursor c = {v, SLICE, 0};
        uint64_t n = left < sizeof(zeros) * SLICE ? left : sizeof(zeros) * SLICE;
        result = transfer(write_fd(b), true, write_flags(b, r), &c, offset, n);
        offset += n;
        left -= n;
    }
    return result;
}

static int exec_write_zeroes(struct block_backend *b, const struct block_req *r)
{
    int result = -EOPNOTSUPP;
    if (r->unmap || b->overlay != NULL)
        result = punch(b, r->offset, r->bytes);
    if (result == -EOPNOTSUPP)
        result = allocate(b, FALLOC_FL_ZERO_RANGE, &b->no_zero_range, r->offset, r->bytes);
    if (result == -EOPNOTSUPP)
        result = write_zeros(b, r);
    if (result == 0)
        block_wrote(b, r->offset, r->bytes);
    return result;
}

/* A hint: a host that cannot do it has done enough. In a snapshot the sectors become zeros, so that
 * the image below does not shine through. */
static int exec_discard(struct block_backend *b, const struct block_req *r)
{
    if (b->overlay != NULL)
        return exec_write_zeroes(b, r);
    int result = punch(b, r->offset, r->bytes);
    return result == -EOPNOTSUPP ? 0 : result;
}

int block_exec(struct block_backend *b, const struct block_req *r)
{
    switch (r->op) {
    case BLOCK_READ:
        return exec_read(b, r);
    case BLOCK_WRITE:
        return exec_write(b, r);
    case BLOCK_FLUSH:
        return exec_flush(b);
    case BLOCK_DISCARD:
        return exec_discard(b, r);
    case BLOCK_WRITE_ZEROES:
        return exec_write_zeroes(b, r);
    }
    return -EINVAL;
}

int block_single_fd(struct block_backend *b, const struct block_req *r)
{
    bool inside = false;
    if (r->op == BLOCK_WRITE)
        return write_fd(b);
    if (b->overlay != NULL &&
        block_overlay_run(b->overlay, r->offset, r->bytes, &inside) < r->bytes)
        return -1;
    return inside ? block_overlay_fd(b->overlay) : b->fd;
}

/* RWF_NOWAIT succeeds when the data is in the page cache (reads) or can go there at once (writes,
 * on file systems that offer it); then no other thread need be bothered. */
bool block_try(struct block_backend *b, const struct block_req *r, int *result)
{
    bool write = r->op == BLOCK_WRITE;
    _Atomic bool *unable = write ? &b->no_nowait_write : &b->no_nowait_read;
    if ((r->op != BLOCK_READ && !write) || r->durable || r->iov_count > SLICE * 4 ||
        atomic_load_explicit(unable, memory_order_relaxed))
        return false;
    int fd = block_single_fd(b, r), count = (int)r->iov_count;
    if (fd < 0)
        return false;
    ssize_t got = write ? pwritev2(fd, r->iov, count, (off_t)r->offset, RWF_NOWAIT)
                        : preadv2(fd, r->iov, count, (off_t)r->offset, RWF_NOWAIT);
    if (got < 0 && (write || fd == b->fd) &&
        (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
        atomic_store_explicit(unable, true, memory_order_relaxed);
    if (got < 0 || (uint64_t)got != r->bytes)
        return false;
    if (write)
        block_wrote(b, r->offset, r->bytes);
    *result = 0;
    return true;
}
