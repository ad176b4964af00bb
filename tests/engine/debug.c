/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debugger's side of the seam: steps, places and watched data, on flat 32-bit code that is hot
 * already or not translated yet. The guest must see none of it.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define CODE 0x1000u
#define DATA 0x5000u
#define STACK 0x8000u
#define MEMORY (1u << 20)

struct board {
    struct ram *ram;
    const struct engine_ops *ops;
    struct engine *engine;
    struct engine_vcpu *vcpu;
    struct cpuid_table cpuid;
    struct x86_cpu *cpu;
    bool pending;
};

static uint32_t port_read(void *opaque, unsigned vcpu, uint16_t port, unsigned size)
{
    return 0;
}

static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
}

static uint64_t mmio_read(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size)
{
    return 0;
}

static void mmio_write(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value, unsigned size)
{
}

static struct board *current;

static bool pending(void *opaque, unsigned vcpu)
{
    return current->pending;
}

static int take(void *opaque, unsigned vcpu)
{
    current->pending = false;
    return 0x20;
}

static bool no_nmi(void *opaque, unsigned vcpu)
{
    return false;
}

static const struct engine_host host = {
    .port_read = port_read,
    .port_write = port_write,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .interrupt_pending = pending,
    .interrupt_take = take,
    .nmi_take = no_nmi,
};

static void begin(struct board *b)
{
    struct err e = {0};

    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        b->cpu->seg[i] = (struct x86_segment){
            .selector = 0x10, .attr = i == X86_CS ? 0xc09b : 0xc093, .limit = UINT32_MAX};
    b->cpu->cr0 = 0x31;
    b->cpu->rip = CODE;
    b->cpu->rflags = 2;
    b->cpu->mp_state = X86_MP_RUNNABLE;
    b->cpu->gpr[X86_RSP] = STACK;
    assert_int_equal(b->ops->set_state(b->vcpu, b->cpu, &e), 0);
}

static void start(struct board *b, const uint8_t *code, unsigned n)
{
    struct err e = {0};

    memset(b, 0, sizeof(*b));
    current = b;
    b->ops = engine_find("bt");
    assert_non_null(b->ops);
    assert_int_equal(ram_create(&b->ram, MEMORY, &e), 0);
    assert_int_equal(ram_add(b->ram, 0, MEMORY, false, &e), 0);
    assert_int_equal(cpuid_table_build(&b->cpuid, 1000000, 1, &e), 0);
    struct engine_config cfg = {.ram = b->ram, .host = &host, .cpuid = &b->cpuid, .vcpus = 1};
    assert_int_equal(b->ops->create(&cfg, &b->engine, &e), 0);
    assert_int_equal(b->ops->vcpu_create(b->engine, 0, &b->vcpu, &e), 0);
    assert_int_equal(ram_write(b->ram, CODE, code, n), 0);
    b->cpu = aligned_alloc(64, (sizeof(*b->cpu) + 63) & ~63ul);
    assert_non_null(b->cpu);
    x86_cpu_reset(b->cpu);
    begin(b);
}

static void finish(struct board *b)
{
    free(b->cpu);
    b->ops->vcpu_destroy(b->vcpu);
    b->ops->destroy(b->engine);
    ram_destroy(b->ram);
}

static uint64_t rip(struct board *b)
{
    b->ops->get_state(b->vcpu, b->cpu);
    return b->cpu->rip;
}

static enum engine_exit run(struct board *b)
{
    enum engine_exit why = b->ops->run(b->vcpu);

    while (why == ENGINE_EXIT_KICKED)
        why = b->ops->run(b->vcpu);
    return why;
}

static void step(struct board *b)
{
    struct engine_debug_stop stop;

    b->ops->debug_step(b->vcpu, true);
    assert_int_equal(run(b), ENGINE_EXIT_DEBUG);
    b->ops->debug_step(b->vcpu, false);
    b->ops->debug_stop(b->vcpu, &stop);
    assert_int_equal(stop.why, ENGINE_DEBUG_STEP);
}

static void points(struct board *b, const struct engine_point *p, unsigned n)
{
    assert_int_equal(b->ops->debug_points(b->engine, p, n), 0);
}

/* Runs to the next point; it has to be of this kind, and the next instruction there. */
static struct engine_debug_stop stop_at(struct board *b, enum engine_point_kind kind,
                                        uint64_t where)
{
    struct engine_debug_stop stop;

    assert_int_equal(run(b), ENGINE_EXIT_DEBUG);
    b->ops->debug_stop(b->vcpu, &stop);
    assert_int_equal(stop.why, ENGINE_DEBUG_POINT);
    assert_int_equal(stop.point.kind, kind);
    assert_int_equal(rip(b), where);
    return stop;
}

/* 1000 mov ecx, 5; 1005 inc [DATA]; 100b inc eax; 100c mov edx, [DATA]; 1012 dec ecx; 1013 jnz
 * 1005; 1015 pushf; 1016 pop ebx; 1017 hlt */
static const uint8_t loop[] = {0xb9, 5,    0, 0,    0, 0xff, 0x05, 0,    0x50, 0,    0,    0x40,
                               0x8b, 0x15, 0, 0x50, 0, 0,    0x49, 0x75, 0xf0, 0x9c, 0x5b, 0xf4};

static void test_step(void **state)
{
    static const uint64_t round[] = {0x1005, 0x100b, 0x100c, 0x1012, 0x1013};
    struct board b;

    start(&b, loop, sizeof(loop));
    assert_int_equal(rip(&b), 0x1000);
    for (unsigned i = 0; i < 25; i++) {
        step(&b);
        assert_int_equal(rip(&b), round[i % 5]);
    }
    for (uint64_t at = 0x1015; at <= 0x1018; at++) {
        step(&b);
        assert_int_equal(rip(&b), at);
    }
    assert_int_equal(b.cpu->gpr[X86_RBX] & 0x100, 0); /* no TF */
    assert_int_equal(b.cpu->gpr[X86_RBX] & 0x40, 0x40);
    assert_int_equal(b.cpu->gpr[X86_RDX], 5);
    assert_int_equal(b.cpu->mp_state, X86_MP_HALTED);
    finish(&b);
}

static void test_place(void **state)
{
    const struct engine_point p[] = {{.kind = ENGINE_POINT_EXEC, .lin = 0x100b}};
    struct board b;

    start(&b, loop, sizeof(loop));
    for (unsigned again = 0; again < 2; again++) { /* the second time all is translated */
        points(&b, p, 1);
        for (unsigned i = 1; i <= 5; i++) {
            stop_at(&b, ENGINE_POINT_EXEC, 0x100b);
            assert_int_equal(b.cpu->gpr[X86_RAX], again * 5 + i - 1);
            stop_at(&b, ENGINE_POINT_EXEC, 0x100b); /* still in front of it */
            step(&b);
            assert_int_equal(rip(&b), 0x100c);
        }
        points(&b, NULL, 0);
        assert_int_equal(run(&b), ENGINE_EXIT_HALT);
        begin(&b);
    }
    assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    assert_int_equal(rip(&b), 0x1018);
    assert_int_equal(b.cpu->gpr[X86_RAX], 15);
    finish(&b);
}

/* A place that a jump of the running block leads to, its own start included; and one of another
 * page with the same offset. */
static void test_place_of_a_loop(void **state)
{
    const struct engine_point first[] = {{.kind = ENGINE_POINT_EXEC, .lin = 0x1005}};
    const struct engine_point other[] = {{.kind = ENGINE_POINT_EXEC, .lin = 0x2005}};
    struct board b;

    start(&b, loop, sizeof(loop));
    assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    begin(&b);
    points(&b, first, 1);
    for (unsigned i = 0; i < 5; i++) {
        stop_at(&b, ENGINE_POINT_EXEC, 0x1005);
        step(&b);
    }
    points(&b, other, 1);
    assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    assert_int_equal(rip(&b), 0x1018);
    finish(&b);
}

/* Flags that nothing reads any more are there at a place all the same: cmp eax, eax; nop; nop; xor
 * eax, eax; hlt */
static void test_flags_at_a_place(void **state)
{
    static const uint8_t code[] = {0x39, 0xc0, 0x90, 0x90, 0x83, 0xc8, 0x01, 0xf4};
    const struct engine_point p[] = {{.kind = ENGINE_POINT_EXEC, .lin = 0x1003}};
    struct board b;

    start(&b, code, sizeof(code));
    points(&b, p, 1);
    stop_at(&b, ENGINE_POINT_EXEC, 0x1003);
    assert_int_equal(b.cpu->rflags & 0x8d5, 0x44);
    finish(&b);
}

static void test_watch(void **state)
{
    static const struct {
        enum engine_point_kind kind;
        uint64_t lin, len;
        uint64_t stop[2]; /* in each round; 0: none */
    } t[] = {
        {ENGINE_POINT_WRITE, DATA, 4, {0x100b}},
        {ENGINE_POINT_WRITE, DATA + 3, 1, {0x100b}},
        {ENGINE_POINT_READ, DATA, 4, {0x100b, 0x1012}},
        {ENGINE_POINT_ACCESS, DATA - 2, 3, {0x100b, 0x1012}},
        {ENGINE_POINT_ACCESS, DATA + 4, 8, {0}},
        {ENGINE_POINT_WRITE, DATA - 4, 4, {0}},
    };
    struct board b;

    start(&b, loop, sizeof(loop));
    for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
        const struct engine_point p = {.kind = t[k].kind, .lin = t[k].lin, .len = t[k].len};
        begin(&b);
        points(&b, &p, 1);
        for (unsigned i = 0; i < 5; i++)
            for (unsigned j = 0; j < 2 && t[k].stop[j] != 0; j++) {
                struct engine_debug_stop s = stop_at(&b, t[k].kind, t[k].stop[j]);
                assert_true(s.lin - t[k].lin < t[k].len && s.lin - DATA < 4);
            }
        assert_int_equal(run(&b), ENGINE_EXIT_HALT);
        points(&b, NULL, 0);
        begin(&b);
        assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    }
    assert_int_equal(rip(&b), 0x1018);
    assert_int_equal(b.cpu->gpr[X86_RDX], 2 * 5 * sizeof(t) / sizeof(t[0]));
    finish(&b);
}

/* mov edi, DATA - 8; mov ecx, 5; rep stosd; nop; hlt: the repetition stops behind the third. */
static void test_watch_string(void **state)
{
    static const uint8_t code[] = {0xbf, 0xf8, 0x4f, 0,    0,    0xb9, 5,
                                   0,    0,    0,    0xf3, 0xab, 0x90, 0xf4};
    const struct engine_point p = {.kind = ENGINE_POINT_WRITE, .lin = DATA, .len = 4};
    struct board b;

    start(&b, code, sizeof(code));
    points(&b, &p, 1);
    stop_at(&b, ENGINE_POINT_WRITE, 0x100a);
    assert_int_equal(b.cpu->gpr[X86_RCX], 2);
    assert_int_equal(b.cpu->gpr[X86_RDI], DATA + 4);
    assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    finish(&b);
}

/* sti; hlt; nop; hlt, with a handler at 1100: inc eax; iret. An interrupt waits while steps are
 * made, and ends HLT. */
static void test_interrupts(void **state)
{
    static const uint8_t code[] = {0xfb, 0x90, 0x90, 0xf4, 0x90, 0xf4}, handler[] = {0x40, 0xcf};
    static const uint64_t gate = 0x00008e0000101100, flat = 0x00cf9b000000ffff;
    struct board b;
    struct err e = {0};

    start(&b, code, sizeof(code));
    assert_int_equal(ram_write(b.ram, 0x1100, handler, sizeof(handler)), 0);
    assert_int_equal(ram_write(b.ram, 0x3000 + 0x20 * 8, &gate, 8), 0);
    assert_int_equal(ram_write(b.ram, 0x4010, &flat, 8), 0);
    b.cpu->idtr = (struct x86_table){.base = 0x3000, .limit = 0x7ff};
    b.cpu->gdtr = (struct x86_table){.base = 0x4000, .limit = 0x1f};
    assert_int_equal(b.ops->set_state(b.vcpu, b.cpu, &e), 0);
    b.pending = true;
    b.ops->kick(b.vcpu, false);
    for (uint64_t at = 0x1001; at <= 0x1004; at++) {
        step(&b);
        assert_int_equal(rip(&b), at);
    }
    assert_true(b.pending);
    step(&b); /* in HLT: the interrupt comes */
    assert_int_equal(rip(&b), 0x1100);
    assert_false(b.pending);
    step(&b);
    step(&b);
    assert_int_equal(rip(&b), 0x1004);
    assert_int_equal(b.cpu->gpr[X86_RAX], 1);
    b.pending = true; /* and it is not lost where no step is made any more */
    step(&b);
    assert_int_equal(rip(&b), 0x1005);
    assert_int_equal(run(&b), ENGINE_EXIT_HALT);
    assert_int_equal(rip(&b), 0x1006);
    assert_int_equal(b.cpu->gpr[X86_RAX], 2);
    finish(&b);
}

static void test_too_many(void **state)
{
    struct engine_point p[ENGINE_MAX_POINTS + 1] = {{0}};
    struct board b;

    start(&b, loop, sizeof(loop));
    assert_int_equal(b.ops->debug_points(b.engine, p, ENGINE_MAX_POINTS + 1), -ENOSPC);
    points(&b, p, ENGINE_MAX_POINTS);
    points(&b, NULL, 0);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_place_of_a_loop),
        cmocka_unit_test(test_flags_at_a_place),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_watch_string),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
