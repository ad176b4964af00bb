/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel: choice of the command, and what the commands share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const struct arg_command *const commands[] = {
    &command_run,   &command_list,   &command_console, &command_stop,
    &command_pause, &command_resume, &command_reset,   &command_screenshot,
    &command_image, &command_type,   &command_key,     &command_click,
    &command_eject, &command_insert, &command_doctor,  &command_version};

static void usage(FILE *out)
{
    fputs("Usage: doppel COMMAND [option]...\n\n"
          "doppel runs x86 virtual machines, with hardware virtualization or without.\n\n"
          "Commands:\n",
          out);
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'doppel COMMAND --help' says more about a command.\n"
          "Exit status: 0 success, 1 failure, 2 wrong usage.\n",
          out);
}

int report(const struct err *e)
{
    fprintf(stderr, "doppel: %s\n", e->text);
    return e->usage ? EXIT_USAGE : EXIT_FAILED;
}

bool command_args(const struct arg_command *c, int argc, char **argv, void *opaque, int *status)
{
    struct err e = {0};

    switch (args_parse(c, argc, argv, opaque, &e)) {
    case ARGS_HELP:
        args_help(c, stdout);
        *status = 0;
        return false;
    case ARGS_ERROR:
        *status = report(&e);
        return false;
    case ARGS_OK:
        break;
    }
    return true;
}

static const struct arg_command *find(const char *name)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* "doppel help", "doppel help run" */
static int help(int argc, char **argv)
{
    const struct arg_command *c;

    if (argc == 0) {
        usage(stdout);
        return 0;
    }
    c = find(argv[0]);
    if (c == NULL) {
        fprintf(stderr, "doppel: help: the command '%s' is unknown; 'doppel --help' lists them\n",
                argv[0]);
        return EXIT_USAGE;
    }
    args_help(c, stdout);
    return 0;
}

/* A descriptor that the caller closed must not become some file of ours. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

int main(int argc, char **argv)
{
    const struct arg_command *c;

    open_standard_files();
    if (argc < 2) {
        fputs("doppel: no command was given; 'doppel --help' lists them\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0)
        return command_version.run(0, argv + 2);
    c = find(argv[1]);
    if (c == NULL) {
        fprintf(stderr, "doppel: the command '%s' is unknown; 'doppel --help' lists them\n",
                argv[1]);
        return EXIT_USAGE;
    }
    return c->run(argc - 2, argv + 2);
}
