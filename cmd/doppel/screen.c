/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel screenshot: what a running machine's screen shows. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"

struct screenshot {
    struct target target; /* first */
    const char *file;
    char path[PATH_MAX]; /* of the file: the machine writes it, and may run in another folder */
};

static int set_output(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct screenshot *)opaque)->file = value;
    return value[0] == '\0' ? err_usage(e, "%s: the path is empty", option) : 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

static int check(void *opaque, struct err *e)
{
    struct screenshot *s = opaque;
    char here[PATH_MAX] = "";
    int n;

    if (s->file == NULL)
        return err_usage(e, "screenshot: name the file with --output");
    if (s->file[0] != '/' && getcwd(here, sizeof(here)) == NULL)
        return err_set(e, errno, "--output: %s", strerror(errno));
    n = snprintf(s->path, PATH_MAX, "%s%s%s", here, here[0] != '\0' ? "/" : "", s->file);
    return n < PATH_MAX ? 0 : err_set(e, ENAMETOOLONG, "--output: the path is too long");
}

static int work(void *opaque, struct client *c, struct err *e)
{
    const struct screenshot *s = opaque;

    return client_execute_with(c, "screendump",
                               json_pack("{s:s,s:s}", "filename", s->path, "format",
                                         ends_with(s->path, ".ppm") ? "ppm" : "png"),
                               NULL, e);
}

static int run_screenshot(int argc, char **argv)
{
    static const struct client_command command = {&command_screenshot, check, work};
    struct screenshot s = {0};

    return client_run(&command, argc, argv, &s.target);
}

static const struct arg_option options[] = {
    {"output", 'o', "FILE", "where the picture goes: a PNG, or by its name a .ppm", set_output},
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", target_control},
    {NULL},
};

const struct arg_command command_screenshot = {
    .name = "screenshot",
    .summary = "write what a machine's screen shows to a file",
    .usage = "NAME --output FILE",
    .options = options,
    .operand = target_operand,
    .run = run_screenshot,
};
