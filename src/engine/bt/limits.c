/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits and rights of segments outside 64-bit mode (Intel SDM vol. 3, 5.3 to 5.5). Translated code
 * compares the last byte of an access with seg_top[], where its segment is not known to be flat
 * (xseg.c); what is not below goes to bt_seg_slow, which knows segments that expand down, too.
 *
 * General registers only.
 */
#include "event.h"
#include "segment.h"

#define TOP_NONE (-1ll)     /* ask bt_seg_slow each time */
#define TOP_ALL (1ll << 40) /* the whole of 4 GB: an access may wrap around its end */
#define FLAT_LIMIT 0xffffffffu

static bool has_rights(const struct bt_ctx *c)
{
    return (c->v->cpu.cr0 & 1) && !(c->sys_flags & BT_VM);
}

static bool expands_down(const struct x86_segment *s)
{
    return (s->attr & 0x1c) == 0x14;
}

static bool allowed(const struct x86_segment *s, bool write)
{
    unsigned type = s->attr & 0xf;

    if (s->unusable)
        return false;
    if (type & 8) /* code */
        return !write && (type & 2);
    return !write || (type & 2);
}

static int64_t top(const struct bt_ctx *c, const struct x86_segment *s, bool write)
{
    if (has_rights(c) && !allowed(s, write))
        return TOP_NONE;
    if (expands_down(s))
        return TOP_NONE;
    return s->limit == FLAT_LIMIT ? TOP_ALL : (int64_t)s->limit;
}

void bt_limits_update(struct bt_ctx *c)
{
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            c->seg_top[w][i] = top(c, &c->v->cpu.seg[i], w);
}

bool bt_flat_data(const struct bt_ctx *c)
{
    const int64_t *t = c->seg_top[1];

    return t[X86_ES] == TOP_ALL && t[X86_SS] == TOP_ALL && t[X86_DS] == TOP_ALL;
}

bool bt_limit_ok(const struct x86_segment *s, uint64_t first, unsigned size)
{
    uint64_t last = first + (size == 0 ? 0 : size - 1);

    if (!expands_down(s))
        return last <= s->limit || s->limit == FLAT_LIMIT;
    return first > s->limit && last <= (s->attr & 0x4000 ? 0xffffffff : 0xffff);
}

int bt_seg_check(struct bt_ctx *c, unsigned seg, uint64_t off, unsigned size, unsigned access)
{
    const struct x86_segment *s = &c->v->cpu.seg[seg];
    bool write = access & ACC_W;

    if (c->mode_key & MODE_L)
        return 0;
    off &= 0xffffffff;
    if ((!has_rights(c) || allowed(s, write)) && bt_limit_ok(s, off, size))
        return 0;
    return bt_fault_err(c, seg == X86_SS ? 12 : 13, 0);
}

uint64_t bt_seg_room(const struct bt_ctx *c, unsigned seg, uint64_t off, unsigned size,
                     unsigned access)
{
    int64_t t = c->seg_top[(access & ACC_W) != 0][seg];

    if (c->mode_key & MODE_L)
        return ~0ull;
    return (int64_t)off <= t ? (uint64_t)(t - (int64_t)off + 1) / size : 0;
}
