/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A peer of the control socket that sends anything. */
#include "fuzz.h"

#include "vm/qmp.h"

static int do_echo(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"text", NULL};
    const char *text;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "text", &text, e);
    *ret = json_incref(args);
    return rc;
}

static const struct qmp_command commands[] = {{"echo", do_echo}, {NULL}};
static const struct qmp_command *const tables[] = {commands, NULL};

static void send_bytes(void *opaque, const void *bytes, size_t len)
{
    FUZZ_REQUIRE(memchr(bytes, '\0', len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ready[] = "{\"execute\":\"qmp_capabilities\"}";
    const struct qmp_config cfg = {.tables = tables, .send = send_bytes};
    struct qmp_session *s;

    FUZZ_REQUIRE(qmp_session_create(&cfg, &s) == 0);
    FUZZ_REQUIRE(qmp_session_input(s, (const uint8_t *)ready, sizeof(ready) - 1));
    (void)!qmp_session_input(s, data, size);
    qmp_session_destroy(s);
    return 0;
}
