/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that run in a cell: when, what they see there, and what a stop is about.
 *
 * A stop either concerns only the cell (a page that the guest has and the cell does not), or it is
 * the translator's: the instruction there is run again, translated, and finds out what it has to do
 * with all the care that it takes anyway. So no exception, system call or device access is made
 * here. The program goes back to its cell when the guest's kernel returns to it, or soon behind the
 * instruction (bt_cell_wanted).
 */
#include <sys/mman.h>

#include "cell.h"
#include "debug.h"
#include "dr.h"
#include "event.h"
#include "helpers.h"
#include "pkeys.h"
#include "view.h"
#include "x87.h"

#define XCR0_OWN 0xe7ull /* x87, SSE, AVX, AVX-512 */
#define CR4_TSD (1ull << 2)
#define CR4_FSGSBASE (1ull << 16)

static struct view *view_of(const struct bt_ctx *c)
{
    struct views *vs = c->v->en->views;

    return &vs->view[vs->user];
}

/* ---- who may --------------------------------------------------------------------------------- */

/* Descriptors of Linux's GDT, the accessed bit set: selectors mean the same in a cell. */
static bool same_descriptors(struct bt_ctx *c)
{
    static const uint64_t want[] = {0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
    uint64_t d;

    for (unsigned i = 0; i < 3; i++)
        if (bt_read(c, c->v->cpu.gdtr.base + 0x20 + 8ull * i, 8, MMU_KERNEL, &d) ||
            (d | 1ull << 40) != want[i])
            return false;
    return c->v->cpu.gdtr.limit >= 0x37;
}

/* Are the processor's features on that the host has on? */
static bool same_features(const struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;

    return (cpu->cr4 & CR4_FSGSBASE) && ((cpu->xcr0 ^ c->v->en->host_xcr0) & XCR0_OWN) == 0;
}

bool bt_cell_possible(struct bt_ctx *c)
{
    const struct cells *cs = c->v->en->views->cells;

    return cs != NULL && !cs->refused && same_features(c) && same_descriptors(c);
}

static bool plain_segments(const struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;

    return cpu->seg[X86_CS].selector == CELL_CS && cpu->seg[X86_SS].selector == CELL_SS &&
           (cpu->seg[X86_DS].selector | cpu->seg[X86_ES].selector | cpu->seg[X86_FS].selector |
            cpu->seg[X86_GS].selector) == 0 &&
           c->seg_base[X86_FS] < CELL_END && c->seg_base[X86_GS] < CELL_END;
}

/* Is all that the program could notice as it is in a cell? */
static bool may_run(const struct bt_ctx *c)
{
    const struct engine_vcpu *v = c->v;
    const uint32_t never =
        MODE_TF | MODE_AC | MODE_NM | MODE_EM | MODE_NOSSE | MODE_NOAVX | MODE_COUNT;

    return c->cpl == 3 && (c->mode_key & MODE_L) && !(c->mode_key & never) && c->if_flag &&
           (c->sys_flags & (BT_IOPL | BT_ID | BT_NT | BT_AC | BT_VIF | BT_VIP)) == 0 &&
           c->shadow_rip != c->rip && c->rip < CELL_END && plain_segments(c) && same_features(c) &&
           bt_keys_direct(c) && v->en->a20_mask == ~0ull && !bt_watching(c) &&
           (v->dr.exec | v->dr.data) == 0 && v->en->debug.n_point == 0;
}

/* The program must not find the monitor's code where it has something itself. It is found out when
 * that is there, and when it is written or run; memory that it has reserved and never touched is
 * taken for none. */
static bool area_free(struct bt_ctx *c, const struct cells *cs)
{
    struct bt_walk w;

    for (uint64_t at = cs->area; at < cs->area + CELL_AREA_SIZE; at += BT_PAGE_SIZE)
        if (bt_walk(c, at, ACC_R, MMU_USER, &w) == 0)
            return false;
    return true;
}

/* ---- state ----------------------------------------------------------------------------------- */

static void put_regs(const struct bt_ctx *c, struct user_regs_struct *r)
{
    const uint64_t *g = c->gpr;

    *r = (struct user_regs_struct){
        .rax = g[X86_RAX],
        .rcx = g[X86_RCX],
        .rdx = g[X86_RDX],
        .rbx = g[X86_RBX],
        .rsp = g[X86_RSP],
        .rbp = g[X86_RBP],
        .rsi = g[X86_RSI],
        .rdi = g[X86_RDI],
        .r8 = g[8],
        .r9 = g[9],
        .r10 = g[10],
        .r11 = g[11],
        .r12 = g[12],
        .r13 = g[13],
        .r14 = g[14],
        .r15 = g[15],
        .rip = c->rip,
        .eflags = bt_rflags(c),
        .cs = CELL_CS,
        .ss = CELL_SS,
        .fs_base = c->seg_base[X86_FS],
        .gs_base = c->seg_base[X86_GS],
    };
}

/* CS can only be one of two: a far jump to the other, or none. */
static void get_code_segment(struct bt_ctx *c, uint16_t selector)
{
    struct x86_segment *s = &c->v->cpu.seg[X86_CS];

    if (selector != s->selector)
        bt_set_flat(s, selector, selector == CELL_CS ? 0xa0fb : 0xc0fb);
}

static void get_regs(struct bt_ctx *c, const struct user_regs_struct *r)
{
    const unsigned long long selector[6] = {
        [X86_DS] = r->ds, [X86_ES] = r->es, [X86_FS] = r->fs, [X86_GS] = r->gs};
    uint64_t *g = c->gpr;

    g[X86_RAX] = r->rax;
    g[X86_RCX] = r->rcx;
    g[X86_RDX] = r->rdx;
    g[X86_RBX] = r->rbx;
    g[X86_RSP] = r->rsp;
    g[X86_RBP] = r->rbp;
    g[X86_RSI] = r->rsi;
    g[X86_RDI] = r->rdi;
    g[8] = r->r8;
    g[9] = r->r9;
    g[10] = r->r10;
    g[11] = r->r11;
    g[12] = r->r12;
    g[13] = r->r13;
    g[14] = r->r14;
    g[15] = r->r15;
    c->rip = r->rip;
    bt_set_rflags(c, (r->eflags & ~(uint64_t)(BT_RF | BT_IOPL | BT_VIF | BT_VIP)) | 0x200);
    for (unsigned s = 0; s < 6; s++)
        if (selector[s] != 0)
            (void)bt_load_seg(c, s, (uint16_t)selector[s]);
    c->seg_base[X86_FS] = r->fs_base;
    c->seg_base[X86_GS] = r->gs_base;
    get_code_segment(c, (uint16_t)r->cs);
    bt_mode_update(c);
}

static bool enter(struct bt_ctx *c, struct cell *e)
{
    bt_x87_saved(c, c->v->cpu.xsave, true);
    return bt_cell_put_xstate(c->v->en->views->cells, e, c->v->cpu.xsave, XCR0_OWN);
}

static bool leave(struct bt_ctx *c, struct cell *e, const struct user_regs_struct *r)
{
    if (!bt_cell_get_xstate(c->v->en->views->cells, e, c->v->cpu.xsave, XCR0_OWN))
        return false;
    bt_x87_loaded(c, c->v->cpu.xsave, true);
    get_regs(c, r);
    return true;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Some bytes beside the page of lin. False: the program cannot run what is there; zeroes. */
static bool copy_code(struct bt_ctx *c, uint64_t lin, unsigned n, int distance, uint8_t *to)
{
    int fault = 0;
    const uint8_t *from =
        bt_host(c, (lin & BT_PAGE_MASK) + (int64_t)distance, n, ACC_X, MMU_USER, &fault);

    if (from == NULL || fault) {
        bt_fill(to, 0, n);
        return false;
    }
    bt_copy(to, from, n);
    return true;
}

bool bt_cell_code(struct bt_ctx *c, uint64_t lin, uint32_t rpn)
{
    struct translator *en = c->v->en;
    struct cells *cs = en->views->cells;
    uint64_t *word = &cs->usable[rpn / 64], own = 1ull << (rpn % 64);
    uint8_t code[CELL_CODE];

    /* As a page of translated code it is guarded: whoever writes it is noticed. */
    if (bt_code_page_at(c, lin) == 0 || en->rpn_page[rpn] == 0)
        return false;
    if (*word & own)
        return true;
    bool before = copy_code(c, lin, CELL_BEFORE, -(int)CELL_BEFORE, code);
    bt_copy(code + CELL_BEFORE, bt_rpn_host(en, rpn), BT_PAGE_SIZE);
    (void)copy_code(c, lin, CELL_BEHIND, BT_PAGE_SIZE, code + CELL_BEFORE + BT_PAGE_SIZE);
    if (!bt_cell_plain(code, before, (en->host_xcr0 & ~c->v->cpu.xcr0) != 0))
        return false;
    *word |= own;
    return true;
}

/* Takes the right to run code away from what a leaf maps: of page rpn, or of all. */
static void stop_code(struct translator *en, struct leaf *l, bool all, uint32_t rpn)
{
    uint32_t at;
    bool rom;

    for (unsigned w = 0; w < 8; w++)
        for (uint64_t left = l->exec[w]; left != 0; left &= left - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzll(left);
            if (all || (bt_ram_page(en, bt_entry_gpa(1, l->pte[i]), &at, &rom) && at == rpn))
                bt_restrict_run(en->v->ctx, l, i, i + 1, false);
        }
}

static void stop_code_in_cells(struct translator *en, bool all, uint32_t rpn)
{
    struct views *vs = en->views;

    for (unsigned i = 1; i < VIEWS; i++)
        for (uint32_t k = vs->view[i].used && vs->view[i].cell ? vs->view[i].leaves : 0; k != 0;
             k = vs->leaf[k].next)
            stop_code(en, &vs->leaf[k], all, rpn);
}

void bt_cell_unguard(struct translator *en, uint32_t rpn)
{
    uint64_t own = 1ull << (rpn % 64);

    if (en->views == NULL || en->views->cells == NULL ||
        !(en->views->cells->usable[rpn / 64] & own))
        return;
    en->views->cells->usable[rpn / 64] &= ~own;
    stop_code_in_cells(en, false, rpn);
}

void bt_cell_unguard_all(struct translator *en)
{
    struct cells *cs = en->views != NULL ? en->views->cells : NULL;

    if (cs == NULL)
        return;
    stop_code_in_cells(en, true, 0);
    bt_fill(cs->usable, 0, (en->n_rpn / 64 + 1) * sizeof(*cs->usable));
}

/* Was the access to `lin` that of fetching the instruction? */
static bool is_fetch(uint64_t lin, uint64_t rip)
{
    return lin - rip < 15;
}

/* The cell has not, or not so, what lies at `lin`. False: nor has the guest, or it is something for
 * the translator. */
static bool provide(struct bt_ctx *c, struct view *v, uint64_t lin, uint64_t rip)
{
    const struct leaf *l = bt_leaf_find(c->v->en->views, v, 1, lin),
                      *large = bt_leaf_find(c->v->en->views, v, 2, lin);
    bool there = (l != NULL && bit(l->mapped, lin >> 12 & 511)) ||
                 (large != NULL && bit(large->mapped, lin >> 21 & 511));
    bool fetch = is_fetch(lin, rip) && !(l != NULL && bit(l->exec, lin >> 12 & 511));

    if (lin >= CELL_END)
        return false;
    return bt_view_fill_at(c, v, lin, fetch ? ACC_X : there ? ACC_W : ACC_R) == 0;
}

/* Has the cell do what is queued. False: the host does not have enough mappings, or memory, for
 * that; the cell is empty. */
static bool settle(struct bt_ctx *c, struct view *v)
{
    struct cells *cs = c->v->en->views->cells;
    struct cell *e = v->cell;

    if (e->lost || e->maps > cs->max_maps)
        bt_view_empty(c, v);
    if (bt_cell_apply(cs, e))
        return true;
    bt_view_empty(c, v);
    e->spoiled |= !bt_cell_apply(cs, e);
    return false;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool dead(struct engine_vcpu *v)
{
    static const char text[] = "the host ended the process that a program of the guest ran in";

    bt_copy(v->error, text, sizeof(text));
    v->ctx->exit_reason = EXIT_ERROR;
    return true;
}

/* What is not to be run again from where it stopped. */
static void step_back(struct user_regs_struct *r, enum cell_stop why, uint64_t addr)
{
    if (why == CELL_SYSCALL) {
        r->rip -= 2;
        r->rax = r->orig_rax;
    } else if (why == CELL_TRAP) {
        r->rip -= 1;
    } else if (why == CELL_VSYSCALL) { /* the host's kernel returned from it */
        r->rip = addr;
        r->rsp -= 8;
    }
}

/* RDTSC and RDTSCP fault in a cell; they are too common to leave it for them. */
static bool time_stamp(struct bt_ctx *c, struct user_regs_struct *r)
{
    uint8_t code[3] = {0};
    uint64_t now;

    if ((c->v->cpu.cr4 & CR4_TSD) || bt_copy_in(c, r->rip, code, 2, MMU_USER) || code[0] != 0x0f)
        return false;
    if (code[1] == 0x01 && (bt_copy_in(c, r->rip + 2, code + 2, 1, MMU_USER) || code[2] != 0xf9))
        return false;
    if (code[1] != 0x01 && code[1] != 0x31)
        return false;
    now = bt_tsc() + c->tsc_offset;
    r->rax = (uint32_t)now;
    r->rdx = now >> 32;
    if (code[1] == 0x01)
        r->rcx = (uint32_t)c->v->cpu.tsc_aux;
    r->rip += code[1] == 0x01 ? 3 : 2;
    return true;
}

static void count_stop(struct bt_stat *s, enum cell_stop why, bool fetch)
{
    switch (why) {
    case CELL_SYSCALL:
        s->cell_call++;
        break;
    case CELL_MEMORY:
        s->cell_fetch += fetch;
        s->cell_memory += !fetch;
        break;
    case CELL_KICK:
        s->cell_kick++;
        break;
    default:
        s->cell_other++;
    }
}

/* Code of a page that may not run in a cell, or an instruction: each backward jump, call and return
 * is looked at, so many times, for its end. */
#define ROUNDS 24

bool bt_cell_wanted(struct bt_ctx *c)
{
    bool wanted = c->cell_next;

    c->cell_next = false;
    if (!c->cell || c->cpl != 3)
        return false;
    if (wanted || c->cell_rounds == 0) {
        c->cell_rounds = 0;
        return wanted;
    }
    if (((c->rip ^ c->cell_left) & c->cell_mask) != 0) {
        c->cell_rounds = 0;
        return true;
    }
    if (--c->cell_rounds > 0)
        bt_kick_now(c);
    return false;
}

bool bt_cell_run(struct engine_vcpu *v)
{
    struct bt_ctx *c = v->ctx;
    struct view *view = view_of(c);
    struct cell *e = view->cell;
    struct user_regs_struct r;
    enum cell_stop why;
    uint64_t addr = 0;

    if (!may_run(c))
        return false;
    e->spoiled |= !area_free(c, v->en->views->cells);
    if (e->spoiled)
        return false;
    if (view->fault_rip == c->rip)
        (void)bt_view_fill_at(c, view, view->fault_lin, view->fault_access);
    view->fault_rip = FAULT_NONE;
    if (!settle(c, view))
        return false;
    if (!enter(c, e))
        return dead(v);
    put_regs(c, &r);
    v->en->stat.cell_enter++;
    bt_cells_together(v->en->views->cells, e);
    for (;;) {
        why = bt_cell_go(e, &r, &c->cell_running, &c->kick, &addr);
        if (why == CELL_FAULT && time_stamp(c, &r)) {
            v->en->stat.cell_clock++;
            continue;
        }
        if (why != CELL_MEMORY || !provide(c, view, addr, r.rip) || !settle(c, view))
            break;
        v->en->stat.cell_page++;
    }
    count_stop(&v->en->stat, why, is_fetch(addr, r.rip));
    if (why == CELL_DEAD)
        return dead(v);
    uint64_t ran = bt_cell_ran(e);
    v->cell_ns += ran;
    if (v->en->stats)
        v->en->stat.time[WHERE_CELL] += ran;
    step_back(&r, why, addr);
    if (!leave(c, e, &r))
        return dead(v);
    e->spoiled |= (r.eflags & BT_ID) != 0;
    c->exit_reason = EXIT_LOOKUP;
    if (why == CELL_KICK) {
        c->exit_reason = EXIT_EVENT;
        c->cell_next = true;
    } else if (why == CELL_MEMORY) {
        bool fetch = is_fetch(addr, c->rip);
        view->fault_rip = c->rip;
        view->fault_lin = addr;
        view->fault_access = fetch ? ACC_X : ACC_R;
        c->cell_left = c->rip;
        c->cell_mask = fetch ? BT_PAGE_MASK : ~0ull;
        c->cell_rounds = ROUNDS;
    } else if (why == CELL_STEP) {
        bt_dr_trap(v, c, true);
    }
    return true;
}
