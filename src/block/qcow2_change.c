/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of the whole image: its size, its backing file, all content gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_internal.h"

static int failed(const struct qcow2 *q, int r, const char *what, struct err *e)
{
    return r < 0 ? err_set(e, -r, "cannot %s '%s': %s", what, q->image.path, strerror(-r)) : 0;
}

static int write_header(struct qcow2 *q)
{
    int r = q2_header_write(&q->image.file, &q->h);

    return r == 0 ? block_file_sync(&q->image.file) : r;
}

/* --- size --- */

/* A larger L1 table elsewhere; the next header names it. */
static int move_l1(struct qcow2 *q, uint32_t size)
{
    uint64_t clusters = q2_clusters(q, (uint64_t)size * 8), index = 0, *l1 = calloc(size, 8);
    struct q2_table **l2 = calloc(size, sizeof(struct q2_table *));
    int r = l1 == NULL || l2 == NULL ? -ENOMEM : q2_flush_all(q);

    if (r == 0)
        r = q2_alloc_run(q, clusters, &index);
    if (r == 0)
        r = q2_meta_mark(q, index, clusters, true);
    if (r == 0) {
        memcpy(l1, q->l1, (uint64_t)q->h.l1_size * 8);
        r = q2_l1_write(q, index << q->h.cluster_bits, size, l1);
    }
    if (r == 0)
        r = q2_flush_all(q);
    if (r < 0) {
        free(l1);
        free(l2);
        return r;
    }
    for (uint32_t i = 0; i < q->h.l1_size; i++) {
        l2[i] = q->l2[i];
        if (l2[i] != NULL)
            l2[i]->slot = &l2[i];
    }
    free(q->l1);
    free(q->l2);
    q->l1 = l1;
    q->l2 = l2;
    r = q2_drop(q, q->h.l1_offset >> q->h.cluster_bits, q2_clusters(q, (uint64_t)q->h.l1_size * 8));
    q->h.l1_offset = index << q->h.cluster_bits;
    q->h.l1_size = size;
    return r;
}

static int set_size(struct qcow2 *q, uint64_t size)
{
    uint64_t old = q->h.size, needed = q2_l1_needed(q->h.cluster_bits, size);
    int r = 0;

    if (needed > Q2_L1_MAX)
        return -EFBIG;
    while (q->flushing)
        lock_wait(&q->lock, &q->changed);
    if (needed > q->h.l1_size)
        r = move_l1(q, (uint32_t)needed);
    if (r < 0)
        return r;
    q->h.size = size;
    r = write_header(q);
    if (r < 0)
        q->h.size = old;
    else
        atomic_store(&q->image.size, size);
    return r;
}

/* Entries of whole clusters from `from` on are emptied. */
static int forget(struct qcow2 *q, uint64_t from)
{
    uint64_t end = (uint64_t)q->h.l1_size << (q->h.cluster_bits + q->l2_bits);
    uint64_t offset = (from + q->cluster - 1) & ~(q->cluster - 1), span;
    int r = 0;

    for (; offset < end && r == 0; offset += span) {
        uint64_t i = offset >> q->h.cluster_bits & (BIT(q->l2_bits) - 1);
        struct q2_table *t;

        span = (BIT(q->l2_bits) - i) << q->h.cluster_bits;
        if (q->l1[offset >> (q->h.cluster_bits + q->l2_bits)] == 0)
            continue;
        r = q2_l2_writable(q, offset, &t);
        for (; i < BIT(q->l2_bits) && r == 0; i++)
            if (q2_entry(t, i) != 0) {
                r = q2_entry_drop(q, q2_entry(t, i));
                q2_table_set(q, t, i, 0);
            }
        if (r == 0 && q->dirty_count >= q->table_max)
            r = q2_flush_all(q);
    }
    return r;
}

static int grow(struct qcow2 *q, uint64_t size)
{
    uint64_t old = q->h.size,
             below = q->image.backing != NULL ? block_image_size(q->image.backing) : 0;
    int r;

    lock_take(&q->lock);
    r = set_size(q, size);
    lock_drop(&q->lock);
    below = below < size ? below : size;
    /* What the backing image has behind the old end is not to appear. */
    return r == 0 && below > old ? q2_zero(&q->image, old, below - old, true) : r;
}

/* The rest of the last cluster is made zeros, in case the disk grows again. */
static int shrink(struct qcow2 *q, uint64_t size)
{
    uint64_t end = align_down(size + q->cluster - 1, q->cluster), old = q->h.size;
    int r = 0;

    end = end < old ? end : old;
    if (end > size)
        r = q2_zero(&q->image, size, end - size, false);
    lock_take(&q->lock);
    if (r == 0)
        r = set_size(q, size);
    if (r == 0)
        r = forget(q, size);
    if (r == 0)
        r = q2_flush_all(q);
    lock_drop(&q->lock);
    return r;
}

int q2_resize(struct block_image *im, uint64_t size, bool smaller, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    int r;

    if (size == 0 || size % 512 != 0 || size > INT64_MAX - BIT(21))
        return err_set(e, EINVAL, "'%s' cannot have %llu bytes: a disk has whole sectors of 512",
                       im->path, (unsigned long long)size);
    if (size < q->h.size && !smaller)
        return err_set(e, EINVAL, "'%s' would lose what is behind its new end", im->path);
    if (q->h.snapshot_count != 0 && q->h.version < 3)
        return err_set(e, ENOTSUP,
                       "'%s' has snapshots, which in version 2 do not know their size; delete them "
                       "first",
                       im->path);
    r = size >= q->h.size ? grow(q, size) : shrink(q, size);
    return failed(q, r, "resize", e);
}

/* --- backing file, content --- */

int qcow2_set_backing(struct block_image *im, const char *name, const char *format, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    struct q2_header old = q->h;
    int r;

    name = name != NULL ? name : "";
    format = name[0] != '\0' && format != NULL ? format : "";
    if (strlen(name) > Q2_NAME_MAX || strlen(format) >= sizeof(q->h.backing_format))
        return err_set(e, ENAMETOOLONG, "the name of the backing file is longer than %u bytes",
                       Q2_NAME_MAX);
    lock_take(&q->lock);
    memset(q->h.backing, 0, sizeof(q->h.backing));
    memset(q->h.backing_format, 0, sizeof(q->h.backing_format));
    memcpy(q->h.backing, name, strlen(name));
    memcpy(q->h.backing_format, format, strlen(format));
    r = q2_flush_all(q);
    if (r == 0)
        r = write_header(q);
    if (r < 0) {
        memcpy(q->h.backing, old.backing, sizeof(old.backing));
        memcpy(q->h.backing_format, old.backing_format, sizeof(old.backing_format));
    }
    lock_drop(&q->lock);
    return failed(q, r, "change the backing file of", e);
}

int qcow2_empty(struct block_image *im, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    int r;

    if (q->h.snapshot_count != 0)
        return err_set(e, EBUSY, "'%s' has snapshots, which keep its content", im->path);
    lock_take(&q->lock);
    r = forget(q, 0);
    if (r == 0)
        r = q2_flush_all(q);
    lock_drop(&q->lock);
    return failed(q, r, "empty", e);
}
