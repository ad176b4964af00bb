/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bench's programs are one static binary, and one of 32 bits, so that native and every guest
 * run the same code.
 *
 * A measure is a function that does an operation n times. The frame finds an n that takes long
 * enough, repeats that, and prints one line: `bench NAME NANOSECONDS BYTES`, the best time of one
 * operation and how many bytes it moves (0: it is no matter of bytes), or `skip NAME REASON`
 * where the processor lacks something, or `fail NAME REASON`.
 */
#ifndef DOPPEL_BENCH_H
#define DOPPEL_BENCH_H

#include <stddef.h>
#include <stdint.h>

struct measure {
    const char *name;
    void (*run)(unsigned long n);
    /* Called once before; NULL: nothing to prepare. Returns NULL, or why it cannot run here. */
    const char *(*prepare)(void);
    void (*finish)(void);
    size_t bytes;
};

/* Compute is measured as 32-bit code, too, by a program of its own. */
#ifdef __i386__
#define INT "int32."
#define FP "fp32."
#else
#define INT "int."
#define FP "fp."
#endif

/* Each file's measures end with an entry without a name. */
extern const struct measure integer_measures[], float_measures[], simd_measures[],
    memory_measures[], kernel_measures[], process_measures[], io_measures[];

/* What a measure computes goes here, so that the compiler cannot leave it out. */
extern volatile uint64_t bench_sink;

/* Ends the program with a sentence: a measure that fails has no time. */
void bench_fail(const char *what) __attribute__((noreturn));

/* Memory from mmap, touched; never NULL. */
void *bench_memory(size_t size);

/* A fixed sequence of numbers, the same everywhere. */
uint32_t bench_random(void);
void bench_random_seed(uint32_t seed);

uint64_t bench_now(void); /* nanoseconds, monotonic */

/* The other mode, for programs that exist; `names` ends with NULL. Returns the exit status. */
int commands_run(const char *file, char **names);

#endif
