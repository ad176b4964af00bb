/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slot of a PCI Express port: its registers in the port's capability, and what happens to a
 * card in it. PCI Express Base 3.0, 6.7 (hot plug) and 7.8.9 - 7.8.11 (registers).
 *
 *   a card is put in        presence changes, and the button is pressed for older drivers; the
 *                           driver turns the power on: the link comes up, the card answers
 *   somebody wants it out   the button is pressed; the driver lets go of the card, turns the power
 *                           off: the link goes down, and the card is to be reset or taken out
 *
 * A card whose power went off has no link again before the board has said that it is reset: what
 * it was doing must have ended. There are no mechanical parts, and no command takes time.
 */
#ifndef DOPPEL_DEV_CHIP_PCIE_SLOT_H
#define DOPPEL_DEV_CHIP_PCIE_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

enum pcie_slot_capability {
    PCIE_SLOT_CAP_BUTTON = 1 << 0,
    PCIE_SLOT_CAP_POWER = 1 << 1, /* it can be turned off */
    PCIE_SLOT_CAP_ATTENTION_LED = 1 << 3,
    PCIE_SLOT_CAP_POWER_LED = 1 << 4,
    PCIE_SLOT_CAP_HOT_PLUG = 1 << 6,
    PCIE_SLOT_CAP_INSTANT = 1 << 18, /* no notice of commands that are done */
};
#define PCIE_SLOT_CAPS                                                          \
    (PCIE_SLOT_CAP_BUTTON | PCIE_SLOT_CAP_POWER | PCIE_SLOT_CAP_ATTENTION_LED | \
     PCIE_SLOT_CAP_POWER_LED | PCIE_SLOT_CAP_HOT_PLUG | PCIE_SLOT_CAP_INSTANT)

enum pcie_slot_control {
    PCIE_SLOT_ENABLE_BUTTON = 1 << 0,
    PCIE_SLOT_ENABLE_PRESENCE = 1 << 3,
    PCIE_SLOT_ENABLE_INTERRUPT = 1 << 5,
    PCIE_SLOT_ATTENTION_LED = 3 << 6,
    PCIE_SLOT_POWER_LED = 3 << 8, /* 1 on, 2 blinks, 3 off */
    PCIE_SLOT_POWER_OFF = 1 << 10,
    PCIE_SLOT_ENABLE_LINK = 1 << 12,
};

enum pcie_slot_status {
    PCIE_SLOT_BUTTON = 1 << 0,
    PCIE_SLOT_PRESENCE_CHANGED = 1 << 3,
    PCIE_SLOT_PRESENT = 1 << 6,
    PCIE_SLOT_LINK_CHANGED = 1 << 8,
};

struct pcie_slot {
    bool present; /* there is a card: the machine's, not the state's */
    /* State. */
    uint16_t control;
    uint16_t events; /* PCIE_SLOT_*CHANGED, PCIE_SLOT_BUTTON */
    bool link;       /* the card answers */
    bool spent;      /* its power went off: the board has to reset it or take it out */
};
extern const struct state_table pcie_slot_state;

void pcie_slot_reset(struct pcie_slot *s); /* the card is, too */
void pcie_slot_restore(struct pcie_slot *s);

uint16_t pcie_slot_status(const struct pcie_slot *s);
/* `mask`: the bits that are written. */
void pcie_slot_write_control(struct pcie_slot *s, uint16_t value, uint16_t mask);
void pcie_slot_write_status(struct pcie_slot *s, uint16_t ones);
void pcie_slot_bus_reset(struct pcie_slot *s); /* the guest resets what is behind the port */

/* People's doings. */
void pcie_slot_insert(struct pcie_slot *s);
void pcie_slot_take(struct pcie_slot *s);
void pcie_slot_press(struct pcie_slot *s);
void pcie_slot_renewed(struct pcie_slot *s);    /* the spent card has been reset */
bool pcie_slot_busy(const struct pcie_slot *s); /* the driver is about to turn power on or off */

bool pcie_slot_level(const struct pcie_slot *s); /* of its interrupt */

#endif
