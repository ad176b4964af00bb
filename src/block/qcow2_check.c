/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks: everything that leads to clusters is walked and counted, and compared with the counts in
 * the image. Repairs make the counts and flags say what was found.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "block/qcow2_internal.h"

#define CLUSTERS_MAX BIT(30) /* of a file that can be checked */

struct check {
    struct qcow2 *q;
    struct qcow2_check *out;
    uint32_t *counts; /* as found, by index below `end` */
    uint64_t end;
    uint8_t *buf; /* a cluster */
    enum qcow2_repair repair;
};

static void say(struct check *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct check *k, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    if (k->out->say == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    k->out->say(k->out->opaque, text);
}

/* --- counting --- */

/* Something uses `bytes` at `host`. Metadata is where nothing else is: false if it is not. */
static bool use(struct check *k, uint64_t host, uint64_t bytes, bool metadata, const char *what)
{
    uint64_t index = host >> k->q->h.cluster_bits;
    uint64_t count = q2_clusters(k->q, (host & (k->q->cluster - 1)) + bytes);
    bool bad =
        !range_inside(index, count, 0, k->end) || (metadata && (host & (k->q->cluster - 1)) != 0);

    for (uint64_t i = 0; i < count && !bad; i++)
        bad = q2_meta(k->q, index + i);
    if (!bad && metadata)
        bad = q2_meta_mark(k->q, index, count, true) < 0;
    if (bad) {
        k->out->corruptions++;
        say(k, "%s at %#llx is where it cannot be", what, (unsigned long long)host);
        return false;
    }
    for (uint64_t i = 0; i < count; i++)
        k->counts[index + i]++;
    return true;
}

static void walk_entry(struct check *k, uint64_t entry)
{
    struct qcow2 *q = k->q;
    uint64_t host = entry & Q2_OFFSET, bytes = q->cluster;

    if ((entry & Q2_COMPRESSED) != 0) {
        q2_packed_place(q, entry, &host, &bytes);
        k->out->packed++;
        k->out->allocated++;
        use(k, host, bytes, false, "a compressed cluster");
        return;
    }
    if ((entry & Q2_RESERVED) != 0 || (host & (q->cluster - 1)) != 0 ||
        ((entry & Q2_ZERO) != 0 && q->h.version < 3)) {
        k->out->corruptions++;
        say(k, "an entry of an L2 table has bits that cannot be: %#llx", (unsigned long long)entry);
        return;
    }
    if (host == 0)
        return;
    k->out->allocated++;
    use(k, host, bytes, false, "a cluster");
}

static int walk_l2(struct check *k, uint64_t host)
{
    int r = block_file_read(&k->q->image.file, k->buf, k->q->cluster, host);

    for (uint64_t i = 0; i < BIT(k->q->l2_bits) && r == 0; i++)
        walk_entry(k, ld_be64(k->buf + i * 8));
    return r;
}

/* L2 tables that several L1 tables share are metadata, too, and counted for each. */
static void use_l2(struct check *k, uint64_t host)
{
    uint64_t index = host >> k->q->h.cluster_bits;

    if (range_inside(index, 1, 1, k->end - 1) && (host & (k->q->cluster - 1)) == 0)
        k->counts[index]++;
    else
        k->out->corruptions++;
    (void)!q2_meta_mark(k->q, index < k->end ? index : 0, 1, true);
}

/* The tables of the active tree first, as none of them may be twice. */
static void use_active_l2(struct check *k)
{
    const struct qcow2 *q = k->q;

    for (uint64_t i = 0; i < q->h.l1_size; i++)
        if ((q->l1[i] & ~(Q2_COPIED | Q2_OFFSET)) != 0) {
            k->out->corruptions++;
            say(k, "an entry of the L1 table has bits that cannot be: %#llx",
                (unsigned long long)q->l1[i]);
        } else if (q->l1[i] != 0) {
            use(k, q->l1[i] & Q2_OFFSET, q->cluster, true, "an L2 table");
        }
}

static int walk_tree(struct check *k, const uint64_t *l1, uint64_t size, bool active)
{
    int r = 0;

    for (uint64_t i = 0; i < size && r == 0; i++) {
        uint64_t host = l1[i] & Q2_OFFSET;

        if (host == 0)
            continue;
        if (!active)
            use_l2(k, host);
        if (host >> k->q->h.cluster_bits < k->end)
            r = walk_l2(k, host);
    }
    return r;
}

static int walk_snapshot(struct check *k, const struct q2_snapshot *s)
{
    uint64_t *l1 = calloc((size_t)s->l1_size + 1, 8);
    int r = l1 == NULL ? -ENOMEM : q2_l1_read(k->q, s->l1_offset, s->l1_size, l1);

    if (r == 0)
        r = walk_tree(k, l1, s->l1_size, false);
    free(l1);
    return r;
}

static void use_fixed(struct check *k)
{
    const struct qcow2 *q = k->q;

    use(k, 0, q->cluster, true, "the header");
    use(k, q->h.l1_offset, (uint64_t)q->h.l1_size * 8, true, "the L1 table");
    use(k, q->h.reftable_offset, (uint64_t)q->h.reftable_clusters << q->h.cluster_bits, true,
        "the table of reference counts");
    if (q->h.snapshot_count != 0)
        use(k, q->h.snapshots_offset, q2_snapshots_bytes(q), true, "the table of snapshots");
    for (uint32_t i = 0; i < q->h.snapshot_count; i++)
        use(k, q->snapshots[i].l1_offset, (uint64_t)q->snapshots[i].l1_size * 8, true,
            "the L1 table of a snapshot");
    for (uint64_t i = 0; i < q->reftable_size; i++)
        if (q->reftable[i] != 0)
            use(k, q->reftable[i], q->cluster, true, "a block of reference counts");
}

static int walk(struct check *k)
{
    struct qcow2_check *out = k->out;
    int r;

    out->clusters = q2_clusters(k->q, k->q->h.size);
    use_fixed(k);
    use_active_l2(k);
    r = walk_tree(k, k->q->l1, k->q->h.l1_size, true);
    uint64_t allocated = out->allocated, packed = out->packed;
    for (uint32_t i = 0; i < k->q->h.snapshot_count && r == 0; i++)
        r = walk_snapshot(k, &k->q->snapshots[i]);
    out->allocated = allocated; /* of the active disk */
    out->packed = packed;
    return r;
}

/* --- comparing --- */

static int repair_count(struct check *k, uint64_t index, uint32_t found)
{
    int r = q2_count_set(k->q, index, found);

    k->out->repaired += r == 0;
    return r;
}

static int compare(struct check *k, uint64_t index, uint64_t count)
{
    uint32_t found = index < k->end ? k->counts[index] : 0;

    if (count == found)
        return 0;
    if (count > found)
        k->out->leaks++;
    else
        k->out->errors++;
    say(k, "cluster %llu: %llu is its count, %u use it", (unsigned long long)index,
        (unsigned long long)count, found);
    if (k->repair == QCOW2_REPAIR_ALL || (k->repair == QCOW2_REPAIR_LEAKS && count > found))
        return repair_count(k, index, found);
    return 0;
}

/* Of one block; where there is none all counts are 0. */
static int compare_block(struct check *k, uint64_t block)
{
    struct qcow2 *q = k->q;
    uint64_t base = block << q->count_bits, n = BIT(q->count_bits);
    bool there = block < q->reftable_size && q->reftable[block] != 0;
    int r = 0;

    if (there)
        r = block_file_read(&q->image.file, k->buf, q->cluster, q->reftable[block]);
    else
        n = base + n < k->end ? n : sat_sub(k->end, base);
    for (uint64_t i = 0; i < n && r == 0; i++)
        r = compare(k, base + i, there ? q2_counts_get(k->buf, q->h.refcount_order, i) : 0);
    return r;
}

static int compare_all(struct check *k)
{
    uint64_t by_file = (k->end >> k->q->count_bits) + 1, blocks = k->q->reftable_size;
    uint64_t size = k->q->reftable_size;
    int r = 0;

    blocks = blocks > by_file ? blocks : by_file;
    for (uint64_t i = 0; i < blocks && r == 0; i++)
        if (i < by_file || (i < size && k->q->reftable[i] != 0))
            r = compare_block(k, i);
    return r;
}

/* --- flags --- */

/* What the count says, not what was found: where both differ that was said already. */
static bool wrong_flag(struct check *k, uint64_t entry)
{
    uint64_t index = (entry & Q2_OFFSET) >> k->q->h.cluster_bits, count = 0;
    bool wrong;

    if ((entry & Q2_COMPRESSED) != 0 || index == 0 || index >= k->end ||
        q2_count_get(k->q, index, &count) < 0)
        return false;
    wrong = ((entry & Q2_COPIED) != 0) != (count == 1);
    if (wrong && (entry & Q2_COPIED) != 0 && k->counts[index] > 1)
        k->out->errors++;
    else if (wrong)
        k->out->flags++;
    if (wrong)
        say(k, "the entry %#llx is wrong about being the only user", (unsigned long long)entry);
    return wrong;
}

static int check_l2_flags(struct check *k, uint64_t l1_index)
{
    struct qcow2 *q = k->q;
    uint64_t host = q->l1[l1_index] & Q2_OFFSET;
    struct q2_table *t;
    int r = q2_table_get(q, &q->l2[l1_index], host, false, &t);

    if (r < 0)
        return r;
    t->pins++;
    for (uint64_t i = 0; i < BIT(q->l2_bits); i++) {
        uint64_t entry = q2_entry(t, i);

        if (!wrong_flag(k, entry) || k->repair == QCOW2_REPAIR_NOTHING)
            continue;
        q2_table_set(q, t, i, entry ^ Q2_COPIED);
        k->out->repaired++;
    }
    t->pins--;
    return 0;
}

static int check_flags(struct check *k)
{
    struct qcow2 *q = k->q;
    int r = 0;

    for (uint64_t i = 0; i < q->h.l1_size && r == 0; i++) {
        uint64_t host = q->l1[i] & Q2_OFFSET;

        if (host == 0 || host >> q->h.cluster_bits >= k->end || (host & (q->cluster - 1)) != 0)
            continue;
        if (wrong_flag(k, q->l1[i]) && k->repair != QCOW2_REPAIR_NOTHING) {
            q->l1[i] ^= Q2_COPIED;
            q2_range_add(&q->l1_dirty, i);
            k->out->repaired++;
        }
        r = check_l2_flags(k, i);
        if (r == 0 && q->dirty_count >= q->table_max)
            r = q2_flush_all(q);
    }
    return r;
}

/* --- the whole --- */

static int run(struct check *k)
{
    enum qcow2_repair repair = k->repair;
    int r = walk(k);

    if (k->out->corruptions != 0) /* what is counted is not all that is needed */
        k->repair = QCOW2_REPAIR_NOTHING;
    if (r == 0)
        r = compare_all(k);
    if (r == 0)
        r = check_flags(k);
    if (r < 0 || k->repair == QCOW2_REPAIR_NOTHING)
        return r;
    if (k->out->repaired != 0)
        r = q2_flush_all(k->q);
    if (r == 0 && repair == QCOW2_REPAIR_ALL) {
        k->q->h.incompatible &= ~(uint64_t)(Q2_INCOMPAT_DIRTY | Q2_INCOMPAT_CORRUPT);
        k->q->h.autoclear = 0;
        r = q2_header_write(&k->q->image.file, &k->q->h);
        k->q->marked = false;
    }
    return r == 0 ? block_file_sync(&k->q->image.file) : r;
}

/* The bits of q->meta serve the check; they are all clear before and after. */
static int check(struct qcow2 *q, enum qcow2_repair repair, struct qcow2_check *out)
{
    struct check k = {.q = q, .out = out, .end = q->end, .repair = repair};
    size_t bytes = (size_t)k.end * sizeof(*k.counts);
    int r;

    if (k.end > CLUSTERS_MAX || k.end == 0)
        return -EFBIG;
    k.buf = malloc(q->cluster);
    k.counts = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    r = k.buf == NULL || k.counts == MAP_FAILED ? -ENOMEM : run(&k);
    if (k.counts != MAP_FAILED)
        munmap(k.counts, bytes);
    free(k.buf);
    if (q->meta != NULL)
        munmap(q->meta, q->meta_words * 8);
    q->meta = NULL;
    q->meta_words = 0;
    return r;
}

int q2_repair(struct qcow2 *q, struct err *e)
{
    struct qcow2_check out = {.say = NULL};
    int r;

    log_info("disk '%s' was not closed: repairing its reference counts", q->image.path);
    lock_take(&q->lock);
    r = check(q, QCOW2_REPAIR_ALL, &out);
    lock_drop(&q->lock);
    if (r == 0 && out.corruptions == 0)
        return 0;
    return err_set(e, r < 0 ? -r : EINVAL,
                   "qcow2 image '%s' was not closed and cannot be repaired: %s; see 'doppel image "
                   "check %s'",
                   q->image.path, r < 0 ? strerror(-r) : "it is damaged", q->image.path);
}

int qcow2_check(const char *path, enum qcow2_repair repair, struct qcow2_check *c, struct err *e)
{
    struct block_image base = {.writable = repair != QCOW2_REPAIR_NOTHING};
    struct qcow2 *q;
    int r = block_file_open(&base.file, path, base.writable, e);

    if (r < 0)
        return r;
    base.path = (char *)(uintptr_t)path;
    r = q2_open_bare(&base, &q, e);
    if (r == 0) {
        lock_take(&q->lock);
        r = check(q, repair, c);
        lock_drop(&q->lock);
        q2_free(q);
        if (r < 0)
            err_set(e, -r, "cannot check '%s': %s", path, strerror(-r));
    }
    block_file_close(&base.file);
    return r;
}
