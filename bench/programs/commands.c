/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench --commands FILE NAME...: runs the commands of these names that FILE lists, as
 * bench/real/rows describes them. Each runs once to warm up and then a few times more; the best
 * time counts. Prints `bench NAME NANOSECONDS 0` and `result NAME HASH`, or `fail NAME REASON`.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define RUNS 5
#define ENOUGH_NS 2500000000ull
/* A run so long needs no other to warm up for. */
#define LONG_NS 20000000000ull

static const char *const output = "out";

/* The wait status of a command, and how long it took. */
static int run(const char *command, uint64_t *took)
{
    int status = -1;

    unlink(output);
    int out = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    int in = open("/dev/null", O_RDONLY);
    if (out < 0 || in < 0)
        bench_fail(output);
    uint64_t begin = bench_now();
    pid_t child = vfork();
    if (child < 0)
        bench_fail("vfork");
    if (child == 0) {
        dup2(in, 0);
        dup2(out, 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    *took = bench_now() - begin;
    close(in);
    close(out);
    return status;
}

/* FNV-1a of what the command wrote. */
static uint64_t result(void)
{
    static unsigned char room[65536];
    uint64_t hash = 0xcbf29ce484222325;
    ssize_t count;

    int fd = open(output, O_RDONLY);
    if (fd < 0)
        bench_fail(output);
    while ((count = read(fd, room, sizeof(room))) > 0)
        for (ssize_t i = 0; i < count; i++)
            hash = (hash ^ room[i]) * 0x100000001b3;
    close(fd);
    return hash;
}

static void measure(const char *name, const char *command)
{
    uint64_t best = UINT64_MAX, sum = 0, took, first = 0;

    for (unsigned i = 0; i <= RUNS && sum < ENOUGH_NS; i++) {
        int status = run(command, &took);
        if (status != 0) {
            printf("fail %s it ended with status 0x%x\n", name, (unsigned)status);
            return;
        }
        uint64_t hash = result();
        if (i > 0 && hash != first) {
            printf("fail %s two runs had different results\n", name);
            return;
        }
        first = hash;
        if (i == 0 && took < LONG_NS)
            continue;
        sum += took;
        best = took < best ? took : best;
    }
    printf("bench %s %" PRIu64 " 0\nresult %s %016" PRIx64 "\n", name, best, name, first);
}

static bool wanted(const char *name, char **names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int commands_run(const char *file, char **names)
{
    char line[1024];

    FILE *f = fopen(file, "r");
    if (!f)
        bench_fail(file);
    while (fgets(line, sizeof(line), f)) {
        char *name = line, *command;
        line[strcspn(line, "\n")] = '\0';
        size_t length = strcspn(line, " ");
        if (name[0] == '#' || line[length] == '\0')
            continue;
        line[length] = '\0';
        command = line + length + 1 + strspn(line + length + 1, " ");
        if (wanted(name, names))
            measure(name, command);
        fflush(stdout);
    }
    fclose(f);
    return 0;
}
