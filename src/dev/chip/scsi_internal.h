/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The logical unit as its own files see it. */
#ifndef DOPPEL_DEV_CHIP_SCSI_INTERNAL_H
#define DOPPEL_DEV_CHIP_SCSI_INTERNAL_H

#include "dev/chip/scsi.h"

enum scsi_asc { /* SPC-4 annex D; the qualifier in the lower byte */
                ASC_STOPPED = 0x0402,
                ASC_LBA = 0x2100,
                ASC_OPCODE = 0x2000,
                ASC_FIELD = 0x2400,
                ASC_LUN = 0x2500,
                ASC_PARAMETER = 0x2600,
                ASC_PARAMETER_LENGTH = 0x1a00,
                ASC_READONLY = 0x2700,
                ASC_RESET = 0x2900,
                ASC_CAPACITY = 0x2a09,
                ASC_SAVING = 0x3900,
};

/* scsi.c: ends of commands. */
struct scsi_step scsi_done(void);
struct scsi_step scsi_fail(uint8_t key, uint16_t asc);
struct scsi_step scsi_illegal(uint16_t asc);
/* Up to `room` bytes of an answer of `len`. */
struct scsi_step scsi_answer(uint32_t len, uint32_t room);

/* scsi_info.c */
struct scsi_step scsi_inquiry(struct scsi_lun *l);
struct scsi_step scsi_report_luns(const uint8_t *cdb, uint8_t *data);
struct scsi_step scsi_mode_sense(struct scsi_lun *l, bool ten);
struct scsi_step scsi_mode_select(struct scsi_lun *l, bool ten, uint32_t len);
struct scsi_step scsi_capacity(struct scsi_lun *l, bool long_form);

/* scsi_disk.c: false: no command of a disk. */
bool scsi_disk_command(struct scsi_lun *l, struct scsi_step *s);
struct scsi_step scsi_disk_taken(struct scsi_lun *l, uint32_t len);

#endif
