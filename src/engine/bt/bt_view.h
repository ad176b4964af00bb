/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Direct access, as the rest of the translator sees it (view.c, view_flush.c). Part of
 * bt_internal.h. */
#ifndef DOPPEL_ENGINE_BT_BT_VIEW_H
#define DOPPEL_ENGINE_BT_BT_VIEW_H

/* view.c: general registers only; raw system calls, for FS may be the guest's */
int bt_views_create(struct translator *en, struct err *e);
void bt_views_destroy(struct translator *en);
/* A signal says that the host does not map `host`. 0: it does now; 1: the guest's page fault is
 * recorded; -1: an access for the software TLB. */
int bt_view_fill(struct bt_ctx *c, uint64_t host, bool write);
/* The page fault that bt_view_fill recorded is delivered; and the program goes on after it. */
void bt_view_fault(struct bt_ctx *c);
void bt_view_resume(struct bt_ctx *c);
/* An access at `lin` took the slow path: makes its region direct if that is possible. */
void bt_view_region(struct bt_ctx *c, uint64_t lin);
/* After that: will the region be direct soon? Then sites are not to give it up. */
bool bt_view_wait(const struct bt_ctx *c, uint64_t lin);
void bt_view_cr3(struct bt_ctx *c, bool keep); /* CR3 was loaded; keep: without a flush */
void bt_view_flush(struct bt_ctx *c, bool global);
void bt_view_forget(struct bt_ctx *c); /* all mappings; what is promoted stays */
void bt_view_reset(struct bt_ctx *c);  /* another machine begins: nothing is known of it */
void bt_view_invlpg(struct bt_ctx *c, uint64_t lin);
void bt_view_stale(struct bt_ctx *c);                 /* other address spaces were flushed */
void bt_view_protect(struct bt_ctx *c, uint32_t rpn); /* code appeared in page rpn */
/* May a view have it writable? Any thread, between bt_smp_begin and bt_smp_end. */
bool bt_view_writes(const struct translator *en, uint32_t rpn);
/* cell_run.c. Runs the program in its cell, where it has one; between blocks. False: it is for the
 * translator. */
bool bt_cell_run(struct engine_vcpu *v);
bool bt_cell_wanted(struct bt_ctx *c); /* is it to go on there? Once for each look. */
/* Pages are not guarded any more: no code runs there until it is looked at again. */
void bt_cell_unguard(struct translator *en, uint32_t rpn);
void bt_cell_unguard_all(struct translator *en);
void bt_view_rebind(struct bt_ctx *c); /* another thread runs the vCPU from now on */
void bt_view_tick(struct bt_ctx *c);   /* an interrupt comes: what runs here? */
/* Does a view serve the accesses of this mode? If so, fs_base is its base. */
bool bt_view_select(struct bt_ctx *c);
/* Has the user view in use the window of low addresses? (At once, where views are made eagerly.) */
bool bt_view_low(struct bt_ctx *c);
void bt_view_apart(const struct translator *en); /* the thread is not bound to a cell's processor */
void bt_view_take_low(struct bt_ctx *c);         /* if nobody else runs with it */
/* cur_host[] of a page that code of its mode runs from at `lin`. */
uint64_t bt_view_near(struct bt_ctx *c, uint32_t id, uint64_t lin);
/* Is the cluster of `lin` direct in every view that code of the mode may run with? */
bool bt_view_whole(const struct bt_ctx *c, uint64_t lin);
/* Is the region of `lin` direct where a site for it looks? *low: it is in the window. */
bool bt_view_direct(const struct bt_ctx *c, uint64_t lin, bool *low);
/* What is known of the instruction at rpn << 12 | offset. */
enum site_kind { SITE_NEW, SITE_HIGH, SITE_LOW, SITE_MIXED, SITE_SLOW, SITE_TLB };
enum site_kind bt_site_hint(const struct translator *en, uint64_t key);
void bt_site_learn(struct translator *en, uint64_t key, enum site_kind kind);

#endif
