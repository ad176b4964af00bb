/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's debug registers: see dr.c. General registers only. */
#ifndef DOPPEL_ENGINE_BT_DR_H
#define DOPPEL_ENGINE_BT_DR_H

#include "bt_internal.h"

void bt_dr_changed(struct bt_ctx *c);     /* DR0 - 3, DR7 or CR4.DE */
bool bt_dr_places(struct engine_vcpu *v); /* notes the places; true: there are new ones */
/* Records #DB with these bits of DR6, and with those of breakpoints that wait. */
void bt_debug_exception(struct bt_ctx *c, uint32_t why);
/* Behind an instruction: delivers #DB if a breakpoint waits or it was a step. */
void bt_dr_trap(struct engine_vcpu *v, struct bt_ctx *c, bool step);

/* As bt_watch_page and bt_watch_hit. */
bool bt_dr_page(const struct bt_ctx *c, uint64_t lin);
bool bt_dr_data(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access, bool note);
void bt_dr_port(struct bt_ctx *c, unsigned port, unsigned size); /* it was read or written */
/* Before the instruction at `lin`. True: #DB is recorded. */
bool bt_dr_exec(struct bt_ctx *c, uint64_t lin);

#endif
