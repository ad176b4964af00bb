/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest paging: the table walk (Intel SDM vol. 3, chapter 4), the software TLB, and the slow path
 * of translated memory accesses. General registers only: the guest's vector state is live here.
 */
#include "codewrite.h"
#include "debug.h"
#include "paging.h"
#include "pkeys.h"
#include "segment.h"
#include "smp.h"
#include "trace.h"
#include "vecmem.h"

#define CR0_WP (1ull << 16)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_PGE (1ull << 7)
#define CR4_SMEP (1ull << 20)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

static int walk_fault(struct bt_ctx *c, uint64_t lin, unsigned access, unsigned mmu, uint32_t bits)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint32_t err = bits;

    if (access & ACC_W)
        err |= PF_W;
    if (mmu == MMU_USER)
        err |= PF_U;
    if ((access & ACC_X) &&
        (((cpu->efer & EFER_NXE) && (cpu->cr4 & CR4_PAE)) || (cpu->cr4 & CR4_SMEP)))
        err |= PF_I;
    c->exc_cr2 = lin;
    return bt_fault_err(c, 14, err);
}

/* Sets bits in a table entry the way the processor does: atomically, and only if the entry is still
 * what was read. */
static bool entry_set(void *host, bool wide, uint64_t old, uint64_t bits)
{
    if (wide)
        return __sync_bool_compare_and_swap((uint64_t *)host, old, old | bits);
    return __sync_bool_compare_and_swap((uint32_t *)host, (uint32_t)old, (uint32_t)(old | bits));
}

struct walk_state {
    uint64_t perm_and; /* W and U of all levels, anded */
    uint64_t nx;       /* or of all levels */
};

static bool walk_allowed(const struct x86_cpu *cpu, const struct walk_state *s, unsigned access,
                         unsigned mmu, bool *writable)
{
    bool user = s->perm_and & PTE_U, w = s->perm_and & PTE_W;

    *writable = w || (mmu != MMU_USER && !(cpu->cr0 & CR0_WP));
    if (mmu == MMU_USER && !user)
        return false;
    if (access & ACC_X) {
        if ((s->nx && (cpu->efer & EFER_NXE)) || (mmu != MMU_USER && user && (cpu->cr4 & CR4_SMEP)))
            return false;
        return true;
    }
    if (mmu == MMU_KSMAP && user)
        return false;
    return !(access & ACC_W) || *writable;
}

static uint64_t reserved_bits(const struct bt_ctx *c, bool wide)
{
    if (!wide)
        return 0;
    uint64_t r = ~c->v->en->phys_mask & 0x000ffffffffff000ull;
    if (!(c->v->cpu.efer & EFER_NXE))
        r |= PTE_NX;
    return r;
}

int bt_walk(struct bt_ctx *c, uint64_t lin, unsigned access, unsigned mmu, struct bt_walk *w)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    struct translator *en = c->v->en;

    w->global = false;
    if (!(cpu->cr0 & CR0_PG)) {
        *w = (struct bt_walk){.gpa = lin & 0xffffffff & en->a20_mask,
                              .page_bits = 12,
                              .writable = true,
                              .dirty = true};
        return 0;
    }
    bool lma = cpu->efer & EFER_LMA, wide = lma || (cpu->cr4 & CR4_PAE);
    unsigned level = lma ? 4 : wide ? 3 : 2, bits = wide ? 9 : 10, esize = wide ? 8 : 4;
    uint64_t rsvd = reserved_bits(c, wide);
    en->stat.walks++;
retry:;
    uint64_t table = cpu->cr3 & (lma ? 0x000ffffffffff000ull : wide ? 0xffffffe0 : 0xfffff000);
    struct walk_state s = {.perm_and = PTE_W | PTE_U};
    for (unsigned l = level;; l--) {
        unsigned shift = 12 + bits * (l - 1);
        uint64_t index = (lin >> shift) & ((1u << bits) - 1);
        uint64_t ea = table + index * esize;
        uint32_t rpn;
        bool rom;
        uint8_t *page = bt_ram_page(en, ea & en->a20_mask, &rpn, &rom);
        if (page == NULL) /* tables outside RAM read as all ones on the bus */
            return walk_fault(c, lin, access, mmu, PF_P | PF_RSVD);
        void *host = page + (ea & 0xfff);
        uint64_t e = wide ? __atomic_load_n((uint64_t *)host, __ATOMIC_RELAXED)
                          : __atomic_load_n((uint32_t *)host, __ATOMIC_RELAXED);
        if (!(e & PTE_P))
            return walk_fault(c, lin, access, mmu, 0);
        bool pdpte = wide && !lma && l == 3;
        bool leaf =
            l == 1 || ((e & PTE_PS) && !pdpte && (l == 2 ? wide || (cpu->cr4 & CR4_PSE) : l == 3));
        uint64_t bad = rsvd;
        if (lma && l == 4)
            bad |= PTE_PS;
        if (leaf && l > 1 && wide)
            bad |= ((1ull << shift) - 1) & ~0x1fffull;
        if (e & bad)
            return walk_fault(c, lin, access, mmu, PF_P | PF_RSVD);
        uint64_t above = (s.perm_and & (PTE_W | PTE_U)) | s.nx, table_of_leaf = table;
        if (!pdpte) {
            s.perm_and &= e;
            s.nx |= wide ? e & PTE_NX : 0;
        }
        if (!leaf) {
            if (!pdpte && !(e & PTE_A) && !entry_set(host, wide, e, PTE_A))
                goto retry;
            table = e & (wide ? 0x000ffffffffff000ull : 0xfffff000);
            continue;
        }
        bool writable;
        bool allowed = walk_allowed(cpu, &s, access, mmu, &writable);
        uint32_t keys = lma && (cpu->cr4 & BT_CR4_KEYS)
                            ? bt_keys_walk(c, e, s.perm_and & PTE_U, access, mmu, &writable)
                            : 0;
        if (!allowed || keys != 0)
            return walk_fault(c, lin, access, mmu, PF_P | keys);
        uint64_t set = PTE_A | (access & ACC_W ? PTE_D : 0);
        if ((e & set) != set && !entry_set(host, wide, e, set))
            goto retry;
        uint64_t mask = (1ull << shift) - 1;
        uint64_t frame = wide ? e & 0x000ffffffffff000ull & ~mask : e & ~mask & 0xfffff000;
        if (!wide && l == 2)
            frame |= (e >> 13 & 0xff) << 32; /* PSE-36 */
        w->table = table_of_leaf;
        w->entry = e | set;
        w->above = above;
        w->gpa = (frame | (lin & mask)) & en->phys_mask & en->a20_mask;
        w->page_bits = (uint8_t)shift;
        w->global = (e & PTE_G) && (cpu->cr4 & CR4_PGE);
        w->writable = writable;
        w->dirty = (e | set) & PTE_D;
        return 0;
    }
}

/* ---- TLB ------------------------------------------------------------------------------------ */

static uint64_t no_match(unsigned i)
{
    return (uint64_t)(i ^ 1) << 12;
}

static unsigned tlb_slot(uint64_t lin)
{
    return (lin >> 12) & (TLB_SIZE - 1);
}

static void tlb_clear(struct bt_tlb *t, unsigned i)
{
    t->tag_r[i] = t->tag_w[i] = no_match(i);
}

static void tlb_clear_list(struct bt_tlb *t, unsigned kind)
{
    for (unsigned k = 0; k < t->n_fill[kind]; k++)
        tlb_clear(t, t->fill[kind][k]);
    t->n_fill[kind] = 0;
}

void bt_tlb_init(struct bt_ctx *c)
{
    for (unsigned m = 0; m < MMU_COUNT; m++) {
        for (unsigned i = 0; i < TLB_SIZE; i++)
            tlb_clear(&c->tlb[m], i);
        c->tlb[m].n_fill[0] = c->tlb[m].n_fill[1] = 0;
    }
}

void bt_tlb_flush(struct bt_ctx *c, bool global)
{
    for (unsigned m = 0; m < MMU_COUNT; m++) {
        struct bt_tlb *t = &c->tlb[m];
        tlb_clear_list(t, 0);
        t->large[0] = 0;
        if (global) {
            tlb_clear_list(t, 1);
            t->large[1] = 0;
        }
    }
}

/* One INVLPG drops a whole large page; its pieces may be anywhere near. */
static void drop_large(struct bt_tlb *t, uint64_t lin)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned live = 0; /* what is gone leaves the list, so that it stays short */
        for (unsigned k = 0; k < t->n_fill[kind]; k++) {
            unsigned i = t->fill[kind][k];
            if ((t->tag_r[i] ^ lin) >> 30 == 0)
                tlb_clear(t, i);
            else if (t->tag_r[i] != no_match(i))
                t->fill[kind][live++] = (uint16_t)i;
        }
        t->n_fill[kind] = live;
    }
}

void bt_tlb_invlpg(struct bt_ctx *c, uint64_t lin)
{
    unsigned i = tlb_slot(lin);

    for (unsigned m = 0; m < MMU_COUNT; m++) {
        struct bt_tlb *t = &c->tlb[m];
        if (t->tag_r[i] == (lin & BT_PAGE_MASK))
            tlb_clear(t, i);
        if (t->large[lin >> 63] >> (lin >> 21 & 63) & 1)
            drop_large(t, lin);
    }
}

/* Code appeared in page rpn: stores to it must take the slow path from now on (invariant 3). The
 * vCPU's own thread, or it is stopped. */
void bt_tlb_protect(struct bt_ctx *c, uint32_t rpn)
{
    uint64_t own = bt_smp_bit(c->v), *written = &c->v->machine->written[rpn];

    bt_view_protect(c, rpn);
    if (!(__atomic_load_n(written, __ATOMIC_RELAXED) & own))
        return;
    __atomic_fetch_and(written, ~own, __ATOMIC_SEQ_CST);
    for (unsigned m = 0; m < MMU_COUNT; m++)
        for (unsigned kind = 0; kind < 2; kind++)
            for (unsigned k = 0; k < c->tlb[m].n_fill[kind]; k++) {
                unsigned i = c->tlb[m].fill[kind][k];
                if (c->tlb[m].rpn[i] == rpn)
                    c->tlb[m].tag_w[i] = no_match(i);
            }
}

enum fill_result { FILL_RAM, FILL_FAULT, FILL_MMIO };

/* Translates one page for an access; enters it into the TLB when it is RAM. *host: address of `lin`
 * itself. A ROM is RAM for reads and MMIO for writes. */
static enum fill_result tlb_fill(struct bt_ctx *c, uint64_t lin, unsigned access, unsigned mmu,
                                 uint8_t **host, uint64_t *gpa, uint32_t *rpn)
{
    struct translator *en = c->v->en;
    struct bt_tlb *t = &c->tlb[mmu];
    unsigned i = tlb_slot(lin);
    struct bt_walk w;
    bool rom;

    if (bt_walk(c, lin, access, mmu, &w))
        return FILL_FAULT;
    *gpa = w.gpa;
    uint8_t *page = bt_ram_page(en, w.gpa, rpn, &rom);
    if (page == NULL || (rom && (access & ACC_W)))
        return FILL_MMIO;
    *host = page + (lin & 0xfff);
    en->stat.fills++;
    if (bt_watching(c) && bt_watch_page(c, lin))
        return FILL_RAM;
    if (c->mode_key & MODE_DIRECT)
        bt_view_region(c, lin);
    if (t->tag_r[i] != (lin & BT_PAGE_MASK)) {
        if (t->n_fill[w.global] == TLB_FILLS) {
            t->large[w.global] = 0;
            tlb_clear_list(t, w.global);
        }
        t->fill[w.global][t->n_fill[w.global]++] = (uint16_t)i;
    }
    t->tag_r[i] = lin & BT_PAGE_MASK;
    bool store = w.writable && w.dirty && !rom && bt_guard_fill(c, *rpn);
    t->tag_w[i] = store ? t->tag_r[i] : no_match(i);
    t->host[i] = (uint64_t)page;
    t->rpn[i] = *rpn;
    if (w.page_bits == 21)
        t->large[lin >> 63] |= 1ull << (lin >> 21 & 63);
    else if (w.page_bits > 21)
        t->large[lin >> 63] = ~0ull;
    return FILL_RAM;
}

/* Finds one page for an access, through the TLB. */
static enum fill_result page_for(struct bt_ctx *c, uint64_t lin, unsigned access, unsigned mmu,
                                 uint8_t **host, uint64_t *gpa, uint32_t *rpn)
{
    struct bt_tlb *t = &c->tlb[mmu];
    unsigned i = tlb_slot(lin);

    if ((access & ACC_W ? t->tag_w[i] : t->tag_r[i]) == (lin & BT_PAGE_MASK)) {
        *host = (uint8_t *)t->host[i] + (lin & 0xfff);
        *rpn = t->rpn[i];
        *gpa = 0;
        return FILL_RAM;
    }
    return tlb_fill(c, lin, access, mmu, host, gpa, rpn);
}

/* ---- accesses of helpers -------------------------------------------------------------------- */

static bool crosses(uint64_t lin, unsigned size)
{
    return (lin & 0xfff) + size > BT_PAGE_SIZE;
}

static int check_canonical(struct bt_ctx *c, uint64_t lin, unsigned size)
{
    if ((c->v->cpu.efer & EFER_LMA) && (!bt_canonical(lin) || !bt_canonical(lin + size - 1)))
        return bt_fault_err(c, 13, 0);
    return 0;
}

int bt_copy_in(struct bt_ctx *c, uint64_t lin, void *buf, unsigned len, unsigned mmu)
{
    uint8_t *out = buf;

    if (check_canonical(c, lin, len))
        return 1;
    while (len > 0) {
        unsigned n = BT_PAGE_SIZE - (lin & 0xfff);
        uint8_t *host;
        uint64_t gpa;
        uint32_t rpn;
        if (n > len)
            n = len;
        switch (page_for(c, lin, ACC_R, mmu, &host, &gpa, &rpn)) {
        case FILL_FAULT:
            return 1;
        case FILL_RAM:
            bt_copy_few(out, host, n);
            break;
        case FILL_MMIO:
            bt_mmio_read(c, gpa, out, n);
            break;
        }
        if (bt_watching(c))
            bt_watch_helper(c, lin, n, ACC_R);
        out += n;
        lin += n;
        len -= n;
    }
    return 0;
}

/* A helper is about to store to a page. */
static void store_begins(struct bt_ctx *c, uint32_t rpn)
{
    while (!bt_guard_store(c, rpn)) {
        c->v->en->stat.smp_open++;
        bt_guard_open(c, rpn);
    }
    if (bt_code_in(c, rpn))
        bt_code_store(c, rpn);
}

static void ram_store(struct bt_ctx *c, uint8_t *host, uint32_t rpn, const void *buf, unsigned n)
{
    store_begins(c, rpn);
    if (n == 8)
        *(volatile uint64_t *)host = *(const uint64_t *)buf;
    else if (n == 4)
        *(volatile uint32_t *)host = *(const uint32_t *)buf;
    else if (n == 2)
        *(volatile uint16_t *)host = *(const uint16_t *)buf;
    else
        bt_copy_few(host, buf, n);
}

int bt_copy_out(struct bt_ctx *c, uint64_t lin, const void *buf, unsigned len, unsigned mmu)
{
    const uint8_t *in = buf;
    uint8_t *host;
    uint64_t gpa;
    uint32_t rpn;

    if (check_canonical(c, lin, len))
        return 1;
    if (crosses(lin, len)) /* all pages are checked before the first byte is written */
        for (uint64_t p = lin & BT_PAGE_MASK; p <= lin + len - 1; p += BT_PAGE_SIZE)
            if (page_for(c, p < lin ? lin : p, ACC_W, mmu, &host, &gpa, &rpn) == FILL_FAULT)
                return 1;
    while (len > 0) {
        unsigned n = BT_PAGE_SIZE - (lin & 0xfff);
        if (n > len)
            n = len;
        switch (page_for(c, lin, ACC_W, mmu, &host, &gpa, &rpn)) {
        case FILL_FAULT:
            return 1;
        case FILL_RAM:
            ram_store(c, host, rpn, in, n);
            break;
        case FILL_MMIO:
            bt_mmio_write(c, gpa, in, n);
            break;
        }
        if (bt_watching(c))
            bt_watch_helper(c, lin, n, ACC_W);
        in += n;
        lin += n;
        len -= n;
    }
    return 0;
}

/* Where alignment is checked: by the operand's size, of ten bytes and of more than 16 by less. */
bool bt_misaligned(const struct bt_ctx *c, uint64_t lin, unsigned size)
{
    return (c->mode_key & MODE_AC) && (lin & ((1u << (31 - __builtin_clz(size | 1))) - 1) & 15);
}

int bt_read(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned mmu, uint64_t *val)
{
    uint64_t v = 0;
    if (mmu == MMU_USER && bt_misaligned(c, lin, size))
        return bt_fault_err(c, 17, 0);
    int r = bt_copy_in(c, lin, &v, size, mmu);

    if (r == 0)
        *val = v;
    return r;
}

int bt_write(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned mmu, uint64_t val)
{
    if (mmu == MMU_USER && bt_misaligned(c, lin, size))
        return bt_fault_err(c, 17, 0);
    return bt_copy_out(c, lin, &val, size, mmu);
}

void *bt_host(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned access, unsigned mmu,
              int *fault)
{
    uint8_t *host;
    uint64_t gpa;
    uint32_t rpn;

    *fault = 0;
    if (crosses(lin, size))
        return NULL;
    if (check_canonical(c, lin, size)) {
        *fault = 1;
        return NULL;
    }
    enum fill_result r = page_for(c, lin, access, mmu, &host, &gpa, &rpn);
    if (r == FILL_FAULT)
        *fault = 1;
    if (r != FILL_RAM || (bt_watching(c) && bt_watch_page(c, lin)))
        return NULL;
    if (access & ACC_W)
        store_begins(c, rpn);
    return host;
}

/* ---- slow path of translated accesses ------------------------------------------------------- */

/* mem_info: bits 0-9 size, 12-13 access, 16-17 mmu, 20 stack segment, 21 masked, 22 32-bit linear
 * addresses */
static void read_site(struct bt_ctx *c)
{
    const struct bt_mem_site *s = (const void *)(c->v->en->code_rw + c->site - sizeof(*s));

    c->mem_info = s->info;
    c->mem_state = s->state;
    c->pc = s->pc;
}

static void precise_state(struct bt_ctx *c)
{
    uint32_t st = c->mem_state;

    for (unsigned r = 0; r < 16; r++)
        if (st >> r & 1)
            c->gpr[r] = c->spill[r];
    bt_lend(c);
    if (st & STATE_FLAGS_SAVED) {
        uint64_t s = c->saved_flags;
        c->flags = (s >> 8 & 0xd5) | (s & 1) << 11 | 0x202;
    }
    c->rip = bt_helper_rip(c);
}

static uint64_t slow_fault(struct bt_ctx *c)
{
    unsigned size = c->mem_info & 0x3ff;

    c->v->en->stat.slow_fault++;
    if ((c->mem_info & INFO_ALIGNED) && (c->mem_addr & (size - 1)) && c->exc_vector == 14)
        bt_fault_err(c, 13, 0);
    precise_state(c);
    return bt_exception(c);
}

static uint64_t site_b(struct bt_ctx *c)
{
    return c->code_base + c->site + 16;
}

/* True: the store changes what follows in the running block, so the instruction runs alone. */
static bool hits_running_code(struct bt_ctx *c, uint32_t rpn, unsigned off, unsigned size)
{
    return bt_code_in(c, rpn) && bt_code_store_site(c, rpn, off, size);
}

static uint64_t leave(struct bt_ctx *c, enum bt_exit_reason why)
{
    precise_state(c);
    c->exit_reason = why;
    return 1;
}

/* An access outside the part of its segment that translated code knows (xseg.c). */
uint64_t bt_seg_slow(struct bt_ctx *c)
{
    read_site(c);
    unsigned first = 0, size = c->mem_info & 0x3ff;
    if (c->mem_info & INFO_MASKED) { /* from the first to the last element that is not off */
        bt_vector_out();
        uint64_t active = bt_vec_active(c) & (size >= 64 ? ~0ull : (1ull << size) - 1);
        bt_vector_in();
        if (active == 0)
            return 0;
        first = (unsigned)__builtin_ctzll(active);
        size = 64 - (unsigned)__builtin_clzll(active) - first;
    }
    if (bt_seg_check(c, c->mem_info >> 24 & 7, c->mem_addr + first, size, c->mem_info >> 12 & 3) ==
        0)
        return 0;
    precise_state(c);
    return bt_exception(c);
}

static uint64_t oneshot(struct bt_ctx *c)
{
    return leave(c, EXIT_ONESHOT);
}

/* True: others guard the page, and the run loop has to tell them first. */
static bool foreign(struct bt_ctx *c, uint32_t rpn)
{
    if (bt_guard_store(c, rpn))
        return false;
    c->arg = rpn;
    return true;
}

struct piece {
    uint64_t lin;
    unsigned len;
    uint8_t *host; /* NULL: device */
    uint64_t gpa;
    uint32_t rpn;
};

/* True: the access is to watched data and not the last one of a block that is left behind it. */
static bool watched(struct bt_ctx *c, const struct piece *p, unsigned access)
{
    return bt_watching(c) && bt_watch_hit(c, p->lin, p->len, access, c->v->alone) && !c->v->alone;
}

static int locate(struct bt_ctx *c, struct piece *p, unsigned access, unsigned mmu)
{
    enum fill_result r = page_for(c, p->lin, access, mmu, &p->host, &p->gpa, &p->rpn);

    if (r == FILL_FAULT)
        return 1;
    if (r == FILL_MMIO)
        p->host = NULL;
    return 0;
}

/* The access goes through the bounce buffer: to a device, or to two pages. */
static uint64_t bounce(struct bt_ctx *c, struct piece *p, unsigned n, unsigned size,
                       unsigned access)
{
    uint8_t *b = c->bounce + (p[0].lin & 63), *out = b;

    c->mem_host = (uint64_t)b;
    c->post.active = ~0ull;
    c->post.size = (uint8_t)size;
    c->post.part = (uint8_t)p[0].len;
    for (unsigned i = 0; i < n; i++) {
        /* Memory that is only stored to comes along, too: an instruction may store nothing after
         * all (an x87 store with an unmasked exception). */
        if (p[i].host != NULL)
            bt_copy(out, p[i].host, p[i].len);
        else if (access & ACC_R)
            bt_mmio_read(c, p[i].gpa, out, p[i].len);
        out += p[i].len;
        c->post.mmio[i] = p[i].host == NULL;
        c->post.target[i] = p[i].host != NULL ? (uint64_t)p[i].host : p[i].gpa;
    }
    return access & ACC_W ? site_b(c) : 0;
}

/* Records the fault of a non-canonical address. */
static int off_canonical(struct bt_ctx *c, uint64_t lin, unsigned size)
{
    if (!(c->mode_key & MODE_LMA) || (c->mem_info & INFO_LIN32) ||
        (bt_canonical(lin) && bt_canonical(lin + size - 1)))
        return 0;
    return bt_fault_err(c, c->mem_info & INFO_STACK ? 12 : 13, 0);
}

/* An access with a mask: pages without an active byte are not looked at. All goes through the
 * bounce buffer. */
static uint64_t masked_access(struct bt_ctx *c, struct piece *p, unsigned n, unsigned size,
                              unsigned access, unsigned mmu)
{
    uint64_t active;
    unsigned at = 0;
    struct piece used[2];
    bool any[2] = {false, false};

    c->v->en->stat.slow_masked++;
    bt_vector_out();
    active = bt_vec_active(c);
    bt_vector_in();
    for (unsigned i = 0; i < n; at += p[i].len, i++) {
        uint64_t bytes = p[i].len >= 64 ? ~0ull : ((1ull << p[i].len) - 1) << at;
        any[i] = active & bytes;
        used[i] = p[i];
        if (any[i] && (off_canonical(c, p[i].lin, p[i].len) ||
                       locate(c, &used[i], access & ACC_W ? ACC_W : ACC_R, mmu)))
            return slow_fault(c);
    }
    for (unsigned i = 0; i < n; i++)
        if (any[i] && watched(c, &used[i], access))
            return oneshot(c);
    for (unsigned i = 0; i < n; i++)
        if ((access & ACC_W) && any[i] && used[i].host != NULL && foreign(c, used[i].rpn))
            return leave(c, EXIT_OPEN);
    for (unsigned i = 0; i < n; i++)
        if ((access & ACC_W) && any[i] && used[i].host != NULL &&
            hits_running_code(c, used[i].rpn, (unsigned)(used[i].lin & 0xfff), used[i].len))
            return oneshot(c);
    for (unsigned i = 0; i < n; i++)
        if (!any[i]) /* reads something harmless, writes nothing */
            used[i].host = c->nowhere;
    uint64_t r = bounce(c, used, n, size, access);
    c->post.active = active;
    return r;
}

/* Why an access that met no fault took the slow path. */
static void count_reason(struct bt_ctx *c, const struct piece *p, unsigned n, unsigned access)
{
    struct translator *en = c->v->en;

    if (n == 2)
        en->stat.slow_cross++;
    else if (p->host == NULL)
        en->stat.slow_device++;
    else if ((access & ACC_W) && bt_guarded(en, p->rpn))
        en->stat.slow_code++;
    else
        en->stat.slow_fill++;
}

uint64_t bt_mem_slow(struct bt_ctx *c)
{
    read_site(c);
    unsigned size = c->mem_info & 0x3ff, access = c->mem_info >> 12 & 3,
             mmu = c->mem_info >> 16 & 3;
    uint64_t lin = c->mem_addr;
    struct piece p[2] = {{.lin = lin, .len = size}};
    unsigned n = 1;

    c->v->en->stat.slow++;
    if (!(c->mem_info & (INFO_MASKED | INFO_ALIGNED)) && bt_misaligned(c, lin, size)) {
        bt_fault_err(c, 17, 0);
        return slow_fault(c);
    }
    if (!(c->mem_info & INFO_MASKED) && off_canonical(c, lin, size))
        return slow_fault(c);
    if (crosses(lin, size)) {
        n = 2;
        p[0].len = BT_PAGE_SIZE - (unsigned)(lin & 0xfff);
        p[1].len = size - p[0].len;
        p[1].lin = lin + p[0].len;
        if (c->mem_info & INFO_LIN32)
            p[1].lin &= 0xffffffff;
    }
    if (c->mem_info & INFO_MASKED)
        return masked_access(c, p, n, size, access, mmu);
    if (n == 2 && (c->mem_info & INFO_LOCKED) && c->v->cross == 0)
        return leave(c, EXIT_LOCKED);
    /* A write access checks write permission first, as the processor does for read-modify-write. */
    for (unsigned i = 0; i < n; i++)
        if (locate(c, &p[i], access & ACC_W ? ACC_W : ACC_R, mmu))
            return slow_fault(c);
    for (unsigned i = 0; i < n; i++)
        if (watched(c, &p[i], access))
            return oneshot(c);
    count_reason(c, p, n, access);
    if (access & ACC_W)
        for (unsigned i = 0; i < n; i++)
            if (p[i].host != NULL && foreign(c, p[i].rpn))
                return leave(c, EXIT_OPEN);
    if (access & ACC_W)
        for (unsigned i = 0; i < n; i++)
            if (p[i].host != NULL &&
                hits_running_code(c, p[i].rpn, (unsigned)(p[i].lin & 0xfff), p[i].len))
                return oneshot(c);
    if (n == 2 || p[0].host == NULL)
        return bounce(c, p, n, size, access);
    c->mem_host = (uint64_t)p[0].host;
    return 0;
}

static void write_piece(struct bt_ctx *c, unsigned i, const uint8_t *b, unsigned len,
                        uint64_t active)
{
    uint64_t to = c->post.target[i];

    if (c->post.active == ~0ull) {
        if (c->post.mmio[i])
            bt_mmio_write(c, to, b, len);
        else
            bt_copy((void *)to, b, len);
        return;
    }
    for (unsigned k = 0; k < len; k++) {
        if (!(active >> k & 1))
            continue;
        if (c->post.mmio[i])
            bt_mmio_write(c, to + k, b + k, 1);
        else
            *(uint8_t *)(to + k) = b[k];
    }
}

uint64_t bt_mem_post(struct bt_ctx *c)
{
    uint8_t *b = (uint8_t *)c->mem_host;
    unsigned first = c->post.part, rest = c->post.size - first;

    for (unsigned i = 0; i < 2; i++) {
        unsigned len = i == 0 ? first : rest;
        if (len == 0)
            break;
        write_piece(c, i, b, len, c->post.active >> (i == 0 ? 0 : first));
        b += len;
    }
    return 0;
}

/* The check of a group failed. 0: the span is plain memory, mem_host its address; else to the copy
 * without groups, which does every access on its own and has its faults in the right place. Dirty
 * bits are not set ahead of a store. */
uint64_t bt_group_slow(struct bt_ctx *c)
{
    read_site(c);
    unsigned size = c->mem_info & 0x3ff, access = c->mem_info >> 12 & 3,
             mmu = c->mem_info >> 16 & 3;
    struct bt_tlb *t = &c->tlb[mmu];
    uint64_t lin = c->mem_addr, gpa;
    unsigned i = tlb_slot(lin);
    uint8_t *host;
    uint32_t rpn;
    struct bt_stat *stat = &c->v->en->stat;

    stat->slow++;
    if (crosses(lin, size) || ((c->mode_key & MODE_LMA) && !bt_canonical(lin))) {
        stat->group_cross++;
        return site_b(c);
    }
    if (tlb_fill(c, lin, ACC_R, mmu, &host, &gpa, &rpn) != FILL_RAM ||
        (bt_watching(c) && bt_watch_page(c, lin))) {
        stat->group_fault++;
        return site_b(c);
    }
    if ((access & ACC_W) && (t->tag_w[i] != (lin & BT_PAGE_MASK) || bt_code_own(c, rpn))) {
        stat->group_store++;
        return site_b(c);
    }
    stat->group_fill++;
    c->mem_host = (uint64_t)host;
    return 0;
}
