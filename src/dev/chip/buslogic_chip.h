/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BusLogic BT-958 (MultiMaster): registers, commands, mailboxes and CCBs as bytes, after the
 * BusLogic MultiMaster technical reference and what Linux' BusLogic driver says of it.
 *
 * Pure state: no lock, memory or SCSI bus. The adapter (dev/scsi/buslogic.c) moves mailboxes and
 * does what CCBs ask for. Mailboxes and CCBs come in two formats: with addresses of 32 bits and, as
 * the AHA-1540 had them, of 24.
 */
#ifndef DOPPEL_DEV_CHIP_BUSLOGIC_CHIP_H
#define DOPPEL_DEV_CHIP_BUSLOGIC_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define BUSLOGIC_IO_SIZE 4u
#define BUSLOGIC_TARGETS 16u
#define BUSLOGIC_ID 7u          /* the adapter's own on the bus */
#define BUSLOGIC_QUEUE 192u     /* CCBs under way */
#define BUSLOGIC_SEGMENTS 1024u /* of one CCB */
#define BUSLOGIC_CCB 40u        /* bytes of a CCB that are looked at */
#define BUSLOGIC_CDB 12u
#define BUSLOGIC_BOX_MAX 8u
#define BUSLOGIC_SEGMENT_MAX 8u

enum buslogic_outgoing { BUSLOGIC_FREE = 0, BUSLOGIC_START = 1, BUSLOGIC_ABORT = 2 };
enum buslogic_incoming {
    BUSLOGIC_GOOD = 1,
    BUSLOGIC_NOT_FOUND = 3,
    BUSLOGIC_ERROR = 4,
};
enum buslogic_status { /* of the adapter, in a CCB */
                       BUSLOGIC_NORMAL = 0x00,
                       BUSLOGIC_NO_TARGET = 0x11,
                       BUSLOGIC_MISFIT = 0x12, /* more or fewer data than there was memory for */
                       BUSLOGIC_BAD_BOX = 0x15,
                       BUSLOGIC_BAD_OPCODE = 0x16,
                       BUSLOGIC_BAD_PARAMETER = 0x1a,
};

/* A CCB that is done and waits for a free incoming mailbox. */
struct buslogic_result {
    uint32_t ccb;
    uint8_t adapter, target; /* status */
    uint8_t code;            /* enum buslogic_incoming */
};

struct buslogic_chip {
    /* The adapter's: what is on the bus, and the interrupt that firmware gave the card. */
    uint16_t targets; /* bits */
    uint8_t irq;
    uint64_t drive_blocks[2]; /* of disks 0 and 1; 0: none */
    uint32_t epoch;           /* counts resets and new mailboxes: what was under way is void then */

    /* State. */
    uint8_t status, interrupt;
    bool resetting; /* the next look at the status shows that diagnostics are active */
    bool interrupts, tell_outgoing; /* are wanted */
    uint8_t command;                /* that gets its parameters or gives its reply */
    bool busy;                      /* there is one */
    uint16_t parameters, taken;     /* bytes that it wants, and has */
    uint8_t parameter[8];
    uint16_t reply_len, reply_at;
    uint8_t reply[256];
    bool wide_boxes; /* addresses of 32 bits */
    uint8_t boxes;   /* of each direction; 0: there are none */
    uint32_t base;
    uint8_t outgoing, incoming; /* the next ones */
    bool strict;                /* outgoing boxes are filled one after the other */
    bool wide_luns;             /* CCBs with units of 6 bits */
    bool start;                 /* the host wants outgoing boxes to be looked at */
    bool bus_reset;             /* the bus is to be reset */
    uint8_t ram[256];
    uint32_t results; /* that wait */
    struct buslogic_result result[BUSLOGIC_QUEUE];
};
extern const struct state_table buslogic_chip_state;

void buslogic_init(struct buslogic_chip *c);
void buslogic_reset(struct buslogic_chip *c); /* power-on */

/* Registers, offset below BUSLOGIC_IO_SIZE. `idle`: no CCB is under way on the bus. */
uint8_t buslogic_read(struct buslogic_chip *c, unsigned offset, bool idle);
/* true: the adapter has to look at mailboxes and bus_reset. */
bool buslogic_write(struct buslogic_chip *c, unsigned offset, uint8_t value);

void buslogic_raise_outgoing(struct buslogic_chip *c); /* an outgoing box is free again */
void buslogic_raise_incoming(struct buslogic_chip *c); /* an incoming box is filled */
bool buslogic_asserted(const struct buslogic_chip *c); /* the interrupt line */

/* Mailboxes of one direction at one moment, and how what they name is to be read. */
struct buslogic_mail {
    uint32_t epoch;
    uint32_t at;   /* of the first box */
    uint8_t boxes; /* 0: there are none */
    uint8_t next;
    bool wide, wide_luns, strict;
};
struct buslogic_mail buslogic_mail(const struct buslogic_chip *c, bool incoming);

/* Mailboxes: where the next one is, how large they are, what they say. */
unsigned buslogic_box_size(const struct buslogic_mail *m);
uint32_t buslogic_box_at(const struct buslogic_mail *m);
void buslogic_box_pass(struct buslogic_mail *m); /* the one behind it is the next */
struct buslogic_box {
    uint32_t ccb;
    uint8_t action;       /* enum buslogic_outgoing, or of an incoming box its code */
    unsigned action_byte; /* where in the box */
};
struct buslogic_box buslogic_box(const struct buslogic_mail *m, const uint8_t *p);
void buslogic_box_fill(const struct buslogic_mail *m, uint8_t *p, const struct buslogic_result *r);

enum buslogic_direction { BUSLOGIC_BY_COMMAND, BUSLOGIC_IN, BUSLOGIC_OUT, BUSLOGIC_NO_DATA };

struct buslogic_ccb {
    uint8_t opcode; /* as it is */
    bool reset;     /* a target's, no command */
    bool scattered; /* `data` and `len` are about a list of segments */
    bool residual;  /* what was not moved is told, and no error */
    uint8_t target, lun;
    enum buslogic_direction direction;
    uint8_t cdb_len, sense_len; /* sense_len: what is wanted of them */
    uint32_t data, len, sense;
    uint8_t cdb[BUSLOGIC_CDB];
};
/* A CCB of BUSLOGIC_CCB bytes, which lies at `at`. An opcode that is none: neither reset nor a
 * command, buslogic_is_valid says so. */
struct buslogic_ccb buslogic_ccb(const struct buslogic_mail *m, const uint8_t *p, uint32_t at);
bool buslogic_is_valid(const struct buslogic_ccb *b);
/* Where in a CCB both bytes of status are, and how its data length (which becomes the residual) is
 * written: `bytes` of them at offset 4. */
#define BUSLOGIC_CCB_STATUS 14u
#define BUSLOGIC_CCB_LENGTH 4u
unsigned buslogic_put_length(const struct buslogic_mail *m, uint8_t p[4], uint32_t len);
/* An entry of a list of segments. */
unsigned buslogic_segment_size(const struct buslogic_mail *m);
void buslogic_segment(const struct buslogic_mail *m, const uint8_t *p, uint32_t *at, uint32_t *len);

#endif
