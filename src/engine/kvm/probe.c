/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can this host's KVM run machines, and does it have the processor's virtualization behind it?
 *
 * A device file says neither. There are KVMs that run guests without VMX or SVM, by shadowing and
 * emulation: they answer every question as the real one does, but a privileged instruction takes
 * them microseconds, and some instructions fail. So a guest of five instructions runs for a
 * millisecond at most, and its time is compared with that of a loop of the same length outside.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sys.h"

#define PATH "/dev/kvm"

/* The times that a privileged loop may take of an ordinary one, and the least time for one round
 * that counts as slow. Real: 2 to 30; on an emulator that emulates SVM: 50 to 600; software: 5,000
 * and more. */
#define SLOW_RATIO 2000
#define SLOW_NS 400

enum { ITERATIONS = 300, TRIES = 5, CODE = 0x1000, STACK = 0x800, MEMORY = 0x2000 };

/* What the engine cannot do without, and since which Linux it is there. */
static const struct {
    int cap;
    const char *name, *since;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "2.6"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "2.6"},
    {KVM_CAP_USER_NMI, "KVM_CAP_USER_NMI", "2.6"},
    {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "2.6"},
    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "2.6"},
    {KVM_CAP_XCRS, "KVM_CAP_XCRS", "2.6"},
    {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", "3.7"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.12"},
    {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR", "5.10"},
    {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER", "5.10"},
};

/* --- opening --- */

static int open_failed(const struct kvm_sys *sys, int error, struct err *e)
{
    if (error == ENOENT && !sys->extensions())
        return err_set(e, error,
                       "there is no " PATH ": the processor offers no virtualization extensions "
                       "here; switch them on in the firmware, or nested virtualization in the host "
                       "of this machine");
    if (error == ENOENT)
        return err_set(e, error,
                       "there is no " PATH ", though the processor has virtualization extensions; "
                       "load the module kvm_intel or kvm_amd, or pass the device into this "
                       "container");
    if (error == EACCES || error == EPERM)
        return err_set(
            e, error, PATH " is not for this user; add the user to the group kvm and log in again");
    if (error == EBUSY)
        return err_set(e, error,
                       PATH " is busy: another hypervisor uses the processor's virtualization; end "
                            "it");
    if (error == ENODEV || error == ENXIO)
        return err_set(e, error,
                       PATH " is there, but no module answers; load kvm_intel or kvm_amd");
    return err_set(e, error, "cannot open " PATH ": %s", strerror(error));
}

static int check_version(const struct kvm_sys *sys, int fd, struct kvm_facts *f, struct err *e)
{
    f->version = sys->ioctl(fd, KVM_GET_API_VERSION, 0);
    if (f->version < 0)
        return err_set(e, errno, PATH " does not answer as KVM does: %s", strerror(errno));
    if (f->version != KVM_API_VERSION)
        return err_set(e, ENOTSUP,
                       PATH " answers with API version %d, not %d; use a kernel from Linux 5.10 on",
                       f->version, KVM_API_VERSION);
    return 0;
}

static int check_capabilities(const struct kvm_sys *sys, int fd, struct err *e)
{
    for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (sys->ioctl(fd, KVM_CHECK_EXTENSION, (uintptr_t)needed[i].cap) <= 0)
            return err_set(
                e, ENOTSUP,
                "this kernel's KVM lacks %s, which came with Linux %s; use a newer kernel",
                needed[i].name, needed[i].since);
    return 0;
}

/* --- the timed guest --- */

struct trial {
    const struct kvm_sys *sys;
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* EBUSY: VT is in other hands, which shows only when the first machine is made. */
static int trial_failed(const char *what, struct err *e)
{
    int error = errno;

    if (error == EBUSY)
        return open_failed(&kvm_sys_host, EBUSY, e);
    return err_set(e, error, PATH " is there, but %s fails: %s", what, strerror(error));
}

static int trial_create(struct trial *t, struct err *e)
{
    struct kvm_userspace_memory_region region = {.memory_size = MEMORY};
    int size;

    t->vm = t->sys->ioctl(t->kvm, KVM_CREATE_VM, 0);
    if (t->vm < 0)
        return trial_failed("creating a machine", e);
    t->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->memory == MAP_FAILED) {
        t->memory = NULL;
        return err_set(e, ENOMEM, "out of memory");
    }
    region.userspace_addr = (uint64_t)(uintptr_t)t->memory;
    if (t->sys->ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region) < 0)
        return trial_failed("giving a machine memory", e);
    t->vcpu = t->sys->ioctl(t->vm, KVM_CREATE_VCPU, 0);
    size = t->sys->ioctl(t->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (t->vcpu < 0 || size < (int)sizeof(struct kvm_run))
        return trial_failed("creating a virtual CPU", e);
    t->run_size = (size_t)size;
    t->run = t->sys->map(t->vcpu, t->run_size);
    if (t->run != MAP_FAILED)
        return 0;
    t->run = NULL;
    return trial_failed("mapping a virtual CPU", e);
}

static void trial_destroy(struct trial *t)
{
    if (t->run != NULL)
        munmap(t->run, t->run_size);
    if (t->memory != NULL)
        munmap(t->memory, MEMORY);
    if (t->vcpu >= 0)
        t->sys->close(t->vcpu);
    if (t->vm >= 0)
        t->sys->close(t->vm);
}

/* 32-bit flat mode without paging, where every KVM has to show what it can do. */
static int trial_start(struct trial *t, struct err *e)
{
    /* mov ecx, n; 1: sti; cli; pushf; popf; dec ecx; jnz 1b; hlt */
    static const uint8_t code[] = {0xb9, 0,    0,    0,    0,    0xfb, 0xfa,
                                   0x9c, 0x9d, 0x49, 0x75, 0xf9, 0xf4};
    const struct kvm_segment cs = {
        .limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
    const uint32_t n = ITERATIONS;
    struct kvm_regs regs = {.rip = CODE, .rsp = STACK, .rflags = 2};
    struct kvm_segment ds = cs;
    struct kvm_sregs s;

    memcpy(t->memory + CODE, code, sizeof(code));
    memcpy(t->memory + CODE + 1, &n, sizeof(n));
    if (t->sys->ioctl(t->vcpu, KVM_GET_SREGS, (uintptr_t)&s) < 0)
        return trial_failed("reading a virtual CPU", e);
    ds.type = 3;
    ds.selector = 16;
    s.cs = cs;
    s.ds = s.es = s.fs = s.gs = s.ss = ds;
    s.cr0 = 0x11;
    if (t->sys->ioctl(t->vcpu, KVM_SET_SREGS, (uintptr_t)&s) < 0 ||
        t->sys->ioctl(t->vcpu, KVM_SET_REGS, (uintptr_t)&regs) < 0)
        return trial_failed("setting a virtual CPU", e);
    return 0;
}

static int trial_run(struct trial *t, uint64_t *ns, struct err *e)
{
    int rc = trial_start(t, e), done;
    uint64_t start;

    if (rc < 0)
        return rc;
    start = now_ns();
    do {
        done = t->sys->ioctl(t->vcpu, KVM_RUN, 0);
    } while (done < 0 && (errno == EINTR || errno == EAGAIN));
    *ns = now_ns() - start;
    if (done < 0)
        return trial_failed("running a virtual CPU", e);
    if (t->run->exit_reason == KVM_EXIT_HLT)
        return 0;
    return err_set(e, EIO,
                   PATH " is there, but its KVM fails at five plain instructions (exit %u); is it "
                        "one without the processor's virtualization?",
                   t->run->exit_reason);
}

/* As many rounds on the processor itself. */
static uint64_t plain_loop(void)
{
    uint64_t start = now_ns();
    uint32_t n = ITERATIONS;

    __asm__ volatile("1: nop; nop; nop; nop; dec %0; jnz 1b" : "+r"(n) : : "cc");
    return now_ns() - start;
}

static bool is_slow(uint64_t guest, uint64_t plain)
{
    return guest / ITERATIONS >= SLOW_NS && guest / (plain > 0 ? plain : 1) >= SLOW_RATIO;
}

static int trial_measure(struct trial *t, struct kvm_facts *f, struct err *e)
{
    uint64_t best = UINT64_MAX, plain = UINT64_MAX, ns;

    /* The best of a few, as a busy host disturbs; one good time is enough. */
    for (unsigned i = 0; i < TRIES && (i == 0 || is_slow(best, plain)); i++) {
        int rc = trial_run(t, &ns, e);

        if (rc < 0)
            return rc;
        best = ns < best ? ns : best;
        ns = plain_loop();
        plain = ns < plain ? ns : plain;
    }
    f->guest_ns = best;
    f->loop_ns = plain > 0 ? plain : 1;
    f->iterations = ITERATIONS;
    if (!is_slow(best, plain))
        return 0;
    return err_set(e, ENOTSUP,
                   PATH " is a KVM in software: a privileged loop takes %llu times as long as an "
                        "ordinary one, so the processor's virtualization is not behind it; "
                        "switch on nested virtualization in the host of this machine",
                   (unsigned long long)(best / f->loop_ns));
}

static int timed_guest(const struct kvm_sys *sys, int fd, struct kvm_facts *f, struct err *e)
{
    struct trial t = {.sys = sys, .kvm = fd, .vm = -1, .vcpu = -1};
    int rc = trial_create(&t, e);

    if (rc == 0)
        rc = trial_measure(&t, f, e);
    trial_destroy(&t);
    return rc;
}

int kvm_probe_on(const struct kvm_sys *sys, struct kvm_facts *f, struct err *e)
{
    int fd = sys->open(PATH), rc;

    *f = (struct kvm_facts){.opened = fd >= 0, .version = -1};
    if (fd < 0)
        return open_failed(sys, errno, e);
    rc = check_version(sys, fd, f, e);
    if (rc == 0)
        rc = check_capabilities(sys, fd, e);
    if (rc == 0)
        rc = timed_guest(sys, fd, f, e);
    sys->close(fd);
    return rc;
}
