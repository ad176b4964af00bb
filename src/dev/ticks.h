/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conversion between nanoseconds and the ticks of a counter, without overflow. */
#ifndef DOPPEL_DEV_TICKS_H
#define DOPPEL_DEV_TICKS_H

#include <stdint.h>

#define NS_PER_SECOND 1000000000u

/* value * mul / div, rounded down; UINT64_MAX if it does not fit. */
static inline uint64_t ticks_scale(uint64_t value, uint64_t mul, uint64_t div)
{
    unsigned __int128 r = (unsigned __int128)value * mul / div;

    return r > UINT64_MAX ? UINT64_MAX : (uint64_t)r;
}

/* Whole ticks of `hz` in `ns`. */
static inline uint64_t ticks_of_ns(uint64_t ns, uint64_t hz)
{
    return ticks_scale(ns, hz, NS_PER_SECOND);
}

/* The shortest time in which `ticks` have passed for sure. */
static inline uint64_t ticks_to_ns(uint64_t ticks, uint64_t hz)
{
    uint64_t ns = ticks_scale(ticks, NS_PER_SECOND, hz);

    return ns == UINT64_MAX ? ns : ns + 1;
}

/* a + b, or UINT64_MAX: a point in time that never comes. */
static inline uint64_t ticks_later(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif
