/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code segments that are not flat (codeseg.c). General registers only. */
#ifndef DOPPEL_ENGINE_BT_CODESEG_H
#define DOPPEL_ENGINE_BT_CODESEG_H

#include <stdbool.h>
#include <stdint.h>

#define BT_CODE_SEGS 2048 /* distinct bases and limits of CS between two cache flushes */

struct bt_code_seg {
    uint32_t base, limit;
};

struct bt_code_segs {
    struct bt_code_seg seg[BT_CODE_SEGS]; /* from 1 on */
    uint16_t hash[BT_CODE_SEGS];
    uint32_t n;
};

struct bt_ctx;
bool bt_code_seg_update(struct bt_ctx *c); /* CS may be another one; false: no room */
void bt_code_seg_flush(struct bt_code_segs *cs);

#endif
