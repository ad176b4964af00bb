/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel eject, insert: the media of a running machine's CD-ROM and floppy drives. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"

struct medium {
    struct target target; /* first */
    const char *file, *drive;
    bool force, insert;
    char path[PATH_MAX]; /* of the file: the machine may run in another folder */
};

static int add_word(void *opaque, char *value, struct err *e)
{
    struct medium *m = opaque;

    if (target_wanted(&m->target))
        return target_operand(&m->target, value, e);
    if (m->file != NULL)
        return err_usage(e, "'%s' is one word too many", value);
    m->file = value;
    return 0;
}

static int set_drive(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct medium *)opaque)->drive = value;
    return 0;
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME; comes first",
     target_control},
    {"drive", 0, "DRIVE", "cd0, the default, cd1 and so on, floppy0, floppy1", set_drive},
    {"force", 0, NULL, "even if the guest has locked the tray", ARG_FLAG(struct medium, force)},
    {NULL},
};

static int check(void *opaque, struct err *e)
{
    struct medium *m = opaque;

    if (!m->insert)
        return m->file == NULL ? 0 : err_usage(e, "eject: '%s' is one word too many", m->file);
    if (m->file == NULL)
        return err_usage(e, "insert: no image was given");
    if (realpath(m->file, m->path) == NULL)
        return err_set(e, errno, "%s: %s", m->file, strerror(errno));
    return 0;
}

static int work(void *opaque, struct client *c, struct err *e)
{
    const struct medium *m = opaque;
    json_t *args = json_pack("{s:s,s:b,s:s*}", "id", m->drive, "force", m->force, "filename",
                             m->insert ? m->path : NULL);

    return client_execute_with(c, m->insert ? "blockdev-change-medium" : "eject", args, NULL, e);
}

static int run_medium(const struct arg_command *c, int argc, char **argv, bool insert)
{
    const struct client_command command = {c, check, work};
    struct medium m = {.drive = "cd0", .insert = insert};

    return client_run(&command, argc, argv, &m.target);
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
    .summary = "take the medium out of a machine's CD-ROM or floppy drive",
    .usage = "NAME [option]...",
    .options = options,
    .operand = add_word,
    .run = run_eject,
};

const struct arg_command command_insert = {
    .name = "insert",
    .summary = "put an image into a machine's CD-ROM or floppy drive",
    .usage = "NAME FILE [option]...",
    .options = options,
    .operand = add_word,
    .run = run_insert,
};
