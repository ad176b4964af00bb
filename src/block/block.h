/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block back ends: an image (or block device) of the host as an array of bytes with asynchronous
 * access.
 *
 *   block_backend   the image: size, flags, file descriptors. Shared by its channels, any thread.
 *   block_channel   a submission context on one loop. Requests are queued, submitted as a batch
 *                   and completed on the loop's thread. One channel per virtqueue.
 *
 * Transfers go through io_uring where the host allows it and else through a small thread pool;
 * callers see no difference. Completions come in any order. A write is in the host's page cache
 * when it completes; a flush makes all that completed before it was submitted durable.
 *
 * No path from here goes back into the devices except `done` and `batch_end`, which run on the
 * channel's loop, from block_kick or from an event of the loop, with no lock held.
 */
#ifndef DOPPEL_BLOCK_BLOCK_H
#define DOPPEL_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "loop/loop.h"

#define BLOCK_SECTOR 512u

struct block_backend;
struct block_channel;
struct block_image;

enum block_aio { BLOCK_AIO_AUTO, BLOCK_AIO_URING, BLOCK_AIO_THREADS };

struct block_options {
    const char *path;
    const char *format; /* raw or qcow2; NULL: told by the content, see image.h */
    bool readonly;
    /* Writes go to a temporary overlay that vanishes with the back end; the image is opened for
     * reading only. */
    bool snapshot;
    enum block_aio aio; /* AUTO: io_uring if it can be set up, silently threads if not */
};

/* Opens and locks an image: a regular file or a block device. A writer excludes every other user of
 * the image, readers exclude writers. -errno with a sentence that names the file. */
int block_open(const struct block_options *o, struct block_backend **out, struct err *e) MUST_CHECK;
void block_close(struct block_backend *b); /* all channels closed before; NULL is fine */

uint64_t block_size(const struct block_backend *b); /* bytes, a multiple of BLOCK_SECTOR */
bool block_readonly(const struct block_backend *b); /* for the guest: false with a snapshot */
unsigned block_physical_size(const struct block_backend *b); /* of a block: 512 to 65536 */
const char *block_path(const struct block_backend *b);
const char *block_format(const struct block_backend *b);
const struct block_image *block_image_of(const struct block_backend *b);
/* More bytes at the end; while requests are under way, too. The devices have to be told. */
int block_grow(struct block_backend *b, uint64_t size, struct err *e) MUST_CHECK;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

/* A request in the caller's memory; it and the buffers stay until `done`. Offset and length of
 * transfers are multiples of BLOCK_SECTOR and lie inside the image (else -EINVAL); the iovec covers
 * exactly `bytes`. */
struct block_req {
    enum block_op op;
    bool unmap;   /* BLOCK_WRITE_ZEROES: storage may be released */
    bool durable; /* BLOCK_WRITE: on stable storage when done */
    uint64_t offset, bytes;
    const struct iovec *iov;
    unsigned iov_count;
    void (*done)(struct block_req *r, int result); /* 0 or -errno; may submit new requests */
    void *opaque;
    /* The channel's. */
    struct block_channel *channel;
    struct block_req *next;
    int result;
};

/* Called after the last `done` of a group of completions. */
typedef void block_batch_fn(void *opaque);

int block_channel_open(struct block_backend *b, struct loop *loop, block_batch_fn *batch_end,
                       void *opaque, struct block_channel **out) MUST_CHECK;
void block_channel_close(struct block_channel *c);       /* nothing in flight; NULL is fine */
bool block_channel_uring(const struct block_channel *c); /* for the log and for tests */

/* Loop's thread. block_submit only queues; block_kick starts what is queued and may already
 * complete requests. */
void block_submit(struct block_channel *c, struct block_req *r);
void block_kick(struct block_channel *c);
/* Waits until nothing is in flight, completing requests on the caller's thread, which is the
 * loop's thread or one that runs while the loop does not. */
void block_drain(struct block_channel *c);
/* May the caller's thread drain: is it the loop's thread, or does the loop not run? */
bool block_channel_drainable(const struct block_channel *c);

#endif
