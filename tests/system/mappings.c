/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded into a program: takes $MAPPINGS pairs of its mappings before it begins. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096ul

__attribute__((constructor)) static void take(void)
{
    const char *text = getenv("MAPPINGS");
    unsigned long n = text != NULL ? strtoul(text, NULL, 10) : 0;
    char *at = mmap(NULL, (2 * n + 1) * PAGE, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        exit(3);
    for (unsigned long i = 0; i < n; i++)
        if (mprotect(at + (2 * i + 1) * PAGE, PAGE, PROT_READ) < 0)
            exit(3);
}
