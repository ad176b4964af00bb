/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's performance counters count.
 *
 * Instructions and branches: translations of modes with MODE_COUNT take them from ctx->pmu_left
 * (xcount.c), which begins at what is missing until a counter interrupts and kicks when it becomes
 * negative. Cycles: the CPU time of the vCPU's thread and its cells within `run`, in ticks of the
 * TSC; where an overflow of them interrupts, a timer of the host's kicks.
 *
 * From time to time (`bt_pmu_look`) what was counted goes to the registers of x86/pmu.c: when they
 * are read or written, after a kick, and when the CPL changes while some counter counts at one
 * only.
 */
#include "pmu.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE_EVENTS (1u << X86_PMU_INSNS | 1u << X86_PMU_BRANCHES)
#define FAR_AWAY (INT64_MAX / 2) /* of ctx->pmu_left: no counter interrupts */
#define MIN_ALARM_NS 20000       /* a guest must not keep the host busy */

static uint64_t cycles_now(const struct engine_vcpu *v)
{
    struct timespec t = {0};
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"((long)SYS_clock_gettime), "D"((long)CLOCK_THREAD_CPUTIME_ID), "S"(&t)
                     : "rcx", "r11", "memory");
    uint64_t ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + v->cell_ns,
             khz = v->en->tsc_khz;
    return r < 0 ? 0 : ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
}

/* ---- the alarm for cycles -------------------------------------------------------------------- */

static void on_alarm(int sig, siginfo_t *info, void *ucv)
{
    (void)sig;
    (void)ucv;
    if (info->si_code == SI_TIMER && info->si_value.sival_ptr != NULL)
        bt_kick_now(info->si_value.sival_ptr);
}

/* Without a timer the next kick has to do. */
static void alarm_create(struct bt_ctx *c)
{
    struct sigaction sa = {.sa_sigaction = on_alarm,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    sigset_t set;

    ev.sigev_value.sival_ptr = c;
    ev._sigev_un._tid = (int)syscall(SYS_gettid);
    sigfillset(&sa.sa_mask);
    if (sigaction(SIGVTALRM, &sa, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &ev, &c->v->pmu.alarm) < 0)
        return;
    c->v->pmu.has_alarm = true;
    c->v->pmu.thread = ev._sigev_un._tid;
    sigemptyset(&set);
    sigaddset(&set, SIGVTALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void bt_pmu_destroy(struct engine_vcpu *v)
{
    if (v->pmu.has_alarm)
        timer_delete(v->pmu.alarm);
    v->pmu.has_alarm = false;
}

static void alarm_set(struct bt_ctx *c, uint64_t ns)
{
    struct itimerspec t = {.it_value = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)}};
    struct engine_vcpu *v = c->v;

    bt_vector_out();
    if (ns != 0 && v->pmu.has_alarm && v->pmu.thread != (int)syscall(SYS_gettid))
        bt_pmu_destroy(v);
    if (ns != 0 && !v->pmu.has_alarm)
        alarm_create(c);
    if (v->pmu.has_alarm)
        timer_settime(v->pmu.alarm, 0, &t, NULL);
    bt_vector_in();
}

/* One that comes too early does no harm: so one that is set stays. */
static void alarm_within(struct bt_ctx *c, uint64_t cycles)
{
    struct engine_vcpu *v = c->v;
    uint64_t now = bt_tsc(), khz = v->en->tsc_khz, ns;

    if (cycles == UINT64_MAX || (v->pmu.alarm_tsc > now && v->pmu.alarm_tsc - now <= cycles))
        return;
    ns = cycles / khz * 1000000 + cycles % khz * 1000000 / khz;
    ns = ns < MIN_ALARM_NS ? MIN_ALARM_NS : ns;
    v->pmu.alarm_tsc = now + ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
    alarm_set(c, ns);
}

/* ---- counting -------------------------------------------------------------------------------- */

static int64_t left_until(const struct x86_pmu *p, bool user, enum x86_pmu_event e)
{
    uint64_t due = x86_pmu_due(p, user, e);

    return due > FAR_AWAY ? FAR_AWAY : (int64_t)due - 1;
}

static void begin(struct bt_ctx *c)
{
    struct engine_vcpu *v = c->v;
    const struct x86_pmu *p = &v->cpu.pmu;
    bool user = c->cpl != 0;
    unsigned events = x86_pmu_counted(p, user);

    v->pmu.user = user;
    v->pmu.code = (events & CODE_EVENTS) != 0;
    v->pmu.left[0] = c->pmu_left[0] = left_until(p, user, X86_PMU_INSNS);
    v->pmu.left[1] = c->pmu_left[1] = left_until(p, user, X86_PMU_BRANCHES);
    v->pmu.cycles = events >> X86_PMU_CYCLES & 1;
    if (!v->pmu.cycles)
        return;
    v->pmu.cycles_at = cycles_now(v);
    alarm_within(c, x86_pmu_due(p, user, X86_PMU_CYCLES));
}

static void end(struct bt_ctx *c)
{
    struct engine_vcpu *v = c->v;
    const struct engine_host *h = v->en->host;
    uint64_t done[X86_PMU_EVENTS] = {
        [X86_PMU_CYCLES] = v->pmu.cycles ? cycles_now(v) - v->pmu.cycles_at : 0,
        [X86_PMU_INSNS] = (uint64_t)(v->pmu.left[0] - c->pmu_left[0]),
        [X86_PMU_BRANCHES] = (uint64_t)(v->pmu.left[1] - c->pmu_left[1]),
    };
    unsigned interrupts = x86_pmu_add(&v->cpu.pmu, v->pmu.user, done);

    v->pmu.left[0] = c->pmu_left[0];
    v->pmu.left[1] = c->pmu_left[1];
    v->pmu.cycles = false;
    if (interrupts == 0 || h->perf_interrupt == NULL)
        return;
    bt_vector_out();
    h->perf_interrupt(h->opaque, v->index);
    bt_vector_in();
}

void bt_pmu_look(struct bt_ctx *c)
{
    end(c);
    begin(c);
}

void bt_pmu_begin(struct bt_ctx *c)
{
    begin(c);
}

void bt_pmu_end(struct bt_ctx *c)
{
    end(c);
    if (c->v->pmu.alarm_tsc > bt_tsc())
        alarm_set(c, 0);
    c->v->pmu.alarm_tsc = 0;
}

void bt_pmu_load(struct bt_ctx *c)
{
    struct engine_vcpu *v = c->v;
    const struct x86_pmu *p = &v->cpu.pmu;

    v->pmu.on = (x86_pmu_counted(p, false) | x86_pmu_counted(p, true)) != 0;
    v->pmu.differs = x86_pmu_differs(p);
    begin(c);
}

/* ---- registers ------------------------------------------------------------------------------- */

bool bt_pmu_read(struct bt_ctx *c, uint32_t msr, uint64_t *v)
{
    const struct translator *en = c->v->en;
    struct x86_pmu_msr r;

    if (!en->amd || !x86_pmu_msr(msr, en->perfctr_core, &r))
        return false;
    bt_pmu_kicked(c->v);
    *v = x86_pmu_read(&c->v->cpu.pmu, r);
    return true;
}

bool bt_pmu_write(struct bt_ctx *c, uint32_t msr, uint64_t v)
{
    const struct translator *en = c->v->en;
    struct x86_pmu_msr r;

    if (!en->amd || !x86_pmu_msr(msr, en->perfctr_core, &r))
        return false;
    if (c->v->pmu.on)
        end(c);
    x86_pmu_write(&c->v->cpu.pmu, r, v);
    bt_pmu_load(c);
    bt_mode_update(c);
    return true;
}

bool bt_pmu_rdpmc(struct bt_ctx *c, uint32_t n, uint64_t *v)
{
    const struct translator *en = c->v->en;

    if (!en->amd || n >= (en->perfctr_core ? X86_PMU_COUNTERS : X86_PMU_LEGACY))
        return false;
    bt_pmu_kicked(c->v);
    *v = c->v->cpu.pmu.count[n];
    return true;
}
