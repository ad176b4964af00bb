/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file or block device of the host that holds an image, and the places in a request's buffers.
 *
 * Locks are open-file-description locks on the whole file: exclusive for a writer, shared for a
 * reader, so that two machines never write one disk and nobody reads a disk that changes. File
 * systems that have no locks get none. All transfers are whole or fail; a read beyond the end of
 * the file gives zeros. Any thread.
 */
#ifndef DOPPEL_BLOCK_FILE_H
#define DOPPEL_BLOCK_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct block_file {
    int fd; /* -1: not open */
    bool regular;
    unsigned physical; /* size of a block: 512 to 65536 */
    dev_t dev;
    ino_t ino;
    /* What the host's file system turned out not to do. */
    _Atomic bool no_punch, no_zero_range;
};

int block_file_open(struct block_file *f, const char *path, bool write, struct err *e) MUST_CHECK;
/* Makes a file that is not there yet. `replace`: or empties one that is and that nobody uses. */
int block_file_create(struct block_file *f, const char *path, bool replace,
                      struct err *e) MUST_CHECK;
void block_file_close(struct block_file *f);
int block_file_size(const struct block_file *f, uint64_t *out) MUST_CHECK;

int block_file_read(struct block_file *f, void *buf, size_t bytes, uint64_t offset) MUST_CHECK;
int block_file_write(struct block_file *f, const void *buf, size_t bytes,
                     uint64_t offset) MUST_CHECK;
int block_file_sync(struct block_file *f) MUST_CHECK;
int block_file_truncate(struct block_file *f, uint64_t size) MUST_CHECK;
/* A hole: -EOPNOTSUPP where the file system has none. */
int block_file_punch(struct block_file *f, uint64_t offset, uint64_t bytes) MUST_CHECK;
/* Zeros, by a hole if `unmap`, by writing them if all else fails. */
int block_file_zero(struct block_file *f, uint64_t offset, uint64_t bytes, bool unmap) MUST_CHECK;

/* A place in an iovec. */
struct block_cursor {
    const struct iovec *iov;
    unsigned count;
    size_t skip; /* bytes of iov[0] that are done */
};

#define BLOCK_SLICE 64u /* iovec entries of one system call */

/* Up to `bytes` from the cursor on, as an iovec of its own; *total is what it holds. */
unsigned block_cursor_slice(const struct block_cursor *c, uint64_t bytes,
                            struct iovec out[BLOCK_SLICE], uint64_t *total);
void block_cursor_advance(struct block_cursor *c, uint64_t bytes);
void block_cursor_zero(struct block_cursor *c, uint64_t bytes); /* these move it, too */
void block_cursor_put(struct block_cursor *c, const void *from, uint64_t bytes);
void block_cursor_get(struct block_cursor *c, void *to, uint64_t bytes);

/* Moves `bytes` between the file and the cursor, which moves on. `flags`: of pwritev2. */
int block_file_readv(struct block_file *f, struct block_cursor *c, uint64_t bytes,
                     uint64_t offset) MUST_CHECK;
int block_file_writev(struct block_file *f, struct block_cursor *c, uint64_t bytes, uint64_t offset,
                      int flags) MUST_CHECK;

#endif
