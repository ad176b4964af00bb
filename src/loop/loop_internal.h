/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What loop.c and timer.c share. */
#ifndef DOPPEL_LOOP_LOOP_INTERNAL_H
#define DOPPEL_LOOP_LOOP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/lock.h"
#include "loop/loop.h"

#define NEVER UINT64_MAX

/* The timers of one loop. Deadlines in here are CLOCK_MONOTONIC nanoseconds. */
struct timer_queue {
    struct lock lock;    /* protects all below; taken inside a clock's lock */
    struct list armed;   /* struct timer.link, in no order */
    struct list due;     /* those that fire in this round, earliest first */
    uint64_t programmed; /* what the timerfd (or the wait) is set to; NEVER: to nothing */
    int fd;              /* timerfd; -1 where the host refuses it: the wait has the timeout */
};

struct loop {
    int epoll;
    int wake;                  /* eventfd */
    struct list watches, dead; /* struct loop_watch.link */
    struct list prepares;
    _Atomic bool stop, running;
    _Atomic pthread_t thread; /* who works for it; valid while running */
    struct lock turn;         /* held by that thread, if the loop is lent */
    bool lent;                /* others may work for it while it sleeps */
    bool borrowed;            /* turn: one does */
    pthread_t own;            /* loop_run's thread */
    struct lock lock;         /* protects posts */
    struct list posts;
    struct timer_queue timers;
};

uint64_t monotonic_now(void);
void loop_wake(struct loop *l);

void timers_init(struct loop *l);
void timers_finish(struct loop *l);
/* Nanoseconds until the next timer when there is no timerfd, else -1. */
int64_t timers_timeout(struct loop *l);
void timers_fire(struct loop *l);

#endif
