/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel version. */
#include <stdio.h>

#include "commands.h"

static const struct arg_option options[] = {{NULL}};

static int run(int argc, char **argv)
{
    int status;

    if (!command_args(&command_version, argc, argv, NULL, &status))
        return status;
    printf("doppel %s\nengines:", DOPPEL_VERSION);
    for (unsigned i = 0; engine_all[i] != NULL; i++)
        printf(" %s", engine_all[i]->name);
    puts("");
    return 0;
}

const struct arg_command command_version = {
    .name = "version",
    .summary = "show the version and the engines that are built in",
    .usage = "",
    .options = options,
    .run = run,
};
