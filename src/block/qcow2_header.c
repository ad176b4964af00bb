/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header cluster: fixed fields, extensions, the name of the backing file. All numbers on disk
 * are big-endian.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_internal.h"

enum {
    MAGIC = 0x514649fb,
    V2_LENGTH = 72,
    V3_LENGTH = 104,
    OUR_LENGTH = 112, /* with the kind of compression */
    EXT_END = 0,
    EXT_BACKING_FORMAT = 0xe2792aca,
    EXT_BITMAPS = 0x23852875,
    EXT_CRYPTO = 0x0537be77,
    EXT_DATA_FILE = 0x44415441,
};

static int damaged(const char *path, const char *what, struct err *e)
{
    return err_set(e, EINVAL, "qcow2 image '%s' is damaged: %s", path, what);
}

uint64_t q2_l1_needed(unsigned cluster_bits, uint64_t size)
{
    unsigned bits = 2 * cluster_bits - 3;

    return (size >> bits) + ((size & (BIT(bits) - 1)) != 0);
}

/* --- reading --- */

static void parse_fixed(const uint8_t *p, struct q2_header *h)
{
    h->version = ld_be32(p + 4);
    h->cluster_bits = ld_be32(p + 20);
    h->size = ld_be64(p + 24);
    h->crypt = ld_be32(p + 32);
    h->l1_size = ld_be32(p + 36);
    h->l1_offset = ld_be64(p + 40);
    h->reftable_offset = ld_be64(p + 48);
    h->reftable_clusters = ld_be32(p + 56);
    h->snapshot_count = ld_be32(p + 60);
    h->snapshots_offset = ld_be64(p + 64);
    h->refcount_order = 4;
    h->length = V2_LENGTH;
    if (h->version < 3)
        return;
    h->incompatible = ld_be64(p + 72);
    h->compatible = ld_be64(p + 80);
    h->autoclear = ld_be64(p + 88);
    h->refcount_order = ld_be32(p + 96);
    h->length = ld_be32(p + 100);
    if (h->length > V3_LENGTH)
        h->compression = p[104];
}

static int check_features(const char *path, const struct q2_header *h, struct err *e)
{
    uint64_t unknown = h->incompatible & ~(uint64_t)(Q2_INCOMPAT_DIRTY | Q2_INCOMPAT_CORRUPT |
                                                     Q2_INCOMPAT_COMPRESSION);

    if (h->crypt != 0)
        return err_set(e, ENOTSUP,
                       "qcow2 image '%s' is encrypted, which is not supported; make one that is "
                       "not with qemu-img convert",
                       path);
    if ((h->incompatible & Q2_INCOMPAT_DATA) != 0)
        return err_set(e, ENOTSUP,
                       "qcow2 image '%s' keeps its data in another file, which is not supported; "
                       "make one that does not with qemu-img convert",
                       path);
    if ((h->incompatible & Q2_INCOMPAT_EXT_L2) != 0)
        return err_set(e, ENOTSUP,
                       "qcow2 image '%s' has subclusters (extended L2 entries), which are not "
                       "supported; make one that has none with qemu-img convert",
                       path);
    if (unknown != 0)
        return err_set(e, ENOTSUP, "qcow2 image '%s' uses features that are not known here (%#llx)",
                       path, (unsigned long long)unknown);
    if (h->compression > Q2_ZSTD ||
        (h->compression != Q2_ZLIB) != ((h->incompatible & Q2_INCOMPAT_COMPRESSION) != 0))
        return err_set(e, ENOTSUP, "qcow2 image '%s' has an unknown kind of compression (%u)", path,
                       h->compression);
    return 0;
}

static int check_table(const char *path, const struct q2_header *h, uint64_t offset, uint64_t bytes,
                       uint64_t file_size, const char *what, struct err *e)
{
    if ((offset & (BIT(h->cluster_bits) - 1)) == 0 && offset != 0 &&
        range_inside(offset, bytes, 0, file_size))
        return 0;
    return err_set(e, EINVAL, "qcow2 image '%s' is damaged: its %s is not in the file", path, what);
}

static int check_geometry(const char *path, const struct q2_header *h, struct err *e)
{
    if (h->version < 2 || h->version > 3)
        return err_set(e, ENOTSUP, "qcow2 image '%s' has version %u; 2 and 3 are supported", path,
                       h->version);
    if (h->cluster_bits < 9 || h->cluster_bits > 21)
        return damaged(path, "the size of its clusters is not from 512 bytes to 2 MB", e);
    if (h->refcount_order > 6)
        return damaged(path, "its reference counts have more than 64 bits", e);
    if (h->version == 3 &&
        (h->length < V3_LENGTH || h->length % 8 != 0 || h->length > BIT(h->cluster_bits)))
        return damaged(path, "the length of its header cannot be", e);
    if (h->size > INT64_MAX - BIT(21) || h->size % 512 != 0)
        return damaged(path, "its size is not a number of sectors", e);
    if (h->size == 0)
        return err_set(e, EINVAL, "qcow2 image '%s' is a disk of no bytes; resize it", path);
    if (h->l1_size > Q2_L1_MAX || h->l1_size < q2_l1_needed(h->cluster_bits, h->size))
        return damaged(path, "its L1 table is too large or too small for the disk", e);
    if (h->reftable_clusters == 0 ||
        ((uint64_t)h->reftable_clusters << h->cluster_bits) / 8 > Q2_REFTABLE_MAX)
        return damaged(path, "its table of reference counts has a size that cannot be", e);
    if (h->snapshot_count > Q2_SNAPSHOTS_MAX)
        return damaged(path, "it has too many snapshots", e);
    return 0;
}

static int check_places(const char *path, const struct q2_header *h, uint64_t file_size,
                        struct err *e)
{
    int r = check_table(path, h, h->l1_offset, (uint64_t)h->l1_size * 8, file_size, "L1 table", e);

    if (r == 0)
        r = check_table(path, h, h->reftable_offset,
                        (uint64_t)h->reftable_clusters << h->cluster_bits, file_size,
                        "table of reference counts", e);
    if (r == 0 && h->snapshot_count > 0)
        r = check_table(path, h, h->snapshots_offset, (uint64_t)h->snapshot_count * 40, file_size,
                        "table of snapshots", e);
    return r;
}

static int keep_extension(struct q2_header *h, const uint8_t *p, size_t len)
{
    uint8_t *grown = realloc(h->extra, h->extra_len + len);

    if (grown == NULL)
        return -ENOMEM;
    memcpy(grown + h->extra_len, p, len);
    h->extra = grown;
    h->extra_len += len;
    return 0;
}

static int take_extension(const char *path, struct q2_header *h, const uint8_t *p, uint32_t type,
                          uint32_t len, struct err *e)
{
    switch (type) {
    case EXT_BACKING_FORMAT:
        if (len >= sizeof(h->backing_format))
            return damaged(path, "the format of its backing file is too long a word", e);
        memcpy(h->backing_format, p + 8, len);
        return 0;
    case EXT_BITMAPS:
        h->bitmaps = true;
        break;
    case EXT_CRYPTO:
    case EXT_DATA_FILE:
        return damaged(path, "it has a header extension that does not go with its features", e);
    default:
        break;
    }
    if (keep_extension(h, p, 8 + ((size_t)len + 7) / 8 * 8) < 0)
        return err_set(e, ENOMEM, "no memory for disk '%s'", path);
    return 0;
}

static int read_extensions(const char *path, struct q2_header *h, const uint8_t *p, size_t end,
                           struct err *e)
{
    size_t at = h->length;

    while (at + 8 <= end) {
        uint32_t type = ld_be32(p + at), len = ld_be32(p + at + 4);
        int r;

        if (type == EXT_END)
            return 0;
        if (((uint64_t)len + 7) / 8 * 8 > end - at - 8)
            return damaged(path, "a header extension goes beyond the header", e);
        r = take_extension(path, h, p + at, type, len, e);
        if (r < 0)
            return r;
        at += 8 + ((size_t)len + 7) / 8 * 8;
    }
    return 0;
}

/* The first cluster: extensions up to the backing file's name, which ends it. */
static int read_rest(const char *path, struct q2_header *h, const uint8_t *p, size_t cluster,
                     struct err *e)
{
    uint64_t offset = ld_be64(p + 8);
    uint32_t len = ld_be32(p + 16);
    size_t end = cluster;

    if (offset != 0) {
        if (len > Q2_NAME_MAX || offset < h->length || !range_inside(offset, len, 0, cluster))
            return damaged(path, "the name of its backing file is not in the header", e);
        memcpy(h->backing, p + offset, len);
        if (strlen(h->backing) != len)
            return damaged(path, "the name of its backing file has a byte 0", e);
        end = offset;
    }
    return read_extensions(path, h, p, end, e);
}

static int read_cluster(struct block_file *f, const char *path, struct q2_header *h, struct err *e)
{
    size_t cluster = BIT(h->cluster_bits);
    uint8_t *p = malloc(cluster);
    int r;

    if (p == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", path);
    r = block_file_read(f, p, cluster, 0);
    r = r < 0 ? err_set(e, -r, "cannot read disk '%s': %s", path, strerror(-r))
              : read_rest(path, h, p, cluster, e);
    free(p);
    return r;
}

int q2_header_read(struct block_file *f, const char *path, struct q2_header *h, struct err *e)
{
    uint8_t p[OUR_LENGTH];
    uint64_t size;
    int r = block_file_read(f, p, sizeof(p), 0);

    memset(h, 0, sizeof(*h));
    if (r == 0)
        r = block_file_size(f, &size);
    if (r < 0)
        return err_set(e, -r, "cannot read disk '%s': %s", path, strerror(-r));
    if (ld_be32(p) != MAGIC)
        return err_set(e, EINVAL, "'%s' is not a qcow2 image", path);
    parse_fixed(p, h);
    r = check_geometry(path, h, e);
    if (r == 0)
        r = check_features(path, h, e);
    if (r == 0)
        r = check_places(path, h, size, e);
    if (r == 0)
        r = read_cluster(f, path, h, e);
    if (r < 0)
        q2_header_finish(h);
    return r;
}

void q2_header_finish(struct q2_header *h)
{
    free(h->extra);
    h->extra = NULL;
    h->extra_len = 0;
}

/* --- writing --- */

static size_t length_of(const struct q2_header *h)
{
    return h->version == 2 ? V2_LENGTH : OUR_LENGTH;
}

static void fill_fixed(uint8_t *p, const struct q2_header *h)
{
    st_be32(p, MAGIC);
    st_be32(p + 4, h->version);
    st_be32(p + 20, h->cluster_bits);
    st_be64(p + 24, h->size);
    st_be32(p + 32, h->crypt);
    st_be32(p + 36, h->l1_size);
    st_be64(p + 40, h->l1_offset);
    st_be64(p + 48, h->reftable_offset);
    st_be32(p + 56, h->reftable_clusters);
    st_be32(p + 60, h->snapshot_count);
    st_be64(p + 64, h->snapshots_offset);
    if (h->version < 3)
        return;
    st_be64(p + 72, h->incompatible);
    st_be64(p + 80, h->compatible);
    st_be64(p + 88, h->autoclear);
    st_be32(p + 96, h->refcount_order);
    st_be32(p + 100, OUR_LENGTH);
    p[104] = h->compression;
}

int q2_header_write(struct block_file *f, const struct q2_header *h)
{
    size_t name = strlen(h->backing), format = strlen(h->backing_format), at = length_of(h);
    size_t padded = format != 0 ? 8 + (format + 7) / 8 * 8 : 0;
    size_t total = at + padded + h->extra_len + 8 + name;
    uint8_t *p;
    int r;

    if (total > BIT(h->cluster_bits))
        return -ENAMETOOLONG;
    p = calloc(1, total);
    if (p == NULL)
        return -ENOMEM;
    fill_fixed(p, h);
    if (format != 0) {
        st_be32(p + at, EXT_BACKING_FORMAT);
        st_be32(p + at + 4, (uint32_t)format);
        memcpy(p + at + 8, h->backing_format, format);
    }
    if (h->extra_len != 0)
        memcpy(p + at + padded, h->extra, h->extra_len);
    if (name != 0) {
        st_be64(p + 8, total - name);
        st_be32(p + 16, (uint32_t)name);
        memcpy(p + total - name, h->backing, name);
    }
    r = block_file_write(f, p, total, 0);
    free(p);
    return r;
}
