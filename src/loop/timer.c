/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual clocks and timers; the contract is in loop.h.
 *
 * vCPU threads arm timers often and almost always to replace a deadline that has not come, so that
 * path is short: a deadline earlier than the one the loop's timerfd is programmed to programs it
 * (one system call, the loop's thread sleeps on); a later one only changes the timer. The loop then
 * wakes once at the old deadline, finds nothing due and programs the next. A loop has some dozens
 * of timers at most: the next deadline is found by looking at all.
 *
 * Where the host has no timerfd, the loop's wait has the timeout and an earlier deadline wakes it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/checked.h"
#include "loop/loop_internal.h"

/*
 * `value` is read without a lock by every device that asks for the time, so one word holds it all:
 * bit 0 is 1 while the clock is paused, the others are then the time it shows, else the
 * CLOCK_MONOTONIC time at which it showed 0. 63 bits of nanoseconds are 292 years.
 */
struct vclock {
    _Atomic uint64_t value;
    struct lock lock;   /* protects timers, and changes of value */
    struct list timers; /* struct timer.of_clock */
};

struct timer {
    struct list link;     /* in loop.timers.armed or due; on no list when not armed */
    struct list of_clock; /* in clock.timers */
    struct loop *loop;
    struct vclock *clock;
    uint64_t deadline; /* on the virtual clock; protected by the queue's lock */
    loop_fn *fn;
    void *opaque;
};

int vclock_create(struct vclock **out)
{
    struct vclock *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -ENOMEM;
    atomic_init(&c->value, monotonic_now() << 1);
    lock_init(&c->lock, LOCK_CLOCK);
    list_init(&c->timers);
    *out = c;
    return 0;
}

void vclock_destroy(struct vclock *c)
{
    if (c == NULL)
        return;
    lock_finish(&c->lock);
    free(c);
}

uint64_t vclock_now(const struct vclock *c)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_acquire);

    return v & 1 ? v >> 1 : monotonic_now() - (v >> 1);
}

/* The host's time at which the clock will show `deadline`; NEVER while it is paused. */
static uint64_t host_deadline(const struct vclock *c, uint64_t deadline)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_acquire);
    uint64_t host = sat_add(deadline, v >> 1);

    return v & 1 || host > INT64_MAX ? NEVER : host;
}

void vclock_pause(struct vclock *c)
{
    lock_take(&c->lock);
    if ((atomic_load(&c->value) & 1) == 0)
        atomic_store(&c->value, vclock_now(c) << 1 | 1);
    lock_drop(&c->lock);
}

/* Queue lock held. Absolute, so that it does not matter how long we took; 0 would disarm. */
static void program(struct loop *l, uint64_t host)
{
    struct itimerspec its = {0};

    l->timers.programmed = host;
    if (l->timers.fd < 0)
        return;
    if (host != NEVER) {
        its.it_value.tv_sec = (time_t)(host / 1000000000);
        its.it_value.tv_nsec = (long)(host % 1000000000) + (host == 0);
    }
    timerfd_settime(l->timers.fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Queue lock held. Returns whether the loop must be woken to notice. */
static bool program_earlier(struct loop *l, uint64_t host)
{
    if (host >= l->timers.programmed)
        return false;
    program(l, host);
    return l->timers.fd < 0 && !loop_is_current(l);
}

void vclock_resume(struct vclock *c)
{
    lock_take(&c->lock);
    if (atomic_load(&c->value) & 1)
        atomic_store(&c->value, (monotonic_now() - vclock_now(c)) << 1);
    LIST_EACH(p, &c->timers)
    {
        struct timer *t = LIST_ITEM(p, struct timer, of_clock);
        bool wake = false;

        lock_take(&t->loop->timers.lock);
        if (!list_empty(&t->link))
            wake = program_earlier(t->loop, host_deadline(c, t->deadline));
        lock_drop(&t->loop->timers.lock);
        if (wake)
            loop_wake(t->loop);
    }
    lock_drop(&c->lock);
}

int timer_create_on(struct loop *l, struct vclock *c, loop_fn *fn, void *opaque, struct timer **out)
{
    struct timer *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return -ENOMEM;
    *t = (struct timer){.loop = l, .clock = c, .fn = fn, .opaque = opaque};
    list_init(&t->link);
    lock_take(&c->lock);
    list_append(&c->timers, &t->of_clock);
    lock_drop(&c->lock);
    *out = t;
    return 0;
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
    struct timer_queue *q = &t->loop->timers;
    bool wake;

    lock_take(&q->lock);
    list_remove(&t->link);
    t->deadline = deadline_ns;
    list_append(&q->armed, &t->link);
    wake = program_earlier(t->loop, host_deadline(t->clock, deadline_ns));
    lock_drop(&q->lock);
    if (wake)
        loop_wake(t->loop);
}

void timer_cancel(struct timer *t)
{
    lock_take(&t->loop->timers.lock);
    list_remove(&t->link);
    lock_drop(&t->loop->timers.lock);
}

void timer_destroy(struct timer *t)
{
    if (t == NULL)
        return;
    timer_cancel(t);
    lock_take(&t->clock->lock);
    list_remove(&t->of_clock);
    lock_drop(&t->clock->lock);
    free(t);
}

void timers_init(struct loop *l)
{
    lock_init(&l->timers.lock, LOCK_TIMERS);
    list_init(&l->timers.armed);
    list_init(&l->timers.due);
    l->timers.programmed = NEVER;
    l->timers.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

void timers_finish(struct loop *l)
{
    if (l->timers.fd >= 0)
        close(l->timers.fd);
    lock_finish(&l->timers.lock);
}

int64_t timers_timeout(struct loop *l)
{
    int64_t left = -1;

    if (l->timers.fd >= 0)
        return -1;
    lock_take(&l->timers.lock);
    if (l->timers.programmed != NEVER)
        left = (int64_t)sat_sub(l->timers.programmed, monotonic_now());
    lock_drop(&l->timers.lock);
    return left;
}

static uint64_t host_deadline_of(const struct list *p)
{
    const struct timer *t = LIST_ITEM(p, struct timer, link);

    return host_deadline(t->clock, t->deadline);
}

/* Moves what is due to q->due, in the order of the deadlines. Queue lock held. */
static void collect_due(struct timer_queue *q, uint64_t now)
{
    LIST_EACH_SAFE(p, &q->armed)
    {
        uint64_t host = host_deadline_of(p);
        struct list *at = q->due.prev;

        if (host > now)
            continue;
        while (at != &q->due && host_deadline_of(at) > host)
            at = at->prev;
        list_remove(p);
        list_prepend(at, p);
    }
}

/* The next timer of q->due, off its list. One whose clock was paused meanwhile goes back. Queue
 * lock held. */
static struct timer *take_due(struct timer_queue *q, uint64_t now)
{
    while (!list_empty(&q->due)) {
        struct list *p = q->due.next;

        list_remove(p);
        if (host_deadline_of(p) <= now)
            return LIST_ITEM(p, struct timer, link);
        list_append(&q->armed, p);
    }
    return NULL;
}

/* Queue lock held. */
static void program_next(struct loop *l)
{
    uint64_t first = NEVER;

    LIST_EACH(p, &l->timers.armed)
    {
        uint64_t host = host_deadline_of(p);

        if (host < first)
            first = host;
    }
    program(l, first);
}

/* What is due now fires once, in order; a timer that re-arms itself in the past waits for the next
 * round and starves nobody. While this works `programmed` lies in the past, so that other threads
 * leave the programming to it. */
void timers_fire(struct loop *l)
{
    struct timer_queue *q = &l->timers;
    uint64_t now = monotonic_now();
    struct timer *t;

    lock_take(&q->lock);
    if (q->programmed <= now) {
        collect_due(q, now);
        while ((t = take_due(q, now)) != NULL) {
            lock_drop(&q->lock);
            t->fn(t->opaque);
            lock_take(&q->lock);
        }
        program_next(l);
    }
    lock_drop(&q->lock);
}
