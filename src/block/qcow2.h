/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be done with a qcow2 image beyond reading and writing it. The image is open for writing,
 * where it is changed, and nobody else uses it.
 */
#ifndef DOPPEL_BLOCK_QCOW2_H
#define DOPPEL_BLOCK_QCOW2_H

#include "block/image.h"

struct qcow2_create {
    uint64_t size;
    unsigned version;      /* 2 or 3 */
    unsigned cluster_bits; /* 9 to 21 */
    unsigned refcount_order;
    bool lazy;
    const char *backing, *backing_format; /* NULL: none; else both */
};

/* Into an empty file. */
int qcow2_create(struct block_file *f, const char *path, const struct qcow2_create *c,
                 struct err *e) MUST_CHECK;

bool qcow2_is(const struct block_image *im);

struct qcow2_info {
    unsigned version, cluster_bits, refcount_bits, snapshot_count;
    bool lazy, dirty, corrupt, zstd;
    const char *backing, *backing_format; /* "": none, not said */
};
void qcow2_info(const struct block_image *im, struct qcow2_info *out);

struct qcow2_snapshot {
    const char *id, *name;
    uint64_t size, vm_state, vm_clock; /* bytes, bytes, ns */
    uint32_t seconds;                  /* when it was made, since 1970 */
};
bool qcow2_snapshot(const struct block_image *im, unsigned i, struct qcow2_snapshot *out);
/* `name`: a name, or an id where no snapshot has that name. */
int qcow2_snapshot_create(struct block_image *im, const char *name, struct err *e) MUST_CHECK;
int qcow2_snapshot_apply(struct block_image *im, const char *name, struct err *e) MUST_CHECK;
int qcow2_snapshot_delete(struct block_image *im, const char *name, struct err *e) MUST_CHECK;

/* Names another backing file, NULL for none, without looking at any content. */
int qcow2_set_backing(struct block_image *im, const char *name, const char *format,
                      struct err *e) MUST_CHECK;
/* Forgets all content: the backing image shows everywhere. No snapshots may be there. */
int qcow2_empty(struct block_image *im, struct err *e) MUST_CHECK;

enum qcow2_repair { QCOW2_REPAIR_NOTHING, QCOW2_REPAIR_LEAKS, QCOW2_REPAIR_ALL };

struct qcow2_check {
    uint64_t leaks;       /* clusters that nothing needs and that are counted */
    uint64_t errors;      /* counts too low, flags that let shared clusters be overwritten */
    uint64_t flags;       /* flags that are wrong and do no harm */
    uint64_t corruptions; /* pointers to where nothing can be, tables that overlap */
    uint64_t clusters, allocated, packed; /* of the disk */
    uint64_t repaired;
    void (*say)(void *opaque, const char *text); /* a line for each; NULL: none */
    void *opaque;
};

/* Looks at everything and repairs what it is told to. The image is opened for this alone: `path`
 * may be one that block_image_open refuses. */
int qcow2_check(const char *path, enum qcow2_repair repair, struct qcow2_check *c,
                struct err *e) MUST_CHECK;

#endif
