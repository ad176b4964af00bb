/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vCPUs of one machine ask of each other: see smp.c. General registers only; raw system calls,
 * for FS may be the guest's.
 */
#ifndef DOPPEL_ENGINE_BT_SMP_H
#define DOPPEL_ENGINE_BT_SMP_H

#include "bt_internal.h"

/* The vCPU's thread goes into the run loop, and comes out of it. */
void bt_smp_enter(struct engine_vcpu *v);
void bt_smp_leave(struct engine_vcpu *v);
void bt_smp_pause(struct engine_vcpu *v); /* bt_smp_poll, when there is somebody to wait for */
static inline void bt_smp_poll(struct engine_vcpu *v)
{
    if (atomic_load_explicit(&v->hold, memory_order_relaxed))
        bt_smp_pause(v);
}

/* From begin to end no other vCPU stops anyone. `begin` may wait, and this vCPU is at a safe point
 * while it does: v->pauses changes if others may have acted on it. They nest. */
void bt_smp_begin(struct engine_vcpu *v);
void bt_smp_end(struct engine_vcpu *v);
/* Between them: those of `mask` (bits by index) are at a safe point from here to the end. */
void bt_smp_stop(struct engine_vcpu *v, uint64_t mask);

static inline uint64_t bt_smp_bit(const struct engine_vcpu *v)
{
    return 1ull << v->index;
}
static inline uint64_t bt_smp_others(const struct engine_vcpu *v)
{
    unsigned n = v->machine->vcpus;
    return (n == 64 ? ~0ull : (1ull << n) - 1) & ~bt_smp_bit(v);
}

/* Page rpn became guarded, or is no more: tells the other vCPUs. */
void bt_guard_note(struct translator *en, uint32_t rpn);
/* A page that was just guarded: nobody can write it any more when this returns. Between begin and
 * end. */
void bt_guard_protect(struct translator *en, uint32_t rpn);

/* Do others guard the page? */
static inline bool bt_guard_foreign(const struct bt_ctx *c, uint32_t rpn)
{
    return (__atomic_load_n(&c->v->machine->guarded[rpn], __ATOMIC_RELAXED) & ~bt_smp_bit(c->v)) !=
           0;
}

/* This vCPU is about to store to rpn. True: it may; false: others guard the page (bt_guard_open),
 * which may change until then. It may store until it is at a safe point the next time. */
static inline bool bt_guard_store(struct bt_ctx *c, uint32_t rpn)
{
    struct engine *m = c->v->machine;
    uint64_t own = bt_smp_bit(c->v);

    if (m->vcpus == 1)
        return true;
    if (!(__atomic_load_n(&m->written[rpn], __ATOMIC_RELAXED) & own))
        __atomic_fetch_or(&m->written[rpn], own, __ATOMIC_SEQ_CST);
    return !bt_guard_foreign(c, rpn);
}

/* The same, for an entry of the software TLB that lasts: it must be guarded by nobody. */
static inline bool bt_guard_fill(struct bt_ctx *c, uint32_t rpn)
{
    uint64_t own = bt_smp_bit(c->v), *written = &c->v->machine->written[rpn];

    if (!(__atomic_load_n(written, __ATOMIC_RELAXED) & own))
        __atomic_fetch_or(written, own, __ATOMIC_SEQ_CST);
    return !bt_guarded(c->v->en, rpn);
}

/* Opens the page on the vCPUs that guard it, this one aside. */
void bt_guard_open(struct bt_ctx *c, uint32_t rpn);

#endif
