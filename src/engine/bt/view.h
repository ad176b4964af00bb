/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What view.c keeps, and its set-up in view_create.c. */
#ifndef DOPPEL_ENGINE_BT_VIEW_H
#define DOPPEL_ENGINE_BT_VIEW_H

#include "bt_internal.h"
#include "paging.h"

#define HOST_REGIONS 2048u /* of 64 GB in the user half of the host's address space */
enum { HOST_FREE, HOST_FOREIGN, HOST_VIEW };

#define VIEWS 33 /* 0 is the kernel's */
#define VIEW_REGIONS 32
#define LEAVES 16384u
#define LEAF_HASH 16384u
#define NODES (1u << 18)
#define SPACES 256u
#define SITE_HINTS 16384u

/* What was mapped from one table of the guest. */
struct leaf {
    uint64_t key;   /* linear address above the table's part of it */
    uint64_t table; /* guest-physical */
    uint64_t above; /* rights of the entries that lead to it */
    uint32_t hash_next, next;
    uint8_t level; /* 1: 4 KB pages, 2: 2 MB, 3: 1 GB */
    uint8_t view;
    uint64_t mapped[8], writable[8];
    uint64_t pte[512]; /* of those mapped: the entry then */
};

struct view {
    uint8_t index;
    bool used, placed;
    bool stale;      /* compare before use */
    bool not_global; /* holds pages that a CR3 load flushes (kernel) */
    uint16_t space;
    uint16_t pcid;
    unsigned shift; /* regions between linear and host address, modulo 65,536 */
    uint64_t base;  /* host - linear */
    uint16_t region[VIEW_REGIONS], refused[VIEW_REGIONS];
    unsigned n_region, n_refused;
    uint32_t leaves;
    uint32_t dropped, filled; /* since the last tick */
    uint64_t last_tick;
};

/* An address space of the guest, by its CR3. */
struct space {
    uint64_t key;
    uint64_t last_tick, rest_until;
    uint8_t view, ticks, churn, rests;
};

struct rmap_node {
    uint32_t leaf, next;
    uint16_t entry;
};

struct site_hint {
    uint64_t key;
    uint8_t kind;
};

struct views {
    int fd; /* of guest RAM */
    uint8_t user, low_owner;
    bool eager;   /* every address space gets a view at once: for tests */
    uint64_t now; /* ticks */
    uint64_t rights;
    uint32_t maps, max_maps;
    uint32_t free_leaf, free_node; /* lists, 0: empty; then those never used come */
    uint32_t fresh_leaf, fresh_node, free_nodes;
    struct leaf *leaf;
    struct rmap_node *node;
    uint32_t *rmap, *rmap_large;
    struct view view[VIEWS];
    struct space space[SPACES];
    struct site_hint hint[SITE_HINTS];
    uint32_t leaf_hash[LEAF_HASH];
    uint8_t host_use[HOST_REGIONS];
};

#endif
