/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Back ends: an image, perhaps an overlay, and a thread pool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/block_internal.h"

static int prepare(struct block_backend *b, const struct block_options *o, struct err *e)
{
    bool write = !o->readonly && !o->snapshot;
    int r = block_image_open(o->path, o->format, write ? BLOCK_IMAGE_WRITE : 0, &b->image, e);

    if (r == 0 && o->snapshot && !o->readonly)
        r = block_overlay_create(block_image_size(b->image), &b->overlay, e);
    if (r == 0 && block_pool_create(b, &b->pool) < 0)
        r = err_set(e, ENOMEM, "no memory for disk '%s'", o->path);
    return r;
}

int block_open(const struct block_options *o, struct block_backend **out, struct err *e)
{
    struct block_backend *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", o->path);
    b->readonly = o->readonly;
    b->snapshot = o->snapshot;
    b->aio = o->aio;
    int r = prepare(b, o, e);
    if (r < 0) {
        block_close(b);
        return r;
    }
    *out = b;
    return 0;
}

void block_close(struct block_backend *b)
{
    if (b == NULL)
        return;
    block_pool_destroy(b->pool);
    block_overlay_destroy(b->overlay);
    int r = block_image_close(b->image);
    if (r < 0)
        log_error("a disk's metadata could not be written at the end: %s", strerror(-r));
    free(b);
}

uint64_t block_size(const struct block_backend *b)
{
    return block_image_size(b->image);
}

bool block_readonly(const struct block_backend *b)
{
    return b->readonly;
}

unsigned block_physical_size(const struct block_backend *b)
{
    return b->image->file.physical;
}

const char *block_path(const struct block_backend *b)
{
    return b->image->path;
}

const char *block_format(const struct block_backend *b)
{
    return b->image->ops->format;
}

const struct block_image *block_image_of(const struct block_backend *b)
{
    return b->image;
}

int block_grow(struct block_backend *b, uint64_t size, struct err *e)
{
    if (b->readonly || b->snapshot)
        return err_set(e, EROFS, "disk '%s' was opened for reading only", block_path(b));
    if (size % BLOCK_SECTOR != 0 || size < block_size(b))
        return err_set(e, EINVAL,
                       "disk '%s': the new size is to be a multiple of %u and not less than %llu, "
                       "because a disk in use cannot shrink",
                       block_path(b), BLOCK_SECTOR, (unsigned long long)block_size(b));
    return b->image->ops->resize(b->image, size, false, e);
}
