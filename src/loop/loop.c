/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop on epoll; the contract is in loop.h.
 *
 * A round: prepare functions, wait, descriptors, timers, posts, prepare functions again. A watch
 * that a callback removes may still be in the batch that epoll returned: it moves to `dead` and is
 * freed at the end of the round.
 */
#include "loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop_internal.h"

#define BATCH 32

struct loop_watch {
    struct list link;
    struct loop *loop;
    int fd;
    unsigned events; /* what epoll watches for; 0: fd is not in the epoll set */
    loop_fd_fn *fn;  /* NULL: removed */
    void *opaque;
};

struct prepare {
    struct list link;
    loop_prepare_fn *fn; /* NULL: removed while the list was walked */
    void *opaque;
};

struct post {
    struct list link;
    loop_fn *fn;
    void *opaque;
};

uint64_t monotonic_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Adds a descriptor of the loop's own; `tag` tells it from watches in epoll's answer. */
static int add_own(struct loop *l, int fd, void *tag)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tag};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static int open_fds(struct loop *l)
{
    int rc;

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->wake < 0)
        return -errno;
    rc = add_own(l, l->wake, &l->wake);
    if (rc == 0 && l->timers.fd >= 0)
        rc = add_own(l, l->timers.fd, &l->timers);
    return rc;
}

int loop_create(struct loop **out)
{
    struct loop *l = calloc(1, sizeof(*l));
    int rc;

    if (l == NULL)
        return -ENOMEM;
    list_init(&l->watches);
    list_init(&l->dead);
    list_init(&l->prepares);
    list_init(&l->posts);
    lock_init(&l->lock, LOCK_POSTS);
    lock_init(&l->turn, LOCK_LOOP);
    timers_init(l);
    rc = open_fds(l);
    if (rc < 0) {
        loop_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

static void bury(struct loop *l)
{
    LIST_EACH_SAFE(p, &l->dead)
    {
        list_remove(p);
        free(LIST_ITEM(p, struct loop_watch, link));
    }
    LIST_EACH_SAFE(p, &l->prepares)
    {
        struct prepare *pr = LIST_ITEM(p, struct prepare, link);

        if (pr->fn == NULL) {
            list_remove(p);
            free(pr);
        }
    }
}

void loop_destroy(struct loop *l)
{
    if (l == NULL)
        return;
    LIST_EACH_SAFE(p, &l->watches)
    loop_unwatch(LIST_ITEM(p, struct loop_watch, link));
    LIST_EACH(p, &l->prepares)
    LIST_ITEM(p, struct prepare, link)->fn = NULL;
    bury(l);
    LIST_EACH_SAFE(p, &l->posts)
    free(LIST_ITEM(p, struct post, link));
    timers_finish(l);
    if (l->wake >= 0)
        close(l->wake);
    if (l->epoll >= 0)
        close(l->epoll);
    lock_finish(&l->turn);
    lock_finish(&l->lock);
    free(l);
}

void loop_wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof(one));

    (void)n; /* only fails when the counter is full: then it is awake already */
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    loop_wake(l);
}

bool loop_is_current(const struct loop *l)
{
    return atomic_load(&l->running) && pthread_equal(atomic_load(&l->thread), pthread_self());
}

bool loop_is_running(const struct loop *l)
{
    return atomic_load(&l->running);
}

static uint32_t to_epoll(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
}

static unsigned from_epoll(uint32_t events)
{
    return (events & EPOLLIN ? LOOP_READ : 0) | (events & EPOLLOUT ? LOOP_WRITE : 0) |
           (events & (EPOLLHUP | EPOLLERR) ? LOOP_HUP : 0);
}

static int watch_apply(struct loop_watch *w, int op, unsigned events)
{
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};

    return epoll_ctl(w->loop->epoll, op, w->fd, &ev) == 0 ? 0 : -errno;
}

int loop_watch(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *opaque,
               struct loop_watch **out)
{
    struct loop_watch *w = calloc(1, sizeof(*w));
    int rc;

    if (w == NULL)
        return -ENOMEM;
    *w = (struct loop_watch){.loop = l, .fd = fd, .events = events, .fn = fn, .opaque = opaque};
    rc = watch_apply(w, EPOLL_CTL_ADD, events);
    if (rc == 0 && events == 0)
        rc = watch_apply(w, EPOLL_CTL_DEL, 0);
    if (rc < 0) {
        free(w);
        return rc;
    }
    list_append(&l->watches, &w->link);
    *out = w;
    return 0;
}

/* epoll reports hang-ups even for an empty event set, so a paused descriptor leaves the set. */
void loop_watch_set(struct loop_watch *w, unsigned events)
{
    int op = events == 0 ? EPOLL_CTL_DEL : w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (events != w->events)
        watch_apply(w, op, events);
    w->events = events;
}

void loop_unwatch(struct loop_watch *w)
{
    if (w == NULL)
        return;
    loop_watch_set(w, 0);
    w->fn = NULL;
    list_remove(&w->link);
    list_append(&w->loop->dead, &w->link);
}

int loop_post(struct loop *l, loop_fn *fn, void *opaque)
{
    struct post *p = malloc(sizeof(*p));
    bool first;

    if (p == NULL)
        return -ENOMEM;
    *p = (struct post){.fn = fn, .opaque = opaque};
    lock_take(&l->lock);
    first = list_empty(&l->posts);
    list_append(&l->posts, &p->link);
    lock_drop(&l->lock);
    if (first)
        loop_wake(l);
    return 0;
}

struct call {
    loop_fn *fn;
    void *opaque;
    sem_t done;
};

static void on_call(void *opaque)
{
    struct call *c = opaque;

    c->fn(c->opaque);
    sem_post(&c->done);
}

int loop_call(struct loop *l, loop_fn *fn, void *opaque)
{
    struct call c = {.fn = fn, .opaque = opaque};
    int rc;

    if (!loop_is_running(l) || loop_is_current(l)) {
        fn(opaque);
        return 0;
    }
    sem_init(&c.done, 0, 0);
    rc = loop_post(l, on_call, &c);
    while (rc == 0 && sem_wait(&c.done) < 0)
        ; /* a signal */
    sem_destroy(&c.done);
    return rc;
}

/* What a post posts runs in the next round. */
static void run_posts(struct loop *l)
{
    struct list todo;

    lock_take(&l->lock);
    list_take(&todo, &l->posts);
    lock_drop(&l->lock);
    while (!list_empty(&todo)) {
        struct post *p = LIST_FIRST(&todo, struct post, link);

        list_remove(&p->link);
        p->fn(p->opaque);
        free(p);
    }
}

int loop_add_prepare(struct loop *l, loop_prepare_fn *fn, void *opaque)
{
    struct prepare *p = malloc(sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    *p = (struct prepare){.fn = fn, .opaque = opaque};
    list_append(&l->prepares, &p->link);
    return 0;
}

void loop_remove_prepare(struct loop *l, loop_prepare_fn *fn, void *opaque)
{
    LIST_EACH(p, &l->prepares)
    {
        struct prepare *pr = LIST_ITEM(p, struct prepare, link);

        if (pr->fn == fn && pr->opaque == opaque) {
            pr->fn = NULL;
            return;
        }
    }
}

static void run_prepares(struct loop *l, int64_t *timeout_ns)
{
    LIST_EACH(p, &l->prepares)
    {
        struct prepare *pr = LIST_ITEM(p, struct prepare, link);

        if (pr->fn != NULL)
            pr->fn(pr->opaque, timeout_ns);
    }
}

/* epoll_wait with nanoseconds: epoll_pwait2 where the kernel has it and lets us, else ppoll on the
 * epoll descriptor. An interrupted wait returns 0 events. */
static int wait_events(struct loop *l, struct epoll_event *ev, int64_t timeout_ns)
{
    struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n;

    if (timeout_ns > 0) {
        struct pollfd pfd = {.fd = l->epoll, .events = POLLIN};
#ifdef SYS_epoll_pwait2
        n = (int)syscall(SYS_epoll_pwait2, l->epoll, ev, BATCH, &ts, NULL, 0);
        if (n >= 0 || errno == EINTR)
            return n < 0 ? 0 : n;
#endif
        ppoll(&pfd, 1, &ts, NULL);
    }
    n = epoll_wait(l->epoll, ev, BATCH, timeout_ns < 0 ? -1 : 0);
    return n < 0 ? 0 : n;
}

static void drain(int fd)
{
    uint64_t value;
    ssize_t n = read(fd, &value, sizeof(value));

    (void)n;
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
    struct loop_watch *w = ev->data.ptr;

    if (ev->data.ptr == &l->wake)
        drain(l->wake);
    else if (ev->data.ptr == &l->timers)
        drain(l->timers.fd);
    else if (w->fn != NULL && w->events != 0)
        w->fn(w->opaque, w->fd, from_epoll(ev->events));
}

static int64_t shorter(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static void take_turn(struct loop *l)
{
    if (l->lent)
        lock_take(&l->turn);
}

static void end_turn(struct loop *l)
{
    if (l->lent)
        lock_drop(&l->turn);
}

static void run_round(struct loop *l)
{
    struct epoll_event ev[BATCH];
    int64_t timeout_ns = -1;
    int n;

    run_prepares(l, &timeout_ns);
    timeout_ns = shorter(timeout_ns, timers_timeout(l));
    end_turn(l);
    n = wait_events(l, ev, timeout_ns);
    take_turn(l);
    for (int i = 0; i < n; i++)
        dispatch(l, &ev[i]);
    timers_fire(l);
    run_posts(l);
    run_prepares(l, NULL);
    bury(l);
}

void loop_run(struct loop *l)
{
    take_turn(l);
    l->own = pthread_self();
    atomic_store(&l->thread, l->own);
    atomic_store(&l->running, true);
    while (!atomic_exchange(&l->stop, false))
        run_round(l);
    atomic_store(&l->running, false);
    end_turn(l);
}

void loop_lend(struct loop *l)
{
    l->lent = l->timers.fd >= 0; /* else a timer that a borrower arms would have to wake it */
}

bool loop_borrow(struct loop *l)
{
    if (!l->lent || !lock_try(&l->turn))
        return false;
    if (!atomic_load(&l->running)) {
        lock_drop(&l->turn);
        return false;
    }
    l->borrowed = true;
    atomic_store(&l->thread, pthread_self());
    return true;
}

void loop_return(struct loop *l)
{
    l->borrowed = false;
    atomic_store(&l->thread, l->own);
    lock_drop(&l->turn);
}

bool loop_is_borrowed(const struct loop *l)
{
    return l->borrowed;
}
