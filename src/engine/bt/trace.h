/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events one by one, as lines of text, for `--trace`. A new kind of event is a line in BT_TRACES
 * and calls of bt_trace where it happens, behind bt_tracing: while nobody asked, that is a test of
 * one word.
 */
#ifndef DOPPEL_ENGINE_BT_TRACE_H
#define DOPPEL_ENGINE_BT_TRACE_H

#include "bt_internal.h"

#define BT_TRACES(T)                                                     \
    T(exceptions, "faults, traps and double faults that the guest gets") \
    T(interrupts, "interrupts, NMIs and INT instructions")               \
    T(mmio, "accesses to memory-mapped registers")                       \
    T(pio, "accesses to ports")                                          \
    T(flush, "loads of CR3, flushes of the TLB and of translations")     \
    T(translate, "blocks translated")                                    \
    T(mode, "changes of the processor's mode: privilege, width, SMAP ...")

#define BT_TRACE_ENUM(name, help) TRACE_##name,
enum bt_trace { BT_TRACES(BT_TRACE_ENUM) TRACE_COUNT };
#undef BT_TRACE_ENUM

extern const struct engine_trace_kind bt_trace_kinds[];

static inline bool bt_tracing(const struct bt_ctx *c, enum bt_trace kind)
{
    return __builtin_expect(c->v->en->trace.kinds >> kind & 1, 0);
}

/* The instruction under way: that of the helper or slow path, else where the run loop stands. */
uint64_t bt_trace_rip(const struct bt_ctx *c);

/* A line: kind, the guest's TSC, RIP and CR3, and the text. On the vCPU's thread; the guest's
 * vector state may be in the registers. */
void bt_trace(struct bt_ctx *c, enum bt_trace kind, uint64_t rip, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Texts for lines. */
const char *bt_exception_name(unsigned vector); /* "#PF page fault"; NULL: it has none */
void bt_trace_mode(struct bt_ctx *c, uint32_t old);

#endif
