/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory whose pages the kernel moves, merges, swaps out and puts together to large ones, while and
 * after it is written to and read back: what madvise asks for, and what other programs and threads
 * of the kernel do to a process that does not run. Several of these at once, with KSM, swap,
 * compaction and khugepaged, are the test.
 *
 *   moves STEPS [SEED [MEGABYTES]]
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define PAGE 4096ul
#define LARGE (2ul << 20)
#define KINDS 7 /* different contents, so that there is something to merge */

static uint8_t *base;
static uint8_t *kind; /* of each page: 0 is a page of zeroes */
static unsigned long pages, bad, step;
static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned long below(unsigned long n)
{
    return (next() >> 16) % n;
}

static uint64_t word(unsigned k, unsigned i)
{
    return k == 0 ? 0 : (k * 512ul + i) * 0x9e3779b97f4a7c15u;
}

static void fill(unsigned long page, unsigned k)
{
    uint64_t *p = (uint64_t *)(base + page * PAGE);

    for (unsigned i = 0; i < 512; i++)
        p[i] = word(k, i);
    kind[page] = (uint8_t)k;
}

static void check(unsigned long page)
{
    const volatile uint64_t *p = (const uint64_t *)(base + page * PAGE);

    for (unsigned i = 0; i < 512; i += 73) {
        if (p[i] == word(kind[page], i))
            continue;
        if (bad++ < 10)
            fprintf(stderr, "step %lu, page %lu, word %u: %#lx, not %#lx\n", step, page, i, p[i],
                    word(kind[page], i));
        return;
    }
}

static void check_all(void)
{
    for (unsigned long p = 0; p < pages; p++)
        check(p);
}

/* What the kernel does not offer it refuses; that is fine. */
static void advise(unsigned long page, unsigned long n, int what)
{
    (void)!madvise(base + page * PAGE, n * PAGE, what);
}

static void in_a_child(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        bad = 0;
        for (unsigned i = 0; i < 50; i++) {
            unsigned long p = below(pages);
            check(p);
            fill(p, (unsigned)below(KINDS));
        }
        for (unsigned i = 0; i < 50; i++)
            check(below(pages));
        _exit(bad != 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        bad++;
}

static void change(void)
{
    unsigned long p = below(pages), n = 1 + below(pages - p < 300 ? pages - p : 300);

    switch (below(12)) {
    case 0:
        advise(p, n, MADV_PAGEOUT);
        break;
    case 1:
        advise(p & ~511ul, 512, MADV_COLLAPSE);
        break;
    case 2:
        n = n < 8 ? n : 8;
        advise(p, n, MADV_DONTNEED);
        for (unsigned long i = p; i < p + n; i++)
            kind[i] = 0;
        break;
    case 3:
        mprotect(base + p * PAGE, PAGE, PROT_READ);
        check(p);
        mprotect(base + p * PAGE, PAGE, PROT_READ | PROT_WRITE);
        break;
    case 4:
        advise(p, n, below(4) == 0 ? MADV_UNMERGEABLE : MADV_MERGEABLE);
        break;
    case 5:
        advise(p, n, MADV_COLD);
        break;
    case 6:
        if (below(10) == 0)
            in_a_child();
        break;
    case 7:
        usleep(2000);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
    unsigned long size = (argc > 3 ? strtoul(argv[3], NULL, 0) : 32) << 20;
    uint8_t *p =
        mmap(NULL, size + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    state = argc > 2 ? strtoull(argv[2], NULL, 0) * 2 + 1 : 1;
    pages = size / PAGE;
    kind = calloc(pages, 1);
    if (p == MAP_FAILED || kind == NULL) {
        perror("mmap");
        return 2;
    }
    base = (uint8_t *)(((uintptr_t)p + LARGE - 1) & ~(LARGE - 1));
    advise(0, pages, MADV_HUGEPAGE);
    advise(0, pages / 2, MADV_MERGEABLE);
    for (unsigned long i = 0; i < pages; i++)
        fill(i, (unsigned)below(KINDS));
    for (step = 0; step < steps; step++) {
        change();
        for (unsigned k = 0; k < 16; k++) {
            check(below(pages));
            fill(below(pages), (unsigned)below(KINDS));
        }
        if (step % 200 == 0)
            check_all();
    }
    check_all();
    printf("%lu steps, %lu errors\n", step, bad);
    return bad != 0;
}
