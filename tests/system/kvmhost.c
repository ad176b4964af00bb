/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into a program: a host whose /dev/kvm is as $KVM_HOST says.
 *
 *   missing, denied, busy, deaf   opening it, or making a machine, fails like that
 *   old, lacking                  its version is an early one; it has no immediate exits
 *   software, broken              its guest takes 30 ms; its guest ends with an error
 *   gone:N                        a good one, which can be opened N times
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { VCPU_SIZE = 12288, MOST = 16 };

/* The device's and those that came from it. Each belongs to a file that can be mapped. */
static int ours[MOST];
static unsigned count, opens;
static struct kvm_run *run;

static int is(const char *kind)
{
    const char *host = getenv("KVM_HOST");

    return host != NULL && strcmp(host, kind) == 0;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int hand_out(void)
{
    int fd = memfd_create("kvmhost", MFD_CLOEXEC);

    if (fd < 0 || count == MOST || ftruncate(fd, VCPU_SIZE) < 0)
        return refuse(ENFILE);
    ours[count++] = fd;
    return fd;
}

static int open_kvm(void)
{
    const char *host = getenv("KVM_HOST");

    opens++;
    if (is("missing"))
        return refuse(ENOENT);
    if (is("denied"))
        return refuse(EACCES);
    if (is("deaf"))
        return refuse(ENODEV);
    if (host != NULL && strncmp(host, "gone:", 5) == 0 && opens > (unsigned)atoi(host + 5))
        return refuse(ENOENT);
    return hand_out();
}

static int run_guest(void)
{
    const struct timespec slow = {.tv_nsec = 30000000};

    if (is("software"))
        nanosleep(&slow, NULL);
    run->exit_reason = is("broken") ? KVM_EXIT_INTERNAL_ERROR : KVM_EXIT_HLT;
    return 0;
}

static int create_vcpu(void)
{
    int fd = hand_out();

    if (fd >= 0)
        run = mmap(NULL, VCPU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return run == MAP_FAILED ? -1 : fd;
}

static int answer(unsigned long request, void *argument)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return is("old") ? 11 : KVM_API_VERSION;
    case KVM_CHECK_EXTENSION:
        return !is("lacking") || (uintptr_t)argument != KVM_CAP_IMMEDIATE_EXIT;
    case KVM_CREATE_VM:
        return is("busy") ? refuse(EBUSY) : hand_out();
    case KVM_CREATE_VCPU:
        return create_vcpu();
    case KVM_GET_VCPU_MMAP_SIZE:
        return VCPU_SIZE;
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 0;
        return 0;
    case KVM_RUN:
        return run_guest();
    }
    return 0;
}

/* What `open` is called in programs whose files may be large. */
int open64(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list list;
    mode_t mode;

    if (strcmp(path, "/dev/kvm") == 0)
        return open_kvm();
    if (real == NULL)
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_start(list, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    return real(path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list list;
    void *argument;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    for (unsigned i = 0; i < count; i++)
        if (ours[i] == fd)
            return answer(request, argument);
    if (real == NULL)
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}

int close(int fd)
{
    static int (*real)(int);

    for (unsigned i = 0; i < count; i++)
        if (ours[i] == fd)
            ours[i] = -1;
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    return real(fd);
}
