/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request to stop is never lost, whatever the virtual CPU is doing: code that looks at kicks
 * itself, and code that writes its own page and so comes back to the engine all the time.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "flat.h"

#define STOPS 3000u
#define LIMIT_MS 5000u

struct runner {
    struct flat f;
    _Atomic uint32_t stopped; /* times that `run` came back */
    _Atomic bool end;
};

static void *run(void *opaque)
{
    struct runner *r = opaque;

    while (!r->end) {
        if (r->f.ops->run(r->f.vcpu) != ENGINE_EXIT_KICKED)
            break;
        r->stopped++;
    }
    return NULL;
}

static bool comes_back(struct runner *r, uint32_t times)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < LIMIT_MS; i++) {
        for (unsigned k = 0; k < 100000; k++)
            if (r->stopped >= times)
                return true;
        nanosleep(&ms, NULL);
    }
    return false;
}

static void stops(const void *code, unsigned len)
{
    static struct runner r;
    struct err e;
    pthread_t thread;
    uint32_t done = 0;

    r.stopped = 0;
    r.end = false;
    if (!flat_open(&r.f, "bt", &e))
        skip();
    flat_start(&r.f, code, len);
    assert_int_equal(pthread_create(&thread, NULL, run, &r), 0);
    while (done < STOPS) {
        r.f.ops->kick(r.f.vcpu, true);
        if (!comes_back(&r, done + 1))
            break;
        done++;
    }
    r.end = true;
    for (unsigned i = 0; i < 3; i++) /* once is enough, but for the fault that this is about */
        r.f.ops->kick(r.f.vcpu, true);
    assert_int_equal(done, STOPS);
    pthread_join(thread, NULL);
    flat_close(&r.f);
}

static void plain_loop(void **state)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd}; /* 1: inc eax; jmp 1b */

    stops(code, sizeof(code));
}

static void own_page(void **state)
{
    /* 1: incl 0x8040; jmp 1b */
    static const uint8_t code[] = {0xff, 0x05, 0x40, 0x80, 0x00, 0x00, 0xeb, 0xf8};

    stops(code, sizeof(code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_loop),
        cmocka_unit_test(own_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
