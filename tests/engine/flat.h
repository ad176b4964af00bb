/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine of one engine, memory and next to no devices, for tests that compare engines. */
#ifndef DOPPEL_TESTS_ENGINE_FLAT_H
#define DOPPEL_TESTS_ENGINE_FLAT_H

#include <stdbool.h>
#include <stdio.h>

#include "engine/engine.h"

#define FLAT_MEMORY (1u << 20)
#define FLAT_ROM 0x1000000u /* read-only */
#define FLAT_ROM_SIZE 0x10000u
#define FLAT_CODE 0x8000u
#define FLAT_STACK 0x7000u
#define FLAT_STOP_PORT 0xf4u /* a write ends flat_run */

struct flat {
    const struct engine_ops *ops;
    struct engine *engine;
    struct engine_vcpu *vcpu;
    struct ram *ram;
    struct cpuid_table cpuid;
    struct engine_host host;
    unsigned cr8;
    int vector;     /* of the interrupt that waits, or -1 */
    bool nmi, stop; /* an NMI waits; the guest wrote to FLAT_STOP_PORT */
    uint64_t reads, writes;
    struct x86_cpu *cpu; /* room for a state */
};

/* false: this host does not run the engine; `e` says why. */
bool flat_open(struct flat *f, const char *engine, struct err *e);
void flat_close(struct flat *f);

/* Flat 32-bit code without paging at FLAT_CODE. */
void flat_start(struct flat *f, const void *code, unsigned len);
/* Until the guest stops or halts; false: it ended otherwise. */
bool flat_run(struct flat *f);

/* The first thing in which two CPUs differ, as words, or NULL. What a processor may leave as it
 * likes is not compared. */
const char *flat_difference(const struct x86_cpu *a, const struct x86_cpu *b);
void flat_print(FILE *out, const char *name, const struct x86_cpu *cpu);

#endif
