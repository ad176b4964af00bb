/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: one thread that waits for file descriptors, timers and work posted by other
 * threads.
 *
 * A machine has at least one loop (its main thread); I/O threads may run more. Callbacks run on the
 * loop's thread, or one that has borrowed the loop, one at a time, with no lock held. loop_post,
 * loop_stop, timer_arm and timer_cancel may be called from any thread; all else from the loop's
 * thread or before it runs.
 */
#ifndef DOPPEL_LOOP_LOOP_H
#define DOPPEL_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct loop_watch;
struct timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HUP = 4 }; /* HUP is always reported */

typedef void loop_fd_fn(void *opaque, int fd, unsigned events);
typedef void loop_fn(void *opaque);

int loop_create(struct loop **out) MUST_CHECK;
void loop_destroy(struct loop *l);
void loop_run(struct loop *l);  /* returns after loop_stop */
void loop_stop(struct loop *l); /* any thread; a stop before the run makes the run return at once */
bool loop_is_current(const struct loop *l);
bool loop_is_running(const struct loop *l); /* a hint, unless the caller starts and stops it */

/* Watches fd for `events`; the fd stays the caller's, who unwatches before closing it. One watch
 * for each fd and loop (-EEXIST). A regular file that epoll refuses gives -EPERM. Level-triggered.
 */
int loop_watch(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *opaque,
               struct loop_watch **out) MUST_CHECK;
void loop_watch_set(struct loop_watch *w, unsigned events); /* 0 pauses it */
void loop_unwatch(struct loop_watch *w); /* fn is not called again; NULL is fine */

/* Runs fn(opaque) on the loop's thread soon, in the order of the posts. 0 or -ENOMEM. What is still
 * waiting when the loop is destroyed does not run. */
int loop_post(struct loop *l, loop_fn *fn, void *opaque) MUST_CHECK;
/* The same, and waits until fn has returned; at once if this is the loop's thread, or it has none.
 * The loop goes on meanwhile, and does not wait for the caller. */
int loop_call(struct loop *l, loop_fn *fn, void *opaque) MUST_CHECK;

/*
 * Lending. To wake a loop's thread and to be woken by it again takes longer than most of what there
 * is to do. So a loop may be lent: while it sleeps, a thread with work for it takes its place. What
 * that thread calls is on the loop's thread as far as anybody can tell, one at a time as ever, but
 * it must not wait: what would have to is left to the loop itself, by a post or an event.
 */
void loop_lend(struct loop *l); /* before it runs; not with prepare functions */
/* Takes the place of the loop's thread until loop_return. With no lock held, and not on a thread
 * that works for a loop. false: it is at work, does not run, or is not lent. */
bool loop_borrow(struct loop *l) MUST_CHECK;
void loop_return(struct loop *l);
/* Does another thread work for the loop? For what runs on it. */
bool loop_is_borrowed(const struct loop *l);

/*
 * Called on the loop's thread in every round, for libraries that hand over poll sets (libslirp):
 * before the loop waits with timeout_ns pointing to the longest wait (-1: forever), which the
 * function may lower; and again with NULL after the wait, when the round's descriptors, timers and
 * posts have been served. In the first call it may also watch, unwatch and change watches.
 */
typedef void loop_prepare_fn(void *opaque, int64_t *timeout_ns);
int loop_add_prepare(struct loop *l, loop_prepare_fn *fn, void *opaque) MUST_CHECK;
void loop_remove_prepare(struct loop *l, loop_prepare_fn *fn, void *opaque);

/*
 * Timers run on a machine's virtual clock: nanoseconds since the machine was created, which stand
 * still while it is paused. One clock may serve timers on several loops.
 */
struct vclock;
int vclock_create(struct vclock **out) MUST_CHECK;
void vclock_destroy(struct vclock *c);
uint64_t vclock_now(const struct vclock *c); /* ns; any thread; monotonic */
/* Idempotent. Timers do not fire until vclock_resume; on another loop's thread a call under way may
 * still finish. */
void vclock_pause(struct vclock *c);
void vclock_resume(struct vclock *c);

/* A one-shot timer. timer_arm replaces an earlier deadline; a deadline in the past fires at once,
 * one of UINT64_MAX never. timer_cancel from the loop's thread guarantees that fn is not called any
 * more; from another thread a call under way may still finish: handlers check their own state under
 * their device's lock. */
int timer_create_on(struct loop *l, struct vclock *c, loop_fn *fn, void *opaque,
                    struct timer **out) MUST_CHECK;
void timer_arm(struct timer *t, uint64_t deadline_ns);
void timer_cancel(struct timer *t);
void timer_destroy(struct timer *t); /* loop's thread, or after the loop ended; NULL is fine */

#endif
