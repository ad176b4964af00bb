/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel stop, pause, resume, reset: what a running machine is told by its control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "commands.h"
#include "vm/options.h"

#define STOP_TIMEOUT_NS UINT64_C(60000000000)

struct control {
    struct target target;
    bool force;
    uint64_t timeout_ns;
};

static int set_name(void *opaque, char *value, struct err *e)
{
    return target_operand(&((struct control *)opaque)->target, value, e);
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return target_control(&((struct control *)opaque)->target, option, value, e);
}

static int set_force(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct control *)opaque)->force = true;
    return 0;
}

static int set_timeout(void *opaque, const char *option, char *value, struct err *e)
{
    return option_duration(option, value, &((struct control *)opaque)->timeout_ns, e);
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", set_control},
    {NULL},
};

static const struct arg_option stop_options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", set_control},
    {"force", 0, NULL, "pull the plug", set_force},
    {"timeout", 0, "TIME", "how long the guest may take (default 60s)", set_timeout},
    {NULL},
};

/* Arguments, connection, work, report. */
static int run_command(const struct arg_command *c, int argc, char **argv, struct control *k,
                       int (*work)(struct control *k, struct client *cl, struct err *e))
{
    struct client *cl;
    struct err e = {0};
    int rc;

    switch (args_parse(c, argc, argv, k, &e)) {
    case ARGS_HELP:
        args_help(c, stdout);
        return 0;
    case ARGS_ERROR:
        return report(&e);
    case ARGS_OK:
        break;
    }
    cl = calloc(1, sizeof(*cl));
    if (cl == NULL) {
        err_set(&e, ENOMEM, "out of memory");
        return report(&e);
    }
    rc = client_open(cl, &k->target, &e);
    if (rc == 0)
        rc = work(k, cl, &e);
    client_close(cl);
    free(cl);
    return rc < 0 ? report(&e) : 0;
}

/* --- stop --- */

static int stop(struct control *k, struct client *cl, struct err *e)
{
    int rc = client_execute(cl, k->force ? "quit" : "system_powerdown", NULL, e);

    if (rc < 0)
        return rc;
    if (client_wait_end(cl, (int)(k->timeout_ns / 1000000)) < 0)
        return err_set(e, ETIMEDOUT,
                       "the machine %s did not end in time; stop it with --force, or give it more "
                       "--timeout",
                       cl->name);
    return 0;
}

static int run_stop(int argc, char **argv)
{
    struct control k = {.timeout_ns = STOP_TIMEOUT_NS};

    return run_command(&command_stop, argc, argv, &k, stop);
}

/* --- pause, resume, reset --- */

static int pause_machine(struct control *k, struct client *cl, struct err *e)
{
    return client_execute(cl, "stop", NULL, e);
}

static int run_pause(int argc, char **argv)
{
    struct control k = {0};

    return run_command(&command_pause, argc, argv, &k, pause_machine);
}

static int resume(struct control *k, struct client *cl, struct err *e)
{
    return client_execute(cl, "cont", NULL, e);
}

static int run_resume(int argc, char **argv)
{
    struct control k = {0};

    return run_command(&command_resume, argc, argv, &k, resume);
}

static int reset(struct control *k, struct client *cl, struct err *e)
{
    return client_execute(cl, "system_reset", NULL, e);
}

static int run_reset(int argc, char **argv)
{
    struct control k = {0};

    return run_command(&command_reset, argc, argv, &k, reset);
}

const struct arg_command command_stop = {
    .name = "stop",
    .summary = "press a machine's power button and wait for its end",
    .usage = "NAME [option]...",
    .options = stop_options,
    .operand = set_name,
    .run = run_stop,
};

const struct arg_command command_pause = {
    .name = "pause",
    .summary = "let a machine stand still",
    .usage = "NAME [option]...",
    .options = options,
    .operand = set_name,
    .run = run_pause,
};

const struct arg_command command_resume = {
    .name = "resume",
    .summary = "let a paused machine go on",
    .usage = "NAME [option]...",
    .options = options,
    .operand = set_name,
    .run = run_resume,
};

const struct arg_command command_reset = {
    .name = "reset",
    .summary = "reset a machine",
    .usage = "NAME [option]...",
    .options = options,
    .operand = set_name,
    .run = run_reset,
};
