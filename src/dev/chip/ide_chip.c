/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDE channels: see ide_chip.h. */
#include "dev/chip/ide_chip.h"

#include <errno.h>

#include "base/bits.h"

enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_CAPABLE = 0x60 };
enum { BM_REG_COMMAND = 0, BM_REG_STATUS = 2, BM_REG_TABLE = 4 };

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct ide_channel, drive, 2, &ata_drive_state),
    STATE_U8_F(struct ide_channel, control),
    STATE_MAX_F(struct ide_channel, select, STATE_U8, 1),
    STATE_BOOL_F(struct ide_channel, line),
    STATE_U8_F(struct ide_channel, bm_command),
    STATE_U8_F(struct ide_channel, bm_status),
    STATE_U32_F(struct ide_channel, bm_table),
    STATE_U32_F(struct ide_channel, at),
    STATE_U32_F(struct ide_channel, address),
    STATE_MAX_F(struct ide_channel, left, STATE_U32, 65536),
    STATE_BOOL_F(struct ide_channel, last),
    STATE_END_F,
};

const struct state_table ide_channel_state = {
    .name = "ide-channel", .version = 1, .fields = fields};

void ide_init(struct ide_channel *c, const struct ata_identity id[2])
{
    ata_init(&c->drive[0], &id[0]);
    ata_init(&c->drive[1], &id[1]);
    ide_reset(c);
}

void ide_reset(struct ide_channel *c)
{
    ata_reset(&c->drive[0], false);
    ata_reset(&c->drive[1], false);
    c->control = c->select = 0;
    c->line = false;
    c->bm_command = c->bm_status = 0;
    c->bm_table = c->at = c->address = c->left = 0;
    c->last = false;
}

struct ata_drive *ide_drive(struct ide_channel *c)
{
    return &c->drive[c->select];
}

/* --- command and control block --- */

static bool in_reset(const struct ide_channel *c)
{
    const struct ata_drive *d = &c->drive[c->select];

    return d->id.kind != ATA_NONE && ((c->control & CONTROL_SRST) != 0 || d->reset_after);
}

uint32_t ide_read(struct ide_channel *c, unsigned reg, unsigned size)
{
    struct ata_drive *d = ide_drive(c);

    if (reg == ATA_REG_DATA)
        return ata_data_read(d, size);
    if (in_reset(c))
        return ATA_BSY;
    if (reg == ATA_REG_COMMAND)
        d->intrq = false;
    return ata_reg_read(d, (enum ata_reg)reg, c->control & CONTROL_HOB);
}

static void write_both(struct ide_channel *c, enum ata_reg reg, uint8_t value)
{
    ata_reg_write(&c->drive[0], reg, value);
    ata_reg_write(&c->drive[1], reg, value);
}

void ide_write(struct ide_channel *c, unsigned reg, uint32_t value, unsigned size)
{
    c->control &= (uint8_t)~CONTROL_HOB;
    if (reg == ATA_REG_DATA) {
        ata_data_write(ide_drive(c), value, size);
        return;
    }
    if (in_reset(c))
        return;
    if (reg != ATA_REG_COMMAND)
        write_both(c, (enum ata_reg)reg, (uint8_t)value);
    if (reg == ATA_REG_DEVICE)
        c->select = (value & ATA_DEVICE_SECOND) != 0;
    if (reg == ATA_REG_COMMAND && (value & 0xff) == 0x90) { /* both run diagnostics */
        ata_command(&c->drive[0], 0x90);
        ata_command(&c->drive[1], 0x90);
        c->drive[1].intrq = false;
        c->select = 0;
    } else if (reg == ATA_REG_COMMAND) {
        ata_command(ide_drive(c), (uint8_t)value);
    }
}

uint8_t ide_control_read(const struct ide_channel *c)
{
    const struct ata_drive *d = &c->drive[c->select];

    return in_reset(c) ? ATA_BSY : ata_reg_read(d, ATA_REG_COMMAND, false);
}

void ide_control_write(struct ide_channel *c, uint8_t value)
{
    if ((value & CONTROL_SRST) != 0 && (c->control & CONTROL_SRST) == 0) {
        ata_reset_bus(&c->drive[0]);
        ata_reset_bus(&c->drive[1]);
        c->select = 0;
    }
    c->control = value;
}

/* --- bus master --- */

uint8_t ide_bm_read(const struct ide_channel *c, unsigned reg)
{
    switch (reg) {
    case BM_REG_COMMAND:
        return c->bm_command;
    case BM_REG_STATUS:
        return c->bm_status;
    case BM_REG_TABLE ... BM_REG_TABLE + 3:
        return (uint8_t)(c->bm_table >> 8 * (reg - BM_REG_TABLE));
    default:
        return 0;
    }
}

static void bm_command(struct ide_channel *c, uint8_t value)
{
    bool start = (value & BM_START) != 0, was = (c->bm_command & BM_START) != 0;

    c->bm_command = value & (BM_START | BM_TO_MEMORY);
    if (start && !was) {
        c->at = c->bm_table;
        c->left = 0;
        c->last = false;
        c->bm_status |= BM_ACTIVE;
    } else if (!start) {
        c->bm_status &= (uint8_t)~BM_ACTIVE;
    }
}

void ide_bm_write(struct ide_channel *c, unsigned reg, uint8_t value)
{
    unsigned shift = 8 * (reg & 3);

    switch (reg) {
    case BM_REG_COMMAND:
        bm_command(c, value);
        break;
    case BM_REG_STATUS:
        c->bm_status = (uint8_t)((value & BM_CAPABLE) | (c->bm_status & BM_ACTIVE) |
                                 (c->bm_status & ~value & (BM_ERROR | BM_INTERRUPT)));
        break;
    case BM_REG_TABLE ... BM_REG_TABLE + 3:
        c->bm_table = (c->bm_table & ~(0xffu << shift)) | (uint32_t)value << shift;
        c->bm_table &= ~3u;
        break;
    }
}

bool ide_bm_active(const struct ide_channel *c)
{
    return (c->bm_status & BM_ACTIVE) != 0;
}

bool ide_bm_more(const struct ide_channel *c)
{
    return !c->last;
}

void ide_bm_descriptor(struct ide_channel *c, const uint8_t bytes[8])
{
    uint32_t count = ld_le32(bytes + 4) & 0xfffe;

    c->address = ld_le32(bytes) & ~1u;
    c->left = count != 0 ? count : 65536;
    c->last = (bytes[7] & 0x80) != 0;
    c->at += 8;
}

void ide_bm_moved(struct ide_channel *c, uint32_t bytes)
{
    c->address += bytes;
    c->left -= bytes;
}

void ide_bm_end(struct ide_channel *c, bool error)
{
    c->bm_status &= (uint8_t)~BM_ACTIVE;
    if (error)
        c->bm_status |= BM_ERROR;
}

/* --- interrupt --- */

bool ide_update(struct ide_channel *c)
{
    bool line = ide_drive(c)->intrq && (c->control & CONTROL_NIEN) == 0;

    if (line && !c->line)
        c->bm_status |= BM_INTERRUPT;
    c->line = line;
    return line;
}
