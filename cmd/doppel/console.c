/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel console: this terminal becomes that of a machine that runs in the background. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "terminal.h"
#include "vm/escape.h"

struct console {
    struct target target; /* first */
    struct client *client;
    int fd;
    bool left; /* by the escape key */
};

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME", target_control},
    {NULL},
};

/* --- where it is --- */

/* The path of the serial port's socket, or else of the console's; the caller frees it. */
static char *find_socket(struct client *c, struct err *e)
{
    static const char prefix[] = "unix:";
    json_t *list = NULL, *entry;
    char *path = NULL;
    size_t i;

    if (client_execute(c, "query-chardev", &list, e) < 0)
        return NULL;
    json_array_foreach(list, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "filename"));

        if (path == NULL && name != NULL && strncmp(name, prefix, sizeof(prefix) - 1) == 0)
            path = strdup(name + sizeof(prefix) - 1);
    }
    json_decref(list);
    if (path == NULL)
        err_set(e, ENOENT,
                "the machine %s has no serial port that can be connected to; run it with "
                "--serial socket",
                c->name);
    return path;
}

static int connect_to(struct console *k, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char *path = find_socket(k->client, e);

    if (path == NULL)
        return -ENOENT;
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    free(path);
    k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_set(e, errno, "cannot connect to %s: %s", sa.sun_path, strerror(errno));
    return 0;
}

/* --- the conversation --- */

static const char help[] = "\nEscape key Ctrl-A, then:\n"
                           "  h  this help\n"
                           "  x  leave the console; the machine runs on\n"
                           "  p  press the power button\n"
                           "  r  reset\n"
                           "  a  send Ctrl-A to the guest\n";

static void on_escape(void *opaque, enum escape_action action)
{
    struct console *k = opaque;
    struct err e;
    int rc = 0;

    switch (action) {
    case ESCAPE_HELP:
        terminal_print(help, sizeof(help) - 1);
        break;
    case ESCAPE_QUIT:
        k->left = true;
        break;
    case ESCAPE_POWER:
        rc = client_execute(k->client, "system_powerdown", NULL, &e);
        break;
    case ESCAPE_RESET:
        rc = client_execute(k->client, "system_reset", NULL, &e);
        break;
    }
    if (rc < 0) {
        terminal_print(e.text, strlen(e.text));
        terminal_print("\n", 1);
    }
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Bytes from one side to the other. false: its end, or that of the conversation. */
static bool pass(struct console *k, int from, int to, struct escape *escape)
{
    uint8_t buf[4096];
    ssize_t n = read(from, buf, sizeof(buf));
    size_t len = n > 0 ? (size_t)n : 0;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (escape != NULL)
        len = escape_filter(escape, buf, len);
    return write_all(to, buf, len) && !k->left;
}

/* Until the machine hangs up, or the escape key. The end of standard input is not the end: what
 * the guest still says is shown. */
static void talk(struct console *k)
{
    struct escape escape = {.act = on_escape, .opaque = k};
    struct escape *filter = terminal_present() ? &escape : NULL;
    struct pollfd p[] = {{.fd = k->fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents != 0 && !pass(k, k->fd, STDOUT_FILENO, NULL))
            return;
        if (p[1].revents != 0 && !pass(k, STDIN_FILENO, k->fd, filter)) {
            if (k->left)
                return;
            p[1].fd = -1;
        }
        p[0].revents = p[1].revents = 0;
    }
}

static int attach(void *opaque, struct client *c, struct err *e)
{
    struct console *k = opaque;
    int rc;

    k->client = c;
    rc = connect_to(k, e);
    if (rc == 0) {
        if (terminal_present())
            fputs("doppel: the escape key is Ctrl-A, Ctrl-A h shows help\n", stderr);
        terminal_guard();
        terminal_raw();
        talk(k);
        terminal_restore();
    }
    if (k->fd >= 0)
        close(k->fd);
    return rc;
}

static int run(int argc, char **argv)
{
    static const struct client_command command = {&command_console, NULL, attach};
    struct console k = {.fd = -1};

    return client_run(&command, argc, argv, &k.target);
}

const struct arg_command command_console = {
    .name = "console",
    .summary = "use this terminal for a machine's serial port",
    .usage = "NAME [option]...",
    .notes = "The machine was run with --serial socket or --detach. Ctrl-A x leaves it.\n",
    .options = options,
    .operand = target_operand,
    .run = run,
};
