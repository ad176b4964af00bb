/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views: guest linear memory mapped into the host's address space, so that the host's MMU does the
 * guest's accesses (xdirect.c).
 *
 * A view is what one privilege level of one address space sees: linear address + base = host
 * address. It is built of regions of 64 GB; a region that holds nothing but guest memory is
 * direct. Pages are mapped when they are touched (SIGSEGV, bt_view_fill) with the rights that the
 * guest's tables give now.
 *
 * Invariants:
 * 1 A direct region and its two neighbours are reserved for the view: they hold mappings of the
 *   view, or nothing that may be accessed. The neighbours of a region are guards.
 * 2 What a view maps was made from table entries that the view remembers (struct leaf). A flush
 *   compares them with the guest's tables and takes away what is not so any more; what the guest
 *   has not flushed may stay, as in a TLB.
 * 3 A page is mapped writable only while its entry has D set and the page holds no translated code.
 * 4 The kernel's view is for CPL 0 under SMAP with AC clear only, so that it has no user pages.
 */
#include <errno.h>
#include <linux/mman.h>
#include <sys/syscall.h>

#include "codewrite.h"
#include "pkeys.h"
#include "smp.h"
#include "view.h"

/* ---- host address space ---------------------------------------------------------------------- */

/* Could region r of the view lie at its place with this shift? */
static bool fits(const struct views *vs, const struct view *v, unsigned r, unsigned shift)
{
    unsigned h = (r + shift) & 0xffff;

    if (h < 2 || h > HOST_REGIONS - 3)
        return false;
    for (unsigned k = h - 1; k <= h + 1; k++)
        if (vs->host_use[k] != HOST_FREE && vs->host_use[k] != HOST_VIEW + v->index)
            return false;
    return true;
}

static bool take(struct views *vs, struct view *v, unsigned r)
{
    unsigned h = (r + v->shift) & 0xffff;

    for (unsigned k = h - 1; k <= h + 1; k++)
        if (vs->host_use[k] == HOST_FREE && !bt_reserve(vs, k, HOST_VIEW + v->index))
            return false;
    return true;
}

uint64_t bt_host_of(const struct bt_ctx *c, const struct view *v, uint64_t lin)
{
    if (v->cell != NULL)
        return lin;
    if (v->index != 0 && lin < LOW_SIZE)
        return (uint64_t)c + LOW_WINDOW + lin;
    return lin + v->base;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static uint32_t leaf_hash(const struct view *v, unsigned level, uint64_t key)
{
    uint64_t h = (key * 8 + level) * 64 + v->index;
    return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 40) & (LEAF_HASH - 1);
}

struct leaf *bt_leaf_find(struct views *vs, const struct view *v, unsigned level, uint64_t lin)
{
    uint64_t key = lin >> (leaf_shift(level) + 9);

    for (uint32_t i = vs->leaf_hash[leaf_hash(v, level, key)]; i != 0; i = vs->leaf[i].hash_next) {
        struct leaf *l = &vs->leaf[i];
        if (l->view == v->index && l->level == level && l->key == key)
            return l;
    }
    return NULL;
}

static struct leaf *leaf_new(struct views *vs, struct view *v, unsigned level, uint64_t lin)
{
    uint64_t key = lin >> (leaf_shift(level) + 9);
    uint32_t i = vs->free_leaf, *head = &vs->leaf_hash[leaf_hash(v, level, key)];

    if (i == 0 && vs->fresh_leaf == LEAVES)
        return NULL;
    if (i == 0)
        i = vs->fresh_leaf++;
    else
        vs->free_leaf = vs->leaf[i].next;
    struct leaf *l = &vs->leaf[i];
    l->key = key;
    l->level = (uint8_t)level;
    l->view = v->index;
    l->hash_next = *head;
    *head = i;
    l->next = v->leaves;
    v->leaves = i;
    for (unsigned k = 0; k < 8; k++)
        l->mapped[k] = l->writable[k] = l->exec[k] = 0;
    return l;
}

void bt_leaf_unhash(struct views *vs, struct leaf *l)
{
    uint32_t *p = &vs->leaf_hash[leaf_hash(&vs->view[l->view], l->level, l->key)];

    while (&vs->leaf[*p] != l)
        p = &vs->leaf[*p].hash_next;
    *p = l->hash_next;
}

/* ---- where a page is mapped writable --------------------------------------------------------- */

/* Chains of nodes by page of the backing, and by 2 MB of it for large pages. */
static uint32_t *rmap_head(struct views *vs, unsigned level, uint32_t rpn)
{
    return level == 1 ? &vs->rmap[rpn] : &vs->rmap_large[rpn >> 9];
}

static void rmap_add(struct views *vs, const struct leaf *l, unsigned i, uint32_t rpn)
{
    uint32_t n = vs->free_node, *head = rmap_head(vs, l->level, rpn);

    if (n == 0)
        n = vs->fresh_node++;
    else
        vs->free_node = vs->node[n].next;
    vs->free_nodes--;
    vs->node[n].leaf = (uint32_t)(l - vs->leaf);
    vs->node[n].entry = (uint16_t)i;
    vs->node[n].next = *head;
    *head = n;
}

static void rmap_remove(struct views *vs, const struct leaf *l, unsigned i, uint32_t rpn)
{
    uint32_t *p = rmap_head(vs, l->level, rpn), leaf = (uint32_t)(l - vs->leaf);

    for (; *p != 0; p = &vs->node[*p].next) {
        struct rmap_node *n = &vs->node[*p];
        if (n->leaf != leaf || n->entry != i)
            continue;
        uint32_t k = *p;
        *p = n->next;
        n->next = vs->free_node;
        vs->free_node = k;
        vs->free_nodes++;
        return;
    }
}

bool bt_next_piece(const struct translator *en, uint64_t gpa, uint64_t end, struct piece_of *p)
{
    const struct ram_region *best = NULL;

    for (unsigned i = 0; i < en->n_region; i++) {
        const struct ram_region *r = &en->region[i];
        if (!r->absent && r->base + r->size > gpa && r->base < end &&
            (best == NULL || r->base < best->base))
            best = r;
    }
    if (best == NULL || gpa >= end)
        return false;
    p->gpa = best->base > gpa ? best->base : gpa;
    uint64_t stop = best->base + best->size < end ? best->base + best->size : end;
    p->len = stop - p->gpa;
    p->backing = best->offset + (p->gpa - best->base);
    p->rom = best->readonly;
    return true;
}

uint64_t bt_entry_gpa(unsigned level, uint64_t e)
{
    uint64_t mask = (1ull << leaf_shift(level)) - 1;
    return e & 0x000ffffffffff000ull & ~mask;
}

static void rmap_update(struct translator *en, const struct leaf *l, unsigned i, bool add)
{
    struct views *vs = en->views;
    uint64_t gpa = bt_entry_gpa(l->level, l->pte[i]), end = gpa + (1ull << leaf_shift(l->level));
    struct piece_of p;

    for (; bt_next_piece(en, gpa, end, &p); gpa = p.gpa + p.len) {
        if (p.rom)
            continue;
        uint64_t step = l->level == 1 ? BT_PAGE_SIZE : 2u << 20;
        for (uint64_t o = p.backing & ~(step - 1); o < p.backing + p.len; o += step)
            if (add)
                rmap_add(vs, l, i, (uint32_t)(o >> 12));
            else
                rmap_remove(vs, l, i, (uint32_t)(o >> 12));
    }
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* n mappings more, at most. */
static void count_maps(struct views *vs, const struct view *v, unsigned n)
{
    vs->maps += n;
    if (v->index == 0)
        vs->kernel_maps += n;
}

void bt_protect(struct bt_ctx *c, const struct view *v, uint64_t host, uint64_t len, unsigned prot)
{
    struct views *vs = c->v->en->views;

    if (v->cell != NULL) {
        bt_cell_protect(v->cell, host, len, prot);
        return;
    }
    count_maps(vs, v, 2); /* it may become three */
    if (sys6(SYS_mprotect, host, len, prot, 0, 0, 0) != 0)
        vs->full = true;
}

/* Pages with code in a piece that was mapped writable. */
static void protect_code(struct bt_ctx *c, const struct view *v, uint64_t host,
                         const struct piece_of *p)
{
    const struct translator *en = c->v->en;
    uint32_t first = (uint32_t)(p->backing >> 12), n = (uint32_t)(p->len >> 12), k = 0;

    while (k < n) {
        if (!bt_guarded(en, first + k)) {
            k++;
            continue;
        }
        uint32_t s = k;
        while (k < n && bt_guarded(en, first + k))
            k++;
        bt_protect(c, v, host + (uint64_t)s * BT_PAGE_SIZE, (uint64_t)(k - s) * BT_PAGE_SIZE,
                   PROT_READ);
    }
}

/* Maps `len` bytes of guest-physical memory at linear address `lin`. */
static bool map_range(struct bt_ctx *c, const struct view *v, uint64_t lin, uint64_t gpa,
                      uint64_t len, bool write, bool exec)
{
    struct translator *en = c->v->en;
    uint64_t end = gpa + len, start = gpa;
    struct piece_of p;

    for (; bt_next_piece(en, gpa, end, &p); gpa = p.gpa + p.len) {
        uint64_t host = bt_host_of(c, v, lin + (p.gpa - start));
        bool w = write && !p.rom;
        unsigned prot = PROT_READ | (w ? PROT_WRITE : 0) | (exec ? PROT_EXEC : 0);
        if (v->cell != NULL) {
            bt_cell_map(en->views->cells, v->cell, host, p.len, prot, p.backing);
        } else {
            long r = sys6(SYS_mmap, host, p.len, prot, MAP_SHARED | MAP_FIXED,
                          (uint64_t)en->views->fd, p.backing);
            if (r < 0 && r > -4096)
                return false;
            count_maps(en->views, v, 1);
        }
        if (w) /* others may guard a page meanwhile */
            protect_code(c, v, host, &p);
        en->views->kernel_full |= en->views->full && v->index == 0;
    }
    return true;
}

/* Takes entries [first, end) of a leaf away, or the right to write them. */
void bt_restrict_run(struct bt_ctx *c, struct leaf *l, unsigned first, unsigned end, bool drop)
{
    struct translator *en = c->v->en;
    struct view *v = &en->views->view[l->view];
    uint64_t size = 1ull << leaf_shift(l->level);

    bt_protect(c, v, bt_host_of(c, v, leaf_lin(l, first)), (end - first) * size,
               drop ? PROT_NONE : PROT_READ);
    en->views->kernel_full |= en->views->full && v->index == 0;
    for (unsigned i = first; i < end; i++) {
        if (bit(l->writable, i))
            rmap_update(en, l, i, false);
        set_bit(l->writable, i, false);
        set_bit(l->exec, i, false);
        if (drop)
            set_bit(l->mapped, i, false);
    }
    if (drop) {
        en->stat.view_drop += end - first;
        v->dropped += end - first;
    }
}

void bt_leaf_drop(struct bt_ctx *c, struct leaf *l)
{
    for (unsigned i = 0; i < 512;) {
        if (!bit(l->mapped, i)) {
            i++;
            continue;
        }
        unsigned s = i;
        while (i < 512 && bit(l->mapped, i))
            i++;
        bt_restrict_run(c, l, s, i, true);
    }
}

static uint64_t sign_region(unsigned r)
{
    return (uint64_t)((int64_t)((uint64_t)r << 48) >> 48) << REGION_SHIFT;
}

/* Forgets all mappings of a view; the host's are taken away region by region. */
void bt_view_empty(struct bt_ctx *c, struct view *v)
{
    struct views *vs = c->v->en->views;

    for (uint32_t i = v->leaves, next; i != 0; i = next) {
        struct leaf *l = &vs->leaf[i];
        next = l->next;
        for (unsigned k = 0; k < 512; k++)
            if (bit(l->writable, k))
                rmap_update(c->v->en, l, k, false);
        bt_leaf_unhash(vs, l);
        l->next = vs->free_leaf;
        vs->free_leaf = i;
    }
    v->leaves = 0;
    v->stale = false;
    if (v->cell != NULL) {
        bt_cell_unmap_all(vs->cells, v->cell);
        return;
    }
    if (v->index == 0) {
        vs->maps -= vs->kernel_maps;
        vs->kernel_maps = 0;
    }
    for (unsigned k = 0, n; k < v->n_region; k += n) { /* neighbours at once */
        for (n = 1; k + n < v->n_region && v->region[k + n] == v->region[k] + n &&
                    bt_table_of(v, v->region[k]) != VIEW_LOW;)
            n++;
        bt_unmap_regions(vs, bt_host_of(c, v, sign_region(v->region[k])), n * REGION_SIZE);
    }
}

/* ---- regions --------------------------------------------------------------------------------- */

unsigned bt_table_of(const struct view *v, unsigned r)
{
    return v->index == 0 ? VIEW_KERNEL : r == 0 ? VIEW_LOW : VIEW_USER;
}

void bt_install(struct bt_ctx *c, const struct view *v, bool on)
{
    for (unsigned k = 0; k < v->n_region; k++)
        c->indirect[bt_table_of(v, v->region[k])][v->region[k]] = !on;
}

/* Would all n regions from r on, and those that the view has, find room? */
static bool all_fit(const struct views *vs, const struct view *v, unsigned r, unsigned n,
                    unsigned shift)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < n; i++)
        ok = fits(vs, v, r + i, shift);
    for (unsigned i = 0; ok && i < v->n_region; i++)
        ok = bt_table_of(v, v->region[i]) == VIEW_LOW || fits(vs, v, v->region[i], shift);
    return ok;
}

/* Takes them; what was the view's before stays so, too. */
static bool take_all(struct views *vs, struct view *v, unsigned r, unsigned n)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < n; i++)
        ok = take(vs, v, r + i);
    for (unsigned i = 0; ok && i < v->n_region; i++)
        ok = bt_table_of(v, v->region[i]) == VIEW_LOW || take(vs, v, v->region[i]);
    return ok;
}

/* Does the view, where it is, need region h of the host's address space? */
static bool needed(const struct view *v, unsigned r, unsigned n, unsigned h)
{
    for (unsigned i = 0; i < n; i++)
        if (((r + i + v->shift - h + 1) & 0xffff) <= 2)
            return true;
    for (unsigned i = 0; i < v->n_region; i++)
        if (bt_table_of(v, v->region[i]) != VIEW_LOW &&
            ((v->region[i] + v->shift - h + 1u) & 0xffff) <= 2)
            return true;
    return false;
}

static void release_rest(struct views *vs, const struct view *v, unsigned r, unsigned n)
{
    for (unsigned h = 0; h < HOST_REGIONS; h++)
        if (vs->host_use[h] == HOST_VIEW + v->index && !needed(v, r, n, h))
            bt_release(vs, h);
}

/* Moves the view so that all its regions and those from r on find room. Code relies on what is
 * direct: where there is no room everything stays as it was. */
static bool place(struct bt_ctx *c, struct view *v, unsigned r, unsigned n)
{
    struct views *vs = c->v->en->views;
    unsigned bias = v->index == 0 ? HOST_REGIONS : 0x10000, was = v->shift;

    for (unsigned k = 34; k < HOST_REGIONS; k++) {
        unsigned shift = (bias - k) & 0xffff;
        if (!all_fit(vs, v, r, n, shift))
            continue;
        v->shift = shift;
        if (take_all(vs, v, r, n)) {
            v->shift = was;
            if (v->placed)
                bt_view_empty(c, v);
            v->placed = true;
            v->shift = shift;
            v->base = sign_region(shift);
            release_rest(vs, v, r, n);
            return true;
        }
        v->shift = was;
        if (v->placed)
            release_rest(vs, v, 0, 0);
    }
    if (!v->placed)
        for (unsigned h = 0; h < HOST_REGIONS; h++)
            if (vs->host_use[h] == HOST_VIEW + v->index)
                bt_release(vs, h);
    return false;
}

/* The window of low addresses is another's now, but not for long. */
#define LOW_WAITS 4000

bool bt_view_wait(const struct bt_ctx *c, uint64_t lin)
{
    const struct view *v = bt_view_now(c);

    return v->index != 0 && lin < LOW_SIZE && v->low_waits < LOW_WAITS;
}

static bool low_take(struct bt_ctx *c, struct view *v)
{
    struct views *vs = c->v->en->views;
    struct view *o = vs->low_owner != 0 ? &vs->view[vs->low_owner] : NULL;

    if (o == v)
        return true;
    if (o != NULL) {
        if (vs->now - o->last_tick < 3)
            return false;
        bt_view_empty(c, o);
        for (unsigned k = 0; k < o->n_region; k++)
            if (o->region[k] == 0)
                o->region[k] = o->region[--o->n_region];
    }
    vs->low_owner = v->index;
    v->low_waits = 0;
    return true;
}

/* Makes n regions from r on the view's. */
static bool acquire(struct bt_ctx *c, struct view *v, unsigned r, unsigned n)
{
    struct views *vs = c->v->en->views;
    bool here = v->placed;

    if (v->n_region + n > VIEW_REGIONS)
        return false;
    for (unsigned i = 0; here && i < n; i++)
        here = fits(vs, v, r + i, v->shift);
    for (unsigned i = 0; here && i < n; i++)
        here = take(vs, v, r + i);
    if (!here && !place(c, v, r, n))
        return false;
    for (unsigned i = 0; i < n; i++)
        v->region[v->n_region++] = (uint16_t)(r + i);
    return true;
}

static bool has(const struct view *v, unsigned r)
{
    for (unsigned i = 0; i < v->n_region; i++)
        if (v->region[i] == r)
            return true;
    return false;
}

/* All of the cluster of the kernel's region r, if its other regions have room. */
static bool acquire_cluster(struct bt_ctx *c, struct view *v, unsigned r)
{
    unsigned first = r & ~(CLUSTER_REGIONS - 1);

    for (unsigned i = 0; i < CLUSTER_REGIONS; i++)
        if (has(v, first + i))
            return false;
    return acquire(c, v, first, CLUSTER_REGIONS);
}

bool bt_view_user_cluster(struct bt_ctx *c, struct view *v)
{
    if (!acquire(c, v, USER_CLUSTER * CLUSTER_REGIONS, CLUSTER_REGIONS))
        return false;
    c->v->en->views->user_whole = true;
    return true;
}

bool bt_view_whole(const struct bt_ctx *c, uint64_t lin)
{
    const struct views *vs = c->v->en->views;
    unsigned k = lin >> (REGION_SHIFT + 4) & (CLUSTERS - 1);

    if (c->mode_key & MODE_USER)
        return vs->user_whole && k == USER_CLUSTER;
    return vs->whole[k / 8] >> k % 8 & 1;
}

struct view *bt_view_now(const struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    return c->mode_key & MODE_USER ? &vs->view[vs->user] : &vs->view[0];
}

/* Makes region r direct in view v, if there is a place for it. */
static void want(struct bt_ctx *c, struct view *v, unsigned r)
{
    struct views *vs = c->v->en->views;

    if (!c->indirect[bt_table_of(v, r)][r] || v->n_region == VIEW_REGIONS || v->cell != NULL ||
        (v->index != 0 && r >= 0x8000))
        return;
    for (unsigned i = 0; i < v->n_refused; i++)
        if (v->refused[i] == r)
            return;
    bool ok, whole = v->index == 0 && acquire_cluster(c, v, r);
    if (whole) {
        unsigned k = r / CLUSTER_REGIONS;
        vs->whole[k / 8] |= (uint8_t)(1u << k % 8);
        ok = true;
    } else if (bt_table_of(v, r) == VIEW_LOW) {
        ok = low_take(c, v);
        if (ok)
            v->region[v->n_region++] = (uint16_t)r;
    } else {
        ok = acquire(c, v, r, 1);
    }
    if (!ok) {
        c->v->en->stat.view_conflict++;
        if (bt_table_of(v, r) == VIEW_LOW)
            v->low_waits++;
        else if (v->n_refused < VIEW_REFUSED)
            v->refused[v->n_refused++] = (uint16_t)r;
        return;
    }
    bt_install(c, v, true);
    bt_unlink_misses(c->v->en);
    if (c->fs_base != c->low_base) /* which 32-bit code has */
        c->fs_base = v->base;
    bt_view_moved(c, v->index == 0);
}

void bt_view_region(struct bt_ctx *c, uint64_t lin)
{
    if (bt_canonical(lin))
        want(c, bt_view_now(c), lin >> REGION_SHIFT & 0xffff);
}

bool bt_view_low(struct bt_ctx *c)
{
    const struct views *vs = c->v->en->views;

    if (vs->eager && c->indirect[VIEW_LOW][0])
        bt_view_take_low(c);
    return !c->indirect[VIEW_LOW][0];
}

void bt_view_take_low(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    want(c, &vs->view[vs->user], 0);
}

/* ---- filling --------------------------------------------------------------------------------- */

#define RIGHTS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_NX)

/* Neighbouring entries that go on where this one ends come along: [*first, *end). */
static void extend(const struct translator *en, const struct leaf *l, const uint64_t *pte,
                   uint64_t own, bool write, unsigned i, unsigned *first, unsigned *end)
{
    uint32_t rpn;
    bool rom;

    *first = i;
    *end = i + 1;
    while (*end < 512 && *end - i < 32) {
        uint64_t e = __atomic_load_n(&pte[*end], __ATOMIC_RELAXED);
        if (e != own + (uint64_t)(*end - i) * BT_PAGE_SIZE || bit(l->mapped, *end) ||
            bt_ram_page(en, bt_entry_gpa(1, e), &rpn, &rom) == NULL || rom ||
            (write && bt_guarded(en, rpn)))
            break;
        ++*end;
    }
    while (*first > 0 && i - *first < 16) {
        uint64_t e = __atomic_load_n(&pte[*first - 1], __ATOMIC_RELAXED);
        if (e != own - (uint64_t)(i - *first + 1) * BT_PAGE_SIZE || bit(l->mapped, *first - 1) ||
            bt_ram_page(en, bt_entry_gpa(1, e), &rpn, &rom) == NULL || rom ||
            (write && bt_guarded(en, rpn)))
            break;
        --*first;
    }
}

/* Too many mappings for the host: those of programs go, and the kernel's if they are many. */
static void make_room(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    c->v->en->stat.view_evict++;
    for (unsigned i = 1; i < VIEWS; i++)
        if (vs->view[i].used)
            bt_view_empty(c, &vs->view[i]);
    vs->maps = vs->kernel_maps;
    if (vs->maps > vs->max_maps / 2)
        bt_view_empty(c, &vs->view[0]);
    vs->full = false;
}

void bt_view_settle(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs->full)
        make_room(c);
    if (vs->kernel_full)
        bt_view_empty(c, &vs->view[0]);
    vs->kernel_full = false;
}

/* -1: the host refused something, and would again. */
static int settled(struct bt_ctx *c)
{
    bool refused = c->v->en->views->full;

    bt_view_settle(c);
    return refused ? -1 : 0;
}

int bt_view_fill_at(struct bt_ctx *c, struct view *v, uint64_t lin, unsigned access)
{
    struct translator *en = c->v->en;
    struct views *vs = en->views;
    unsigned mmu = c->mode_key >> MODE_MMU_SHIFT & 3;
    bool write = access == ACC_W, exec = access == ACC_X, rom;
    struct bt_walk w;
    uint32_t rpn;

    if (bt_walk(c, lin, access, mmu, &w)) {
        v->fault_lin = lin;
        v->fault_access = access;
        return 1;
    }
    if (bt_ram_page(en, w.gpa, &rpn, &rom) == NULL || (rom && write) ||
        !bt_keys_plain(c, w.entry) || en->a20_mask != ~0ull)
        return -1;
    if (write && bt_guard_foreign(c, rpn)) {
        c->fault_open = rpn + 1;
        return -1;
    }
    if (write && bt_guarded(en, rpn) && !bt_code_store_direct(c, rpn))
        return -1;
    unsigned level = (w.page_bits - 12u) / 9 + 1, i = lin >> leaf_shift(level) & 511;
    if (exec && (level != 1 || rom || !bt_cell_code(c, lin, rpn)))
        return -1;
    bool code = bt_guarded(en, rpn), writable = w.writable && w.dirty && !rom;
    if (level == 1 && code)
        writable = false;
    if (vs->maps > vs->max_maps || vs->free_nodes < 1024)
        make_room(c);
    struct leaf *l = bt_leaf_find(vs, v, level, lin);
    if (l != NULL && (l->table != w.table || l->above != w.above))
        bt_leaf_drop(c, l);
    if (l == NULL) {
        l = leaf_new(vs, v, level, lin);
        if (l == NULL) {
            make_room(c);
            return -1;
        }
    }
    l->table = w.table;
    l->above = w.above;
    en->stat.view_fill++;
    v->fresh += ((lin ^ v->fault_lin) & BT_PAGE_MASK) == 0;
    if (level > 1 && bit(l->mapped, i) && l->pte[i] == w.entry && bit(l->writable, i) && write) {
        /* code went away from a page of a large one */
        bt_protect(c, v, bt_host_of(c, v, lin & BT_PAGE_MASK), BT_PAGE_SIZE,
                   PROT_READ | PROT_WRITE);
        bt_view_settle(c);
        return 0;
    }
    unsigned first = i, end = i + 1;
    if (bit(l->mapped, i)) { /* other rights now, or another page: it was not flushed */
        if (bit(l->writable, i))
            rmap_update(en, l, i, false);
    } else if (level == 1 && !exec) {
        uint8_t *table = bt_ram_page(en, w.table, &rpn, &rom);
        extend(en, l, (const uint64_t *)(void *)table, w.entry, writable, i, &first, &end);
    }
    uint64_t size = 1ull << leaf_shift(level);
    if (v->cell != NULL && bt_cell_area(vs->cells, leaf_lin(l, first), (end - first) * size)) {
        if (bt_cell_area(vs->cells, leaf_lin(l, i), size)) {
            v->cell->spoiled = true;
            return -1;
        }
        first = i;
        end = i + 1;
    }
    bool same = end == i + 1 && first == i && level == 1 && bit(l->mapped, i) &&
                bt_entry_gpa(1, l->pte[i]) == bt_entry_gpa(1, w.entry);
    uint64_t gpa = (w.gpa & ~(size - 1)) - (i - first) * size;
    for (unsigned k = first; k < end; k++) {
        l->pte[k] = w.entry + (uint64_t)((int64_t)k - (int64_t)i) * size;
        set_bit(l->mapped, k, true);
        set_bit(l->writable, k, writable);
        set_bit(l->exec, k, exec);
        if (writable)
            rmap_update(en, l, k, true);
        if (v->index == 0 && !w.global)
            v->not_global = true;
    }
    atomic_thread_fence(memory_order_seq_cst); /* who guards a page now sees what may write it */
    if (same) {
        bt_protect(c, v, bt_host_of(c, v, lin & BT_PAGE_MASK), BT_PAGE_SIZE,
                   PROT_READ | (writable && !bt_guarded(en, rpn) ? PROT_WRITE : 0) |
                       (exec ? PROT_EXEC : 0));
        return settled(c);
    }
    bool mapped = map_range(c, v, leaf_lin(l, first), gpa, (end - first) * size, writable, exec);
    if (!mapped) { /* rights given later would be to the reserved pages */
        bt_restrict_run(c, l, first, end, true);
        vs->full = true;
    }
    return settled(c);
}

int bt_view_fill(struct bt_ctx *c, uint64_t host, bool write)
{
    struct view *v = bt_view_now(c);
    uint64_t window = (uint64_t)c + LOW_WINDOW;
    uint64_t lin = v->index != 0 && host - window < LOW_SIZE ? host - window : host - v->base;
    unsigned r = lin >> REGION_SHIFT & 0xffff;

    if (!bt_canonical(lin) || c->indirect[bt_table_of(v, r)][r] ||
        (!(c->mode_key & MODE_L) && lin >> 32 != 0))
        return -1;
    return bt_view_fill_at(c, v, lin, write ? ACC_W : ACC_R);
}

void bt_view_fault(struct bt_ctx *c)
{
    if (c->mode_key & MODE_USER)
        bt_view_now(c)->fault_rip = c->rip;
}

void bt_view_resume(struct bt_ctx *c)
{
    struct view *v;

    if (!(c->mode_key & MODE_USER) || !(c->mode_key & MODE_DIRECT))
        return;
    v = bt_view_now(c);
    if (v->fault_rip != c->rip)
        return;
    v->fault_rip = FAULT_NONE;
    c->fault_pc = 0;
    (void)bt_view_fill(c, bt_host_of(c, v, v->fault_lin), v->fault_access == ACC_W);
}
