/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM: EEPROM, PHY, interrupts, filter, statistics, checksums, segmentation. */
#include "test.h"

#include <string.h>

#include "base/bits.h"
#include "dev/chip/e1000_chip.h"

enum { CTRL = 0, STATUS = 8, EECD = 0x10, EERD = 0x14, MDIC = 0x20, ICR = 0xc0, ICS = 0xc8 };
enum { IMS = 0xd0, IMC = 0xd8, RCTL = 0x100, RA = 0x5400, MTA = 0x5200, VFTA = 0x5600 };

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static struct e1000_chip make(void)
{
    struct e1000_chip c;

    e1000_init(&c, mac);
    e1000_cable(&c, true);
    e1000_write(&c, CTRL, E1000_CTRL_SLU | 1);
    e1000_read(&c, ICR);
    return c;
}

/* --- EEPROM --- */

enum { SK = 1, CS = 2, DI = 4, DO = 8, REQ = 0x40, GNT = 0x80 };

static bool clock_bit(struct e1000_chip *c, bool bit)
{
    uint32_t v = REQ | CS | (bit ? DI : 0);

    e1000_write(c, EECD, v);
    e1000_write(c, EECD, v | SK);
    e1000_write(c, EECD, v);
    return (e1000_read(c, EECD) & DO) != 0;
}

static void shift_out(struct e1000_chip *c, uint32_t bits, unsigned n)
{
    while (n-- > 0)
        clock_bit(c, bits >> n & 1);
}

static uint16_t shift_in(struct e1000_chip *c)
{
    uint16_t v = 0;

    for (unsigned i = 0; i < 16; i++)
        v = (uint16_t)(v << 1 | clock_bit(c, false));
    return v;
}

static void deselect(struct e1000_chip *c)
{
    e1000_write(c, EECD, REQ);
}

static uint16_t microwire_read(struct e1000_chip *c, unsigned address)
{
    uint16_t v;

    shift_out(c, 6u << 6 | address, 9);
    assert_int_equal(e1000_read(c, EECD) & DO, 0); /* a zero in front */
    v = shift_in(c);
    deselect(c);
    return v;
}

static void test_eeprom(void **state)
{
    struct e1000_chip c = make();
    uint16_t sum = 0;

    e1000_write(&c, EECD, REQ);
    assert_int_equal(e1000_read(&c, EECD) & (GNT | CS), GNT);
    for (unsigned i = 0; i < E1000_EEPROM_WORDS; i++) {
        uint16_t word = microwire_read(&c, i);

        e1000_write(&c, EERD, 1 | i << 8);
        assert_int_equal(e1000_read(&c, EERD), (uint32_t)word << 16 | i << 8 | 16);
        sum = (uint16_t)(sum + word);
    }
    assert_int_equal(sum, 0xbaba);
    assert_int_equal(microwire_read(&c, 0), 0x5452);
    /* Reading goes on with the next word. */
    shift_out(&c, 6u << 6, 9);
    assert_int_equal(shift_in(&c), 0x5452);
    assert_int_equal(shift_in(&c), 0x1200);
    deselect(&c);
}

static void write_word(struct e1000_chip *c, unsigned address, uint16_t word)
{
    shift_out(c, 5u << 6 | address, 9);
    shift_out(c, word, 16);
    deselect(c);
}

static void test_eeprom_write(void **state)
{
    struct e1000_chip c = make();

    write_word(&c, 2, 0x7856);
    assert_int_equal(microwire_read(&c, 2), 0x5634); /* it is protected */
    shift_out(&c, 4u << 6 | 0x30, 9);                /* EWEN */
    deselect(&c);
    write_word(&c, 2, 0x7856);
    assert_int_equal(microwire_read(&c, 2), 0x7856);
    shift_out(&c, 4u << 6, 9); /* EWDS */
    deselect(&c);
    write_word(&c, 2, 0xffff);
    assert_int_equal(microwire_read(&c, 2), 0x7856);
    /* A reset takes the address from there. */
    e1000_write(&c, CTRL, E1000_CTRL_RST);
    assert_int_equal(e1000_read(&c, RA + 4), 0x80007856);
}

/* --- PHY, link, interrupts --- */

static uint16_t mii(struct e1000_chip *c, unsigned phy, unsigned reg, unsigned op, uint16_t value)
{
    e1000_write(c, MDIC, op << 26 | phy << 21 | reg << 16 | value);
    assert_int_equal(e1000_read(c, MDIC) >> 28 & 1, 1);
    return (uint16_t)e1000_read(c, MDIC);
}

static void test_phy(void **state)
{
    struct e1000_chip c = make();

    assert_int_equal(mii(&c, 1, 2, 2, 0), 0x0141);
    assert_int_equal(mii(&c, 1, 3, 2, 0) & 0xfff0, 0x0c20);
    assert_int_equal(mii(&c, 1, 1, 2, 0) & 0x0024, 0x0024);
    mii(&c, 1, 4, 1, 0x01e1);
    assert_int_equal(mii(&c, 1, 4, 2, 0), 0x01e1);
    mii(&c, 1, 0, 1, 0x8000);
    assert_int_equal(mii(&c, 1, 4, 2, 0), 0x0de1);
    mii(&c, 2, 2, 2, 0);
    assert_true(e1000_read(&c, MDIC) & 1u << 30); /* nobody has this address */
    e1000_cable(&c, false);
    assert_int_equal(mii(&c, 1, 1, 2, 0) & 0x0024, 0);
    assert_int_equal(e1000_read(&c, ICR), E1000_LSC);
    e1000_write(&c, MDIC, 2u << 26 | 1u << 21 | 1u << 29);
    assert_int_equal(e1000_read(&c, ICR), E1000_MDAC);
}

static void test_link(void **state)
{
    struct e1000_chip c;

    e1000_init(&c, mac);
    e1000_cable(&c, true);
    assert_int_equal(e1000_read(&c, STATUS) & 2, 0);
    e1000_write(&c, CTRL, E1000_CTRL_SLU);
    assert_int_equal(e1000_read(&c, STATUS) & 2, 2);
    assert_int_equal(e1000_read(&c, ICR), E1000_LSC);
    e1000_write(&c, CTRL, E1000_CTRL_RST);
    assert_int_equal(e1000_read(&c, STATUS) & 2, 0);
    assert_int_equal(e1000_read(&c, CTRL) & E1000_CTRL_RST, 0);
}

static void test_interrupts(void **state)
{
    struct e1000_chip c = make();

    e1000_write(&c, IMS, E1000_TXDW | E1000_RXT0);
    assert_false(e1000_asserted(&c));
    e1000_write(&c, ICS, E1000_LSC);
    assert_false(e1000_asserted(&c));
    e1000_raise(&c, E1000_RXT0);
    assert_true(e1000_asserted(&c));
    e1000_write(&c, IMC, E1000_RXT0);
    assert_false(e1000_asserted(&c));
    assert_int_equal(e1000_read(&c, IMS), E1000_TXDW);
    e1000_write(&c, ICR, E1000_LSC);
    assert_int_equal(e1000_read(&c, ICR), E1000_RXT0);
    assert_int_equal(e1000_read(&c, ICR), 0);
}

static void test_rings(void **state)
{
    struct e1000_chip c = make();

    e1000_write(&c, 0x3800, 0x12345);
    e1000_write(&c, 0x3804, 1);
    e1000_write(&c, 0x3808, 0x1ff);
    assert_int_equal(c.tx.base, UINT64_C(0x100012340));
    assert_int_equal(e1000_count(&c.tx), 0x180 / 16);
    e1000_write(&c, 0x3810, 20);
    assert_int_equal(e1000_write(&c, 0x3818, 3), E1000_DID_TX);
    assert_int_equal(e1000_available(&c.tx), 7);
    e1000_write(&c, 0x3818, 24); /* outside */
    assert_int_equal(e1000_available(&c.tx), 0);
    assert_int_equal(e1000_buffer_size(&c), 2048);
    e1000_write(&c, RCTL, 3u << 16);
    assert_int_equal(e1000_buffer_size(&c), 256);
    e1000_write(&c, RCTL, 1u << 16 | E1000_RCTL_BSEX);
    assert_int_equal(e1000_buffer_size(&c), 16384);
}

/* --- filter --- */

static bool accepts(const struct e1000_chip *c, const uint8_t *to)
{
    uint8_t frame[64] = {0}, status;

    memcpy(frame, to, 6);
    return e1000_accepts(c, frame, sizeof(frame), &status);
}

static void test_filter(void **state)
{
    static const uint8_t other[6] = {0x52, 0x54, 0, 1, 1, 1},
                         all[6] = {255, 255, 255, 255, 255, 255},
                         group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb};
    struct e1000_chip c = make();

    assert_false(accepts(&c, mac)); /* off */
    e1000_write(&c, RCTL, E1000_RCTL_EN);
    assert_true(accepts(&c, mac));
    assert_false(accepts(&c, other));
    assert_false(accepts(&c, all));
    assert_false(accepts(&c, group));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_BAM);
    assert_true(accepts(&c, all));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_UPE);
    assert_true(accepts(&c, other));
    assert_false(accepts(&c, group));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_MPE);
    assert_true(accepts(&c, group));
    /* The hash of 00:fb at offset 0: bits 47:36, 0xfb0. */
    e1000_write(&c, RCTL, E1000_RCTL_EN);
    e1000_write(&c, MTA + (0xfb0 / 32) * 4, 1u << (0xfb0 % 32));
    assert_true(accepts(&c, group));
    e1000_write(&c, RCTL, E1000_RCTL_EN | 1u << 12);
    assert_false(accepts(&c, group));
    e1000_write(&c, RA + 8, ld_le32(other));
    e1000_write(&c, RA + 12, ld_le16(other + 4));
    assert_false(accepts(&c, other)); /* not valid */
    e1000_write(&c, RA + 12, ld_le16(other + 4) | 1u << 31);
    assert_true(accepts(&c, other));
    e1000_cable(&c, false);
    assert_false(accepts(&c, mac));
}

static void test_vlan_and_length(void **state)
{
    struct e1000_chip c = make();
    uint8_t frame[9000] = {0}, status;

    memcpy(frame, mac, 6);
    frame[12] = 0x81;
    frame[15] = 0x25;
    e1000_write(&c, RCTL, E1000_RCTL_EN);
    assert_true(e1000_accepts(&c, frame, 64, &status));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_VFE);
    assert_false(e1000_accepts(&c, frame, 64, &status));
    e1000_write(&c, VFTA + 4, 1u << 5);
    assert_true(e1000_accepts(&c, frame, 64, &status));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_VFE | E1000_RCTL_CFIEN | E1000_RCTL_CFI);
    assert_false(e1000_accepts(&c, frame, 64, &status));
    e1000_write(&c, RCTL, E1000_RCTL_EN);
    assert_true(e1000_accepts(&c, frame, 1518, &status));
    assert_false(e1000_accepts(&c, frame, 1519, &status));
    e1000_write(&c, RCTL, E1000_RCTL_EN | E1000_RCTL_LPE);
    assert_true(e1000_accepts(&c, frame, 9000, &status));
    assert_false(e1000_accepts(&c, frame, 13, &status));
}

static void test_statistics(void **state)
{
    struct e1000_chip c = make();
    uint8_t frame[1514] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    e1000_count_rx(&c, frame, 60);
    frame[0] = 1;
    e1000_count_rx(&c, frame, 1514);
    c.stats[0xc0 / 4] = UINT32_MAX; /* TORL */
    e1000_count_rx(&c, frame, 100);
    assert_int_equal(e1000_read(&c, 0x4074), 3); /* GPRC */
    assert_int_equal(e1000_read(&c, 0x4074), 0); /* cleared */
    assert_int_equal(e1000_read(&c, 0x4078), 1); /* BPRC */
    assert_int_equal(e1000_read(&c, 0x407c), 2); /* MPRC */
    assert_int_equal(e1000_read(&c, 0x405c), 1); /* 64 */
    assert_int_equal(e1000_read(&c, 0x4060), 1); /* to 127 */
    assert_int_equal(e1000_read(&c, 0x4070), 1); /* from 1024 */
    assert_int_equal(e1000_read(&c, 0x4088), 64 + 1518 + 104);
    assert_int_equal(e1000_read(&c, 0x40c0), 103);
    assert_int_equal(e1000_read(&c, 0x40c4), 1);
    assert_int_equal(e1000_read(&c, 0x40c0), 0);
}

/* Pieces of a large frame are counted together, and the counters stick at their end. */
static void test_statistics_of_many(void **state)
{
    struct e1000_chip c = make();
    const uint8_t frame[1514] = {0x52, 0x54};

    e1000_count_tx(&c, frame, 1514, 45);
    e1000_count_tx(&c, frame, 100, 0);
    e1000_count_tx(&c, frame, 100, 1);
    assert_int_equal(e1000_read(&c, 0x4080), 46); /* GPTC */
    assert_int_equal(e1000_read(&c, 0x40ec), 45); /* PTC1522 */
    assert_int_equal(e1000_read(&c, 0x40dc), 1);  /* PTC127 */
    assert_int_equal(e1000_read(&c, 0x4090), 45 * 1518 + 104);
    e1000_count_tx(&c, frame, 60, UINT32_MAX);
    e1000_count_tx(&c, frame, 60, 7);
    assert_int_equal(e1000_read(&c, 0x4080), UINT32_MAX);
}

/* --- what is sent --- */

static uint16_t sum(const uint8_t *p, size_t len, uint32_t s)
{
    for (size_t i = 0; i < len; i++)
        s += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

/* Ethernet, IPv4 and TCP headers of a large frame as a driver leaves them: no length, no sums but
 * that of the pseudo header without the length. */
static size_t make_frame(uint8_t *f, size_t payload)
{
    static const uint8_t ip[20] = {0x45, 0, 0,  0, 0x12, 0x34, 0x40, 0, 64, 6,
                                   0,    0, 10, 0, 2,    15,   10,   0, 2,  2};
    uint8_t *tcp = f + 34;
    uint16_t pseudo;

    memset(f, 0, 54);
    f[12] = 8;
    memcpy(f + 14, ip, 20);
    tcp[4] = 0xff; /* sequence 0xffffff00 */
    tcp[5] = tcp[6] = 0xff;
    tcp[12] = 5 << 4;
    tcp[13] = 0x19; /* ACK, PSH, FIN */
    pseudo = sum(ip + 12, 8, 6);
    tcp[16] = (uint8_t)(pseudo >> 8);
    tcp[17] = (uint8_t)pseudo;
    for (size_t i = 0; i < payload; i++)
        f[54 + i] = (uint8_t)(i * 7);
    return 54 + payload;
}

struct collected {
    unsigned count;
    size_t payload;
    uint8_t last_flags;
};

static void check_piece(void *opaque, uint8_t *f, size_t len)
{
    struct collected *t = opaque;
    uint32_t l4 = (uint32_t)(len - 34);

    assert_int_equal(f[16] << 8 | f[17], len - 14);
    assert_int_equal(f[18] << 8 | f[19], 0x1234 + t->count);
    assert_int_equal(sum(f + 14, 20, 0), 0xffff);
    assert_int_equal(sum(f + 34, l4, sum(f + 26, 8, 6 + l4)), 0xffff);
    assert_int_equal((uint32_t)f[38] << 24 | f[39] << 16 | f[40] << 8 | f[41],
                     (uint32_t)(0xffffff00u + t->payload));
    for (size_t i = 54; i < len; i++)
        assert_int_equal(f[i], (uint8_t)((t->payload + i - 54) * 7));
    t->payload += len - 54;
    t->last_flags = f[47];
    t->count++;
    if (t->payload < 10000)
        assert_int_equal(f[47], 0x10);
}

static const struct e1000_context tcp4 = {.ipcss = 14,
                                          .ipcso = 24,
                                          .ipcse = 33,
                                          .tucss = 34,
                                          .tucso = 50,
                                          .tucmd = E1000_TXD_TCP | E1000_TXD_IP | E1000_TXD_TSE,
                                          .hdrlen = 54,
                                          .mss = 1460};

static void test_segmentation(void **state)
{
    static uint8_t frame[20000];
    struct collected t = {0};
    size_t len = make_frame(frame, 10000);

    assert_int_equal(
        e1000_segment(&tcp4, E1000_TXD_IXSM | E1000_TXD_TXSM, frame, len, check_piece, &t), 7);
    assert_int_equal(t.count, 7);
    assert_int_equal(t.payload, 10000);
    assert_int_equal(t.last_flags, 0x19);
}

static void never(void *opaque, uint8_t *frame, size_t len)
{
    fail();
}

static void test_senseless_contexts(void **state)
{
    static uint8_t frame[4000];
    size_t len = make_frame(frame, 3000);
    struct e1000_context x[6] = {tcp4, tcp4, tcp4, tcp4, tcp4, tcp4};

    x[0].mss = 0;
    x[1].hdrlen = 0;
    x[2].tucso = 53;
    x[3].tucss = 20;
    x[4].ipcso = 250;
    x[5].tucss = 40;
    for (unsigned i = 0; i < ARRAY_LEN(x); i++)
        assert_int_equal(e1000_segment(&x[i], 3, frame, len, never, NULL), 0);
    assert_int_equal(e1000_segment(&tcp4, 3, frame, 54, never, NULL), 0);
}

static void test_sums(void **state)
{
    uint8_t frame[200], copy[200];
    size_t len = make_frame(frame, 101);
    uint16_t l4 = (uint16_t)(len - 34);
    uint16_t pseudo = sum(frame + 26, 8, 6u + l4);

    frame[50] = (uint8_t)(pseudo >> 8);
    frame[51] = (uint8_t)pseudo;
    memcpy(copy, frame, len);
    e1000_sum(&tcp4, E1000_TXD_IXSM | E1000_TXD_TXSM, frame, len);
    assert_int_equal(sum(frame + 14, 20, 0), 0xffff);
    assert_int_equal(sum(frame + 34, l4, sum(frame + 26, 8, 6u + l4)), 0xffff);
    /* Outside of the frame: nothing happens. */
    e1000_sum_range(copy, len, 300, 400, 10);
    e1000_sum_range(copy, len, 14, 34, len - 1);
    frame[50] = copy[50], frame[51] = copy[51], frame[24] = frame[25] = 0;
    assert_memory_equal(copy, frame, len);
}

static void test_context(void **state)
{
    static const uint8_t d[16] = {14, 24, 33, 0, 34, 50, 0, 0, 0x10, 0x27, 0, 0x27, 0, 54, 0xb4, 5};
    struct e1000_chip c = make();

    e1000_take_context(&c, d);
    assert_memory_equal(&c.csum, &(struct e1000_context){0}, sizeof(c.csum));
    assert_int_equal(c.tso.ipcse, 33);
    assert_int_equal(c.tso.tucso, 50);
    assert_int_equal(c.tso.paylen, 10000);
    assert_int_equal(c.tso.hdrlen, 54);
    assert_int_equal(c.tso.mss, 1460);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eeprom),
        cmocka_unit_test(test_eeprom_write),
        cmocka_unit_test(test_phy),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_rings),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_vlan_and_length),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_statistics_of_many),
        cmocka_unit_test(test_segmentation),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_senseless_contexts),
        cmocka_unit_test(test_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
