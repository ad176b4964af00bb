/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts the oracle process and hands it batches. It is started again when a case killed it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diff.h"

struct oracle {
    char *program;
    int fd; /* memfd of `shared` */
    struct diff_shared *shared;
    pid_t pid;
    int command, reply; /* pipe ends of ours */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Waits for the byte that says "ready" or "batch done". */
static bool answered(struct oracle *o)
{
    char byte;
    ssize_t n;

    do
        n = read(o->reply, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static void spawn(struct oracle *o)
{
    int in[2], out[2];
    char number[16];

    if (pipe(in) != 0 || pipe(out) != 0)
        die("pipe");
    snprintf(number, sizeof(number), "%d", o->fd);
    o->pid = fork();
    if (o->pid < 0)
        die("fork");
    if (o->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execl(o->program, o->program, number, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    o->command = in[1];
    o->reply = out[0];
    if (!answered(o)) {
        fprintf(stderr, "the oracle %s does not start\n", o->program);
        exit(1);
    }
}

static void reap(struct oracle *o)
{
    close(o->command);
    close(o->reply);
    waitpid(o->pid, NULL, 0);
}

struct oracle *oracle_create(const char *program, uint64_t xcr0, const uint8_t *readonly)
{
    struct oracle *o = calloc(1, sizeof(*o));

    if (o == NULL)
        die("calloc");
    signal(SIGPIPE, SIG_IGN);
    o->program = strdup(program);
    o->fd = memfd_create("diff-shared", 0);
    if (o->fd < 0 || ftruncate(o->fd, sizeof(*o->shared)) != 0)
        die("memfd");
    o->shared = mmap(NULL, sizeof(*o->shared), PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
    if (o->shared == MAP_FAILED)
        die("mmap");
    o->shared->xcr0 = xcr0;
    memcpy(o->shared->readonly, readonly, DIFF_PAGE);
    spawn(o);
    return o;
}

void oracle_destroy(struct oracle *o)
{
    if (o == NULL)
        return;
    reap(o);
    munmap(o->shared, sizeof(*o->shared));
    close(o->fd);
    free(o->program);
    free(o);
}

struct diff_shared *oracle_shared(struct oracle *o)
{
    return o->shared;
}

void oracle_start(struct oracle *o, uint32_t count)
{
    char byte = 'r';

    o->shared->count = count;
    for (uint32_t i = 0; i < count; i++)
        o->shared->results[i].status = DIFF_NOT_RUN;
    if (write(o->command, &byte, 1) != 1)
        die("oracle: write");
}

void oracle_wait(struct oracle *o)
{
    if (answered(o))
        return;
    reap(o);
    spawn(o);
    for (uint32_t i = 0; i < o->shared->count; i++) {
        struct diff_result *r = &o->shared->results[i];

        if (r->status == DIFF_NOT_RUN) {
            r->status = DIFF_LOST;
            snprintf(r->note, sizeof(r->note), "the oracle died");
        }
    }
}
