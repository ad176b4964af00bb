/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory of smp.c, for its programs in smp_guest.S, too. */
#ifndef DOPPEL_TESTS_ENGINE_SMP_H
#define DOPPEL_TESTS_ENGINE_SMP_H

#define CODE 0x10000
#define DATA 0x200000    /* RBX */
#define STACKS 0x100000  /* one page each */
#define TABLES 0x80000   /* page tables */
#define WINDOW 0x1800000 /* a page of 4 KB that moves */
#define FRAMES 0x1a00000 /* two, for WINDOW */
#define FUNCTION 0x40000
#define MEMORY (64 << 20)

/* From RBX on. */
#define START 0x000
#define COUNT 0x040
#define XADD 0x080
#define LOCK 0x0c0
#define PLAIN 0x100
#define FLAG 0x140
#define ACKS 0x180
#define WRONG 0x1c0
#define DONE 0x200
#define BESIDE 0x240
#define SPLIT 0x1ffe
#define XSPLIT 0x2ffb
#define X 0x100000
#define Y 0x200000
#define R0 0x300000
#define R1 0x400000
#define R2 0x500000
#define R3 0x600000

#endif
