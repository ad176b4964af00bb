/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference counts of the file's clusters, and which clusters are free. A table names blocks of
 * counts; where it names none all counts are 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

uint64_t q2_counts_get(const uint8_t *block, unsigned order, uint64_t i)
{
    uint64_t v = 0;

    if (order < 3) { /* several in a byte, the first in the low bits */
        unsigned width = 1u << order, per = 8u >> order;

        return (uint64_t)block[i / per] >> (i % per * width) & ((1u << width) - 1);
    }
    memcpy((uint8_t *)&v + 8 - (1u << (order - 3)), block + (i << (order - 3)), 1u << (order - 3));
    return be64toh(v);
}

void q2_counts_put(uint8_t *block, unsigned order, uint64_t i, uint64_t value)
{
    if (order < 3) {
        unsigned width = 1u << order, per = 8u >> order, shift = (unsigned)(i % per) * width;
        uint8_t mask = (uint8_t)(((1u << width) - 1) << shift);

        block[i / per] = (uint8_t)((block[i / per] & ~mask) | (value << shift & mask));
        return;
    }
    value = htobe64(value);
    memcpy(block + (i << (order - 3)), (uint8_t *)&value + 8 - (1u << (order - 3)),
           1u << (order - 3));
}

static uint64_t count_max(const struct qcow2 *q)
{
    return q->h.refcount_order == 6 ? UINT64_MAX : BIT(1u << q->h.refcount_order) - 1;
}

/* --- the table grows --- */

static int write_counts(struct qcow2 *q)
{
    int r = 0;

    LIST_EACH(pos, &q->tables)
    {
        struct q2_table *t = LIST_ITEM(pos, struct q2_table, link);

        if (r == 0 && t->lo < t->hi && t->slot >= q->counts &&
            t->slot < q->counts + q->reftable_size)
            r = block_file_write(&q->image.file, t->data, q->cluster, t->host);
    }
    return r == 0 ? block_file_sync(&q->image.file) : r;
}

/* In memory: the arrays become larger, what points into them moves along. */
static int enlarge(struct qcow2 *q, uint64_t size)
{
    uint64_t *table = calloc(size, sizeof(*table));
    struct q2_table **counts = calloc(size, sizeof(struct q2_table *));

    if (table == NULL || counts == NULL) {
        free(table);
        free(counts);
        return -ENOMEM;
    }
    memcpy(table, q->reftable, q->reftable_size * sizeof(*table));
    for (uint64_t i = 0; i < q->reftable_size; i++) {
        counts[i] = q->counts[i];
        if (counts[i] != NULL)
            counts[i]->slot = &counts[i];
    }
    free(q->reftable);
    free(q->counts);
    q->reftable = table;
    q->counts = counts;
    q->reftable_size = size;
    return 0;
}

/* On disk: blocks, then the table that names them, then the header that names the table. */
static int move_table(struct qcow2 *q, uint64_t index, uint64_t clusters)
{
    uint64_t old = q->h.reftable_offset, old_clusters = q->h.reftable_clusters;
    int r = write_counts(q);

    if (r == 0)
        r = q2_l1_write(q, index << q->h.cluster_bits, q->reftable_size, q->reftable);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    if (r < 0)
        return r;
    q->h.reftable_offset = index << q->h.cluster_bits;
    q->h.reftable_clusters = (uint32_t)clusters;
    r = q2_header_write(&q->image.file, &q->h);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    if (r < 0) {
        q->broken = true; /* nobody knows which table the header names now */
        return r;
    }
    q->reftable_dirty = (struct q2_range){0, 0};
    return q2_drop(q, old >> q->h.cluster_bits, old_clusters);
}

static int grow_table(struct qcow2 *q, uint64_t needed)
{
    uint64_t per = q->cluster / 8, size = q->reftable_size + q->reftable_size / 2;
    uint64_t clusters, index = q->end;
    int r;

    if (needed >= Q2_REFTABLE_MAX || q->broken)
        return -EFBIG;
    size = size > needed + 4 ? size : needed + 4;
    clusters = (size + per - 1) / per;
    while (q->flushing)
        lock_wait(&q->lock, &q->changed);
    if (needed < q->reftable_size) /* somebody else was faster */
        return 0;
    r = enlarge(q, clusters * per);
    if (r == 0)
        r = q2_meta_mark(q, index, clusters, true);
    q->end = index + clusters;
    for (uint64_t i = 0; i < clusters && r == 0; i++)
        r = q2_count_set(q, index + i, 1);
    return r == 0 ? move_table(q, index, clusters) : r;
}

/* --- blocks --- */

/* A new block goes behind everything. */
static int new_block(struct qcow2 *q, uint64_t i)
{
    uint64_t index = q->end++;
    struct q2_table *t;
    int r = q2_meta_mark(q, index, 1, true);

    if (r == 0)
        r = q2_table_get(q, &q->counts[i], index << q->h.cluster_bits, true, &t);
    if (r < 0)
        return r;
    q->reftable[i] = index << q->h.cluster_bits;
    q2_range_add(&q->reftable_dirty, i);
    return q2_count_set(q, index, 1);
}

/* The block with an index's count; NULL where there is none and none is to be made. */
static int block_of(struct qcow2 *q, uint64_t index, bool make, struct q2_table **out)
{
    uint64_t i = index >> q->count_bits;
    int r = 0;

    *out = NULL;
    if (i >= q->reftable_size && make)
        r = grow_table(q, i);
    if (r < 0 || i >= q->reftable_size)
        return r;
    if (q->reftable[i] == 0 && make)
        r = new_block(q, i);
    if (r < 0 || q->reftable[i] == 0)
        return r;
    return q2_table_get(q, &q->counts[i], q->reftable[i], false, out);
}

int q2_count_get(struct qcow2 *q, uint64_t index, uint64_t *out)
{
    struct q2_table *t;
    int r = block_of(q, index, false, &t);

    if (r == 0)
        *out = t == NULL
                   ? 0
                   : q2_counts_get(t->data, q->h.refcount_order, index & (BIT(q->count_bits) - 1));
    return r;
}

int q2_count_set(struct qcow2 *q, uint64_t index, uint64_t value)
{
    uint64_t i = index & (BIT(q->count_bits) - 1);
    unsigned order = q->h.refcount_order;
    struct q2_table *t;
    int r;

    if (value > count_max(q))
        return -EMLINK;
    r = block_of(q, index, value != 0, &t);
    if (r < 0 || t == NULL)
        return r;
    q2_counts_put(t->data, order, i, value);
    q2_table_dirty(q, t, (uint32_t)(i << order >> 3), (uint32_t)(((i + 1) << order) + 7) >> 3);
    return value == 0 ? q2_meta_mark(q, index, 1, false) : 0;
}

int q2_count_add(struct qcow2 *q, uint64_t index, int64_t delta)
{
    uint64_t value = 0;
    int r = q2_count_get(q, index, &value);

    if (r < 0)
        return r;
    if (delta < 0 && value < (uint64_t)-delta) {
        log_guest("disk '%s': a cluster is in use and not counted", q->image.path);
        return -EIO;
    }
    return q2_count_set(q, index, value + (uint64_t)delta);
}

/* --- free clusters --- */

/* How many clusters from `i` on are free in a block, at most `want`. */
static uint64_t free_run(const struct qcow2 *q, const struct q2_table *t, uint64_t base, uint64_t i,
                         uint64_t want)
{
    uint64_t n = 0;

    while (n < want && i + n < BIT(q->count_bits) &&
           q2_counts_get(t->data, q->h.refcount_order, i + n) == 0 && !q2_meta(q, base + i + n))
        n++;
    return n;
}

static int take(struct qcow2 *q, uint64_t index, uint64_t n)
{
    int r = 0;

    for (uint64_t i = 0; i < n && r == 0; i++)
        r = q2_count_set(q, index + i, 1);
    q->hint = index + n;
    q->end = q->end > q->hint ? q->end : q->hint;
    return r;
}

int q2_alloc(struct qcow2 *q, uint64_t want, uint64_t *index, uint64_t *got)
{
    int r = q2_touch(q);

    while (r == 0) {
        uint64_t i = q->hint & (BIT(q->count_bits) - 1), base = q->hint - i;
        struct q2_table *t;

        if (base >= Q2_OFFSET >> q->h.cluster_bits)
            return -ENOSPC;
        r = block_of(q, q->hint, true, &t);
        if (r < 0)
            return r;
        while (i < BIT(q->count_bits) && free_run(q, t, base, i, 1) == 0)
            i++;
        q->hint = base + i;
        if (i == BIT(q->count_bits))
            continue;
        *index = q->hint;
        *got = free_run(q, t, base, i, want);
        return take(q, *index, *got);
    }
    return r;
}

int q2_alloc_run(struct qcow2 *q, uint64_t count, uint64_t *index)
{
    int r = q2_touch(q);

    if (r < 0)
        return r;
    *index = q->end;
    q->end += count;
    for (uint64_t i = 0; i < count && r == 0; i++)
        r = q2_count_set(q, *index + i, 1);
    return r;
}
