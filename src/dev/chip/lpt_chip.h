/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PC's parallel port: data, status and control (IBM PS/2 Technical Reference, "Parallel Port
 * Controller"), with a data register that can be turned around, and a printer at its other end that
 * is on line and takes every byte at once. No EPP, no ECP.
 */
#ifndef DOPPEL_DEV_CHIP_LPT_CHIP_H
#define DOPPEL_DEV_CHIP_LPT_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define LPT_REGS 3u

enum { LPT_DATA, LPT_STATUS, LPT_CONTROL };
/* Status, as read: nBusy, nAck and nError are low-active. */
enum {
    LPT_STATUS_IRQ = 1 << 2, /* 0: nAck has made an interrupt since the last read */
    LPT_STATUS_NERROR = 1 << 3,
    LPT_STATUS_SELECT = 1 << 4,
    LPT_STATUS_PAPER_OUT = 1 << 5,
    LPT_STATUS_NACK = 1 << 6,
    LPT_STATUS_NBUSY = 1 << 7,
};
enum {
    LPT_CONTROL_STROBE = 1 << 0,
    LPT_CONTROL_AUTOFEED = 1 << 1,
    LPT_CONTROL_NINIT = 1 << 2,
    LPT_CONTROL_SELECT = 1 << 3,
    LPT_CONTROL_IRQ = 1 << 4,   /* at the end of nAck */
    LPT_CONTROL_INPUT = 1 << 5, /* the data lines are not driven */
};

struct lpt_chip {
    uint8_t data, control;
    bool busy;        /* the printer has a byte whose strobe has not ended */
    uint8_t byte;     /* that one */
    bool interrupted; /* for LPT_STATUS_IRQ */
};
extern const struct state_table lpt_chip_state;

void lpt_reset(struct lpt_chip *c);
uint8_t lpt_read(struct lpt_chip *c, unsigned reg);

/* What a write makes: the printer has taken *byte; the interrupt's edge. */
enum { LPT_PRINTED = 1, LPT_EDGE = 2 };
unsigned lpt_write(struct lpt_chip *c, unsigned reg, uint8_t value, uint8_t *byte);

#endif
