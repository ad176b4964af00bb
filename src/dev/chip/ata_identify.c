/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a drive says of itself: IDENTIFY (ATA8-ACS 7.12, 7.13), SMART (7.53), logs (annex A). */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/ata_internal.h"

static void word(struct ata_drive *d, unsigned i, uint32_t value)
{
    st_le16(d->data + 2 * i, (uint16_t)value);
}

/* The first character is the upper byte of a word. */
static void text(struct ata_drive *d, unsigned i, const char *s, unsigned len)
{
    uint8_t *to = d->data + 2 * i;
    bool end = false;

    for (unsigned k = 0; k < len; k++) {
        end = end || s[k] == '\0';
        to[k ^ 1] = (uint8_t)(end ? ' ' : s[k]);
    }
}

/* Word 255: all bytes add up to 0. */
static void checksum(uint8_t *p, unsigned len)
{
    p[len - 1] = byte_checksum(p, len - 1);
}

static void modes(struct ata_drive *d)
{
    unsigned n = d->mode & 7;

    word(d, 49, 0x0300 | 0x0800); /* DMA, LBA, IORDY */
    word(d, 53, 6);               /* words 64 - 70 and 88 are valid */
    word(d, 63, 7 | ((d->mode & 0xf8) == TRANSFER_MDMA ? 1u << (8 + n) : 0));
    word(d, 64, 3); /* PIO 3 and 4 */
    for (unsigned i = 65; i <= 68; i++)
        word(d, i, 120); /* ns for a cycle */
    word(d, 88, 0x3f | ((d->mode & 0xf8) == TRANSFER_UDMA ? 1u << (8 + n) : 0));
    if (!d->id.ncq)
        word(d, 93, 0x4000 | 0x2000 | 1); /* 80 conductors, after diagnostics */
}

static void geometry(struct ata_drive *d)
{
    uint64_t cylinders = d->id.sectors / (16 * 63), now;
    uint32_t small = d->id.sectors < 0x0fffffff ? (uint32_t)d->id.sectors : 0x0fffffff;

    cylinders = cylinders < 16383 ? cylinders : 16383;
    now = d->id.sectors / ((uint64_t)d->heads * d->spt);
    now = now < 65535 ? now : 65535;
    word(d, 1, (uint32_t)cylinders);
    word(d, 3, 16);
    word(d, 6, 63);
    word(d, 53, 7);
    word(d, 54, (uint32_t)now);
    word(d, 55, d->heads);
    word(d, 56, d->spt);
    st_le32(d->data + 2 * 57, (uint32_t)(now * d->heads * d->spt));
    st_le32(d->data + 2 * 60, small);
    st_le64(d->data + 2 * 100, d->id.sectors);
}

/* Words 82 - 87: what is there and what is on. */
static void features(struct ata_drive *d)
{
    word(d, 82, 0x4000 | 0x40 | 0x20 | 8 | 1);     /* NOP, look-ahead, write cache, power, SMART */
    word(d, 83, 0x4000 | 0x2000 | 0x1000 | 0x400); /* FLUSH CACHE (EXT), LBA48 */
    word(d, 84, 0x4000 | 0x40 | 0x20);             /* FUA, general purpose logs */
    word(d, 85, 0x4000 | (d->look_ahead ? 0x40 : 0) | (d->write_cache ? 0x20 : 0) | 8 | d->smart);
    word(d, 86, 0x2000 | 0x1000 | 0x400);
    word(d, 87, 0x4000 | 0x40 | 0x20);
}

static void identify_disk(struct ata_drive *d)
{
    word(d, 0, 0x40); /* fixed */
    text(d, 27, "DOPPEL HARDDISK", 40);
    word(d, 47, 0x8000 | ATA_MULTIPLE);
    word(d, 50, 0x4000);
    geometry(d);
    word(d, 59, d->multiple != 0 ? 0x100u | d->multiple : 0);
    word(d, 80, 0x1f0); /* ATA/ATAPI-4 to ATA8-ACS */
    features(d);
    if (!d->id.readonly) {
        word(d, 105, 8); /* blocks of ranges in one DATA SET MANAGEMENT */
        word(d, 169, 1);
    }
    word(d, 106, 0x4000);
    word(d, 217, 1); /* does not rotate */
    if (d->id.ncq) {
        word(d, 75, 31);                /* queue depth less 1 */
        word(d, 76, 0x100 | 2 | 4 | 8); /* NCQ; generations 1 to 3 */
        word(d, 78, 0);
    }
}

static void identify_cdrom(struct ata_drive *d)
{
    word(d, 0, 0x8580); /* packets of 12 bytes, CD-ROM, removable, DRQ within 50 us */
    text(d, 27, "DOPPEL DVD-ROM", 40);
    word(d, 80, 0x1f0);
    word(d, 82, 0x4000 | 0x200 | 0x10 | 8); /* NOP, DEVICE RESET, PACKET, power */
    word(d, 83, 0x4000);
    word(d, 84, 0x4000);
    word(d, 85, 0x4000 | 0x200 | 0x10 | 8);
    word(d, 87, 0x4000);
    if (d->id.ncq)
        word(d, 76, 2 | 4 | 8);
}

void ata_identify(struct ata_drive *d)
{
    memset(d->data, 0, ATA_SECTOR);
    text(d, 10, d->id.serial, 20);
    text(d, 23, "1.0", 8);
    modes(d);
    if (d->id.kind == ATA_CDROM)
        identify_cdrom(d);
    else
        identify_disk(d);
    d->data[510] = 0xa5;
    checksum(d->data, ATA_SECTOR);
}

/* --- SMART --- */

struct attribute {
    uint8_t id, value, worst, threshold;
};

static const struct attribute attributes[] = {
    {0x01, 100, 100, 6},  /* raw read error rate */
    {0x05, 100, 100, 36}, /* reallocated sectors */
    {0x09, 100, 100, 0},  /* hours */
    {0xc2, 100, 100, 0},  /* temperature */
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

static void smart_data(struct ata_drive *d)
{
    memset(d->data, 0, ATA_SECTOR);
    word(d, 0, 16);
    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        uint8_t *p = d->data + 2 + 12 * i;

        p[0] = attributes[i].id;
        p[1] = 3; /* pre-failure, kept up to date */
        p[3] = attributes[i].value;
        p[4] = attributes[i].worst;
    }
    d->data[362] = 2; /* off-line data collection was never started */
    checksum(d->data, ATA_SECTOR);
}

static void smart_thresholds(struct ata_drive *d)
{
    memset(d->data, 0, ATA_SECTOR);
    word(d, 0, 16);
    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        d->data[2 + 12 * i] = attributes[i].id;
        d->data[3 + 12 * i] = attributes[i].threshold;
    }
    checksum(d->data, ATA_SECTOR);
}

/* Logs without entries: errors (1), self-tests (6). */
static bool smart_log(struct ata_drive *d, uint8_t log)
{
    memset(d->data, 0, ATA_SECTOR);
    if (log != 0 && log != 1 && log != 6)
        return false;
    d->data[0] = 1; /* version */
    if (log != 0)
        checksum(d->data, ATA_SECTOR);
    return true;
}

void ata_smart(struct ata_drive *d)
{
    uint8_t what = d->reg[ATA_REG_FEATURE];

    if (d->reg[ATA_REG_LBA_MID] != 0x4f || d->reg[ATA_REG_LBA_HIGH] != 0xc2 ||
        (!d->smart && what != 0xd8)) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    switch (what) {
    case 0xd0:
        smart_data(d);
        break;
    case 0xd1:
        smart_thresholds(d);
        break;
    case 0xd5:
        if (smart_log(d, d->reg[ATA_REG_LBA_LOW]))
            break;
        ata_fail(d, ATA_ABRT);
        return;
    case 0xd8:
    case 0xd9:
        d->smart = what == 0xd8;
        ata_done(d);
        return;
    case 0xd2: /* autosave */
    case 0xd4: /* a test, which is done at once */
    case 0xda: /* status: the registers stay if all is well */
        ata_done(d);
        return;
    default:
        ata_fail(d, ATA_ABRT);
        return;
    }
    ata_give(d, ATA_SECTOR, ATA_SECTOR, false);
}

/* --- READ LOG EXT --- */

/* A.12: which of the queued commands failed, and how. */
static void queue_log(struct ata_drive *d)
{
    d->data[0] = d->queue_failed ? d->queue_tag : 0x80;
    d->data[2] = d->queue_status;
    d->data[3] = d->queue_error;
    d->queue_failed = false;
    checksum(d->data, ATA_SECTOR);
}

void ata_read_log(struct ata_drive *d, bool dma)
{
    uint32_t count = (uint32_t)d->hob[ATA_REG_COUNT] << 8 | d->reg[ATA_REG_COUNT];
    uint8_t log = d->reg[ATA_REG_LBA_LOW];

    if (count != 1 || (log != 0 && log != 0x10) || (log == 0x10 && !d->id.ncq)) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    memset(d->data, 0, ATA_SECTOR);
    if (log == 0) {
        word(d, 0, 1);
        word(d, 0x10, d->id.ncq);
    } else {
        queue_log(d);
    }
    ata_give(d, ATA_SECTOR, ATA_SECTOR, dma);
}
