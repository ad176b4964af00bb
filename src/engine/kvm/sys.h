/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls by which an engine is found and created, so that a test can be a host of any
 * kind: one without /dev/kvm, one that forbids it, an old one. What runs afterwards calls the
 * kernel itself.
 */
#ifndef DOPPEL_ENGINE_KVM_SYS_H
#define DOPPEL_ENGINE_KVM_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/engine.h"

struct kvm_sys {
    int (*open)(const char *path);                                /* fd, or -1 and errno */
    int (*ioctl)(int fd, unsigned long request, uintptr_t value); /* likewise */
    void *(*map)(int fd, size_t len);                             /* MAP_FAILED: errno */
    int (*close)(int fd);
    bool (*extensions)(void); /* does the processor offer VMX or SVM? */
};

extern const struct kvm_sys kvm_sys_host;

/* What a host's KVM is like, as far as the probe came. */
struct kvm_facts {
    bool opened;
    int version;         /* -1: not asked */
    uint64_t loop_ns;    /* the test loop on the processor itself */
    uint64_t guest_ns;   /* its privileged counterpart in a guest */
    unsigned iterations; /* of both; 0: not measured */
};

/* Can an engine run? 0, or -errno and a sentence. */
int kvm_probe_on(const struct kvm_sys *sys, struct kvm_facts *facts, struct err *e) MUST_CHECK;
/* engine_ops.create on such a host. -ENODEV: what the probe found is gone. */
int kvm_create_on(const struct kvm_sys *sys, const struct engine_config *cfg, struct engine **out,
                  struct err *e) MUST_CHECK;

#endif
