/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where guest clusters are: L1 entries name L2 tables, whose entries name clusters of the file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

static int damaged(const struct qcow2 *q, const char *what)
{
    log_guest("disk '%s' is damaged: %s; see 'doppel image check'", q->image.path, what);
    return -EIO;
}

/* --- what entries mean --- */

static int decode_packed(const struct qcow2 *q, uint64_t entry, struct q2_run *out)
{
    uint64_t index, count;

    q2_entry_clusters(q, entry, &index, &count);
    if (!range_inside(index, count, 1, q->end - 1))
        return damaged(q, "a compressed cluster is not in the file");
    for (uint64_t i = 0; i < count; i++)
        if (q2_meta(q, index + i))
            return damaged(q, "a compressed cluster is where metadata is");
    out->type = Q2_TYPE_PACKED;
    return 0;
}

int q2_decode(const struct qcow2 *q, uint64_t entry, struct q2_run *out)
{
    uint64_t host = entry & Q2_OFFSET;

    *out = (struct q2_run){.type = Q2_TYPE_BELOW, .entry = entry};
    if ((entry & Q2_COMPRESSED) != 0)
        return decode_packed(q, entry, out);
    if ((entry & Q2_RESERVED) != 0 || ((entry & Q2_ZERO) != 0 && q->h.version < 3) ||
        (host & (q->cluster - 1)) != 0)
        return damaged(q, "an entry of an L2 table has bits that cannot be");
    if ((entry & Q2_ZERO) != 0)
        out->type = Q2_TYPE_ZERO;
    if ((entry & Q2_ZERO) != 0 || host == 0)
        return 0;
    if (host >> q->h.cluster_bits >= q->end || q2_meta(q, host >> q->h.cluster_bits))
        return damaged(q, "an entry of an L2 table names a place where no data can be");
    out->type = Q2_TYPE_DATA;
    out->host = host;
    out->copied = (entry & Q2_COPIED) != 0;
    return 0;
}

void q2_entry_clusters(const struct qcow2 *q, uint64_t entry, uint64_t *index, uint64_t *count)
{
    uint64_t host, bytes;

    *index = (entry & Q2_OFFSET) >> q->h.cluster_bits;
    *count = *index != 0;
    if ((entry & Q2_COMPRESSED) == 0)
        return;
    q2_packed_place(q, entry, &host, &bytes);
    *index = host >> q->h.cluster_bits;
    *count = ((host + bytes - 1) >> q->h.cluster_bits) - *index + 1;
}

int q2_entry_drop(struct qcow2 *q, uint64_t entry)
{
    uint64_t index, count;

    q2_entry_clusters(q, entry, &index, &count);
    return q2_drop(q, index, count);
}

/* --- runs --- */

static bool goes_on(const struct qcow2 *q, const struct q2_run *run, const struct q2_run *next,
                    uint64_t clusters)
{
    if (next->type != run->type || run->type == Q2_TYPE_PACKED)
        return false;
    return run->type != Q2_TYPE_DATA || (next->copied == run->copied &&
                                         next->host == run->host + (clusters << q->h.cluster_bits));
}

/* From an entry of a table on; `bytes` is what is wanted from `offset` on. */
static int find_in(const struct qcow2 *q, const struct q2_table *t, uint64_t offset, uint64_t bytes,
                   struct q2_run *out)
{
    uint64_t i = offset >> q->h.cluster_bits & (BIT(q->l2_bits) - 1), n = 1;
    uint64_t skip = offset & (q->cluster - 1), want = q2_clusters(q, skip + bytes);
    struct q2_run next;
    int r = q2_decode(q, q2_entry(t, i), out);

    if (r < 0)
        return r;
    while (n < want && i + n < BIT(q->l2_bits) && q2_decode(q, q2_entry(t, i + n), &next) == 0 &&
           goes_on(q, out, &next, n))
        n++;
    out->bytes = (n << q->h.cluster_bits) - skip;
    out->bytes = out->bytes < bytes ? out->bytes : bytes;
    if (out->type == Q2_TYPE_DATA)
        out->host += skip;
    return 0;
}

static uint64_t l1_index(const struct qcow2 *q, uint64_t offset)
{
    return offset >> (q->h.cluster_bits + q->l2_bits);
}

/* Nothing as far as one L2 table would reach. */
static void find_nothing(const struct qcow2 *q, uint64_t offset, uint64_t bytes, struct q2_run *out)
{
    uint64_t span = BIT(q->h.cluster_bits + q->l2_bits), left = span - (offset & (span - 1));

    *out = (struct q2_run){.type = Q2_TYPE_BELOW, .bytes = left < bytes ? left : bytes};
}

int q2_find(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct q2_run *out)
{
    uint64_t i = l1_index(q, offset);
    struct q2_table *t;
    int r;

    if (q->l1[i] == 0) {
        find_nothing(q, offset, bytes, out);
        return 0;
    }
    r = q2_table_get(q, &q->l2[i], q->l1[i] & Q2_OFFSET, false, &t);
    return r == 0 ? find_in(q, t, offset, bytes, out) : r;
}

bool q2_find_quick(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct q2_run *out)
{
    uint64_t i = l1_index(q, offset);
    struct q2_table *t = q->l2[i];

    if (t == NULL)
        return false;
    t->used = true;
    return find_in(q, t, offset, bytes, out) == 0;
}

/* --- tables that may be changed --- */

int q2_touch(struct qcow2 *q)
{
    int r;

    if (q->broken)
        return -EIO;
    if (q->marked || q->h.version < 3)
        return 0;
    q->h.incompatible |= Q2_INCOMPAT_DIRTY;
    r = q2_header_write(&q->image.file, &q->h);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    q->marked = r == 0;
    return r;
}

/* A new table that takes the place of `old`, which may be NULL. */
static int replace_l2(struct qcow2 *q, uint64_t i, struct q2_table *old, struct q2_table **out)
{
    uint64_t index, got, host = old != NULL ? old->host : 0;
    uint8_t *data = NULL;
    int r;

    if (old != NULL)
        old->pins++;
    r = q2_alloc(q, 1, &index, &got);
    if (old != NULL)
        old->pins--;
    if (r == 0)
        r = q2_meta_mark(q, index, 1, true);
    if (r < 0)
        return r;
    if (old != NULL) {
        data = old->data;
        old->data = NULL;
        q2_table_forget(q, old);
    }
    r = q2_table_get(q, &q->l2[i], index << q->h.cluster_bits, true, out);
    if (r == 0 && data != NULL)
        memcpy((*out)->data, data, q->cluster);
    free(data);
    if (r < 0)
        return r;
    q->l1[i] = index << q->h.cluster_bits | Q2_COPIED;
    q2_range_add(&q->l1_dirty, i);
    return host != 0 ? q2_drop(q, host >> q->h.cluster_bits, 1) : 0;
}

int q2_l2_writable(struct qcow2 *q, uint64_t offset, struct q2_table **out)
{
    uint64_t i = l1_index(q, offset), host = q->l1[i] & Q2_OFFSET, count = 0;
    int r = q2_touch(q);

    if (r < 0)
        return r;
    if (host == 0)
        return replace_l2(q, i, NULL, out);
    r = q2_table_get(q, &q->l2[i], host, false, out);
    if (r < 0 || (q->l1[i] & Q2_COPIED) != 0)
        return r;
    (*out)->pins++;
    r = q2_count_get(q, host >> q->h.cluster_bits, &count);
    (*out)->pins--;
    if (r < 0)
        return r;
    if (count > 1)
        return replace_l2(q, i, *out, out);
    q->l1[i] |= Q2_COPIED;
    q2_range_add(&q->l1_dirty, i);
    return 0;
}
