/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stores to pages with code.
 *
 * A page with code is *guarded*: no writable entry of the TLB covers it, so a store to it comes
 * here. What then?
 *
 * A store by another page's code *opens* the page: its ids leave the list, none of its blocks is
 * entered any more, and it may be written like any other. When code of it is to run again, the
 * bytes are compared with a copy that was made when it was opened. Blocks whose source changed are
 * dropped; the others are valid again as they are, links included.
 *
 * A page that is opened again and again in a short time, or stores to itself, becomes *checked*: it
 * has ids and blocks of its own there, which compare their source at every entry (xcheck.c), and it
 * is never guarded. Several versions of a block are kept and tried in turn. When a checked page was
 * the same for a while it is *idle*: guarded, with the blocks that it had before.
 *
 * A block of a checked page may store to its own page. Then its slow path comes here (the compare
 * with the page's own number in xmem.c). If the store changes what follows in the block, it runs
 * alone, and the block ends after it from then on (`cut`). Helpers end the block (c->left).
 */
#include <sys/mman.h>

#include "codewrite.h"
#include "smp.h"

enum { WPAGE_FREE, WPAGE_IDLE, WPAGE_OPEN, WPAGE_CHECKED };

#define WPAGES 1024
#define TICK_SHIFT 25 /* of the TSC: some 10 ms */
#define FLIPS_MAX 12  /* openings in about a tick that make a page checked */
#define QUIET_MIN 4   /* looks that find no change make it idle; doubled each time it was wrong */
#define QUIET_MAX 64

struct bt_wpage {
    uint32_t rpn;
    uint8_t state;
    uint8_t flips, quiet, need;
    uint32_t tick;    /* of the last flip */
    uint32_t ids;     /* guarded ids while it is open or checked */
    uint32_t checked; /* checked ids */
    uint64_t sum;     /* of the bytes at the last look */
    uint64_t cut[BT_PAGE_SIZE / 64];
};

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int bt_wpage_create(struct translator *en)
{
    en->wpage = reserve(sizeof(struct bt_wpage) * WPAGES);
    en->wpage_copy = reserve((size_t)WPAGES * BT_PAGE_SIZE);
    en->rpn_wpage = reserve(en->n_rpn * sizeof(*en->rpn_wpage));
    en->n_wpage = 1; /* 0 is no page */
    return en->wpage == NULL || en->wpage_copy == NULL || en->rpn_wpage == NULL ? -1 : 0;
}

void bt_wpage_destroy(struct translator *en)
{
    if (en->wpage != NULL)
        munmap(en->wpage, sizeof(struct bt_wpage) * WPAGES);
    if (en->wpage_copy != NULL)
        munmap(en->wpage_copy, (size_t)WPAGES * BT_PAGE_SIZE);
    if (en->rpn_wpage != NULL)
        munmap(en->rpn_wpage, en->n_rpn * sizeof(*en->rpn_wpage));
}

static bool same(const uint8_t *a, const uint8_t *b, unsigned n)
{
    uint64_t diff = 0;

    for (; n >= 8; n -= 8, a += 8, b += 8)
        diff |= *(const uint64_t *)a ^ *(const uint64_t *)b;
    for (; n > 0; n--, a++, b++)
        diff |= (uint64_t)(*a ^ *b);
    return diff == 0;
}

static uint8_t *copy_of(const struct translator *en, const struct bt_wpage *w)
{
    return en->wpage_copy + (size_t)(w - en->wpage) * BT_PAGE_SIZE;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* No block of these ids is entered any more. */
static void park(struct translator *en, uint32_t ids)
{
    for (uint32_t id = ids; id != 0; id = en->page[id].next)
        bt_exec_drop(en->v->ctx, id);
}

static void evict(struct translator *en, struct bt_wpage *w)
{
    if (w->state == WPAGE_CHECKED) {
        en->n_checked--;
        park(en, w->checked);
    }
    w->state = WPAGE_FREE;
    w->ids = w->checked = 0;
    __atomic_store_n(&en->rpn_wpage[w->rpn], 0, __ATOMIC_SEQ_CST);
}

/* A record to use for another page. */
static struct bt_wpage *take_record(struct translator *en, uint32_t own)
{
    if (en->n_wpage < WPAGES)
        return &en->wpage[en->n_wpage++];
    for (unsigned tries = 0;; tries++) {
        en->wpage_hand = en->wpage_hand % (WPAGES - 1) + 1;
        struct bt_wpage *w = &en->wpage[en->wpage_hand];
        if (w->rpn == own || (w->state > WPAGE_IDLE && tries < WPAGES))
            continue;
        evict(en, w);
        return w;
    }
}

static struct bt_wpage *record(struct translator *en, uint32_t rpn, uint32_t own)
{
    if (en->rpn_wpage[rpn] != 0)
        return &en->wpage[en->rpn_wpage[rpn]];
    struct bt_wpage *w = take_record(en, own);
    *w = (struct bt_wpage){.rpn = rpn, .state = WPAGE_IDLE, .need = QUIET_MIN};
    __atomic_store_n(&en->rpn_wpage[rpn], (uint16_t)(w - en->wpage), __ATOMIC_SEQ_CST);
    return w;
}

/* A guarded page is about to be written. The record is there before the list of ids is empty: a
 * device's write finds one of the two. */
static void open_page(struct translator *en, struct bt_wpage *w)
{
    uint32_t tick = (uint32_t)(bt_tsc() >> TICK_SHIFT), age = tick - w->tick;

    en->stat.opened++;
    w->flips = (uint8_t)((age < 8 ? w->flips >> age : 0) + 1);
    w->tick = tick;
    bt_copy(copy_of(en, w), bt_rpn_host(en, w->rpn), BT_PAGE_SIZE);
    w->ids = en->rpn_page[w->rpn];
    w->state = WPAGE_OPEN;
    __atomic_store_n(&en->rpn_page[w->rpn], 0, __ATOMIC_SEQ_CST);
    bt_guard_note(en, w->rpn);
    park(en, w->ids);
}

static void make_checked(struct translator *en, struct bt_wpage *w)
{
    en->stat.checked++;
    en->n_checked++;
    w->state = WPAGE_CHECKED;
    w->flips = 0;
    w->quiet = 0;
}

/* Does what the block was made from differ from the page's copy? */
static bool changed(const struct bt_block *b, const uint8_t *page, const uint8_t *copy,
                    uint64_t lines)
{
    unsigned off = b->key & 0xfff, n = b->size;

    if (b->page2 == 0 && (b->peeked & lines))
        return true;
    if (off + n > BT_PAGE_SIZE)
        n = BT_PAGE_SIZE - off;
    return !same(page + off, copy + off, n);
}

bool bt_same_source(const struct translator *en, const struct bt_block *b)
{
    const struct bt_source *s = bt_block_source(en, b);
    unsigned off = b->key & 0xfff, here = BT_PAGE_SIZE - off;
    const uint8_t *one = bt_rpn_host(en, en->page[(b->key & ~BT_KEY_FORM) >> 12].rpn) + off;
    const uint8_t *two = bt_rpn_host(en, en->page[b->page2].rpn);

    return same(s->bytes, one, here) && same(s->bytes + here, two, s->size - here);
}

/* Drops the blocks of an id whose source changed. False: there was no room to. */
static bool drop_changed(struct translator *en, uint32_t id, const uint8_t *page,
                         const uint8_t *copy, uint64_t lines)
{
    for (uint32_t *link = &en->page[id].blocks, i = *link; i != 0; i = *link) {
        struct bt_block *b = &en->block[i - 1];
        if (!b->dead && !changed(b, page, copy, lines)) {
            link = &b->next;
            continue;
        }
        if (!b->dead && !bt_block_drop(en, b))
            return false;
        *link = b->next;
    }
    for (uint32_t *link = &en->page[id].tails, i = *link; (lines & 1) && i != 0; i = *link) {
        struct bt_block *b = &en->block[i - 1];
        if (!b->dead && bt_same_source(en, b)) {
            link = &b->next2;
            continue;
        }
        if (!b->dead && !bt_block_drop(en, b))
            return false;
        *link = b->next2;
    }
    return true;
}

/* The page is guarded again, with those of its blocks whose source is the same. */
static void close_page(struct translator *en, struct bt_wpage *w)
{
    uint32_t *list = &en->rpn_page[w->rpn], first = w->ids;
    const uint8_t *page = bt_rpn_host(en, w->rpn), *copy = copy_of(en, w);
    uint64_t lines = 0;

    w->state = WPAGE_IDLE;
    w->ids = 0;
    __atomic_store_n(list, first, __ATOMIC_SEQ_CST);
    if (first == 0)
        return;
    bt_guard_note(en, w->rpn);
    bt_guard_protect(en, w->rpn);
    for (unsigned i = 0; i < 64; i++)
        if (!same(page + i * 64, copy + i * 64, 64))
            lines |= 1ull << i;
    if (lines == 0)
        return;
    for (uint32_t *link = list, id = *link; id != 0; id = *link)
        if (drop_changed(en, id, page, copy, lines))
            link = &en->page[id].next;
        else
            *link = en->page[id].next; /* never found again */
    bt_guard_note(en, w->rpn);
}

uint32_t bt_wpage_peek(const struct translator *en, uint32_t rpn)
{
    const struct bt_wpage *w = &en->wpage[en->rpn_wpage[rpn]];

    if (w->state == WPAGE_OPEN)
        return 0;
    return w->state == WPAGE_CHECKED ? w->checked : en->rpn_page[rpn];
}

uint32_t *bt_wpage_ids(struct translator *en, uint32_t rpn, bool *checked)
{
    struct bt_wpage *w = &en->wpage[en->rpn_wpage[rpn]];

    *checked = false;
    if (w->state == WPAGE_OPEN && w->flips < FLIPS_MAX)
        close_page(en, w);
    else if (w->state == WPAGE_OPEN)
        make_checked(en, w);
    if (w->state != WPAGE_CHECKED)
        return &en->rpn_page[rpn];
    *checked = true;
    return &w->checked;
}

void bt_wpage_forget(struct translator *en, uint32_t rpn)
{
    en->wpage[en->rpn_wpage[rpn]].ids = 0;
}

void bt_wpage_flush(struct translator *en)
{
    for (unsigned i = 1; i < en->n_wpage; i++) {
        en->wpage[i].ids = en->wpage[i].checked = 0;
        if (en->wpage[i].state == WPAGE_OPEN)
            en->wpage[i].state = WPAGE_IDLE;
    }
}

static uint64_t sum_of(const uint64_t *p)
{
    uint64_t s[4] = {0};

    for (unsigned i = 0; i < BT_PAGE_SIZE / 8; i++)
        s[i & 3] = (s[i & 3] ^ p[i]) * 0x9e3779b97f4a7c15ull;
    return s[0] + 3 * s[1] + 5 * s[2] + 7 * s[3];
}

void bt_wpage_quiet(struct translator *en)
{
    if (en->n_checked == 0 || (bt_tsc() - en->wpage_scan) >> TICK_SHIFT == 0)
        return;
    en->wpage_scan = bt_tsc();
    bt_smp_begin(en->v);
    for (unsigned i = 1; i < en->n_wpage; i++) {
        struct bt_wpage *w = &en->wpage[i];
        if (w->state != WPAGE_CHECKED)
            continue;
        uint64_t sum = sum_of((const uint64_t *)bt_rpn_host(en, w->rpn));
        w->quiet = sum == w->sum ? w->quiet + 1 : 0;
        w->sum = sum;
        if (w->quiet < w->need)
            continue;
        en->stat.quiet++;
        en->n_checked--;
        w->need = w->need < QUIET_MAX ? w->need * 2 : QUIET_MAX;
        park(en, w->checked);
        close_page(en, w);
    }
    bt_smp_end(en->v);
}

void bt_wpage_open(struct translator *en, uint32_t rpn)
{
    if (en->rpn_page[rpn] != 0)
        open_page(en, record(en, rpn, 0));
}

/* ---- stores ---------------------------------------------------------------------------------- */

/* A store to a guarded page. True: to the running block's own. */
static bool store_guarded(struct bt_ctx *c, uint32_t rpn)
{
    struct translator *en = c->v->en;
    uint32_t own = en->page[c->pc >> 12].rpn;
    struct bt_wpage *w = record(en, rpn, own);

    open_page(en, w);
    if (rpn != own)
        return false;
    make_checked(en, w);
    return true;
}

void bt_code_store(struct bt_ctx *c, uint32_t rpn)
{
    if (c->v->en->rpn_page[rpn] != 0)
        store_guarded(c, rpn);
    else
        c->left = 1;
}

bool bt_code_store_site(struct bt_ctx *c, uint32_t rpn, unsigned off, unsigned size)
{
    struct translator *en = c->v->en;

    if (en->rpn_page[rpn] != 0)
        return store_guarded(c, rpn);
    const struct bt_block *b = bt_block_of(en, c->site);
    if (b == NULL || b->key == 0)
        return false;
    unsigned start = b->key & 0xfff, at = c->pc & 0xfff;
    unsigned from = b->loop ? start : at + 1;
    if (off >= start + b->size || off + size <= from)
        return false;
    en->wpage[en->rpn_wpage[rpn]].cut[at / 64] |= 1ull << at % 64;
    struct bt_block *current = bt_block_find(en, b->key);
    if (current != NULL)
        bt_block_drop(en, current);
    return true;
}

/* The signal handler asks. Stores to the page of the running block itself are for the TLB. */
bool bt_code_store_direct(struct bt_ctx *c, uint32_t rpn)
{
    struct translator *en = c->v->en;
    uint64_t off = c->fault_pc - (uint64_t)en->code_rx;
    const struct bt_block *b = off < en->code_size ? bt_block_of(en, (uint32_t)off) : NULL;

    if (b == NULL || b->key == 0 || en->page[(b->key & ~BT_KEY_FORM) >> 12].rpn == rpn)
        return false;
    open_page(en, record(en, rpn, en->page[(b->key & ~BT_KEY_FORM) >> 12].rpn));
    return true;
}

bool bt_wpage_cut(const struct translator *en, uint32_t rpn, unsigned off)
{
    return en->wpage[en->rpn_wpage[rpn]].cut[off / 64] >> off % 64 & 1;
}

/* ---- blocks without their source ------------------------------------------------------------- */

static uint64_t leave(struct bt_ctx *c, enum bt_exit_reason why)
{
    c->exit_reason = why;
    return 1;
}

/* A jump to a block that was dropped; ctx->arg is its key. One that continues another leads to the
 * software TLB, not back to where it began. */
uint64_t bt_gone(struct bt_ctx *c)
{
    c->pc = c->arg & ~BT_KEY_FORM;
    if (c->arg & BT_KEY_VARIANT)
        return bt_variant(c);
    c->rip = bt_helper_rip(c);
    c->exit_site = 0;
    if (c->arg & BT_KEY_FORM)
        return leave(c, EXIT_TLB);
    if (c->kick)
        return leave(c, EXIT_EVENT);
    const struct bt_block *b = bt_block_find(c->v->en, c->arg);
    return b != NULL ? bt_block_code(c->v->en, b) : leave(c, EXIT_LOOKUP);
}

/* The block's source is what it was, but for immediates. */
static bool same_shape(const struct bt_source *s, const struct bt_imm *imm, const uint8_t *bytes)
{
    unsigned at = 0;

    for (unsigned i = 0; i < s->n_imm; i++) {
        if (imm[i].at > at && !same(bytes + at, s->bytes + at, imm[i].at - at))
            return false;
        at = imm[i].at + imm[i].size;
    }
    return same(bytes + at, s->bytes + at, s->size - at);
}

static void new_immediates(struct translator *en, struct bt_source *s, const struct bt_imm *imm,
                           const uint8_t *bytes)
{
    for (unsigned i = 0; i < s->n_imm; i++) {
        uint8_t *p = en->code_rw + imm[i].host;
        const uint8_t *q = bytes + imm[i].at;
        switch (imm[i].size) {
        case 1:
            *p = *q;
            break;
        case 2:
            *(uint16_t *)p = *(const uint16_t *)q;
            break;
        case 4:
            *(uint32_t *)p = *(const uint32_t *)q;
            break;
        default:
            *(uint64_t *)p = *(const uint64_t *)q;
            break;
        }
    }
    bt_copy(s->bytes, bytes, s->size);
}

/* Of two versions with the same shape, the one used longer ago gets the source's immediates. */
static bool revive(struct translator *en, struct bt_block *first)
{
    const uint8_t *page = bt_rpn_host(en, en->page[(first->key & ~BT_KEY_FORM) >> 12].rpn);
    const struct bt_source *s = bt_block_source(en, first);
    uint8_t bytes[BT_SOURCE_MAX];
    struct bt_block *last = NULL;
    unsigned n = 0;

    if (first->page2 != 0)
        return false;
    for (struct bt_block *b = first;; b = &en->block[b->older - 1]) {
        s = bt_block_source(en, b);
        bt_copy(bytes, page + (b->key & 0xfff), s->size);
        if (s->n_imm != 0 && same_shape(s, (const void *)(en->code_rw + s->imm), bytes)) {
            n++;
            last = b;
        }
        if (b->older == 0)
            break;
    }
    if (n < 2)
        return false;
    struct bt_source *old = bt_block_source(en, last);
    bt_copy(bytes, page + (last->key & 0xfff), old->size);
    if (!same_shape(old, (const void *)(en->code_rw + old->imm), bytes))
        return false;
    new_immediates(en, old, (const void *)(en->code_rw + old->imm), bytes);
    bt_block_ahead(en, last);
    en->stat.patched++;
    return true;
}

/* No version of the checked block ctx->arg fits. */
uint64_t bt_stale(struct bt_ctx *c)
{
    struct translator *en = c->v->en;

    en->stat.stale++;
    c->pc = c->arg & ~BT_KEY_FORM;
    c->rip = bt_helper_rip(c);
    if (c->kick && !(c->arg & BT_KEY_FORM))
        return leave(c, EXIT_EVENT);
    struct bt_block *b = bt_block_find(en, c->arg);
    if (b != NULL && revive(en, b))
        return bt_block_code(en, b);
    return leave(c, EXIT_STALE);
}
