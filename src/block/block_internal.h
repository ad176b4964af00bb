/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the block layer share.
 *
 *   backend.c  opens, closes           exec.c   carries out one request, synchronously
 *   overlay.c  snapshot overlay        pool.c   threads that call block_exec
 *   channel.c  queueing, completion    uring.c  io_uring
 *
 * What is below, images and formats, is in image.h.
 */
#ifndef DOPPEL_BLOCK_BLOCK_INTERNAL_H
#define DOPPEL_BLOCK_BLOCK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "block/block.h"
#include "block/image.h"

struct block_overlay;
struct block_pool;
struct block_ring;

struct block_backend {
    struct block_image *image;
    bool readonly, snapshot;
    enum block_aio aio;
    struct block_overlay *overlay; /* NULL: no snapshot */
    struct block_pool *pool;
    _Atomic bool no_nowait_read, no_nowait_write; /* the host's file system cannot do it */
};

/* A list of requests, first in first out. */
struct block_list {
    struct block_req *head, **tail;
};

static inline void block_list_init(struct block_list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static inline void block_list_add(struct block_list *l, struct block_req *r)
{
    r->next = NULL;
    *l->tail = r;
    l->tail = &r->next;
}

static inline struct block_req *block_list_take(struct block_list *l)
{
    struct block_req *r = l->head;
    if (r != NULL && (l->head = r->next) == NULL)
        l->tail = &l->head;
    return r;
}

struct block_channel {
    struct block_backend *backend;
    struct loop *loop;
    block_batch_fn *batch_end;
    void *opaque;
    struct block_ring *ring;  /* NULL: the pool does it all */
    struct loop_watch *watch; /* of `event` */
    struct loop_watch *ring_watch;
    int event;               /* eventfd: the pool has finished requests */
    bool busy;               /* block_kick is at work; what comes meanwhile waits for it */
    uint64_t inline_from;    /* CLOCK_MONOTONIC ns: from when on small writes are done here */
    unsigned inflight;       /* submitted and not done */
    struct block_list queue; /* submitted and not started */
    struct block_list left;  /* not started, for the loop's own thread */
    struct block_list ready; /* finished, `done` not called */
    struct lock lock;
    struct block_list finished; /* lock: by the pool */
};

/* --- exec.c --- */
/* Carries out a request on the calling thread; 0 or -errno. */
int block_exec(struct block_backend *b, const struct block_req *r);
/* One attempt at a transfer that must not block; true: done, *result says how. */
bool block_try(struct block_backend *b, const struct block_req *r, int *result);
/* The file and the place there that a transfer goes to, or a flush, if that is all that there is to
 * it: never waits. false: it is not. */
bool block_direct(struct block_backend *b, const struct block_req *r, struct block_file **f,
                  uint64_t *at);
/* Notes that a write of the range has reached the file. */
void block_wrote(struct block_backend *b, uint64_t offset, uint64_t bytes);

/* --- overlay.c --- */
int block_overlay_create(uint64_t size, struct block_overlay **out, struct err *e);
void block_overlay_destroy(struct block_overlay *o);
struct block_file *block_overlay_file(struct block_overlay *o);
/* How many of the bytes from `offset` on (at most `bytes`) are all in the overlay, or all not. */
uint64_t block_overlay_run(const struct block_overlay *o, uint64_t offset, uint64_t bytes,
                           bool *inside);
void block_overlay_mark(struct block_overlay *o, uint64_t offset, uint64_t bytes);

/* --- pool.c --- */
int block_pool_create(struct block_backend *b, struct block_pool **out);
void block_pool_destroy(struct block_pool *p);
/* Does the request on a thread of the pool, then hands it to block_channel_finished. */
void block_pool_submit(struct block_pool *p, struct block_req *r);
void block_channel_finished(struct block_channel *c, struct block_req *r); /* any thread */

/* --- uring.c --- */
int block_ring_create(struct block_channel *c, struct block_ring **out);
void block_ring_destroy(struct block_ring *g);
int block_ring_fd(const struct block_ring *g);
/* false: not a request for the ring. */
bool block_ring_add(struct block_ring *g, struct block_req *r);
void block_ring_submit(struct block_ring *g);
/* Moves finished requests to the channel's `ready`; those that were cut short go to the pool. */
void block_ring_reap(struct block_ring *g);

#endif
