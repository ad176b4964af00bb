/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The run loop: see kvm_internal.h for kicks and interrupts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm_internal.h"

/* The signal interrupts KVM_RUN and nothing else: its handler does nothing. */
static int kick_signal(void)
{
    return SIGRTMIN + 1;
}

static void on_kick(int sig)
{
    (void)sig;
}

int kvm_kick_setup(void)
{
    struct sigaction sa = {.sa_handler = on_kick};

    return sigaction(kick_signal(), &sa, NULL) < 0 ? -errno : 0;
}

void kvm_kick(struct engine_vcpu *v, bool stop)
{
    pid_t tid;

    if (stop)
        atomic_store(&v->stop, true);
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (!atomic_load(&v->inside))
        return;
    tid = atomic_load(&v->tid);
    if (tid != (pid_t)syscall(SYS_gettid))
        syscall(SYS_tgkill, getpid(), tid, kick_signal());
}

static bool give_up(struct engine_vcpu *v, enum engine_exit *why, const char *what)
{
    snprintf(v->error, sizeof(v->error), "%s", what);
    *why = ENGINE_EXIT_ERROR;
    return false;
}

/* --- exits: false when `run` has to return --- */

static void exit_io(struct engine_vcpu *v)
{
    const struct engine_host *h = v->host;
    struct kvm_run *r = v->run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;
    unsigned size = r->io.size;

    v->stat.io++;
    for (uint32_t i = 0; i < r->io.count; i++, data += size) {
        uint32_t value = 0;

        if (r->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, size);
            h->port_write(h->opaque, v->index, r->io.port, value, size);
        } else {
            value = h->port_read(h->opaque, v->index, r->io.port, size);
            memcpy(data, &value, size);
        }
    }
}

/* An access over the end of a page comes in parts of any length; devices see powers of two. */
static void exit_mmio(struct engine_vcpu *v)
{
    const struct engine_host *h = v->host;
    struct kvm_run *r = v->run;
    unsigned size;

    v->stat.mmio++;
    for (unsigned at = 0; at < r->mmio.len; at += size) {
        gpa_t gpa = r->mmio.phys_addr + at;
        uint64_t value = 0;

        for (size = 8; size > r->mmio.len - at;)
            size /= 2;
        if (r->mmio.is_write) {
            memcpy(&value, r->mmio.data + at, size);
            h->mmio_write(h->opaque, v->index, gpa, value, size);
        } else {
            value = h->mmio_read(h->opaque, v->index, gpa, size);
            memcpy(r->mmio.data + at, &value, size);
        }
    }
}

static void exit_msr(struct engine_vcpu *v)
{
    struct kvm_run *r = v->run;
    uint64_t value = 0;

    v->stat.msr++;
    if (r->exit_reason == KVM_EXIT_X86_WRMSR) {
        r->msr.error = !kvm_msr_write(v, r->msr.index, r->msr.data);
    } else {
        r->msr.error = !kvm_msr_read(v, r->msr.index, &value);
        r->msr.data = value;
    }
}

static bool exit_internal(struct engine_vcpu *v, enum engine_exit *why)
{
    struct kvm_run *r = v->run;
    struct kvm_regs regs = {0};

    (void)ioctl(v->fd, KVM_GET_REGS, &regs);
    snprintf(v->error, sizeof(v->error), "KVM cannot go on at %#llx: internal error %u%s",
             (unsigned long long)regs.rip, r->internal.suberror,
             r->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                 ? ", an instruction that it does not emulate"
                 : "");
    *why = ENGINE_EXIT_ERROR;
    return false;
}

static bool exit_entry(struct engine_vcpu *v, enum engine_exit *why)
{
    snprintf(v->error, sizeof(v->error), "the processor refuses to enter the guest, reason %#llx",
             (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
    *why = ENGINE_EXIT_ERROR;
    return false;
}

static bool handle(struct engine_vcpu *v, enum engine_exit *why)
{
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
        exit_io(v);
        v->incomplete = true;
        return true;
    case KVM_EXIT_MMIO:
        exit_mmio(v);
        v->incomplete = true;
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        exit_msr(v);
        v->incomplete = true;
        return true;
    case KVM_EXIT_HLT:
        v->stat.halt++;
        v->mp = X86_MP_HALTED;
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        v->stat.window++;
        return true;
    case KVM_EXIT_SET_TPR:
        v->stat.tpr++;
        return true;
    case KVM_EXIT_INTR:
        v->stat.intr++;
        return true;
    case KVM_EXIT_SHUTDOWN:
        *why = ENGINE_EXIT_SHUTDOWN;
        return false;
    case KVM_EXIT_DEBUG:
        kvm_debug_exit(v);
        *why = ENGINE_EXIT_DEBUG;
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        return exit_internal(v, why);
    case KVM_EXIT_FAIL_ENTRY:
        return exit_entry(v, why);
    }
    snprintf(v->error, sizeof(v->error), "KVM ends with an exit that is unknown here, %u",
             v->run->exit_reason);
    *why = ENGINE_EXIT_ERROR;
    return false;
}

/* KVM_RUN and its exit. */
static bool enter(struct engine_vcpu *v, enum engine_exit *why)
{
    const struct engine_host *h = v->host;
    struct kvm_run *r = v->run;
    unsigned cr8 = h->cr8_read(h->opaque, v->index);
    int rc, error;

    r->cr8 = cr8;
    rc = ioctl(v->fd, KVM_RUN, 0);
    error = errno;
    v->stat.exits++;
    v->incomplete = v->fresh = false;
    v->ready = r->ready_for_interrupt_injection && r->if_flag;
    if (r->cr8 != cr8)
        h->cr8_write(h->opaque, v->index, (unsigned)r->cr8);
    if (rc == 0)
        return handle(v, why);
    v->stat.intr++;
    if (error == EINTR || error == EAGAIN)
        return true;
    return give_up(v, why, strerror(error));
}

/* Lets KVM finish the instruction whose access was served, without beginning another. The kick that
 * may hide behind immediate_exit is looked for afterwards. */
static bool settle(struct engine_vcpu *v, enum engine_exit *why)
{
    while (v->incomplete) {
        v->stat.settle++;
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (!enter(v, why))
            return false;
    }
    return true;
}

/* --- what waits for the vCPU --- */

static bool change(struct engine_vcpu *v, enum engine_exit *why)
{
    struct err e;

    if (kvm_set_state(v, &v->scratch, &e) == 0)
        return true;
    return give_up(v, why, e.text);
}

/* INIT and start-up messages. */
static bool start_up(struct engine_vcpu *v, enum engine_exit *why)
{
    const struct engine_host *h = v->host;
    int vector;

    if (h->init_take(h->opaque, v->index)) {
        if (!settle(v, why))
            return false;
        kvm_get_state(v, &v->scratch);
        x86_cpu_init(&v->scratch);
        if (!change(v, why))
            return false;
    }
    if (v->mp != X86_MP_INIT)
        return true;
    vector = h->sipi_take(h->opaque, v->index);
    if (vector < 0) {
        *why = ENGINE_EXIT_HALT;
        return false;
    }
    kvm_get_state(v, &v->scratch);
    x86_cpu_sipi(&v->scratch, (uint8_t)vector);
    return change(v, why);
}

static bool inject_nmi(struct engine_vcpu *v, enum engine_exit *why)
{
    const struct engine_host *h = v->host;

    while (h->nmi_take(h->opaque, v->index)) { /* the kernel holds what cannot be taken yet */
        v->stat.nmi++;
        v->mp = X86_MP_RUNNABLE;
        if (ioctl(v->fd, KVM_NMI) < 0)
            return give_up(v, why, "KVM takes no NMI");
    }
    return true;
}

static bool inject_interrupt(struct engine_vcpu *v, enum engine_exit *why)
{
    const struct engine_host *h = v->host;
    struct kvm_interrupt irq;
    int vector;

    v->run->request_interrupt_window = 0;
    if (!h->interrupt_pending(h->opaque, v->index))
        return true;
    if (v->ready) {
        vector = h->interrupt_take(h->opaque, v->index);
        if (vector >= 0) {
            irq.irq = (uint32_t)vector;
            v->stat.irq++;
            v->ready = false;
            v->mp = X86_MP_RUNNABLE;
            if (ioctl(v->fd, KVM_INTERRUPT, &irq) < 0)
                return give_up(v, why, "KVM takes no interrupt");
        }
    }
    v->run->request_interrupt_window = h->interrupt_pending(h->opaque, v->index);
    return true;
}

/* All that has to be seen before the guest goes on. */
static bool prepare(struct engine_vcpu *v, enum engine_exit *why)
{
    const struct engine_host *h = v->host;

    for (;;) {
        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (atomic_exchange(&v->stop, false)) {
            *why = ENGINE_EXIT_KICKED;
            return false;
        }
        if (!start_up(v, why))
            return false;
        /* An interrupt comes between instructions; none that is incomplete changes IF. */
        if (!v->incomplete || (!v->fresh && !v->run->if_flag) ||
            !h->interrupt_pending(h->opaque, v->index))
            break;
        if (!settle(v, why))
            return false;
    }
    /* A step is the guest's own: what comes from outside waits, but for the end of HLT. */
    if (v->step && v->mp != X86_MP_HALTED)
        v->run->request_interrupt_window = 0;
    else if (!inject_nmi(v, why) || !inject_interrupt(v, why))
        return false;
    if (kvm_debug_load(v) < 0)
        return give_up(v, why, "KVM takes no debug registers");
    if (v->mp == X86_MP_RUNNABLE)
        return true;
    *why = ENGINE_EXIT_HALT;
    return false;
}

/* A thread that comes for the first time may have the signal blocked, by whoever made it. */
static void take_thread(struct engine_vcpu *v)
{
    pid_t tid = (pid_t)syscall(SYS_gettid);
    sigset_t kick;

    if (tid == atomic_load(&v->tid))
        return;
    sigemptyset(&kick);
    sigaddset(&kick, kick_signal());
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    atomic_store(&v->tid, tid);
}

enum engine_exit kvm_run(struct engine_vcpu *v)
{
    enum engine_exit why = ENGINE_EXIT_KICKED;

    take_thread(v);
    atomic_store(&v->inside, true);
    while (prepare(v, &why) && enter(v, &why))
        ;
    if (why == ENGINE_EXIT_KICKED || why == ENGINE_EXIT_HALT || why == ENGINE_EXIT_DEBUG)
        (void)settle(v, &why);
    atomic_store(&v->inside, false);
    return why;
}
