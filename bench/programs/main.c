/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench [NAME...]: runs the measures of these names, or all of them. bench --list prints the names.
 * bench --commands FILE NAME...: see commands.c. bench --nothing does nothing: what the exec
 * measure runs.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define BATCHES 7
#define BATCH_NS 50000000ull

volatile uint64_t bench_sink;
static uint32_t random_state = 1;

void bench_fail(const char *what)
{
    perror(what);
    _exit(1);
}

void *bench_memory(size_t size)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        bench_fail("mmap");
    for (size_t i = 0; i < size; i += 4096)
        p[i] = 1;
    return p;
}

void bench_random_seed(uint32_t seed)
{
    random_state = seed;
}

uint32_t bench_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

uint64_t bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t time_of(const struct measure *m, unsigned long n)
{
    uint64_t begin = bench_now();
    m->run(n);
    return bench_now() - begin;
}

static void measure(const struct measure *m)
{
    double best = 0;
    unsigned long n = 1;
    uint64_t took;

    bench_random_seed(1);
    const char *why = m->prepare ? m->prepare() : NULL;
    if (why) {
        printf("skip %s %s\n", m->name, why);
        return;
    }
    m->run(1); /* the first time is another one: page faults, translation, cold caches */
    while ((took = time_of(m, n)) < BATCH_NS / 4 && n < ULONG_MAX / 8)
        n *= took < BATCH_NS / 64 ? 4 : 2;
    n = n * ((double)BATCH_NS / (took ? took : 1)) + 1;
    for (unsigned i = 0; i < BATCHES; i++) {
        double result = (double)time_of(m, n) / n;
        if (i == 0 || result < best)
            best = result;
    }
    printf("bench %s %.3f %zu\n", m->name, best, m->bytes);
    if (m->finish)
        m->finish();
}

/* In a process of its own: one that crashes or needs much memory leaves the others alone. */
static void measure_apart(const struct measure *m)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        bench_fail("fork");
    if (child == 0) {
        measure(m);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status != 0)
        printf("fail %s it ended with status 0x%x\n", m->name, (unsigned)status);
    fflush(stdout);
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(name, argv[i]) == 0)
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    const struct measure *const groups[] = {
        integer_measures, float_measures,
#ifndef __i386__
        simd_measures,    memory_measures, kernel_measures, process_measures, io_measures,
#endif
    };
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    if (argc > 1 && strcmp(argv[1], "--nothing") == 0)
        return 0;
    if (argc > 2 && strcmp(argv[1], "--commands") == 0)
        return commands_run(argv[2], argv + 3);
    for (unsigned g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (const struct measure *m = groups[g]; m->name; m++) {
            if (list)
                puts(m->name);
            else if (wanted(m->name, argc, argv))
                measure_apart(m);
        }
    return 0;
}
