/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vCPUs of one machine ask of each other.
 *
 * Each has a translator of its own, and its thread takes no lock for it. Now and then one has to
 * act on another: a page that becomes code here must not be written by those there, and a store
 * to a page that is code there has to tell them. Then it *stops* the other: sets its `hold`, kicks
 * it and waits until it is at a *safe point*, where its thread uses none of its structures and is
 * in no block. That is the case outside of `run`, at the head of the run loop, and wherever it
 * waits itself. Idle vCPUs are at one already and are not even kicked.
 *
 *   A: begin                lock m->cross, at a safe point while it waits
 *      stop(B)              B.hold = 1; kick B; wait for !B.running
 *      ... acts on B ...
 *      end                  B.hold = 0; wake B; unlock
 *
 * There is one lock. Whoever holds it waits only for vCPUs that run guest code, and those get to a
 * safe point by themselves: no deadlock. `hold` is set before `running` is looked at, and `running`
 * before `hold`: one of the two sees the other.
 *
 * m->guarded says by page which vCPUs guard it, m->written which may have a way to write it in the
 * software TLB. One sets its bit in the one before it looks at the other.
 */
#include "smp.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include "helpers.h"
#include "view.h"

#define SPINS 200 /* before a wait in the kernel: a vCPU that runs gets there soon */

static void futex(_Atomic uint32_t *word, unsigned long op, uint64_t value)
{
    register uint64_t timeout __asm__("r10") = 0;
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(SYS_futex), "D"(word), "S"(op | FUTEX_PRIVATE_FLAG), "d"(value),
                       "r"(timeout)
                     : "rcx", "r11", "memory");
}

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (atomic_load(word) != value)
            return;
        __builtin_ia32_pause();
    }
    while (atomic_load(word) == value)
        futex(word, FUTEX_WAIT, value);
}

/* ---- safe points ----------------------------------------------------------------------------- */

void bt_smp_leave(struct engine_vcpu *v)
{
    atomic_store(&v->running, 0);
    if (atomic_load(&v->hold))
        futex(&v->running, FUTEX_WAKE, 1);
}

void bt_smp_enter(struct engine_vcpu *v)
{
    for (;;) {
        atomic_store(&v->running, 1);
        if (!atomic_load(&v->hold))
            return;
        bt_smp_leave(v);
        wait_while(&v->hold, 1);
    }
}

void bt_smp_pause(struct engine_vcpu *v)
{
    v->pauses++;
    bt_smp_leave(v);
    bt_smp_enter(v);
}

/* PAUSE, once in a while: whoever is waited for may need this processor. */
#define PAUSES 16

uint64_t bt_h_pause(struct bt_ctx *c, uint32_t arg)
{
    long r;

    __builtin_ia32_pause();
    if (++c->v->spins % PAUSES == 0)
        __asm__ volatile("syscall" : "=a"(r) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
    return 0;
}

/* ---- the lock -------------------------------------------------------------------------------- */

enum { FREE, HELD, WANTED };

static bool try_lock(struct engine *m)
{
    uint32_t want = FREE;

    return atomic_compare_exchange_strong(&m->cross, &want, HELD);
}

void bt_smp_begin(struct engine_vcpu *v)
{
    struct engine *m = v->machine;

    if (m->vcpus == 1 || v->cross++ != 0 || try_lock(m))
        return;
    v->pauses++;
    v->en->stat.smp_wait++;
    bt_smp_leave(v);
    while (atomic_exchange(&m->cross, WANTED) != FREE)
        futex(&m->cross, FUTEX_WAIT, WANTED);
    atomic_store(&v->running, 1); /* nobody else has the lock, so nobody holds this one */
}

void bt_smp_stop(struct engine_vcpu *v, uint64_t mask)
{
    struct engine *m = v->machine;

    mask &= bt_smp_others(v) & ~v->stopped;
    for (uint64_t left = mask; left != 0; left &= left - 1) {
        struct engine_vcpu *u = m->vcpu[__builtin_ctzll(left)];
        atomic_store(&u->hold, 1);
        if (!atomic_load(&u->running))
            continue;
        v->en->stat.smp_stop++;
        bt_kick_now(u->ctx);
    }
    for (uint64_t left = mask; left != 0; left &= left - 1)
        wait_while(&m->vcpu[__builtin_ctzll(left)]->running, 1);
    v->stopped |= mask;
}

void bt_smp_end(struct engine_vcpu *v)
{
    struct engine *m = v->machine;

    if (m->vcpus == 1 || --v->cross != 0)
        return;
    for (; v->stopped != 0; v->stopped &= v->stopped - 1) {
        struct engine_vcpu *u = m->vcpu[__builtin_ctzll(v->stopped)];
        atomic_store(&u->hold, 0);
        futex(&u->hold, FUTEX_WAKE, 1);
    }
    if (atomic_exchange(&m->cross, FREE) == WANTED)
        futex(&m->cross, FUTEX_WAKE, 1);
}

/* ---- guarded pages --------------------------------------------------------------------------- */

void bt_guard_note(struct translator *en, uint32_t rpn)
{
    uint64_t own = bt_smp_bit(en->v), *mask = &en->machine->guarded[rpn];

    if (en->rpn_page[rpn] != 0)
        __atomic_fetch_or(mask, own, __ATOMIC_SEQ_CST);
    else if (__atomic_load_n(mask, __ATOMIC_RELAXED) & own) {
        bt_cell_unguard(en, rpn);
        __atomic_fetch_and(mask, ~own, __ATOMIC_SEQ_CST);
    }
}

void bt_guard_protect(struct translator *en, uint32_t rpn)
{
    struct engine *m = en->machine;
    uint64_t mask = __atomic_load_n(&m->written[rpn], __ATOMIC_SEQ_CST);

    bt_tlb_protect(en->v->ctx, rpn);
    if (m->vcpus == 1)
        return;
    for (unsigned i = 0; i < m->vcpus; i++)
        if (bt_view_writes(m->vcpu[i]->en, rpn))
            mask |= 1ull << i;
    mask &= bt_smp_others(en->v);
    if (mask == 0)
        return;
    bt_smp_stop(en->v, mask);
    for (; mask != 0; mask &= mask - 1)
        bt_tlb_protect(m->vcpu[__builtin_ctzll(mask)]->ctx, rpn);
}

void bt_guard_open(struct bt_ctx *c, uint32_t rpn)
{
    struct engine_vcpu *v = c->v;
    struct engine *m = v->machine;

    bt_smp_begin(v);
    uint64_t mask = __atomic_load_n(&m->guarded[rpn], __ATOMIC_SEQ_CST) & bt_smp_others(v);
    bt_smp_stop(v, mask);
    for (; mask != 0; mask &= mask - 1)
        bt_wpage_open(m->vcpu[__builtin_ctzll(mask)]->en, rpn);
    bt_smp_end(v);
}
