/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The generic device suite: what it tests and how to add a class is in suite.h. */
#include "suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FUZZ_ACCESSES 20000
#define SOME_ACCESSES 300
#define MUTATIONS 300
#define TRUNCATIONS 200
#define QUIET_NS 3000000 /* how long a paused device is watched */

/* xorshift64*: the same accesses on every run of a seed (DOPPEL_TEST_SEED). */
static uint64_t random_state;

static uint64_t rnd(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

static void seed(void)
{
    const char *text = getenv("DOPPEL_TEST_SEED");

    random_state = text != NULL ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15ull;
    random_state |= 1;
}

/* A device in its environment. */
struct fixture {
    const struct suite_class *cls;
    struct suite_env env;
    struct device dev;
};

/* With the clock standing still, so that states can be compared. */
static void open_fixture(struct fixture *f, const struct suite_class *cls)
{
    memset(f, 0, sizeof(*f));
    f->cls = cls;
    suite_env_init(&f->env, SUITE_RAM_SIZE);
    vclock_pause(f->env.clock);
    assert_int_equal(cls->create(&f->env, &f->dev), 0);
}

static void close_fixture(struct fixture *f)
{
    suite_pause(&f->dev);
    f->dev.ops->destroy(f->dev.self);
    if (f->cls->finish != NULL)
        f->cls->finish(&f->env);
    suite_env_finish(&f->env);
}

static void stop_loop(void *opaque)
{
    loop_stop(opaque);
}

/* Runs the device's loop for a while. Its own clock: the machine's may stand still. */
static void run_loop(struct fixture *f, uint64_t ns)
{
    struct vclock *clock;
    struct timer *end;

    assert_int_equal(vclock_create(&clock), 0);
    assert_int_equal(timer_create_on(f->env.loop, clock, stop_loop, f->env.loop, &end), 0);
    timer_arm(end, vclock_now(clock) + ns);
    loop_run(f->env.loop);
    timer_destroy(end);
    vclock_destroy(clock);
}

static void busy(struct fixture *f)
{
    if (f->cls->busy != NULL)
        f->cls->busy(&f->env, &f->dev);
}

/* Values that mean something to devices, and any others. */
static uint64_t random_value(void)
{
    switch (rnd() % 4) {
    case 0:
        return rnd();
    case 1:
        return rnd() & 0xff;
    case 2:
        return 1ull << (rnd() & 63);
    default:
        return rnd() % (SUITE_RAM_SIZE + 4096);
    }
}

/* An access of any size anywhere in the ranges, also across their ends. */
static void random_access(struct fixture *f)
{
    unsigned n = 0;

    while (n < SUITE_RANGES && f->cls->ranges[n].size != 0)
        n++;
    if (n == 0)
        return;
    const struct suite_range *r = &f->cls->ranges[rnd() % n];
    struct bus *bus = r->mmio ? f->env.mmio : f->env.ports;
    unsigned size = 1u << rnd() % (r->mmio ? 4 : 3);
    uint64_t at = r->base + rnd() % r->size;

    if ((rnd() & 3) != 0)
        at &= ~(uint64_t)(size - 1);
    if ((rnd() & 1) != 0)
        bus_read(bus, at, size);
    else
        bus_write(bus, at, random_value(), size);
}

static void random_accesses(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        random_access(f);
}

struct record {
    uint8_t *data;
    size_t len;
};

static struct record save(struct fixture *f)
{
    struct record r;

    assert_int_equal(state_save(f->dev.ops->state, suite_state_object(&f->dev), &r.data, &r.len),
                     0);
    return r;
}

static int load(struct fixture *f, const uint8_t *data, size_t len)
{
    struct err e = {0};
    int rc = state_load(f->dev.ops->state, suite_state_object(&f->dev), data, len, &e);

    if (rc != 0)
        assert_true(e.text[0] != '\0');
    return rc;
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

/* The device's state as it is, paused for the purpose. */
static struct record snapshot(struct fixture *f)
{
    struct record r;

    suite_pause(&f->dev);
    r = save(f);
    suite_resume(&f->dev);
    return r;
}

static void test_reset(void **state)
{
    struct fixture f;
    struct record fresh, once, twice;

    open_fixture(&f, *state);
    fresh = snapshot(&f);
    busy(&f);
    random_accesses(&f, SOME_ACCESSES);
    f.dev.ops->reset(f.dev.self);
    once = snapshot(&f);
    f.dev.ops->reset(f.dev.self);
    twice = snapshot(&f);
    assert_same(&once, &twice);
    if (!f.cls->battery)
        assert_same(&fresh, &once);
    free(fresh.data);
    free(once.data);
    free(twice.data);
    close_fixture(&f);
}

/* A paused device that has seen some life. */
static void open_lived_in(struct fixture *f, const struct suite_class *cls)
{
    open_fixture(f, cls);
    random_accesses(f, SOME_ACCESSES);
    busy(f);
    suite_pause(&f->dev);
}

static void open_paused(struct fixture *f, const struct suite_class *cls)
{
    open_fixture(f, cls);
    suite_pause(&f->dev);
}

static void test_state(void **state)
{
    struct fixture a, b;
    struct record first, again, copy;

    open_lived_in(&a, *state);
    first = save(&a);
    again = save(&a);
    assert_same(&first, &again);
    open_paused(&b, *state);
    assert_int_equal(load(&b, first.data, first.len), 0);
    copy = save(&b);
    assert_same(&first, &copy);
    if (b.dev.ops->restore != NULL)
        b.dev.ops->restore(b.dev.self);
    free(copy.data);
    copy = save(&b);
    assert_same(&first, &copy);
    vclock_resume(b.env.clock);
    suite_resume(&b.dev);
    random_accesses(&b, SOME_ACCESSES);
    free(first.data);
    free(again.data);
    free(copy.data);
    close_fixture(&a);
    close_fixture(&b);
}

/* A record that is refused leaves the device as it was. */
static void expect_refused(struct fixture *f, const uint8_t *data, size_t len)
{
    struct record before = save(f), after;

    assert_int_not_equal(load(f, data, len), 0);
    after = save(f);
    assert_same(&before, &after);
    free(before.data);
    free(after.data);
}

static void test_truncated(void **state)
{
    struct fixture f;
    struct record r;
    size_t step;

    open_lived_in(&f, *state);
    r = save(&f);
    step = r.len / TRUNCATIONS + 1;
    for (size_t len = 0; len < r.len; len += step) {
        uint8_t *cut = malloc(len + 1); /* so that a read beyond it is seen */

        assert_non_null(cut);
        memcpy(cut, r.data, len);
        expect_refused(&f, cut, len);
        free(cut);
    }
    expect_refused(&f, r.data, r.len - 1);
    free(r.data);
    close_fixture(&f);
}

/* Runs a device with whatever was loaded. */
static void live_with(struct fixture *f)
{
    if (f->dev.ops->restore != NULL)
        f->dev.ops->restore(f->dev.self);
    vclock_resume(f->env.clock);
    suite_resume(&f->dev);
    random_accesses(f, 50);
    run_loop(f, 20000);
    suite_pause(&f->dev);
    vclock_pause(f->env.clock);
    f->dev.ops->reset(f->dev.self);
}

static void mutate(struct record *r)
{
    unsigned n = 1 + (unsigned)(rnd() % 4);

    while (n-- > 0) {
        uint8_t *byte = &r->data[rnd() % r->len];

        *byte = (rnd() & 1) != 0 ? (uint8_t)rnd() : *byte ^ (uint8_t)(1u << (rnd() & 7));
    }
}

static void test_mutated(void **state)
{
    struct fixture f;
    struct record good, bad;

    open_lived_in(&f, *state);
    good = save(&f);
    bad.len = good.len;
    bad.data = malloc(good.len);
    assert_non_null(bad.data);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(bad.data, good.data, good.len);
        mutate(&bad);
        if (load(&f, bad.data, bad.len) == 0)
            live_with(&f);
    }
    free(bad.data);
    free(good.data);
    close_fixture(&f);
}

static void test_pause(void **state)
{
    struct fixture f;
    unsigned before;
    uint8_t *mem, *copy = malloc(SUITE_RAM_SIZE);

    assert_non_null(copy);
    open_fixture(&f, *state);
    vclock_resume(f.env.clock);
    mem = ram_ptr(f.env.ram, 0, SUITE_RAM_SIZE, true);
    assert_non_null(mem);
    for (unsigned i = 0; i < 3; i++) {
        random_accesses(&f, SOME_ACCESSES);
        busy(&f);
        run_loop(&f, 100000);
        suite_pause(&f.dev);
        suite_pause(&f.dev); /* idempotent */
        before = atomic_load(&f.env.activity);
        memcpy(copy, mem, SUITE_RAM_SIZE);
        run_loop(&f, QUIET_NS); /* the clock goes on: the device must be quiet by itself */
        assert_int_equal(atomic_load(&f.env.activity), before);
        assert_int_equal(memcmp(copy, mem, SUITE_RAM_SIZE), 0);
        suite_resume(&f.dev);
    }
    free(copy);
    close_fixture(&f);
}

static void test_fuzz(void **state)
{
    struct fixture f;

    open_fixture(&f, *state);
    vclock_resume(f.env.clock);
    for (unsigned i = 0; i < FUZZ_ACCESSES; i++) {
        random_access(&f);
        if (rnd() % 1000 == 0)
            busy(&f);
        if (rnd() % 500 == 0)
            run_loop(&f, 20000);
        if (rnd() % 4000 == 0)
            f.dev.ops->reset(f.dev.self);
    }
    close_fixture(&f);
}

static const struct {
    const char *name;
    CMUnitTestFunction fn;
} suite_tests[] = {
    {"reset", test_reset},     {"state", test_state}, {"truncated", test_truncated},
    {"mutated", test_mutated}, {"pause", test_pause}, {"fuzz", test_fuzz},
};

#define SUITE_TESTS (sizeof(suite_tests) / sizeof(suite_tests[0]))

static const struct suite_class *const classes[] = {
#define SUITE_ENTRY_(n) &suite_##n,
    SUITE_CLASSES(SUITE_ENTRY_)
#undef SUITE_ENTRY_
};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

/* Every class in every test; with an argument only the classes of that name. */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[CLASSES * SUITE_TESTS];
    static char names[CLASSES * SUITE_TESTS][64];
    size_t n = 0;

    seed();
    for (size_t c = 0; c < CLASSES; c++) {
        if (argc > 1 && strcmp(argv[1], classes[c]->name) != 0)
            continue;
        for (size_t t = 0; t < SUITE_TESTS; t++, n++) {
            snprintf(names[n], sizeof(names[n]), "%s: %s", classes[c]->name, suite_tests[t].name);
            tests[n].name = names[n];
            tests[n].test_func = suite_tests[t].fn;
            tests[n].initial_state = (void *)classes[c];
        }
    }
    return _cmocka_run_group_tests("device suite", tests, n, NULL, NULL);
}
