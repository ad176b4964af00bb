/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector instructions that address memory element by element. They run on the saved vector state
 * (ctx->xsave, standard format), between bt_vector_out and bt_vector_in, and decode the instruction
 * at the helper's RIP again.
 */
#ifndef DOPPEL_ENGINE_BT_VECMEM_H
#define DOPPEL_ENGINE_BT_VECMEM_H

#include "bt_internal.h"

/* 0 done; 1 exception recorded, elements before it done as the manual says; -1: not an instruction
 * of this kind. */
int bt_vec_gather(struct bt_ctx *c);
int bt_vec_maskmov(struct bt_ctx *c);
/* Which bytes of its memory operand the masked instruction at the helper's RIP touches: bit i is
 * byte i. */
uint64_t bt_vec_active(struct bt_ctx *c);

/* Decodes the instruction at a linear address in the mode of a key; -1: there is none. The vector
 * state is saved. */
struct insn;
int bt_vec_fetch(struct bt_ctx *c, uint64_t rip, uint32_t mode_key, struct insn *in);

/* XRSTOR, FXRSTOR of an untrusted image; 1 if the processor refused it (#GP). entry.S; the signal
 * handler knows them. */
int bt_try_xrstor(const void *p, uint32_t lo, uint32_t hi, bool wide);
int bt_try_fxrstor(const void *p, bool wide);
extern const char bt_try_begin[], bt_try_end[], bt_try_failed[];

#endif
