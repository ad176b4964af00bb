/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a vCPU: see vcpu.h.
 *
 * Sleeping in HLT goes through one futex word. A wake that comes before the sleep leaves BELL_RUNG,
 * and the sleep returns at once; so no interrupt is lost between the engine's last look and the
 * sleep. The price is that the vCPU may look once in vain, which engines allow.
 */
#include "vm/vcpu.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/vm_internal.h"

enum { BELL_QUIET, BELL_RUNG, BELL_ASLEEP };

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    /* Spurious returns and EAGAIN are handled by the callers' loops. */
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void sleep_until_rung(struct vcpu *v)
{
    uint32_t quiet = BELL_QUIET;

    if (atomic_compare_exchange_strong(&v->bell, &quiet, BELL_ASLEEP))
        while (atomic_load(&v->bell) == BELL_ASLEEP)
            futex(&v->bell, FUTEX_WAIT, BELL_ASLEEP);
    atomic_store(&v->bell, BELL_QUIET);
}

static void sleep_in_halt(struct vcpu *v)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);

    atomic_store(&v->asleep_ns, start);
    sleep_until_rung(v);
    atomic_store(&v->asleep_ns, 0);
    atomic_fetch_add(&v->halted_ns, clock_ns(CLOCK_MONOTONIC) - start);
    atomic_fetch_add(&v->halts, 1);
}

void vcpu_times(struct vcpu *v, struct vcpu_times *out)
{
    uint64_t halted = atomic_load(&v->halted_ns), since = atomic_load(&v->asleep_ns);
    clockid_t id;

    *out = (struct vcpu_times){.running_ns = atomic_load(&v->running_ns),
                               .halted_ns = halted,
                               .halts = atomic_load(&v->halts)};
    if (since != 0)
        out->halted_ns += clock_ns(CLOCK_MONOTONIC) - since;
    if (v->started && pthread_getcpuclockid(v->thread, &id) == 0)
        out->running_ns = clock_ns(id);
    if (v->ev != NULL && v->engine->beside_ns != NULL)
        out->beside_ns = v->engine->beside_ns(v->ev);
}

void vcpu_wake(struct vcpu *v)
{
    if (atomic_exchange(&v->bell, BELL_RUNG) == BELL_ASLEEP)
        futex(&v->bell, FUTEX_WAKE, 1);
}

/* Parks while a stop is wanted. false: the thread ends. */
static bool park(struct vcpu *v)
{
    bool go;

    lock_take(&v->lock);
    while (atomic_load(&v->stop_wanted) && !v->quit) {
        v->parked = true;
        pthread_cond_broadcast(&v->changed);
        lock_wait(&v->lock, &v->changed);
    }
    v->parked = false;
    go = !v->quit;
    lock_drop(&v->lock);
    return go;
}

static void *vcpu_main(void *opaque)
{
    struct vcpu *v = opaque;

    atomic_store(&v->tid, gettid());
    while (park(v)) {
        enum engine_exit why;

        if (atomic_load(&v->held)) {
            sleep_until_rung(v);
            continue;
        }
        why = v->engine->run(v->ev);
        if (why == ENGINE_EXIT_HALT) {
            sleep_in_halt(v);
        } else if (why != ENGINE_EXIT_KICKED) {
            atomic_store(&v->held, true);
            v->ended(v->opaque, v->index, why);
        }
    }
    atomic_store(&v->running_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID));
    return NULL;
}

void vcpu_init(struct vcpu *v)
{
    lock_init(&v->lock, LOCK_VCPU);
    pthread_cond_init(&v->changed, NULL);
    atomic_store(&v->stop_wanted, true);
}

void vcpu_finish(struct vcpu *v)
{
    pthread_cond_destroy(&v->changed);
    lock_finish(&v->lock);
}

int vcpu_start(struct vcpu *v)
{
    pthread_attr_t attr;
    cpu_set_t one;
    char name[16];
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return -rc;
    if (v->processor >= 0) {
        CPU_ZERO(&one);
        CPU_SET(v->processor, &one);
        rc = pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
    }
    if (rc == 0)
        rc = pthread_create(&v->thread, &attr, vcpu_main, v);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return -rc;
    v->started = true;
    snprintf(name, sizeof(name), "vcpu %u", v->index);
    pthread_setname_np(v->thread, name);
    return 0;
}

static void interrupt(struct vcpu *v)
{
    v->engine->kick(v->ev, true);
    vcpu_wake(v);
}

void vcpu_join(struct vcpu *v)
{
    if (!v->started)
        return;
    lock_take(&v->lock);
    v->quit = true;
    atomic_store(&v->stop_wanted, true);
    pthread_cond_broadcast(&v->changed);
    lock_drop(&v->lock);
    interrupt(v);
    pthread_join(v->thread, NULL);
    v->started = false;
}

void vcpu_stop(struct vcpu *v)
{
    if (!v->started)
        return;
    lock_take(&v->lock);
    atomic_store(&v->stop_wanted, true);
    lock_drop(&v->lock);
    interrupt(v);
    lock_take(&v->lock);
    while (!v->parked)
        lock_wait(&v->lock, &v->changed);
    lock_drop(&v->lock);
}

void vcpu_continue(struct vcpu *v)
{
    atomic_store(&v->held, false);
    vcpu_let_go(v);
}

void vcpu_let_go(struct vcpu *v)
{
    lock_take(&v->lock);
    atomic_store(&v->stop_wanted, false);
    pthread_cond_broadcast(&v->changed);
    lock_drop(&v->lock);
}

void vcpu_hold(struct vcpu *v)
{
    atomic_store(&v->held, true);
    interrupt(v);
}
