/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets that set points (Z, z) and let the machine run (c, C, s, S, vCont). */
#include <string.h>

#include "gdb/server_internal.h"

/* --- points --- */

static bool same(const struct engine_point *a, const struct engine_point *b)
{
    return a->kind == b->kind && a->soft == b->soft && a->lin == b->lin && a->len == b->len;
}

/* "type,address,kind", kind being the length of watched data */
static bool take_point(struct gdb_args *a, struct engine_point *p, bool *known)
{
    static const struct engine_point of[] = {{ENGINE_POINT_EXEC, .soft = true},
                                             {ENGINE_POINT_EXEC},
                                             {ENGINE_POINT_WRITE},
                                             {ENGINE_POINT_READ},
                                             {ENGINE_POINT_ACCESS}};
    uint64_t type, len;

    *known = true;
    if (!gdb_number(&a->p, a->end, &type) || !gdb_take(a, ','))
        return false;
    *known = type < sizeof(of) / sizeof(of[0]);
    if (!*known)
        return false;
    *p = of[type];
    if (!gdb_number(&a->p, a->end, &p->lin) || !gdb_take(a, ',') ||
        !gdb_number(&a->p, a->end, &len))
        return false;
    if (p->kind == ENGINE_POINT_EXEC)
        return true;
    p->len = len;
    return len > 0 && p->lin + (len - 1) >= p->lin;
}

static bool apply(struct gdb_server *s)
{
    return s->t.points(s->t.opaque, s->point, s->n_point) == 0;
}

static bool point_add(struct gdb_server *s, const struct engine_point *p)
{
    for (unsigned i = 0; i < s->n_point; i++)
        if (same(&s->point[i], p))
            return true;
    if (s->n_point == ENGINE_MAX_POINTS)
        return false;
    s->point[s->n_point++] = *p;
    if (apply(s))
        return true;
    s->n_point--;
    return false;
}

static bool point_remove(struct gdb_server *s, const struct engine_point *p)
{
    for (unsigned i = 0; i < s->n_point; i++)
        if (same(&s->point[i], p)) {
            s->point[i] = s->point[--s->n_point];
            return apply(s);
        }
    return true;
}

void gdb_point_set(struct gdb_server *s, struct gdb_args *a, bool on)
{
    struct engine_point p;
    bool known;

    if (!take_point(a, &p, &known)) {
        if (known)
            gdb_error(s, GDB_E_ARGS);
        return; /* else an empty answer: not supported */
    }
    if (on ? point_add(s, &p) : point_remove(s, &p))
        gdb_ok(s);
    else
        gdb_error(s, 28); /* ENOSPC */
}

void gdb_points_clear(struct gdb_server *s)
{
    s->n_point = 0;
    (void)apply(s);
}

/* --- running --- */

static void resume(struct gdb_server *s)
{
    s->quiet = true;
    s->running = true;
    s->cpu_of = -1;
    s->t.resume(s->t.opaque, s->how);
}

/* c [address], C signal[;address], s, S: all CPUs run, the current one perhaps for one step.
 * Signals mean nothing to a machine. */
void gdb_resume_one(struct gdb_server *s, struct gdb_args *a, char how)
{
    static const unsigned rip = 16;
    uint64_t at;
    bool step = how == 's' || how == 'S';

    if ((how == 'C' || how == 'S') && (!gdb_number(&a->p, a->end, &at) || at > 255)) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    (void)gdb_take(a, ';');
    if (a->p < a->end) {
        if (!gdb_number(&a->p, a->end, &at) || a->p != a->end ||
            gdb_reg_set(gdb_cpu(s, s->current), rip, (const uint8_t *)&at) < 0 ||
            gdb_cpu_put(s) < 0) {
            gdb_error(s, GDB_E_ARGS);
            return;
        }
    }
    for (unsigned i = 0; i < s->t.cpus; i++)
        s->how[i] = step ? GDB_STAY : GDB_CONTINUE;
    if (step)
        s->how[s->current] = GDB_STEP;
    resume(s);
}

/* One ";action[:thread]". The first action that names a CPU is the one that counts. */
static bool take_action(struct gdb_server *s, struct gdb_args *a, bool *decided)
{
    uint64_t signal;
    unsigned cpu;
    bool any = true;
    char how = a->p < a->end ? *a->p++ : '\0';

    if (how != 'c' && how != 'C' && how != 's' && how != 'S')
        return false;
    if ((how == 'C' || how == 'S') && !gdb_number(&a->p, a->end, &signal))
        return false;
    if (gdb_take(a, ':') && !gdb_take_thread(s, a, &cpu, &any))
        return false;
    for (unsigned i = 0; i < s->t.cpus; i++) {
        if ((!any && i != cpu) || decided[i])
            continue;
        decided[i] = true;
        s->how[i] = how == 's' || how == 'S' ? GDB_STEP : GDB_CONTINUE;
    }
    return true;
}

void gdb_vcont(struct gdb_server *s, struct gdb_args *a)
{
    bool decided[256] = {false}, any = false;

    for (unsigned i = 0; i < s->t.cpus; i++)
        s->how[i] = GDB_STAY;
    while (gdb_take(a, ';')) {
        any = true;
        if (!take_action(s, a, decided)) {
            gdb_error(s, GDB_E_ARGS);
            return;
        }
    }
    if (!any || a->p != a->end) {
        gdb_error(s, GDB_E_ARGS);
        return;
    }
    resume(s);
}
