/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host exceptions in translated code: a copied instruction divided by zero, had an unmasked
 * floating-point exception, a misaligned operand or an opcode the host lacks. The handler notes
 * which and sends the thread to bt_stub_exit with all registers as they were; the run loop makes it
 * the guest's exception. Anything else goes to the handler that was there before.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "signal_internal.h"
#include "vecmem.h"

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
static struct sigaction previous[5];
#define CODE_RANGES 512 /* vCPUs in one process */
#define CODE_NONE (~0ull)
static _Atomic uint64_t code_range[CODE_RANGES] = {[0 ... CODE_RANGES - 1] = CODE_NONE};
static uint64_t code_range_size; /* the same for all */

static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

static void chain(int sig, siginfo_t *info, void *uc)
{
    for (unsigned i = 0; i < 5; i++) {
        if (signals[i] != sig)
            continue;
        if (previous[i].sa_flags & SA_SIGINFO) {
            previous[i].sa_sigaction(sig, info, uc);
            return;
        }
        if (previous[i].sa_handler != SIG_DFL && previous[i].sa_handler != SIG_IGN) {
            previous[i].sa_handler(sig);
            return;
        }
    }
    signal(sig,
           SIG_DFL); /* returns to the faulting instruction, which then ends the process as usual */
}

/* The context of the vCPU whose translated code has a fault at pc: from GS, since FS may be a
 * view's there. NULL: not translated code. */
static struct bt_ctx *context_at(uint64_t pc)
{
    struct bt_ctx *c;

    for (unsigned i = 0; i < CODE_RANGES; i++)
        if (pc - atomic_load(&code_range[i]) < code_range_size) {
            __asm__("mov %%gs:%c1, %0" : "=r"(c) : "i"(CTX_SELF));
            return c;
        }
    return NULL;
}

int bt_signal_code(uint64_t start, uint64_t size)
{
    uint64_t none = CODE_NONE;

    code_range_size = size;
    for (unsigned i = 0; i < CODE_RANGES; i++, none = CODE_NONE)
        if (atomic_compare_exchange_strong(&code_range[i], &none, start))
            return 0;
    return -ENOSPC;
}

void bt_signal_forget(uint64_t start)
{
    for (unsigned i = 0; i < CODE_RANGES; i++) {
        uint64_t was = start;
        atomic_compare_exchange_strong(&code_range[i], &was, CODE_NONE);
    }
}

static void handler(int sig, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;
    greg_t *g = uc->uc_mcontext.gregs;
    uint64_t pc = (uint64_t)g[REG_RIP];

    if (pc >= (uint64_t)bt_try_begin && pc < (uint64_t)bt_try_end) {
        g[REG_RIP] = (greg_t)bt_try_failed;
        return;
    }
    struct bt_ctx *c = context_at(pc);
    if (c == NULL) {
        chain(sig, info, ucv);
        return;
    }
    c->fault_guest = false;
    c->fault_open = 0;
    c->fault_pc = pc;
    if (g[REG_TRAPNO] == 14 && c->direct && (c->mode_key & MODE_DIRECT)) {
        int r = bt_view_fill(c, (uint64_t)g[REG_CR2], g[REG_ERR] & 2);
        if (r == 0)
            return;
        c->fault_guest = r > 0;
    }
    c->fault_vector = (uint8_t)g[REG_TRAPNO];
    c->fault_error = (uint64_t)g[REG_CR2];
    c->exit_reason = EXIT_FAULT;
    g[REG_RIP] = (greg_t)bt_stub_exit;
}

/* Whoever has put a handler of his own in the place of ours meanwhile is asked after us. */
static void install(void)
{
    struct sigaction sa = {.sa_sigaction = handler,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigemptyset(&sa.sa_mask);
    pthread_mutex_lock(&installing);
    for (unsigned i = 0; i < 5; i++) {
        struct sigaction now;
        sigaction(signals[i], NULL, &now);
        if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != handler)
            sigaction(signals[i], &sa, &previous[i]);
    }
    pthread_mutex_unlock(&installing);
}

int bt_signal_thread(struct engine_vcpu *v)
{
    stack_t ss = {.ss_size = BT_ALTSTACK};
    sigset_t all;

    install();
    v->altstack =
        mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->altstack == MAP_FAILED) {
        v->altstack = NULL;
        return -errno;
    }
    ss.ss_sp = v->altstack;
    if (sigaltstack(&ss, NULL) < 0)
        return -errno;
    /* RSP is the guest's while translated code runs: no signal whose handler wants this thread's
     * stack. */
    sigfillset(&all);
    for (unsigned i = 0; i < 5; i++)
        sigdelset(&all, signals[i]);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return 0;
}
