/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where returns and indirect branches go. Each mode has a table of host addresses: a shadow stack,
 * indexed by the guest's stack pointer, from which returns are predicted, and a jump table, indexed
 * by a hash of the target. Neither holds what it was made for: each address in them is code that
 * compares RIP with its own block and, if that is another one, looks further. So entries never have
 * to be dropped while the code that they name exists.
 *
 * All tables start as private copies of one file in which every entry leads to bt_stub_lookup. One
 * more view of the file takes the place of all tables while a kick waits: then the next return or
 * indirect branch looks up, and bt_lookup_next sees the kick.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cell.h"
#include "xlate.h"

#define STUB_ROOM 96 /* more than any entry stub needs */

/* Thunks: a return that is not known, and the jump through each mode's table. */
static int make_thunks(struct translator *en, uint64_t *missed, struct err *e)
{
    struct xlate *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return err_set(e, ENOMEM, "out of memory");
    x->en = en;
    x->out = en->code_rw + en->stub_end;
    *missed = (uint64_t)en->code_rx + en->stub_end;
    x_rsp_back(x);
    x_jmp_abs(x, en->stub_lookup);
    for (x->mode = 0; x->mode < BT_MODES; x->mode++) {
        en->stub_branch[x->mode] = (uint64_t)en->code_rx + code_off(x, x->out);
        x_jump_table(x);
    }
    en->stub_end = (code_off(x, x->out) + 63) & ~63u;
    free(x);
    return 0;
}

/* The thunks and the file of empty tables. */
int bt_branch_create(struct translator *en, struct err *e)
{
    uint64_t *file, missed = 0;
    int r = make_thunks(en, &missed, e);

    if (r < 0)
        return r;
    en->branch_fd = memfd_create("doppel-branches", MFD_CLOEXEC);
    if (en->branch_fd < 0 || ftruncate(en->branch_fd, BT_BRANCH_SIZE) < 0)
        return err_set(e, errno, "cannot make the tables of branches (memfd_create: %s)",
                       strerror(errno));
    file = mmap(NULL, BT_BRANCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, en->branch_fd, 0);
    if (file == MAP_FAILED)
        return err_set(e, errno, "cannot map the tables of branches: %s", strerror(errno));
    for (unsigned i = 0; i < BT_BRANCH_SIZE / 8; i++)
        file[i] = i < BT_SHADOW_SIZE / 8 ? missed : en->stub_lookup;
    munmap(file, BT_BRANCH_SIZE);
    return 0;
}

void bt_branch_destroy(struct translator *en)
{
    if (en->branch_fd >= 0)
        close(en->branch_fd);
}

int bt_branch_map(struct bt_ctx *c)
{
    int fd = c->v->en->branch_fd;
    uint8_t *p = mmap(NULL, (BT_MODES + 1) * BT_BRANCH_SIZE, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    c->branch_tables = p;
    for (unsigned m = 0; m <= BT_MODES; m++)
        if (mmap(p + m * BT_BRANCH_SIZE, BT_BRANCH_SIZE,
                 m < BT_MODES ? PROT_READ | PROT_WRITE : PROT_READ,
                 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
            return -errno;
    for (unsigned m = 0; m < BT_MODES; m++)
        c->branch_call[m] = (uint64_t)p + m * BT_BRANCH_SIZE + 8;
    bt_kick_done(c);
    return 0;
}

void bt_branch_unmap(struct bt_ctx *c)
{
    if (c->branch_tables != NULL)
        munmap(c->branch_tables, (BT_MODES + 1) * BT_BRANCH_SIZE);
}

/* All code is gone: back to what the file holds. */
void bt_branch_reset(struct bt_ctx *c)
{
    madvise(c->branch_tables, BT_MODES * BT_BRANCH_SIZE, MADV_DONTNEED);
}

void bt_kick_now(struct bt_ctx *c)
{
    uint64_t empty = (uint64_t)c->branch_tables + BT_MODES * BT_BRANCH_SIZE;

    atomic_store(&c->kick, 1);
    for (unsigned m = 0; m < BT_MODES; m++)
        __atomic_store_n(&c->branch[m], empty, __ATOMIC_RELEASE);
    bt_cell_kick(&c->cell_running);
}

/* The tables come back before the kick is taken: one that comes meanwhile finds them in place, and
 * is either taken now or puts them away again. */
bool bt_kick_done(struct bt_ctx *c)
{
    for (unsigned m = 0; m < BT_MODES; m++)
        __atomic_store_n(&c->branch[m], (uint64_t)c->branch_tables + m * BT_BRANCH_SIZE,
                         __ATOMIC_SEQ_CST);
    return atomic_exchange(&c->kick, 0);
}

/* ---- entries of blocks
 * -------------------------------------------------------------------------------------------------
 * A block is entered at its first byte with everything in place (BT_LENT aside). The other entries
 * lie in the cold part and are made when the first one needs them. */

/* No room for an entry: the run loop empties the cache soon. */
static void cache_full(struct bt_ctx *c)
{
    c->v->flush_wanted = true;
    bt_kick_now(c);
}

static struct xlate *stub_begin(struct bt_ctx *c)
{
    struct translator *en = c->v->en;
    struct xlate *x = c->v->xlate;

    if (en->cold + STUB_ROOM > en->cold_limit)
        return NULL;
    x->en = en;
    x->out = en->code_rw + en->cold;
    return x;
}

static uint32_t stub_done(struct xlate *x, struct bt_block *b)
{
    struct translator *en = x->en;
    uint32_t at = en->cold;

    x_jmp_abs(x, (uint64_t)en->code_rx + bt_block_target(en, b)->hot);
    bt_block_linked(en, b, code_off(x, x->out) - 4);
    en->cold = code_off(x, x->out);
    return at;
}

/* Makes the entry *at for a direct exit. */
static uint64_t entry(struct bt_ctx *c, struct bt_block *b, uint32_t *at, bool call, bool flags)
{
    if (*at == 0) {
        struct xlate *x = stub_begin(c);
        if (x == NULL) {
            cache_full(c);
            return 0;
        }
        if (call)
            x_rsp_back(x);
        if (flags)
            x_flags_load(x, 10);
        *at = stub_done(x, b);
    }
    return (uint64_t)c->v->en->code_rx + *at;
}

uint64_t bt_entry(struct bt_ctx *c, struct bt_block *b, uint32_t form)
{
    bool call = form & EXIT_FORM_CALL, flags = form & EXIT_FORM_SAVED;
    const struct bt_block *to = bt_block_target(c->v->en, b);

    if (call && (flags || !to->call_here)) {
        if (flags && !b->call_flags)
            b->entry_call = 0;
        b->call_flags |= flags;
        return entry(c, b, &b->entry_call, true, b->call_flags);
    }
    if (!call && flags)
        return entry(c, b, &b->entry_flags, false, true);
    return (uint64_t)c->v->en->code_rx + to->hot - (call ? BT_CALL_ENTRY : 0);
}

/* From a jump through the table: R11 holds RIP, the flags are in ctx->saved_flags. */
void bt_branch_entry(struct xlate *x, const struct bt_block *b)
{
    x_check_rip(x, b->key >> 12, b->key & 0xfff, x->en->stub_lookup);
    if (b->live)
        x_flags_load(x, 10);
}

static uint32_t entry_indirect(struct bt_ctx *c, struct bt_block *b)
{
    const struct translator *en = c->v->en;
    struct xlate *x;

    if (b->entry_indirect == 0 && (x = stub_begin(c)) != NULL) {
        x->long64 = en->mode_key[en->page[b->key >> 12].mode] & MODE_L;
        x_code_seg(x, b->key >> 12);
        bt_branch_entry(x, b);
        b->entry_indirect = stub_done(x, b);
        b->branched = true;
    }
    return b->entry_indirect;
}

static uint64_t *jump_slot(const struct bt_ctx *c, uint64_t rip)
{
    uint32_t h = (uint32_t)rip * BT_JUMP_HASH >> BT_JUMP_SHIFT & BT_JUMP_MASK;

    return (uint64_t *)(c->branch_tables + c->mode * BT_BRANCH_SIZE + BT_SHADOW_SIZE + h);
}

/* The block at `rip` is found by jumps from now on. */
void bt_branch_insert(struct bt_ctx *c, uint64_t rip, struct bt_block *b)
{
    uint32_t at = entry_indirect(c, bt_block_first(c->v->en, b));

    if (at != 0)
        *jump_slot(c, rip) = (uint64_t)c->v->en->code_rx + at;
    else
        cache_full(c);
}

void bt_branch_forget(struct bt_ctx *c, uint64_t rip)
{
    *jump_slot(c, rip) = c->v->en->stub_lookup;
}
