/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views: what a flush takes away, which address spaces have one, and what sites are known to need.
 */
#include <linux/mman.h>

#include "pkeys.h"
#include "view.h"

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
                bt_restrict_run(c, l, start, i, run == DROP);
            run = now;
            start = i;
        }
    }
    if (run != KEEP)
        bt_restrict_run(c, l, start, 512, run == DROP);
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
            bt_leaf_drop(c, l);
        else
            leaf_compare(c, l, (const uint64_t *)(const void *)page);
        if (leaf_is_empty(l)) {
            uint32_t i = *link;
            *link = l->next;
            bt_leaf_unhash(vs, l);
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
           (cpu->efer & (1ull << 11)) << 40 | (cpu->efer & (1ull << 10)) | (cpu->cr4 & BT_CR4_KEYS);
}

void bt_view_forget(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    for (unsigned i = 0; vs != NULL && i < VIEWS; i++)
        if (vs->view[i].used)
            bt_view_empty(c, &vs->view[i]);
}

void bt_view_flush(struct bt_ctx *c, bool global)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL)
        return;
    uint64_t key = rights_key(c);
    if (key != vs->rights) {
        vs->rights = key;
        bt_view_forget(c);
        return;
    }
    if (vs->user != 0)
        compare(c, &vs->view[vs->user], c->v->cpu.cr3);
    if (global)
        bt_view_stale(c);
    if (global || vs->view[0].not_global)
        compare(c, &vs->view[0], c->v->cpu.cr3);
    bt_view_settle(c);
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
            struct leaf *l = bt_leaf_find(vs, v, level, lin);
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
                bt_restrict_run(c, l, i, i + 1, d == DROP);
        }
    }
    bt_view_settle(c);
}

void bt_view_protect(struct bt_ctx *c, uint32_t rpn)
{
    struct translator *en = c->v->en;
    struct views *vs = en->views;

    if (vs == NULL)
        return;
    for (uint32_t n = vs->rmap[rpn], next; n != 0; n = next) {
        next = vs->node[n].next; /* goes with the right to write */
        struct leaf *l = &vs->leaf[vs->node[n].leaf];
        bt_restrict_run(c, l, vs->node[n].entry, vs->node[n].entry + 1u, false);
    }
    for (uint32_t n = vs->rmap_large[rpn >> 9]; n != 0; n = vs->node[n].next) {
        const struct leaf *l = &vs->leaf[vs->node[n].leaf];
        unsigned i = vs->node[n].entry;
        uint64_t gpa = bt_entry_gpa(l->level, l->pte[i]),
                 end = gpa + (1ull << leaf_shift(l->level));
        struct piece_of p;
        for (uint64_t at = gpa; bt_next_piece(en, at, end, &p); at = p.gpa + p.len) {
            uint64_t o = ((uint64_t)rpn << 12) - p.backing;
            if (o < p.len)
                bt_protect(c, &vs->view[l->view],
                           bt_host_of(c, &vs->view[l->view], leaf_lin(l, i) + (p.gpa - gpa) + o),
                           BT_PAGE_SIZE, PROT_READ);
        }
        vs->kernel_full |= vs->full && l->view == 0;
    }
    bt_view_settle(c);
}

bool bt_view_writes(const struct translator *en, uint32_t rpn)
{
    const struct views *vs = en->views;

    return vs != NULL && (__atomic_load_n(&vs->rmap[rpn], __ATOMIC_RELAXED) |
                          __atomic_load_n(&vs->rmap_large[rpn >> 9], __ATOMIC_RELAXED)) != 0;
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

    bt_view_empty(c, v);
    if (v->cell != NULL) {
        bt_vector_out();
        bt_cell_end(v->cell);
        bt_vector_in();
        v->cell = NULL;
    }
    for (unsigned h = 0; h < HOST_REGIONS; h++)
        if (vs->host_use[h] == HOST_VIEW + v->index)
            bt_release(vs, h);
    if (vs->low_owner == v->index)
        vs->low_owner = 0;
    vs->space[v->space] = (struct space){.key = vs->space[v->space].key};
    v->used = false;
}

/* Of those in use, the one that did not run for longest; not the current one. */
static struct view *oldest(struct views *vs)
{
    struct view *old = NULL;

    for (unsigned i = 1; i < VIEWS; i++) {
        struct view *v = &vs->view[i];
        if (v->used && i != vs->user && (old == NULL || v->last_tick < old->last_tick))
            old = v;
    }
    return old;
}

/* A view for an address space that proved to live: a free one, or the one not used for longest. */
static struct view *view_new(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    struct view *old = NULL;

    for (unsigned i = 1; old == NULL && i < vs->n_view; i++)
        if (!vs->view[i].used)
            old = &vs->view[i];
    if (old == NULL) {
        old = oldest(vs);
        view_free(c, old);
    }
    unsigned index = old->index;
    bt_fill(old, 0, sizeof(*old)); /* memset would use the guest's vector registers */
    old->index = (uint8_t)index;
    old->used = true;
    old->fault_rip = FAULT_NONE;
    return old;
}

/* ---- accesses near the code ------------------------------------------------------------------ */

static uint64_t near_code(const struct bt_ctx *c, uint32_t id, uint64_t lin)
{
    const struct translator *en = c->v->en;
    const struct views *vs = en->views;
    uint32_t key = en->mode_key[en->page[id].mode];
    unsigned r = lin >> REGION_SHIFT & 0xffff;

    if (!(key & MODE_DIRECT) || ((key & MODE_USER) && vs->user == 0))
        return BT_NO_HOST;
    const struct view *v = key & MODE_USER ? &vs->view[vs->user] : &vs->view[0];
    if (!bt_canonical(lin) || c->indirect[bt_table_of(v, r)][r])
        return BT_NO_HOST;
    return bt_host_of(c, v, lin);
}

uint64_t bt_view_near(struct bt_ctx *c, uint32_t id, uint64_t lin)
{
    uint64_t host;

    if (c->v->en->views == NULL)
        return BT_NO_HOST;
    host = near_code(c, id, lin);
    if (host == BT_NO_HOST && (c->mode_key & MODE_DIRECT) && c->v->en->page[id].mode == c->mode) {
        bt_view_region(c, lin);
        host = near_code(c, id, lin);
    }
    return host;
}

void bt_view_moved(struct bt_ctx *c, bool kernel)
{
    for (unsigned l = 0; l < (kernel || c->global_user ? 2 : 1); l++)
        for (uint32_t i = 0; i < c->n_valid[l]; i++) {
            uint32_t id = c->valid[l][i];
            if (c->cur_lin[id] != bt_no_lin)
                c->cur_host[id] = near_code(c, id, c->cur_lin[id]);
        }
}

static void user_set(struct bt_ctx *c, unsigned index)
{
    struct views *vs = c->v->en->views;

    if (vs->user == index)
        return;
    if (vs->user != 0)
        bt_install(c, &vs->view[vs->user], false);
    vs->user = (uint8_t)index;
    c->cell = vs->view[index].cell != NULL;
    if (index != 0)
        bt_install(c, &vs->view[index], true);
    bt_view_moved(c, false);
}

#define PROMOTE_TICKS 5

static void promote(struct bt_ctx *c, struct space *s)
{
    struct views *vs = c->v->en->views;
    struct view *v = view_new(c);

    v->space = (uint16_t)(s - vs->space);
    v->last_tick = vs->now;
    v->pcid = c->v->cpu.cr3 & 0xfff;
    if (!bt_view_user_cluster(c, v)) { /* no room: other views have to go */
        struct view *old;
        v->used = false;
        old = oldest(vs);
        if (old != NULL)
            view_free(c, old);
        s->ticks = 0;
        return;
    }
    s->view = v->index;
    c->v->en->stat.view_promote++;
    user_set(c, v->index);
}

/* A cell for an address space that has a view, or nothing. */
static bool promote_cell(struct bt_ctx *c, struct space *s)
{
    struct views *vs = c->v->en->views;
    struct space was = *s;

    if (!bt_cell_possible(c))
        return false;
    if (s->view != 0) {
        user_set(c, 0);
        view_free(c, &vs->view[s->view]);
    }
    struct view *v = view_new(c);
    *s = was;
    s->view = 0;
    bt_vector_out();
    bool started = bt_cell_start(vs->cells, &vs->cells->cell[v->index]);
    bt_vector_in();
    if (!started) {
        v->used = false;
        return false;
    }
    v->cell = &vs->cells->cell[v->index];
    v->space = (uint16_t)(s - vs->space);
    v->last_tick = vs->now;
    v->pcid = c->v->cpu.cr3 & 0xfff;
    s->view = v->index;
    c->v->en->stat.cell_promote++;
    user_set(c, v->index);
    return true;
}

#define STOP_US 12u   /* of a cell's CPU time: what its host's kernel takes for a stop */
#define RETURN_US 30u /* what each return from the guest's kernel takes of a program in a cell */
#define TICK_US 2000u /* ticks that were late come one after the other */
#define CALM_TICKS 2
#define APART_TICKS 8 /* the host may have a better processor meanwhile */
#define CELL_CHURN 4
#define CELL_REST 64 /* ticks without a cell, once or twice that */

static void demote_cell(struct bt_ctx *c, struct space *s)
{
    struct views *vs = c->v->en->views;
    struct view *v = &vs->view[s->view];
    struct space was = *s;

    user_set(c, 0);
    view_free(c, v);
    *s = was;
    s->view = s->churn = s->calm = 0;
    s->cell_until = vs->now + (CELL_REST << s->cell_rests);
    s->cell_rests ^= 1;
    c->v->en->stat.cell_demote++;
}

/* Does the cell of the program that a tick has met pay? */
static void weigh_cell(struct bt_ctx *c, struct space *s, uint64_t elapsed)
{
    struct cells *cs = c->v->en->views->cells;
    struct cell *e = c->v->en->views->view[s->view].cell;
    uint64_t ran = (e->ran_ns - e->tick_ns) / 1000, stops = e->stops * STOP_US;
    /* Translated it would take some three times as long, without the stops. */
    bool pays = (ran > stops && (ran - stops) * 3 >= elapsed) || cs->eager;

    e->stops = 0;
    e->tick_ns = e->ran_ns;
    if (pays && !e->spoiled)
        s->churn -= s->churn > 0;
    else if (e->spoiled || ++s->churn >= CELL_CHURN)
        demote_cell(c, s);
}

/* Would one pay, for a program that has none? */
static void consider_cell(struct bt_ctx *c, struct space *s, uint64_t elapsed, uint64_t returns)
{
    struct views *vs = c->v->en->views;

    if (!(c->mode_key & MODE_L) || vs->now < s->cell_until || elapsed > 50 * TICK_US)
        return;
    if (returns * RETURN_US * 3 > elapsed) {
        s->calm = 0;
        return;
    }
    if (++s->calm < CALM_TICKS)
        return;
    s->calm = 0;
    if (!promote_cell(c, s))
        s->cell_until = vs->now + 4 * CELL_REST;
}

static void tick_cell(struct bt_ctx *c, struct space *s)
{
    uint64_t now = bt_tsc(), elapsed = (now - s->tick_tsc) * 1000 / c->v->en->tsc_khz,
             returns = c->returns - s->tick_returns;

    if (elapsed < TICK_US)
        return;
    if (c->v->en->views->now % APART_TICKS == 0)
        bt_view_apart(c->v->en);
    s->tick_tsc = now;
    s->tick_returns = c->returns;
    if (s->view != 0 && c->v->en->views->view[s->view].cell != NULL)
        weigh_cell(c, s, elapsed);
    else
        consider_cell(c, s, elapsed, returns);
}

void bt_view_reset(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL)
        return;
    user_set(c, 0);
    for (unsigned i = 1; i < VIEWS; i++)
        if (vs->view[i].used)
            view_free(c, &vs->view[i]);
    struct view *k = &vs->view[0];
    bt_view_empty(c, k);
    bt_install(c, k, false);
    for (unsigned h = 0; h < HOST_REGIONS; h++)
        if (vs->host_use[h] == HOST_VIEW)
            bt_release(vs, h);
    bt_fill(k, 0, sizeof(*k));
    k->used = true;
    bt_fill(vs->whole, 0, sizeof(vs->whole));
    c->v->flush_wanted = true; /* code relies on what was whole */
    bt_fill(vs->space, 0, sizeof(vs->space));
    bt_fill(vs->hint, 0, sizeof(vs->hint));
    vs->maps = 0;
}

void bt_view_rebind(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL || vs->cells == NULL)
        return;
    for (unsigned i = 1; i < VIEWS; i++)
        if (vs->view[i].used && vs->view[i].cell != NULL) {
            if (vs->user == i)
                user_set(c, 0);
            view_free(c, &vs->view[i]);
        }
    bt_cells_end(vs->cells);
}

void bt_view_cr3(struct bt_ctx *c, bool keep)
{
    struct views *vs = c->v->en->views;
    uint64_t cr3 = c->v->cpu.cr3;

    if (vs == NULL)
        return;
    bool cells = vs->cells != NULL && vs->cells->eager;
    struct space *s = space_of(vs, cr3, vs->eager || cells);
    if (cells && s != NULL && s->view == 0)
        (void)promote_cell(c, s);
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
    bt_view_settle(c);
}

void bt_view_tick(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    if (vs == NULL || c->cpl != 3 || !(c->mode_key & MODE_LMA))
        return;
    vs->now++;
    struct space *s = space_of(vs, c->v->cpu.cr3, true);
    if (s == NULL)
        return;
    s->last_tick = vs->now;
    if (vs->cells != NULL)
        tick_cell(c, s);
    if (s->view != 0 && vs->view[s->view].cell != NULL) {
        vs->view[s->view].last_tick = vs->now;
        return;
    }
    if (s->view == 0) {
        if (++s->ticks < PROMOTE_TICKS)
            return;
        promote(c, s);
        return;
    }
    struct view *v = &vs->view[s->view];
    v->last_tick = vs->now;
    if (vs->user != 0 && !(c->mode_key & MODE_L))
        bt_view_take_low(c); /* all that 32-bit code has is there */
    if (vs->user == 0) {     /* at rest */
        if (vs->now >= s->rest_until) {
            user_set(c, s->view);
            if (v->stale)
                compare(c, v, c->v->cpu.cr3);
            bt_view_settle(c);
        }
        return;
    }
    /* What the view cost since then, in microseconds: does it take half of the time? */
    uint64_t cost = v->fresh * 8ull + v->dropped * 4ull, now = bt_tsc(),
             elapsed = (now - v->tick_tsc) * 1000 / c->v->en->tsc_khz;
    v->fresh = v->dropped = 0;
    v->tick_tsc = now;
    if (cost * 2 < elapsed) {
        s->churn -= s->churn > 0;
        return;
    }
    if (++s->churn < 2)
        return;
    s->churn = 0;
    s->rest_until = vs->now + (16u << s->rests);
    s->rests += s->rests < 2;
    c->v->en->stat.view_demote++;
    v->stale = true;
    user_set(c, 0);
}

bool bt_view_direct(const struct bt_ctx *c, uint64_t lin, bool *low)
{
    const struct view *v = bt_view_now(c);
    unsigned r = lin >> REGION_SHIFT & 0xffff;

    *low = bt_table_of(v, r) == VIEW_LOW;
    return bt_canonical(lin) && !c->indirect[bt_table_of(v, r)][r];
}

bool bt_view_select(struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;
    const struct x86_cpu *cpu = &c->v->cpu;

    if (vs == NULL || !bt_keys_direct(c))
        return false;
    if (c->cpl == 3) {
        if (vs->user == 0 || c->cell)
            return false;
        c->fs_base = vs->view[vs->user].base;
        return true;
    }
    c->fs_base = vs->view[0].base; /* also with AC set: CLAC does not come here */
    return c->cpl == 0 && (cpu->cr4 >> 21 & 1) && !(c->sys_flags >> 18 & 1);
}

/* ---- hints ----------------------------------------------------------------------------------- */

static struct site_hint *hint_of(struct views *vs, uint64_t key)
{
    return &vs->hint[key * 0x9e3779b97f4a7c15ull >> 48 & (SITE_HINTS - 1)];
}

enum site_kind bt_site_hint(const struct translator *en, uint64_t key)
{
    if (en->views == NULL)
        return SITE_NEW;
    const struct site_hint *h = hint_of(en->views, key);
    return h->key == key ? h->kind : SITE_NEW;
}

void bt_site_learn(struct translator *en, uint64_t key, enum site_kind kind)
{
    struct site_hint *h = hint_of(en->views, key);
    h->key = key;
    h->kind = (uint8_t)kind;
}

void bt_view_apart(const struct translator *en)
{
    if (en->views != NULL && en->views->cells != NULL)
        bt_cells_apart(en->views->cells);
}
