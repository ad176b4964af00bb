/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode (v86.c). Those that return uint64_t end a helper. General registers only. */
#ifndef DOPPEL_ENGINE_BT_V86_H
#define DOPPEL_ENGINE_BT_V86_H

#include "bt_internal.h"

bool bt_v86(const struct bt_ctx *c);
bool bt_v86_denied(const struct bt_ctx *c); /* there, and IOPL is less than 3 */
/* CLI and STI of this code change VIF. */
bool bt_virtual_if(const struct bt_ctx *c);
uint64_t bt_virtual_sti(struct bt_ctx *c, uint32_t arg);
/* An IRET at CPL 0 whose frame has VM set in `flags`. */
uint64_t bt_iret_v86(struct bt_ctx *c, uint64_t flags);
/* What an event pushes first; returns how many. Then, at its end: data segments are null. */
unsigned bt_v86_frame(const struct bt_ctx *c, uint64_t *frame);
void bt_v86_left(struct bt_ctx *c);
/* Instructions of the program; the first two with IOPL less than 3. */
uint64_t bt_v86_pushf(struct bt_ctx *c, unsigned size);
uint64_t bt_v86_popf(struct bt_ctx *c, uint32_t arg);
uint64_t bt_v86_iret(struct bt_ctx *c, unsigned size);
/* INT n. False: as anywhere else. */
bool bt_v86_int(struct bt_ctx *c, unsigned vector, uint64_t next, uint64_t *result);

#endif
