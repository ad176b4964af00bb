/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer and branchy compute: what interpreters, databases, compilers and compressors do. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static unsigned char text[65536];
static uint32_t numbers[4096], table[256];

static const char *fill_text(void)
{
    /* Words from a small vocabulary, so that there are matches to be found. */
    for (size_t i = 0; i < sizeof(text);) {
        uint32_t r = bench_random() % 500, length = 2 + r % 7;
        for (uint32_t k = 0; k < length && i < sizeof(text); k++)
            text[i++] = 'a' + (r * 7 + k * k) % 26;
        if (i < sizeof(text))
            text[i++] = ' ';
    }
    for (unsigned i = 0; i < 4096; i++)
        numbers[i] = bench_random();
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        table[i] = c;
    }
    return NULL;
}

static void crc32(unsigned long n)
{
    uint32_t c = ~0u;
    while (n--)
        for (size_t i = 0; i < 4096; i++)
            c = table[(c ^ text[i]) & 255] ^ c >> 8;
    bench_sink = c;
}

static void quick_sort(uint32_t *v, long low, long high)
{
    while (low < high) {
        uint32_t pivot = v[(low + high) / 2];
        long i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        quick_sort(v, low, j);
        low = i;
    }
}

/* Another order each time: a branch predictor learns one order by heart, or does not. */
static void shuffled(uint32_t *copy, unsigned long n)
{
    for (unsigned i = 0; i < 4096; i++)
        copy[i] = numbers[i] * (uint32_t)(2 * n + 1);
}

static void sort(unsigned long n)
{
    uint32_t copy[4096];
    while (n--) {
        shuffled(copy, n);
        quick_sort(copy, 0, 4095);
        bench_sink = copy[17];
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_callback(unsigned long n)
{
    uint32_t copy[4096];
    while (n--) {
        shuffled(copy, n);
        qsort(copy, 4096, sizeof(copy[0]), compare);
        bench_sink = copy[17];
    }
}

static void hash_table(unsigned long n)
{
    static uint32_t keys[8192], values[8192];
    while (n--) {
        memset(keys, 0, sizeof(keys));
        for (unsigned i = 0; i < 4096; i++) {
            uint32_t k = numbers[i] | 1, at = k * 2654435761u >> 19;
            while (keys[at] && keys[at] != k)
                at = (at + 1) & 8191;
            keys[at] = k;
            values[at] += i;
        }
    }
    bench_sink = values[5];
}

/* The inner loop of an LZ77 compressor: hash of three bytes, a chain, the longest match. */
static void lz_match(unsigned long n)
{
    static uint16_t head[4096], previous[65536];
    uint64_t total = 0;
    while (n--) {
        memset(head, 0, sizeof(head));
        for (unsigned i = 0; i + 64 < 8192; i++) {
            unsigned h = (text[i] << 6 ^ text[i + 1] << 3 ^ text[i + 2]) & 4095, best = 0;
            unsigned at = head[h];
            for (int chain = 8; at && chain; chain--, at = previous[at]) {
                unsigned length = 0;
                while (length < 64 && text[at + length] == text[i + length])
                    length++;
                if (length > best)
                    best = length;
            }
            previous[i] = head[h];
            head[h] = i;
            total += best;
        }
    }
    bench_sink = total;
}

static void histogram(unsigned long n)
{
    static uint32_t counts[256];
    while (n--)
        for (size_t i = 0; i < sizeof(text); i++)
            counts[text[i]]++;
    bench_sink = counts['a'];
}

static void matmul(unsigned long n)
{
    static int a[64][64], b[64][64], c[64][64];
    while (n--) {
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j++) {
                int sum = 0;
                for (int k = 0; k < 64; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum + i;
            }
        a[n & 63][3] += c[7][9];
        b[5][n & 63] += 1;
    }
    bench_sink = c[1][2];
}

/* A stack machine that runs a loop: an indirect jump an instruction. */
static void bytecode(unsigned long n)
{
    enum { PUSH, ADD, DUP, XOR, SHIFT, LOOP, END };
    static const unsigned char code[] = {PUSH, 7, ADD, DUP, SHIFT, XOR, PUSH, 3, ADD, LOOP, END};
    while (n--) {
        uint64_t stack[16] = {1}, *top = stack;
        unsigned count = 1000;
        for (const unsigned char *pc = code;;) {
            switch (*pc++) {
            case PUSH:
                *++top = *pc++;
                continue;
            case ADD:
                top--;
                *top += top[1];
                continue;
            case DUP:
                top++;
                *top = top[-1];
                continue;
            case SHIFT:
                *top = *top << 13 ^ *top >> 7;
                continue;
            case XOR:
                top--;
                *top ^= top[1];
                continue;
            case LOOP:
                if (--count)
                    pc = code;
                continue;
            }
            break;
        }
        bench_sink = *top;
    }
}

/* What a parser does: a state machine over characters, with a branch that nobody predicts. */
static void tokenize(unsigned long n)
{
    uint64_t words = 0, vowels = 0;
    while (n--) {
        int inside = 0;
        for (size_t i = 0; i < 16384; i++) {
            unsigned char c = text[i];
            if (c == ' ') {
                words += inside;
                inside = 0;
            } else {
                inside = 1;
                switch (c) {
                case 'a':
                case 'e':
                case 'i':
                case 'o':
                case 'u':
                    vowels++;
                }
            }
        }
    }
    bench_sink = words + vowels;
}

static __attribute__((noinline)) unsigned long fib(unsigned long k)
{
    return k < 2 ? k : fib(k - 1) + fib(k - 2);
}

static void recursion(unsigned long n)
{
    while (n--)
        bench_sink = fib(18);
}

static void virtual_calls(unsigned long n)
{
    static unsigned long (*volatile const functions[4])(unsigned long) = {fib, fib, fib, fib};
    uint64_t sum = 0;
    while (n--)
        for (unsigned i = 0; i < 1000; i++)
            sum += functions[i & 3](i & 1);
    bench_sink = sum;
}

static void divide(unsigned long n)
{
    uint64_t x = 0x123456789abcdefull;
    while (n--)
        for (unsigned i = 0; i < 1000; i++)
            x = x / (numbers[i] | 1) + (x << 32) + i;
    bench_sink = x;
}

static void sieve(unsigned long n)
{
    static unsigned char composite[32768];
    while (n--) {
        memset(composite, 0, sizeof(composite));
        for (unsigned i = 2; i < 182; i++)
            if (!composite[i])
                for (unsigned k = i * i; k < sizeof(composite); k += i)
                    composite[k] = 1;
    }
    bench_sink = composite[101];
}

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* The rounds of SHA-256 in plain C, with a schedule but without the real constants. */
static void sha256_rounds(unsigned long n)
{
    uint32_t s[8] = {1, 2, 3, 4, 5, 6, 7, 8}, w[64];
    while (n--) {
        memcpy(w, text + (n & 511) * 64, 64);
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18)) +
                   (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19));
        for (int i = 0; i < 64; i++) {
            uint32_t t = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                         ((s[4] & s[5]) ^ (~s[4] & s[6])) + w[i];
            uint32_t u = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                         ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 28);
            s[4] += t;
            s[0] = t + u;
        }
    }
    bench_sink = s[0];
}

#ifdef __SIZEOF_INT128__
static void big_multiply(unsigned long n)
{
    static uint64_t a[64], b[64], c[128];
    for (unsigned i = 0; i < 64; i++) {
        a[i] = numbers[i] * 0x100000001ull;
        b[i] = numbers[i + 64] * 0x100000003ull;
    }
    while (n--)
        for (unsigned i = 0; i < 64; i++) {
            uint64_t carry = 0;
            for (unsigned k = 0; k < 64; k++) {
                unsigned __int128 t = (unsigned __int128)a[i] * b[k] + c[i + k] + carry;
                c[i + k] = t;
                carry = t >> 64;
            }
        }
    bench_sink = c[64];
}
#endif

const struct measure integer_measures[] = {
    {INT "crc32", crc32, fill_text, NULL, 4096},
    {INT "sort", sort, fill_text, NULL, 0},
    {INT "sort-callback", sort_callback, fill_text, NULL, 0},
    {INT "hash-table", hash_table, fill_text, NULL, 0},
    {INT "lz-match", lz_match, fill_text, NULL, 8192},
    {INT "histogram", histogram, fill_text, NULL, 65536},
    {INT "matmul", matmul, fill_text, NULL, 0},
    {INT "bytecode", bytecode, NULL, NULL, 0},
    {INT "tokenize", tokenize, fill_text, NULL, 16384},
    {INT "recursion", recursion, NULL, NULL, 0},
    {INT "indirect-calls", virtual_calls, NULL, NULL, 0},
    {INT "divide", divide, fill_text, NULL, 0},
    {INT "sieve", sieve, NULL, NULL, 0},
    {INT "sha256", sha256_rounds, fill_text, NULL, 64},
#ifdef __SIZEOF_INT128__
    {INT "big-multiply", big_multiply, fill_text, NULL, 0},
#endif
    {NULL, NULL, NULL, NULL, 0},
};
