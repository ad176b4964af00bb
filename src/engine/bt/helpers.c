/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers: control transfers between privilege levels, flags, segments, ports, odd instructions.
 * See helpers.h. */
#include "helpers.h"

#include "dr.h"
#include "event.h"
#include "segment.h"
#include "task.h"
#include "trace.h"
#include "v86.h"

#define H_ENTRY(name) [H_##name] = bt_h_##name,
bt_helper_fn *const bt_helpers[] = {BT_HELPERS(H_ENTRY)};

/* A non-canonical stack address is a stack fault. */
int h_stack_fault(struct bt_ctx *c)
{
    if (c->exc_vector == 13)
        c->exc_vector = 12;
    return 1;
}

static uint64_t stack_lin(const struct bt_ctx *c, uint64_t at)
{
    uint64_t lin = at + c->seg_base[X86_SS];

    return c->mode_key & MODE_L ? lin : lin & 0xffffffff;
}

int h_frame_read(struct bt_ctx *c, uint64_t at, unsigned size, uint64_t *v)
{
    if (bt_seg_check(c, X86_SS, at, size, ACC_R))
        return 1;
    return bt_read(c, stack_lin(c, at), size, bt_data_mmu(c), v) ? h_stack_fault(c) : 0;
}

int h_stack_read(struct bt_ctx *c, int64_t off, unsigned size, uint64_t *v)
{
    uint64_t at = (c->gpr[X86_RSP] + (uint64_t)off) & h_stack_mask(c);
    return h_frame_read(c, at, size, v);
}

int h_stack_write(struct bt_ctx *c, int64_t off, unsigned size, uint64_t v)
{
    uint64_t at = (c->gpr[X86_RSP] + (uint64_t)off) & h_stack_mask(c);

    if (bt_seg_check(c, X86_SS, at, size, ACC_W))
        return 1;
    return bt_write(c, stack_lin(c, at), size, bt_data_mmu(c), v) ? h_stack_fault(c) : 0;
}

void h_move_sp(struct bt_ctx *c, int64_t delta)
{
    h_set_gpr(c, X86_RSP, h_stack_size(c), c->gpr[X86_RSP] + (uint64_t)delta);
}

uint64_t bt_h_resume(struct bt_ctx *c, uint32_t arg)
{
    bt_mode_update(c);
    return h_resume(c, arg);
}

uint64_t bt_h_raise(struct bt_ctx *c, uint32_t arg)
{
    if (arg >> 12 & 1)
        bt_fault_err(c, arg >> 4 & 0xff, 0);
    else
        bt_fault(c, arg >> 4 & 0xff);
    return h_fault(c);
}

/* CPUID shows in two leaves whether the local APIC is on. */
static bool apic_enabled(struct bt_ctx *c, uint32_t leaf)
{
    const struct engine_host *h = c->v->en->host;
    uint64_t base = 1u << 11;

    if (leaf == 1 || leaf == 0x80000001u) {
        bt_vector_out();
        (void)h->msr_read(h->opaque, c->v->index, 0x1b, &base);
        bt_vector_in();
    }
    return base >> 11 & 1;
}

uint64_t bt_h_cpuid(struct bt_ctx *c, uint32_t arg)
{
    struct x86_cpu *cpu = &c->v->cpu;
    uint32_t leaf = (uint32_t)c->gpr[X86_RAX];
    struct cpuid_dynamic dyn = {.cr4 = cpu->cr4,
                                .xcr0 = cpu->xcr0,
                                .apic_id = c->v->index,
                                .apic_enabled = apic_enabled(c, leaf)};
    uint32_t out[4];

    (void)arg;
    cpuid_execute(c->v->en->cpuid, &dyn, leaf, (uint32_t)c->gpr[X86_RCX], out);
    c->gpr[X86_RAX] = out[0];
    c->gpr[X86_RBX] = out[1];
    c->gpr[X86_RCX] = out[2];
    c->gpr[X86_RDX] = out[3];
    return 0;
}

/* KVM's calling convention; outside 64-bit mode the registers are 32 bits wide. */
uint64_t bt_h_hypercall(struct bt_ctx *c, uint32_t arg)
{
    const struct engine_host *h = c->v->en->host;
    uint64_t mask = c->mode_key & MODE_L ? ~0ull : 0xffffffff;
    const uint64_t args[4] = {c->gpr[X86_RBX] & mask, c->gpr[X86_RCX] & mask,
                              c->gpr[X86_RDX] & mask, c->gpr[X86_RSI] & mask};
    uint64_t v = (uint64_t)-1; /* EPERM */

    if (h->hypercall == NULL)
        return h_ud(c);
    if (c->cpl == 0) {
        bt_vector_out();
        v = h->hypercall(h->opaque, c->v->index, c->mode_key & MODE_L ? 64 : 32,
                         c->gpr[X86_RAX] & mask, args);
        bt_vector_in();
    }
    c->gpr[X86_RAX] = v & mask;
    return h_resume(c, arg);
}

/* ---- SYSCALL and kin (Intel SDM vol. 2; AMD APM vol. 3) -------------------------------------- */

static void flat_code(struct bt_ctx *c, uint16_t sel, unsigned cpl, bool l)
{
    bt_set_flat(&c->v->cpu.seg[X86_CS], (uint16_t)((sel & ~3u) | cpl),
                (uint16_t)(0x809b | cpl << 5 | (l ? 0x2000 : 0x4000)));
    c->seg_base[X86_CS] = 0;
    c->cpl = (uint8_t)cpl;
}

static void flat_stack(struct bt_ctx *c, uint16_t sel, unsigned cpl)
{
    bt_set_flat(&c->v->cpu.seg[X86_SS], (uint16_t)((sel & ~3u) | cpl),
                (uint16_t)(0xc093 | cpl << 5));
    c->seg_base[X86_SS] = 0;
}

uint64_t bt_h_syscall(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint16_t sel = (uint16_t)(cpu->star >> 32);

    if (!(cpu->efer & 1) || !(c->mode_key & MODE_LMA))
        return h_ud(c);
    uint64_t flags = bt_rflags(c) & ~(uint64_t)BT_RF;
    c->gpr[X86_RCX] = bt_eip(c, h_next_rip(c, arg));
    c->gpr[X86_R8 + 3] = flags;
    c->rip = c->mode_key & MODE_L ? cpu->lstar : cpu->cstar;
    bt_set_rflags(c, flags & ~cpu->fmask);
    c->v->dr.no_step = (flags & cpu->fmask & BT_TF) != 0;
    flat_code(c, sel, 0, true);
    flat_stack(c, (uint16_t)(sel + 8), 0);
    bt_mode_update(c);
    return bt_next(c);
}

uint64_t bt_h_sysret(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint16_t sel = (uint16_t)(cpu->star >> 48);
    bool wide = arg >> 4 & 1;

    if (!(cpu->efer & 1) || !(c->mode_key & MODE_L))
        return h_ud(c);
    if (c->cpl != 0 || (wide && !bt_canonical(c->gpr[X86_RCX])))
        return h_gp0(c);
    c->rip = wide ? c->gpr[X86_RCX] : (uint32_t)c->gpr[X86_RCX];
    flat_code(c, (uint16_t)(sel + (wide ? 16 : 0)), 3, wide);
    flat_stack(c, (uint16_t)(sel + 8), 3);
    bt_set_rflags(c, c->gpr[X86_R8 + 3] & 0x3c7fd7);
    bt_mode_update(c);
    if (c->sys_flags & BT_TF) { /* TF counts as it is behind SYSCALL and SYSRET */
        bt_debug_exception(c, 1u << 14);
        return bt_exception(c);
    }
    return bt_next(c);
}

uint64_t bt_h_sysenter(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint16_t sel = (uint16_t)(cpu->sysenter_cs & ~3ull);
    bool lma = c->mode_key & MODE_LMA;

    (void)arg;
    if (lma && c->v->en->amd) /* AMD's processors have it in legacy mode only */
        return h_ud(c);
    if (!(c->mode_key & MODE_PE) || sel == 0)
        return h_gp0(c);
    c->sys_flags &= ~BT_VM;
    c->if_flag = 0;
    c->gpr[X86_RSP] = lma ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    c->rip = lma ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    flat_code(c, sel, 0, lma);
    flat_stack(c, (uint16_t)(sel + 8), 0);
    bt_mode_update(c);
    return bt_next(c);
}

uint64_t bt_h_sysexit(struct bt_ctx *c, uint32_t arg)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint16_t sel = (uint16_t)(cpu->sysenter_cs & ~3ull);
    bool wide = arg >> 4 & 1;

    if ((c->mode_key & MODE_LMA) && c->v->en->amd)
        return h_ud(c);
    if (sel == 0 || c->cpl != 0)
        return h_gp0(c);
    c->gpr[X86_RSP] = wide ? c->gpr[X86_RCX] : (uint32_t)c->gpr[X86_RCX];
    c->rip = wide ? c->gpr[X86_RDX] : (uint32_t)c->gpr[X86_RDX];
    flat_code(c, (uint16_t)(sel + (wide ? 32 : 16)), 3, wide);
    flat_stack(c, (uint16_t)(sel + (wide ? 40 : 24)), 3);
    bt_mode_update(c);
    return bt_next(c);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

uint64_t bt_h_int(struct bt_ctx *c, uint32_t arg)
{
    unsigned vector = arg >> 4 & 0xff;

    if ((arg >> 12 & 1) && !(c->flags >> 11 & 1)) /* INTO without overflow */
        return h_resume(c, arg);
    bool hardware = arg >> 13 & 1, named = arg >> 14 & 1;
    uint64_t result;

    if (named && bt_v86_int(c, vector, h_next_rip(c, arg), &result))
        return result;
    if (hardware) { /* INT1 */
        bt_debug_exception(c, 0);
        c->rip = h_next_rip(c, arg);
        return bt_exception(c);
    }
    switch (bt_interrupt(c, vector, true, h_next_rip(c, arg))) {
    case 0:
        return bt_next(c);
    case 2: /* in the task that it switched to */
        return bt_exception(c);
    default:
        return h_fault(c);
    }
}

struct iret_frame {
    uint64_t rip, cs, flags, rsp, ss;
};

static int iret_pop(struct bt_ctx *c, unsigned size, struct iret_frame *f)
{
    bool stack = c->mode_key & MODE_L;

    if (stack && size == 8) {
        if (bt_copy_in(c, c->gpr[X86_RSP], f, sizeof(*f), bt_data_mmu(c)))
            return h_stack_fault(c);
        f->cs &= 0xffff;
        return 0;
    }
    if (h_stack_read(c, 0, size, &f->rip) || h_stack_read(c, size, size, &f->cs) ||
        h_stack_read(c, 2 * (int)size, size, &f->flags))
        return 1;
    f->cs &= 0xffff;
    if (stack || (f->cs & 3) > c->cpl)
        if (h_stack_read(c, 3 * (int)size, size, &f->rsp) ||
            h_stack_read(c, 4 * (int)size, size, &f->ss))
            return 1;
    return 0;
}

static void iret_flags(struct bt_ctx *c, unsigned size, uint64_t v, unsigned old_cpl)
{
    uint64_t keep = 0, cur = bt_rflags(c);

    if (old_cpl > 0)
        keep |= BT_IOPL | BT_VIF | BT_VIP;
    if (old_cpl > (cur >> 12 & 3))
        keep |= BT_IF;
    if (size == 2)
        keep |= 0xffff0000u;
    keep |= BT_VM;
    bt_set_rflags(c, (v & ~keep) | (cur & keep));
}

static uint64_t far_end(struct bt_ctx *c, enum bt_far how)
{
    switch (how) {
    case FAR_DONE:
        return bt_next(c);
    case FAR_THERE:
        return bt_exception(c);
    default:
        return h_fault(c);
    }
}

uint64_t bt_h_iret(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 0xf, old_cpl = c->cpl;
    struct x86_segment old_cs = c->v->cpu.seg[X86_CS];
    struct iret_frame f = {0};
    struct bt_desc d;

    if (c->v->cpu.nmi_blocked) { /* even if it faults */
        c->v->cpu.nmi_blocked = false;
        bt_kick_now(c);
    }
    if (!(c->mode_key & MODE_PE))
        return bt_iret_real(c, size);
    if (bt_v86(c))
        return bt_v86_iret(c, size);
    if (c->sys_flags & BT_NT)
        return c->mode_key & MODE_LMA
                   ? h_gp0(c)
                   : far_end(c, bt_task_return(c, bt_eip(c, h_next_rip(c, arg))));
    if (iret_pop(c, size, &f))
        return h_fault(c);
    if ((f.flags & BT_VM) && old_cpl == 0 && size == 4 && !(c->mode_key & MODE_LMA))
        return bt_iret_v86(c, f.flags);
    unsigned cpl = f.cs & 3;
    if (cpl < old_cpl) {
        bt_fault_err(c, 13, f.cs & ~3u);
        return h_fault(c);
    }
    if (bt_check_code(c, (uint16_t)f.cs, &d, cpl, 13))
        return h_fault(c);
    bool to64 = (c->mode_key & MODE_LMA) && (d.attr & 0x2000);
    if (to64 ? !bt_canonical(f.rip) : (uint32_t)f.rip > d.limit)
        return h_gp0(c);
    bool stack = (c->mode_key & MODE_L) || cpl > old_cpl;
    if (stack && bt_set_stack(c, (uint16_t)f.ss, cpl, to64, 13))
        return h_fault(c);
    if (bt_set_code(c, (uint16_t)f.cs, &d, cpl)) {
        c->v->cpu.seg[X86_CS] = old_cs;
        return h_fault(c);
    }
    if (stack)
        c->gpr[X86_RSP] = to64        ? f.rsp
                          : size == 2 ? (c->gpr[X86_RSP] & ~0xffffull) | (uint16_t)f.rsp
                                      : (uint32_t)f.rsp;
    else
        h_move_sp(c, 3 * (int)size);
    c->rip = to64 ? f.rip : h_far_rip(c, size == 2 ? (uint16_t)f.rip : f.rip);
    iret_flags(c, size, f.flags, old_cpl);
    if (cpl > old_cpl)
        bt_drop_segs(c);
    c->v->dr.rf_rip = f.flags & BT_RF ? c->rip : ~0ull;
    c->sys_flags &= ~BT_RF;
    bt_mode_update(c);
    bt_view_resume(c);
    return bt_next(c);
}

uint64_t bt_h_hlt(struct bt_ctx *c, uint32_t arg)
{
    if (c->cpl != 0)
        return h_gp0(c);
    c->rip = h_next_rip(c, arg);
    c->exit_reason = EXIT_HALT;
    return 1;
}

/* ---- flags ----------------------------------------------------------------------------------- */

static bool iopl_denied(const struct bt_ctx *c)
{
    return (c->mode_key & MODE_PE) && c->cpl > (c->sys_flags >> 12 & 3);
}

uint64_t bt_h_cli(struct bt_ctx *c, uint32_t arg)
{
    (void)arg;
    if (bt_virtual_if(c)) {
        c->sys_flags &= ~BT_VIF;
        return 0;
    }
    if (iopl_denied(c))
        return h_gp0(c);
    c->if_flag = 0;
    return 0;
}

uint64_t bt_h_sti(struct bt_ctx *c, uint32_t arg)
{
    if (bt_virtual_if(c))
        return bt_virtual_sti(c, arg);
    if (iopl_denied(c))
        return h_gp0(c);
    c->rip = h_next_rip(c, arg);
    if (!c->if_flag) {
        c->if_flag = 1;
        c->shadow_rip = c->rip;
        c->v->dr.after_ss = false;
        if (c->irq_wait)
            bt_kick_now(c);
    }
    return bt_next(c);
}

uint64_t bt_h_pushf(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 0xf;

    if (bt_v86_denied(c))
        return bt_v86_pushf(c, size);
    uint64_t v = bt_rflags(c) & ~(uint64_t)(BT_RF | BT_VM);
    if (h_stack_write(c, -(int64_t)size, size, v))
        return h_fault(c);
    h_move_sp(c, -(int64_t)size);
    return 0;
}

uint64_t bt_h_popf(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 0xf;
    uint64_t v, keep = BT_VM | BT_VIF | BT_VIP | BT_RF, cur = bt_rflags(c);

    if (bt_v86_denied(c))
        return bt_v86_popf(c, arg);
    if (h_stack_read(c, 0, size, &v))
        return h_fault(c);
    if (c->cpl > 0)
        keep |= BT_IOPL;
    if (iopl_denied(c))
        keep |= BT_IF;
    if (size == 2)
        keep |= 0xffff0000u;
    h_move_sp(c, (int64_t)size);
    bt_set_rflags(c, ((v & ~keep) | (cur & keep)) & ~(uint64_t)BT_RF);
    bt_mode_update(c);
    return h_resume(c, arg);
}

/* ---- segments -------------------------------------------------------------------------------- */

uint64_t bt_h_seg_get(struct bt_ctx *c, uint32_t arg)
{
    uint16_t sel = c->v->cpu.seg[arg >> 4 & 7].selector;

    if (arg >> 16 & 1) {
        if (bt_write(c, c->mem_addr, 2, bt_data_mmu(c), sel) == 0)
            return 0;
        if (arg >> 17 & 1)
            h_stack_fault(c);
        return h_fault(c);
    }
    h_set_gpr(c, arg >> 8 & 15, arg >> 12 & 15, sel);
    return 0;
}

/* No interrupt and no trap comes before the next instruction is done. */
static void after_ss(struct bt_ctx *c, uint32_t arg)
{
    c->shadow_rip = h_next_rip(c, arg);
    c->v->dr.after_ss = true;
}

uint64_t bt_h_seg_set(struct bt_ctx *c, uint32_t arg)
{
    unsigned seg = arg >> 4 & 7;

    if (bt_load_seg(c, seg, (uint16_t)c->temp[1]))
        return h_fault(c);
    if (seg == X86_SS)
        after_ss(c, arg);
    return h_resume(c, arg);
}

/* ctx->mem_addr is an offset in a segment: checks it and makes it a linear address. */
uint64_t bt_h_seg_address(struct bt_ctx *c, uint32_t arg)
{
    unsigned seg = arg >> 4 & 7;

    if (bt_seg_check(c, seg, c->mem_addr, arg >> 9 & 0x3ff, arg >> 7 & 3))
        return h_fault(c);
    c->mem_addr = (c->mem_addr + c->seg_base[seg]) & 0xffffffff;
    c->left = 0; /* of an instruction before: this one is not done yet */
    return 0;
}

uint64_t bt_h_seg_push(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 8 & 15;

    if (h_stack_write(c, -(int64_t)size, size, c->v->cpu.seg[arg >> 4 & 7].selector))
        return h_fault(c);
    h_move_sp(c, -(int64_t)size);
    return 0;
}

uint64_t bt_h_seg_pop(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 8 & 15, seg = arg >> 4 & 7, sp = h_stack_size(c);
    uint64_t v, rsp = c->gpr[X86_RSP];

    if (h_stack_read(c, 0, size, &v) || bt_load_seg(c, seg, (uint16_t)v))
        return h_fault(c);
    h_set_gpr(c, X86_RSP, sp, rsp + size);
    if (seg == X86_SS)
        after_ss(c, arg);
    return h_resume(c, arg);
}

uint64_t bt_h_seg_far(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 12 & 15, seg = arg >> 4 & 7;
    uint64_t off, sel;

    if (bt_read(c, c->mem_addr, size, bt_data_mmu(c), &off) ||
        bt_read(c, c->mem_addr + size, 2, bt_data_mmu(c), &sel) ||
        bt_load_seg(c, seg, (uint16_t)sel))
        return h_fault(c);
    h_set_gpr(c, arg >> 8 & 15, size, off);
    return h_resume(c, arg);
}

/* Types that LAR accepts among system descriptors, and LSL. */
static bool query_system(const struct bt_ctx *c, unsigned type, bool lar)
{
    bool lma = c->mode_key & MODE_LMA;

    switch (type) {
    case 2:
    case 9:
    case 11:
        return true;
    case 1:
    case 3:
        return !lma;
    case 4:
    case 5:
        return lar && !lma;
    case 12:
        return lar;
    default:
        return false;
    }
}

static bool query_ok(struct bt_ctx *c, unsigned what, uint16_t sel, struct bt_desc *d)
{
    if ((sel & ~3) == 0 || bt_descriptor(c, sel, d, 13))
        return false;
    unsigned type = d->attr & 0xf, dpl = d->attr >> 5 & 3;
    bool s = d->attr & 0x10, conforming = s && (type & 0xc) == 0xc;
    if (!s && (what >= 2 || !query_system(c, type, what == 0)))
        return false;
    if (!conforming && (c->cpl > dpl || (sel & 3u) > dpl))
        return false;
    if (what == 2)
        return !(type & 8) || (type & 2);
    if (what == 3)
        return !(type & 8) && (type & 2);
    return true;
}

uint64_t bt_h_seg_query(struct bt_ctx *c, uint32_t arg)
{
    unsigned what = arg >> 4 & 3;
    struct bt_desc d = {0};
    uint8_t vec = c->exc_vector;

    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM))
        return h_ud(c);
    c->exc_vector = 0;
    bool ok = query_ok(c, what, (uint16_t)c->temp[1], &d);
    if (!ok && c->exc_vector == 14)
        return h_fault(c);
    c->exc_vector = vec;
    c->flags = ok ? c->flags | 0x40 : c->flags & ~0x40ull;
    if (ok && what < 2)
        h_set_gpr(c, arg >> 8 & 15, arg >> 12 & 15, what == 0 ? d.raw >> 32 & 0xffff00 : d.limit);
    return 0;
}

uint64_t bt_h_fsgsbase(struct bt_ctx *c, uint32_t arg)
{
    unsigned which = arg >> 4 & 3, r = arg >> 8 & 15, size = arg >> 12 & 15,
             seg = which & 1 ? X86_GS : X86_FS;

    if (!(c->v->cpu.cr4 >> 16 & 1) || !(c->mode_key & MODE_L))
        return h_ud(c);
    if (which < 2) {
        h_set_gpr(c, r, size, c->seg_base[seg]);
        return 0;
    }
    uint64_t v = size == 8 ? c->gpr[r] : (uint32_t)c->gpr[r];
    if (!bt_canonical(v))
        return h_gp0(c);
    c->seg_base[seg] = c->v->cpu.seg[seg].base = v;
    return 0;
}

uint64_t bt_h_swapgs(struct bt_ctx *c, uint32_t arg)
{
    if (!(c->mode_key & MODE_L))
        return h_ud(c);
    if (c->cpl != 0)
        return h_gp0(c);
    uint64_t v = c->seg_base[X86_GS];
    c->seg_base[X86_GS] = c->kernel_gs_base;
    c->kernel_gs_base = v;
    return h_resume(c, arg);
}

/* ---- far transfers --------------------------------------------------------------------------- */

uint64_t bt_h_far_jump(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15;
    bool call = arg >> 8 & 1, mem = arg >> 9 & 1;
    uint64_t off = (uint32_t)c->temp[2], sel = (uint16_t)c->temp[1];
    struct bt_desc d;

    if (mem && (bt_read(c, c->mem_addr, size, bt_data_mmu(c), &off) ||
                bt_read(c, c->mem_addr + size, 2, bt_data_mmu(c), &sel)))
        return h_fault(c);
    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM))
        return bt_far_real(c, size, call, (uint16_t)sel, off, h_next_rip(c, arg));
    if (sel & ~3ull) {
        if (bt_descriptor(c, (uint16_t)sel, &d, 13))
            return h_fault(c);
        if (!(d.attr & 0x10))
            return far_end(
                c, bt_far_system(c, call, (uint16_t)sel, &d, bt_eip(c, h_next_rip(c, arg))));
    }
    /* RPL does not matter for conforming code; nonconforming wants RPL <= CPL. */
    if (bt_check_code(c, (uint16_t)sel, &d, c->cpl, 13))
        return h_fault(c);
    if (!(d.attr & 4) && (sel & 3) > c->cpl) {
        bt_fault_err(c, 13, sel & ~3u);
        return h_fault(c);
    }
    bool to64 = (c->mode_key & MODE_LMA) && (d.attr & 0x2000);
    if (size == 2)
        off &= 0xffff;
    if (to64 ? !bt_canonical(off) : off > d.limit)
        return h_gp0(c);
    if (call) {
        if (h_stack_write(c, -(int64_t)size, size, c->v->cpu.seg[X86_CS].selector) ||
            h_stack_write(c, -2 * (int64_t)size, size, bt_eip(c, h_next_rip(c, arg))))
            return h_fault(c);
    }
    if (bt_set_code(c, (uint16_t)sel, &d, c->cpl))
        return h_fault(c);
    if (call)
        h_move_sp(c, -2 * (int64_t)size);
    c->rip = to64 ? off : h_far_rip(c, off);
    bt_mode_update(c);
    return bt_next(c);
}

uint64_t bt_h_far_return(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15, old_cpl = c->cpl;
    uint32_t drop = arg >> 8;
    uint64_t off, sel, rsp = 0, ss = 0;
    struct bt_desc d;

    if (h_stack_read(c, 0, size, &off) || h_stack_read(c, size, size, &sel))
        return h_fault(c);
    sel &= 0xffff;
    if (!(c->mode_key & MODE_PE) || (c->mode_key & MODE_VM)) {
        h_move_sp(c, 2 * (int64_t)size + drop);
        return bt_far_real(c, size, false, (uint16_t)sel, off, 0);
    }
    unsigned cpl = sel & 3;
    if (cpl < old_cpl) {
        bt_fault_err(c, 13, (uint32_t)sel & ~3u);
        return h_fault(c);
    }
    if (bt_check_code(c, (uint16_t)sel, &d, cpl, 13))
        return h_fault(c);
    bool to64 = (c->mode_key & MODE_LMA) && (d.attr & 0x2000);
    if (to64 ? !bt_canonical(off) : off > d.limit)
        return h_gp0(c);
    if (cpl > old_cpl) {
        if (h_stack_read(c, 2 * (int64_t)size + drop, size, &rsp) ||
            h_stack_read(c, 3 * (int64_t)size + drop, size, &ss) ||
            bt_set_stack(c, (uint16_t)ss, cpl, to64, 13))
            return h_fault(c);
    }
    if (bt_set_code(c, (uint16_t)sel, &d, cpl))
        return h_fault(c);
    if (cpl > old_cpl) {
        c->gpr[X86_RSP] = rsp + drop;
        bt_drop_segs(c);
    } else {
        h_move_sp(c, 2 * (int64_t)size + drop);
    }
    c->rip = to64 ? off : h_far_rip(c, off);
    bt_mode_update(c);
    return bt_next(c);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* The I/O permission bitmap (Intel SDM vol. 1, 19.5.2). */
static int port_denied(struct bt_ctx *c, unsigned port, unsigned size)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    uint64_t base, bits;

    if (!iopl_denied(c) && !(c->sys_flags & BT_VM))
        return 0;
    unsigned type = tr->attr & 0xf;
    if ((type != 9 && type != 11) || tr->limit < 103)
        return bt_fault_err(c, 13, 0);
    if (bt_read(c, tr->base + 102, 2, bt_sys_mmu(c), &base))
        return 1;
    if (base + port / 8 + 1 > tr->limit)
        return bt_fault_err(c, 13, 0);
    if (bt_read(c, tr->base + base + port / 8, 2, bt_sys_mmu(c), &bits))
        return 1;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return bt_fault_err(c, 13, 0);
    return 0;
}

uint32_t bt_port_in(struct bt_ctx *c, unsigned port, unsigned size)
{
    const struct engine_host *h = c->v->en->host;

    c->v->en->stat.pio++;
    bt_vector_out();
    uint32_t v = h->port_read(h->opaque, c->v->index, (uint16_t)port, size);
    bt_vector_in();
    if (c->v->dr.io != 0)
        bt_dr_port(c, port, size);
    if (bt_tracing(c, TRACE_pio))
        bt_trace(c, TRACE_pio, bt_trace_rip(c), "in %#x, %u bytes: %#x", port, size, v);
    return v;
}

void bt_port_out(struct bt_ctx *c, unsigned port, unsigned size, uint32_t value)
{
    const struct engine_host *h = c->v->en->host;

    c->v->en->stat.pio++;
    if (bt_tracing(c, TRACE_pio))
        bt_trace(c, TRACE_pio, bt_trace_rip(c), "out %#x, %u bytes: %#x", port, size, value);
    bt_vector_out();
    h->port_write(h->opaque, c->v->index, (uint16_t)port, value, size);
    bt_remap_data(c);
    bt_vector_in();
    if (c->v->dr.io != 0)
        bt_dr_port(c, port, size);
}

int bt_port_check(struct bt_ctx *c, unsigned port, unsigned size)
{
    return port_denied(c, port, size);
}

uint64_t bt_h_in(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15,
             port = arg >> 8 & 1 ? c->gpr[X86_RDX] & 0xffff : arg >> 12 & 0xff;

    if (port_denied(c, port, size))
        return h_fault(c);
    uint32_t v = bt_port_in(c, port, size);
    if (size == 1)
        c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~0xffull) | (v & 0xff);
    else
        h_set_gpr(c, X86_RAX, size, v);
    return 0;
}

uint64_t bt_h_out(struct bt_ctx *c, uint32_t arg)
{
    unsigned size = arg >> 4 & 15,
             port = arg >> 8 & 1 ? c->gpr[X86_RDX] & 0xffff : arg >> 12 & 0xff;
    uint32_t v = (uint32_t)c->gpr[X86_RAX];

    if (port_denied(c, port, size))
        return h_fault(c);
    bt_port_out(c, port, size, size == 1 ? v & 0xff : size == 2 ? v & 0xffff : v);
    return c->kick ? h_resume(c, arg) : 0;
}
