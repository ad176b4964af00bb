/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual-8086 mode: the way in (IRET), the frame that events leave on the way out, instructions
 * that IOPL governs there, and their virtual-mode extensions, with the protected-mode virtual
 * interrupts that share CLI and STI (Intel SDM vol. 3, chapter 21). General registers only.
 */
#include "v86.h"

#include "event.h"
#include "helpers.h"
#include "segment.h"

#define CR4_VME 1u
#define CR4_PVI 2u

static unsigned iopl(const struct bt_ctx *c)
{
    return c->sys_flags >> 12 & 3;
}

bool bt_v86(const struct bt_ctx *c)
{
    return c->sys_flags & BT_VM;
}

static bool vme(const struct bt_ctx *c)
{
    return c->v->cpu.cr4 & CR4_VME;
}

bool bt_v86_denied(const struct bt_ctx *c)
{
    return bt_v86(c) && iopl(c) < 3;
}

/* Is IF a virtual one for this code, VIF? */
bool bt_virtual_if(const struct bt_ctx *c)
{
    if (iopl(c) == 3 || c->cpl != 3 || !(c->mode_key & MODE_PE))
        return false;
    return c->v->cpu.cr4 & (bt_v86(c) ? CR4_VME : CR4_PVI);
}

uint64_t bt_virtual_sti(struct bt_ctx *c, uint32_t arg)
{
    if (c->sys_flags & BT_VIP)
        return h_gp0(c);
    c->sys_flags |= BT_VIF;
    return h_resume(c, arg);
}

/* ---- in and out ------------------------------------------------------------------------------ */

uint64_t bt_iret_v86(struct bt_ctx *c, uint64_t flags)
{
    static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t v[9];

    for (int i = 0; i < 9; i++)
        if (h_stack_read(c, 4 * i, 4, &v[i]))
            return h_fault(c);
    bt_set_rflags(c, flags & ~(uint64_t)BT_RF);
    bt_load_real(c, X86_CS, (uint16_t)v[1]);
    bt_load_real(c, X86_SS, (uint16_t)v[4]);
    for (unsigned i = 0; i < 4; i++)
        bt_load_real(c, order[i], (uint16_t)v[5 + i]);
    c->gpr[X86_RSP] = (uint32_t)v[3];
    c->cpl = 3;
    c->rip = h_far_rip(c, v[0] & 0xffff);
    c->v->dr.rf_rip = flags & BT_RF ? c->rip : ~0ull;
    bt_mode_update(c);
    return bt_next(c);
}

unsigned bt_v86_frame(const struct bt_ctx *c, uint64_t *frame)
{
    const struct x86_segment *s = c->v->cpu.seg;

    frame[0] = s[X86_GS].selector;
    frame[1] = s[X86_FS].selector;
    frame[2] = s[X86_DS].selector;
    frame[3] = s[X86_ES].selector;
    return 4;
}

void bt_v86_left(struct bt_ctx *c)
{
    static const uint8_t list[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < 4; i++) {
        c->v->cpu.seg[list[i]] = (struct x86_segment){.unusable = true};
        c->seg_base[list[i]] = 0;
    }
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* FLAGS as the 8086 program sees them. */
static uint64_t seen_flags(const struct bt_ctx *c)
{
    uint64_t f = bt_rflags(c);

    if (iopl(c) < 3)
        f = (f & ~(uint64_t)BT_IF) | BT_IOPL | (f & BT_VIF ? BT_IF : 0);
    return f;
}

/* What POPF and IRET load there, with IOPL as it is. False: #GP(0). */
static bool load_flags(struct bt_ctx *c, unsigned size, uint64_t v)
{
    uint64_t cur = bt_rflags(c), keep = BT_IOPL | BT_VM | BT_VIF | BT_VIP | BT_RF;

    if (size == 2)
        keep |= 0xffff0000u;
    if (iopl(c) < 3) {
        if ((v & BT_TF) || ((v & BT_IF) && (cur & BT_VIP)))
            return false;
        keep |= BT_IF;
        cur = v & BT_IF ? cur | BT_VIF : cur & ~(uint64_t)BT_VIF;
    }
    bt_set_rflags(c, (v & ~keep) | (cur & keep));
    return true;
}

uint64_t bt_v86_pushf(struct bt_ctx *c, unsigned size)
{
    if (!vme(c) || size != 2)
        return h_gp0(c);
    if (h_stack_write(c, -2, 2, seen_flags(c)))
        return h_fault(c);
    h_move_sp(c, -2);
    return 0;
}

uint64_t bt_v86_popf(struct bt_ctx *c, uint32_t arg)
{
    uint64_t v;

    if (!vme(c) || (arg >> 4 & 0xf) != 2)
        return h_gp0(c);
    if (h_stack_read(c, 0, 2, &v))
        return h_fault(c);
    if (!load_flags(c, 2, v))
        return h_gp0(c);
    h_move_sp(c, 2);
    bt_mode_update(c);
    return h_resume(c, arg);
}

uint64_t bt_v86_iret(struct bt_ctx *c, unsigned size)
{
    uint64_t ip, cs, flags;

    if (bt_v86_denied(c) && (!vme(c) || size != 2))
        return h_gp0(c);
    if (h_stack_read(c, 0, size, &ip) || h_stack_read(c, size, size, &cs) ||
        h_stack_read(c, 2 * (int)size, size, &flags))
        return h_fault(c);
    if (ip > 0xffff || !load_flags(c, size, flags))
        return h_gp0(c);
    h_move_sp(c, 3 * (int)size);
    bt_load_real(c, X86_CS, (uint16_t)cs);
    c->rip = h_far_rip(c, ip);
    bt_mode_update(c);
    return bt_next(c);
}

/* ---- software interrupts --------------------------------------------------------------------- */

/* Does the bitmap below the I/O map leave INT `vector` to the program? */
static int redirected(struct bt_ctx *c, unsigned vector, bool *yes)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    unsigned type = tr->attr & 0xf;
    uint64_t io, bits;

    *yes = false;
    if ((type != 9 && type != 11) || tr->limit < 103)
        return bt_fault_err(c, 13, 0);
    if (bt_read(c, tr->base + 102, 2, bt_sys_mmu(c), &io))
        return 1;
    uint64_t at = io - 32 + vector / 8;
    if (io < 32 || at > tr->limit)
        return bt_fault_err(c, 13, 0);
    if (bt_read(c, tr->base + at, 1, bt_sys_mmu(c), &bits))
        return 1;
    *yes = !(bits >> (vector & 7) & 1);
    return 0;
}

/* Through the table at linear address 0, as an 8086 would. */
static uint64_t through_table(struct bt_ctx *c, unsigned vector, uint64_t next)
{
    uint64_t entry;

    if (bt_read(c, vector * 4, 4, MMU_USER, &entry))
        return h_fault(c);
    if (h_stack_write(c, -2, 2, seen_flags(c)) ||
        h_stack_write(c, -4, 2, c->v->cpu.seg[X86_CS].selector) ||
        h_stack_write(c, -6, 2, bt_eip(c, next)))
        return h_fault(c);
    h_move_sp(c, -6);
    if (iopl(c) == 3)
        c->if_flag = 0;
    else
        c->sys_flags &= ~BT_VIF;
    c->sys_flags &= ~(BT_TF | BT_NT);
    bt_load_real(c, X86_CS, (uint16_t)(entry >> 16));
    c->rip = h_far_rip(c, entry & 0xffff);
    bt_mode_update(c);
    return bt_next(c);
}

bool bt_v86_int(struct bt_ctx *c, unsigned vector, uint64_t next, uint64_t *result)
{
    bool yes = false;

    if (!bt_v86(c))
        return false;
    if (vme(c) && redirected(c, vector, &yes)) {
        *result = h_fault(c);
        return true;
    }
    if (yes)
        *result = through_table(c, vector, next);
    else if (iopl(c) < 3)
        *result = h_gp0(c);
    else
        return false;
    return true;
}
