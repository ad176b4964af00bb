/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One process with very many mappings of one page each, all over its address space: maps and writes
 * them, reads them back, takes every other one away, puts fresh ones in their place, changes
 * rights, unmaps all.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul

static uint8_t **page;
static unsigned long count, bad;
static sigjmp_buf fault;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(fault, 1);
}

/* The word at p if it can be read. */
static int readable(const uint8_t *p, uint64_t *value)
{
    if (sigsetjmp(fault, 1) != 0)
        return 0;
    *value = *(const volatile uint64_t *)p;
    return 1;
}

static int writable(uint8_t *p, uint64_t value)
{
    if (sigsetjmp(fault, 1) != 0)
        return 0;
    *(volatile uint64_t *)p = value;
    return 1;
}

static void expect(int ok, const char *what, unsigned long i)
{
    if (!ok && bad++ < 10)
        fprintf(stderr, "%s: mapping %lu at %p\n", what, i, (void *)page[i]);
}

/* Every second page of some 200 KB somewhere in the lower half above 1 GB, then somewhere else. */
static void map(unsigned long i, int rights)
{
    static uint64_t seed = 1, at;

    for (;;) {
        at = i % 50 == 0 ? (mix(seed++) % (0x7000ul << 32) + (1ul << 30)) & ~(PAGE - 1)
                         : at + 2 * PAGE;
        page[i] = mmap((void *)at, PAGE, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                       -1, 0);
        if (page[i] != MAP_FAILED)
            return;
        if (errno != EEXIST) {
            perror("mmap");
            exit(2);
        }
    }
}

static void check_all(uint64_t salt)
{
    uint64_t v;

    for (unsigned long i = 0; i < count; i++)
        expect(readable(page[i] + i % 512 * 8, &v) && v == mix(i + salt), "contents", i);
}

static void replace_odd(void)
{
    uint64_t v;

    for (unsigned long i = 1; i < count; i += 2) {
        uint8_t *old = page[i];
        munmap(page[i], PAGE);
        expect(!readable(old, &v), "still readable", i);
    }
    for (unsigned long i = 0; i < count; i += 2)
        expect(readable(page[i] + i % 512 * 8, &v) && v == mix(i), "neighbours", i);
    for (unsigned long i = 1; i < count; i += 2) {
        uint8_t *at = page[i];
        if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) != at)
            exit(2);
        expect(readable(at + i % 512 * 8, &v) && v == 0, "a fresh page is zero", i);
        *(uint64_t *)(at + i % 512 * 8) = mix(i);
    }
}

static void rights(void)
{
    for (unsigned long i = 0; i < count; i += 3) {
        uint8_t *p = page[i] + i % 512 * 8;
        mprotect(page[i], PAGE, PROT_READ);
        expect(!writable(p, 0), "writable in spite of mprotect", i);
        mprotect(page[i], PAGE, PROT_READ | PROT_WRITE);
        expect(writable(p, mix(i)), "writable again", i);
    }
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_fault};
    uint64_t v;

    count = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
    page = calloc(count, sizeof(*page));
    sigaction(SIGSEGV, &sa, NULL);
    for (unsigned long i = 0; i < count; i++) {
        map(i, PROT_READ | PROT_WRITE);
        *(uint64_t *)(page[i] + i % 512 * 8) = mix(i);
    }
    check_all(0);
    replace_odd();
    check_all(0);
    rights();
    check_all(0);
    for (unsigned long i = 0; i < count; i++) {
        munmap(page[i], PAGE);
        expect(!readable(page[i], &v), "readable after munmap", i);
    }
    printf("%lu mappings, %lu errors\n", count, bad);
    return bad != 0;
}
