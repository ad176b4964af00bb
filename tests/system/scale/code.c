/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What code generators do to their pages, at random: functions are written through a second mapping
 * or between two mprotects, pages of code are replaced, moved, made not executable and executable
 * again, shared with children. Every call must run what is there now. One function lies across the
 * border of each two pages.
 *
 *   code STEPS [SEED]
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 12
#define FILE_PAGES 16
#define PLACES 3 /* functions within a page */

static const unsigned place[PLACES] = {16, 100, 2048};

/* mov eax, imm32; ret: three bytes at the end of a page, three at the start of the next */
struct content {
    uint32_t value[PLACES];
    uint16_t low, high; /* of the function across the border */
};

struct window {
    int rights;  /* 0: nothing is mapped */
    int private; /* memory of its own, else a page of the file */
    unsigned file;
    struct content own;
};

static struct window window[PAGES];
static struct content file[FILE_PAGES];
static uint8_t *alias; /* the file, writable */
static uint8_t *const base = (uint8_t *)0x300000000000;
static int fd;
static uint64_t state;
static unsigned long step, bad, calls;
static sigjmp_buf fault;
static const char *doing = "start";

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned below(unsigned n)
{
    return (unsigned)(next() >> 20) % n;
}

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(fault, 1);
}

static uint8_t *at(unsigned page)
{
    return base + page * PAGE;
}

static struct content *content(unsigned i)
{
    return window[i].private ? &window[i].own : &file[window[i].file];
}

static int call(const uint8_t *p, uint32_t *value)
{
    if (sigsetjmp(fault, 1) != 0)
        return 0;
    *value = ((uint32_t(*)(void))(uintptr_t)p)();
    return 1;
}

static void check(const uint8_t *p, int allowed, uint32_t want)
{
    uint32_t got = 0;
    int ok = call(p, &got);

    calls++;
    if ((ok != allowed || (ok && got != want)) && bad++ < 10)
        fprintf(stderr, "step %lu (%s), %p: %s, %#x; expected %s, %#x\n", step, doing,
                (const void *)p, ok ? "returned" : "fault", got, allowed ? "return" : "fault",
                want);
}

static void check_page(unsigned i)
{
    int exec = !!(window[i].rights & PROT_EXEC);

    for (unsigned k = 0; k < PLACES; k++)
        check(at(i) + place[k], exec, content(i)->value[k]);
    if (i + 1 < PAGES)
        check(at(i) + PAGE - 3, exec && (window[i + 1].rights & PROT_EXEC),
              content(i)->low | (uint32_t)content(i + 1)->high << 16);
}

/* --- code --- */

static void write_function(uint8_t *page, struct content *c, unsigned which)
{
    uint32_t v = (uint32_t)next();

    if (which < PLACES) {
        uint8_t *p = page + place[which];
        p[0] = 0xb8;
        memcpy(p + 1, &v, 4);
        p[5] = 0xc3;
        c->value[which] = v;
    } else {
        page[PAGE - 3] = 0xb8;
        memcpy(page + PAGE - 2, &v, 2);
        memcpy(page, (uint8_t *)&v + 2, 2);
        page[2] = 0xc3;
        c->low = (uint16_t)v;
        c->high = (uint16_t)(v >> 16);
    }
}

static void write_page(uint8_t *page, struct content *c)
{
    for (unsigned k = 0; k <= PLACES; k++)
        write_function(page, c, k);
}

static void failed(const char *what)
{
    perror(what);
    exit(2);
}

/* --- changes --- */

static void through_alias(void)
{
    unsigned f = below(FILE_PAGES);

    doing = "write through the alias";
    write_function(alias + f * PAGE, &file[f], below(PLACES + 1));
}

static void between_mprotects(unsigned i)
{
    struct window *w = &window[i];

    doing = "mprotect, write, mprotect";
    if (w->rights == 0)
        return;
    if (mprotect(at(i), PAGE, PROT_READ | PROT_WRITE) < 0)
        failed("mprotect");
    write_function(at(i), content(i), below(PLACES + 1));
    if (below(3) == 0) {
        w->rights = PROT_READ | PROT_WRITE;
        check_page(i);
    }
    w->rights = PROT_READ | PROT_EXEC;
    if (mprotect(at(i), PAGE, w->rights) < 0)
        failed("mprotect");
}

static void replace(unsigned i)
{
    struct window *w = &window[i];

    doing = "mmap";
    *w = (struct window){
        PROT_READ | PROT_WRITE | PROT_EXEC, below(3) == 0, below(FILE_PAGES), {{0}, 0, 0}};
    if (!w->private)
        w->rights = PROT_READ | PROT_EXEC;
    if (mmap(at(i), PAGE, w->rights,
             MAP_FIXED | (w->private ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
             w->private ? -1 : fd, w->private ? 0 : (off_t)(w->file * PAGE)) != at(i))
        failed("mmap");
    if (w->private)
        write_page(at(i), &w->own);
}

static void write_in_place(unsigned i)
{
    doing = "write to code that may be written";
    if (window[i].rights & PROT_WRITE)
        write_function(at(i), content(i), below(PLACES + 1));
}

static void protect(unsigned i)
{
    static const int rights[] = {PROT_READ,
                                 PROT_NONE,
                                 PROT_READ | PROT_WRITE,
                                 PROT_READ | PROT_EXEC,
                                 PROT_READ | PROT_EXEC,
                                 PROT_EXEC | PROT_READ};

    doing = "mprotect";
    if (window[i].rights == 0)
        return;
    int r = rights[below(6)];
    if (mprotect(at(i), PAGE, r) < 0)
        failed("mprotect");
    window[i].rights = r == PROT_NONE ? PROT_READ : r; /* 0 stands for no mapping */
}

static void move(unsigned from, unsigned to)
{
    doing = "mremap";
    if (from == to || window[from].rights == 0)
        return;
    if (mremap(at(from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) != at(to))
        failed("mremap");
    window[to] = window[from];
    memset(&window[from], 0, sizeof(window[0]));
}

static void unmap(unsigned i)
{
    doing = "munmap";
    if (munmap(at(i), PAGE) < 0)
        failed("munmap");
    memset(&window[i], 0, sizeof(window[0]));
}

static void in_a_child(void)
{
    pid_t pid;
    int status;

    doing = "fork";
    pid = fork();
    if (pid < 0)
        failed("fork");
    if (pid == 0) {
        bad = 0;
        for (unsigned i = 0; i < PAGES; i++) {
            check_page(i);
            if (window[i].private)
                write_in_place(i);
        }
        for (unsigned i = 0; i < PAGES; i++)
            check_page(i);
        _exit(bad != 0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        bad++;
}

static void change(void)
{
    unsigned i = below(PAGES);

    switch (below(12)) {
    case 0:
    case 1:
    case 2:
        through_alias();
        break;
    case 3:
    case 4:
        between_mprotects(i);
        break;
    case 5:
        replace(i);
        break;
    case 6:
    case 7:
        write_in_place(i);
        break;
    case 8:
        protect(i);
        break;
    case 9:
        move(i, below(PAGES));
        break;
    case 10:
        if (below(3) == 0)
            unmap(i);
        break;
    default:
        if (below(20) == 0)
            in_a_child();
        break;
    }
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_fault};
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;

    state = argc > 2 ? strtoull(argv[2], NULL, 0) * 2 + 1 : 1;
    fd = memfd_create("code", 0);
    if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE) < 0)
        failed("memfd_create");
    alias = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (alias == MAP_FAILED)
        failed("mmap");
    sigaction(SIGSEGV, &sa, NULL);
    for (unsigned f = 0; f < FILE_PAGES; f++)
        write_page(alias + f * PAGE, &file[f]);
    for (step = 0; step < steps; step++) {
        change();
        for (unsigned k = 0; k < 3; k++)
            check_page(below(PAGES));
    }
    printf("%lu steps, %lu calls, %lu errors\n", step, calls, bad);
    return bad != 0;
}
