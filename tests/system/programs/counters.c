/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a guest: what Linux' perf events say of a loop of N rounds. Prints a line `name value`
 * for each: instructions and branches of the program, both with the system's, cycles, and samples
 * by the number of events: how many there were, and how many of those were taken in the loop.
 */
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 2000000
#define PAGES 64

extern const char loop_begin[], loop_end[];

/* Two instructions a round, one of them a branch. */
static void __attribute__((noinline)) loop(uint32_t rounds)
{
    __asm__ volatile(".globl loop_begin, loop_end\n"
                     "loop_begin: decl %0\n"
                     "jnz loop_begin\n"
                     "loop_end:"
                     : "+r"(rounds)
                     :
                     : "cc");
}

static int event(uint64_t config, int with_system, uint64_t period)
{
    struct perf_event_attr a;

    memset(&a, 0, sizeof(a));
    a.type = PERF_TYPE_HARDWARE;
    a.size = sizeof(a);
    a.config = config;
    a.disabled = 1;
    a.exclude_kernel = !with_system;
    a.sample_period = period;
    a.sample_type = PERF_SAMPLE_IP;
    int fd = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
    if (fd < 0) {
        perror("perf_event_open");
        exit(1);
    }
    return fd;
}

static uint64_t counted(int fd)
{
    uint64_t n = 0;

    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(ROUNDS);
    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    if (read(fd, &n, sizeof(n)) != sizeof(n))
        exit(1);
    return n;
}

static void count(const char *name, uint64_t config, int with_system)
{
    int fd = event(config, with_system, 0);

    printf("%s %llu\n", name, (unsigned long long)counted(fd));
    close(fd);
}

static void sample(const char *name, uint64_t config, uint64_t period)
{
    int fd = event(config, 0, period);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct perf_event_mmap_page *m =
        mmap(NULL, (PAGES + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsigned n = 0, inside = 0;

    if (m == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    counted(fd);
    const char *data = (const char *)m + page;
    uint64_t end = m->data_head;
    for (uint64_t at = 0; at < end;) {
        struct perf_event_header h;
        uint64_t ip;
        memcpy(&h, data + at, sizeof(h)); /* the buffer is never full, so nothing wraps */
        if (h.type == PERF_RECORD_SAMPLE) {
            memcpy(&ip, data + at + sizeof(h), sizeof(ip));
            n++;
            inside += ip >= (uint64_t)loop_begin && ip < (uint64_t)loop_end;
        }
        at += h.size;
    }
    printf("%s %u\n%s-inside %u\n", name, n, name, inside);
    close(fd);
}

int main(void)
{
    count("instructions", PERF_COUNT_HW_INSTRUCTIONS, 0);
    count("branches", PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 0);
    count("instructions-all", PERF_COUNT_HW_INSTRUCTIONS, 1);
    count("branches-all", PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 1);
    count("cycles", PERF_COUNT_HW_CPU_CYCLES, 1);
    sample("samples-instructions", PERF_COUNT_HW_INSTRUCTIONS, 40000);
    sample("samples-branches", PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 50000);
    sample("samples-cycles", PERF_COUNT_HW_CPU_CYCLES, 50000);
    return 0;
}
