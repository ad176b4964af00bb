/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's points and steps.
 *
 * Places are looked for by their offset in the page: whatever page an instruction is in, if a place
 * has its offset, a block begins there and asks a helper first (the linear address may differ from
 * one address space to the next, the translation does not). Offsets stay so until the cache is
 * emptied, so a debugger that takes its places away at each stop and sets them again for each step
 * costs no translation.
 *
 * While data is watched no access is direct, and pages with watched data do not get into the
 * software TLB: their accesses take the slow path. There an instruction that hits a point leaves
 * its block before it does anything; it runs again, alone, and the run loop returns behind it.
 * Helpers finish what they are at and leave.
 *
 * A step is one instruction alone, with a kick waiting, which nothing goes on under.
 */
#include "debug.h"

#include <errno.h>

#include "dr.h"
#include "helpers.h"

static bool watches(const struct engine_point *p)
{
    return p->kind != ENGINE_POINT_EXEC;
}

static bool sliced(const struct bt_debug *d, unsigned off)
{
    return d->offsets[off / 64] >> (off % 64) & 1;
}

bool bt_debug_place(const struct translator *en, unsigned off)
{
    return en->debug.any_place && sliced(&en->debug, off & 0xfff);
}

/* The places of all points, old ones too. True: there are new ones. */
static bool note_places(struct bt_debug *d)
{
    bool fresh = false;

    for (unsigned i = 0; i < d->n_point; i++) {
        unsigned off = d->point[i].lin & 0xfff;
        if (watches(&d->point[i]) || sliced(d, off))
            continue;
        d->offsets[off / 64] |= 1ull << (off % 64);
        fresh = d->any_place = true;
    }
    return fresh;
}

static void set_points(struct engine_vcpu *v, const struct engine_point *p, unsigned n)
{
    struct bt_debug *d = &v->en->debug;
    bool had_watch = d->n_watch != 0;

    d->n_point = n;
    d->n_watch = 0;
    for (unsigned i = 0; i < n; i++) {
        d->point[i] = p[i];
        d->n_watch += watches(&p[i]);
    }
    v->flush_wanted |= note_places(d);
    v->debug.unwatched |= had_watch || d->n_watch != 0;
}

int bt_debug_points(struct engine *m, const struct engine_point *p, unsigned n)
{
    if (n > ENGINE_MAX_POINTS)
        return -ENOSPC;
    for (unsigned i = 0; i < m->vcpus; i++)
        if (m->vcpu[i] != NULL)
            set_points(m->vcpu[i], p, n);
    return 0;
}

/* The cache is empty: only what is set now matters. */
void bt_debug_emptied(struct translator *en)
{
    struct bt_debug *d = &en->debug;

    if (!d->any_place)
        return;
    for (unsigned i = 0; i < sizeof(d->offsets) / sizeof(d->offsets[0]); i++)
        d->offsets[i] = 0;
    d->any_place = false;
    (void)note_places(d);
    (void)bt_dr_places(en->v);
}

void bt_debug_step(struct engine_vcpu *v, bool on)
{
    v->debug.step = on;
}

void bt_debug_stop(struct engine_vcpu *v, struct engine_debug_stop *out)
{
    *out = v->debug.stop;
}

void bt_debug_begin(struct engine_vcpu *v)
{
    struct bt_ctx *c = v->ctx;

    v->debug.hit = false;
    if (!v->debug.unwatched)
        return;
    v->debug.unwatched = false;
    bt_tlb_flush(c, true);
    bt_mode_update(c);
}

void bt_debug_stepped(struct engine_vcpu *v)
{
    v->first_look = true; /* it took no interrupt */
    if (!v->debug.hit)
        v->debug.stop = (struct engine_debug_stop){.why = ENGINE_DEBUG_STEP};
}

/* ---- places ---------------------------------------------------------------------------------- */

uint64_t bt_h_place(struct bt_ctx *c, uint32_t arg)
{
    struct engine_vcpu *v = c->v;
    uint64_t lin = c->cur_lin[c->pc >> 12] + (c->pc & 0xfff);

    (void)arg;
    for (unsigned i = 0; i < v->en->debug.n_point; i++) {
        const struct engine_point *p = &v->en->debug.point[i];
        if (watches(p) || p->lin != lin)
            continue;
        v->debug.stop =
            (struct engine_debug_stop){.why = ENGINE_DEBUG_POINT, .point = *p, .lin = lin};
        c->rip = bt_helper_rip(c);
        c->exit_reason = EXIT_DEBUG;
        return 1;
    }
    return bt_dr_exec(c, lin) ? h_fault(c) : 0;
}

/* ---- data ------------------------------------------------------------------------------------ */

static bool matches(const struct engine_point *p, unsigned access)
{
    switch (p->kind) {
    case ENGINE_POINT_WRITE:
        return access & ACC_W;
    case ENGINE_POINT_READ:
        return access & ACC_R;
    case ENGINE_POINT_ACCESS:
        return true;
    default:
        return false;
    }
}

/* [a, a + n) and [b, b + m), n and m not 0, have something in common. */
static bool overlap(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
    return a - b < m || b - a < n;
}

bool bt_watch_page(const struct bt_ctx *c, uint64_t lin)
{
    const struct bt_debug *d = &c->v->en->debug;

    for (unsigned i = 0; i < d->n_point; i++)
        if (watches(&d->point[i]) &&
            overlap(lin & BT_PAGE_MASK, BT_PAGE_SIZE, d->point[i].lin, d->point[i].len))
            return true;
    return bt_dr_page(c, lin);
}

bool bt_watch_hit(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access, bool note)
{
    struct engine_vcpu *v = c->v;
    const struct bt_debug *d = &v->en->debug;
    bool hit = bt_dr_data(c, lin, len, access, note);

    for (unsigned i = 0; i < d->n_point; i++) {
        const struct engine_point *p = &d->point[i];
        if (!matches(p, access) || !overlap(lin, len, p->lin, p->len))
            continue;
        if (note && !v->debug.hit)
            v->debug.stop = (struct engine_debug_stop){
                .why = ENGINE_DEBUG_POINT, .point = *p, .lin = lin > p->lin ? lin : p->lin};
        v->debug.hit |= note;
        hit = true;
        break;
    }
    return hit;
}

void bt_watch_helper(struct bt_ctx *c, uint64_t lin, unsigned len, unsigned access)
{
    if (!bt_watch_hit(c, lin, len, access, true))
        return;
    c->left = 1;
    bt_kick_now(c);
    c->v->first_look = true;
}
