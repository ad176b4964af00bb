/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop: descriptors, posts, timers on a clock that can stand still. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop.h"
#include "refuse.h"

#define MS UINT64_C(1000000)

struct fix {
    struct loop *loop;
    struct vclock *clock;
    struct timer *timer[4];
    struct loop_watch *watch[2];
    int fd[2];
    unsigned fired, order[16];
    unsigned events, calls;
    uint64_t at;
    int64_t seen_timeout;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_create(&f->loop), 0);
    assert_int_equal(vclock_create(&f->clock), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fd), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    for (int i = 0; i < 4; i++)
        timer_destroy(f->timer[i]);
    loop_destroy(f->loop);
    vclock_destroy(f->clock);
    close(f->fd[0]);
    close(f->fd[1]);
    free(f);
    return 0;
}

static void stop(void *opaque)
{
    struct fix *f = opaque;

    f->at = vclock_now(f->clock);
    loop_stop(f->loop);
}

static void stop_after(struct fix *f, uint64_t ns)
{
    assert_int_equal(timer_create_on(f->loop, f->clock, stop, f, &f->timer[3]), 0);
    timer_arm(f->timer[3], vclock_now(f->clock) + ns);
}

static void test_stop_first(void **state)
{
    struct fix *f = *state;

    loop_stop(f->loop);
    loop_run(f->loop);
    assert_false(loop_is_current(f->loop));
}

static void post_one(void *opaque)
{
    struct fix *f = opaque;

    assert_true(loop_is_current(f->loop));
    if (++f->calls == 3000)
        loop_stop(f->loop);
}

static void *poster(void *arg)
{
    struct fix *f = arg;

    assert_false(loop_is_current(f->loop));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(loop_post(f->loop, post_one, f), 0);
    return NULL;
}

static void test_posts(void **state)
{
    struct fix *f = *state;
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, poster, f), 0);
    loop_run(f->loop);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(f->calls, 3000);
    assert_int_equal(loop_post(f->loop, post_one, f), 0); /* dropped with the loop */
}

static void *caller(void *arg)
{
    struct fix *f = arg;

    for (int i = 1; i <= 3000; i++) {
        assert_int_equal(loop_call(f->loop, post_one, f), 0);
        assert_int_equal(f->calls, i);
    }
    return NULL;
}

static pthread_t calling;

static void start_caller(void *opaque)
{
    assert_int_equal(pthread_create(&calling, NULL, caller, opaque), 0);
}

static void count_one(void *opaque)
{
    ((struct fix *)opaque)->calls++;
}

static void test_call(void **state)
{
    struct fix *f = *state;

    assert_int_equal(loop_post(f->loop, start_caller, f), 0);
    loop_run(f->loop);
    pthread_join(calling, NULL);
    assert_int_equal(loop_call(f->loop, count_one, f), 0); /* it does not run: here, at once */
    assert_int_equal(f->calls, 3001);
}

/* --- lending --- */

static void *run_loop(void *arg)
{
    loop_run(((struct fix *)arg)->loop);
    return NULL;
}

static void count_at_home(void *opaque)
{
    struct fix *f = opaque;

    f->calls++;
    assert_false(loop_is_borrowed(f->loop));
    assert_true(loop_is_current(f->loop));
}

static void *other_borrower(void *arg)
{
    struct fix *f = arg;

    for (unsigned done = 0; done < 1000;) {
        if (!loop_borrow(f->loop))
            continue;
        assert_true(loop_is_borrowed(f->loop) && loop_is_current(f->loop));
        f->fired++; /* no two at once: nothing is lost */
        done++;
        loop_return(f->loop);
    }
    return NULL;
}

/* One at a time, and what is posted meanwhile waits for the loop's own thread. */
static void test_borrow(void **state)
{
    struct fix *f = *state;
    pthread_t run, other;

    assert_false(loop_borrow(f->loop)); /* not lent */
    loop_lend(f->loop);
    assert_false(loop_borrow(f->loop)); /* nobody's: it does not run */
    assert_int_equal(pthread_create(&run, NULL, run_loop, f), 0);
    while (!loop_borrow(f->loop))
        ;
    assert_true(loop_is_current(f->loop) && loop_is_running(f->loop));
    assert_int_equal(loop_post(f->loop, count_at_home, f), 0);
    assert_int_equal(loop_call(f->loop, count_one, f), 0); /* here, before the post */
    usleep(2000);
    assert_int_equal(f->calls, 1);
    loop_return(f->loop);
    assert_false(loop_is_current(f->loop));
    assert_int_equal(loop_call(f->loop, count_one, f), 0); /* there, after the post */
    assert_int_equal(f->calls, 3);

    assert_int_equal(pthread_create(&other, NULL, other_borrower, f), 0);
    other_borrower(f);
    pthread_join(other, NULL);
    assert_int_equal(f->fired, 2000);
    loop_stop(f->loop);
    pthread_join(run, NULL);
    assert_false(loop_borrow(f->loop));
}

/* Its own thread is at work: nobody else is. */
static void *try_borrow(void *arg)
{
    assert_false(loop_borrow(((struct fix *)arg)->loop));
    return NULL;
}

static void while_at_work(void *opaque)
{
    struct fix *f = opaque;
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, try_borrow, f), 0);
    pthread_join(t, NULL);
    loop_stop(f->loop);
}

static void test_borrow_at_work(void **state)
{
    struct fix *f = *state;

    loop_lend(f->loop);
    assert_int_equal(loop_post(f->loop, while_at_work, f), 0);
    loop_run(f->loop);
}

static void on_fd(void *opaque, int fd, unsigned events)
{
    struct fix *f = opaque;
    char c[16];

    f->events |= events;
    f->calls++;
    if (events & LOOP_READ && read(fd, c, sizeof(c)) == 0)
        loop_stop(f->loop);
    if (events & (LOOP_WRITE | LOOP_HUP))
        loop_stop(f->loop);
}

static void test_watch(void **state)
{
    struct fix *f = *state;

    assert_int_equal(loop_watch(f->loop, f->fd[0], LOOP_READ, on_fd, f, &f->watch[0]), 0);
    assert_int_equal(loop_watch(f->loop, f->fd[0], LOOP_READ, on_fd, f, &f->watch[1]), -EEXIST);
    assert_int_equal(write(f->fd[1], "x", 1), 1);
    stop_after(f, 5 * MS);
    loop_run(f->loop);
    assert_int_equal(f->events, LOOP_READ);
    assert_int_equal(f->calls, 1);
    loop_watch_set(f->watch[0], LOOP_WRITE);
    loop_run(f->loop);
    assert_int_equal(f->events, LOOP_READ | LOOP_WRITE);
    /* Paused: not even the hang-up is reported. */
    loop_watch_set(f->watch[0], 0);
    shutdown(f->fd[1], SHUT_RDWR);
    f->calls = 0;
    timer_arm(f->timer[3], vclock_now(f->clock) + 5 * MS);
    loop_run(f->loop);
    assert_int_equal(f->calls, 0);
    loop_watch_set(f->watch[0], LOOP_READ);
    loop_run(f->loop);
    assert_true(f->events & LOOP_HUP);
    loop_unwatch(f->watch[0]);
    loop_unwatch(NULL);
}

/* Whichever of the two comes first removes both: the other must not be called. */
static void remove_both(void *opaque, int fd, unsigned events)
{
    struct fix *f = opaque;

    f->calls++;
    loop_unwatch(f->watch[0]);
    loop_unwatch(f->watch[1]);
    loop_stop(f->loop);
}

static void test_unwatch_in_batch(void **state)
{
    struct fix *f = *state;

    for (int i = 0; i < 2; i++)
        assert_int_equal(loop_watch(f->loop, f->fd[i], LOOP_WRITE, remove_both, f, &f->watch[i]),
                         0);
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
}

static void test_regular_file(void **state)
{
    struct fix *f = *state;
    char path[] = "/tmp/doppel-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(loop_watch(f->loop, fd, LOOP_READ, on_fd, f, &f->watch[0]), -EPERM);
    close(fd);
}

static void prepare(void *opaque, int64_t *timeout_ns)
{
    struct fix *f = opaque;

    if (timeout_ns == NULL) {
        f->calls++;
        return;
    }
    f->seen_timeout = *timeout_ns;
    *timeout_ns = MS / 2;
    if (f->calls == 4)
        loop_stop(f->loop);
}

static void test_prepare(void **state)
{
    struct fix *f = *state;
    uint64_t start = vclock_now(f->clock);

    assert_int_equal(loop_add_prepare(f->loop, prepare, f), 0);
    loop_run(f->loop);
    assert_int_equal(f->seen_timeout, -1);
    assert_true(f->calls >= 4);
    assert_true(vclock_now(f->clock) - start >= 2 * MS);
    loop_remove_prepare(f->loop, prepare, f);
    f->calls = 0;
    stop_after(f, MS);
    loop_run(f->loop);
    assert_int_equal(f->calls, 0);
}

struct tick {
    struct fix *f;
    unsigned n;
};

static void note(void *opaque)
{
    struct tick *t = opaque;

    t->f->order[t->f->fired++] = t->n;
}

static void make_timers(struct fix *f, struct tick *t)
{
    for (unsigned i = 0; i < 3; i++) {
        t[i] = (struct tick){f, i};
        assert_int_equal(timer_create_on(f->loop, f->clock, note, &t[i], &f->timer[i]), 0);
    }
}

static void test_order(void **state)
{
    struct fix *f = *state;
    struct tick t[3];
    uint64_t now = vclock_now(f->clock);

    make_timers(f, t);
    timer_arm(f->timer[0], now + 3 * MS);
    timer_arm(f->timer[1], now + 2 * MS);
    timer_arm(f->timer[2], UINT64_MAX);
    timer_arm(f->timer[2], 0); /* in the past: at once */
    stop_after(f, 6 * MS);
    loop_run(f->loop);
    assert_int_equal(f->fired, 3);
    assert_true(f->order[0] == 2 && f->order[1] == 1 && f->order[2] == 0);
    /* Later, never, cancelled: none fires. */
    now = vclock_now(f->clock);
    timer_arm(f->timer[0], now + MS);
    timer_arm(f->timer[0], now + 1000 * MS);
    timer_arm(f->timer[1], UINT64_MAX);
    timer_arm(f->timer[2], now + MS);
    timer_cancel(f->timer[2]);
    timer_arm(f->timer[3], now + 4 * MS);
    loop_run(f->loop);
    assert_int_equal(f->fired, 3);
}

static void again(void *opaque)
{
    struct fix *f = opaque;

    f->fired++;
    timer_arm(f->timer[0], 0);
}

/* A timer that is always due lets descriptors and other timers through. */
static void test_no_starvation(void **state)
{
    struct fix *f = *state;

    assert_int_equal(timer_create_on(f->loop, f->clock, again, f, &f->timer[0]), 0);
    assert_int_equal(loop_watch(f->loop, f->fd[0], LOOP_READ, on_fd, f, &f->watch[0]), 0);
    assert_int_equal(write(f->fd[1], "x", 1), 1);
    timer_arm(f->timer[0], 0);
    stop_after(f, 3 * MS);
    loop_run(f->loop);
    assert_true(f->fired > 3);
    assert_int_equal(f->calls, 1);
}

static void host_sleep(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    nanosleep(&ts, NULL);
}

static uint64_t host_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *resume_later(void *arg)
{
    struct fix *f = arg;

    host_sleep(20 * MS);
    vclock_resume(f->clock);
    return NULL;
}

static void test_pause(void **state)
{
    struct fix *f = *state;
    uint64_t host = host_now(), now = vclock_now(f->clock), frozen;
    pthread_t t;

    stop_after(f, 5 * MS);
    vclock_pause(f->clock);
    vclock_pause(f->clock);
    frozen = vclock_now(f->clock);
    host_sleep(10 * MS);
    assert_true(vclock_now(f->clock) == frozen);
    assert_int_equal(pthread_create(&t, NULL, resume_later, f), 0);
    loop_run(f->loop); /* the timer fires only after the resume */
    pthread_join(t, NULL);
    assert_true(f->at >= now + 5 * MS);
    /* It stood while we slept here, and while the other thread slept. */
    assert_true(f->at - now <= host_now() - host - 28 * MS);
    vclock_resume(f->clock);
    assert_true(vclock_now(f->clock) >= f->at);
}

struct accuracy {
    struct fix *f;
    uint64_t want, late[200];
    unsigned n;
};

static void measure(void *opaque)
{
    struct accuracy *a = opaque;
    uint64_t now = vclock_now(a->f->clock);

    assert_true(now >= a->want);
    a->late[a->n++] = now - a->want;
    a->want = now + 300000;
    if (a->n == 200)
        loop_stop(a->f->loop);
    else
        timer_arm(a->f->timer[0], a->want);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The median, because a busy host may delay any single one. */
static void test_accuracy(void **state)
{
    struct fix *f = *state;
    struct accuracy a = {.f = f, .want = vclock_now(f->clock) + MS};

    assert_int_equal(timer_create_on(f->loop, f->clock, measure, &a, &f->timer[0]), 0);
    timer_arm(f->timer[0], a.want);
    loop_run(f->loop);
    qsort(a.late, 200, sizeof(a.late[0]), compare);
    print_message("timers are late by %u us in the median, %u us at worst\n",
                  (unsigned)(a.late[100] / 1000), (unsigned)(a.late[199] / 1000));
    assert_in_range(a.late[100], 0, 2 * MS);
}

/* Arming and cancelling from other threads while the loop runs; the last deadline counts. */
static void *armer(void *arg)
{
    struct tick *t = arg;
    unsigned seed = t->n + 1;

    for (int i = 0; i < 20000; i++) {
        timer_arm(t->f->timer[t->n], vclock_now(t->f->clock) + (unsigned)rand_r(&seed) % 100000);
        if (i % 3 == 0)
            timer_cancel(t->f->timer[t->n]);
    }
    timer_arm(t->f->timer[t->n], vclock_now(t->f->clock) + 1000);
    return NULL;
}

static void count_fire(void *opaque)
{
    struct tick *t = opaque;

    t->f->fired |= 1u << t->n;
}

static void test_threads(void **state)
{
    struct fix *f = *state;
    struct tick t[3];
    pthread_t th[3];

    stop_after(f, 3000 * MS);
    for (unsigned i = 0; i < 3; i++) {
        t[i] = (struct tick){f, i};
        assert_int_equal(timer_create_on(f->loop, f->clock, count_fire, &t[i], &f->timer[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&th[i], NULL, armer, &t[i]), 0);
    timer_arm(f->timer[3], vclock_now(f->clock) + 300 * MS);
    loop_run(f->loop);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(th[i], NULL);
    timer_arm(f->timer[3], vclock_now(f->clock) + 20 * MS);
    f->fired = 0;
    for (unsigned i = 0; i < 3; i++)
        timer_arm(f->timer[i], 0);
    loop_run(f->loop);
    assert_int_equal(f->fired, 7);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_stop_first),   CASE(test_posts),
        CASE(test_watch),        CASE(test_unwatch_in_batch),
        CASE(test_regular_file), CASE(test_prepare),
        CASE(test_order),        CASE(test_no_starvation),
        CASE(test_pause),        CASE(test_accuracy),
        CASE(test_threads),      CASE(test_call),
    };

    const struct CMUnitTest lending[] = {CASE(test_borrow), CASE(test_borrow_at_work)};

    int failed = cmocka_run_group_tests_name("all system calls", tests, NULL, NULL) +
                 cmocka_run_group_tests_name("lending", lending, NULL, NULL);

    if (!(refuse_syscall(SYS_timerfd_create) && refuse_syscall(SYS_epoll_pwait2))) {
        print_message("no filter possible: the second half is left out\n");
        return failed;
    }
    return failed + cmocka_run_group_tests_name("refused system calls", tests, NULL, NULL);
}
