/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_uring for reads, writes and flushes. Containers often refuse it (seccomp, or the sysctl
 * kernel.io_uring_disabled), some only half: creation tries the whole way once.
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>

#include "block/block_internal.h"

#define ENTRIES 128

struct block_ring {
    struct io_uring ring;
    struct block_channel *channel;
    unsigned unsubmitted;
};

static int set_up(struct io_uring *ring)
{
#ifdef IORING_SETUP_COOP_TASKRUN
    /* Completions wait until the loop's thread enters the kernel: no interrupt for it. */
    int r = io_uring_queue_init(ENTRIES, ring, IORING_SETUP_COOP_TASKRUN);
    if (r != -EINVAL)
        return r;
#endif
    return io_uring_queue_init(ENTRIES, ring, 0);
}

/* A no-op there and back. */
static int probe(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    if (sqe == NULL || (ring->features & IORING_FEAT_NODROP) == 0)
        return -ENOSYS;
    io_uring_prep_nop(sqe);
    int r = io_uring_submit_and_wait(ring, 1);
    if (r < 0)
        return r;
    r = io_uring_peek_cqe(ring, &cqe);
    if (r == 0)
        io_uring_cqe_seen(ring, cqe);
    return r;
}

int block_ring_create(struct block_channel *c, struct block_ring **out)
{
    struct block_ring *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return -ENOMEM;
    g->channel = c;
    int r = set_up(&g->ring);
    if (r < 0) {
        free(g);
        return r;
    }
    r = probe(&g->ring);
    if (r < 0) {
        block_ring_destroy(g);
        return r;
    }
    io_uring_ring_dontfork(&g->ring);
    *out = g;
    return 0;
}

void block_ring_destroy(struct block_ring *g)
{
    if (g == NULL)
        return;
    io_uring_queue_exit(&g->ring);
    free(g);
}

int block_ring_fd(const struct block_ring *g)
{
    return g->ring.ring_fd;
}

bool block_ring_add(struct block_ring *g, struct block_req *r)
{
    struct block_backend *b = g->channel->backend;
    uint64_t at;
    struct block_file *f;
    if (!block_direct(b, r, &f, &at))
        return false;
    int fd = f->fd;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&g->ring);
    if (sqe == NULL) {
        block_ring_submit(g);
        sqe = io_uring_get_sqe(&g->ring);
    }
    if (sqe == NULL)
        return false;
    if (r->op == BLOCK_READ)
        io_uring_prep_readv(sqe, fd, r->iov, r->iov_count, at);
    else if (r->op == BLOCK_WRITE)
        io_uring_prep_writev(sqe, fd, r->iov, r->iov_count, at);
    else
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    if (r->op == BLOCK_WRITE && r->durable && b->overlay == NULL)
        sqe->rw_flags = RWF_DSYNC;
    io_uring_sqe_set_data(sqe, r);
    g->unsubmitted++;
    return true;
}

void block_ring_submit(struct block_ring *g)
{
    while (g->unsubmitted != 0) {
        int n = io_uring_submit(&g->ring);
        if (n > 0)
            g->unsubmitted -= (unsigned)n < g->unsubmitted ? (unsigned)n : g->unsubmitted;
        if (n <= 0) { /* no memory or no room for completions right now: make some, try again */
            block_ring_reap(g);
            sched_yield();
        }
    }
}

void block_ring_reap(struct block_ring *g)
{
    struct block_backend *b = g->channel->backend;
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&g->ring, &cqe) == 0) {
        struct block_req *r = io_uring_cqe_get_data(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&g->ring, cqe);
        bool whole = r->op == BLOCK_FLUSH ? res == 0 : res >= 0 && (uint64_t)res == r->bytes;
        bool retry = res >= 0 || res == -EAGAIN || res == -EINTR || res == -EOPNOTSUPP;
        if (!whole && retry) { /* cut short (end of file, signal): the pool does it all again */
            block_pool_submit(b->pool, r);
            continue;
        }
        r->result = whole ? 0 : res;
        if (whole && r->op == BLOCK_WRITE)
            block_wrote(b, r->offset, r->bytes);
        block_list_add(&g->channel->ready, r);
    }
}
