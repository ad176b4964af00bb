/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two processes instead of one: see detach.h. */
#include "detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A byte means that it runs; the end without one, that it failed and has said why. */
static int wait_for(pid_t child, int fd)
{
    char byte;
    ssize_t n;
    int status;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    close(fd);
    if (n == 1)
        return 0;
    if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
        return 1;
    return WEXITSTATUS(status);
}

int detach_begin(struct detach *d, int *status, struct err *e)
{
    int fds[2];
    pid_t child;

    *status = -1;
    fflush(NULL);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(e, errno, "--detach: cannot make a pipe: %s", strerror(errno));
    child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return err_set(e, errno, "--detach: cannot start a process: %s", strerror(errno));
    }
    if (child > 0) {
        close(fds[1]);
        *status = wait_for(child, fds[0]);
        return 0;
    }
    close(fds[0]);
    (void)setsid();
    d->fd = fds[1];
    return 0;
}

void detach_ready(struct detach *d)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (d->fd < 0)
        return;
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        (void)dup2(null, fd);
    if (null > 2)
        close(null);
    (void)!write(d->fd, "", 1);
    close(d->fd);
    d->fd = -1;
}
