/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases without rules: bytes that may be any instruction, at any privilege level, in segments of
 * any kind, with control registers, descriptors and page tables that are more or less broken. There
 * is nothing to compare with; an engine has to come back with an exit of its vocabulary.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_internal.h"

static bool flip(struct diff_rng *rng, unsigned percent)
{
    return diff_chance(rng, percent);
}

/* Bits that a supervisor may set as it likes. */
static void shake_registers(struct diff_rng *rng, struct x86_cpu *x)
{
    static const uint64_t cr0[] = {2, 4, 8, 0x10000, 0x40000};
    static const uint64_t cr4[] = {1,     2,       4,       8,       0x80,     0x200,   0x400,
                                   0x800, 0x10000, 0x20000, 0x40000, 0x100000, 0x200000};

    for (size_t i = 0; i < sizeof(cr0) / sizeof(cr0[0]); i++)
        if (flip(rng, 10))
            x->cr0 ^= cr0[i];
    for (size_t i = 0; i < sizeof(cr4) / sizeof(cr4[0]); i++)
        if (flip(rng, 10))
            x->cr4 ^= cr4[i];
    if (flip(rng, 10))
        x->efer ^= 0x800;
    if (flip(rng, 10))
        x->efer ^= 1;
    if (flip(rng, 20))
        x->rflags ^= diff_rng_next(rng) & 0x47f00;
    if (flip(rng, 5))
        x->dr[7] = 0x400 | (diff_rng_next(rng) & 0xffff03ff);
    for (unsigned i = 0; i < 4; i++)
        x->dr[i] = flip(rng, 50) ? x->rip + i : DIFF_DATA + diff_below(rng, 64);
    x->star = diff_rng_next(rng);
    x->lstar = DIFF_CODE + diff_below(rng, 256);
    x->cstar = x->lstar;
    x->fmask = diff_rng_next(rng) & 0x47fd5;
    x->kernel_gs_base = DIFF_DATA;
    x->sysenter_cs = flip(rng, 50) ? 0x10 : diff_below(rng, 0x100);
}

/* A segment of another size, with a base or with a limit. */
static void shake_segment(struct diff_rng *rng, struct x86_segment *seg, bool code)
{
    if (code && flip(rng, 40))
        seg->attr = (uint16_t)((seg->attr & ~0x2000u) ^ (flip(rng, 50) ? 0x4000 : 0));
    if (code && flip(rng, 10))
        seg->attr |= 4; /* conforming */
    if (flip(rng, 25))
        seg->base = diff_below(rng, 0x2000);
    if (flip(rng, 15))
        seg->limit = diff_below(rng, 0x10000) | (flip(rng, 50) ? 0x20000000 : 0);
    if (!code && flip(rng, 15))
        seg->attr ^= flip(rng, 50) ? 4 : 2; /* expand down, read-only */
    if (!code && flip(rng, 10))
        seg->unusable = true;
}

static void shake_segments(struct diff_rng *rng, struct x86_cpu *x)
{
    if (flip(rng, 60))
        return;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        if (flip(rng, 40))
            shake_segment(rng, &x->seg[i], i == X86_CS);
    if (x->seg[X86_CS].base != 0)
        x->rip -= x->seg[X86_CS].base;
    if (flip(rng, 10))
        x->gdtr.limit = (uint16_t)diff_rng_next(rng);
    if (flip(rng, 10))
        x->idtr.limit = (uint16_t)diff_rng_next(rng) & 0xfff;
    if (flip(rng, 5))
        x->tr.limit = diff_below(rng, 0x68);
}

/* Random words over the tables of the guest. */
static void shake_memory(struct subject *s, struct diff_rng *rng)
{
    static const struct {
        gpa_t base;
        uint32_t size;
    } areas[] = {{GPA_GDT, 0x80},      {GPA_IDT, 0x1000},    {GPA_TSS, 0x68},
                 {GPA_TABLES, 0x8000}, {GPA_TABLES, 0x8000}, {GPA_STACK_TOP - 256, 256}};
    unsigned count = flip(rng, 50) ? 0 : diff_below(rng, 8);

    while (count-- > 0) {
        unsigned a = diff_below(rng, sizeof(areas) / sizeof(areas[0]));
        gpa_t at = areas[a].base + (diff_below(rng, areas[a].size) & ~7u);
        uint64_t word = subject_get64(s, at);

        if (flip(rng, 70))
            word ^= 1ull << diff_below(rng, 64);
        else
            word = diff_rng_next(rng);
        subject_put64(s, at, word);
    }
}

static void mend(struct subject *s)
{
    static const uint8_t zero[DIFF_PAGE];

    for (gpa_t gpa = 0; gpa < GPA_KERNEL_END; gpa += DIFF_PAGE)
        subject_put(s, gpa, zero, sizeof(zero));
    subject_build(s, zero);
}

static void describe(const struct x86_cpu *x)
{
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        printf("  seg %u attr %#x base %#lx limit %#x%s\n", i, x->seg[i].attr, x->seg[i].base,
               x->seg[i].limit, x->seg[i].unusable ? " unusable" : "");
    printf("  rip %#lx rflags %#lx cr0 %#lx cr4 %#lx efer %#lx dr7 %#lx\n", x->rip, x->rflags,
           x->cr0, x->cr4, x->efer, x->dr[7]);
    for (unsigned i = 0; i < 16; i++)
        printf("  r%-2u %016lx%s", i, x->gpr[i], i % 4 == 3 ? "\n" : "");
    fflush(stdout);
}

bool subject_run_wild(struct subject *s, uint64_t seed, const struct diff_case *c, bool show,
                      char *note, size_t size)
{
    struct diff_rng rng;
    struct x86_cpu x;
    struct err e = {0};
    enum engine_exit exit = ENGINE_EXIT_KICKED;

    diff_rng_seed(&rng, ~seed);
    s->patience = 2;
    subject_prepare(s, c, &x);
    shake_registers(&rng, &x);
    shake_segments(&rng, &x);
    shake_memory(s, &rng);
    if (show)
        describe(&x);
    note[0] = '\0';
    if (s->ops->set_state(s->vcpu, &x, &e) == 0) {
        exit = subject_watched_run(s);
        if (exit == ENGINE_EXIT_ERROR)
            snprintf(note, size, "%s", s->ops->strerror(s->vcpu));
    }
    mend(s);
    return exit != ENGINE_EXIT_ERROR;
}
