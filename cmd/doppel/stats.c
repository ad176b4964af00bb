/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of --stats: see stats.h. */
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

struct report {
    FILE *out;
    char group[64];   /* of the last line */
    uint64_t elapsed; /* ns; the first counter of all */
};

/* 1234567 -> 1,234,567 */
static void number(char *to, size_t size, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    size_t at = 0;

    for (int i = 0; i < n && at + 2 < size; i++) {
        if (i != 0 && (n - i) % 3 == 0)
            to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at] = '\0';
}

static void line(void *opaque, const struct counter *c)
{
    struct report *r = opaque;
    char value[40];

    if (strcmp(r->group, c->group) != 0) {
        snprintf(r->group, sizeof(r->group), "%s", c->group);
        fprintf(r->out, "%s\n", c->group);
    }
    if (strcmp(c->unit, "ns") == 0) {
        if (r->elapsed == 0)
            r->elapsed = c->value;
        fprintf(r->out, "  %-40s %14.6f s  %5.1f %%\n", c->name, (double)c->value / 1e9,
                r->elapsed != 0 ? (double)c->value * 100 / (double)r->elapsed : 0);
    } else if (strcmp(c->unit, "bytes") == 0) {
        fprintf(r->out, "  %-40s %14.1f MB\n", c->name, (double)c->value / 1048576);
    } else {
        number(value, sizeof(value), c->value);
        fprintf(r->out, "  %-40s %14s\n", c->name, value);
    }
}

void stats_print(struct vm *vm)
{
    char *text = NULL;
    size_t len;
    struct report r = {.out = open_memstream(&text, &len)};

    if (r.out == NULL)
        return;
    vm_counters(vm, line, &r);
    fclose(r.out);
    terminal_print(text, len);
    free(text);
}
