/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network cards of real PCs: what a frame looks like in the driver's buffers, a driver that changes
 * its mind while a frame is on its way, and frames of many pieces.
 */
#include "test.h"

#include <zlib.h>

#include "base/bits.h"
#include "dev/chip/e1000_chip.h"
#include "dev/e1000.h"
#include "dev/pcnet.h"
#include "net_stub.h"
#include "suite_env.h"

#define RAM_SIZE (1u << 20)
#define DEVFN PCI_DEVFN(3, 0)
#define RING 0x1000u
#define BUFFER 0x10000u
#define FRAME 100u

enum { RCTL = 0x100, RDBAL = 0x2800, RDLEN = 0x2808, RDT = 0x2818 };
enum { TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, TCTL = 0x400 };

struct env {
    struct suite_env around;
    struct net_stub net;
    struct device dev;
    void (*meanwhile)(struct env *v); /* while a frame is on its way; NULL: nothing */
    unsigned sent;
};

static void on_send(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len)
{
    struct env *v = opaque;

    v->sent++;
    if (v->meanwhile != NULL)
        v->meanwhile(v);
}

static void open_env(struct env *v,
                     int (*create)(const struct nic_config *cfg, struct device *out, struct err *e))
{
    struct net_backend backend = net_stub_backend(&v->net, 0);

    *v = (struct env){.net = {.send = on_send, .opaque = v}};
    suite_env_init(&v->around, RAM_SIZE);
    assert_int_equal(create(&(struct nic_config){.bus = suite_pci(&v->around),
                                                 .devfn = DEVFN,
                                                 .ram = v->around.ram,
                                                 .loop = v->around.loop,
                                                 .clock = v->around.clock,
                                                 .backend = &backend,
                                                 .mac = {0x52, 0x54, 0, 1, 2, 3}},
                            &v->dev, NULL),
                     0);
    suite_place(&v->around, DEVFN);
}

static void close_env(struct env *v)
{
    v->dev.ops->destroy(v->dev.self);
    suite_env_finish(&v->around);
}

static void put(struct env *v, gpa_t gpa, const void *bytes, size_t len)
{
    assert_int_equal(ram_write(v->around.ram, gpa, bytes, len), 0);
}

static void get(struct env *v, gpa_t gpa, void *bytes, size_t len)
{
    assert_int_equal(ram_read(v->around.ram, gpa, bytes, len), 0);
}

/* A frame of 42 bytes: it is padded to 60 and has an FCS. */
static void receive(struct env *v)
{
    static uint8_t frame[42] = {0x52, 0x54, 0, 1, 2, 3};

    for (unsigned i = 6; i < sizeof(frame); i++)
        frame[i] = (uint8_t)i;
    assert_true(net_stub_receive(&v->net, &(struct net_meta){0}, frame, sizeof(frame)));
}

/* It lies at BUFFER, in pieces that are so far apart. */
static void expect_frame(struct env *v, unsigned size, unsigned apart)
{
    uint8_t got[64];

    for (unsigned at = 0; at < sizeof(got); at += size)
        get(v, BUFFER + (gpa_t)at / size * apart, got + at, size);
    for (unsigned i = 6; i < 60; i++)
        assert_int_equal(got[i], i < 42 ? i : 0);
    assert_int_equal(ld_le32(got + 60), crc32(0, got, 60));
}

/* --- 82540EM --- */

static void reg(struct env *v, uint32_t offset, uint32_t value)
{
    bus_write(v->around.mmio, SUITE_WINDOW + offset, value, 4);
}

/* A ring with one frame in `pieces` descriptors, each with RS. */
static void e1000_queue(struct env *v, unsigned pieces)
{
    const uint32_t command = E1000_TXD_RS | E1000_TXD_IFCS;

    reg(v, 0, E1000_CTRL_SLU | 1);
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t end = i + 1 == pieces ? E1000_TXD_EOP : 0;
        uint64_t d[2] = {BUFFER, FRAME | (uint64_t)(command | end) << 24};

        put(v, RING + 16 * (gpa_t)i, d, sizeof(d));
    }
    reg(v, TDBAL, RING);
    reg(v, TDLEN, 4096);
    reg(v, TDH, 0);
    reg(v, TCTL, E1000_TCTL_EN);
    reg(v, TDT, pieces);
    suite_settle(&v->around);
}

static bool e1000_done(struct env *v, unsigned i)
{
    uint8_t status;

    get(v, RING + 16 * (gpa_t)i + 12, &status, 1);
    return (status & E1000_TXD_DD) != 0;
}

static void no_e1000_ring(struct env *v)
{
    reg(v, TDLEN, 0);
}

static void test_e1000_ring_goes(void **state)
{
    struct env v;

    open_env(&v, e1000_create);
    v.meanwhile = no_e1000_ring;
    e1000_queue(&v, 2);
    assert_int_equal(v.sent, 1);
    assert_false(e1000_done(&v, 0));
    v.meanwhile = NULL;
    e1000_queue(&v, 2);
    assert_int_equal(v.sent, 2);
    assert_true(e1000_done(&v, 0) && e1000_done(&v, 1));
    close_env(&v);
}

static void test_e1000_many_pieces(void **state)
{
    const unsigned pieces = 2 * NIC_DIRTY + 1;
    struct env v;

    open_env(&v, e1000_create);
    e1000_queue(&v, pieces);
    assert_int_equal(v.sent, 1);
    for (unsigned i = 0; i < pieces; i++)
        assert_true(e1000_done(&v, i));
    close_env(&v);
}

/* Frames that are to be segmented count as what becomes of them. */
static void test_e1000_budget(void **state)
{
    const unsigned frames = 4, payload = 1000;
    const uint64_t options = E1000_TXD_IFCS | E1000_TXD_DEXT | E1000_TXD_TSE;
    /* Headers of 54 bytes, IPv4 and TCP, segments of one byte. */
    const uint64_t context[2] = {0x00003222000018 << 8 | 14,
                                 (options | E1000_TXD_TCP | E1000_TXD_IP) << 24 |
                                     (uint64_t)54 << 40 | (uint64_t)1 << 48};
    const uint64_t data[2] = {BUFFER,
                              (54 + payload) | UINT64_C(1) << 20 | (options | E1000_TXD_EOP) << 24};
    struct env v;

    open_env(&v, e1000_create);
    put(&v, RING, context, sizeof(context));
    for (unsigned i = 1; i <= frames; i++)
        put(&v, RING + 16 * (gpa_t)i, data, sizeof(data));
    reg(&v, 0, E1000_CTRL_SLU | 1);
    reg(&v, TDBAL, RING);
    reg(&v, TDLEN, 4096);
    reg(&v, TCTL, E1000_TCTL_EN);
    reg(&v, TDT, frames + 1);
    for (unsigned i = 0; i < frames; i++)
        suite_settle(&v.around);
    assert_int_equal(v.sent, frames * payload);
    assert_int_equal(v.net.batches, frames);
    close_env(&v);
}

static void test_e1000_receives(void **state)
{
    const uint64_t d[2] = {BUFFER, 0};
    uint8_t done[16];
    struct env v;

    open_env(&v, e1000_create);
    put(&v, RING, d, sizeof(d));
    reg(&v, 0, E1000_CTRL_SLU | 1);
    reg(&v, RDBAL, RING);
    reg(&v, RDLEN, 128);
    reg(&v, RCTL, E1000_RCTL_EN | E1000_RCTL_UPE);
    reg(&v, RDT, 1);
    receive(&v);
    expect_frame(&v, 64, 64);
    get(&v, RING, done, sizeof(done));
    assert_int_equal(ld_le16(done + 8), 64);
    assert_int_equal(done[12] & (E1000_RXD_DD | E1000_RXD_EOP), E1000_RXD_DD | E1000_RXD_EOP);
    close_env(&v);
}

/* --- Am79C970A --- */

static void csr(struct env *v, unsigned number, uint16_t value)
{
    bus_write(v->around.ports, SUITE_PORTS + 0x12, number, 2);
    bus_write(v->around.ports, SUITE_PORTS + 0x10, value, 2);
}

/* Rings of 16, 32-bit descriptors, the first of which has a frame to send. */
static void pcnet_queue(struct env *v)
{
    const uint32_t block[7] = {0x40400000, 0x01005452, 0x0302, 0, 0, RING, RING + 0x1000};
    const uint32_t d[4] = {BUFFER, 0x8300f000 | (0x1000 - FRAME), 0, 0};

    put(v, RING + 0x1000, d, sizeof(d));
    put(v, 0x800, block, sizeof(block));
    bus_write(v->around.ports, SUITE_PORTS + 0x12, 20, 2);
    bus_write(v->around.ports, SUITE_PORTS + 0x16, 2, 2);
    csr(v, 0, 4); /* STOP */
    csr(v, 1, 0x800);
    csr(v, 2, 0);
    csr(v, 0, 1);    /* INIT */
    csr(v, 0, 0x42); /* STRT, IENA */
    suite_settle(&v->around);
}

static bool pcnet_done(struct env *v)
{
    uint32_t status;

    get(v, RING + 0x1000 + 4, &status, 4);
    return (status & 0x80000000) == 0;
}

static void no_pcnet_ring(struct env *v)
{
    csr(v, 78, 0);
}

static void test_pcnet_ring_goes(void **state)
{
    struct env v;

    open_env(&v, pcnet_create);
    v.meanwhile = no_pcnet_ring;
    pcnet_queue(&v);
    assert_int_equal(v.sent, 1);
    assert_false(pcnet_done(&v));
    v.meanwhile = NULL;
    pcnet_queue(&v);
    assert_int_equal(v.sent, 2);
    assert_true(pcnet_done(&v));
    close_env(&v);
}

/* In buffers of 16 bytes. */
static void test_pcnet_receives(void **state)
{
    uint32_t d[4] = {0, 0x8000f000 | (0x1000 - 16), 0, 0};
    struct env v;

    open_env(&v, pcnet_create);
    for (unsigned i = 0; i < 16; i++) {
        d[0] = BUFFER + 0x100 * i;
        put(&v, RING + 16 * (gpa_t)i, d, sizeof(d));
    }
    pcnet_queue(&v);
    receive(&v);
    expect_frame(&v, 16, 0x100);
    for (unsigned i = 0; i < 4; i++) {
        get(&v, RING + 16 * (gpa_t)i, d, sizeof(d));
        assert_int_equal(d[1] >> 24, (i == 0 ? 2 : 0) | (i == 3 ? 1 : 0)); /* STP, ENP */
        assert_int_equal(d[2], i == 3 ? 64 : 0);
    }
    close_env(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_e1000_ring_goes), cmocka_unit_test(test_e1000_many_pieces),
        cmocka_unit_test(test_e1000_budget),    cmocka_unit_test(test_e1000_receives),
        cmocka_unit_test(test_pcnet_ring_goes), cmocka_unit_test(test_pcnet_receives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
