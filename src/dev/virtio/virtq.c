/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtqueues: what does not depend on the layout. */
#include "dev/virtio/virtq.h"

#include <string.h>

#include "base/log.h"
#include "dev/virtio/virtq_internal.h"

void virtq_init(struct virtq *q, struct virtio_dev *d, unsigned index, uint16_t max_size)
{
    memset(q, 0, sizeof(*q));
    lock_init(&q->lock, LOCK_QUEUE);
    q->dev = d;
    q->index = index;
    q->max_size = max_size;
    virtq_reset(q);
}

void virtq_finish(struct virtq *q)
{
    lock_finish(&q->lock);
}

void virtq_reset(struct virtq *q)
{
    lock_take(&q->lock);
    q->size = q->max_size;
    q->enabled = false;
    q->desc = q->driver = q->device = 0;
    virtq_start(q);
    lock_drop(&q->lock);
}

void virtq_start(struct virtq *q)
{
    q->avail = q->used = 0;
    q->avail_wrap = q->used_wrap = true;
    q->inflight = q->staged = 0;
    q->signalled = 0;
    q->signalled_wrap = true;
    q->signalled_valid = false;
    q->kicks_wanted = true;
}

/* --- chains --- */

const char *virtq_add(struct virtq *q, struct virtq_req *r, const struct virtq_desc *d)
{
    bool write = (d->flags & DESC_WRITE) != 0;
    uint32_t *total = write ? &r->in_len : &r->out_len;
    uint16_t *count = write ? &r->in_count : &r->out_count;
    uint64_t addr = d->addr;
    uint32_t left = d->len;
    if (!write && r->in_count != 0)
        return "readable descriptor after a writable one";
    if (left > UINT32_MAX - *total)
        return "request longer than 4 GiB";
    *total += left;
    while (left != 0) {
        struct ram_region m;
        if (!ram_find(q->dev->ram, addr, &m) || (write && m.readonly))
            return "descriptor outside memory";
        if (r->out_count + r->in_count >= r->max)
            return "too many segments";
        uint64_t room = m.size - (addr - m.base);
        uint32_t n = left < room ? left : (uint32_t)room;
        r->gpa[r->out_count + r->in_count] = addr;
        r->iov[r->out_count + r->in_count] =
            (struct iovec){.iov_base = m.host + (addr - m.base), .iov_len = n};
        (*count)++;
        addr += n;
        left -= n;
    }
    return NULL;
}

const char *virtq_add_indirect(struct virtq *q, struct virtq_req *r, const struct virtq_desc *d,
                               bool split)
{
    uint32_t n = d->len / 16, i = 0;
    if (!virtio_has(q->dev, VIRTIO_FEATURE_INDIRECT) || (d->flags & DESC_NEXT) != 0)
        return "indirect descriptor where none may be";
    if (d->len % 16 != 0 || n == 0 || n > VIRTQ_MAX_CHAIN)
        return "indirect table of a bad length";
    const uint8_t *table = ram_ptr(q->dev->ram, d->addr, d->len, false);
    if (table == NULL)
        return "indirect table outside memory";
    for (uint32_t steps = 0; steps < n; steps++) {
        struct virtq_desc e = virtq_desc_load(table + 16 * (size_t)i);
        if (!split)
            virtq_desc_swap(&e);
        if ((e.flags & DESC_INDIRECT) != 0)
            return "indirect descriptor inside an indirect table";
        const char *why = virtq_add(q, r, &e);
        if (why != NULL)
            return why;
        if (split && (e.flags & DESC_NEXT) == 0)
            return NULL;
        i = split ? e.next : i + 1;
        if (split && i >= n)
            return "link out of an indirect table";
    }
    return split ? "loop in an indirect table" : NULL;
}

/* --- the interface --- */

static void announce(struct virtq *q, const struct virtq_dirty *d)
{
    for (unsigned i = 0; i < d->count; i++)
        ram_written(q->dev->ram, d->part[i].gpa, d->part[i].len);
}

static bool usable(const struct virtq *q)
{
    return q->enabled && virtio_live(q->dev);
}

int virtq_pop(struct virtq *q, struct virtq_req *r)
{
    const char *why = NULL;
    bool got = false;
    r->out_count = r->in_count = 0;
    r->out_len = r->in_len = 0;
    lock_take(&q->lock);
    if (usable(q))
        got = virtq_layout_of(q)->pop(q, r, &why);
    lock_drop(&q->lock);
    if (why != NULL)
        virtio_broken(q->dev, why);
    return got && why == NULL;
}

void virtq_unpop(struct virtq *q, struct virtq_req *r)
{
    lock_take(&q->lock);
    virtq_layout_of(q)->unpop(q, r);
    lock_drop(&q->lock);
}

void virtq_push(struct virtq *q, const struct virtq_req *r, uint32_t written)
{
    lock_take(&q->lock);
    if (usable(q))
        virtq_layout_of(q)->push(q, r, written);
    lock_drop(&q->lock);
}

void virtq_commit(struct virtq *q)
{
    struct virtq_dirty d = {0};
    bool interrupt = false;
    lock_take(&q->lock);
    if (usable(q) && q->staged != 0)
        interrupt = virtq_layout_of(q)->commit(q, &d);
    lock_drop(&q->lock);
    announce(q, &d);
    if (interrupt && q->dev->transport.notify_queue != NULL)
        q->dev->transport.notify_queue(q->dev->transport.opaque, q->index);
}

void virtq_kicks_off(struct virtq *q)
{
    struct virtq_dirty d = {0};
    lock_take(&q->lock);
    if (usable(q) && q->kicks_wanted) {
        q->kicks_wanted = false;
        virtq_layout_of(q)->kicks(q, false, &d);
    }
    lock_drop(&q->lock);
    announce(q, &d);
}

bool virtq_kicks_on(struct virtq *q)
{
    struct virtq_dirty d = {0};
    bool more = false;
    lock_take(&q->lock);
    if (usable(q)) {
        q->kicks_wanted = true;
        virtq_layout_of(q)->kicks(q, true, &d);
        /* The driver publishes, then looks whether we want a kick; we say that we do, then look
         * whether it has published. One of the two sees the other. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        more = !virtq_layout_of(q)->empty(q);
    }
    lock_drop(&q->lock);
    announce(q, &d);
    return more;
}

bool virtq_empty(struct virtq *q)
{
    lock_take(&q->lock);
    bool empty = !usable(q) || virtq_layout_of(q)->empty(q);
    lock_drop(&q->lock);
    return empty;
}

/* --- bytes of a request --- */

uint32_t virtq_req_read(const struct virtq_req *r, uint32_t offset, void *buf, uint32_t len)
{
    uint8_t *to = buf;
    for (unsigned i = 0; i < r->out_count && len != 0; i++) {
        const struct iovec *v = &r->iov[i];
        if (offset >= v->iov_len) {
            offset -= (uint32_t)v->iov_len;
            continue;
        }
        uint32_t n = (uint32_t)v->iov_len - offset;
        n = n < len ? n : len;
        memcpy(to, (uint8_t *)v->iov_base + offset, n);
        to += n;
        len -= n;
        offset = 0;
    }
    return (uint32_t)(to - (uint8_t *)buf);
}

/* Copies (from may be NULL: only announces). */
static uint32_t in_write(struct virtq *q, const struct virtq_req *r, uint32_t offset,
                         const uint8_t *from, uint32_t len)
{
    uint32_t done = 0;
    for (unsigned i = r->out_count; i < r->out_count + r->in_count && done < len; i++) {
        const struct iovec *v = &r->iov[i];
        if (offset >= v->iov_len) {
            offset -= (uint32_t)v->iov_len;
            continue;
        }
        uint32_t n = (uint32_t)v->iov_len - offset;
        n = n < len - done ? n : len - done;
        if (from != NULL)
            memcpy((uint8_t *)v->iov_base + offset, from + done, n);
        ram_written(q->dev->ram, r->gpa[i] + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

uint32_t virtq_req_write(struct virtq *q, const struct virtq_req *r, uint32_t offset,
                         const void *buf, uint32_t len)
{
    return in_write(q, r, offset, buf, len);
}

void virtq_req_written(struct virtq *q, const struct virtq_req *r, uint32_t offset, uint32_t len)
{
    in_write(q, r, offset, NULL, len);
}

void virtq_req_drop_out(struct virtq_req *r, uint32_t len)
{
    unsigned whole = 0;
    r->out_len -= len;
    while (whole < r->out_count && r->iov[whole].iov_len <= len)
        len -= (uint32_t)r->iov[whole++].iov_len;
    r->iov += whole;
    r->gpa += whole;
    r->max = (uint16_t)(r->max - whole);
    r->out_count = (uint16_t)(r->out_count - whole);
    if (len != 0 && r->out_count != 0) {
        r->iov[0].iov_base = (uint8_t *)r->iov[0].iov_base + len;
        r->iov[0].iov_len -= len;
        r->gpa[0] += len;
    }
}

void virtq_req_drop_in_tail(struct virtq_req *r, uint32_t len)
{
    struct iovec *in = virtq_req_in(r);
    r->in_len -= len;
    while (r->in_count != 0 && in[r->in_count - 1].iov_len <= len)
        len -= (uint32_t)in[--r->in_count].iov_len;
    if (r->in_count != 0)
        in[r->in_count - 1].iov_len -= len;
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct virtq, size, STATE_U16, VIRTQ_MAX_SIZE),
    STATE_BOOL_F(struct virtq, enabled),
    STATE_U64_F(struct virtq, desc),
    STATE_U64_F(struct virtq, driver),
    STATE_U64_F(struct virtq, device),
    STATE_U16_F(struct virtq, avail),
    STATE_U16_F(struct virtq, used),
    STATE_BOOL_F(struct virtq, avail_wrap),
    STATE_BOOL_F(struct virtq, used_wrap),
    STATE_MAX_F(struct virtq, inflight, STATE_U16, VIRTQ_MAX_SIZE),
    STATE_U16_F(struct virtq, signalled),
    STATE_BOOL_F(struct virtq, signalled_wrap),
    STATE_BOOL_F(struct virtq, signalled_valid),
    STATE_END_F,
};
const struct state_table virtq_state = {
    .name = "virtqueue", .version = 1, .fields = fields, .validate = NULL};
