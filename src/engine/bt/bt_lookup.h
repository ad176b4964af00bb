/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modes, execution mappings, look-ups and links, as the rest of the translator sees them. */
#ifndef DOPPEL_ENGINE_BT_BT_LOOKUP_H
#define DOPPEL_ENGINE_BT_BT_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

struct bt_block;
struct bt_ctx;
struct err;
struct translator;

/* lookup.c: general registers only */
void bt_mode_update(struct bt_ctx *c);
bool bt_left_stack(struct bt_ctx *c); /* RSP is not where the mode wants it: it is another now */
uint32_t bt_code_page_at(struct bt_ctx *c,
                         uint64_t rip); /* page id, 0: exception recorded or EXIT_ERROR */
uint64_t bt_next(
    struct bt_ctx *c); /* where to go on for ctx->rip: host code, or 1 after setting exit_reason */
uint64_t bt_chain(struct bt_ctx *c);
uint64_t bt_lookup_next(struct bt_ctx *c);
uint64_t bt_kick_exit(struct bt_ctx *c);
uint64_t bt_helper_left(struct bt_ctx *c);
uint64_t bt_page2_miss(struct bt_ctx *c);
uint64_t bt_variant(struct bt_ctx *c);
uint64_t bt_direct_miss(struct bt_ctx *c);
/* A miss's jump goes straight to the block from now on, until a region becomes direct. */
#define BT_MISS_LINKS 16384u
void bt_link_miss(struct bt_ctx *c, const struct bt_block *b);
void bt_unlink_misses(struct translator *en);
void bt_exec_flush(struct bt_ctx *c, bool global);
void bt_exec_invlpg(struct bt_ctx *c, uint64_t lin);
void bt_exec_clear(struct bt_ctx *c);
void bt_exec_drop(struct bt_ctx *c, uint32_t id);
void bt_link(struct bt_ctx *c, struct bt_block *b);
void bt_jc_forget(struct bt_ctx *c, unsigned mode); /* all entries of one mode */
void bt_jc_insert(struct bt_ctx *c, uint64_t rip, struct bt_block *b);

/* branch.c */
int bt_branch_create(struct translator *en, struct err *e);
void bt_branch_destroy(struct translator *en);
int bt_branch_map(struct bt_ctx *c);
void bt_branch_unmap(struct bt_ctx *c);
void bt_branch_reset(struct bt_ctx *c);
void bt_branch_insert(struct bt_ctx *c, uint64_t rip, struct bt_block *b);
void bt_branch_forget(struct bt_ctx *c, uint64_t rip);
void bt_kick_now(struct bt_ctx *c);  /* any thread */
bool bt_kick_done(struct bt_ctx *c); /* was there one? */
/* Where a block is entered from an exit of that form; 0: no room. */
uint64_t bt_entry(struct bt_ctx *c, struct bt_block *b, uint32_t form);

#endif
