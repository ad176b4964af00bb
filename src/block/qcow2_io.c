/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads, writes and zeros. Clusters that hold this disk's data alone are overwritten in place.
 * Others get a place: the writer claims the guest clusters, so that nobody else gives them one,
 * writes data there without the lock, completed by what was visible before, and then changes the
 * entries. Readers see the old or the new cluster.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_internal.h"

#define ALLOC_MAX (4u << 20) /* bytes that get a place at a time, at least a cluster */

/* --- reading --- */

static int read_below(struct qcow2 *q, struct block_cursor *c, uint64_t bytes, uint64_t offset)
{
    struct block_image *b = q->image.backing;
    uint64_t size = b != NULL ? block_image_size(b) : 0, there = sat_sub(size, offset);
    int r;

    there = there < bytes ? there : bytes;
    r = there != 0 ? b->ops->read(b, c, there, offset) : 0;
    if (r == 0)
        block_cursor_zero(c, bytes - there);
    return r;
}

/* A part of one compressed cluster; the lock is held and dropped meanwhile. Its bytes stay in place
 * as long as it is counted as being read. */
static int read_packed(struct qcow2 *q, const struct q2_run *run, struct block_cursor *c,
                       uint64_t offset)
{
    uint8_t *buf = malloc(q->cluster);
    int r = -ENOMEM;

    q->packed_reads++;
    lock_drop(&q->lock);
    if (buf != NULL)
        r = q2_unpack(q, run->entry, buf);
    if (r == 0)
        block_cursor_put(c, buf + (offset & (q->cluster - 1)), run->bytes);
    free(buf);
    lock_take(&q->lock);
    if (--q->packed_reads == 0)
        pthread_cond_broadcast(&q->changed);
    return r;
}

/* The lock is held. */
static int read_run(struct qcow2 *q, const struct q2_run *run, struct block_cursor *c,
                    uint64_t offset)
{
    int r = 0;

    if (run->type == Q2_TYPE_PACKED)
        return read_packed(q, run, c, offset);
    lock_drop(&q->lock);
    if (run->type == Q2_TYPE_DATA)
        r = block_file_readv(&q->image.file, c, run->bytes, run->host);
    else if (run->type == Q2_TYPE_BELOW)
        r = read_below(q, c, run->bytes, offset);
    else
        block_cursor_zero(c, run->bytes);
    lock_take(&q->lock);
    return r;
}

int q2_read(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset)
{
    struct qcow2 *q = q2_of(im);
    struct q2_run run;
    int r = 0;

    lock_take(&q->lock);
    while (bytes != 0 && r == 0) {
        r = q2_find(q, offset, bytes, &run);
        if (r == 0)
            r = read_run(q, &run, c, offset);
        if (r < 0)
            break;
        offset += run.bytes;
        bytes -= run.bytes;
    }
    lock_drop(&q->lock);
    return r;
}

/* --- claims --- */

/* Claims what of `claim` nobody else has, from its first cluster on. If somebody has that, waits
 * and says false: all may be different now. */
static bool claim_take(struct qcow2 *q, struct q2_claim *claim)
{
    for (struct q2_claim *o = q->claims; o != NULL; o = o->next) {
        if (!range_overlap(claim->first, claim->count, o->first, o->count))
            continue;
        if (o->first <= claim->first) {
            lock_wait(&q->lock, &q->changed);
            return false;
        }
        claim->count = o->first - claim->first;
    }
    claim->next = q->claims;
    q->claims = claim;
    return true;
}

static void claim_drop(struct qcow2 *q, struct q2_claim *claim)
{
    struct q2_claim **p = &q->claims;

    while (*p != claim)
        p = &(*p)->next;
    *p = claim->next;
    pthread_cond_broadcast(&q->changed);
}

/* --- writing --- */

/* A write that gives clusters a place. */
struct placing {
    struct q2_claim claim;
    struct q2_table *l2;
    uint64_t index;       /* of the first new cluster */
    uint64_t offset, end; /* of the data */
    bool fresh;           /* the file has only zeros there */
    bool nothing;         /* before, the clusters had only zeros, too */
};

static bool shows_below(const struct qcow2 *q, uint64_t offset)
{
    return q->image.backing != NULL && offset < block_image_size(q->image.backing);
}

/* What was visible in [from, to) before, with zeros behind the end of the disk. */
static int old_content(struct qcow2 *q, const struct placing *p, uint64_t from, uint64_t to,
                       uint8_t *buf)
{
    uint64_t size = block_image_size(&q->image), there = from < size ? size - from : 0;

    there = p->nothing ? 0 : there < to - from ? there : to - from;
    memset(buf + there, 0, to - from - there);
    return there != 0 ? block_image_pread(&q->image, buf, there, from) : 0;
}

/* One cluster, completed, in one write. */
static int write_whole(struct qcow2 *q, const struct placing *p, struct block_cursor *c,
                       uint64_t start, uint64_t host)
{
    uint8_t *buf = malloc(q->cluster);
    uint64_t skip = p->offset - start, end = p->end - start;
    int r;

    if (buf == NULL)
        return -ENOMEM;
    r = old_content(q, p, start, p->offset, buf);
    if (r == 0)
        r = old_content(q, p, p->end, start + q->cluster, buf + end);
    block_cursor_get(c, buf + skip, end - skip);
    if (r == 0)
        r = block_file_write(&q->image.file, buf, q->cluster, host);
    free(buf);
    return r;
}

static int complete(struct qcow2 *q, const struct placing *p, uint64_t from, uint64_t to,
                    uint64_t host)
{
    uint8_t *buf;
    int r;

    if (from == to || (p->nothing && p->fresh))
        return 0;
    buf = malloc(to - from);
    if (buf == NULL)
        return -ENOMEM;
    r = old_content(q, p, from, to, buf);
    if (r == 0)
        r = block_file_write(&q->image.file, buf, to - from, host);
    free(buf);
    return r;
}

static int write_placed(struct qcow2 *q, const struct placing *p, struct block_cursor *c)
{
    uint64_t start = p->claim.first << q->h.cluster_bits, host = p->index << q->h.cluster_bits;
    uint64_t stop = start + (p->claim.count << q->h.cluster_bits);
    bool whole = p->offset == start && p->end == stop;
    int r;

    if (p->claim.count == 1 && !whole && !(p->nothing && p->fresh))
        return write_whole(q, p, c, start, host);
    r = complete(q, p, start, p->offset, host);
    if (r == 0)
        r = block_file_writev(&q->image.file, c, p->end - p->offset, host + (p->offset - start), 0);
    return r == 0 ? complete(q, p, p->end, stop, host + (p->end - start)) : r;
}

/* Entries from the claim's first on get `entry`, the next ones entry + step ... */
static int set_entries(struct qcow2 *q, struct placing *p, uint64_t entry, uint64_t step)
{
    uint64_t i = p->claim.first & (BIT(q->l2_bits) - 1);
    int r = 0;

    for (uint64_t k = 0; k < p->claim.count; k++, entry += step) {
        int one = q2_entry_drop(q, q2_entry(p->l2, i + k));

        q2_table_set(q, p->l2, i + k, entry);
        r = one < 0 ? one : r;
    }
    return r;
}

static void give_up(struct qcow2 *q, const struct placing *p)
{
    for (uint64_t i = 0; i < p->claim.count; i++)
        (void)!q2_count_set(q, p->index + i, 0);
}

/* The lock is held and dropped while data moves. */
static int place(struct qcow2 *q, struct placing *p, struct block_cursor *c)
{
    uint64_t before = q->end, got = 0, end;
    int r = q2_alloc(q, p->claim.count, &p->index, &got);

    if (r < 0)
        return r;
    p->claim.count = got;
    p->fresh = q->image.file.regular && p->index >= before;
    end = (p->claim.first + got) << q->h.cluster_bits;
    p->end = p->end < end ? p->end : end;
    lock_drop(&q->lock);
    r = write_placed(q, p, c);
    lock_take(&q->lock);
    if (r < 0) {
        give_up(q, p);
        return r;
    }
    return set_entries(q, p, p->index << q->h.cluster_bits | Q2_COPIED, q->cluster);
}

/* One claim, with its L2 table held in memory. */
static int with_l2(struct qcow2 *q, struct placing *p, struct block_cursor *c,
                   int (*act)(struct qcow2 *, struct placing *, struct block_cursor *))
{
    int r = q2_l2_writable(q, p->claim.first << q->h.cluster_bits, &p->l2);

    if (r == 0) {
        p->l2->pins++;
        r = act(q, p, c);
        p->l2->pins--;
    }
    claim_drop(q, &p->claim);
    return r;
}

/* Clusters that are not this disk's alone; *done may be 0: look again. */
static int write_elsewhere(struct qcow2 *q, const struct q2_run *run, struct block_cursor *c,
                           uint64_t offset, uint64_t *done)
{
    uint64_t skip = offset & (q->cluster - 1), most = ALLOC_MAX >> q->h.cluster_bits;
    struct placing p = {.offset = offset,
                        .end = offset + run->bytes,
                        .claim = {.first = offset >> q->h.cluster_bits,
                                  .count = q2_clusters(q, skip + run->bytes)}};
    int r;

    *done = 0;
    most = most != 0 ? most : 1;
    p.claim.count = p.claim.count < most ? p.claim.count : most;
    p.nothing =
        run->type == Q2_TYPE_ZERO || (run->type == Q2_TYPE_BELOW && !shows_below(q, offset - skip));
    if (!claim_take(q, &p.claim))
        return 0;
    r = with_l2(q, &p, c, place);
    *done = p.end - offset;
    return r;
}

/* A cluster that is not marked as this disk's alone but is: from now on it is marked. */
static int mark_copied(struct qcow2 *q, struct placing *p, struct block_cursor *c)
{
    uint64_t i = p->claim.first & (BIT(q->l2_bits) - 1);

    q2_table_set(q, p->l2, i, q2_entry(p->l2, i) | Q2_COPIED);
    return 0;
}

static int claim_copied(struct qcow2 *q, uint64_t offset)
{
    struct placing p = {.claim = {.first = offset >> q->h.cluster_bits, .count = 1}};

    return claim_take(q, &p.claim) ? with_l2(q, &p, NULL, mark_copied) : 0;
}

/* The lock is held; *done bytes were written, perhaps none. */
static int write_some(struct qcow2 *q, struct block_cursor *c, uint64_t bytes, uint64_t offset,
                      uint64_t *done)
{
    struct q2_run run;
    uint64_t count = 0;
    int r = q2_find(q, offset, bytes, &run);

    *done = 0;
    if (r == 0 && run.type == Q2_TYPE_DATA && !run.copied)
        r = q2_count_get(q, run.host >> q->h.cluster_bits, &count);
    if (r < 0)
        return r;
    if (count == 1)
        return claim_copied(q, offset);
    if (run.type != Q2_TYPE_DATA || !run.copied)
        return write_elsewhere(q, &run, c, offset, done);
    *done = run.bytes;
    lock_drop(&q->lock);
    r = block_file_writev(&q->image.file, c, run.bytes, run.host, 0);
    lock_take(&q->lock);
    return r;
}

int q2_write(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset,
             int flags)
{
    struct qcow2 *q = q2_of(im);
    uint64_t done;
    int r = 0;

    lock_take(&q->lock);
    while (bytes != 0 && r == 0) {
        r = write_some(q, c, bytes, offset, &done);
        offset += done;
        bytes -= done;
    }
    if (r == 0 && flags != 0)
        r = q2_flush(q);
    lock_drop(&q->lock);
    return r;
}

/* --- zeros --- */

/* By writing them; the lock is held and dropped meanwhile. */
static int write_zeros(struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    uint8_t *zeros = calloc(1, bytes);
    int r;

    if (zeros == NULL)
        return -ENOMEM;
    lock_drop(&q->lock);
    r = block_image_pwrite(&q->image, zeros, bytes, offset);
    lock_take(&q->lock);
    free(zeros);
    return r;
}

static int zero_entries(struct qcow2 *q, struct placing *p, struct block_cursor *c)
{
    return set_entries(q, p, q->h.version >= 3 ? Q2_ZERO : 0, 0);
}

/* Whole clusters that the entries alone say to be zeros; *done may be 0. */
static int zero_by_entries(struct qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *done)
{
    struct placing p = {
        .claim = {.first = offset >> q->h.cluster_bits, .count = q2_clusters(q, bytes)}};
    int r;

    *done = 0;
    if (!claim_take(q, &p.claim))
        return 0;
    r = with_l2(q, &p, NULL, zero_entries);
    *done = p.claim.count << q->h.cluster_bits;
    *done = *done < bytes ? *done : bytes;
    return r;
}

struct zeroing {
    bool unmap, hint; /* hint: a discard, which may do nothing */
};

/* The same kind of cluster all along, `run->bytes`, whole clusters if `whole`. */
static int zero_run(struct qcow2 *q, const struct q2_run *run, uint64_t offset, bool whole,
                    const struct zeroing *z, uint64_t *done)
{
    bool below = run->type == Q2_TYPE_BELOW && shows_below(q, offset & ~(q->cluster - 1));
    int r;

    *done = run->bytes;
    if (run->type == Q2_TYPE_ZERO || (run->type == Q2_TYPE_BELOW && !below) ||
        (z->hint && (below || !whole)))
        return 0;
    if (run->type == Q2_TYPE_DATA && run->copied) {
        lock_drop(&q->lock);
        r = z->hint ? block_file_punch(&q->image.file, run->host, run->bytes)
                    : block_file_zero(&q->image.file, run->host, run->bytes, z->unmap);
        lock_take(&q->lock);
        return z->hint && r == -EOPNOTSUPP ? 0 : r;
    }
    if (whole && (q->h.version >= 3 || !shows_below(q, offset)))
        return zero_by_entries(q, offset, run->bytes, done);
    if (z->hint)
        return 0;
    *done = run->bytes < ALLOC_MAX ? run->bytes : ALLOC_MAX;
    return write_zeros(q, offset, *done);
}

/* How much from `offset` on can be looked at together: whole clusters (of which the last may be cut
 * by the end of the disk), or a part of one. */
static uint64_t zero_piece(const struct qcow2 *q, uint64_t offset, uint64_t bytes, bool *whole)
{
    uint64_t skip = offset & (q->cluster - 1), left = q->cluster - skip;
    bool last = offset + bytes == block_image_size(&q->image);

    *whole = skip == 0 && (bytes >= q->cluster || last);
    if (!*whole)
        return left < bytes ? left : bytes;
    return last ? bytes : align_down(bytes, q->cluster);
}

static int zero_all(struct qcow2 *q, uint64_t offset, uint64_t bytes, const struct zeroing *z)
{
    struct q2_run run;
    uint64_t done = 0;
    bool whole;
    int r = 0;

    lock_take(&q->lock);
    while (bytes != 0 && r == 0) {
        r = q2_find(q, offset, zero_piece(q, offset, bytes, &whole), &run);
        if (r == 0)
            r = zero_run(q, &run, offset, whole, z, &done);
        if (r < 0)
            break;
        offset += done;
        bytes -= done;
    }
    lock_drop(&q->lock);
    return r;
}

int q2_zero(struct block_image *im, uint64_t offset, uint64_t bytes, bool unmap)
{
    return zero_all(q2_of(im), offset, bytes, &(struct zeroing){.unmap = unmap});
}

int q2_discard(struct block_image *im, uint64_t offset, uint64_t bytes)
{
    return zero_all(q2_of(im), offset, bytes, &(struct zeroing){.unmap = true, .hint = true});
}
