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

#include "view.h"

/* Raw: FS may not be the host's here, and errno is thread-local. */
static long sys6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

/* ---- host address space ---------------------------------------------------------------------- */

#define REGION_SIZE (1ull << REGION_SHIFT)
#define RESERVE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static bool reserve(struct views *vs, unsigned h, unsigned owner)
{
    uint64_t at = (uint64_t)h << REGION_SHIFT;
    long r = sys6(SYS_mmap, at, REGION_SIZE, PROT_NONE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE,
                  (uint64_t)-1, 0);

    if (r > -4096 && r < 0) {
        vs->host_use[h] = HOST_FOREIGN;
        return false;
    }
    if ((uint64_t)r != at) { /* a kernel that does not know MAP_FIXED_NOREPLACE */
        sys6(SYS_munmap, (uint64_t)r, REGION_SIZE, 0, 0, 0, 0);
        vs->host_use[h] = HOST_FOREIGN;
        return false;
    }
    vs->host_use[h] = (uint8_t)owner;
    return true;
}

static void release(struct views *vs, unsigned h)
{
    sys6(SYS_munmap, (uint64_t)h << REGION_SHIFT, REGION_SIZE, 0, 0, 0, 0);
    vs->host_use[h] = HOST_FREE;
}

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
        if (vs->host_use[k] == HOST_FREE && !reserve(vs, k, HOST_VIEW + v->index))
            return false;
    return true;
}

static uint64_t host_of(const struct bt_ctx *c, const struct view *v, uint64_t lin)
{
    if (v->index != 0 && lin < LOW_SIZE)
        return (uint64_t)c + LOW_WINDOW + lin;
    return lin + v->base;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static unsigned leaf_shift(unsigned level)
{
    return 12 + 9 * (level - 1);
}

static uint32_t leaf_hash(const struct view *v, unsigned level, uint64_t key)
{
    uint64_t h = (key * 8 + level) * 64 + v->index;
    return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 40) & (LEAF_HASH - 1);
}

static struct leaf *leaf_find(struct views *vs, const struct view *v, unsigned level, uint64_t lin)
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
        l->mapped[k] = l->writable[k] = 0;
    return l;
}

static bool bit(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}
static void set_bit(uint64_t *map, unsigned i, bool on)
{
    map[i / 64] = (map[i / 64] & ~(1ull << (i % 64))) | (uint64_t)on << (i % 64);
}

static uint64_t leaf_lin(const struct leaf *l, unsigned i)
{
    return ((l->key << 9) + i) << leaf_shift(l->level);
}

static void leaf_unhash(struct views *vs, struct leaf *l)
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

/* Calls for each piece of RAM in [gpa, gpa + len): host offset in the backing, length. */
struct piece_of {
    uint64_t gpa, len, backing;
    bool rom;
};

static bool next_piece(const struct engine *en, uint64_t gpa, uint64_t end, struct piece_of *p)
{
    const struct ram_region *best = NULL;

    for (unsigned i = 0; i < en->n_region; i++) {
        const struct ram_region *r = &en->region[i];
        if (r->base + r->size > gpa && r->base < end && (best == NULL || r->base < best->base))
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

static uint64_t entry_gpa(unsigned level, uint64_t e)
{
    uint64_t mask = (1ull << leaf_shift(level)) - 1;
    return e & 0x000ffffffffff000ull & ~mask;
}

static void rmap_update(struct engine *en, const struct leaf *l, unsigned i, bool add)
{
    struct views *vs = en->views;
    uint64_t gpa = entry_gpa(l->level, l->pte[i]), end = gpa + (1ull << leaf_shift(l->level));
    struct piece_of p;

    for (; next_piece(en, gpa, end, &p); gpa = p.gpa + p.len) {
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

static void protect(uint64_t host, uint64_t len, unsigned prot)
{
    sys6(SYS_mprotect, host, len, prot, 0, 0, 0);
}

/* Pages with code in a piece that was mapped writable. */
static void protect_code(const struct engine *en, uint64_t host, const struct piece_of *p)
{
    uint32_t first = (uint32_t)(p->backing >> 12), n = (uint32_t)(p->len >> 12), k = 0;

    while (k < n) {
        if (en->rpn_page[first + k] == 0) {
            k++;
            continue;
        }
        uint32_t s = k;
        while (k < n && en->rpn_page[first + k] != 0)
            k++;
        protect(host + (uint64_t)s * BT_PAGE_SIZE, (uint64_t)(k - s) * BT_PAGE_SIZE, PROT_READ);
    }
}

/* Maps `len` bytes of guest-physical memory at linear address `lin`. */
static bool map_range(struct bt_ctx *c, const struct view *v, uint64_t lin, uint64_t gpa,
                      uint64_t len, bool write)
{
    struct engine *en = c->v->en;
    uint64_t end = gpa + len, start = gpa;
    struct piece_of p;

    for (; next_piece(en, gpa, end, &p); gpa = p.gpa + p.len) {
        uint64_t host = host_of(c, v, lin + (p.gpa - start));
        bool w = write && !p.rom;
        long r = sys6(SYS_mmap, host, p.len, PROT_READ | (w ? PROT_WRITE : 0),
                      MAP_SHARED | MAP_FIXED, (uint64_t)en->views->fd, p.backing);
        if (r < 0 && r > -4096)
            return false;
        en->views->maps++;
        if (w && p.len > BT_PAGE_SIZE)
            protect_code(en, host, &p);
        if (w)
            __builtin_memset(en->rpn_written + (p.backing >> 12), 1, p.len >> 12);
    }
    return true;
}

/* Takes entries [first, end) of a leaf away, or the right to write them. */
static void restrict_run(struct bt_ctx *c, struct leaf *l, unsigned first, unsigned end, bool drop)
{
    struct engine *en = c->v->en;
    struct view *v = &en->views->view[l->view];
    uint64_t size = 1ull << leaf_shift(l->level);

    protect(host_of(c, v, leaf_lin(l, first)), (end - first) * size, drop ? PROT_NONE : PROT_READ);
    for (unsigned i = first; i < end; i++) {
        if (bit(l->writable, i))
            rmap_update(en, l, i, false);
        set_bit(l->writable, i, false);
        if (drop)
            set_bit(l->mapped, i, false);
    }
    if (drop) {
        en->stat.view_drop += end - first;
        v->dropped += end - first;
    }
}

static void leaf_drop(struct bt_ctx *c, struct leaf *l)
{
    for (unsigned i = 0; i < 512;) {
        if (!bit(l->mapped, i)) {
            i++;
            continue;
        }
        unsigned s = i;
        while (i < 512 && bit(l->mapped, i))
            i++;
        restrict_run(c, l, s, i, true);
    }
}

/* Forgets all mappings of a view; the host's are taken away region by region. */
static void view_empty(struct bt_ctx *c, struct view *v)
{
    struct views *vs = c->v->en->views;

    for (uint32_t i = v->leaves, next; i != 0; i = next) {
        struct leaf *l = &vs->leaf[i];
        next = l->next;
        for (unsigned k = 0; k < 512; k++)
            if (bit(l->writable, k))
                rmap_update(c->v->en, l, k, false);
        leaf_unhash(vs, l);
        l->next = vs->free_leaf;
        vs->free_leaf = i;
    }
    v->leaves = 0;
    v->stale = false;
    for (unsigned k = 0; k < v->n_region; k++)
        sys6(SYS_mmap, host_of(c, v, (uint64_t)v->region[k] << REGION_SHIFT), REGION_SIZE,
             PROT_NONE, RESERVE_FLAGS | MAP_FIXED, (uint64_t)-1, 0);
}

/* ---- regions --------------------------------------------------------------------------------- */

static unsigned table_of(const struct view *v, unsigned r)
{
    return v->index == 0 ? VIEW_KERNEL : r == 0 ? VIEW_LOW : VIEW_USER;
}

static void install(struct bt_ctx *c, const struct view *v, bool on)
{
    for (unsigned k = 0; k < v->n_region; k++)
        c->indirect[table_of(v, v->region[k])][v->region[k]] = !on;
}

static uint64_t sign_region(unsigned r)
{
    return (uint64_t)((int64_t)((uint64_t)r << 48) >> 48) << REGION_SHIFT;
}

/* Moves the view so that all its regions and r find room. */
static bool place(struct bt_ctx *c, struct view *v, unsigned r)
{
    struct views *vs = c->v->en->views;
    unsigned bias = v->index == 0 ? HOST_REGIONS : 0x10000;

    for (unsigned k = 34; k < HOST_REGIONS; k++) {
        unsigned shift = (bias - k) & 0xffff;
        bool ok = fits(vs, v, r, shift);
        for (unsigned i = 0; ok && i < v->n_region; i++)
            ok = table_of(v, v->region[i]) == VIEW_LOW || fits(vs, v, v->region[i], shift);
        if (!ok)
            continue;
        if (v->placed) {
            view_empty(c, v);
            for (unsigned h = 0; h < HOST_REGIONS; h++)
                if (vs->host_use[h] == HOST_VIEW + v->index)
                    release(vs, h);
        }
        v->placed = true;
        v->shift = shift;
        v->base = sign_region(shift);
        ok = take(vs, v, r);
        for (unsigned i = 0; ok && i < v->n_region; i++)
            ok = table_of(v, v->region[i]) == VIEW_LOW || take(vs, v, v->region[i]);
        if (ok)
            return true;
    }
    return false;
}

static bool low_take(struct bt_ctx *c, struct view *v)
{
    struct views *vs = c->v->en->views;
    struct view *o = vs->low_owner != 0 ? &vs->view[vs->low_owner] : NULL;

    if (o == v)
        return true;
    if (o != NULL) {
        if (vs->now - o->last_tick < 8)
            return false;
        view_empty(c, o);
        for (unsigned k = 0; k < o->n_region; k++)
            if (o->region[k] == 0)
                o->region[k] = o->region[--o->n_region];
    }
    vs->low_owner = v->index;
    return true;
}

void bt_view_region(struct bt_ctx *c, uint64_t lin)
{
    struct views *vs = c->v->en->views;
    unsigned r = lin >> REGION_SHIFT & 0xffff;

    if (!bt_canonical(lin))
        return;
    struct view *v = c->mode_key & MODE_USER ? &vs->view[vs->user] : &vs->view[0];
    if (!c->indirect[table_of(v, r)][r] || v->n_region == VIEW_REGIONS ||
        (v->index != 0 && r >= 0x8000))
        return;
    for (unsigned i = 0; i < v->n_refused; i++)
        if (v->refused[i] == r)
            return;
    bool ok;
    if (table_of(v, r) == VIEW_LOW)
        ok = low_take(c, v);
    else
        ok = (v->placed && fits(vs, v, r, v->shift) && take(vs, v, r)) || place(c, v, r);
    if (!ok) {
        c->v->en->stat.view_conflict++;
        if (v->n_refused < VIEW_REGIONS && table_of(v, r) != VIEW_LOW)
            v->refused[v->n_refused++] = (uint16_t)r;
        return;
    }
    v->region[v->n_region++] = (uint16_t)r;
    install(c, v, true);
    c->fs_base = v->base;
}

/* ---- filling --------------------------------------------------------------------------------- */

static struct view *view_now(const struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    return c->mode_key & MODE_USER ? &vs->view[vs->user] : &vs->view[0];
}

#define RIGHTS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_NX)

/* Neighbouring entries that go on where this one ends come along: [*first, *end). */
static void extend(const struct engine *en, const struct leaf *l, const uint64_t *pte, bool write,
                   unsigned i, unsigned *first, unsigned *end)
{
    uint32_t rpn;
    bool rom;

    *first = i;
    *end = i + 1;
    while (*end < 512 && *end - i < 32) {
        uint64_t e = __atomic_load_n(&pte[*end], __ATOMIC_RELAXED);
        if (e != pte[i] + (uint64_t)(*end - i) * BT_PAGE_SIZE || bit(l->mapped, *end) ||
            bt_ram_page(en, entry_gpa(1, e), &rpn, &rom) == NULL || rom ||
            (write && en->rpn_page[rpn] != 0))
            break;
        ++*end;
    }
    while (*first > 0 && i - *first < 16) {
        uint64_t e = __atomic_load_n(&pte[*first - 1], __ATOMIC_RELAXED);
        if (e != pte[i] - (uint64_t)(i - *first + 1) * BT_PAGE_SIZE || bit(l->mapped, *first - 1) ||
            bt_ram_page(en, entry_gpa(1, e), &rpn, &rom) == NULL || rom ||
            (write && en->rpn_page[rpn] != 0))
            break;
        --*first;
    }
}

/* Too many mappings for the host: the views of others go, at last this one. */
static void make_room(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    c->v->en->stat.view_evict++;
    for (unsigned i = 1; i < VIEWS; i++)
        if (vs->view[i].used)
            view_empty(c, &vs->view[i]);
    vs->maps = 0;
}

int bt_view_fill(struct bt_ctx *c, uint64_t host, bool write)
{
    struct engine *en = c->v->en;
    struct views *vs = en->views;
    struct view *v = view_now(c);
    uint64_t window = (uint64_t)c + LOW_WINDOW;
    uint64_t lin = v->index != 0 && host - window < LOW_SIZE ? host - window : host - v->base;
    unsigned mmu = c->mode_key >> MODE_MMU_SHIFT & 3, r = lin >> REGION_SHIFT & 0xffff;
    struct bt_walk w;
    uint32_t rpn;
    bool rom;

    if (!bt_canonical(lin) || c->indirect[table_of(v, r)][r])
        return -1;
    if (bt_walk(c, lin, write ? ACC_W : ACC_R, mmu, &w))
        return 1;
    if (bt_ram_page(en, w.gpa, &rpn, &rom) == NULL || (rom && write))
        return -1;
    bool code = en->rpn_page[rpn] != 0, writable = w.writable && w.dirty && !rom;
    if (write && code)
        return -1;
    unsigned level = (w.page_bits - 12u) / 9 + 1, i = lin >> leaf_shift(level) & 511;
    if (level == 1 && code)
        writable = false;
    if (vs->maps > vs->max_maps || vs->free_nodes < 1024)
        make_room(c);
    struct leaf *l = leaf_find(vs, v, level, lin);
    if (l != NULL && (l->table != w.table || l->above != w.above))
        leaf_drop(c, l);
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
    v->filled++;
    if (level > 1 && bit(l->mapped, i) && l->pte[i] == w.entry && bit(l->writable, i) && write) {
        /* code went away from a page of a large one */
        protect(host_of(c, v, lin & BT_PAGE_MASK), BT_PAGE_SIZE, PROT_READ | PROT_WRITE);
        en->rpn_written[rpn] = 1;
        return 0;
    }
    uint32_t page_rpn = rpn;
    unsigned first = i, end = i + 1;
    if (bit(l->mapped, i)) { /* other rights now, or another page: it was not flushed */
        if (bit(l->writable, i))
            rmap_update(en, l, i, false);
    } else if (level == 1) {
        uint8_t *table = bt_ram_page(en, w.table, &rpn, &rom);
        extend(en, l, (const uint64_t *)(void *)table, writable, i, &first, &end);
    }
    uint64_t size = 1ull << leaf_shift(level);
    bool same = end == i + 1 && first == i && level == 1 && bit(l->mapped, i) &&
                entry_gpa(1, l->pte[i]) == entry_gpa(1, w.entry);
    uint64_t gpa = (w.gpa & ~(size - 1)) - (i - first) * size;
    for (unsigned k = first; k < end; k++) {
        l->pte[k] = w.entry + (uint64_t)((int64_t)k - (int64_t)i) * size;
        set_bit(l->mapped, k, true);
        set_bit(l->writable, k, writable);
        if (writable)
            rmap_update(en, l, k, true);
        if (v->index == 0 && !w.global)
            v->not_global = true;
    }
    if (same) {
        protect(host_of(c, v, lin & BT_PAGE_MASK), BT_PAGE_SIZE,
                PROT_READ | (writable ? PROT_WRITE : 0));
        if (writable)
            en->rpn_written[page_rpn] = 1;
        return 0;
    }
    if (map_range(c, v, leaf_lin(l, first), gpa, (end - first) * size, writable))
        return 0;
    make_room(c);
    return -1;
}

/* ---- flushing -------------------------------------------------------------------------------- */

/* The table of `level` for lin, and the rights above it. False: there is none. */
static bool table_at(const struct bt_ctx *c, uint64_t cr3, uint64_t lin, unsigned level,
                     uint64_t *table, uint64_t *above)
{
    uint64_t t = cr3 & 0x000ffffffffff000ull, and = PTE_W | PTE_U, nx = 0;
    uint32_t rpn;
    bool rom;

    for (unsigned l = 4; l > level; l--) {
        const uint8_t *page = bt_ram_page(c->v->en, t, &rpn, &rom);
        if (page == NULL)
            return false;
        uint64_t e = ((const uint64_t *)(const void *)page)[lin >> leaf_shift(l) & 511];
        if (!(e & PTE_P) || (l < 4 && (e & PTE_PS)))
            return false;
        and &= e;
        nx |= e & PTE_NX;
        t = e & 0x000ffffffffff000ull;
    }
    *table = t;
    *above = (and&(PTE_W | PTE_U)) | nx;
    return true;
}

enum verdict { KEEP, READ_ONLY, DROP };

static enum verdict judge(struct leaf *l, unsigned i, uint64_t now)
{
    uint64_t was = l->pte[i], differ = now ^ was;

    if (differ == 0)
        return KEEP;
    if (!(now & PTE_P) || !(now & PTE_A) || (differ & ~(uint64_t)(PTE_W | PTE_D | PTE_SOFT)))
        return DROP;
    l->pte[i] = now;
    return bit(l->writable, i) && (~now & (PTE_W | PTE_D)) ? READ_ONLY : KEEP;
}

static void leaf_compare(struct bt_ctx *c, struct leaf *l, const uint64_t *pte)
{
    enum verdict run = KEEP;
    unsigned start = 0;

    for (unsigned w = 0; w < 8; w++) {
        if (l->mapped[w] == 0 && run == KEEP)
            continue;
        for (unsigned i = w * 64; i < w * 64 + 64; i++) {
            enum verdict now = KEEP;
            if (bit(l->mapped, i))
                now = judge(l, i, __atomic_load_n(&pte[i], __ATOMIC_RELAXED));
            if (now == run)
                continue;
            if (run != KEEP)
                restrict_run(c, l, start, i, run == DROP);
            run = now;
            start = i;
        }
    }
    if (run != KEEP)
        restrict_run(c, l, start, 512, run == DROP);
}

static bool leaf_is_empty(const struct leaf *l)
{
    uint64_t any = 0;

    for (unsigned k = 0; k < 8; k++)
        any |= l->mapped[k];
    return any == 0;
}

static void compare(struct bt_ctx *c, struct view *v, uint64_t cr3)
{
    struct views *vs = c->v->en->views;
    uint32_t *link = &v->leaves, rpn;
    bool rom;

    v->stale = false;
    while (*link != 0) {
        struct leaf *l = &vs->leaf[*link];
        uint64_t table, above;
        c->v->en->stat.view_compare++;
        const uint8_t *page = bt_ram_page(c->v->en, l->table, &rpn, &rom);
        if (!table_at(c, cr3, leaf_lin(l, 0), l->level, &table, &above) || table != l->table ||
            above != l->above || page == NULL)
            leaf_drop(c, l);
        else
            leaf_compare(c, l, (const uint64_t *)(const void *)page);
        if (leaf_is_empty(l)) {
            uint32_t i = *link;
            *link = l->next;
            leaf_unhash(vs, l);
            l->next = vs->free_leaf;
            vs->free_leaf = i;
        } else {
            link = &l->next;
        }
    }
}

/* State that decides what the tables' rights mean. */
static uint64_t rights_key(const struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    return (cpu->cr0 & ((1ull << 16) | (1ull << 31))) | (cpu->cr4 & (3ull << 20)) << 12 |
           (cpu->efer & (1ull << 11)) << 40 | (cpu->efer & (1ull << 10));
}

void bt_view_flush(struct bt_ctx *c, bool global)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL)
        return;
    uint64_t key = rights_key(c);
    if (key != vs->rights) {
        vs->rights = key;
        for (unsigned i = 0; i < VIEWS; i++)
            if (vs->view[i].used)
                view_empty(c, &vs->view[i]);
        return;
    }
    if (vs->user != 0)
        compare(c, &vs->view[vs->user], c->v->cpu.cr3);
    if (global)
        bt_view_stale(c);
    if (global || vs->view[0].not_global)
        compare(c, &vs->view[0], c->v->cpu.cr3);
}

void bt_view_stale(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL)
        return;
    for (unsigned i = 1; i < VIEWS; i++)
        vs->view[i].stale |= i != vs->user;
}

void bt_view_invlpg(struct bt_ctx *c, uint64_t lin)
{
    struct views *vs = c->v->en->views;
    uint32_t rpn;
    bool rom;

    if (vs == NULL)
        return;
    for (unsigned k = 0; k < 2; k++) {
        struct view *v = &vs->view[k == 0 ? 0 : vs->user];
        if (k == 1 && vs->user == 0)
            break;
        for (unsigned level = 1; level <= 3; level++) {
            struct leaf *l = leaf_find(vs, v, level, lin);
            unsigned i = lin >> leaf_shift(level) & 511;
            uint64_t table, above;
            if (l == NULL || !bit(l->mapped, i))
                continue;
            const uint8_t *page = bt_ram_page(c->v->en, l->table, &rpn, &rom);
            enum verdict d = DROP;
            if (page != NULL && table_at(c, c->v->cpu.cr3, lin, level, &table, &above) &&
                table == l->table && above == l->above)
                d = judge(l, i, ((const uint64_t *)(const void *)page)[i]);
            if (d != KEEP)
                restrict_run(c, l, i, i + 1, d == DROP);
        }
    }
}

void bt_view_protect(struct bt_ctx *c, uint32_t rpn)
{
    struct engine *en = c->v->en;
    struct views *vs = en->views;

    if (vs == NULL)
        return;
    for (uint32_t n = vs->rmap[rpn], next; n != 0; n = next) {
        next = vs->node[n].next; /* goes with the right to write */
        struct leaf *l = &vs->leaf[vs->node[n].leaf];
        restrict_run(c, l, vs->node[n].entry, vs->node[n].entry + 1u, false);
    }
    for (uint32_t n = vs->rmap_large[rpn >> 9]; n != 0; n = vs->node[n].next) {
        const struct leaf *l = &vs->leaf[vs->node[n].leaf];
        unsigned i = vs->node[n].entry;
        uint64_t gpa = entry_gpa(l->level, l->pte[i]), end = gpa + (1ull << leaf_shift(l->level));
        struct piece_of p;
        for (uint64_t at = gpa; next_piece(en, at, end, &p); at = p.gpa + p.len) {
            uint64_t o = ((uint64_t)rpn << 12) - p.backing;
            if (o < p.len)
                protect(host_of(c, &vs->view[l->view], leaf_lin(l, i) + (p.gpa - gpa) + o),
                        BT_PAGE_SIZE, PROT_READ);
        }
    }
}

/* ---- address spaces -------------------------------------------------------------------------- */

static struct space *space_of(struct views *vs, uint64_t cr3, bool make)
{
    uint64_t key = cr3 >> 12;
    struct space *s = &vs->space[key * 0x9e3779b97f4a7c15ull >> 56 & (SPACES - 1)];

    if (s->key == key)
        return s;
    if (!make || (s->view != 0 && vs->now - s->last_tick < 64))
        return NULL;
    if (s->view != 0)
        return NULL;
    *s = (struct space){.key = key};
    return s;
}

static void view_free(struct bt_ctx *c, struct view *v)
{
    struct views *vs = c->v->en->views;

    view_empty(c, v);
    for (unsigned h = 0; h < HOST_REGIONS; h++)
        if (vs->host_use[h] == HOST_VIEW + v->index)
            release(vs, h);
    if (vs->low_owner == v->index)
        vs->low_owner = 0;
    vs->space[v->space] = (struct space){.key = vs->space[v->space].key};
    v->used = false;
}

/* A view for an address space that proved to live: a free one, or the one not used for longest. */
static struct view *view_new(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    struct view *old = NULL;

    for (unsigned i = 1; i < VIEWS; i++) {
        struct view *v = &vs->view[i];
        if (!v->used) {
            old = v;
            break;
        }
        if (i != vs->user && (old == NULL || v->last_tick < old->last_tick))
            old = v;
    }
    if (old->used)
        view_free(c, old);
    *old = (struct view){.index = old->index, .used = true};
    return old;
}

static void user_set(struct bt_ctx *c, unsigned index)
{
    struct views *vs = c->v->en->views;

    if (vs->user == index)
        return;
    if (vs->user != 0)
        install(c, &vs->view[vs->user], false);
    vs->user = (uint8_t)index;
    if (index != 0)
        install(c, &vs->view[index], true);
}

static void promote(struct bt_ctx *c, struct space *s)
{
    struct views *vs = c->v->en->views;
    struct view *v = view_new(c);

    v->space = (uint16_t)(s - vs->space);
    v->last_tick = vs->now;
    v->pcid = c->v->cpu.cr3 & 0xfff;
    s->view = v->index;
    c->v->en->stat.view_promote++;
    user_set(c, v->index);
}

void bt_view_cr3(struct bt_ctx *c, bool keep)
{
    struct views *vs = c->v->en->views;
    uint64_t cr3 = c->v->cpu.cr3;

    if (vs == NULL)
        return;
    struct space *s = space_of(vs, cr3, vs->eager);
    if (vs->eager && s != NULL && s->view == 0)
        promote(c, s);
    unsigned index = s != NULL && vs->now >= s->rest_until ? s->view : 0;
    user_set(c, index);
    if (s != NULL && s->view != 0) {
        struct view *v = &vs->view[s->view];
        bool same = v->pcid == (cr3 & 0xfff);
        v->stale |= !keep || !same;
        v->pcid = cr3 & 0xfff;
        if (index != 0 && v->stale) {
            bool had = v->leaves != 0;
            compare(c, v, cr3);
            if (had && v->leaves == 0) { /* another process with the old one's table */
                user_set(c, 0);
                view_free(c, v);
            }
        }
    }
    if (!keep && vs->view[0].not_global)
        compare(c, &vs->view[0], cr3);
}

#define PROMOTE_TICKS 3
#define CHURN 100 /* pages dropped between two ticks: more costs more than it brings */

void bt_view_tick(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL || c->cpl != 3 || !(c->mode_key & MODE_L))
        return;
    vs->now++;
    struct space *s = space_of(vs, c->v->cpu.cr3, true);
    if (s == NULL)
        return;
    s->last_tick = vs->now;
    if (s->view == 0) {
        if (++s->ticks < PROMOTE_TICKS)
            return;
        promote(c, s);
        return;
    }
    struct view *v = &vs->view[s->view];
    v->last_tick = vs->now;
    if (vs->user == 0) { /* at rest */
        if (vs->now >= s->rest_until) {
            user_set(c, s->view);
            if (v->stale)
                compare(c, v, c->v->cpu.cr3);
        }
        return;
    }
    unsigned dropped = v->dropped;
    v->dropped = 0;
    if (dropped < CHURN) {
        s->churn -= s->churn > 0;
        return;
    }
    if (++s->churn < 3)
        return;
    s->churn = 0;
    s->rest_until = vs->now + (16u << s->rests);
    s->rests += s->rests < 6;
    c->v->en->stat.view_demote++;
    v->stale = true;
    user_set(c, 0);
}

bool bt_view_direct(const struct bt_ctx *c, uint64_t lin, bool *low)
{
    const struct view *v = view_now(c);
    unsigned r = lin >> REGION_SHIFT & 0xffff;

    *low = table_of(v, r) == VIEW_LOW;
    return bt_canonical(lin) && !c->indirect[table_of(v, r)][r];
}

bool bt_view_select(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    const struct x86_cpu *cpu = &c->v->cpu;

    if (vs == NULL)
        return false;
    if (c->cpl == 3) {
        if (vs->user == 0)
            return false;
        c->fs_base = vs->view[vs->user].base;
        return true;
    }
    if (c->cpl != 0 || !(cpu->cr4 >> 21 & 1) || (c->sys_flags >> 18 & 1))
        return false;
    c->fs_base = vs->view[0].base;
    return true;
}

/* ---- hints ----------------------------------------------------------------------------------- */

static struct site_hint *hint_of(struct views *vs, uint64_t key)
{
    return &vs->hint[key * 0x9e3779b97f4a7c15ull >> 50 & (SITE_HINTS - 1)];
}

enum site_kind bt_site_hint(const struct engine *en, uint64_t key)
{
    if (en->views == NULL)
        return SITE_NEW;
    const struct site_hint *h = hint_of(en->views, key);
    return h->key == key ? h->kind : SITE_NEW;
}

void bt_site_learn(struct engine *en, uint64_t key, enum site_kind kind)
{
    struct site_hint *h = hint_of(en->views, key);
    h->key = key;
    h->kind = (uint8_t)kind;
}
