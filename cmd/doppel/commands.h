/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of doppel. */
#ifndef DOPPEL_CMD_COMMANDS_H
#define DOPPEL_CMD_COMMANDS_H

#include <stdbool.h>

#include "args.h"
#include "engine/engine.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

extern const struct arg_command command_run, command_doctor, command_version, command_console,
    command_list, command_stop, command_pause, command_resume, command_reset, command_screenshot,
    command_image, command_type, command_key, command_click, command_eject, command_insert;

/* Prints an error as one line; the exit status that goes with it. */
int report(const struct err *e);
/* Takes a command's arguments. false: that was all, by --help or a mistake that was reported; then
 * *status is the exit status. */
bool command_args(const struct arg_command *c, int argc, char **argv, void *opaque, int *status);

#endif
