/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio network device: the control queue, 5.1.6.5. */
#include <endian.h>
#include <string.h>

#include "dev/virtio/virtio_net_internal.h"

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_GUEST_OFFLOADS = 5 };
enum {
    RX_CMD_PROMISC,
    RX_CMD_ALLMULTI,
    RX_CMD_ALLUNI,
    RX_CMD_NOMULTI,
    RX_CMD_NOUNI,
    RX_CMD_NOBCAST
};
enum { MAC_CMD_TABLE_SET = 0, MAC_CMD_ADDR_SET = 1 };
enum { OFFLOADS_CMD_SET = 0 };
enum { ACK_OK = 0, ACK_ERR = 1 };

#define BUDGET 64u /* commands before others on the loop have their turn */

/* A command's bytes after class and command; cut off in what we keep, not in `total`. */
struct command {
    uint8_t class, cmd;
    uint32_t total;
    uint8_t data[2 * (4 + 6 * VIRTIO_NET_MAX_MACS)];
};

static bool set_rx_mode(struct virtio_net *n, const struct command *c)
{
    unsigned feature =
        c->cmd <= RX_CMD_ALLMULTI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;
    if (c->cmd > RX_CMD_NOBCAST || c->total < 1 || !virtio_has(&n->vdev, feature))
        return false;
    uint8_t bit = (uint8_t)(1u << c->cmd); /* RX_PROMISC and so on are in the commands' order */
    if (c->data[0] != 0)
        n->rx_mode |= bit;
    else
        n->rx_mode &= (uint8_t)~bit;
    return true;
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}

/*
 * Two tables, each a count and that many addresses: unicast, multicast. Larger tables than we keep
 * open the filter wide, which the driver cannot tell from one that lets more through than it
 * should; the guest's stack checks again.
 */
static bool set_mac_table(struct virtio_net *n, const struct command *c)
{
    if (!virtio_has(&n->vdev, VIRTIO_NET_F_CTRL_RX) || c->total < 8)
        return false;
    uint64_t uni = load32(c->data), multi_at = 4 + uni * 6, multi = 0;
    if (multi_at + 4 > c->total)
        return false;
    if (multi_at + 4 <= sizeof(c->data))
        multi = load32(c->data + multi_at);
    if (multi_at + 4 + multi * 6 > c->total)
        return false;
    n->rx_mode |= RX_TABLE_FULL;
    if (uni + multi > VIRTIO_NET_MAX_MACS)
        return true;
    memset(n->macs, 0, sizeof(n->macs));
    memcpy(n->macs, c->data + 4, uni * 6);
    memcpy(n->macs + uni * 6, c->data + multi_at + 4, multi * 6);
    n->uni_count = (uint8_t)uni;
    n->multi_count = (uint8_t)multi;
    n->rx_mode &= (uint8_t)~RX_TABLE_FULL;
    return true;
}

static bool set_mac(struct virtio_net *n, const struct command *c)
{
    if (!virtio_has(&n->vdev, VIRTIO_NET_F_CTRL_MAC_ADDR) || c->total != 6 || (c->data[0] & 1))
        return false;
    lock_take(&n->lock);
    memcpy(n->mac, c->data, 6);
    lock_drop(&n->lock);
    return true;
}

static bool set_offloads(struct virtio_net *n, const struct command *c)
{
    const uint64_t ours = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
                          VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6);
    uint64_t wish;
    if (!virtio_has(&n->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || c->total != 8)
        return false;
    memcpy(&wish, c->data, 8);
    wish = le64toh(wish);
    if (wish & ~(ours & n->vdev.features))
        return false;
    n->guest_offloads = wish;
    virtio_net_sync(n);
    return true;
}

static bool execute(struct virtio_net *n, const struct command *c)
{
    if (c->class == CLASS_RX)
        return set_rx_mode(n, c);
    if (c->class == CLASS_MAC && c->cmd == MAC_CMD_TABLE_SET)
        return set_mac_table(n, c);
    if (c->class == CLASS_MAC && c->cmd == MAC_CMD_ADDR_SET)
        return set_mac(n, c);
    if (c->class == CLASS_GUEST_OFFLOADS && c->cmd == OFFLOADS_CMD_SET)
        return set_offloads(n, c);
    return false;
}

static void serve(struct virtio_net *n, struct virtq *q, const struct virtq_req *r)
{
    struct command c = {0};
    uint8_t ack = ACK_ERR;
    if (r->out_len >= 2) {
        virtq_req_read(r, 0, &c.class, 1);
        virtq_req_read(r, 1, &c.cmd, 1);
        virtq_req_read(r, 2, c.data, sizeof(c.data));
        c.total = r->out_len - 2;
        ack = execute(n, &c) ? ACK_OK : ACK_ERR;
    }
    virtq_push(q, r, virtq_req_write(q, r, 0, &ack, 1));
}

void virtio_net_run_ctrl(struct virtio_net *n)
{
    struct virtq *q = &n->vdev.queues[VIRTIO_NET_CTRL];
    struct virtq_req r = {.iov = n->tx_iov, .gpa = n->tx_gpa, .max = VIRTQ_MAX_CHAIN};
    unsigned done = 0;
    do {
        virtq_kicks_off(q);
        for (; done < BUDGET && virtq_pop(q, &r) > 0; done++)
            serve(n, q, &r);
    } while (done < BUDGET && virtq_kicks_on(q));
    virtq_commit(q);
    if (done >= BUDGET)
        virtio_kick(&n->vdev, VIRTIO_NET_CTRL);
}
