/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translations that count (MODE_COUNT, pmu.c): for the guest's performance counters, while one of
 * them counts instructions or branches at this CPL. A block ends at its first branch there, and has
 * no second way out but faults: so what it executes is known where it ends. It takes the number
 * from ctx->pmu_left[] right before the branch, and before each instruction that has a helper; if
 * that becomes negative the vCPU is kicked.
 *
 * An exception counts as the instruction that raised it, as on AMD's processors; what came before
 * it in the block since the last time is not counted.
 */
#include "xlate.h"

/* A change of the control flow, in the vendor's sense. */
static bool branches(const struct insn *in)
{
    switch (in->z.mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return true;
    default:
        return in->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    }
}

/* What bt_kick_now does for the vCPU's own mode, in code that changes nothing else. */
static void kick(struct xlate *x)
{
    uint64_t none = (uint64_t)x->c->branch_tables + BT_MODES * BT_BRANCH_SIZE;
    int32_t slot = CTX_OFF(branch[0]) + (int32_t)x->mode * 8;

    x_ctx(x, false, 0xc6, 0, CTX_OFF(kick)); /* movb $1, kick */
    e8(x, 1);
    x_store_imm(x, (uint32_t)none, slot);
    x_store_imm(x, (uint32_t)(none >> 32), slot + 4);
}

static void take(struct xlate *x, unsigned n, unsigned which)
{
    x_ctx(x, true, 0x81, 5, CTX_OFF(pmu_left[0]) + (int32_t)which * 8); /* subq */
    e32(x, n);
    uint8_t *over = x_jcc(x, CC_S), *back = x->out;
    x_to_cold(x);
    x_here(x, over);
    kick(x);
    x_jmp_to(x, back);
    x_to_hot(x);
}

void x_count(struct xlate *x, const struct insn *in)
{
    x->uncounted++;
    if (!branches(in) && !in->special && x->i + 1 < x->n)
        return;
    if (x->live[x->i])
        x_flags_save(x);
    take(x, x->uncounted, 0);
    if (branches(in))
        take(x, 1, 1);
    x->uncounted = 0;
}
