/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog timer of the Intel 6300ESB (data sheet 300641, chapter 16): two stages of 20 bits,
 * counted in 2^15 or 2^5 PCI clocks; the first one interrupts, the second one pulls the reset.
 *
 * Pure: whoever keeps the time asks for a stage's length and says when it is over.
 */
#ifndef DOPPEL_DEV_CHIP_I6300ESB_CHIP_H
#define DOPPEL_DEV_CHIP_I6300ESB_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

/* Registers in configuration space. */
enum { I6300ESB_CONFIG = 0x60, I6300ESB_LOCK = 0x68 };
#define I6300ESB_SIZE 16u /* of the memory BAR */

struct i6300esb_chip {
    uint32_t preload[2];
    uint16_t config;
    uint8_t lock;   /* bit 0 locked until the next reset, 1 enabled, 2 free running */
    uint8_t unlock; /* steps of the sequence before a write that were made */
    uint8_t stage;  /* 0 or 1 */
    bool interrupt; /* of the first stage, not acknowledged */
    bool timeout;   /* the machine was reset by it; stays over a reset */
};
extern const struct state_table i6300esb_chip_state;

/* What an access or the end of a stage leads to. */
enum i6300esb_effect {
    I6300ESB_NOTHING,
    I6300ESB_RESTART, /* the time of the present stage begins now, or no time runs any more */
    I6300ESB_EXPIRED, /* the same, and the second stage has ended with its output enabled */
};

void i6300esb_reset(struct i6300esb_chip *c); /* keeps `timeout` */

/* Configuration space. */
enum i6300esb_effect i6300esb_write_config(struct i6300esb_chip *c, uint16_t value);
enum i6300esb_effect i6300esb_write_lock(struct i6300esb_chip *c, uint8_t value);

/* The BAR: aligned accesses of up to four bytes. */
uint32_t i6300esb_read(const struct i6300esb_chip *c, uint32_t offset);
enum i6300esb_effect i6300esb_write(struct i6300esb_chip *c, uint32_t offset, uint32_t value);

uint64_t i6300esb_stage_ns(const struct i6300esb_chip *c); /* UINT64_MAX: no time runs */
enum i6300esb_effect i6300esb_stage_over(struct i6300esb_chip *c);
bool i6300esb_level(const struct i6300esb_chip *c); /* of the interrupt */

#endif
