/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server as its own files see it. */
#ifndef DOPPEL_GDB_SERVER_INTERNAL_H
#define DOPPEL_GDB_SERVER_INTERNAL_H

#include "gdb/packet.h"
#include "gdb/regs.h"
#include "gdb/server.h"

struct gdb_server {
    struct gdb_target t;
    struct gdb_reader in;
    struct gdb_writer out;
    char *xml;
    size_t xml_len;
    struct x86_cpu *cpu; /* of `cpu_of`, as it is now */
    int cpu_of;          /* -1: of none */
    enum gdb_run *how;   /* by CPU */
    unsigned current;    /* CPU of registers and memory */
    unsigned listed;     /* threads that qfThreadInfo told */
    struct gdb_stop stop;
    struct engine_point point[ENGINE_MAX_POINTS];
    unsigned n_point;
    bool acks, running, physical, detached;
    bool quiet; /* no answer: it comes when the machine stops */
    uint8_t buf[GDB_PACKET_MAX];
};

/* The part of a packet that is still to be read. */
struct gdb_args {
    const char *p, *end;
};

/* Errors of packets, as errno values. */
#define GDB_E_ARGS 22  /* EINVAL */
#define GDB_E_FAULT 14 /* EFAULT */

void gdb_ok(struct gdb_server *s);
void gdb_error(struct gdb_server *s, unsigned number);
/* Is `c` next? Then it is taken. */
bool gdb_take(struct gdb_args *a, char c);
bool gdb_take_word(struct gdb_args *a, const char *word);
/* Thread 1 - n to CPU 0 - n-1. `any`: 0 and -1, which mean any or all. */
bool gdb_take_thread(struct gdb_server *s, struct gdb_args *a, unsigned *cpu, bool *any);

struct x86_cpu *gdb_cpu(struct gdb_server *s, unsigned cpu); /* its state */
/* That state was changed. */
int gdb_cpu_put(struct gdb_server *s);
void gdb_stop_reply(struct gdb_server *s);

/* data.c: registers and memory */
void gdb_registers_get(struct gdb_server *s);
void gdb_registers_set(struct gdb_server *s, struct gdb_args *a);
void gdb_register_get(struct gdb_server *s, struct gdb_args *a);
void gdb_register_set(struct gdb_server *s, struct gdb_args *a);
void gdb_memory_get(struct gdb_server *s, struct gdb_args *a);
void gdb_memory_set(struct gdb_server *s, struct gdb_args *a, bool binary);

/* control.c: points, continuing */
void gdb_point_set(struct gdb_server *s, struct gdb_args *a, bool on);
void gdb_points_clear(struct gdb_server *s);
void gdb_resume_one(struct gdb_server *s, struct gdb_args *a, char how);
void gdb_vcont(struct gdb_server *s, struct gdb_args *a);

/* query.c */
void gdb_query(struct gdb_server *s, struct gdb_args *a);
void gdb_set(struct gdb_server *s, struct gdb_args *a);
void gdb_monitor(struct gdb_server *s, const char *line); /* monitor.c */

#endif
