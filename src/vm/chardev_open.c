/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing of character back ends: see chardev.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "vm/chardev_internal.h"

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

int chardev_options_parse(struct chardev_options *o, const char *option, const char *text,
                          struct err *e)
{
    static const struct {
        const char *word;
        enum chardev_kind kind;
    } words[] = {{"none", CHARDEV_NONE},     {"stdio", CHARDEV_STDIO}, {"pty", CHARDEV_PTY},
                 {"socket", CHARDEV_SOCKET}, {"file:", CHARDEV_FILE},  {"unix:", CHARDEV_UNIX}};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i].word);
        bool path = words[i].word[n - 1] == ':';

        if (path ? strncmp(text, words[i].word, n) != 0 : strcmp(text, words[i].word) != 0)
            continue;
        *o = (struct chardev_options){words[i].kind, path ? text + n : NULL};
        if (path && text[n] == '\0')
            return err_usage(e, "%s: %s needs a path behind it", option, text);
        return 0;
    }
    return err_usage(e, "%s: '%s' is unknown; use stdio, socket, file:PATH, unix:PATH, pty or none",
                     option, text);
}

/* A descriptor of our own for output to a terminal or a pipe, so that it can be non-blocking
 * without changing it for whoever shares it. Others, and where it cannot be had: the descriptor
 * itself. */
static int reopen(int fd)
{
    char path[32];
    struct stat st;
    int own;

    if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(fd)))
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int open_stdio(struct chardev *c, const char *option, struct err *e)
{
    struct stat st;

    c->out_fd = reopen(STDOUT_FILENO);
    if (c->out_fd < 0)
        return err_set(e, errno, "%s: stdio: standard output is closed", option);
    c->socket = fstat(c->out_fd, &st) == 0 && S_ISSOCK(st.st_mode);
    if (fcntl(STDIN_FILENO, F_GETFD) < 0)
        return 0;
    c->in_fd = STDIN_FILENO;
    c->terminal = isatty(STDIN_FILENO);
    return 0;
}

static int open_file(struct chardev *c, const char *option, const char *path, struct err *e)
{
    c->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (c->out_fd < 0)
        return err_set(e, errno, "%s: cannot write to %s: %s", option, path, strerror(errno));
    return 0;
}

static int open_pty(struct chardev *c, const char *option, struct err *e)
{
    struct termios t;

    c->out_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (c->out_fd < 0 || grantpt(c->out_fd) < 0 || unlockpt(c->out_fd) < 0 ||
        ptsname_r(c->out_fd, c->where, sizeof(c->where)) != 0)
        return err_set(e, errno, "%s: cannot get a pseudo-terminal: %s", option, strerror(errno));
    c->slave_fd = open(c->where, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->slave_fd < 0)
        return err_set(e, errno, "%s: cannot open %s: %s", option, c->where, strerror(errno));
    if (tcgetattr(c->slave_fd, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(c->slave_fd, TCSANOW, &t);
    }
    c->in_fd = c->out_fd;
    return 0;
}

/* --- unix --- */

/* A socket file that nobody listens on is left over from a process that died. */
static void remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    int fd;

    if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
        unlink(sa->sun_path);
    close(fd);
}

static int open_unix(struct chardev *c, const char *option, const char *path, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(e, ENAMETOOLONG,
                       "%s: unix:%s is too long, a socket's path has at most %zu "
                       "characters",
                       option, path, sizeof(sa.sun_path) - 1);
    strcpy(sa.sun_path, path);
    c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listen_fd < 0)
        return err_set(e, errno, "%s: cannot create a socket: %s", option, strerror(errno));
    remove_stale(&sa);
    if (bind(c->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_set(e, errno, "%s: cannot listen on %s: %s", option, path, strerror(errno));
    strcpy(c->unlink_path, path);
    if (listen(c->listen_fd, 1) < 0)
        return err_set(e, errno, "%s: cannot listen on %s: %s", option, path, strerror(errno));
    c->socket = true;
    return 0;
}

static void accept_peer(void *opaque, int fd, unsigned events)
{
    struct chardev *c = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int out = peer < 0 ? -1 : fcntl(peer, F_DUPFD_CLOEXEC, 3);

    if (out < 0 || loop_watch(c->loop, peer, LOOP_READ, chardev_readable, c, &c->in_watch) < 0 ||
        loop_watch(c->loop, out, 0, chardev_writable, c, &c->out_watch) < 0) {
        loop_unwatch(c->in_watch);
        c->in_watch = NULL;
        close_fd(out);
        close_fd(peer);
        return;
    }
    c->in_fd = peer;
    loop_watch_set(c->listen_watch, 0); /* one at a time; others wait in the backlog */
    lock_take(&c->lock);
    c->out_fd = out;
    c->out_head = c->out_len = 0;
    c->out_lossy = false;
    lock_drop(&c->lock);
}

void chardev_hang_up(struct chardev *c)
{
    int fd;

    loop_unwatch(c->out_watch);
    c->out_watch = NULL;
    lock_take(&c->lock);
    fd = c->out_fd;
    c->out_fd = -1;
    c->out_len = 0;
    pthread_cond_broadcast(&c->room);
    lock_drop(&c->lock);
    close_fd(c->in_fd);
    c->in_fd = -1;
    close_fd(fd);
    loop_watch_set(c->listen_watch, LOOP_READ);
}

/* --- life --- */

static int open_kind(struct chardev *c, const struct chardev_options *o, const char *option,
                     struct err *e)
{
    switch (o->kind) {
    case CHARDEV_NONE:
        return 0;
    case CHARDEV_STDIO:
        return open_stdio(c, option, e);
    case CHARDEV_FILE:
        return open_file(c, option, o->path, e);
    case CHARDEV_UNIX:
        return open_unix(c, option, o->path, e);
    case CHARDEV_PTY:
        return open_pty(c, option, e);
    case CHARDEV_SOCKET:
        break;
    }
    return -EINVAL;
}

/* A regular file or /dev/null cannot be watched (-EPERM): it is always ready. */
static int watch(struct chardev *c, const char *option, struct err *e)
{
    int rc = 0;

    if (c->listen_fd >= 0)
        rc = loop_watch(c->loop, c->listen_fd, LOOP_READ, accept_peer, c, &c->listen_watch);
    if (rc == 0 && c->in_fd >= 0) {
        rc = loop_watch(c->loop, c->in_fd, LOOP_READ, chardev_readable, c, &c->in_watch);
        if (rc == -EPERM) {
            c->in_always = true;
            rc = 0;
        }
    }
    /* A pseudo-terminal is one descriptor for both directions; epoll wants two. */
    if (rc == 0 && c->out_fd >= 0) {
        if (c->kind == CHARDEV_PTY)
            c->out_fd = fcntl(c->in_fd, F_DUPFD_CLOEXEC, 3);
        rc = loop_watch(c->loop, c->out_fd, 0, chardev_writable, c, &c->out_watch);
        if (rc == -EPERM)
            rc = 0;
    }
    return rc < 0 ? err_set(e, -rc, "%s: cannot watch it: %s", option, strerror(-rc)) : 0;
}

int chardev_create(const struct chardev_options *o, const struct chardev_config *cfg,
                   struct chardev **out, struct err *e)
{
    struct chardev *c = calloc(1, sizeof(*c));
    pthread_condattr_t attr;
    int rc;

    if (c == NULL)
        return err_set(e, ENOMEM, "out of memory");
    c->loop = cfg->loop;
    c->kind = o->kind;
    c->filter = cfg->filter;
    c->opaque = cfg->opaque;
    c->in_fd = c->out_fd = c->listen_fd = c->slave_fd = -1;
    lock_init(&c->lock, LOCK_CHARDEV);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->room, &attr);
    pthread_condattr_destroy(&attr);
    rc = open_kind(c, o, cfg->option, e);
    if (rc == 0)
        rc = watch(c, cfg->option, e);
    if (rc < 0) {
        chardev_destroy(c);
        return rc;
    }
    *out = c;
    return 0;
}

void chardev_destroy(struct chardev *c)
{
    if (c == NULL)
        return;
    loop_unwatch(c->in_watch);
    loop_unwatch(c->out_watch);
    loop_unwatch(c->listen_watch);
    if (c->kind == CHARDEV_PTY || c->kind == CHARDEV_UNIX)
        close_fd(c->in_fd);
    close_fd(c->out_fd);
    close_fd(c->slave_fd);
    close_fd(c->listen_fd);
    if (c->unlink_path[0] != '\0')
        unlink(c->unlink_path);
    pthread_cond_destroy(&c->room);
    lock_finish(&c->lock);
    free(c);
}
