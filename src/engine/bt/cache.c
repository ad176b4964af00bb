/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translation cache: memory for code, the tables of code pages and blocks, and what happens
 * when guest memory that has translations is written. Nothing is freed one by one: a page whose
 * code changed is retired (its id is never looked up again, see the invariants in bt_internal.h),
 * and when any table is full everything is dropped at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt_internal.h"
#include "signal_internal.h"

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

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void set_limits(struct engine *en, uint32_t hot, uint32_t cold)
{
    en->hot_limit = hot < COLD_START ? hot : COLD_START;
    en->cold_limit = COLD_START + (cold < CODE_SIZE - COLD_START ? cold : CODE_SIZE - COLD_START);
}

/* The cache is mapped twice so that no page is writable and executable at one address. */
static int map_code(struct engine *en, struct err *e)
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
static uint64_t thunk(struct engine *en, void (*target)(void))
{
    uint8_t *p = en->code_rw + en->stub_end;
    uint64_t at = (uint64_t)en->code_rx + en->stub_end, to = (uint64_t)target;

    memcpy(p, "\xff\x25\x02\x00\x00\x00\x0f\x0b", 8); /* jmp *2(%rip); ud2 */
    memcpy(p + 8, &to, 8);
    en->stub_end += 16;
    return at;
}

int bt_cache_create(struct engine *en, struct err *e)
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
    r = bt_branch_create(en, e);
    if (r < 0)
        return r;
    en->n_rpn = 1;
    for (unsigned i = 0; i < en->n_region; i++) {
        uint64_t end = (en->region[i].offset + en->region[i].size) >> 12;
        if (end > en->n_rpn)
            en->n_rpn = (uint32_t)end;
    }
    en->max_block = MAX_BLOCKS;
    en->hash_size = HASH_SIZE;
    en->max_rec = MAX_RECORDS;
    en->block = reserve(sizeof(*en->block) * MAX_BLOCKS);
    en->block_hash = reserve(sizeof(*en->block_hash) * HASH_SIZE);
    en->rec = reserve(sizeof(*en->rec) * MAX_RECORDS);
    en->page = reserve(sizeof(*en->page) * BT_MAX_PAGES);
    en->rpn_page = reserve(sizeof(*en->rpn_page) * en->n_rpn);
    en->rpn_written = reserve(en->n_rpn);
    en->stale = reserve((en->n_rpn / 64 + 1) * 8);
    if (!en->block || !en->block_hash || !en->rec || !en->page || !en->rpn_page ||
        !en->rpn_written || !en->stale)
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

void bt_cache_destroy(struct engine *en)
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
    release(en->page, sizeof(*en->page) * BT_MAX_PAGES);
    release(en->rpn_page, sizeof(*en->rpn_page) * en->n_rpn);
    release(en->rpn_written, en->n_rpn);
    release((void *)en->stale, (en->n_rpn / 64 + 1) * 8);
}

bool bt_cache_grow(struct engine *en)
{
    if (bt_tsc() - en->emptied > en->tsc_khz * 1000 * GROW_SECONDS || en->hot_limit == COLD_START)
        return false;
    set_limits(en, en->hot_limit * 2, (en->cold_limit - COLD_START) * 2);
    return true;
}

/* Gives the pages of [from, to) of the code back. */
static void give_back(struct engine *en, uint32_t from, uint32_t to)
{
    from = (from + BT_PAGE_SIZE - 1) & ~(BT_PAGE_SIZE - 1);
    to = (to + BT_PAGE_SIZE - 1) & ~(BT_PAGE_SIZE - 1);
    if (from < to)
        madvise(en->code_rw + from, to - from, MADV_REMOVE);
}

void bt_cache_trim(struct engine *en)
{
    uint32_t hot = en->hot, cold = en->cold;

    bt_cache_flush(en);
    give_back(en, en->hot, hot);
    give_back(en, en->cold, cold);
    madvise(en->block, sizeof(*en->block) * MAX_BLOCKS, MADV_DONTNEED);
    madvise(en->rec, sizeof(*en->rec) * MAX_RECORDS, MADV_DONTNEED);
    set_limits(en, HOT_LIMIT, COLD_LIMIT);
}

void bt_cache_flush(struct engine *en)
{
    en->stat.flushes++;
    en->emptied = bt_tsc();
    madvise(en->block_hash, sizeof(*en->block_hash) * HASH_SIZE, MADV_DONTNEED);
    for (uint32_t id = 1; id < en->n_page; id++)
        en->rpn_page[en->page[id].rpn] = 0;
    madvise(en->page, sizeof(*en->page) * BT_MAX_PAGES, MADV_DONTNEED);
    en->n_page = 1;
    en->n_block = 0;
    en->n_rec = 0;
    en->n_mode = 0;
    en->hot = en->stub_end;
    en->cold = en->cold_start;
    for (unsigned i = 0; i < en->vcpus; i++) {
        struct bt_ctx *c = en->vcpu[i] ? en->vcpu[i]->ctx : NULL;
        if (c == NULL)
            continue;
        memset(c->jc, 0, sizeof(c->jc));
        bt_branch_reset(c);
        memset(c->xmap, 0, sizeof(c->xmap));
        for (uint32_t id = 0; id < BT_MAX_PAGES; id++)
            c->cur_lin[id] = BT_NO_LIN;
        c->n_valid[0] = c->n_valid[1] = 0;
    }
}

/* ---- pages --------------------------------------------------------------------------------------
 * -------------------- */

uint32_t bt_page_get(struct engine *en, uint32_t rpn, unsigned mode)
{
    for (uint32_t id = en->rpn_page[rpn]; id != 0; id = en->page[id].next)
        if (en->page[id].mode == mode)
            return id;
    if (en->n_page == BT_MAX_PAGES)
        return 0;
    uint32_t id = en->n_page++;
    en->page[id] =
        (struct bt_code_page){.rpn = rpn, .mode = (uint8_t)mode, .next = en->rpn_page[rpn]};
    bool first = en->rpn_page[rpn] == 0;
    __atomic_store_n(&en->rpn_page[rpn], id, __ATOMIC_SEQ_CST);
    if (first)
        for (unsigned i = 0; i < en->vcpus; i++)
            if (en->vcpu[i] != NULL && en->vcpu[i]->ctx != NULL)
                bt_tlb_protect(en->vcpu[i]->ctx, rpn);
    return id;
}

static void retire(struct engine *en, uint32_t id)
{
    en->page[id].retired = true;
    en->stat.retired++;
    for (unsigned i = 0; i < en->vcpus; i++)
        if (en->vcpu[i] != NULL && en->vcpu[i]->ctx != NULL)
            bt_exec_drop(en->vcpu[i]->ctx, id);
}

bool bt_code_written(struct engine *en, uint32_t rpn, unsigned offset, unsigned size)
{
    unsigned first = offset >> 6, last = (offset + size - 1) >> 6;
    uint64_t mask = (~0ull >> (63 - (last - first))) << first;
    bool any = false;

    for (uint32_t *link = &en->rpn_page[rpn], id = *link; id != 0; id = *link) {
        struct bt_code_page *p = &en->page[id];
        if (p->lines & mask) {
            *link = p->next;
            retire(en, id);
            any = true;
        } else {
            link = &p->next;
        }
    }
    return any;
}

void bt_code_dma(void *opaque, gpa_t gpa, uint64_t len)
{
    struct engine *en = opaque;
    bool any = false;

    if (len == 0)
        return;
    /* The data is written before we look whether it has translations; a translator announces its
     * page before it reads the bytes. One of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint64_t p = gpa & BT_PAGE_MASK; p <= gpa + len - 1; p += BT_PAGE_SIZE) {
        uint32_t rpn;
        bool rom;
        if (bt_ram_page(en, p, &rpn, &rom) == NULL ||
            __atomic_load_n(&en->rpn_page[rpn], __ATOMIC_SEQ_CST) == 0)
            continue;
        atomic_fetch_or(&en->stale[rpn / 64], 1ull << (rpn % 64));
        any = true;
    }
    if (!any)
        return;
    atomic_store(&en->stale_any, 1);
    for (unsigned i = 0; i < en->vcpus; i++)
        if (en->vcpu[i] != NULL && en->vcpu[i]->ctx != NULL)
            bt_kick_now(en->vcpu[i]->ctx);
}

void bt_code_stale(struct engine *en)
{
    if (!atomic_exchange(&en->stale_any, 0))
        return;
    for (uint32_t w = 0; w <= en->n_rpn / 64; w++) {
        if (en->stale[w] == 0)
            continue;
        uint64_t bits = atomic_exchange(&en->stale[w], 0);
        for (; bits != 0; bits &= bits - 1)
            bt_code_written(en, w * 64 + (uint32_t)__builtin_ctzll(bits), 0, BT_PAGE_SIZE);
    }
}

/* ---- blocks -------------------------------------------------------------------------------------
 * -------------------- */

static uint32_t hash_key(const struct engine *en, uint32_t key)
{
    return (key * 0x9e3779b1u >> 8) & (en->hash_size - 1);
}

struct bt_block *bt_block_find(struct engine *en, uint32_t key)
{
    for (uint32_t h = hash_key(en, key);; h = (h + 1) & (en->hash_size - 1)) {
        uint32_t i = en->block_hash[h];
        if (i == 0)
            return NULL;
        if (en->block[i - 1].key == key)
            return &en->block[i - 1];
    }
}

struct bt_block *bt_block_new(struct engine *en, uint32_t key)
{
    if (en->n_block == en->max_block)
        return NULL;
    struct bt_block *b = &en->block[en->n_block++];
    *b = (struct bt_block){.hot = en->hot, .cold = en->cold, .rec = en->n_rec, .key = key};
    if (key != 0) { /* 0: runs once, not found again */
        uint32_t h = hash_key(en, key);
        while (en->block_hash[h] != 0 && en->block[en->block_hash[h] - 1].key != key)
            h = (h + 1) & (en->hash_size - 1);
        en->block_hash[h] = en->n_block;
    }
    return b;
}

void bt_block_kill(struct engine *en, struct bt_block *b)
{
    uint32_t key = b->key;
    uint8_t *hot = en->code_rw + b->hot, *p = en->code_rw + en->cold;
    uint32_t site = en->cold + 17, jump = b->hot + 1;
    int32_t rel = (int32_t)(en->cold - (jump + 4));

    if (key == 0 || key == BT_KEY_NONE || en->cold + 64 > en->cold_limit)
        return;
    b->key = BT_KEY_NONE;
    /* movl $site, exit_site; jmp stub; struct bt_exit_site */
    memcpy(p, "\x65\xc7\x04\x25", 4);
    uint32_t off = offsetof(struct bt_ctx, exit_site);
    memcpy(p + 4, &off, 4);
    memcpy(p + 8, &site, 4);
    p[12] = 0xe9;
    /* One that continues another block leads to the software TLB, not back to where it began. */
    bool alt = key & BT_KEY_ALT;
    int32_t stub =
        (int32_t)((alt ? en->stub_direct : en->stub_chain) - ((uint64_t)en->code_rx + site));
    memcpy(p + 13, &stub, 4);
    struct bt_exit_site data = {.jump = jump,
                                .guard = alt ? (uint32_t)(b - en->block) : 0,
                                .id = (key & ~BT_KEY_FORM) >> 12,
                                .delta = (int32_t)(key & 0xfff)};
    memcpy(p + 17, &data, sizeof(data));
    en->cold += 17 + sizeof(data);
    memcpy(hot + 1, &rel, 4);
    hot[0] = 0xe9;
    for (unsigned i = 0; i < en->vcpus; i++) /* the jump cache still leads to it */
        if (en->vcpu[i] != NULL && en->vcpu[i]->ctx != NULL)
            bt_jc_forget(en->vcpu[i]->ctx, en->page[data.id].mode);
}

const struct bt_block *bt_block_at(struct engine *en, uint64_t host_pc,
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
