/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What network cards other than virtio's have in common: a PCI function, a cable, the threads, and
 * making plain frames of what crosses the cable.
 *
 * A card's registers are read and written on vCPUs' threads, under `lock`. Its rings are served on
 * the loop's thread, which is also the back end's: `run` after nic_kick, `receive` for a frame.
 * Both may hold the lock for one frame's DMA at most, so that a driver that has reset the card can
 * be sure of its memory; what they write there is announced by nic_unlock.
 */
#ifndef DOPPEL_DEV_NIC_H
#define DOPPEL_DEV_NIC_H

#include <stdatomic.h>

#include "base/lock.h"
#include "bus/pci.h"
#include "dev/device.h"
#include "loop/loop.h"
#include "mem/ram.h"
#include "net/net.h"

struct nic_config {
    struct pci_bus *bus;
    unsigned devfn;
    struct ram *ram;
    struct loop *loop;
    struct vclock *clock;
    const struct net_backend *backend; /* outlives the device; NULL: no cable */
    uint8_t mac[6];
};

/* On the loop's thread, with no lock held. */
struct nic_ops {
    unsigned offloads;       /* NET_OFFLOAD_*: which frames it takes, made plain before `receive` */
    void (*run)(void *self); /* the driver did something */
    /* Is there room for so many frames of up to NET_MTU, or for as many as there can be? Also true
     * where frames are thrown away. */
    bool (*fits)(void *self, uint32_t frames);
    /* A frame without FCS, all sums made; `verified`: known to be right. It may find no room. */
    void (*receive)(void *self, const uint8_t *frame, size_t len, bool verified);
    void (*receive_end)(void *self); /* the time to interrupt the guest */
    void (*link)(void *self, bool up);
};

#define NIC_DIRTY 96u /* parts of guest memory that one frame may write */

struct nic {
    struct nic_config cfg;
    struct net_backend backend; /* ops NULL: no cable */
    const struct nic_ops *ops;
    void *self;
    struct pci_func func; /* the card's to set up and to finish */
    struct lock lock;
    struct {
        gpa_t gpa;
        uint32_t len;
    } dirty[NIC_DIRTY];   /* lock */
    unsigned dirty_count; /* lock */
    pthread_cond_t idle;
    unsigned running; /* lock: calls and batches under way on the loop */
    bool paused;      /* lock */
    atomic_bool posted;
    atomic_bool starved; /* a frame waits for room */
    bool batch;          /* loop: since the first frame, until receive_end */
    uint8_t *tx_frame;   /* loop: NET_FRAME_MAX bytes, for the card */
    uint8_t *rx_frame;   /* loop: likewise, for frames to be changed */
};

int nic_init(struct nic *n, const struct nic_config *cfg, const struct nic_ops *ops, void *self,
             struct err *e) MUST_CHECK;
void nic_attach(struct nic *n); /* the card is complete: frames may come */
void nic_detach(struct nic *n); /* and do not come any more */
void nic_finish(struct nic *n);

/* Any thread, no lock held: lets `run` come; the latter if a frame waits for room only. */
void nic_kick(struct nic *n);
void nic_kick_starved(struct nic *n);

/* Memory of the guest, with the lock held: NULL if it is not RAM in one piece. */
const void *nic_read(struct nic *n, gpa_t gpa, uint32_t len);
void *nic_write(struct nic *n, gpa_t gpa, uint32_t len); /* announced by nic_unlock */
void nic_lock(struct nic *n);
void nic_unlock(struct nic *n);
/* Makes sure that there is room for one part more; may let go of the lock for a moment. */
void nic_make_room(struct nic *n);

/* A received frame as it lies in buffers: padded, with its FCS, in pieces as the driver likes. */
struct nic_wire {
    const uint8_t *frame;
    size_t len;
    uint8_t tail[64]; /* padding, FCS */
    size_t total, at; /* bytes with the tail; how many were taken */
};
struct nic_wire nic_wire(const uint8_t *frame, size_t len, bool fcs);
/* The next n bytes, which there are; `to` NULL: they are lost. */
void nic_wire_take(struct nic_wire *w, uint8_t *to, size_t n);

bool nic_link(const struct nic *n);
/* To the cable, without the lock; the frame may be scribbled on. */
void nic_send(struct nic *n, const struct net_meta *meta, uint8_t *frame, size_t len);
void nic_send_end(struct nic *n);

/* Life cycle. After nic_quiesce nothing of the card happens on the loop; returns what `paused` was.
 */
bool nic_quiesce(struct nic *n);
void nic_resume(struct nic *n);

#endif
