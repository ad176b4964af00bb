/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offsets in struct bt_ctx that the hand-written entry and exit code uses. C checks them (run.c).
 */
#ifndef DOPPEL_ENGINE_BT_BT_ASM_H
#define DOPPEL_ENGINE_BT_BT_ASM_H

#define CTX_GPR 0x000
#define CTX_SPILL 0x080
#define CTX_FLAGS 0x100
#define CTX_HOST_RSP 0x108
#define CTX_JMP_TARGET 0x110
#define CTX_SELF 0x118
#define CTX_ARG 0x120
#define CTX_SITE 0x124
#define CTX_PC 0x128
#define CTX_MEM_INFO 0x12c
#define CTX_MEM_ADDR 0x130
#define CTX_MEM_HOST 0x138
#define CTX_MEM_STATE 0x140
#define CTX_EXIT_REASON 0x144
#define CTX_CODE_BASE 0x148
#define CTX_XSAVE 0x150
#define CTX_XMASK_LO 0x158
#define CTX_XMASK_HI 0x15c
#define CTX_XINIT 0x160
#define CTX_LEFT 0x16c
#define CTX_OUTSIDE 0x16e
#define CTX_DIRECT 0x16f
#define CTX_RIP 0x178
#define CTX_CALLS 0x180
#define CTX_FS_BASE 0x188
#define CTX_FS_LOADED 0x190
#define CTX_FS_HOST 0x198

#endif
