/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protection keys: see pkeys.c. General registers only. */
#ifndef DOPPEL_ENGINE_BT_PKEYS_H
#define DOPPEL_ENGINE_BT_PKEYS_H

#include "bt_internal.h"

#define BT_CR4_PKE (1ull << 22)
#define BT_CR4_PKS (1ull << 24)
#define BT_CR4_KEYS (BT_CR4_PKE | BT_CR4_PKS)

void bt_set_pkru(struct bt_ctx *c, uint32_t v);
void bt_set_pkrs(struct bt_ctx *c, uint32_t v);
/* Data in long mode: the bit of the error code that the key in a leaf's entry calls for, or 0. What
 * keys forbid is in the error code even if something else forbids the access, too. */
uint32_t bt_keys_walk(struct bt_ctx *c, uint64_t entry, bool user_page, unsigned access,
                      unsigned mmu, bool *writable);

/* May the page of an entry be in a view? */
static inline bool bt_keys_plain(const struct bt_ctx *c, uint64_t entry)
{
    return !(c->v->cpu.cr4 & BT_CR4_KEYS) || (entry >> 59 & 15) == 0;
}

/* Is key 0 without restriction? */
static inline bool bt_keys_direct(const struct bt_ctx *c)
{
    const struct x86_cpu *cpu = &c->v->cpu;

    return !(cpu->cr4 & BT_CR4_KEYS) || ((cpu->pkru | cpu->pkrs) & 3) == 0;
}

#endif
