/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request, carried out on the calling thread: what the thread pool does, and what io_uring
 * leaves to it (transfers cut short, mixed with an overlay, discards).
 */
#include <errno.h>
#include <sys/uio.h>

#include "block/block_internal.h"

static int exec_read(struct block_backend *b, const struct block_req *r)
{
    struct block_cursor c = {r->iov, r->iov_count, 0};
    uint64_t offset = r->offset, left = r->bytes;
    int result = 0;
    while (left != 0 && result == 0) {
        bool inside = false;
        uint64_t run =
            b->overlay != NULL ? block_overlay_run(b->overlay, offset, left, &inside) : left;
        result = inside ? block_file_readv(block_overlay_file(b->overlay), &c, run, offset)
                        : b->image->ops->read(b->image, &c, run, offset);
        offset += run;
        left -= run;
    }
    return result;
}

void block_wrote(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    if (b->overlay != NULL)
        block_overlay_mark(b->overlay, offset, bytes);
}

static int exec_write(struct block_backend *b, const struct block_req *r)
{
    struct block_cursor c = {r->iov, r->iov_count, 0};
    int flags = r->durable && b->overlay == NULL ? RWF_DSYNC : 0;
    if (b->overlay == NULL)
        return b->image->ops->write(b->image, &c, r->bytes, r->offset, flags);
    int result = block_file_writev(block_overlay_file(b->overlay), &c, r->bytes, r->offset, 0);
    if (result == 0)
        block_wrote(b, r->offset, r->bytes);
    return result;
}

static int exec_flush(struct block_backend *b)
{
    return b->readonly || b->overlay != NULL ? 0 : b->image->ops->flush(b->image);
}

static int exec_write_zeroes(struct block_backend *b, const struct block_req *r)
{
    if (b->overlay == NULL)
        return b->image->ops->zero(b->image, r->offset, r->bytes, r->unmap);
    int result = block_file_zero(block_overlay_file(b->overlay), r->offset, r->bytes, true);
    if (result == 0)
        block_wrote(b, r->offset, r->bytes);
    return result;
}

/* In a snapshot the sectors become zeros, so that the image below does not shine through. */
static int exec_discard(struct block_backend *b, const struct block_req *r)
{
    if (b->overlay != NULL)
        return exec_write_zeroes(b, r);
    return b->image->ops->discard(b->image, r->offset, r->bytes);
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

static bool direct_flush(struct block_backend *b, struct block_file **f)
{
    *f = &b->image->file;
    return b->overlay == NULL && !b->readonly && b->image->ops->plain_flush(b->image);
}

bool block_direct(struct block_backend *b, const struct block_req *r, struct block_file **f,
                  uint64_t *at)
{
    bool write = r->op == BLOCK_WRITE, inside = write;
    *at = r->offset;
    if (r->op == BLOCK_FLUSH)
        return direct_flush(b, f);
    if (r->op != BLOCK_READ && !write)
        return false;
    if (b->overlay != NULL && !write &&
        block_overlay_run(b->overlay, r->offset, r->bytes, &inside) < r->bytes)
        return false;
    if (b->overlay != NULL && inside) {
        *f = block_overlay_file(b->overlay);
        return true;
    }
    *f = &b->image->file;
    return b->image->ops->map(b->image, r->offset, r->bytes, write, r->durable, at);
}

/* RWF_NOWAIT succeeds when the data is in the page cache (reads) or can go there at once (writes,
 * on file systems that offer it); then no other thread need be bothered. */
bool block_try(struct block_backend *b, const struct block_req *r, int *result)
{
    bool write = r->op == BLOCK_WRITE;
    _Atomic bool *unable = write ? &b->no_nowait_write : &b->no_nowait_read;
    struct block_file *f;
    int count = (int)r->iov_count;
    uint64_t at;
    if ((r->op != BLOCK_READ && !write) || r->durable || r->iov_count > BLOCK_SLICE * 4 ||
        atomic_load_explicit(unable, memory_order_relaxed) || !block_direct(b, r, &f, &at))
        return false;
    ssize_t got = write ? pwritev2(f->fd, r->iov, count, (off_t)at, RWF_NOWAIT)
                        : preadv2(f->fd, r->iov, count, (off_t)at, RWF_NOWAIT);
    if (got < 0 && (write || f == &b->image->file) &&
        (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
        atomic_store_explicit(unable, true, memory_order_relaxed);
    if (got < 0 || (uint64_t)got != r->bytes)
        return false;
    if (write)
        block_wrote(b, r->offset, r->bytes);
    *result = 0;
    return true;
}
