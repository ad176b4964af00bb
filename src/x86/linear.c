/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk of the guest's page tables: see linear.h. */
#include "x86/linear.h"

#define CR0_PG (UINT64_C(1) << 31)
#define CR4_PSE (UINT64_C(1) << 4)
#define CR4_PAE (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_LMA (UINT64_C(1) << 10)
#define FRAME UINT64_C(0x000ffffffffff000)

struct walk {
    bool lma, wide; /* entries of 8 bytes */
    unsigned levels, bits;
};

static bool is_leaf(const struct x86_cpu *cpu, const struct walk *w, unsigned level, uint64_t e)
{
    if (level == 1)
        return true;
    if (!(e >> 7 & 1) || level > 3)
        return false;
    if (level == 3)
        return w->lma;
    return w->wide || (cpu->cr4 & CR4_PSE);
}

static uint64_t leaf_frame(const struct walk *w, unsigned level, uint64_t e, uint64_t mask)
{
    uint64_t frame = e & FRAME & ~mask;

    if (!w->wide && level == 2) /* PSE-36: bits 13 - 20 are 32 - 39 of the address */
        frame = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
    return frame;
}

static uint64_t root(const struct x86_cpu *cpu, const struct walk *w)
{
    if (w->lma)
        return cpu->cr3 & FRAME;
    return cpu->cr3 & (w->wide ? 0xffffffe0 : 0xfffff000);
}

bool x86_linear(const struct x86_cpu *cpu, const struct ram *ram, uint64_t lin, gpa_t *gpa,
                uint64_t *left)
{
    struct walk w = {.lma = cpu->efer & EFER_LMA};
    uint64_t table, e;

    if (!w.lma)
        lin &= UINT32_MAX;
    if (!(cpu->cr0 & CR0_PG)) {
        *gpa = lin;
        *left = RAM_PAGE_SIZE - (lin & (RAM_PAGE_SIZE - 1));
        return true;
    }
    w.wide = w.lma || (cpu->cr4 & CR4_PAE);
    w.bits = w.wide ? 9 : 10;
    w.levels = w.lma ? (cpu->cr4 & CR4_LA57 ? 5 : 4) : w.wide ? 3 : 2;
    if (w.lma && (uint64_t)((int64_t)(lin << (64 - (12 + 9 * w.levels))) >>
                            (64 - (12 + 9 * w.levels))) != lin)
        return false; /* not canonical */
    table = root(cpu, &w);
    for (unsigned level = w.levels; level > 0; level--) {
        unsigned shift = 12 + w.bits * (level - 1), size = w.wide ? 8 : 4;
        uint64_t mask = (UINT64_C(1) << shift) - 1;

        e = 0;
        if (ram_read(ram, table + (lin >> shift & ((1u << w.bits) - 1)) * size, &e, size) < 0 ||
            !(e & 1))
            return false;
        if (is_leaf(cpu, &w, level, e)) {
            *gpa = leaf_frame(&w, level, e, mask) | (lin & mask);
            *left = mask + 1 - (lin & mask);
            return true;
        }
        table = e & FRAME & (w.wide ? ~UINT64_C(0) : UINT32_MAX);
    }
    return false;
}
