/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random differential testing of an engine against the host CPU: what its parts share.
 *
 * A case is a short unprivileged instruction sequence with a whole user-visible CPU state and the
 * contents of two data pages. The oracle (a process of its own, so that its signal handlers and
 * fixed mappings disturb nobody) runs it natively; the subject runs it as guest code. Both use the
 * same linear addresses: a block of code pages (read and execute), two data pages (read and
 * write), a hole, a read-only page, a hole. Every case ends in an exception, at the latest at the
 * INT3 that fills the code pages behind the sequence; the state at that moment is compared.
 */
#ifndef TESTS_ENGINE_DIFF_H
#define TESTS_ENGINE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIFF_PAGE 0x1000u
#define DIFF_CODE 0x10000000u
#define DIFF_CODE_PAGES 130u /* two for each case of a batch, and one behind them */
#define DIFF_CODE_SIZE (DIFF_CODE_PAGES * DIFF_PAGE)
#define DIFF_DATA 0x20000000u
#define DIFF_DATA_SIZE (2 * DIFF_PAGE)
/* The data once more, where programs have their stacks. The low 21 bits are those of DIFF_DATA. */
#define DIFF_HIGH 0x7f0020000000u
#define DIFF_RO (DIFF_DATA + 3 * DIFF_PAGE)
#define DIFF_XSAVE 4096u   /* room for the standard format */
#define DIFF_MAX_CODE 480u /* bytes of one sequence */
#define DIFF_PAD 32u       /* INT3s guaranteed behind a sequence */
#define DIFF_BATCH 64u
/* What FS and GS name in 32-bit cases: a TLS entry of Linux's GDT, or, where the host's kernel has
 * no such thing, the flat data segment. */
#define DIFF_TLS_SELECTOR 0x63u
#define DIFF_TLS_BASE 0x40u
#define DIFF_FLAT_SELECTOR 0x2bu
/* Entry n of the LDT, which segmented cases run in. */
#define DIFF_LDT_SELECTOR(n) (((n) + 1u) << 3 | 7u)
/* Bits 16 - 31 of ESP in cases with a 16-bit stack segment: IRETQ leaves there what they were. */
#define DIFF_STACK16_HIGH 0x5a5a0000u

#define DIFF_CF 0x001u
#define DIFF_PF 0x004u
#define DIFF_AF 0x010u
#define DIFF_ZF 0x040u
#define DIFF_SF 0x080u
#define DIFF_TF 0x100u
#define DIFF_IF 0x200u
#define DIFF_DF 0x400u
#define DIFF_OF 0x800u
#define DIFF_AC 0x40000u
#define DIFF_ID 0x200000u
#define DIFF_STATUS (DIFF_CF | DIFF_PF | DIFF_AF | DIFF_ZF | DIFF_SF | DIFF_OF)

enum diff_mode {
    DIFF_USER64, /* 64-bit code at CPL 3 */
    DIFF_USER32, /* compatibility mode, flat segments, CPL 3 */
    DIFF_KERNEL, /* the guest runs it at CPL 0; the host as DIFF_USER64 */
    DIFF_SEG32,  /* compatibility mode, segments of an LDT with bases and limits, CPL 3 */
    DIFF_SEG16,  /* the same with 16-bit code */
};

static inline bool diff_segmented(enum diff_mode mode)
{
    return mode == DIFF_SEG32 || mode == DIFF_SEG16;
}

static inline bool diff_narrow(enum diff_mode mode) /* not 64-bit code */
{
    return mode == DIFF_USER32 || diff_segmented(mode);
}

/* A segment of a segmented case, in the vocabulary of modify_ldt. */
enum diff_segment_name { DIFF_CS, DIFF_DS, DIFF_ES, DIFF_SS, DIFF_SEGMENTS };
struct diff_segment {
    uint32_t base, limit;            /* limit: 20 bits */
    bool big, pages, down, readonly; /* of code: not readable */
};

struct diff_regs {
    uint64_t gpr[16];          /* encoding order */
    uint64_t rip, rflags;      /* rip: linear */
    uint64_t fs_base, gs_base; /* 64-bit modes */
    uint16_t tls_selector;     /* 32-bit mode: FS and GS */
};

struct diff_case {
    enum diff_mode mode;
    struct diff_regs regs; /* rip: the linear address of the first instruction */
    struct diff_segment seg[DIFF_SEGMENTS];
    uint32_t code_len;
    uint8_t code[DIFF_MAX_CODE];
    uint8_t data[DIFF_DATA_SIZE];
    uint8_t xsave[DIFF_XSAVE] __attribute__((aligned(64))); /* standard format */
};

enum diff_status {
    DIFF_NOT_RUN,
    DIFF_DONE,
    DIFF_TIMEOUT, /* did not end */
    DIFF_LOST,    /* whoever ran it died or left in an unexpected way */
};

struct diff_result {
    enum diff_status status;
    unsigned vector;
    uint64_t error, cr2;
    struct diff_regs regs;
    uint8_t data[DIFF_DATA_SIZE];
    uint8_t xsave[DIFF_XSAVE] __attribute__((aligned(64)));
    char note[160]; /* DIFF_LOST: why */
};

/* What the oracle and its client share in memory. */
struct diff_shared {
    uint64_t xcr0;               /* components to load and compare */
    uint8_t readonly[DIFF_PAGE]; /* contents of the read-only page */
    uint32_t tls_selector;       /* set by the oracle when it starts, */
    bool no_ldt;                 /* and whether the host's kernel refuses LDTs */
    bool together;               /* the code of all cases of a batch is there at once */
    uint32_t count;
    struct diff_case cases[DIFF_BATCH];
    struct diff_result results[DIFF_BATCH];
};

/* xoshiro256** (Blackman, Vigna), seeded by splitmix64. */
struct diff_rng {
    uint64_t s[4];
};
void diff_rng_seed(struct diff_rng *r, uint64_t seed);
uint64_t diff_rng_next(struct diff_rng *r);
/* 0 .. n-1 */
static inline uint32_t diff_below(struct diff_rng *r, uint32_t n)
{
    return (uint32_t)((diff_rng_next(r) >> 32) * n >> 32);
}
/* True in `percent` of 100 calls. */
static inline bool diff_chance(struct diff_rng *r, unsigned percent)
{
    return diff_below(r, 100) < percent;
}

/* XSAVE components of this host (CPUID leaf 0xd), standard format. */
struct diff_component {
    uint32_t offset, size;
};
uint64_t diff_xcr0(void); /* of the components this tester knows, those the host has on */
struct diff_component diff_xsave_component(unsigned index); /* 2 and up */

/* The oracle: a process that runs cases natively. */
struct oracle;
struct oracle *oracle_create(const char *program, uint64_t xcr0, const uint8_t *readonly);
void oracle_destroy(struct oracle *o);
struct diff_shared *oracle_shared(struct oracle *o);
/* Starts shared->cases[0 .. count); oracle_wait returns when all results are there. A case that
 * kills the process is DIFF_LOST, and so are those behind it. */
void oracle_start(struct oracle *o, uint32_t count);
void oracle_wait(struct oracle *o);

/* The subject: a guest machine under an engine. */
struct subject;
struct subject *subject_create(const char *engine, uint64_t xcr0, const uint8_t *readonly,
                               const char **why);
void subject_destroy(struct subject *s);
void subject_run(struct subject *s, const struct diff_case *c, struct diff_result *r);
/* The same for a batch of at most DIFF_BATCH cases with consecutive seeds, one after the other by
 * guest code, without leaving the engine in between. */
void subject_run_batch(struct subject *s, const struct diff_case *c, struct diff_result *r,
                       uint32_t n);
/* From now on interrupts come at random moments, which a case must not notice. */
void subject_interrupts(struct subject *s);
/* From now on performance counters count instructions and branches, and overflow now and then. */
void subject_counters(struct subject *s);
uint64_t subject_counted(const struct subject *s); /* instructions */
uint64_t subject_interrupt_count(const struct subject *s);
/* Runs a case that may do anything, in a machine that is not in order, for at most some
 * milliseconds, and mends the guest's memory after it. False: the engine gave up; `note` says why.
 * show: prints the CPU's state before. */
bool subject_run_wild(struct subject *s, uint64_t seed, const struct diff_case *c, bool show,
                      char *note, size_t size);
/* CPUID as the guest sees it. */
void subject_cpuid(struct subject *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
