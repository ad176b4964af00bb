/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Internal snapshots: a table of L1 tables that keep their clusters in use by counts above 1. Each
 * change is made by one write of the header, from which on it is true; what it makes superfluous is
 * given back afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "block/qcow2_internal.h"

enum { ENTRY = 40, EXTRA = 24 }; /* bytes: fixed part, what version 3 adds */

static uint64_t entry_bytes(const struct q2_snapshot *s)
{
    return (ENTRY + s->extra_len + strlen(s->id) + strlen(s->name) + 7) / 8 * 8;
}

uint64_t q2_snapshots_bytes(const struct qcow2 *q)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < q->h.snapshot_count; i++)
        n += entry_bytes(&q->snapshots[i]);
    return n;
}

static void snapshot_finish(struct q2_snapshot *s)
{
    free(s->id);
    free(s->name);
    free(s->extra);
}

void q2_snapshots_finish(struct qcow2 *q)
{
    for (uint32_t i = 0; q->snapshots != NULL && i < q->h.snapshot_count; i++)
        snapshot_finish(&q->snapshots[i]);
    free(q->snapshots);
    q->snapshots = NULL;
}

/* --- reading the table --- */

static char *text(const uint8_t *p, size_t len)
{
    char *s = malloc(len + 1);

    if (s != NULL) {
        memcpy(s, p, len);
        s[len] = '\0';
    }
    return s;
}

/* One entry of `left` bytes at most; *used is what it takes. */
static int parse(const struct qcow2 *q, const uint8_t *p, size_t left, struct q2_snapshot *s,
                 size_t *used)
{
    uint32_t id, name;

    if (left < ENTRY)
        return -EINVAL;
    s->l1_offset = ld_be64(p);
    s->l1_size = ld_be32(p + 8);
    id = ld_be16(p + 12);
    name = ld_be16(p + 14);
    s->seconds = ld_be32(p + 16);
    s->nanoseconds = ld_be32(p + 20);
    s->vm_clock = ld_be64(p + 24);
    s->old_vm_state = ld_be32(p + 32);
    s->extra_len = ld_be32(p + 36);
    if (s->extra_len > 1024 || (uint64_t)ENTRY + s->extra_len + id + name > left)
        return -EINVAL;
    s->extra = (uint8_t *)text(p + ENTRY, s->extra_len);
    s->id = text(p + ENTRY + s->extra_len, id);
    s->name = text(p + ENTRY + s->extra_len + id, name);
    if (s->extra == NULL || s->id == NULL || s->name == NULL)
        return -ENOMEM;
    if (strlen(s->id) != id || strlen(s->name) != name)
        return -EINVAL;
    s->vm_state = s->extra_len >= 8 ? ld_be64(s->extra) : s->old_vm_state;
    s->disk_size = s->extra_len >= 16 ? ld_be64(s->extra + 8) : q->h.size;
    *used = (size_t)entry_bytes(s);
    return *used > left + 7 ? -EINVAL : 0;
}

static int check_snapshot(const struct qcow2 *q, const struct q2_snapshot *s)
{
    uint64_t end = q->end << q->h.cluster_bits;

    if (s->l1_size > Q2_L1_MAX || s->disk_size == 0 || s->disk_size % 512 != 0 ||
        s->disk_size > INT64_MAX - BIT(21) ||
        s->l1_size < q2_l1_needed(q->h.cluster_bits, s->disk_size) ||
        (s->l1_offset & (q->cluster - 1)) != 0 || s->l1_offset == 0 ||
        !range_inside(s->l1_offset, (uint64_t)s->l1_size * 8, 0, end))
        return -EINVAL;
    return 0;
}

static int parse_all(struct qcow2 *q, const uint8_t *p, size_t len)
{
    size_t at = 0, used = 0;
    int r = 0;

    for (uint32_t i = 0; i < q->h.snapshot_count && r == 0; i++) {
        r = at < len ? parse(q, p + at, len - at, &q->snapshots[i], &used) : -EINVAL;
        if (r == 0)
            r = check_snapshot(q, &q->snapshots[i]);
        at += used;
    }
    return r;
}

int q2_snapshots_read(struct qcow2 *q, struct err *e)
{
    uint64_t end = q->end << q->h.cluster_bits, len = sat_sub(end, q->h.snapshots_offset);
    uint8_t *p;
    int r;

    if (q->h.snapshot_count == 0)
        return 0;
    len = len < Q2_SNAPSHOT_TABLE_MAX ? len : Q2_SNAPSHOT_TABLE_MAX;
    q->snapshots = calloc(q->h.snapshot_count, sizeof(*q->snapshots));
    p = malloc(len + 1);
    r = p == NULL || q->snapshots == NULL
            ? -ENOMEM
            : block_file_read(&q->image.file, p, len, q->h.snapshots_offset);
    if (r == 0)
        r = parse_all(q, p, len);
    free(p);
    if (r == -EINVAL)
        return err_set(e, EINVAL, "qcow2 image '%s' is damaged: its table of snapshots cannot be",
                       q->image.path);
    return r < 0 ? err_set(e, -r, "cannot read the snapshots of disk '%s': %s", q->image.path,
                           strerror(-r))
                 : 0;
}

static int load_l1(struct qcow2 *q, const struct q2_snapshot *s, uint64_t **out)
{
    *out = calloc((size_t)s->l1_size + 1, 8);
    return *out == NULL ? -ENOMEM : q2_l1_read(q, s->l1_offset, s->l1_size, *out);
}

int q2_snapshot_note(struct qcow2 *q, const struct q2_snapshot *s, struct err *e)
{
    uint64_t *l1;
    int r = load_l1(q, s, &l1);

    for (uint32_t i = 0; i < s->l1_size && r == 0; i++) {
        uint64_t index = (l1[i] & Q2_OFFSET) >> q->h.cluster_bits;

        if (index >= q->end)
            r = -EINVAL;
        else if (index != 0)
            r = q2_meta_mark(q, index, 1, true);
    }
    free(l1);
    return r < 0 ? err_set(e, -r, "qcow2 image '%s': snapshot '%s' cannot be read: %s",
                           q->image.path, s->name, strerror(-r))
                 : 0;
}

/* --- writing it --- */

static void format(const struct q2_snapshot *s, uint8_t *p)
{
    size_t id = strlen(s->id), name = strlen(s->name);

    st_be64(p, s->l1_offset);
    st_be32(p + 8, s->l1_size);
    st_be16(p + 12, (uint16_t)id);
    st_be16(p + 14, (uint16_t)name);
    st_be32(p + 16, s->seconds);
    st_be32(p + 20, s->nanoseconds);
    st_be64(p + 24, s->vm_clock);
    st_be32(p + 32, s->old_vm_state);
    st_be32(p + 36, s->extra_len);
    memcpy(p + ENTRY, s->extra, s->extra_len);
    memcpy(p + ENTRY + s->extra_len, s->id, id);
    memcpy(p + ENTRY + s->extra_len + id, s->name, name);
}

/* The header names a new table with `count` snapshots; the old table is given back. */
static int write_table(struct qcow2 *q, const struct q2_snapshot *list, uint32_t count)
{
    struct q2_header old = q->h;
    uint64_t bytes = 0, old_clusters = q2_clusters(q, q2_snapshots_bytes(q)), index = 0;
    uint8_t *p;
    int r = q2_touch(q);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < count; i++)
        bytes += entry_bytes(&list[i]);
    if (bytes > Q2_SNAPSHOT_TABLE_MAX)
        return -EFBIG;
    p = calloc(1, bytes + 1);
    if (p == NULL)
        return -ENOMEM;
    for (uint32_t i = 0, at = 0; i < count; at += (uint32_t)entry_bytes(&list[i]), i++)
        format(&list[i], p + at);
    if (bytes != 0)
        r = q2_alloc_run(q, q2_clusters(q, bytes), &index);
    if (r == 0 && bytes != 0)
        r = q2_meta_mark(q, index, q2_clusters(q, bytes), true);
    if (r == 0)
        r = block_file_write(&q->image.file, p, bytes, index << q->h.cluster_bits);
    free(p);
    if (r == 0)
        r = q2_flush_all(q);
    if (r < 0)
        return r;
    q->h.snapshot_count = count;
    q->h.snapshots_offset = index << q->h.cluster_bits;
    r = q2_header_write(&q->image.file, &q->h);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    if (r < 0) {
        q->h.snapshot_count = old.snapshot_count;
        q->h.snapshots_offset = old.snapshots_offset;
        return r;
    }
    return q2_drop(q, old.snapshots_offset >> q->h.cluster_bits, old_clusters);
}

/* --- counts and flags of whole trees --- */

static int cluster_add(struct qcow2 *q, uint64_t index, uint64_t count, int64_t delta)
{
    int r = 0;

    if (count != 0 && !range_inside(index, count, 0, q->end))
        return -EIO;
    for (uint64_t i = 0; i < count && r == 0; i++)
        r = q2_count_add(q, index + i, delta);
    return r;
}

static int table_add(struct qcow2 *q, uint64_t host, uint8_t *buf, int64_t delta)
{
    uint64_t index, count;
    int r = block_file_read(&q->image.file, buf, q->cluster, host);

    for (uint64_t i = 0; i < BIT(q->l2_bits) && r == 0; i++) {
        q2_entry_clusters(q, ld_be64(buf + i * 8), &index, &count);
        r = cluster_add(q, index, count, delta);
    }
    return r == 0 ? cluster_add(q, host >> q->h.cluster_bits, 1, delta) : r;
}

int q2_tree_add(struct qcow2 *q, const uint64_t *l1, uint64_t size, int64_t delta)
{
    uint8_t *buf = malloc(q->cluster);
    int r = buf == NULL ? -ENOMEM : 0;

    for (uint64_t i = 0; i < size && r == 0; i++)
        if ((l1[i] & Q2_OFFSET) != 0)
            r = table_add(q, l1[i] & Q2_OFFSET, buf, delta);
    free(buf);
    return r;
}

static int refresh_table(struct qcow2 *q, struct q2_table *t)
{
    int r = 0;

    for (uint64_t i = 0; i < BIT(q->l2_bits) && r == 0; i++) {
        uint64_t entry = q2_entry(t, i), want = entry & ~Q2_COPIED, count = 0;

        if ((entry & Q2_COMPRESSED) != 0 || (entry & Q2_OFFSET) == 0)
            continue;
        r = q2_count_get(q, (entry & Q2_OFFSET) >> q->h.cluster_bits, &count);
        want |= count == 1 ? Q2_COPIED : 0;
        if (r == 0 && want != entry)
            q2_table_set(q, t, i, want);
    }
    return r;
}

static int refresh_l1(struct qcow2 *q, uint64_t i)
{
    uint64_t host = q->l1[i] & Q2_OFFSET, count = 0, want;
    struct q2_table *t;
    int r = q2_table_get(q, &q->l2[i], host, false, &t);

    if (r < 0)
        return r;
    t->pins++;
    r = refresh_table(q, t);
    t->pins--;
    if (r == 0)
        r = q2_count_get(q, host >> q->h.cluster_bits, &count);
    want = host | (count == 1 ? Q2_COPIED : 0);
    if (r == 0 && want != q->l1[i]) {
        q->l1[i] = want;
        q2_range_add(&q->l1_dirty, i);
    }
    return r;
}

int q2_copied_refresh(struct qcow2 *q)
{
    int r = 0;

    for (uint64_t i = 0; i < q->h.l1_size && r == 0; i++) {
        if ((q->l1[i] & Q2_OFFSET) != 0)
            r = refresh_l1(q, i);
        if (r == 0 && q->dirty_count >= q->table_max)
            r = q2_flush_all(q);
    }
    return r;
}

/* --- what can be done --- */

bool qcow2_snapshot(const struct block_image *im, unsigned i, struct qcow2_snapshot *out)
{
    const struct qcow2 *q = CONTAINER_OF(im, struct qcow2, image);

    if (i >= q->h.snapshot_count)
        return false;
    const struct q2_snapshot *s = &q->snapshots[i];
    *out = (struct qcow2_snapshot){.id = s->id,
                                   .name = s->name,
                                   .size = s->disk_size,
                                   .vm_state = s->vm_state,
                                   .vm_clock = s->vm_clock,
                                   .seconds = s->seconds};
    return true;
}

static struct q2_snapshot *find(struct qcow2 *q, const char *name, bool by_id)
{
    for (uint32_t i = 0; i < q->h.snapshot_count; i++)
        if (strcmp(by_id ? q->snapshots[i].id : q->snapshots[i].name, name) == 0)
            return &q->snapshots[i];
    return by_id ? NULL : find(q, name, true);
}

static int failed(const struct qcow2 *q, int r, const char *what, struct err *e)
{
    return r < 0 ? err_set(e, -r, "cannot %s of '%s': %s", what, q->image.path, strerror(-r)) : 0;
}

static int describe(struct qcow2 *q, const char *name, struct q2_snapshot *s)
{
    unsigned long id = 0;
    struct timespec now;

    for (uint32_t i = 0; i < q->h.snapshot_count; i++) {
        unsigned long n = strtoul(q->snapshots[i].id, NULL, 10);

        id = n > id ? n : id;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    *s = (struct q2_snapshot){.l1_size = q->h.l1_size,
                              .disk_size = q->h.size,
                              .seconds = (uint32_t)now.tv_sec,
                              .nanoseconds = (uint32_t)now.tv_nsec,
                              .extra_len = EXTRA,
                              .extra = calloc(1, EXTRA),
                              .name = strdup(name)};
    if (asprintf(&s->id, "%lu", id + 1) < 0)
        s->id = NULL;
    if (s->id == NULL || s->name == NULL || s->extra == NULL)
        return -ENOMEM;
    st_be64(s->extra + 8, q->h.size);
    st_be64(s->extra + 16, UINT64_MAX); /* no count of instructions */
    return 0;
}

/* Flags follow from counts that are on disk. */
static int write_flags(struct qcow2 *q)
{
    int r = q2_flush_all(q);

    if (r == 0)
        r = q2_copied_refresh(q);
    if (r == 0)
        r = q2_flush_all(q);
    return r;
}

/* Counts first, so that nothing is overwritten that the snapshot needs; then flags, so that nobody
 * tries; then its L1 table. */
static int keep_tree(struct qcow2 *q, struct q2_snapshot *s)
{
    uint64_t clusters = q2_clusters(q, (uint64_t)q->h.l1_size * 8), index = 0;
    int r = q2_flush_all(q);

    if (r == 0)
        r = q2_alloc_run(q, clusters, &index);
    if (r == 0)
        r = q2_meta_mark(q, index, clusters, true);
    if (r == 0)
        r = q2_tree_add(q, q->l1, q->h.l1_size, 1);
    if (r == 0)
        r = write_flags(q);
    s->l1_offset = index << q->h.cluster_bits;
    return r == 0 ? q2_l1_write(q, s->l1_offset, q->h.l1_size, q->l1) : r;
}

static int add_snapshot(struct qcow2 *q, const char *name)
{
    uint32_t n = q->h.snapshot_count;
    struct q2_snapshot *list = calloc((size_t)n + 1, sizeof(*list));
    int r;

    if (list == NULL)
        return -ENOMEM;
    if (n != 0)
        memcpy(list, q->snapshots, n * sizeof(*list));
    r = describe(q, name, &list[n]);
    if (r == 0)
        r = keep_tree(q, &list[n]);
    if (r == 0)
        r = write_table(q, list, n + 1);
    if (r < 0) {
        snapshot_finish(&list[n]);
        free(list);
        return r;
    }
    free(q->snapshots);
    q->snapshots = list;
    return q2_flush_all(q);
}

int qcow2_snapshot_create(struct block_image *im, const char *name, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    int r;

    if (name[0] == '\0' || strlen(name) > 255)
        return err_set(e, EINVAL, "a snapshot's name has 1 to 255 bytes");
    if (find(q, name, false) != NULL)
        return err_set(e, EEXIST, "'%s' has a snapshot '%s' already", im->path, name);
    if (q->h.snapshot_count == Q2_SNAPSHOTS_MAX)
        return err_set(e, ENOSPC, "'%s' has as many snapshots as it can have", im->path);
    lock_take(&q->lock);
    r = add_snapshot(q, name);
    lock_drop(&q->lock);
    return failed(q, r, "make a snapshot", e);
}

static void swap_l1(struct qcow2 *q, uint64_t *l1, uint32_t size, uint64_t index)
{
    for (uint32_t i = 0; i < q->h.l1_size; i++)
        if (q->l2[i] != NULL)
            q2_table_forget(q, q->l2[i]);
    free(q->l1);
    q->l1 = l1;
    q->h.l1_size = size;
    q->h.l1_offset = index << q->h.cluster_bits;
    q->l1_dirty = (struct q2_range){0, 0};
}

/* The header names a copy of the snapshot's L1 table; the old tree is given back. `l1` is taken. */
static int apply_tree(struct qcow2 *q, const struct q2_snapshot *s, uint64_t *l1)
{
    uint64_t clusters = q2_clusters(q, (uint64_t)s->l1_size * 8), index = 0;
    struct q2_table **l2 = calloc(s->l1_size, sizeof(struct q2_table *));
    uint64_t *old = calloc(q->h.l1_size, 8);
    uint64_t old_size = q->h.l1_size, old_index = q->h.l1_offset >> q->h.cluster_bits;
    int r = l2 == NULL || old == NULL ? -ENOMEM : q2_flush_all(q);

    if (r == 0)
        r = q2_alloc_run(q, clusters, &index);
    if (r == 0)
        r = q2_meta_mark(q, index, clusters, true);
    if (r == 0)
        r = q2_tree_add(q, l1, s->l1_size, 1);
    for (uint32_t i = 0; i < s->l1_size; i++)
        l1[i] &= ~Q2_COPIED;
    if (r == 0)
        r = q2_l1_write(q, index << q->h.cluster_bits, s->l1_size, l1);
    if (r == 0)
        r = q2_flush_all(q);
    if (r < 0) {
        free(l2);
        free(old);
        free(l1);
        return r;
    }
    memcpy(old, q->l1, old_size * 8);
    swap_l1(q, l1, s->l1_size, index);
    free(q->l2);
    q->l2 = l2;
    q->h.size = s->disk_size;
    atomic_store(&q->image.size, s->disk_size);
    r = q2_header_write(&q->image.file, &q->h);
    if (r == 0)
        r = block_file_sync(&q->image.file);
    q->broken = r < 0;
    if (r == 0)
        r = q2_tree_add(q, old, old_size, -1);
    if (r == 0)
        r = q2_drop(q, old_index, q2_clusters(q, old_size * 8));
    free(old);
    return r;
}

static struct q2_snapshot *need(struct qcow2 *q, const char *name, struct err *e)
{
    struct q2_snapshot *s = find(q, name, false);

    if (s == NULL)
        err_set(e, ENOENT, "'%s' has no snapshot '%s'", q->image.path, name);
    return s;
}

int qcow2_snapshot_apply(struct block_image *im, const char *name, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    const struct q2_snapshot *s = need(q, name, e);
    uint64_t *l1;
    int r;

    if (s == NULL)
        return -ENOENT;
    lock_take(&q->lock);
    r = load_l1(q, s, &l1);
    if (r == 0)
        r = apply_tree(q, s, l1);
    else
        free(l1);
    if (r == 0)
        r = q2_copied_refresh(q);
    if (r == 0)
        r = q2_flush_all(q);
    lock_drop(&q->lock);
    return failed(q, r, "go back to a snapshot", e);
}

static int remove_snapshot(struct qcow2 *q, struct q2_snapshot *s)
{
    uint32_t i = (uint32_t)(s - q->snapshots), n = q->h.snapshot_count - 1;
    struct q2_snapshot *list = calloc((size_t)n + 1, sizeof(*list)), gone = *s;
    uint64_t *l1 = NULL;
    int r = list == NULL ? -ENOMEM : load_l1(q, s, &l1);

    if (r == 0) {
        memcpy(list, q->snapshots, i * sizeof(*list));
        memcpy(list + i, s + 1, (n - i) * sizeof(*list));
        r = write_table(q, list, n);
    }
    if (r < 0) {
        free(list);
        free(l1);
        return r;
    }
    free(q->snapshots);
    q->snapshots = list;
    r = q2_tree_add(q, l1, gone.l1_size, -1);
    free(l1);
    if (r == 0)
        r = q2_drop(q, gone.l1_offset >> q->h.cluster_bits,
                    q2_clusters(q, (uint64_t)gone.l1_size * 8));
    snapshot_finish(&gone);
    return r;
}

int qcow2_snapshot_delete(struct block_image *im, const char *name, struct err *e)
{
    struct qcow2 *q = q2_of(im);
    struct q2_snapshot *s = need(q, name, e);
    int r;

    if (s == NULL)
        return -ENOENT;
    lock_take(&q->lock);
    r = remove_snapshot(q, s);
    if (r == 0)
        r = write_flags(q);
    lock_drop(&q->lock);
    return failed(q, r, "delete a snapshot", e);
}
