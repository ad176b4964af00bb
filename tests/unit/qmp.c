/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control protocol: sessions, dispatch, whatever comes; and the folder of running machines. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/qmp.h"
#include "vm/rundir.h"

struct peer {
    struct qmp_session *session;
    char out[1 << 16];
    size_t len;
};

static unsigned runs;

static int do_count(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    runs++;
    *ret = json_integer((json_int_t)json_object_size(args));
    return 0;
}

static int do_fail(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    *ret = json_integer(1); /* is not sent, and not lost */
    return err_set(e, EIO, "it went \"wrong\"");
}

static int do_text(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"text", NULL};
    const char *text;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "text", &text, e);
    if (rc == 0)
        *ret = json_string(text);
    return rc;
}

static const struct qmp_command first[] = {{"count", do_count}, {"fail", do_fail}, {NULL}};
static const struct qmp_command second[] = {{"text", do_text}, {NULL}};
static const struct qmp_command *const tables[] = {first, second, NULL};

static void send_bytes(void *opaque, const void *bytes, size_t len)
{
    struct peer *p = opaque;

    assert_true(p->len + len < sizeof(p->out));
    memcpy(p->out + p->len, bytes, len);
    p->len += len;
    p->out[p->len] = '\0';
}

static int setup(void **state)
{
    struct peer *p = calloc(1, sizeof(*p));
    const struct qmp_config cfg = {.tables = tables, .send = send_bytes, .opaque = p};

    assert_non_null(p);
    runs = 0;
    assert_int_equal(qmp_session_create(&cfg, &p->session), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct peer *p = *state;

    qmp_session_destroy(p->session);
    free(p);
    return 0;
}

static bool put(struct peer *p, const char *text)
{
    p->len = 0;
    p->out[0] = '\0';
    return qmp_session_input(p->session, (const uint8_t *)text, strlen(text));
}

#define ASK(p, text, answer)                          \
    do {                                              \
        assert_true(put(p, text));                    \
        assert_string_equal((p)->out, answer "\r\n"); \
    } while (0)

#define GENERIC(text) "{\"error\":{\"class\":\"GenericError\",\"desc\":\"" text "\"}}"
#define READY "{\"execute\":\"qmp_capabilities\"}"

static void test_greeting(void **state)
{
    struct peer *p = *state;
    json_t *m = json_loads(p->out, 0, NULL), *version;

    version = json_object_get(json_object_get(m, "QMP"), "version");
    assert_true(json_is_integer(json_object_get(json_object_get(version, "qemu"), "major")));
    assert_true(json_is_array(json_object_get(json_object_get(m, "QMP"), "capabilities")));
    json_decref(m);
    put(p, "{\"execute\":\"count\",\"id\":1}");
    assert_non_null(strstr(p->out, "CommandNotFound"));
    assert_non_null(strstr(p->out, "\"id\":1"));
    assert_int_equal(runs, 0);
    qmp_session_event(p->session, "STOP", NULL);
    assert_null(strstr(p->out, "STOP")); /* not before the capabilities */
    put(p, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}");
    assert_non_null(strstr(p->out, "GenericError"));
    ASK(p, READY, "{\"return\":{}}");
    put(p, READY);
    assert_non_null(strstr(p->out, "CommandNotFound"));
    json_t *data = json_pack("{s:b}", "guest", 1);
    p->len = 0;
    qmp_session_event(p->session, "RESET", data);
    json_decref(data);
    m = json_loads(p->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(m, "event")), "RESET");
    assert_true(json_is_true(json_object_get(json_object_get(m, "data"), "guest")));
    assert_true(json_is_object(json_object_get(m, "timestamp")));
    json_decref(m);
}

static void test_commands(void **state)
{
    struct peer *p = *state;

    put(p, READY);
    ASK(p, "{\"execute\":\"count\"}", "{\"return\":0}");
    ASK(p, "{\"execute\":\"count\",\"arguments\":{\"a\":1,\"b\":{}},\"id\":[\"x\"]}",
        "{\"return\":2,\"id\":[\"x\"]}");
    ASK(p, "{\"execute\":\"fail\"}", GENERIC("it went \\\"wrong\\\""));
    ASK(p, "{\"execute\":\"text\",\"arguments\":{\"text\":\"\\u00e9}\\\"{\"}}",
        "{\"return\":\"\xc3\xa9}\\\"{\"}");
    ASK(p, "{\"execute\":\"text\"}", GENERIC("Parameter 'text' is missing"));
    ASK(p, "{\"execute\":\"text\",\"arguments\":{\"text\":1}}",
        GENERIC("Invalid parameter type for 'text', expected: string"));
    ASK(p, "{\"execute\":\"text\",\"arguments\":{\"no\":1}}",
        GENERIC("Parameter 'no' is unexpected"));
    put(p, "{\"execute\":\"query-commands\"}");
    assert_non_null(strstr(p->out, "\"text\""));
    assert_non_null(strstr(p->out, "\"count\""));
    put(p, "{\"execute\":\"nothing\"}");
    assert_non_null(strstr(p->out, "CommandNotFound"));
}

static void test_streams(void **state)
{
    struct peer *p = *state;

    put(p, READY);
    put(p, " \r\n{\"execute\":\"cou");
    assert_int_equal(p->len, 0);
    ASK(p, "nt\"}", "{\"return\":0}");
    put(p, "{\"execute\":\"count\"}{\"execute\":\"count\"}\n");
    assert_string_equal(p->out, "{\"return\":0}\r\n{\"return\":0}\r\n");
    ASK(p, "hello\n", GENERIC("JSON parse error"));
    ASK(p, "{]", GENERIC("JSON parse error"));
    ASK(p, "[]", GENERIC("QMP input must be a JSON object"));
    ASK(p, "{}", GENERIC("QMP input lacks member 'execute'"));
    ASK(p, "{\"execute\":1}", GENERIC("QMP input member 'execute' must be a string"));
    ASK(p, "{\"execute\":\"count\",\"arguments\":[]}",
        GENERIC("QMP input member 'arguments' must be an object"));
    put(p, "{\"execute\":\"count\",\"control\":{}}");
    assert_non_null(strstr(p->out, "has a member that is not"));
    ASK(p, "{\"execute\":\"count\",\"execute\":\"fail\"}", GENERIC("JSON parse error"));
    assert_int_equal(runs, 3);
}

static void test_too_long(void **state)
{
    struct peer *p = *state;
    bool good = put(p, "{\"execute\":\"");

    for (unsigned i = 0; i < QMP_MAX / 8 + 2 && good; i++)
        good = put(p, "aaaaaaaa");
    assert_false(good);
}

static void test_deep(void **state)
{
    struct peer *p = *state;

    put(p, READY);
    for (unsigned i = 0; i < 20000; i++)
        put(p, "[");
    for (unsigned i = 0; i < 19999; i++)
        put(p, "]");
    ASK(p, "]", GENERIC("JSON parse error"));
}

static void test_folder(void **state)
{
    char base[] = "/tmp/doppel-test-XXXXXX", path[RUNDIR_PATH], want[RUNDIR_PATH];
    struct stat st;
    struct err e;

    assert_non_null(mkdtemp(base));
    setenv("XDG_RUNTIME_DIR", base, 1);
    assert_int_equal(rundir_socket("one", "control", path, &e), 0);
    snprintf(want, sizeof(want), "%s/doppel/one.control", base);
    assert_string_equal(path, want);
    assert_int_equal(rundir_open(path, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(path, 0755), 0); /* others could look */
    assert_int_equal(rundir_open(path, &e), -EPERM);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(rundir_open(path, &e), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(base), 0);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_int_equal(rundir_open(path, &e), 0);
    snprintf(want, sizeof(want), "/tmp/doppel-%u", (unsigned)geteuid());
    assert_string_equal(path, want);
    unsetenv("XDG_RUNTIME_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greeting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
        cmocka_unit_test(test_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
