/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queries and settings (q, Q). */
#include <stdio.h>
#include <string.h>

#include "gdb/server_internal.h"

static void features(struct gdb_server *s)
{
    gdb_format(&s->out,
               "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;"
               "vContSupported+",
               GDB_PACKET_MAX);
}

/* "annex:offset,length" */
static void transfer(struct gdb_server *s, struct gdb_args *a)
{
    uint64_t off, len;

    if (!gdb_take_word(a, "target.xml:") || !gdb_number(&a->p, a->end, &off) || !gdb_take(a, ',') ||
        !gdb_number(&a->p, a->end, &len)) {
        gdb_error(s, 0);
        return;
    }
    if (off > s->xml_len) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    if (len > GDB_PACKET_MAX / 2)
        len = GDB_PACKET_MAX / 2;
    if (len >= s->xml_len - off) {
        gdb_text(&s->out, "l");
        len = s->xml_len - off;
    } else {
        gdb_text(&s->out, "m");
    }
    gdb_binary(&s->out, s->xml + off, len);
}

#define THREADS 64 /* in one answer */

static void threads(struct gdb_server *s)
{
    if (s->listed == s->t.cpus) {
        gdb_text(&s->out, "l");
        return;
    }
    gdb_text(&s->out, "m");
    for (unsigned i = 0; i < THREADS && s->listed < s->t.cpus; i++)
        gdb_format(&s->out, "%s%x", i == 0 ? "" : ",", ++s->listed);
}

static void thread_info(struct gdb_server *s, struct gdb_args *a)
{
    static const char *const state[] = {[X86_MP_RUNNABLE] = "",
                                        [X86_MP_HALTED] = " [halted]",
                                        [X86_MP_INIT] = " [waits for SIPI]",
                                        [X86_MP_SIPI] = ""};
    char text[48];
    unsigned cpu;
    bool any;

    if (!gdb_take_thread(s, a, &cpu, &any) || any) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    snprintf(text, sizeof(text), "CPU %u%s", cpu, state[gdb_cpu(s, cpu)->mp_state]);
    gdb_hex(&s->out, text, strlen(text));
}

static void monitor(struct gdb_server *s, struct gdb_args *a)
{
    size_t n = (size_t)(a->end - a->p) / 2;
    char line[256];

    if (n >= sizeof(line) || !gdb_unhex(a->p, a->end, line, n)) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    line[n] = '\0';
    gdb_monitor(s, line);
}

void gdb_query(struct gdb_server *s, struct gdb_args *a)
{
    if (gdb_take_word(a, "Supported")) {
        features(s);
    } else if (gdb_take_word(a, "Xfer:features:read:")) {
        transfer(s, a);
    } else if (gdb_take_word(a, "fThreadInfo")) {
        s->listed = 0;
        threads(s);
    } else if (gdb_take_word(a, "sThreadInfo")) {
        threads(s);
    } else if (gdb_take_word(a, "ThreadExtraInfo,")) {
        thread_info(s, a);
    } else if (gdb_take_word(a, "Attached")) {
        gdb_text(&s->out, "1"); /* a debugger that quits detaches */
    } else if (gdb_take_word(a, "Rcmd,")) {
        monitor(s, a);
    } else if (gdb_take_word(a, "qemu.PhyMemMode")) {
        gdb_text(&s->out, s->physical ? "1" : "0");
    } else if (a->end - a->p == 1 && gdb_take(a, 'C')) {
        gdb_format(&s->out, "QC%x", s->current + 1);
    }
}

void gdb_set(struct gdb_server *s, struct gdb_args *a)
{
    if (gdb_take_word(a, "StartNoAckMode")) {
        s->acks = false;
        gdb_ok(s);
    } else if (gdb_take_word(a, "qemu.PhyMemMode:")) {
        s->physical = gdb_take(a, '1');
        gdb_ok(s);
    }
}
