/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio SCSI host, virtio 1.2 section 5.6: requests, configuration, life.
 *
 *   serve: pop -> header -> scsi_submit   (all that is available), scsi_kick, commit
 *   done:  response, virtq_push           (each)
 *   end:   virtq_commit                   (once for a batch)
 *
 * The device is held from the end of a `serve` that left requests under way to the commit of the
 * last one.
 */
#include "dev/virtio/virtio_scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "dev/virtio/virtio_scsi_internal.h"

#define BUDGET (4 * VSCSI_QUEUE_SIZE) /* requests before others on the loop have their turn */

enum { SENSE_DEFAULT = 96, CDB_DEFAULT = 32, CDB_MAX = 255 };
enum { HEADER = 19, RESPONSE = 12 }; /* before the CDB, before the sense data */

/* 5.6.4 */
struct vscsi_space {
    uint32_t num_queues, seg_max, max_sectors, cmd_per_lun, event_info_size, sense_size, cdb_size;
    uint16_t max_channel, max_target;
    uint32_t max_lun;
} __attribute__((packed));

/* --- requests --- */

static struct vscsi_request *request_get(struct vscsi_queue *q)
{
    struct vscsi_request *r = freelist_get(&q->requests);

    if (r != NULL) {
        r->queue = q;
        r->vr.iov = r->iov;
        r->vr.gpa = r->gpa;
        r->vr.max = VSCSI_SEGMENTS;
    }
    return r;
}

static void request_put(struct vscsi_request *r)
{
    r->active = false;
    freelist_put(&r->queue->requests, r);
}

static bool is_in(const struct scsi_request *c)
{
    return c->step.next == SCSI_READ || c->step.next == SCSI_GIVE;
}

/* 5.6.6.1: how it went, with sense data as far as they fit; then the used element. */
static void respond(struct vscsi_request *r, enum vscsi_response how)
{
    const struct scsi_request *c = &r->scsi;
    struct vscsi_queue *q = r->queue;
    uint8_t p[RESPONSE + VSCSI_SENSE_MAX] = {0};
    uint32_t room = r->answer - RESPONSE, sense = c->sense_len < room ? c->sense_len : room;

    st_le32(p, sense);
    st_le32(p + 4, (uint32_t)(r->room - c->moved));
    p[10] = c->status;
    p[11] = (uint8_t)how;
    memcpy(p + RESPONSE, c->sense, sense);
    (void)virtq_req_write(q->vq, &r->vr, 0, p, r->answer);
    virtq_push(q->vq, &r->vr, r->answer + (uint32_t)(is_in(c) ? c->moved : 0));
    q->staged = true;
    q->s->inflight--;
    request_put(r);
}

static void on_done(struct scsi_request *c)
{
    struct vscsi_request *r = c->opaque;

    respond(r, c->wanted > r->room ? VSCSI_OVERRUN : VSCSI_OK);
}

void vscsi_commit(struct virtio_scsi *s)
{
    for (unsigned i = 0; i < s->queue_count; i++)
        if (s->queues[i].staged) {
            s->queues[i].staged = false;
            virtq_commit(s->queues[i].vq);
        }
}

static void batch_end(void *opaque)
{
    struct virtio_scsi *s = opaque;

    vscsi_commit(s);
    if (s->inflight == 0 && s->held) {
        s->held = false;
        virtio_release(&s->vdev);
    }
}

int vscsi_target(const struct virtio_scsi *s, const uint8_t lun[8], unsigned *number)
{
    /* One level, addressed as a device of bus 0 or flat: SAM-5 4.7.7. */
    *number = (unsigned)(lun[2] & 0x3f) << 8 | lun[3];
    if (lun[0] != 1 || lun[1] >= VIRTIO_SCSI_TARGETS || lun[2] >> 6 > 1)
        return -1;
    return scsi_unit_present(&s->units[lun[1]]) ? lun[1] : -1;
}

/* The data follow the response in the in part. */
static void find_room(struct vscsi_request *r)
{
    struct scsi_buffer *in = &r->scsi.in;
    uint64_t skip = r->answer;

    *in = (struct scsi_buffer){.iov = r->in_iov, .gpa = r->in_gpa};
    for (unsigned i = 0; i < r->vr.in_count; i++) {
        struct iovec v = virtq_req_in(&r->vr)[i];
        uint64_t cut = skip < v.iov_len ? skip : v.iov_len;

        skip -= cut;
        if (cut == v.iov_len)
            continue;
        in->gpa[in->count] = r->vr.gpa[r->vr.out_count + i] + cut;
        in->iov[in->count++] = (struct iovec){(uint8_t *)v.iov_base + cut, v.iov_len - cut};
        in->bytes += v.iov_len - cut;
    }
    r->scsi.out = (struct scsi_buffer){r->vr.iov, r->vr.gpa, r->vr.out_count, r->vr.out_len};
    r->room = in->bytes + r->scsi.out.bytes;
}

static void start(struct virtio_scsi *s, struct vscsi_request *r, const uint8_t *header)
{
    unsigned number;
    int target = vscsi_target(s, header, &number);

    r->scsi.done = on_done;
    r->scsi.opaque = r;
    r->scsi.sense_len = r->scsi.status = 0;
    r->scsi.moved = r->scsi.wanted = 0;
    r->tag = ld_le64(header + 8);
    r->active = true;
    s->inflight++;
    if (target < 0) {
        respond(r, VSCSI_BAD_TARGET);
        return;
    }
    r->target = (uint8_t)target;
    if (number != 0) {
        scsi_submit_no_lun(&r->scsi, s->vdev.ram);
        return;
    }
    s->touched |= 1u << target;
    scsi_submit(&s->units[target], &r->scsi);
}

/* 5.6.6.1: lun, id, task attribute, priority, CRN, CDB. Commands of more than SCSI_CDB bytes are
 * none of ours. */
static void handle(struct vscsi_request *r)
{
    struct virtio_scsi *s = r->queue->s;
    uint32_t cdb = __atomic_load_n(&s->cdb_size, __ATOMIC_RELAXED);
    uint8_t header[HEADER];

    r->answer = RESPONSE + __atomic_load_n(&s->sense_size, __ATOMIC_RELAXED);
    if (r->vr.out_len < HEADER + cdb || r->vr.in_len < r->answer) {
        virtio_broken(&s->vdev, "SCSI request without room for its header or response");
        request_put(r);
        return;
    }
    memset(r->scsi.cdb, 0, SCSI_CDB);
    (void)virtq_req_read(&r->vr, 0, header, HEADER);
    (void)virtq_req_read(&r->vr, HEADER, r->scsi.cdb, cdb < SCSI_CDB ? cdb : SCSI_CDB);
    virtq_req_drop_out(&r->vr, HEADER + cdb);
    find_room(r);
    start(s, r, header);
}

static void kick_units(struct virtio_scsi *s)
{
    while (s->touched != 0) {
        unsigned i = (unsigned)__builtin_ctz(s->touched);

        s->touched &= s->touched - 1;
        scsi_kick(&s->units[i]);
    }
}

void vscsi_serve(struct virtio_scsi *s, unsigned queue)
{
    struct vscsi_queue *q = &s->queues[queue];
    unsigned budget = BUDGET;

    do {
        struct vscsi_request *r;

        virtq_kicks_off(q->vq);
        while ((r = request_get(q)) != NULL && budget != 0 && virtq_pop(q->vq, &r->vr) > 0) {
            handle(r);
            budget--;
        }
        if (r != NULL)
            request_put(r);
        kick_units(s);
    } while (budget != 0 && virtq_kicks_on(q->vq));
    vscsi_commit(s);
    if (s->inflight != 0 && !s->held) {
        s->held = true;
        virtio_hold_more(&s->vdev);
    }
    if (budget == 0)
        virtio_kick(&s->vdev, VSCSI_REQUESTS + queue);
}

static void vscsi_run(void *self, unsigned queue)
{
    if (queue == VSCSI_CONTROL)
        vscsi_control(self);
    else if (queue == VSCSI_EVENTS)
        vscsi_events(self);
    else
        vscsi_serve(self, queue - VSCSI_REQUESTS);
}

/* --- configuration --- */

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_scsi *s = self;
    const struct vscsi_space c = {.num_queues = s->queue_count,
                                  .seg_max = VSCSI_SEG_MAX,
                                  .max_sectors = 0xffff,
                                  .cmd_per_lun = VSCSI_QUEUE_SIZE,
                                  .event_info_size = 16,
                                  .sense_size = __atomic_load_n(&s->sense_size, __ATOMIC_RELAXED),
                                  .cdb_size = __atomic_load_n(&s->cdb_size, __ATOMIC_RELAXED),
                                  .max_target = VIRTIO_SCSI_TARGETS - 1,
                                  .max_lun = 16383};

    memcpy(buf, (const uint8_t *)&c + offset, len);
}

/* 5.6.4: the sizes of sense data and CDBs are the driver's to choose. */
static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len)
{
    struct virtio_scsi *s = self;
    uint32_t v;

    if (len != 4)
        return;
    v = ld_le32(buf);
    if (offset == offsetof(struct vscsi_space, sense_size) && v <= VSCSI_SENSE_MAX)
        __atomic_store_n(&s->sense_size, v, __ATOMIC_RELAXED);
    if (offset == offsetof(struct vscsi_space, cdb_size) && v != 0 && v <= CDB_MAX)
        __atomic_store_n(&s->cdb_size, v, __ATOMIC_RELAXED);
}

/* --- targets --- */

static void ejected(void *opaque, struct scsi_unit *u)
{
    struct virtio_scsi *s = opaque;

    if (s->cfg.ejected != NULL)
        s->cfg.ejected(s->cfg.opaque, u);
}

struct plug {
    struct virtio_scsi *s;
    unsigned target;
    enum scsi_kind kind;
    struct block_backend *backend;
    struct err *e;
    int rc;
};

/* On the loop's thread: no request comes in between. */
static void plug_in(void *opaque)
{
    struct plug *p = opaque;
    const struct scsi_unit_config cfg = {.lun = &p->s->luns[p->target],
                                         .loop = p->s->cfg.place.loop,
                                         .ram = p->s->cfg.place.ram,
                                         .place = p->target,
                                         .batch_end = batch_end,
                                         .ejected = ejected,
                                         .opaque = p->s};

    p->rc = scsi_unit_init(&p->s->units[p->target], &cfg, p->kind, p->backend, p->e);
}

static void pull_out(void *opaque)
{
    struct plug *p = opaque;
    struct scsi_unit *u = &p->s->units[p->target];

    scsi_unit_drain(u);
    scsi_unit_finish(u);
    memset(&p->s->luns[p->target], 0, sizeof(p->s->luns[p->target]));
}

int virtio_scsi_add(void *self, unsigned target, enum scsi_kind kind, struct block_backend *backend,
                    struct err *e)
{
    struct virtio_scsi *s = self;
    struct plug p = {s, target, kind, backend, e, 0};
    int rc;

    if (scsi_unit_present(&s->units[target]))
        return err_set(e, EEXIST, "SCSI target %u exists", target);
    rc = loop_call(s->cfg.place.loop, plug_in, &p);
    if (rc < 0)
        return err_set(e, -rc, "cannot set up a SCSI drive: %s", strerror(-rc));
    if (p.rc == 0)
        vscsi_tell(s, target, VSCSI_ADDED);
    return p.rc;
}

void virtio_scsi_remove(void *self, unsigned target)
{
    struct virtio_scsi *s = self;
    struct plug p = {.s = s, .target = target};

    if (!scsi_unit_present(&s->units[target]))
        return;
    while (loop_call(s->cfg.place.loop, pull_out, &p) < 0)
        ; /* no memory for a moment: the back end may not be closed before */
    vscsi_tell(s, target, VSCSI_REMOVED);
}

struct scsi_unit *virtio_scsi_unit(void *self, unsigned target)
{
    struct virtio_scsi *s = self;

    return scsi_unit_present(&s->units[target]) ? &s->units[target] : NULL;
}

void virtio_scsi_resized(void *self, const struct block_backend *backend)
{
    struct virtio_scsi *s = self;

    for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
        if (scsi_unit_present(&s->units[i]) && s->units[i].backend == backend) {
            scsi_unit_resized(&s->units[i]);
            vscsi_tell(s, i, VSCSI_GROWN);
        }
}

/* --- life --- */

static void vscsi_reset(void *self)
{
    struct virtio_scsi *s = self;

    __atomic_store_n(&s->sense_size, SENSE_DEFAULT, __ATOMIC_RELAXED);
    __atomic_store_n(&s->cdb_size, CDB_DEFAULT, __ATOMIC_RELAXED);
    lock_take(&s->lock);
    memset(s->news, 0, sizeof(s->news));
    lock_drop(&s->lock);
    for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
        if (scsi_unit_present(&s->units[i]))
            scsi_unit_reset(&s->units[i]);
}

static void vscsi_drain(void *self)
{
    struct virtio_scsi *s = self;

    for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
        if (scsi_unit_present(&s->units[i]))
            scsi_unit_try_drain(&s->units[i]);
}

static const struct virtio_ops vscsi_virtio_ops = {
    .name = "virtio-scsi",
    .device_id = VIRTIO_DEV_SCSI,
    .config_read = config_read,
    .config_write = config_write,
    .run = vscsi_run,
    .reset = vscsi_reset,
    .drain = vscsi_drain,
};

static void device_reset(void *self)
{
    struct virtio_scsi *s = self;

    virtio_pci_reset(&s->pci);
}

static void device_pause(void *self)
{
    struct virtio_scsi *s = self;

    virtio_pci_pause(&s->pci);
}

static void device_resume(void *self)
{
    struct virtio_scsi *s = self;

    virtio_pci_resume(&s->pci);
}

static void device_restore(void *self)
{
    struct virtio_scsi *s = self;

    virtio_pci_restore(&s->pci);
}

static void free_parts(struct virtio_scsi *s)
{
    for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
        scsi_unit_finish(&s->units[i]);
    for (unsigned i = 0; i < s->queue_count; i++)
        freelist_finish(&s->queues[i].requests);
    freelist_finish(&s->tasks);
    virtio_dev_finish(&s->vdev);
    lock_finish(&s->lock);
    free(s);
}

static void device_destroy(void *self)
{
    struct virtio_scsi *s = self;

    if (s == NULL)
        return;
    virtio_pci_finish(&s->pci);
    free_parts(s);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_scsi, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_scsi, pci, 1, &virtio_pci_state),
    STATE_STRUCT_F(struct virtio_scsi, luns, VIRTIO_SCSI_TARGETS, &scsi_lun_state),
    STATE_FIELD_(struct virtio_scsi, news, STATE_U8, VIRTIO_SCSI_TARGETS,
                 VSCSI_REMOVED | VSCSI_ADDED | VSCSI_GROWN),
    STATE_MAX_F(struct virtio_scsi, sense_size, STATE_U32, VSCSI_SENSE_MAX),
    STATE_MAX_F(struct virtio_scsi, cdb_size, STATE_U32, CDB_MAX),
    STATE_END_F,
};
static const struct state_table vscsi_state = {
    .name = "virtio-scsi", .version = 1, .fields = fields};

static const struct device_ops device_ops = {
    .name = "virtio-scsi",
    .reset = device_reset,
    .pause = device_pause,
    .resume = device_resume,
    .restore = device_restore,
    .destroy = device_destroy,
    .state = &vscsi_state,
};

static int init_queues(struct virtio_scsi *s)
{
    int rc = freelist_init(&s->tasks, VSCSI_QUEUE_SIZE, sizeof(struct vscsi_task));

    for (unsigned i = 0; i < s->queue_count && rc == 0; i++) {
        struct vscsi_queue *q = &s->queues[i];

        q->s = s;
        q->vq = &s->vdev.queues[VSCSI_REQUESTS + i];
        rc = freelist_init(&q->requests, VSCSI_QUEUE_SIZE, sizeof(struct vscsi_request));
    }
    return rc;
}

int virtio_scsi_create(const struct virtio_scsi_config *cfg, struct device *out, struct err *e)
{
    struct virtio_scsi *s = calloc(1, sizeof(*s));
    struct virtio_dev_config vc = {.ops = &vscsi_virtio_ops,
                                   .self = s,
                                   .ram = cfg->place.ram,
                                   .features =
                                       VIRTIO_BIT(VSCSI_F_HOTPLUG) | VIRTIO_BIT(VSCSI_F_CHANGE),
                                   .no_packed = cfg->place.no_packed,
                                   .config_size = sizeof(struct vscsi_space),
                                   .queue_count = VSCSI_REQUESTS + cfg->queues,
                                   .queue_size = VSCSI_QUEUE_SIZE,
                                   .loop = cfg->place.loop};
    int rc;

    if (s == NULL || virtio_dev_init(&s->vdev, &vc) < 0) {
        free(s);
        return err_set(e, ENOMEM, "no memory for a SCSI adapter");
    }
    s->cfg = *cfg;
    s->queue_count = cfg->queues;
    lock_init(&s->lock, LOCK_DEVICE);
    vscsi_reset(s);
    rc = init_queues(s);
    if (rc < 0)
        err_set(e, -rc, "no memory for a SCSI adapter");
    else
        rc = virtio_pci_init(&s->pci, &s->vdev, &cfg->place, 0x010000, e);
    if (rc < 0) {
        free_parts(s);
        return rc;
    }
    *out = (struct device){&device_ops, s};
    return 0;
}
