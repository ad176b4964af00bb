/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the translator counts. A new counter is a line in BT_STATS and `en->stat.FIELD++` where it
 * happens: the line makes the field, and whoever asks for counters is told of it.
 *
 * The vCPU's thread counts, with plain increments; other threads only read.
 */
#ifndef DOPPEL_ENGINE_BT_STATS_H
#define DOPPEL_ENGINE_BT_STATS_H

#include <stdint.h>

/* Field, group, name, unit ("ticks" of the host's TSC are shown as time). Shown in this order;
 * equal groups stand together. */
#define BT_STATS(S)                                                         \
    S(blocks, "translation", "blocks", "")                                  \
    S(insns, "translation", "instructions", "")                             \
    S(variants, "translation", "blocks without groups", "")                 \
    S(alone, "translation", "instructions that run alone", "")              \
    S(ticks, "translation", "time", "ticks")                                \
    S(flushes, "cache", "times emptied", "")                                \
    S(retired, "cache", "code pages retired", "")                           \
    S(opened, "cache", "code pages opened by a store", "")                  \
    S(checked, "cache", "code pages made checked", "")                      \
    S(quiet, "cache", "code pages quiet again", "")                         \
    S(dropped, "cache", "blocks dropped", "")                               \
    S(stale, "cache", "checked blocks found stale", "")                     \
    S(patched, "cache", "of these, given new immediates", "")               \
    S(lookup, "branches", "indirect, looked up", "")                        \
    S(chain, "branches", "direct, linked or looked up", "")                 \
    S(slow, "memory", "slow paths", "")                                     \
    S(slow_fill, "memory", "slow: entry of the TLB filled", "")             \
    S(slow_cross, "memory", "slow: two pages", "")                          \
    S(slow_device, "memory", "slow: device", "")                            \
    S(slow_code, "memory", "slow: store to a page with code", "")           \
    S(slow_masked, "memory", "slow: masked", "")                            \
    S(slow_fault, "memory", "slow: fault", "")                              \
    S(group_fill, "memory", "group: entry of the TLB filled", "")           \
    S(group_cross, "memory", "group failed: two pages", "")                 \
    S(group_fault, "memory", "group failed: fault or device", "")           \
    S(group_store, "memory", "group failed: code or not dirty", "")         \
    S(fills, "memory", "entries of the TLB filled, in all", "")             \
    S(walks, "memory", "walks of page tables", "")                          \
    S(direct_miss, "direct access", "region not direct", "")                \
    S(direct_fault, "direct access", "fault taken by the software TLB", "") \
    S(view_fill, "direct access", "pages mapped by SIGSEGV", "")            \
    S(view_drop, "direct access", "pages unmapped", "")                     \
    S(view_compare, "direct access", "tables compared", "")                 \
    S(view_promote, "direct access", "address spaces promoted", "")         \
    S(view_demote, "direct access", "address spaces demoted", "")           \
    S(view_evict, "direct access", "all views emptied", "")                 \
    S(view_conflict, "direct access", "regions without a place", "")        \
    S(cell_enter, "cells", "entered", "")                                   \
    S(cell_page, "cells", "stops: page mapped", "")                         \
    S(cell_clock, "cells", "stops: time stamp", "")                         \
    S(cell_call, "cells", "stops: system call", "")                         \
    S(cell_memory, "cells", "stops: for the translator, an access", "")     \
    S(cell_fetch, "cells", "stops: for the translator, code", "")           \
    S(cell_kick, "cells", "stops: kicked", "")                              \
    S(cell_other, "cells", "stops: others", "")                             \
    S(cell_promote, "cells", "made", "")                                    \
    S(cell_demote, "cells", "given up", "")                                 \
    S(cr3, "address spaces", "loads of CR3", "")                            \
    S(flush_space, "address spaces", "flushes, all but global", "")         \
    S(flush_all, "address spaces", "flushes, global too", "")               \
    S(invlpg, "address spaces", "flushes of one page", "")                  \
    S(smp_stop, "other virtual CPUs", "stopped", "")                        \
    S(smp_wait, "other virtual CPUs", "waited for", "")                     \
    S(smp_open, "other virtual CPUs", "stores to their code pages", "")     \
    S(smp_locked, "other virtual CPUs", "LOCK over two pages", "")          \
    S(mmio, "events", "memory-mapped accesses to devices", "")              \
    S(pio, "events", "port accesses", "")                                   \
    S(irq, "events", "interrupts and INT instructions", "")                 \
    S(exc, "events", "exceptions", "")

/* What a vCPU's thread is at. The first four are noted as it goes on, samples tell the rest from
 * WHERE_GUEST (sample.c). */
enum bt_where {
    WHERE_OUTSIDE, /* not in `run` */
    WHERE_LOOP,
    WHERE_TRANSLATE,
    WHERE_GUEST, /* between entry and exit of translated code */
    WHERE_CELL,  /* by the cells' own clocks, not by samples */
    WHERE_USER,
    WHERE_KERNEL,
    WHERE_MEMORY,
    WHERE_BRANCH,
    WHERE_HELPER,
    WHERE_DEVICE,
    WHERE_FAULT,
    WHERE_BORDER,
    WHERE_COUNT
};

#define BT_STAT_EXITS 16 /* at least as many as there are exit reasons */

struct bt_stat {
#define BT_STAT_FIELD(field, group, name, unit) uint64_t field;
    BT_STATS(BT_STAT_FIELD)
#undef BT_STAT_FIELD
    uint64_t exits[BT_STAT_EXITS]; /* from translated code to the run loop, by bt_exit_reason */
    uint64_t exception[32];        /* by vector, those met while another was delivered included */
    uint64_t interrupt[256];       /* by vector */
    /* Only if asked for: */
    uint64_t time[WHERE_COUNT]; /* ns */
    uint64_t helper_calls[256]; /* by number */
    uint64_t helper_time[256];  /* ns */
};

#endif
