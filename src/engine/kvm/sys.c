/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host: see sys.h. */
#include "sys.h"

#include <cpuid.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int host_open(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC);
}

static int host_ioctl(int fd, unsigned long request, uintptr_t value)
{
    return ioctl(fd, request, value);
}

static void *host_map(int fd, size_t len)
{
    return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* CPUID.1:ECX.VMX, CPUID.80000001:ECX.SVM */
static bool host_extensions(void)
{
    uint32_t a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5))
        return true;
    return __get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & 1u << 2);
}

const struct kvm_sys kvm_sys_host = {.open = host_open,
                                     .ioctl = host_ioctl,
                                     .map = host_map,
                                     .close = close,
                                     .extensions = host_extensions};
