/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request to stop is never lost, whatever the virtual CPU is doing: code that looks at kicks
 * itself, code that writes its own page and so comes back to the engine all the time, and code that
 * is on its way to a device and back.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "flat.h"

#define STOPS 3000u /* KVM on an emulated host does fewer: */
#define STOPS_KVM 500u
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

static const char *only; /* this engine */

static void stops(const char *engine, uint32_t wanted, const void *code, unsigned len)
{
    static struct runner r;
    struct err e;
    pthread_t thread;
    uint32_t done = 0;

    if (only != NULL && strcmp(only, engine) != 0)
        return;
    r.stopped = 0;
    r.end = false;
    if (!flat_open(&r.f, engine, &e)) {
        print_message("skip - %s: %s\n", engine, e.text);
        flat_close(&r.f);
        return;
    }
    flat_start(&r.f, code, len);
    assert_int_equal(pthread_create(&thread, NULL, run, &r), 0);
    while (done < wanted) {
        r.f.ops->kick(r.f.vcpu, true);
        if (!comes_back(&r, done + 1))
            break;
        done++;
    }
    r.end = true;
    for (unsigned i = 0; i < 3; i++) /* once is enough, but for the fault that this is about */
        r.f.ops->kick(r.f.vcpu, true);
    assert_int_equal(done, wanted);
    pthread_join(thread, NULL);
    flat_close(&r.f);
}

static void plain_loop(void **state)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd}; /* 1: inc eax; jmp 1b */

    stops("bt", STOPS, code, sizeof(code));
    stops("kvm", STOPS_KVM, code, sizeof(code));
}

static void own_page(void **state)
{
    /* 1: incl 0x8040; jmp 1b */
    static const uint8_t code[] = {0xff, 0x05, 0x40, 0x80, 0x00, 0x00, 0xeb, 0xf8};

    stops("bt", STOPS, code, sizeof(code));
    stops("kvm", STOPS_KVM, code, sizeof(code));
}

static void devices(void **state)
{
    /* 1: in al, 0x80; mov edx, [0xfee00020]; jmp 1b */
    static const uint8_t code[] = {0xe4, 0x80, 0x8b, 0x15, 0x20, 0x00, 0xe0, 0xfe, 0xeb, 0xf6};

    stops("bt", STOPS, code, sizeof(code));
    stops("kvm", STOPS_KVM, code, sizeof(code));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_loop),
        cmocka_unit_test(own_page),
        cmocka_unit_test(devices),
    };

    only = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
