/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AMD PCnet-PCI II (Am79C970A): registers, initialization block, descriptors, address filter.
 * Names and numbers are the data sheet's (19436).
 *
 * Pure state: no lock, memory or cable. The adapter (dev/pcnet.c) moves descriptors and frames.
 */
#ifndef DOPPEL_DEV_CHIP_PCNET_CHIP_H
#define DOPPEL_DEV_CHIP_PCNET_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/state.h"

#define PCNET_IO_SIZE 32u
#define PCNET_CSRS 128u
#define PCNET_BCRS 32u
#define PCNET_FCS 4u
#define PCNET_RING_MAX 512u
#define PCNET_INIT_MAX 28u /* bytes of an initialization block */

enum pcnet_csr0 {
    PCNET_INIT = 1 << 0,
    PCNET_STRT = 1 << 1,
    PCNET_STOP = 1 << 2,
    PCNET_TDMD = 1 << 3,
    PCNET_TXON = 1 << 4,
    PCNET_RXON = 1 << 5,
    PCNET_IENA = 1 << 6,
    PCNET_INTR = 1 << 7,
    PCNET_IDON = 1 << 8,
    PCNET_TINT = 1 << 9,
    PCNET_RINT = 1 << 10,
    PCNET_MERR = 1 << 11,
    PCNET_MISS = 1 << 12,
    PCNET_CERR = 1 << 13,
    PCNET_BABL = 1 << 14,
    PCNET_ERR = 1 << 15,
};

enum pcnet_mode { /* CSR15 */
                  PCNET_DRX = 1 << 0,
                  PCNET_DTX = 1 << 1,
                  PCNET_LOOP = 1 << 2,
                  PCNET_DXMTFCS = 1 << 3,
                  PCNET_DRCVPA = 1 << 13,
                  PCNET_DRCVBC = 1 << 14,
                  PCNET_PROM = 1 << 15,
};

enum pcnet_status { /* upper half of TMD1 and RMD1 */
                    PCNET_OWN = 1 << 15,
                    PCNET_ADD_FCS = 1 << 13, /* transmit */
                    PCNET_STP = 1 << 9,
                    PCNET_ENP = 1 << 8,
                    PCNET_PAM = 1 << 6, /* receive: by its own address, by the hash, a broadcast */
                    PCNET_LAFM = 1 << 5,
                    PCNET_BAM = 1 << 4,
};

struct pcnet_ring {
    uint32_t base;
    uint16_t count; /* 1 to PCNET_RING_MAX; 0: none */
    uint16_t at;    /* the next descriptor to look at */
};

struct pcnet_chip {
    uint8_t aprom[16];
    bool cable; /* there is a link; not state */
    uint16_t csr[PCNET_CSRS], bcr[PCNET_BCRS];
    uint16_t rap;
    bool dwio; /* registers are 32 bits wide */
    struct pcnet_ring rx, tx;
};
extern const struct state_table pcnet_chip_state;

void pcnet_init(struct pcnet_chip *c, const uint8_t mac[6]);
void pcnet_reset(struct pcnet_chip *c); /* H_RESET, by power-on */

/* What an access asks the adapter to do. */
enum {
    PCNET_DID_INIT = 1,  /* fetch the initialization block */
    PCNET_DID_TX = 2,    /* look at the transmit ring */
    PCNET_DID_RESET = 4, /* what was fetched is void */
};
/* Accesses of 1, 2 or 4 bytes below PCNET_IO_SIZE. */
uint32_t pcnet_io_read(struct pcnet_chip *c, unsigned offset, unsigned size, unsigned *did);
unsigned pcnet_io_write(struct pcnet_chip *c, unsigned offset, unsigned size, uint32_t value);

/* Where the block is and how long; and what it says. `good` false: it is not in memory. */
uint32_t pcnet_init_address(const struct pcnet_chip *c);
unsigned pcnet_init_length(const struct pcnet_chip *c);
void pcnet_take_init(struct pcnet_chip *c, const uint8_t *block, bool good);

void pcnet_raise(struct pcnet_chip *c, uint16_t bits); /* of CSR0 */
bool pcnet_asserted(const struct pcnet_chip *c);       /* the interrupt line */
bool pcnet_sends(const struct pcnet_chip *c);
bool pcnet_receives(const struct pcnet_chip *c);

/* Status bits for a frame that it takes; 0: it does not. */
bool pcnet_accepts(const struct pcnet_chip *c, const uint8_t *frame, size_t len, uint16_t *status);

/* A descriptor in the style that BCR20 chooses. */
struct pcnet_desc {
    uint32_t buffer;
    uint32_t size;   /* bytes of the buffer, 1 to 4096 */
    uint16_t status; /* PCNET_* */
};
unsigned pcnet_desc_size(const struct pcnet_chip *c);
uint32_t pcnet_desc_at(const struct pcnet_chip *c, const struct pcnet_ring *r, unsigned i);
struct pcnet_desc pcnet_desc_load(const struct pcnet_chip *c, const uint8_t *d);
/* Gives it back: the length of a frame (or no errors), then the status, which the driver polls. */
void pcnet_desc_done(const struct pcnet_chip *c, uint8_t *d, uint16_t status, uint16_t length);

#endif
