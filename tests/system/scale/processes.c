/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Very many processes alive at once. Each has memory of its own at the same addresses; they are
 * woken in an order that jumps around, compute, and prove that their memory is still theirs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 12
#define PAGE 4096
#define ROUNDS 3

struct child {
    pid_t pid;
    int to, from;
};

static uint64_t *const own = (uint64_t *)0x123456000; /* the same in all of them */
static uint64_t shared_before_fork[PAGE / 8] = {1};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t slot(unsigned page)
{
    return page * (PAGE / 8) + mix(page) % 512;
}

static void child(uint64_t number, int from, int to)
{
    uint64_t round, sum;

    if (mmap(own, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == MAP_FAILED)
        _exit(2);
    for (unsigned p = 0; p < PAGES; p++)
        own[slot(p)] = mix(number * PAGES + p);
    shared_before_fork[number % (PAGE / 8)] ^= number; /* a copy of its own */
    while (read(from, &round, 8) == 8) {
        sum = shared_before_fork[number % (PAGE / 8)];
        for (unsigned p = 0; p < PAGES; p++)
            sum += own[slot(p)]++;
        if (write(to, &sum, 8) != 8)
            break;
    }
    _exit(0);
}

static uint64_t expected(uint64_t number, unsigned round)
{
    uint64_t sum = (number % (PAGE / 8) == 0 ? 1 : 0) ^ number;

    for (unsigned p = 0; p < PAGES; p++)
        sum += mix(number * PAGES + p) + round;
    return sum;
}

static int start(struct child *c, unsigned long i)
{
    int to[2], from[2];

    if (pipe(to) < 0 || pipe(from) < 0)
        return -1;
    c[i] = (struct child){fork(), to[1], from[0]};
    if (c[i].pid == 0) {
        for (unsigned long k = 0; k <= i; k++) {
            close(c[k].to);
            close(c[k].from);
        }
        child(i, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    return c[i].pid < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 100, bad = 0;
    struct rlimit files = {4 * n, 4 * n};
    struct child *c = calloc(n, sizeof(*c));

    setrlimit(RLIMIT_NOFILE, &files);
    for (unsigned long i = 0; i < n; i++) {
        if (start(c, i) < 0) {
            perror("fork");
            return 2;
        }
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (unsigned long k = 0; k < n; k++) {
            unsigned long i = (k * 617 + round) % n;
            uint64_t sum = 0;
            if (write(c[i].to, &round, 8) != 8 || read(c[i].from, &sum, 8) != 8 ||
                sum != expected(i, (unsigned)round))
                bad++;
        }
    }
    for (unsigned long i = 0; i < n; i++)
        close(c[i].to);
    for (unsigned long i = 0; i < n; i++) {
        int status;
        if (waitpid(c[i].pid, &status, 0) != c[i].pid || status != 0)
            bad++;
    }
    printf("%lu processes, %lu errors\n", n, bad);
    return bad != 0;
}
