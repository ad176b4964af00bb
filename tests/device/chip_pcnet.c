/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Am79C970A: registers of both widths, initialization blocks, interrupts, filter, rings. */
#include "test.h"

#include <string.h>

#include "base/bits.h"
#include "dev/chip/pcnet_chip.h"

enum { APROM = 0, RDP = 0x10, RAP = 0x12, RESET = 0x14, BDP = 0x16 };

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static struct pcnet_chip make(void)
{
    struct pcnet_chip c;

    pcnet_init(&c, mac);
    c.cable = true;
    return c;
}

static uint16_t csr(struct pcnet_chip *c, unsigned i)
{
    unsigned did;

    pcnet_io_write(c, RAP, 2, i);
    return (uint16_t)pcnet_io_read(c, RDP, 2, &did);
}

static unsigned set_csr(struct pcnet_chip *c, unsigned i, uint16_t value)
{
    pcnet_io_write(c, RAP, 2, i);
    return pcnet_io_write(c, RDP, 2, value);
}

static uint16_t bcr(struct pcnet_chip *c, unsigned i)
{
    unsigned did;

    pcnet_io_write(c, RAP, 2, i);
    return (uint16_t)pcnet_io_read(c, BDP, 2, &did);
}

static void set_bcr(struct pcnet_chip *c, unsigned i, uint16_t value)
{
    pcnet_io_write(c, RAP, 2, i);
    pcnet_io_write(c, BDP, 2, value);
}

static void test_detection(void **state)
{
    struct pcnet_chip c = make();
    unsigned did;

    assert_int_equal(pcnet_io_read(&c, 0, 4, &did), 0x12005452);
    assert_int_equal(pcnet_io_read(&c, 4, 2, &did), 0x5634);
    assert_int_equal(pcnet_io_read(&c, 14, 2, &did), 0x5757);
    assert_int_equal(csr(&c, 0), PCNET_STOP);
    assert_int_equal(csr(&c, 88) | (uint32_t)csr(&c, 89) << 16, 0x02621003);
    assert_int_equal(csr(&c, 12), 0x5452);
    assert_int_equal(bcr(&c, 4), 0x80c0);
    c.cable = false;
    assert_int_equal(bcr(&c, 4), 0x00c0);
}

static void test_widths(void **state)
{
    struct pcnet_chip c = make();
    unsigned did;

    assert_int_equal(pcnet_io_read(&c, RDP, 4, &did), UINT32_MAX);
    assert_int_equal(pcnet_io_read(&c, 0x18, 4, &did), UINT32_MAX);
    assert_int_equal(did, 0); /* no reset: that is elsewhere */
    pcnet_io_write(&c, RDP, 4, 0);
    pcnet_io_write(&c, 0x14, 4, 88);
    assert_int_equal(pcnet_io_read(&c, RDP, 4, &did), 0x1003);
    assert_int_equal(pcnet_io_read(&c, RDP, 2, &did), 0xffff);
    pcnet_io_read(&c, 0x18, 4, &did);
    assert_int_equal(did, PCNET_DID_RESET);
    pcnet_reset(&c);
    assert_int_equal(csr(&c, 0), PCNET_STOP);
}

static void test_wide_block(void **state)
{
    uint8_t b[28] = {0};
    struct pcnet_chip c = make();

    set_bcr(&c, 20, 2);
    assert_int_equal(bcr(&c, 20), 0x302);
    assert_int_equal(pcnet_init_length(&c), 28);
    set_csr(&c, 1, 0x1000);
    set_csr(&c, 2, 0xabcd);
    assert_int_equal(pcnet_init_address(&c), 0xabcd1000);
    st_le16(b, PCNET_PROM);
    b[2] = 5 << 4;
    b[3] = 4 << 4;
    memcpy(b + 4, mac, 6);
    b[12] = 0x80;
    st_le32(b + 20, 0x12345678);
    st_le32(b + 24, 0x9abcdef0);
    assert_int_equal(set_csr(&c, 0, PCNET_INIT), PCNET_DID_INIT);
    pcnet_take_init(&c, b, true);
    assert_int_equal(csr(&c, 0), PCNET_INIT | PCNET_IDON | PCNET_INTR);
    assert_int_equal(csr(&c, 15), PCNET_PROM);
    assert_int_equal(c.rx.base, 0x12345670);
    assert_int_equal(c.rx.count, 32);
    assert_int_equal(c.tx.base, 0x9abcdef0);
    assert_int_equal(c.tx.count, 16);
    assert_int_equal(csr(&c, 76), (uint16_t)-32);
    assert_int_equal(c.csr[8], 0x80);
    assert_false(pcnet_sends(&c));
    assert_int_equal(set_csr(&c, 0, PCNET_STRT | PCNET_IENA), PCNET_DID_TX);
    assert_true(pcnet_sends(&c) && pcnet_receives(&c));
    set_csr(&c, 5, 1); /* suspended */
    assert_int_equal(csr(&c, 5), 1);
    assert_false(pcnet_sends(&c) || pcnet_receives(&c));
}

static void test_narrow_block(void **state)
{
    uint8_t b[24] = {0};
    struct pcnet_chip c = make();

    assert_int_equal(pcnet_init_length(&c), 24);
    set_csr(&c, 2, 0x5500);
    st_le16(b, PCNET_DTX);
    memcpy(b + 2, mac, 6);
    st_le32(b + 16, 0x60123458);
    st_le32(b + 20, 0x80222220);
    set_csr(&c, 0, PCNET_INIT | PCNET_STRT);
    pcnet_take_init(&c, b, true);
    assert_int_equal(c.rx.base, 0x55123458);
    assert_int_equal(c.rx.count, 8);
    assert_int_equal(c.tx.count, 16);
    assert_true(pcnet_receives(&c));
    assert_false(pcnet_sends(&c)); /* DTX */
    pcnet_take_init(&c, b, false);
    assert_int_equal(csr(&c, 0) & (PCNET_MERR | PCNET_ERR), PCNET_MERR | PCNET_ERR);
}

static void test_interrupts(void **state)
{
    struct pcnet_chip c = make();

    set_csr(&c, 0, PCNET_STRT);
    pcnet_raise(&c, PCNET_TINT);
    assert_false(pcnet_asserted(&c));
    set_csr(&c, 0, PCNET_IENA);
    assert_true(pcnet_asserted(&c));
    set_csr(&c, 3, PCNET_TINT);
    assert_false(pcnet_asserted(&c));
    assert_int_equal(csr(&c, 0) & PCNET_INTR, 0);
    set_csr(&c, 3, 0);
    set_csr(&c, 0, PCNET_TINT | PCNET_IENA);
    assert_false(pcnet_asserted(&c));
    set_csr(&c, 4, 0x0080); /* by software */
    assert_true(pcnet_asserted(&c));
    set_csr(&c, 4, 0x0040);
    assert_false(pcnet_asserted(&c));
    pcnet_raise(&c, PCNET_RINT);
    assert_int_equal(set_csr(&c, 0, PCNET_STOP), PCNET_DID_RESET);
    assert_int_equal(csr(&c, 0), PCNET_STOP);
}

static bool accepts(const struct pcnet_chip *c, const uint8_t *to, uint16_t how)
{
    uint8_t frame[64] = {0};
    uint16_t status;
    bool yes;

    memcpy(frame, to, 6);
    yes = pcnet_accepts(c, frame, sizeof(frame), &status);
    assert_int_equal(status, how);
    return yes;
}

static void test_filter(void **state)
{
    static const uint8_t other[6] = {0x52, 0x54, 0, 1, 1, 1},
                         all[6] = {255, 255, 255, 255, 255, 255},
                         group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
    struct pcnet_chip c = make();

    assert_false(accepts(&c, mac, 0)); /* off */
    set_csr(&c, 76, (uint16_t)-4);
    set_csr(&c, 0, PCNET_STRT);
    assert_true(accepts(&c, mac, PCNET_PAM));
    assert_true(accepts(&c, all, PCNET_BAM));
    assert_false(accepts(&c, other, 0));
    assert_false(accepts(&c, group, 0));
    /* The CRC of this address begins with 54 in its upper six bits. */
    set_csr(&c, 11, 1 << 6);
    assert_true(accepts(&c, group, PCNET_LAFM));
    set_csr(&c, 15, PCNET_DRCVBC | PCNET_DRCVPA);
    assert_false(accepts(&c, mac, 0));
    assert_false(accepts(&c, all, 0));
    set_csr(&c, 15, PCNET_PROM);
    assert_true(accepts(&c, other, 0));
}

static void check_style(unsigned style, const uint8_t *d, unsigned size, uint32_t buffer)
{
    struct pcnet_chip c = make();
    struct pcnet_ring r = {.base = 0x1000, .count = 4, .at = 0};
    uint8_t copy[16];
    struct pcnet_desc out;

    memcpy(copy, d, size);
    set_bcr(&c, 20, (uint16_t)style);
    assert_int_equal(pcnet_desc_size(&c), size);
    assert_int_equal(pcnet_desc_at(&c, &r, 5), 0x1000 + size);
    out = pcnet_desc_load(&c, copy);
    assert_int_equal(out.buffer, buffer);
    assert_int_equal(out.size, 1514);
    assert_int_equal(out.status & 0xff00, PCNET_OWN | PCNET_STP | PCNET_ENP);
    pcnet_desc_done(&c, copy, PCNET_OWN | PCNET_ENP, 77);
    out = pcnet_desc_load(&c, copy);
    assert_int_equal(out.buffer, buffer);
    assert_int_equal(out.size, 1514);
    assert_int_equal(copy[size == 8 ? 6 : style == 3 ? 0 : 8], 77);
}

static void test_descriptors(void **state)
{
    static const uint8_t narrow[8] = {0x56, 0x34, 0x12, 0x83, 0x16, 0xfa, 0, 0};
    static const uint8_t wide[16] = {0x78, 0x56, 0x34, 0x12, 0x16, 0xfa, 0, 0x83};
    static const uint8_t swapped[16] = {0, 0, 0, 0, 0x16, 0xfa, 0, 0x83, 0x78, 0x56, 0x34, 0x12};
    struct pcnet_chip c = make();
    uint8_t d[8];

    check_style(2, wide, 16, 0x12345678);
    check_style(3, swapped, 16, 0x12345678);
    memcpy(d, narrow, 8);
    assert_int_equal(pcnet_desc_load(&c, d).buffer, 0x123456);
    assert_int_equal(pcnet_desc_load(&c, d).status, PCNET_OWN | PCNET_STP | PCNET_ENP);
    pcnet_desc_done(&c, d, PCNET_ENP, 77);
    assert_int_equal(d[3], 1);
    assert_int_equal(d[6], 77);
    memset(d, 0, sizeof(d));
    assert_int_equal(pcnet_desc_load(&c, d).size, 4096);
    set_bcr(&c, 20, 4); /* there is none */
    assert_int_equal(bcr(&c, 20) & 0xff, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detection),   cmocka_unit_test(test_widths),
        cmocka_unit_test(test_wide_block),  cmocka_unit_test(test_narrow_block),
        cmocka_unit_test(test_interrupts),  cmocka_unit_test(test_filter),
        cmocka_unit_test(test_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
