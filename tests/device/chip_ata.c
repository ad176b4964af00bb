/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA drives and IDE channels: commands, phases, errors, packets, media, the bus master. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/ide_chip.h"

#define SECTORS 300000000u /* more than 28 bits hold */

static struct ide_channel *channel;

static int set_up(void **state)
{
    const struct ata_identity id[2] = {{.kind = ATA_DISK, .sectors = SECTORS, .serial = "S1"},
                                       {.kind = ATA_CDROM, .serial = "S2"}};

    channel = calloc(1, sizeof(*channel));
    ide_init(channel, id);
    channel->drive[1].mmc.sectors = 1000;
    channel->drive[1].mmc.attention = false;
    return 0;
}

static int tear_down(void **state)
{
    free(channel);
    return 0;
}

static void write_lba48(uint64_t lba, uint16_t count)
{
    for (int i = 2; i >= 0; i -= 2) { /* the upper halves first */
        ide_write(channel, ATA_REG_COUNT, i ? count >> 8 : count & 0xff, 1);
        for (unsigned k = 0; k < 3; k++)
            ide_write(channel, ATA_REG_LBA_LOW + k, (uint8_t)(lba >> (i ? 24 + 8 * k : 8 * k)), 1);
    }
    ide_write(channel, ATA_REG_DEVICE, ATA_DEVICE_LBA, 1);
}

static void write_lba28(uint32_t lba, uint8_t count)
{
    ide_write(channel, ATA_REG_COUNT, count, 1);
    for (unsigned k = 0; k < 3; k++)
        ide_write(channel, ATA_REG_LBA_LOW + k, (uint8_t)(lba >> 8 * k), 1);
    ide_write(channel, ATA_REG_DEVICE, ATA_DEVICE_LBA | lba >> 24, 1);
}

static void command(uint8_t c)
{
    ide_write(channel, ATA_REG_COMMAND, c, 1);
}

static uint8_t status(void)
{
    return ide_control_read(channel);
}

static struct ata_io io(void)
{
    struct ata_io want;

    assert_true(ata_io(ide_drive(channel), &want));
    return want;
}

static void take(uint8_t *to, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2)
        st_le16(to + i, (uint16_t)ide_read(channel, ATA_REG_DATA, 2));
}

static void identify(void **state)
{
    uint8_t d[512], sum = 0;

    command(0xec);
    assert_true(ide_update(channel));
    assert_int_equal(status(), ATA_DRDY | ATA_DSC | ATA_DRQ);
    take(d, 512);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + d[i]);
    assert_int_equal(sum, 0);
    assert_int_equal(ld_le32(d + 120), 0x0fffffff);
    assert_int_equal(ld_le64(d + 200), SECTORS);
    assert_memory_equal(d + 54, "ODPPLEH RADDSI K", 16);
    assert_int_equal(ide_read(channel, ATA_REG_COMMAND, 1), ATA_DRDY | ATA_DSC);
    assert_false(ide_update(channel)); /* reading the status takes the interrupt away */
}

/* READ SECTORS: pieces of the buffer's size, a DRQ and an interrupt for each sector. */
static void pio_read(void **state)
{
    struct ata_io want;

    write_lba28(7, 130);
    command(0x20);
    assert_int_equal(status() & ATA_BSY, ATA_BSY);
    want = io();
    assert_int_equal(want.phase, ATA_LOAD);
    assert_int_equal(want.offset, 7 * 512);
    assert_int_equal(want.bytes, 128 * 512);
    memset(want.data, 0x11, 128 * 512);
    want.data[512] = 0x22;
    ata_io_done(ide_drive(channel), 0, want.bytes);
    assert_true(ide_update(channel));
    for (unsigned i = 0; i < 128; i++) {
        uint8_t d[512];

        assert_true(ide_update(channel));
        assert_int_equal(ide_read(channel, ATA_REG_COMMAND, 1) & (ATA_DRQ | ATA_BSY), ATA_DRQ);
        assert_false(ide_update(channel));
        take(d, 512);
        assert_int_equal(d[0], i == 1 ? 0x22 : 0x11);
    }
    want = io();
    assert_int_equal(want.offset, 135 * 512);
    assert_int_equal(want.bytes, 2 * 512);
    ata_io_done(ide_drive(channel), 0, want.bytes);
    for (unsigned i = 0; i < 512; i++)
        ide_read(channel, ATA_REG_DATA, 4);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
}

static void pio_write_multiple(void **state)
{
    struct ata_io want;

    write_lba28(3, 6);
    command(0xc5);
    assert_int_equal(status() & ATA_ERR, ATA_ERR); /* no SET MULTIPLE yet */
    ide_write(channel, ATA_REG_COUNT, 4, 1);
    command(0xc6);
    write_lba28(3, 6);
    command(0xc5);
    assert_false(ide_update(channel)); /* none for the first block */
    for (unsigned i = 0; i < 4 * 256; i++)
        ide_write(channel, ATA_REG_DATA, i, 2);
    assert_true(ide_update(channel));
    for (unsigned i = 0; i < 2 * 256; i++) {
        assert_int_equal(status() & ATA_DRQ, ATA_DRQ);
        ide_write(channel, ATA_REG_DATA, 7, 2);
    }
    want = io();
    assert_int_equal(want.phase, ATA_STORE);
    assert_int_equal(want.offset, 3 * 512);
    assert_int_equal(want.bytes, 6 * 512);
    assert_int_equal(ld_le16(want.data + 2046), 1023);
    ata_io_done(ide_drive(channel), 0, want.bytes);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
}

static void dma_lba48(void **state)
{
    struct ata_io want;

    write_lba48(SECTORS - 600, 600);
    command(0x25);
    want = io();
    assert_int_equal(want.phase, ATA_READ);
    assert_int_equal(want.offset, (SECTORS - 600) * UINT64_C(512));
    assert_int_equal(want.bytes, 600 * 512);
    ata_io_done(ide_drive(channel), 0, 512 * 512);
    want = io();
    assert_int_equal(want.bytes, 88 * 512);
    ata_io_done(ide_drive(channel), 0, want.bytes);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    assert_true(ide_update(channel));
    assert_int_equal(ide_bm_read(channel, 2) & 4, 4);
    write_lba48(SECTORS - 600, 601); /* beyond the end */
    command(0x35);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC | ATA_ERR);
    assert_int_equal(ide_read(channel, ATA_REG_FEATURE, 1), ATA_IDNF);
}

static void read_error(void **state)
{
    write_lba28(100, 8);
    command(0xc8);
    ata_io_done(ide_drive(channel), 0, 1024);
    ata_io_done(ide_drive(channel), -EIO, 0);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC | ATA_ERR);
    assert_int_equal(ide_read(channel, ATA_REG_FEATURE, 1), ATA_UNC);
    assert_int_equal(ide_read(channel, ATA_REG_LBA_LOW, 1), 102);
}

static void flush_and_trim(void **state)
{
    struct ata_io want;

    command(0xea);
    assert_int_equal(io().phase, ATA_FLUSH);
    ata_io_done(ide_drive(channel), 0, 0);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    ide_write(channel, ATA_REG_FEATURE, 1, 1);
    write_lba48(0, 1);
    command(0x06);
    want = io();
    assert_int_equal(want.phase, ATA_DATA_OUT);
    memset(want.data, 0, 512);
    st_le64(want.data, 5 | UINT64_C(3) << 48);
    st_le64(want.data + 16, 50 | UINT64_C(1) << 48);
    ata_io_done(ide_drive(channel), 0, 512);
    want = io();
    assert_int_equal(want.phase, ATA_TRIM);
    assert_int_equal(want.offset, 5 * 512);
    assert_int_equal(want.bytes, 3 * 512);
    ata_io_done(ide_drive(channel), 0, want.bytes);
    assert_int_equal(io().offset, 50 * 512);
    ata_io_done(ide_drive(channel), 0, 512);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
}

/* A reset waits for what the adapter does. */
static void reset_waits(void **state)
{
    write_lba28(1, 1);
    command(0xc8);
    ide_drive(channel)->io = true;
    ide_control_write(channel, 4);
    ide_control_write(channel, 0);
    assert_int_equal(status(), ATA_BSY);
    ata_io_done(&channel->drive[0], 0, 512);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    assert_int_equal(ide_read(channel, ATA_REG_COUNT, 1), 1);
    assert_int_equal(ide_read(channel, ATA_REG_LBA_MID, 1), 0);
    ide_write(channel, ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
    assert_int_equal(ide_read(channel, ATA_REG_LBA_MID, 1), 0x14);
    assert_int_equal(ide_read(channel, ATA_REG_LBA_HIGH, 1), 0xeb);
}

static void smart(void **state)
{
    uint8_t d[512];

    ide_write(channel, ATA_REG_FEATURE, 0xd0, 1);
    ide_write(channel, ATA_REG_LBA_MID, 0x4f, 1);
    command(0xb0);
    assert_int_equal(status() & ATA_ERR, ATA_ERR); /* half a key */
    ide_write(channel, ATA_REG_LBA_HIGH, 0xc2, 1);
    command(0xb0);
    take(d, 512);
    assert_int_equal(d[2], 1);
    ide_write(channel, ATA_REG_FEATURE, 0xda, 1);
    command(0xb0);
    assert_int_equal(ide_read(channel, ATA_REG_LBA_MID, 1), 0x4f);
}

/* --- packets --- */

static void packet(const uint8_t *cdb, unsigned len, uint16_t limit)
{
    uint8_t p[12] = {0};

    memcpy(p, cdb, len);
    ide_write(channel, ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
    ide_write(channel, ATA_REG_FEATURE, 0, 1);
    ide_write(channel, ATA_REG_LBA_MID, limit & 0xff, 1);
    ide_write(channel, ATA_REG_LBA_HIGH, limit >> 8, 1);
    command(0xa0);
    assert_int_equal(ide_read(channel, ATA_REG_COUNT, 1), 1); /* command */
    for (unsigned i = 0; i < 12; i += 2)
        ide_write(channel, ATA_REG_DATA, ld_le16(p + i), 2);
}
#define PACKET(limit, ...)                           \
    do {                                             \
        static const uint8_t cdb_[] = {__VA_ARGS__}; \
        packet(cdb_, sizeof(cdb_), limit);           \
    } while (0)

static void expect_sense(uint8_t key, uint8_t asc)
{
    uint8_t d[18];

    assert_int_equal(status() & ATA_ERR, ATA_ERR);
    PACKET(18, 0x03, 0, 0, 0, 18);
    take(d, 18);
    assert_int_equal(d[2], key);
    assert_int_equal(d[12], asc);
}

static void packet_read(void **state)
{
    struct ata_io want;
    uint8_t d[4096];

    PACKET(0xfffe, 0x25);
    assert_int_equal(ide_read(channel, ATA_REG_COUNT, 1), 2); /* data in */
    assert_int_equal(ide_read(channel, ATA_REG_LBA_MID, 1), 8);
    take(d, 8);
    assert_int_equal(d[2] << 8 | d[3], 999);
    assert_int_equal(d[6] << 8 | d[7], 2048);
    assert_int_equal(ide_read(channel, ATA_REG_COUNT, 1), 3); /* done */
    PACKET(1500, 0x28, 0, 0, 0, 0, 10, 0, 0, 2);
    want = io();
    assert_int_equal(want.offset, 10 * 2048);
    assert_int_equal(want.bytes, 2 * 2048);
    memset(want.data, 0x33, want.bytes);
    ata_io_done(ide_drive(channel), 0, want.bytes);
    for (unsigned left = 4096; left > 0;) {
        unsigned n = left < 1500 ? left : 1500;

        assert_int_equal(
            ide_read(channel, ATA_REG_LBA_MID, 1) | ide_read(channel, ATA_REG_LBA_HIGH, 1) << 8, n);
        take(d, n);
        left -= n;
    }
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    PACKET(0xfffe, 0x28, 0, 0, 0, 3, 231, 0, 0, 2); /* 999, 1000 */
    expect_sense(5, 0x21);
    PACKET(0xfffe, 0x77);
    expect_sense(5, 0x20);
}

static void packet_toc(void **state)
{
    uint8_t d[64];

    PACKET(0xfffe, 0x43, 0, 0, 0, 0, 0, 0, 0, 64);
    take(d, 20);
    assert_int_equal(d[1], 18);
    assert_int_equal(d[6], 1);     /* track 1 */
    assert_int_equal(d[14], 0xaa); /* lead-out */
    assert_int_equal(d[18] << 8 | d[19], 1000);
    PACKET(0xfffe, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64);
    take(d, 12);
    assert_int_equal(d[9] * 60 * 75 + d[10] * 75 + d[11], 1150);
    PACKET(0xfffe, 0x43, 0, 1, 0, 0, 0, 0, 0, 12);
    take(d, 12);
    assert_int_equal(d[3], 1);
    PACKET(0xfffe, 0x43, 0, 5, 0, 0, 0, 0, 0, 64);
    expect_sense(5, 0x24);
}

static void media(void **state)
{
    struct ata_drive *d = &channel->drive[1];
    uint8_t e[8];

    PACKET(8, 0x1e, 0, 0, 0, 1);
    PACKET(8, 0x1b, 0, 0, 0, 2); /* eject a locked tray */
    expect_sense(5, 0x53);
    PACKET(8, 0x1e, 0, 0, 0, 0);
    PACKET(8, 0x1b, 0, 0, 0, 2);
    assert_true(d->mmc.eject);
    PACKET(8, 0x00);
    expect_sense(2, 0x3a);
    PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    take(e, 8);
    assert_int_equal(e[4], 3); /* gone */
    assert_int_equal(e[5], 1); /* the tray is open */
    mmc_medium(&d->mmc, 500);
    PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    take(e, 8);
    assert_int_equal(e[4], 2); /* new */
    assert_int_equal(e[5], 2);
    PACKET(8, 0x00);
    expect_sense(6, 0x28);
    PACKET(8, 0x00);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
    mmc_medium(&d->mmc, 0);
    PACKET(8, 0x25);
    expect_sense(2, 0x3a);
}

static void packet_by_dma(void **state)
{
    struct ata_io want;

    PACKET(0, 0x12, 0, 0, 0, 36);
    assert_int_equal(status() & ATA_DRQ, ATA_DRQ);
    ide_control_write(channel, 4);
    ide_control_write(channel, 0);
    ide_write(channel, ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
    ide_write(channel, ATA_REG_FEATURE, 1, 1);
    command(0xa0);
    for (unsigned i = 0; i < 6; i++)
        ide_write(channel, ATA_REG_DATA, i == 0 ? 0x12 : i == 2 ? 36 : 0, 2);
    want = io();
    assert_int_equal(want.phase, ATA_DATA_IN);
    assert_int_equal(want.bytes, 36);
    assert_memory_equal(want.data + 8, "DOPPEL", 6);
    ata_io_done(ide_drive(channel), 0, 36);
    assert_int_equal(status(), ATA_DRDY | ATA_DSC);
}

/* --- bus master --- */

static void bus_master(void **state)
{
    static const uint8_t one[8] = {0x01, 0x10, 0, 0, 0, 2, 0, 0},
                         two[8] = {0, 0x20, 0, 0, 0, 0, 0, 0x80};

    for (unsigned i = 0; i < 4; i++)
        ide_bm_write(channel, 4 + i, (uint8_t)(0x12345679 >> 8 * i));
    assert_int_equal(ide_bm_read(channel, 4), 0x78);
    ide_bm_write(channel, 2, 0x60);
    ide_bm_write(channel, 0, 9);
    assert_int_equal(ide_bm_read(channel, 2), 0x61);
    assert_true(ide_bm_active(channel));
    assert_int_equal(channel->at, 0x12345678);
    ide_bm_descriptor(channel, one);
    assert_int_equal(channel->address, 0x1000);
    assert_int_equal(channel->left, 512);
    assert_true(ide_bm_more(channel));
    ide_bm_moved(channel, 512);
    ide_bm_descriptor(channel, two);
    assert_int_equal(channel->left, 65536);
    assert_false(ide_bm_more(channel));
    ide_bm_end(channel, true);
    assert_int_equal(ide_bm_read(channel, 2), 0x62);
    ide_bm_write(channel, 2, 0x62);
    assert_int_equal(ide_bm_read(channel, 2), 0x60);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(identify),       T(pio_read),   T(pio_write_multiple),
        T(dma_lba48),      T(read_error), T(reset_waits),
        T(flush_and_trim), T(smart),      T(packet_read),
        T(packet_toc),     T(media),      T(packet_by_dma),
        T(bus_master),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
