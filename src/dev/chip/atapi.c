/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A CD-ROM drive's commands: packets (ATA8-ACS 7.18) with the commands of SPC-3 and MMC-6. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/ata_internal.h"

enum asc {
    ASC_OPCODE = 0x20,
    ASC_RANGE = 0x21,
    ASC_FIELD = 0x24,
    ASC_CHANGED = 0x28,
    ASC_NO_MEDIUM = 0x3a,
    ASC_LOCKED = 0x53,
    ASC_MODE = 0x64, /* illegal mode for this track */
};

/* Events of the medium, MMC-6 table 242. */
enum { EVENT_REQUEST = 1, EVENT_NEW = 2, EVENT_GONE = 3 };

/* --- ends --- */

void atapi_done(struct ata_drive *d)
{
    ata_done(d);
    d->sense = d->asc = d->ascq = 0;
    d->reg[ATA_REG_COUNT] = REASON_COD | REASON_IO;
}

void atapi_fail(struct ata_drive *d, uint8_t sense, uint8_t asc, uint8_t ascq)
{
    ata_fail(d, (uint8_t)(sense << 4) | (sense == SENSE_ILLEGAL ? ATA_ABRT : 0));
    d->sense = sense;
    d->asc = asc;
    d->ascq = ascq;
    d->reg[ATA_REG_COUNT] = REASON_COD | REASON_IO;
}

static void illegal(struct ata_drive *d, uint8_t asc)
{
    atapi_fail(d, SENSE_ILLEGAL, asc, 0);
}

static bool by_dma(const struct ata_drive *d)
{
    return d->reg[ATA_REG_FEATURE] & 1;
}

/* Up to `room` bytes of an answer of `len`, which is less than 0 if the packet asks wrongly. */
static void answer(struct ata_drive *d, int len, uint32_t room)
{
    uint32_t n = (uint32_t)len < room ? (uint32_t)len : room;

    if (len < 0)
        illegal(d, ASC_FIELD);
    else if (n == 0)
        atapi_done(d);
    else
        ata_give(d, n, d->byte_limit, by_dma(d));
}

/* --- medium --- */

static bool ready(struct ata_drive *d)
{
    if (d->cd_sectors != 0 && !d->open)
        return true;
    atapi_fail(d, SENSE_NOT_READY, ASC_NO_MEDIUM, d->open ? 2 : 1);
    return false;
}

static void read_sectors(struct ata_drive *d, uint32_t lba, uint32_t count)
{
    if (!ready(d))
        return;
    if (lba > d->cd_sectors || count > d->cd_sectors - lba) {
        illegal(d, ASC_RANGE);
        return;
    }
    if (count == 0) {
        atapi_done(d);
        return;
    }
    d->offset = (uint64_t)lba * ATA_CD_SECTOR;
    d->left = (uint64_t)count * ATA_CD_SECTOR;
    d->block = d->byte_limit;
    ata_wait(d, by_dma(d) ? ATA_READ : ATA_LOAD);
}

/* READ CD: whole sectors' user data, which is all that an image holds. */
static void read_cd(struct ata_drive *d)
{
    const uint8_t *p = d->packet;
    uint32_t count = (uint32_t)p[6] << 16 | ld_be16(p + 7);
    unsigned type = p[1] >> 2 & 7;

    if (!ready(d))
        return;
    if ((type != 0 && type != 2 && type != 4) || p[10] != 0 ||
        ((p[9] & 0xf8) != 0x10 && (p[9] & 0xf8) != 0))
        illegal(d, type == 1 || type == 3 || type == 5 ? ASC_MODE : ASC_FIELD);
    else
        read_sectors(d, ld_be32(p + 2), p[9] == 0 ? 0 : count);
}

static void seek(struct ata_drive *d, uint32_t lba)
{
    if (!ready(d))
        return;
    if (lba < d->cd_sectors)
        atapi_done(d);
    else
        illegal(d, ASC_RANGE);
}

static void read_capacity(struct ata_drive *d)
{
    if (!ready(d))
        return;
    st_be32(d->data, (uint32_t)(d->cd_sectors - 1));
    st_be32(d->data + 4, ATA_CD_SECTOR);
    answer(d, 8, 8);
}

static void request_sense(struct ata_drive *d)
{
    uint8_t *p = d->data;

    memset(p, 0, 18);
    p[0] = 0x70;
    p[7] = 10;
    if (d->attention && d->sense == 0) {
        d->attention = false;
        p[2] = SENSE_ATTENTION;
        p[12] = ASC_CHANGED;
    } else {
        p[2] = d->sense;
        p[12] = d->asc;
        p[13] = d->ascq;
    }
    answer(d, 18, d->packet[4]);
}

/* MMC-6 6.49. The tray opens with the medium in it, and the host decides what is there when it
 * closes. */
static void start_stop(struct ata_drive *d)
{
    unsigned what = d->packet[4] & 3;

    if (what == 2 && d->locked) {
        atapi_fail(d, d->cd_sectors != 0 ? SENSE_ILLEGAL : SENSE_NOT_READY, ASC_LOCKED, 2);
        return;
    }
    if (what == 2 && !d->open) {
        d->open = true;
        d->event = EVENT_GONE;
        d->eject = true;
    } else if (what == 3 && d->open) {
        d->open = false;
        d->attention = d->cd_sectors != 0;
        d->event = d->cd_sectors != 0 ? EVENT_NEW : 0;
    }
    atapi_done(d);
}

void ata_medium(struct ata_drive *d, uint64_t sectors)
{
    bool had = d->cd_sectors != 0;

    d->cd_sectors = sectors;
    d->eject = false;
    if (sectors != 0) {
        d->open = false;
        d->attention = true;
        d->event = EVENT_NEW;
    } else if (had) {
        d->event = EVENT_GONE;
    }
}

void ata_request_eject(struct ata_drive *d)
{
    d->event = EVENT_REQUEST;
}

/* The speed and other settings do not matter here: what the host gives is dropped. */
static void mode_select(struct ata_drive *d, uint32_t len)
{
    if (len == 0)
        atapi_done(d);
    else
        ata_take(d, len, d->byte_limit, by_dma(d));
}

static void mechanism_status(struct ata_drive *d)
{
    memset(d->data, 0, 8);
    d->data[1] = d->open ? 0x10 : 0;
    d->data[5] = 1;
    answer(d, 8, ld_be16(d->packet + 8));
}

static void format_capacities(struct ata_drive *d)
{
    memset(d->data, 0, 12);
    d->data[3] = 8;
    st_be32(d->data + 4, (uint32_t)d->cd_sectors);
    d->data[8] = d->cd_sectors != 0 ? 2 : 3;
    d->data[10] = ATA_CD_SECTOR >> 8;
    answer(d, 12, ld_be16(d->packet + 7));
}

static void sub_channel(struct ata_drive *d)
{
    if (!ready(d))
        return;
    memset(d->data, 0, 4);
    d->data[1] = 0x15; /* there is no audio to play */
    answer(d, (d->packet[2] & 0x40) == 0 ? 4 : d->packet[3] == 1 ? 4 : -1, ld_be16(d->packet + 7));
}

/* --- packets --- */

static void lock_tray(struct ata_drive *d)
{
    d->locked = d->packet[4] & 1;
    atapi_done(d);
}

static void with_medium(struct ata_drive *d, int (*fn)(struct ata_drive *))
{
    if (ready(d))
        answer(d, fn(d), ld_be16(d->packet + (d->packet[0] == 0xad ? 8 : 7)));
}

/* Those that work with or without a medium, and tell nobody that it changed: SPC-3 5.9.5, and what
 * asks for events. */
static bool quiet(uint8_t opcode)
{
    return opcode == 0x03 || opcode == 0x12 || opcode == 0x46 || opcode == 0x4a;
}

static void run(struct ata_drive *d)
{
    const uint8_t *p = d->packet;

    switch (p[0]) {
    case 0x00: /* TEST UNIT READY */
        if (ready(d))
            atapi_done(d);
        break;
    case 0x03:
        request_sense(d);
        break;
    case 0x12:
        answer(d, atapi_inquiry(d), ld_be16(p + 3));
        break;
    case 0x15:
        mode_select(d, p[4]);
        break;
    case 0x1a:
        answer(d, atapi_mode_sense(d, false), p[4]);
        break;
    case 0x1b:
        start_stop(d);
        break;
    case 0x1e:
        lock_tray(d);
        break;
    case 0x23:
        format_capacities(d);
        break;
    case 0x25:
        read_capacity(d);
        break;
    case 0x28:
        read_sectors(d, ld_be32(p + 2), ld_be16(p + 7));
        break;
    case 0x2b: /* SEEK */
        seek(d, ld_be32(p + 2));
        break;
    case 0x35: /* SYNCHRONIZE CACHE */
    case 0xa7: /* SET READ AHEAD */
    case 0xbb: /* SET CD SPEED */
        atapi_done(d);
        break;
    case 0x42:
        sub_channel(d);
        break;
    case 0x43:
        with_medium(d, atapi_toc);
        break;
    case 0x46:
        answer(d, atapi_configuration(d), ld_be16(p + 7));
        break;
    case 0x4a:
        answer(d, atapi_event(d), ld_be16(p + 7));
        break;
    case 0x51:
        with_medium(d, atapi_disc_information);
        break;
    case 0x52:
        with_medium(d, atapi_track_information);
        break;
    case 0x55:
        mode_select(d, ld_be16(p + 7));
        break;
    case 0x5a:
        answer(d, atapi_mode_sense(d, true), ld_be16(p + 7));
        break;
    case 0xa8:
        read_sectors(d, ld_be32(p + 2), ld_be32(p + 6));
        break;
    case 0xad:
        with_medium(d, atapi_dvd_structure);
        break;
    case 0xbd:
        mechanism_status(d);
        break;
    case 0xbe:
        read_cd(d);
        break;
    default:
        illegal(d, ASC_OPCODE);
    }
}

void atapi_packet(struct ata_drive *d)
{
    d->left = 0;
    d->pos = d->len = d->end = 0;
    if (d->attention && !d->open && !quiet(d->packet[0])) {
        d->attention = false;
        atapi_fail(d, SENSE_ATTENTION, ASC_CHANGED, 0);
        return;
    }
    run(d);
}

/* --- commands --- */

/* The data's pieces, ATA8-ACS 7.18.5: an even number of bytes, and 0 stands for the most. */
static uint16_t byte_limit(const struct ata_drive *d)
{
    uint16_t n = (uint16_t)(d->reg[ATA_REG_LBA_HIGH] << 8 | d->reg[ATA_REG_LBA_MID]) & 0xfffe;

    return n != 0 ? n : 0xfffe;
}

static void packet_command(struct ata_drive *d)
{
    d->byte_limit = byte_limit(d);
    d->phase = ATA_PACKET;
    d->left = 0;
    d->pos = 0;
    d->len = d->end = ATA_CDB;
    d->status = ATA_DRDY | ATA_DRQ;
    d->reg[ATA_REG_COUNT] = REASON_COD;
}

void atapi_command(struct ata_drive *d, uint8_t command)
{
    switch (command) {
    case 0x08: /* DEVICE RESET */
        ata_reset_bus(d);
        break;
    case 0x90: /* EXECUTE DEVICE DIAGNOSTIC */
        ata_reset(d, true);
        d->intrq = true;
        break;
    case 0xa0:
        packet_command(d);
        break;
    case 0xa1:
        ata_identify(d);
        ata_give(d, ATA_SECTOR, ATA_SECTOR, false);
        break;
    case 0xe0 ... 0xe3:
        ata_done(d);
        break;
    case 0xe5:
        ata_done(d);
        d->reg[ATA_REG_COUNT] = 0xff;
        break;
    case 0xe7:
        ata_done(d);
        break;
    case 0xef:
        ata_set_features(d);
        break;
    case 0xec: /* IDENTIFY DEVICE fails and shows what is here */
    case 0x20:
        ata_fail(d, ATA_ABRT);
        d->reg[ATA_REG_COUNT] = d->reg[ATA_REG_LBA_LOW] = 1;
        d->reg[ATA_REG_LBA_MID] = 0x14;
        d->reg[ATA_REG_LBA_HIGH] = 0xeb;
        break;
    default:
        ata_fail(d, ATA_ABRT);
    }
}
