/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: reading choices from the fuzzer's input, and a way to stop at once
 * when a target finds something wrong that is no crash by itself.
 *
 * A target is one file with LLVMFuzzerTestOneInput. It must not depend on what earlier inputs left
 * behind, touch nothing outside the process, and finish within milliseconds.
 */
#ifndef DOPPEL_FUZZ_FUZZ_H
#define DOPPEL_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(x) \
    do {                \
        if (!(x))       \
            abort();    \
    } while (0)

struct fuzz_input {
    const uint8_t *p;
    size_t left;
};

/* The next `n` (<= 8) bytes as a little-endian number; zeros when the input has ended. */
static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned n)
{
    uint64_t v = 0;
    size_t have = n < in->left ? n : in->left;
    if (have > 0)
        memcpy(&v, in->p, have);
    in->p += have;
    in->left -= have;
    return v;
}

#define fuzz_u8(in) ((uint8_t)fuzz_take(in, 1))
#define fuzz_u16(in) ((uint16_t)fuzz_take(in, 2))
#define fuzz_u32(in) ((uint32_t)fuzz_take(in, 4))

/* 1, 2, 4 or, if `wide`, 8. */
static inline unsigned fuzz_size(struct fuzz_input *in, int wide)
{
    return 1u << (fuzz_u8(in) % (wide ? 4 : 3));
}

#endif
