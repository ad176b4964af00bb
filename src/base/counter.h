/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as the parts of a machine hand them out: who has some calls a function for each. What
 * they mean is said by their words; whoever shows them needs to know no more than the unit.
 */
#ifndef DOPPEL_BASE_COUNTER_H
#define DOPPEL_BASE_COUNTER_H

#include <stdint.h>

struct counter {
    const char *group; /* neighbours with an equal group belong together */
    const char *name;
    const char *unit; /* "" a number of things, "ns" a time, "bytes" an amount of memory */
    uint64_t value;
};

/* The strings live as long as the call. */
typedef void counter_fn(void *opaque, const struct counter *c);

#endif
