/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From RIP to host code: modes, execution mappings (cur_lin), jump cache, chaining. General
 * registers only.
 */
#include "codewrite.h"
#include "debug.h"
#include "pmu.h"
#include "segment.h"
#include "trace.h"
#include "view.h"
#include "x87.h"

#define SALT_STEP \
    (1ull << 48) /* canonical RIPs differ only below bit 48 or in all bits above it \
                                */

static void salt_bump(struct bt_ctx *c, unsigned mode)
{
    c->jc_salt[mode] += SALT_STEP;
    if (c->jc_salt[mode] == 0) /* wrapped: old entries could match again */
        for (unsigned i = 0; i < JC_SIZE; i++)
            c->jc[mode][i] = (struct bt_jc_entry){0};
}

void bt_jc_forget(struct bt_ctx *c, unsigned mode)
{
    salt_bump(c, mode);
}

/* ---- modes --------------------------------------------------------------------------------------
 * -------------------- */

static uint32_t compute_key(struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    const struct x86_segment *cs = &cpu->seg[X86_CS], *ss = &cpu->seg[X86_SS];
    uint32_t k = 0;
    bool l = (cpu->efer >> 10 & 1) && (cs->attr >> 13 & 1);

    k |= l ? MODE_L | MODE_SB : 0;
    if (!l) {
        k |= cs->attr >> 14 & 1 ? MODE_D : 0;
        k |= ss->attr >> 14 & 1 ? MODE_SB : 0;
        if (c->seg_base[X86_CS] | c->seg_base[X86_SS] | c->seg_base[X86_DS] | c->seg_base[X86_ES])
            k |= MODE_BASES;
        bt_limits_update(c);
        k |= bt_flat_data(c) ? 0 : MODE_LIMITS;
        k |= !(k & MODE_D) || cs->base != 0 || cs->limit != 0xffffffff ? MODE_CS : 0;
    }
    k |= c->cpl == 3 ? MODE_USER : c->cpl != 0 ? MODE_CPL12 : 0;
    k |= cpu->efer >> 10 & 1 ? MODE_LMA : 0;
    k |= cpu->cr0 & 1 ? MODE_PE : 0;
    k |= cpu->cr0 >> 31 & 1 ? MODE_PG : 0;
    k |= cpu->cr0 >> 3 & 1 ? MODE_NM : 0;
    k |= cpu->cr0 >> 2 & 1 ? MODE_EM : 0;
    k |= c->sys_flags >> 8 & 1 ? MODE_TF : 0;
    k |= c->cpl == 3 && (c->sys_flags >> 18 & cpu->cr0 >> 18 & 1) ? MODE_AC : 0;
    k |= c->cpl <= (c->sys_flags >> 12 & 3) ? MODE_IOPL : 0;
    k |= c->sys_flags >> 17 & 1 ? MODE_VM : 0;
    k |= !(cpu->cr4 >> 18 & 1) || (cpu->xcr0 & 6) != 6 ? MODE_NOAVX : 0;
    k |= !(cpu->cr4 >> 9 & 1) ? MODE_NOSSE : 0;
    unsigned mmu = MMU_USER;
    if (c->cpl != 3)
        mmu = (cpu->cr4 >> 21 & 1) && !(c->sys_flags >> 18 & 1) ? MMU_KSMAP : MMU_KERNEL;
    return k | mmu << MODE_MMU_SHIFT;
}

/* All that mode_key reads, for 64-bit code. */
static struct bt_mode_inputs mode_inputs(const struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;

    return (struct bt_mode_inputs){
        .efer = cpu->efer,
        .cr0 = cpu->cr0,
        .cr4 = cpu->cr4,
        .xcr0 = cpu->xcr0,
        .state = c->sys_flags | (uint64_t)c->cpl << 32 | (uint64_t)cpu->seg[X86_CS].attr << 48,
    };
}

static bool same_inputs(const struct bt_mode_inputs *a, const struct bt_mode_inputs *b)
{
    return ((a->efer ^ b->efer) | (a->cr0 ^ b->cr0) | (a->cr4 ^ b->cr4) | (a->xcr0 ^ b->xcr0) |
            (a->state ^ b->state)) == 0;
}

/* 32-bit programs whose accesses may be direct (xnarrow.c). */
#define NARROW (MODE_D | MODE_SB | MODE_USER | MODE_LMA | MODE_PE | MODE_PG)
#define NOT_NARROW (MODE_L | MODE_BASES | MODE_LIMITS | MODE_CS)

static bool stack_near(const struct bt_ctx *c)
{
    return c->gpr[X86_RSP] >> CLUSTER_SHIFT == USER_CLUSTER;
}

/* The key, from what it was the last time at this privilege level if that still holds. */
static uint32_t mode_key(struct bt_ctx *c)
{
    struct bt_mode_memo *m = &c->mode_memo[c->cpl == 3];
    struct bt_mode_inputs in = mode_inputs(c);

    if (!same_inputs(&m->in, &in) || !(m->key & MODE_L)) {
        m->in = in;
        m->key = compute_key(c);
    }
    if (c->v->pmu.code)
        return m->key | MODE_COUNT;
    bool narrow = (m->key & NARROW) == NARROW && !(m->key & NOT_NARROW);
    if (!(narrow || (m->key & MODE_L)) || (m->key & MODE_AC) || bt_watching(c) ||
        !bt_view_select(c) || (narrow && !bt_view_low(c)))
        return m->key;
    if (narrow) {
        c->fs_base = c->low_base;
        return m->key | MODE_DIRECT;
    }
    bool stack = c->cpl == 3 && stack_near(c) && c->v->en->views->user_whole && c->v->en->bmi2;
    return m->key | MODE_DIRECT | (stack ? MODE_STACK : 0);
}

/* The number of the mode the CPU is in; a ninth mode empties the cache when the run loop next
 * looks. */
void bt_mode_update(struct bt_ctx *c)
{
    struct translator *en = c->v->en;

    bt_pmu_cpl(c);
    uint32_t k = mode_key(c), old = c->mode_key;

    c->mode_key = k;
    if (!bt_code_seg_update(c)) {
        c->mode = BT_MODES;
        return;
    }
    if (k != old && bt_tracing(c, TRACE_mode))
        bt_trace_mode(c, old);
    uint32_t *last = &c->mode_memo[c->cpl == 3].mode;
    if (*last < en->n_mode && en->mode_key[*last] == k) {
        c->mode = *last;
        return;
    }
    for (unsigned i = 0; i < en->n_mode; i++)
        if (en->mode_key[i] == k) {
            c->mode = *last = i;
            return;
        }
    if (en->n_mode < BT_MODES) {
        c->mode = en->n_mode++;
        en->mode_key[c->mode] = k;
        return;
    }
    c->mode = BT_MODES;
}

bool bt_left_stack(struct bt_ctx *c)
{
    if (!(c->mode_key & MODE_STACK) || stack_near(c))
        return false;
    bt_mode_update(c);
    return true;
}

/* ---- execution mappings
 * --------------------------------------------------------------------------------------------- */

/* How large the guest's page around an execution mapping is: INVLPG drops all of it. */
static const uint8_t exec_shift[EXEC_SIZES] = {12, 22, 30};

static uint16_t *exec_counter(struct bt_ctx *c, unsigned size, uint64_t lin)
{
    return &c->exec_count[size][lin >> exec_shift[size] & (EXEC_COUNTERS - 1)];
}

/* A mapping appears (1) or goes (-1). */
static void exec_count(struct bt_ctx *c, uint32_t id, int by)
{
    *exec_counter(c, c->exec_size[id], c->cur_lin[id]) += (uint16_t)by;
}

/* A helper may drop the page it was called from: bt_helper_rip still needs its address, and the
 * helper must not return into it. */
static void forget(struct bt_ctx *c, uint32_t id)
{
    if (id == c->x87_last >> 12)
        bt_x87_settle(c);
    if (id == c->pc >> 12) {
        c->pc_lin = c->cur_lin[id];
        c->left = 1;
    }
    exec_count(c, id, -1);
    __atomic_store_n(&c->cur_lin[id], bt_no_lin, __ATOMIC_SEQ_CST);
}

void bt_exec_drop(struct bt_ctx *c, uint32_t id)
{
    if (c->cur_lin[id] == bt_no_lin)
        return;
    forget(c, id);
    salt_bump(c, c->v->en->page[id].mode);
}

static void flush_list(struct bt_ctx *c, unsigned list)
{
    uint16_t modes = 0;

    for (uint32_t i = 0; i < c->n_valid[list]; i++) {
        uint32_t id = c->valid[list][i];
        c->listed[list][id / 64] &= ~(1ull << (id % 64));
        if (c->cur_lin[id] == bt_no_lin)
            continue;
        forget(c, id);
        modes |= (uint16_t)(1 << c->v->en->page[id].mode);
    }
    c->n_valid[list] = 0;
    for (unsigned m = 0; m < BT_MODES; m++)
        if (modes >> m & 1)
            salt_bump(c, m);
}

void bt_exec_flush(struct bt_ctx *c, bool global)
{
    flush_list(c, 0);
    if (global)
        flush_list(c, 1);
}

void bt_exec_invlpg(struct bt_ctx *c, uint64_t lin)
{
    bool any = false;

    for (unsigned size = 0; size < EXEC_SIZES; size++)
        any |= *exec_counter(c, size, lin) != 0;
    for (unsigned l = 0; l < 2 && any; l++)
        for (uint32_t i = 0; i < c->n_valid[l]; i++) {
            uint32_t id = c->valid[l][i];
            if (c->cur_lin[id] != bt_no_lin &&
                (c->cur_lin[id] ^ lin) >> exec_shift[c->exec_size[id]] == 0)
                bt_exec_drop(c, id);
        }
}

/* No page has a cur_lin. */
void bt_exec_clear(struct bt_ctx *c)
{
    for (uint32_t id = 0; id < BT_MAX_PAGES; id++)
        c->cur_lin[id] = bt_no_lin;
    c->n_valid[0] = c->n_valid[1] = 0;
    __builtin_memset(c->listed, 0, sizeof(c->listed));
    __builtin_memset(c->exec_count, 0, sizeof(c->exec_count));
}

/* A page that was dropped is still on its list; one whose global bit changed may be on both. */
static void list_page(struct bt_ctx *c, uint32_t id, bool global)
{
    if (c->listed[global][id / 64] >> (id % 64) & 1)
        return;
    if (c->n_valid[global] == BT_VALID_MAX)
        flush_list(c, global);
    c->valid[global][c->n_valid[global]++] = id;
    c->listed[global][id / 64] |= 1ull << (id % 64);
}

/* Page id runs at lin, in a page of 1 << bits bytes. */
static void set_lin(struct bt_ctx *c, uint32_t id, uint64_t lin, bool global, unsigned bits)
{
    list_page(c, id, global);
    c->global_user |= global && (c->mode_key & MODE_USER);

    uint64_t old = c->cur_lin[id];
    if (old != bt_no_lin)
        exec_count(c, id, -1);
    if (old != bt_no_lin && old != lin) {
        if (id == c->x87_last >> 12)
            bt_x87_settle(c);
        salt_bump(c, c->v->en->page[id].mode);
    }
    c->exec_size[id] = bits > exec_shift[1] ? 2 : bits > exec_shift[0];
    c->cur_lin[id] = lin;
    exec_count(c, id, 1);
    if (old != lin)
        c->cur_host[id] = bt_view_near(c, id, lin);
}

/* What an execution mapping belongs to. */
static uint32_t exec_mode(const struct bt_ctx *c)
{
    return c->code_seg << 8 | c->mode;
}

uint32_t bt_code_page_at(struct bt_ctx *c, uint64_t rip)
{
    struct translator *en = c->v->en;
    uint64_t lin = rip & BT_PAGE_MASK;
    struct bt_xmap *x = &c->xmap[(lin >> 12) & (XMAP_SIZE - 1)];
    struct bt_walk w;
    uint32_t rpn;
    bool rom;

    if (x->lin == lin && x->mode == exec_mode(c) && x->id != 0 && c->cur_lin[x->id] == lin)
        return x->id;
    if ((c->mode_key & MODE_L) && !bt_canonical(rip)) {
        bt_fault_err(c, 13, 0);
        return 0;
    }
    unsigned mmu = c->mode_key & MODE_USER ? MMU_USER : MMU_KERNEL;
    if (bt_walk(c, rip, ACC_X, mmu, &w))
        return 0;
    if (bt_ram_page(en, w.gpa, &rpn, &rom) == NULL) {
        c->exit_reason = EXIT_ERROR;
        c->exc_vector = BT_NO_CODE;
        return 0;
    }
    uint32_t id = bt_page_get(en, rpn, c->mode, c->code_seg, lin);
    if (id == BT_PAGE_LATER) {
        c->exit_reason = EXIT_LOOKUP;
        c->exc_vector = BT_LATER;
        return 0;
    }
    if (id == 0) {
        c->exit_reason = EXIT_LOOKUP;
        c->exc_vector = BT_NO_IDS;
        return 0;
    }
    set_lin(c, id, lin, w.global, w.page_bits);
    *x = (struct bt_xmap){.lin = lin, .id = id, .mode = exec_mode(c)};
    return id;
}

/* ---- jumps --------------------------------------------------------------------------------------
 * -------------------- */

static struct bt_jc_entry *jc_slot(struct bt_ctx *c, uint64_t rip)
{
    return &c->jc[c->mode][(rip ^ rip >> JC_BITS) & (JC_SIZE - 1)];
}

/* Code with a segment of its own has RIPs below 4 GB: the segment's number lies between them and
 * the salt. */
static uint64_t jc_tag(const struct bt_ctx *c, uint64_t rip)
{
    return rip + c->jc_salt[c->mode] + ((uint64_t)c->code_seg << 32);
}

void bt_jc_insert(struct bt_ctx *c, uint64_t rip, struct bt_block *b)
{
    *jc_slot(c, rip) = (struct bt_jc_entry){.tag = jc_tag(c, rip), .block = b};
}

static uint64_t leave(struct bt_ctx *c, enum bt_exit_reason why)
{
    c->exit_reason = why;
    c->by_branch = false;
    return 1;
}

static uint64_t code_of(const struct bt_ctx *c, const struct bt_block *b)
{
    return bt_block_code(c->v->en, b);
}

/* The block at ctx->rip in ctx->mode, or NULL. Salts tell canonical addresses apart only. */
static struct bt_block *find_block(struct bt_ctx *c)
{
    if (c->mode >= BT_MODES || ((c->mode_key & MODE_L) && !bt_canonical(c->rip)))
        return NULL;
    const struct bt_jc_entry *j = jc_slot(c, c->rip);
    if (j->block != NULL && j->tag == jc_tag(c, c->rip))
        return j->block;
    uint64_t lin = c->rip & BT_PAGE_MASK;
    const struct bt_xmap *x = &c->xmap[(lin >> 12) & (XMAP_SIZE - 1)];
    uint32_t id = x->id;
    if (x->lin != lin || x->mode != exec_mode(c) || id == 0 || c->cur_lin[id] != lin) {
        id = bt_code_page_at(c, c->rip);
        if (id == 0)
            return NULL;
    }
    struct bt_block *b = bt_block_find(c->v->en, id << 12 | (uint32_t)(c->rip & 0xfff));
    if (b != NULL)
        bt_jc_insert(c, c->rip, b);
    return b;
}

uint64_t bt_next(struct bt_ctx *c)
{
    if (c->cpl == 3) {
        c->returns++;
        c->cell_next = c->cell;
    }
    if (c->kick)
        return leave(c, EXIT_EVENT);
    (void)bt_left_stack(c);
    if ((c->mode_key & MODE_TF) || (c->cpl == 3 && c->cell))
        return leave(c, EXIT_LOOKUP);
    const struct bt_block *b = find_block(c);
    return b != NULL ? code_of(c, b) : leave(c, EXIT_LOOKUP);
}

/* A return or an indirect branch that no table knew: to ctx->rip, the flags in saved_flags. */
uint64_t bt_lookup_next(struct bt_ctx *c)
{
    uint64_t s = c->saved_flags;

    c->v->en->stat.lookup++;
    c->flags = (s >> 8 & 0xd5) | (s & 1) << 11 | 0x202;
    if ((c->mode_key & MODE_L) && !bt_canonical(c->rip)) { /* the branch itself faults */
        const struct bt_branch_site *site = (const void *)(c->v->en->code_rw + c->site);
        c->pc = site->pc;
        c->rip = bt_helper_rip(c);
        c->gpr[X86_RSP] -= (uint64_t)(int64_t)site->moved;
        bt_fault_err(c, 13, 0);
        return bt_exception(c);
    }
    if (c->kick)
        return leave(c, EXIT_EVENT);
    (void)bt_left_stack(c);
    if (c->mode_key & MODE_TF)
        return leave(c, EXIT_LOOKUP);
    struct bt_block *b = find_block(c);
    if (b == NULL) {
        c->exit_reason = EXIT_LOOKUP;
        c->by_branch = true;
        return 1;
    }
    bt_branch_insert(c, c->rip, b);
    return code_of(c, b);
}

static const struct bt_exit_site *exit_site(const struct bt_ctx *c)
{
    return (const void *)(c->v->en->code_rw + c->exit_site);
}

/* A loop found ctx->kick set; the jump's target is in the exit site. */
uint64_t bt_kick_exit(struct bt_ctx *c)
{
    const struct bt_exit_site *site = exit_site(c);
    c->rip = c->cur_lin[site->id] + (int64_t)site->delta;
    if (!(c->mode_key & MODE_L))
        c->rip &= 0xffffffff;
    return bt_next(c);
}

/* Does the jump lead elsewhere now? */
static bool patch_chain(struct translator *en, uint32_t site, uint32_t guard, uint32_t id,
                        uint64_t code)
{
    uint32_t rel = (uint32_t)(code - ((uint64_t)en->code_rx + site + 4)), was;

    bt_copy(&was, en->code_rw + site, 4);
    bt_patch32(en, site, rel);
    if (guard != 0)
        bt_patch32(en, guard, (uint32_t)(offsetof(struct bt_ctx, cur_lin) + id * sizeof(uint64_t)));
    return rel != was;
}

/* Links the exit that was taken to the block at ctx->rip, if the target is where the exit's form
 * can follow it. */
void bt_link(struct bt_ctx *c, struct bt_block *b)
{
    struct translator *en = c->v->en;
    const struct bt_exit_site *site = exit_site(c);
    struct bt_block *first = bt_block_first(en, b);
    uint32_t id = bt_code_page_at(c, c->rip), form = site->form;

    /* Translating the target may have dropped the exit's own block. */
    if (id == 0 || site->jump == 0 || (site->guard == 0 && id != site->id) ||
        bt_block_overwritten(en, site->jump))
        return;
    if ((form & EXIT_FORM_SAVED) && !first->live && site->guard != 0 &&
        en->n_unsaved < en->max_unsaved) {
        en->unsaved[en->n_unsaved] = (struct bt_unsaved){site->guard, first->unsaved};
        first->unsaved = en->n_unsaved++;
        form &= ~EXIT_FORM_SAVED;
    }
    uint64_t code = bt_entry(c, first, form);
    if (code == 0)
        return;
    if (patch_chain(en, site->jump, site->guard, id, code))
        bt_block_linked(en, first, site->jump);
}

/* An exit that is not linked yet, or whose guard failed: links it when the target is translated
 * already. */
uint64_t bt_chain(struct bt_ctx *c)
{
    struct translator *en = c->v->en;

    en->stat.chain++;
    const struct bt_exit_site *site = exit_site(c);
    c->rip = c->cur_lin[site->id] + (int64_t)site->delta;
    if (!(c->mode_key & MODE_L))
        c->rip &= 0xffffffff;
    if (c->kick)
        return leave(c, EXIT_EVENT);
    if (bt_left_stack(c))
        return leave(c, EXIT_LOOKUP);
    struct bt_block *b = find_block(c);
    if (b == NULL)
        return leave(c, EXIT_CHAIN);
    bt_link(c, b);
    return code_of(c, b);
}

/* The second page of a straddling instruction is not (known to be) where it was: check, or give the
 * block up. */
uint64_t bt_page2_miss(struct bt_ctx *c)
{
    struct translator *en = c->v->en;
    uint32_t key = c->pc;

    c->rip = bt_helper_rip(c);
    if (c->kick)
        return leave(c, EXIT_EVENT);
    uint32_t id = bt_code_page_at(c, (c->rip & BT_PAGE_MASK) + BT_PAGE_SIZE);
    if (id == 0 && c->exc_vector == BT_LATER) /* alone: that makes the page known */
        return leave(c, EXIT_ONESHOT);
    if (id == 0)
        return c->exc_vector >= BT_NO_IDS ? leave(c, EXIT_LOOKUP) : bt_exception(c);
    struct bt_block *b = bt_block_find(en, key);
    bool same = b != NULL && b->page2 == id && bt_same_source(en, b);
    /* The first page may have lost its place: it is the second one, too, or the list was full. */
    if (same && c->cur_lin[key >> 12] == (c->rip & BT_PAGE_MASK))
        return code_of(c, b);
    if (b != NULL && !same && !bt_block_drop(en, b))
        c->v->flush_wanted = true;
    return leave(c, EXIT_LOOKUP);
}

uint64_t bt_variant(struct bt_ctx *c)
{
    c->rip = bt_helper_rip(c);
    if (c->kick)
        return leave(c, EXIT_EVENT);
    const struct bt_block *b = bt_block_find(c->v->en, c->pc | BT_KEY_VARIANT);
    return b != NULL ? code_of(c, b) : leave(c, EXIT_VARIANT);
}

/* The region of an access is not direct where the site looks for it: the run loop finds out how to
 * go on from this instruction. */
uint64_t bt_direct_miss(struct bt_ctx *c)
{
    const struct bt_exit_site *site = exit_site(c);

    c->v->en->stat.direct_miss++;
    c->rip = c->cur_lin[site->id] + (int64_t)site->delta;
    return leave(c, EXIT_TLB);
}

void bt_link_miss(struct bt_ctx *c, const struct bt_block *b)
{
    struct translator *en = c->v->en;

    if (en->n_miss_link == BT_MISS_LINKS)
        bt_unlink_misses(en);
    en->miss_link[en->n_miss_link++] = exit_site(c)->jump;
    (void)patch_chain(en, exit_site(c)->jump, 0, 0, code_of(c, b));
}

/* Behind each such jump is the call of the stub, where it led before. */
void bt_unlink_misses(struct translator *en)
{
    for (uint32_t i = 0; i < en->n_miss_link; i++)
        bt_patch32(en, en->miss_link[i], 0);
    en->n_miss_link = 0;
}

/* After a helper that would go on in its block, but dropped the block's page. */
uint64_t bt_helper_left(struct bt_ctx *c)
{
    c->left = 0;
    c->rip = bt_helper_rip(c) + (c->arg >> 8 & 15);
    return bt_next(c);
}
