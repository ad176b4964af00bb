/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel screenshot: what a running machine's screen shows. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"

struct screenshot {
    struct target target;
    const char *path;
};

static int set_name(void *opaque, char *value, struct err *e)
{
    return target_operand(&((struct screenshot *)opaque)->target, value, e);
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return target_control(&((struct screenshot *)opaque)->target, option, value, e);
}

static int set_output(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct screenshot *)opaque)->path = value;
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

/* The machine writes the file, and its working directory is another one. */
static int absolute(const char *path, char out[PATH_MAX], struct err *e)
{
    char here[PATH_MAX] = "";
    int n;

    if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL)
        return err_set(e, errno, "--output: %s", strerror(errno));
    n = snprintf(out, PATH_MAX, "%s%s%s", here, here[0] != '\0' ? "/" : "", path);
    return n < PATH_MAX ? 0 : err_set(e, ENAMETOOLONG, "--output: the path is too long");
}

static int take(const struct screenshot *s, struct err *e)
{
    struct client *cl = calloc(1, sizeof(*cl));
    char path[PATH_MAX];
    int rc = absolute(s->path, path, e);

    if (cl == NULL)
        return err_set(e, ENOMEM, "out of memory");
    if (rc == 0) {
        rc = client_open(cl, &s->target, e);
        if (rc == 0)
            rc = client_execute_with(cl, "screendump",
                                     json_pack("{s:s,s:s}", "filename", path, "format",
                                               ends_with(path, ".ppm") ? "ppm" : "png"),
                                     NULL, e);
        client_close(cl);
    }
    free(cl);
    return rc;
}

static int run_screenshot(int argc, char **argv)
{
    struct screenshot s = {0};
    struct err e = {0};

    switch (args_parse(&command_screenshot, argc, argv, &s, &e)) {
    case ARGS_HELP:
        args_help(&command_screenshot, stdout);
        return 0;
    case ARGS_ERROR:
        return report(&e);
    case ARGS_OK:
        break;
    }
    if (s.path == NULL) {
        err_usage(&e, "screenshot: name the file with --output");
        return report(&e);
    }
    return take(&s, &e) < 0 ? report(&e) : 0;
}

static const struct arg_option options[] = {
    {"output", 'o', "FILE", "where the picture goes: a PNG, or by its name a .ppm", set_output},
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", set_control},
    {NULL},
};

const struct arg_command command_screenshot = {
    .name = "screenshot",
    .summary = "write what a machine's screen shows to a file",
    .usage = "NAME --output FILE",
    .options = options,
    .operand = set_name,
    .run = run_screenshot,
};
