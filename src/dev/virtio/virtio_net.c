/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio network device: features, configuration, transmission, life cycle; see virtio_net.h. */
#include "dev/virtio/virtio_net.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dev/virtio/virtio_net_internal.h"

#define QUEUE_SIZE 1024
#define TX_BUDGET 256u /* frames before others on the loop have their turn */
#define TX_COMMIT 64u  /* frames before the driver gets its buffers back */

/* struct virtio_net_config of 5.1.4, as far as our features go. */
#define CONFIG_STATUS 6u
#define CONFIG_LEN 8u
#define STATUS_LINK_UP 1u

/* --- features --- */

static uint64_t offered(const struct net_backend *b)
{
    uint64_t f = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) |
                 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |
                 VIRTIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VIRTIO_BIT(VIRTIO_NET_F_MAC) |
                 VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) |
                 VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) |
                 VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
    if (b->offloads & NET_OFFLOAD_CSUM)
        f |= VIRTIO_BIT(VIRTIO_NET_F_CSUM);
    if (b->offloads & NET_OFFLOAD_TSO4)
        f |= VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4);
    if (b->offloads & NET_OFFLOAD_TSO6)
        f |= VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6);
    if (b->offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6))
        f |= VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN);
    return f;
}

/* A negotiated offload that the driver has not switched off since. */
static bool guest_takes(const struct virtio_net *n, unsigned bit)
{
    return virtio_has(&n->vdev, bit) && (n->guest_offloads >> bit & 1) != 0;
}

unsigned virtio_net_offloads(const struct virtio_net *n)
{
    if (!guest_takes(n, VIRTIO_NET_F_GUEST_CSUM))
        return 0;
    unsigned o = NET_OFFLOAD_CSUM;
    if (guest_takes(n, VIRTIO_NET_F_GUEST_TSO4))
        o |= NET_OFFLOAD_TSO4;
    if (guest_takes(n, VIRTIO_NET_F_GUEST_TSO6))
        o |= NET_OFFLOAD_TSO6;
    return o;
}

void virtio_net_sync(struct virtio_net *n)
{
    unsigned now = virtio_net_offloads(n);
    if (now == n->offloads)
        return;
    n->offloads = now;
    if (n->backend.ops != NULL)
        n->backend.ops->set_offloads(n->backend.self, now);
}

/* --- configuration space --- */

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
    struct virtio_net *n = self;
    uint8_t config[CONFIG_LEN] = {0};
    lock_take(&n->lock);
    memcpy(config, n->mac, 6);
    config[CONFIG_STATUS] = n->link ? STATUS_LINK_UP : 0;
    lock_drop(&n->lock);
    memcpy(buf, config + offset, len);
}

/* --- transmission --- */

static struct net_meta meta_of(const struct virtio_net_hdr *h)
{
    return (struct net_meta){
        .flags = h->flags & NET_NEEDS_CSUM,
        .gso = h->gso_type,
        .hdr_len = le16toh(h->hdr_len),
        .gso_size = le16toh(h->gso_size),
        .csum_start = le16toh(h->csum_start),
        .csum_offset = le16toh(h->csum_offset),
    };
}

/* 5.1.6.2: a driver asks for what it has negotiated only, and for segmentation only together with
 * the checksum. */
static bool meta_allowed(const struct virtio_net *n, const struct net_meta *m)
{
    if ((m->flags & NET_NEEDS_CSUM) && !virtio_has(&n->vdev, VIRTIO_NET_F_CSUM))
        return false;
    switch (m->gso & ~(unsigned)NET_GSO_ECN) {
    case NET_GSO_NONE:
        return m->gso == NET_GSO_NONE;
    case NET_GSO_TCP4:
        return virtio_has(&n->vdev, VIRTIO_NET_F_HOST_TSO4) && (m->flags & NET_NEEDS_CSUM);
    case NET_GSO_TCP6:
        return virtio_has(&n->vdev, VIRTIO_NET_F_HOST_TSO6) && (m->flags & NET_NEEDS_CSUM);
    default:
        return false;
    }
}

static void send_frame(struct virtio_net *n, const struct virtq_req *r)
{
    struct virtio_net_hdr h;
    if (r->out_len < VIRTIO_NET_HDR_LEN + NET_ETH_LEN ||
        r->out_len > VIRTIO_NET_HDR_LEN + NET_FRAME_MAX) {
        log_guest("virtio-net: a frame of %u bytes is not sent", r->out_len);
        return;
    }
    virtq_req_read(r, 0, &h, VIRTIO_NET_HDR_LEN);
    struct net_meta meta = meta_of(&h);
    if (!meta_allowed(n, &meta)) {
        log_guest("virtio-net: a frame asks for offloads that were not negotiated");
        return;
    }
    uint32_t len = r->out_len - VIRTIO_NET_HDR_LEN;
    if (n->backend.ops == NULL)
        return;
    const struct net_backend_ops *ops = n->backend.ops;
    if (ops->sendv != NULL && r->out_count <= ops->sendv_max) {
        struct virtq_req frame = *r;
        virtq_req_drop_out(&frame, VIRTIO_NET_HDR_LEN);
        ops->sendv(n->backend.self, &meta, frame.iov, frame.out_count);
        return;
    }
    virtq_req_read(r, VIRTIO_NET_HDR_LEN, n->tx_frame, len);
    ops->send(n->backend.self, &meta, n->tx_frame, len);
}

/* The frame buffers are free as soon as they are copied, whatever the back end does. */
static void run_tx(struct virtio_net *n)
{
    struct virtq *q = &n->vdev.queues[VIRTIO_NET_TX];
    unsigned done = 0;
    do {
        struct virtq_req r = {.iov = n->tx_iov, .gpa = n->tx_gpa, .max = VIRTQ_MAX_CHAIN};
        virtq_kicks_off(q);
        while (done < TX_BUDGET && virtq_pop(q, &r) > 0) {
            send_frame(n, &r);
            virtq_push(q, &r, 0);
            if (++done % TX_COMMIT == 0)
                virtq_commit(q);
        }
    } while (done < TX_BUDGET && virtq_kicks_on(q));
    virtq_commit(q);
    if (n->backend.ops != NULL)
        n->backend.ops->send_end(n->backend.self);
    if (done >= TX_BUDGET)
        virtio_kick(&n->vdev, VIRTIO_NET_TX);
}

/* --- life --- */

static void run(void *self, unsigned queue)
{
    struct virtio_net *n = self;
    virtio_net_sync(n);
    if (queue == VIRTIO_NET_RX)
        virtio_net_run_rx(n);
    else if (queue == VIRTIO_NET_TX)
        run_tx(n);
    else
        virtio_net_run_ctrl(n);
}

/* 5.1.6.5.1: a driver that sets no filter gets everything. */
static void dev_reset(void *self)
{
    struct virtio_net *n = self;
    n->rx_mode = RX_PROMISC;
    n->uni_count = n->multi_count = 0;
    memset(n->macs, 0, sizeof(n->macs));
    n->guest_offloads = UINT64_MAX;
    lock_take(&n->lock);
    memcpy(n->mac, n->default_mac, 6);
    lock_drop(&n->lock);
}

static const struct virtio_ops virtio_net_ops = {
    .name = "virtio-net",
    .device_id = VIRTIO_DEV_NET,
    .config_read = config_read,
    .run = run,
    .reset = dev_reset,
};

static void net_reset(void *self)
{
    struct virtio_net *n = self;
    virtio_pci_reset(&n->pci);
}

static void net_pause(void *self)
{
    struct virtio_net *n = self;
    virtio_pci_pause(&n->pci);
}

static void net_resume(void *self)
{
    struct virtio_net *n = self;
    virtio_pci_resume(&n->pci);
}

static void net_restore(void *self)
{
    struct virtio_net *n = self;
    virtio_pci_restore(&n->pci);
}

static void net_free(struct virtio_net *n)
{
    lock_finish(&n->lock);
    free(n->tx_frame);
    free(n->tx_iov);
    free(n->tx_gpa);
    free(n->rx_iov);
    free(n->rx_gpa);
    free(n);
}

static void net_destroy(void *self)
{
    struct virtio_net *n = self;
    if (n->backend.ops != NULL)
        n->backend.ops->attach(n->backend.self, NULL, NULL);
    virtio_pci_finish(&n->pci);
    virtio_dev_finish(&n->vdev);
    net_free(n);
}

static int net_validate(const void *object, struct err *e)
{
    const struct virtio_net *n = object;
    if (n->uni_count + n->multi_count > (int)VIRTIO_NET_MAX_MACS)
        return err_set(e, EINVAL, "virtio-net: more filter entries than there can be");
    return 0;
}

static const struct state_field net_fields[] = {
    STATE_STRUCT_F(struct virtio_net, vdev, 1, &virtio_dev_state),
    STATE_STRUCT_F(struct virtio_net, pci, 1, &virtio_pci_state),
    STATE_BYTES_F(struct virtio_net, mac),
    STATE_MAX_F(struct virtio_net, rx_mode, STATE_U8, RX_MODE_ALL),
    STATE_MAX_F(struct virtio_net, uni_count, STATE_U8, VIRTIO_NET_MAX_MACS),
    STATE_MAX_F(struct virtio_net, multi_count, STATE_U8, VIRTIO_NET_MAX_MACS),
    STATE_BYTES_F(struct virtio_net, macs),
    STATE_U64_F(struct virtio_net, guest_offloads),
    STATE_END_F,
};

static const struct state_table net_state = {
    .name = "virtio-net", .version = 1, .fields = net_fields, .validate = net_validate};

static const struct device_ops net_device_ops = {
    .name = "virtio-net",
    .reset = net_reset,
    .pause = net_pause,
    .resume = net_resume,
    .restore = net_restore,
    .destroy = net_destroy,
    .state = &net_state,
};

static struct virtio_net *net_alloc(const struct virtio_net_config *cfg)
{
    struct virtio_net *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    lock_init(&n->lock, LOCK_DEVICE);
    memcpy(n->default_mac, cfg->mac, 6);
    if (cfg->backend != NULL) {
        n->backend = *cfg->backend;
        n->link = n->backend.ops->link_up(n->backend.self);
    }
    n->tx_frame = malloc(NET_FRAME_MAX);
    n->tx_iov = calloc(VIRTQ_MAX_CHAIN, sizeof(*n->tx_iov));
    n->tx_gpa = calloc(VIRTQ_MAX_CHAIN, sizeof(*n->tx_gpa));
    n->rx_iov = calloc(VIRTIO_NET_RX_IOVS, sizeof(*n->rx_iov));
    n->rx_gpa = calloc(VIRTIO_NET_RX_IOVS, sizeof(*n->rx_gpa));
    if (n->tx_frame == NULL || n->tx_iov == NULL || n->tx_gpa == NULL || n->rx_iov == NULL ||
        n->rx_gpa == NULL) {
        net_free(n);
        return NULL;
    }
    dev_reset(n);
    return n;
}

int virtio_net_create(const struct virtio_net_config *cfg, struct device *out, struct err *e)
{
    struct virtio_net *n = net_alloc(cfg);
    if (n == NULL)
        return err_set(e, ENOMEM, "no memory for a virtio network device");
    struct virtio_dev_config core = {
        .ops = &virtio_net_ops,
        .self = n,
        .ram = cfg->place.ram,
        .features = offered(&n->backend),
        .no_packed = cfg->place.no_packed,
        .config_size = CONFIG_LEN,
        .queue_count = VIRTIO_NET_QUEUES,
        .queue_size = QUEUE_SIZE,
        .loop = cfg->place.loop,
    };
    int ret = virtio_dev_init(&n->vdev, &core);
    if (ret != 0) {
        net_free(n);
        return err_set(e, -ret, "cannot set up a virtio network device: %s", strerror(-ret));
    }
    ret = virtio_pci_init(&n->pci, &n->vdev, &cfg->place, 0x020000, e);
    if (ret != 0) {
        virtio_dev_finish(&n->vdev);
        net_free(n);
        return ret;
    }
    if (n->backend.ops != NULL)
        n->backend.ops->attach(n->backend.self, &virtio_net_peer, n);
    *out = (struct device){.ops = &net_device_ops, .self = n};
    return 0;
}
