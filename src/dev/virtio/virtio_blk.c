/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio block device, virtio 1.2 section 5.2.
 *
 * Each queue has a block channel on the loop that serves it and a pool of requests, so a request
 * passes through without a lock of ours and without an allocation:
 *
 *   run:  pop -> check -> block_submit   (all that is available), block_kick, once
 *   done: status byte, virtq_push        (each)
 *   end:  virtq_commit                   (once for a batch: one index update, one interrupt)
 *
 * A queue holds the device from its first request under way to the commit of the last one.
 */
#include "dev/virtio/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/freelist.h"

#define QUEUE_SIZE 256
#define BUDGET (4 * QUEUE_SIZE) /* requests before others on the loop have their turn */
#define SEG_MAX 254
#define SEGMENTS (SEG_MAX + 2 + 8) /* header, status, and some that memory regions cut in two */
#define RANGES_MAX 16              /* of a discard or write zeroes request */
#define RANGE_SECTORS (1u << 20)
#define SECTOR BLOCK_SECTOR

/* 5.2.3 */
enum blk_feature {
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,
};

/* 5.2.6 */
enum blk_type {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13
};
enum blk_status { S_OK, S_IOERR, S_UNSUPP };
#define RANGE_UNMAP 1

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct blk_range {
    uint64_t sector;
    uint32_t sectors, flags;
};

/* 5.2.4 */
struct blk_space {
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t blk_size;
    uint8_t physical_block_exp, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

struct blk_queue;

struct blk_request {
    void *next_free;
    struct virtq_req vr;
    struct block_req io;
    struct blk_queue *queue;
    uint8_t *status;
    gpa_t status_gpa;
    uint32_t written; /* bytes of the in part, the status included */
    unsigned range, ranges;
    bool flush_after; /* write-through: ranges are followed by a flush */
    struct blk_range list[RANGES_MAX];
    gpa_t gpa[SEGMENTS];
    struct iovec iov[SEGMENTS];
};

struct blk_queue {
    struct virtio_blk *blk;
    struct virtq *vq;
    struct block_channel *channel;
    struct freelist requests; /* struct blk_request, QUEUE_SIZE of them */
    unsigned inflight;        /* submitted to the channel */
};

struct virtio_blk {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    struct block_backend *backend;
    unsigned queue_count;
    struct blk_queue queues[VIRTIO_BLK_MAX_QUEUES];
    struct blk_space space; /* all but capacity and writeback, constant */
    uint64_t capacity;      /* sectors; atomic accesses */
    char serial[20];
    uint8_t writeback; /* state; atomic accesses */
};

/* --- requests --- */

static struct blk_request *request_get(struct blk_queue *q)
{
    struct blk_request *r = freelist_get(&q->requests);
    if (r != NULL) {
        r->queue = q;
        r->vr.iov = r->iov;
        r->vr.gpa = r->gpa;
        r->vr.max = SEGMENTS;
    }
    return r;
}

static void request_put(struct blk_request *r)
{
    freelist_put(&r->queue->requests, r);
}

/* Status, used element; the driver sees them with the next commit. */
static void finish(struct blk_request *r, enum blk_status status)
{
    struct blk_queue *q = r->queue;
    *r->status = (uint8_t)status;
    ram_written(q->blk->vdev.ram, r->status_gpa, 1);
    virtq_push(q->vq, &r->vr, r->written);
    request_put(r);
}

static void submit(struct blk_request *r)
{
    struct blk_queue *q = r->queue;
    if (q->inflight++ == 0)
        virtio_hold_more(&q->blk->vdev);
    block_submit(q->channel, &r->io);
}

static void submit_range(struct blk_request *r)
{
    const struct blk_range *g = &r->list[r->range++];
    r->io.offset = g->sector * SECTOR;
    r->io.bytes = (uint64_t)g->sectors * SECTOR;
    r->io.unmap = (g->flags & RANGE_UNMAP) != 0;
    submit(r);
}

/* The next step of a request that has several; false: there is none. */
static bool next_step(struct blk_request *r)
{
    if (r->range < r->ranges) {
        submit_range(r);
        return true;
    }
    if (!r->flush_after)
        return false;
    r->flush_after = false;
    r->io.op = BLOCK_FLUSH;
    submit(r);
    return true;
}

static void io_done(struct block_req *io, int result)
{
    struct blk_request *r = io->opaque;
    struct blk_queue *q = r->queue;
    if (result < 0 || !next_step(r)) {
        if (io->op == BLOCK_READ)
            virtq_req_written(q->vq, &r->vr, 0, r->vr.in_len);
        finish(r, result < 0 ? S_IOERR : S_OK);
    }
    q->inflight--;
}

static void batch_end(void *opaque)
{
    struct blk_queue *q = opaque;
    virtq_commit(q->vq);
    if (q->inflight == 0)
        virtio_release(&q->blk->vdev);
}

/* --- what the driver asks for --- */

static bool inside(const struct virtio_blk *b, uint64_t sector, uint64_t bytes)
{
    uint64_t capacity = __atomic_load_n(&b->capacity, __ATOMIC_RELAXED);
    return bytes % SECTOR == 0 && sector <= capacity && bytes / SECTOR <= capacity - sector;
}

static bool writeback(const struct virtio_blk *b)
{
    return __atomic_load_n(&b->writeback, __ATOMIC_RELAXED) != 0;
}

static void transfer(struct virtio_blk *b, struct blk_request *r, uint64_t sector)
{
    bool write = r->io.op == BLOCK_WRITE;
    uint32_t bytes = write ? r->vr.out_len : r->vr.in_len;
    if (!inside(b, sector, bytes) || (write && block_readonly(b->backend))) {
        finish(r, S_IOERR);
        return;
    }
    r->io.offset = sector * SECTOR;
    r->io.bytes = bytes;
    r->io.iov = write ? r->vr.iov : virtq_req_in(&r->vr);
    r->io.iov_count = write ? r->vr.out_count : r->vr.in_count;
    r->io.durable = write && !writeback(b);
    submit(r);
}

static enum blk_status check_range(const struct virtio_blk *b, const struct blk_range *g,
                                   bool discard)
{
    if ((g->flags & ~(discard ? 0u : RANGE_UNMAP)) != 0)
        return S_UNSUPP;
    if (g->sectors > RANGE_SECTORS || !inside(b, g->sector, (uint64_t)g->sectors * SECTOR))
        return S_IOERR;
    return S_OK;
}

static void ranges(struct virtio_blk *b, struct blk_request *r)
{
    uint32_t len = r->vr.out_len;
    enum blk_status status = S_OK;
    if (len == 0 || len % sizeof(r->list[0]) != 0 || len > sizeof(r->list) ||
        block_readonly(b->backend)) {
        finish(r, S_IOERR);
        return;
    }
    virtq_req_read(&r->vr, 0, r->list, len);
    r->ranges = len / sizeof(r->list[0]);
    for (unsigned i = 0; i < r->ranges && status == S_OK; i++)
        status = check_range(b, &r->list[i], r->io.op == BLOCK_DISCARD);
    if (status != S_OK) {
        finish(r, status);
        return;
    }
    r->flush_after = !writeback(b);
    submit_range(r);
}

static void get_id(struct virtio_blk *b, struct blk_request *r)
{
    virtq_req_write(r->queue->vq, &r->vr, 0, b->serial, sizeof(b->serial));
    finish(r, S_OK);
}

static void dispatch(struct virtio_blk *b, struct blk_request *r, const struct blk_header *h)
{
    switch (h->type) {
    case T_IN:
        r->io.op = BLOCK_READ;
        transfer(b, r, h->sector);
        return;
    case T_OUT:
        r->io.op = BLOCK_WRITE;
        transfer(b, r, h->sector);
        return;
    case T_FLUSH:
        r->io.op = BLOCK_FLUSH;
        submit(r);
        return;
    case T_GET_ID:
        get_id(b, r);
        return;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        if (!virtio_has(&b->vdev, h->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES))
            break;
        r->io.op = h->type == T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES;
        ranges(b, r);
        return;
    default:
        break;
    }
    finish(r, S_UNSUPP);
}

/* Takes header and status off a request and starts it. Both may lie in any segments (2.7.4). */
static void handle(struct blk_request *r)
{
    struct virtio_blk *b = r->queue->blk;
    struct blk_header h;
    if (r->vr.in_len == 0) {
        virtio_broken(&b->vdev, "block request without a status byte");
        request_put(r);
        return;
    }
    unsigned last = r->vr.out_count + r->vr.in_count - 1u;
    r->status = (uint8_t *)r->vr.iov[last].iov_base + r->vr.iov[last].iov_len - 1;
    r->status_gpa = r->vr.gpa[last] + r->vr.iov[last].iov_len - 1;
    r->written = r->vr.in_len;
    r->range = r->ranges = 0;
    r->flush_after = false;
    r->io = (struct block_req){.done = io_done, .opaque = r};
    virtq_req_drop_in_tail(&r->vr, 1);
    if (virtq_req_read(&r->vr, 0, &h, sizeof(h)) < sizeof(h)) {
        finish(r, S_IOERR);
        return;
    }
    virtq_req_drop_out(&r->vr, sizeof(h));
    dispatch(b, r, &h);
}

static void blk_run(void *self, unsigned queue)
{
    struct virtio_blk *b = self;
    struct blk_queue *q = &b->queues[queue];
    unsigned budget = BUDGET;
    do {
        struct blk_request *r;
        virtq_kicks_off(q->vq);
        while ((r = request_get(q)) != NULL && budget != 0 && virtq_pop(q->vq, &r->vr) > 0) {
            handle(r);
            budget--;
        }
        if (r != NULL)
            request_put(r);
        block_kick(q->channel);
    } while (budget != 0 && virtq_kicks_on(q->vq));
    virtq_commit(q->vq);
    if (budget == 0)
        virtio_kick(&b->vdev, queue);
}

/* --- configuration and life --- */

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_blk *b = self;
    struct blk_space s = b->space;
    s.capacity = __atomic_load_n(&b->capacity, __ATOMIC_RELAXED);
    s.writeback = writeback(b);
    memcpy(buf, (const uint8_t *)&s + offset, len);
}

static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len)
{
    struct virtio_blk *b = self;
    const uint8_t *bytes = buf;
    if (offset == offsetof(struct blk_space, writeback) && len == 1 &&
        virtio_has(&b->vdev, F_CONFIG_WCE))
        __atomic_store_n(&b->writeback, bytes[0] & 1, __ATOMIC_RELAXED);
}

/* A driver that knows no flushes must find its writes on stable storage, 5.2.5.2. */
static void blk_ready(void *self)
{
    struct virtio_blk *b = self;
    if (!virtio_has(&b->vdev, F_FLUSH) && !virtio_has(&b->vdev, F_CONFIG_WCE))
        __atomic_store_n(&b->writeback, 0, __ATOMIC_RELAXED);
}

static void blk_reset(void *self)
{
    struct virtio_blk *b = self;
    __atomic_store_n(&b->writeback, 1, __ATOMIC_RELAXED);
}

static void blk_drain(void *self)
{
    struct virtio_blk *b = self;
    for (unsigned i = 0; i < b->queue_count; i++)
        if (block_channel_drainable(b->queues[i].channel))
            block_drain(b->queues[i].channel);
}

static const struct virtio_ops blk_virtio_ops = {
    .name = "virtio-blk",
    .device_id = VIRTIO_DEV_BLOCK,
    .config_read = config_read,
    .config_write = config_write,
    .ready = blk_ready,
    .run = blk_run,
    .reset = blk_reset,
    .drain = blk_drain,
};

static void fill_space(struct virtio_blk *b)
{
    unsigned physical = block_physical_size(b->backend) / SECTOR;
    b->space = (struct blk_space){
        .seg_max = SEG_MAX,
        .blk_size = SECTOR,
        .physical_block_exp = (uint8_t)__builtin_ctz(physical),
        .min_io_size = (uint16_t)physical,
        .num_queues = (uint16_t)b->queue_count,
        .max_discard_sectors = RANGE_SECTORS,
        .max_discard_seg = RANGES_MAX,
        .discard_sector_alignment = physical,
        .max_write_zeroes_sectors = RANGE_SECTORS,
        .max_write_zeroes_seg = RANGES_MAX,
        .write_zeroes_may_unmap = 1,
    };
}

static uint64_t features(const struct virtio_blk *b)
{
    uint64_t f = VIRTIO_BIT(F_SEG_MAX) | VIRTIO_BIT(F_BLK_SIZE) | VIRTIO_BIT(F_TOPOLOGY) |
                 VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_CONFIG_WCE);
    if (b->queue_count > 1)
        f |= VIRTIO_BIT(F_MQ);
    if (block_readonly(b->backend))
        return f | VIRTIO_BIT(F_RO);
    return f | VIRTIO_BIT(F_DISCARD) | VIRTIO_BIT(F_WRITE_ZEROES);
}

static int queue_open(struct virtio_blk *b, unsigned i, struct loop *loop)
{
    struct blk_queue *q = &b->queues[i];
    q->blk = b;
    q->vq = &b->vdev.queues[i];
    int r = freelist_init(&q->requests, QUEUE_SIZE, sizeof(struct blk_request));
    if (r == 0)
        r = virtio_queue_loop(&b->vdev, i, loop);
    return r < 0 ? r : block_channel_open(b->backend, loop, batch_end, q, &q->channel);
}

static void queues_close(struct virtio_blk *b)
{
    for (unsigned i = 0; i < b->queue_count; i++) {
        block_channel_close(b->queues[i].channel);
        freelist_finish(&b->queues[i].requests);
    }
}

static void blk_device_reset(void *self)
{
    struct virtio_blk *b = self;
    virtio_pci_reset(&b->pci);
}

static void blk_device_pause(void *self)
{
    struct virtio_blk *b = self;
    virtio_pci_pause(&b->pci);
}

static void blk_device_resume(void *self)
{
    struct virtio_blk *b = self;
    virtio_pci_resume(&b->pci);
}

static void blk_device_restore(void *self)
{
    struct virtio_blk *b = self;
    virtio_pci_restore(&b->pci);
}

static void blk_destroy(void *self)
{
    struct virtio_blk *b = self;
    if (b == NULL)
        return;
    virtio_pci_finish(&b->pci);
    queues_close(b);
    virtio_dev_finish(&b->vdev);
    free(b);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct virtio_blk, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_blk, pci, 1, &virtio_pci_state),
    STATE_MAX_F(struct virtio_blk, writeback, STATE_U8, 1),
    STATE_END_F,
};
static const struct state_table blk_state = {
    .name = "virtio-blk", .version = 1, .fields = fields, .validate = NULL};

static const struct device_ops blk_ops = {
    .name = "virtio-blk",
    .reset = blk_device_reset,
    .pause = blk_device_pause,
    .resume = blk_device_resume,
    .restore = blk_device_restore,
    .destroy = blk_destroy,
    .state = &blk_state,
};

static int blk_init(struct virtio_blk *b, const struct virtio_blk_config *cfg, struct err *e)
{
    struct virtio_dev_config vc = {
        .ops = &blk_virtio_ops,
        .self = b,
        .ram = cfg->place.ram,
        .features = features(b),
        .no_packed = cfg->place.no_packed,
        .config_size = sizeof(struct blk_space),
        .queue_count = b->queue_count,
        .queue_size = QUEUE_SIZE,
        .loop = cfg->loops[0],
    };
    int r = virtio_dev_init(&b->vdev, &vc);
    if (r < 0)
        return err_set(e, -r, "cannot set up a disk: %s", strerror(-r));
    for (unsigned i = 0; i < b->queue_count && r == 0; i++)
        r = queue_open(b, i, cfg->loops[i % cfg->loop_count]);
    if (r < 0)
        err_set(e, -r, "cannot set up I/O for disk '%s': %s", block_path(b->backend), strerror(-r));
    else
        r = virtio_pci_init(&b->pci, &b->vdev, &cfg->place, 0x010000, e);
    if (r < 0) {
        queues_close(b);
        virtio_dev_finish(&b->vdev);
    }
    return r;
}

int virtio_blk_create(const struct virtio_blk_config *cfg, struct device *out, struct err *e)
{
    struct virtio_blk *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return err_set(e, ENOMEM, "no memory for a disk");
    b->backend = cfg->backend;
    b->queue_count = cfg->queues < VIRTIO_BLK_MAX_QUEUES ? cfg->queues : VIRTIO_BLK_MAX_QUEUES;
    b->writeback = 1;
    b->capacity = block_size(b->backend) / SECTOR;
    fill_space(b);
    if (cfg->serial != NULL)
        memcpy(b->serial, cfg->serial, strnlen(cfg->serial, sizeof(b->serial)));
    int r = blk_init(b, cfg, e);
    if (r < 0) {
        free(b);
        return r;
    }
    *out = (struct device){&blk_ops, b};
    return 0;
}

void virtio_blk_resized(void *self, const struct block_backend *backend)
{
    struct virtio_blk *b = self;
    if (b->backend != backend)
        return;
    __atomic_store_n(&b->capacity, block_size(backend) / SECTOR, __ATOMIC_RELAXED);
    virtio_config_changed(&b->vdev);
}
