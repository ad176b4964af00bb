/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw images: the bytes of a regular file or a block device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "block/block.h"
#include "block/image_internal.h"

static int raw_read(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset)
{
    return block_file_readv(&im->file, c, bytes, offset);
}

/* Does a write make another format's image of one that was only guessed to be raw? */
static bool disguises(const struct block_image *im, const struct block_cursor *from, uint64_t bytes,
                      uint64_t offset)
{
    uint8_t head[BLOCK_PROBE_BYTES];
    struct block_cursor c = *from;

    if (!im->guessed || offset != 0 || bytes < sizeof(head))
        return false;
    block_cursor_get(&c, head, sizeof(head));
    const char *format = block_image_probe(head, sizeof(head));
    if (format != NULL)
        log_guest("disk '%s': the guest may not write the header of a %s image there, as nobody "
                  "said format=raw",
                  im->path, format);
    return format != NULL;
}

static int raw_write(struct block_image *im, struct block_cursor *c, uint64_t bytes,
                     uint64_t offset, int flags)
{
    if (disguises(im, c, bytes, offset))
        return -EPERM;
    return block_file_writev(&im->file, c, bytes, offset, flags);
}

static int raw_zero(struct block_image *im, uint64_t offset, uint64_t bytes, bool unmap)
{
    return block_file_zero(&im->file, offset, bytes, unmap);
}

/* A hint: a host that cannot do it has done enough. */
static int raw_discard(struct block_image *im, uint64_t offset, uint64_t bytes)
{
    int r = block_file_punch(&im->file, offset, bytes);

    return r == -EOPNOTSUPP ? 0 : r;
}

static int raw_flush(struct block_image *im)
{
    return im->writable ? block_file_sync(&im->file) : 0;
}

static int raw_status(struct block_image *im, uint64_t offset, uint64_t bytes, enum block_status *s,
                      uint64_t *run)
{
    off_t data = lseek(im->file.fd, (off_t)offset, SEEK_DATA), hole;

    *s = BLOCK_STATUS_DATA;
    *run = bytes;
    if (data < 0 && errno == ENXIO) {
        *s = BLOCK_STATUS_ZERO;
    } else if (data > (off_t)offset) {
        *s = BLOCK_STATUS_ZERO;
        *run = (uint64_t)data - offset < bytes ? (uint64_t)data - offset : bytes;
    } else if (data >= 0 && (hole = lseek(im->file.fd, (off_t)offset, SEEK_HOLE)) > data) {
        *run = (uint64_t)hole - offset < bytes ? (uint64_t)hole - offset : bytes;
    }
    return 0;
}

static bool raw_map(struct block_image *im, uint64_t offset, uint64_t bytes, bool write,
                    bool durable, uint64_t *at)
{
    *at = offset;
    return !write || !im->guessed || offset != 0;
}

static bool raw_plain_flush(struct block_image *im)
{
    return true;
}

static int raw_resize(struct block_image *im, uint64_t size, bool shrink, struct err *e)
{
    int r;

    if (!im->file.regular)
        return err_set(e, ENOTSUP, "'%s' is a block device, which has the size that it has",
                       im->path);
    r = block_file_truncate(&im->file, size);
    if (r < 0)
        return err_set(e, -r, "cannot resize '%s': %s", im->path, strerror(-r));
    atomic_store(&im->size, size);
    return 0;
}

static int raw_close(struct block_image *im)
{
    block_file_close(&im->file);
    free(im);
    return 0;
}

static const struct block_image_ops raw_ops = {
    .format = "raw",
    .read = raw_read,
    .write = raw_write,
    .zero = raw_zero,
    .discard = raw_discard,
    .flush = raw_flush,
    .status = raw_status,
    .map = raw_map,
    .plain_flush = raw_plain_flush,
    .resize = raw_resize,
    .close = raw_close,
};

/* Rounded up to whole sectors; what lies beyond the file's end reads as 0. */
static int measure(struct block_image *im, struct err *e)
{
    uint64_t size;
    int r = block_file_size(&im->file, &size);

    if (r < 0)
        return err_set(e, -r, "cannot read the size of disk '%s': %s", im->path, strerror(-r));
    if (size < BLOCK_SECTOR)
        return err_set(e, EINVAL,
                       "disk '%s' has %llu bytes, a disk needs at least %u; give another image or "
                       "make this one larger with truncate",
                       im->path, (unsigned long long)size, BLOCK_SECTOR);
    atomic_store(&im->size, (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR);
    return 0;
}

int block_raw_open(const struct block_image *base, struct block_image **out, struct err *e)
{
    struct block_image *im = malloc(sizeof(*im));
    int r;

    if (im == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", base->path);
    memcpy(im, base, sizeof(*im));
    im->ops = &raw_ops;
    r = measure(im, e);
    if (r < 0) {
        free(im);
        return r;
    }
    *out = im;
    return 0;
}
