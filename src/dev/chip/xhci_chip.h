/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of an xHCI host controller: eXtensible Host Controller Interface specification 1.1,
 * chapter 5. Four USB 2 ports and four USB 3 ports (of which nothing ever comes), one interrupter,
 * no streams, no scratchpads, 64-bit addresses, contexts of 32 bytes.
 *
 * Pure: what needs guest memory (rings, contexts) is asked for by flags that the device looks at
 * after every write.
 */
#ifndef DOPPEL_DEV_CHIP_XHCI_CHIP_H
#define DOPPEL_DEV_CHIP_XHCI_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define XHCI_PORTS_USB2 4u
#define XHCI_PORTS 8u
#define XHCI_SLOTS 8u
#define XHCI_SIZE 0x4000u /* of the registers */

enum xhci_speed { XHCI_NO_DEVICE, XHCI_FULL_SPEED, XHCI_LOW_SPEED, XHCI_HIGH_SPEED };

struct xhci_port {
    uint8_t speed; /* fixed: of what is attached */
    uint32_t sc, pmsc;
    bool told;  /* an event has told of the changes that are set */
    bool reset; /* the device has to be reset */
};

struct xhci_chip {
    struct xhci_port port[XHCI_PORTS];
    uint32_t cmd, sts, dnctrl, config;
    uint64_t crcr, dcbaap; /* crcr: the ring's pointer and its consumer cycle state */
    bool crr;              /* the command ring runs */
    uint32_t iman, imod, erstsz;
    uint64_t erstba, erdp;
    bool ipe; /* events wait that no interrupt has told */

    /* For the device. */
    bool resetting;    /* HCRST */
    bool erst_changed; /* the event ring is new */
    bool crcr_changed;
    bool stop_command;                 /* the command ring is to stop */
    uint32_t doorbell[XHCI_SLOTS + 1]; /* bit n: target n was rung; 0: the command ring's */
};
extern const struct state_table xhci_chip_state;

void xhci_chip_init(struct xhci_chip *c, const uint8_t speed[XHCI_PORTS]);
void xhci_chip_reset(struct xhci_chip *c); /* power-on, and HCRST */

/* Aligned 32-bit accesses; `frames`: microframes since power-on. */
uint32_t xhci_chip_read(const struct xhci_chip *c, uint32_t offset, uint64_t frames);
void xhci_chip_write(struct xhci_chip *c, uint32_t offset, uint32_t value);

bool xhci_chip_running(const struct xhci_chip *c);
bool xhci_chip_enabled(const struct xhci_chip *c, unsigned port); /* from 0; traffic passes */
/* A device wants the host's attention (remote wake-up): a suspended port resumes. */
void xhci_chip_wake(struct xhci_chip *c, unsigned port);
/* A port with changes that no event has told yet, or -1; the caller tells it. */
int xhci_chip_port_event(struct xhci_chip *c);
/* An event is in the ring. */
void xhci_chip_event(struct xhci_chip *c);
/* After everything: does an interrupt begin? */
bool xhci_chip_update(struct xhci_chip *c);
bool xhci_chip_level(const struct xhci_chip *c);  /* of the interrupt line */
void xhci_chip_message_sent(struct xhci_chip *c); /* the interrupt was a message: 4.17.5 */

#endif
