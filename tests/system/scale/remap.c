/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random changes of mappings while everything is read back: mmap, munmap, mprotect, mremap, madvise
 * and fork on a few pages, private, shared and of a file, against a model of what each page holds
 * and allows. Another thread reads memory meanwhile that must not change.
 *
 *   remap STEPS [SEED]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 48
#define FILE_PAGES 8
#define LAST (PAGE - 8)

enum kind { NOTHING, ANON, SHARED, PRIVATE };

/* A page as it should be: its first and last word, which a page of the file has in common with
 * others until it is copied. */
struct model {
    enum kind kind;
    int rights;
    unsigned file; /* SHARED, PRIVATE */
    int copied;    /* PRIVATE: has contents of its own */
    uint64_t word[2];
};

static uint8_t *const base = (uint8_t *)0x200000000000;
static struct model model[PAGES];
static uint64_t file_word[FILE_PAGES][2];
static int fd;
static uint64_t state;
static unsigned long step, bad;
static __thread sigjmp_buf fault;
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

static void wrong(unsigned page, const char *what, uint64_t got, uint64_t want)
{
    if (bad++ < 10)
        fprintf(stderr, "step %lu (%s), page %u: %s: %#lx, not %#lx\n", step, doing, page, what,
                got, want);
}

static uint8_t *at(unsigned page)
{
    return base + page * PAGE;
}

static uint64_t *words(struct model *m)
{
    return m->kind == SHARED || (m->kind == PRIVATE && !m->copied) ? file_word[m->file] : m->word;
}

/* --- accesses, each in more than one way --- */

static int try_read(const uint8_t *p, uint64_t *v, unsigned how)
{
    uint64_t *to = v;
    unsigned long n = 8;

    if (sigsetjmp(fault, 1) != 0)
        return 0;
    if (how == 0)
        *v = *(const volatile uint64_t *)p;
    else if (how == 1)
        __asm__ volatile("rep movsb" : "+S"(p), "+D"(to), "+c"(n) : : "memory");
    else /* sixteen bytes, of which the word is one half */
        __asm__ volatile("movdqu (%1), %%xmm0\n\t"
                         "test %2, %2\n\t"
                         "jz 1f\n\t"
                         "movhlps %%xmm0, %%xmm0\n"
                         "1:\tmovq %%xmm0, %0"
                         : "=&r"(*v)
                         : "r"(p - ((uintptr_t)p & 8)), "r"((uintptr_t)p & 8)
                         : "xmm0", "cc", "memory");
    return 1;
}

static int try_write(uint8_t *p, uint64_t v, unsigned how)
{
    unsigned long n = 1;

    if (sigsetjmp(fault, 1) != 0)
        return 0;
    if (how == 0)
        *(volatile uint64_t *)p = v;
    else if (how == 1)
        __asm__ volatile("xchg %0, (%1)" : "+r"(v) : "r"(p) : "memory");
    else
        __asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(v) : "memory");
    return 1;
}

static void check_word(unsigned i, unsigned w, unsigned how)
{
    struct model *m = &model[i];
    uint64_t v = 0;
    int ok = try_read(at(i) + w * LAST, &v, how), want = m->rights & PROT_READ;

    if (ok != !!want)
        wrong(i, "readable", (uint64_t)ok, (uint64_t) !!want);
    else if (ok && v != words(m)[w])
        wrong(i, "contents", v, words(m)[w]);
}

/* Four bytes of one page and four of the next. */
static void check_border(unsigned i)
{
    uint64_t v = 0, want = words(&model[i])[1] >> 32 | words(&model[i + 1])[0] << 32;
    int ok = try_read(at(i) + PAGE - 4, &v, 0);

    if (ok != (model[i].rights & model[i + 1].rights & PROT_READ))
        wrong(i, "readable at the border", (uint64_t)ok, 0);
    else if (ok && v != want)
        wrong(i, "contents at the border", v, want);
}

static void write_word(unsigned i, unsigned w, unsigned how)
{
    struct model *m = &model[i];
    uint64_t v = next();
    int ok = try_write(at(i) + w * LAST, v, how), want = m->rights & PROT_WRITE;

    if (ok != !!want)
        wrong(i, "writable", (uint64_t)ok, (uint64_t) !!want);
    if (!want)
        return;
    if (m->kind == PRIVATE && !m->copied) {
        memcpy(m->word, file_word[m->file], sizeof(m->word));
        m->copied = 1;
    }
    words(m)[w] = v;
}

static void check_all(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        check_word(i, 0, 0);
        check_word(i, 1, 1);
        if (i + 1 < PAGES)
            check_border(i);
    }
}

/* --- changes --- */

static void failed(const char *what)
{
    perror(what);
    exit(2);
}

static int some_rights(void)
{
    static const int rights[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                 PROT_READ | PROT_WRITE};
    return rights[below(4)];
}

static void map(unsigned i, unsigned n)
{
    int rights = some_rights();
    unsigned file = below(FILE_PAGES - n + 1);
    enum kind kind = 1 + below(3);
    int flags = MAP_FIXED | (kind == SHARED    ? MAP_SHARED
                             : kind == PRIVATE ? MAP_PRIVATE
                                               : MAP_PRIVATE | MAP_ANONYMOUS);

    doing = "mmap";
    if (mmap(at(i), n * PAGE, rights, flags, kind == ANON ? -1 : fd,
             kind == ANON ? 0 : (off_t)(file * PAGE)) != at(i))
        failed("mmap");
    for (unsigned k = 0; k < n; k++)
        model[i + k] = (struct model){.kind = kind, .rights = rights, .file = file + k};
}

static void unmap(unsigned i, unsigned n)
{
    doing = "munmap";
    if (munmap(at(i), n * PAGE) < 0)
        failed("munmap");
    memset(&model[i], 0, n * sizeof(model[0]));
}

static void protect(unsigned i, unsigned n)
{
    int rights = some_rights();

    doing = "mprotect";
    for (unsigned k = i; k < i + n; k++)
        if (model[k].kind == NOTHING)
            return;
    if (mprotect(at(i), n * PAGE, rights) < 0)
        failed("mprotect");
    for (unsigned k = i; k < i + n; k++)
        model[k].rights = rights;
}

/* One mapping of the kernel at most, so page by page. */
static void move(unsigned from, unsigned to)
{
    doing = "mremap";
    if (model[from].kind == NOTHING || from == to)
        return;
    if (mremap(at(from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) != at(to))
        failed("mremap");
    model[to] = model[from];
    memset(&model[from], 0, sizeof(model[0]));
}

static void forget(unsigned i)
{
    struct model *m = &model[i];

    doing = "madvise";
    if (m->kind == NOTHING)
        return;
    if (madvise(at(i), PAGE, MADV_DONTNEED) < 0)
        failed("madvise");
    m->copied = 0;
    if (m->kind == ANON)
        memset(m->word, 0, sizeof(m->word));
}

/* The child has everything as it is, and what it writes to private pages stays its own. */
static void in_a_child(void)
{
    pid_t pid;
    int status;

    doing = "fork";
    pid = fork();
    if (pid < 0)
        failed("fork");
    if (pid == 0) {
        doing = "in the child";
        bad = 0;
        check_all();
        for (unsigned i = 0; i < PAGES; i++)
            if (model[i].kind == ANON || model[i].kind == PRIVATE)
                write_word(i, i & 1, 0);
        check_all();
        _exit(bad != 0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        wrong(0, "a child's status", (uint64_t)status, 0);
    check_all();
}

static void change(void)
{
    unsigned i = below(PAGES), n = 1 + below(4);

    if (i + n > PAGES)
        n = PAGES - i;
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
        map(i, n);
        break;
    case 3:
        unmap(i, n);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        protect(i, n);
        break;
    case 8:
    case 9:
        move(i, below(PAGES));
        break;
    case 10:
        forget(i);
        break;
    case 11:
        if (below(20) == 0)
            in_a_child();
        break;
    default:
        doing = "write";
        break;
    }
}

/* --- the other thread --- */

static _Atomic int stop;

static void *watch(void *opaque)
{
    const uint64_t *still = opaque;
    unsigned long wrongs = 0;

    while (!stop)
        for (unsigned long i = 0; i < 64 * PAGE / 8; i += 61)
            wrongs += ((const volatile uint64_t *)still)[i] != i * 0x9e3779b97f4a7c15u;
    return (void *)wrongs;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_fault};
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
    uint64_t *still =
        mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    void *wrongs;

    state = argc > 2 ? strtoull(argv[2], NULL, 0) * 2 + 1 : 1;
    fd = memfd_create("remap", 0);
    if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE) < 0)
        failed("memfd_create");
    sigaction(SIGSEGV, &sa, NULL);
    for (unsigned long i = 0; i < 64 * PAGE / 8; i++)
        still[i] = i * 0x9e3779b97f4a7c15u;
    pthread_create(&thread, NULL, watch, still);
    for (step = 0; step < steps; step++) {
        change();
        for (unsigned k = 0; k < 8; k++) {
            unsigned i = below(PAGES);
            check_word(i, below(2), below(3));
            if (below(2) == 0)
                write_word(i, below(2), below(3));
        }
        if (step % 64 == 0)
            check_all();
    }
    check_all();
    stop = 1;
    pthread_join(thread, &wrongs);
    bad += (unsigned long)wrongs;
    printf("%lu steps, %lu errors\n", step, bad);
    return bad != 0;
}
