/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct accesses of 32-bit programs under a 64-bit kernel. Their segments are flat and their
 * addresses have 32 bits, so that all of them lie in the window of low addresses, if the view has
 * it. FS is then the window's base (bt_mode_update), and the instruction gets two prefixes:
 *
 *      64 67 op        FS, and an address of 32 bits
 *
 * The processor cuts the address to 32 bits before it adds the base, so nothing is checked and no
 * register or flag is needed. An operand that lies across the end of 4 GB reaches a few bytes
 * further, into the same window.
 *
 * Who loses the window (low_take) is not running then; its next bt_mode_update finds out. Accesses
 * whose segment has a base or a limit (FS and GS, for threads' data) go through the software TLB.
 */
#include "xlate.h"

#define FS 0x64u

void x_narrow_access(struct xlate *x, const struct insn *in, const struct insn_mem *m,
                     uint16_t avoid, enum access_use use, struct access *a)
{
    a->member = a->narrow = true;
    a->t1 = a->t2 = 16;
    a->seg = FS;
    if (m->addrsize == 4) {
        x_keep_operand(a, m);
        a->same = m == &in->mem && in->z.raw.modrm.offset != 0;
    } else {
        a->t1 = x_scratch(x, avoid);
        x->held |= (uint16_t)(1u << a->t1);
        x_effective(x, in, m, a->t1);
        a->base = (int8_t)a->t1;
    }
    if (use == ACCESS_VALUE)
        a->t2 = a->val = x_scratch(x, avoid);
    a->op = x->out;
    x_record(x, in);
}

void x_narrow_encode(struct xlate *x, const struct insn *in, const struct access *a)
{
    unsigned modrm = in->z.raw.modrm.offset, m = in->raw[modrm];

    x_access_prefixes(x, a);
    unsigned k = x_keep_prefixes(x, in); /* none of them 67: those are 16-bit addresses */
    if (in->raw[k] == 0x82) {            /* alias of 80 that 64-bit mode lost */
        e8(x, 0x80);
        k++;
    }
    ebytes(x, in->raw + k, modrm - k);
    if ((m & 0xc7) == 5) { /* an address alone: relative to RIP in 64-bit mode */
        e8(x, m - 1);
        e8(x, 0x25);
    } else {
        e8(x, m);
    }
    ebytes(x, in->raw + modrm + 1, in->len - modrm - 1);
    x_imm_copied(x, in, x->out - in->z.raw.imm[0].size);
}
