/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a guest: what a program does by itself comes out as on a real machine, however the
 * monitor runs it: registers, flags and vector state over system calls, faults and switches; single
 * steps; addresses, error codes and restarts of faults; memory whose rights, content and place
 * change; code that is written, by whichever way; instructions that tell of the machine. Prints one
 * line for each that is wrong and ends with their number. All of it is right on the host, too.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096ul

static int failures;

#define CHECK(ok, ...)           \
    do {                         \
        if (!(ok)) {             \
            printf(__VA_ARGS__); \
            putchar('\n');       \
            failures++;          \
        }                        \
    } while (0)

static sigjmp_buf out;
static volatile int seen_signal, seen_trap, seen_steps;
static volatile unsigned long seen_error, seen_address, seen_rip;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    seen_signal = sig;
    seen_trap = (int)g[REG_TRAPNO];
    seen_error = (unsigned long)g[REG_ERR];
    seen_rip = (unsigned long)g[REG_RIP];
    seen_address = (unsigned long)info->si_addr;
    siglongjmp(out, 1);
}

static void catch (int sig, void (*f)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigaction(sig, &sa, NULL);
}

static uint8_t *pages(unsigned n, int prot)
{
    uint8_t *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        exit(100);
    return p;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* What `f(p)` ends in: a page fault at p with this error code. */
static void page_fault(const char *name, void (*f)(uint8_t *), uint8_t *p, unsigned long error)
{
    seen_signal = 0;
    if (sigsetjmp(out, 1) == 0)
        f(p);
    CHECK(seen_signal == SIGSEGV && seen_trap == 14 && seen_error == error &&
              seen_address == (unsigned long)p,
          "%s: signal %d, trap %d, error %lx (expected %lx), address %lx (expected %p)", name,
          seen_signal, seen_trap, seen_error, error, seen_address, (void *)p);
}

static void load(uint8_t *p)
{
    *(volatile uint8_t *)p;
}

static void store(uint8_t *p)
{
    *(volatile uint8_t *)p = 1;
}

static void add_to(uint8_t *p)
{
    __asm__ volatile("incb %0" : "+m"(*p) : : "cc");
}

static void call(uint8_t *p)
{
    ((void (*)(void))(uintptr_t)p)();
}

static void page_faults(void)
{
    uint8_t *p = pages(4, PROT_READ | PROT_WRITE);

    p[0] = 0xc3;
    mprotect(p + PAGE, PAGE, PROT_NONE);
    page_fault("load, no rights", load, p + PAGE + 5, 4);
    page_fault("store, no rights", store, p + PAGE + 5, 6);
    page_fault("read and write, no rights", add_to, p + PAGE + 5, 6);
    load(p + 2 * PAGE);
    mprotect(p + 2 * PAGE, PAGE, PROT_READ);
    load(p + 2 * PAGE);
    page_fault("store to read-only", store, p + 2 * PAGE + 8, 7);
    page_fault("call of data", call, p, 0x15);
    munmap(p + 3 * PAGE, PAGE);
    page_fault("load, nothing there", load, p + 3 * PAGE, 4);
    page_fault("call, nothing there", call, p + 3 * PAGE, 0x14);
    page_fault("load of the kernel's", load, (uint8_t *)0xffffffff81000000ul, 5);
    page_fault("store to the kernel's", store, (uint8_t *)0xffff888000001000ul, 7);
    page_fault("NULL", load, NULL, 4);
    p = pages(2, PROT_READ | PROT_WRITE | PROT_EXEC);
    munmap(p + PAGE, PAGE);
    memcpy(p + PAGE - 2, "\x48\xb8", 2); /* MOV RAX, imm64: goes on where nothing is */
    seen_signal = 0;
    if (sigsetjmp(out, 1) == 0)
        call(p + PAGE - 2);
    CHECK(seen_signal == SIGSEGV && seen_address == (unsigned long)(p + PAGE) &&
              seen_rip == (unsigned long)(p + PAGE - 2),
          "instruction over the edge: signal %d address %lx rip %lx", seen_signal, seen_address,
          seen_rip);
}

static void one_fault(const char *name, int sig, int trap, int back, uint8_t *code)
{
    seen_signal = 0;
    if (sigsetjmp(out, 1) == 0)
        call(code);
    CHECK(seen_signal == sig && seen_trap == trap &&
              seen_rip == (unsigned long)code + (unsigned)back,
          "%s: signal %d trap %d rip + %ld", name, seen_signal, seen_trap,
          (long)(seen_rip - (unsigned long)code));
}

static void other_faults(void)
{
    static const struct {
        const char *name;
        int sig, trap, back;
        const char code[12];
    } t[] = {
        {"UD2", SIGILL, 6, 0, "\x0f\x0b"},
        {"INT3", SIGTRAP, 3, 1, "\xcc\xc3"},
        {"INT 3", SIGTRAP, 3, 2, "\xcd\x03\xc3"},
        {"INT 50", SIGSEGV, 13, 0, "\xcd\x32\xc3"},
        {"HLT", SIGSEGV, 13, 0, "\xf4\xc3"},
        {"CLI", SIGSEGV, 13, 0, "\xfa\xc3"},
        {"IN", SIGSEGV, 13, 0, "\xec\xc3"},
        {"MOV CR3", SIGSEGV, 13, 0, "\x0f\x20\xd8\xc3"},
        {"RDMSR", SIGSEGV, 13, 0, "\x0f\x32\xc3"},
        {"DIV", SIGFPE, 0, 4, "\x31\xc9\x31\xd2\xf7\xf1\xc3"},
        {"MOV DS", SIGSEGV, 13, 5, "\xb8\x18\x00\x00\x00\x8e\xd8\xc3"},
        {"not canonical", SIGSEGV, 13, 10, "\x48\xb8\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x00"},
    };
    uint8_t *p = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(p, 0xc3, 32);
        memcpy(p, t[i].code, 12);
        one_fault(t[i].name, t[i].sig, t[i].trap, t[i].back, p);
    }
}

/* ---- registers ------------------------------------------------------------------------------- */

/* All registers, flags and some vector registers around an instruction that leaves the program. */
struct image {
    uint64_t r[15], flags;
    uint8_t x[16][32];
};

__attribute__((noinline)) static void around(struct image *before, struct image *after, long nr)
{
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n" /* not where the compiler may have something */
        "push %%rbp\n push %%rbx\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n"
        "push %%rsi\n push %%rdi\n"
        "mov %%rdx, 0(%%rdi)\n"
        "vmovdqu 128(%%rdi), %%ymm0\n vmovdqu 160(%%rdi), %%ymm1\n"
        "vmovdqu 512(%%rdi), %%ymm12\n vmovdqu 608(%%rdi), %%ymm15\n"
        "push 120(%%rdi)\n popf\n"
        "mov 0(%%rdi), %%rax\n mov 8(%%rdi), %%rbx\n mov 24(%%rdi), %%rdx\n mov 32(%%rdi), %%rbp\n"
        "mov 40(%%rdi), %%rsi\n mov 56(%%rdi), %%r8\n mov 64(%%rdi), %%r9\n mov 72(%%rdi), %%r10\n"
        "mov 88(%%rdi), %%r12\n mov 96(%%rdi), %%r13\n mov 104(%%rdi), %%r14\n"
        "mov 112(%%rdi), %%r15\n mov 48(%%rdi), %%rdi\n"
        "syscall\n"
        "pushf\n xchg %%rdi, 16(%%rsp)\n" /* what was pushed second: &after */
        "mov %%rax, 0(%%rdi)\n mov %%rbx, 8(%%rdi)\n mov %%rdx, 24(%%rdi)\n mov %%rbp, 32(%%rdi)\n"
        "mov %%rsi, 40(%%rdi)\n mov %%r8, 56(%%rdi)\n mov %%r9, 64(%%rdi)\n mov %%r10, 72(%%rdi)\n"
        "mov %%r12, 88(%%rdi)\n mov %%r13, 96(%%rdi)\n mov %%r14, 104(%%rdi)\n"
        "mov %%r15, 112(%%rdi)\n pop %%rax\n mov %%rax, 120(%%rdi)\n"
        "mov 8(%%rsp), %%rax\n mov %%rax, 48(%%rdi)\n"
        "vmovdqu %%ymm0, 128(%%rdi)\n vmovdqu %%ymm1, 160(%%rdi)\n"
        "vmovdqu %%ymm12, 512(%%rdi)\n vmovdqu %%ymm15, 608(%%rdi)\n"
        "cld\n add $16, %%rsp\n pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbx\n pop "
        "%%rbp\n"
        "lea 128(%%rsp), %%rsp\n"
        :
        : "D"(before), "S"(after), "d"(nr)
        : "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm12", "xmm15");
}

static void registers(void)
{
    static struct image a, b;

    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < sizeof(a); i++)
            ((uint8_t *)&a)[i] = (uint8_t)rand();
        a.flags = 0x202 | ((uint64_t)rand() & 0x8d5);
        long nr = round % 3 == 0 ? SYS_getppid : round % 3 == 1 ? SYS_sched_yield : 1000 + round;
        around(&a, &b, nr);
        bool same = b.flags == a.flags;
        for (unsigned i = 1; i < 15; i++)
            same = same && (i == 2 || i == 10 || a.r[i] == b.r[i]);
        CHECK(same, "registers after system call %ld", nr);
        CHECK(memcmp(a.x[0], b.x[0], 64) == 0 && memcmp(a.x[12], b.x[12], 32) == 0 &&
                  memcmp(a.x[15], b.x[15], 32) == 0,
              "vector registers after system call %ld", nr);
        CHECK(b.r[0] == (nr == SYS_getppid       ? (uint64_t)getppid()
                         : nr == SYS_sched_yield ? 0
                                                 : (uint64_t)-38),
              "result of system call %ld: %ld", nr, (long)b.r[0]);
    }
}

static void flag_bits(void)
{
    uint64_t f;

    __asm__ volatile("pushf\n orq $0x200000, (%%rsp)\n popf\n pushf\n pop %0\n"
                     "pushf\n andq $~0x200000, (%%rsp)\n popf"
                     : "=r"(f)
                     :
                     : "cc", "memory");
    CHECK(f >> 21 & 1, "RFLAGS.ID cannot be set");
    __asm__ volatile("pushf\n orq $0x4000, (%%rsp)\n popf\n pushf\n pop %0\n"
                     "pushf\n andq $~0x4000, (%%rsp)\n popf"
                     : "=r"(f)
                     :
                     : "cc", "memory");
    CHECK((f & 0x7200) == 0x4200, "RFLAGS.NT, IF, IOPL: %lx", (unsigned long)f);
    __asm__ volatile("pushf\n orq $0x3000, (%%rsp)\n andq $~0x200, (%%rsp)\n popf\n pushf\n pop %0"
                     : "=r"(f)
                     :
                     : "cc", "memory");
    CHECK((f & 0x3200) == 0x200, "POPF changed IF or IOPL: %lx", (unsigned long)f);
    __asm__ volatile("std\n syscall\n pushf\n pop %0\n cld"
                     : "=r"(f)
                     : "a"(SYS_getppid)
                     : "rcx", "r11", "cc", "memory");
    CHECK(f >> 10 & 1, "DF is lost");
}

static void bases(void)
{
    uint64_t fs, gs, was, v = 0;
    static uint64_t there = 77;

    syscall(SYS_arch_prctl, 0x1003, &fs);
    CHECK(fs == (uint64_t)__builtin_thread_pointer(), "FS base is elsewhere");
    syscall(SYS_arch_prctl, 0x1001, &there);
    for (unsigned i = 0; i < 3; i++) {
        __asm__ volatile("mov %%gs:0, %0" : "=r"(v));
        CHECK(v == 77, "GS base after %u system calls", i);
        sched_yield();
    }
    if (__builtin_cpu_supports("avx2")) { /* no CPU has it without: FSGSBASE by CPUID */
        unsigned a, b = 0, c, d;
        __get_cpuid_count(7, 0, &a, &b, &c, &d);
        if (b & 1) {
            __asm__ volatile("rdgsbase %0" : "=r"(was));
            CHECK(was == (uint64_t)&there, "RDGSBASE");
            __asm__ volatile("wrgsbase %0" : : "r"((uint64_t)&there - 8));
            sched_yield();
            __asm__ volatile("mov %%gs:8, %0" : "=r"(v));
            CHECK(v == 77, "WRGSBASE");
            syscall(SYS_arch_prctl, 0x1004, &gs);
            CHECK(gs == (uint64_t)&there - 8, "GS base as the kernel has it");
        }
    }
    unsigned short s[5];
    __asm__ volatile("mov %%cs, %0\n mov %%ss, %1\n mov %%ds, %2\n mov %%es, %3\n mov %%fs, %4"
                     : "=r"(s[0]), "=r"(s[1]), "=r"(s[2]), "=r"(s[3]), "=r"(s[4]));
    CHECK(s[0] == 0x33 && s[1] == 0x2b && s[2] == 0 && s[3] == 0 && s[4] == 0,
          "selectors %x %x %x %x %x", s[0], s[1], s[2], s[3], s[4]);
    __asm__ volatile("mov %0, %%es" : : "r"(0x2b));
    sched_yield();
    __asm__ volatile("mov %%es, %0\n mov %1, %%es" : "=r"(s[0]) : "r"(0));
    CHECK(s[0] == 0x2b, "ES is lost: %x", s[0]);
}

static void x87(void)
{
    uint8_t image[512] __attribute__((aligned(16)));
    uint64_t where, ip;
    double r;

    for (unsigned i = 0; i < 3; i++) {
        __asm__ volatile("fninit\n fldpi\n lea 1f(%%rip), %0\n 1: fldl2e\n" : "=r"(where));
        if (i > 0)
            sched_yield();
        __asm__ volatile("fxsave64 %0\n fmulp\n fstpl %1" : "=m"(image), "=m"(r));
        memcpy(&ip, image + 8, 8);
        CHECK(ip == where || ip == 0, "x87: FIP %lx, expected %lx", (long)ip, (long)where);
        CHECK(r > 4.532 && r < 4.533, "x87: %f", r);
    }
}

/* ---- single steps ---------------------------------------------------------------------------- */

static unsigned long first_step;

static void on_step(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)sig;
    (void)info;
    if (seen_steps++ == 0)
        first_step = (unsigned long)g[REG_RIP];
    if (seen_steps >= 5)
        g[REG_EFL] &= ~0x100l;
}

static void single_steps(void)
{
    unsigned long behind;
    uint64_t n = 0;

    catch (SIGTRAP, on_step);
    seen_steps = 0;
    __asm__ volatile("lea 1f(%%rip), %0\n pushf\n orq $0x100, (%%rsp)\n popf\n"
                     "inc %1\n 1: inc %1\n inc %1\n inc %1\n inc %1\n inc %1\n inc %1\n"
                     : "=&r"(behind), "+r"(n)
                     :
                     : "cc", "memory");
    CHECK(seen_steps == 5 && n == 7 && first_step == behind,
          "single steps: %d, %lu increments, first %ld bytes off", seen_steps, (unsigned long)n,
          (long)(first_step - behind));
    catch (SIGTRAP, on_fault);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void memory(void)
{
    int fd = memfd_create("x", 0);
    uint8_t *p, *q, *r;

    if (ftruncate(fd, 8 * (long)PAGE) < 0)
        exit(101);
    p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    q = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    for (unsigned i = 0; i < 8; i++)
        p[i * PAGE] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < 8; i++)
        CHECK(q[i * PAGE] == i + 1, "page %u by its other address", i);
    r = mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 3 * (long)PAGE);
    CHECK(r[0] == 4, "another page at the same address");
    r[1] = 99;
    CHECK(q[3 * PAGE + 1] == 99, "a store there");
    r = mremap(p + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, pages(1, PROT_READ));
    CHECK(r != MAP_FAILED && r[0] == 2, "a page that was moved");
    page_fault("where it was", load, p + PAGE, 4);
    madvise(q + 5 * PAGE, PAGE, MADV_DONTNEED);
    CHECK(q[5 * PAGE] == 6, "a page of a file, given up");
    uint8_t *a = pages(3, PROT_READ | PROT_WRITE);
    memset(a, 7, 3 * PAGE);
    madvise(a + PAGE, PAGE, MADV_DONTNEED);
    CHECK(a[0] == 7 && a[PAGE] == 0 && a[2 * PAGE] == 7, "a page given up");
    pid_t child = fork();
    if (child == 0) {
        a[0] = 8;
        _exit(a[0] == 8 && a[2 * PAGE] == 7 ? 0 : 1);
    }
    int status = 1;
    a[2 * PAGE] = 9;
    waitpid(child, &status, 0);
    CHECK(status == 0 && a[0] == 7, "copies after fork: %x, %d", status, a[0]);
    int pipes[2];
    char text[8] = "";
    if (pipe(pipes) == 0 && write(pipes[1], "abc", 4) == 4 && read(pipes[0], a + PAGE + 10, 4) == 4)
        memcpy(text, a + PAGE + 10, 4);
    CHECK(strcmp(text, "abc") == 0, "what the kernel wrote");
}

/* ---- code ------------------------------------------------------------------------------------ */

static int run(const uint8_t *p)
{
    return ((int (*)(void))(uintptr_t)p)();
}

static void number(uint8_t *p, int n)
{
    p[0] = 0xb8; /* MOV EAX, imm32; RET */
    memcpy(p + 1, &n, 4);
    p[5] = 0xc3;
}

static void code(void)
{
    int fd = memfd_create("code", 0);
    uint8_t *p = pages(2, PROT_READ | PROT_WRITE | PROT_EXEC), *w, *x;

    for (int i = 0; i < 200; i++) {
        number(p + 64 * (i % 32), i);
        CHECK(run(p + 64 * (i % 32)) == i, "code written in place, %d", i);
    }
    if (ftruncate(fd, (long)PAGE) < 0)
        exit(102);
    w = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    x = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    for (int i = 0; i < 200; i++) {
        number(w, i);
        CHECK(run(x) == i, "code written at another address, %d", i);
    }
    for (int i = 0; i < 50; i++) {
        uint8_t bytes[6];
        number(bytes, 1000 + i);
        CHECK(pwrite(fd, bytes, 6, 0) == 6 && run(x) == 1000 + i, "code written by the kernel, %d",
              i);
    }
    for (int i = 0; i < 30; i++) {
        mprotect(p, PAGE, PROT_READ | PROT_WRITE);
        number(p, 5000 + i);
        mprotect(p, PAGE, PROT_READ | PROT_EXEC);
        CHECK(run(p) == 5000 + i, "code between mprotects, %d", i);
        if (i % 10 == 0)
            page_fault("store to code", store, p + 100, 7);
    }
    for (int i = 0; i < 30; i++) {
        pid_t child;
        int status = 0;
        mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        number(p, i);
        child = fork();
        if (child == 0) {
            number(p, 100 + i);
            _exit(run(p));
        }
        waitpid(child, &status, 0);
        CHECK(run(p) == i && WEXITSTATUS(status) == 100 + i, "code after fork, %d", i);
    }
    number(p + PAGE - 3, 0x12345678); /* over the edge of two pages */
    CHECK(run(p + PAGE - 3) == 0x12345678, "code in two pages");
    number(p + PAGE - 3, 0x9abcde);
    CHECK(run(p + PAGE - 3) == 0x9abcde, "code in two pages, again");
}

/* ---- what tells of the machine --------------------------------------------------------------- */

static void machine(void)
{
    unsigned a[4], b[4], cpu = 99, node;
    uint64_t last = 0;
    uint8_t *p = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);

    for (unsigned i = 0; i < 100; i++) {
        if (i % 10 == 0)
            sched_yield();
        uint64_t now = __builtin_ia32_rdtsc();
        CHECK(now > last, "TSC went back");
        last = now;
    }
    /* CPUID in a page of its own, and here, where it runs translated: the same */
    static const uint8_t leaf0[] = "\x53\x31\xc9\x89\xf8\x48\x89\xf7\x0f\xa2\x89\x07\x89\x5f\x04"
                                   "\x89\x4f\x08\x89\x57\x0c\x5b\xc3";
    memcpy(p, leaf0, sizeof(leaf0));
    for (unsigned leaf = 0; leaf < 2; leaf++) {
        ((void (*)(unsigned, unsigned *))(uintptr_t)p)(leaf, b);
        __cpuid_count(leaf, 0, a[0], a[1], a[2], a[3]);
        CHECK((a[0] == b[0]) && (a[2] == b[2]) && (leaf == 1 || a[1] == b[1]), "CPUID %u", leaf);
    }
    __cpuid(1, a[0], a[1], a[2], a[3]);
    if (getenv("GUEST") != NULL) {
        CHECK(a[2] >> 31, "CPUID does not say that this is a guest");
        __cpuid(0x40000000, a[0], a[1], a[2], a[3]);
        CHECK(memcmp(a + 1, "KVMKVMKVM\0\0", 12) == 0, "the hypervisor's leaf");
    }
    CHECK(getcpu(&cpu, &node) == 0 && cpu < (unsigned)sysconf(_SC_NPROCESSORS_ONLN), "CPU %u", cpu);
    struct timespec t, u;
    clock_gettime(CLOCK_MONOTONIC, &t);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &u);
    double apart = (double)(u.tv_sec - t.tv_sec) + (double)(u.tv_nsec - t.tv_nsec) * 1e-9;
    CHECK(apart >= 0 && apart < 5, "the two ways to ask for the time are %f s apart", apart);
    /* the page of old system calls, if the kernel has it */
    seen_signal = 0;
    if (sigsetjmp(out, 1) == 0) {
        struct timeval v = {0}, now;
        ((long (*)(struct timeval *, void *))0xffffffffff600000)(&v, NULL);
        gettimeofday(&now, NULL);
        CHECK(now.tv_sec - v.tv_sec >= 0 && now.tv_sec - v.tv_sec < 5, "vsyscall: %ld",
              (long)v.tv_sec);
    }
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    CHECK(r == getpid() || r == -38, "INT 80: %ld", r);
}

/* ---- several --------------------------------------------------------------------------------- */

static _Atomic long counter;

static void *work(void *arg)
{
    double x = (double)(uintptr_t)arg;

    for (unsigned i = 0; i < 20000; i++) {
        counter++;
        x = x * 1.0000001 + 1;
        if (i % 500 == 0)
            sched_yield();
    }
    return x > 20000 && x < 20100 ? NULL : arg;
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    double x[4] = {1, 2, 3, 4};

    (void)sig;
    for (unsigned i = 0; i < 4; i++)
        x[i] *= 3;
    alarms += x[3] == 12;
}

static void several(void)
{
    struct itimerval it = {{0, 3000}, {0, 3000}};
    pthread_t t[4];
    void *r;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &it, NULL);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, work, (void *)(i + 1));
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        CHECK(r == NULL, "thread %u computed something else", i);
    }
    CHECK(counter == 80000, "%ld of 80000 additions", counter);
    double sum = 0, ref = 0;
    time_t end = time(NULL) + 2;
    while (time(NULL) < end) {
        sum = 0;
        for (unsigned i = 1; i < 20000; i++)
            sum += 1.0 / i;
        if (ref == 0)
            ref = sum;
        CHECK(sum == ref, "a sum differs: %.17g %.17g", sum, ref);
    }
    memset(&it, 0, sizeof(it));
    setitimer(ITIMER_REAL, &it, NULL);
    CHECK(alarms > 10, "%d alarms", (int)alarms);
}

/* Memory of the program's around an address where a monitor has something of its own: it is as
 * everywhere, in whichever order it is touched, in small pages and in large ones. The code has
 * pages for itself: what the library has beside it, CPUID, would not run in a cell. */
__attribute__((noinline, aligned(4096), section(".text.around"))) static int
around_address(uint64_t at)
{
    const uint64_t size = 6ul << 20;
    uint8_t *base = (uint8_t *)((at & ~((2ul << 20) - 1)) - (2ul << 20));

    for (unsigned round = 0; round < 3; round++) {
        uint8_t *p =
            mmap(base, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (round < 2 ? MAP_POPULATE : 0), -1, 0);
        if (p != base)
            return 1;
        madvise(p, size, round == 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        for (uint64_t i = 0; i < size / PAGE; i++) {
            uint64_t k = round == 1 ? size / PAGE - 1 - i : i;
            memcpy(p + k * PAGE, &k, sizeof(k));
        }
        for (unsigned n = 0; n < 3; n++) {
            sched_yield();
            for (uint64_t k = 0; k < size / PAGE; k++)
                if (memcmp(p + k * PAGE, &k, sizeof(k)) != 0)
                    return 2;
        }
        for (uint64_t k = 0; k < size / PAGE; k += 3)
            if (number(p + k * PAGE, (int)k), run(p + k * PAGE) != (int)k)
                return 3;
    }
    puts("there");
    fflush(stdout);
    return getchar() == 'q' ? 0 : 4;
}

__attribute__((noinline, used, aligned(4096), section(".text.around"))) static void behind(void)
{
    __asm__ volatile(".skip 4096, 0x90");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*f)(void);
    } parts[] = {
        {"page faults", page_faults}, {"faults", other_faults}, {"registers", registers},
        {"flags", flag_bits},         {"bases", bases},         {"x87", x87},
        {"steps", single_steps},      {"memory", memory},       {"code", code},
        {"machine", machine},         {"several", several},
    };

    catch (SIGSEGV, on_fault);
    catch (SIGILL, on_fault);
    catch (SIGTRAP, on_fault);
    catch (SIGFPE, on_fault);
    catch (SIGBUS, on_fault);
    if (argc > 2 && strcmp(argv[1], "around") == 0)
        return around_address(strtoul(argv[2], NULL, 16));
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int before = failures;
        if (argc > 1 && strcmp(argv[1], parts[i].name) != 0)
            continue;
        parts[i].f();
        printf("%s: %s\n", parts[i].name, failures == before ? "ok" : "not ok");
        fflush(stdout);
    }
    return failures < 100 ? failures : 100;
}
