/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BT-958 on PCI: registers, mailboxes, CCBs, life; see buslogic.h.
 *
 *   vCPU: CMD_START -> post            loop: outgoing boxes -> CCBs -> scsi_submit, scsi_kick
 *                                            on_done: status to the CCB, a result
 *                                            the end of a batch: results to incoming boxes, IRQ
 *
 * The lock covers the chip. Mailboxes and CCBs are moved by the loop's thread without it; where the
 * host resets the card meanwhile (epoch), what was under way does not count any more.
 */
#include "dev/scsi/buslogic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/freelist.h"
#include "dev/chip/buslogic_chip.h"

#define BUDGET 256u /* boxes before others on the loop have their turn */
#define BAR_SIZE 32u

struct buslogic;

struct request {
    void *next_free;
    struct buslogic *b;
    bool active;
    struct buslogic_mail mail; /* what the CCB came by */
    uint32_t at;               /* where it is */
    uint32_t len;              /* bytes of data that there is memory for */
    struct buslogic_ccb ccb;
    struct scsi_request scsi;
    struct iovec iov[BUSLOGIC_SEGMENTS];
    gpa_t gpa[BUSLOGIC_SEGMENTS];
};

struct buslogic {
    struct buslogic_config cfg;
    struct scsi_unit units[BUSLOGIC_TARGETS];
    struct freelist requests; /* the loop's thread: struct request, BUSLOGIC_QUEUE of them */
    unsigned finished;        /* likewise: of those in flight */
    uint32_t touched;         /* likewise: units with something to kick */
    bool serving;             /* likewise: `run` settles what ends meanwhile */
    pthread_cond_t idle;
    struct lock lock;
    unsigned inflight;    /* lock: CCBs whose result has not been delivered or queued */
    bool posted, running; /* lock */
    bool paused;          /* lock */
    /* State. */
    struct pci_func func;
    struct scsi_lun luns[BUSLOGIC_TARGETS];
    struct buslogic_chip chip; /* lock */
};

static void note_and_unlock(struct buslogic *b)
{
    pci_intx_store(&b->func, buslogic_asserted(&b->chip));
    lock_drop(&b->lock);
    pci_intx_update(&b->func);
}

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

static void request_put(struct request *r)
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
static void finish(struct request *r, uint8_t adapter, uint8_t target)
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

static void put_sense(struct request *r)
{
    const struct scsi_request *s = &r->scsi;
    uint8_t n = s->sense_len < r->ccb.sense_len ? s->sense_len : r->ccb.sense_len;

    if (n != 0)
        (void)!ram_write(r->b->cfg.ram, r->ccb.sense, s->sense, n);
}

static void put_residual(struct request *r)
{
    uint8_t p[4];
    unsigned n = buslogic_put_length(&r->mail, p, r->len - (uint32_t)r->scsi.moved);

    (void)!ram_write(r->b->cfg.ram, (gpa_t)r->at + BUSLOGIC_CCB_LENGTH, p, n);
}

static void on_done(struct scsi_request *s)
{
    struct request *r = s->opaque;
    bool misfit = s->wanted > r->len || (!r->ccb.residual && s->moved < r->len);

    if (is_current(r->b, r->mail.epoch)) {
        put_sense(r);
        if (r->ccb.residual)
            put_residual(r);
    }
    finish(r, misfit && s->status == SCSI_GOOD ? BUSLOGIC_MISFIT : BUSLOGIC_NORMAL, s->status);
}

/* The memory that a CCB names; false: it is none, or too many pieces. */
static bool find_memory(struct request *r, struct scsi_buffer *m)
{
    struct ram *ram = r->b->cfg.ram;
    bool write = r->ccb.direction != BUSLOGIC_OUT;
    unsigned size = buslogic_segment_size(&r->mail);

    *m = (struct scsi_buffer){.iov = r->iov, .gpa = r->gpa};
    if (r->ccb.direction == BUSLOGIC_NO_DATA)
        return true;
    if (!r->ccb.scattered)
        return scsi_buffer_add(m, BUSLOGIC_SEGMENTS, ram, r->ccb.data, r->ccb.len, write);
    for (uint32_t i = 0; i < r->ccb.len / size; i++) {
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

static void start(struct request *r)
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

static void reset_target(struct request *r)
{
    struct scsi_unit *u = &r->b->units[r->ccb.target];

    scsi_unit_drain(u);
    scsi_unit_reset(u);
    finish(r, BUSLOGIC_NORMAL, SCSI_GOOD);
}

static void take_ccb(struct request *r)
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

/* I/O of an image is not taken back: the command ends as it would have, and then there is nothing
 * to abort any more. */
static void abort_ccb(struct request *r)
{
    struct buslogic *b = r->b;

    for (unsigned i = 0; i < b->requests.fresh; i++) {
        const struct request *other = freelist_at(&b->requests, i);

        if (other->active && other != r && other->at == r->at && other->scsi.unit != NULL) {
            scsi_unit_drain(other->scsi.unit);
            break;
        }
    }
    add_result(b, r->mail.epoch, (struct buslogic_result){r->at, 0, 0, BUSLOGIC_NOT_FOUND});
    request_put(r);
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
    struct request *r = freelist_get(&b->requests); /* there is room: next_box */

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

/* Lock held. */
static void post(struct buslogic *b)
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
        post(b);
    if (b->inflight == 0)
        pthread_cond_broadcast(&b->idle);
    note_and_unlock(b);
}

static void batch_end(void *opaque)
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

/* --- registers --- */

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    struct buslogic *b = opaque;
    uint8_t v;

    lock_take(&b->lock);
    v = buslogic_read(&b->chip, offset % BUSLOGIC_IO_SIZE, b->inflight == 0);
    note_and_unlock(b);
    return v;
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct buslogic *b = opaque;

    lock_take(&b->lock);
    if (buslogic_write(&b->chip, offset % BUSLOGIC_IO_SIZE, (uint8_t)value))
        post(b);
    note_and_unlock(b);
}

static const struct bus_ops io_ops = {
    .name = "buslogic", .read = io_read, .write = io_write, .min_size = 1, .max_size = 1};

/* --- targets --- */

static void ejected(void *opaque, struct scsi_unit *u)
{
    struct buslogic *b = opaque;

    if (b->cfg.ejected != NULL)
        b->cfg.ejected(b->cfg.opaque, u);
}

/* For the geometry that the card tells: the disks are as large as the guest finds them. */
static void measure(struct buslogic *b)
{
    lock_take(&b->lock);
    for (unsigned i = 0; i < 2; i++)
        b->chip.drive_blocks[i] = b->luns[i].blocks;
    lock_drop(&b->lock);
}

int buslogic_add(void *self, unsigned target, enum scsi_kind kind, struct block_backend *backend,
                 struct err *e)
{
    struct buslogic *b = self;
    const struct scsi_unit_config cfg = {.lun = &b->luns[target],
                                         .loop = b->cfg.loop,
                                         .ram = b->cfg.ram,
                                         .place = target,
                                         .batch_end = batch_end,
                                         .ejected = ejected,
                                         .opaque = b};
    int rc = scsi_unit_init(&b->units[target], &cfg, kind, backend, e);

    if (rc < 0)
        return rc;
    b->chip.targets |= (uint16_t)(1u << target);
    measure(b);
    return 0;
}

struct scsi_unit *buslogic_unit(void *self, unsigned target)
{
    struct buslogic *b = self;

    return &b->units[target];
}

void buslogic_resized(void *self, const struct block_backend *backend)
{
    struct buslogic *b = self;

    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]) && b->units[i].backend == backend)
            scsi_unit_resized(&b->units[i]);
}

/* --- life --- */

static void drain(struct buslogic *b)
{
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]))
            scsi_unit_drain(&b->units[i]);
}

/* After it nothing moves; `paused` is set. A loop that does not run is driven from here. */
static bool quiesce(struct buslogic *b)
{
    bool here = loop_is_current(b->cfg.loop) || !loop_is_running(b->cfg.loop), was;

    lock_take(&b->lock);
    was = b->paused;
    b->paused = true;
    lock_drop(&b->lock);
    if (here)
        drain(b);
    lock_take(&b->lock);
    while (!here && (b->running || b->inflight != 0))
        lock_wait(&b->lock, &b->idle);
    lock_drop(&b->lock);
    return was;
}

/* The interrupt that firmware writes to the card is one that the card tells. */
static void take_irq(struct buslogic *b)
{
    uint8_t irq = (uint8_t)pci_func_reg(&b->func, PCI_REG_INT_LINE, 1);

    lock_take(&b->lock);
    b->chip.irq = irq;
    lock_drop(&b->lock);
}

static void device_reset(void *self)
{
    struct buslogic *b = self;
    bool paused = quiesce(b);

    pci_func_reset(&b->func);
    take_irq(b);
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]))
            scsi_unit_reset(&b->units[i]);
    measure(b);
    lock_take(&b->lock);
    buslogic_reset(&b->chip);
    b->paused = paused;
    note_and_unlock(b);
}

static void device_pause(void *self)
{
    (void)quiesce(self);
}

static void device_resume(void *self)
{
    struct buslogic *b = self;

    lock_take(&b->lock);
    b->paused = false;
    post(b);
    lock_drop(&b->lock);
}

static void device_restore(void *self)
{
    struct buslogic *b = self;

    pci_func_restore(&b->func);
    take_irq(b);
    lock_take(&b->lock);
    note_and_unlock(b);
}

static void device_destroy(void *self)
{
    struct buslogic *b = self;

    if (b == NULL)
        return;
    pci_remove(&b->func);
    pci_func_finish(&b->func);
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        scsi_unit_finish(&b->units[i]);
    pthread_cond_destroy(&b->idle);
    lock_finish(&b->lock);
    freelist_finish(&b->requests);
    free(b);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct buslogic, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct buslogic, luns, BUSLOGIC_TARGETS, &scsi_lun_state),
    STATE_STRUCT_F(struct buslogic, chip, 1, &buslogic_chip_state),
    STATE_END_F,
};
static const struct state_table buslogic_state = {
    .name = "buslogic", .version = 1, .fields = fields};

static const struct device_ops device_ops = {
    .name = "buslogic",
    .reset = device_reset,
    .pause = device_pause,
    .resume = device_resume,
    .restore = device_restore,
    .destroy = device_destroy,
    .state = &buslogic_state,
};

/* Boxes may have waited for the card to become a bus master. */
static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    struct buslogic *b = opaque;

    take_irq(b);
    lock_take(&b->lock);
    if (b->chip.start)
        post(b);
    lock_drop(&b->lock);
}

static const struct pci_func_hooks hooks = {.config_written = config_written};

/* The same registers in ports and in memory. The card's own BIOS makes it a bus master, and drivers
 * count on that; there is none here, so it is one from the start. */
static int init_pci(struct buslogic *b, struct err *e)
{
    static const struct pci_func_info info = {
        .name = "buslogic",
        .vendor = 0x104b,
        .device = 0x1040,
        .subsystem_vendor = 0x104b,
        .subsystem = 0x1040,
        .class_code = 0x010000,
        .revision = 0x08,
        .pin = 1,
    };
    int rc;

    if (pci_func_init(&b->func, &info, &hooks, b) < 0)
        return err_set(e, ENOMEM, "no memory for a SCSI adapter");
    pci_func_bar(&b->func, 0, PCI_BAR_IO, BAR_SIZE, &io_ops, b);
    pci_func_bar(&b->func, 1, PCI_BAR_MEM32, BAR_SIZE, &io_ops, b);
    pci_func_set8(&b->func, PCI_REG_COMMAND, PCI_CMD_MASTER,
                  PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
    pci_func_reset(&b->func);
    rc = pci_add(b->cfg.bus, b->cfg.devfn, &b->func, e);
    if (rc < 0)
        pci_func_finish(&b->func);
    return rc;
}

int buslogic_create(const struct buslogic_config *cfg, struct device *out, struct err *e)
{
    struct buslogic *b = calloc(1, sizeof(*b));
    int rc;

    if (b == NULL || freelist_init(&b->requests, BUSLOGIC_QUEUE, sizeof(struct request)) < 0) {
        free(b);
        return err_set(e, ENOMEM, "no memory for a SCSI adapter");
    }
    b->cfg = *cfg;
    buslogic_init(&b->chip);
    lock_init(&b->lock, LOCK_DEVICE);
    pthread_cond_init(&b->idle, NULL);
    rc = init_pci(b, e);
    if (rc < 0) {
        pthread_cond_destroy(&b->idle);
        lock_finish(&b->lock);
        freelist_finish(&b->requests);
        free(b);
        return rc;
    }
    *out = (struct device){&device_ops, b};
    return 0;
}
