/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Status flags along a sequence: which are undefined where (the manuals leave them so, and an
 * engine need not keep what the host happens to do), and which are dead where a fault happens (an
 * engine need not have them precise if an instruction that comes later overwrites them unread).
 */
#include <string.h>

#include "gen.h"

struct flow {
    uint32_t reads, kills, undefined; /* kills: always written, be it with an undefined value */
    unsigned next[2], next_count;     /* items; seq->count is the end */
};

/* The count of a shift or rotate, or a repeat count, may be zero: then flags stay. Some flags stay
 * in any rotate. */
static bool writes_always(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    bool shift = in->mnemonic == ZYDIS_MNEMONIC_SHL || in->mnemonic == ZYDIS_MNEMONIC_SHR ||
                 in->mnemonic == ZYDIS_MNEMONIC_SAR;

    if (shift && op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return (op[1].imm.value.u & (op[0].size == 64 ? 63 : 31)) != 0;
    if (in->meta.category == ZYDIS_CATEGORY_SHIFT || in->meta.category == ZYDIS_CATEGORY_ROTATE)
        return false;
    return (in->attributes &
            (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) == 0;
}

static void successors(const struct gen_seq *seq, unsigned i, const ZydisDecodedInstruction *in,
                       struct flow *f)
{
    bool jump = in->meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                in->meta.category == ZYDIS_CATEGORY_CALL || in->meta.category == ZYDIS_CATEGORY_RET;

    f->next_count = 0;
    if (!jump)
        f->next[f->next_count++] = i + 1;
    if (seq->item[i].fix == GEN_FIX_BRANCH)
        f->next[f->next_count++] = (unsigned)seq->item[i].target;
}

static void analyse(const struct gen *g, const struct gen_seq *seq, struct flow *f)
{
    for (unsigned i = 0; i < seq->count; i++) {
        ZydisDecodedInstruction in;
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

        memset(&f[i], 0, sizeof(f[i]));
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(gen_decoder(g, seq->mode), seq->item[i].bytes,
                                                 seq->item[i].len, &in, op)))
            continue;
        f[i].reads = in.cpu_flags->tested & DIFF_STATUS;
        f[i].undefined = in.cpu_flags->undefined & DIFF_STATUS;
        if (writes_always(&in, op))
            f[i].kills = (in.cpu_flags->modified | in.cpu_flags->set_0 | in.cpu_flags->set_1 |
                          in.cpu_flags->undefined) &
                         DIFF_STATUS;
        successors(seq, i, &in, &f[i]);
    }
}

/* An indirect branch (or RET) may go to any item that something takes the address of; both
 * analyses treat it as going to all items. */
static void join_all(const struct gen_seq *seq, uint32_t set, uint32_t *in, bool *changed)
{
    for (unsigned i = 0; i <= seq->count; i++)
        if ((in[i] | set) != in[i]) {
            in[i] |= set;
            *changed = true;
        }
}

static void undefined_at(const struct gen_seq *seq, const struct flow *f, uint32_t *undef)
{
    bool changed = true;

    memset(undef, 0, sizeof(undef[0]) * (seq->count + 1));
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < seq->count; i++) {
            uint32_t out = (undef[i] & ~f[i].kills) | f[i].undefined;

            if (f[i].next_count == 0)
                join_all(seq, out, undef, &changed);
            for (unsigned k = 0; k < f[i].next_count; k++)
                if ((undef[f[i].next[k]] | out) != undef[f[i].next[k]]) {
                    undef[f[i].next[k]] |= out;
                    changed = true;
                }
        }
    }
}

static void live_at(const struct gen_seq *seq, const struct flow *f, uint32_t *live)
{
    bool changed = true;

    memset(live, 0, sizeof(live[0]) * (seq->count + 1));
    live[seq->count] = DIFF_STATUS;
    while (changed) {
        changed = false;
        for (unsigned i = seq->count; i-- > 0;) {
            uint32_t out = f[i].next_count == 0 ? DIFF_STATUS : 0;

            for (unsigned k = 0; k < f[i].next_count; k++)
                out |= live[f[i].next[k]];
            out = (out & ~f[i].kills) | f[i].reads;
            changed |= out != live[i];
            live[i] = out;
        }
    }
}

void flow_clean(const struct gen *g, struct gen_seq *seq)
{
    struct flow f[GEN_MAX_ITEMS];
    uint32_t undef[GEN_MAX_ITEMS + 1];
    bool again = true;

    while (again) {
        again = false;
        analyse(g, seq, f);
        undefined_at(seq, f, undef);
        for (unsigned i = 0; i < seq->count && !again; i++)
            if ((f[i].reads & undef[i]) != 0) {
                gen_remove(seq, i);
                again = true;
            }
    }
}

uint32_t flow_flags(const struct gen *g, const struct gen_seq *seq, unsigned vector, uint64_t rip)
{
    struct flow f[GEN_MAX_ITEMS];
    uint32_t undef[GEN_MAX_ITEMS + 1], live[GEN_MAX_ITEMS + 1], all = 0;
    bool trap = vector == 1 || vector == 3 || vector == 4;

    analyse(g, seq, f);
    undefined_at(seq, f, undef);
    live_at(seq, f, live);
    for (unsigned i = 0; i <= seq->count; i++)
        all |= undef[i];
    if (vector == 3 && rip == (uint64_t)seq->at[seq->count] + 1)
        return DIFF_STATUS & ~undef[seq->count];
    for (unsigned i = 0; i <= seq->count; i++)
        if (rip == seq->at[i])
            return DIFF_STATUS & ~undef[i] & (trap ? DIFF_STATUS : live[i]);
    /* Inside an instruction (a return address was changed): nobody knows what follows. */
    if (rip >= seq->start && rip <= (uint64_t)seq->at[seq->count] + DIFF_PAD)
        return 0;
    return DIFF_STATUS & ~all;
}
