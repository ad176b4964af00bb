/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices write to code: what a guest calls after it has looked at the device is what is there now,
 * whether the page was only written by the device, by the guest as well, or holds the caller, too.
 */
#include "quiet.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define CALLER 0x1000u
#define FLAG 0x5000u
#define STACK 0x8000u
#define MEMORY (1u << 20)

struct board {
    struct ram *ram;
    const struct engine_ops *ops;
    struct engine *engine;
    struct engine_vcpu *vcpu;
    struct engine_host host;
    struct cpuid_table cpuid;
    uint32_t function; /* mov eax, imm32; ret */
    uint32_t rounds;
    _Atomic uint32_t seen; /* calls that returned */
    unsigned wrong;
};

static void put(struct board *b, uint32_t at, const void *bytes, unsigned n)
{
    assert_int_equal(ram_write(b->ram, at, bytes, n), 0);
}

/* 0x10: the device writes the function's number now. 0x11: what the function returned. */
static void port_write(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
    struct board *b = opaque;
    uint32_t next = atomic_load(&b->seen) + 1;

    if (port == 0x10) {
        if (ram_write(b->ram, b->function + 1, &next, 4) != 0)
            b->wrong++;
        return;
    }
    b->wrong += value != next;
    atomic_store(&b->seen, next);
    if (next == b->rounds || b->wrong != 0)
        b->ops->kick(b->vcpu, true);
}

/* Flat 32-bit code without paging, at CALLER. */
static void start(struct board *b, const uint8_t *code, unsigned n, uint32_t function)
{
    static const uint8_t body[] = {0xb8, 0, 0, 0, 0, 0xc3};
    struct x86_cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);
    struct err e = {0};

    memset(b, 0, sizeof(*b));
    b->host = quiet_host(port_write);
    b->host.opaque = b;
    b->ops = engine_find("bt");
    assert_non_null(b->ops);
    assert_int_equal(ram_create(&b->ram, MEMORY, &e), 0);
    assert_int_equal(ram_add(b->ram, 0, MEMORY, false, &e), 0);
    assert_int_equal(cpuid_table_build(&b->cpuid, 1000000, 1, &e), 0);
    struct engine_config cfg = {.ram = b->ram, .host = &b->host, .cpuid = &b->cpuid, .vcpus = 1};
    assert_int_equal(b->ops->create(&cfg, &b->engine, &e), 0);
    assert_int_equal(b->ops->vcpu_create(b->engine, 0, &b->vcpu, &e), 0);
    b->function = function;
    put(b, CALLER, code, n);
    put(b, function, body, sizeof(body));
    x86_cpu_reset(cpu);
    cpu->cr0 = 0x31;
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        cpu->seg[i] = (struct x86_segment){
            .selector = 0x10, .attr = i == X86_CS ? 0xc09b : 0xc093, .limit = UINT32_MAX};
    cpu->rip = CALLER;
    cpu->gpr[X86_RSP] = STACK;
    assert_int_equal(b->ops->set_state(b->vcpu, cpu, &e), 0);
    free(cpu);
}

static void finish(struct board *b)
{
    b->ops->vcpu_destroy(b->vcpu);
    b->ops->destroy(b->engine);
    ram_destroy(b->ram);
}

static void run(struct board *b, uint32_t rounds)
{
    b->rounds = rounds;
    while (atomic_load(&b->seen) < rounds && b->wrong == 0)
        assert_int_equal(b->ops->run(b->vcpu), ENGINE_EXIT_KICKED);
    assert_int_equal(b->wrong, 0);
}

/* out; a loop, in which the engine looks at what devices did; incl [data]; call; out; again */
static void by_command(uint32_t function, uint32_t data)
{
    uint8_t code[] = {0xe6, 0x10, 0xb9, 3,    0, 0, 0, 0x49, 0x75, 0xfd, 0xff, 0x05, 0,
                      0,    0,    0,    0xe8, 0, 0, 0, 0,    0xe7, 0x11, 0xeb, 0xe7};
    uint32_t distance = function - (CALLER + 21);
    struct board b;

    memcpy(code + 12, &data, 4);
    memcpy(code + 17, &distance, 4);
    start(&b, code, sizeof(code), function);
    run(&b, 500);
    finish(&b);
}

static void other_page(void **state)
{
    by_command(0x2000, 0x6000);
}

static void page_with_data(void **state)
{
    by_command(0x2000, 0x2800);
}

static void same_page(void **state)
{
    by_command(0x1800, 0x6000);
}

static void same_page_with_data(void **state)
{
    by_command(0x1800, 0x1c00);
}

/* A device thread writes the number, then a flag that the guest waits for. */
static void *device(void *opaque)
{
    struct board *b = opaque;

    for (uint32_t n = 1; n <= b->rounds; n++) {
        while (atomic_load(&b->seen) + 1 < n)
            ;
        if (ram_write(b->ram, b->function + 1, &n, 4) != 0 || ram_write(b->ram, FLAG, &n, 4) != 0)
            abort();
    }
    return NULL;
}

/* inc esi; wait until [FLAG] is esi; a loop; incl [data]; call; out; again */
static void by_thread(uint32_t function, uint32_t data)
{
    uint8_t code[] = {0x46, 0x39, 0x35, 0, 0x50, 0,    0,    0x75, 0xf8,
                      0xb9, 3,    0,    0, 0,    0x49, 0x75, 0xfd};
    uint8_t rest[] = {0xff, 0x05, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xe7, 0x11, 0xeb, 0xe0};
    uint32_t distance = function - (CALLER + 28);
    pthread_t thread;
    struct board b;

    memcpy(rest + 2, &data, 4);
    memcpy(rest + 7, &distance, 4);
    start(&b, code, sizeof(code), function);
    put(&b, CALLER + sizeof(code), rest, sizeof(rest));
    b.rounds = 300;
    assert_int_equal(pthread_create(&thread, NULL, device, &b), 0);
    run(&b, 300);
    pthread_join(thread, NULL);
    finish(&b);
}

static void thread_other_page(void **state)
{
    by_thread(0x2000, 0x6000);
}

static void thread_page_with_data(void **state)
{
    by_thread(0x2000, 0x2800);
}

static void thread_same_page(void **state)
{
    by_thread(0x1800, 0x1c00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_page),        cmocka_unit_test(page_with_data),
        cmocka_unit_test(same_page),         cmocka_unit_test(same_page_with_data),
        cmocka_unit_test(thread_other_page), cmocka_unit_test(thread_page_with_data),
        cmocka_unit_test(thread_same_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
