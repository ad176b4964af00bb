/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cache of decodings: it never says anything else than decoding anew does. */
#include "test.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/bt/insn.h"

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 11) % n;
}

static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36,
                                   0x3e, 0x26, 0x64, 0x65, 0x48, 0x41, 0x4f};

/* Prefixes, an opcode of any map, and numbers. */
static void make(uint8_t *p)
{
    unsigned k = 0;

    for (unsigned i = 0; i < 16; i++)
        p[i] = (uint8_t)rnd(256);
    while (k < 4 && rnd(3) == 0)
        p[k++] = prefixes[rnd(sizeof(prefixes))];
    switch (rnd(8)) {
    case 0:
    case 1:
        p[k] = 0x0f;
        break;
    case 2:
        p[k++] = 0x0f;
        p[k] = rnd(2) ? 0x38 : 0x3a;
        break;
    case 3:
        p[k] = rnd(2) ? 0xc5 : 0xc4;
        break;
    case 4:
        p[k] = 0x62;
        break;
    default:
        break;
    }
}

static void compare(const struct insn_decoder *d, const uint8_t *p, unsigned avail)
{
    struct insn a, b;

    memset(&a, 0x11, sizeof(a));
    memset(&b, 0x22, sizeof(b));
    enum insn_result ra = insn_decode(d, p, avail, &a);
    enum insn_result rb = insn_decode_full(d, p, avail, &b);
    if (ra == rb && (ra != INSN_OK || memcmp(&a, &b, sizeof(a)) == 0))
        return;
    printf("mode %u, %u bytes:", d->mode, avail);
    for (unsigned i = 0; i < avail; i++)
        printf(" %02x", p[i]);
    printf("\n");
    fail();
}

static void run(unsigned bits, bool long_mode, unsigned count)
{
    struct insn_cache *cache = insn_cache_create();
    struct insn_decoder d;
    uint8_t p[16];
    struct insn in;

    assert_non_null(cache);
    insn_decoder_init(&d, bits, long_mode, cache);
    for (unsigned i = 0; i < count; i++) {
        make(p);
        compare(&d, p, 16);
        /* The same instruction with other numbers, which are at its end. */
        for (unsigned k = 0; k < 4 && insn_decode_full(&d, p, 16, &in) == INSN_OK; k++) {
            unsigned from = in.len - rnd(in.len < 9 ? in.len : 9u);
            for (unsigned j = from; j < 16; j++)
                p[j] = (uint8_t)rnd(256);
            compare(&d, p, 1 + rnd(16));
            compare(&d, p, 16);
        }
    }
    insn_cache_destroy(cache);
}

static void code64(void **state)
{
    run(64, true, 400000);
}

static void code32(void **state)
{
    run(32, true, 100000);
    run(32, false, 100000);
}

static void code16(void **state)
{
    run(16, true, 100000);
    run(16, false, 100000);
}

/* What is common comes from the cache the second time, whatever its numbers. */
static void hits(void **state)
{
    static const uint8_t common[][16] = {
        {0x48, 0x89, 0xe5},                         /* mov rbp, rsp */
        {0x48, 0x8b, 0x45, 0xf8},                   /* mov rax, [rbp-8] */
        {0x8b, 0x05, 0x11, 0x22, 0x33, 0x44},       /* mov eax, [rip+disp32] */
        {0x42, 0x8b, 0x84, 0x8b, 1, 2, 3, 4},       /* mov eax, [rbx+r9*4+disp32] */
        {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8},       /* mov rax, imm64 */
        {0x66, 0x81, 0xc1, 0x34, 0x12},             /* add cx, imm16 */
        {0xf6, 0x45, 0x10, 0x20},                   /* test byte [rbp+16], imm8 */
        {0xf7, 0xd8},                               /* neg eax */
        {0x0f, 0x84, 1, 2, 3, 4},                   /* jz rel32 */
        {0xe8, 1, 2, 3, 4},                         /* call rel32 */
        {0xc3},                                     /* ret */
        {0xf3, 0x0f, 0x6f, 0x44, 0x24, 0x20},       /* movdqu xmm0, [rsp+32] */
        {0xc5, 0xfe, 0x6f, 0x87, 1, 2, 3, 4},       /* vmovdqu ymm0, [rdi+disp32] */
        {0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x47, 0x01}, /* vmovdqu64 zmm0, [rdi+64] */
        {0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x1a},       /* pcmpistri xmm0, xmm1, imm8 */
        {0xc8, 0x10, 0x00, 0x00},                   /* enter */
    };
    struct insn_cache *cache = insn_cache_create();
    struct insn_decoder d;
    struct insn room;
    unsigned n = 0;

    assert_non_null(cache);
    insn_decoder_init(&d, 64, true, cache);
    for (unsigned i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
        assert_ptr_equal(insn_look(&d, common[i], 16, &room), &room);
        n += insn_look(&d, common[i], 16, &room) != &room;
    }
    assert_int_equal(n, sizeof(common) / sizeof(common[0]) - 2); /* not EVEX, not ENTER */
    insn_cache_destroy(cache);
}

/* Modes share the cache. */
static void modes(void **state)
{
    struct insn_cache *cache = insn_cache_create();
    struct insn_decoder d[3];
    uint8_t p[16];

    assert_non_null(cache);
    insn_decoder_init(&d[0], 64, true, cache);
    insn_decoder_init(&d[1], 32, true, cache);
    insn_decoder_init(&d[2], 32, false, cache);
    for (unsigned i = 0; i < 100000; i++) {
        make(p);
        for (unsigned k = 0; k < 6; k++)
            compare(&d[k % 3], p, 16);
    }
    insn_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code64), cmocka_unit_test(code32), cmocka_unit_test(code16),
        cmocka_unit_test(hits),   cmocka_unit_test(modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
