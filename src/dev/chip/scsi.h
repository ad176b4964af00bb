/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A SCSI logical unit as its initiator sees it: a disk of 512-byte blocks (SPC-4, SBC-3) or a
 * CD-ROM drive (dev/chip/mmc.h). Pure state, for one initiator: scsi_command says what is to be
 * done, the caller (dev/scsi/scsi_unit.h) does it. Sense data come with the status of each command.
 */
#ifndef DOPPEL_DEV_CHIP_SCSI_H
#define DOPPEL_DEV_CHIP_SCSI_H

#include <stdbool.h>
#include <stdint.h>

#include "dev/chip/mmc.h"

#define SCSI_BLOCK 512u
#define SCSI_CDB 16u
#define SCSI_DATA 4096u       /* bytes of answers and of parameters */
#define SCSI_FILL_MAX 0x8000u /* blocks of one WRITE SAME */

enum scsi_status { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02 };

enum scsi_kind { SCSI_NONE, SCSI_DISK, SCSI_CDROM };

/* What of the unit no command changes. */
struct scsi_identity {
    enum scsi_kind kind;
    char serial[12];
    bool readonly;     /* a disk: all writes fail */
    unsigned physical; /* bytes of a disk's physical block, a power of two, at least SCSI_BLOCK */
};

/* Unit attentions that were not reported, the first to be told first. */
enum scsi_attention { SCSI_WAS_RESET = 1, SCSI_CAPACITY_CHANGED = 2 };

struct scsi_lun {
    struct scsi_identity id;
    uint64_t blocks; /* of a disk */
    /* Of the command that is looked at. */
    const uint8_t *cdb;
    uint8_t *data;

    /* State. */
    struct mmc mmc;    /* of a CD-ROM drive */
    uint8_t attention; /* enum scsi_attention */
    bool stopped, write_cache;
};
extern const struct state_table scsi_lun_state;

void scsi_reset(struct scsi_lun *l); /* power-on, and a reset of the unit or its bus */

enum scsi_next {
    SCSI_DONE,
    SCSI_CHECK, /* it failed, with this sense */
    SCSI_GIVE,  /* `bytes` of `data` to the initiator */
    SCSI_TAKE,  /* `bytes` from it to `data`, then scsi_taken; more than SCSI_DATA is dropped */
    SCSI_READ,  /* `bytes` of the medium from `offset` on to it, or the other way */
    SCSI_WRITE,
    SCSI_FLUSH,
    SCSI_DISCARD, /* `ranges`, see scsi_range */
    SCSI_ZERO,    /* zeros there */
    SCSI_FILL,    /* the first SCSI_BLOCK bytes of `data` into each block there */
};
struct scsi_step {
    enum scsi_next next;
    uint8_t key, asc, ascq;
    bool durable; /* SCSI_WRITE, SCSI_ZERO, SCSI_FILL: on stable storage when done */
    bool unmap;   /* SCSI_ZERO: storage may be released */
    uint64_t offset, bytes;
    unsigned ranges;
};

/* `cdb` has SCSI_CDB bytes, `data` room for SCSI_DATA. */
struct scsi_step scsi_command(struct scsi_lun *l, const uint8_t *cdb, uint8_t *data);
/* Of what the command wanted to take there are `len` bytes. Never SCSI_GIVE or SCSI_TAKE. */
struct scsi_step scsi_taken(struct scsi_lun *l, const uint8_t *cdb, uint8_t *data, uint32_t len);
/* Range i of SCSI_DISCARD, on the medium; may be empty. */
void scsi_range(const uint8_t *data, unsigned i, uint64_t *offset, uint64_t *bytes);
/* The same for a unit that a target does not have, though it has others. */
struct scsi_step scsi_no_lun(const uint8_t *cdb, uint8_t *data);

#endif
