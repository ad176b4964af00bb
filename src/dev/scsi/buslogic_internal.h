/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BusLogic adapter as its own files see it.
 *
 *   buslogic.c       registers, PCI, targets, life
 *   buslogic_mail.c  mailboxes, CCBs, results: the loop's thread
 *
 *   vCPU: CMD_START -> post            loop: outgoing boxes -> CCBs -> scsi_submit, scsi_kick
 *                                            on_done: status to the CCB, a result
 *                                            the end of a batch: results to incoming boxes, IRQ
 *
 * The lock covers the chip. Mailboxes and CCBs are moved by the loop's thread without it; where the
 * host resets the card meanwhile (epoch), what was under way does not count any more.
 */
#ifndef DOPPEL_DEV_SCSI_BUSLOGIC_INTERNAL_H
#define DOPPEL_DEV_SCSI_BUSLOGIC_INTERNAL_H

#include "base/freelist.h"
#include "dev/chip/buslogic_chip.h"
#include "dev/scsi/buslogic.h"

struct buslogic;

struct buslogic_request {
    void *next_free;
    struct buslogic *b;
    bool active;
    struct buslogic_mail mail; /* what the CCB came by */
    uint32_t at;               /* where it is */
    uint32_t len;              /* bytes of data that there is memory for */
    struct buslogic_ccb ccb;
    struct scsi_request scsi;
    struct scsi_wait wait; /* of a reset or an abort */
    struct iovec iov[BUSLOGIC_SEGMENTS];
    gpa_t gpa[BUSLOGIC_SEGMENTS];
};

struct buslogic {
    struct buslogic_config cfg;
    struct scsi_unit units[BUSLOGIC_TARGETS];
    struct freelist requests; /* the loop's thread; BUSLOGIC_QUEUE of them */
    unsigned finished;        /* likewise: of those in flight */
    uint32_t touched;         /* likewise: units with something to kick */
    bool serving;             /* likewise: who serves settles what ends meanwhile */
    pthread_cond_t idle;
    struct lock lock;
    unsigned inflight;    /* lock: CCBs whose result has not been delivered or queued */
    bool posted, running; /* lock */
    bool paused;          /* lock */
    /* State. */
    struct pci_func func;
    struct scsi_lun luns[BUSLOGIC_TARGETS];
    struct buslogic_chip chip; /* lock */
};

/* --- buslogic.c --- */
void buslogic_note_and_unlock(
    struct buslogic *b); /* lock held: drops it, tells the interrupt line */

/* --- buslogic_mail.c --- */
void buslogic_post(struct buslogic *b); /* lock held: mailboxes and results are to be looked at */
void buslogic_batch_end(void *opaque);  /* of a unit; the loop's thread */

#endif
