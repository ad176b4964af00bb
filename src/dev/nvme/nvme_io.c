/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the NVM command set: chapter 6. */
#include <errno.h>
#include <stdlib.h>

#include "dev/nvme/nvme_internal.h"

enum opcode { OP_FLUSH = 0, OP_WRITE = 1, OP_READ = 2, OP_WRITE_ZEROES = 8, OP_DATASET = 9 };
enum { FUA = 1u << 30, DEALLOCATE = 1u << 25, DATASET_DEALLOCATE = 1u << 2 };

static struct nvme_request *request_get(struct nvme_queue *q)
{
    if (q->requests.things == NULL &&
        freelist_init(&q->requests, NVME_ENTRIES, sizeof(struct nvme_request)) < 0)
        return NULL;
    return freelist_get(&q->requests);
}

static void request_put(struct nvme_request *r)
{
    free(r->ranges);
    r->ranges = NULL;
    freelist_put(&r->queue->requests, r);
}

static enum nvme_status status_of(enum block_op op, int result)
{
    if (result == 0)
        return NVME_OK;
    return op == BLOCK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
}

static void start(struct nvme_request *r)
{
    if (r->queue->inflight++ == 0)
        nvme_busy(r->queue->n, 1);
    block_submit(r->queue->channel, &r->io);
}

static void next_range(struct nvme_request *r)
{
    const struct nvme_range *g = &r->ranges[r->range++];

    r->io.offset = g->lba * BLOCK_SECTOR;
    r->io.bytes = (uint64_t)g->blocks * BLOCK_SECTOR;
    start(r);
}

static void done(struct block_req *io, int result)
{
    struct nvme_request *r = io->opaque;
    struct nvme_queue *q = r->queue;

    if (result == 0 && r->range < r->range_count) {
        next_range(r);
    } else {
        for (unsigned i = 0; io->op == BLOCK_READ && i < r->data.count; i++)
            ram_written(q->n->ram, r->data.gpa[i], r->data.iov[i].iov_len);
        nvme_complete(q->n, q->id, r->cid, (uint16_t)status_of(io->op, result), 0);
        request_put(r);
    }
    q->inflight--;
}

/* A queue is busy from its first request to the last completion that was told. */
void nvme_batch_end(void *opaque)
{
    struct nvme_queue *q = opaque;

    nvme_tell(q->n);
    if (q->inflight == 0)
        nvme_busy(q->n, -1);
}

static bool inside(const struct nvme *n, uint64_t lba, uint64_t blocks)
{
    uint64_t size = block_size(n->backend) / BLOCK_SECTOR;

    return lba <= size && blocks <= size - lba;
}

static enum nvme_status transfer(struct nvme *n, struct nvme_request *r,
                                 const struct nvme_command *c)
{
    uint64_t lba = c->cdw10 | (uint64_t)c->cdw11 << 32, blocks = (c->cdw12 & 0xffff) + 1;
    bool write = c->opcode == OP_WRITE;
    enum nvme_status s;

    if (!inside(n, lba, blocks))
        return NVME_BAD_RANGE;
    s = nvme_map(n, c, blocks * BLOCK_SECTOR, !write, &r->data);
    if (s != NVME_OK)
        return s;
    r->io.op = write ? BLOCK_WRITE : BLOCK_READ;
    r->io.offset = lba * BLOCK_SECTOR;
    r->io.bytes = blocks * BLOCK_SECTOR;
    r->io.iov = r->data.iov;
    r->io.iov_count = r->data.count;
    r->io.durable = write && ((c->cdw12 & FUA) != 0 || (n->features[NVME_FEATURE_CACHE] & 1) == 0);
    start(r);
    return NVME_PENDING;
}

static enum nvme_status write_zeroes(struct nvme *n, struct nvme_request *r,
                                     const struct nvme_command *c)
{
    uint64_t lba = c->cdw10 | (uint64_t)c->cdw11 << 32, blocks = (c->cdw12 & 0xffff) + 1;

    if (!inside(n, lba, blocks))
        return NVME_BAD_RANGE;
    r->io.op = BLOCK_WRITE_ZEROES;
    r->io.unmap = (c->cdw12 & DEALLOCATE) != 0;
    r->io.offset = lba * BLOCK_SECTOR;
    r->io.bytes = blocks * BLOCK_SECTOR;
    start(r);
    return NVME_PENDING;
}

static enum nvme_status dataset(struct nvme *n, struct nvme_request *r,
                                const struct nvme_command *c)
{
    unsigned count = (c->cdw10 & 0xff) + 1;
    enum nvme_status s;

    if ((c->cdw11 & DATASET_DEALLOCATE) == 0)
        return NVME_OK; /* hints about the use of the data */
    r->ranges = calloc(NVME_RANGES, sizeof(*r->ranges));
    if (r->ranges == NULL)
        return NVME_INTERNAL;
    s = nvme_get(n, c, r->ranges, count * sizeof(*r->ranges));
    for (unsigned i = 0; i < count && s == NVME_OK; i++)
        if (!inside(n, r->ranges[i].lba, r->ranges[i].blocks))
            s = NVME_BAD_RANGE;
    if (s != NVME_OK)
        return s;
    r->range_count = count;
    r->io.op = BLOCK_DISCARD;
    next_range(r);
    return NVME_PENDING;
}

static enum nvme_status dispatch(struct nvme *n, struct nvme_request *r,
                                 const struct nvme_command *c)
{
    if (c->nsid != 1 && !(c->opcode == OP_FLUSH && c->nsid == UINT32_MAX))
        return NVME_BAD_NAMESPACE;
    if (c->opcode != OP_READ && c->opcode != OP_FLUSH && block_readonly(n->backend))
        return NVME_READ_ONLY;
    switch (c->opcode) {
    case OP_READ:
    case OP_WRITE:
        return transfer(n, r, c);
    case OP_FLUSH:
        r->io.op = BLOCK_FLUSH;
        start(r);
        return NVME_PENDING;
    case OP_WRITE_ZEROES:
        return write_zeroes(n, r, c);
    case OP_DATASET:
        return dataset(n, r, c);
    default:
        return NVME_BAD_OPCODE;
    }
}

enum nvme_status nvme_io(struct nvme *n, unsigned sqid, const struct nvme_command *c)
{
    struct nvme_queue *q = &n->queue[sqid];
    struct nvme_request *r = nvme_channel(q) != NULL ? request_get(q) : NULL;
    enum nvme_status s;

    if (r == NULL)
        return NVME_INTERNAL;
    r->queue = q;
    r->cid = c->cid;
    r->range = r->range_count = 0;
    r->data.count = 0;
    r->io = (struct block_req){.done = done, .opaque = r};
    s = dispatch(n, r, c);
    if (s != NVME_PENDING)
        request_put(r);
    return s;
}
