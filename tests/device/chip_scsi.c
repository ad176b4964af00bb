/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SCSI logical unit: commands of disks and CD-ROM drives, attentions, sense, mode pages. */
#include "test.h"

#include <string.h>

#include "base/bits.h"
#include "dev/chip/scsi.h"

#define BLOCKS UINT64_C(0x200000000) /* more than 32 bits hold */

static struct scsi_lun lun;
static uint8_t data[SCSI_DATA];
static struct scsi_step step;

static int disk(void **state)
{
    memset(&lun, 0, sizeof(lun));
    lun.id = (struct scsi_identity){.kind = SCSI_DISK, .serial = "S1", .physical = 4096};
    lun.blocks = BLOCKS;
    scsi_reset(&lun);
    lun.attention = 0;
    return 0;
}

static int cdrom(void **state)
{
    memset(&lun, 0, sizeof(lun));
    lun.id = (struct scsi_identity){.kind = SCSI_CDROM, .serial = "S2"};
    lun.mmc.sectors = 1000;
    scsi_reset(&lun);
    lun.attention = 0;
    lun.mmc.attention = false;
    return 0;
}

static enum scsi_next run(const uint8_t *cdb, unsigned len)
{
    uint8_t whole[SCSI_CDB] = {0};

    memcpy(whole, cdb, len);
    step = scsi_command(&lun, whole, data);
    return step.next;
}
#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum scsi_next give(const uint8_t *cdb, unsigned len, const void *parameters, uint32_t bytes)
{
    uint8_t whole[SCSI_CDB] = {0};

    memcpy(whole, cdb, len);
    memcpy(data, parameters, bytes);
    step = scsi_taken(&lun, whole, data, bytes);
    return step.next;
}

static void expect(uint8_t key, uint8_t asc, uint8_t ascq)
{
    assert_int_equal(step.next, SCSI_CHECK);
    assert_int_equal(step.key, key);
    assert_int_equal(step.asc, asc);
    assert_int_equal(step.ascq, ascq);
}

static void expect_io(enum scsi_next next, uint64_t block, uint64_t blocks, bool durable)
{
    assert_int_equal(step.next, next);
    assert_int_equal(step.offset, block * SCSI_BLOCK);
    assert_int_equal(step.bytes, blocks * SCSI_BLOCK);
    assert_int_equal(step.durable, durable);
}

/* --- what it says of itself --- */

static void inquiry(void **state)
{
    assert_int_equal(RUN(0x12, 0, 0, 0, 36), SCSI_GIVE);
    assert_int_equal(step.bytes, 36);
    assert_int_equal(data[0], 0);
    assert_memory_equal(data + 8, "DOPPEL  HARDDISK        ", 24);
    RUN(0x12, 0, 0, 0, 5); /* cut off */
    assert_int_equal(step.bytes, 5);
    RUN(0x12, 0, 1, 0, 36);
    expect(5, 0x24, 0);
    RUN(0x12, 1, 0x7f, 0, 255);
    expect(5, 0x24, 0);
    for (unsigned i = 0; i < 6; i++) { /* each page that the list names */
        uint8_t page;

        RUN(0x12, 1, 0, 0, 255);
        assert_int_equal(data[3], 6);
        page = data[4 + i];
        assert_int_equal(RUN(0x12, 1, page, 0, 255), SCSI_GIVE);
        assert_int_equal(data[1], page);
        assert_int_equal(step.bytes, 4 + ld_be16(data + 2));
    }
    RUN(0x12, 1, 0x80, 0, 255);
    assert_memory_equal(data + 4, "S1", 2);
    RUN(0x12, 1, 0x83, 0, 255);
    assert_int_equal(data[5], 1);
    assert_memory_equal(data + 8 + 24, "S1", 2);
    RUN(0x12, 1, 0xb0, 0, 255);
    assert_int_equal(ld_be32(data + 20), UINT32_MAX);
    assert_int_equal(ld_be32(data + 40), SCSI_FILL_MAX);
    lun.id.readonly = true; /* takes nothing back */
    RUN(0x12, 1, 0xb2, 0, 255);
    expect(5, 0x24, 0);
}

static void capacity(void **state)
{
    RUN(0x25);
    assert_int_equal(ld_be32(data), UINT32_MAX);
    assert_int_equal(RUN(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), SCSI_GIVE);
    assert_int_equal(ld_be64(data), BLOCKS - 1);
    assert_int_equal(ld_be32(data + 8), 512);
    assert_int_equal(data[13], 3);
    assert_int_equal(data[14] & 0x80, 0x80);
    RUN(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32);
    expect(5, 0x20, 0);
    lun.blocks = 100;
    RUN(0x25);
    assert_int_equal(ld_be32(data), 99);
}

static void luns(void **state)
{
    static const uint8_t zero[16];

    assert_int_equal(RUN(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_GIVE);
    assert_int_equal(step.bytes, 16);
    assert_int_equal(ld_be32(data), 8);
    assert_int_equal(RUN(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 8), SCSI_CHECK);
    step = scsi_no_lun((const uint8_t[SCSI_CDB]){0x12, 0, 0, 0, 36}, data);
    assert_int_equal(step.next, SCSI_GIVE);
    assert_int_equal(data[0], 0x7f);
    step = scsi_no_lun(zero, data);
    expect(5, 0x25, 0);
}

/* --- the medium --- */

static void transfers(void **state)
{
    RUN(0x08, 0x1f, 0xff, 0xff, 0);
    expect_io(SCSI_READ, 0x1fffff, 256, false);
    RUN(0x28, 0, 0, 0, 1, 0, 0, 0, 7);
    expect_io(SCSI_READ, 256, 7, false);
    RUN(0xa8, 0, 0, 0, 1, 0, 0, 1, 0, 0);
    expect_io(SCSI_READ, 256, 65536, false);
    RUN(0x88, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 2);
    expect_io(SCSI_READ, 0x100000005, 2, false);
    RUN(0x0a, 0, 0, 9, 3);
    expect_io(SCSI_WRITE, 9, 3, false);
    RUN(0x2a, 0x08, 0, 0, 0, 9, 0, 0, 3); /* FUA */
    expect_io(SCSI_WRITE, 9, 3, true);
    RUN(0x2e, 0, 0, 0, 0, 9, 0, 0, 3);
    expect_io(SCSI_WRITE, 9, 3, true);
    RUN(0x8a, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1); /* the block behind the last one */
    expect(5, 0x21, 0);
    RUN(0x8a, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2);
    expect(5, 0x21, 0);
    assert_int_equal(RUN(0x28, 0, 0, 0, 1, 0, 0, 0, 0), SCSI_DONE);
    RUN(0x28, 0x20, 0, 0, 1, 0, 0, 0, 1); /* protection information */
    expect(5, 0x24, 0);
    assert_int_equal(RUN(0x35), SCSI_FLUSH);
    assert_int_equal(RUN(0x91), SCSI_FLUSH);
    assert_int_equal(RUN(0x2f, 0, 0, 0, 0, 1, 0, 0, 1), SCSI_DONE);
    RUN(0x2f, 2, 0, 0, 0, 1, 0, 0, 1);
    expect(5, 0x24, 0);
    RUN(0xd0);
    expect(5, 0x20, 0);
}

static void readonly(void **state)
{
    lun.id.readonly = true;
    RUN(0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(7, 0x27, 0);
    RUN(0x42, 0, 0, 0, 0, 0, 0, 0, 24);
    expect(7, 0x27, 0);
    RUN(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(7, 0x27, 0);
    assert_int_equal(RUN(0x28, 0, 0, 0, 0, 0, 0, 0, 1), SCSI_READ);
    RUN(0x1a, 0, 0x3f, 0, 255);
    assert_int_equal(data[2] & 0x80, 0x80);
}

static void stopped(void **state)
{
    assert_int_equal(RUN(0x1b, 0, 0, 0, 0), SCSI_FLUSH);
    RUN(0x00);
    expect(2, 0x04, 2);
    RUN(0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(2, 0x04, 2);
    RUN(0x03, 0, 0, 0, 18);
    assert_int_equal(data[2], 2);
    assert_int_equal(RUN(0x1b, 0, 0, 0, 1), SCSI_DONE);
    assert_int_equal(RUN(0x00), SCSI_DONE);
}

static void write_same(void **state)
{
    static const uint8_t ten[] = {0x41, 0x08, 0, 0, 0, 4, 0, 0, 9};
    static const uint8_t sixteen[] = {0x93, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9};
    uint8_t block[SCSI_BLOCK] = {0};

    assert_int_equal(run(ten, sizeof(ten)), SCSI_TAKE);
    assert_int_equal(step.bytes, SCSI_BLOCK);
    give(ten, sizeof(ten), block, sizeof(block));
    expect_io(SCSI_ZERO, 4, 9, false);
    assert_true(step.unmap);
    block[511] = 1;
    give(sixteen, sizeof(sixteen), block, sizeof(block));
    expect_io(SCSI_FILL, 0x100000004, 9, false);
    give(sixteen, sizeof(sixteen), block, 511);
    expect(5, 0x1a, 0);
    RUN(0x93, 0x09, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9); /* no data: zeros */
    expect_io(SCSI_ZERO, 4, 9, false);
    RUN(0x93, 0x09, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x80, 1); /* more than it takes */
    expect(5, 0x24, 0);
    RUN(0x41, 0, 0, 0, 0, 4, 0, 0, 0); /* all of the disk */
    expect(5, 0x24, 0);
    RUN(0x93, 0x01, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(5, 0x21, 0);
}

static void unmap(void **state)
{
    static const uint8_t cdb[] = {0x42, 0, 0, 0, 0, 0, 0, 0, 40};
    uint8_t p[40] = {0, 38, 0, 32};
    uint64_t offset, bytes;

    p[8 + 7] = 5;
    p[8 + 11] = 3;
    p[24 + 3] = 1;
    p[24 + 8] = 0x80;
    assert_int_equal(run(cdb, sizeof(cdb)), SCSI_TAKE);
    assert_int_equal(step.bytes, 40);
    assert_int_equal(give(cdb, sizeof(cdb), p, 40), SCSI_DISCARD);
    assert_int_equal(step.ranges, 2);
    scsi_range(data, 0, &offset, &bytes);
    assert_int_equal(offset, 5 * 512);
    assert_int_equal(bytes, 3 * 512);
    scsi_range(data, 1, &offset, &bytes);
    assert_int_equal(offset, UINT64_C(512) << 32);
    assert_int_equal(bytes, UINT64_C(512) << 31);
    p[24 + 3] = 2; /* outside */
    give(cdb, sizeof(cdb), p, 40);
    expect(5, 0x21, 0);
    give(cdb, sizeof(cdb), p, 39); /* more is named than there is */
    expect(5, 0x1a, 0);
    p[2] = 0xff;
    give(cdb, sizeof(cdb), p, 40);
    expect(5, 0x26, 0);
    assert_int_equal(RUN(0x42), SCSI_DONE);
}

/* --- mode pages --- */

static void mode_pages(void **state)
{
    uint8_t select[32] = {0}, cdb[] = {0x15, 0x10, 0, 0, 24};

    RUN(0x1a, 0, 0x3f, 0, 255);
    assert_int_equal(data[0] + 1, step.bytes);
    assert_int_equal(data[3], 8); /* a block descriptor */
    assert_int_equal(data[12], 0x01);
    RUN(0x5a, 8, 0x08, 0, 0, 0, 0, 0, 255);
    assert_int_equal(step.bytes, 28);
    assert_int_equal(data[8 + 2] & 4, 4);
    RUN(0x1a, 0, 0xc8, 0, 255);
    expect(5, 0x39, 0);
    RUN(0x1a, 0, 0x0e, 0, 255);
    expect(5, 0x24, 0);

    select[4] = 0x08; /* the caching page, without a write cache */
    select[5] = 18;
    assert_int_equal(run(cdb, sizeof(cdb)), SCSI_TAKE);
    assert_int_equal(give(cdb, sizeof(cdb), select, 24), SCSI_FLUSH);
    assert_false(lun.write_cache);
    RUN(0x2a, 0, 0, 0, 0, 9, 0, 0, 3);
    expect_io(SCSI_WRITE, 9, 3, true);
    select[6] = 4;
    assert_int_equal(give(cdb, sizeof(cdb), select, 24), SCSI_DONE);
    assert_true(lun.write_cache);
    select[7] = 1; /* what cannot change */
    give(cdb, sizeof(cdb), select, 24);
    expect(5, 0x26, 0);
    give(cdb, sizeof(cdb), select, 20);
    expect(5, 0x1a, 0);
    select[4] = 0x30;
    give(cdb, sizeof(cdb), select, 24);
    expect(5, 0x26, 0);
    assert_true(lun.write_cache);
}

/* --- attentions --- */

static void attentions(void **state)
{
    scsi_reset(&lun);
    lun.attention |= SCSI_CAPACITY_CHANGED;
    assert_int_equal(RUN(0x12, 0, 0, 0, 36), SCSI_GIVE); /* does not tell */
    RUN(0x00);
    expect(6, 0x29, 0);
    RUN(0x03, 0, 0, 0, 18);
    assert_int_equal(data[0], 0x70);
    assert_int_equal(data[2], 6);
    assert_int_equal(data[12], 0x2a);
    assert_int_equal(data[13], 0x09);
    assert_int_equal(RUN(0x00), SCSI_DONE);
    RUN(0x03, 1, 0, 0, 18); /* by descriptors */
    assert_int_equal(step.bytes, 8);
    assert_int_equal(data[0], 0x72);
    assert_int_equal(data[1], 0);
}

/* --- CD-ROM drives --- */

static void drive(void **state)
{
    RUN(0x12, 0, 0, 0, 36);
    assert_int_equal(data[0], 5);
    assert_int_equal(data[1], 0x80);
    assert_memory_equal(data + 8, "DOPPEL  DVD-ROM", 15);
    RUN(0x12, 1, 0xb0, 0, 64);
    expect(5, 0x24, 0);
    RUN(0x25);
    assert_int_equal(ld_be32(data), 999);
    assert_int_equal(ld_be32(data + 4), 2048);
    RUN(0x28, 0, 0, 0, 0, 10, 0, 0, 2);
    assert_int_equal(step.next, SCSI_READ);
    assert_int_equal(step.offset, 10 * 2048);
    assert_int_equal(step.bytes, 2 * 2048);
    RUN(0x28, 0, 0, 0, 3, 231, 0, 0, 2);
    expect(5, 0x21, 0);
    RUN(0x2a, 0, 0, 0, 0, 1, 0, 0, 1); /* it does not write */
    expect(5, 0x20, 0);
    assert_int_equal(RUN(0x43, 0, 0, 0, 0, 0, 0, 0, 64), SCSI_GIVE);
    assert_int_equal(step.bytes, 20);
    assert_int_equal(RUN(0x55, 0x10, 0, 0, 0, 0, 0, 0, 8), SCSI_TAKE);
    RUN(0x1e, 0, 0, 0, 1);
    RUN(0x1b, 0, 0, 0, 2);
    expect(5, 0x53, 2);
    RUN(0x1e, 0, 0, 0, 0);
    assert_int_equal(RUN(0x1b, 0, 0, 0, 2), SCSI_DONE);
    assert_true(lun.mmc.eject);
    RUN(0x00);
    expect(2, 0x3a, 2);
    mmc_medium(&lun.mmc, 500);
    RUN(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    assert_int_equal(data[4], 2); /* a new one */
    RUN(0x00);
    expect(6, 0x28, 0);
    assert_int_equal(RUN(0x00), SCSI_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(inquiry, disk),    cmocka_unit_test_setup(capacity, disk),
        cmocka_unit_test_setup(luns, disk),       cmocka_unit_test_setup(transfers, disk),
        cmocka_unit_test_setup(readonly, disk),   cmocka_unit_test_setup(stopped, disk),
        cmocka_unit_test_setup(write_same, disk), cmocka_unit_test_setup(unmap, disk),
        cmocka_unit_test_setup(mode_pages, disk), cmocka_unit_test_setup(attentions, disk),
        cmocka_unit_test_setup(drive, cdrom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
