/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where virtual CPUs run: the user's words. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "vm/pin.h"

static void takes(void **state)
{
    const struct {
        const char *text, *left;
        unsigned count;
        uint16_t cpu[5];
    } good[] = {
        {"4", "4", 0, {0}},
        {"1,pin=0", "1", 1, {0}},
        {"4,pin=2-5", "4", 4, {2, 3, 4, 5}},
        {"4,pin=0-1:8:1,cores=2,threads=2", "4,cores=2,threads=2", 4, {0, 1, 8, 1}},
        {"2,sockets=2,pin=7:1023", "2,sockets=2", 2, {7, 1023}},
        {"5,pin=3-3:3:3:3-4", "5", 5, {3, 3, 3, 3, 4}},
    };
    struct vm_pin p;
    struct err e = {0};
    char text[64];

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "%s", good[i].text);
        assert_int_equal(pin_take("--cpus", text, &p, &e), 0);
        assert_string_equal(text, good[i].left);
        assert_int_equal(p.count, good[i].count);
        assert_memory_equal(p.cpu, good[i].cpu, p.count * sizeof(p.cpu[0]));
        assert_int_equal(pin_fits("--cpus", &p, p.count != 0 ? p.count : 9, &e), 0);
    }
}

static void refuses(void **state)
{
    const char *const bad[] = {
        "2,pin=",      "2,pin=,cores=2", "2,pin=a",  "2,pin=0:",   "2,pin=:0",
        "2,pin=0-",    "2,pin=1-0",      "2,pin=-1", "2,pin=0+1",  "2,pin=0 1",
        "2,pin=1024",  "2,pin=0x1",      "2,pin=0:", "2,pin=0--1", "2,pin=99999999999999999999",
        "2,pin=0-511",
    };
    struct vm_pin p;
    struct err e = {0};
    char text[64], twice[] = "2,pin=0-1,pin=0-1", few[] = "3,pin=0-1";

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%s", bad[i]);
        assert_true(pin_take("--cpus", text, &p, &e) < 0);
        assert_non_null(strstr(e.text, "is no list of processors such as 0-3:8"));
    }
    assert_true(pin_take("--cpus", twice, &p, &e) < 0);
    assert_string_equal(e.text, "--cpus: pin is given twice; give it once");
    assert_int_equal(pin_take("--cpus", few, &p, &e), 0);
    assert_true(pin_fits("--cpus", &p, 3, &e) < 0);
    assert_string_equal(e.text,
                        "--cpus: pin has to name as many processors as there are CPUs, 3, not 2");
}

/* Processors that this process has, and one that it has not. */
static void host(void **state)
{
    struct vm_pin p = {.count = 2};
    struct err e = {0};
    cpu_set_t old, one;
    uint16_t mine = 0;

    assert_int_equal(pin_check(&(struct vm_pin){0}, &e), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(old), &old), 0);
    while (!CPU_ISSET(mine, &old))
        mine++;
    CPU_ZERO(&one);
    CPU_SET(mine, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    p.cpu[0] = p.cpu[1] = mine;
    assert_int_equal(pin_check(&p, &e), 0);
    p.cpu[1] = mine + 1u;
    assert_true(pin_check(&p, &e) < 0);
    char want[120];
    snprintf(want, sizeof(want), "--cpus: pin names processor %u; here are processors %u", mine + 1,
             mine);
    assert_string_equal(e.text, want);
    assert_int_equal(sched_setaffinity(0, sizeof(old), &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
