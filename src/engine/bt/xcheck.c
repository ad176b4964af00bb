/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of checked pages (codewrite.c) compare their source with a copy before anything else:
 *
 *      jmp   body                              the entry: leads to the version to try first
 *  body: save flags
 *      mov   $page, t1                         guest RAM never moves
 *      mov   off(t1), t2; cmp copy, t2; jne fail       for each 8 bytes
 *      ...
 *
 * and in the cold part
 *
 *      struct bt_source with the copy
 *  fail: restore flags; jmp next version
 *  stale: ctx->arg = key; jmp stub_stale
 */
#include "xlate.h"

static const struct insn *last_insn(const struct xlate *x)
{
    return &x->in[x->n - 1];
}

/* Puts the block's bytes, as they were decoded, into the cold part. */
static void put_source(struct xlate *x)
{
    x_to_cold(x);
    while ((uintptr_t)x->out & 7)
        e8(x, 0);
    x->b->src = code_off(x, x->out);
    struct bt_source *s = bt_block_source(x->en, x->b);
    *s = (struct bt_source){.size = x->b->size};
    x->out = s->bytes;
    for (unsigned i = 0; i < x->n; i++)
        ebytes(x, x->in[i].raw, x->in[i].len);
    x_to_hot(x);
}

/* cmp the copy at `at`, t of n bytes */
static void compare_copy(struct xlate *x, unsigned n, unsigned t, const uint8_t *at)
{
    if (n == 2)
        e8(x, 0x66);
    e8(x, 0x40 | (n == 8 ? 8 : 0) | (t >> 3) << 2);
    e8(x, n == 1 ? 0x3a : 0x3b);
    e8(x, (t & 7) << 3 | 5);
    e32(x, (uint32_t)(at - (x->out + 4)));
}

/* Compares n bytes at off(t1) with the copy at `at`. */
static void compare(struct xlate *x, unsigned t1, unsigned t2, unsigned off, const uint8_t *at,
                    unsigned n, const uint8_t *fail)
{
    while (n > 0) {
        unsigned k = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
        x_rmd(x, k == 8, k == 1 ? 0x0fb6 : k == 2 ? 0x0fb7 : 0x8b, t2, t1, (int32_t)off);
        compare_copy(x, k, t2, at);
        uint8_t *jne = x_jcc(x, CC_NE);
        int32_t d = (int32_t)(fail - (jne + 4));
        __builtin_memcpy(jne, &d, 4);
        off += k;
        at += k;
        n -= k;
    }
}

/* What to do when the compare fails. Returns where that is. */
static const uint8_t *fail_code(struct xlate *x, uint32_t key)
{
    x_to_cold(x);
    const uint8_t *fail = x->out;
    x_canon_copy(x);
    uint8_t *next = x_jcc(x, CC_JMP);
    x_here(x, next);
    struct bt_source *s = bt_block_source(x->en, x->b);
    s->fail = code_off(x, next);
    s->stale = code_off(x, x->out);
    x_store_imm(x, key, CTX_OFF(arg));
    x_jmp_abs(x, x->en->stub_stale);
    x_to_hot(x);
    return fail;
}

static bool page2_checked(const struct xlate *x)
{
    return x->page2 != 0 && x->en->page[x->page2].checked;
}

bool x_verifies(const struct xlate *x)
{
    return x->verify || (page2_checked(x) && x->b->key != 0);
}

void x_check_entry(struct xlate *x)
{
    if (!x_verifies(x))
        return;
    x->b->checked = true;
    e8(x, 0xe9);
    e32(x, 0);
}

static void check_source(struct xlate *x, uint32_t key, unsigned n)
{
    unsigned off = x->in[0].off;
    struct bt_source *s = bt_block_source(x->en, x->b);
    s->body = x->b->hot + 5;
    x_flags_save(x); /* another version may read them where this one does not */
    unsigned t1 = x_scratch(x, 0);
    x->held |= (uint16_t)(1u << t1);
    unsigned t2 = x_scratch(x, 0);
    const uint8_t *fail = fail_code(x, key);
    unsigned here = off + n <= BT_PAGE_SIZE ? n : BT_PAGE_SIZE - off;
    if (x->verify) {
        x_mov_imm(x, t1, (uint64_t)bt_rpn_host(x->en, x->en->page[x->id].rpn));
        compare(x, t1, t2, off, s->bytes, here, fail);
    }
    if (page2_checked(x)) {
        x_mov_imm(x, t1, (uint64_t)bt_rpn_host(x->en, x->en->page[x->page2].rpn));
        compare(x, t1, t2, 0, s->bytes + here, n - here, fail);
    }
    x->held = 0;
}

void x_check_source(struct xlate *x, uint32_t key)
{
    unsigned n = last_insn(x)->off + last_insn(x)->len - x->in[0].off;

    x->b->size = (uint16_t)n;
    if (x->b->checked || x->page2 != 0)
        put_source(x);
    if (x->b->checked)
        check_source(x, key, n);
    if (x->live[0] == 0)
        x->flags_saved = false;
}

/* Does anything in the translation depend on the immediate besides its copy in the code? */
static bool only_copied(const struct xlate *x, const struct insn *in)
{
    if (in->z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || in->z.raw.imm[0].size == 0 ||
        in->z.raw.imm[1].size != 0)
        return false;
    /* The group analysis adds constants up. */
    return !(x->long64 &&
             (in->z.mnemonic == ZYDIS_MNEMONIC_ADD || in->z.mnemonic == ZYDIS_MNEMONIC_SUB) &&
             in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && in->op[0].size == 64);
}

static void note_imm(struct xlate *x, uint32_t host, unsigned at, unsigned size)
{
    x->imm[x->n_imm++] = (struct bt_imm){.host = host, .at = (uint16_t)at, .size = (uint16_t)size};
}

void x_imm_copied(struct xlate *x, const struct insn *in, const uint8_t *host)
{
    if (!x->verify || x->page2 != 0 || !only_copied(x, in))
        return;
    note_imm(x, code_off(x, host), in->off - x->in[0].off + in->z.raw.imm[0].offset,
             in->z.raw.imm[0].size);
}

void x_imm_again(struct xlate *x, const uint8_t *from, unsigned n, const uint8_t *to)
{
    if (x->n_imm == 0)
        return;
    struct bt_imm m = x->imm[x->n_imm - 1];
    if (m.host - code_off(x, from) < n)
        note_imm(x, m.host - code_off(x, from) + code_off(x, to), m.at, m.size);
}

void x_imm_put(struct xlate *x)
{
    if (x->n_imm == 0)
        return;
    struct bt_source *s = bt_block_source(x->en, x->b);
    while ((uintptr_t)x->cold & 3)
        x->cold++;
    s->imm = code_off(x, x->cold);
    s->n_imm = (uint16_t)x->n_imm;
    __builtin_memcpy(x->cold, x->imm, x->n_imm * sizeof(x->imm[0]));
    x->cold += x->n_imm * sizeof(x->imm[0]);
}
