/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2, versions 2 and 3. docs/BLOCK.md has the design; the format is in QEMU's
 * docs/interop/qcow2.
 *
 *   qcow2_header.c    the header cluster         qcow2_io.c        reads, writes, zeros
 *   qcow2_table.c     tables in memory, flush    qcow2_snapshot.c  internal snapshots
 *   qcow2_refcount.c  counts, allocation         qcow2_check.c     checks and repairs
 *   qcow2_map.c       where guest clusters are   qcow2_change.c    size, backing file, emptying
 *   qcow2_packed.c    compressed clusters        qcow2.c           open, close, operations
 *   qcow2_create.c    new images
 *
 * "Guest" offsets are those of the disk, "host" offsets those of the file; "index" counts clusters
 * of the file. One lock for all metadata; data moves without it.
 *
 * The order on disk, which makes an image whole at any moment:
 *
 *   data, counts that grow -> sync -> table of counts -> sync -> L2 -> sync -> L1 -> sync
 *   -> counts that shrink
 */
#ifndef DOPPEL_BLOCK_QCOW2_INTERNAL_H
#define DOPPEL_BLOCK_QCOW2_INTERNAL_H

#include <endian.h>
#include <pthread.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/list.h"
#include "base/lock.h"
#include "block/image_internal.h"
#include "block/qcow2.h"

/* Limits on what an image may ask of memory. */
#define Q2_L1_MAX ((32u << 20) / 8)      /* entries */
#define Q2_REFTABLE_MAX ((8u << 20) / 8) /* entries */
#define Q2_SNAPSHOTS_MAX 65536u
#define Q2_SNAPSHOT_TABLE_MAX (16u << 20) /* bytes */
#define Q2_NAME_MAX 1023u
#define Q2_CACHE_BYTES (32u << 20) /* of tables */

#define Q2_COPIED BIT(63)
#define Q2_COMPRESSED BIT(62)
#define Q2_ZERO BIT(0)
#define Q2_OFFSET UINT64_C(0x00fffffffffffe00)
#define Q2_RESERVED (~(Q2_COPIED | Q2_COMPRESSED | Q2_ZERO | Q2_OFFSET))

enum { Q2_INCOMPAT_DIRTY = 1, Q2_INCOMPAT_CORRUPT = 2, Q2_INCOMPAT_DATA = 4 };
enum { Q2_INCOMPAT_COMPRESSION = 8, Q2_INCOMPAT_EXT_L2 = 16 };
enum { Q2_COMPAT_LAZY = 1 };
enum { Q2_ZLIB = 0, Q2_ZSTD = 1 };

struct q2_header {
    uint32_t version, cluster_bits, l1_size, reftable_clusters, snapshot_count;
    uint64_t size, l1_offset, reftable_offset, snapshots_offset;
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order, length, crypt;
    uint8_t compression;
    char backing[Q2_NAME_MAX + 1], backing_format[32]; /* "": none, not said */
    bool bitmaps;
    uint8_t *extra; /* other extensions as they were found, and their length */
    size_t extra_len;
};

/* A cluster with an L2 table or with counts, as it is on disk. */
struct q2_table {
    uint64_t host;
    struct q2_table **slot; /* what points to it */
    uint8_t *data;
    uint32_t lo, hi; /* bytes that differ from the disk; lo >= hi: none */
    unsigned pins;   /* it stays in memory */
    bool used;       /* since the clock hand passed */
    struct list link;
};

/* Guest clusters that a thread is giving a place. */
struct q2_claim {
    uint64_t first, count;
    struct q2_claim *next;
};

/* A count that shrinks once nothing on disk needs it any more. */
struct q2_drop {
    uint64_t index, count;
};

struct q2_range {
    uint64_t lo, hi; /* entries that differ from the disk */
};

struct q2_snapshot {
    uint64_t l1_offset, vm_clock, vm_state, disk_size;
    uint32_t l1_size, seconds, nanoseconds, old_vm_state, extra_len;
    char *id, *name;
    uint8_t *extra;
};

struct qcow2 {
    struct block_image image;
    struct q2_header h;
    uint64_t cluster;               /* bytes */
    unsigned l2_bits, count_bits;   /* log2 of the entries of an L2 table, of a block of counts */
    struct q2_snapshot *snapshots;  /* h.snapshot_count */
    struct lock lock;               /* all below */
    pthread_cond_t changed;         /* claims, flushing, packed_reads */
    uint64_t *l1, *reftable;        /* host byte order */
    struct q2_table **l2, **counts; /* in memory or NULL; by L1 and reftable entry */
    uint64_t reftable_size;         /* entries */
    struct q2_range l1_dirty, reftable_dirty;
    struct list tables; /* all in memory; the clock hand is at its head */
    unsigned table_count, table_max, dirty_count, dirty_counts; /* the latter: of counts only */
    uint64_t hint;  /* index from which to look for free clusters */
    uint64_t end;   /* index behind all that was ever used */
    uint64_t *meta; /* a bit for each index: metadata */
    uint64_t meta_words;
    struct q2_claim *claims;
    struct q2_drop *drops;
    size_t drop_count, drop_max;
    unsigned packed_reads;
    bool flushing, marked, broken; /* marked: the dirty bit is on disk */
};

static inline struct qcow2 *q2_of(struct block_image *im)
{
    return CONTAINER_OF(im, struct qcow2, image);
}

static inline uint64_t q2_entry(const struct q2_table *t, uint64_t i)
{
    uint64_t v;

    memcpy(&v, t->data + i * 8, 8);
    return be64toh(v);
}

static inline uint64_t q2_clusters(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->h.cluster_bits) + ((bytes & (q->cluster - 1)) != 0);
}

/* All that follows: 0 or -errno; with the lock held unless noted. -EIO with a log line: the image
 * is damaged. */

/* --- qcow2_header.c --- */
int q2_header_read(struct block_file *f, const char *path, struct q2_header *h,
                   struct err *e) MUST_CHECK;
void q2_header_finish(struct q2_header *h);
/* One write of the header's cluster. */
int q2_header_write(struct block_file *f, const struct q2_header *h) MUST_CHECK;
uint64_t q2_l1_needed(unsigned cluster_bits, uint64_t size); /* entries */

/* --- qcow2_table.c --- */
/* The table at `host` that *slot is to point to; `fresh`: it is new, all zeros, nothing to read. */
int q2_table_get(struct qcow2 *q, struct q2_table **slot, uint64_t host, bool fresh,
                 struct q2_table **out) MUST_CHECK;
void q2_table_set(struct qcow2 *q, struct q2_table *t, uint64_t i, uint64_t entry);
void q2_table_dirty(struct qcow2 *q, struct q2_table *t, uint32_t lo, uint32_t hi);
void q2_table_forget(struct qcow2 *q, struct q2_table *t);
void q2_range_add(struct q2_range *r, uint64_t i);
bool q2_clean(const struct qcow2 *q); /* nothing of the mapping waits to be written */
/* Writes all metadata in order and makes it durable. */
int q2_flush(struct qcow2 *q) MUST_CHECK;
/* All there is, lazy counts and counts that shrink included. */
int q2_flush_all(struct qcow2 *q) MUST_CHECK;
/* Counts that may shrink: queued, applied by q2_flush when the tables that needed them are gone. */
int q2_drop(struct qcow2 *q, uint64_t index, uint64_t count) MUST_CHECK;
/* Metadata at this place, or no longer. */
int q2_meta_mark(struct qcow2 *q, uint64_t index, uint64_t count, bool is) MUST_CHECK;
bool q2_meta(const struct qcow2 *q, uint64_t index);

/* --- qcow2_refcount.c --- */
int q2_count_get(struct qcow2 *q, uint64_t index, uint64_t *out) MUST_CHECK;
int q2_count_set(struct qcow2 *q, uint64_t index, uint64_t value) MUST_CHECK;
int q2_count_add(struct qcow2 *q, uint64_t index, int64_t delta) MUST_CHECK;
/* Up to `want` free clusters in a row get the count 1; *got >= 1. */
int q2_alloc(struct qcow2 *q, uint64_t want, uint64_t *index, uint64_t *got) MUST_CHECK;
int q2_alloc_run(struct qcow2 *q, uint64_t count, uint64_t *index) MUST_CHECK; /* all in a row */
uint64_t q2_counts_get(const uint8_t *block, unsigned order, uint64_t i);
void q2_counts_put(uint8_t *block, unsigned order, uint64_t i, uint64_t value);

/* --- qcow2_map.c --- */
enum q2_type { Q2_TYPE_BELOW, Q2_TYPE_ZERO, Q2_TYPE_DATA, Q2_TYPE_PACKED };

struct q2_run {
    enum q2_type type;
    bool copied;          /* DATA: it is this disk's alone and may be overwritten */
    uint64_t host, bytes; /* DATA: of the first byte */
    uint64_t entry;       /* of the first cluster */
};

/* What one L2 entry means. -EIO: nothing that can be. */
int q2_decode(const struct qcow2 *q, uint64_t entry, struct q2_run *out) MUST_CHECK;
/* From `offset` on as far as it is alike, at most `bytes`, never 0. */
int q2_find(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct q2_run *out) MUST_CHECK;
/* The same without waiting, if what it needs is in memory: false if not. */
bool q2_find_quick(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct q2_run *out);
/* The L2 table of a guest offset that may be changed, made or copied if need be. */
int q2_l2_writable(struct qcow2 *q, uint64_t offset, struct q2_table **out) MUST_CHECK;
/* The clusters that an entry keeps in use: *count may be 0. */
void q2_entry_clusters(const struct qcow2 *q, uint64_t entry, uint64_t *index, uint64_t *count);
int q2_entry_drop(struct qcow2 *q, uint64_t entry) MUST_CHECK;
/* Before the first change: the dirty bit. */
int q2_touch(struct qcow2 *q) MUST_CHECK;

/* --- qcow2_io.c, without the lock --- */
int q2_read(struct block_image *im, struct block_cursor *c, uint64_t bytes,
            uint64_t offset) MUST_CHECK;
int q2_write(struct block_image *im, struct block_cursor *c, uint64_t bytes, uint64_t offset,
             int flags) MUST_CHECK;
int q2_zero(struct block_image *im, uint64_t offset, uint64_t bytes, bool unmap) MUST_CHECK;
int q2_discard(struct block_image *im, uint64_t offset, uint64_t bytes) MUST_CHECK;

/* --- qcow2_packed.c, without the lock --- */
/* The cluster of a compressed entry, unpacked. */
int q2_unpack(struct qcow2 *q, uint64_t entry, uint8_t *out) MUST_CHECK;
/* Where its bytes are: the last sector may be cut by the end of the file. */
void q2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *host, uint64_t *bytes);

/* --- qcow2_snapshot.c --- */
int q2_snapshots_read(struct qcow2 *q, struct err *e) MUST_CHECK;
void q2_snapshots_finish(struct qcow2 *q);
uint64_t q2_snapshots_bytes(const struct qcow2 *q); /* of their table */
/* Marks the L2 tables of a snapshot as metadata. */
int q2_snapshot_note(struct qcow2 *q, const struct q2_snapshot *s, struct err *e) MUST_CHECK;
/* Adds `delta` to the counts of all that an L1 table leads to. */
int q2_tree_add(struct qcow2 *q, const uint64_t *l1, uint64_t size, int64_t delta) MUST_CHECK;
/* Makes the flags of the active tables say what the counts say. */
int q2_copied_refresh(struct qcow2 *q) MUST_CHECK;
int q2_l1_read(struct qcow2 *q, uint64_t host, uint64_t size, uint64_t *l1) MUST_CHECK;
int q2_l1_write(struct qcow2 *q, uint64_t host, uint64_t size, const uint64_t *l1) MUST_CHECK;

/* --- qcow2_check.c, no lock needed --- */
/* Of an image that was just opened, before anybody uses it: counts and flags are made right. */
int q2_repair(struct qcow2 *q, struct err *e) MUST_CHECK;

/* --- qcow2_change.c --- */
int q2_resize(struct block_image *im, uint64_t size, bool shrink, struct err *e) MUST_CHECK;

/* --- qcow2.c --- */
/* As block_qcow2_open, without looking at backing files, at the dirty bit or at overlaps. */
int q2_open_bare(const struct block_image *base, struct qcow2 **out, struct err *e) MUST_CHECK;
void q2_free(struct qcow2 *q); /* writes nothing; the file and the path stay the caller's */

#endif
