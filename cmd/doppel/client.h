/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a running machine's control socket, for the commands that need one. */
#ifndef DOPPEL_CMD_CLIENT_H
#define DOPPEL_CMD_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "args.h"
#include "base/err.h"

struct client {
    int fd; /* -1: none */
    pid_t pid;
    const char *name; /* of the machine, for errors */
    size_t len;
    char buf[65536];
};

/* Which machine a command is for: NAME or --control SOCKET. */
struct target {
    const char *name, *control;
};
/* Operand and option of a command whose arguments begin with a target. */
int target_operand(void *opaque, char *value, struct err *e) MUST_CHECK;
int target_control(void *opaque, const char *option, char *value, struct err *e) MUST_CHECK;
/* Is the next word NAME? With --control there is none. */
bool target_wanted(const struct target *t);

/* Connects and is ready for commands. client_close in any case. */
int client_open(struct client *c, const struct target *t, struct err *e) MUST_CHECK;
int client_open_path(struct client *c, const char *name, const char *path,
                     struct err *e) MUST_CHECK;
void client_close(struct client *c);
/* One command without arguments. *ret, if `ret` is not NULL, is the caller's then. */
int client_execute(struct client *c, const char *command, json_t **ret, struct err *e) MUST_CHECK;
/* With arguments, which it takes. */
int client_execute_with(struct client *c, const char *command, json_t *args, json_t **ret,
                        struct err *e) MUST_CHECK;
/* Waits until the machine has ended. -ETIMEDOUT (no sentence); timeout_ms -1: forever. */
int client_wait_end(struct client *c, int timeout_ms) MUST_CHECK;

/* A command that tells one machine something. `args` fills what is `t` here, and begins with it. */
struct client_command {
    const struct arg_command *args;
    /* Of the arguments, ahead of the connection; NULL: none. */
    int (*check)(void *t, struct err *e);
    int (*work)(void *t, struct client *c, struct err *e);
};
/* All of it, with a report if it fails: the exit status. */
int client_run(const struct client_command *cmd, int argc, char **argv, struct target *t);

#endif
