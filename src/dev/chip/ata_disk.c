/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of a disk: ATA8-ACS chapter 7. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/ata_internal.h"

enum { READ = 0, WRITE = 1 };
enum how { PIO, MULTIPLE, DMA };

/* A transfer command, in the manual's words. */
struct transfer {
    uint8_t command;
    bool write;
    enum how how;
    bool ext, fua;
};

static const struct transfer transfers[] = {
    {0x20, READ, PIO, false, false},      /* READ SECTORS */
    {0x21, READ, PIO, false, false},      /* the same without retries */
    {0x24, READ, PIO, true, false},       /* READ SECTORS EXT */
    {0x25, READ, DMA, true, false},       /* READ DMA EXT */
    {0x29, READ, MULTIPLE, true, false},  /* READ MULTIPLE EXT */
    {0x30, WRITE, PIO, false, false},     /* WRITE SECTORS */
    {0x31, WRITE, PIO, false, false},     /* the same without retries */
    {0x34, WRITE, PIO, true, false},      /* WRITE SECTORS EXT */
    {0x35, WRITE, DMA, true, false},      /* WRITE DMA EXT */
    {0x39, WRITE, MULTIPLE, true, false}, /* WRITE MULTIPLE EXT */
    {0x3d, WRITE, DMA, true, true},       /* WRITE DMA FUA EXT */
    {0xc4, READ, MULTIPLE, false, false}, /* READ MULTIPLE */
    {0xc5, WRITE, MULTIPLE, false, false},
    {0xc8, READ, DMA, false, false}, /* READ DMA */
    {0xc9, READ, DMA, false, false},
    {0xca, WRITE, DMA, false, false}, /* WRITE DMA */
    {0xcb, WRITE, DMA, false, false},
    {0xce, WRITE, MULTIPLE, true, true}, /* WRITE MULTIPLE FUA EXT */
};

static const struct transfer *find_transfer(uint8_t command)
{
    for (unsigned i = 0; i < sizeof(transfers) / sizeof(transfers[0]); i++)
        if (transfers[i].command == command)
            return &transfers[i];
    return NULL;
}

static uint32_t count_of(const struct ata_drive *d, bool ext)
{
    uint32_t low = d->reg[ATA_REG_COUNT], high = d->hob[ATA_REG_COUNT];

    if (!ext)
        return low != 0 ? low : 256;
    return (high << 8 | low) != 0 ? high << 8 | low : 65536;
}

/* UINT64_MAX: a sector of no track. */
static uint64_t chs(const struct ata_drive *d)
{
    uint32_t cylinder = (uint32_t)d->reg[ATA_REG_LBA_HIGH] << 8 | d->reg[ATA_REG_LBA_MID];
    uint32_t head = d->reg[ATA_REG_DEVICE] & 15, sector = d->reg[ATA_REG_LBA_LOW];

    if (head >= d->heads || sector == 0 || sector > d->spt)
        return UINT64_MAX;
    return ((uint64_t)cylinder * d->heads + head) * d->spt + sector - 1;
}

static uint64_t lba_of(const struct ata_drive *d, bool ext)
{
    const uint8_t *r = d->reg + ATA_REG_LBA_LOW, *h = d->hob + ATA_REG_LBA_LOW;
    uint32_t low = r[0] | (uint32_t)r[1] << 8 | (uint32_t)r[2] << 16;

    if (ext)
        return low | (uint64_t)(h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16) << 24;
    if (d->reg[ATA_REG_DEVICE] & ATA_DEVICE_LBA)
        return low | (uint32_t)(d->reg[ATA_REG_DEVICE] & 15) << 24;
    return chs(d);
}

static bool check_range(struct ata_drive *d, bool ext)
{
    if (ata_on_disk(d, lba_of(d, ext), count_of(d, ext)))
        return true;
    ata_fail(d, ATA_IDNF);
    return false;
}

static void transfer(struct ata_drive *d, const struct transfer *t)
{
    if (t->how == MULTIPLE && d->multiple == 0) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    if (!check_range(d, t->ext))
        return;
    if (t->write && d->id.readonly) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    d->offset = lba_of(d, t->ext) * ATA_SECTOR;
    d->left = (uint64_t)count_of(d, t->ext) * ATA_SECTOR;
    d->block = t->how == MULTIPLE ? d->multiple * ATA_SECTOR : ATA_SECTOR;
    d->fua = t->fua;
    if (t->how == DMA) {
        ata_wait(d, t->write ? ATA_WRITE : ATA_READ);
    } else if (!t->write) {
        ata_wait(d, ATA_LOAD);
    } else { /* no interrupt for the first block */
        uint64_t left = d->left;

        ata_take(d, left < ATA_DATA ? (uint32_t)left : ATA_DATA, d->block, false);
        d->left = left;
    }
}

/* --- settings --- */

static void set_multiple(struct ata_drive *d)
{
    uint8_t n = d->reg[ATA_REG_COUNT];

    if (n > ATA_MULTIPLE || (n & (n - 1)) != 0) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    d->multiple = n;
    ata_done(d);
}

static void set_geometry(struct ata_drive *d)
{
    uint8_t spt = d->reg[ATA_REG_COUNT];

    if (spt == 0) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    d->spt = spt;
    d->heads = (d->reg[ATA_REG_DEVICE] & 15) + 1;
    ata_done(d);
}

/* 7.46, table 49: PIO modes up to 4, multiword DMA up to 2, Ultra DMA up to 5. */
static bool set_mode(struct ata_drive *d, uint8_t mode)
{
    unsigned n = mode & 7;

    if (mode <= 1) {
        d->mode = TRANSFER_PIO;
        return true;
    }
    if (((mode & 0xf8) == TRANSFER_PIO && n <= 4) || ((mode & 0xf8) == TRANSFER_MDMA && n <= 2) ||
        ((mode & 0xf8) == TRANSFER_UDMA && n <= 5)) {
        if ((mode & 0xf8) != TRANSFER_PIO)
            d->mode = mode;
        return true;
    }
    return false;
}

void ata_set_features(struct ata_drive *d)
{
    bool good = true;

    switch (d->reg[ATA_REG_FEATURE]) {
    case 0x02:
    case 0x82:
        d->write_cache = d->reg[ATA_REG_FEATURE] == 0x02;
        break;
    case 0x03:
        good = set_mode(d, d->reg[ATA_REG_COUNT]);
        break;
    case 0x55:
    case 0xaa:
        d->look_ahead = d->reg[ATA_REG_FEATURE] == 0xaa;
        break;
    case 0x66: /* keep settings over a soft reset, or not */
    case 0xcc:
        break;
    default:
        good = false;
    }
    if (good)
        ata_done(d);
    else
        ata_fail(d, ATA_ABRT);
}

/* --- data set management: ATA8-ACS 7.10 --- */

enum { TRIM_ENTRIES = 64 };

static void trim(struct ata_drive *d)
{
    uint32_t n = count_of(d, true) * ATA_SECTOR;

    if (d->reg[ATA_REG_FEATURE] != 1 || d->id.readonly || n > ATA_DATA)
        ata_fail(d, ATA_ABRT);
    else
        ata_take(d, n, ATA_SECTOR, true);
}

/* `pos` is the next entry. */
bool ata_disk_trim_next(struct ata_drive *d)
{
    while (d->pos + 8 <= d->len) {
        uint64_t entry = ld_le64(d->data + d->pos);
        uint64_t lba = entry & 0xffffffffffff, count = entry >> 48;

        d->pos += 8;
        if (count == 0)
            continue;
        if (!ata_on_disk(d, lba, count)) {
            ata_fail(d, ATA_IDNF);
            return true;
        }
        d->offset = lba * ATA_SECTOR;
        d->left = count * ATA_SECTOR;
        ata_wait(d, ATA_TRIM);
        return true;
    }
    return false;
}

/* --- commands --- */

/* READ NATIVE MAX ADDRESS: the last sector's number. */
static void native_max(struct ata_drive *d, bool ext)
{
    uint64_t last = d->id.sectors - 1, limit = (UINT64_C(1) << 28) - 1;

    if (!ext && last > limit)
        last = limit;
    ata_put_lba(d, last);
    if (!ext)
        d->reg[ATA_REG_DEVICE] = (uint8_t)((d->reg[ATA_REG_DEVICE] & 0xf0) | ((last >> 24) & 15));
    ata_done(d);
}

static void verify(struct ata_drive *d, bool ext)
{
    if (check_range(d, ext))
        ata_done(d);
}

void ata_disk_command(struct ata_drive *d, uint8_t command)
{
    const struct transfer *t = find_transfer(command);

    if (t != NULL) {
        transfer(d, t);
        return;
    }
    switch (command) {
    case 0x06:
        trim(d);
        break;
    case 0x10 ... 0x1f: /* RECALIBRATE */
    case 0x70:          /* SEEK */
    case 0xe0 ... 0xe3: /* standby and idle */
        ata_done(d);
        break;
    case 0x27:
    case 0xf8:
        native_max(d, command == 0x27);
        break;
    case 0x2f:
    case 0x47:
        ata_read_log(d, command == 0x47);
        break;
    case 0x40 ... 0x42:
        verify(d, command == 0x42);
        break;
    case 0x90: /* EXECUTE DEVICE DIAGNOSTIC */
        ata_reset(d, true);
        d->intrq = true;
        break;
    case 0x91:
        set_geometry(d);
        break;
    case 0xb0:
        ata_smart(d);
        break;
    case 0xc6:
        set_multiple(d);
        break;
    case 0xe5: /* CHECK POWER MODE: active */
        d->reg[ATA_REG_COUNT] = 0xff;
        ata_done(d);
        break;
    case 0xe7: /* FLUSH CACHE */
    case 0xea:
        ata_wait(d, ATA_FLUSH);
        break;
    case 0xec:
        ata_identify(d);
        ata_give(d, ATA_SECTOR, ATA_SECTOR, false);
        break;
    case 0xef:
        ata_set_features(d);
        break;
    default:
        ata_fail(d, ATA_ABRT);
    }
}

/* DATA SET MANAGEMENT is the one command whose data are not for the medium. */
void ata_disk_taken(struct ata_drive *d)
{
    d->pos = 0;
    if (!ata_disk_trim_next(d))
        ata_done(d);
}
