/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses nearly all memory that is free, or so many megabytes: writes to every page, reads everything
 * back, then changes and checks pages in an order that no cache of translations likes.
 *
 *   touch [MEGABYTES]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define SPARE (256ul << 20)
#define WORDS 4      /* of each page */
#define STEP 65537ul /* a prime: in this step every page comes once */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static unsigned long available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    unsigned long kb = 0;
    char line[128];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "MemAvailable: %lu", &kb) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return kb << 10;
}

static uint64_t *word(uint8_t *base, uint64_t page, unsigned w)
{
    return (uint64_t *)(base + page * PAGE + w * (PAGE / WORDS) + mix(page) % 64 * 8);
}

static unsigned long check(uint8_t *base, uint64_t page, uint64_t salt)
{
    unsigned long bad = 0;

    for (unsigned w = 0; w < WORDS; w++) {
        uint64_t want = mix(page * WORDS + w + salt), got = *word(base, page, w);
        if (got != want && bad++ == 0)
            fprintf(stderr, "page %#lx word %u: %#lx, not %#lx\n", page, w, got, want);
    }
    return bad;
}

static void fill(uint8_t *base, uint64_t page, uint64_t salt)
{
    for (unsigned w = 0; w < WORDS; w++)
        *word(base, page, w) = mix(page * WORDS + w + salt);
}

int main(int argc, char **argv)
{
    unsigned long size = available(), pages, bad = 0;
    uint8_t *base;

    if (size < 2 * SPARE && argc == 1)
        return 2;
    size = argc > 1 ? strtoul(argv[1], NULL, 0) << 20 : (size - SPARE) & ~(PAGE - 1);
    pages = size / PAGE;
    if (pages % STEP == 0)
        pages--;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
    if (base == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    madvise(base, size, MADV_MERGEABLE); /* where the kernel looks for equal pages */
    for (unsigned long p = 0; p < pages; p++)
        fill(base, p, 0);
    for (unsigned long p = 0; p < pages; p++)
        bad += check(base, p, 0);
    for (unsigned long i = 0, p = 0; i < pages; i++) {
        p = (p + STEP) % pages;
        if (i % 4 == 0) {
            bad += check(base, p, 0);
            fill(base, p, 1);
            bad += check(base, p, 1);
        }
    }
    printf("%lu MB, %lu errors\n", size >> 20, bad);
    return bad != 0;
}
