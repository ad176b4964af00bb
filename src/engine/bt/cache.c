/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translation cache: memory for code, the tables of code pages and blocks, and what happens
 * when a device writes guest memory that has translations (stores: codewrite.c). Nothing is freed
 * one by one: a block that is not valid any more leads to its successor, a page that a device wrote
 * is retired (its id is never looked up again, see the invariants in bt_internal.h), and when any
 * table is full everything goes at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt_internal.h"
#include "codewrite.h"
#include "debug.h"
#include "signal_internal.h"
#include "smp.h"
#include "x87.h"

/* How much of the cache is used: it starts small, because most of what a boot translates never runs
 * again, and doubles when it fills up soon after it was emptied: then what runs does not fit. */
#define HOT_LIMIT (19u << 20)
#define COLD_LIMIT (21u << 20)
#define GROW_SECONDS 20

#define CODE_SIZE (128u << 20)
#define COLD_START (60u << 20)
#define MAX_BLOCKS (1u << 18)
#define HASH_SIZE (1u << 19)
#define MAX_RECORDS (8u << 20)
#define MAX_UNSAVED (1u << 18)
#define MAX_LINKS (1u << 19)
#define LINKS_MOVED 4096u /* at one time */
#define VERSIONS 4        /* of a checked block */

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void set_limits(struct translator *en, uint32_t hot, uint32_t cold)
{
    en->hot_limit = hot < COLD_START ? hot : COLD_START;
    en->cold_limit = COLD_START + (cold < CODE_SIZE - COLD_START ? cold : CODE_SIZE - COLD_START);
}

/* The cache is mapped twice so that no page is writable and executable at one address. */
static int map_code(struct translator *en, struct err *e)
{
    int fd = memfd_create("doppel-code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, CODE_SIZE) < 0) {
        int n = errno;
        if (fd >= 0)
            close(fd);
        return err_set(e, n, "cannot make the translation cache (memfd_create: %s)", strerror(n));
    }
    void *rw = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *rx = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    int n = errno;
    close(fd);
    if (rw == MAP_FAILED || rx == MAP_FAILED)
        return err_set(e, n, "cannot map the translation cache executable: %s", strerror(n));
    en->code_rw = rw;
    en->code_rx = rx;
    en->code_size = CODE_SIZE;
    en->cold_start = COLD_START;
    set_limits(en, HOT_LIMIT, COLD_LIMIT);
    if (bt_signal_code((uint64_t)rx, CODE_SIZE) < 0)
        return err_set(e, ENOSPC, "too many machines in one process");
    return 0;
}

/* Translated code may be farther than 2 GB from the stubs: it jumps through these. */
static uint64_t thunk(struct translator *en, void (*target)(void))
{
    uint8_t *p = en->code_rw + en->stub_end;
    uint64_t at = (uint64_t)en->code_rx + en->stub_end, to = (uint64_t)target;

    memcpy(p, "\xff\x25\x02\x00\x00\x00\x0f\x0b", 8); /* jmp *2(%rip); ud2 */
    memcpy(p + 8, &to, 8);
    en->stub_end += 16;
    return at;
}

int bt_cache_create(struct translator *en, struct err *e)
{
    int r = map_code(en, e);

    if (r < 0)
        return r;
    en->stub_exit = thunk(en, bt_stub_exit);
    en->stub_helper = thunk(en, en->stats ? bt_stub_helper_counted : bt_stub_helper);
    en->stub_mem = thunk(en, bt_stub_mem);
    en->stub_post = thunk(en, bt_stub_post);
    en->stub_chain = thunk(en, bt_stub_chain);
    en->stub_lookup = thunk(en, bt_stub_lookup);
    en->stub_kick = thunk(en, bt_stub_kick);
    en->stub_page2 = thunk(en, bt_stub_page2);
    en->stub_group = thunk(en, bt_stub_group);
    en->stub_variant = thunk(en, bt_stub_variant);
    en->stub_direct = thunk(en, bt_stub_direct);
    en->stub_gone = thunk(en, bt_stub_gone);
    en->stub_stale = thunk(en, bt_stub_stale);
    en->stub_seg = thunk(en, bt_stub_seg);
    r = bt_branch_create(en, e);
    if (r < 0)
        return r;
    en->n_rpn = en->machine->n_rpn;
    en->max_block = MAX_BLOCKS;
    en->hash_size = HASH_SIZE;
    en->max_rec = MAX_RECORDS;
    en->max_unsaved = MAX_UNSAVED;
    en->n_unsaved = 1; /* 0: none */
    en->n_link = 1;
    en->block = reserve(sizeof(*en->block) * MAX_BLOCKS);
    en->block_hash = reserve(sizeof(*en->block_hash) * HASH_SIZE);
    en->rec = reserve(sizeof(*en->rec) * MAX_RECORDS);
    en->unsaved = reserve(sizeof(*en->unsaved) * MAX_UNSAVED);
    en->link = reserve(sizeof(*en->link) * MAX_LINKS);
    en->miss_link = reserve(sizeof(*en->miss_link) * BT_MISS_LINKS);
    en->page = reserve(sizeof(*en->page) * BT_MAX_PAGES);
    en->rpn_page = reserve(sizeof(*en->rpn_page) * en->n_rpn);
    en->stale = reserve((en->n_rpn / 64 + 1) * 8);
    if (!en->block || !en->block_hash || !en->rec || !en->page || !en->rpn_page || !en->stale ||
        !en->unsaved || !en->link || !en->miss_link || bt_wpage_create(en) < 0)
        return err_set(e, ENOMEM, "cannot reserve memory for the translation tables");
    en->n_page = 1;
    en->hot = en->stub_end;
    en->cold = en->cold_start;
    return 0;
}

static void release(void *p, size_t size)
{
    if (p != NULL)
        munmap(p, size);
}

void bt_cache_destroy(struct translator *en)
{
    bt_views_destroy(en);
    bt_branch_destroy(en);
    release(en->code_rw, CODE_SIZE);
    if (en->code_rx != NULL)
        bt_signal_forget((uint64_t)en->code_rx);
    release(en->code_rx, CODE_SIZE);
    release(en->block, sizeof(*en->block) * MAX_BLOCKS);
    release(en->block_hash, sizeof(*en->block_hash) * HASH_SIZE);
    release(en->rec, sizeof(*en->rec) * MAX_RECORDS);
    release(en->unsaved, sizeof(*en->unsaved) * MAX_UNSAVED);
    release(en->link, sizeof(*en->link) * MAX_LINKS);
    release(en->miss_link, sizeof(*en->miss_link) * BT_MISS_LINKS);
    release(en->page, sizeof(*en->page) * BT_MAX_PAGES);
    release(en->rpn_page, sizeof(*en->rpn_page) * en->n_rpn);
    release((void *)en->stale, (en->n_rpn / 64 + 1) * 8);
    bt_wpage_destroy(en);
}

bool bt_cache_grow(struct translator *en)
{
    if (bt_tsc() - en->emptied > en->tsc_khz * 1000 * GROW_SECONDS || en->hot_limit == COLD_START)
        return false;
    set_limits(en, en->hot_limit * 2, (en->cold_limit - COLD_START) * 2);
    return true;
}

/* Gives the pages of [from, to) of the code back. */
static void give_back(struct translator *en, uint32_t from, uint32_t to)
{
    from = (from + BT_PAGE_SIZE - 1) & ~(BT_PAGE_SIZE - 1);
    to = (to + BT_PAGE_SIZE - 1) & ~(BT_PAGE_SIZE - 1);
    if (from < to)
        madvise(en->code_rw + from, to - from, MADV_REMOVE);
}

void bt_cache_trim(struct translator *en)
{
    uint32_t hot = en->hot, cold = en->cold;

    bt_cache_flush(en);
    give_back(en, en->hot, hot);
    give_back(en, en->cold, cold);
    madvise(en->block, sizeof(*en->block) * MAX_BLOCKS, MADV_DONTNEED);
    madvise(en->rec, sizeof(*en->rec) * MAX_RECORDS, MADV_DONTNEED);
    set_limits(en, HOT_LIMIT, COLD_LIMIT);
}

void bt_cache_flush(struct translator *en)
{
    en->stat.flushes++;
    bt_debug_emptied(en);
    en->emptied = bt_tsc();
    bt_cell_unguard_all(en);
    madvise(en->block_hash, sizeof(*en->block_hash) * HASH_SIZE, MADV_DONTNEED);
    for (uint32_t id = 1; id < en->n_page; id++)
        if (en->rpn_page[en->page[id].rpn] != 0) {
            en->rpn_page[en->page[id].rpn] = 0;
            bt_guard_note(en, en->page[id].rpn);
        }
    bt_x87_settle(en->v->ctx);
    bt_wpage_flush(en);
    madvise(en->page, sizeof(*en->page) * BT_MAX_PAGES, MADV_DONTNEED);
    en->n_page = 1;
    en->n_unsaved = 1;
    en->n_link = 1;
    en->n_miss_link = 0;
    en->n_block = 0;
    en->n_rec = 0;
    en->n_mode = 0;
    bt_code_seg_flush(&en->code_segs);
    en->hot = en->stub_end;
    en->cold = en->cold_start;
    struct bt_ctx *c = en->v->ctx;
    memset(c->jc, 0, sizeof(c->jc));
    bt_branch_reset(c);
    memset(c->xmap, 0, sizeof(c->xmap));
    bt_exec_clear(c);
}

/* ---- pages --------------------------------------------------------------------------------------
 * -------------------- */

/* What tells the ids of a page apart. */
struct id_key {
    unsigned mode, code_seg;
    uint64_t lin;
};

/* The id among those that may run now, 0: none. */
static uint32_t id_of(const struct translator *en, uint32_t ids, const struct id_key *k)
{
    for (uint32_t id = ids; id != 0; id = en->page[id].next)
        if (en->page[id].mode == k->mode && en->page[id].code_seg == k->code_seg &&
            (k->code_seg == 0 || en->page[id].lin == k->lin))
            return id;
    return 0;
}

/* A new id. Others may have to be told: between bt_smp_begin and bt_smp_end. */
static uint32_t id_new(struct translator *en, uint32_t rpn, const struct id_key *k)
{
    bool checked;
    uint32_t *ids = bt_wpage_ids(en, rpn, &checked), first = *ids, id = id_of(en, first, k);

    if (id != 0)
        return id;
    if (en->n_page == BT_MAX_PAGES)
        return 0;
    id = en->n_page++;
    en->page[id] = (struct bt_code_page){.rpn = rpn,
                                         .mode = (uint8_t)k->mode,
                                         .code_seg = (uint16_t)k->code_seg,
                                         .lin = (uint32_t)k->lin,
                                         .checked = checked,
                                         .next = first};
    __atomic_store_n(ids, id, __ATOMIC_SEQ_CST);
    if (!checked && first == 0) {
        bt_guard_note(en, rpn);
        bt_guard_protect(en, rpn);
    }
    return id;
}

uint32_t bt_page_get(struct translator *en, uint32_t rpn, unsigned mode, unsigned code_seg,
                     uint64_t lin)
{
    const struct id_key key = {.mode = mode, .code_seg = code_seg, .lin = lin};
    struct engine_vcpu *v = en->v;
    uint32_t id = id_of(en, bt_wpage_peek(en, rpn), &key);

    if (id != 0)
        return id;
    if (v->machine->vcpus > 1 && v->where == WHERE_GUEST)
        return BT_PAGE_LATER;
    bt_smp_begin(v);
    id = id_new(en, rpn, &key);
    bt_smp_end(v);
    return id;
}

/* A device wrote to page rpn. */
static void retire(struct translator *en, uint32_t rpn)
{
    for (uint32_t id = en->rpn_page[rpn]; id != 0; id = en->page[id].next) {
        en->stat.retired++;
        bt_exec_drop(en->v->ctx, id);
    }
    en->rpn_page[rpn] = 0;
    bt_guard_note(en, rpn);
    bt_wpage_forget(en, rpn);
}

/* A device wrote: tells one of the translators. */
static void note_dma(struct translator *en, gpa_t gpa, uint64_t len)
{
    bool any = false;

    for (uint64_t p = gpa & BT_PAGE_MASK; p <= gpa + len - 1; p += BT_PAGE_SIZE) {
        uint32_t rpn;
        bool rom;
        if (bt_ram_page(en, p, &rpn, &rom) == NULL ||
            (__atomic_load_n(&en->rpn_page[rpn], __ATOMIC_SEQ_CST) == 0 &&
             __atomic_load_n(&en->rpn_wpage[rpn], __ATOMIC_SEQ_CST) == 0))
            continue;
        atomic_fetch_or(&en->stale[rpn / 64], 1ull << (rpn % 64));
        any = true;
    }
    if (!any)
        return;
    atomic_store(&en->stale_any, 1);
    bt_kick_now(en->v->ctx);
}

void bt_code_dma(void *opaque, gpa_t gpa, uint64_t len)
{
    struct engine *m = opaque;

    if (len == 0)
        return;
    /* The data is written before we look whether it has translations; a translator announces its
     * page before it reads the bytes. One of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < m->vcpus; i++)
        if (m->vcpu[i] != NULL)
            note_dma(m->vcpu[i]->en, gpa, len);
}

void bt_code_stale(struct translator *en)
{
    if (!atomic_exchange(&en->stale_any, 0))
        return;
    for (uint32_t w = 0; w <= en->n_rpn / 64; w++) {
        if (en->stale[w] == 0)
            continue;
        uint64_t bits = atomic_exchange(&en->stale[w], 0);
        for (; bits != 0; bits &= bits - 1)
            retire(en, w * 64 + (uint32_t)__builtin_ctzll(bits));
    }
}

/* ---- blocks -------------------------------------------------------------------------------------
 * -------------------- */

static uint32_t hash_key(const struct translator *en, uint32_t key)
{
    return (key * 0x9e3779b1u >> 8) & (en->hash_size - 1);
}

/* Where the first block of a key is in the table, or would be. */
static uint32_t *slot_of(const struct translator *en, uint32_t key)
{
    uint32_t h = hash_key(en, key);

    while (en->block_hash[h] != 0 && en->block[en->block_hash[h] - 1].key != key)
        h = (h + 1) & (en->hash_size - 1);
    return &en->block_hash[h];
}

static uint32_t number(const struct translator *en, const struct bt_block *b)
{
    return (uint32_t)(b - en->block) + 1;
}

struct bt_block *bt_block_first(const struct translator *en, const struct bt_block *b)
{
    return &en->block[b->first ? b - en->block : b->link - 1];
}

/* The current one of a key, 0: none. */
static uint32_t current(const struct translator *en, const struct bt_block *first)
{
    return first->link == BT_BLOCK_GONE ? 0 : first->link != 0 ? first->link : number(en, first);
}

struct bt_block *bt_block_find(struct translator *en, uint32_t key)
{
    uint32_t i = *slot_of(en, key);

    if (i == 0 || (i = current(en, &en->block[i - 1])) == 0)
        return NULL;
    return &en->block[i - 1];
}

struct bt_block *bt_block_target(const struct translator *en, const struct bt_block *first)
{
    bool other = first->link != 0 && first->link != BT_BLOCK_GONE && !first->checked;

    return &en->block[other ? first->link - 1 : first - en->block];
}

bool bt_block_known(const struct translator *en, uint32_t key)
{
    return *slot_of(en, key) != 0;
}

bool bt_block_branched(const struct translator *en, uint32_t key)
{
    uint32_t i = *slot_of(en, key);

    return i != 0 && en->block[i - 1].branched;
}

uint64_t bt_block_code(const struct translator *en, const struct bt_block *b)
{
    return (uint64_t)en->code_rx + (b->key != 0 ? bt_block_first(en, b)->hot : b->hot);
}

struct bt_block *bt_block_new(struct translator *en, uint32_t key)
{
    if (en->n_block == en->max_block)
        return NULL;
    struct bt_block *b = &en->block[en->n_block++];
    *b = (struct bt_block){.hot = en->hot, .cold = en->cold, .rec = en->n_rec, .key = key};
    return b;
}

/* A jump at offset `at` of the cache to `to`. */
static void lead(struct translator *en, uint32_t at, uint32_t to)
{
    int32_t d = (int32_t)(to - (at + 5));

    en->code_rw[at] = 0xe9;
    memcpy(en->code_rw + at + 1, &d, 4);
}

/* Whatever leads to a block of the key leads to `to`. */
static void lead_all(struct translator *en, const struct bt_block *first, uint32_t to)
{
    lead(en, first->hot, to);
    for (uint32_t i = first->last; i != 0; i = en->block[i - 1].before)
        lead(en, en->block[i - 1].hot, to);
}

/* The jump that leads away from a dead block lies over its first bytes, which may have been part of
 * another. */
bool bt_block_overwritten(const struct translator *en, uint32_t jump)
{
    const struct bt_block *b = jump < en->cold_start ? bt_block_of(en, jump) : NULL;

    return b != NULL && b->dead && jump - b->hot < 5;
}

void bt_block_linked(struct translator *en, struct bt_block *first, uint32_t jump)
{
    if (first->checked || en->n_link == MAX_LINKS)
        return;
    en->link[en->n_link] = (struct bt_link){jump, first->links};
    first->links = en->n_link++;
}

/* The jumps that lead to the block which was the last one lead to b. */
static void move_links(struct translator *en, const struct bt_block *first,
                       const struct bt_block *b)
{
    const struct bt_block *was = first->last != 0 ? &en->block[first->last - 1] : first;
    unsigned n = 0;

    for (uint32_t i = first->links; i != 0 && n < LINKS_MOVED; i = en->link[i].next, n++) {
        uint32_t jump = en->link[i].jump, rel;
        memcpy(&rel, en->code_rw + jump, 4);
        uint32_t to = jump + 4 + rel, entry = was->hot - to;
        if ((entry == 0 || (entry == BT_CALL_ENTRY && was->call_here && b->call_here)) &&
            !bt_block_overwritten(en, jump))
            bt_patch32(en, jump, b->hot - entry - (jump + 4));
    }
}

/* Takes the place of the blocks that the key had. All that leads to them brings the flags
 * (want_flags); what comes only if this one reads them. */
static void replace(struct translator *en, struct bt_block *first, struct bt_block *b)
{
    lead_all(en, first, b->hot);
    move_links(en, first, b);
    b->before = first->last;
    first->last = first->link = number(en, b);
    first->live = b->live;
    first->branched |= b->branched;
    if (b->entry_indirect != 0)
        first->entry_indirect = b->entry_indirect;
}

/* Orders the versions of a checked block: the first block leads to v[0], each to the next. */
static void order(struct translator *en, struct bt_block *first, const uint32_t *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct bt_block *b = &en->block[v[i] - 1];
        const struct bt_source *src = bt_block_source(en, b);
        b->older = i + 1 < n ? v[i + 1] : 0;
        uint32_t next =
            i + 1 < n ? bt_block_source(en, &en->block[v[i + 1] - 1])->body : src->stale;
        bt_patch32(en, src->fail, next - (src->fail + 4));
    }
    first->link = v[0] == number(en, first) ? 0 : v[0];
    lead(en, first->hot, bt_block_source(en, &en->block[v[0] - 1])->body);
}

void bt_block_ahead(struct translator *en, struct bt_block *b)
{
    struct bt_block *first = bt_block_first(en, b);
    uint32_t v[VERSIONS] = {number(en, b)};
    unsigned n = 1;

    for (uint32_t i = current(en, first); i != 0 && n < VERSIONS; i = en->block[i - 1].older)
        if (i != v[0])
            v[n++] = i;
    order(en, first, v, n);
}

void bt_block_publish(struct translator *en, struct bt_block *b)
{
    uint32_t *slot = slot_of(en, b->key), self = number(en, b);
    struct bt_code_page *page = &en->page[(b->key & ~BT_KEY_FORM) >> 12];

    b->first = *slot == 0;
    if (b->first)
        *slot = self;
    b->link = !b->first ? *slot : b->checked ? BT_BLOCK_GONE : 0;
    if (b->checked) {
        bt_block_ahead(en, b);
    } else if (!b->first) {
        replace(en, bt_block_first(en, b), b);
    }
    b->next = page->blocks;
    page->blocks = self;
    if (b->page2 != 0) {
        b->next2 = en->page[b->page2].tails;
        en->page[b->page2].tails = self;
    }
}

/* What leads to the first block of a key brings the flags from now on: those that take its place
 * may read them where it did not. */
static void want_flags(struct translator *en, struct bt_block *first)
{
    if (first->live)
        return;
    for (uint32_t i = first->unsaved; i != 0; i = en->unsaved[i].next)
        bt_patch32(en, en->unsaved[i].guard, offsetof(struct bt_ctx, cur_lin)); /* never matches */
    first->unsaved = 0;
    if (first->entry_indirect != 0)
        lead(en, first->entry_indirect, (uint32_t)(en->stub_lookup - (uint64_t)en->code_rx));
    first->entry_indirect = 0;
    first->live = true;
}

/* No return goes on behind a call of the block: what followed may be other code now. */
static void forget_return(struct translator *en, const struct bt_block *b)
{
    unsigned mode = en->page[(b->key & ~BT_KEY_FORM) >> 12].mode;

    if (b->ret != 0) /* RSP comes back first */
        lead(en, b->ret + 3, (uint32_t)(en->stub_branch[mode] - (uint64_t)en->code_rx));
}

bool bt_block_drop(struct translator *en, struct bt_block *b)
{
    struct bt_block *first = bt_block_first(en, b);
    uint32_t at = en->cold, field = offsetof(struct bt_ctx, arg);
    uint8_t *p = en->code_rw + at;

    if (first->link == BT_BLOCK_GONE)
        return true;
    if (first->gone == 0) {
        if (at + 32 > en->code_size)
            return false;
        memcpy(p, "\x65\xc7\x04\x25", 4); /* movl key, %gs:arg */
        memcpy(p + 4, &field, 4);
        memcpy(p + 8, &first->key, 4);
        lead(en, at + 12, (uint32_t)(en->stub_gone - (uint64_t)en->code_rx));
        first->gone = at;
        en->cold += 17;
    }
    en->stat.dropped++;
    want_flags(en, first);
    for (uint32_t i = current(en, first); i != 0;) {
        struct bt_block *v = &en->block[i - 1];
        v->dead = true;
        forget_return(en, v);
        i = v->checked ? v->older : 0;
    }
    first->link = BT_BLOCK_GONE;
    lead_all(en, first, first->gone);
    return true;
}

const struct bt_block *bt_block_of(const struct translator *en, uint32_t off)
{
    uint32_t lo = 0, hi = en->n_block;
    bool cold = off >= en->cold_start;

    while (lo < hi) { /* the first block that starts beyond off */
        uint32_t mid = (lo + hi) / 2;
        if ((cold ? en->block[mid].cold : en->block[mid].hot) <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 ? &en->block[lo - 1] : NULL;
}

const struct bt_block *bt_block_at(struct translator *en, uint64_t host_pc,
                                   const struct bt_record **rec)
{
    uint64_t off = host_pc - (uint64_t)en->code_rx;
    bool cold = off >= en->cold_start;
    uint32_t lo = 0, hi = en->n_block;

    if (off >= en->code_size)
        return NULL;
    while (lo < hi) { /* first block that starts beyond off */
        uint32_t mid = (lo + hi) / 2;
        if ((cold ? en->block[mid].cold : en->block[mid].hot) <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    /* Blocks without cold code share a start with their successor: the last one with a record
     * before off counts. */
    for (; lo > 0; lo--) {
        const struct bt_block *b = &en->block[lo - 1];
        *rec = NULL;
        for (unsigned i = 0; i < b->n_rec; i++) {
            const struct bt_record *r = &en->rec[b->rec + i];
            if ((r->off >= en->cold_start) == cold && r->off <= off &&
                (*rec == NULL || r->off >= (*rec)->off))
                *rec = r;
        }
        if (*rec != NULL)
            return b;
    }
    return NULL;
}
