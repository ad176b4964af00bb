/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O of ATA drives: see ata_unit.h. */
#include "dev/ata_unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void done(struct block_req *req, int result);

/* --- memory --- */

static bool add_piece(struct ata_memory *m, struct ram *ram, gpa_t gpa, uint32_t len, bool write)
{
    void *p = ram_ptr(ram, gpa, len, write);

    if (p == NULL || m->count == ATA_UNIT_SEGMENTS)
        return false;
    m->iov[m->count] = (struct iovec){.iov_base = p, .iov_len = len};
    m->gpa[m->count++] = gpa;
    m->bytes += len;
    return true;
}

bool ata_memory_add(struct ata_memory *m, struct ram *ram, gpa_t gpa, uint32_t len, bool write)
{
    if (add_piece(m, ram, gpa, len, write))
        return true;
    while (len > 0) { /* it lies in several regions */
        uint32_t n = RAM_PAGE_SIZE - (uint32_t)(gpa % RAM_PAGE_SIZE);

        n = n < len ? n : len;
        if (!add_piece(m, ram, gpa, n, write))
            return false;
        gpa += n;
        len -= n;
    }
    return true;
}

/* Leaves `bytes` of it. */
void ata_memory_shorten(struct ata_memory *m, uint64_t bytes)
{
    while (m->bytes > bytes) {
        struct iovec *last = &m->iov[m->count - 1];
        uint64_t drop = m->bytes - bytes < last->iov_len ? m->bytes - bytes : last->iov_len;

        last->iov_len -= drop;
        m->bytes -= drop;
        if (last->iov_len == 0)
            m->count--;
    }
}

static void announce(struct ata_unit *u)
{
    for (unsigned i = 0; i < u->memory.count; i++)
        ram_written(u->cfg.ram, u->memory.gpa[i], u->memory.iov[i].iov_len);
}

/* --- what the drive asks for; the lock is held --- */

enum next { NOTHING, FAILED, COPY, SUBMIT };

static bool to_memory(enum ata_phase phase)
{
    return phase == ATA_READ || phase == ATA_DATA_IN || phase == ATA_IN;
}

/* The memory of a transfer: whole sectors of it, or what there is for the drive's own buffer. */
static enum next prepare_memory(struct ata_unit *u)
{
    bool read = to_memory(u->io.phase);
    bool medium = u->io.phase == ATA_READ || u->io.phase == ATA_WRITE;
    struct ata_memory *m = &u->memory;
    uint64_t want = u->io.bytes < ATA_UNIT_PIECE ? u->io.bytes : ATA_UNIT_PIECE;
    int rc = u->cfg.ops->memory(u->cfg.opaque, u, want, read, m);

    if (rc == 0 && m->bytes == 0)
        return NOTHING;
    if (rc == 0)
        ata_memory_shorten(m,
                           m->bytes < want && medium ? m->bytes / ATA_SECTOR * ATA_SECTOR : want);
    if (rc < 0 || m->bytes == 0 || (!read && !medium && m->bytes < u->io.bytes) ||
        (u->io.phase == ATA_IN && m->bytes < u->io.bytes)) {
        ata_io_done(u->cfg.drive, -EFAULT, 0);
        return FAILED;
    }
    u->req.iov = m->iov;
    u->req.iov_count = m->count;
    u->req.bytes = m->bytes;
    return medium ? SUBMIT : COPY;
}

static const enum block_op ops[ATA_PHASES] = {
    [ATA_LOAD] = BLOCK_READ,   [ATA_READ] = BLOCK_READ,   [ATA_STORE] = BLOCK_WRITE,
    [ATA_WRITE] = BLOCK_WRITE, [ATA_FLUSH] = BLOCK_FLUSH, [ATA_TRIM] = BLOCK_DISCARD};

/* What the drive wants; without a data register that is to take and give data, too. */
static bool wanted(struct ata_unit *u, struct ata_io *io)
{
    struct ata_drive *d = u->cfg.drive;
    uint32_t len;

    if (ata_io(d, io))
        return true;
    if (u->cfg.ops->next == NULL || (d->phase != ATA_IN && d->phase != ATA_OUT))
        return false;
    io->data = ata_block(d, &len);
    io->bytes = len;
    return true;
}

static enum next prepare(struct ata_unit *u)
{
    struct ata_io *io = &u->io;

    u->memory.count = 0;
    u->memory.bytes = 0;
    while (!wanted(u, io)) {
        enum ata_unit_next next =
            u->cfg.ops->next != NULL ? u->cfg.ops->next(u->cfg.opaque, u) : ATA_UNIT_NONE;

        if (next != ATA_UNIT_GIVEN)
            return next == ATA_UNIT_TELL || u->cfg.drive->mmc.eject ? FAILED : NOTHING;
        if (u->cfg.drive->phase == ATA_IDLE) /* done at once */
            return FAILED;
    }
    u->req = (struct block_req){.op = ops[io->phase],
                                .offset = io->offset,
                                .bytes = io->bytes,
                                .durable = io->durable,
                                .done = done,
                                .opaque = u};
    if (io->phase != ATA_LOAD && io->phase != ATA_STORE && io->phase != ATA_FLUSH &&
        io->phase != ATA_TRIM)
        return prepare_memory(u);
    if (io->data != NULL) {
        u->memory.iov[0] = (struct iovec){.iov_base = io->data, .iov_len = io->bytes};
        u->req.iov = u->memory.iov;
        u->req.iov_count = 1;
    }
    return SUBMIT;
}

/* --- the loop's thread; the unit is busy and the lock is not held --- */

static void copy(struct ata_unit *u)
{
    const struct ata_memory *m = &u->memory;
    uint64_t at = 0;

    for (unsigned i = 0; i < m->count; at += m->iov[i++].iov_len) {
        if (to_memory(u->io.phase))
            memcpy(m->iov[i].iov_base, u->io.data + at, m->iov[i].iov_len);
        else
            memcpy(u->io.data + at, m->iov[i].iov_base, m->iov[i].iov_len);
    }
}

/* Tells what came of it, and then lets a pause go on. */
static void settle(struct ata_unit *u)
{
    bool eject;

    lock_take(u->cfg.lock);
    eject = u->cfg.drive->mmc.eject;
    u->cfg.drive->mmc.eject = false;
    lock_drop(u->cfg.lock);
    u->cfg.ops->changed(u->cfg.opaque, u);
    if (eject)
        u->cfg.ops->ejected(u->cfg.opaque, u);
    lock_take(u->cfg.lock);
    u->busy = false;
    pthread_cond_broadcast(&u->quiet);
    lock_drop(u->cfg.lock);
}

static void finish(struct ata_unit *u, int result)
{
    bool from_memory = u->io.phase != ATA_LOAD && u->io.phase != ATA_STORE;

    if (result == 0 && to_memory(u->io.phase))
        announce(u);
    lock_take(u->cfg.lock);
    if (result == 0 && from_memory && u->memory.count > 0)
        u->cfg.ops->moved(u->cfg.opaque, u, u->req.bytes);
    if ((u->io.phase == ATA_IN || u->io.phase == ATA_OUT) && !u->cfg.drive->reset_after) {
        u->cfg.drive->io = false;
        ata_block_done(u->cfg.drive);
    } else {
        ata_io_done(u->cfg.drive, result, u->req.bytes);
    }
    lock_drop(u->cfg.lock);
    settle(u);
}

/* Does what the drive waits for, until there is nothing or a request is under way. */
static void work(struct ata_unit *u)
{
    for (;;) {
        enum next next = NOTHING;

        lock_take(u->cfg.lock);
        u->posted = false;
        if (!u->paused && !u->busy)
            next = prepare(u);
        if (next != NOTHING)
            u->busy = true;
        u->cfg.drive->io = u->busy && (next == COPY || next == SUBMIT || u->cfg.drive->io);
        lock_drop(u->cfg.lock);
        switch (next) {
        case NOTHING:
            if (u->channel != NULL)
                block_kick(u->channel); /* what `next` has submitted */
            return;
        case FAILED:
            settle(u);
            break;
        case COPY:
            copy(u);
            finish(u, 0);
            break;
        case SUBMIT:
            block_submit(u->channel, &u->req);
            block_kick(u->channel);
            return;
        }
    }
}

static void done(struct block_req *req, int result)
{
    struct ata_unit *u = req->opaque;

    finish(u, result);
    work(u);
}

static void on_post(void *opaque)
{
    work(opaque);
}

void ata_unit_kick(struct ata_unit *u)
{
    struct ata_io io;
    bool post;

    if (u->cfg.drive == NULL)
        return;
    lock_take(u->cfg.lock);
    post = !u->posted && !u->busy && !u->paused &&
           (wanted(u, &io) || u->cfg.drive->mmc.eject ||
            (u->cfg.ops->waiting != NULL && u->cfg.ops->waiting(u->cfg.opaque, u)));
    u->posted |= post;
    lock_drop(u->cfg.lock);
    if (post && loop_borrow(u->cfg.loop)) {
        work(u);
        loop_return(u->cfg.loop);
    } else if (post && loop_post(u->cfg.loop, on_post, u) < 0) {
        lock_take(u->cfg.lock);
        u->posted = false;
        if (ata_io(u->cfg.drive, &io))
            ata_io_done(u->cfg.drive, -ENOMEM, 0);
        lock_drop(u->cfg.lock);
        u->cfg.ops->changed(u->cfg.opaque, u);
    }
}

/* --- pause --- */

/* Lock held. */
static bool under_way(struct ata_unit *u)
{
    return u->busy || (u->cfg.ops->busy != NULL && u->cfg.ops->busy(u->cfg.opaque, u));
}

bool ata_unit_pause(struct ata_unit *u)
{
    bool ran;

    if (u->cfg.drive == NULL)
        return false;
    lock_take(u->cfg.lock);
    ran = !u->paused;
    u->paused = true;
    while (under_way(u)) {
        lock_drop(u->cfg.lock);
        if (u->channel != NULL && block_channel_drainable(u->channel)) {
            block_drain(u->channel);
            lock_take(u->cfg.lock);
        } else {
            lock_take(u->cfg.lock);
            if (under_way(u))
                lock_wait(u->cfg.lock, &u->quiet);
        }
    }
    lock_drop(u->cfg.lock);
    return ran;
}

void ata_unit_resume(struct ata_unit *u)
{
    if (u->cfg.drive == NULL)
        return;
    lock_take(u->cfg.lock);
    u->paused = false;
    lock_drop(u->cfg.lock);
    ata_unit_kick(u);
}

void ata_unit_quiet(struct ata_unit *u)
{
    pthread_cond_broadcast(&u->quiet);
}

/* --- images --- */

static int open_channel(struct ata_unit *u, struct block_backend *b)
{
    int rc = 0;

    u->channel = NULL;
    if (b != NULL)
        rc = block_channel_open(b, u->cfg.loop, NULL, NULL, &u->channel);
    return rc;
}

static uint64_t cd_sectors(struct block_backend *b)
{
    return b != NULL ? block_size(b) / MMC_SECTOR : 0;
}

void ata_unit_measure(struct ata_unit *u)
{
    struct ata_drive *d = u->cfg.drive;

    if (d != NULL && d->id.kind == ATA_DISK)
        d->id.sectors = block_size(u->backend) / ATA_SECTOR;
}

int ata_unit_init(struct ata_unit *u, const struct ata_unit_config *cfg, enum ata_kind kind,
                  struct block_backend *backend, struct err *e)
{
    struct ata_identity id = {.kind = kind, .serial = u->serial, .ncq = cfg->ncq};
    int rc;

    *u = (struct ata_unit){.cfg = *cfg, .backend = backend};
    snprintf(u->serial, sizeof(u->serial), "DP%05u", cfg->place + 1);
    rc = open_channel(u, backend);
    if (rc < 0) {
        u->cfg.drive = NULL;
        return err_set(e, -rc, "cannot set up an ATA drive: %s", strerror(-rc));
    }
    pthread_cond_init(&u->quiet, NULL);
    if (kind == ATA_DISK) {
        id.sectors = block_size(backend) / ATA_SECTOR;
        id.readonly = block_readonly(backend);
    }
    ata_init(cfg->drive, &id);
    if (kind == ATA_CDROM)
        cfg->drive->mmc.sectors = cd_sectors(backend);
    return 0;
}

void ata_unit_finish(struct ata_unit *u)
{
    if (u->cfg.drive == NULL)
        return;
    block_channel_close(u->channel);
    pthread_cond_destroy(&u->quiet);
}

struct change {
    struct ata_unit *u;
    struct block_backend *backend;
    int rc;
};

/* The unit is paused. */
static void change(void *opaque)
{
    struct change *c = opaque;
    struct ata_unit *u = c->u;

    block_channel_close(u->channel);
    c->rc = open_channel(u, c->backend);
}

int ata_unit_change(struct ata_unit *u, struct block_backend *backend)
{
    struct change c = {.u = u, .backend = backend};
    bool ran = ata_unit_pause(u);
    int rc = loop_call(u->cfg.loop, change, &c);

    if (rc < 0)
        c.rc = rc;
    u->backend = c.rc == 0 ? backend : NULL;
    lock_take(u->cfg.lock);
    if (ata_io(u->cfg.drive, &u->io)) /* of the old one */
        ata_io_done(u->cfg.drive, -EIO, 0);
    mmc_medium(&u->cfg.drive->mmc, cd_sectors(u->backend));
    lock_drop(u->cfg.lock);
    u->cfg.ops->changed(u->cfg.opaque, u);
    if (ran)
        ata_unit_resume(u);
    return c.rc;
}

bool ata_unit_locked(struct ata_unit *u)
{
    bool locked;

    lock_take(u->cfg.lock);
    locked = u->cfg.drive->mmc.locked;
    lock_drop(u->cfg.lock);
    return locked;
}

void ata_unit_request_eject(struct ata_unit *u)
{
    lock_take(u->cfg.lock);
    mmc_request_eject(&u->cfg.drive->mmc);
    lock_drop(u->cfg.lock);
}
