/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest machine of differential testing: its memory map, and what guest.c and driver.c share.
 */
#ifndef TESTS_ENGINE_DIFF_GUEST_INTERNAL_H
#define TESTS_ENGINE_DIFF_GUEST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "diff.h"
#include "engine/engine.h"

#define KERNEL_BASE 0xffff9a5b5c000000ull /* linear address of guest-physical 0 */
#define RAM_SIZE (16u << 20)
#define GPA_GDT 0x3000u
#define GPA_IDT 0x4000u
#define GPA_TSS 0x5000u
#define GPA_STUBS 0x6000u /* 16 bytes each */
#define GPA_STACK_TOP 0x9000u
#define GPA_TABLES 0x10000u
#define GPA_KERNEL_END 0x30000u
#define GPA_DRIVER_IDT 0xa000u
#define GPA_DRIVER 0xb000u /* code and its variables, then its stubs */
#define GPA_LDT 0xe000u
#define GPA_CODE 0x100000u
#define GPA_DATA 0x300000u
#define GPA_RING 0x800000u /* the driver's cases */
#define GPA_RING_END 0xa00000u
#define TICK_MS 10 /* of the watchdog */
#define STUB_SIZE 16u
#define IRQ_VECTOR 0x20u /* its handler returns at once */

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

struct subject {
    const struct engine_ops *ops;
    struct engine *engine;
    struct engine_vcpu *vcpu;
    struct engine_host host;
    struct ram *ram;
    struct cpuid_table cpuid;
    struct x86_cpu base; /* what all cases have in common */
    uint64_t xcr0;
    gpa_t next_table;
    gpa_t data[2], data_pte[2], readonly;
    uint32_t last_code, last_code_len;
    pthread_t watchdog, interrupter;
    unsigned patience; /* of the watchdog, in ticks */
    bool interrupts;
    atomic_bool irq; /* an interrupt is pending */
    _Atomic uint64_t irqs;
    _Atomic uint64_t runs;
    uint64_t counted; /* instructions */
    atomic_bool running, stop, hung;
};

void subject_put(struct subject *s, gpa_t gpa, const void *buf, size_t len);
void subject_get(struct subject *s, gpa_t gpa, void *buf, size_t len);
void subject_put64(struct subject *s, gpa_t gpa, uint64_t value);
uint64_t subject_get64(struct subject *s, gpa_t gpa);
void subject_put_code(struct subject *s, uint32_t linear, const uint8_t *bytes, uint32_t len);
void subject_put_gate(struct subject *s, gpa_t idt, unsigned vector, uint64_t handler);
/* Page tables, descriptor tables, handlers, driver. */
void subject_build(struct subject *s, const uint8_t *readonly);
/* Memory of a case, and the CPU's state for it. */
void subject_prepare(struct subject *s, const struct diff_case *c, struct x86_cpu *x);
enum engine_exit subject_watched_run(struct subject *s);

/* Puts the driver into guest memory. */
void driver_build(struct subject *s);

#endif
