/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFLAGS bits and event delivery in legacy modes, shared by the engine's files. */
#ifndef DOPPEL_ENGINE_BT_EVENT_H
#define DOPPEL_ENGINE_BT_EVENT_H

#include "bt_internal.h"

#define BT_TF (1u << 8)
#define BT_IF (1u << 9)
#define BT_DF (1u << 10)
#define BT_IOPL (3u << 12)
#define BT_NT (1u << 14)
#define BT_RF (1u << 16)
#define BT_VM (1u << 17)
#define BT_AC (1u << 18)
#define BT_VIF (1u << 19)
#define BT_VIP (1u << 20)
#define BT_ID (1u << 21)

/* Delivery outside long mode: protected-mode gates of 16 and 32 bits, with or without a change of
 * level. */
int bt_deliver_legacy(struct bt_ctx *c, unsigned vector, bool soft, bool has_error, uint32_t error,
                      uint64_t rip);

#endif
