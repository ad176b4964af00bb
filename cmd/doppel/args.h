/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command line arguments by table. Options are "--long VALUE", "--long=VALUE", "-s VALUE" or
 * "-sVALUE"; "--" ends them; other words are operands. The table also makes the help text.
 */
#ifndef DOPPEL_CMD_ARGS_H
#define DOPPEL_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

struct arg_option {
    const char *name;  /* without dashes */
    char letter;       /* 0: none */
    const char *value; /* what the help calls the value; NULL: the option has none */
    const char *help;  /* NULL: not shown */
    /* `option` is "--name", `value` NULL without one. NULL: `flag` becomes true. */
    int (*set)(void *opaque, const char *option, char *value, struct err *e);
    size_t flag; /* offset of a bool */
};

/* An option without a value that says that this field, a bool, is true. */
#define ARG_FLAG(type, field) NULL, _Generic(((type *)0)->field, bool : offsetof(type, field))

struct arg_command {
    const char *name, *summary;
    const char *usage;                                        /* operands: "[IMAGE] [option]..." */
    const char *notes;                                        /* below the options; NULL: none */
    const struct arg_option *options;                         /* ends with name NULL */
    int (*operand)(void *opaque, char *value, struct err *e); /* NULL: takes none */
    int (*run)(int argc, char **argv); /* arguments behind the command's name; exit status */
};

enum args_result { ARGS_OK, ARGS_HELP, ARGS_ERROR };

/* Every command knows -h and --help. */
enum args_result args_parse(const struct arg_command *c, int argc, char **argv, void *opaque,
                            struct err *e);
void args_help(const struct arg_command *c, FILE *out);

#endif
