/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic on numbers that a guest, a file or a peer supplied. The functions say whether the
 * result fits; nobody adds two untrusted numbers with a bare `+`.
 */
#ifndef DOPPEL_BASE_CHECKED_H
#define DOPPEL_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a op b. false: it does not fit, *out is not to be used. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_sub(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_sub_overflow(a, b, out);
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Does [start, start+len) lie in [base, base+size)? Right for all values, wrap-around included; an
 * empty range lies in it if start does or is its end. */
static inline bool range_inside(uint64_t start, uint64_t len, uint64_t base, uint64_t size)
{
    return start >= base && start - base <= size && len <= size - (start - base);
}

/* Do the two ranges share a byte? Neither may wrap around. */
static inline bool range_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen != 0 && blen != 0 && (a <= b ? b - a < alen : a - b < blen);
}

/* `align` is a power of two. align_up gives false when the result does not fit. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline bool align_up(uint64_t v, uint64_t align, uint64_t *out)
{
    if (__builtin_add_overflow(v, align - 1, out))
        return false;
    *out = align_down(*out, align);
    return true;
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
    return (v & (align - 1)) == 0;
}

static inline uint64_t sat_add(uint64_t a, uint64_t b)
{
    uint64_t r;

    return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static inline uint64_t sat_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* a * b / c with a 128-bit product: clock conversions. c is not 0; saturates. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 r = (unsigned __int128)a * b / c;

    return r > UINT64_MAX ? UINT64_MAX : (uint64_t)r;
}

#endif
