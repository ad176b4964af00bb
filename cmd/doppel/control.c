/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel stop, pause, resume, reset: what a running machine is told by its control socket. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "vm/options.h"

#define STOP_TIMEOUT_NS UINT64_C(60000000000)
#define PRESS_AGAIN_MS 3000

struct control {
    struct target target; /* first */
    bool force;
    uint64_t timeout_ns;
};

static int set_timeout(void *opaque, const char *option, char *value, struct err *e)
{
    return option_duration(option, value, &((struct control *)opaque)->timeout_ns, e);
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", target_control},
    {NULL},
};

static const struct arg_option stop_options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", target_control},
    {"force", 0, NULL, "pull the plug", ARG_FLAG(struct control, force)},
    {"timeout", 0, "TIME", "how long the guest may take (default 60s)", set_timeout},
    {NULL},
};

/* --- stop --- */

static int is_asleep(struct client *cl, bool *asleep, struct err *e)
{
    json_t *ret = NULL;
    int rc = client_execute(cl, "query-status", &ret, e);
    const char *status = json_string_value(json_object_get(ret, "status"));

    *asleep = status != NULL && strcmp(status, "suspended") == 0;
    json_decref(ret);
    return rc;
}

/* What wakes a guest that sleeps is no wish to power off to it. When it is awake enough to hear of
 * that only it knows: the button is pressed until the machine ends. -ETIMEDOUT: it did not. */
static int press_again(struct client *cl, int timeout_ms, struct err *e)
{
    int rc;

    for (; timeout_ms > PRESS_AGAIN_MS; timeout_ms -= PRESS_AGAIN_MS) {
        if (client_wait_end(cl, PRESS_AGAIN_MS) == 0)
            return 0;
        rc = client_execute(cl, "system_powerdown", NULL, e);
        if (rc < 0)
            return rc == -EPIPE ? 0 : rc;
    }
    return client_wait_end(cl, timeout_ms);
}

static int stop(void *opaque, struct client *cl, struct err *e)
{
    const struct control *k = opaque;
    uint64_t ms = k->timeout_ns / 1000000;
    int timeout_ms = ms < INT_MAX ? (int)ms : INT_MAX;
    bool asleep = false;
    int rc = k->force ? 0 : is_asleep(cl, &asleep, e);

    if (rc == 0)
        rc = client_execute(cl, k->force ? "quit" : "system_powerdown", NULL, e);
    if (rc < 0)
        return rc;
    rc = asleep ? press_again(cl, timeout_ms, e) : client_wait_end(cl, timeout_ms);
    return rc == -ETIMEDOUT
               ? err_set(e, ETIMEDOUT,
                         "the machine %s did not end in time; stop it with --force, or give it "
                         "more --timeout",
                         cl->name)
               : rc;
}

static int run_stop(int argc, char **argv)
{
    static const struct client_command command = {&command_stop, NULL, stop};
    struct control k = {.timeout_ns = STOP_TIMEOUT_NS};

    return client_run(&command, argc, argv, &k.target);
}

/* --- pause, resume, reset --- */

static int pause_machine(void *opaque, struct client *cl, struct err *e)
{
    return client_execute(cl, "stop", NULL, e);
}

static int run_pause(int argc, char **argv)
{
    static const struct client_command command = {&command_pause, NULL, pause_machine};
    struct control k = {0};

    return client_run(&command, argc, argv, &k.target);
}

static int resume(void *opaque, struct client *cl, struct err *e)
{
    return client_execute(cl, "cont", NULL, e);
}

static int run_resume(int argc, char **argv)
{
    static const struct client_command command = {&command_resume, NULL, resume};
    struct control k = {0};

    return client_run(&command, argc, argv, &k.target);
}

static int reset(void *opaque, struct client *cl, struct err *e)
{
    return client_execute(cl, "system_reset", NULL, e);
}

static int run_reset(int argc, char **argv)
{
    static const struct client_command command = {&command_reset, NULL, reset};
    struct control k = {0};

    return client_run(&command, argc, argv, &k.target);
}

const struct arg_command command_stop = {
    .name = "stop",
    .summary = "press a machine's power button and wait for its end",
    .usage = "NAME [option]...",
    .options = stop_options,
    .operand = target_operand,
    .run = run_stop,
};

const struct arg_command command_pause = {
    .name = "pause",
    .summary = "let a machine stand still",
    .usage = "NAME [option]...",
    .options = options,
    .operand = target_operand,
    .run = run_pause,
};

const struct arg_command command_resume = {
    .name = "resume",
    .summary = "let a paused machine go on",
    .usage = "NAME [option]...",
    .options = options,
    .operand = target_operand,
    .run = run_resume,
};

const struct arg_command command_reset = {
    .name = "reset",
    .summary = "reset a machine",
    .usage = "NAME [option]...",
    .options = options,
    .operand = target_operand,
    .run = run_reset,
};
