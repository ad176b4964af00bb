/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debugger's side of a machine: a socket, the protocol server of src/gdb, and what it asks of
 * the vCPUs. All of it happens on the main thread. While the debugger has the machine stopped, it
 * is paused for PAUSE_DEBUG; vCPUs that are not to run when it goes on are frozen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gdb/server.h"
#include "vm/socket.h"
#include "vm/vm_internal.h"
#include "x86/linear.h"

struct vm_debug {
    struct vm *vm;
    struct listener *listener;
    struct stream *stream; /* the debugger, or NULL */
    struct gdb_server *server;
    struct x86_cpu *cpu;
    bool attached; /* and not detached */
};

/* --- what the server asks for --- */

static void to_peer(void *opaque, const void *bytes, size_t len)
{
    struct vm_debug *d = opaque;

    if (d->stream != NULL)
        stream_send(d->stream, bytes, len);
}

static void get_state(void *opaque, unsigned cpu, struct x86_cpu *out)
{
    struct vm *vm = ((struct vm_debug *)opaque)->vm;

    vm->cfg.engine->get_state(vm->vcpu[cpu].ev, out);
}

static int set_state(void *opaque, unsigned cpu, const struct x86_cpu *in)
{
    struct vm *vm = ((struct vm_debug *)opaque)->vm;
    struct err e;

    return vm->cfg.engine->set_state(vm->vcpu[cpu].ev, in, &e);
}

/* Where one piece of memory is, which ends with its page at the latest. */
static int locate(struct vm_debug *d, bool physical, uint64_t at, size_t len, gpa_t *gpa, size_t *n)
{
    struct ram *ram = machine_ram(d->vm->machine);
    uint64_t left = RAM_PAGE_SIZE - (at & (RAM_PAGE_SIZE - 1));

    *gpa = at;
    if (!physical && !x86_linear(d->cpu, ram, at, gpa, &left))
        return -EFAULT;
    *n = left < len ? (size_t)left : len;
    return 0;
}

static int read_memory(void *opaque, unsigned cpu, bool physical, uint64_t at, void *buf,
                       size_t len)
{
    struct vm_debug *d = opaque;
    uint8_t *out = buf;
    gpa_t gpa;
    size_t n;
    int rc = 0;

    get_state(d, cpu, d->cpu);
    for (; len > 0 && rc == 0; out += n, at += n, len -= n) {
        rc = locate(d, physical, at, len, &gpa, &n);
        if (rc == 0)
            rc = ram_read(machine_ram(d->vm->machine), gpa, out, n);
    }
    return rc;
}

static int write_memory(void *opaque, unsigned cpu, bool physical, uint64_t at, const void *buf,
                        size_t len)
{
    struct vm_debug *d = opaque;
    struct ram *ram = machine_ram(d->vm->machine);
    const uint8_t *in = buf;
    uint64_t check = at;
    gpa_t gpa;
    size_t n;
    int rc = 0;

    get_state(d, cpu, d->cpu);
    for (size_t left = len; left > 0 && rc == 0; check += n, left -= n) {
        rc = locate(d, physical, check, left, &gpa, &n);
        if (rc == 0 && ram_ptr(ram, gpa, n, true) == NULL)
            rc = -EFAULT;
    }
    for (; len > 0 && rc == 0; in += n, at += n, len -= n) {
        rc = locate(d, physical, at, len, &gpa, &n);
        if (rc == 0)
            rc = ram_write(ram, gpa, in, n);
    }
    return rc;
}

static int set_points(void *opaque, const struct engine_point *p, unsigned n)
{
    struct vm *vm = ((struct vm_debug *)opaque)->vm;

    return vm->cfg.engine->debug_points(machine_engine(vm->machine), p, n);
}

/* --- stopping and going on --- */

/* A stop that the debugger was not told of yet; it is told now. */
static bool report_stop(struct vm_debug *d)
{
    struct vm *vm = d->vm;
    struct engine_debug_stop why;

    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        if (!atomic_exchange(&vm->vcpu[i].debug_exit, false))
            continue;
        vm->cfg.engine->debug_stop(vm->vcpu[i].ev, &why);
        const struct gdb_stop stop = {.cpu = i,
                                      .why = why.why == ENGINE_DEBUG_STEP ? GDB_WHY_STEP
                                                                          : GDB_WHY_POINT,
                                      .point = why.point,
                                      .lin = why.lin};
        gdb_stopped(d->server, &stop);
        return true;
    }
    return false;
}

/* Stops that come again when the vCPU goes on, or that nobody waits for any more, are forgotten.
 * One of watched data is kept: its instruction is done. */
static void forget_stops(struct vm *vm, bool all)
{
    struct engine_debug_stop why;

    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        struct vcpu *v = &vm->vcpu[i];

        vm->cfg.engine->debug_step(v->ev, false);
        if (!atomic_load(&v->debug_exit))
            continue;
        vm->cfg.engine->debug_stop(v->ev, &why);
        if (all || why.why == ENGINE_DEBUG_STEP || why.point.kind == ENGINE_POINT_EXEC)
            atomic_store(&v->debug_exit, false);
    }
}

void vm_debug_event(struct vm *vm)
{
    struct vm_debug *d = vm->debug;

    vm_pause_for(vm, PAUSE_DEBUG);
    if (d->attached && gdb_running(d->server) && report_stop(d)) {
        forget_stops(vm, false);
        return;
    }
    if (d->attached && !gdb_running(d->server)) /* it stopped everything meanwhile */
        return;
    forget_stops(vm, true);
    vm_resume_for(vm, PAUSE_DEBUG);
}

static void resume(void *opaque, const enum gdb_run *how)
{
    struct vm_debug *d = opaque;
    struct vm *vm = d->vm;

    if (report_stop(d))
        return;
    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        vm->vcpu[i].frozen = how[i] == GDB_STAY;
        vm->cfg.engine->debug_step(vm->vcpu[i].ev, how[i] == GDB_STEP);
    }
    vm_resume_for(vm, PAUSE_DEBUG);
}

/* The first CPU that is at work, or else the first. */
static unsigned busy_cpu(struct vm_debug *d)
{
    for (unsigned i = 0; i < d->vm->cfg.cpus; i++) {
        get_state(d, i, d->cpu);
        if (d->cpu->mp_state == X86_MP_RUNNABLE)
            return i;
    }
    return 0;
}

static void interrupt(void *opaque)
{
    struct vm_debug *d = opaque;
    struct gdb_stop stop = {.why = GDB_WHY_INTERRUPT};

    vm_pause_for(d->vm, PAUSE_DEBUG);
    if (!report_stop(d)) {
        stop.cpu = busy_cpu(d);
        gdb_stopped(d->server, &stop);
    }
    forget_stops(d->vm, false);
}

static void reset(void *opaque)
{
    vm_restart(((struct vm_debug *)opaque)->vm, true);
}

static void quit(void *opaque)
{
    vm_quit(((struct vm_debug *)opaque)->vm);
}

static void let_go(void *opaque)
{
    struct vm_debug *d = opaque;
    struct vm *vm = d->vm;

    if (!d->attached)
        return;
    d->attached = false;
    vm_pause_for(vm, PAUSE_DEBUG); /* points change while all are stopped */
    (void)set_points(d, NULL, 0);
    forget_stops(vm, true);
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vm->vcpu[i].frozen = false;
    vm_resume_for(vm, PAUSE_DEBUG);
}

/* --- the connection --- */

static void on_input(void *opaque, const uint8_t *bytes, size_t len)
{
    gdb_input(((struct vm_debug *)opaque)->server, bytes, len);
}

static void on_closed(void *opaque)
{
    struct vm_debug *d = opaque;

    stream_destroy(d->stream);
    d->stream = NULL;
    if (d->attached)
        log_info("the debugger is gone, the machine goes on");
    let_go(d);
}

static void on_connection(void *opaque, int fd)
{
    struct vm_debug *d = opaque;
    const struct stream_config cfg = {
        .loop = d->vm->loop, .input = on_input, .closed = on_closed, .opaque = d};

    if (d->stream != NULL) { /* one debugger at a time */
        close(fd);
        return;
    }
    if (stream_create(fd, &cfg, &d->stream) < 0)
        return;
    d->attached = true;
    vm_pause_for(d->vm, PAUSE_DEBUG);
    gdb_connected(d->server);
}

/* --- life --- */

static int create_parts(struct vm_debug *d, struct err *e)
{
    struct vm *vm = d->vm;
    const struct listener_config listening = {
        .loop = vm->loop, .option = "--gdb", .accepted = on_connection, .opaque = d};
    const struct gdb_target target = {.opaque = d,
                                      .cpus = vm->cfg.cpus,
                                      .avx = __builtin_cpu_supports("avx"),
                                      .send = to_peer,
                                      .get_state = get_state,
                                      .set_state = set_state,
                                      .read = read_memory,
                                      .write = write_memory,
                                      .points = set_points,
                                      .resume = resume,
                                      .interrupt = interrupt,
                                      .reset = reset,
                                      .quit = quit,
                                      .detach = let_go};

    d->cpu = aligned_alloc(64, sizeof(*d->cpu));
    if (d->cpu == NULL || gdb_server_create(&target, &d->server) < 0)
        return err_set(e, ENOMEM, "out of memory");
    return listener_create(vm->cfg.gdb, &listening, &d->listener, e);
}

int vm_debug_create(struct vm *vm, struct err *e)
{
    if (vm->cfg.gdb == NULL)
        return 0;
    if (vm->cfg.engine->debug_points == NULL)
        return err_set(e, ENOTSUP, "--gdb: the engine %s has no interface for debuggers",
                       vm->cfg.engine->name);
    vm->debug = calloc(1, sizeof(*vm->debug));
    if (vm->debug == NULL)
        return err_set(e, ENOMEM, "out of memory");
    vm->debug->vm = vm;
    return create_parts(vm->debug, e);
}

bool vm_debug_attached(const struct vm *vm)
{
    return vm->debug != NULL && vm->debug->attached;
}

void vm_debug_destroy(struct vm *vm)
{
    struct vm_debug *d = vm->debug;

    if (d == NULL)
        return;
    if (d->server != NULL && d->stream != NULL)
        gdb_ended(d->server);
    stream_destroy(d->stream);
    listener_destroy(d->listener);
    gdb_server_destroy(d->server);
    free(d->cpu);
    free(d);
    vm->debug = NULL;
}

const char *vm_gdb_where(const struct vm *vm)
{
    return vm->debug != NULL ? listener_where(vm->debug->listener) : NULL;
}
