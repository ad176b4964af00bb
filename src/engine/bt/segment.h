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

/* RIP in the context is linear; EIP is what the guest sees outside 64-bit mode. */
static inline uint64_t bt_eip(const struct bt_ctx *c, uint64_t rip)
{
    return c->mode_key & MODE_L ? rip : (rip - c->seg_base[X86_CS]) & 0xffffffff;
}
static inline uint64_t bt_rip_of(const struct bt_ctx *c, uint64_t eip)
{
    return c->mode_key & MODE_L ? eip : (eip + c->seg_base[X86_CS]) & 0xffffffff;
}

/* limits.c: outside 64-bit mode */
void bt_limits_update(struct bt_ctx *c);
bool bt_flat_data(const struct bt_ctx *c); /* ES, SS and DS are as if they were not there */
bool bt_limit_ok(const struct x86_segment *s, uint64_t off, unsigned size);
/* May `size` bytes at `off` be accessed? 0, or 1 with #GP(0) or #SS(0) recorded. */
int bt_seg_check(struct bt_ctx *c, unsigned seg, uint64_t off, unsigned size, unsigned access);
/* How many elements of `size` from `off` on, upwards, certainly may. */
uint64_t bt_seg_room(const struct bt_ctx *c, unsigned seg, uint64_t off, unsigned size,
                     unsigned access);

unsigned bt_sys_mmu(const struct bt_ctx *c);  /* eyes of implicit system accesses */
unsigned bt_data_mmu(const struct bt_ctx *c); /* eyes of the current code */
int bt_descriptor(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned vector);
void bt_load_real(struct bt_ctx *c, unsigned seg, uint16_t selector);
int bt_load_system(struct bt_ctx *c, uint16_t selector, bool tss);
int bt_check_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl,
                  unsigned vector);
int bt_set_code(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, unsigned cpl);
int bt_set_stack(struct bt_ctx *c, uint16_t selector, unsigned cpl, bool to64, unsigned vector);
void bt_drop_segs(struct bt_ctx *c);

#endif
