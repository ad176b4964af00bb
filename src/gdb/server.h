/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server of GDB's remote protocol for one debugger, without I/O: bytes come in by gdb_input, go
 * out by gdb_target.send, and what the debugger wants of the machine goes through struct
 * gdb_target. Virtual CPUs are threads 1, 2 ...; all of them stop when one does (all-stop mode).
 *
 *   connect -> stopped -- continue, step --> running -- gdb_stopped --> stopped ...
 *
 * All functions and callbacks are for one thread. A hostile peer gets errors, never more.
 */
#ifndef DOPPEL_GDB_SERVER_H
#define DOPPEL_GDB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/engine.h"
#include "x86/cpu.h"

enum gdb_run { GDB_STAY, GDB_CONTINUE, GDB_STEP };

struct gdb_target {
    void *opaque;
    unsigned cpus;
    bool avx;
    void (*send)(void *opaque, const void *bytes, size_t len);
    /* The machine is stopped when these are called. Memory: 0 or -errno, all or nothing; by linear
     * address in the address space of `cpu`, or by physical address. */
    void (*get_state)(void *opaque, unsigned cpu, struct x86_cpu *out);
    int (*set_state)(void *opaque, unsigned cpu, const struct x86_cpu *in);
    int (*read)(void *opaque, unsigned cpu, bool physical, uint64_t at, void *buf, size_t len);
    int (*write)(void *opaque, unsigned cpu, bool physical, uint64_t at, const void *buf,
                 size_t len);
    int (*points)(void *opaque, const struct engine_point *p, unsigned n);
    /* how[cpu]: what each does. gdb_stopped follows, at once if the machine cannot go on. */
    void (*resume)(void *opaque, const enum gdb_run *how);
    /* While it runs: gdb_stopped is to follow. */
    void (*interrupt)(void *opaque);
    void (*reset)(void *opaque); /* the machine stays stopped */
    void (*quit)(void *opaque);
    void (*detach)(void *opaque); /* no points any more, all run */
};

/* Why the machine stopped. */
enum gdb_why {
    GDB_WHY_INTERRUPT, /* asked for, or nothing that the debugger did */
    GDB_WHY_STEP,
    GDB_WHY_POINT,
};

struct gdb_stop {
    unsigned cpu;
    enum gdb_why why;
    struct engine_point point; /* of GDB_WHY_POINT */
    uint64_t lin;              /* of watched data: what was accessed */
};

struct gdb_server;

int gdb_server_create(const struct gdb_target *t, struct gdb_server **out) MUST_CHECK;
void gdb_server_destroy(struct gdb_server *s); /* NULL is fine */

/* A debugger connected; the machine is stopped. */
void gdb_connected(struct gdb_server *s);
void gdb_input(struct gdb_server *s, const uint8_t *bytes, size_t len);
void gdb_stopped(struct gdb_server *s, const struct gdb_stop *stop);
/* The machine ended. */
void gdb_ended(struct gdb_server *s);
bool gdb_running(const struct gdb_server *s); /* by the debugger's will */

#endif
