/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the NVMe controller share. Section numbers are those of NVM Express 1.4.
 *
 *   nvme.c        registers, doorbells, PCI, life
 *   nvme_queue.c  queues, PRP lists
 *   nvme_admin.c  administration commands
 *   nvme_io.c     reads, writes, zeros
 *
 * A vCPU's thread only stores registers and doorbells and posts `run` to the loop; all else happens
 * on the loop's thread, which pause waits for.
 */
#ifndef DOPPEL_DEV_NVME_NVME_INTERNAL_H
#define DOPPEL_DEV_NVME_NVME_INTERNAL_H

#include <stdatomic.h>

#include "base/bits.h"
#include "base/freelist.h"
#include "base/lock.h"
#include "dev/nvme/nvme.h"

#define NVME_PAGE 4096u
#define NVME_ENTRIES 1024u /* of a queue, at most */
#define NVME_MDTS 7u       /* transfers of up to 2^7 pages */
#define NVME_SEGMENTS ((1u << NVME_MDTS) + 1)
#define NVME_EVENTS 4u   /* asynchronous event requests that may wait */
#define NVME_RANGES 256u /* of one dataset management command */
#define NVME_FEATURES 12u

enum nvme_feature { /* 5.21.1; those that mean something here */
                    NVME_FEATURE_ARBITRATION = 1,
                    NVME_FEATURE_CACHE = 6,
                    NVME_FEATURE_QUEUES = 7,
                    NVME_FEATURE_EVENTS = 11,
};

/* 4.6.1: status code | type << 8. */
enum nvme_status {
    NVME_OK = 0x000,
    NVME_BAD_OPCODE = 0x001,
    NVME_BAD_FIELD = 0x002,
    NVME_DATA_ERROR = 0x004,
    NVME_INTERNAL = 0x006,
    NVME_BAD_NAMESPACE = 0x00b,
    NVME_BAD_PRP = 0x013,
    NVME_BAD_RANGE = 0x080,
    NVME_BAD_CQ = 0x100,
    NVME_BAD_QID = 0x101,
    NVME_BAD_SIZE = 0x102,
    NVME_EVENT_LIMIT = 0x105,
    NVME_BAD_VECTOR = 0x108,
    NVME_BAD_DELETION = 0x10c,
    NVME_READ_ONLY = 0x182,
    NVME_WRITE_FAULT = 0x280,
    NVME_READ_ERROR = 0x281,
    NVME_PENDING = 0xffff, /* ours: it completes later */
};

struct nvme_command { /* 4.2 */
    uint8_t opcode, flags;
    uint16_t cid;
    uint32_t nsid;
    uint64_t reserved, mptr, prp1, prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_command) == 64, "4.2");

struct nvme_range { /* 6.7: dataset management */
    uint32_t attributes, blocks;
    uint64_t lba;
};

/* Guest memory of a command, page by page, neighbours joined. */
struct nvme_data {
    unsigned count;
    struct iovec iov[NVME_SEGMENTS];
    gpa_t gpa[NVME_SEGMENTS];
};

struct nvme;
struct nvme_queue;

struct nvme_request {
    void *next_free;
    struct block_req io;
    struct nvme_queue *queue;
    uint16_t cid;
    struct nvme_range *ranges; /* of dataset management; NULL: none */
    unsigned range, range_count;
    struct nvme_data data;
};

struct nvme_cq { /* state */
    uint64_t base;
    uint32_t size; /* 0: there is none */
    uint32_t head; /* the driver's, whatever it wrote; atomic accesses */
    uint32_t tail;
    uint16_t vector;
    uint8_t phase, interrupts;
};

struct nvme_sq { /* state */
    uint64_t base;
    uint32_t size; /* 0: there is none */
    uint32_t head;
    uint32_t tail; /* the driver's, whatever it wrote; atomic accesses */
    uint16_t cqid;
};

/* Both queues of one number, and what serves them. */
struct nvme_queue {
    struct nvme *n;
    unsigned id;
    struct block_channel *channel;
    struct freelist requests; /* NVME_ENTRIES, made when they are needed first */
    unsigned inflight;
};

struct nvme {
    /* State. */
    struct pci_func func;
    uint32_t cc, csts, aqa, intms;
    uint64_t asq, acq;
    struct nvme_sq sq[NVME_QUEUES + 1];
    struct nvme_cq cq[NVME_QUEUES + 1];
    uint32_t features[NVME_FEATURES];
    uint16_t events[NVME_EVENTS];
    uint8_t event_count;
    uint64_t shadow, event_index; /* pages of shadow doorbells; 0: none */

    struct ram *ram;
    struct block_backend *backend;
    struct loop *loop;
    unsigned number;
    struct nvme_queue queue[NVME_QUEUES + 1];
    _Atomic bool posted;          /* the loop is going to look */
    bool notify[NVME_QUEUES + 1]; /* completions of these queues are to be told */
    struct lock lock;             /* cc, csts, aqa, asq, acq, intms; and what follows */
    pthread_cond_t idle;
    bool paused, running;
    unsigned busy; /* requests under way */
};

/* --- nvme.c --- */
/* The channel of a queue, opened when it is needed first; NULL: it cannot be. */
struct block_channel *nvme_channel(struct nvme_queue *q);
void nvme_busy(struct nvme *n, int delta);        /* requests under way, more or less */
void nvme_interrupt(struct nvme *n, unsigned cq); /* there is something in the queue */

/* --- nvme_queue.c --- */
void nvme_serve(struct nvme *n, unsigned first); /* submission queues from this one on */
void nvme_complete(struct nvme *n, unsigned sqid, uint16_t cid, uint16_t status, uint32_t result);
void nvme_tell(struct nvme *n); /* interrupts for what was completed */
/* The memory that a command's PRPs name; `write`: the device writes there. */
enum nvme_status nvme_map(struct nvme *n, const struct nvme_command *c, uint64_t bytes, bool write,
                          struct nvme_data *out);
/* Flat data for, or from, a command. */
enum nvme_status nvme_put(struct nvme *n, const struct nvme_command *c, const void *from,
                          size_t bytes);
enum nvme_status nvme_get(struct nvme *n, const struct nvme_command *c, void *to, size_t bytes);

/* --- nvme_admin.c, nvme_io.c: NVME_PENDING or how it ended --- */
enum nvme_status nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result);
enum nvme_status nvme_io(struct nvme *n, unsigned sqid, const struct nvme_command *c);
void nvme_batch_end(void *opaque); /* of a channel */

#endif
