/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutexes with a rank. A thread takes locks in the order of their ranks and holds at most one of
 * each rank; builds for debugging (DOPPEL_LOCK_CHECK) abort where that is broken, so that a
 * deadlock is found by the test that makes it possible, not by the one that has the bad luck.
 *
 * Nobody calls out (pins, back ends, host callbacks, bus handlers) with a lock held.
 */
#ifndef DOPPEL_BASE_LOCK_H
#define DOPPEL_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Outermost first. */
enum lock_rank {
    LOCK_LOOP,      /* whose turn it is to work for a loop that is lent */
    LOCK_VM,        /* life cycle of a machine */
    LOCK_VCPU,      /* life cycle of a vCPU's thread */
    LOCK_CHARDEV,   /* a terminal, file or socket */
    LOCK_INPUT,     /* what a person does at a screen */
    LOCK_DEVICE,    /* a device's registers */
    LOCK_QUEUE,     /* a ring of a device */
    LOCK_INTERRUPT, /* what decides on an interrupt: PCI functions, APICs */
    LOCK_LINE,      /* INTx lines that PCI functions share */
    LOCK_BLOCK,     /* an image and its threads */
    LOCK_ENGINE,
    LOCK_BUS,    /* the mappings of a bus */
    LOCK_CLOCK,  /* the timers of a clock */
    LOCK_TIMERS, /* the timers of a loop */
    LOCK_POSTS,  /* work posted to a loop */
    LOCK_RANKS
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

#if DOPPEL_LOCK_CHECK
void lock_check_take(enum lock_rank rank);
void lock_check_drop(enum lock_rank rank);
#else
static inline void lock_check_take(enum lock_rank rank)
{
    (void)rank;
}

static inline void lock_check_drop(enum lock_rank rank)
{
    (void)rank;
}
#endif

static inline void lock_init(struct lock *l, enum lock_rank rank)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->rank = rank;
}

static inline void lock_finish(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

static inline void lock_take(struct lock *l)
{
    lock_check_take(l->rank);
    pthread_mutex_lock(&l->mutex);
}

/* false: somebody else holds it. */
static inline bool lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0)
        return false;
    lock_check_take(l->rank);
    return true;
}

static inline void lock_drop(struct lock *l)
{
    lock_check_drop(l->rank); /* first: once it is unlocked, its object may go away */
    pthread_mutex_unlock(&l->mutex);
}

/* pthread_cond_wait and pthread_cond_timedwait; `l` is held before and after. */
static inline void lock_wait(struct lock *l, pthread_cond_t *cond)
{
    pthread_cond_wait(cond, &l->mutex);
}

static inline int lock_timedwait(struct lock *l, pthread_cond_t *cond, const struct timespec *until)
{
    return pthread_cond_timedwait(cond, &l->mutex, until);
}

#endif
