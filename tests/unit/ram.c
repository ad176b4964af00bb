/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM: layout, hostile ranges, read-only regions, announcements. */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem/ram.h"
#include "refuse.h"

#define PAGE RAM_PAGE_SIZE
#define TOP (UINT64_MAX - PAGE + 1) /* the last page of the address space */

struct seen {
    gpa_t gpa;
    uint64_t len;
    unsigned calls;
};

static void on_write(void *opaque, gpa_t gpa, uint64_t len)
{
    struct seen *s = opaque;

    *s = (struct seen){.gpa = gpa, .len = len, .calls = s->calls + 1};
}

/* Two neighbours at 0 and 4 pages, a ROM behind a hole, and the last page but one. */
static struct ram *make(struct seen *s)
{
    struct ram *r;
    struct err e;

    assert_int_equal(ram_create(&r, 16 * PAGE, &e), 0);
    assert_int_equal(ram_add(r, 0x100000, 2 * PAGE, true, &e), 0);
    assert_int_equal(ram_add(r, 4 * PAGE, 4 * PAGE, false, &e), 0);
    assert_int_equal(ram_add(r, 0, 4 * PAGE, false, &e), 0);
    assert_int_equal(ram_add(r, TOP - PAGE, PAGE, false, &e), 0);
    assert_int_equal(ram_listen(r, on_write, s), 0);
    return r;
}

static void test_layout(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);
    struct ram_region reg[RAM_MAX_REGIONS], found;
    unsigned n = ram_regions(r, reg);
    struct err e;

    assert_int_equal(n, 4);
    for (unsigned i = 1; i < n; i++)
        assert_true(reg[i - 1].base < reg[i].base);
    assert_int_equal(reg[0].offset, 6 * PAGE);
    assert_true(ram_find(r, 5 * PAGE, &found));
    assert_int_equal(found.base, reg[1].base);
    assert_ptr_equal(found.host, reg[1].host);
    assert_false(ram_find(r, 8 * PAGE, &found));
    assert_false(ram_find(r, UINT64_MAX, &found));
    assert_int_equal(ram_add(r, 7 * PAGE, 2 * PAGE, false, &e), -EEXIST);
    assert_int_equal(ram_add(r, 0x200000, 100 * PAGE, false, &e), -ENOSPC);
    assert_int_equal(ram_add(r, 0x200000, 0, false, &e), -EINVAL);
    assert_int_equal(ram_add(r, 0x200001, PAGE, false, &e), -EINVAL);
    assert_int_equal(ram_add(r, TOP, 2 * PAGE, false, &e), -EINVAL);
    ram_destroy(r);
    ram_destroy(NULL);
}

/* Of every kind of page, if the host has them; else it says where they are ordered. */
static void test_pages(void **state)
{
    static const struct {
        enum ram_pages pages;
        uint64_t align;
    } kinds[] = {{RAM_PAGES_LARGE, 2 << 20}, {RAM_PAGES_2M, 2 << 20}, {RAM_PAGES_1G, 1 << 30}};
    struct err e = {0};
    struct ram *r;
    uint32_t word = 7;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int rc = ram_create_of(&r, 600 * PAGE, kinds[i].pages, &e);

        if (rc < 0 && kinds[i].pages != RAM_PAGES_LARGE) {
            assert_non_null(strstr(e.text, "/nr_hugepages"));
            print_message("skip - pages of kind %u: %s\n", kinds[i].pages, e.text);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(ram_total(r), 600 * PAGE);
        assert_int_equal((uintptr_t)ram_backing(r) % kinds[i].align, 0);
        assert_int_equal(ram_fd(r) < 0, kinds[i].pages == RAM_PAGES_LARGE);
        assert_int_equal(ram_add(r, 0, 600 * PAGE, false, &e), 0);
        assert_int_equal(ram_write(r, 599 * PAGE, &word, sizeof(word)), 0);
        assert_int_equal(ram_read(r, 599 * PAGE, &word, sizeof(word)), 0);
        assert_int_equal(word, 7);
        ram_destroy(r);
    }
}

static void test_sizes(void **state)
{
    struct ram *r;
    struct err e;

    assert_int_equal(ram_create(&r, 0, &e), -EINVAL);
    assert_int_equal(ram_create(&r, 4095, &e), -EINVAL);
    assert_int_equal(ram_create(&r, TOP, &e), -EINVAL);
    assert_true(ram_create(&r, UINT64_C(1) << 60, &e) < 0);
    assert_non_null(strstr(e.text, "guest memory"));
}

static void test_copy(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);
    uint8_t out[3 * PAGE], in[3 * PAGE];

    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + 1);
    /* Across the border of two regions that neighbour only in the guest. */
    assert_int_equal(ram_write(r, 3 * PAGE - 5, out, sizeof(out)), 0);
    assert_int_equal(s.calls, 1);
    assert_true(s.gpa == 3 * PAGE - 5 && s.len == sizeof(out));
    assert_int_equal(ram_read(r, 3 * PAGE - 5, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    for (unsigned len = 1; len <= 16; len++) {
        assert_int_equal(ram_write(r, 64, out, len), 0);
        memset(in, 0, sizeof(in));
        assert_int_equal(ram_read(r, 64, in, len), 0);
        assert_memory_equal(in, out, len);
        assert_int_equal(in[len], 0);
    }
    ram_destroy(r);
}

static void test_hostile(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);
    uint8_t buf[64] = {0};

    assert_int_equal(ram_read(r, 8 * PAGE - 1, buf, 2), -EFAULT);
    assert_int_equal(ram_write(r, 8 * PAGE - 1, buf, 2), -EFAULT);
    assert_int_equal(ram_read(r, 0, buf, UINT64_MAX), -EFAULT);
    assert_int_equal(ram_read(r, 1, buf, UINT64_MAX), -EFAULT);
    assert_int_equal(ram_read(r, UINT64_MAX, buf, 2), -EFAULT);
    assert_int_equal(ram_read(r, TOP - 1, buf, 2), -EFAULT);
    assert_int_equal(ram_read(r, TOP - 2, buf, 2), 0);
    assert_int_equal(ram_read(r, UINT64_MAX, buf, 0), 0);
    assert_int_equal(s.calls, 0);
    assert_null(ram_ptr(r, 4 * PAGE - 1, 2, false)); /* in two regions */
    assert_null(ram_ptr(r, 0, UINT64_MAX, false));
    assert_null(ram_ptr(r, UINT64_MAX, 1, false));
    assert_non_null(ram_ptr(r, 8 * PAGE - 1, 1, true));
    ram_destroy(r);
}

static void test_rom(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);
    uint8_t buf[4] = {1, 2, 3, 4}, in[4];

    assert_int_equal(ram_write(r, 0x100000, buf, 4), -EFAULT);
    assert_null(ram_ptr(r, 0x100000, 4, true));
    assert_int_equal(ram_load(r, 0x100000, buf, 4), 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(ram_read(r, 0x100000, in, 4), 0);
    assert_memory_equal(in, buf, 4);
    assert_memory_equal(ram_ptr(r, 0x100000, 4, false), buf, 4);
    ram_destroy(r);
}

/* The mapping and the memfd are the same bytes. */
static void test_fd(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);
    struct ram_region reg;
    uint32_t v = 0x12345678, in = 0;

    assert_true(ram_find(r, 0, &reg));
    assert_int_equal(ram_write(r, 16, &v, sizeof(v)), 0);
    if (ram_fd(r) >= 0) { /* else the backing is anonymous */
        assert_int_equal(pread(ram_fd(r), &in, sizeof(in), (off_t)reg.offset + 16), sizeof(in));
        assert_int_equal(in, v);
    }
    ram_destroy(r);
}

/* One region shows RAM or a ROM that lies elsewhere too, or lets devices answer. */
static void test_remap(void **state)
{
    struct ram *r;
    uint64_t plain, rom;
    uint8_t byte = 1, in = 0;
    struct ram_region found;
    struct err e;

    assert_int_equal(ram_create(&r, 4 * PAGE, &e), 0);
    assert_int_equal(ram_take(r, 2 * PAGE, &plain, &e), 0);
    assert_int_equal(ram_take(r, 2 * PAGE, &rom, &e), 0);
    assert_int_equal(ram_take(r, PAGE, &rom, &e), -ENOSPC);
    assert_int_equal(ram_map(r, 0, 2 * PAGE, plain, RAM_WRITABLE, &e), 0);
    assert_int_equal(ram_map(r, 0x100000, 2 * PAGE, rom, RAM_READONLY, &e), 0);
    assert_int_equal(ram_map(r, 0x200000, 2 * PAGE, 3 * PAGE, RAM_WRITABLE, &e), -EINVAL);
    assert_int_equal(ram_load(r, 0x100000, &byte, 1), 0);

    ram_remap(r, 0, rom, RAM_READONLY);
    assert_int_equal(ram_read(r, 0, &in, 1), 0);
    assert_int_equal(in, 1);
    assert_int_equal(ram_write(r, 0, &byte, 1), -EFAULT);
    ram_remap(r, 0, rom, RAM_ABSENT);
    assert_int_equal(ram_read(r, 0, &in, 1), -EFAULT);
    assert_null(ram_ptr(r, 0, 1, false));
    assert_false(ram_find(r, 0, &found));
    ram_remap(r, 0, plain, RAM_WRITABLE);
    assert_int_equal(ram_read(r, 0, &in, 1), 0);
    assert_int_equal(in, 0);
    ram_remap(r, 0, 3 * PAGE, RAM_WRITABLE); /* reaches beyond the backing */
    assert_ptr_equal(ram_ptr(r, 0, 1, false), ram_backing(r) + plain);
    ram_destroy(r);
}

/* Memory of a PCI device: nowhere, where it is put, and never over anything else. */
static void test_move(void **state)
{
    struct ram *r;
    uint64_t plain, card;
    uint8_t byte = 7, in = 0;
    struct ram_region all[RAM_MAX_REGIONS];
    struct err e;

    assert_int_equal(ram_create(&r, 6 * PAGE, &e), 0);
    assert_int_equal(ram_take(r, 2 * PAGE, &plain, &e), 0);
    assert_int_equal(ram_map(r, 0, 2 * PAGE, plain, RAM_WRITABLE, &e), 0);
    assert_int_equal(ram_take(r, 2 * PAGE, &card, &e), 0);
    assert_int_equal(ram_map_movable(r, 2 * PAGE, card, &e), 0);
    assert_int_equal(ram_map(r, 0x200000, PAGE, card, RAM_ABSENT, &e), 0);
    assert_int_equal(ram_regions(r, all), 3);
    assert_true(all[2].absent);

    ram_move(r, card, 0x100000);
    assert_int_equal(ram_write(r, 0x100000, &byte, 1), 0);
    assert_int_equal(ram_backing(r)[card], 7);
    ram_move(r, card, 0x300000);
    assert_int_equal(ram_read(r, 0x100000, &in, 1), -EFAULT);
    assert_int_equal(ram_read(r, 0x300000, &in, 1), 0);
    assert_int_equal(in, 7);
    assert_int_equal(ram_regions(r, all), 3);
    assert_int_equal(all[2].base, 0x300000); /* its place in the list is the same */

    ram_move(r, card, PAGE); /* other memory is there */
    assert_int_equal(ram_read(r, 0x300000, &in, 1), -EFAULT);
    assert_int_equal(ram_read(r, PAGE, &in, 1), 0);
    assert_int_equal(in, 0);
    ram_move(r, card, 0x1ff000); /* an absent region keeps its place */
    assert_int_equal(ram_read(r, 0x1ff000, &in, 1), -EFAULT);
    ram_move(r, card, UINT64_MAX - PAGE + 1);
    assert_int_equal(ram_read(r, UINT64_MAX - PAGE + 1, &in, 1), -EFAULT);
    ram_move(r, card, 0x100800);
    assert_int_equal(ram_read(r, 0x100800, &in, 1), -EFAULT);
    ram_move(r, card, 2 * PAGE);
    assert_int_equal(ram_write(r, 2 * PAGE - 1, "ab", 2), 0); /* beside the other */
    ram_move(r, card, RAM_NOWHERE);
    assert_int_equal(ram_write(r, 2 * PAGE - 1, "ab", 2), -EFAULT);
    ram_destroy(r);
}

static void test_listeners(void **state)
{
    struct seen s = {0};
    struct ram *r = make(&s);

    for (int i = 1; i < 8; i++)
        assert_int_equal(ram_listen(r, on_write, &s), 0);
    assert_int_equal(ram_listen(r, on_write, &s), -ENOSPC);
    ram_written(r, 0, 0);
    assert_int_equal(s.calls, 0);
    ram_written(r, 0, 1);
    assert_int_equal(s.calls, 8);
    ram_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),     cmocka_unit_test(test_layout),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_copy),
        cmocka_unit_test(test_hostile),   cmocka_unit_test(test_rom),
        cmocka_unit_test(test_fd),        cmocka_unit_test(test_remap),
        cmocka_unit_test(test_listeners), cmocka_unit_test(test_move),
    };

    int failed = cmocka_run_group_tests_name("all system calls", tests, NULL, NULL);

    if (!(refuse_syscall(SYS_memfd_create))) {
        print_message("no filter possible: the second half is left out\n");
        return failed;
    }
    return failed + cmocka_run_group_tests_name("refused system calls", tests, NULL, NULL);
}
