/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Intel 82540EM Gigabit Ethernet controller: its registers, EEPROM, PHY, receive filter,
 * statistics, and what it does to frames. Sections are those of the "PCI/PCI-X Family of Gigabit
 * Ethernet Controllers Software Developer's Manual" (317453).
 *
 * Pure state: no lock, clock, memory or cable. The adapter (dev/e1000.c) moves descriptors and
 * frames and asks after each access what has changed.
 */
#ifndef DOPPEL_DEV_CHIP_E1000_CHIP_H
#define DOPPEL_DEV_CHIP_E1000_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/state.h"

#define E1000_EEPROM_WORDS 64u
#define E1000_PHY_REGS 32u
#define E1000_STATS 64u
#define E1000_TABLE 128u /* words of the multicast and of the VLAN table */
#define E1000_ADDRESSES 16u
#define E1000_FCS 4u
#define E1000_FRAME_MAX 16384u /* that it receives, with RCTL.LPE; table 13-67 */

/* Registers that hold what was written, in the order of their offsets; section 13.4. */
enum e1000_reg {
    E1000_CTRL,
    E1000_CTRL_EXT,
    E1000_MDIC,
    E1000_FCAL,
    E1000_FCAH,
    E1000_FCT,
    E1000_VET,
    E1000_ITR,
    E1000_RCTL,
    E1000_FCTTV,
    E1000_TXCW,
    E1000_TCTL,
    E1000_TIPG,
    E1000_AIT,
    E1000_LEDCTL,
    E1000_PBA,
    E1000_FCRTL,
    E1000_FCRTH,
    E1000_RDTR,
    E1000_RXDCTL,
    E1000_RADV,
    E1000_RSRPD,
    E1000_TXDMAC,
    E1000_TIDV,
    E1000_TXDCTL,
    E1000_TADV,
    E1000_TSPMT,
    E1000_RXCSUM,
    E1000_WUC,
    E1000_WUFC,
    E1000_WUS,
    E1000_MANC,
    E1000_IPAV,
    E1000_REGS
};

enum e1000_ctrl {
    E1000_CTRL_SLU = 1 << 6,
    E1000_CTRL_RST = 1 << 26,
    E1000_CTRL_VME = 1 << 30,
};

enum e1000_cause { /* ICR, 13.4.17 */
                   E1000_TXDW = 1 << 0,
                   E1000_TXQE = 1 << 1,
                   E1000_LSC = 1 << 2,
                   E1000_RXDMT0 = 1 << 4,
                   E1000_RXO = 1 << 6,
                   E1000_RXT0 = 1 << 7,
                   E1000_MDAC = 1 << 9,
                   E1000_TXD_LOW = 1 << 15,
                   E1000_CAUSES = 0x1ffff,
};

enum e1000_rctl { /* 13.4.22 */
                  E1000_RCTL_EN = 1 << 1,
                  E1000_RCTL_UPE = 1 << 3,
                  E1000_RCTL_MPE = 1 << 4,
                  E1000_RCTL_LPE = 1 << 5,
                  E1000_RCTL_LOOPBACK = 3 << 6,
                  E1000_RCTL_BAM = 1 << 15,
                  E1000_RCTL_VFE = 1 << 18,
                  E1000_RCTL_CFIEN = 1 << 19,
                  E1000_RCTL_CFI = 1 << 20,
                  E1000_RCTL_BSEX = 1 << 25,
                  E1000_RCTL_SECRC = 1 << 26,
};

enum { E1000_TCTL_EN = 1 << 1, E1000_TCTL_PSP = 1 << 3 };
#define E1000_RAH_AV 0x80000000u

enum e1000_stat { /* offsets from 0x4000, 13.7; of 64 bits: octets */
                  E1000_MPC = 0x10,
                  E1000_PRC64 = 0x5c,
                  E1000_GPRC = 0x74,
                  E1000_BPRC = 0x78,
                  E1000_MPRC = 0x7c,
                  E1000_GPTC = 0x80,
                  E1000_GORC = 0x88,
                  E1000_GOTC = 0x90,
                  E1000_TOR = 0xc0,
                  E1000_TOT = 0xc8,
                  E1000_TPR = 0xd0,
                  E1000_TPT = 0xd4,
                  E1000_PTC64 = 0xd8,
                  E1000_MPTC = 0xf0,
                  E1000_BPTC = 0xf4,
};

/* Descriptors: 16 bytes, sections 3.2.3 and 3.3. */
enum { E1000_RXD_DD = 1, E1000_RXD_EOP = 2, E1000_RXD_IXSM = 4, E1000_RXD_VP = 8 };
enum { E1000_RXD_TCPCS = 0x20, E1000_RXD_IPCS = 0x40, E1000_RXD_PIF = 0x80 };
enum { E1000_RXD_TCPE = 0x20, E1000_RXD_IPE = 0x40 };
enum {
    E1000_TXD_EOP = 1 << 0,
    E1000_TXD_IFCS = 1 << 1,
    E1000_TXD_IC = 1 << 2,  /* legacy */
    E1000_TXD_TSE = 1 << 2, /* context and data */
    E1000_TXD_RS = 1 << 3,
    E1000_TXD_DEXT = 1 << 5,
    E1000_TXD_VLE = 1 << 6,
    E1000_TXD_DD = 1,
    E1000_TXD_IXSM = 1,
    E1000_TXD_TXSM = 2,
    E1000_TXD_TCP = 1, /* TUCMD of a context */
    E1000_TXD_IP = 2,
};

struct e1000_ring {
    uint64_t base;       /* multiple of 16 */
    uint32_t len;        /* bytes, multiple of 128 */
    uint32_t head, tail; /* 16 bits; the driver may have put them outside of the ring */
};

/* What a context descriptor says: 3.3.6. */
struct e1000_context {
    uint8_t ipcss, ipcso, tucss, tucso, tucmd, hdrlen;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
};

struct e1000_eeprom {
    uint16_t word[E1000_EEPROM_WORDS];
    bool clock, select, granted; /* the pins, as EECD wrote them */
    bool out;                    /* the data output */
    bool writable;               /* after EWEN */
    uint8_t count;               /* bits since the start bit, which counts; 0: none yet */
    bool reading;                /* `shift` goes out */
    uint8_t out_bits;            /* left of it; at most 16 */
    uint32_t shift;              /* bits that came in, or the word that goes out */
    uint8_t address;
};

struct e1000_chip {
    struct e1000_eeprom eeprom;
    uint16_t phy[E1000_PHY_REGS];
    bool cable;   /* there is a link partner; not state */
    bool link_up; /* STATUS.LU */
    uint32_t reg[E1000_REGS];
    uint32_t icr, ims, eerd, ioaddr;
    struct e1000_ring rx, tx;
    uint32_t ra[2 * E1000_ADDRESSES], mta[E1000_TABLE], vfta[E1000_TABLE];
    uint32_t stats[E1000_STATS];
    struct e1000_context csum, tso; /* of data without and with TSE */
};
extern const struct state_table e1000_chip_state;

/* A card as it is sold, after power-on. */
void e1000_init(struct e1000_chip *c, const uint8_t mac[6]);
/* CTRL.RST or power-on; the EEPROM keeps what it has. The PHY is reset by power-on only. */
void e1000_reset(struct e1000_chip *c, bool power_on);
/* The cable was plugged in or out. */
void e1000_cable(struct e1000_chip *c, bool present);

/* What an access asks the adapter to do. */
enum {
    E1000_DID_TX = 1,    /* look at the transmit ring */
    E1000_DID_RX = 2,    /* there may be room in the receive ring */
    E1000_DID_RESET = 4, /* what was fetched is void */
};
/* 32-bit registers of BAR 0, `offset` a multiple of 4. */
uint32_t e1000_read(struct e1000_chip *c, uint32_t offset);
unsigned e1000_write(struct e1000_chip *c, uint32_t offset, uint32_t value);

void e1000_raise(struct e1000_chip *c, uint32_t causes);
static inline bool e1000_asserted(const struct e1000_chip *c)
{
    return (c->icr & c->ims) != 0;
}

static inline uint32_t e1000_count(const struct e1000_ring *r)
{
    return r->len / 16;
}

/* Where the i-th descriptor of a ring is, counted on beyond its end; the ring has some. */
static inline uint64_t e1000_desc_at(const struct e1000_ring *r, uint32_t i)
{
    return r->base + 16 * (uint64_t)(i % e1000_count(r));
}

/* How many descriptors belong to the card; 0 also where the indices make no sense. */
uint32_t e1000_available(const struct e1000_ring *r);
uint32_t e1000_buffer_size(const struct e1000_chip *c); /* of a receive descriptor */

/* Would the card take this frame (without FCS)? *status gets E1000_RXD_PIF if the address was only
 * found in the hash table. */
bool e1000_accepts(const struct e1000_chip *c, const uint8_t *frame, size_t len, uint8_t *status);
void e1000_count_rx(struct e1000_chip *c, const uint8_t *frame, size_t len);
void e1000_count_missed(struct e1000_chip *c); /* there was no room */
/* `n` frames like this one. */
void e1000_count_tx(struct e1000_chip *c, const uint8_t *frame, size_t len, uint32_t n);

/* A context descriptor, 16 bytes. */
void e1000_take_context(struct e1000_chip *c, const uint8_t desc[16]);
/* The sums that POPTS asks for, by a context, over a whole frame; places outside of the frame are
 * left alone. */
void e1000_sum(const struct e1000_context *ctx, uint8_t popts, uint8_t *frame, size_t len);
/* Adds up [start, end) of a frame into the 16 bits at `at`, as one of the two engines does. */
void e1000_sum_range(uint8_t *frame, size_t len, size_t start, size_t end, size_t at);

/* TCP segmentation, 3.5: cuts the frame into pieces of ctx->mss bytes behind ctx->hdrlen bytes of
 * headers, sums made as POPTS asks for. A piece is valid during the call, the frame is garbage
 * afterwards. Returns how many there were; 0: the context makes no sense. */
typedef void e1000_emit_fn(void *opaque, uint8_t *frame, size_t len);
unsigned e1000_segment(const struct e1000_context *ctx, uint8_t popts, uint8_t *frame, size_t len,
                       e1000_emit_fn *emit, void *opaque);

/* e1000_eeprom.c: EECD, and the serial management of the PHY. */
void e1000_eeprom_fill(struct e1000_eeprom *e, const uint8_t mac[6]);
void e1000_eeprom_idle(struct e1000_eeprom *e); /* power-on: nothing is under way */
uint32_t e1000_eecd_read(const struct e1000_eeprom *e);
void e1000_eecd_write(struct e1000_eeprom *e, uint32_t value);
void e1000_phy_reset(struct e1000_chip *c);
/* Carries out MDIC and returns it as it reads afterwards. */
uint32_t e1000_mdic(struct e1000_chip *c, uint32_t value);

#endif
