/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * REP MOVS and REP STOS where the host's MMU does the accesses: the host's own instruction, with
 * the view's base added to RDI and RSI around it (a segment prefix would take the processor's fast
 * way from it, and there is none for the destination).
 *
 *      test  rcx, rcx; jz none
 *      rdi, rsi: in direct regions? df = 1? else slow
 *      count at most a piece? else piece
 *      add   rdi, fs_base; add rsi, fs_base
 *      rep movs
 *      sub   rdi, fs_base; sub rsi, fs_base
 *  none:
 *
 * A piece is much smaller than the guards, so that it cannot leave the view. Where it faults the
 * registers are the host's, which the record says (REC_STRING), and the guest's once the base is
 * taken off: the instruction restarts in the middle, as on a processor. A longer run goes piece by
 * piece, with a look at kicks in between; meanwhile RCX lacks what is left (REC_PIECE). What is
 * slow, backwards or nowhere direct is left to the helper (string.c).
 */
#include "helpers.h"
#include "xlate.h"

#define PIECE_BITS 18 /* log2 of the bytes of one */

/* Jumps unless the region of the address in `reg` is direct. */
static uint8_t *not_direct(struct xlate *x, unsigned reg)
{
    unsigned t = x->key & MODE_USER ? VIEW_USER : VIEW_KERNEL;

    x_rorx(x, 10, reg, REGION_SHIFT);
    x_rr(x, false, 0x0fb7, 10, 10);
    x_ctx_idx(x, false, 0x80, 7, 10,
              CTX_OFF(indirect[0]) + (int32_t)(t * sizeof(x->c->indirect[0])));
    e8(x, 0);
    return x_jcc(x, CC_NE);
}

static void move_both(struct xlate *x, unsigned op)
{
    x_ctx(x, true, op, X86_RDI, CTX_OFF(fs_base));
    x_ctx(x, true, op, X86_RSI, CTX_OFF(fs_base));
}

/* The host's instruction. */
static void repeat(struct xlate *x, const struct insn *in, bool moves, unsigned log, unsigned flags)
{
    struct translator *en = x->en;

    move_both(x, 0x03);
    x_record(x, in);
    if (!x->overflow)
        en->rec[en->n_rec - 1].goff |= (uint16_t)flags;
    if (log == 1)
        e8(x, 0x66);
    e8(x, 0xf3);
    if (log == 3)
        e8(x, 0x48);
    e8(x, (moves ? 0xa4 : 0xaa) | (log != 0));
    move_both(x, 0x2b);
}

bool x_string_direct(struct xlate *x, const struct insn *in, bool moves, unsigned log, uint32_t arg)
{
    bool live = x->live[x->i] != 0;
    uint8_t *slow[3];
    unsigned n = 0;

    if (!x->direct || x->verify || !x->long64 || !x->en->bmi2)
        return false;
    if (live)
        x_flags_save(x);
    else
        x->flags_saved = false;
    x_canon_regs(x);
    x->checked = 0; /* the helper may change the view */
    uint8_t *again = x->out;
    x_rr(x, true, 0x85, X86_RCX, X86_RCX);
    uint8_t *none = x_jcc(x, CC_E);
    slow[n++] = not_direct(x, X86_RDI);
    if (moves)
        slow[n++] = not_direct(x, X86_RSI);
    x_ctx(x, true, 0x83, 7, CTX_OFF(df));
    e8(x, 1);
    slow[n++] = x_jcc(x, CC_NE);
    x_rr(x, true, 0x8b, 10, X86_RCX);
    x_rr(x, true, 0xc1, 5, 10); /* shr */
    e8(x, PIECE_BITS - log);
    uint8_t *piece = x_jcc(x, CC_NE);
    repeat(x, in, moves, log, REC_STRING);
    x_here(x, none);
    x_flags_restore(x);
    uint8_t *done = x->out;
    x->flags_saved = live;
    x_to_cold(x);
    x_here(x, piece);
    x_lea(x, true, 10, X86_RCX, -1, 1, -(int32_t)(1u << (PIECE_BITS - log)));
    x_store(x, 10, CTX_OFF(string_rest));
    x_mov_imm(x, X86_RCX, 1u << (PIECE_BITS - log));
    repeat(x, in, moves, log, REC_STRING | REC_PIECE);
    x_load(x, X86_RCX, CTX_OFF(string_rest));
    x_ctx(x, false, 0x80, 7, CTX_OFF(kick));
    e8(x, 0);
    x_jcc_to(x, CC_E, again); /* else the helper sees the kick */
    for (unsigned k = 0; k < n; k++)
        x_here(x, slow[k]);
    x_helper(x, in, H_string, arg);
    x_jmp_to(x, done);
    x_to_hot(x);
    return true;
}
