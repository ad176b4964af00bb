/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio SCSI host as its own files see it. Section numbers are those of virtio 1.2.
 *
 *   virtio_scsi.c       requests, configuration, life
 *   virtio_scsi_ctrl.c  task management, events
 *
 * Without a word on threads a function is for the loop's thread, with the device held.
 */
#ifndef DOPPEL_DEV_VIRTIO_VIRTIO_SCSI_INTERNAL_H
#define DOPPEL_DEV_VIRTIO_VIRTIO_SCSI_INTERNAL_H

#include "base/freelist.h"
#include "dev/virtio/virtio_scsi.h"

#define VSCSI_QUEUE_SIZE 128u
#define VSCSI_SEG_MAX 254u
#define VSCSI_SEGMENTS (VSCSI_SEG_MAX + 2 + 8) /* and some that memory regions cut in two */
#define VSCSI_SENSE_MAX 252u
#define VSCSI_CONTROL_SEGMENTS 16u

enum vscsi_queue_index { VSCSI_CONTROL, VSCSI_EVENTS, VSCSI_REQUESTS };

enum vscsi_response { /* 5.6.6.1.3 */
                      VSCSI_OK = 0,
                      VSCSI_OVERRUN = 1,
                      VSCSI_BAD_TARGET = 3,
                      VSCSI_SUCCEEDED = 10,
                      VSCSI_REJECTED = 11,
                      VSCSI_INCORRECT_LUN = 12,
};

enum vscsi_feature { VSCSI_F_HOTPLUG = 1, VSCSI_F_CHANGE = 2 };

/* What the guest is to hear of a target, in this order. */
enum vscsi_news { VSCSI_REMOVED = 1, VSCSI_ADDED = 2, VSCSI_GROWN = 4 };

struct vscsi_queue;

struct vscsi_request {
    void *next_free;
    struct virtq_req vr;
    struct vscsi_queue *queue;
    bool active; /* popped, not pushed */
    uint8_t target;
    uint64_t tag;
    uint32_t answer; /* bytes of the response, with room for sense data */
    uint64_t room;   /* bytes of data that the driver has memory for */
    gpa_t gpa[VSCSI_SEGMENTS], in_gpa[VSCSI_SEGMENTS];
    struct iovec iov[VSCSI_SEGMENTS], in_iov[VSCSI_SEGMENTS];
    struct scsi_request scsi;
};

/* A request in the control queue. */
struct vscsi_task {
    void *next_free;
    struct virtq_req vr;
    struct virtio_scsi *s;
    struct scsi_wait wait;
    uint8_t target;
    bool reset; /* the target's unit, before the answer */
    gpa_t gpa[VSCSI_CONTROL_SEGMENTS];
    struct iovec iov[VSCSI_CONTROL_SEGMENTS];
};

struct vscsi_queue {
    struct virtio_scsi *s;
    struct virtq *vq;
    struct freelist requests; /* struct vscsi_request, VSCSI_QUEUE_SIZE of them */
    bool staged;              /* pushed, not committed */
};

struct virtio_scsi {
    struct virtio_dev vdev;
    struct virtio_pci pci;
    struct virtio_scsi_config cfg;
    unsigned queue_count;
    struct vscsi_queue queues[VIRTIO_SCSI_MAX_QUEUES];
    struct freelist tasks; /* struct vscsi_task, VSCSI_QUEUE_SIZE of them */
    struct scsi_unit units[VIRTIO_SCSI_TARGETS];
    unsigned inflight; /* the loop's thread: popped, not pushed */
    bool held;         /* likewise: for them */
    uint32_t touched;  /* likewise: units with something to kick */
    struct lock lock;  /* news */
    /* State. */
    struct scsi_lun luns[VIRTIO_SCSI_TARGETS];
    uint8_t news[VIRTIO_SCSI_TARGETS]; /* enum vscsi_news */
    uint32_t sense_size, cdb_size;     /* the driver's; atomic accesses */
};

/* The target that `lun` (5.6.6.1) names, or -1; *number: of the unit. */
int vscsi_target(const struct virtio_scsi *s, const uint8_t lun[8], unsigned *number);
void vscsi_serve(struct virtio_scsi *s, unsigned queue); /* a request queue */
void vscsi_commit(struct virtio_scsi *s);                /* all request queues */

void vscsi_control(struct virtio_scsi *s);
void vscsi_events(struct virtio_scsi *s);
/* Any thread, the device need not be held. */
void vscsi_tell(struct virtio_scsi *s, unsigned target, enum vscsi_news what);

#endif
