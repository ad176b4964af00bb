/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a guest: every exception that a user program can provoke arrives as the signal, with the
 * code and the address, that it has on a real machine; and code that was written a moment ago is
 * what runs. Prints one line for each that is wrong and ends with their number.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf out;
static volatile siginfo_t seen;
static int failures;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    memcpy((void *)&seen, info, sizeof(seen));
    siglongjmp(out, 1);
}

/* Runs `f(arg)` and compares what came of it; address NULL with check_address false: any. */
static void expect(const char *name, void (*f)(void *), void *arg, int sig, int code,
                   const void *address, int check_address)
{
    memset((void *)&seen, 0, sizeof(seen));
    if (!sigsetjmp(out, 1))
        f(arg);
    if (seen.si_signo == sig && (code == 0 || seen.si_code == code) &&
        (!check_address || seen.si_addr == address))
        return;
    printf("%s: signal %d code %d address %p, expected %d %d %p\n", name, seen.si_signo,
           seen.si_code, seen.si_addr, sig, code, (void *)address);
    failures++;
}

static void load(void *p)
{
    *(volatile char *)p;
}

static void store(void *p)
{
    *(volatile char *)p = 1;
}

static void call(void *p)
{
    ((void (*)(void))(uintptr_t)p)();
}

static void divide(void *p)
{
    (void)p;
    __asm__ volatile("xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::
                         : "eax", "ecx", "edx");
}

static void undefined(void *p)
{
    (void)p;
    __asm__ volatile("ud2");
}

static void breakpoint(void *p)
{
    (void)p;
    __asm__ volatile("int3");
}

static void privileged(void *p)
{
    (void)p;
    __asm__ volatile("hlt");
}

static void non_canonical(void *p)
{
    (void)p;
    load((void *)0x8000000000000000ul);
}

static void single_step(void *p)
{
    (void)p;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop" ::: "memory", "cc");
}

/* A function that returns a constant, changed between calls. */
static void self_modifying(unsigned char *code)
{
    for (unsigned i = 0; i < 2000; i++) {
        const unsigned char body[] = {0xb8, i & 0xff, i >> 8, 0, 0, 0xc3}; /* mov eax, i; ret */
        memcpy(code, body, sizeof(body));
        unsigned got = ((unsigned (*)(void))(uintptr_t)code)();
        if (got != i) {
            printf("self-modifying: call %u returned %u\n", i, got);
            failures++;
            return;
        }
    }
}

static void stack_growth(void *p)
{
    (void)p;
    volatile char space[4 << 20];
    for (size_t i = sizeof(space); i > 0; i -= 4096)
        space[i - 1] = 1;
}

static void copy_on_write(unsigned char *page)
{
    int status = 0;
    page[0] = 1;
    pid_t child = fork();
    if (child == 0) {
        page[0] = 2;
        _exit(page[0]);
    }
    waitpid(child, &status, 0);
    if (page[0] != 1 || WEXITSTATUS(status) != 2) {
        printf("copy on write: parent has %u, child had %d\n", page[0], WEXITSTATUS(status));
        failures++;
    }
}

int main(void)
{
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);

    unsigned char *rwx =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *rw =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    expect("load from 0x10", load, (void *)0x10, SIGSEGV, SEGV_MAPERR, (void *)0x10, 1);
    expect("store to a read-only page", store, ro + 123, SIGSEGV, SEGV_ACCERR, ro + 123, 1);
    expect("load from a forbidden page", load, none + 5, SIGSEGV, SEGV_ACCERR, none + 5, 1);
    expect("run a page without that right", call, rw, SIGSEGV, SEGV_ACCERR, rw, 1);
    expect("load from the kernel", load, (void *)0xffffffff81000000ul, SIGSEGV, 0,
           (void *)0xffffffff81000000ul, 1);
    expect("non-canonical address", non_canonical, NULL, SIGSEGV, SI_KERNEL, NULL, 0);
    expect("divide by zero", divide, NULL, SIGFPE, FPE_INTDIV, NULL, 0);
    expect("undefined instruction", undefined, NULL, SIGILL, ILL_ILLOPN, (void *)undefined, 0);
    expect("breakpoint", breakpoint, NULL, SIGTRAP, SI_KERNEL, NULL, 0);
    expect("privileged instruction", privileged, NULL, SIGSEGV, SI_KERNEL, NULL, 0);
    expect("single step", single_step, NULL, SIGTRAP, TRAP_TRACE, NULL, 0);
    munmap(none, 4096);
    expect("load from an unmapped page", load, none, SIGSEGV, SEGV_MAPERR, none, 1);
    mprotect(rw, 4096, PROT_READ);
    expect("store after mprotect", store, rw, SIGSEGV, SEGV_ACCERR, rw, 1);
    mprotect(rw, 4096, PROT_READ | PROT_WRITE);
    expect("store after mprotect back", store, rw, 0, 0, NULL, 1);
    expect("stack growth", stack_growth, NULL, 0, 0, NULL, 1);
    self_modifying(rwx);
    copy_on_write(rw);
    printf("%d failures\n", failures);
    return failures;
}
