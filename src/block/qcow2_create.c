/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New images: header, table of reference counts, its blocks, L1 table, in this order. The table of
 * counts has room for all of the disk, so that it need not grow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2_internal.h"

struct plan {
    struct q2_header h;
    uint64_t cluster, per_block;
    uint64_t l1_clusters, table_clusters, blocks; /* blocks: for what is there at the beginning */
};

static uint64_t divide(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Clusters that the full image has, roughly: data, L2 tables, counts and some. */
static uint64_t most_clusters(const struct plan *p, uint64_t size)
{
    uint64_t data = divide(size, p->cluster), l2 = divide(data, p->cluster / 8);
    uint64_t n = data + l2 + p->l1_clusters + 16;

    return n + divide(n, p->per_block) * 2;
}

static int plan(struct plan *p, const char *path, const struct qcow2_create *c, struct err *e)
{
    uint64_t entries, used = 0;

    *p = (struct plan){.h = {.version = c->version,
                             .cluster_bits = c->cluster_bits,
                             .size = c->size,
                             .refcount_order = c->version < 3 ? 4 : c->refcount_order,
                             .compatible = c->lazy ? Q2_COMPAT_LAZY : 0}};
    if (c->version < 2 || c->version > 3 || c->cluster_bits < 9 || c->cluster_bits > 21 ||
        c->refcount_order > 6 || (c->lazy && c->version < 3))
        return err_set(e, EINVAL, "a qcow2 image cannot be like this");
    if (c->size == 0 || c->size % 512 != 0 || c->size > INT64_MAX - BIT(21) ||
        q2_l1_needed(c->cluster_bits, c->size) > Q2_L1_MAX)
        return err_set(e, EFBIG,
                       "'%s' cannot have %llu bytes: a multiple of 512, not 0, and not too many "
                       "for the size of the clusters",
                       path, (unsigned long long)c->size);
    p->cluster = BIT(c->cluster_bits);
    p->per_block = p->cluster * 8 >> p->h.refcount_order;
    p->h.l1_size = (uint32_t)q2_l1_needed(c->cluster_bits, c->size);
    p->l1_clusters = divide((uint64_t)p->h.l1_size * 8, p->cluster);
    entries = divide(most_clusters(p, c->size), p->per_block);
    entries = entries < Q2_REFTABLE_MAX ? entries : Q2_REFTABLE_MAX;
    p->table_clusters = divide(entries * 8, p->cluster);
    do
        used = 1 + p->table_clusters + p->blocks + p->l1_clusters;
    while (p->blocks * p->per_block < used && ++p->blocks != 0);
    return 0;
}

static int write_counts(struct block_file *f, const struct plan *p, uint64_t used)
{
    unsigned order = p->h.refcount_order;
    uint64_t *table = calloc(1, p->table_clusters * p->cluster);
    uint8_t *block = malloc(p->cluster);
    int r = table == NULL || block == NULL ? -ENOMEM : 0;

    for (uint64_t b = 0; b < p->blocks && r == 0; b++) {
        uint64_t host = (1 + p->table_clusters + b) * p->cluster;

        memset(block, 0, p->cluster);
        for (uint64_t i = 0; i < p->per_block && b * p->per_block + i < used; i++)
            q2_counts_put(block, order, i, 1);
        table[b] = htobe64(host);
        r = block_file_write(f, block, p->cluster, host);
    }
    if (r == 0)
        r = block_file_write(f, table, p->table_clusters * p->cluster, p->cluster);
    free(table);
    free(block);
    return r;
}

static int write_all(struct block_file *f, struct plan *p)
{
    uint64_t l1 = 1 + p->table_clusters + p->blocks, used = l1 + p->l1_clusters;
    int r = write_counts(f, p, used);

    p->h.reftable_offset = p->cluster;
    p->h.reftable_clusters = (uint32_t)p->table_clusters;
    p->h.l1_offset = l1 * p->cluster;
    if (r == 0)
        r = block_file_zero(f, p->h.l1_offset, p->l1_clusters * p->cluster, true);
    if (r == 0 && f->regular)
        r = block_file_truncate(f, used * p->cluster);
    if (r == 0)
        r = block_file_sync(f);
    if (r == 0)
        r = q2_header_write(f, &p->h);
    return r == 0 ? block_file_sync(f) : r;
}

int qcow2_create(struct block_file *f, const char *path, const struct qcow2_create *c,
                 struct err *e)
{
    struct plan p;
    int r = plan(&p, path, c, e);

    if (r < 0)
        return r;
    if (c->backing != NULL) {
        if (strlen(c->backing) > Q2_NAME_MAX || c->backing_format == NULL ||
            strlen(c->backing_format) >= sizeof(p.h.backing_format))
            return err_set(e, ENAMETOOLONG, "the name of the backing file is too long");
        memcpy(p.h.backing, c->backing, strlen(c->backing));
        memcpy(p.h.backing_format, c->backing_format, strlen(c->backing_format));
    }
    r = write_all(f, &p);
    return r < 0 ? err_set(e, -r, "cannot write image '%s': %s", path, strerror(-r)) : 0;
}
