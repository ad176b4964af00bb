/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vector extensions and the instructions for ciphers, each only where the processor has it. */
#include <immintrin.h>
#include <string.h>

#include "bench.h"

static float a[64 * 64] __attribute__((aligned(64))), b[64 * 64] __attribute__((aligned(64))),
    c[64 * 64] __attribute__((aligned(64)));
static unsigned char block[16384] __attribute__((aligned(64)));

static void fill(void)
{
    for (int i = 0; i < 64 * 64; i++) {
        a[i] = i % 17;
        b[i] = 1.0f / (i + 1);
    }
    memset(block, 0x5a, sizeof(block));
}

#define NEEDS(name, feature)                                           \
    static const char *name(void)                                      \
    {                                                                  \
        fill();                                                        \
        return __builtin_cpu_supports(feature) ? NULL : "no " feature; \
    }

NEEDS(needs_sse2, "sse2")
NEEDS(needs_avx2, "avx2")
NEEDS(needs_avx512, "avx512f")
NEEDS(needs_aes, "aes")
NEEDS(needs_pclmul, "pclmul")

static const char *needs_sha(void)
{
    unsigned ax = 7, bx, cx = 0, dx;
    fill();
    __asm__("cpuid" : "+a"(ax), "=b"(bx), "+c"(cx), "=d"(dx));
    return bx >> 29 & 1 ? NULL : "no sha";
}

static void matmul_sse(unsigned long n)
{
    while (n--)
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j += 4) {
                __m128 sum = _mm_setzero_ps();
                for (int k = 0; k < 64; k++)
                    sum = _mm_add_ps(
                        sum, _mm_mul_ps(_mm_set1_ps(a[i * 64 + k]), _mm_load_ps(&b[k * 64 + j])));
                _mm_store_ps(&c[i * 64 + j], sum);
            }
    bench_sink = c[5];
}

__attribute__((target("avx2,fma"))) static void matmul_avx2(unsigned long n)
{
    while (n--)
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j += 8) {
                __m256 sum = _mm256_setzero_ps();
                for (int k = 0; k < 64; k++)
                    sum = _mm256_fmadd_ps(_mm256_set1_ps(a[i * 64 + k]),
                                          _mm256_load_ps(&b[k * 64 + j]), sum);
                _mm256_store_ps(&c[i * 64 + j], sum);
            }
    bench_sink = c[5];
}

__attribute__((target("avx512f"))) static void matmul_avx512(unsigned long n)
{
    while (n--)
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j += 16) {
                __m512 sum = _mm512_setzero_ps();
                for (int k = 0; k < 64; k++)
                    sum = _mm512_fmadd_ps(_mm512_set1_ps(a[i * 64 + k]),
                                          _mm512_load_ps(&b[k * 64 + j]), sum);
                _mm512_store_ps(&c[i * 64 + j], sum);
            }
    bench_sink = c[5];
}

/* Pixels: saturating arithmetic, shuffles, compares. */
static void pixels_sse(unsigned long n)
{
    const __m128i add = _mm_set1_epi8(3), limit = _mm_set1_epi8(100);
    while (n--)
        for (size_t i = 0; i < sizeof(block); i += 16) {
            __m128i v = _mm_load_si128((__m128i *)(block + i));
            __m128i mask = _mm_cmpgt_epi8(v, limit);
            v = _mm_adds_epu8(v, _mm_andnot_si128(mask, add));
            v = _mm_unpacklo_epi8(v, _mm_shuffle_epi32(v, 0x1b));
            _mm_store_si128((__m128i *)(block + i), v);
        }
    bench_sink = block[77];
}

__attribute__((target("avx2"))) static void bytes_avx2(unsigned long n)
{
    const __m256i needle = _mm256_set1_epi8('x');
    uint64_t found = 0;
    while (n--)
        for (size_t i = 0; i < sizeof(block); i += 32) {
            __m256i v = _mm256_load_si256((__m256i *)(block + i));
            unsigned mask = _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, needle));
            if (mask)
                found += __builtin_ctz(mask);
        }
    bench_sink = found;
}

__attribute__((target("aes"))) static void aes_ctr(unsigned long n)
{
    __m128i key[11], counter = _mm_setzero_si128(), one = _mm_set_epi32(0, 0, 0, 1);
    for (int i = 0; i < 11; i++)
        key[i] = _mm_set1_epi32(i * 0x01234567);
    while (n--)
        for (size_t i = 0; i < sizeof(block); i += 64) {
            __m128i s[4];
            for (int k = 0; k < 4; k++) {
                counter = _mm_add_epi64(counter, one);
                s[k] = _mm_xor_si128(counter, key[0]);
            }
            for (int round = 1; round < 10; round++)
                for (int k = 0; k < 4; k++)
                    s[k] = _mm_aesenc_si128(s[k], key[round]);
            for (int k = 0; k < 4; k++) {
                __m128i *p = (__m128i *)(block + i + 16 * k);
                _mm_store_si128(p, _mm_xor_si128(*p, _mm_aesenclast_si128(s[k], key[10])));
            }
        }
    bench_sink = block[9];
}

__attribute__((target("sha,sse4.1"))) static void sha_ni(unsigned long n)
{
    __m128i x = _mm_set1_epi32(1), y = _mm_set1_epi32(2);
    while (n--)
        for (size_t i = 0; i < sizeof(block); i += 64) {
            __m128i w[4];
            for (int k = 0; k < 4; k++)
                w[k] = _mm_load_si128((__m128i *)(block + i + 16 * k));
            for (int round = 0; round < 16; round++) {
                int k = round & 3;
                y = _mm_sha256rnds2_epu32(y, x, w[k]);
                x = _mm_sha256rnds2_epu32(x, y, _mm_shuffle_epi32(w[k], 0x0e));
                w[k] = _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(w[k], w[(k + 1) & 3]),
                                            w[(k + 3) & 3]);
            }
        }
    bench_sink = _mm_cvtsi128_si32(x) + _mm_cvtsi128_si32(y);
}

__attribute__((target("pclmul"))) static void carryless(unsigned long n)
{
    __m128i x = _mm_set_epi64x(0x1234567, 0x89abcdef), fold = _mm_set_epi64x(0x87, 0x1db710641);
    while (n--)
        for (size_t i = 0; i < sizeof(block); i += 16) {
            __m128i low = _mm_clmulepi64_si128(x, fold, 0x00);
            __m128i high = _mm_clmulepi64_si128(x, fold, 0x11);
            x = _mm_xor_si128(_mm_xor_si128(low, high), *(__m128i *)(block + i));
        }
    bench_sink = _mm_cvtsi128_si32(x);
}

const struct measure simd_measures[] = {
    {"simd.matmul-sse", matmul_sse, needs_sse2, NULL, 0},
    {"simd.matmul-avx2", matmul_avx2, needs_avx2, NULL, 0},
    {"simd.matmul-avx512", matmul_avx512, needs_avx512, NULL, 0},
    {"simd.pixels-sse", pixels_sse, needs_sse2, NULL, sizeof(block)},
    {"simd.find-avx2", bytes_avx2, needs_avx2, NULL, sizeof(block)},
    {"simd.aes", aes_ctr, needs_aes, NULL, sizeof(block)},
    {"simd.sha", sha_ni, needs_sha, NULL, sizeof(block)},
    {"simd.clmul", carryless, needs_pclmul, NULL, sizeof(block)},
    {NULL, NULL, NULL, NULL, 0},
};
