/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree of processes that fork as fast as they can, some of which start a program. Every one
 * writes to pages that it shares copy-on-write with its parent, checks them, and counts itself in a
 * page that all of them share.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIDTH 12
#define COPIED 64

static _Atomic unsigned long *total;
static uint64_t copied[COPIED][512];

static int check(uint64_t value)
{
    int bad = 0;

    for (unsigned i = 0; i < COPIED; i += 7)
        bad |= copied[i][i] != value + i;
    return bad;
}

static void mark(uint64_t value)
{
    for (unsigned i = 0; i < COPIED; i += 7)
        copied[i][i] = value + i;
}

static int tree(unsigned depth, uint64_t value)
{
    pid_t child[WIDTH];
    int bad = 0, status;

    atomic_fetch_add(total, 1);
    mark(value);
    for (unsigned i = 0; i < WIDTH && depth > 0; i++) {
        child[i] = fork();
        if (child[i] < 0)
            return 1;
        if (child[i] == 0) {
            if (check(value))
                _exit(1);
            if (depth == 1 && i == 0)
                execl("/proc/self/exe", "forkstorm", "leaf", NULL);
            _exit(tree(depth - 1, value * WIDTH + i + 1));
        }
    }
    for (unsigned i = 0; i < WIDTH && depth > 0; i++)
        bad |= waitpid(child[i], &status, 0) != child[i] || status != 0;
    return bad | check(value);
}

int main(int argc, char **argv)
{
    unsigned depth;
    unsigned long expected = 1, level = 1;
    int bad;

    if (argc > 1 && argv[1][0] == 'l')
        return 0;
    depth = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
    total = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (total == MAP_FAILED)
        return 2;
    for (unsigned d = 0; d < depth; d++) {
        level *= WIDTH;
        expected += level;
    }
    expected -= level / WIDTH; /* those that became another program */
    bad = tree(depth, 1);
    printf("%lu processes of %lu, %d errors\n", atomic_load(total), expected, bad);
    return bad != 0 || atomic_load(total) != expected;
}
