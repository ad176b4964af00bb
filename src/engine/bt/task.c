/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware task switches (Intel SDM vol. 3, chapter 8) and call gates (5.8.3 - 5.8.5; in long mode
 * AMD APM vol. 2, 4.12).
 */
#include "task.h"

#include "dr.h"
#include "event.h"
#include "helpers.h"

enum {
    TYPE_TSS16 = 1,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_TSS32 = 9,
    TYPE_CALL = 12, /* of 32 bits; in long mode of 64 */
    TYPE_BUSY = 2,  /* TSS types: busy */
    ATTR_S = 0x10,
    ATTR_P = 0x80
};

static unsigned desc_dpl(const struct bt_desc *d)
{
    return d->attr >> 5 & 3;
}

/* ---- task switches --------------------------------------------------------------------------- */

/* The order of segment registers in a TSS. */
static const uint8_t tss_seg[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};

/* Where a TSS has what. */
struct tss_form {
    unsigned size, ip, flags, gpr, seg, n_seg, ldt, need;
};
static const struct tss_form tss16 = {2, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 0x2b};
static const struct tss_form tss32 = {4, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 0x67};

struct task {
    uint64_t ip, flags, gpr[8], seg[6], ldt, cr3, trap;
};

static const struct tss_form *form_of(unsigned type)
{
    return type & 8 ? &tss32 : &tss16;
}

static int tss_get(struct bt_ctx *c, uint64_t base, unsigned off, unsigned size, uint64_t *v)
{
    return bt_read(c, base + off, size, bt_sys_mmu(c), v);
}

static int tss_put(struct bt_ctx *c, uint64_t base, unsigned off, unsigned size, uint64_t v)
{
    return bt_write(c, base + off, size, bt_sys_mmu(c), v);
}

static int read_task(struct bt_ctx *c, uint64_t base, const struct tss_form *f, struct task *t)
{
    *t = (struct task){0};
    if (tss_get(c, base, f->ip, f->size, &t->ip) || tss_get(c, base, f->flags, f->size, &t->flags))
        return 1;
    for (unsigned i = 0; i < 8; i++)
        if (tss_get(c, base, f->gpr + i * f->size, f->size, &t->gpr[i]))
            return 1;
    for (unsigned i = 0; i < f->n_seg; i++)
        if (tss_get(c, base, f->seg + i * f->size, 2, &t->seg[i]))
            return 1;
    if (tss_get(c, base, f->ldt, 2, &t->ldt))
        return 1;
    if (f == &tss32)
        return tss_get(c, base, 0x1c, 4, &t->cr3) || tss_get(c, base, 0x64, 2, &t->trap);
    return 0;
}

/* The dynamic fields of the task that is left. */
static int save_task(struct bt_ctx *c, uint64_t next, uint64_t flags)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    const struct tss_form *f = form_of(tr->attr & 0xf);

    if (tss_put(c, tr->base, f->ip, f->size, next) ||
        tss_put(c, tr->base, f->flags, f->size, flags))
        return 1;
    for (unsigned i = 0; i < 8; i++)
        if (tss_put(c, tr->base, f->gpr + i * f->size, f->size, c->gpr[i]))
            return 1;
    for (unsigned i = 0; i < f->n_seg; i++)
        if (tss_put(c, tr->base, f->seg + i * f->size, 2, c->v->cpu.seg[tss_seg[i]].selector))
            return 1;
    return 0;
}

static int set_busy(struct bt_ctx *c, uint64_t addr, bool busy)
{
    uint64_t type;

    if (bt_read(c, addr, 1, bt_sys_mmu(c), &type))
        return 1;
    type = busy ? type | TYPE_BUSY : type & ~(uint64_t)TYPE_BUSY;
    return bt_write(c, addr, 1, bt_sys_mmu(c), type);
}

/* May the task be entered? Nothing has changed yet. */
static int check_tss(struct bt_ctx *c, uint16_t selector, const struct bt_desc *d,
                     enum bt_task_by by, uint32_t ext)
{
    unsigned type = d->attr & 0x1f;
    uint32_t error = (selector & ~3u) | ext;
    bool busy = type & TYPE_BUSY;

    if ((type & 0x15) != 1 || (selector & 4) || busy != (by == TASK_IRET))
        return bt_fault_err(c, by == TASK_IRET ? 10 : 13, error);
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 11, error);
    if (d->limit < form_of(type)->need)
        return bt_fault_err(c, 10, error);
    return 0;
}

static void seg_real(struct bt_ctx *c, unsigned seg, uint16_t selector)
{
    c->v->cpu.seg[seg] = (struct x86_segment){
        .selector = selector, .base = (uint64_t)selector << 4, .limit = 0xffff, .attr = 0xf3};
}

static int load_ldt(struct bt_ctx *c, uint16_t selector, uint32_t ext)
{
    if (bt_load_system(c, selector, false) == 0)
        return 0;
    if (c->exc_vector == 14)
        return 1;
    return bt_fault_err(c, 10, (selector & ~3u) | ext);
}

static int load_cs(struct bt_ctx *c, uint16_t selector, uint32_t ext)
{
    struct bt_desc d;
    unsigned cpl = selector & 3;

    if ((selector & ~3) == 0)
        return bt_fault_err(c, 10, ext);
    if (bt_check_code(c, selector, &d, cpl, 10))
        return 1;
    return bt_set_code(c, selector, &d, cpl);
}

/* DS and kin: what MOV would refuse is #TS here. */
static int load_data(struct bt_ctx *c, unsigned seg, uint16_t selector, uint32_t ext)
{
    if (bt_load_seg(c, seg, selector) == 0)
        return 0;
    if (c->exc_vector == 13)
        return bt_fault_err(c, 10, (selector & ~3u) | ext);
    return 1;
}

/* The segments of the new task, whose selectors are in place. */
static int load_segments(struct bt_ctx *c, const struct task *t, uint32_t ext)
{
    uint16_t cs = (uint16_t)t->seg[1], ss = (uint16_t)t->seg[2];

    if (load_ldt(c, (uint16_t)t->ldt, ext))
        return 1;
    if (t->flags & BT_VM) {
        for (unsigned i = 0; i < 6; i++)
            seg_real(c, tss_seg[i], (uint16_t)t->seg[i]);
        bt_sync_segs(c);
        c->cpl = 3;
        return 0;
    }
    c->cpl = cs & 3;
    if (load_cs(c, cs, ext) || bt_set_stack(c, ss, cs & 3, false, 10))
        return 1;
    bt_mode_update(c);
    return load_data(c, X86_DS, (uint16_t)t->seg[3], ext) ||
           load_data(c, X86_ES, (uint16_t)t->seg[0], ext) ||
           load_data(c, X86_FS, (uint16_t)t->seg[4], ext) ||
           load_data(c, X86_GS, (uint16_t)t->seg[5], ext);
}

/* Selectors first: a fault of one segment finds the others unusable, but named. */
static void name_segments(struct bt_ctx *c, const struct task *t)
{
    struct x86_cpu *cpu = &c->v->cpu;

    for (unsigned i = 0; i < 6; i++) {
        struct x86_segment *s = &cpu->seg[tss_seg[i]];
        s->selector = (uint16_t)t->seg[i];
        if (tss_seg[i] != X86_CS && tss_seg[i] != X86_SS)
            s->unusable = true;
    }
    cpu->ldtr = (struct x86_segment){.selector = (uint16_t)t->ldt, .unusable = true};
}

/* Writes what a switch leaves in memory. A fault here is still the old task's: the last writes are
 * to the descriptors, which were read before. */
static int leave_task(struct bt_ctx *c, uint16_t selector, struct bt_desc *d, enum bt_task_by by,
                      uint64_t next)
{
    const struct x86_cpu *cpu = &c->v->cpu;
    uint64_t flags = bt_rflags(c), old = cpu->gdtr.base + (cpu->tr.selector & ~7u) + 5;

    if (by == TASK_IRET)
        flags &= ~(uint64_t)BT_NT;
    if (save_task(c, next, flags))
        return 1;
    if ((by == TASK_CALL || by == TASK_EVENT) && tss_put(c, d->base, 0, 2, cpu->tr.selector))
        return 1;
    if ((by == TASK_JMP || by == TASK_IRET) && set_busy(c, old, false))
        return 1;
    if (by != TASK_IRET && set_busy(c, d->addr + 5, true))
        return 1;
    c->v->cpu.tr = (struct x86_segment){.selector = selector,
                                        .base = d->base,
                                        .limit = d->limit,
                                        .attr = (uint16_t)(d->attr | TYPE_BUSY)};
    return 0;
}

enum bt_far bt_task_switch(struct bt_ctx *c, uint16_t selector, struct bt_desc *d,
                           enum bt_task_by by, uint64_t next, uint32_t ext)
{
    struct x86_cpu *cpu = &c->v->cpu;
    const struct tss_form *f = form_of(d->attr & 0xf);
    struct task t;

    if (check_tss(c, selector, d, by, ext) || read_task(c, d->base, f, &t) ||
        leave_task(c, selector, d, by, next))
        return FAR_FAULT;
    cpu->cr0 |= 8; /* TS */
    cpu->dr[7] &= ~0x155ull;
    bt_dr_changed(c);
    if (f == &tss32 && (cpu->cr0 >> 31 & 1))
        bt_load_cr3(c, t.cr3);
    if (by == TASK_CALL || by == TASK_EVENT)
        t.flags |= BT_NT;
    bt_set_rflags(c, f == &tss16 ? t.flags & 0xffff : t.flags);
    for (unsigned i = 0; i < 8; i++)
        c->gpr[i] = f == &tss16 ? (c->gpr[i] & ~0xffffull) | t.gpr[i] : t.gpr[i];
    c->sys_flags &= ~BT_RF;
    name_segments(c, &t);
    int bad = load_segments(c, &t, ext);
    c->rip = h_far_rip(c, t.ip);
    c->v->dr.rf_rip = t.flags & BT_RF ? c->rip : ~0ull;
    bt_mode_update(c);
    if (bad)
        return FAR_THERE;
    if (!(t.flags & BT_VM) && t.ip > cpu->seg[X86_CS].limit) {
        bt_fault_err(c, 13, ext);
        return FAR_THERE;
    }
    if (t.trap & 1) {
        bt_debug_exception(c, 1u << 15);
        return FAR_THERE;
    }
    return FAR_DONE;
}

/* The descriptor that a task gate or a link names. */
static int find_tss(struct bt_ctx *c, uint16_t selector, unsigned vector, uint32_t ext,
                    struct bt_desc *d)
{
    if ((selector & 4) || bt_descriptor(c, selector, d, vector)) {
        if (!(selector & 4) && c->exc_vector == 14)
            return 1;
        return bt_fault_err(c, vector, (selector & ~3u) | ext);
    }
    return 0;
}

enum bt_far bt_task_event(struct bt_ctx *c, uint16_t selector, uint64_t next, bool has_error,
                          uint32_t error, uint32_t ext)
{
    struct bt_desc d;

    if (find_tss(c, selector, 13, ext, &d))
        return FAR_FAULT;
    unsigned size = d.attr & 8 ? 4 : 2;
    enum bt_far r = bt_task_switch(c, selector, &d, TASK_EVENT, next, ext);
    if (r != FAR_DONE || !has_error)
        return r;
    if (h_stack_write(c, -(int64_t)size, size, error))
        return FAR_THERE;
    h_move_sp(c, -(int64_t)size);
    return FAR_DONE;
}

enum bt_far bt_task_return(struct bt_ctx *c, uint64_t next)
{
    struct bt_desc d;
    uint64_t link;

    if (bt_read(c, c->v->cpu.tr.base, 2, bt_sys_mmu(c), &link))
        return FAR_FAULT;
    if (find_tss(c, (uint16_t)link, 10, 0, &d))
        return FAR_FAULT;
    return bt_task_switch(c, (uint16_t)link, &d, TASK_IRET, next, 0);
}

/* ---- call gates ------------------------------------------------------------------------------ */

struct call_gate {
    uint16_t sel;
    unsigned size, params;
    uint64_t off;
    struct bt_desc code;
    unsigned cpl; /* that it leads to */
};

static int read_gate(struct bt_ctx *c, uint16_t selector, const struct bt_desc *d,
                     struct call_gate *g)
{
    bool lma = c->mode_key & MODE_LMA;
    uint64_t hi = 0;

    if (desc_dpl(d) < c->cpl || desc_dpl(d) < (selector & 3u))
        return bt_fault_err(c, 13, selector & ~3u);
    if (lma) {
        uint32_t limit = selector & 4 ? c->v->cpu.ldtr.limit : c->v->cpu.gdtr.limit;
        if ((selector & ~7u) + 15 > limit)
            return bt_fault_err(c, 13, selector & ~3u);
        if (bt_read(c, d->addr + 8, 8, bt_sys_mmu(c), &hi))
            return 1;
        if (hi >> 40 & 0x1f)
            return bt_fault_err(c, 13, selector & ~3u);
    }
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 11, selector & ~3u);
    g->size = lma ? 8 : (d->attr & 8) ? 4 : 2;
    g->sel = (uint16_t)(d->raw >> 16);
    g->off = (d->raw & 0xffff) | (g->size > 2 ? d->raw >> 32 & 0xffff0000 : 0) | hi << 32;
    g->params = lma ? 0 : d->raw >> 32 & 31;
    return 0;
}

static int gate_code(struct bt_ctx *c, bool call, struct call_gate *g)
{
    struct bt_desc *d = &g->code;
    bool lma = c->mode_key & MODE_LMA;

    if ((g->sel & ~3) == 0)
        return bt_fault_err(c, 13, 0);
    if (bt_descriptor(c, g->sel, d, 13))
        return 1;
    bool conforming = d->attr & 4;
    if ((d->attr & 0x18) != 0x18 || desc_dpl(d) > c->cpl ||
        (!call && !conforming && desc_dpl(d) != c->cpl) || (lma && (d->attr & 0x6000) != 0x2000))
        return bt_fault_err(c, 13, g->sel & ~3u);
    if (!(d->attr & ATTR_P))
        return bt_fault_err(c, 11, g->sel & ~3u);
    if (lma ? !bt_canonical(g->off) : g->off > d->limit)
        return bt_fault_err(c, 13, 0);
    g->cpl = conforming ? c->cpl : desc_dpl(d);
    return 0;
}

/* A frame being built downwards on a stack that is not the current one yet. */
struct frame {
    uint64_t base, mask, sp;
    unsigned size, mmu;
    const struct x86_segment *ss; /* NULL: in long mode */
};

static int frame_push(struct bt_ctx *c, struct frame *f, uint64_t v)
{
    f->sp = (f->sp - f->size) & f->mask;
    if (f->ss == NULL)
        return bt_write(c, f->base + f->sp, f->size, f->mmu, v);
    if (!bt_limit_ok(f->ss, f->sp, f->size))
        return bt_fault_err(c, 12, f->ss->selector & ~3u);
    return bt_write(c, (f->base + f->sp) & 0xffffffff, f->size, f->mmu, v);
}

/* Parameters are copied in the old order: the one pushed last stays lowest. */
static int copy_params(struct bt_ctx *c, struct frame *f, const struct call_gate *g)
{
    uint64_t v;

    for (unsigned i = g->params; i-- > 0;)
        if (h_stack_read(c, (int64_t)i * f->size, f->size, &v) || frame_push(c, f, v))
            return 1;
    return 0;
}

/* SS and SP of the inner level, in long mode SP alone. */
static int gate_stack(struct bt_ctx *c, unsigned cpl, uint64_t *sp, uint16_t *ss)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    bool lma = c->mode_key & MODE_LMA, wide = tr->attr & 8;
    unsigned size = lma ? 8 : wide ? 4 : 2, off = lma || wide ? 4 + cpl * 8 : 2 + cpl * 4;
    uint64_t v = cpl;

    if (off + size + (lma ? 0 : 2) - 1 > tr->limit)
        return bt_fault_err(c, 10, tr->selector & ~3u);
    if (bt_read(c, tr->base + off, size, bt_sys_mmu(c), sp) ||
        (!lma && bt_read(c, tr->base + off + size, 2, bt_sys_mmu(c), &v)))
        return 1;
    if (lma && !bt_canonical(*sp))
        return bt_fault_err(c, 12, 0);
    *ss = (uint16_t)v;
    return 0;
}

static int inner_call(struct bt_ctx *c, struct call_gate *g, uint64_t next)
{
    struct x86_cpu *cpu = &c->v->cpu;
    struct x86_segment old_ss = cpu->seg[X86_SS], new_ss;
    uint64_t sp = 0, old_base = c->seg_base[X86_SS];
    uint16_t ss = 0;
    bool lma = c->mode_key & MODE_LMA;

    if (gate_stack(c, g->cpl, &sp, &ss) || bt_set_stack(c, ss, g->cpl, lma, 10))
        return 1;
    new_ss = cpu->seg[X86_SS];
    struct frame f = {.base = lma ? 0 : c->seg_base[X86_SS],
                      .mask = lma                    ? ~0ull
                              : new_ss.attr & 0x4000 ? 0xffffffff
                                                     : 0xffff,
                      .sp = sp,
                      .size = g->size,
                      .mmu = bt_sys_mmu(c),
                      .ss = lma ? NULL : &new_ss};
    cpu->seg[X86_SS] = old_ss; /* parameters come from the old stack */
    c->seg_base[X86_SS] = old_base;
    if (frame_push(c, &f, old_ss.selector) || frame_push(c, &f, c->gpr[X86_RSP]) ||
        copy_params(c, &f, g) || frame_push(c, &f, cpu->seg[X86_CS].selector) ||
        frame_push(c, &f, next) || bt_set_code(c, g->sel, &g->code, g->cpl))
        return 1;
    cpu->seg[X86_SS] = new_ss;
    c->seg_base[X86_SS] = new_ss.base;
    c->gpr[X86_RSP] = f.mask == 0xffff ? (sp & ~0xffffull) | f.sp : f.sp;
    return 0;
}

static int same_level(struct bt_ctx *c, bool call, struct call_gate *g, uint64_t next)
{
    unsigned size = g->size;

    if (call && (h_stack_write(c, -(int64_t)size, size, c->v->cpu.seg[X86_CS].selector) ||
                 h_stack_write(c, -2 * (int64_t)size, size, next)))
        return 1;
    if (bt_set_code(c, g->sel, &g->code, c->cpl))
        return 1;
    if (call)
        h_move_sp(c, -2 * (int64_t)size);
    return 0;
}

static enum bt_far call_gate(struct bt_ctx *c, bool call, uint16_t selector, struct bt_desc *d,
                             uint64_t next)
{
    struct call_gate g = {0};

    if (read_gate(c, selector, d, &g) || gate_code(c, call, &g))
        return FAR_FAULT;
    if (g.cpl < c->cpl ? inner_call(c, &g, next) : same_level(c, call, &g, next))
        return FAR_FAULT;
    c->rip = c->mode_key & MODE_LMA ? g.off : h_far_rip(c, g.off);
    bt_mode_update(c);
    return FAR_DONE;
}

/* ---- far jumps and calls --------------------------------------------------------------------- */

enum bt_far bt_far_system(struct bt_ctx *c, bool call, uint16_t selector, struct bt_desc *d,
                          uint64_t next)
{
    unsigned type = d->attr & 0xf;
    bool lma = c->mode_key & MODE_LMA;
    enum bt_task_by by = call ? TASK_CALL : TASK_JMP;

    if (type == TYPE_CALL || (type == TYPE_CALL16 && !lma))
        return call_gate(c, call, selector, d, next);
    bool tss = (type & ~TYPE_BUSY) == TYPE_TSS16 || (type & ~TYPE_BUSY) == TYPE_TSS32;
    if (lma || (!tss && type != TYPE_TASK_GATE) || desc_dpl(d) < c->cpl ||
        desc_dpl(d) < (selector & 3u)) {
        bt_fault_err(c, 13, selector & ~3u);
        return FAR_FAULT;
    }
    if (tss)
        return bt_task_switch(c, selector, d, by, next, 0);
    if (!(d->attr & ATTR_P)) {
        bt_fault_err(c, 11, selector & ~3u);
        return FAR_FAULT;
    }
    selector = (uint16_t)(d->raw >> 16);
    if (find_tss(c, selector, 13, 0, d))
        return FAR_FAULT;
    return bt_task_switch(c, selector, d, by, next, 0);
}
