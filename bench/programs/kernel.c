/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls, page faults, signals, and code that was written a moment ago. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define PAGES 4096ul

static int fd = -1;
static unsigned char *code;

static void check(int failed, const char *what)
{
    if (failed)
        bench_fail(what);
}

static void system_call(unsigned long n)
{
    while (n--)
        syscall(SYS_getppid);
}

static const char *open_zero(void)
{
    fd = open("/dev/zero", O_RDONLY);
    return fd < 0 ? "no /dev/zero" : NULL;
}

static void read_zero(unsigned long n)
{
    static char buffer[4096];
    while (n--)
        check(read(fd, buffer, sizeof(buffer)) != sizeof(buffer), "read");
}

static const char *open_file(void)
{
    fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
    return fd < 0 ? "no /dev/shm" : NULL;
}

static void write_file(unsigned long n)
{
    static char buffer[4096];
    while (n--)
        check(pwrite(fd, buffer, 4096, (n & 255) * 4096) != 4096, "pwrite");
}

static void open_close(unsigned long n)
{
    while (n--)
        close(open("/dev/null", O_RDONLY));
}

static void status_of_file(unsigned long n)
{
    struct stat s;
    while (n--)
        check(stat("/proc/self/exe", &s), "stat");
}

static void clock_read(unsigned long n)
{
    struct timespec t;
    while (n--)
        clock_gettime(CLOCK_MONOTONIC, &t);
    bench_sink = t.tv_nsec;
}

static void on_signal(int sig)
{
    (void)sig;
}

static const char *install_handler(void)
{
    signal(SIGUSR1, on_signal);
    return NULL;
}

static void signals(unsigned long n)
{
    pid_t self = getpid(), thread = gettid();
    while (n--)
        syscall(SYS_tgkill, self, thread, SIGUSR1);
}

static char *map_pages(void)
{
    char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(p == MAP_FAILED, "mmap");
    madvise(p, PAGES * 4096, MADV_NOHUGEPAGE);
    return p;
}

/* One operation is a page: the mapping is made and dropped once in many pages. */
static void anonymous_fault(unsigned long n)
{
    for (unsigned long done = 0; done < n;) {
        char *p = map_pages();
        for (unsigned long i = 0; i < PAGES && done < n; i++, done++)
            p[i * 4096] = 1;
        munmap(p, PAGES * 4096);
    }
}

static char *shared_pages;

static const char *touch_pages(void)
{
    shared_pages = map_pages();
    memset(shared_pages, 1, PAGES * 4096);
    return NULL;
}

/* The child writes to pages it shares with its parent. Few pages would measure the fork. */
static void copy_on_write(unsigned long n)
{
    for (unsigned long done = 0; done < n; done += PAGES) {
        unsigned long count = n - done < PAGES ? n - done : PAGES;
        pid_t child = fork();
        check(child < 0, "fork");
        if (child == 0) {
            for (unsigned long i = 0; i < count; i++)
                shared_pages[i * 4096] = 2;
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

static void map_unmap(unsigned long n)
{
    while (n--) {
        char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(p == MAP_FAILED, "mmap");
        p[0] = 1;
        munmap(p, 65536);
    }
}

static void protect(unsigned long n)
{
    while (n--) {
        mprotect(shared_pages, 4096, PROT_READ);
        mprotect(shared_pages, 4096, PROT_READ | PROT_WRITE);
        shared_pages[0] = 1;
    }
}

static const char *map_code(void)
{
    code =
        mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? "no memory that can be written and run" : NULL;
}

/* What a compiler at run time does: writes a function of some length, and calls it. */
static void generate_code(unsigned long n)
{
    uint64_t sum = 0;
    while (n--) {
        unsigned char *p = code + (n & 63) * 1024, *start = p;
        *p++ = 0x31, *p++ = 0xc0; /* xor eax, eax */
        for (unsigned i = 0; i < 50; i++) {
            *p++ = 0x05; /* add eax, imm32 */
            uint32_t value = n + i;
            memcpy(p, &value, 4);
            p += 4;
        }
        *p = 0xc3;
        for (unsigned i = 0; i < 10; i++)
            sum += ((uint32_t(*)(void))(uintptr_t)start)();
    }
    bench_sink = sum;
}

/* What an inline cache does: one instruction of a function that exists is changed in place. */
static void patch_code(unsigned long n)
{
    uint64_t sum = 0;
    while (n--) {
        uint32_t value = n;
        memcpy(code + 3, &value, 4);
        for (unsigned i = 0; i < 10; i++)
            sum += ((uint32_t(*)(void))(uintptr_t)code)();
    }
    bench_sink = sum;
}

static const char *map_patched_code(void)
{
    const char *why = map_code();
    if (!why)
        generate_code(1);
    return why;
}

const struct measure kernel_measures[] = {
    {"sys.getppid", system_call, NULL, NULL, 0},
    {"sys.read-zero-4K", read_zero, open_zero, NULL, 0},
    {"sys.write-tmpfs-4K", write_file, open_file, NULL, 0},
    {"sys.open-close", open_close, NULL, NULL, 0},
    {"sys.stat", status_of_file, NULL, NULL, 0},
    {"sys.clock", clock_read, NULL, NULL, 0},
    {"sys.signal", signals, install_handler, NULL, 0},
    {"fault.anonymous", anonymous_fault, NULL, NULL, 0},
    {"fault.copy-on-write", copy_on_write, touch_pages, NULL, 0},
    {"fault.mmap-munmap", map_unmap, NULL, NULL, 0},
    {"fault.mprotect", protect, touch_pages, NULL, 0},
    {"code.generate", generate_code, map_code, NULL, 0},
    {"code.patch", patch_code, map_patched_code, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
