/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87's pointers to its last instruction and operand (Intel SDM vol. 1, 8.1.8). The host's hold
 * addresses of the monitor's, which no guest may see: what the guest sees is engine_vcpu.x87, and
 * where the x87 instruction is that ran since that was right, ctx->x87_last.
 *
 * CPUID says FDP_EXCPTN_ONLY, and that FCS and FDS are gone. So FIP follows each instruction; FDP
 * and FOP change with an unmasked exception.
 */
#ifndef DOPPEL_ENGINE_BT_X87_H
#define DOPPEL_ENGINE_BT_X87_H

#include "bt_internal.h"

/* ctx->x87_last: page id << 12 | offset, or */
#define X87_NOTHING 0u
#define X87_INIT 1u /* FNINIT */

/* Brings the pointers up to date and takes the host's away, wherever the x87 state is. */
void bt_x87_settle_now(struct bt_ctx *c);
static inline void bt_x87_settle(struct bt_ctx *c)
{
    if (c->x87_last != X87_NOTHING)
        bt_x87_settle_now(c);
}

/* An image in the format of FXSAVE, with 64-bit pointers if `wide`: the guest's into it, and from
 * it. */
void bt_x87_put(struct bt_ctx *c, uint8_t *image, bool wide);
void bt_x87_get(struct bt_ctx *c, const uint8_t *image, bool wide);
/* The same for areas of XSAVE, which may hold no x87 state. */
void bt_x87_saved(struct bt_ctx *c, uint8_t *area, bool wide);
void bt_x87_loaded(struct bt_ctx *c, const uint8_t *area, bool wide);
/* They are what FNINIT leaves. */
void bt_x87_init(struct bt_ctx *c);

#endif
