/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bit fields, numbers as bytes of either order, and sums of bytes. The load and store functions
 * work at any alignment and are how formats on disk, on the wire and in guest memory are read.
 */
#ifndef DOPPEL_BASE_BITS_H
#define DOPPEL_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Bits hi..lo of v, both inclusive, hi >= lo. */
static inline uint64_t bits_get(uint64_t v, unsigned hi, unsigned lo)
{
    return (v >> lo) & (UINT64_MAX >> (63 - (hi - lo)));
}

static inline uint64_t bits_set(uint64_t v, unsigned hi, unsigned lo, uint64_t field)
{
    uint64_t mask = (UINT64_MAX >> (63 - (hi - lo))) << lo;

    return (v & ~mask) | ((field << lo) & mask);
}

/* All ones in the low `bytes` bytes, 0 - 8. */
static inline uint64_t mask_bytes(unsigned bytes)
{
    return bytes == 0 ? 0 : UINT64_MAX >> (64 - 8 * bytes);
}

static inline bool is_pow2(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* Position of the highest set bit; v is not 0. */
static inline unsigned log2_floor(uint64_t v)
{
    return 63u - (unsigned)__builtin_clzll(v);
}

static inline uint16_t ld_le16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t ld_le32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t ld_le64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void st_le16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void st_le32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void st_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t ld_be16(const void *p)
{
    return __builtin_bswap16(ld_le16(p));
}

static inline uint32_t ld_be24(const void *p)
{
    const uint8_t *b = p;

    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline uint32_t ld_be32(const void *p)
{
    return __builtin_bswap32(ld_le32(p));
}

static inline uint64_t ld_be64(const void *p)
{
    return __builtin_bswap64(ld_le64(p));
}

static inline void st_be16(void *p, uint16_t v)
{
    st_le16(p, __builtin_bswap16(v));
}

static inline void st_be24(void *p, uint32_t v)
{
    uint8_t *b = p;

    b[0] = (uint8_t)(v >> 16);
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)v;
}

static inline void st_be32(void *p, uint32_t v)
{
    st_le32(p, __builtin_bswap32(v));
}

static inline void st_be64(void *p, uint64_t v)
{
    st_le64(p, __builtin_bswap64(v));
}

/* What makes the sum of these bytes and itself 0, as many tables have it. */
static inline uint8_t byte_checksum(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint8_t sum = 0;

    while (len-- > 0)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* The host is x86: little endian. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian host");

#endif
