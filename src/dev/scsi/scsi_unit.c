/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What commands of a logical unit ask for is done here; see scsi_unit.h.
 *
 *   scsi_submit -> scsi_command -> at once: finish
 *                               -> TAKE: parameters, scsi_taken, and again
 *                               -> I/O: start -> on_io -> the next piece, or finish
 */
#include "dev/scsi/scsi_unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ASC_WRITE_ERROR = 0x0c,
    ASC_READ_ERROR = 0x11,
    ASC_PROTECTED = 0x27, /* with the qualifier: there is no space */
    NO_SPACE = 0x07,
};

/* --- buffers --- */

static bool add_piece(struct scsi_buffer *b, unsigned max, struct ram *ram, gpa_t gpa, uint32_t len,
                      bool write)
{
    void *p = ram_ptr(ram, gpa, len, write);

    if (p == NULL || b->count == max)
        return false;
    b->iov[b->count] = (struct iovec){.iov_base = p, .iov_len = len};
    b->gpa[b->count++] = gpa;
    b->bytes += len;
    return true;
}

bool scsi_buffer_add(struct scsi_buffer *b, unsigned max, struct ram *ram, gpa_t gpa, uint32_t len,
                     bool write)
{
    if (len == 0 || add_piece(b, max, ram, gpa, len, write))
        return true;
    while (len > 0) { /* it lies in several regions */
        uint32_t n = RAM_PAGE_SIZE - (uint32_t)(gpa % RAM_PAGE_SIZE);

        n = n < len ? n : len;
        if (!add_piece(b, max, ram, gpa, n, write))
            return false;
        gpa += n;
        len -= n;
    }
    return true;
}

/* Leaves `bytes` of it. */
static void shorten(struct scsi_buffer *b, uint64_t bytes)
{
    while (b->bytes > bytes) {
        struct iovec *last = &b->iov[b->count - 1];
        uint64_t drop = b->bytes - bytes < last->iov_len ? b->bytes - bytes : last->iov_len;

        last->iov_len -= drop;
        b->bytes -= drop;
        if (last->iov_len == 0)
            b->count--;
    }
}

static void announce(struct ram *ram, const struct scsi_buffer *b)
{
    for (unsigned i = 0; i < b->count; i++)
        ram_written(ram, b->gpa[i], b->iov[i].iov_len);
}

/* --- the end of a request --- */

static void call_all(struct scsi_wait *w)
{
    while (w != NULL) {
        struct scsi_wait *next = w->next;

        w->ended(w);
        w = next;
    }
}

/* When the older generation has ended, the newer one becomes it, for those who came late. */
static void pass_on(struct scsi_unit *u)
{
    while (u->busy[!u->generation] == 0 && (u->waits != NULL || u->late != NULL)) {
        struct scsi_wait *ended = u->waits;

        u->waits = u->late;
        u->late = NULL;
        u->generation ^= u->waits != NULL;
        call_all(ended);
    }
}

/* With `done` the request is the adapter's again. */
static void end(struct scsi_request *r)
{
    struct scsi_unit *u = r->unit;
    unsigned *busy = u != NULL ? &u->busy[r->generation] : NULL;

    r->done(r);
    if (u != NULL && --*busy == 0)
        pass_on(u);
}

static void finish(struct scsi_request *r)
{
    r->status = SCSI_GOOD;
    end(r);
}

static void fail(struct scsi_request *r, uint8_t key, uint8_t asc, uint8_t ascq)
{
    r->status = SCSI_CHECK_CONDITION;
    r->sense_len = SCSI_SENSE;
    scsi_fixed_sense(r->sense, key, asc, ascq);
    end(r);
}

static void fail_io(struct scsi_request *r, int result)
{
    r->moved = 0;
    if (result == -ENOSPC)
        fail(r, SENSE_PROTECT, ASC_PROTECTED, NO_SPACE);
    else
        fail(r, SENSE_MEDIUM, r->io.op == BLOCK_READ ? ASC_READ_ERROR : ASC_WRITE_ERROR, 0);
}

/* --- without I/O --- */

static void give(struct scsi_request *r, struct ram *ram)
{
    const uint8_t *from = r->data;

    r->wanted = r->step.bytes;
    shorten(&r->in, r->wanted);
    for (unsigned i = 0; i < r->in.count; from += r->in.iov[i++].iov_len)
        memcpy(r->in.iov[i].iov_base, from, r->in.iov[i].iov_len);
    announce(ram, &r->in);
    r->moved = r->in.bytes;
    finish(r);
}

/* What the initiator has of the parameters; how many bytes of them are in `data`. */
static uint32_t take(struct scsi_request *r)
{
    uint8_t *to = r->data;

    r->wanted = r->step.bytes;
    shorten(&r->out, r->wanted);
    r->moved = r->out.bytes;
    shorten(&r->out, SCSI_DATA);
    for (unsigned i = 0; i < r->out.count; to += r->out.iov[i++].iov_len)
        memcpy(to, r->out.iov[i].iov_base, r->out.iov[i].iov_len);
    return (uint32_t)r->out.bytes;
}

/* --- I/O --- */

static void start(struct scsi_request *r)
{
    block_submit(r->unit->channel, &r->io);
}

/* Whole blocks, as far as the initiator has memory for them. */
static void transfer(struct scsi_request *r, enum block_op op)
{
    struct scsi_buffer *b = op == BLOCK_READ ? &r->in : &r->out;
    uint64_t n = r->step.bytes;

    r->wanted = n;
    if (b->bytes < n)
        n = b->bytes / BLOCK_SECTOR * BLOCK_SECTOR;
    shorten(b, n);
    r->moved = n;
    if (n == 0) {
        finish(r);
        return;
    }
    r->io.op = op;
    r->io.durable = op == BLOCK_WRITE && r->step.durable;
    r->io.offset = r->step.offset;
    r->io.bytes = n;
    r->io.iov = b->iov;
    r->io.iov_count = b->count;
    start(r);
}

static void flush(struct scsi_request *r)
{
    r->step.durable = false;
    r->io.op = BLOCK_FLUSH;
    r->io.offset = r->io.bytes = 0;
    start(r);
}

/* The next range that is not empty; false: there is none. */
static bool discard(struct scsi_request *r)
{
    while (r->range < r->step.ranges) {
        scsi_range(r->data, r->range++, &r->io.offset, &r->io.bytes);
        if (r->io.bytes == 0)
            continue;
        r->io.op = BLOCK_DISCARD;
        start(r);
        return true;
    }
    return false;
}

static void zero(struct scsi_request *r)
{
    r->io.op = BLOCK_WRITE_ZEROES;
    r->io.unmap = r->step.unmap;
    r->io.offset = r->step.offset;
    r->io.bytes = r->step.bytes;
    start(r);
}

/* The next piece of the same block again and again; false: all is there. */
static bool fill(struct scsi_request *r)
{
    uint64_t most = SCSI_FILL_SEGMENTS * SCSI_DATA, left = r->step.bytes,
             n = left < most ? left : most, count = 0;

    if (left == 0)
        return false;
    for (uint64_t at = 0; at < n; count++) {
        r->fill[count] = (struct iovec){r->data, n - at < SCSI_DATA ? n - at : SCSI_DATA};
        at += r->fill[count].iov_len;
    }
    r->io.op = BLOCK_WRITE;
    r->io.durable = r->step.durable && n == left;
    r->io.offset = r->step.offset;
    r->io.bytes = n;
    r->io.iov = r->fill;
    r->io.iov_count = (unsigned)count;
    r->step.offset += n;
    r->step.bytes -= n;
    start(r);
    return true;
}

static void begin_fill(struct scsi_request *r)
{
    for (unsigned i = 1; i < SCSI_DATA / SCSI_BLOCK; i++)
        memcpy(r->data + i * SCSI_BLOCK, r->data, SCSI_BLOCK);
    (void)fill(r);
}

/* Zeros are not durable by themselves; false: nothing is left to do. */
static bool flush_if_durable(struct scsi_request *r)
{
    if (!r->step.durable)
        return false;
    flush(r);
    return true;
}

/* A piece has ended well. Is there another one? */
static bool more(struct scsi_request *r)
{
    switch (r->step.next) {
    case SCSI_DISCARD:
        return discard(r);
    case SCSI_FILL:
        return fill(r);
    case SCSI_ZERO:
        return flush_if_durable(r);
    default:
        return false;
    }
}

static void on_io(struct block_req *io, int result)
{
    struct scsi_request *r = io->opaque;

    if (result < 0)
        fail_io(r, result);
    else if (!more(r)) {
        if (r->step.next == SCSI_READ)
            announce(r->unit->cfg.ram, &r->in);
        finish(r);
    }
}

/* --- commands --- */

static void execute(struct scsi_request *r)
{
    r->io = (struct block_req){.done = on_io, .opaque = r};
    switch (r->step.next) {
    case SCSI_READ:
        transfer(r, BLOCK_READ);
        break;
    case SCSI_WRITE:
        transfer(r, BLOCK_WRITE);
        break;
    case SCSI_FLUSH:
        flush(r);
        break;
    case SCSI_DISCARD:
        r->range = 0;
        if (!discard(r))
            finish(r);
        break;
    case SCSI_ZERO:
        zero(r);
        break;
    case SCSI_FILL:
        begin_fill(r);
        break;
    case SCSI_GIVE:
        give(r, r->unit->cfg.ram);
        break;
    case SCSI_CHECK:
        fail(r, r->step.key, r->step.asc, r->step.ascq);
        break;
    default:
        finish(r);
    }
}

static void prepare(struct scsi_request *r, struct scsi_unit *u)
{
    r->unit = u;
    r->sense_len = 0;
    r->moved = r->wanted = 0;
}

void scsi_submit(struct scsi_unit *u, struct scsi_request *r)
{
    bool eject;

    prepare(r, u);
    r->generation = u->generation;
    u->busy[r->generation]++;
    lock_take(&u->lock);
    r->step = scsi_command(u->cfg.lun, r->cdb, r->data);
    if (r->step.next == SCSI_TAKE)
        r->step = scsi_taken(u->cfg.lun, r->cdb, r->data, take(r));
    eject = u->cfg.lun->mmc.eject;
    u->cfg.lun->mmc.eject = false;
    lock_drop(&u->lock);
    execute(r);
    if (eject && u->cfg.ejected != NULL)
        u->cfg.ejected(u->cfg.opaque, u);
}

void scsi_submit_no_lun(struct scsi_request *r, struct ram *ram)
{
    prepare(r, NULL);
    r->step = scsi_no_lun(r->cdb, r->data);
    if (r->step.next == SCSI_GIVE)
        give(r, ram);
    else if (r->step.next == SCSI_CHECK)
        fail(r, r->step.key, r->step.asc, r->step.ascq);
    else
        finish(r);
}

void scsi_kick(struct scsi_unit *u)
{
    if (u->channel != NULL)
        block_kick(u->channel);
}

void scsi_unit_when_ended(struct scsi_unit *u, struct scsi_wait *w)
{
    w->next = u->late;
    u->late = w;
    pass_on(u);
}

void scsi_unit_drain(struct scsi_unit *u)
{
    if (u->channel != NULL)
        block_drain(u->channel);
}

void scsi_unit_try_drain(struct scsi_unit *u)
{
    if (u->channel != NULL && block_channel_drainable(u->channel))
        block_drain(u->channel);
}

/* --- images --- */

static int open_channel(struct scsi_unit *u, struct block_backend *b)
{
    u->channel = NULL;
    if (b == NULL)
        return 0;
    return block_channel_open(b, u->cfg.loop, u->cfg.batch_end, u->cfg.opaque, &u->channel);
}

static uint64_t cd_sectors(struct block_backend *b)
{
    return b != NULL ? block_size(b) / MMC_SECTOR : 0;
}

static void measure(struct scsi_unit *u)
{
    if (u->cfg.lun->id.kind == SCSI_DISK)
        u->cfg.lun->blocks = block_size(u->backend) / SCSI_BLOCK;
}

static void identify(struct scsi_unit *u, enum scsi_kind kind)
{
    struct scsi_lun *l = u->cfg.lun;

    *l = (struct scsi_lun){.id.kind = kind};
    snprintf(l->id.serial, sizeof(l->id.serial), "DPS%05u", u->cfg.place + 1);
    measure(u);
    if (kind == SCSI_DISK) {
        l->id.readonly = block_readonly(u->backend);
        l->id.physical = block_physical_size(u->backend);
    } else {
        l->mmc.sectors = cd_sectors(u->backend);
    }
    scsi_reset(l);
}

int scsi_unit_init(struct scsi_unit *u, const struct scsi_unit_config *cfg, enum scsi_kind kind,
                   struct block_backend *backend, struct err *e)
{
    int rc;

    *u = (struct scsi_unit){.cfg = *cfg, .backend = backend};
    rc = open_channel(u, backend);
    if (rc < 0) {
        u->cfg.lun = NULL;
        return err_set(e, -rc, "cannot set up a SCSI drive: %s", strerror(-rc));
    }
    lock_init(&u->lock, LOCK_DEVICE);
    identify(u, kind);
    return 0;
}

void scsi_unit_finish(struct scsi_unit *u)
{
    if (!scsi_unit_present(u))
        return;
    block_channel_close(u->channel);
    lock_finish(&u->lock);
    u->cfg.lun = NULL;
}

void scsi_unit_reset(struct scsi_unit *u)
{
    lock_take(&u->lock);
    measure(u);
    scsi_reset(u->cfg.lun);
    lock_drop(&u->lock);
}

void scsi_unit_resized(struct scsi_unit *u)
{
    lock_take(&u->lock);
    measure(u);
    u->cfg.lun->attention |= SCSI_CAPACITY_CHANGED;
    lock_drop(&u->lock);
}

struct change {
    struct scsi_unit *u;
    struct block_backend *backend;
    int rc;
};

/* On the loop's thread, so no command comes in between. */
static void change(void *opaque)
{
    struct change *c = opaque;
    struct scsi_unit *u = c->u;

    scsi_unit_drain(u);
    block_channel_close(u->channel);
    c->rc = open_channel(u, c->backend);
    lock_take(&u->lock);
    u->backend = c->rc == 0 ? c->backend : NULL;
    mmc_medium(&u->cfg.lun->mmc, cd_sectors(u->backend));
    lock_drop(&u->lock);
}

int scsi_unit_change(struct scsi_unit *u, struct block_backend *backend)
{
    struct change c = {.u = u, .backend = backend};
    int rc = loop_call(u->cfg.loop, change, &c);

    return rc < 0 ? rc : c.rc;
}

bool scsi_unit_locked(struct scsi_unit *u)
{
    bool locked;

    lock_take(&u->lock);
    locked = u->cfg.lun->mmc.locked;
    lock_drop(&u->lock);
    return locked;
}

void scsi_unit_request_eject(struct scsi_unit *u)
{
    lock_take(&u->lock);
    mmc_request_eject(&u->cfg.lun->mmc);
    lock_drop(&u->lock);
}
