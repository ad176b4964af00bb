/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio network device: reception (5.1.6.4).
 *
 * A frame takes one chain of buffers, or with mergeable buffers as many as it needs; they are
 * staged frame by frame and published together when the back end's batch ends, which is also when
 * the driver is interrupted. Between the two the device stays held, so that a pause comes either
 * before or after the batch.
 */
#include <endian.h>
#include <string.h>

#include "base/log.h"
#include "dev/virtio/virtio_net_internal.h"
#include "net/frame.h"

/* --- the filter, 5.1.6.5.1 and 5.1.6.5.2 --- */

static bool listed(const struct virtio_net *n, unsigned first, unsigned count, const uint8_t *mac)
{
    for (unsigned i = first; i < first + count; i++)
        if (memcmp(n->macs + i * 6, mac, 6) == 0)
            return true;
    return false;
}

static bool wanted(const struct virtio_net *n, const uint8_t *mac)
{
    if (n->rx_mode & RX_PROMISC)
        return true;
    if (net_is_broadcast(mac))
        return !(n->rx_mode & RX_NOBCAST);
    if (mac[0] & 1)
        return !(n->rx_mode & RX_NOMULTI) && ((n->rx_mode & (RX_ALLMULTI | RX_TABLE_FULL)) ||
                                              listed(n, n->uni_count, n->multi_count, mac));
    /* `mac` is only written on this thread (or while the device is closed): no lock. */
    return !(n->rx_mode & RX_NOUNI) &&
           ((n->rx_mode & (RX_ALLUNI | RX_TABLE_FULL)) || memcmp(mac, n->mac, 6) == 0 ||
            listed(n, 0, n->uni_count, mac));
}

/* --- buffers --- */

enum gather { GATHER_OK, GATHER_STARVED, GATHER_UNFIT };

static void put_back(struct virtio_net *n, struct virtq *q, unsigned count)
{
    while (count > 0)
        virtq_unpop(q, &n->rx[--count]);
}

/* Pops buffers for `need` bytes into n->rx. Starved: the driver kicks when it adds more. Unfit: the
 * frame fits into no buffers that this driver will ever post. */
static enum gather gather(struct virtio_net *n, struct virtq *q, uint32_t need, unsigned *count)
{
    unsigned limit = virtio_has(&n->vdev, VIRTIO_NET_F_MRG_RXBUF) ? VIRTIO_NET_MAX_MERGE : 1;
    unsigned used = 0, slots = 0;
    uint64_t room = 0;
    bool asked = false;
    *count = 0;
    while (room < need) {
        struct virtq_req *r = &n->rx[*count];
        if (*count == limit || VIRTIO_NET_RX_IOVS - used < VIRTQ_MAX_CHAIN || slots >= q->size) {
            put_back(n, q, *count);
            return GATHER_UNFIT;
        }
        *r = (struct virtq_req){.iov = n->rx_iov + used,
                                .gpa = n->rx_gpa + used,
                                .max = (uint16_t)(VIRTIO_NET_RX_IOVS - used)};
        if (virtq_pop(q, r) <= 0) {
            if (asked || !virtq_kicks_on(q)) {
                put_back(n, q, *count);
                return GATHER_STARVED;
            }
            asked = true;
            continue;
        }
        if (r->in_len < (*count == 0 ? VIRTIO_NET_HDR_LEN : 1)) {
            virtio_broken(&n->vdev, "a receive buffer without room");
            return GATHER_UNFIT;
        }
        used += (unsigned)r->out_count + r->in_count;
        slots += r->slots;
        room += r->in_len;
        ++*count;
    }
    if (asked)
        virtq_kicks_off(q);
    return GATHER_OK;
}

/* Where the next byte goes: buffer and offset. */
struct cursor {
    unsigned index;
    uint32_t offset;
};

static void put(struct virtio_net *n, struct virtq *q, struct cursor *c, const void *buf,
                size_t len)
{
    const uint8_t *from = buf;
    while (len > 0) {
        const struct virtq_req *r = &n->rx[c->index];
        uint32_t room = r->in_len - c->offset;
        uint32_t size = len < room ? (uint32_t)len : room;
        virtq_req_write(q, r, c->offset, from, size);
        from += size;
        len -= size;
        c->offset += size;
        if (c->offset == r->in_len)
            *c = (struct cursor){c->index + 1, 0};
    }
}

static void stage(struct virtio_net *n, struct virtq *q, unsigned count, uint32_t total)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = total < n->rx[i].in_len ? total : n->rx[i].in_len;
        virtq_push(q, &n->rx[i], size);
        total -= size;
    }
}

/* --- frames --- */

static struct virtio_net_hdr header_of(const struct net_meta *m, unsigned offloads, unsigned count)
{
    struct virtio_net_hdr h = {.num_buffers = htole16((uint16_t)count)};
    if (offloads & NET_OFFLOAD_CSUM)
        h.flags = m->flags & (NET_NEEDS_CSUM | NET_DATA_VALID);
    if (h.flags & NET_NEEDS_CSUM) {
        h.csum_start = htole16(m->csum_start);
        h.csum_offset = htole16(m->csum_offset);
    }
    if (m->gso != NET_GSO_NONE) {
        h.gso_type = m->gso;
        h.gso_size = htole16(m->gso_size);
        h.hdr_len = htole16(m->hdr_len);
    }
    return h;
}

/* A frame made for offloads that are not in force (any more). */
static bool unsuitable(const struct net_meta *m, unsigned offloads)
{
    unsigned needs = m->flags & NET_NEEDS_CSUM ? NET_OFFLOAD_CSUM : 0;
    unsigned gso = m->gso & ~(unsigned)NET_GSO_ECN;
    if (gso == NET_GSO_TCP4)
        needs |= NET_OFFLOAD_TSO4;
    else if (gso == NET_GSO_TCP6)
        needs |= NET_OFFLOAD_TSO6;
    return (offloads & needs) != needs;
}

static size_t iov_total(const struct iovec *iov, unsigned count)
{
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += iov[i].iov_len;
    return len;
}

/* False: no room now. */
static bool receive_held(struct virtio_net *n, const struct net_meta *m, const struct iovec *iov,
                         unsigned count, bool *staged)
{
    struct virtq *q = &n->vdev.queues[VIRTIO_NET_RX];
    unsigned offloads = virtio_net_offloads(n), buffers;
    size_t len = iov_total(iov, count);
    if (count == 0 || iov[0].iov_len < NET_ETH_LEN || len > NET_FRAME_MAX ||
        unsuitable(m, offloads) || !wanted(n, iov[0].iov_base))
        return true;
    switch (gather(n, q, VIRTIO_NET_HDR_LEN + (uint32_t)len, &buffers)) {
    case GATHER_STARVED:
        return !virtio_live(&n->vdev);
    case GATHER_UNFIT:
        log_guest("virtio-net: a frame of %zu bytes fits into no receive buffer", len);
        return true;
    default:
        break;
    }
    struct virtio_net_hdr h = header_of(m, offloads, buffers);
    struct cursor c = {0};
    put(n, q, &c, &h, VIRTIO_NET_HDR_LEN);
    for (unsigned i = 0; i < count; i++)
        put(n, q, &c, iov[i].iov_base, iov[i].iov_len);
    stage(n, q, buffers, VIRTIO_NET_HDR_LEN + (uint32_t)len);
    *staged = true;
    return true;
}

static bool receive(void *opaque, const struct net_meta *m, const struct iovec *iov, unsigned count)
{
    struct virtio_net *n = opaque;
    bool staged = false;
    if (!virtio_hold(&n->vdev))
        return !virtio_live(&n->vdev); /* paused: keep it; in reset: nobody is there */
    bool taken = !virtio_live(&n->vdev) || receive_held(n, m, iov, count, &staged);
    if (staged && !n->rx_held)
        n->rx_held = true;
    else
        virtio_release(&n->vdev);
    return taken;
}

static void receive_end(void *opaque)
{
    struct virtio_net *n = opaque;
    if (!n->rx_held)
        return;
    virtq_commit(&n->vdev.queues[VIRTIO_NET_RX]);
    n->rx_held = false;
    virtio_release(&n->vdev);
}

static void link_changed(void *opaque, bool up)
{
    struct virtio_net *n = opaque;
    lock_take(&n->lock);
    bool changed = n->link != up;
    n->link = up;
    lock_drop(&n->lock);
    if (changed)
        virtio_config_changed(&n->vdev);
}

const struct net_peer_ops virtio_net_peer = {
    .receive = receive,
    .receive_end = receive_end,
    .link = link_changed,
};

/* The driver added buffers (or the device came back to life). */
void virtio_net_run_rx(struct virtio_net *n)
{
    virtq_kicks_off(&n->vdev.queues[VIRTIO_NET_RX]);
    if (n->backend.ops != NULL)
        n->backend.ops->ready(n->backend.self);
}
