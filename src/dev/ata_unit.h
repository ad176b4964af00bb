/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A drive's way to its image: does on a loop what the register model asks for (ata_io), one piece
 * at a time, with the memory that the adapter names.
 *
 * The adapter's lock covers the drive. The unit works on the loop's thread and takes that lock
 * there; callbacks say whether it is held.
 */
#ifndef DOPPEL_DEV_ATA_UNIT_H
#define DOPPEL_DEV_ATA_UNIT_H

#include <pthread.h>

#include "base/lock.h"
#include "block/block.h"
#include "dev/chip/ata.h"
#include "mem/ram.h"

#define ATA_UNIT_SEGMENTS 320u
#define ATA_UNIT_PIECE (1u << 20) /* most bytes of memory in one request */

struct ata_memory {
    unsigned count;
    uint64_t bytes;
    struct iovec iov[ATA_UNIT_SEGMENTS];
    gpa_t gpa[ATA_UNIT_SEGMENTS];
};
/* Adds guest memory; false: not RAM, or no room. `write`: the guest's memory will be written. */
bool ata_memory_add(struct ata_memory *m, struct ram *ram, gpa_t gpa, uint32_t len, bool write);

void ata_memory_shorten(struct ata_memory *m, uint64_t bytes); /* leaves so many */

struct ata_unit;

enum ata_unit_next {
    ATA_UNIT_NONE,  /* nothing more to do now */
    ATA_UNIT_GIVEN, /* the drive has a command, or its packet */
    ATA_UNIT_TELL,  /* `changed` has something to tell */
};

struct ata_unit_ops {
    /* Lock held: the next memory of a transfer, up to `want` bytes. 0: the transfer goes on (when
     * the adapter calls ata_unit_kick). Less than 0: it cannot. */
    int (*memory)(void *opaque, struct ata_unit *u, uint64_t want, bool write,
                  struct ata_memory *m);
    /* Lock held: of that memory `bytes` were used; the rest comes again. Called before the next
     * `memory`. */
    void (*moved)(void *opaque, struct ata_unit *u, uint64_t bytes);
    /* Of adapters that fetch commands from memory, else NULL; lock held. The drive waits for
     * nothing that ata_io tells, or has a packet to get. */
    enum ata_unit_next (*next)(void *opaque, struct ata_unit *u);
    bool (*waiting)(void *opaque, struct ata_unit *u); /* is there something for `next`? */
    /* Of adapters that use the channel themselves, too, else NULL; lock held: are requests of
     * theirs under way? They call ata_unit_quiet at the end of each. */
    bool (*busy)(void *opaque, struct ata_unit *u);
    /* Lock not held: registers may have changed. */
    void (*changed)(void *opaque, struct ata_unit *u);
    /* Lock not held: the guest opened the tray. */
    void (*ejected)(void *opaque, struct ata_unit *u);
};

struct ata_unit_config {
    struct lock *lock;
    struct ata_drive *drive;
    unsigned place; /* at the adapter, for the serial number */
    bool ncq;       /* see struct ata_identity */
    struct loop *loop;
    struct ram *ram;
    const struct ata_unit_ops *ops;
    void *opaque;
};

/* All zero: no drive. Then pause, resume, kick and finish do nothing. */
struct ata_unit {
    struct ata_unit_config cfg;
    char serial[24];
    struct block_backend *backend; /* NULL: no medium */
    struct block_channel *channel; /* the loop's thread */
    pthread_cond_t quiet;
    /* Lock. */
    bool posted, busy, paused;
    struct ata_io io;
    struct block_req req;
    struct ata_memory memory;
};

/* `backend` outlives the unit; NULL is a CD-ROM drive without a medium. */
int ata_unit_init(struct ata_unit *u, const struct ata_unit_config *cfg, enum ata_kind kind,
                  struct block_backend *backend, struct err *e) MUST_CHECK;
void ata_unit_finish(struct ata_unit *u); /* paused; no loop runs */

/* Any thread, without the lock: the drive may want I/O. */
void ata_unit_kick(struct ata_unit *u);
/* Main thread, without the lock. After pause nothing is under way; false: it was paused before. */
bool ata_unit_pause(struct ata_unit *u);
void ata_unit_resume(struct ata_unit *u);
void ata_unit_quiet(struct ata_unit *u); /* lock held */

/* Lock held, paused, before the drive is reset: a disk gets the size that its image has now. */
void ata_unit_measure(struct ata_unit *u);

/* --- what a person does; main thread, without the lock --- */

/* Another image in a CD-ROM drive, or NULL for none; the old one is not used any more when it
 * returns. Waits for the loop if that runs. 0 or -errno, then the drive is empty. */
int ata_unit_change(struct ata_unit *u, struct block_backend *backend) MUST_CHECK;
bool ata_unit_locked(struct ata_unit *u); /* the tray, by the guest */
/* Tells the guest that the tray is wanted open. */
void ata_unit_request_eject(struct ata_unit *u);

#endif
