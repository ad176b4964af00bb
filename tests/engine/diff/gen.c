/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequences: how many instructions, from where, at which address.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

void diff_rng_seed(struct diff_rng *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        r->s[i] = z ^ z >> 31;
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t diff_rng_next(struct diff_rng *r)
{
    uint64_t result = rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotl(r->s[3], 45);
    return result;
}

uint64_t diff_xcr0(void)
{
    uint32_t a, b, c, d, lo, hi;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1) == 0)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo & 0xe7; /* x87, SSE, AVX, the three of AVX-512 */
}

struct diff_component diff_xsave_component(unsigned index)
{
    uint32_t size = 0, offset = 0, c, d;

    __get_cpuid_count(0xd, index, &size, &offset, &c, &d);
    return (struct diff_component){.offset = offset, .size = size};
}

void gen_init(struct gen *g, struct subject *subject)
{
    g->subject = subject;
    ZydisDecoderInit(&g->decoder[0], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderInit(&g->decoder[1], ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&g->decoder[2], ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16);
    g->seen = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(g->seen[0]));
    gen_isa(g);
}

void gen_finish(struct gen *g)
{
    free(g->seen);
}

void gen_add(struct gen *g, const struct gen_item *item)
{
    if (g->seq->count < GEN_MAX_ITEMS)
        g->seq->item[g->seq->count++] = *item;
}

/* A branch into the removed item goes to the one behind it. */
static void remove_one(struct gen_seq *seq, unsigned index)
{
    memmove(&seq->item[index], &seq->item[index + 1],
            (seq->count - index - 1) * sizeof(seq->item[0]));
    seq->count--;
    for (unsigned i = 0; i < seq->count; i++)
        if (seq->item[i].target > (int)index)
            seq->item[i].target--;
}

void gen_remove(struct gen_seq *seq, unsigned index)
{
    while (index > 0 && seq->item[index].glued)
        index--;
    do
        remove_one(seq, index);
    while (index < seq->count && seq->item[index].glued);
}

static bool fits(int64_t value, unsigned size)
{
    return size != 1 || (value >= -128 && value <= 127);
}

static bool patch(const struct gen_seq *seq, unsigned i, uint8_t *code)
{
    const struct gen_item *it = &seq->item[i];
    uint32_t end = seq->at[i] + it->len;
    uint8_t *bytes = code + (seq->at[i] - seq->start);
    int64_t value;

    switch (it->fix) {
    case GEN_FIX_BRANCH:
        value = (int64_t)seq->at[it->target] - end;
        memcpy(bytes + it->len - it->size, &value, it->size);
        return fits(value, it->size);
    case GEN_FIX_RIP_DATA:
        value = (int64_t)it->address - end;
        break;
    case GEN_FIX_RIP_ITEM:
        value = (int64_t)seq->at[it->target] - end;
        break;
    case GEN_FIX_ABS_ITEM:
        value = seq->at[it->target] - seq->cs_base;
        memcpy(bytes + it->offset, &value, it->size);
        return true;
    default:
        return true;
    }
    memcpy(bytes + it->offset, &value, 4);
    return true;
}

bool gen_assemble(struct gen_seq *seq, struct diff_case *c)
{
    uint32_t len = 0;

    for (unsigned i = 0; i < seq->count; i++) {
        if (len + seq->item[i].len > DIFF_MAX_CODE)
            return false;
        seq->at[i] = seq->start + len;
        memcpy(c->code + len, seq->item[i].bytes, seq->item[i].len);
        len += seq->item[i].len;
    }
    seq->at[seq->count] = seq->start + len;
    c->code_len = len;
    for (unsigned i = 0; i < seq->count; i++) {
        if (!patch(seq, i, c->code))
            return false;
        memcpy(seq->item[i].bytes, c->code + (seq->at[i] - seq->start), seq->item[i].len);
    }
    return true;
}

static bool random_item(struct gen *g, struct gen_item *item)
{
    unsigned tries = g->only != NULL ? 200000 : 1000;

    while (tries-- > 0)
        if (gen_random(g, item))
            return true;
    return false;
}

void gen_body(struct gen *g, unsigned n, uint32_t keep)
{
    uint32_t outer = g->kept;
    struct gen_item item;

    g->kept |= keep;
    for (unsigned i = 0; i < n; i++)
        if (random_item(g, &item))
            gen_add(g, &item);
    g->kept = outer;
}

/* Somewhere in a page that no other case of a batch has; one in four near its end. */
static uint32_t pick_start(struct gen *g, uint64_t seed)
{
    uint32_t page = (uint32_t)(seed % DIFF_BATCH) * 2;
    uint32_t offset = diff_below(&g->rng, DIFF_PAGE);

    if (diff_chance(&g->rng, 25))
        offset = DIFF_PAGE - 1 - diff_below(&g->rng, 40);
    return DIFF_CODE + page * DIFF_PAGE + offset;
}

static void make_sequence(struct gen *g, uint64_t seed, struct diff_case *c)
{
    unsigned length = 1 + diff_below(&g->rng, 16);
    const char *only = g->only;

    g->seq->count = 0;
    g->kept = 0;
    g->seq->start = pick_start(g, seed);
    gen_segments(g, g->seq->mode, c);
    while (g->seq->count < length) {
        if (only == NULL && diff_chance(&g->rng, 18)) {
            gen_pattern(g);
            continue;
        }
        g->only = g->seq->count > 0 && diff_chance(&g->rng, 50) ? NULL : only;
        gen_body(g, 1, 0);
        g->only = only;
    }
}

void gen_case(struct gen *g, uint64_t seed, enum diff_mode mode, struct gen_seq *seq,
              struct diff_case *c)
{
    diff_rng_seed(&g->rng, seed);
    g->seq = seq;
    seq->mode = mode;
    do {
        make_sequence(g, seed, c);
        flow_clean(g, seq);
    } while (!gen_assemble(seq, c));
    gen_state(g, mode, c);
    c->mode = mode;
    c->regs.rip = seq->start;
}
