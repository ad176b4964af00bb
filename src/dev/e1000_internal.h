/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the 82540EM. */
#ifndef DOPPEL_DEV_E1000_INTERNAL_H
#define DOPPEL_DEV_E1000_INTERNAL_H

#include "dev/chip/e1000_chip.h"
#include "dev/e1000.h"

struct e1000 {
    struct nic nic; /* its lock is that of all below */
    struct timer *throttle;
    bool level;          /* the interrupt is asserted */
    uint64_t not_before; /* vclock: of the next interrupt, by ITR */
    uint8_t *strip;      /* NET_FRAME_MAX bytes: a frame without its tag */
    uint32_t epoch;      /* counts resets: what was fetched before is void */
    struct e1000_chip chip;
};

/* After anything that may change the interrupt, with the lock held; then it is dropped by the
 * latter, which tells the pin. */
void e1000_note(struct e1000 *e);
void e1000_unlock(struct e1000 *e);

void e1000_run_tx(struct e1000 *e); /* e1000_tx.c: on the loop, before e1000_note */

/* e1000_rx.c: on the loop; see struct nic_ops. */
bool e1000_fits(void *self, uint32_t frames);
void e1000_receive(void *self, const uint8_t *frame, size_t len, bool verified);
void e1000_receive_end(void *self);

#endif
