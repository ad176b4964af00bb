/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page-table walks and accesses to guest memory, as the rest of the translator sees them. Part of
 * bt_internal.h. */
#ifndef DOPPEL_ENGINE_BT_BT_MMU_H
#define DOPPEL_ENGINE_BT_BT_MMU_H

/* mmu.c: all general registers only */
enum bt_access { ACC_R = 1, ACC_W = 2, ACC_X = 4, ACC_IMPLICIT = 8 };
struct bt_walk {
    uint64_t gpa;
    uint8_t page_bits; /* 12, 21, 30 */
    bool global, writable, dirty;
    uint64_t table; /* guest-physical address of the table that holds the leaf, */
    uint64_t entry; /* the leaf as it is now, */
    uint64_t above; /* and the rights of the entries above it: R/W and U/S anded, NX ored */
};
/* Walks the guest's tables for one access. 0, or 1 with the #PF in ctx->exc_*. */
int bt_walk(struct bt_ctx *c, uint64_t lin, unsigned access, unsigned mmu, struct bt_walk *w);
/* One data access of 1 to 8 bytes at a linear address with the rights of `mmu`. 0 or 1 (exception
 * recorded). */
int bt_read(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned mmu, uint64_t *val);
int bt_write(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned mmu, uint64_t val);
bool bt_misaligned(const struct bt_ctx *c, uint64_t lin, unsigned size); /* #AC */
/* Host pointer of [lin, lin+size) within one page, NULL if not plain RAM or crossing (no exception)
 * - or *fault = 1. */
void *bt_host(struct bt_ctx *c, uint64_t lin, unsigned size, unsigned access, unsigned mmu,
              int *fault);
int bt_copy_in(struct bt_ctx *c, uint64_t lin, void *buf, unsigned len, unsigned mmu);
int bt_copy_out(struct bt_ctx *c, uint64_t lin, const void *buf, unsigned len, unsigned mmu);
void bt_mmio_read(struct bt_ctx *c, uint64_t gpa, uint8_t *buf, unsigned len); /* mmio.c */
void bt_mmio_write(struct bt_ctx *c, uint64_t gpa, const uint8_t *buf, unsigned len);
uint64_t bt_mem_slow(struct bt_ctx *c);
uint64_t bt_mem_post(struct bt_ctx *c);
uint64_t bt_group_slow(struct bt_ctx *c);
uint64_t bt_seg_slow(struct bt_ctx *c);
void bt_tlb_flush(struct bt_ctx *c, bool global);
void bt_tlb_invlpg(struct bt_ctx *c, uint64_t lin);
void bt_tlb_protect(struct bt_ctx *c, uint32_t rpn);
void bt_tlb_init(struct bt_ctx *c);
static inline bool bt_canonical(uint64_t lin)
{
    return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

#endif
