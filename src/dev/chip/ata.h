/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATA drive as the host adapter sees it: registers, commands and data, without any I/O. INCITS
 * 452 (ATA8-ACS) for disks; for CD-ROM drives its packet feature set with the commands of MMC-6.
 *
 * Register model: no lock, no clock, no pins. What a command needs of the medium or of memory the
 * drive tells by `ata_io`; the adapter does it, whenever it can, and says so with `ata_io_done`.
 *
 *   ata_command -> LOAD ---> IN (data port) -> idle         PIO; pieces of up to ATA_DATA bytes
 *               -> OUT (data port) -> STORE -> idle
 *               -> READ, WRITE, DATA_IN, DATA_OUT -> idle   DMA; any pieces of whole sectors
 *               -> PACKET (12 bytes by the data port or ata_packet) -> one of the above
 *
 * Serial ATA adapters use the same drive: they fill the registers from a FIS.
 */
#ifndef DOPPEL_DEV_CHIP_ATA_H
#define DOPPEL_DEV_CHIP_ATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev/chip/mmc.h"
#include "state/state.h"

#define ATA_SECTOR 512u
#define ATA_DATA 65536u /* bytes of the drive's buffer */
#define ATA_CDB 12u
#define ATA_MULTIPLE 16u /* most sectors of a block of READ or WRITE MULTIPLE */

enum ata_reg {
    ATA_REG_DATA,
    ATA_REG_FEATURE, /* read: error */
    ATA_REG_COUNT,
    ATA_REG_LBA_LOW,
    ATA_REG_LBA_MID,
    ATA_REG_LBA_HIGH,
    ATA_REG_DEVICE,
    ATA_REG_COMMAND, /* read: status */
    ATA_REGS
};

enum ata_status {
    ATA_ERR = 0x01,
    ATA_DRQ = 0x08,
    ATA_DSC = 0x10,
    ATA_DF = 0x20,
    ATA_DRDY = 0x40,
    ATA_BSY = 0x80
};
enum ata_error { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };
enum { ATA_DEVICE_LBA = 0x40, ATA_DEVICE_SECOND = 0x10 };

enum ata_kind { ATA_NONE, ATA_DISK, ATA_CDROM };

enum ata_phase {
    ATA_IDLE,
    ATA_LOAD,     /* busy: the medium's bytes into `data` */
    ATA_IN,       /* the host takes `data` */
    ATA_OUT,      /* the host gives `data` */
    ATA_STORE,    /* busy: `data` onto the medium */
    ATA_PACKET,   /* the host gives a command packet */
    ATA_READ,     /* busy: from the medium to memory */
    ATA_WRITE,    /* busy: from memory to the medium */
    ATA_DATA_IN,  /* busy: `data` to memory */
    ATA_DATA_OUT, /* busy: memory to `data` */
    ATA_FLUSH,    /* busy */
    ATA_TRIM,     /* busy: a range of the medium is not needed any more */
    ATA_PHASES
};

/* What of the drive no command changes. */
struct ata_identity {
    enum ata_kind kind;
    uint64_t sectors;   /* of a disk, each of ATA_SECTOR bytes; may grow before a reset */
    const char *serial; /* up to 20 characters */
    bool ncq;           /* behind an adapter that queues */
    bool readonly;      /* a disk: all writes fail */
};

struct ata_drive {
    struct ata_identity id;

    /* The adapter's: what `ata_io` told is under way. A reset waits for it. */
    bool io, reset_after;

    /* State. */
    uint8_t phase;
    uint8_t status, error;
    uint8_t reg[ATA_REGS], hob[ATA_REGS]; /* as written; hob: what was written before */
    bool intrq;
    uint8_t multiple; /* sectors of a block; 0: off */
    uint8_t mode;     /* of transfers, as SET FEATURES sets it */
    bool write_cache, look_ahead, smart;
    bool fua; /* of the command under way */
    uint16_t heads, spt;
    uint64_t offset, left; /* on the medium, in bytes: what the command has not done yet */
    uint32_t pos, len;     /* in `data` */
    uint32_t block, end;   /* bytes for each DRQ, and where this one ends in `data` */
    uint16_t byte_limit;   /* of a packet command */
    uint8_t packet[ATA_CDB + 4];
    struct mmc mmc;    /* of a CD-ROM drive */
    uint8_t queue_tag; /* of the queued command that failed: log 10h */
    uint8_t queue_status, queue_error;
    bool queue_failed;
    uint8_t data[ATA_DATA];
};
extern const struct state_table ata_drive_state;

void ata_init(struct ata_drive *d, const struct ata_identity *id);
/* Power-on, or `soft`: keeps settings and medium. No I/O is under way. */
void ata_reset(struct ata_drive *d, bool soft);
/* By the bus (SRST, COMRESET): at once, or when the I/O under way is done. */
void ata_reset_bus(struct ata_drive *d);

/* Registers but the data register; `reg` from ATA_REG_FEATURE to ATA_REG_DEVICE. */
void ata_reg_write(struct ata_drive *d, enum ata_reg reg, uint8_t value);
uint8_t ata_reg_read(const struct ata_drive *d, enum ata_reg reg, bool hob);
/* Writes the command register. Nothing happens while the drive is busy. */
void ata_command(struct ata_drive *d, uint8_t command);
/* The data register, 2 or 4 bytes. */
uint32_t ata_data_read(struct ata_drive *d, unsigned size);
void ata_data_write(struct ata_drive *d, uint32_t value, unsigned size);

/* For adapters without a data register: the data of this block, from or for the host; after that
 * ata_block_done. The command packet at once. */
uint8_t *ata_block(struct ata_drive *d, uint32_t *len);
void ata_block_done(struct ata_drive *d);
void ata_packet(struct ata_drive *d, const uint8_t cdb[ATA_CDB]);

/* What the drive waits for; phase is one of those that are busy, or else false. DATA_IN, DATA_OUT,
 * LOAD and STORE are about `data`, which is NULL for the others. */
struct ata_io {
    enum ata_phase phase;
    uint64_t offset, bytes;
    uint8_t *data;
    bool durable;
};
bool ata_io(struct ata_drive *d, struct ata_io *io);
/* `bytes` of it were done, or result < 0. Of LOAD, STORE, DATA_OUT and TRIM everything at once. */
void ata_io_done(struct ata_drive *d, int result, uint64_t bytes);

/* Is [lba, lba + count) on the disk? */
bool ata_on_disk(const struct ata_drive *d, uint64_t lba, uint64_t count);

#endif
