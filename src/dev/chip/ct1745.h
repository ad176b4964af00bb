/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mixer of a Sound Blaster 16 (CT1745), where its interrupt and DMA channels are chosen, too:
 * Creative's Sound Blaster Series Hardware Programming Guide, chapter 4.
 */
#ifndef DOPPEL_DEV_CHIP_CT1745_H
#define DOPPEL_DEV_CHIP_CT1745_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

struct ct1745 {
    uint8_t index;
    uint8_t reg[256];
};
extern const struct state_table ct1745_state;

/* What jumpers and configuration software leave: interrupt 5, channels 1 and 5. */
void ct1745_init(struct ct1745 *m);
/* interrupts: as register 0x82 shows them. */
uint8_t ct1745_read(const struct ct1745 *m, uint8_t interrupts);
void ct1745_write(struct ct1745 *m, uint8_t value);

/* The interrupts that it can have, by bits of its register; 9: where a PC has the bus's line 2. */
#define CT1745_IRQS 4
extern const uint8_t ct1745_irqs[CT1745_IRQS];
/* One of them; 0: none. */
unsigned ct1745_irq(const struct ct1745 *m);
/* For transfers of 8 or of 16 bits: those go by a byte channel where no other is chosen. -1: none
 * at all. */
int ct1745_dma(const struct ct1745 *m, bool wide);

/* Factors for what is played and for FM, left and right, of 65536; up to eight times as much. */
void ct1745_gain(const struct ct1745 *m, bool fm, uint32_t gain[2]);

#endif
