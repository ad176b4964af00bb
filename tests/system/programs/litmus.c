/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Litmus tests of memory order between processors: litmus SECONDS
 *
 * What x86 never lets programs see (Intel SDM vol. 3, 9.2.3) must not be seen on virtual
 * processors either: each shape is run by threads that are bound to CPUs 0 to 3, on many places at
 * once, and the outcomes are looked at afterwards. "relaxed" counts those that are allowed, but
 * that no order of all accesses gives: the shape does reach through the store buffers. Status 1:
 * something forbidden was seen.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PLACES = 4096, THREADS = 4, PATIENCE = 20000 };

/* A place: locations in lines of their own, and what threads read. */
struct place {
    _Alignas(128) volatile uint64_t x;
    _Alignas(128) volatile uint64_t y;
    _Alignas(128) uint64_t r[THREADS];
};

#define LOAD(from)                                             \
    ({                                                         \
        uint64_t v_;                                           \
        __asm__ volatile("mov %1, %0" : "=r"(v_) : "m"(from)); \
        v_;                                                    \
    })
#define STORE(to, value) __asm__ volatile("movq %1, %0" : "=m"(to) : "i"(value))
#define FENCE() __asm__ volatile("mfence" ::: "memory")
#define SWAP(to)                                              \
    ({                                                        \
        uint64_t v_ = 1;                                      \
        __asm__ volatile("xchg %0, %1" : "+r"(v_), "+m"(to)); \
    })

#define THREAD(name, ...)             \
    static void name(struct place *p) \
    {                                 \
        __VA_ARGS__;                  \
    }

THREAD(store_x, STORE(p->x, 1))
THREAD(store_y, STORE(p->y, 1))
THREAD(sb0, STORE(p->x, 1); p->r[0] = LOAD(p->y))
THREAD(sb1, STORE(p->y, 1); p->r[1] = LOAD(p->x))
THREAD(fenced0, STORE(p->x, 1); FENCE(); p->r[0] = LOAD(p->y))
THREAD(fenced1, STORE(p->y, 1); FENCE(); p->r[1] = LOAD(p->x))
THREAD(swapped0, SWAP(p->x); p->r[0] = LOAD(p->y))
THREAD(swapped1, SWAP(p->y); p->r[1] = LOAD(p->x))
THREAD(mp0, STORE(p->x, 1); STORE(p->y, 1))
THREAD(mp1, p->r[0] = LOAD(p->y); p->r[1] = LOAD(p->x))
THREAD(lb0, p->r[0] = LOAD(p->x); STORE(p->y, 1))
THREAD(lb1, p->r[1] = LOAD(p->y); STORE(p->x, 1))
THREAD(rr, p->r[0] = LOAD(p->x); p->r[1] = LOAD(p->x))
THREAD(ww0, STORE(p->x, 1); STORE(p->y, 2))
THREAD(ww1, STORE(p->y, 1); STORE(p->x, 2))
THREAD(iriw2, p->r[0] = LOAD(p->x); p->r[1] = LOAD(p->y))
THREAD(iriw3, p->r[2] = LOAD(p->y); p->r[3] = LOAD(p->x))
THREAD(wrc1, p->r[0] = LOAD(p->x); STORE(p->y, 1))
THREAD(wrc2, p->r[1] = LOAD(p->y); p->r[2] = LOAD(p->x))
THREAD(own0, STORE(p->x, 1); p->r[0] = LOAD(p->x); p->r[1] = LOAD(p->y))
THREAD(own1, STORE(p->y, 1); p->r[2] = LOAD(p->y); p->r[3] = LOAD(p->x))

enum outcome { FINE, RELAXED, FORBIDDEN };

#define OUTCOME(name, condition, bad)               \
    static enum outcome name(const struct place *p) \
    {                                               \
        return (condition) ? bad : FINE;            \
    }

OUTCOME(both_0, p->r[0] == 0 && p->r[1] == 0, FORBIDDEN)
OUTCOME(both_0_buffered, p->r[0] == 0 && p->r[1] == 0, RELAXED)
OUTCOME(late, p->r[0] == 1 && p->r[1] == 0, FORBIDDEN)
OUTCOME(both_1, p->r[0] == 1 && p->r[1] == 1, FORBIDDEN)
OUTCOME(circle, p->x == 1 && p->y == 1, FORBIDDEN)
OUTCOME(two_orders, p->r[0] == 1 && p->r[1] == 0 && p->r[2] == 1 && p->r[3] == 0, FORBIDDEN)
OUTCOME(no_cause, p->r[0] == 1 && p->r[1] == 1 && p->r[2] == 0, FORBIDDEN)

static enum outcome own_first(const struct place *p)
{
    if (p->r[0] == 0 || p->r[2] == 0)
        return FORBIDDEN;
    return p->r[1] == 0 && p->r[3] == 0 ? RELAXED : FINE;
}

static const struct shape {
    const char *name;
    void (*thread[THREADS])(struct place *p);
    enum outcome (*outcome)(const struct place *p);
} shapes[] = {
    {"store buffering", {sb0, sb1}, both_0_buffered},
    {"store buffering, MFENCE", {fenced0, fenced1}, both_0},
    {"store buffering, XCHG", {swapped0, swapped1}, both_0},
    {"message passing", {mp0, mp1}, late},
    {"load buffering", {lb0, lb1}, both_1},
    {"two reads of one place", {store_x, rr}, late},
    {"two writes each", {ww0, ww1}, circle},
    {"independent reads", {store_x, store_y, iriw2, iriw3}, two_orders},
    {"write to read causality", {store_x, wrc1, wrc2}, no_cause},
    {"own stores first", {own0, own1}, own_first},
};

/* --- counters and locks, each of which has to come out exactly --- */

static struct {
    _Alignas(4096) uint8_t pages[2 * 4096]; /* a counter across a line, one across pages */
    _Alignas(128) uint64_t plain, pair[2] __attribute__((aligned(16)));
    _Alignas(128) uint64_t next, serving, guarded;
} shared;

#define LINE_COUNTER ((uint64_t *)(shared.pages + 60))
#define PAGE_COUNTER ((uint64_t *)(shared.pages + 4092))

static void count(void)
{
    uint64_t old, high, ticket = 1;
    uint8_t done;

    __asm__ volatile("lock incq %0" : "+m"(shared.plain));
    __asm__ volatile("lock addq $1, %0" : "+m"(*LINE_COUNTER));
    __asm__ volatile("lock addq $1, %0" : "+m"(*PAGE_COUNTER));
    do {
        old = shared.pair[0], high = shared.pair[1];
        __asm__ volatile("lock cmpxchg16b %1\n\tsete %0"
                         : "=q"(done), "+m"(shared.pair), "+a"(old), "+d"(high)
                         : "b"(old + 1), "c"(high + 2));
    } while (!done);
    __asm__ volatile("lock xadd %0, %1" : "+r"(ticket), "+m"(shared.next));
    while (LOAD(shared.serving) != ticket)
        sched_yield();
    shared.guarded++;
    __asm__ volatile("incq %0" : "+m"(shared.serving));
}

/* --- the threads --- */

static struct place *places;
static const struct shape *running; /* NULL: counting */
static pthread_barrier_t begin, end;
static unsigned arrived; /* those that are past the barrier */
static volatile int over;

/* Wakes up at about the same time as the others, where they do run. */
static void wait_for_others(void)
{
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < PATIENCE && __atomic_load_n(&arrived, __ATOMIC_RELAXED) < THREADS; i++)
        __asm__ volatile("pause");
}

static void *work(void *opaque)
{
    unsigned me = (unsigned)(uintptr_t)opaque;
    cpu_set_t cpu;

    CPU_ZERO(&cpu);
    CPU_SET(me, &cpu);
    sched_setaffinity(0, sizeof(cpu), &cpu);
    for (;;) {
        pthread_barrier_wait(&begin);
        if (over)
            return NULL;
        wait_for_others();
        if (running == NULL)
            for (unsigned i = 0; i < PLACES / 16; i++)
                count();
        else if (running->thread[me] != NULL)
            for (unsigned i = 0; i < PLACES; i++)
                running->thread[me](&places[i]);
        pthread_barrier_wait(&end);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void round_of(const struct shape *s)
{
    running = s;
    arrived = 0;
    memset(places, 0, sizeof(*places) * PLACES);
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
}

static unsigned long run_shape(const struct shape *s, double seconds)
{
    unsigned long seen[3] = {0};
    double until = now() + seconds;

    do {
        round_of(s);
        for (unsigned i = 0; i < PLACES; i++)
            seen[s->outcome(&places[i])]++;
    } while (now() < until);
    printf("%s: %lu, %lu relaxed, %lu forbidden\n", s->name, seen[0] + seen[1] + seen[2],
           seen[RELAXED], seen[FORBIDDEN]);
    return seen[FORBIDDEN];
}

static unsigned long run_counters(double seconds)
{
    double until = now() + seconds;
    uint64_t all = 0;
    int good;

    do {
        round_of(NULL);
        all += PLACES / 16 * THREADS;
    } while (now() < until);
    good = shared.plain == all && *LINE_COUNTER == all && *PAGE_COUNTER == all &&
           shared.pair[0] == all && shared.pair[1] == 2 * all && shared.guarded == all;
    printf("counters: %lu, %s\n", all, good ? "exact" : "not exact");
    return !good;
}

int main(int argc, char **argv)
{
    const unsigned count = sizeof(shapes) / sizeof(shapes[0]);
    double each = argc == 2 ? atof(argv[1]) / (count + 1) : 0;
    pthread_t threads[THREADS];
    unsigned long forbidden = 0;

    if (each <= 0) {
        fputs("usage: litmus SECONDS\n", stderr);
        return 2;
    }
    places = aligned_alloc(128, sizeof(*places) * PLACES);
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < count; i++)
        forbidden += run_shape(&shapes[i], each);
    forbidden += run_counters(each);
    over = 1;
    pthread_barrier_wait(&begin);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("litmus: %lu forbidden\n", forbidden);
    return forbidden != 0;
}
