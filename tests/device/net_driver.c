/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small virtio-net driver for tests; see net_driver.h. */
#include "net_driver.h"

#include <stdlib.h>
#include <string.h>

#define DEVFN PCI_DEVFN(2, 0)
#define HDR 12u
#define BIT(n) (UINT64_C(1) << (n))

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

uint32_t nd_read(struct net_driver *d, uint64_t addr, unsigned size)
{
    return (uint32_t)bus_read(d->mmio, addr, size);
}

void nd_write(struct net_driver *d, uint64_t addr, uint64_t value, unsigned size)
{
    bus_write(d->mmio, addr, value, size);
}

static uint32_t cfg(struct net_driver *d, unsigned reg, unsigned size)
{
    return pci_config_read(d->pci, 0, DEVFN, reg, size);
}

/* --- guest memory --- */

static void put(struct net_driver *d, gpa_t gpa, const void *buf, size_t len)
{
    REQUIRE(ram_write(d->ram, gpa, buf, len) == 0);
}

static void put16(struct net_driver *d, gpa_t gpa, uint16_t v)
{
    put(d, gpa, &v, 2);
}

static uint16_t get16(struct net_driver *d, gpa_t gpa)
{
    uint16_t v;
    REQUIRE(ram_read(d->ram, gpa, &v, 2) == 0);
    return v;
}

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
enum { DESC_NEXT = 1, DESC_WRITE = 2 };

static void put_desc(struct net_driver *d, unsigned q, unsigned i, struct desc x)
{
    put(d, d->queues[q].desc + 16 * i, &x, sizeof(x));
}

static void publish(struct net_driver *d, unsigned q, unsigned head)
{
    struct nd_queue *n = &d->queues[q];
    put16(d, n->avail + 4 + 2 * (n->next % ND_RING), (uint16_t)head);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put16(d, n->avail + 2, ++n->next);
    n->busy |= BIT(head);
}

/* --- interrupts --- */

static bool take_used(struct net_driver *d, unsigned q, uint32_t *id, uint32_t *len)
{
    struct nd_queue *n = &d->queues[q];
    if (get16(d, n->used + 2) == n->last_used)
        return false;
    gpa_t at = n->used + 4 + 8 * (n->last_used++ % ND_RING);
    REQUIRE(ram_read(d->ram, at, id, 4) == 0 && ram_read(d->ram, at + 4, len, 4) == 0);
    REQUIRE(*id < ND_RING && (n->busy & BIT(*id)));
    n->busy &= ~BIT(*id);
    return true;
}

static gpa_t rx_buffer(struct net_driver *d, unsigned i)
{
    return ND_RX_BASE + (gpa_t)i * d->rx_size;
}

void nd_post_rx(struct net_driver *d, unsigned i)
{
    put_desc(d, ND_RX, i, (struct desc){rx_buffer(d, i), d->rx_size, DESC_WRITE, 0});
    publish(d, ND_RX, i);
}

/* Takes the buffers of one frame, whose first is `id` with `len` bytes. */
static void take_frame(struct net_driver *d, uint32_t id, uint32_t len)
{
    uint8_t h[HDR];
    size_t total = 0;
    REQUIRE(ram_read(d->ram, rx_buffer(d, id), h, HDR) == 0);
    unsigned buffers = h[10] | h[11] << 8, skip = HDR;
    REQUIRE(buffers >= 1);
    for (unsigned i = 0; i < buffers; i++) {
        REQUIRE(i == 0 || take_used(d, ND_RX, &id, &len));
        REQUIRE(len >= skip && len <= d->rx_size && total + len <= sizeof(d->frame));
        REQUIRE(ram_read(d->ram, rx_buffer(d, id) + skip, d->frame + total, len - skip) == 0);
        total += len - skip;
        skip = 0;
        if (!d->hold_rx)
            nd_post_rx(d, id);
    }
    struct net_meta m = {.flags = h[0],
                         .gso = h[1],
                         .hdr_len = (uint16_t)(h[2] | h[3] << 8),
                         .gso_size = (uint16_t)(h[4] | h[5] << 8),
                         .csum_start = (uint16_t)(h[6] | h[7] << 8),
                         .csum_offset = (uint16_t)(h[8] | h[9] << 8)};
    d->received++;
    d->input(d->opaque, &m, d->frame, total);
}

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct net_driver *d = opaque;
    uint32_t id, len;
    d->interrupts++;
    bool any = false;
    while (take_used(d, ND_TX, &id, &len))
        ;
    while (take_used(d, ND_RX, &id, &len)) {
        take_frame(d, id, len);
        any = true;
    }
    if (any && !d->hold_rx)
        nd_kick(d, ND_RX);
}

/* --- machine --- */

static void find_regions(struct net_driver *d)
{
    d->bar = (cfg(d, 0x20, 4) & ~15u) | (uint64_t)cfg(d, 0x24, 4) << 32;
    for (unsigned cap = cfg(d, PCI_REG_CAPS, 1); cap != 0; cap = cfg(d, cap + 1, 1)) {
        if (cfg(d, cap, 1) != 9)
            continue;
        uint64_t at = d->bar + cfg(d, cap + 8, 4);
        switch (cfg(d, cap + 3, 1)) {
        case 1:
            d->common = at;
            break;
        case 2:
            d->notify = at;
            d->notify_scale = cfg(d, cap + 16, 4);
            break;
        case 4:
            d->config = at;
            break;
        default:
            break;
        }
    }
    REQUIRE(d->common != 0 && d->notify != 0 && d->config != 0);
}

/* Vector 0 goes to on_msi. */
static void enable_msix(struct net_driver *d)
{
    for (unsigned cap = cfg(d, PCI_REG_CAPS, 1); cap != 0; cap = cfg(d, cap + 1, 1)) {
        if (cfg(d, cap, 1) != 0x11)
            continue;
        uint64_t table = cfg(d, 0x10 + 4 * (cfg(d, cap + 4, 4) & 7), 4) & ~15u;
        nd_write(d, table, 0xfee00000, 4);
        nd_write(d, table + 4, 0, 4);
        nd_write(d, table + 8, 0x41, 4);
        nd_write(d, table + 12, 0, 4);
        pci_config_write(d->pci, 0, DEVFN, cap + 2, 2, 0x8000);
        return;
    }
    abort();
}

void nd_create(struct net_driver *d, struct loop *loop, const struct net_backend *backend)
{
    struct err e = {0};
    memset(d, 0, sizeof(*d));
    d->loop = loop;
    REQUIRE(ram_create(&d->ram, ND_RAM_SIZE, &e) == 0);
    REQUIRE(ram_add(d->ram, 0, ND_RAM_SIZE, false, &e) == 0);
    REQUIRE(bus_create(&d->ports, 0x10000) == 0 && bus_create(&d->mmio, UINT64_C(1) << 40) == 0);
    struct pci_bus_config pc = {.mmio = d->mmio, .ports = d->ports, .msi = {on_msi, d}};
    REQUIRE(pci_bus_create(&pc, &d->pci) == 0);
    struct virtio_net_config nc = {
        .place = {.bus = d->pci, .devfn = DEVFN, .ram = d->ram, .loop = loop},
        .backend = backend,
        .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
    REQUIRE(virtio_net_create(&nc, &d->dev, &e) == 0);
    struct pci_windows w = {.mem32_base = 0xc0000000, .mem32_size = 1 << 24};
    REQUIRE(pci_bus_assign(d->pci, &w, &e) == 0);
    pci_config_write(d->pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    find_regions(d);
    enable_msix(d);
}

void nd_destroy(struct net_driver *d)
{
    d->dev.ops->pause(d->dev.self);
    d->dev.ops->destroy(d->dev.self);
    pci_bus_destroy(d->pci);
    bus_destroy(d->mmio);
    bus_destroy(d->ports);
    ram_destroy(d->ram);
}

/* --- virtio --- */

enum { FEATURE_SELECT = 0, FEATURE = 4, DRIVER_SELECT = 8, DRIVER_FEATURE = 12, STATUS = 20 };
enum { QUEUE_SELECT = 22, QUEUE_SIZE = 24, QUEUE_VECTOR = 26, QUEUE_ENABLE = 28 };
enum { QUEUE_NOTIFY_OFF = 30, QUEUE_DESC = 32, QUEUE_DRIVER = 40, QUEUE_DEVICE = 48 };

uint64_t nd_offered(struct net_driver *d)
{
    nd_write(d, d->common + FEATURE_SELECT, 0, 4);
    uint64_t f = nd_read(d, d->common + FEATURE, 4);
    nd_write(d, d->common + FEATURE_SELECT, 1, 4);
    return f | (uint64_t)nd_read(d, d->common + FEATURE, 4) << 32;
}

uint8_t nd_status(struct net_driver *d)
{
    return (uint8_t)nd_read(d, d->common + STATUS, 1);
}

static void set_queue(struct net_driver *d, unsigned i)
{
    struct nd_queue *q = &d->queues[i];
    *q = (struct nd_queue){.desc = 0x10000 + 0x4000u * i};
    q->avail = q->desc + 0x1000;
    q->used = q->desc + 0x2000;
    put16(d, q->avail, 0);
    put16(d, q->avail + 2, 0);
    put16(d, q->used, 0);
    put16(d, q->used + 2, 0);
    nd_write(d, d->common + QUEUE_SELECT, i, 2);
    REQUIRE(nd_read(d, d->common + QUEUE_SIZE, 2) >= ND_RING);
    nd_write(d, d->common + QUEUE_SIZE, ND_RING, 2);
    nd_write(d, d->common + QUEUE_VECTOR, 0, 2);
    nd_write(d, d->common + QUEUE_DESC, q->desc, 4);
    nd_write(d, d->common + QUEUE_DESC + 4, 0, 4);
    nd_write(d, d->common + QUEUE_DRIVER, q->avail, 4);
    nd_write(d, d->common + QUEUE_DRIVER + 4, 0, 4);
    nd_write(d, d->common + QUEUE_DEVICE, q->used, 4);
    nd_write(d, d->common + QUEUE_DEVICE + 4, 0, 4);
    nd_write(d, d->common + QUEUE_ENABLE, 1, 2);
}

void nd_start(struct net_driver *d, uint64_t features, unsigned rx_count, uint32_t rx_size)
{
    nd_write(d, d->common + STATUS, 0, 1);
    REQUIRE(nd_status(d) == 0);
    nd_write(d, d->common + STATUS, 3, 1);
    d->features = nd_offered(d) & (features | BIT(32));
    for (unsigned word = 0; word < 2; word++) {
        nd_write(d, d->common + DRIVER_SELECT, word, 4);
        nd_write(d, d->common + DRIVER_FEATURE, (uint32_t)(d->features >> (32 * word)), 4);
    }
    nd_write(d, d->common + STATUS, 11, 1);
    REQUIRE(nd_status(d) == 11);
    for (unsigned i = 0; i < ND_QUEUES; i++)
        set_queue(d, i);
    d->rx_size = rx_size;
    d->rx_count = rx_count;
    REQUIRE(rx_count <= ND_RING && ND_RX_BASE + (uint64_t)rx_count * rx_size <= ND_TX_BASE);
    for (unsigned i = 0; i < rx_count; i++)
        nd_post_rx(d, i);
    nd_write(d, d->common + STATUS, 15, 1);
    nd_kick(d, ND_RX);
}

void nd_kick(struct net_driver *d, unsigned queue)
{
    if (get16(d, d->queues[queue].used) & 1)
        return;
    nd_write(d, d->common + QUEUE_SELECT, queue, 2);
    uint32_t off = nd_read(d, d->common + QUEUE_NOTIFY_OFF, 2);
    nd_write(d, d->notify + off * d->notify_scale, queue, 2);
}

void nd_send_raw(struct net_driver *d, const void *bytes, size_t len)
{
    struct nd_queue *q = &d->queues[ND_TX];
    unsigned i = 0;
    while (i < ND_RING && (q->busy & BIT(i)))
        i++;
    if (i == ND_RING || len > ND_TX_SIZE) {
        d->overflow = true;
        return;
    }
    gpa_t at = ND_TX_BASE + (gpa_t)i * ND_TX_SIZE;
    put(d, at, bytes, len);
    put_desc(d, ND_TX, i, (struct desc){at, (uint32_t)len, 0, 0});
    publish(d, ND_TX, i);
    nd_kick(d, ND_TX);
}

void nd_send(struct net_driver *d, const struct net_meta *m, const uint8_t *frame, size_t len)
{
    static uint8_t buf[ND_TX_SIZE];
    uint8_t h[HDR] = {m->flags,
                      m->gso,
                      (uint8_t)m->hdr_len,
                      (uint8_t)(m->hdr_len >> 8),
                      (uint8_t)m->gso_size,
                      (uint8_t)(m->gso_size >> 8),
                      (uint8_t)m->csum_start,
                      (uint8_t)(m->csum_start >> 8),
                      (uint8_t)m->csum_offset,
                      (uint8_t)(m->csum_offset >> 8)};
    memcpy(buf, h, HDR);
    memcpy(buf + HDR, frame, len);
    nd_send_raw(d, buf, len + HDR);
}

uint8_t nd_control(struct net_driver *d, uint8_t class, uint8_t cmd, const void *data, size_t len)
{
    const gpa_t at = 0x30000, ack = 0x31000;
    const uint8_t head[2] = {class, cmd}, none = 0x77;
    uint32_t id, used;
    put(d, at, head, 2);
    put(d, at + 2, data, len);
    put(d, ack, &none, 1);
    put_desc(d, ND_CTRL, 0, (struct desc){at, 2 + (uint32_t)len, DESC_NEXT, 1});
    put_desc(d, ND_CTRL, 1, (struct desc){ack, 1, DESC_WRITE, 0});
    publish(d, ND_CTRL, 0);
    nd_kick(d, ND_CTRL);
    nd_settle(d);
    uint8_t answer;
    REQUIRE(take_used(d, ND_CTRL, &id, &used) && used == 1);
    REQUIRE(ram_read(d->ram, ack, &answer, 1) == 0);
    return answer;
}

/* --- the loop --- */

static void stop(void *opaque)
{
    loop_stop(opaque);
}

void nd_settle(struct net_driver *d)
{
    for (unsigned i = 0; i < 4; i++) {
        REQUIRE(loop_post(d->loop, stop, d->loop) == 0);
        loop_run(d->loop);
    }
}
