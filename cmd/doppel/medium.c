/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel eject, insert: the media of a running machine's CD-ROM drives. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"

struct medium {
    struct target target;
    const char *file, *drive;
    bool force;
};

/* With --control there is no name. */
static int add_word(void *opaque, char *value, struct err *e)
{
    struct medium *m = opaque;

    if (m->target.name == NULL && m->target.control == NULL)
        return target_operand(&m->target, value, e);
    if (m->file != NULL)
        return err_usage(e, "'%s' is one word too many", value);
    m->file = value;
    return 0;
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return target_control(&((struct medium *)opaque)->target, option, value, e);
}

static int set_drive(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct medium *)opaque)->drive = value;
    return 0;
}

static int set_force(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct medium *)opaque)->force = true;
    return 0;
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME; comes first",
     set_control},
    {"drive", 0, "DRIVE", "cd0, the default, cd1 and so on", set_drive},
    {"force", 0, NULL, "even if the guest has locked the tray", set_force},
    {NULL},
};

/* The machine may run in another folder. */
static int full_path(const char *file, char path[PATH_MAX], struct err *e)
{
    if (realpath(file, path) == NULL)
        return err_set(e, errno, "%s: %s", file, strerror(errno));
    return 0;
}

static int run_medium(const struct arg_command *c, int argc, char **argv, bool insert)
{
    struct medium m = {.drive = "cd0"};
    struct client *cl = calloc(1, sizeof(*cl));
    char path[PATH_MAX];
    struct err e = {0};
    enum args_result parsed = args_parse(c, argc, argv, &m, &e);
    int rc = parsed == ARGS_ERROR ? -EINVAL : 0;

    if (parsed == ARGS_HELP) {
        args_help(c, stdout);
    } else if (rc == 0 && cl == NULL) {
        rc = err_set(&e, ENOMEM, "out of memory");
    } else if (rc == 0 && insert != (m.file != NULL)) {
        rc = insert ? err_usage(&e, "insert: no image was given")
                    : err_usage(&e, "eject: '%s' is one word too many", m.file);
    } else if (rc == 0) {
        cl->fd = -1;
        rc = insert ? full_path(m.file, path, &e) : 0;
        if (rc == 0)
            rc = client_open(cl, &m.target, &e);
        if (rc == 0)
            rc = client_execute_with(
                cl, insert ? "blockdev-change-medium" : "eject",
                insert
                    ? json_pack("{s:s,s:b,s:s}", "id", m.drive, "force", m.force, "filename", path)
                    : json_pack("{s:s,s:b}", "id", m.drive, "force", m.force),
                NULL, &e);
        client_close(cl);
    }
    free(cl);
    return rc < 0 ? report(&e) : 0;
}

static int run_eject(int argc, char **argv)
{
    return run_medium(&command_eject, argc, argv, false);
}

static int run_insert(int argc, char **argv)
{
    return run_medium(&command_insert, argc, argv, true);
}

const struct arg_command command_eject = {
    .name = "eject",
    .summary = "take the medium out of a machine's CD-ROM drive",
    .usage = "NAME [option]...",
    .options = options,
    .operand = add_word,
    .run = run_eject,
};

const struct arg_command command_insert = {
    .name = "insert",
    .summary = "put an ISO image into a machine's CD-ROM drive",
    .usage = "NAME FILE [option]...",
    .options = options,
    .operand = add_word,
    .run = run_insert,
};
