/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packet does what: see server.h. "Debugging with GDB", appendices E.2 - E.6. */
#include "gdb/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/server_internal.h"

/* --- pieces --- */

void gdb_ok(struct gdb_server *s)
{
    gdb_text(&s->out, "OK");
}

void gdb_error(struct gdb_server *s, unsigned number)
{
    gdb_format(&s->out, "E%02x", number & 0xff);
}

bool gdb_take(struct gdb_args *a, char c)
{
    if (a->p == a->end || *a->p != c)
        return false;
    a->p++;
    return true;
}

bool gdb_take_word(struct gdb_args *a, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(a->end - a->p) < n || memcmp(a->p, word, n) != 0)
        return false;
    a->p += n;
    return true;
}

bool gdb_take_thread(struct gdb_server *s, struct gdb_args *a, unsigned *cpu, bool *any)
{
    uint64_t n;

    *any = false;
    *cpu = s->current;
    if (gdb_take_word(a, "-1")) {
        *any = true;
        return true;
    }
    if (!gdb_number(&a->p, a->end, &n) || n > s->t.cpus)
        return false;
    *any = n == 0;
    if (n > 0)
        *cpu = (unsigned)n - 1;
    return true;
}

struct x86_cpu *gdb_cpu(struct gdb_server *s, unsigned cpu)
{
    if (s->cpu_of != (int)cpu)
        s->t.get_state(s->t.opaque, cpu, s->cpu);
    s->cpu_of = (int)cpu;
    return s->cpu;
}

int gdb_cpu_put(struct gdb_server *s)
{
    int rc = s->t.set_state(s->t.opaque, (unsigned)s->cpu_of, s->cpu);

    if (rc < 0)
        s->cpu_of = -1;
    return rc;
}

/* --- output --- */

static void send_packet(struct gdb_server *s)
{
    if (s->out.overflow) { /* no answer of ours is so long */
        gdb_begin(&s->out);
        gdb_error(s, GDB_E_ARGS);
    }
    gdb_end(&s->out);
    s->t.send(s->t.opaque, s->out.text, s->out.len);
}

static const char *point_name(const struct engine_point *p)
{
    switch (p->kind) {
    case ENGINE_POINT_WRITE:
        return "watch";
    case ENGINE_POINT_READ:
        return "rwatch";
    case ENGINE_POINT_ACCESS:
        return "awatch";
    default:
        return NULL;
    }
}

void gdb_stop_reply(struct gdb_server *s)
{
    const struct gdb_stop *stop = &s->stop;

    gdb_format(&s->out, "T%02xthread:%x;", stop->why == GDB_WHY_INTERRUPT ? 2 : 5, stop->cpu + 1);
    if (stop->why == GDB_WHY_POINT && point_name(&stop->point) != NULL)
        gdb_format(&s->out, "%s:%llx;", point_name(&stop->point), (unsigned long long)stop->lin);
    else if (stop->why == GDB_WHY_POINT)
        gdb_text(&s->out, stop->point.soft ? "swbreak:;" : "hwbreak:;");
}

/* --- packets --- */

static void select_thread(struct gdb_server *s, struct gdb_args *a)
{
    bool any, general = gdb_take(a, 'g');
    unsigned cpu;

    if ((!general && !gdb_take(a, 'c')) || !gdb_take_thread(s, a, &cpu, &any)) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    if (general && !any)
        s->current = cpu;
    gdb_ok(s);
}

static void thread_alive(struct gdb_server *s, struct gdb_args *a)
{
    unsigned cpu;
    bool any;

    if (gdb_take_thread(s, a, &cpu, &any) && !any)
        gdb_ok(s);
    else
        gdb_error(s, GDB_E_ARGS);
}

static void detach(struct gdb_server *s)
{
    gdb_points_clear(s);
    s->running = true;
    s->detached = true;
    gdb_ok(s);
    s->t.detach(s->t.opaque);
}

static void v_packet(struct gdb_server *s, struct gdb_args *a)
{
    if (gdb_take_word(a, "Cont?")) {
        gdb_text(&s->out, "vCont;c;C;s;S");
    } else if (gdb_take_word(a, "Cont")) {
        gdb_vcont(s, a);
    } else if (gdb_take_word(a, "Kill")) {
        gdb_ok(s);
        s->t.quit(s->t.opaque);
    } /* all others: an empty answer, we do not know it */
}

static void handle(struct gdb_server *s, char command, struct gdb_args *a)
{
    switch (command) {
    case '?':
        gdb_stop_reply(s);
        break;
    case 'g':
        gdb_registers_get(s);
        break;
    case 'G':
        gdb_registers_set(s, a);
        break;
    case 'p':
        gdb_register_get(s, a);
        break;
    case 'P':
        gdb_register_set(s, a);
        break;
    case 'm':
        gdb_memory_get(s, a);
        break;
    case 'M':
    case 'X':
        gdb_memory_set(s, a, command == 'X');
        break;
    case 'Z':
    case 'z':
        gdb_point_set(s, a, command == 'Z');
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
        gdb_resume_one(s, a, command);
        break;
    case 'H':
        select_thread(s, a);
        break;
    case 'T':
        thread_alive(s, a);
        break;
    case 'q':
        gdb_query(s, a);
        break;
    case 'Q':
        gdb_set(s, a);
        break;
    case 'v':
        v_packet(s, a);
        break;
    case 'D':
        detach(s);
        break;
    case 'k':
        s->quiet = true;
        s->t.quit(s->t.opaque);
        break;
    default:
        break;
    }
}

/* A debugger sends nothing while the machine runs but an interrupt; what comes all the same is
 * dropped. */
static void packet(struct gdb_server *s)
{
    struct gdb_args a = {s->in.data, s->in.data + s->in.len};
    char command;

    if (s->running || s->in.len == 0)
        return;
    command = *a.p++;
    s->quiet = false;
    gdb_begin(&s->out);
    handle(s, command, &a);
    if (!s->quiet)
        send_packet(s);
}

void gdb_input(struct gdb_server *s, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (gdb_reader_put(&s->in, bytes[i])) {
        case GDB_PACKET:
            if (s->acks)
                s->t.send(s->t.opaque, "+", 1);
            packet(s);
            break;
        case GDB_BAD:
            if (s->acks)
                s->t.send(s->t.opaque, "-", 1);
            break;
        case GDB_NAK:
            if (s->acks && s->out.len > 0)
                s->t.send(s->t.opaque, s->out.text, s->out.len);
            break;
        case GDB_INTERRUPT:
            if (s->running && !s->detached)
                s->t.interrupt(s->t.opaque);
            break;
        default:
            break;
        }
    }
}

/* --- the machine's side --- */

void gdb_connected(struct gdb_server *s)
{
    gdb_reader_init(&s->in);
    s->out.len = 0;
    s->cpu_of = -1;
    s->current = s->listed = s->n_point = 0;
    s->stop = (struct gdb_stop){.why = GDB_WHY_STEP}; /* SIGTRAP */
    s->acks = true;
    s->running = s->physical = s->detached = false;
}

void gdb_stopped(struct gdb_server *s, const struct gdb_stop *stop)
{
    if (!s->running || s->detached)
        return;
    s->running = false;
    s->cpu_of = -1;
    s->stop = *stop;
    s->current = stop->cpu;
    gdb_begin(&s->out);
    gdb_stop_reply(s);
    send_packet(s);
}

void gdb_ended(struct gdb_server *s)
{
    if (s->detached)
        return;
    s->detached = true;
    gdb_begin(&s->out);
    gdb_text(&s->out, "W00");
    send_packet(s);
}

bool gdb_running(const struct gdb_server *s)
{
    return s->running;
}

int gdb_server_create(const struct gdb_target *t, struct gdb_server **out)
{
    struct gdb_server *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    s->t = *t;
    s->xml = gdb_regs_xml(t->avx);
    s->cpu = aligned_alloc(64, sizeof(*s->cpu));
    s->how = calloc(t->cpus, sizeof(*s->how));
    if (s->xml == NULL || s->cpu == NULL || s->how == NULL) {
        gdb_server_destroy(s);
        return -ENOMEM;
    }
    s->xml_len = strlen(s->xml);
    s->detached = true; /* nobody is there */
    *out = s;
    return 0;
}

void gdb_server_destroy(struct gdb_server *s)
{
    if (s == NULL)
        return;
    free(s->xml);
    free(s->cpu);
    free(s->how);
    free(s);
}
