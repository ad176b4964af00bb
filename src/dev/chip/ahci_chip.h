/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of a serial ATA adapter: AHCI 1.3.1, chapter 3. No lock, no pins, no memory: what the
 * registers demand of a port's drive the adapter does when it sees `ci`, `sact` and `reset`.
 */
#ifndef DOPPEL_DEV_CHIP_AHCI_CHIP_H
#define DOPPEL_DEV_CHIP_AHCI_CHIP_H

#include "dev/chip/ata.h"

#define AHCI_PORTS 6u
#define AHCI_SLOTS 32u
#define AHCI_SIZE 0x400u /* bytes of registers */

/* Bits of PxIS and PxIE. */
enum ahci_is {
    AHCI_IS_DHR = 1u << 0, /* device to host */
    AHCI_IS_PS = 1u << 1,  /* PIO set-up */
    AHCI_IS_SDB = 1u << 3, /* set device bits */
    AHCI_IS_PC = 1u << 6,  /* as PxSERR's X says */
    AHCI_IS_TFE = 1u << 30
};

enum ahci_cmd { AHCI_CMD_ST = 1u << 0, AHCI_CMD_FRE = 1u << 4 };

struct ahci_port {
    struct ata_drive drive;
    unsigned under_way; /* queued requests that the adapter has begun; not state */
    bool reset;         /* COMRESET is over: the adapter tells the drive's signature; not state */
    /* State. */
    uint64_t clb, fb;
    uint32_t is, ie, cmd, sctl, serr, sact, ci;
    uint32_t queued; /* slots whose queued command the drive has */
    bool running;    /* the drive has the command of `slot`, which is none that is queued */
    bool halted;     /* after an error: until ST is cleared */
    bool srst;       /* a control FIS has set SRST */
    uint8_t slot;
    uint32_t header; /* first word of its command header */
    uint64_t table;
    uint32_t prd, prd_offset; /* the next byte of memory */
    uint32_t moved;
};

struct ahci_chip {
    struct ahci_port port[AHCI_PORTS];
    /* State. */
    uint32_t ghc, is;
};
extern const struct state_table ahci_chip_state;

void ahci_init(struct ahci_chip *c, const struct ata_identity id[AHCI_PORTS]);
void ahci_reset(struct ahci_chip *c);

/* Registers at offset < AHCI_SIZE, a multiple of 4. */
uint32_t ahci_read(const struct ahci_chip *c, uint32_t offset);
void ahci_write(struct ahci_chip *c, uint32_t offset, uint32_t value);

/* After anything that may have changed it: true if there is news to interrupt for. The level of the
 * interrupt is ahci_level. */
bool ahci_update(struct ahci_chip *c);
bool ahci_level(const struct ahci_chip *c);

#endif
