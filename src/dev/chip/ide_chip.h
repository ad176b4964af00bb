/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One channel of an IDE adapter: the command and control blocks of two drives (ATA8-ACS;
 * ATA/ATAPI-7 volume 2, 5 and 6) and the bus master that moves their data (Programming Interface
 * for Bus Master IDE Controller 1.0). Register model: no lock, no pins, no memory.
 */
#ifndef DOPPEL_DEV_CHIP_IDE_CHIP_H
#define DOPPEL_DEV_CHIP_IDE_CHIP_H

#include "dev/chip/ata.h"

#define IDE_BM_REGS 8u

struct ide_channel {
    struct ata_drive drive[2];
    /* State. */
    uint8_t control; /* device control as written */
    uint8_t select;  /* drive 0 or 1 */
    bool line;       /* INTRQ as it was last seen */
    uint8_t bm_command, bm_status;
    uint32_t bm_table; /* descriptor table */
    /* Where the transfer is: the next descriptor, and what is left of the last one. */
    uint32_t at, address, left;
    bool last;
};
extern const struct state_table ide_channel_state;

void ide_init(struct ide_channel *c, const struct ata_identity id[2]);
void ide_reset(struct ide_channel *c);

/* The selected drive. */
struct ata_drive *ide_drive(struct ide_channel *c);

/* The command block at offset 0 - 7; sizes above 1 are for the data register. */
uint32_t ide_read(struct ide_channel *c, unsigned reg, unsigned size);
void ide_write(struct ide_channel *c, unsigned reg, uint32_t value, unsigned size);
/* The control block: alternate status, device control. */
uint8_t ide_control_read(const struct ide_channel *c);
void ide_control_write(struct ide_channel *c, uint8_t value);
/* The bus master at offset 0 - 7, byte by byte. */
uint8_t ide_bm_read(const struct ide_channel *c, unsigned reg);
void ide_bm_write(struct ide_channel *c, unsigned reg, uint8_t value);

/* After anything that may have changed it: the level of the interrupt line. */
bool ide_update(struct ide_channel *c);

/* Does the bus master move data? Then `left` bytes at `address` are next; at 0 of them the adapter
 * reads the descriptor at `at` and gives it to ide_bm_descriptor. false: there is no next one. */
bool ide_bm_active(const struct ide_channel *c);
bool ide_bm_more(const struct ide_channel *c);
void ide_bm_descriptor(struct ide_channel *c, const uint8_t bytes[8]);
void ide_bm_moved(struct ide_channel *c, uint32_t bytes);
void ide_bm_end(struct ide_channel *c, bool error);

#endif
