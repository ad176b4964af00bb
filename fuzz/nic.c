/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network cards of real PCs, with a driver that writes whatever it likes into its rings and
 * registers, and a network that sends frames at any time, large ones and malformed ones too.
 */
#include "fuzz.h"

#include "../tests/device/net_stub.h"
#include "../tests/device/suite_env.h"
#include "dev/e1000.h"
#include "dev/pcnet.h"

#define RAM_SIZE 0x20000u
#define DEVFN PCI_DEVFN(1, 0)
#define BASE SUITE_WINDOW
#define PORTS SUITE_PORTS
#define RINGS 0x1000u /* 16 descriptors each: receive, transmit */
#define RING_BYTES 0x400u

struct card {
    int (*create)(const struct nic_config *cfg, struct device *out, struct err *e);
    void (*start)(struct fuzz_input *in);
    void (*reg)(struct fuzz_input *in); /* a write to a register that matters */
    void (*go)(struct fuzz_input *in);  /* descriptors are the card's */
};

/* Of this input. */
static struct {
    const struct card *card;
    struct fuzz_input *in;
} driver;

static struct nic_fixture {
    struct suite_env env;
    struct net_stub net;
    struct device dev;
} * now;

/* What a card asks the cable to do must make sense to it; meanwhile the driver does something. */
static void on_send(void *opaque, const struct net_meta *m, uint8_t *frame, size_t len)
{
    FUZZ_REQUIRE(len >= NET_ETH_LEN && len <= NET_FRAME_MAX);
    if (m->flags & NET_NEEDS_CSUM)
        FUZZ_REQUIRE(m->csum_start >= NET_ETH_LEN && m->csum_start + m->csum_offset + 2u <= len);
    if (m->gso != NET_GSO_NONE)
        FUZZ_REQUIRE(m->gso_size != 0 && m->hdr_len < len && (m->flags & NET_NEEDS_CSUM));
    memset(frame, 0, len);
    if ((fuzz_u8(driver.in) & 3) == 3)
        driver.card->reg(driver.in);
}

static void poke(gpa_t gpa, const void *buf, size_t len)
{
    FUZZ_REQUIRE(ram_write(now->env.ram, gpa, buf, len) == 0);
}

/* --- 82540EM --- */

static void e1000_reg(uint32_t offset, uint32_t value)
{
    bus_write(now->env.mmio, BASE + offset, value, 4);
}

static void e1000_start(struct fuzz_input *in)
{
    e1000_reg(0x0000, 0x41);
    for (unsigned ring = 0; ring < 2; ring++) {
        e1000_reg(0x2800 + ring * 0x1000, RINGS + ring * RING_BYTES);
        e1000_reg(0x2808 + ring * 0x1000, 256);
    }
    e1000_reg(0x0100, 0x8002 | fuzz_u32(in));
    e1000_reg(0x0400, 0x000a);
    e1000_reg(0x5000, 0x300 | fuzz_u8(in));
    e1000_reg(0x00d0, 0xffff);
}

static void e1000_any(struct fuzz_input *in)
{
    static const uint16_t offsets[] = {0x0000, 0x0010, 0x0014, 0x0020, 0x0038, 0x00c0,
                                       0x00c4, 0x00c8, 0x0100, 0x0400, 0x2800, 0x2804,
                                       0x2808, 0x2810, 0x3800, 0x3808, 0x3810, 0x5000,
                                       0x5400, 0x5404, 0x5200, 0x5600, 0x4074, 0x40c4};
    uint32_t offset = offsets[fuzz_u8(in) % (sizeof(offsets) / sizeof(offsets[0]))];

    e1000_reg(offset, fuzz_u32(in));
    (void)bus_read(now->env.mmio, BASE + offset, 4);
}

static void e1000_go(struct fuzz_input *in)
{
    uint8_t tails = fuzz_u8(in);

    e1000_reg(0x2818, tails & 15);
    e1000_reg(0x3818, tails >> 4);
}

/* --- Am79C970A --- */

static void csr(unsigned reg, uint16_t value)
{
    bus_write(now->env.ports, PORTS + 0x12, reg, 2);
    bus_write(now->env.ports, PORTS + 0x10, value, 2);
}

static void pcnet_start(struct fuzz_input *in)
{
    uint32_t block[7] = {0x40400000 | fuzz_u16(in), 0x01005452, 0x0302, 0, 0, RINGS,
                         RINGS + RING_BYTES};

    bus_write(now->env.ports, PORTS + 0x12, 20, 2);
    bus_write(now->env.ports, PORTS + 0x16, fuzz_u8(in) & 3, 2);
    poke(0x800, block, sizeof(block));
    csr(1, 0x800);
    csr(2, 0);
    csr(0, 1);
    csr(0, 0x42);
}

static void pcnet_any(struct fuzz_input *in)
{
    static const uint8_t regs[] = {0, 1, 2, 3, 4, 5, 8, 12, 15, 24, 25, 30, 31, 58, 76, 78};
    uint8_t which = fuzz_u8(in);

    if ((which & 0x80) != 0)
        (void)bus_read(now->env.ports, PORTS + (which & 0x1f), 2 << (which >> 5 & 1));
    else
        csr(regs[which % sizeof(regs)], fuzz_u16(in));
}

static void pcnet_go(struct fuzz_input *in)
{
    csr(0, 0x48);
}

static const struct card cards[] = {{e1000_create, e1000_start, e1000_any, e1000_go},
                                    {pcnet_create, pcnet_start, pcnet_any, pcnet_go}};
#define CARDS (sizeof(cards) / sizeof(cards[0]))
static struct nic_fixture fixtures[CARDS];

/* --- all of them --- */

static void make(struct nic_fixture *f, const struct card *c)
{
    struct net_backend backend = net_stub_backend(&f->net, 7);

    f->net.send = on_send;
    suite_env_init(&f->env, RAM_SIZE);
    FUZZ_REQUIRE(c->create(&(struct nic_config){.bus = suite_pci(&f->env),
                                                .devfn = DEVFN,
                                                .ram = f->env.ram,
                                                .loop = f->env.loop,
                                                .clock = f->env.clock,
                                                .backend = &backend,
                                                .mac = {0x52, 0x54, 0, 1, 2, 3}},
                           &f->dev, NULL) == 0);
}

static void start(const struct card *c, struct nic_fixture *f, struct fuzz_input *in)
{
    if (f->env.pci == NULL)
        make(f, c);
    now = f;
    f->dev.ops->reset(f->dev.self);
    suite_place(&f->env, DEVFN);
    memset(ram_ptr(f->env.ram, 0, RAM_SIZE, true), 0, RAM_SIZE);
    c->start(in);
}

/* Descriptors of real drivers have addresses in memory: some bits of the input say which. */
static void write_desc(struct fuzz_input *in)
{
    uint8_t where = fuzz_u8(in);
    uint32_t d[4] = {fuzz_u16(in) << 1, 0, fuzz_u32(in), fuzz_u32(in)};

    poke(RINGS + (where >> 7) * RING_BYTES + 16 * (where & 15), d, sizeof(d));
}

/* A frame in memory with headers that begin as they should. */
static void write_frame(struct fuzz_input *in)
{
    uint8_t frame[64] = {0x52, 0x54, 0, 9, 9, 9, 0x52, 0x54, 0, 1, 2, 3, 0x08, 0x00, 0x45};

    frame[23] = 6;
    frame[46] = 0x50;
    frame[fuzz_u8(in) % sizeof(frame)] ^= fuzz_u8(in);
    poke(fuzz_u16(in), frame, sizeof(frame));
}

static void receive(struct fuzz_input *in)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_meta meta = {.flags = fuzz_u8(in) & 3,
                            .gso = fuzz_u8(in),
                            .gso_size = fuzz_u16(in),
                            .csum_start = fuzz_u8(in),
                            .csum_offset = fuzz_u8(in)};
    size_t len = fuzz_u16(in);

    memset(frame, 0xff, 6);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16] = (uint8_t)(len >> 8);
    frame[17] = (uint8_t)(len - 14);
    frame[23] = fuzz_u8(in);
    frame[46] = 0x50;
    (void)net_stub_receive(&now->net, &meta, frame, len);
}

static void settle(void)
{
    for (unsigned i = 0; i < 2; i++)
        suite_settle(&now->env);
}

static void step(const struct card *c, struct fuzz_input *in)
{
    switch (fuzz_u8(in) & 7) {
    case 0:
    case 1:
        write_desc(in);
        break;
    case 2:
        write_frame(in);
        break;
    case 3:
        c->go(in);
        settle();
        break;
    case 4:
        receive(in);
        break;
    case 5:
        now->dev.ops->pause(now->dev.self);
        receive(in);
        now->dev.ops->resume(now->dev.self);
        break;
    case 6:
        c->reg(in);
        break;
    default:
        now->net.peer->link(now->net.peer_opaque, fuzz_u8(in) & 1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};

    unsigned choice = fuzz_u8(&in) % CARDS;
    driver.card = &cards[choice];
    driver.in = &in;
    start(&cards[choice], &fixtures[choice], &in);
    while (in.left > 0)
        step(&cards[choice], &in);
    settle();
    return 0;
}
