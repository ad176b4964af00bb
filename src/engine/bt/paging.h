/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bits of page-table entries (Intel SDM vol. 3, chapter 4). */
#ifndef DOPPEL_ENGINE_BT_PAGING_H
#define DOPPEL_ENGINE_BT_PAGING_H

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX (1ull << 63)
#define PTE_KEY 0x7800000000000000ull  /* protection key */
#define PTE_SOFT 0x07f0000000000e00ull /* bits that the processor always ignores */

#endif
