/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A CD-ROM drive's ATA commands, and the way of its packets: ATA8-ACS 7.18. */
#include <string.h>

#include "dev/chip/ata_internal.h"

/* --- ends --- */

void atapi_done(struct ata_drive *d)
{
    ata_done(d);
    d->mmc.sense = d->mmc.asc = d->mmc.ascq = 0;
    d->reg[ATA_REG_COUNT] = REASON_COD | REASON_IO;
}

/* With the drive's sense in the registers, too. */
static void failed(struct ata_drive *d)
{
    uint8_t sense = d->mmc.sense;

    ata_fail(d, (uint8_t)(sense << 4) | (sense == SENSE_ILLEGAL ? ATA_ABRT : 0));
    d->reg[ATA_REG_COUNT] = REASON_COD | REASON_IO;
}

void atapi_fail(struct ata_drive *d, uint8_t sense, uint8_t asc, uint8_t ascq)
{
    d->mmc.sense = sense;
    d->mmc.asc = asc;
    d->mmc.ascq = ascq;
    failed(d);
}

static bool by_dma(const struct ata_drive *d)
{
    return d->reg[ATA_REG_FEATURE] & 1;
}

static void read_medium(struct ata_drive *d, const struct mmc_step *s)
{
    d->offset = s->offset;
    d->left = s->bytes;
    d->block = d->byte_limit;
    ata_wait(d, by_dma(d) ? ATA_READ : ATA_LOAD);
}

void atapi_packet(struct ata_drive *d)
{
    struct mmc_step s;

    d->left = 0;
    d->pos = d->len = d->end = 0;
    s = mmc_command(&d->mmc, d->packet, d->data);
    switch (s.next) {
    case MMC_DONE:
        atapi_done(d);
        break;
    case MMC_FAILED:
        failed(d);
        break;
    case MMC_GIVE:
        ata_give(d, (uint32_t)s.bytes, d->byte_limit, by_dma(d));
        break;
    case MMC_TAKE:
        ata_take(d, (uint32_t)s.bytes, d->byte_limit, by_dma(d));
        break;
    case MMC_READ:
        read_medium(d, &s);
        break;
    }
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
