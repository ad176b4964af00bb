/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual machine as its own files see it. */
#ifndef DOPPEL_VM_VM_INTERNAL_H
#define DOPPEL_VM_VM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/lock.h"
#include "block/block.h"
#include "net/net.h"
#include "vm/vcpu.h"
#include "vm/vm.h"

enum vm_event {
    EVENT_POWER_OFF = 1,
    EVENT_RESET = 2,
    EVENT_DEBUG_EXIT = 4,
    EVENT_TIMEOUT = 8,
    EVENT_QUIT = 16,
    EVENT_FAILED = 32,
};

/* A thread that runs a loop for devices. */
struct vm_io {
    struct loop *loop;
    pthread_t thread;
    bool started;
};

struct vm {
    struct vm_config cfg;
    struct loop *loop;
    struct machine *machine;
    struct vcpu vcpu[MACHINE_MAX_CPUS];
    struct chardev *serial, *console;

    struct vm_io disk_io, net_io;
    struct block_backend *disks[MACHINE_MAX_DISKS];
    struct net_backend net;

    _Atomic unsigned events; /* EVENT_*, not handled yet */
    _Atomic uint32_t status;
    struct lock lock; /* err, while vCPUs run */
    struct err err;

    /* The main thread's. */
    bool ended, paused;
    bool console_used; /* by the guest, since the last reset */
    enum vm_end how;
    int timeout_fd;
    struct loop_watch *timeout_watch;
    uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; 0: not yet */
    uint64_t spent_ns;             /* CPU time of the process when it started */
};

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) < 0)
        return 0;
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* vm_stats.c */
void vm_stats_start(struct vm *vm);
void vm_stats_end(struct vm *vm);

/* vm_devices.c: disks, network and console, their back ends and I/O threads. */
int vm_attach_devices(struct vm *vm, struct err *e) MUST_CHECK;
void vm_console_reset(struct vm *vm); /* the machine was reset */
int vm_start_io(struct vm *vm, struct err *e) MUST_CHECK;
void vm_stop_io(struct vm *vm);       /* ends the I/O threads; the devices are paused */
void vm_close_devices(struct vm *vm); /* after the machine is destroyed */

#endif
