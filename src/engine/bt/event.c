/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts: recording, priorities of double faults, delivery through the IDT
 * (Intel SDM vol. 3, chapter 6). General registers only.
 */
#include "event.h"
#include "segment.h"
#include "trace.h"

#define ARITH 0x8d5u

uint64_t bt_rflags(const struct bt_ctx *c)
{
    return (c->flags & ARITH) | 2 | c->sys_flags | (uint64_t)c->if_flag << 9 |
           (c->df == 1 ? 0 : 1u << 10);
}

void bt_set_rflags(struct bt_ctx *c, uint64_t v)
{
    c->flags = (v & ARITH) | 0x202;
    c->sys_flags =
        (uint32_t)(v & (BT_TF | BT_IOPL | BT_NT | BT_RF | BT_VM | BT_AC | BT_VIF | BT_VIP | BT_ID));
    c->if_flag = v >> 9 & 1;
    c->df = v >> 10 & 1 ? ~0ull : 1;
    if (c->if_flag && c->irq_wait)
        bt_kick_now(c);
}

int bt_fault(struct bt_ctx *c, unsigned vector)
{
    c->exc_vector = (uint8_t)vector;
    c->exc_has_error = false;
    c->exc_error = 0;
    return 1;
}

int bt_fault_err(struct bt_ctx *c, unsigned vector, uint32_t error)
{
    c->exc_vector = (uint8_t)vector;
    c->exc_has_error = true;
    c->exc_error = error;
    return 1;
}

uint64_t bt_helper_rip(const struct bt_ctx *c)
{
    uint64_t lin = c->cur_lin[c->pc >> 12];
    uint64_t rip = (lin != bt_no_lin ? lin : c->pc_lin) + (c->pc & 0xfff);

    return c->mode_key & MODE_L ? rip : rip & 0xffffffff;
}

/* ---- delivery -----------------------------------------------------------------------------------
 * -------------------- */

struct event {
    unsigned vector;
    bool soft; /* INT n, INT3, INTO: gate DPL is checked */
    bool has_error;
    uint32_t error;
    uint64_t rip;
    uint32_t ext; /* EXT bit of error codes */
};

static int gate_fault(struct bt_ctx *c, const struct event *ev)
{
    return bt_fault_err(c, 13, ev->vector * 8 + 2 + ev->ext);
}

/* Where the handler's stack is: IST, the TSS's stack of the new level, or the current one. */
static int handler_stack(struct bt_ctx *c, unsigned ist, unsigned cpl, const struct event *ev,
                         uint64_t *rsp)
{
    const struct x86_segment *tr = &c->v->cpu.tr;
    uint32_t off = ist != 0 ? 0x24 + (ist - 1) * 8 : 4 + cpl * 8;

    if (ist == 0 && cpl == c->cpl) {
        *rsp = c->gpr[X86_RSP];
        return 0;
    }
    if (off + 7 > tr->limit)
        return bt_fault_err(c, 10, (tr->selector & ~3u) | ev->ext);
    if (bt_read(c, tr->base + off, 8, bt_sys_mmu(c), rsp))
        return 1;
    if (!bt_canonical(*rsp))
        return bt_fault_err(c, 12, ev->ext);
    return 0;
}

static int deliver64(struct bt_ctx *c, const struct event *ev)
{
    struct x86_cpu *cpu = &c->v->cpu;
    uint64_t gate[2], rsp, frame[6];
    struct bt_desc d;

    if (ev->vector * 16 + 15 > cpu->idtr.limit)
        return gate_fault(c, ev);
    uint64_t at = cpu->idtr.base + ev->vector * 16;
    if (bt_copy_in(c, at, gate, sizeof(gate), bt_sys_mmu(c)))
        return 1;
    uint64_t lo = gate[0], hi = gate[1];
    unsigned type = lo >> 40 & 0x1f, dpl = lo >> 45 & 3;
    if (type != 0xe && type != 0xf)
        return gate_fault(c, ev);
    if (ev->soft && dpl < c->cpl)
        return gate_fault(c, ev);
    if (!(lo >> 47 & 1))
        return bt_fault_err(c, 11, ev->vector * 8 + 2 + ev->ext);
    uint16_t sel = (uint16_t)(lo >> 16);
    if ((sel & ~3) == 0)
        return bt_fault_err(c, 13, ev->ext);
    if (bt_descriptor(c, sel, &d, 13))
        return 1;
    unsigned cdpl = d.attr >> 5 & 3;
    if ((d.attr & 0x18) != 0x18 || cdpl > c->cpl || (d.attr & 0x6000) != 0x2000)
        return bt_fault_err(c, 13, (sel & ~3u) | ev->ext);
    if (!(d.attr & 0x80))
        return bt_fault_err(c, 11, (sel & ~3u) | ev->ext);
    unsigned cpl = d.attr & 4 ? c->cpl : cdpl;
    if (handler_stack(c, lo >> 32 & 7, cpl, ev, &rsp))
        return 1;
    unsigned n = 0;
    if (ev->has_error)
        frame[n++] = ev->error;
    frame[n++] = ev->rip;
    frame[n++] = cpu->seg[X86_CS].selector;
    frame[n++] = bt_rflags(c);
    frame[n++] = c->gpr[X86_RSP];
    frame[n++] = cpu->seg[X86_SS].selector;
    rsp = (rsp & ~15ull) - n * 8;
    if (!bt_canonical(rsp))
        return bt_fault_err(c, 12, ev->ext);
    if (bt_copy_out(c, rsp, frame, n * 8, cpl == 3 ? MMU_USER : bt_sys_mmu(c)))
        return 1;
    unsigned old = c->cpl;
    if (bt_set_code(c, sel, &d, cpl))
        return 1;
    if (cpl != old) {
        cpu->seg[X86_SS] =
            (struct x86_segment){.selector = (uint16_t)cpl, .attr = (uint16_t)(0x4093 | cpl << 5)};
        c->seg_base[X86_SS] = 0;
    }
    c->gpr[X86_RSP] = rsp;
    c->rip = (lo & 0xffff) | (lo >> 32 & 0xffff0000) | hi << 32;
    c->sys_flags &= ~(uint32_t)(BT_TF | BT_NT | BT_RF | BT_VM);
    if (type == 0xe)
        c->if_flag = 0;
    bt_mode_update(c);
    return 0;
}

static int deliver(struct bt_ctx *c, const struct event *ev)
{
    struct event at = *ev;

    at.rip = bt_eip(c, ev->rip); /* as the frame has it */
    if (c->mode_key & MODE_LMA)
        return deliver64(c, &at);
    return bt_deliver_legacy(c, ev->vector, ev->soft, ev->has_error, ev->error, at.rip);
}

int bt_interrupt(struct bt_ctx *c, unsigned vector, bool soft, uint64_t return_rip)
{
    struct event ev = {.vector = vector, .soft = soft, .rip = return_rip, .ext = soft ? 0 : 1};

    c->v->en->stat.irq++;
    if (!soft && c->v->dr.rf_rip == return_rip)
        c->sys_flags |= BT_RF;
    if (!soft)
        c->v->en->stat.interrupt[vector & 255]++;
    if (bt_tracing(c, TRACE_interrupts))
        bt_trace(c, TRACE_interrupts, return_rip, "%s %#x",
                 soft          ? "INT"
                 : vector == 2 ? "NMI"
                               : "interrupt",
                 vector);
    return deliver(c, &ev);
}

static bool contributory(unsigned v)
{
    return v == 0 || (v >= 10 && v <= 13);
}

static void trace_exception(struct bt_ctx *c, const struct event *ev)
{
    const char *name = bt_exception_name(ev->vector);

    if (name == NULL)
        name = "vector";
    if (ev->vector == 14)
        bt_trace(c, TRACE_exceptions, ev->rip, "%s, error %#x, address %#llx", name, ev->error,
                 (unsigned long long)c->exc_cr2);
    else if (ev->has_error)
        bt_trace(c, TRACE_exceptions, ev->rip, "%s, error %#x", name, ev->error);
    else
        bt_trace(c, TRACE_exceptions, ev->rip, "%s (%u)", name, ev->vector);
}

uint64_t bt_exception(struct bt_ctx *c)
{
    bool nested = false;

    c->v->en->stat.exc++;
    for (;;) {
        struct event ev = {.vector = c->exc_vector,
                           .has_error = c->exc_has_error,
                           .error = c->exc_error,
                           .rip = c->rip,
                           .ext = 1};
        c->v->en->stat.exception[ev.vector & 31]++;
        if (bt_tracing(c, TRACE_exceptions))
            trace_exception(c, &ev);
        if (ev.vector == 14)
            c->v->cpu.cr2 = c->exc_cr2;
        /* Faults push RF so that the restarted instruction does not meet its breakpoint again. */
        if (ev.vector != 1 && ev.vector != 3 && ev.vector != 4 && ev.vector != 8)
            c->sys_flags |= BT_RF;
        if (deliver(c, &ev) == 0)
            return bt_next(c);
        unsigned first = ev.vector, second = c->exc_vector;
        if (first == 8 || (nested && second == 8)) {
            c->exit_reason = EXIT_SHUTDOWN;
            return 1;
        }
        if ((contributory(first) && contributory(second)) ||
            (first == 14 && (contributory(second) || second == 14)))
            bt_fault_err(c, 8, 0);
        nested = true;
    }
}
