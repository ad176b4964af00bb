/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client of control sockets: see client.h. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "vm/options.h"
#include "vm/rundir.h"

#define PATIENCE_MS 20000 /* for an answer: a busy host, a guest's disks that are slow to pause */

/* --- which machine --- */

int target_operand(void *opaque, char *value, struct err *e)
{
    struct target *t = opaque;

    if (t->name != NULL)
        return err_usage(e, "two machines were named (%s and %s); name one", t->name, value);
    t->name = value;
    return option_name("NAME", value, e);
}

int target_control(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct target *)opaque)->control = value;
    return value[0] == '\0' ? err_usage(e, "%s: the path is empty", option) : 0;
}

bool target_wanted(const struct target *t)
{
    return t->name == NULL && t->control == NULL;
}

/* --- lines --- */

static long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* More bytes. 0: some, -EPIPE: the end, -ETIMEDOUT. until: now_ms, or -1. */
static int receive(struct client *c, long until)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    ssize_t n;

    for (;;) {
        long left = until < 0 ? -1 : until - now_ms();

        if (until >= 0 && left < 0)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)left) > 0)
            break;
    }
    n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
    if (n <= 0)
        return -EPIPE;
    c->len += (size_t)n;
    return 0;
}

/* The next message; NULL with *rc. */
static json_t *next_message(struct client *c, long until, int *rc)
{
    for (;;) {
        char *end = memchr(c->buf, '\n', c->len);

        if (end != NULL) {
            size_t n = (size_t)(end - c->buf) + 1;
            json_t *m = json_loadb(c->buf, n, 0, NULL);

            memmove(c->buf, c->buf + n, c->len - n);
            c->len -= n;
            *rc = m == NULL ? -EPROTO : 0;
            return m;
        }
        *rc = c->len == sizeof(c->buf) ? -EPROTO : receive(c, until);
        if (*rc < 0)
            return NULL;
    }
}

static int broken(struct client *c, int rc, struct err *e)
{
    if (rc == -ETIMEDOUT)
        return err_set(e, ETIMEDOUT, "the machine %s does not answer", c->name);
    if (rc == -EPIPE)
        return err_set(e, EPIPE, "the machine %s ended", c->name);
    return err_set(e, EPROTO, "the machine %s does not speak the control protocol", c->name);
}

static int send_all(struct client *c, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EPIPE;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int client_execute(struct client *c, const char *command, json_t **ret, struct err *e)
{
    return client_execute_with(c, command, json_object(), ret, e);
}

int client_execute_with(struct client *c, const char *command, json_t *args, json_t **ret,
                        struct err *e)
{
    long until = now_ms() + PATIENCE_MS;
    json_t *whole = json_pack("{s:s,s:o}", "execute", command, "arguments", args);
    char *line = whole != NULL ? json_dumps(whole, JSON_COMPACT) : NULL;
    int rc;

    json_decref(whole);
    if (line == NULL)
        return err_set(e, EINVAL, "what the machine %s is to be told is no UTF-8 text", c->name);
    rc = send_all(c, line, strlen(line));
    free(line);
    if (rc < 0)
        return broken(c, rc, e);
    for (;;) {
        json_t *m = next_message(c, until, &rc), *got, *desc;

        if (m == NULL)
            return broken(c, rc, e);
        got = json_object_get(m, "return");
        desc = json_object_get(json_object_get(m, "error"), "desc");
        if (desc != NULL)
            rc = err_set(e, EIO, "the machine %s: %s", c->name,
                         json_string_value(desc) != NULL ? json_string_value(desc) : "error");
        else if (got != NULL && ret != NULL)
            *ret = json_incref(got);
        json_decref(m);
        if (got != NULL || desc != NULL) /* else an event */
            return rc;
    }
}

int client_wait_end(struct client *c, int timeout_ms)
{
    long until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    int rc;

    do {
        c->len = 0; /* events; the end is what counts */
        rc = receive(c, until);
    } while (rc == 0);
    return rc == -EPIPE ? 0 : rc;
}

/* --- connecting --- */

int client_open_path(struct client *c, const char *name, const char *path, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    int rc;

    *c = (struct client){.fd = -1, .name = name};
    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(e, ENAMETOOLONG, "the path %s is too long for a socket", path);
    strcpy(sa.sun_path, path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return err_set(e, errno, "cannot create a socket: %s", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_set(e, errno, "no machine %s runs; 'doppel list' shows those that do", name);
        return err_set(e, errno, "cannot connect to %s: %s", path, strerror(errno));
    }
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        c->pid = peer.pid;
    json_t *greeting = next_message(c, now_ms() + PATIENCE_MS, &rc);
    bool known = json_object_get(greeting, "QMP") != NULL;

    json_decref(greeting);
    if (!known)
        return broken(c, rc < 0 ? rc : -EPROTO, e);
    return client_execute(c, "qmp_capabilities", NULL, e);
}

int client_open(struct client *c, const struct target *t, struct err *e)
{
    char path[RUNDIR_PATH];
    int rc;

    c->fd = -1;
    if ((t->name == NULL) == (t->control == NULL))
        return err_usage(e, "name one machine, or its socket with --control");
    if (t->control != NULL)
        return client_open_path(c, t->control, t->control, e);
    rc = rundir_socket(t->name, "control", path, e);
    return rc == 0 ? client_open_path(c, t->name, path, e) : rc;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* --- a command --- */

int client_run(const struct client_command *cmd, int argc, char **argv, struct target *t)
{
    struct client *c;
    struct err e = {0};
    int rc;

    if (!command_args(cmd->args, argc, argv, t, &rc))
        return rc;
    if (cmd->check != NULL && cmd->check(t, &e) < 0)
        return report(&e);
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        err_set(&e, ENOMEM, "out of memory");
        return report(&e);
    }
    rc = client_open(c, t, &e);
    if (rc == 0)
        rc = cmd->work(t, c, &e);
    client_close(c);
    free(c);
    return rc < 0 ? report(&e) : 0;
}
