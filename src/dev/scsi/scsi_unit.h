/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A logical unit (dev/chip/scsi.h) and its image: does what commands ask for. Host adapters submit
 * requests with the guest's memory and hear of each when it is done.
 *
 * Requests are submitted and done on the loop's thread, with no lock held; done may come before
 * scsi_submit returns. The rest is the main thread's.
 */
#ifndef DOPPEL_DEV_SCSI_SCSI_UNIT_H
#define DOPPEL_DEV_SCSI_SCSI_UNIT_H

#include <sys/uio.h>

#include "base/lock.h"
#include "block/block.h"
#include "dev/chip/scsi.h"
#include "mem/ram.h"

struct scsi_unit;

/* Guest memory. The arrays are the adapter's; the unit may shorten them. */
struct scsi_buffer {
    struct iovec *iov;
    gpa_t *gpa;
    unsigned count;
    uint64_t bytes;
};

#define SCSI_FILL_SEGMENTS 64u

struct scsi_request {
    /* The adapter's, before it submits. */
    uint8_t cdb[SCSI_CDB];
    struct scsi_buffer in, out; /* in: for what the unit gives */
    void (*done)(struct scsi_request *r);
    void *opaque;
    /* How it ended. */
    uint8_t status;    /* enum scsi_status */
    uint8_t sense_len; /* 0 or SCSI_SENSE */
    uint8_t sense[SCSI_SENSE];
    uint64_t moved;  /* bytes in the buffer `in` or out of `out` */
    uint64_t wanted; /* bytes that the command would move if there were room */
    /* The unit's. */
    struct scsi_unit *unit;
    struct scsi_step step;
    unsigned range, generation;
    struct block_req io;
    struct iovec fill[SCSI_FILL_SEGMENTS];
    uint8_t data[SCSI_DATA];
};

/* Somebody who waits for requests to end; in the adapter's memory. */
struct scsi_wait {
    void (*ended)(struct scsi_wait *w); /* `w` is the adapter's again */
    void *opaque;
    struct scsi_wait *next; /* the unit's */
};

struct scsi_unit_config {
    struct scsi_lun *lun; /* state; outlives the unit */
    struct loop *loop;
    struct ram *ram;
    unsigned place; /* at the adapter, for the serial number */
    /* On the loop's thread, after the last `done` of a group that did not come from scsi_submit. */
    block_batch_fn *batch_end;
    /* The guest opened the tray; any thread, without a lock. May be NULL. */
    void (*ejected)(void *opaque, struct scsi_unit *u);
    void *opaque;
};

/* All zero: there is no unit. */
struct scsi_unit {
    struct scsi_unit_config cfg;
    struct block_backend *backend; /* NULL: no medium */
    struct block_channel *channel; /* the loop's thread */
    /* The loop's thread: requests under way, of two generations (which is the newer one: 0 or 1),
     * who waits for the older one, and who came late and waits for both. */
    unsigned generation, busy[2];
    struct scsi_wait *waits, *late;
    struct lock lock; /* the lun */
};

/* `backend` outlives the unit; NULL is a CD-ROM drive without a medium. */
int scsi_unit_init(struct scsi_unit *u, const struct scsi_unit_config *cfg, enum scsi_kind kind,
                   struct block_backend *backend, struct err *e) MUST_CHECK;
void scsi_unit_finish(struct scsi_unit *u); /* nothing is under way */

static inline bool scsi_unit_present(const struct scsi_unit *u)
{
    return u->cfg.lun != NULL;
}

/* --- the loop's thread --- */

void scsi_submit(struct scsi_unit *u, struct scsi_request *r);
/* For a unit that is not there, of a target that is. */
void scsi_submit_no_lun(struct scsi_request *r, struct ram *ram);
void scsi_kick(struct scsi_unit *u); /* starts what was submitted */
/* Calls w->ended when all that is under way now has ended, whatever is submitted meanwhile: at
 * once, or after the last `done` and before the end of its batch. */
void scsi_unit_when_ended(struct scsi_unit *u, struct scsi_wait *w);
/* Waits until nothing is under way; on another thread only if the loop does not run. */
void scsi_unit_drain(struct scsi_unit *u);
/* The same, if the caller's thread may. */
void scsi_unit_try_drain(struct scsi_unit *u);

/* --- any thread --- */

/* A reset of the unit or its bus. A disk has the size that its image has now. */
void scsi_unit_reset(struct scsi_unit *u);
/* The image has grown: the guest hears of it with its next command. */
void scsi_unit_resized(struct scsi_unit *u);
/* Another image in a CD-ROM drive, or NULL for none; the old one is not used any more when it
 * returns. Waits for the loop if that runs. 0 or -errno, then the drive is empty. */
int scsi_unit_change(struct scsi_unit *u, struct block_backend *backend) MUST_CHECK;
bool scsi_unit_locked(struct scsi_unit *u);        /* the tray, by the guest */
void scsi_unit_request_eject(struct scsi_unit *u); /* tells the guest */

/* Adds guest memory to a buffer whose arrays hold `max` entries; false: not RAM, or no room. */
bool scsi_buffer_add(struct scsi_buffer *b, unsigned max, struct ram *ram, gpa_t gpa, uint32_t len,
                     bool write);

#endif
