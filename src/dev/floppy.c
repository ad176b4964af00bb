/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floppy disk controller: lock, ports, images and DMA around the chip. What the chip asks for
 * is done on the loop, one step at a time (work): a sector of an image, bytes of the DMA channel.
 */
#include "dev/floppy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "dev/chip/i82077.h"
#include "dev/irq_out.h"

#define DEFAULT_TYPE 4 /* of a drive without a disk: 1.44 M, as most are */

_Static_assert(FLOPPY_DRIVES == FDC_DRIVES, "the chip's drives");

struct floppy {
    struct floppy_config cfg;
    unsigned drives;
    struct block_channel *channel[FDC_DRIVES]; /* the loop's thread; NULL: no disk */
    pthread_cond_t quiet;
    struct lock lock; /* all below */
    struct fdc chip;
    struct irq_out irq;
    bool posted, busy, paused;
    uint32_t epoch; /* a register was written: what was begun before may be over */
    struct block_req req;
    struct iovec iov;
    uint8_t sector[FDC_SECTOR];
    uint32_t begun; /* the epoch of the request */
};

/* --- on the loop; busy, and the lock is not held --- */

static void work(struct floppy *f);

static void settle(struct floppy *f)
{
    irq_out_flush(&f->irq);
    lock_take(&f->lock);
    f->busy = false;
    pthread_cond_broadcast(&f->quiet);
    lock_drop(&f->lock);
}

/* A reset by the guest meanwhile has ended the command. */
static bool still_wanted(const struct floppy *f)
{
    struct fdc_io io;

    return f->begun == f->epoch && fdc_io(&f->chip, &io);
}

static void finish(struct floppy *f, int result)
{
    lock_take(&f->lock);
    if (still_wanted(f)) {
        if (f->req.op == BLOCK_READ && result == 0)
            memcpy(f->chip.data, f->sector, sizeof(f->sector));
        fdc_io_done(&f->chip, result);
        irq_out_set(&f->irq, fdc_irq(&f->chip));
    }
    lock_drop(&f->lock);
    settle(f);
}

static void done(struct block_req *r, int result)
{
    struct floppy *f = r->opaque;

    finish(f, result);
    work(f);
}

static void transfer(struct floppy *f, const struct fdc_io *io)
{
    struct block_channel *c = f->channel[io->drive];

    f->iov = (struct iovec){f->sector, sizeof(f->sector)};
    f->req = (struct block_req){.op = io->write ? BLOCK_WRITE : BLOCK_READ,
                                .offset = io->offset,
                                .bytes = FDC_SECTOR,
                                .iov = &f->iov,
                                .iov_count = 1,
                                .done = done,
                                .opaque = f};
    if (c == NULL) {
        done(&f->req, -EIO);
        return;
    }
    block_submit(c, &f->req);
    block_kick(c);
}

/* true: some bytes were moved. */
static bool move(struct floppy *f, const uint8_t *from, uint32_t bytes)
{
    bool end;

    bytes = dma_move(f->cfg.dma, FLOPPY_DMA, from != NULL ? I8237_TO_MEMORY : I8237_FROM_MEMORY,
                     f->sector, bytes, &end);
    lock_take(&f->lock);
    if (bytes != 0 && f->begun == f->epoch) {
        fdc_dma_done(&f->chip, f->sector, bytes, end);
        irq_out_set(&f->irq, fdc_irq(&f->chip));
    }
    lock_drop(&f->lock);
    return bytes != 0;
}

enum step { NOTHING, IMAGE, DMA };

/* What is next; makes the device busy with it. Lock held. */
static enum step prepare(struct floppy *f, struct fdc_io *io, const uint8_t **from, uint32_t *bytes)
{
    enum step step = NOTHING;

    f->posted = false;
    if (f->paused || f->busy)
        return NOTHING;
    if (fdc_io(&f->chip, io)) {
        step = IMAGE;
        if (io->write)
            memcpy(f->sector, f->chip.data, sizeof(f->sector));
    } else if ((*bytes = fdc_dma(&f->chip, from)) != 0) {
        step = DMA;
        if (*from != NULL)
            memcpy(f->sector, *from, *bytes);
    }
    f->busy = step != NOTHING;
    f->begun = f->epoch;
    return step;
}

static void work(struct floppy *f)
{
    bool again = true;

    while (again) {
        const uint8_t *from = NULL;
        uint32_t bytes = 0;
        struct fdc_io io;
        enum step step;

        lock_take(&f->lock);
        step = prepare(f, &io, &from, &bytes);
        lock_drop(&f->lock);
        again = false;
        if (step == IMAGE) {
            transfer(f, &io);
        } else if (step == DMA) {
            again = move(f, from, bytes);
            settle(f);
        }
    }
}

static void on_post(void *opaque)
{
    work(opaque);
}

/* Any thread, without the lock: the chip may want something. */
static void kick(void *opaque)
{
    struct floppy *f = opaque;
    const uint8_t *from;
    struct fdc_io io;
    bool post;

    lock_take(&f->lock);
    post = !f->posted && !f->busy && !f->paused &&
           (fdc_io(&f->chip, &io) || fdc_dma(&f->chip, &from) != 0);
    f->posted |= post;
    lock_drop(&f->lock);
    if (!post || loop_post(f->cfg.loop, on_post, f) == 0)
        return;
    lock_take(&f->lock);
    f->posted = false;
    if (fdc_io(&f->chip, &io))
        fdc_io_done(&f->chip, -ENOMEM);
    irq_out_set(&f->irq, fdc_irq(&f->chip));
    lock_drop(&f->lock);
    irq_out_flush(&f->irq);
}

/* --- ports --- */

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct floppy *f = opaque;
    uint8_t value;

    lock_take(&f->lock);
    value = fdc_read(&f->chip, (unsigned)offset);
    irq_out_set(&f->irq, fdc_irq(&f->chip));
    lock_drop(&f->lock);
    irq_out_flush(&f->irq);
    if (offset == FDC_FIFO)
        kick(f);
    return value;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct floppy *f = opaque;

    lock_take(&f->lock);
    fdc_write(&f->chip, (unsigned)offset, (uint8_t)value);
    if (offset == FDC_DOR || offset == FDC_MSR)
        f->epoch++;
    irq_out_set(&f->irq, fdc_irq(&f->chip));
    lock_drop(&f->lock);
    irq_out_flush(&f->irq);
    kick(f);
}

/* 0x3f6 is the IDE adapter's. */
static uint64_t input_read(void *opaque, uint64_t offset, unsigned size)
{
    return port_read(opaque, FDC_DIR, size);
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    port_write(opaque, FDC_DIR, value, size);
}

static const struct bus_ops port_ops = {
    .name = "floppy", .read = port_read, .write = port_write, .min_size = 1, .max_size = 1};
static const struct bus_ops input_ops = {
    .name = "floppy", .read = input_read, .write = control_write, .min_size = 1, .max_size = 1};

/* --- life --- */

static bool pause(struct floppy *f)
{
    bool ran;

    lock_take(&f->lock);
    ran = !f->paused;
    f->paused = true;
    while (f->busy) {
        bool mine = false;

        lock_drop(&f->lock);
        for (unsigned i = 0; i < FDC_DRIVES; i++)
            if (f->channel[i] != NULL && block_channel_drainable(f->channel[i])) {
                block_drain(f->channel[i]);
                mine = true;
            }
        lock_take(&f->lock);
        if (f->busy && !mine)
            lock_wait(&f->lock, &f->quiet);
    }
    lock_drop(&f->lock);
    return ran;
}

static void floppy_pause(void *self)
{
    (void)pause(self);
}

static void floppy_resume(void *self)
{
    struct floppy *f = self;

    lock_take(&f->lock);
    f->paused = false;
    lock_drop(&f->lock);
    kick(f);
}

static void floppy_reset(void *self)
{
    struct floppy *f = self;
    bool ran = pause(f);

    lock_take(&f->lock);
    fdc_reset(&f->chip);
    irq_out_set(&f->irq, fdc_irq(&f->chip));
    lock_drop(&f->lock);
    irq_out_flush(&f->irq);
    if (ran)
        floppy_resume(f);
}

static void floppy_restore(void *self)
{
    struct floppy *f = self;

    irq_out_restore(&f->irq, fdc_irq(&f->chip));
}

static void floppy_destroy(void *self)
{
    struct floppy *f = self;

    if (f == NULL)
        return;
    for (unsigned i = 0; i < FDC_DRIVES; i++)
        block_channel_close(f->channel[i]);
    pthread_cond_destroy(&f->quiet);
    lock_finish(&f->lock);
    free(f);
}

static void *floppy_state_object(void *self)
{
    struct floppy *f = self;

    return &f->chip;
}

static const struct device_ops floppy_ops = {
    .name = "floppy",
    .reset = floppy_reset,
    .pause = floppy_pause,
    .resume = floppy_resume,
    .restore = floppy_restore,
    .destroy = floppy_destroy,
    .state = &fdc_state,
    .state_object = floppy_state_object,
};

int floppy_create(const struct floppy_config *cfg, struct floppy **out)
{
    struct floppy *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -ENOMEM;
    f->cfg = *cfg;
    lock_init(&f->lock, LOCK_DEVICE);
    pthread_cond_init(&f->quiet, NULL);
    irq_out_init(&f->irq, cfg->irq);
    fdc_reset(&f->chip);
    dma_watch(cfg->dma, FLOPPY_DMA, kick, f);
    *out = f;
    return 0;
}

struct device floppy_device(struct floppy *f)
{
    return (struct device){.ops = &floppy_ops, .self = f};
}

int floppy_map(struct floppy *f, struct bus *ports)
{
    int rc = bus_map(ports, 0x3f0, 6, &port_ops, f);

    return rc == 0 ? bus_map(ports, 0x3f7, 1, &input_ops, f) : rc;
}

/* --- disks --- */

/* What is in a drive with this disk, or without one. Returns the drive's type; 0: it is none. */
static unsigned medium_of(struct block_backend *b, struct fdc_medium *m)
{
    unsigned type;

    *m = (struct fdc_medium){0};
    if (b == NULL)
        return DEFAULT_TYPE;
    type = fdc_format(block_size(b), m);
    m->readonly = block_readonly(b);
    return type;
}

int floppy_check(struct block_backend *b, struct err *e)
{
    struct fdc_medium m;

    if (medium_of(b, &m) != 0)
        return 0;
    return err_set(e, EINVAL,
                   "floppy disk '%s' has %llu bytes; there are those of 160, 180, 320, 360, 720, "
                   "800, 1200, 1440, 1600, 1680 and 2880 KB",
                   block_path(b), (unsigned long long)block_size(b));
}

int floppy_add(struct floppy *f, struct block_backend *b, unsigned *type, struct err *e)
{
    unsigned drive = f->drives;
    struct fdc_medium m;
    int rc = floppy_check(b, e);

    if (rc < 0)
        return rc;
    if (drive == FDC_DRIVES)
        return err_set(e, ENOSPC, "--floppy: a machine has at most two drives");
    if (b != NULL)
        rc = block_channel_open(b, f->cfg.loop, NULL, NULL, &f->channel[drive]);
    if (rc < 0)
        return err_set(e, -rc, "cannot set up a floppy drive: %s", strerror(-rc));
    *type = medium_of(b, &m);
    f->chip.drive[drive].present = true;
    fdc_set_medium(&f->chip, drive, &m);
    f->drives++;
    return 0;
}

struct change {
    struct floppy *f;
    unsigned drive;
    struct block_backend *backend;
    int rc;
};

static void exchange(void *opaque)
{
    struct change *c = opaque;
    struct block_channel **channel = &c->f->channel[c->drive];

    block_channel_close(*channel);
    *channel = NULL;
    c->rc = 0;
    if (c->backend != NULL)
        c->rc = block_channel_open(c->backend, c->f->cfg.loop, NULL, NULL, channel);
}

int floppy_change(struct floppy *f, unsigned drive, struct block_backend *b)
{
    struct change c = {.f = f, .drive = drive, .backend = b};
    bool ran = pause(f);
    struct fdc_medium m;
    int rc = loop_call(f->cfg.loop, exchange, &c);

    rc = rc == 0 ? c.rc : rc;
    (void)medium_of(rc == 0 ? b : NULL, &m);
    lock_take(&f->lock);
    fdc_set_medium(&f->chip, drive, &m);
    lock_drop(&f->lock);
    if (ran)
        floppy_resume(f);
    return rc;
}
