/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical unit's life and what all kinds of them have in common: SPC-4. */
#include "dev/chip/scsi.h"

#include <stddef.h>
#include <string.h>

#include "base/bits.h"
#include "dev/chip/scsi_internal.h"

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct scsi_lun, mmc, 1, &mmc_state),
    STATE_MAX_F(struct scsi_lun, attention, STATE_U8, SCSI_WAS_RESET | SCSI_CAPACITY_CHANGED),
    STATE_BOOL_F(struct scsi_lun, stopped),
    STATE_BOOL_F(struct scsi_lun, write_cache),
    STATE_END_F,
};
const struct state_table scsi_lun_state = {.name = "scsi-lun", .version = 1, .fields = fields};

void scsi_reset(struct scsi_lun *l)
{
    mmc_reset(&l->mmc);
    l->attention = SCSI_WAS_RESET;
    l->stopped = false;
    l->write_cache = true;
}

/* --- ends --- */

struct scsi_step scsi_done(void)
{
    return (struct scsi_step){SCSI_DONE};
}

struct scsi_step scsi_fail(uint8_t key, uint16_t asc)
{
    return (struct scsi_step){
        .next = SCSI_CHECK, .key = key, .asc = (uint8_t)(asc >> 8), .ascq = (uint8_t)asc};
}

struct scsi_step scsi_illegal(uint16_t asc)
{
    return scsi_fail(SENSE_ILLEGAL, asc);
}

struct scsi_step scsi_answer(uint32_t len, uint32_t room)
{
    uint32_t n = len < room ? len : room;

    return n == 0 ? scsi_done() : (struct scsi_step){.next = SCSI_GIVE, .bytes = n};
}

/* --- sense --- */

/* The next attention, which is told with this. */
static struct scsi_step take_attention(struct scsi_lun *l)
{
    uint8_t first = l->attention & (uint8_t)-l->attention;

    l->attention &= (uint8_t)~first;
    return scsi_fail(SENSE_ATTENTION, first == SCSI_WAS_RESET ? ASC_RESET : ASC_CAPACITY);
}

static struct scsi_step give_sense(const uint8_t *cdb, uint8_t *data, struct scsi_step s)
{
    if ((cdb[1] & 1) != 0) {
        scsi_descriptor_sense(data, s.key, s.asc, s.ascq);
        return scsi_answer(SCSI_SENSE_DESCRIPTOR, cdb[4]);
    }
    scsi_fixed_sense(data, s.key, s.asc, s.ascq);
    return scsi_answer(SCSI_SENSE, cdb[4]);
}

/* Every failure came with its sense: what is left to tell is the unit's condition. */
static struct scsi_step request_sense(struct scsi_lun *l)
{
    struct scsi_step s = {0};

    if (l->attention != 0)
        s = take_attention(l);
    else if (l->stopped)
        s = scsi_fail(SENSE_NOT_READY, ASC_STOPPED);
    return give_sense(l->cdb, l->data, s);
}

/* --- CD-ROM drives --- */

static struct scsi_step cdrom_command(struct scsi_lun *l)
{
    static const enum scsi_next nexts[] = {[MMC_DONE] = SCSI_DONE,
                                           [MMC_FAILED] = SCSI_CHECK,
                                           [MMC_GIVE] = SCSI_GIVE,
                                           [MMC_TAKE] = SCSI_TAKE,
                                           [MMC_READ] = SCSI_READ};
    struct mmc_step m = mmc_command(&l->mmc, l->cdb, l->data);
    struct scsi_step s = {.next = nexts[m.next], .offset = m.offset, .bytes = m.bytes};

    if (s.next == SCSI_CHECK) {
        s.key = l->mmc.sense;
        s.asc = l->mmc.asc;
        s.ascq = l->mmc.ascq;
        l->mmc.sense = l->mmc.asc = l->mmc.ascq = 0; /* it has been told */
    }
    return s;
}

/* --- commands --- */

/* SPC-4 5.14: these do not report attentions; nor does what asks a drive for events. */
static bool quiet(const struct scsi_lun *l, uint8_t opcode)
{
    return opcode == 0x03 || opcode == 0x12 || opcode == 0xa0 ||
           (l->id.kind == SCSI_CDROM && (opcode == 0x46 || opcode == 0x4a));
}

static struct scsi_step run(struct scsi_lun *l)
{
    struct scsi_step s;

    switch (l->cdb[0]) {
    case 0x03:
        if (l->id.kind == SCSI_CDROM && l->attention == 0)
            return cdrom_command(l);
        return request_sense(l);
    case 0x12:
        return scsi_inquiry(l);
    case 0xa0:
        return scsi_report_luns(l->cdb, l->data);
    default:
        if (l->id.kind == SCSI_CDROM)
            return cdrom_command(l);
        return scsi_disk_command(l, &s) ? s : scsi_illegal(ASC_OPCODE);
    }
}

struct scsi_step scsi_command(struct scsi_lun *l, const uint8_t *cdb, uint8_t *data)
{
    struct scsi_step s;

    if (l->attention != 0 && !quiet(l, cdb[0]))
        return take_attention(l);
    l->cdb = cdb;
    l->data = data;
    s = run(l);
    l->cdb = NULL;
    l->data = NULL;
    return s;
}

struct scsi_step scsi_taken(struct scsi_lun *l, const uint8_t *cdb, uint8_t *data, uint32_t len)
{
    struct scsi_step s;

    if (l->id.kind == SCSI_CDROM)
        return scsi_done(); /* mmc.h: to be forgotten */
    l->cdb = cdb;
    l->data = data;
    s = scsi_disk_taken(l, len);
    l->cdb = NULL;
    l->data = NULL;
    return s;
}

struct scsi_step scsi_no_lun(const uint8_t *cdb, uint8_t *data)
{
    switch (cdb[0]) {
    case 0x03:
        return give_sense(cdb, data, scsi_illegal(ASC_LUN));
    case 0x12:
        if ((cdb[1] & 1) != 0)
            return scsi_illegal(ASC_FIELD);
        memset(data, 0, 36);
        data[0] = 0x7f; /* there can be no device */
        data[4] = 31;
        return scsi_answer(36, ld_be16(cdb + 3));
    case 0xa0:
        return scsi_report_luns(cdb, data);
    default:
        return scsi_illegal(ASC_LUN);
    }
}
