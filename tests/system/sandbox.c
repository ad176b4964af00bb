/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox PROGRAM [ARGUMENT...] runs a program as a container with the usual restrictions would: an
 * ordinary user, no new privileges, and the system calls refused that the default profiles of the
 * container engines refuse: io_uring, userfaultfd, perf events, bpf, keys, namespaces, mounts,
 * modules. KVM's ioctls fail too, as if /dev/kvm were not there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* By name: a system call that this libseccomp does not know cannot be refused, and that is said. */
static const char *const refused[] = {
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    "perf_event_open",
    "bpf",
    "keyctl",
    "add_key",
    "request_key",
    "mount",
    "umount2",
    "pivot_root",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    "lookup_dcookie",
    "open_by_handle_at",
    "name_to_handle_at",
    "fanotify_init",
    "iopl",
    "ioperm",
    "modify_ldt",
    "personality",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    "migrate_pages",
    "move_pages",
    "vhangup",
    "memfd_secret",
};

static int fail(const char *what, int code)
{
    fprintf(stderr, "sandbox: %s: %s\n", what, strerror(code < 0 ? -code : code));
    return 125;
}

static int refuse_all(scmp_filter_ctx filter)
{
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int number = seccomp_syscall_resolve_name(refused[i]);
        if (number == __NR_SCMP_ERROR) {
            fprintf(stderr, "sandbox: this libseccomp does not know %s\n", refused[i]);
            continue;
        }
        int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

static int build_filter(scmp_filter_ctx filter)
{
    const unsigned long namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                     CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    const unsigned long kvm = 0xae;
    int r = refuse_all(filter);
    if (r < 0)
        return r;
    /* The bits of clone's flags cannot be tested for "any of" in one rule. */
    for (unsigned long bit = 1; bit <= namespaces; bit <<= 1) {
        if (!(namespaces & bit))
            continue;
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
        if (r < 0)
            return r;
    }
    /* Its flags lie in memory, out of a filter's reach: libraries then fall back on clone. */
    r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r < 0)
        return r;
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, kvm << 8));
}

/* Root becomes nobody; an ordinary user stays who he is. */
static int become_ordinary(void)
{
    const unsigned nobody = 65534;
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) || setgid(nobody) || setuid(nobody))
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    const struct rlimit locked = {.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
    if (argc < 2) {
        fprintf(stderr, "usage: sandbox PROGRAM [ARGUMENT...]\n");
        return 125;
    }
    int r = become_ordinary();
    if (r < 0)
        return fail("cannot become an ordinary user", r);
    setrlimit(RLIMIT_MEMLOCK, &locked);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return fail("no new privileges", errno);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return fail("seccomp_init", ENOMEM);
    r = build_filter(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r < 0)
        return fail("cannot apply the filter", r);
    execvp(argv[1], argv + 1);
    return fail(argv[1], errno);
}
