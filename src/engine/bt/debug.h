/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a debugger wants of the engine: see debug.c. General registers only. */
#ifndef DOPPEL_ENGINE_BT_DEBUG_H
#define DOPPEL_ENGINE_BT_DEBUG_H

#include "bt_internal.h"

/* Of struct engine_ops. */
int bt_debug_points(struct engine *m, const struct engine_point *p, unsigned n);
void bt_debug_step(struct engine_vcpu *v, bool on);
void bt_debug_stop(struct engine_vcpu *v, struct engine_debug_stop *out);

/* `run` begins. */
void bt_debug_begin(struct engine_vcpu *v);
/* It ends because a step or a watched access is done. */
void bt_debug_stepped(struct engine_vcpu *v);
void bt_debug_emptied(struct translator *en); /* the cache was */

/* May there be a point at this offset of a page? A block begins here then, and asks H_place. */
bool bt_debug_place(const struct translator *en, unsigned off);

/* Is something in the page of `lin` watched? */
bool bt_watch_page(const struct bt_ctx *c, uint64_t lin);
/* Is an access one to watched data? note: it is done, and ends `run`. */
bool bt_watch_hit(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access, bool note);
/* The same by a helper, which leaves translated code when it is done. */
void bt_watch_helper(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access);

static inline bool bt_watching(const struct bt_ctx *c)
{
    return c->v->en->debug.n_watch != 0 || c->v->dr.data != 0;
}

#endif
