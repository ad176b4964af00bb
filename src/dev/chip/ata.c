/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, phases and data of an ATA drive: see ata.h. */
#include <errno.h>
#include <string.h>

#include "dev/chip/ata_internal.h"

static const uint8_t idle_status[] = {
    [ATA_NONE] = 0, [ATA_DISK] = ATA_DRDY | ATA_DSC, [ATA_CDROM] = ATA_DRDY | ATA_DSC};

/* --- state --- */

static const struct state_field fields[] = {
    STATE_MAX_F(struct ata_drive, phase, STATE_U8, ATA_PHASES - 1),
    STATE_U8_F(struct ata_drive, status),
    STATE_U8_F(struct ata_drive, error),
    STATE_BYTES_F(struct ata_drive, reg),
    STATE_BYTES_F(struct ata_drive, hob),
    STATE_BOOL_F(struct ata_drive, intrq),
    STATE_MAX_F(struct ata_drive, multiple, STATE_U8, ATA_MULTIPLE),
    STATE_U8_F(struct ata_drive, mode),
    STATE_BOOL_F(struct ata_drive, write_cache),
    STATE_BOOL_F(struct ata_drive, look_ahead),
    STATE_BOOL_F(struct ata_drive, smart),
    STATE_BOOL_F(struct ata_drive, fua),
    STATE_MAX_F(struct ata_drive, heads, STATE_U16, 16),
    STATE_MAX_F(struct ata_drive, spt, STATE_U16, 255),
    STATE_U64_F(struct ata_drive, offset),
    STATE_U64_F(struct ata_drive, left),
    STATE_MAX_F(struct ata_drive, pos, STATE_U32, ATA_DATA),
    STATE_MAX_F(struct ata_drive, len, STATE_U32, ATA_DATA),
    STATE_MAX_F(struct ata_drive, block, STATE_U32, ATA_DATA),
    STATE_MAX_F(struct ata_drive, end, STATE_U32, ATA_DATA),
    STATE_U16_F(struct ata_drive, byte_limit),
    STATE_BYTES_F(struct ata_drive, packet),
    STATE_STRUCT_F(struct ata_drive, mmc, 1, &mmc_state),
    STATE_MAX_F(struct ata_drive, queue_tag, STATE_U8, 31),
    STATE_U8_F(struct ata_drive, queue_status),
    STATE_U8_F(struct ata_drive, queue_error),
    STATE_BOOL_F(struct ata_drive, queue_failed),
    STATE_BYTES_F(struct ata_drive, data),
    STATE_END_F,
};

static bool inside(const struct ata_drive *d)
{
    uint64_t size =
        d->id.kind == ATA_DISK ? d->id.sectors * ATA_SECTOR : d->mmc.sectors * MMC_SECTOR;

    return d->offset <= size && d->left <= size - d->offset;
}

static int validate(const void *object, struct err *e)
{
    const struct ata_drive *d = object;
    bool medium = d->phase == ATA_LOAD || d->phase == ATA_STORE || d->phase == ATA_READ ||
                  d->phase == ATA_WRITE || d->phase == ATA_TRIM || d->left != 0;

    if (d->id.kind == ATA_NONE && d->phase != ATA_IDLE)
        return err_set(e, EINVAL, "ata: a drive that is not there is busy");
    if (d->heads == 0 || d->spt == 0)
        return err_set(e, EINVAL, "ata: a geometry without sectors");
    if (d->pos > d->end || d->end > d->len || (d->pos | d->len | d->end) & 1)
        return err_set(e, EINVAL, "ata: data outside of the buffer");
    if (medium && !inside(d))
        return err_set(e, EINVAL, "ata: data outside of the medium");
    if ((d->phase == ATA_IN || d->phase == ATA_OUT) && d->block == 0)
        return err_set(e, EINVAL, "ata: blocks of no bytes");
    if ((d->phase == ATA_STORE || d->phase == ATA_OUT) && d->left != 0 && d->len > d->left)
        return err_set(e, EINVAL, "ata: more data than the command has");
    if ((d->phase == ATA_STORE || d->phase == ATA_WRITE || d->phase == ATA_TRIM) &&
        (d->id.kind != ATA_DISK || d->id.readonly))
        return err_set(e, EINVAL, "ata: a write to a medium that cannot be written");
    if (((d->offset | d->left) & (ATA_SECTOR - 1)) != 0)
        return err_set(e, EINVAL, "ata: parts of sectors");
    return 0;
}

const struct state_table ata_drive_state = {
    .name = "ata-drive", .version = 1, .fields = fields, .validate = validate};

/* --- ends of commands --- */

static void finish(struct ata_drive *d, uint8_t status, uint8_t error)
{
    d->phase = ATA_IDLE;
    d->left = 0;
    d->pos = d->len = d->end = 0;
    d->status = status;
    d->error = error;
    d->intrq = true;
}

void ata_done(struct ata_drive *d)
{
    finish(d, ATA_DRDY | ATA_DSC, 0);
}

void ata_fail(struct ata_drive *d, uint8_t error)
{
    finish(d, ATA_DRDY | ATA_DSC | ATA_ERR, error);
}

void ata_put_lba(struct ata_drive *d, uint64_t lba)
{
    for (unsigned i = 0; i < 3; i++) {
        d->reg[ATA_REG_LBA_LOW + i] = (uint8_t)(lba >> 8 * i);
        d->hob[ATA_REG_LBA_LOW + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
}

/* Where a transfer ended that failed. */
static void fail_at(struct ata_drive *d, uint8_t error)
{
    ata_put_lba(d, d->offset / ATA_SECTOR);
    ata_fail(d, error);
}

static void end_of_command(struct ata_drive *d)
{
    if (d->id.kind == ATA_CDROM)
        atapi_done(d);
    else
        ata_done(d);
}

/* --- phases --- */

void ata_wait(struct ata_drive *d, enum ata_phase phase)
{
    d->phase = (uint8_t)phase;
    d->status = ATA_BSY | ATA_DRDY;
}

/* The next block; of a packet command with reason and byte count. */
static void drq(struct ata_drive *d, bool intrq)
{
    uint32_t n = d->len - d->pos < d->block ? d->len - d->pos : d->block;

    d->end = d->pos + n;
    d->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    if (d->id.kind == ATA_CDROM && d->reg[ATA_REG_COMMAND] == 0xa0) {
        d->reg[ATA_REG_COUNT] = d->phase == ATA_IN ? REASON_IO : 0;
        d->reg[ATA_REG_LBA_MID] = (uint8_t)n;
        d->reg[ATA_REG_LBA_HIGH] = (uint8_t)(n >> 8);
    }
    d->intrq |= intrq;
}

static void begin_data(struct ata_drive *d, enum ata_phase phase, uint32_t len, bool intrq)
{
    d->phase = (uint8_t)phase;
    d->pos = 0;
    d->len = len;
    drq(d, intrq);
}

static void prepare(struct ata_drive *d, uint32_t len, uint32_t block)
{
    d->left = 0;
    d->block = block;
    d->pos = 0;
    d->len = d->end = len + (len & 1);
}

void ata_give(struct ata_drive *d, uint32_t len, uint32_t block, bool dma)
{
    prepare(d, len, block);
    if (dma)
        ata_wait(d, ATA_DATA_IN);
    else
        begin_data(d, ATA_IN, d->len, true);
}

void ata_take(struct ata_drive *d, uint32_t len, uint32_t block, bool dma)
{
    prepare(d, len, block);
    if (dma)
        ata_wait(d, ATA_DATA_OUT);
    else
        begin_data(d, ATA_OUT, d->len, d->id.kind == ATA_CDROM);
}

/* A piece of a write by the data register. */
static void next_out(struct ata_drive *d, bool intrq)
{
    begin_data(d, ATA_OUT, d->left < ATA_DATA ? (uint32_t)d->left : ATA_DATA, intrq);
}

/* All of an ata_take is there. */
static void taken(struct ata_drive *d)
{
    if (d->id.kind == ATA_CDROM)
        atapi_done(d);
    else
        ata_disk_taken(d);
}

/* The host has given or taken a block. */
void ata_block_done(struct ata_drive *d)
{
    d->pos = d->end;
    if (d->pos < d->len) {
        drq(d, true);
    } else if (d->phase == ATA_OUT && d->left != 0) {
        ata_wait(d, ATA_STORE);
    } else if (d->phase == ATA_OUT) {
        taken(d);
    } else if (d->left != 0) {
        ata_wait(d, ATA_LOAD);
    } else {
        bool intrq = d->intrq;

        end_of_command(d);
        if (d->id.kind == ATA_DISK) /* the last block had its interrupt */
            d->intrq = intrq;
    }
}

bool ata_io(struct ata_drive *d, struct ata_io *io)
{
    *io = (struct ata_io){.phase = d->phase,
                          .offset = d->offset,
                          .bytes = d->left,
                          .durable = d->fua || !d->write_cache};
    switch (d->phase) {
    case ATA_LOAD:
        io->data = d->data;
        io->bytes = d->left < ATA_DATA ? d->left : ATA_DATA;
        return true;
    case ATA_STORE:
        io->data = d->data;
        io->bytes = d->len;
        return true;
    case ATA_DATA_IN:
    case ATA_DATA_OUT:
        io->data = d->data + d->pos;
        io->bytes = d->len - d->pos;
        return true;
    case ATA_READ:
    case ATA_WRITE:
    case ATA_FLUSH:
    case ATA_TRIM:
        return true;
    default:
        return false;
    }
}

static void failed(struct ata_drive *d)
{
    if (d->id.kind == ATA_CDROM)
        atapi_fail(d, SENSE_MEDIUM, 0x11, 0); /* unrecovered read error */
    else if (d->phase == ATA_READ || d->phase == ATA_LOAD)
        fail_at(d, ATA_UNC);
    else if (d->phase == ATA_WRITE || d->phase == ATA_STORE)
        fail_at(d, ATA_ABRT);
    else
        ata_fail(d, ATA_ABRT);
}

static void moved(struct ata_drive *d, uint64_t bytes)
{
    bytes = bytes < d->left ? bytes : d->left;
    d->offset += bytes;
    d->left -= bytes;
}

void ata_io_done(struct ata_drive *d, int result, uint64_t bytes)
{
    d->io = false;
    if (d->reset_after) {
        ata_reset(d, true);
        return;
    }
    if (result < 0) {
        failed(d);
        return;
    }
    switch (d->phase) {
    case ATA_LOAD:
        moved(d, bytes);
        begin_data(d, ATA_IN, (uint32_t)bytes, true);
        break;
    case ATA_STORE:
        moved(d, d->len);
        if (d->left != 0)
            next_out(d, true);
        else
            ata_done(d);
        break;
    case ATA_READ:
    case ATA_WRITE:
        moved(d, bytes);
        if (d->left == 0)
            end_of_command(d);
        break;
    case ATA_DATA_IN:
        d->pos = bytes < d->len - d->pos ? d->pos + (uint32_t)bytes : d->len;
        if (d->pos == d->len)
            end_of_command(d);
        break;
    case ATA_DATA_OUT:
        taken(d);
        break;
    case ATA_TRIM:
        if (!ata_disk_trim_next(d))
            ata_done(d);
        break;
    case ATA_FLUSH:
        ata_done(d);
        break;
    }
}

/* --- registers --- */

void ata_init(struct ata_drive *d, const struct ata_identity *id)
{
    memset(d, 0, sizeof(*d));
    d->id = *id;
    ata_reset(d, false);
}

/* ATA8-ACS 9.2: the signature tells the kinds apart. */
static void signature(struct ata_drive *d)
{
    memset(d->reg, 0, sizeof(d->reg));
    memset(d->hob, 0, sizeof(d->hob));
    d->reg[ATA_REG_COUNT] = d->reg[ATA_REG_LBA_LOW] = 1;
    d->status = idle_status[d->id.kind];
    if (d->id.kind == ATA_CDROM) {
        d->reg[ATA_REG_LBA_MID] = 0x14;
        d->reg[ATA_REG_LBA_HIGH] = 0xeb;
        d->status = 0;
    }
}

void ata_reset(struct ata_drive *d, bool soft)
{
    d->phase = ATA_IDLE;
    d->io = d->reset_after = false;
    signature(d);
    d->error = d->id.kind == ATA_NONE ? 0 : 1; /* diagnostics passed */
    d->intrq = d->fua = d->queue_failed = false;
    d->offset = d->left = 0;
    d->pos = d->len = d->end = d->block = 0;
    if (soft)
        return;
    d->heads = 16;
    d->spt = 63;
    d->multiple = 0;
    d->mode = TRANSFER_UDMA | 5;
    d->write_cache = d->look_ahead = d->smart = true;
    d->byte_limit = 0;
    memset(d->packet, 0, sizeof(d->packet));
    mmc_reset(&d->mmc);
    d->queue_tag = d->queue_status = d->queue_error = 0;
    memset(d->data, 0, sizeof(d->data));
}

void ata_reset_bus(struct ata_drive *d)
{
    if (d->io)
        d->reset_after = true;
    else
        ata_reset(d, true);
}

void ata_reg_write(struct ata_drive *d, enum ata_reg reg, uint8_t value)
{
    if (d->phase != ATA_IDLE)
        return;
    d->hob[reg] = d->reg[reg];
    d->reg[reg] = value;
}

uint8_t ata_reg_read(const struct ata_drive *d, enum ata_reg reg, bool hob)
{
    if (d->id.kind == ATA_NONE)
        return 0;
    switch (reg) {
    case ATA_REG_FEATURE:
        return d->error;
    case ATA_REG_COMMAND:
        return d->status;
    case ATA_REG_DEVICE:
        return d->reg[reg];
    default:
        return hob ? d->hob[reg] : d->reg[reg];
    }
}

void ata_command(struct ata_drive *d, uint8_t command)
{
    if (d->id.kind == ATA_NONE || (d->phase != ATA_IDLE && command != 0x08))
        return;
    d->reg[ATA_REG_COMMAND] = command;
    d->intrq = false;
    d->error = 0;
    d->fua = false;
    if (d->id.kind == ATA_CDROM)
        atapi_command(d, command);
    else
        ata_disk_command(d, command);
}

uint32_t ata_data_read(struct ata_drive *d, unsigned size)
{
    uint32_t v = 0;

    if (d->phase != ATA_IN)
        return 0;
    for (unsigned i = 0; i < size && d->pos < d->end; i++)
        v |= (uint32_t)d->data[d->pos++] << 8 * i;
    if (d->pos == d->end)
        ata_block_done(d);
    return v;
}

void ata_data_write(struct ata_drive *d, uint32_t value, unsigned size)
{
    uint8_t *to = d->phase == ATA_PACKET ? d->packet : d->data;

    if (d->phase != ATA_OUT && d->phase != ATA_PACKET)
        return;
    for (unsigned i = 0; i < size && d->pos < d->end; i++)
        to[d->pos++] = (uint8_t)(value >> 8 * i);
    if (d->pos < d->end)
        return;
    if (d->phase == ATA_PACKET)
        atapi_packet(d);
    else
        ata_block_done(d);
}

uint8_t *ata_block(struct ata_drive *d, uint32_t *len)
{
    *len = d->end - d->pos;
    return d->data + d->pos;
}

void ata_packet(struct ata_drive *d, const uint8_t cdb[ATA_CDB])
{
    if (d->phase != ATA_PACKET)
        return;
    memcpy(d->packet, cdb, ATA_CDB);
    atapi_packet(d);
}

bool ata_on_disk(const struct ata_drive *d, uint64_t lba, uint64_t count)
{
    return lba <= d->id.sectors && count <= d->id.sectors - lba;
}
