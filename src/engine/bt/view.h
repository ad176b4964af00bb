/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What view.c keeps, and its set-up in view_create.c. */
#ifndef DOPPEL_ENGINE_BT_VIEW_H
#define DOPPEL_ENGINE_BT_VIEW_H

#include <sys/syscall.h>

#include "bt_internal.h"
#include "cell.h"
#include "paging.h"

#define REGION_SIZE (1ull << REGION_SHIFT)
#define HOST_REGIONS 2048u /* of 64 GB in the user half of the host's address space */
enum { HOST_FREE, HOST_FOREIGN, HOST_VIEW };

#define VIEWS 33 /* 0 is the kernel's */
#define VIEW_REGIONS 160
#define VIEW_REFUSED 32

/* A terabyte of linear addresses, 16 regions. Code may compare with the number of one that is
 * *whole*: all of it belongs to every view that code may run with (bt_view_whole). */
#define CLUSTER_REGIONS 16u
#define CLUSTER_SHIFT (REGION_SHIFT + 4)
#define CLUSTERS (0x10000u / CLUSTER_REGIONS)
#define USER_CLUSTER 0x7fu /* where Linux has stacks, libraries and most of mmap's area */
#define LEAVES 16384u
#define LEAF_HASH 16384u
#define NODES (1u << 18)
#define SPACES 256u
#define SITE_HINTS 65536u

/* What was mapped from one table of the guest. */
struct leaf {
    uint64_t key;   /* linear address above the table's part of it */
    uint64_t table; /* guest-physical */
    uint64_t above; /* rights of the entries that lead to it */
    uint32_t hash_next, next;
    uint8_t level; /* 1: 4 KB pages, 2: 2 MB, 3: 1 GB */
    uint8_t view;
    uint64_t mapped[8], writable[8];
    uint64_t exec[8];  /* in a cell: code may run there */
    uint64_t pte[512]; /* of those mapped: the entry then */
};

#define FAULT_NONE 1ull /* as fault_rip: a fault there is answered by a signal */

struct view {
    uint8_t index;
    struct cell *cell; /* what it maps is there, not in this process; NULL: it is here */
    bool used, placed;
    bool stale;      /* compare before use */
    bool not_global; /* holds pages that a CR3 load flushes (kernel) */
    uint16_t space;
    uint16_t pcid;
    unsigned shift; /* regions between linear and host address, modulo 65,536 */
    uint64_t base;  /* host - linear */
    uint16_t region[VIEW_REGIONS], refused[VIEW_REFUSED];
    unsigned n_region, n_refused;
    uint32_t leaves;
    uint32_t low_waits;      /* accesses that found the window of low addresses taken */
    uint32_t dropped, fresh; /* since the last tick: unmapped; mapped after a fault */
    uint64_t last_tick, tick_tsc;
    uint64_t fault_lin, fault_rip; /* the guest's last page fault, */
    unsigned fault_access;         /* which may be answered when it comes back */
};

/* An address space of the guest, by its CR3. */
struct space {
    uint64_t key;
    uint64_t last_tick, rest_until;
    uint8_t view, ticks, churn, rests;
    uint8_t calm; /* ticks between which it seldom called its kernel */
    uint8_t cell_rests;
    uint64_t cell_until;             /* no cell before that tick */
    uint64_t tick_tsc, tick_returns; /* at the last tick */
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
    uint32_t kernel_maps;          /* of these, the kernel's view's */
    uint8_t *ballast;              /* mappings that can be given up (view_host.c) */
    uint32_t maps, max_maps;       /* at most so many since all were taken away; when they are */
    bool full;                     /* the host refused one, */
    bool kernel_full;              /* and the kernel has rights that it should have lost */
    unsigned n_view;               /* in use, the kernel's included */
    uint32_t free_leaf, free_node; /* lists, 0: empty; then those never used come */
    uint32_t fresh_leaf, fresh_node, free_nodes;
    struct leaf *leaf;
    struct rmap_node *node;
    uint32_t *rmap, *rmap_large;
    uint8_t whole[CLUSTERS / 8]; /* of the kernel's view */
    bool user_whole;             /* USER_CLUSTER is whole in all user views */
    struct cells *cells;         /* NULL: this host has none for us */
    struct view view[VIEWS];
    struct space space[SPACES];
    struct site_hint hint[SITE_HINTS];
    uint32_t leaf_hash[LEAF_HASH];
    uint8_t host_use[HOST_REGIONS];
};

/* A piece of guest RAM: where it is, and its offset in the backing. */
struct piece_of {
    uint64_t gpa, len, backing;
    bool rom;
};

static inline unsigned leaf_shift(unsigned level)
{
    return 12 + 9 * (level - 1);
}

static inline bool bit(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static inline void set_bit(uint64_t *map, unsigned i, bool on)
{
    map[i / 64] = (map[i / 64] & ~(1ull << (i % 64))) | (uint64_t)on << (i % 64);
}

/* A raw call: FS may not be the host's here, and errno is thread-local. */
static inline long sys6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                        uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

static inline uint64_t leaf_lin(const struct leaf *l, unsigned i)
{
    return ((l->key << 9) + i) << leaf_shift(l->level);
}

/* view.c */
uint64_t bt_host_of(const struct bt_ctx *c, const struct view *v, uint64_t lin);
struct leaf *bt_leaf_find(struct views *vs, const struct view *v, unsigned level, uint64_t lin);
void bt_leaf_unhash(struct views *vs, struct leaf *l);
/* Takes entries [first, end) of a leaf away, or the right to write them. */
void bt_restrict_run(struct bt_ctx *c, struct leaf *l, unsigned first, unsigned end, bool drop);
void bt_leaf_drop(struct bt_ctx *c, struct leaf *l);
/* Forgets all mappings of a view; the host's are taken away region by region. */
void bt_view_empty(struct bt_ctx *c, struct view *v);
unsigned bt_table_of(const struct view *v, unsigned r); /* where a region of the view is noted */
void bt_view_moved(struct bt_ctx *c, bool kernel); /* other regions are direct now, or elsewhere */
/* Before a user view is used: gives it USER_CLUSTER. */
bool bt_view_user_cluster(struct bt_ctx *c, struct view *v);
uint64_t bt_entry_gpa(unsigned level, uint64_t e);
/* The first piece of RAM in [gpa, end). */
bool bt_next_piece(const struct translator *en, uint64_t gpa, uint64_t end, struct piece_of *p);
void bt_install(struct bt_ctx *c, const struct view *v, bool on); /* its regions are direct */
/* Changes the rights of a part of what was mapped. Where the host refuses that, for it has as many
 * mappings as it may, bt_view_settle takes those of programs away: before guest code goes on. */
void bt_protect(struct bt_ctx *c, const struct view *v, uint64_t host, uint64_t len, unsigned prot);
void bt_view_settle(struct bt_ctx *c);
struct view *bt_view_now(const struct bt_ctx *c); /* of the privilege level that runs */
/* Maps what lies at `lin` in view v, and what goes on where it ends, for reading, writing or (in a
 * cell) running. Returns what bt_view_fill does. */
int bt_view_fill_at(struct bt_ctx *c, struct view *v, uint64_t lin, unsigned access);

/* cell_run.c. May programs of this guest run in cells now? */
bool bt_cell_possible(struct bt_ctx *c);
/* May code in page rpn, at `lin`, run in a cell? If so it is guarded from now on. */
bool bt_cell_code(struct bt_ctx *c, uint64_t lin, uint32_t rpn);

/* view_host.c. A region of the host's address space becomes the owner's, if nothing is there. */
bool bt_reserve(struct views *vs, unsigned h, unsigned owner);
void bt_release(struct views *vs, unsigned h);
/* No mapping of whole regions can be used any more; the regions stay reserved. */
void bt_unmap_regions(struct views *vs, uint64_t host, uint64_t size);
uint8_t *bt_ballast_create(void); /* NULL: there is no room */
void bt_ballast_destroy(uint8_t *ballast);

#endif
