/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: bandwidth of copies and streams, latency of pointers, strings. */
#include <string.h>

#include "bench.h"

#define SMALL (16 << 10)
#define LARGE (16 << 20)
#define CHASE (64 << 20)

static char *one, *two;
static uint32_t *chain;

static const char *two_buffers(void)
{
    one = bench_memory(LARGE);
    two = bench_memory(LARGE);
    return NULL;
}

static void copy_small(unsigned long n)
{
    while (n--)
        memcpy(one, two + (n & 63), SMALL - 64);
    bench_sink = one[5];
}

static void copy_large(unsigned long n)
{
    while (n--)
        memcpy(one, two, LARGE);
    bench_sink = one[5];
}

static void set_large(unsigned long n)
{
    while (n--)
        memset(one, n, LARGE);
    bench_sink = one[5];
}

/* The triad of the stream benchmark, with a vector unit where the compiler finds one. */
static void triad(unsigned long n)
{
    double *a = (double *)one, *b = (double *)two, *c = (double *)(two + LARGE / 2);
    size_t count = LARGE / 2 / sizeof(double);
    while (n--) {
        for (size_t i = 0; i < count; i++)
            a[i] = b[i] + 3.0 * c[i];
        __asm__ volatile("" ::: "memory");
    }
    bench_sink = a[5];
}

static void sum(unsigned long n)
{
    const uint64_t *p = (const uint64_t *)one;
    uint64_t total = 0;
    while (n--) {
        for (size_t i = 0; i < LARGE / 8; i++)
            total += p[i];
        __asm__ volatile("" ::: "memory");
    }
    bench_sink = total;
}

static void string_copy(unsigned long n)
{
    __asm__ volatile("" ::: "memory");
    while (n--) {
        void *to = one, *from = two;
        size_t count = SMALL;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    }
}

static void strings(unsigned long n)
{
    size_t total = 0;
    memset(one, 'a', 1000);
    one[1000] = 0;
    while (n--) {
        total += strlen(one + (n & 15));
        total += strchr(one, 0) - one;
        total += memcmp(one, two, 1);
        strcpy(two, one);
    }
    bench_sink = total;
}

/* One cycle through all cache lines in random order. */
static const char *make_chain(size_t size)
{
    size_t count = size / 64, step = 16;
    chain = bench_memory(size);
    uint32_t *order = bench_memory(count * sizeof(*order));
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = bench_random() % (i + 1);
        uint32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (size_t i = 0; i < count; i++)
        chain[order[i] * step] = order[(i + 1) % count] * step;
    return NULL;
}

static const char *chain_small(void)
{
    return make_chain(SMALL);
}

static const char *chain_large(void)
{
    return make_chain(CHASE);
}

static void chase(unsigned long n)
{
    uint32_t at = bench_sink & 0;
    while (n--)
        for (int i = 0; i < 1000; i++)
            at = chain[at];
    bench_sink = at;
}

static const char *large_table(void)
{
    chain = bench_memory(CHASE);
    return NULL;
}

static void random_update(unsigned long n)
{
    uint64_t x = 88172645463325252ull;
    while (n--)
        for (int i = 0; i < 1000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            chain[x % (CHASE / 4)] ^= x;
        }
    bench_sink = x;
}

static void atomics(unsigned long n)
{
    static uint64_t counter;
    while (n--)
        for (int i = 0; i < 1000; i++)
            __atomic_fetch_add(&counter, i, __ATOMIC_SEQ_CST);
    bench_sink = counter;
}

const struct measure memory_measures[] = {
    {"mem.copy-16K", copy_small, two_buffers, NULL, SMALL - 64},
    {"mem.copy-16M", copy_large, two_buffers, NULL, LARGE},
    {"mem.set-16M", set_large, two_buffers, NULL, LARGE},
    {"mem.triad", triad, two_buffers, NULL, LARGE / 2 * 3},
    {"mem.sum", sum, two_buffers, NULL, LARGE},
    {"mem.rep-movsb", string_copy, two_buffers, NULL, SMALL},
    {"mem.strings", strings, two_buffers, NULL, 0},
    {"mem.list-walk", chase, chain_small, NULL, 0},
    {"mem.chase-64M", chase, chain_large, NULL, 0},
    {"mem.random-update", random_update, large_table, NULL, 0},
    {"mem.atomics", atomics, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
