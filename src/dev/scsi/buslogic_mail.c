/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mailboxes, CCBs and results of the BT-958, on the loop's thread; see buslogic_internal.h. */
#include <string.h>

#include "dev/scsi/buslogic_internal.h"

#define BUDGET 256u /* boxes before others on the loop have their turn */

/* --- results --- */

static void add_result(struct buslogic *b, uint32_t epoch, struct buslogic_result r)
{
    lock_take(&b->lock);
    if (epoch == b->chip.epoch && b->chip.results < BUSLOGIC_QUEUE)
        b->chip.result[b->chip.results++] = r;
    lock_drop(&b->lock);
}

/* The next result and the box for it; false: there is none. */
static bool next_result(struct buslogic *b, struct buslogic_mail *now, struct buslogic_result *r)
{
    bool any;

    lock_take(&b->lock);
    any = b->chip.results != 0 && b->chip.boxes != 0;
    *r = b->chip.result[0];
    *now = buslogic_mail(&b->chip, true);
    lock_drop(&b->lock);
    return any;
}

static void result_delivered(struct buslogic *b, struct buslogic_mail *now)
{
    struct buslogic_chip *c = &b->chip;

    buslogic_box_pass(now);
    lock_take(&b->lock);
    if (now->epoch == c->epoch) {
        c->results--;
        memmove(c->result, c->result + 1, c->results * sizeof(c->result[0]));
        c->incoming = now->next;
        buslogic_raise_incoming(c);
    }
    lock_drop(&b->lock);
}

/* A box's code comes last: the host looks at it first. */
static bool fill_box(struct buslogic *b, const struct buslogic_mail *now,
                     const struct buslogic_result *r)
{
    uint32_t at = buslogic_box_at(now);
    uint8_t p[BUSLOGIC_BOX_MAX];
    unsigned size = buslogic_box_size(now);
    struct buslogic_box box;

    if (ram_read(b->cfg.ram, at, p, size) < 0)
        return true; /* no memory: nobody hears of it */
    box = buslogic_box(now, p);
    if (box.action != BUSLOGIC_FREE)
        return false;
    buslogic_box_fill(now, p, r);
    if (box.action_byte == 0) {
        (void)!ram_write(b->cfg.ram, at + 1, p + 1, size - 1);
        (void)!ram_write(b->cfg.ram, at, p, 1);
    } else {
        (void)!ram_write(b->cfg.ram, at, p, size - 1);
        (void)!ram_write(b->cfg.ram, at + size - 1, p + size - 1, 1);
    }
    return true;
}

static void deliver(struct buslogic *b)
{
    struct buslogic_mail now;
    struct buslogic_result r;

    while (next_result(b, &now, &r) && fill_box(b, &now, &r))
        result_delivered(b, &now);
}

/* --- CCBs --- */

static void request_put(struct buslogic_request *r)
{
    r->active = false;
    r->b->finished++;
    freelist_put(&r->b->requests, r);
}

static bool is_current(struct buslogic *b, uint32_t epoch)
{
    bool same;

    lock_take(&b->lock);
    same = b->chip.epoch == epoch;
    lock_drop(&b->lock);
    return same;
}

/* Both statuses to the CCB, and a result. */
static void finish(struct buslogic_request *r, uint8_t adapter, uint8_t target)
{
    struct buslogic *b = r->b;
    const uint8_t status[2] = {adapter, target};
    bool good = adapter == BUSLOGIC_NORMAL && target == SCSI_GOOD;

    if (is_current(b, r->mail.epoch))
        (void)!ram_write(b->cfg.ram, (gpa_t)r->at + BUSLOGIC_CCB_STATUS, status, 2);
    add_result(
        b, r->mail.epoch,
        (struct buslogic_result){r->at, adapter, target, good ? BUSLOGIC_GOOD : BUSLOGIC_ERROR});
    request_put(r);
}

static void put_sense(struct buslogic_request *r)
{
    const struct scsi_request *s = &r->scsi;
    uint8_t n = s->sense_len < r->ccb.sense_len ? s->sense_len : r->ccb.sense_len;

    if (n != 0)
        (void)!ram_write(r->b->cfg.ram, r->ccb.sense, s->sense, n);
}

static void put_residual(struct buslogic_request *r)
{
    uint8_t p[4];
    unsigned n = buslogic_put_length(&r->mail, p, r->len - (uint32_t)r->scsi.moved);

    (void)!ram_write(r->b->cfg.ram, (gpa_t)r->at + BUSLOGIC_CCB_LENGTH, p, n);
}

static void on_done(struct scsi_request *s)
{
    struct buslogic_request *r = s->opaque;
    bool misfit = s->wanted > r->len || (!r->ccb.residual && s->moved < r->len);

    if (is_current(r->b, r->mail.epoch)) {
        put_sense(r);
        if (r->ccb.residual)
            put_residual(r);
    }
    finish(r, misfit && s->status == SCSI_GOOD ? BUSLOGIC_MISFIT : BUSLOGIC_NORMAL, s->status);
}

/* The memory that a CCB names; false: it is none, or too many pieces. */
static bool find_memory(struct buslogic_request *r, struct scsi_buffer *m)
{
    struct ram *ram = r->b->cfg.ram;
    bool write = r->ccb.direction != BUSLOGIC_OUT;
    unsigned size = buslogic_segment_size(&r->mail);
    uint32_t segments = r->ccb.len / size;

    *m = (struct scsi_buffer){.iov = r->iov, .gpa = r->gpa};
    if (r->ccb.direction == BUSLOGIC_NO_DATA)
        return true;
    if (!r->ccb.scattered)
        return scsi_buffer_add(m, BUSLOGIC_SEGMENTS, ram, r->ccb.data, r->ccb.len, write);
    if (segments > BUSLOGIC_SEGMENTS) /* empty ones, too: to read them takes time */
        return false;
    for (uint32_t i = 0; i < segments; i++) {
        uint8_t p[BUSLOGIC_SEGMENT_MAX];
        uint32_t at, len;

        if (ram_read(ram, (gpa_t)r->ccb.data + (gpa_t)i * size, p, size) < 0)
            return false;
        buslogic_segment(&r->mail, p, &at, &len);
        if (!scsi_buffer_add(m, BUSLOGIC_SEGMENTS, ram, at, len, write))
            return false;
    }
    return m->bytes <= UINT32_MAX;
}

static void start(struct buslogic_request *r)
{
    struct scsi_request *s = &r->scsi;
    struct buslogic *b = r->b;
    struct scsi_buffer m;

    if (r->ccb.cdb_len > BUSLOGIC_CDB || !find_memory(r, &m)) {
        finish(r, BUSLOGIC_BAD_PARAMETER, SCSI_GOOD);
        return;
    }
    r->len = (uint32_t)m.bytes;
    memset(s->cdb, 0, sizeof(s->cdb));
    memcpy(s->cdb, r->ccb.cdb, sizeof(r->ccb.cdb));
    s->in = s->out = (struct scsi_buffer){.iov = r->iov, .gpa = r->gpa};
    if (r->ccb.direction != BUSLOGIC_OUT)
        s->in = m;
    if (r->ccb.direction != BUSLOGIC_IN)
        s->out = m;
    s->done = on_done;
    s->opaque = r;
    if (r->ccb.lun != 0) {
        scsi_submit_no_lun(s, b->cfg.ram);
        return;
    }
    b->touched |= 1u << r->ccb.target;
    scsi_submit(&b->units[r->ccb.target], s);
}

static void on_ended_reset(struct scsi_wait *w)
{
    struct buslogic_request *r = w->opaque;

    scsi_unit_reset(&r->b->units[r->ccb.target]);
    finish(r, BUSLOGIC_NORMAL, SCSI_GOOD);
}

static void reset_target(struct buslogic_request *r)
{
    r->wait = (struct scsi_wait){.ended = on_ended_reset, .opaque = r};
    scsi_unit_when_ended(&r->b->units[r->ccb.target], &r->wait);
}

static void take_ccb(struct buslogic_request *r)
{
    struct buslogic *b = r->b;
    uint8_t p[BUSLOGIC_CCB];

    if (ram_read(b->cfg.ram, r->at, p, sizeof(p)) < 0) {
        finish(r, BUSLOGIC_BAD_PARAMETER, SCSI_GOOD);
        return;
    }
    r->ccb = buslogic_ccb(&r->mail, p, r->at);
    if (!buslogic_is_valid(&r->ccb))
        finish(r, BUSLOGIC_BAD_OPCODE, SCSI_GOOD);
    else if (r->ccb.target >= BUSLOGIC_TARGETS || !scsi_unit_present(&b->units[r->ccb.target]))
        finish(r, BUSLOGIC_NO_TARGET, SCSI_GOOD);
    else if (r->ccb.reset)
        reset_target(r);
    else
        start(r);
}

static void nothing_to_abort(struct buslogic_request *r)
{
    add_result(r->b, r->mail.epoch, (struct buslogic_result){r->at, 0, 0, BUSLOGIC_NOT_FOUND});
    request_put(r);
}

static void on_ended_abort(struct scsi_wait *w)
{
    nothing_to_abort(w->opaque);
}

/* The unit that has this CCB under way, or NULL. */
static struct scsi_unit *unit_of(const struct buslogic *b, uint32_t ccb)
{
    for (unsigned i = 0; i < b->requests.fresh; i++) {
        const struct buslogic_request *r = freelist_at(&b->requests, i);

        if (r->active && r->at == ccb && r->scsi.unit != NULL)
            return r->scsi.unit;
    }
    return NULL;
}

/* I/O of an image is not taken back: the command ends as it would have, and then there is nothing
 * to abort any more. */
static void abort_ccb(struct buslogic_request *r)
{
    struct scsi_unit *u = unit_of(r->b, r->at);

    r->wait = (struct scsi_wait){.ended = on_ended_abort, .opaque = r};
    if (u != NULL)
        scsi_unit_when_ended(u, &r->wait);
    else
        nothing_to_abort(r);
}

/* --- outgoing mailboxes --- */

/* For one more CCB or its result. Lock held. */
static bool has_room(const struct buslogic *b)
{
    return b->chip.results + b->inflight < BUSLOGIC_QUEUE;
}

/* Where the next box is, if there is room for what is in it. The host's wish is taken before the
 * box is looked at: what the host fills later it asks for again. */
static bool next_box(struct buslogic *b, struct buslogic_mail *now)
{
    bool any;

    lock_take(&b->lock);
    any = b->chip.start && has_room(b);
    if (any)
        b->chip.start = false;
    *now = buslogic_mail(&b->chip, false);
    lock_drop(&b->lock);
    return any;
}

/* The next box with something in it is taken; strictly there is one that may be. */
static bool take_box(struct buslogic *b, struct buslogic_mail *now, struct buslogic_box *box)
{
    for (unsigned i = 0; i < (now->strict ? 1u : now->boxes); i++) {
        uint32_t at = buslogic_box_at(now);
        uint8_t p[BUSLOGIC_BOX_MAX], none = BUSLOGIC_FREE;

        if (ram_read(b->cfg.ram, at, p, buslogic_box_size(now)) < 0)
            return false;
        *box = buslogic_box(now, p);
        buslogic_box_pass(now);
        if (box->action == BUSLOGIC_FREE)
            continue;
        (void)!ram_write(b->cfg.ram, at + box->action_byte, &none, 1);
        return true;
    }
    return false;
}

/* true: the box counts; it is one more in flight, and there may be others. */
static bool box_taken(struct buslogic *b, const struct buslogic_mail *now, bool any)
{
    struct buslogic_chip *c = &b->chip;
    bool counts;

    lock_take(&b->lock);
    counts = any && c->epoch == now->epoch;
    if (counts) {
        c->outgoing = now->next;
        c->start = true;
        b->inflight++;
        buslogic_raise_outgoing(c);
    }
    lock_drop(&b->lock);
    return counts;
}

static void handle_box(struct buslogic *b, const struct buslogic_mail *now,
                       const struct buslogic_box *box)
{
    struct buslogic_request *r = freelist_get(&b->requests); /* there is room: next_box */

    r->b = b;
    r->active = true;
    r->mail = *now;
    r->at = box->ccb;
    r->scsi.unit = NULL;
    if (box->action == BUSLOGIC_START)
        take_ccb(r);
    else if (box->action == BUSLOGIC_ABORT)
        abort_ccb(r);
    else
        finish(r, BUSLOGIC_BAD_BOX, SCSI_GOOD);
}

static bool serve_box(struct buslogic *b)
{
    struct buslogic_mail now;
    struct buslogic_box box;

    if (!next_box(b, &now) || !box_taken(b, &now, take_box(b, &now, &box)))
        return false;
    handle_box(b, &now, &box);
    return true;
}

/* --- the loop --- */

static void reset_bus(struct buslogic *b)
{
    bool wanted;

    lock_take(&b->lock);
    wanted = b->chip.bus_reset;
    b->chip.bus_reset = false;
    lock_drop(&b->lock);
    for (unsigned i = 0; i < BUSLOGIC_TARGETS && wanted; i++)
        if (scsi_unit_present(&b->units[i])) {
            scsi_unit_drain(&b->units[i]);
            scsi_unit_reset(&b->units[i]);
        }
}

static void run(void *opaque);

void buslogic_post(struct buslogic *b)
{
    if (!b->posted && !b->paused)
        b->posted = loop_post(b->cfg.loop, run, b) == 0; /* else the next command tries again */
}

/* What is done is told; boxes that are left are looked at once more, unless there is no room for
 * them before the host has taken results, or the card may not read them. */
static void settle(struct buslogic *b)
{
    deliver(b);
    lock_take(&b->lock);
    b->inflight -= b->finished;
    b->finished = 0;
    b->running = false;
    if (b->chip.start && has_room(b) && pci_func_master(&b->func))
        buslogic_post(b);
    if (b->inflight == 0)
        pthread_cond_broadcast(&b->idle);
    buslogic_note_and_unlock(b);
}

void buslogic_batch_end(void *opaque)
{
    struct buslogic *b = opaque;

    if (!b->serving)
        settle(b);
}

static void run(void *opaque)
{
    struct buslogic *b = opaque;
    unsigned budget = BUDGET;
    bool paused;

    lock_take(&b->lock);
    b->posted = false;
    paused = b->paused;
    b->running = !paused;
    lock_drop(&b->lock);
    if (paused)
        return;
    b->serving = true;
    reset_bus(b);
    while (budget != 0 && pci_func_master(&b->func) && serve_box(b))
        budget--;
    for (; b->touched != 0; b->touched &= b->touched - 1)
        scsi_kick(&b->units[__builtin_ctz(b->touched)]);
    b->serving = false;
    settle(b);
}
