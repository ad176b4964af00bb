/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The oracle: runs the cases of differential testing natively on the host CPU.
 *
 * Started as `diff-oracle FD` with a memfd (struct diff_shared) and standard input and output as
 * the command channel: one byte in for "run the batch", one byte out when it is done. A case is
 * entered by IRETQ, which loads RIP, CS, RFLAGS and RSP at once and serializes, and ends in a
 * signal, whose frame holds the whole state. FS and GS bases belong to the case while it runs, so
 * signal handlers start in assembly and switch them before any C code; this program is built
 * without sanitizers, whose shadow memory would lie in reach of the cases' wild addresses.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "diff.h"

#define TICK_US 20000
#define TIMEOUT_TICKS 10
#define SIGNAL_STACK (256 * 1024)

/* Read and written by the assembly below, through these offsets. */
struct native_entry {
    uint64_t gpr[16];                     /* 0 */
    uint64_t rip, cs, rflags, rsp, ss;    /* 128: an IRETQ frame */
    uint64_t fs_base, gs_base;            /* 168 */
    uint64_t data_selector, tls_selector; /* 184: DS; FS, GS (0: bases instead) */
    uint64_t xcr0;                        /* 200 */
    const uint8_t *xsave;                 /* 208 */
    uint64_t extra_selector;              /* 216: ES */
};

void native_enter(const struct native_entry *e);
void native_signal(int sig, siginfo_t *info, void *context);
void native_leave(void) __attribute__((noreturn));
bool native_handle(int sig, siginfo_t *info, void *context);

struct native_entry *native_current; /* NULL: no case runs, bases are the host's */
uint64_t native_host_rsp, native_host_fs, native_host_gs;

__asm__(".text\n"
        ".globl native_enter\n"
        "native_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, native_host_rsp(%rip)\n"
        "    rdfsbase %rax; mov %rax, native_host_fs(%rip)\n"
        "    rdgsbase %rax; mov %rax, native_host_gs(%rip)\n"
        "    mov 208(%rdi), %rbx; mov 200(%rdi), %eax; xor %edx, %edx\n"
        "    xrstor64 (%rbx)\n"
        "    mov %rdi, native_current(%rip)\n"
        "    call native_segments\n"
        /* The IRETQ frame is used where it lies: the stack pointer goes there. */
        "    mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
        "    mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
        "    mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
        "    mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
        "    mov 0(%rdi), %rax\n"
        "    lea 128(%rdi), %rsp\n"
        "    mov 56(%rdi), %rdi\n"
        "    iretq\n"
        /* Loads the segments of the case at RDI; changes RAX. */
        "native_segments:\n"
        "    mov 184(%rdi), %eax; mov %eax, %ds\n"
        "    mov 216(%rdi), %eax; mov %eax, %es\n"
        "    mov 192(%rdi), %eax; mov %eax, %fs; mov %eax, %gs\n"
        "    test %eax, %eax; jnz 1f\n"
        "    mov 168(%rdi), %rax; wrfsbase %rax\n"
        "    mov 176(%rdi), %rax; wrgsbase %rax\n"
        "1:  ret\n"
        /* Every signal comes here. While a case runs, FS and GS are changed to the host's; if the
         * handler returns (a timer tick), back again. */
        ".globl native_signal\n"
        "native_signal:\n"
        "    cmpq $0, native_current(%rip); jne 1f\n"
        "    ret\n"
        "1:  push $2; popfq\n" /* AC, which the case may have set, is still there */
        "    xor %eax, %eax; mov %eax, %fs; mov %eax, %gs; mov %eax, %ds; mov %eax, %es\n"
        "    mov native_host_fs(%rip), %rax; wrfsbase %rax\n"
        "    mov native_host_gs(%rip), %rax; wrgsbase %rax\n"
        "    sub $8, %rsp; call native_handle; add $8, %rsp\n"
        "    test %al, %al; jnz native_leave\n"
        "    mov native_current(%rip), %rdi\n"
        "    jmp native_segments\n"
        ".globl native_leave\n"
        "native_leave:\n"
        "    movq $0, native_current(%rip)\n"
        "    mov native_host_rsp(%rip), %rsp\n"
        "    push $2; popfq\n" /* NT, which the case may have set, would make IRETQ fail */
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static struct diff_shared *shared;
static struct diff_result *current_result;
static uint32_t current_base; /* of CS */
/* In low memory: bits 16 - 31 of its address are what IRETQ leaves in ESP with a 16-bit stack. */
static struct native_entry *entry;
static uint8_t *code_alias; /* the code pages, writable */
static unsigned ticks;

/* Encoding order of the general registers in a signal frame. */
static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};

static void save_vectors(struct diff_result *r, const void *fpregs)
{
    struct _fpx_sw_bytes sw;
    size_t size = 512;

    memcpy(&sw, (const uint8_t *)fpregs + 464, sizeof(sw));
    if (sw.magic1 == FP_XSTATE_MAGIC1)
        size = sw.xstate_size;
    if (size > DIFF_XSAVE)
        size = DIFF_XSAVE;
    memset(r->xsave, 0, sizeof(r->xsave));
    memcpy(r->xsave, fpregs, size);
    if (size == 512)
        r->xsave[512] = 3;
}

/* Called by native_signal with the host's bases loaded. True: the case is over. */
bool native_handle(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    const greg_t *g = uc->uc_mcontext.gregs;
    struct diff_result *r = current_result;

    (void)info;
    if (sig == SIGALRM) {
        if (++ticks < TIMEOUT_TICKS)
            return false;
        r->status = DIFF_TIMEOUT;
        return true;
    }
    for (unsigned i = 0; i < 16; i++)
        r->regs.gpr[i] = (uint64_t)g[greg_of[i]];
    r->regs.rip = (uint64_t)g[REG_RIP];
    if (current_base != 0)
        r->regs.rip = (uint32_t)(r->regs.rip + current_base);
    r->regs.rflags = (uint64_t)g[REG_EFL];
    r->vector = (unsigned)g[REG_TRAPNO];
    r->error = (uint64_t)g[REG_ERR];
    r->cr2 = (uint64_t)g[REG_CR2];
    save_vectors(r, uc->uc_mcontext.fpregs);
    r->status = DIFF_DONE;
    return true;
}

static int set_ldt(unsigned n, const struct diff_segment *s)
{
    const struct user_desc d = {.entry_number = n + 1,
                                .base_addr = s->base,
                                .limit = s->limit,
                                .seg_32bit = s->big,
                                .contents = n == DIFF_CS ? 2 : s->down,
                                .read_exec_only = s->readonly,
                                .limit_in_pages = s->pages,
                                .useable = 1};

    return (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static void enter_segments(const struct diff_case *c, struct native_entry *e)
{
    for (unsigned n = 0; n < DIFF_SEGMENTS; n++)
        if (set_ldt(n, &c->seg[n]) != 0) {
            perror("diff-oracle: modify_ldt");
            exit(1);
        }
    current_base = c->seg[DIFF_CS].base;
    e->rip = (uint32_t)(c->regs.rip - current_base);
    e->cs = DIFF_LDT_SELECTOR(DIFF_CS);
    e->ss = DIFF_LDT_SELECTOR(DIFF_SS);
    e->data_selector = DIFF_LDT_SELECTOR(DIFF_DS);
    e->extra_selector = e->tls_selector = DIFF_LDT_SELECTOR(DIFF_ES);
}

static void run_case(const struct diff_case *c, struct diff_result *r)
{
    struct native_entry *e = entry;
    size_t offset = c->regs.rip - DIFF_CODE;
    bool compat = c->mode == DIFF_USER32;

    memcpy(code_alias + offset, c->code, c->code_len);
    memcpy((void *)(uintptr_t)DIFF_DATA, c->data, DIFF_DATA_SIZE);
    memcpy(e->gpr, c->regs.gpr, sizeof(e->gpr));
    e->rip = c->regs.rip;
    e->cs = compat ? 0x23 : 0x33;
    e->rflags = c->regs.rflags;
    e->rsp = c->regs.gpr[4];
    e->ss = 0x2b;
    e->fs_base = c->regs.fs_base;
    e->gs_base = c->regs.gs_base;
    e->data_selector = compat ? 0x2b : 0;
    e->tls_selector = compat ? c->regs.tls_selector : 0;
    e->xcr0 = shared->xcr0;
    e->xsave = c->xsave;
    e->extra_selector = e->data_selector;
    current_base = 0;
    if (diff_segmented(c->mode))
        enter_segments(c, e);
    ticks = 0;
    current_result = r;
    native_enter(e);
    memcpy(r->data, (void *)(uintptr_t)DIFF_DATA, DIFF_DATA_SIZE);
    if (!shared->together)
        memset(code_alias + offset, 0xcc, c->code_len);
}

static void place_code(bool there)
{
    for (uint32_t i = 0; i < shared->count; i++) {
        const struct diff_case *c = &shared->cases[i];
        uint8_t *at = code_alias + (c->regs.rip - DIFF_CODE);

        if (there)
            memcpy(at, c->code, c->code_len);
        else
            memset(at, 0xcc, c->code_len);
    }
}

static void *map_at(uintptr_t addr, size_t size, int prot, int flags, int fd)
{
    void *p = mmap((void *)addr, size, prot, flags | (addr != 0 ? MAP_FIXED_NOREPLACE : 0), fd, 0);

    if (p == MAP_FAILED) {
        perror("diff-oracle: mmap");
        exit(1);
    }
    return p;
}

static void map_readonly(uintptr_t addr)
{
    void *ro = map_at(addr, DIFF_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    memcpy(ro, shared->readonly, DIFF_PAGE);
    if (mprotect(ro, DIFF_PAGE, PROT_READ) != 0)
        exit(1);
}

static void map_sandbox(void)
{
    int fd = memfd_create("diff-code", MFD_CLOEXEC), data = memfd_create("diff-data", MFD_CLOEXEC);

    if (fd < 0 || data < 0 || ftruncate(fd, DIFF_CODE_SIZE) != 0 ||
        ftruncate(data, DIFF_DATA_SIZE) != 0) {
        perror("diff-oracle: memfd");
        exit(1);
    }
    code_alias = map_at(0, DIFF_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    memset(code_alias, 0xcc, DIFF_CODE_SIZE);
    map_at(DIFF_CODE, DIFF_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
    map_at(DIFF_DATA, DIFF_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, data);
    map_at(DIFF_HIGH, DIFF_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, data);
    map_readonly(DIFF_RO);
    map_readonly(DIFF_HIGH + (DIFF_RO - DIFF_DATA));
}

static void set_tls_segment(void)
{
    struct user_desc d = {.entry_number = DIFF_TLS_SELECTOR >> 3,
                          .base_addr = DIFF_TLS_BASE,
                          .limit = 0xfffff,
                          .seg_32bit = 1,
                          .limit_in_pages = 1,
                          .useable = 1};

    shared->tls_selector =
        syscall(SYS_set_thread_area, &d) == 0 ? DIFF_TLS_SELECTOR : DIFF_FLAT_SELECTOR;
}

static void catch_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP, SIGALRM};
    struct sigaction sa = {.sa_sigaction = native_signal,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct itimerval tick = {{0, TICK_US}, {0, TICK_US}};
    stack_t stack = {.ss_size = SIGNAL_STACK};

    stack.ss_sp = map_at(0, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    sigaltstack(&stack, NULL);
    /* A tick must not interrupt the handler of a case's end. */
    sigaddset(&sa.sa_mask, SIGALRM);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &sa, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
}

/* The handler is left by a jump, so the mask it ran with has to go. */
static void unblock_ticks(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? atoi(argv[1]) : -1;
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    shared = map_at(0, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    map_sandbox();
    set_tls_segment();
    shared->no_ldt = set_ldt(DIFF_DS, &(struct diff_segment){.limit = 0xffff}) != 0;
    entry = map_at(DIFF_STACK16_HIGH, DIFF_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1);
    catch_signals();
    if (write(1, "", 1) != 1)
        return 1;
    for (;;) {
        ssize_t n = read(0, &byte, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n != 1)
            return 0;
        if (shared->together)
            place_code(true);
        for (uint32_t i = 0; i < shared->count; i++) {
            run_case(&shared->cases[i], &shared->results[i]);
            unblock_ticks();
        }
        place_code(false);
        while (write(1, &byte, 1) < 0 && errno == EINTR)
            ;
    }
}
