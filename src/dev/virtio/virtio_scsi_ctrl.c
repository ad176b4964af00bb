/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management and events of the virtio SCSI host: virtio 1.2 sections 5.6.6.2 and 5.6.6.3. */
#include <string.h>

#include "base/bits.h"
#include "dev/virtio/virtio_scsi_internal.h"

enum control_type { TYPE_TASK = 0, TYPE_QUERY = 1, TYPE_SUBSCRIBE = 2 };
enum { TASK_SIZE = 24, NOTIFICATION_SIZE = 16, EVENT_SIZE = 16 };

enum task_function {
    ABORT_TASK = 0,
    ABORT_TASK_SET = 1,
    CLEAR_ACA = 2,
    CLEAR_TASK_SET = 3,
    NEXUS_RESET = 4,
    UNIT_RESET = 5,
    QUERY_TASK = 6,
    QUERY_TASK_SET = 7,
};

enum event_type { EVENT_RESET = 1, EVENT_PARAMETER = 3 };
enum { REASON_RESCAN = 1, REASON_REMOVED = 2, REASON_CAPACITY = 0x2a | 0x09 << 8 };

/* --- task management --- */

/* Is there such a task, or with no tag any task of the target? */
static bool has_task(const struct virtio_scsi *s, unsigned target, const uint64_t *tag)
{
    for (unsigned i = 0; i < s->queue_count; i++)
        for (unsigned k = 0; k < s->queues[i].requests.fresh; k++) {
            const struct vscsi_request *r = freelist_at(&s->queues[i].requests, k);

            if (r->active && r->target == target && (tag == NULL || r->tag == *tag))
                return true;
        }
    return false;
}

/* What the driver has sent before is taken into account. */
static void take_all(struct virtio_scsi *s)
{
    for (unsigned i = 0; i < s->queue_count; i++)
        if (virtio_queue_ready(&s->vdev, VSCSI_REQUESTS + i))
            vscsi_serve(s, i);
}

static void answer(struct vscsi_task *t, const uint8_t *p, uint32_t len)
{
    struct virtq *q = &t->s->vdev.queues[VSCSI_CONTROL];

    virtq_push(q, &t->vr, virtq_req_write(q, &t->vr, 0, p, len));
    virtq_commit(q);
    freelist_put(&t->s->tasks, t);
}

static void respond(struct vscsi_task *t, enum vscsi_response how)
{
    const uint8_t p = (uint8_t)how;

    answer(t, &p, 1);
}

/* The driver finds the tasks' ends before that of the function. */
static void on_ended(struct scsi_wait *w)
{
    struct vscsi_task *t = w->opaque;

    vscsi_commit(t->s);
    if (t->reset)
        scsi_unit_reset(&t->s->units[t->target]);
    respond(t, VSCSI_OK);
}

/* A task that has begun ends as it does without the function: an image's I/O is not taken back. It
 * has ended when the function has. The device is held for it meanwhile. */
static void wait_for_tasks(struct vscsi_task *t, unsigned target, bool reset)
{
    t->target = (uint8_t)target;
    t->reset = reset;
    t->wait = (struct scsi_wait){.ended = on_ended, .opaque = t};
    scsi_unit_when_ended(&t->s->units[target], &t->wait);
}

static void respond_query(struct vscsi_task *t, unsigned target, const uint64_t *tag)
{
    respond(t, has_task(t->s, target, tag) ? VSCSI_SUCCEEDED : VSCSI_OK);
}

static void manage(struct vscsi_task *t, const uint8_t *p)
{
    uint32_t function = ld_le32(p + 4);
    uint64_t tag = ld_le64(p + 16);
    unsigned number;
    int target = vscsi_target(t->s, p + 8, &number);

    if (target < 0 || number != 0) {
        respond(t, target < 0 ? VSCSI_BAD_TARGET : VSCSI_INCORRECT_LUN);
        return;
    }
    take_all(t->s);
    switch (function) {
    case ABORT_TASK:
    case ABORT_TASK_SET:
    case CLEAR_TASK_SET:
        wait_for_tasks(t, (unsigned)target, false);
        break;
    case NEXUS_RESET:
    case UNIT_RESET:
        wait_for_tasks(t, (unsigned)target, true);
        break;
    case QUERY_TASK:
        respond_query(t, (unsigned)target, &tag);
        break;
    case QUERY_TASK_SET:
        respond_query(t, (unsigned)target, NULL);
        break;
    default: /* CLEAR_ACA: there are none */
        respond(t, VSCSI_REJECTED);
    }
}

static void control(struct vscsi_task *t)
{
    uint8_t p[TASK_SIZE] = {0}, events[5] = {0};
    uint32_t len = virtq_req_read(&t->vr, 0, p, sizeof(p));

    switch (len >= 4 ? ld_le32(p) : UINT32_MAX) {
    case TYPE_TASK:
        if (len < TASK_SIZE)
            respond(t, VSCSI_REJECTED);
        else
            manage(t, p);
        break;
    case TYPE_QUERY: /* no unit has such events: none of those asked for */
    case TYPE_SUBSCRIBE:
        events[4] = len < NOTIFICATION_SIZE ? VSCSI_REJECTED : VSCSI_OK;
        answer(t, events, sizeof(events));
        break;
    default:
        respond(t, VSCSI_REJECTED);
    }
}

static struct vscsi_task *task_get(struct virtio_scsi *s)
{
    struct vscsi_task *t = freelist_get(&s->tasks);

    if (t != NULL) {
        t->s = s;
        t->vr.iov = t->iov;
        t->vr.gpa = t->gpa;
        t->vr.max = VSCSI_CONTROL_SEGMENTS;
    }
    return t;
}

void vscsi_control(struct virtio_scsi *s)
{
    struct virtq *q = &s->vdev.queues[VSCSI_CONTROL];
    unsigned budget = VSCSI_QUEUE_SIZE;

    do {
        struct vscsi_task *t;

        virtq_kicks_off(q);
        while ((t = task_get(s)) != NULL && budget != 0 && virtq_pop(q, &t->vr) > 0) {
            control(t);
            budget--;
        }
        if (t != NULL)
            freelist_put(&s->tasks, t);
    } while (budget != 0 && virtq_kicks_on(q));
    if (budget == 0)
        virtio_kick(&s->vdev, VSCSI_CONTROL);
}

/* --- events --- */

/* The next thing to tell; false: there is none. Takes it away. */
static bool next_news(struct virtio_scsi *s, unsigned *target, enum vscsi_news *what)
{
    bool any = false;

    lock_take(&s->lock);
    for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS && !any; i++)
        if (s->news[i] != 0) {
            any = true;
            *target = i;
            *what = (enum vscsi_news)(s->news[i] & -s->news[i]);
            s->news[i] &= (uint8_t) ~*what;
        }
    lock_drop(&s->lock);
    return any;
}

static void bring_back(struct virtio_scsi *s, unsigned target, enum vscsi_news what)
{
    lock_take(&s->lock);
    s->news[target] |= (uint8_t)what;
    lock_drop(&s->lock);
}

static bool wants(const struct virtio_scsi *s, enum vscsi_news what)
{
    return virtio_has(&s->vdev, what == VSCSI_GROWN ? VSCSI_F_CHANGE : VSCSI_F_HOTPLUG);
}

static void fill_event(uint8_t p[EVENT_SIZE], unsigned target, enum vscsi_news what)
{
    memset(p, 0, EVENT_SIZE);
    st_le32(p, what == VSCSI_GROWN ? EVENT_PARAMETER : EVENT_RESET);
    p[4] = 1;
    p[5] = (uint8_t)target;
    st_le32(p + 12, what == VSCSI_GROWN     ? REASON_CAPACITY
                    : what == VSCSI_REMOVED ? REASON_REMOVED
                                            : REASON_RESCAN);
}

/* One event in the driver's next buffer; false: there is none. */
static bool send_event(struct virtio_scsi *s, unsigned target, enum vscsi_news what)
{
    struct virtq *q = &s->vdev.queues[VSCSI_EVENTS];
    struct iovec iov[VSCSI_CONTROL_SEGMENTS];
    gpa_t gpa[VSCSI_CONTROL_SEGMENTS];
    struct virtq_req r = {.iov = iov, .gpa = gpa, .max = VSCSI_CONTROL_SEGMENTS};
    uint8_t p[EVENT_SIZE];

    if (virtq_pop(q, &r) <= 0)
        return false;
    fill_event(p, target, what);
    virtq_push(q, &r, virtq_req_write(q, &r, 0, p, EVENT_SIZE));
    return true;
}

void vscsi_events(struct virtio_scsi *s)
{
    enum vscsi_news what;
    unsigned target;

    while (next_news(s, &target, &what))
        if (wants(s, what) && !send_event(s, target, what)) {
            bring_back(s, target, what); /* the driver kicks with its next buffer */
            break;
        }
    virtq_commit(&s->vdev.queues[VSCSI_EVENTS]);
}

void vscsi_tell(struct virtio_scsi *s, unsigned target, enum vscsi_news what)
{
    if (!virtio_live(&s->vdev))
        return; /* a driver looks for itself when it begins */
    lock_take(&s->lock);
    if (what == VSCSI_REMOVED)
        s->news[target] = 0;
    s->news[target] |= (uint8_t)what;
    lock_drop(&s->lock);
    virtio_kick(&s->vdev, VSCSI_EVENTS);
}
