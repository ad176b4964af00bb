/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doppel doctor: what this host offers. Every line is a fact: its name, what was found, whether it
 * is good, and what to do if it is not.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "commands.h"

enum mark { GOOD, LACKING, BAD };
static const char *const mark_names[] = {"ok", "limited", "bad"};

struct fact {
    const char *name;
    enum mark mark;
    char text[700];
};

struct report {
    bool json;
    unsigned count;
    struct fact facts[32];
};

static struct fact *add(struct report *r, const char *name, enum mark mark)
{
    struct fact *f = &r->facts[r->count < 31 ? r->count++ : 31];

    f->name = name;
    f->mark = mark;
    return f;
}

#define say(r, name, mark, ...)                            \
    do {                                                   \
        struct fact *f_ = add(r, name, mark);              \
        snprintf(f_->text, sizeof(f_->text), __VA_ARGS__); \
    } while (0)

/* --- facts --- */

static void kernel(struct report *r)
{
    struct utsname u;

    if (uname(&u) == 0)
        say(r, "kernel", GOOD, "%s %s", u.sysname, u.release);
}

static void cpu_model(struct report *r)
{
    uint32_t b[13] = {0};

    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &b[i * 4], &b[i * 4 + 1], &b[i * 4 + 2], &b[i * 4 + 3]);
    say(r, "processor", GOOD, "%.48s, %ld online", (const char *)b, sysconf(_SC_NPROCESSORS_ONLN));
}

static void cpu_features(struct report *r)
{
    static const struct {
        uint32_t leaf;
        unsigned reg, bit;
        const char *name;
    } known[] = {{1, 2, 20, "sse4.2"},  {1, 2, 25, "aes"},     {1, 2, 28, "avx"},
                 {7, 1, 5, "avx2"},     {7, 1, 16, "avx512f"}, {7, 1, 29, "sha"},
                 {7, 1, 3, "bmi1"},     {7, 1, 8, "bmi2"},     {7, 1, 19, "adx"},
                 {7, 1, 0, "fsgsbase"}, {7, 1, 18, "rdseed"},  {1, 2, 30, "rdrand"},
                 {7, 2, 8, "gfni"},     {7, 2, 9, "vaes"},     {7, 1, 9, "erms"}};
    struct fact *f = add(r, "cpu features", GOOD);
    size_t at = 0;

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t o[4] = {0};

        if (__get_cpuid_count(known[i].leaf, 0, &o[0], &o[1], &o[2], &o[3]) &&
            (o[known[i].reg] >> known[i].bit & 1))
            at += (size_t)snprintf(f->text + at, sizeof(f->text) - at, "%s%s", at ? " " : "",
                                   known[i].name);
    }
}

/* VMX or SVM, and whether a guest of ours could use it in turn. */
static void virtualization(struct report *r)
{
    static const char *const files[] = {"/sys/module/kvm_intel/parameters/nested",
                                        "/sys/module/kvm_amd/parameters/nested"};
    uint32_t a, b, c, d;
    const char *name = NULL;

    if (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5))
        name = "VMX";
    else if (__get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & 1u << 2))
        name = "SVM";
    if (name == NULL) {
        say(r, "virtualization", LACKING, "the processor offers neither VMX nor SVM here");
        return;
    }
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (access(files[i], R_OK) == 0) {
            say(r, "virtualization", GOOD, "%s, with the module %.9s", name, files[i] + 12);
            return;
        }
    say(r, "virtualization", GOOD, "%s", name);
}

static long read_long(const char *path)
{
    FILE *f = fopen(path, "re");
    long v = -1;

    if (f == NULL)
        return -1;
    if (fscanf(f, "%ld", &v) != 1)
        v = -1;
    fclose(f);
    return v;
}

static void limits(struct report *r)
{
    long maps = read_long("/proc/sys/vm/max_map_count");
    struct rlimit lock, files;

    say(r, "vm.max_map_count", maps < 0 || maps >= 65530 ? GOOD : LACKING, "%ld%s", maps,
        maps >= 0 && maps < 65530 ? ", 65530 or more let guests map memory directly" : "");
    if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0) {
        if (lock.rlim_cur == RLIM_INFINITY)
            say(r, "locked memory", GOOD, "unlimited");
        else
            say(r, "locked memory", GOOD, "%llu KB", (unsigned long long)lock.rlim_cur >> 10);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        say(r, "open files", files.rlim_cur >= 256 ? GOOD : LACKING, "%llu",
            (unsigned long long)files.rlim_cur);
}

static void memory(struct report *r)
{
    long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_AVPHYS_PAGES);
    int fd = (int)syscall(SYS_memfd_create, "doppel-doctor", 1u /* MFD_CLOEXEC */);

    say(r, "free memory", GOOD, "%ld MB", pages / 1024 * page / 1024);
    if (fd >= 0)
        say(r, "memfd", GOOD, "available");
    else
        say(r, "memfd", LACKING, "%s: guest RAM is anonymous memory", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* May this process make memory executable that it has written? */
static void executable_memory(struct report *r)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return;
    if (mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0)
        say(r, "executable memory", GOOD, "allowed");
    else
        say(r, "executable memory", BAD,
            "%s: the translator cannot run; allow it in the security "
            "policy of this process",
            strerror(errno));
    munmap(p, 4096);
}

static void io_uring(struct report *r)
{
    long fd = syscall(SYS_io_uring_setup, 0, NULL);

    /* A kernel that has it finds the arguments wrong. */
    if (fd < 0 && (errno == EINVAL || errno == EFAULT))
        say(r, "io_uring", GOOD, "available");
    else
        say(r, "io_uring", LACKING, "%s: disks use threads instead", strerror(errno));
    if (fd >= 0)
        close((int)fd);
}

/* 0, or 1 if no engine runs here. */
static int engines(struct report *r)
{
    const struct engine_ops *best = NULL;
    struct err e = {0}, passed = {0};

    for (unsigned i = 0; engine_all[i] != NULL; i++) {
        struct err why = {0};
        int rc = engine_all[i]->probe(&why);

        if (rc == 0)
            say(r, engine_all[i]->name, GOOD, "this engine runs here");
        else
            say(r, engine_all[i]->name, LACKING, "%s", why.text);
    }
    if (engine_pick("auto", &best, &passed, &e) < 0) {
        say(r, "auto", BAD, "%s", e.text);
        return EXIT_FAILED;
    }
    say(r, "auto", GOOD, "picks %s%s%s", best->name,
        passed.text[0] != '\0' ? ", because of " : ", the best engine", passed.text);
    return 0;
}

/* --- output --- */

static void print_table(const struct report *r)
{
    for (unsigned i = 0; i < r->count; i++)
        printf("%-18s %-8s %s\n", r->facts[i].name, mark_names[r->facts[i].mark], r->facts[i].text);
}

static void print_string(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        if ((unsigned char)*s >= 0x20)
            putchar(*s);
    }
    putchar('"');
}

static void print_json(const struct report *r)
{
    puts("[");
    for (unsigned i = 0; i < r->count; i++) {
        fputs("  {\"name\": ", stdout);
        print_string(r->facts[i].name);
        printf(", \"status\": \"%s\", \"text\": ", mark_names[r->facts[i].mark]);
        print_string(r->facts[i].text);
        puts(i + 1 < r->count ? "}," : "}");
    }
    puts("]");
}

static int set_format(void *opaque, const char *option, char *value, struct err *e)
{
    struct report *r = opaque;

    r->json = strcmp(value, "json") == 0;
    if (!r->json && strcmp(value, "table") != 0)
        return err_usage(e, "%s: '%s' is unknown; use table or json", option, value);
    return 0;
}

static const struct arg_option options[] = {
    {"format", 0, "table|json", "how to print (default table)", set_format},
    {NULL},
};

static int run(int argc, char **argv)
{
    struct report r = {0};
    int status;

    if (!command_args(&command_doctor, argc, argv, &r, &status))
        return status;
    kernel(&r);
    cpu_model(&r);
    cpu_features(&r);
    virtualization(&r);
    memory(&r);
    executable_memory(&r);
    limits(&r);
    io_uring(&r);
    status = engines(&r);
    if (r.json)
        print_json(&r);
    else
        print_table(&r);
    return status;
}

const struct arg_command command_doctor = {
    .name = "doctor",
    .summary = "show what this host offers and which engine it gets",
    .usage = "[option]...",
    .notes = "Exit status: 0 when machines can run here, 1 when not.\n",
    .options = options,
    .run = run,
};
