/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The drive as its own files see it. */
#ifndef DOPPEL_DEV_CHIP_ATA_INTERNAL_H
#define DOPPEL_DEV_CHIP_ATA_INTERNAL_H

#include "dev/chip/ata.h"

/* Of a packet command, in the sector count: ATA8-ACS 7.24. */
enum { REASON_COD = 1, REASON_IO = 2 };
enum { TRANSFER_PIO = 0x08, TRANSFER_MDMA = 0x20, TRANSFER_UDMA = 0x40 };

/* ata.c: the ends of commands, and their data. */
void ata_done(struct ata_drive *d);
void ata_fail(struct ata_drive *d, uint8_t error);
/* A sector's number in the registers. */
void ata_put_lba(struct ata_drive *d, uint64_t lba);
/* `len` bytes of `data` for the host, or from it: by DMA, or by DRQs of `block` bytes. */
void ata_give(struct ata_drive *d, uint32_t len, uint32_t block, bool dma);
void ata_take(struct ata_drive *d, uint32_t len, uint32_t block, bool dma);
void ata_wait(struct ata_drive *d, enum ata_phase phase);

/* ata_disk.c */
void ata_disk_command(struct ata_drive *d, uint8_t command);
void ata_disk_taken(struct ata_drive *d);     /* all of `data` of an ata_take is there */
bool ata_disk_trim_next(struct ata_drive *d); /* the next range; false: none */
void ata_set_features(struct ata_drive *d);

/* ata_identify.c: 512 bytes of `data`. */
void ata_identify(struct ata_drive *d);
void ata_smart(struct ata_drive *d);
void ata_read_log(struct ata_drive *d, bool dma);

/* atapi.c */
void atapi_command(struct ata_drive *d, uint8_t command);
void atapi_packet(struct ata_drive *d);
void atapi_done(struct ata_drive *d);
void atapi_fail(struct ata_drive *d, uint8_t sense, uint8_t asc, uint8_t ascq);

#endif
