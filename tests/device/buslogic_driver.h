/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of a BusLogic adapter for tests: registers, mailboxes and CCBs of both formats. */
#ifndef DOPPEL_TESTS_DEVICE_BUSLOGIC_DRIVER_H
#define DOPPEL_TESTS_DEVICE_BUSLOGIC_DRIVER_H

#include "suite_env.h"

#define BLD_BOXES 0x10000u /* where the mailboxes are */
#define BLD_CCBS \
    0x12000u /* 256 bytes for each CCB, with its sense data at 64, its segments at 96 */
#define BLD_CCB_COUNT 16u

struct bld {
    struct bus *ports;
    uint8_t *mem;
    uint32_t io;
    bool wide; /* addresses of 32 bits */
    unsigned boxes, out, in, ccb;
};

struct bld_ccb {
    uint8_t opcode, target, lun, direction, cdb_len, sense_len;
    uint32_t data, len;
    uint8_t cdb[12];
    unsigned segments; /* made by bld_segment, instead of data and len */
    uint32_t segment[8][2];
};

struct bld_result {
    uint8_t code, adapter, status;
    uint32_t residual;
    uint8_t sense[18]; /* 0xee where nothing was written */
};

void bld_find(struct bld *d, struct suite_env *env, unsigned devfn); /* places BARs */
uint8_t bld_read(struct bld *d, unsigned reg);
void bld_write(struct bld *d, unsigned reg, uint8_t value);
/* A command and its parameters; the bytes of its reply. Takes the interrupt away. */
unsigned bld_command(struct bld *d, uint8_t command, const uint8_t *parameters, unsigned count,
                     uint8_t *reply, unsigned room);
void bld_start(struct bld *d, bool wide, unsigned boxes); /* makes mailboxes */
void bld_segment(struct bld *d, struct bld_ccb *c, uint32_t gpa, uint32_t len);
/* The CCB in the next mailbox with this action, and the command to look at it; or action 1. */
void bld_put(struct bld *d, const struct bld_ccb *c, uint8_t action);
void bld_submit(struct bld *d, const struct bld_ccb *c);
bool bld_take(struct bld *d, struct bld_result *r); /* false: the next mailbox is empty */

#endif
