/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images: opening, closing, and the operations of an image. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

/* --- opening --- */

int q2_l1_read(struct qcow2 *q, uint64_t host, uint64_t size, uint64_t *l1)
{
    int r = block_file_read(&q->image.file, l1, size * 8, host);

    for (uint64_t i = 0; i < size && r == 0; i++)
        l1[i] = be64toh(l1[i]);
    return r;
}

int q2_l1_write(struct qcow2 *q, uint64_t host, uint64_t size, const uint64_t *l1)
{
    uint64_t *copy = malloc(size * 8 + 1);
    int r;

    if (copy == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < size; i++)
        copy[i] = htobe64(l1[i]);
    r = block_file_write(&q->image.file, copy, size * 8, host);
    free(copy);
    return r;
}

static int make_arrays(struct qcow2 *q)
{
    q->reftable_size = (uint64_t)q->h.reftable_clusters * (q->cluster / 8);
    q->l1 = calloc(q->h.l1_size, sizeof(uint64_t));
    q->l2 = calloc(q->h.l1_size, sizeof(struct q2_table *));
    q->reftable = calloc(q->reftable_size, sizeof(uint64_t));
    q->counts = calloc(q->reftable_size, sizeof(struct q2_table *));
    return q->l1 == NULL || q->l2 == NULL || q->reftable == NULL || q->counts == NULL ? -ENOMEM : 0;
}

/* Behind the last cluster that is counted: a block device ends long after the image. */
static int find_end(struct qcow2 *q, uint64_t size)
{
    uint64_t file_end = q2_clusters(q, size), per = BIT(q->count_bits), count;
    int r = 0;

    q->end = file_end;
    if (q->image.file.regular)
        return 0;
    for (uint64_t i = file_end; i-- > 0 && r == 0;) {
        uint64_t block = i >> q->count_bits;

        if (block >= q->reftable_size || q->reftable[block] == 0) {
            i &= ~(per - 1);
            continue;
        }
        if ((q->reftable[block] & (q->cluster - 1)) != 0)
            return -EINVAL;
        r = q2_count_get(q, i, &count);
        if (r == 0 && count != 0) {
            q->end = i + 1;
            break;
        }
    }
    return r;
}

static void init(struct qcow2 *q, const struct block_image *base, const struct q2_header *h)
{
    memcpy(&q->image, base, sizeof(q->image));
    q->h = *h;
    q->cluster = BIT(h->cluster_bits);
    q->l2_bits = h->cluster_bits - 3;
    q->count_bits = h->cluster_bits + 3 - h->refcount_order;
    q->table_max = Q2_CACHE_BYTES >> h->cluster_bits;
    q->table_max = q->table_max < 16 ? 16 : q->table_max;
    q->marked = (h->incompatible & Q2_INCOMPAT_DIRTY) != 0;
    lock_init(&q->lock, LOCK_BLOCK);
    pthread_cond_init(&q->changed, NULL);
    list_init(&q->tables);
    atomic_store(&q->image.size, h->size);
}

static int fill(struct qcow2 *q, struct err *e)
{
    uint64_t size = 0;
    int r = make_arrays(q);

    if (r == 0)
        r = block_file_size(&q->image.file, &size);
    if (r == 0)
        r = q2_l1_read(q, q->h.l1_offset, q->h.l1_size, q->l1);
    if (r == 0)
        r = q2_l1_read(q, q->h.reftable_offset, q->reftable_size, q->reftable);
    if (r == 0)
        r = find_end(q, size);
    if (r < 0)
        return err_set(e, -r, "cannot read the tables of qcow2 image '%s': %s", q->image.path,
                       strerror(-r));
    return q2_snapshots_read(q, e);
}

int q2_open_bare(const struct block_image *base, struct qcow2 **out, struct err *e)
{
    struct block_image copy;
    struct q2_header h;
    struct qcow2 *q;
    int r;

    memcpy(&copy, base, sizeof(copy));
    r = q2_header_read(&copy.file, copy.path, &h, e);
    if (r < 0)
        return r;
    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        q2_header_finish(&h);
        return err_set(e, ENOMEM, "no memory for disk '%s'", copy.path);
    }
    init(q, base, &h);
    r = fill(q, e);
    if (r < 0) {
        q2_free(q);
        return r;
    }
    *out = q;
    return 0;
}

void q2_free(struct qcow2 *q)
{
    while (!list_empty(&q->tables))
        q2_table_forget(q, LIST_FIRST(&q->tables, struct q2_table, link));
    if (q->meta != NULL)
        munmap(q->meta, q->meta_words * 8);
    q2_snapshots_finish(q);
    q2_header_finish(&q->h);
    free(q->l1);
    free(q->l2);
    free(q->reftable);
    free(q->counts);
    free(q->drops);
    pthread_cond_destroy(&q->changed);
    lock_finish(&q->lock);
    free(q);
}

/* --- where metadata is --- */

static int overlap(const struct qcow2 *q, const char *what, struct err *e)
{
    return err_set(e, EINVAL,
                   "qcow2 image '%s' is damaged: %s is where it cannot be; see 'doppel image check "
                   "%s'",
                   q->image.path, what, q->image.path);
}

/* `bytes` of metadata, which overlap none that is known already. */
static int note(struct qcow2 *q, uint64_t host, uint64_t bytes, const char *what, struct err *e)
{
    uint64_t index = host >> q->h.cluster_bits, count = q2_clusters(q, bytes);

    if ((host & (q->cluster - 1)) != 0 || !range_inside(index, count, 0, q->end))
        return overlap(q, what, e);
    for (uint64_t i = index; i < index + count; i++)
        if (q2_meta(q, i))
            return overlap(q, what, e);
    return q2_meta_mark(q, index, count, true) < 0
               ? err_set(e, ENOMEM, "no memory for disk '%s'", q->image.path)
               : 0;
}

static int note_blocks(struct qcow2 *q, struct err *e)
{
    int r = 0;

    for (uint64_t i = 0; i < q->reftable_size && r == 0; i++)
        if (q->reftable[i] != 0)
            r = note(q, q->reftable[i], q->cluster, "a block of reference counts", e);
    return r;
}

static int note_l2(struct qcow2 *q, struct err *e)
{
    int r = 0;

    for (uint64_t i = 0; i < q->h.l1_size && r == 0; i++) {
        if ((q->l1[i] & ~(Q2_COPIED | Q2_OFFSET)) != 0)
            return overlap(q, "an L2 table", e);
        if (q->l1[i] != 0)
            r = note(q, q->l1[i] & Q2_OFFSET, q->cluster, "an L2 table", e);
    }
    return r;
}

/* Their L2 tables may be ours, too. */
static int note_snapshots(struct qcow2 *q, struct err *e)
{
    int r = 0;

    if (q->h.snapshot_count != 0)
        r = note(q, q->h.snapshots_offset, q2_snapshots_bytes(q), "the table of snapshots", e);
    for (uint32_t i = 0; i < q->h.snapshot_count && r == 0; i++)
        r = note(q, q->snapshots[i].l1_offset, (uint64_t)q->snapshots[i].l1_size * 8,
                 "the L1 table of a snapshot", e);
    for (uint32_t i = 0; i < q->h.snapshot_count && r == 0; i++)
        r = q2_snapshot_note(q, &q->snapshots[i], e);
    return r;
}

static int note_all(struct qcow2 *q, struct err *e)
{
    int r = note(q, 0, q->cluster, "the header", e);

    if (r == 0)
        r = note(q, q->h.l1_offset, (uint64_t)q->h.l1_size * 8, "the L1 table", e);
    if (r == 0)
        r = note(q, q->h.reftable_offset, (uint64_t)q->h.reftable_clusters << q->h.cluster_bits,
                 "the table of reference counts", e);
    if (r == 0)
        r = note_blocks(q, e);
    if (r == 0)
        r = note_l2(q, e);
    return r == 0 ? note_snapshots(q, e) : r;
}

/* --- operations --- */

static int status(struct block_image *im, uint64_t offset, uint64_t bytes, enum block_status *s,
                  uint64_t *run)
{
    struct qcow2 *q = q2_of(im);
    struct q2_run found;
    int r;

    lock_take(&q->lock);
    r = q2_find(q, offset, bytes, &found);
    lock_drop(&q->lock);
    if (r < 0)
        return r;
    *run = found.bytes;
    *s = found.type == Q2_TYPE_BELOW  ? BLOCK_STATUS_BELOW
         : found.type == Q2_TYPE_ZERO ? BLOCK_STATUS_ZERO
                                      : BLOCK_STATUS_DATA;
    return 0;
}

static bool map(struct block_image *im, uint64_t offset, uint64_t bytes, bool write, bool durable,
                uint64_t *at)
{
    struct qcow2 *q = q2_of(im);
    struct q2_run run;
    bool good;

    if (!lock_try(&q->lock))
        return false;
    good = q2_find_quick(q, offset, bytes, &run) && run.type == Q2_TYPE_DATA &&
           run.bytes == bytes && (!write || run.copied) && (!durable || q2_clean(q));
    lock_drop(&q->lock);
    *at = run.host;
    return good;
}

static bool plain_flush(struct block_image *im)
{
    struct qcow2 *q = q2_of(im);
    bool good = lock_try(&q->lock);

    if (good) {
        good = q2_clean(q);
        lock_drop(&q->lock);
    }
    return good;
}

static int flush(struct block_image *im)
{
    struct qcow2 *q = q2_of(im);
    bool clean;
    int r = 0;

    if (!im->writable)
        return 0;
    lock_take(&q->lock);
    clean = q2_clean(q);
    if (!clean)
        r = q2_flush(q);
    lock_drop(&q->lock);
    return clean ? block_file_sync(&im->file) : r;
}

/* All is written: the image is as good as one that was never used. */
static int unmark(struct qcow2 *q)
{
    if (!q->marked || q->broken)
        return 0;
    q->h.incompatible &= ~(uint64_t)Q2_INCOMPAT_DIRTY;
    int r = q2_header_write(&q->image.file, &q->h);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    q->marked = r < 0;
    return r;
}

static int finish(struct qcow2 *q)
{
    int r = 0;

    if (!q->image.writable)
        return 0;
    lock_take(&q->lock);
    if (!q2_clean(q) || q->dirty_count != 0 || q->drop_count != 0)
        r = q2_flush_all(q);
    if (r == 0)
        r = unmark(q);
    lock_drop(&q->lock);
    return r;
}

static int close_image(struct block_image *im)
{
    struct qcow2 *q = q2_of(im);
    int r = finish(q);

    block_file_close(&im->file);
    q2_free(q);
    return r;
}

static const struct block_image_ops qcow2_ops = {
    .format = "qcow2",
    .read = q2_read,
    .write = q2_write,
    .zero = q2_zero,
    .discard = q2_discard,
    .flush = flush,
    .status = status,
    .map = map,
    .plain_flush = plain_flush,
    .resize = q2_resize,
    .close = close_image,
};

bool qcow2_is(const struct block_image *im)
{
    return im->ops == &qcow2_ops;
}

void qcow2_info(const struct block_image *im, struct qcow2_info *out)
{
    const struct qcow2 *q = CONTAINER_OF(im, struct qcow2, image);

    *out = (struct qcow2_info){
        .version = q->h.version,
        .cluster_bits = q->h.cluster_bits,
        .refcount_bits = 1u << q->h.refcount_order,
        .snapshot_count = q->h.snapshot_count,
        .lazy = (q->h.compatible & Q2_COMPAT_LAZY) != 0,
        .dirty = (q->h.incompatible & Q2_INCOMPAT_DIRTY) != 0,
        .corrupt = (q->h.incompatible & Q2_INCOMPAT_CORRUPT) != 0,
        .zstd = q->h.compression == Q2_ZSTD,
        .backing = q->h.backing,
        .backing_format = q->h.backing_format,
    };
}

/* --- what must be right before an image is used --- */

static int check_writable(struct qcow2 *q, unsigned flags, struct err *e)
{
    const char *path = q->image.path;

    if (!q->image.writable)
        return 0;
    if ((q->h.incompatible & Q2_INCOMPAT_CORRUPT) != 0)
        return err_set(e, EINVAL,
                       "qcow2 image '%s' is marked as damaged; see 'doppel image check %s', or use "
                       "it with readonly",
                       path, path);
    if (q->h.bitmaps)
        return err_set(e, ENOTSUP,
                       "qcow2 image '%s' has dirty bitmaps, which writing would make wrong; remove "
                       "them with qemu-img bitmap, or use it with readonly",
                       path);
    q->h.autoclear = 0; /* from the next header on: what we do not keep up is not true any more */
    if (!q->marked)
        return 0;
    if ((flags & BLOCK_IMAGE_KEEP) != 0)
        return err_set(e, EBUSY, "qcow2 image '%s' was not closed; 'doppel image check' repairs it",
                       path);
    return q2_repair(q, e);
}

static int open_below(struct qcow2 *q, unsigned flags, const struct block_chain *above,
                      struct err *e)
{
    if (q->h.backing[0] == '\0' || (flags & BLOCK_IMAGE_NO_BACKING) != 0)
        return 0;
    if (q->h.backing_format[0] == '\0')
        return err_set(e, EINVAL,
                       "qcow2 image '%s' does not say what format its backing file '%s' has, and a "
                       "guess would trust what a guest wrote; say it with 'doppel image rebase -u "
                       "-b %s -F raw|qcow2 %s'",
                       q->image.path, q->h.backing, q->h.backing, q->image.path);
    return block_image_open_backing(&q->image, q->h.backing, q->h.backing_format, above, e);
}

int block_qcow2_open(const struct block_image *base, unsigned flags,
                     const struct block_chain *above, struct block_image **out, struct err *e)
{
    struct qcow2 *q;
    int r = q2_open_bare(base, &q, e);

    if (r < 0)
        return r;
    q->image.ops = &qcow2_ops;
    r = check_writable(q, flags, e);
    if (r == 0)
        r = note_all(q, e);
    if (r == 0)
        r = open_below(q, flags, above, e);
    if (r < 0) {
        q2_free(q);
        return r;
    }
    *out = &q->image;
    return 0;
}
