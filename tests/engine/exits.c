/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What it costs a guest to leave its code, on every engine that this host runs; `make bench` shows
 * it. Prints "exit NAME ENGINE NANOSECONDS", the best of several batches, or "none ENGINE: WHY".
 *
 *   port, mmio   a write to a device that does nothing, and back
 *   halt         from an interrupt for a virtual CPU that sleeps in HLT to the first access of its
 *                handler
 *   kick         from the request to stop a virtual CPU that runs its own code until it has
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "flat.h"
#include "vm/vcpu.h"

enum { BATCHES = 8, ACCESSES = 20000, ROUNDS = 200, ANSWER_PORT = 0x81, VECTOR = 0x20 };

struct bench {
    struct flat f;
    struct vcpu v;
    _Atomic bool asked; /* an interrupt waits */
    _Atomic uint32_t answers;
};

static struct bench bench;

static uint64_t clock_of(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

static void say(const char *name, uint64_t ns)
{
    printf("exit %s %s %llu\n", name, bench.f.ops->name, (unsigned long long)ns);
    fflush(stdout);
}

/* --- accesses --- */

/* Code that does something 20,000 times and then stops. In processor time, of which others that run
 * here take none. */
static bool accesses(const char *name, const uint8_t *code, unsigned len)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t start, ns;

        flat_start(&bench.f, code, len);
        start = clock_of(CLOCK_THREAD_CPUTIME_ID);
        if (!flat_run(&bench.f))
            return false;
        ns = clock_of(CLOCK_THREAD_CPUTIME_ID) - start;
        best = ns < best ? ns : best;
    }
    say(name, best / ACCESSES);
    return true;
}

static bool ports(void)
{
    /* mov ecx, 20000; 1: out 0x80, al; dec ecx; jnz 1b; out 0xf4, al */
    static const uint8_t code[] = {0xb9, 0x20, 0x4e, 0x00, 0x00, 0xe6,
                                   0x80, 0x49, 0x75, 0xfb, 0xe6, 0xf4};

    return accesses("port", code, sizeof(code));
}

static bool mmio(void)
{
    /* mov ecx, 20000; 1: mov [0xfec00000], eax; dec ecx; jnz 1b; out 0xf4, al */
    static const uint8_t code[] = {0xb9, 0x20, 0x4e, 0x00, 0x00, 0xa3, 0x00, 0x00,
                                   0xc0, 0xfe, 0x49, 0x75, 0xf8, 0xe6, 0xf4};

    return accesses("mmio", code, sizeof(code));
}

/* --- a virtual CPU on its own thread --- */

static bool pending(void *opaque, unsigned vcpu)
{
    return bench.asked;
}

static int take(void *opaque, unsigned vcpu)
{
    return atomic_exchange(&bench.asked, false) ? VECTOR : -1;
}

static void answered(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size)
{
    bench.answers += port == ANSWER_PORT;
}

static void ended(void *opaque, unsigned index, enum engine_exit why)
{
    fprintf(stderr, "%s: exit %d: %s\n", bench.f.ops->name, why,
            bench.f.ops->strerror(bench.f.vcpu));
}

static bool start(const uint8_t *code, unsigned len)
{
    bench.asked = false;
    bench.f.host.interrupt_pending = pending;
    bench.f.host.interrupt_take = take;
    bench.f.host.port_write = answered;
    flat_start(&bench.f, code, len);
    memset(&bench.v, 0, sizeof(bench.v));
    bench.v.engine = bench.f.ops;
    bench.v.ev = bench.f.vcpu;
    bench.v.processor = -1;
    bench.v.ended = ended;
    vcpu_init(&bench.v);
    if (vcpu_start(&bench.v) < 0)
        return false;
    vcpu_continue(&bench.v);
    return true;
}

static void finish(void)
{
    vcpu_join(&bench.v);
    vcpu_finish(&bench.v);
}

/* Lets the other thread come to where it stays: asleep, or in its loop. */
static void settle(void)
{
    const struct timespec moment = {.tv_nsec = 200000};

    nanosleep(&moment, NULL);
}

/* One round's time, UINT64_MAX if it does not end; the best mean of a batch. */
static bool rounds(const char *name, uint64_t (*round)(void))
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t ns = 0;

        for (unsigned k = 0; k < ROUNDS; k++) {
            uint64_t one;

            settle();
            one = round();
            if (one == UINT64_MAX)
                return false;
            ns += one;
        }
        best = ns < best ? ns : best;
    }
    say(name, best / ROUNDS);
    return true;
}

static uint64_t interrupt_once(void)
{
    const uint64_t limit = UINT64_C(10000000000);
    uint32_t before = bench.answers;
    uint64_t begun = now_ns();

    bench.asked = true;
    bench.f.ops->kick(bench.f.vcpu, false);
    vcpu_wake(&bench.v);
    while (bench.answers == before)
        if (now_ns() - begun > limit)
            return UINT64_MAX;
    return now_ns() - begun;
}

static bool halts(void)
{
    /* lgdt [0x9000]; lidt [0x9008]; sti; 1: hlt; jmp 1b */
    static const uint8_t code[] = {0x0f, 0x01, 0x15, 0x00, 0x90, 0x00, 0x00, 0x0f, 0x01,
                                   0x1d, 0x08, 0x90, 0x00, 0x00, 0xfb, 0xf4, 0xeb, 0xfd};
    static const uint8_t handler[] = {0xe6, ANSWER_PORT, 0xcf}; /* out 0x81, al; iretd */
    static const uint8_t tables[] = {
        0x17, 0x00, 0x10, 0x90, 0x00, 0x00, 0x00, 0x00, /* GDT: limit, address */
        0x07, 0x01, 0x00, 0x91, 0x00, 0x00, 0x00, 0x00, /* IDT */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00,
        0x00, 0x9b, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
    };
    static const uint8_t gate[] = {0x00, 0x81, 0x08, 0x00, 0x00, 0x8e, 0x00, 0x00};
    bool good = ram_load(bench.f.ram, 0x9000, tables, sizeof(tables)) == 0 &&
                ram_load(bench.f.ram, 0x9100 + 8 * VECTOR, gate, sizeof(gate)) == 0 &&
                ram_load(bench.f.ram, 0x8100, handler, sizeof(handler)) == 0 &&
                start(code, sizeof(code));

    good = good && rounds("halt", interrupt_once);
    finish();
    return good;
}

static uint64_t stop_once(void)
{
    uint64_t begun = now_ns(), ns;

    vcpu_stop(&bench.v);
    ns = now_ns() - begun;
    vcpu_continue(&bench.v);
    return ns;
}

static bool kicks(void)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd}; /* 1: inc eax; jmp 1b */
    bool good = start(code, sizeof(code)) && rounds("kick", stop_once);

    finish();
    return good;
}

/* All of an engine, each in a machine of its own; an engine that cannot be had is none's fault. */
static bool measure(const char *engine)
{
    bool (*const measures[])(void) = {ports, mmio, halts, kicks};
    bool there = true, good = true;

    for (unsigned i = 0; there && good && i < ARRAY_LEN(measures); i++) {
        struct err e = {0};

        there = flat_open(&bench.f, engine, &e);
        if (there)
            good = measures[i]();
        else
            printf("none %s: %s\n", engine, e.text);
        flat_close(&bench.f);
    }
    return good;
}

int main(void)
{
    bool good = true;

    for (unsigned i = 0; good && engine_all[i] != NULL; i++)
        good = measure(engine_all[i]->name);
    return good ? 0 : 1;
}
