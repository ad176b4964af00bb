/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel image: making, examining and changing disk images. */
#include "image.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

static const struct image_command {
    const char *name;
    const struct arg_command *args;
    int (*act)(struct image_args *a, struct err *e);
} image_commands[] = {
    {"create", &image_args_create, image_create},
    {"info", &image_args_info, image_info},
    {"convert", &image_args_convert, image_convert},
    {"resize", &image_args_resize, image_resize},
    {"check", &image_args_check, image_check},
    {"rebase", &image_args_rebase, image_rebase},
    {"commit", &image_args_commit, image_commit},
    {"snapshot", &image_args_snapshot, image_snapshot},
};

static void usage(FILE *out)
{
    fputs("Usage: doppel image COMMAND [option]...\n\nmake, examine and change disk images.\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < sizeof(image_commands) / sizeof(image_commands[0]); i++)
        fprintf(out, "  %-10s %s\n", image_commands[i].name, image_commands[i].args->summary);
    fputs("\n'doppel image COMMAND --help' says more about a command.\n", out);
}

/* 42 % on a terminal, nothing elsewhere. */
static void tell(void *opaque, uint64_t done, uint64_t total)
{
    struct image_args *a = opaque;
    int percent = total != 0 ? (int)(done * 100.0 / (double)total) : 100;

    if (percent == a->percent || !isatty(STDERR_FILENO))
        return;
    a->percent = percent;
    fprintf(stderr, "\r%3d %%%s", percent, percent == 100 ? "\r     \r" : "");
}

static int run_command(const struct image_command *c, int argc, char **argv)
{
    struct image_args a = {.percent = -1, .version = 3, .cluster = 65536};
    struct err e = {0};

    a.progress = (struct block_progress){tell, &a};
    if (!command_args(c->args, argc, argv, &a, &a.status))
        return a.status;
    return c->act(&a, &e) < 0 ? report(&e) : a.status;
}

static int run(int argc, char **argv)
{
    if (argc == 0) {
        fputs("doppel: image: no command was given; 'doppel image --help' lists them\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof(image_commands) / sizeof(image_commands[0]); i++)
        if (strcmp(image_commands[i].name, argv[0]) == 0)
            return run_command(&image_commands[i], argc - 1, argv + 1);
    fprintf(stderr,
            "doppel: image: the command '%s' is unknown; 'doppel image --help' lists them\n",
            argv[0]);
    return EXIT_USAGE;
}

static const struct arg_option no_options[] = {{NULL}};

const struct arg_command command_image = {
    .name = "image",
    .summary = "make, examine and change disk images",
    .usage = "create|info|convert|resize|check|rebase|commit|snapshot ...",
    .notes = "'doppel image --help' lists what can be done.\n",
    .options = no_options,
    .run = run,
};
