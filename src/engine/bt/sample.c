/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a vCPU's thread spends its time. While it runs, a timer sends it a signal; the handler
 * looks at what it interrupted and adds there the CPU time since the last sample. (A timer on the
 * CPU time itself would be no finer than the host's tick.) Nothing of this exists unless
 * engine_config.stats asks for it.
 *
 * The handler may interrupt translated code: it runs on the alternate stack, uses no thread-local
 * variable and calls nothing outside this file. Which function a stub had called is known by the
 * return address, right below the stack pointer that translated code is entered with.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "helpers.h"
#include "signal_internal.h"

#define PERIOD_NS 1000000

extern const char bt_stubs_begin[], bt_stubs_end[];

static const struct {
    void (*start)(void);
    enum bt_where where;
} stub[] = {
    {bt_stub_helper, WHERE_HELPER}, {bt_stub_helper_counted, WHERE_HELPER},
    {bt_stub_mem, WHERE_MEMORY},    {bt_stub_group, WHERE_MEMORY},
    {bt_stub_post, WHERE_MEMORY},   {bt_stub_chain, WHERE_BRANCH},
    {bt_stub_lookup, WHERE_BRANCH}, {bt_stub_kick, WHERE_BRANCH},
    {bt_stub_page2, WHERE_BRANCH},  {bt_stub_variant, WHERE_BRANCH},
    {bt_stub_direct, WHERE_BRANCH},
};

static bool in_stubs(uint64_t pc)
{
    return pc >= (uint64_t)bt_stubs_begin && pc < (uint64_t)bt_stubs_end;
}

/* Which stub the address is in. */
static enum bt_where stub_at(uint64_t pc)
{
    enum bt_where where = WHERE_BORDER;
    uint64_t best = 0;

    for (unsigned i = 0; i < sizeof(stub) / sizeof(stub[0]); i++) {
        uint64_t start = (uint64_t)stub[i].start;
        if (start <= pc && start > best) {
            best = start;
            where = stub[i].where;
        }
    }
    return where;
}

static enum bt_where interrupted(const struct engine_vcpu *v, uint64_t pc, uint64_t sp)
{
    const struct bt_ctx *c = v->ctx;

    if (v->where != WHERE_GUEST)
        return (enum bt_where)v->where;
    if (pc - (uint64_t)v->en->code_rx < v->en->code_size)
        return c->mode_key & MODE_USER ? WHERE_USER : WHERE_KERNEL;
    if (sp - (uint64_t)v->altstack < BT_ALTSTACK)
        return WHERE_FAULT;
    if (in_stubs(pc))
        return WHERE_BORDER;
    if (c->outside)
        return WHERE_DEVICE;
    uint64_t back = *(const uint64_t *)(c->host_rsp - 8);
    return in_stubs(back) ? stub_at(back) : WHERE_BORDER;
}

static uint64_t clock_ns(long id)
{
    struct timespec ts;
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"((long)SYS_clock_gettime), "D"(id), "S"(&ts)
                     : "rcx", "r11", "memory");
    return r == 0 ? (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec : 0;
}

static void on_sample(int sig, siginfo_t *info, void *ucv)
{
    const greg_t *g = ((ucontext_t *)ucv)->uc_mcontext.gregs;
    struct engine_vcpu *v = info->si_value.sival_ptr;

    (void)sig;
    if (info->si_code != SI_TIMER || v == NULL)
        return;
    uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID), spent = now - v->sampled_ns;
    enum bt_where where = interrupted(v, (uint64_t)g[REG_RIP], (uint64_t)g[REG_RSP]);
    v->sampled_ns = now;
    v->en->stat.time[where] += spent;
    if (where == WHERE_HELPER)
        v->en->stat.helper_time[v->ctx->arg & 0xff] += spent;
}

/* What cannot be had is not reported: the machine runs without samples. */
void bt_sample_bind(struct engine_vcpu *v)
{
    struct sigaction sa = {.sa_sigaction = on_sample,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    sigset_t set;

    bt_sample_unbind(v);
    ev.sigev_value.sival_ptr = v;
    ev._sigev_un._tid = (int)syscall(SYS_gettid);
    sigfillset(&sa.sa_mask);
    if (sigaction(SIGPROF, &sa, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &ev, &v->sample_timer) < 0)
        return;
    v->sampling = true;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void bt_sample_unbind(struct engine_vcpu *v)
{
    if (v->sampling)
        timer_delete(v->sample_timer);
    v->sampling = false;
}

/* The period goes on from where it would be, so that short runs have their chance to be met. */
void bt_sample_run(struct engine_vcpu *v, bool on)
{
    struct itimerspec t = {0};

    if (!v->sampling)
        return;
    if (on) {
        uint64_t first = (clock_ns(CLOCK_MONOTONIC) / PERIOD_NS + 1) * PERIOD_NS;
        t.it_interval.tv_nsec = PERIOD_NS;
        t.it_value = (struct timespec){(time_t)(first / 1000000000u), (long)(first % 1000000000u)};
        v->sampled_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    }
    timer_settime(v->sample_timer, TIMER_ABSTIME, &t, NULL);
}
