/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CD/DVD-ROM drive's commands, whatever bus they come by: SPC-3 and MMC-6. ATAPI drives
 * (dev/chip/ata.h) and SCSI ones (dev/chip/scsi.h) are this one.
 *
 * Pure state: mmc_command says what is to be done, the caller does it.
 */
#ifndef DOPPEL_DEV_CHIP_MMC_H
#define DOPPEL_DEV_CHIP_MMC_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define MMC_SECTOR 2048u
#define MMC_CDB 12u
#define MMC_ANSWER 2052u /* bytes of the longest answer */

enum scsi_sense { /* sense keys, SPC-3 table 27 */
                  SENSE_NONE = 0,
                  SENSE_NOT_READY = 2,
                  SENSE_MEDIUM = 3,
                  SENSE_HARDWARE = 4,
                  SENSE_ILLEGAL = 5,
                  SENSE_ATTENTION = 6,
                  SENSE_PROTECT = 7,
};

struct mmc {
    uint64_t sectors; /* of the medium, each of MMC_SECTOR bytes; 0: there is none */
    /* Of the command that is looked at. */
    const uint8_t *cdb;
    uint8_t *data;

    /* State. */
    uint8_t sense, asc, ascq; /* of the last command */
    bool attention;           /* the medium is another one */
    uint8_t event;            /* of the medium that was not told: MMC-6 table 242 */
    bool open, locked;        /* the tray */
    bool eject;               /* the host's wish, which the adapter takes */
};
extern const struct state_table mmc_state;

void mmc_reset(struct mmc *m); /* power-on */

enum mmc_next {
    MMC_DONE,
    MMC_FAILED, /* see sense, asc, ascq */
    MMC_GIVE,   /* `bytes` of `data` to the host */
    MMC_TAKE,   /* `bytes` from the host, to be forgotten */
    MMC_READ,   /* `bytes` of the medium from `offset` on to the host */
};
struct mmc_step {
    enum mmc_next next;
    uint64_t offset, bytes;
};

/* A command of MMC_CDB bytes; an answer goes to `data`, with room for MMC_ANSWER bytes. */
struct mmc_step mmc_command(struct mmc *m, const uint8_t *cdb, uint8_t *data);

/* Another medium, 0 sectors: none. Open trays are closed by one. */
void mmc_medium(struct mmc *m, uint64_t sectors);
/* A person wants the tray open; the guest hears of it when it asks for events. */
void mmc_request_eject(struct mmc *m);

/* Sense data in fixed format (SPC-3 4.5.3), 18 bytes; or by descriptors, 8 bytes. */
#define SCSI_SENSE 18u
#define SCSI_SENSE_DESCRIPTOR 8u
void scsi_fixed_sense(uint8_t *p, uint8_t key, uint8_t asc, uint8_t ascq);
void scsi_descriptor_sense(uint8_t *p, uint8_t key, uint8_t asc, uint8_t ascq);

#endif
