/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images in a format: an array of bytes, read and written synchronously from any thread. The
 * back ends of block.h put queues on top; `doppel image` uses them as they are. docs/BLOCK.md
 * describes the whole.
 *
 * An image is a file, perhaps with metadata of a format in it, and perhaps with a backing image
 * that shows where it holds nothing itself; that one is opened for reading only.
 */
#ifndef DOPPEL_BLOCK_IMAGE_H
#define DOPPEL_BLOCK_IMAGE_H

#include "block/file.h"

struct block_image;

enum block_image_flags {
    BLOCK_IMAGE_WRITE = 1,
    BLOCK_IMAGE_NO_BACKING = 2, /* backing files are not opened: what is not here reads as 0 */
    BLOCK_IMAGE_KEEP = 4,       /* an image that was not closed well is refused, not repaired */
};

enum block_status {
    BLOCK_STATUS_DATA,
    BLOCK_STATUS_ZERO,
    BLOCK_STATUS_BELOW, /* not in this image but, if it has one, in the backing image */
};

/* Offsets and sizes of bytes lie inside the image. Errors are -errno. */
struct block_image_ops {
    const char *format;
    int (*read)(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset);
    /* `flags`: RWF_DSYNC or 0. */
    int (*write)(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset,
                 int flags);
    int (*zero)(struct block_image *im, uint64_t offset, uint64_t bytes, bool unmap);
    int (*discard)(struct block_image *im, uint64_t offset, uint64_t bytes);
    int (*flush)(struct block_image *im);
    int (*status)(struct block_image *im, uint64_t offset, uint64_t bytes, enum block_status *s,
                  uint64_t *run);
    /* Never waits. Is the range whole and in one piece in the image's own file, so that it can be
     * read or, with `write`, overwritten there at *at? `durable`: a write that is durable as soon
     * as the file's bytes are. */
    bool (*map)(struct block_image *im, uint64_t offset, uint64_t bytes, bool write, bool durable,
                uint64_t *at);
    bool (*plain_flush)(struct block_image *im); /* never waits: would fdatasync alone be enough? */
    int (*resize)(struct block_image *im, uint64_t size, bool shrink, struct err *e);
    int (*close)(struct block_image *im); /* what could not be written; frees all of the format's */
};

struct block_image {
    const struct block_image_ops *ops;
    char *path;
    struct block_file file;
    _Atomic uint64_t size; /* bytes, a multiple of 512 */
    bool writable;
    bool guessed; /* raw, and nobody said so */
    struct block_image *backing;
};

/* `format`: raw or qcow2; NULL: told by the content, see block_image_probe. */
int block_image_open(const char *path, const char *format, unsigned flags, struct block_image **out,
                     struct err *e) MUST_CHECK;
/* Where an image finds a backing file: a relative name is one beside the image. 0 or -ENOMEM. */
int block_backing_path(const char *image, const char *name, char **out) MUST_CHECK;
/* Writes what is not written yet: -errno if that fails. The image is gone in any case. */
int block_image_close(struct block_image *im); /* NULL is fine */

/*
 * The format that an image's first bytes say it has, or NULL: raw. A guest writes what it likes
 * into a raw image. So one that was only guessed to be raw must stay so: writes that make its first
 * sector look like another format are refused.
 */
const char *block_image_probe(const uint8_t *head, size_t len);
#define BLOCK_PROBE_BYTES 512u

/* Reads through the chain, with flat memory. */
int block_image_pread(struct block_image *im, void *buf, size_t bytes, uint64_t offset) MUST_CHECK;
int block_image_pwrite(struct block_image *im, const void *buf, size_t bytes,
                       uint64_t offset) MUST_CHECK;

static inline uint64_t block_image_size(const struct block_image *im)
{
    return atomic_load_explicit(&im->size, memory_order_relaxed);
}

#endif
