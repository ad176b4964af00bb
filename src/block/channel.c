/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: requests are queued, started as a batch by block_kick, and completed as a batch on the
 * loop's thread. Everything but `finished` belongs to that thread.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "block/block_internal.h"

/* Writes up to this size in one kick are done by the loop's own thread: to copy them into the page
 * cache takes less time than to wake another thread, ours or a worker of io_uring. When one sleeps
 * long all the same (the host throttles writers), others do the writing for a while, so that reads
 * do not wait behind it. That a busy host ran others meanwhile does not count. */
#define INLINE_WRITE (64u << 10)
#define INLINE_SLOW 1000000u   /* ns: what is long */
#define INLINE_AWAY 200000000u /* ns: for how long others do it then */

/* Has the loop's own thread look at the channel. */
static void wake_loop(struct block_channel *c)
{
    uint64_t one = 1;
    if (write(c->event, &one, sizeof(one)) < 0)
        log_debug("disk: eventfd: errno %d", errno);
}

void block_channel_finished(struct block_channel *c, struct block_req *r)
{
    lock_take(&c->lock);
    bool first = c->finished.head == NULL;
    block_list_add(&c->finished, r);
    /* Written under the lock: once it is dropped the channel may complete its last request and
     * go away. */
    if (first)
        wake_loop(c);
    lock_drop(&c->lock);
}

static void collect_finished(struct block_channel *c)
{
    lock_take(&c->lock);
    struct block_req *r;
    while ((r = block_list_take(&c->finished)) != NULL)
        block_list_add(&c->ready, r);
    lock_drop(&c->lock);
}

static int check(const struct block_backend *b, const struct block_req *r)
{
    if (r->op == BLOCK_FLUSH)
        return 0;
    uint64_t size = block_size(b);
    if ((r->offset | r->bytes) % BLOCK_SECTOR != 0 || r->offset > size ||
        r->bytes > size - r->offset || r->iov_count > IOV_MAX)
        return -EINVAL;
    return b->readonly && r->op != BLOCK_READ ? -EROFS : 0;
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How often the thread has given up its processor to wait for something. */
static long waits(void)
{
    struct rusage u = {0};
    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

/* Does a small write at once; false: not one to be done here. */
static bool write_inline(struct block_channel *c, struct block_req *r, uint64_t *budget)
{
    struct block_file *f;
    uint64_t at;
    if (r->op != BLOCK_WRITE || r->durable || r->bytes > *budget)
        return false;
    uint64_t begin = now();
    if (begin < c->inline_from || !block_direct(c->backend, r, &f, &at))
        return false;
    *budget -= r->bytes;
    long before = waits();
    struct block_cursor from = {r->iov, r->iov_count, 0};
    r->result = block_file_writev(f, &from, r->bytes, at, 0);
    if (r->result == 0)
        block_wrote(c->backend, r->offset, r->bytes);
    uint64_t end = now();
    if (end - begin > INLINE_SLOW && waits() != before)
        c->inline_from = end + INLINE_AWAY;
    return true;
}

/* Finishes a request that is wrong, moves nothing, or is a write to be done at once. */
static bool finish_now(struct block_channel *c, struct block_req *r, uint64_t *budget)
{
    r->result = check(c->backend, r);
    if (r->result == 0 && (r->bytes != 0 || r->op == BLOCK_FLUSH) && !write_inline(c, r, budget))
        return false;
    block_list_add(&c->ready, r);
    return true;
}

/* Starts one request, or finishes it at once. */
static void start(struct block_channel *c, struct block_req *r, uint64_t *budget)
{
    struct block_backend *b = c->backend;
    if (finish_now(c, r, budget) || (c->ring != NULL && block_ring_add(c->ring, r)))
        return;
    if (c->ring == NULL && block_try(b, r, &r->result))
        block_list_add(&c->ready, r);
    else
        block_pool_submit(b->pool, r);
}

/* A read of what is in the page cache, on a thread that works for the loop. */
static bool read_cached(struct block_channel *c, struct block_req *r, uint64_t *budget)
{
    if (r->op != BLOCK_READ || r->bytes > *budget || !block_try(c->backend, r, &r->result))
        return false;
    *budget -= r->bytes;
    block_list_add(&c->ready, r);
    return true;
}

/* What is short and needs no wait; the rest is the loop's own, which has it before what comes
 * later. */
static void start_borrowed(struct block_channel *c)
{
    uint64_t budget = INLINE_WRITE;
    struct block_req *r;
    while ((r = block_list_take(&c->queue)) != NULL)
        if (!finish_now(c, r, &budget) && !read_cached(c, r, &budget)) {
            if (c->left.head == NULL)
                wake_loop(c);
            block_list_add(&c->left, r);
        }
}

static void start_queue(struct block_channel *c)
{
    uint64_t budget = INLINE_WRITE;
    struct block_req *r;
    if (loop_is_borrowed(c->loop)) {
        start_borrowed(c);
        return;
    }
    while ((r = block_list_take(&c->left)) != NULL || (r = block_list_take(&c->queue)) != NULL)
        start(c, r, &budget);
    if (c->ring != NULL) {
        block_ring_submit(c->ring);
        block_ring_reap(c->ring);
    }
}

/* Calls `done` of all that is ready; true: there was something. */
static bool complete(struct block_channel *c)
{
    struct block_req *r;
    bool any = false;
    while ((r = block_list_take(&c->ready)) != NULL) {
        any = true;
        c->inflight--;
        r->done(r, r->result);
    }
    return any;
}

void block_kick(struct block_channel *c)
{
    bool any = false;
    if (c->busy)
        return;
    c->busy = true;
    do {
        start_queue(c);
        any |= complete(c);
        if (any && c->queue.head == NULL && c->batch_end != NULL) {
            any = false;
            c->batch_end(c->opaque);
        }
    } while (c->queue.head != NULL);
    c->busy = false;
}

void block_submit(struct block_channel *c, struct block_req *r)
{
    r->channel = c;
    r->result = 0;
    c->inflight++;
    block_list_add(&c->queue, r);
}

static void pool_event(void *opaque, int fd, unsigned events)
{
    struct block_channel *c = opaque;
    uint64_t n;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        log_debug("disk: eventfd: errno %d", errno);
    collect_finished(c);
    block_kick(c);
}

static void ring_event(void *opaque, int fd, unsigned events)
{
    block_kick(opaque);
}

static void wait_event(struct block_channel *c)
{
    struct pollfd p[2] = {{.fd = c->event, .events = POLLIN},
                          {.fd = c->ring != NULL ? block_ring_fd(c->ring) : -1, .events = POLLIN}};
    if (poll(p, 2, -1) > 0 && (p[0].revents & POLLIN) != 0)
        pool_event(c, c->event, LOOP_READ);
}

void block_drain(struct block_channel *c)
{
    block_kick(c);
    while (c->inflight != 0 && !c->busy) {
        wait_event(c);
        block_kick(c);
    }
}

bool block_channel_drainable(const struct block_channel *c)
{
    return loop_is_current(c->loop) || !loop_is_running(c->loop);
}

bool block_channel_uring(const struct block_channel *c)
{
    return c->ring != NULL;
}

static int watch_events(struct block_channel *c)
{
    c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->event < 0)
        return -errno;
    int r = loop_watch(c->loop, c->event, LOOP_READ, pool_event, c, &c->watch);
    if (r < 0 || c->backend->aio == BLOCK_AIO_THREADS)
        return r;
    r = block_ring_create(c, &c->ring);
    if (r == 0)
        r = loop_watch(c->loop, block_ring_fd(c->ring), LOOP_READ, ring_event, c, &c->ring_watch);
    if (r == 0 || c->backend->aio == BLOCK_AIO_URING)
        return r;
    log_debug("disk '%s': io_uring is not available (errno %d), using threads",
              block_path(c->backend), -r);
    block_ring_destroy(c->ring);
    c->ring = NULL;
    return 0;
}

int block_channel_open(struct block_backend *b, struct loop *loop, block_batch_fn *batch_end,
                       void *opaque, struct block_channel **out)
{
    struct block_channel *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->backend = b;
    c->loop = loop;
    c->batch_end = batch_end;
    c->opaque = opaque;
    c->event = -1;
    lock_init(&c->lock, LOCK_BLOCK);
    block_list_init(&c->queue);
    block_list_init(&c->left);
    block_list_init(&c->ready);
    block_list_init(&c->finished);
    int r = watch_events(c);
    if (r < 0) {
        block_channel_close(c);
        return r;
    }
    *out = c;
    return 0;
}

void block_channel_close(struct block_channel *c)
{
    if (c == NULL)
        return;
    loop_unwatch(c->ring_watch);
    loop_unwatch(c->watch);
    block_ring_destroy(c->ring);
    if (c->event >= 0)
        close(c->event);
    lock_finish(&c->lock);
    free(c);
}
