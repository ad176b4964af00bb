/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio network device behind its PCI transport, with a driver that writes whatever it likes
 * into its rings and a network that sends frames at any time.
 */
#include "fuzz.h"

#include "../tests/device/net_stub.h"
#include "../tests/device/suite_env.h"
#include "dev/virtio/virtio_net.h"

#define RAM_SIZE 0x20000u
#define RING 8u
#define QUEUES 3u
#define DEVFN PCI_DEVFN(1, 0)

/* Offsets in the BAR, see virtio_pci.c. */
enum { STATUS = 20, DRIVER_SELECT = 8, DRIVER_FEATURE = 12, SELECT = 22, SIZE = 24, ENABLE = 28 };
enum { DESC = 32, DRIVER = 40, DEVICE = 48, NOTIFY = 0x3000 };

static struct {
    struct suite_env env;
    struct net_stub net;
    struct device dev;
    uint64_t regs;
    uint16_t next[QUEUES];
} t;

static void on_send(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    FUZZ_REQUIRE(len >= NET_ETH_LEN && len <= NET_FRAME_MAX);
    memset(frame, 0, len);
}

static void set_up(void)
{
    struct net_backend backend = net_stub_backend(&t.net, 7);
    t.net.send = on_send;
    suite_env_init(&t.env, RAM_SIZE);
    struct virtio_net_config cfg = {
        .place = {.bus = suite_pci(&t.env), .devfn = DEVFN, .ram = t.env.ram, .loop = t.env.loop},
        .backend = &backend,
        .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
    FUZZ_REQUIRE(virtio_net_create(&cfg, &t.dev, NULL) == 0);
}

static void reg(unsigned offset, unsigned size, uint64_t value)
{
    bus_write(t.env.mmio, t.regs + offset, value, size);
}

static void start(uint64_t features)
{
    t.dev.ops->reset(t.dev.self);
    suite_place(&t.env, DEVFN);
    t.regs = pci_config_read(t.env.pci, 0, DEVFN, 0x20, 4) & ~15u;
    memset(ram_ptr(t.env.ram, 0, RAM_SIZE, true), 0, RAM_SIZE);
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
    FUZZ_REQUIRE(ram_write(t.env.ram, gpa, buf, len) == 0);
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

static void settle(void)
{
    for (unsigned i = 0; i < 2; i++)
        suite_settle(&t.env);
}

static void receive(struct fuzz_input *in)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_meta meta = {.flags = fuzz_u8(in), .gso = fuzz_u8(in), .gso_size = fuzz_u16(in)};
    size_t len = fuzz_u16(in);
    frame[0] = fuzz_u8(in);
    (void)net_stub_receive(&t.net, &meta, frame, len);
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
        bus_read(t.env.mmio, t.regs + fuzz_u16(in) % 0x4000, fuzz_size(in, 0));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (t.env.ram == NULL)
        set_up();
    start(fuzz_u32(&in));
    while (in.left > 0)
        step(&in);
    settle();
    return 0;
}
