/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio network device behind its PCI transport, with a driver that writes whatever it likes
 * into its rings and a network that sends frames at any time.
 */
#include "fuzz.h"

#include "bus/pci.h"
#include "dev/virtio/virtio_net.h"

#define RAM_SIZE 0x20000u
#define RING 8u
#define QUEUES 3u
#define DEVFN PCI_DEVFN(1, 0)
#define BASE 0xc0000000u

/* Offsets in the BAR, see virtio_pci.c. */
enum { STATUS = 20, DRIVER_SELECT = 8, DRIVER_FEATURE = 12, SELECT = 22, SIZE = 24, ENABLE = 28 };
enum { DESC = 32, DRIVER = 40, DEVICE = 48, NOTIFY = 0x3000 };

static struct {
    struct ram *ram;
    struct loop *loop;
    struct bus *mmio, *ports;
    struct pci_bus *pci;
    struct device dev;
    uint64_t regs;
    const struct net_peer_ops *peer;
    void *peer_opaque;
    unsigned offloads;
    uint16_t next[QUEUES];
} t;

static void on_attach(void *self, const struct net_peer_ops *ops, void *opaque)
{
    t.peer = ops;
    t.peer_opaque = opaque;
}

static void on_offloads(void *self, unsigned offloads)
{
    t.offloads = offloads;
}

static void on_send(void *self, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    FUZZ_REQUIRE(len >= NET_ETH_LEN && len <= NET_FRAME_MAX);
    memset(frame, 0, len);
}

static void on_nothing(void *self)
{
}

static bool on_link(void *self)
{
    return true;
}

static const struct net_backend_ops backend_ops = {.name = "fuzz",
                                                   .attach = on_attach,
                                                   .set_offloads = on_offloads,
                                                   .send = on_send,
                                                   .send_end = on_nothing,
                                                   .ready = on_nothing,
                                                   .link_up = on_link};

static void set_up(void)
{
    struct net_backend backend = {.ops = &backend_ops, .offloads = 7};
    FUZZ_REQUIRE(ram_create(&t.ram, RAM_SIZE, NULL) == 0);
    FUZZ_REQUIRE(ram_add(t.ram, 0, RAM_SIZE, false, NULL) == 0);
    FUZZ_REQUIRE(loop_create(&t.loop) == 0);
    FUZZ_REQUIRE(bus_create(&t.ports, 0x10000) == 0);
    FUZZ_REQUIRE(bus_create(&t.mmio, UINT64_C(1) << 40) == 0);
    struct pci_bus_config pc = {.mmio = t.mmio, .ports = t.ports};
    FUZZ_REQUIRE(pci_bus_create(&pc, &t.pci) == 0);
    struct virtio_net_config cfg = {
        .place = {.bus = t.pci, .devfn = DEVFN, .ram = t.ram, .loop = t.loop}, .backend = &backend};
    FUZZ_REQUIRE(virtio_net_create(&cfg, &t.dev, NULL) == 0);
}

static void reg(unsigned offset, unsigned size, uint64_t value)
{
    bus_write(t.mmio, t.regs + offset, value, size);
}

static void start(uint64_t features)
{
    struct pci_windows w = {.mem32_base = BASE, .mem32_size = 1 << 24};
    t.dev.ops->reset(t.dev.self);
    FUZZ_REQUIRE(pci_bus_assign(t.pci, &w, NULL) == 0);
    pci_config_write(t.pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    t.regs = pci_config_read(t.pci, 0, DEVFN, 0x20, 4) & ~15u;
    memset(ram_ptr(t.ram, 0, RAM_SIZE, true), 0, RAM_SIZE);
    memset(t.next, 0, sizeof(t.next));
    reg(STATUS, 1, 3);
    for (unsigned i = 0; i < 2; i++) {
        reg(DRIVER_SELECT, 4, i);
        reg(DRIVER_FEATURE, 4, i == 0 ? (uint32_t)features : 1);
    }
    reg(STATUS, 1, 11);
    for (unsigned i = 0; i < QUEUES; i++) {
        reg(SELECT, 2, i);
        reg(SIZE, 2, RING);
        reg(DESC, 4, 0x1000 * i);
        reg(DRIVER, 4, 0x1000 * i + 0x400);
        reg(DEVICE, 4, 0x1000 * i + 0x800);
        reg(ENABLE, 2, 1);
    }
    reg(STATUS, 1, 15);
}

static void poke(gpa_t gpa, const void *buf, size_t len)
{
    FUZZ_REQUIRE(ram_write(t.ram, gpa, buf, len) == 0);
}

static void write_desc(struct fuzz_input *in, unsigned queue)
{
    uint64_t addr = fuzz_u16(in);
    uint32_t len = fuzz_u16(in);
    uint16_t flags = fuzz_u8(in) & 7, next = fuzz_u8(in);
    gpa_t at = 0x1000 * queue + 16 * (next % RING);
    next = (next >> 4) % (RING + 1);
    poke(at, &addr, 8);
    poke(at + 8, &len, 4);
    poke(at + 12, &flags, 2);
    poke(at + 14, &next, 2);
}

static void publish(unsigned queue, uint16_t head)
{
    gpa_t avail = 0x1000 * queue + 0x400;
    poke(avail + 4 + 2 * (t.next[queue] % RING), &head, 2);
    t.next[queue]++;
    poke(avail + 2, &t.next[queue], 2);
}

static void on_stop(void *opaque)
{
    loop_stop(t.loop);
}

static void settle(void)
{
    for (unsigned i = 0; i < 2; i++) {
        FUZZ_REQUIRE(loop_post(t.loop, on_stop, NULL) == 0);
        loop_run(t.loop);
    }
}

static void receive(struct fuzz_input *in)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_meta meta = {.flags = fuzz_u8(in), .gso = fuzz_u8(in), .gso_size = fuzz_u16(in)};
    size_t len = fuzz_u16(in);
    struct iovec iov[2] = {{frame, len / 2}, {frame + len / 2, len - len / 2}};
    frame[0] = fuzz_u8(in);
    (void)!t.peer->receive(t.peer_opaque, &meta, iov, 2);
    t.peer->receive_end(t.peer_opaque);
}

static void step(struct fuzz_input *in)
{
    uint8_t op = fuzz_u8(in);
    unsigned queue = (op >> 4) % QUEUES;
    uint16_t value;
    switch (op & 7) {
    case 0:
    case 1:
        write_desc(in, queue);
        break;
    case 2:
        publish(queue, fuzz_u8(in) % (RING + 1));
        break;
    case 3:
        reg(NOTIFY + 4 * queue, 2, queue);
        settle();
        break;
    case 4:
        receive(in);
        break;
    case 5:
        t.dev.ops->pause(t.dev.self);
        receive(in);
        t.dev.ops->resume(t.dev.self);
        break;
    case 6:
        value = fuzz_u16(in);
        poke(fuzz_u16(in), &value, 2);
        break;
    default:
        bus_read(t.mmio, t.regs + fuzz_u16(in) % 0x4000, fuzz_size(in, 0));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (t.ram == NULL)
        set_up();
    start(fuzz_u32(&in));
    while (in.left > 0)
        step(&in);
    settle();
    return 0;
}
