/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code segments that are not flat: CS has a base or a limit, or its code is 16-bit. RIP in the
 * engine is linear; EIP = RIP - base. Translations of such code are made for one base, one limit
 * and one linear page: so EIP is a constant at each instruction, and return addresses, wrapped
 * jumps and checks of the limit cost nothing when it runs. Each pair of base and limit has a
 * number; pages of code belong to one (struct bt_code_page), and whoever enters a block by its
 * address compares the number, too. Near jumps stay in their segment, so links need not.
 *
 * General registers only.
 */
#include "bt_internal.h"

static unsigned hash(uint32_t base, uint32_t limit)
{
    return ((base >> 4 ^ limit) * 0x9e3779b1u) >> 21 & (BT_CODE_SEGS - 1);
}

static bool is(const struct bt_code_segs *cs, uint32_t i, uint32_t base, uint32_t limit)
{
    return cs->seg[i].base == base && cs->seg[i].limit == limit;
}

/* 0: no room for another one. */
static uint32_t number(struct bt_code_segs *cs, uint32_t base, uint32_t limit)
{
    unsigned h = hash(base, limit);

    for (; cs->hash[h] != 0; h = (h + 1) & (BT_CODE_SEGS - 1))
        if (is(cs, cs->hash[h], base, limit))
            return cs->hash[h];
    if (cs->n + 1 >= BT_CODE_SEGS)
        return 0;
    uint32_t i = ++cs->n;
    cs->seg[i] = (struct bt_code_seg){base, limit};
    cs->hash[h] = (uint16_t)i;
    return i;
}

bool bt_code_seg_update(struct bt_ctx *c)
{
    struct bt_code_segs *cs = &c->v->en->code_segs;
    uint32_t base = (uint32_t)c->seg_base[X86_CS], limit = c->v->cpu.seg[X86_CS].limit;

    if (!(c->mode_key & MODE_CS)) {
        c->code_seg = 0;
        return true;
    }
    if (c->code_seg != 0 && c->code_seg <= cs->n && is(cs, c->code_seg, base, limit))
        return true;
    c->code_seg = number(cs, base, limit);
    return c->code_seg != 0;
}

void bt_code_seg_flush(struct bt_code_segs *cs)
{
    for (unsigned i = 0; i < BT_CODE_SEGS; i++)
        cs->hash[i] = 0;
    cs->n = 0;
}
