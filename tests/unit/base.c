/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors, log lines, checked arithmetic, bits, lists. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/err.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"

static void test_err(void **state)
{
    struct err e = {0};
    char huge[2000];

    assert_int_equal(err_set(&e, ENOENT, "no '%s'", "x"), -ENOENT);
    assert_string_equal(e.text, "no 'x'");
    assert_false(e.usage);
    assert_int_equal(err_usage(&e, "bad %d", 3), -EINVAL);
    assert_true(e.usage);
    assert_int_equal(err_set(NULL, EIO, "nobody listens"), -EIO);
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    err_set(&e, EIO, "%s", huge);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static size_t file_size(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void test_log(void **state)
{
    char path[] = "/tmp/doppel-test-XXXXXX";
    struct log_limit limit = {0};
    unsigned passed = 0;
    struct err e;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(log_open("/nonexistent/dir/file", &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/dir/file"));
    assert_int_equal(log_open(path, &e), 0);
    log_warn("one %d", 1);
    assert_int_equal(file_size(path), strlen("doppel: warning: one 1\n"));
    log_info("below the threshold");
    assert_int_equal(file_size(path), strlen("doppel: warning: one 1\n"));
    for (int i = 0; i < 1000; i++)
        passed += log_limit_pass(&limit);
    assert_in_range(passed, 1, 30); /* a window or two */
    unlink(path);
}

static void test_checked(void **state)
{
    uint64_t v;

    assert_true(checked_add(1, 2, &v));
    assert_int_equal(v, 3);
    assert_false(checked_add(UINT64_MAX, 1, &v));
    assert_false(checked_sub(1, 2, &v));
    assert_false(checked_mul(UINT64_MAX / 2, 3, &v));
    assert_true(range_inside(10, 5, 10, 5));
    assert_true(range_inside(15, 0, 10, 5));
    assert_false(range_inside(16, 0, 10, 5));
    assert_false(range_inside(10, 6, 10, 5));
    assert_false(range_inside(UINT64_MAX, 2, 0, UINT64_MAX));
    assert_false(range_inside(9, 1, 10, 5));
    assert_true(range_overlap(0, 2, 1, 1));
    assert_false(range_overlap(0, 1, 1, 1));
    assert_false(range_overlap(0, 0, 0, 1));
    assert_true(align_up(4097, 4096, &v));
    assert_int_equal(v, 8192);
    assert_false(align_up(UINT64_MAX, 4096, &v));
    assert_int_equal(sat_add(UINT64_MAX, 1), UINT64_MAX);
    assert_int_equal(sat_sub(1, 2), 0);
    assert_int_equal(mul_div(UINT64_MAX, 3, 3), UINT64_MAX);
    assert_int_equal(mul_div(UINT64_MAX, 3, 1), UINT64_MAX);
}

static void test_bits(void **state)
{
    uint8_t b[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

    assert_int_equal(bits_get(0xabcd, 15, 8), 0xab);
    assert_int_equal(bits_get(UINT64_MAX, 63, 0), UINT64_MAX);
    assert_int_equal(bits_set(0xffff, 7, 4, 0), 0xff0f);
    assert_int_equal(bits_set(0, 63, 0, UINT64_MAX), UINT64_MAX);
    assert_int_equal(mask_bytes(0), 0);
    assert_int_equal(mask_bytes(2), 0xffff);
    assert_int_equal(mask_bytes(8), UINT64_MAX);
    assert_int_equal(ld_le16(b + 1), 0x0201);
    assert_int_equal(ld_le32(b + 1), 0x04030201);
    assert_true(ld_le64(b + 1) == 0x0807060504030201);
    st_le32(b + 1, 0x11223344);
    assert_int_equal(b[1], 0x44);
    assert_int_equal(log2_floor(4097), 12);
}

struct item {
    struct list link;
    int n;
};

static void test_list(void **state)
{
    struct list a, b;
    struct item it[4];
    int sum = 0;

    list_init(&a);
    assert_null(LIST_FIRST(&a, struct item, link));
    for (int i = 0; i < 4; i++) {
        it[i].n = i;
        list_append(&a, &it[i].link);
    }
    LIST_EACH_SAFE(p, &a)
    {
        if (LIST_ITEM(p, struct item, link)->n == 2)
            list_remove(p);
    }
    list_remove(&it[2].link);
    list_take(&b, &a);
    assert_true(list_empty(&a));
    LIST_EACH(p, &b)
    sum = sum * 10 + LIST_ITEM(p, struct item, link)->n;
    assert_int_equal(sum, 13); /* 0, 1, 3 */
    list_take(&b, &a);
    assert_true(list_empty(&b));
}

#if DOPPEL_LOCK_CHECK
static void check_out_of_order(struct lock *l)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        lock_take(&l[1]);
        lock_take(&l[0]);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#else
static void check_out_of_order(struct lock *l)
{
}
#endif

/* In order is fine, again and again; out of order ends a build that checks. */
static void test_lock(void **state)
{
    struct lock l[2];

    lock_init(&l[0], LOCK_DEVICE);
    lock_init(&l[1], LOCK_TIMERS);
    for (int i = 0; i < 2; i++) {
        lock_take(&l[0]);
        lock_take(&l[1]);
        lock_drop(&l[1]);
        lock_drop(&l[0]);
    }
    check_out_of_order(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err),  cmocka_unit_test(test_log),  cmocka_unit_test(test_checked),
        cmocka_unit_test(test_bits), cmocka_unit_test(test_list), cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
