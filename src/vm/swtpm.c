/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A software TPM in a process of its own: see swtpm.h. */
#include "vm/swtpm.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

enum { CMD_INIT = 2, CMD_SHUTDOWN = 3, CMD_STOP = 14, CMD_SET_DATAFD = 16 };
enum { ANSWER_MAX = 4096, HEADER = 10, CONTROL_FD = 3, PATIENCE_S = 10 };

extern char **environ;

struct swtpm {
    struct loop *loop;
    int control, data;
    struct loop_watch *watch;
    pid_t pid; /* 0: it is not ours */
    void (*answer)(void *opaque, const uint8_t *buf, size_t len);
    void *opaque;
    uint8_t in[ANSWER_MAX];
    size_t in_len;
};

/* --- the control channel: commands and results are big-endian, the result comes first --- */

static int put_command(struct swtpm *s, const uint8_t *body, size_t len, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec iov = {(void *)body, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        m.msg_control = c.room;
        m.msg_controllen = sizeof(c.room);
        c.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&c.head), &fd, sizeof(fd));
    }
    return sendmsg(s->control, &m, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EIO;
}

/* A command with `flags` behind it, or with a descriptor. */
static int control(struct swtpm *s, uint32_t command, const uint32_t *flags, int fd)
{
    uint8_t body[8], result[4];
    ssize_t n;
    int rc;

    st_be32(body, command);
    st_be32(body + 4, flags != NULL ? *flags : 0);
    rc = put_command(s, body, flags != NULL ? 8 : 4, fd);
    if (rc < 0)
        return rc;
    n = recv(s->control, result, sizeof(result), MSG_WAITALL);
    if (n != (ssize_t)sizeof(result))
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? -ETIMEDOUT : -EIO;
    return ld_be32(result) == 0 ? 0 : -EPROTO;
}

/* --- commands and answers --- */

static void take_answers(struct swtpm *s)
{
    while (s->in_len >= HEADER) {
        uint32_t len = ld_be32(s->in + 2);

        if (len < HEADER || len > ANSWER_MAX) { /* it speaks another language */
            len = (uint32_t)s->in_len;
            log_warn("swtpm: an answer makes no sense");
        }
        if (s->in_len < len)
            return;
        if (s->answer != NULL)
            s->answer(s->opaque, s->in, len);
        s->in_len -= len;
        memmove(s->in, s->in + len, s->in_len);
    }
}

static void on_data(void *opaque, int fd, unsigned events)
{
    struct swtpm *s = opaque;
    ssize_t n = recv(fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);

    if (n > 0) {
        s->in_len += (size_t)n;
        take_answers(s);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        log_warn("swtpm has ended: the TPM answers no more");
        loop_unwatch(s->watch);
        s->watch = NULL;
    }
}

int swtpm_send(struct swtpm *s, const uint8_t *command, size_t len)
{
    ssize_t n = send(s->data, command, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

void swtpm_attach(struct swtpm *s, void (*answer)(void *opaque, const uint8_t *buf, size_t len),
                  void *opaque)
{
    s->answer = answer;
    s->opaque = opaque;
}

/* CMD_STOP waits for a command that is being carried out; its answer is here then. */
int swtpm_reset(struct swtpm *s)
{
    uint32_t flags = 0;
    uint8_t old[256];
    int rc = control(s, CMD_STOP, NULL, -1);

    while (recv(s->data, old, sizeof(old), MSG_DONTWAIT) > 0)
        continue;
    s->in_len = 0;
    return rc == 0 ? control(s, CMD_INIT, &flags, -1) : rc;
}

/* --- life --- */

static int spawn(struct swtpm *s, const char *folder, int end)
{
    char state[4096];
    char *const words[] = {
        "swtpm",       "socket", "--tpm2", "--tpmstate", state, "--ctrl", "type=unixio,clientfd=3",
        "--terminate", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    if (snprintf(state, sizeof(state), "dir=%s", folder) >= (int)sizeof(state))
        return -ENAMETOOLONG;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, end, CONTROL_FD);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0); /* a terminal's Ctrl-C is not for it */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    rc = posix_spawnp(&s->pid, "swtpm", &actions, &attr, words, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0)
        s->pid = 0;
    return -rc;
}

static int start(struct swtpm *s, const char *option, const char *folder, struct err *e)
{
    int ends[2], rc;

    if (strchr(folder, ',') != NULL)
        return err_usage(e, "%s: swtpm takes no path with a comma", option);
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "%s: cannot make the folder %s: %s", option, folder,
                       strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(e, errno, "%s: cannot create a socket: %s", option, strerror(errno));
    s->control = ends[0];
    rc = spawn(s, folder, ends[1]);
    close(ends[1]);
    if (rc < 0)
        return err_set(e, -rc, "%s: cannot start swtpm: %s; is the package swtpm installed?",
                       option, strerror(-rc));
    return 0;
}

static int reach(struct swtpm *s, const char *option, const char *path, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(e, ENAMETOOLONG, "%s: the path of the socket is too long", option);
    strcpy(sa.sun_path, path);
    s->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->control < 0 || connect(s->control, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_set(e, errno, "%s: nobody listens at %s: %s", option, path, strerror(errno));
    return 0;
}

/* Gives it the other end of the data socket. */
static int open_data(struct swtpm *s, const char *option, struct err *e)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int ends[2], rc;

    setsockopt(s->control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(e, errno, "%s: cannot create a socket: %s", option, strerror(errno));
    s->data = ends[0];
    rc = control(s, CMD_SET_DATAFD, NULL, ends[1]);
    close(ends[1]);
    if (rc < 0)
        return err_set(e, -rc, "%s: swtpm does not take a data channel: %s", option, strerror(-rc));
    rc = loop_watch(s->loop, s->data, LOOP_READ, on_data, s, &s->watch);
    return rc < 0 ? err_set(e, -rc, "%s: cannot watch it: %s", option, strerror(-rc)) : 0;
}

int swtpm_create(const char *option, const char *where, struct loop *loop, struct swtpm **out,
                 struct err *e)
{
    struct swtpm *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL)
        return err_set(e, ENOMEM, "out of memory");
    s->loop = loop;
    s->control = s->data = -1;
    rc = strncmp(where, "unix:", 5) == 0 ? reach(s, option, where + 5, e)
                                         : start(s, option, where, e);
    if (rc == 0)
        rc = open_data(s, option, e);
    if (rc < 0) {
        swtpm_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void swtpm_destroy(struct swtpm *s)
{
    if (s == NULL)
        return;
    loop_unwatch(s->watch);
    if (s->pid != 0 && control(s, CMD_SHUTDOWN, NULL, -1) < 0)
        kill(s->pid, SIGTERM);
    if (s->data >= 0)
        close(s->data);
    if (s->control >= 0)
        close(s->control);
    if (s->pid != 0)
        waitpid(s->pid, NULL, 0);
    free(s);
}
