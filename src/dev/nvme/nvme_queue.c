/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queues and PRPs. Everything on the loop's thread. */
#include <string.h>

#include "dev/nvme/nvme_internal.h"

struct completion { /* 4.6 */
    uint32_t result, reserved;
    uint16_t sq_head, sqid, cid, status;
};

/* --- PRPs, 4.3 --- */

/* The next piece of memory; joined with the last one where the host has both in a row. */
static bool add(struct nvme *n, struct nvme_data *d, gpa_t gpa, uint64_t bytes, bool write)
{
    uint8_t *p = ram_ptr(n->ram, gpa, bytes, write);
    struct iovec *last = d->count != 0 ? &d->iov[d->count - 1] : NULL;

    if (p == NULL)
        return false;
    if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == p &&
        d->gpa[d->count - 1] + last->iov_len == gpa) {
        last->iov_len += bytes;
        return true;
    }
    if (d->count == NVME_SEGMENTS)
        return false;
    d->gpa[d->count] = gpa;
    d->iov[d->count++] = (struct iovec){p, bytes};
    return true;
}

/* A list of pages; its last entry in a page names the rest of the list if there is more. */
static enum nvme_status map_list(struct nvme *n, gpa_t list, uint64_t bytes, bool write,
                                 struct nvme_data *d)
{
    uint64_t page;

    while (bytes != 0) {
        uint64_t len = bytes < NVME_PAGE ? bytes : NVME_PAGE;
        bool last = (list & (NVME_PAGE - 1)) == NVME_PAGE - 8;

        if (list % 8 != 0 || ram_read(n->ram, list, &page, 8) < 0)
            return NVME_DATA_ERROR;
        if (last && bytes > NVME_PAGE) {
            if (page % NVME_PAGE != 0)
                return NVME_BAD_PRP;
            list = page;
            continue;
        }
        if (page % NVME_PAGE != 0)
            return NVME_BAD_PRP;
        if (!add(n, d, page, len, write))
            return NVME_DATA_ERROR;
        bytes -= len;
        list += 8;
    }
    return NVME_OK;
}

enum nvme_status nvme_map(struct nvme *n, const struct nvme_command *c, uint64_t bytes, bool write,
                          struct nvme_data *d)
{
    uint64_t first = NVME_PAGE - (c->prp1 & (NVME_PAGE - 1));

    d->count = 0;
    if ((c->flags & 0xc0) != 0 || bytes > (uint64_t)NVME_PAGE << NVME_MDTS)
        return NVME_BAD_FIELD; /* SGLs are not offered */
    first = first < bytes ? first : bytes;
    if (c->prp1 % 4 != 0)
        return NVME_BAD_PRP;
    if (!add(n, d, c->prp1, first, write))
        return NVME_DATA_ERROR;
    bytes -= first;
    if (bytes == 0)
        return NVME_OK;
    if (bytes > NVME_PAGE)
        return map_list(n, c->prp2, bytes, write, d);
    if (c->prp2 % NVME_PAGE != 0)
        return NVME_BAD_PRP;
    return add(n, d, c->prp2, bytes, write) ? NVME_OK : NVME_DATA_ERROR;
}

enum nvme_status nvme_put(struct nvme *n, const struct nvme_command *c, const void *from,
                          size_t bytes)
{
    const uint8_t *p = from;
    struct nvme_data d;
    enum nvme_status s = nvme_map(n, c, bytes, true, &d);

    for (unsigned i = 0; i < d.count && s == NVME_OK; i++) {
        memcpy(d.iov[i].iov_base, p, d.iov[i].iov_len);
        ram_written(n->ram, d.gpa[i], d.iov[i].iov_len);
        p += d.iov[i].iov_len;
    }
    return s;
}

enum nvme_status nvme_get(struct nvme *n, const struct nvme_command *c, void *to, size_t bytes)
{
    uint8_t *p = to;
    struct nvme_data d;
    enum nvme_status s = nvme_map(n, c, bytes, false, &d);

    for (unsigned i = 0; i < d.count && s == NVME_OK; i++) {
        memcpy(p, d.iov[i].iov_base, d.iov[i].iov_len);
        p += d.iov[i].iov_len;
    }
    return s;
}

/* --- completion --- */

/* The head that the driver wrote to its memory, with shadow doorbells (7.13). */
static void take_head(struct nvme *n, unsigned id)
{
    uint32_t *shadow =
        id != 0 && n->shadow != 0 ? ram_ptr(n->ram, n->shadow + id * 8 + 4, 4, false) : NULL;

    if (shadow != NULL)
        __atomic_store_n(&n->cq[id].head, __atomic_load_n(shadow, __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
}

static bool cq_full(struct nvme *n, unsigned id)
{
    struct nvme_cq *q = &n->cq[id];
    uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);

    if (head < q->size && (q->tail + 1) % q->size != head)
        return false;
    take_head(n, id); /* it moves without a word to us */
    head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
    return head >= q->size || (q->tail + 1) % q->size == head;
}

/* A driver never has more commands under way than its completion queue has room for (4.1): where it
 * does, completions are lost. */
void nvme_complete(struct nvme *n, unsigned sqid, uint16_t cid, uint16_t status, uint32_t result)
{
    const struct nvme_sq *sq = &n->sq[sqid];
    struct nvme_cq *q = &n->cq[sq->cqid];
    struct completion e = {.result = result, .sqid = (uint16_t)sqid, .cid = cid};

    if (sq->size == 0 || q->size == 0 || cq_full(n, sq->cqid))
        return;
    e.sq_head = (uint16_t)sq->head;
    e.status = (uint16_t)(status << 1 | q->phase);
    if (status != NVME_OK)
        e.status |= 0x8000; /* do not retry */
    (void)!ram_write(n->ram, q->base + (uint64_t)q->tail * sizeof(e), &e, sizeof(e));
    if (++q->tail == q->size) {
        q->tail = 0;
        q->phase ^= 1;
    }
    n->notify[sq->cqid] = true;
}

void nvme_tell(struct nvme *n)
{
    for (unsigned i = 0; i <= NVME_QUEUES; i++)
        if (n->notify[i]) {
            n->notify[i] = false;
            nvme_interrupt(n, i);
        }
}

/* --- submission --- */

/* Where the driver wrote last: the register, or with shadow doorbells its memory (7.13). */
static uint32_t tail_of(struct nvme *n, unsigned id)
{
    uint32_t tail = __atomic_load_n(&n->sq[id].tail, __ATOMIC_ACQUIRE);
    uint32_t *shadow =
        id != 0 && n->shadow != 0 ? ram_ptr(n->ram, n->shadow + id * 8, 4, false) : NULL;

    return shadow != NULL ? __atomic_load_n(shadow, __ATOMIC_ACQUIRE) : tail;
}

/* From here on the driver has to use the register. */
static void want_bell(struct nvme *n, unsigned id, uint32_t tail)
{
    uint32_t *index =
        id != 0 && n->shadow != 0 ? ram_ptr(n->ram, n->event_index + id * 8, 4, true) : NULL;

    if (index == NULL)
        return;
    __atomic_store_n(index, tail, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ram_written(n->ram, n->event_index + id * 8, 4);
}

static void execute(struct nvme *n, unsigned id, const struct nvme_command *c)
{
    uint32_t result = 0;
    enum nvme_status s = id == 0 ? nvme_admin(n, c, &result) : nvme_io(n, id, c);

    if (s != NVME_PENDING)
        nvme_complete(n, id, c->cid, (uint16_t)s, result);
}

/* true: there was something. */
static bool serve_queue(struct nvme *n, unsigned id)
{
    struct nvme_sq *q = &n->sq[id];
    struct nvme_command c;
    bool any = false;

    for (unsigned left = NVME_ENTRIES; left > 0 && q->size != 0; left--) {
        uint32_t tail = tail_of(n, id);

        if (tail >= q->size || q->head == tail)
            break;
        if (ram_read(n->ram, q->base + (uint64_t)q->head * sizeof(c), &c, sizeof(c)) < 0)
            break;
        q->head = (q->head + 1) % q->size;
        execute(n, id, &c);
        any = true;
    }
    return any;
}

/* Queues without MSI-X need them for their line. */
static void take_heads(struct nvme *n)
{
    for (unsigned i = 1; i <= NVME_QUEUES && n->shadow != 0; i++)
        if (n->cq[i].size != 0)
            take_head(n, i);
}

/* Did the driver add something while it was not to ring? */
static bool more(struct nvme *n, unsigned id)
{
    uint32_t tail = tail_of(n, id);

    return id != 0 && n->shadow != 0 && tail < n->sq[id].size && tail != n->sq[id].head;
}

void nvme_serve(struct nvme *n, unsigned first)
{
    bool again;

    take_heads(n);
    do {
        again = false;
        for (unsigned i = first; i <= NVME_QUEUES; i++) {
            if (n->sq[i].size == 0)
                continue;
            again |= serve_queue(n, i);
            if (n->queue[i].channel != NULL)
                block_kick(n->queue[i].channel);
            if (n->sq[i].size != 0)
                want_bell(n, i, n->sq[i].head);
            again |= more(n, i);
        }
    } while (again);
    nvme_tell(n);
}
