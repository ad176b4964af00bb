/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network cards: cable, threads, memory; see nic.h. */
#include "dev/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "net/offload.h"

/* --- guest memory --- */

const void *nic_read(struct nic *n, gpa_t gpa, uint32_t len)
{
    return ram_ptr(n->cfg.ram, gpa, len, false);
}

/* Parts beyond NIC_DIRTY are no memory; see nic_make_room. */
void *nic_write(struct nic *n, gpa_t gpa, uint32_t len)
{
    void *p = n->dirty_count < NIC_DIRTY ? ram_ptr(n->cfg.ram, gpa, len, true) : NULL;

    if (p != NULL) {
        n->dirty[n->dirty_count].gpa = gpa;
        n->dirty[n->dirty_count++].len = len;
    }
    return p;
}

void nic_lock(struct nic *n)
{
    lock_take(&n->lock);
}

/* Only the loop's thread writes to memory; what is left here is its own. */
void nic_unlock(struct nic *n)
{
    unsigned count = n->dirty_count;

    n->dirty_count = 0;
    lock_drop(&n->lock);
    for (unsigned i = 0; i < count; i++)
        ram_written(n->cfg.ram, n->dirty[i].gpa, n->dirty[i].len);
}

void nic_make_room(struct nic *n)
{
    if (n->dirty_count < NIC_DIRTY)
        return;
    nic_unlock(n);
    nic_lock(n);
}

/* --- threads --- */

/* False: paused. */
static bool enter(struct nic *n)
{
    bool in;

    lock_take(&n->lock);
    in = !n->paused;
    n->running += in;
    lock_drop(&n->lock);
    return in;
}

static void leave(struct nic *n)
{
    lock_take(&n->lock);
    if (--n->running == 0)
        pthread_cond_broadcast(&n->idle);
    lock_drop(&n->lock);
}

static void run(void *opaque)
{
    struct nic *n = opaque;

    atomic_store(&n->posted, false);
    if (!enter(n))
        return;
    n->ops->run(n->self);
    if (atomic_exchange(&n->starved, false) && n->backend.ops != NULL)
        n->backend.ops->ready(n->backend.self);
    leave(n);
}

void nic_kick(struct nic *n)
{
    if (!atomic_exchange(&n->posted, true) && loop_post(n->cfg.loop, run, n) < 0)
        atomic_store(&n->posted, false); /* no memory: the next access tries again */
}

void nic_kick_starved(struct nic *n)
{
    if (atomic_load(&n->starved))
        nic_kick(n);
}

/* A loop that does not run is driven from here: nothing is under way. */
bool nic_quiesce(struct nic *n)
{
    bool here = loop_is_current(n->cfg.loop) || !loop_is_running(n->cfg.loop), was;

    lock_take(&n->lock);
    was = n->paused;
    n->paused = true;
    while (!here && n->running != 0)
        lock_wait(&n->lock, &n->idle);
    lock_drop(&n->lock);
    return was;
}

void nic_resume(struct nic *n)
{
    lock_take(&n->lock);
    n->paused = false;
    lock_drop(&n->lock);
    nic_kick(n);
}

/* --- the cable --- */

bool nic_link(const struct nic *n)
{
    return n->backend.ops != NULL && n->backend.ops->link_up(n->backend.self);
}

void nic_send(struct nic *n, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    if (n->backend.ops != NULL)
        n->backend.ops->send(n->backend.self, meta, frame, len);
}

void nic_send_end(struct nic *n)
{
    if (n->backend.ops != NULL)
        n->backend.ops->send_end(n->backend.self);
}

struct nic_wire nic_wire(const uint8_t *frame, size_t len, bool fcs)
{
    enum { SHORTEST = 60, FCS = 4 };
    struct nic_wire w = {.frame = frame, .len = len};
    size_t pad = len < SHORTEST ? SHORTEST - len : 0;

    w.total = len + pad;
    if (fcs) {
        st_le32(w.tail + pad,
                (uint32_t)crc32(crc32(0, frame, (unsigned)len), w.tail, (unsigned)pad));
        w.total += FCS;
    }
    return w;
}

void nic_wire_take(struct nic_wire *w, uint8_t *to, size_t n)
{
    size_t left = w->at < w->len ? w->len - w->at : 0, of_frame = left < n ? left : n;

    if (to != NULL) {
        memcpy(to, w->frame + w->at, of_frame);
        if (n > of_frame)
            memcpy(to + of_frame, w->tail + (w->at + of_frame - w->len), n - of_frame);
    }
    w->at += n;
}

static void emit(void *opaque, uint8_t *frame, size_t len)
{
    struct nic *n = opaque;

    n->ops->receive(n->self, frame, len, true);
}

static size_t gather(uint8_t *to, const struct iovec *iov, unsigned count)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        if (iov[i].iov_len > NET_FRAME_MAX - len)
            return 0;
        memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

/* How many frames it will be on the wire. */
static uint32_t pieces(const struct net_meta *m, size_t len)
{
    return m->gso == NET_GSO_NONE || m->gso_size == 0 ? 1 : (uint32_t)(len / m->gso_size) + 1;
}

/* A cable brings plain frames only: the rest is done here, on a copy. */
static void deliver(struct nic *n, const struct net_meta *m, const struct iovec *iov,
                    unsigned count)
{
    bool ready = (m->flags & NET_NEEDS_CSUM) == 0 && m->gso == NET_GSO_NONE;
    const uint8_t *frame = n->rx_frame;
    size_t len;

    if (ready && count == 1) {
        frame = iov[0].iov_base;
        len = iov[0].iov_len;
    } else {
        len = gather(n->rx_frame, iov, count);
    }
    if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
        return;
    if (m->gso != NET_GSO_NONE) {
        if (net_segment(n->rx_frame, len, m, emit, n) < 0)
            log_debug("network card: a frame to be segmented is malformed, dropped");
        return;
    }
    if (!ready && net_csum_complete(n->rx_frame, len, m) < 0)
        return;
    n->ops->receive(n->self, frame, len, !ready || (m->flags & NET_DATA_VALID) != 0);
}

/* The driver makes room, then looks whether a frame waits; we say that one does, then look whether
 * there is room. */
static bool room(struct nic *n, uint32_t frames)
{
    if (n->ops->fits(n->self, frames))
        return true;
    atomic_store(&n->starved, true);
    return n->ops->fits(n->self, frames);
}

static bool receive(void *opaque, const struct net_meta *m, const struct iovec *iov, unsigned count)
{
    struct nic *n = opaque;
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (!n->batch && !enter(n)) {
        atomic_store(&n->starved, true);
        return false;
    }
    if (!room(n, pieces(m, len))) {
        if (!n->batch)
            leave(n);
        return false;
    }
    n->batch = true;
    deliver(n, m, iov, count);
    return true;
}

static void receive_end(void *opaque)
{
    struct nic *n = opaque;

    if (!n->batch)
        return;
    n->ops->receive_end(n->self);
    n->batch = false;
    leave(n);
}

static void link_changed(void *opaque, bool up)
{
    struct nic *n = opaque;

    n->ops->link(n->self, up);
}

static const struct net_peer_ops peer = {
    .receive = receive, .receive_end = receive_end, .link = link_changed};

/* --- life --- */

int nic_init(struct nic *n, const struct nic_config *cfg, const struct nic_ops *ops, void *self,
             struct err *e)
{
    memset(n, 0, sizeof(*n));
    n->cfg = *cfg;
    if (cfg->backend != NULL)
        n->backend = *cfg->backend;
    n->ops = ops;
    n->self = self;
    n->tx_frame = malloc(NET_FRAME_MAX);
    n->rx_frame = malloc(NET_FRAME_MAX);
    lock_init(&n->lock, LOCK_DEVICE);
    pthread_cond_init(&n->idle, NULL);
    if (n->tx_frame != NULL && n->rx_frame != NULL)
        return 0;
    nic_finish(n);
    return err_set(e, ENOMEM, "no memory for a network card");
}

void nic_attach(struct nic *n)
{
    if (n->backend.ops == NULL)
        return;
    n->backend.ops->attach(n->backend.self, &peer, n);
    n->backend.ops->set_offloads(n->backend.self, n->ops->offloads);
}

void nic_detach(struct nic *n)
{
    if (n->backend.ops != NULL)
        n->backend.ops->attach(n->backend.self, NULL, NULL);
}

void nic_finish(struct nic *n)
{
    free(n->tx_frame);
    free(n->rx_frame);
    pthread_cond_destroy(&n->idle);
    lock_finish(&n->lock);
}
