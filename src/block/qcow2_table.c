/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables in memory: L2 tables and blocks of reference counts, a cluster each. A table that was
 * changed stays until q2_flush has written it; others make room when there are many (a clock).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

/* --- which clusters are metadata --- */

static int meta_reach(struct qcow2 *q, uint64_t index)
{
    uint64_t words = index / 64 + 1, grown;
    void *p;

    if (words <= q->meta_words)
        return 0;
    grown = words + words / 2 + 512;
    if (grown > BIT(40))
        return -EFBIG;
    p = q->meta == NULL ? mmap(NULL, grown * 8, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                        : mremap(q->meta, q->meta_words * 8, grown * 8, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return -ENOMEM;
    q->meta = p;
    q->meta_words = grown;
    return 0;
}

int q2_meta_mark(struct qcow2 *q, uint64_t index, uint64_t count, bool is)
{
    int r = count != 0 ? meta_reach(q, index + count - 1) : 0;

    for (uint64_t i = index; i < index + count && r == 0; i++)
        q->meta[i / 64] = bits_set(q->meta[i / 64], i % 64, i % 64, is);
    return r;
}

bool q2_meta(const struct qcow2 *q, uint64_t index)
{
    return index / 64 < q->meta_words && (q->meta[index / 64] >> (index % 64) & 1) != 0;
}

/* --- tables --- */

static bool is_dirty(const struct q2_table *t)
{
    return t->lo < t->hi;
}

static bool is_counts(const struct qcow2 *q, const struct q2_table *t)
{
    return t->slot >= q->counts && t->slot < q->counts + q->reftable_size;
}

static bool lazy(const struct qcow2 *q)
{
    return q->marked && (q->h.compatible & Q2_COMPAT_LAZY) != 0;
}

static void count_dirty(struct qcow2 *q, const struct q2_table *t, int delta)
{
    q->dirty_count += (unsigned)delta;
    if (is_counts(q, t))
        q->dirty_counts += (unsigned)delta;
}

static void table_free(struct qcow2 *q, struct q2_table *t)
{
    if (is_dirty(t))
        count_dirty(q, t, -1);
    q->table_count--;
    *t->slot = NULL;
    list_remove(&t->link);
    free(t->data);
    free(t);
}

void q2_table_forget(struct qcow2 *q, struct q2_table *t)
{
    table_free(q, t);
}

/* One table out that nobody has used lately; false: all are in use or changed. */
static bool evict(struct qcow2 *q)
{
    for (unsigned n = 2 * q->table_count; n > 0; n--) {
        struct q2_table *t = LIST_FIRST(&q->tables, struct q2_table, link);

        if (!is_dirty(t) && t->pins == 0 && !t->used) {
            table_free(q, t);
            return true;
        }
        t->used = false;
        list_remove(&t->link);
        list_append(&q->tables, &t->link);
    }
    return false;
}

/* Also when all others are changed there is room: the next flush makes it so. */
static void make_room(struct qcow2 *q)
{
    while (q->table_count >= q->table_max && evict(q))
        ;
}

int q2_table_get(struct qcow2 *q, struct q2_table **slot, uint64_t host, bool fresh,
                 struct q2_table **out)
{
    struct q2_table *t = *slot;
    int r = 0;

    if (t != NULL) {
        t->used = true;
        *out = t;
        return 0;
    }
    make_room(q);
    t = calloc(1, sizeof(*t));
    if (t == NULL)
        return -ENOMEM;
    t->data = fresh ? calloc(1, q->cluster) : malloc(q->cluster);
    if (t->data == NULL)
        r = -ENOMEM;
    else if (!fresh)
        r = block_file_read(&q->image.file, t->data, q->cluster, host);
    if (r < 0) {
        free(t->data);
        free(t);
        return r;
    }
    t->host = host;
    t->slot = slot;
    t->used = true;
    t->lo = UINT32_MAX;
    *slot = *out = t;
    list_append(&q->tables, &t->link);
    q->table_count++;
    if (fresh)
        q2_table_dirty(q, t, 0, (uint32_t)q->cluster);
    return 0;
}

void q2_table_dirty(struct qcow2 *q, struct q2_table *t, uint32_t lo, uint32_t hi)
{
    if (!is_dirty(t))
        count_dirty(q, t, 1);
    t->lo = lo < t->lo ? lo : t->lo;
    t->hi = hi > t->hi ? hi : t->hi;
}

void q2_table_set(struct qcow2 *q, struct q2_table *t, uint64_t i, uint64_t entry)
{
    entry = htobe64(entry);
    memcpy(t->data + i * 8, &entry, 8);
    q2_table_dirty(q, t, (uint32_t)i * 8, (uint32_t)i * 8 + 8);
}

void q2_range_add(struct q2_range *r, uint64_t i)
{
    if (r->lo >= r->hi)
        *r = (struct q2_range){i, i + 1};
    r->lo = i < r->lo ? i : r->lo;
    r->hi = i >= r->hi ? i + 1 : r->hi;
}

bool q2_clean(const struct qcow2 *q)
{
    return q->dirty_count == (lazy(q) ? q->dirty_counts : 0) && q->l1_dirty.lo >= q->l1_dirty.hi &&
           q->reftable_dirty.lo >= q->reftable_dirty.hi && !q->flushing;
}

/* --- counts that shrink --- */

int q2_drop(struct qcow2 *q, uint64_t index, uint64_t count)
{
    if (count == 0)
        return 0;
    if (q->drop_count == q->drop_max) {
        size_t max = q->drop_max * 2 + 64;
        struct q2_drop *grown = realloc(q->drops, max * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        q->drops = grown;
        q->drop_max = max;
    }
    q->drops[q->drop_count++] = (struct q2_drop){index, count};
    return 0;
}

/* The first `n` of the queue, whose tables are on disk. What cannot be done leaks. Nobody may still
 * be reading what becomes free. */
static int apply_drops(struct qcow2 *q, size_t n)
{
    int r = 0;

    while (n > 0 && q->packed_reads > 0)
        lock_wait(&q->lock, &q->changed);
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < q->drops[i].count; k++) {
            int one = q2_count_add(q, q->drops[i].index + k, -1);

            r = one < 0 ? one : r;
        }
    q->drop_count -= n;
    if (n > 0)
        memmove(q->drops, q->drops + n, q->drop_count * sizeof(*q->drops));
    return r;
}

/* --- flush --- */

/* What is to be written: copies, made at one moment, so that the lock is free meanwhile. */
struct piece {
    struct q2_table *table;
    uint32_t lo, hi;
    uint8_t *data;
    bool written;
};

struct work {
    struct piece *pieces; /* blocks of counts, then L2 tables */
    unsigned count, total;
    struct q2_range l1, reftable;
    uint64_t *l1_data, *reftable_data;
    size_t drops;
};

static int take_piece(struct qcow2 *q, struct work *w, struct q2_table *t)
{
    struct piece *p = &w->pieces[w->total];
    /* Whole sectors of 512 bytes, so that a table is never half of an entry. */
    uint32_t lo = t->lo & ~511u, hi = (t->hi + 511) & ~511u;

    p->data = malloc(hi - lo);
    if (p->data == NULL)
        return -ENOMEM;
    memcpy(p->data, t->data + lo, hi - lo);
    p->table = t;
    p->lo = lo;
    p->hi = hi;
    t->pins++;
    t->lo = UINT32_MAX;
    t->hi = 0;
    count_dirty(q, t, -1);
    w->total++;
    return 0;
}

static int take_tables(struct qcow2 *q, struct work *w, bool counts)
{
    int r = 0;

    LIST_EACH(pos, &q->tables)
    {
        struct q2_table *t = LIST_ITEM(pos, struct q2_table, link);

        if (r == 0 && is_dirty(t) && is_counts(q, t) == counts)
            r = take_piece(q, w, t);
    }
    return r;
}

static int take_range(const uint64_t *table, struct q2_range *from, struct q2_range *to,
                      uint64_t **data)
{
    uint64_t n = from->hi - from->lo;

    if (from->lo >= from->hi)
        return 0;
    *data = malloc(n * 8);
    if (*data == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < n; i++)
        (*data)[i] = htobe64(table[from->lo + i]);
    *to = *from;
    *from = (struct q2_range){0, 0};
    return 0;
}

/* Counts may wait in an image with lazy counts, unless their table is to name a new block. */
static int take_work(struct qcow2 *q, struct work *w, bool all)
{
    bool counts = all || !lazy(q) || q->reftable_dirty.lo < q->reftable_dirty.hi;
    int r = 0;

    *w = (struct work){.drops = q->drop_count};
    if (q->dirty_count != 0)
        w->pieces = calloc(q->dirty_count, sizeof(*w->pieces));
    if (w->pieces == NULL && q->dirty_count != 0)
        return -ENOMEM;
    if (counts)
        r = take_tables(q, w, true);
    w->count = w->total;
    if (r == 0)
        r = take_tables(q, w, false);
    if (r == 0)
        r = take_range(q->l1, &q->l1_dirty, &w->l1, &w->l1_data);
    if (r == 0)
        r = take_range(q->reftable, &q->reftable_dirty, &w->reftable, &w->reftable_data);
    return r;
}

static int write_pieces(struct qcow2 *q, struct work *w, unsigned from, unsigned to)
{
    struct block_file *f = &q->image.file;
    int r = 0;

    for (unsigned i = from; i < to && r == 0; i++) {
        struct piece *p = &w->pieces[i];

        r = block_file_write(f, p->data, p->hi - p->lo, p->table->host + p->lo);
    }
    return r == 0 ? block_file_sync(f) : r;
}

static int write_range(struct qcow2 *q, const struct q2_range *r, const uint64_t *data,
                       uint64_t host)
{
    int rc;

    if (data == NULL)
        return 0;
    rc = block_file_write(&q->image.file, data, (r->hi - r->lo) * 8, host + r->lo * 8);
    return rc == 0 ? block_file_sync(&q->image.file) : rc;
}

/* Without the lock; the first sync makes the data of all requests durable that are done. */
static int write_work(struct qcow2 *q, struct work *w)
{
    int r = write_pieces(q, w, 0, w->count);

    if (r == 0)
        r = write_range(q, &w->reftable, w->reftable_data, q->h.reftable_offset);
    if (r == 0 && w->total > w->count)
        r = write_pieces(q, w, w->count, w->total);
    return r == 0 ? write_range(q, &w->l1, w->l1_data, q->h.l1_offset) : r;
}

static void join_ranges(struct q2_range *to, const struct q2_range *from)
{
    if (from->lo < from->hi) {
        q2_range_add(to, from->lo);
        q2_range_add(to, from->hi - 1);
    }
}

/* What was not written is as it was: to be written. */
static void give_back(struct qcow2 *q, struct work *w, int r)
{
    for (unsigned i = 0; i < w->total; i++) {
        struct piece *p = &w->pieces[i];

        p->table->pins--;
        if (r < 0)
            q2_table_dirty(q, p->table, p->lo, p->hi);
        free(p->data);
    }
    if (r < 0) {
        join_ranges(&q->l1_dirty, &w->l1);
        join_ranges(&q->reftable_dirty, &w->reftable);
    }
    free(w->pieces);
    free(w->l1_data);
    free(w->reftable_data);
}

static int flush_once(struct qcow2 *q, bool all)
{
    struct work w;
    int r;

    while (q->flushing)
        lock_wait(&q->lock, &q->changed);
    q->flushing = true;
    r = take_work(q, &w, all);
    if (r == 0) {
        lock_drop(&q->lock);
        r = write_work(q, &w);
        lock_take(&q->lock);
    }
    give_back(q, &w, r);
    if (r == 0)
        r = apply_drops(q, w.drops);
    q->flushing = false;
    pthread_cond_broadcast(&q->changed);
    return r;
}

int q2_flush(struct qcow2 *q)
{
    return flush_once(q, false);
}

int q2_flush_all(struct qcow2 *q)
{
    int r = flush_once(q, true);

    return r == 0 && q->dirty_count != 0 ? flush_once(q, true) : r;
}
