/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a running machine's control socket, for the commands that need one. */
#ifndef DOPPEL_CMD_CLIENT_H
#define DOPPEL_CMD_CLIENT_H

#include <jansson.h>
#include <sys/types.h>

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
int target_operand(struct target *t, char *value, struct err *e) MUST_CHECK;
int target_control(struct target *t, const char *option, char *value, struct err *e) MUST_CHECK;

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

#endif
