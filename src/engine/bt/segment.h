/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables and segment loads, shared by the engine's event delivery and helpers. All
 * return 0, or 1 with the exception recorded in the context and nothing changed but accessed bits.
 */
#ifndef DOPPEL_ENGINE_BT_SEGMENT_H
#define DOPPEL_ENGINE_BT_SEGMENT_H

#include "bt_internal.h"

struct bt_desc {
    uint64_t addr; /* linear */
    uint64_t raw;
    uint64_t base;
    uint32_t limit;
    uint16_t attr; /* as struct x86_segment */
};

unsigned bt_sys_mmu(const struct bt_ctx *c);  /* eyes of implicit system accesses */
unsigned bt_data_mmu(const struct bt_ctx *c); /* eyes of the current code */
int bt_descriptor(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned vector);
int bt_load_system(struct bt_ctx *c, uint16_t selector, bool tss);
int bt_check_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl,
                  unsigned vector);
int bt_set_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl);
int bt_set_stack(struct bt_ctx *c, uint16_t selector, unsigned cpl, bool to64, unsigned vector);
void bt_drop_segs(struct bt_ctx *c);

#endif
