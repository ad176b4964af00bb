/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generator of differential testing: sequences as lists of items, so that one can be taken out
 * when a failure is shrunk, and what is known about their flags.
 */
#ifndef TESTS_ENGINE_DIFF_GEN_H
#define TESTS_ENGINE_DIFF_GEN_H

#include <Zydis/Zydis.h>

#include "diff.h"

#define GEN_MAX_ITEMS 48
#define GEN_NO_TARGET (-1)

/* What is patched into an item when the sequence gets its addresses. */
enum gen_fix {
    GEN_FIX_NONE,
    GEN_FIX_BRANCH,   /* displacement at the item's end, to item `target` */
    GEN_FIX_RIP_DATA, /* 32-bit RIP-relative displacement at `offset`, to linear `address` */
    GEN_FIX_RIP_ITEM, /* the same, to item `target` */
    GEN_FIX_ABS_ITEM, /* the address of item `target` in CS, of `size` bytes, at `offset` */
};

struct gen_item {
    uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
    uint8_t len;
    enum gen_fix fix;
    uint8_t offset, size;
    bool glued; /* makes no sense without the item before it */
    int target; /* an item, or the number of items for the end */
    uint32_t address;
};

struct gen_seq {
    enum diff_mode mode;
    uint32_t start;              /* linear address */
    uint32_t cs_base, data_base; /* of segmented cases; the latter about that of all data */
    unsigned count;
    struct gen_item item[GEN_MAX_ITEMS];
    uint32_t at[GEN_MAX_ITEMS + 1]; /* addresses, after gen_assemble */
};

struct gen {
    struct diff_rng rng;
    ZydisDecoder decoder[3]; /* 64-bit, 32-bit, 16-bit */
    const char *only;        /* a mnemonic, or NULL */
    struct subject *subject; /* whose CPUID counts; NULL: the host's */
    bool isa[ZYDIS_ISA_SET_MAX_VALUE + 1];
    bool avx, avx512;
    bool alignment; /* cases with alignment checks (AC) too */
    bool whole;     /* no code beyond the limit of CS: IRET of an interrupt would fault there */
    uint32_t tls_selector;
    struct gen_seq *seq;
    bool addr16;    /* the instruction that is made gets an address of 16 bits */
    uint32_t kept;  /* registers that the current part of the sequence must not change */
    uint64_t *seen; /* per mnemonic: instructions generated */
};

static inline const ZydisDecoder *gen_decoder(const struct gen *g, enum diff_mode mode)
{
    return &g->decoder[mode == DIFF_SEG16 ? 2 : diff_narrow(mode)];
}

void gen_init(struct gen *g, struct subject *subject);
void gen_finish(struct gen *g);
/* Makes case number `seed`: the sequence and the whole case. */
void gen_case(struct gen *g, uint64_t seed, enum diff_mode mode, struct gen_seq *seq,
              struct diff_case *c);
/* One random instruction; false: the attempt gave nothing usable. */
bool gen_random(struct gen *g, struct gen_item *item);
/* Appends a short pattern that random bytes would hardly make. */
void gen_pattern(struct gen *g);
/* A case of bytes that nobody looked at: instructions of any kind, or noise. */
void gen_wild(struct gen *g, uint64_t seed, enum diff_mode mode, struct diff_case *c);
void gen_add(struct gen *g, const struct gen_item *item);
/* Up to `n` random instructions that leave the registers in `keep` alone. */
void gen_body(struct gen *g, unsigned n, uint32_t keep);

/* Gives items their addresses and fills c->code. False: a short branch does not reach. */
bool gen_assemble(struct gen_seq *seq, struct diff_case *c);
/* Takes an item out, with those that are glued to it. */
void gen_remove(struct gen_seq *seq, unsigned index);

/* The segments of a segmented case, whose sequence begins at seq->start. */
void gen_segments(struct gen *g, enum diff_mode mode, struct diff_case *c);
/* Registers and memory a case starts with. */
void gen_state(struct gen *g, enum diff_mode mode, struct diff_case *c);

/* Is it an instruction that may run in a case of this mode? */
bool gen_allowed(const struct gen *g, enum diff_mode mode, const ZydisDecodedInstruction *in,
                 const ZydisDecodedOperand *op);
/* General registers (bits in encoding order) that it writes, except the string instructions' own
 * pointers and counters and the stack instructions' stack pointer. */
uint32_t gen_written(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op);
void gen_isa(struct gen *g);

/* Removes items that read flags which the instructions before them left undefined. */
void flow_clean(const struct gen *g, struct gen_seq *seq);
/* The status flags that must be equal when the sequence ended with this exception at `rip`. */
uint32_t flow_flags(const struct gen *g, const struct gen_seq *seq, unsigned vector, uint64_t rip);

/* True: equal. Else a line per difference goes to `out` (may be NULL). */
bool diff_compare(const struct gen *g, const struct gen_seq *seq, const struct diff_case *c,
                  const struct diff_result *want, const struct diff_result *got, char *out,
                  size_t size);
/* The code of a wild case, as it would be decoded from its start. */
void diff_print_bytes(const struct gen *g, const struct diff_case *c);
void diff_print_code(const struct gen *g, const struct gen_seq *seq);
void diff_print(const struct gen *g, const struct gen_seq *seq, const struct diff_case *c,
                const struct diff_result *want, const struct diff_result *got);

#endif
