/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several vCPUs, a thread each, on a board without devices: atomic instructions, the order of
 * memory accesses, code that another vCPU writes, pages that move. They start in 64-bit mode.
 */
#include "smp.h"
#include "quiet.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

extern const uint8_t smp_guest_begin[], smp_guest_end[];
extern const uint8_t smp_atomics[], smp_sb[], smp_sb_mfence[], smp_sb_locked[], smp_message[],
    smp_load_buffer[], smp_iriw[], smp_cross[], smp_beside[], smp_shootdown[], smp_turns[];

#define CPUS 64

struct board {
    struct ram *ram;
    const struct engine_ops *ops;
    struct engine *engine;
    struct engine_host host;
    struct cpuid_table cpuid;
    unsigned cpus;
    struct cpu {
        struct board *board;
        struct engine_vcpu *vcpu;
        pthread_t thread;
        _Atomic bool done;
        enum engine_exit why;
    } cpu[CPUS];
};

static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
    struct board *b = opaque;

    atomic_store(&b->cpu[vcpu].done, true);
    b->ops->kick(b->cpu[vcpu].vcpu, true);
}

static void put(struct board *b, uint32_t at, const void *bytes, size_t n)
{
    assert_int_equal(ram_write(b->ram, at, bytes, n), 0);
}

static uint64_t get(struct board *b, uint32_t at, unsigned n)
{
    uint64_t v = 0;

    assert_int_equal(ram_read(b->ram, at, &v, n), 0);
    return v;
}

/* All memory in pages of 2 MB, but the 2 MB around WINDOW. */
static void map(struct board *b)
{
    uint64_t pml4 = (TABLES + 0x1000) | 3, pdpt = (TABLES + 0x2000) | 3;

    put(b, TABLES, &pml4, 8);
    put(b, TABLES + 0x1000, &pdpt, 8);
    for (uint64_t i = 0; i < MEMORY >> 21; i++) {
        uint64_t e = i << 21 | 0x83;
        if (i == WINDOW >> 21)
            e = (TABLES + 0x3000) | 3;
        put(b, TABLES + 0x2000 + (uint32_t)i * 8, &e, 8);
    }
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t e = (WINDOW + i * 4096) | 3;
        put(b, TABLES + 0x3000 + (uint32_t)i * 8, &e, 8);
    }
}

static void create(struct board *b, unsigned cpus)
{
    struct err e = {0};

    memset(b, 0, sizeof(*b));
    b->host = quiet_host(port_write);
    b->host.opaque = b;
    b->cpus = cpus;
    b->ops = engine_find("bt");
    assert_non_null(b->ops);
    assert_int_equal(ram_create(&b->ram, MEMORY, &e), 0);
    assert_int_equal(ram_add(b->ram, 0, MEMORY, false, &e), 0);
    assert_int_equal(cpuid_table_build(&b->cpuid, 1000000, cpus, &e), 0);
    struct engine_config cfg = {.ram = b->ram, .host = &b->host, .cpuid = &b->cpuid, .vcpus = cpus};
    assert_int_equal(b->ops->create(&cfg, &b->engine, &e), 0);
    for (unsigned i = 0; i < cpus; i++) {
        b->cpu[i].board = b;
        assert_int_equal(b->ops->vcpu_create(b->engine, i, &b->cpu[i].vcpu, &e), 0);
    }
    put(b, CODE, smp_guest_begin, (size_t)(smp_guest_end - smp_guest_begin));
    map(b);
}

static void destroy(struct board *b)
{
    for (unsigned i = 0; i < b->cpus; i++)
        b->ops->vcpu_destroy(b->cpu[i].vcpu);
    b->ops->destroy(b->engine);
    ram_destroy(b->ram);
}

static void *cpu_main(void *opaque)
{
    struct cpu *c = opaque;

    while (!atomic_load(&c->done)) {
        c->why = c->board->ops->run(c->vcpu);
        if (c->why != ENGINE_EXIT_KICKED)
            break;
    }
    return NULL;
}

/* Registers beyond what all programs have. */
struct start {
    const uint8_t *program;
    unsigned rounds;
    uint64_t r13, r14, rbp;
};

static void set_up(struct board *b, unsigned i, const struct start *s, struct x86_cpu *cpu)
{
    struct err e = {0};

    x86_cpu_reset(cpu);
    cpu->cr0 = 0x80010033;
    cpu->cr3 = TABLES;
    cpu->cr4 = 0x200620; /* SMAP OSXMMEXCPT OSFXSR PAE */
    cpu->efer = 0xd00;
    for (unsigned k = 0; k < X86_SEG_COUNT; k++)
        cpu->seg[k] = (struct x86_segment){
            .selector = 0x10, .attr = k == X86_CS ? 0xa09b : 0xc093, .limit = UINT32_MAX};
    cpu->rip = (uint64_t)(CODE + (s->program - smp_guest_begin));
    cpu->gpr[X86_RSP] = STACKS + i * 0x1000 + 0xf00;
    cpu->gpr[X86_RBX] = DATA;
    cpu->gpr[X86_RDI] = i;
    cpu->gpr[X86_RSI] = s->rounds;
    cpu->gpr[13] = s->r13;
    cpu->gpr[14] = s->r14;
    cpu->gpr[15] = b->cpus;
    cpu->gpr[X86_RBP] = s->rbp;
    assert_int_equal(b->ops->set_state(b->cpu[i].vcpu, cpu, &e), 0);
}

static void run(struct board *b, const struct start *s)
{
    struct x86_cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);

    assert_non_null(cpu);
    for (unsigned i = 0; i < b->cpus; i++)
        set_up(b, i, s, cpu);
    free(cpu);
    for (unsigned i = 0; i < b->cpus; i++)
        assert_int_equal(pthread_create(&b->cpu[i].thread, NULL, cpu_main, &b->cpu[i]), 0);
    for (unsigned i = 0; i < b->cpus; i++)
        pthread_join(b->cpu[i].thread, NULL);
    for (unsigned i = 0; i < b->cpus; i++)
        if (b->cpu[i].why != ENGINE_EXIT_KICKED)
            fail_msg("vCPU %u: %s", i, b->ops->strerror(b->cpu[i].vcpu));
    assert_int_equal(get(b, DATA + WRONG, 4), 0);
}

static void atomics_of(unsigned cpus, unsigned rounds)
{
    struct board b;

    create(&b, cpus);
    run(&b, &(struct start){.program = smp_atomics, .rounds = rounds});
    assert_int_equal(get(&b, DATA + COUNT, 4), cpus * rounds);
    assert_int_equal(get(&b, DATA + SPLIT, 4), cpus * rounds);
    assert_int_equal(get(&b, DATA + XADD, 8), cpus * rounds);
    assert_int_equal(get(&b, DATA + XSPLIT, 8), cpus * rounds);
    assert_int_equal(get(&b, DATA + PLAIN, 8), cpus * rounds);
    destroy(&b);
}

static void atomics(void **state)
{
    atomics_of(3, 3000);
}

static void many(void **state)
{
    atomics_of(64, 30);
}

/* ---- litmus ---------------------------------------------------------------------------------- */

#define ELEMENTS 200000

struct seen {
    uint32_t r[4];
};

typedef bool forbidden_fn(const struct seen *s);

static unsigned litmus(const uint8_t *program, unsigned cpus, forbidden_fn *forbidden)
{
    static const uint32_t at[4] = {R0, R1, R2, R3};
    unsigned n = 0;
    struct board b;

    create(&b, cpus);
    run(&b, &(struct start){.program = program, .rounds = ELEMENTS});
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        struct seen s;
        for (unsigned k = 0; k < 4; k++)
            s.r[k] = (uint32_t)get(&b, DATA + at[k] + i * 4, 4);
        n += forbidden(&s);
    }
    destroy(&b);
    return n;
}

static bool both_clear(const struct seen *s)
{
    return s->r[0] == 0 && s->r[1] == 0;
}

static bool flag_without_data(const struct seen *s)
{
    return s->r[0] == 1 && s->r[1] == 0;
}

static bool both_set(const struct seen *s)
{
    return s->r[0] == 1 && s->r[1] == 1;
}

static bool two_orders(const struct seen *s)
{
    return s->r[0] == 1 && s->r[1] == 0 && s->r[2] == 1 && s->r[3] == 0;
}

static void order(void **state)
{
    /* The host has a store buffer: without a fence this is seen, now and then. */
    print_message("store buffers without a fence: %u of %u\n", litmus(smp_sb, 2, both_clear),
                  ELEMENTS);
    assert_int_equal(litmus(smp_sb_mfence, 2, both_clear), 0);
    assert_int_equal(litmus(smp_sb_locked, 2, both_clear), 0);
    assert_int_equal(litmus(smp_message, 2, flag_without_data), 0);
    assert_int_equal(litmus(smp_load_buffer, 2, both_set), 0);
    assert_int_equal(litmus(smp_iriw, 4, two_orders), 0);
}

/* ---- code ------------------------------------------------------------------------------------ */

static void write_function(struct board *b, uint32_t at, uint32_t value)
{
    uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov eax, imm32; ret */

    memcpy(code + 1, &value, 4);
    put(b, at, code, sizeof(code));
}

/* others: vCPUs that call what vCPU 0 writes. */
static void cross(uint32_t function, uint32_t beside, unsigned others, unsigned rounds)
{
    struct board b;

    create(&b, 1 + others);
    write_function(&b, function, 0);
    run(&b,
        &(struct start){.program = smp_cross, .rounds = rounds, .r14 = function, .r13 = beside});
    assert_int_equal(get(&b, beside, 4), rounds * others);
    destroy(&b);
}

static void cross_modify(void **state)
{
    cross(FUNCTION, DATA + BESIDE, 1, 2000);
    cross(FUNCTION, FUNCTION + 0x800, 1, 2000);
    cross(FUNCTION, DATA + BESIDE, 3, 300);
    cross(FUNCTION, FUNCTION + 0x800, 3, 300);
    cross(CODE + 0xe00, DATA + BESIDE, 2, 300); /* in the page of the programs */
}

static void store_beside(void **state)
{
    struct board b;

    create(&b, 3);
    write_function(&b, FUNCTION, 7);
    run(&b, &(struct start){
                .program = smp_beside, .rounds = 300000, .r14 = FUNCTION, .r13 = FUNCTION + 0x804});
    assert_int_equal(get(&b, FUNCTION + 0x804, 4), 300000);
    destroy(&b);
}

/* ---- mappings -------------------------------------------------------------------------------- */

static void shootdown(void **state)
{
    struct board b;

    create(&b, 3);
    run(&b, &(struct start){.program = smp_shootdown,
                            .rounds = 1000,
                            .r13 = FRAMES,
                            .r14 = FRAMES + 0x1000,
                            .rbp = TABLES + 0x3000});
    destroy(&b);
}

/* More vCPUs than the host has processors, each waiting for the one before. */
static void turns(void **state)
{
    struct board b;

    create(&b, 16);
    run(&b, &(struct start){.program = smp_turns, .rounds = 200});
    assert_int_equal(get(&b, DATA + FLAG, 4), 16 * 200);
    destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atomics),      cmocka_unit_test(many),         cmocka_unit_test(order),
        cmocka_unit_test(cross_modify), cmocka_unit_test(store_beside), cmocka_unit_test(shootdown),
        cmocka_unit_test(turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
