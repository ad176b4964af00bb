/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes and threads: creation, programs, switches, shell scripts. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

static int there[2], back[2];
static pid_t partner;

static void check(int failed, const char *what)
{
    if (failed)
        bench_fail(what);
}

/* One processor for both, as in the guest: else waking the other one is measured. */
static void stay_here(void)
{
    cpu_set_t set;
    int here = sched_getcpu();
    CPU_ZERO(&set);
    CPU_SET(here < 0 ? 0 : here, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void fork_wait(unsigned long n)
{
    while (n--) {
        pid_t child = fork();
        check(child < 0, "fork");
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

static void spawn(const char *program, char *const argv[])
{
    int status = 0;
    pid_t child = fork();
    check(child < 0, "fork");
    if (child == 0) {
        execve(program, argv, environ);
        _exit(127);
    }
    waitpid(child, &status, 0);
    check(status != 0, program);
}

static void fork_exec(unsigned long n)
{
    char *const argv[] = {"bench", "--nothing", NULL};
    while (n--)
        spawn("/proc/self/exe", argv);
}

static const char *shell;

static const char *find_shell(void)
{
    shell = getenv("BENCH_BUSYBOX");
    if (!shell)
        shell = "/bin/busybox";
    stay_here();
    return access(shell, X_OK) ? "no busybox" : NULL;
}

static void shell_script(const char *script)
{
    char *const argv[] = {"busybox", "sh", "-c", (char *)script, NULL};
    spawn(shell, argv);
}

/* One operation: a shell that counts. */
static void shell_loop(unsigned long n)
{
    while (n--)
        shell_script("i=0; s=; while [ $i -lt 1000 ]; do i=$((i + 1)); s=${s#x}y; "
                     "case $s in *z) break;; esac; done");
}

/* One operation: what a configure script does, with processes and pipes. */
static void shell_fork(unsigned long n)
{
    setenv("B", shell, 1);
    while (n--)
        shell_script("for i in 1 2 3 4 5; do x=$(echo $i | $B sed s/1/2/); "
                     "$B expr $i + 1 >/dev/null; $B test -d /proc; done");
}

/* The partner answers each byte until its end is closed. */
static void answer(int in, int out)
{
    char c;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(in, &c, 1) == 1)
        check(write(out, &c, 1) != 1, "write");
    _exit(0);
}

static const char *start_partner(void)
{
    stay_here();
    partner = fork();
    check(partner < 0, "fork");
    if (partner == 0)
        answer(there[0], back[1]);
    return NULL;
}

static const char *pipe_partner(void)
{
    check(pipe(there) || pipe(back), "pipe");
    return start_partner();
}

static const char *socket_partner(void)
{
    int pair[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    there[1] = back[0] = pair[0];
    there[0] = back[1] = pair[1];
    return start_partner();
}

static void stop_partner(void)
{
    kill(partner, SIGKILL);
    waitpid(partner, NULL, 0);
}

static void round_trip(unsigned long n)
{
    char c = 'x';
    while (n--) {
        check(write(there[1], &c, 1) != 1, "write");
        check(read(back[0], &c, 1) != 1, "read");
    }
}

static int turn; /* whose turn it is: 0 or 1 */

static void futex(int operation, int value)
{
    syscall(SYS_futex, &turn, operation, value, NULL, NULL, 0);
}

static void take_turns(int me, unsigned long n)
{
    while (n--) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != me)
            futex(FUTEX_WAIT_PRIVATE, !me);
        __atomic_store_n(&turn, !me, __ATOMIC_RELEASE);
        futex(FUTEX_WAKE_PRIVATE, 1);
    }
}

static void *other_thread(void *n)
{
    take_turns(1, (unsigned long)n);
    return NULL;
}

static void switch_threads(unsigned long n)
{
    pthread_t other;
    stay_here();
    turn = 0;
    check(pthread_create(&other, NULL, other_thread, (void *)n), "pthread_create");
    take_turns(0, n);
    pthread_join(other, NULL);
}

static void *no_work(void *p)
{
    return p;
}

static void thread_create(unsigned long n)
{
    pthread_t t;
    stay_here();
    while (n--) {
        check(pthread_create(&t, NULL, no_work, NULL), "pthread_create");
        pthread_join(t, NULL);
    }
}

const struct measure process_measures[] = {
    {"proc.fork-wait", fork_wait, NULL, NULL, 0},
    {"proc.fork-exec-wait", fork_exec, NULL, NULL, 0},
    {"proc.thread-create", thread_create, NULL, NULL, 0},
    {"proc.shell-loop", shell_loop, find_shell, NULL, 0},
    {"proc.shell-fork", shell_fork, find_shell, NULL, 0},
    {"ipc.pipe", round_trip, pipe_partner, stop_partner, 0},
    {"ipc.socket", round_trip, socket_partner, stop_partner, 0},
    {"ipc.futex", switch_threads, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
