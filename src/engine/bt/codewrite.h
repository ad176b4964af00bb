/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stores to pages with code (codewrite.c). General registers only; included by bt_internal.h. */
#ifndef DOPPEL_ENGINE_BT_CODEWRITE_H
#define DOPPEL_ENGINE_BT_CODEWRITE_H

#include "bt_internal.h"

int bt_wpage_create(struct translator *en);
void bt_wpage_destroy(struct translator *en);
void bt_wpage_flush(struct translator *en);
/* The first id of rpn that may run now, 0: there is none, or the page is open. */
uint32_t bt_wpage_peek(const struct translator *en, uint32_t rpn);
/* The list of those ids; an open page is guarded or checked afterwards. Between bt_smp_begin and
 * bt_smp_end. */
uint32_t *bt_wpage_ids(struct translator *en, uint32_t rpn, bool *checked);
void bt_wpage_forget(struct translator *en, uint32_t rpn); /* its bytes changed unseen */
void bt_wpage_quiet(struct translator *en);                /* looks for pages that need no check */
/* Is an instruction over two pages still what its block was made from? */
bool bt_same_source(const struct translator *en, const struct bt_block *b);
/* Does the block end after the instruction at this offset of a checked page? */
bool bt_wpage_cut(const struct translator *en, uint32_t rpn, unsigned off);
void bt_wpage_open(struct translator *en, uint32_t rpn); /* another vCPU stores to it */
/* Before a store of c->pc to [off, off + size) of page rpn, of which bt_code_in says that it has
 * code: by a helper, after which c->left says that the rest of its block may have changed; by a
 * block whose slow path is at c->site. True: the rest of that block changes, so the instruction
 * must run alone. */
void bt_code_store(struct bt_ctx *c, uint32_t rpn);
bool bt_code_store_site(struct bt_ctx *c, uint32_t rpn, unsigned off, unsigned size);
/* A direct store by the code at c->fault_pc to a guarded page. True: it may be written now. */
bool bt_code_store_direct(struct bt_ctx *c, uint32_t rpn);
/* Is this the running block's own page, and checked? */
static inline bool bt_code_own(const struct bt_ctx *c, uint32_t rpn)
{
    const struct bt_code_page *own = &c->v->en->page[c->pc >> 12];

    return own->checked && own->rpn == rpn;
}
static inline bool bt_code_in(const struct bt_ctx *c, uint32_t rpn)
{
    return c->v->en->rpn_page[rpn] != 0 || bt_code_own(c, rpn);
}
uint64_t bt_gone(struct bt_ctx *c);
uint64_t bt_stale(struct bt_ctx *c);

#endif
