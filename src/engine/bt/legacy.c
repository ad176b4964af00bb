/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event delivery and far transfers outside long mode: real-address mode and protected-mode
 * interrupt and trap gates (Intel SDM vol. 3, 6.12 and chapter 20). General registers only.
 */
#include "event.h"
#include "helpers.h"
#include "segment.h"
#include "task.h"
#include "v86.h"

static int deliver_real(struct bt_ctx *c, unsigned vector, uint64_t rip)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint64_t entry;

    if (vector * 4 + 3 > cpu->idtr.limit)
        return bt_fault_err(c, 13, vector * 8 + 2);
    if (bt_read(c, cpu->idtr.base + vector * 4, 4, MMU_KERNEL, &entry))
        return 1;
    if (h_stack_write(c, -2, 2, bt_rflags(c)) ||
        h_stack_write(c, -4, 2, cpu->seg[X86_CS].selector) || h_stack_write(c, -6, 2, rip))
        return 1;
    h_move_sp(c, -6);
    c->if_flag = 0;
    c->sys_flags &= ~(uint32_t)(BT_TF | BT_AC | BT_RF);
    bt_load_real(c, X86_CS, (uint16_t)(entry >> 16));
    c->rip = bt_rip_of(c, entry & 0xffff);
    bt_mode_update(c);
    return 0;
}

struct gate {
    unsigned type, size, vector;
    uint16_t sel;
    uint32_t off;
    uint32_t ext;
};

static int read_gate(struct bt_ctx *c, struct gate *g, bool soft)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint32_t err = g->vector * 8 + 2 + g->ext;
    uint64_t raw;

    if (g->vector * 8 + 7 > cpu->idtr.limit)
        return bt_fault_err(c, 13, err);
    if (bt_read(c, cpu->idtr.base + g->vector * 8, 8, bt_sys_mmu(c), &raw))
        return 1;
    g->type = raw >> 40 & 0x1f;
    if (g->type != 5 && g->type != 6 && g->type != 7 && g->type != 14 && g->type != 15)
        return bt_fault_err(c, 13, err);
    if (soft && (raw >> 45 & 3) < c->cpl)
        return bt_fault_err(c, 13, err);
    if (!(raw >> 47 & 1))
        return bt_fault_err(c, 11, err);
    g->size = g->type & 8 ? 4 : 2;
    g->sel = (uint16_t)(raw >> 16);
    g->off = (uint32_t)((raw & 0xffff) | (g->size == 4 ? raw >> 32 & 0xffff0000 : 0));
    return 0;
}

/* Loads the stack of an inner level from the TSS. */
static int inner_stack(struct bt_ctx *c, unsigned cpl, uint64_t *esp, uint16_t *ss)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    bool wide = (tr->attr & 0xf) >= 9;
    uint32_t off = wide ? 4 + cpl * 8 : 2 + cpl * 4;
    unsigned size = wide ? 4 : 2;
    uint64_t v;

    if (off + size + 1 > tr->limit)
        return bt_fault_err(c, 10, tr->selector & ~3u);
    if (bt_read(c, tr->base + off, size, bt_sys_mmu(c), esp) ||
        bt_read(c, tr->base + off + size, 2, bt_sys_mmu(c), &v))
        return 1;
    *ss = (uint16_t)v;
    return 0;
}

/* A frame on the stack in SS; a fault has the error code `error`. */
static int push_frame(struct bt_ctx *c, uint64_t *sp, const uint64_t *v, unsigned n, unsigned size,
                      unsigned mmu, uint32_t error)
{
    const struct x86_segment *ss = &c->v->cpu.seg[X86_SS];
    uint64_t at = *sp, mask = ss->attr & 0x4000 ? 0xffffffff : 0xffff;

    for (unsigned i = 0; i < n; i++) {
        at = (at - size) & mask;
        if (!bt_limit_ok(ss, at, size))
            return bt_fault_err(c, 12, error);
        if (bt_write(c, (ss->base + at) & 0xffffffff, size, mmu, v[i]))
            return 1;
    }
    *sp = mask == 0xffff ? (c->gpr[X86_RSP] & ~0xffffull) | at : at;
    return 0;
}

int bt_deliver_legacy(struct bt_ctx *c, unsigned vector, bool soft, bool has_error, uint32_t error,
                      uint64_t rip)
{
    struct x86_cpu *cpu = &c->v->cpu;
    struct gate g = {.vector = vector, .ext = soft ? 0 : 1};
    struct bt_desc d;

    if (!(c->mode_key & MODE_PE))
        return deliver_real(c, vector, rip);
    if (read_gate(c, &g, soft))
        return 1;
    if (g.type == 5)
        return (int)bt_task_event(c, g.sel, rip, has_error, error, g.ext);
    if ((g.sel & ~3) == 0)
        return bt_fault_err(c, 13, g.ext);
    if (bt_descriptor(c, g.sel, &d, 13))
        return 1;
    unsigned dpl = d.attr >> 5 & 3, old_cpl = c->cpl, cpl = d.attr & 4 ? old_cpl : dpl;
    if ((d.attr & 0x18) != 0x18 || dpl > old_cpl)
        return bt_fault_err(c, 13, (g.sel & ~3u) | g.ext);
    bool v86 = bt_v86(c);
    if (v86 && cpl != 0)
        return bt_fault_err(c, 13, (g.sel & ~3u) | g.ext);
    if (!(d.attr & 0x80))
        return bt_fault_err(c, 11, (g.sel & ~3u) | g.ext);
    struct x86_segment old_ss = cpu->seg[X86_SS];
    uint64_t old_esp = c->gpr[X86_RSP], sp = old_esp, frame[10], flags = bt_rflags(c);
    unsigned n = 0;
    if (cpl < old_cpl) {
        uint16_t ss = 0;
        if (inner_stack(c, cpl, &sp, &ss) || bt_set_stack(c, ss, cpl, false, 10))
            return 1;
        if (v86)
            n = bt_v86_frame(c, frame);
        frame[n++] = old_ss.selector;
        frame[n++] = old_esp;
    }
    frame[n++] = flags;
    frame[n++] = cpu->seg[X86_CS].selector;
    frame[n++] = rip;
    if (has_error)
        frame[n++] = error;
    uint32_t error_of_ss = (cpl < old_cpl ? cpu->seg[X86_SS].selector & ~3u : 0) | g.ext;
    if (push_frame(c, &sp, frame, n, g.size, cpl == 3 ? MMU_USER : bt_sys_mmu(c), error_of_ss) ||
        bt_set_code(c, g.sel, &d, cpl)) {
        cpu->seg[X86_SS] = old_ss;
        c->seg_base[X86_SS] = old_ss.base;
        return 1;
    }
    if (v86)
        bt_v86_left(c);
    c->gpr[X86_RSP] = sp;
    c->rip = bt_rip_of(c, g.off);
    c->sys_flags &= ~(uint32_t)(BT_TF | BT_NT | BT_RF | BT_VM);
    if (!(g.type & 1))
        c->if_flag = 0;
    bt_mode_update(c);
    return 0;
}

uint64_t bt_iret_real(struct bt_ctx *c, unsigned size)
{
    uint64_t ip, cs, fl;

    if (h_stack_read(c, 0, size, &ip) || h_stack_read(c, size, size, &cs) ||
        h_stack_read(c, 2 * (int)size, size, &fl))
        return h_fault(c);
    if (ip > c->v->cpu.seg[X86_CS].limit)
        return h_gp0(c);
    h_move_sp(c, 3 * (int)size);
    bt_load_real(c, X86_CS, (uint16_t)cs);
    c->rip = bt_rip_of(c, ip);
    bt_set_rflags(c,
                  size == 2 ? (bt_rflags(c) & ~0xffffull) | (fl & 0xffff) : fl & ~(uint64_t)BT_VM);
    bt_mode_update(c);
    return bt_next(c);
}

uint64_t bt_far_real(struct bt_ctx *c, unsigned size, bool call, uint16_t sel, uint64_t off,
                     uint64_t next)
{
    if (off > c->v->cpu.seg[X86_CS].limit)
        return h_gp0(c);
    if (call) {
        if (h_stack_write(c, -(int64_t)size, size, c->v->cpu.seg[X86_CS].selector) ||
            h_stack_write(c, -2 * (int64_t)size, size, bt_eip(c, next)))
            return h_fault(c);
        h_move_sp(c, -2 * (int64_t)size);
    }
    bt_load_real(c, X86_CS, sel);
    c->rip = bt_rip_of(c, off);
    bt_mode_update(c);
    return bt_next(c);
}
