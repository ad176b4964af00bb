/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts of every kind, as the kvm engine's probe and its creation find them. */
#include "test.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/sys.h"

/* Descriptors that the fake host hands out. */
enum { FD_KVM = 1000, FD_VM, FD_VCPU };
enum { VCPU_SIZE = 12288 };

/* The host of the running test; each test sets what is unlike a good one. */
static struct {
    int open_error, vm_error, version, lacking, exit_reason;
    unsigned opens_until_gone; /* 0: it stays */
    uint64_t guest_ns;
    bool extensions;
    unsigned opens, closes;
    struct kvm_run *run;
} host;

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int fake_open(const char *path)
{
    assert_string_equal(path, "/dev/kvm");
    host.opens++;
    if (host.opens_until_gone != 0 && host.opens > host.opens_until_gone)
        return refuse(ENOENT);
    return host.open_error != 0 ? refuse(host.open_error) : FD_KVM;
}

static int fake_close(int fd)
{
    assert_in_range(fd, FD_KVM, FD_VCPU);
    host.closes++;
    return 0;
}

static int run_guest(void)
{
    struct timespec ts = {.tv_nsec = (long)host.guest_ns};

    if (host.guest_ns != 0)
        nanosleep(&ts, NULL);
    host.run->exit_reason = (uint32_t)host.exit_reason;
    return 0;
}

static int fake_ioctl(int fd, unsigned long request, uintptr_t value)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return host.version;
    case KVM_CHECK_EXTENSION:
        return (int)value != host.lacking;
    case KVM_CREATE_VM:
        return host.vm_error != 0 ? refuse(host.vm_error) : FD_VM;
    case KVM_CREATE_VCPU:
        assert_int_equal(fd, FD_VM);
        return FD_VCPU;
    case KVM_GET_VCPU_MMAP_SIZE:
        return VCPU_SIZE;
    case KVM_RUN:
        assert_int_equal(fd, FD_VCPU);
        return run_guest();
    }
    return 0;
}

static void *fake_map(int fd, size_t len)
{
    assert_int_equal(fd, FD_VCPU);
    host.run = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return host.run;
}

static bool fake_extensions(void)
{
    return host.extensions;
}

static const struct kvm_sys sys = {.open = fake_open,
                                   .ioctl = fake_ioctl,
                                   .map = fake_map,
                                   .close = fake_close,
                                   .extensions = fake_extensions};

static int good_host(void **state)
{
    (void)state;
    memset(&host, 0, sizeof(host));
    host.version = KVM_API_VERSION;
    host.lacking = -1;
    host.exit_reason = KVM_EXIT_HLT;
    host.extensions = true;
    return 0;
}

static void probe_fails(int error, const char *first, const char *second)
{
    struct kvm_facts facts;
    struct err e = {0};

    assert_int_equal(kvm_probe_on(&sys, &facts, &e), -error);
    if (strstr(e.text, first) == NULL || strstr(e.text, second) == NULL)
        fail_msg("not '%s' and '%s': %s", first, second, e.text);
    assert_false(e.usage);
    assert_true(host.closes >= facts.opened); /* nothing stays open */
}

static void test_good(void **state)
{
    struct kvm_facts facts;
    struct err e = {0};

    (void)state;
    assert_int_equal(kvm_probe_on(&sys, &facts, &e), 0);
    assert_true(facts.opened);
    assert_int_equal(facts.version, KVM_API_VERSION);
    assert_int_not_equal(facts.iterations, 0);
    assert_int_equal(host.closes, 3);
}

static void test_missing(void **state)
{
    (void)state;
    host.open_error = ENOENT;
    probe_fails(ENOENT, "no /dev/kvm", "load the module");
    host.extensions = false;
    probe_fails(ENOENT, "no virtualization extensions", "nested virtualization");
}

static void test_not_permitted(void **state)
{
    (void)state;
    host.open_error = EACCES;
    probe_fails(EACCES, "not for this user", "group kvm");
    host.open_error = EPERM;
    probe_fails(EPERM, "not for this user", "group kvm");
}

static void test_busy(void **state)
{
    (void)state;
    host.open_error = EBUSY;
    probe_fails(EBUSY, "busy", "another hypervisor");
    host.open_error = 0;
    host.vm_error = EBUSY; /* shows only when a machine is made */
    probe_fails(EBUSY, "busy", "another hypervisor");
}

static void test_no_module(void **state)
{
    (void)state;
    host.open_error = ENODEV;
    probe_fails(ENODEV, "no module answers", "load");
}

static void test_too_old(void **state)
{
    (void)state;
    host.version = 11;
    probe_fails(ENOTSUP, "API version 11", "5.10");
}

static void test_lacks_capability(void **state)
{
    (void)state;
    host.lacking = KVM_CAP_X86_MSR_FILTER;
    probe_fails(ENOTSUP, "KVM_CAP_X86_MSR_FILTER", "newer kernel");
    host.lacking = KVM_CAP_IMMEDIATE_EXIT;
    probe_fails(ENOTSUP, "KVM_CAP_IMMEDIATE_EXIT", "4.12");
}

static void test_software(void **state)
{
    (void)state;
    host.guest_ns = 30000000;
    probe_fails(ENOTSUP, "in software", "nested virtualization");
}

static void test_instructions_fail(void **state)
{
    (void)state;
    host.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    probe_fails(EIO, "plain instructions", "without the processor's virtualization");
}

/* Usable for the probe, gone for the machine: -ENODEV, at which `auto` takes another engine. */
static void test_vanishes(void **state)
{
    struct kvm_facts facts;
    struct engine *en;
    struct err e = {0};

    (void)state;
    host.opens_until_gone = 1;
    assert_int_equal(kvm_probe_on(&sys, &facts, &e), 0);
    assert_int_equal(kvm_create_on(&sys, &(struct engine_config){.vcpus = 1}, &en, &e), -ENODEV);
    assert_non_null(strstr(e.text, "no longer"));
}

static void test_no_more_machines(void **state)
{
    struct engine *en;
    struct err e = {0};

    (void)state;
    host.vm_error = ENOMEM;
    assert_int_equal(kvm_create_on(&sys, &(struct engine_config){.vcpus = 1}, &en, &e), -ENODEV);
    assert_non_null(strstr(e.text, "creates no machine"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, good_host),
        cmocka_unit_test_setup(test_missing, good_host),
        cmocka_unit_test_setup(test_not_permitted, good_host),
        cmocka_unit_test_setup(test_busy, good_host),
        cmocka_unit_test_setup(test_no_module, good_host),
        cmocka_unit_test_setup(test_too_old, good_host),
        cmocka_unit_test_setup(test_lacks_capability, good_host),
        cmocka_unit_test_setup(test_software, good_host),
        cmocka_unit_test_setup(test_instructions_fail, good_host),
        cmocka_unit_test_setup(test_vanishes, good_host),
        cmocka_unit_test_setup(test_no_more_machines, good_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
