/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI adapters of the board and the drives at them. Each is made for its first drive. */
#include <errno.h>
#include <stdio.h>

#include "dev/chip/buslogic_chip.h"
#include "dev/scsi/buslogic.h"
#include "dev/virtio/virtio_scsi.h"
#include "machine/machine_internal.h"

enum { SLOT_VIRTIO_SCSI = 25, SLOT_BUSLOGIC = 30 };

/* --- virtio --- */

static int create_virtio(struct machine *m, struct loop *io, struct err *e)
{
    unsigned most = VIRTIO_SCSI_MAX_QUEUES;
    const struct virtio_scsi_config cfg = {
        .place = board_virtio_place(m, PCI_DEVFN(SLOT_VIRTIO_SCSI, 0), io),
        .queues = m->cfg.vcpus < most ? m->cfg.vcpus : most,
        .ejected = board_scsi_ejected,
        .opaque = m};
    int rc = virtio_scsi_create(&cfg, &m->scsi, e);

    return rc == 0 ? machine_own(m, m->scsi, e) : rc;
}

static void bootable(struct machine *m, enum scsi_kind kind, unsigned target)
{
    char path[40];

    snprintf(path, sizeof(path), "scsi@%x/channel@0/disk@%x,0", SLOT_VIRTIO_SCSI, target);
    board_bootable(m, kind == SCSI_CDROM ? 'd' : 'c', path);
}

static int add_virtio(struct machine *m, enum scsi_kind kind, struct block_backend *b,
                      struct loop *io, struct scsi_unit **out, struct err *e)
{
    unsigned target = m->scsi_targets;
    int rc = m->scsi.ops == NULL ? create_virtio(m, io, e) : 0;

    if (rc < 0)
        return rc;
    if (target == VIRTIO_SCSI_TARGETS)
        return err_set(e, ENOSPC, "bus=scsi: the adapter has room for %u drives",
                       VIRTIO_SCSI_TARGETS);
    rc = virtio_scsi_add(m->scsi.self, target, kind, b, e);
    if (rc < 0)
        return rc;
    m->scsi_targets++;
    *out = virtio_scsi_unit(m->scsi.self, target);
    bootable(m, kind, target);
    return 0;
}

/* --- BusLogic; firmware has no driver for it --- */

static int create_buslogic(struct machine *m, struct loop *io, struct err *e)
{
    const struct buslogic_config cfg = {.bus = m->pci,
                                        .devfn = PCI_DEVFN(SLOT_BUSLOGIC, 0),
                                        .ram = m->ram,
                                        .loop = io,
                                        .ejected = board_scsi_ejected,
                                        .opaque = m};
    int rc = buslogic_create(&cfg, &m->buslogic, e);

    return rc == 0 ? machine_own(m, m->buslogic, e) : rc;
}

static int add_buslogic(struct machine *m, enum scsi_kind kind, struct block_backend *b,
                        struct loop *io, struct scsi_unit **out, struct err *e)
{
    unsigned target = m->buslogic_targets;
    int rc = m->buslogic.ops == NULL ? create_buslogic(m, io, e) : 0;

    if (rc < 0)
        return rc;
    if (target == BUSLOGIC_ID)
        target++;
    if (target == BUSLOGIC_TARGETS)
        return err_set(e, ENOSPC, "bus=buslogic: the adapter has room for %u drives",
                       BUSLOGIC_TARGETS - 1);
    rc = buslogic_add(m->buslogic.self, target, kind, b, e);
    if (rc < 0)
        return rc;
    m->buslogic_targets = target + 1;
    *out = buslogic_unit(m->buslogic.self, target);
    return 0;
}

int board_add_scsi(struct machine *m, enum machine_adapter adapter, enum scsi_kind kind,
                   struct block_backend *b, struct loop *io, struct scsi_unit **out, struct err *e)
{
    if (adapter == MACHINE_ADAPTER_BUSLOGIC)
        return add_buslogic(m, kind, b, io, out, e);
    return add_virtio(m, kind, b, io, out, e);
}

int machine_add_scsi_disk(struct machine *m, enum machine_adapter adapter, struct block_backend *b,
                          struct loop *io, struct err *e)
{
    struct scsi_unit *unit;

    return board_add_scsi(m, adapter, SCSI_DISK, b, io, &unit, e);
}

int machine_plug_scsi(struct machine *m, struct block_backend *b, unsigned *target, struct err *e)
{
    if (m->scsi.ops == NULL)
        return err_set(e, ENODEV, "The machine has no SCSI adapter, see --disk and bus=scsi");
    for (*target = 0; *target < VIRTIO_SCSI_TARGETS; ++*target)
        if (virtio_scsi_unit(m->scsi.self, *target) == NULL)
            return virtio_scsi_add(m->scsi.self, *target, SCSI_DISK, b, e);
    return err_set(e, ENOSPC, "The SCSI adapter has room for %u drives", VIRTIO_SCSI_TARGETS);
}

void machine_unplug_scsi(struct machine *m, unsigned target)
{
    virtio_scsi_remove(m->scsi.self, target);
}

void board_scsi_resized(struct machine *m, const struct block_backend *b)
{
    if (m->scsi.ops != NULL)
        virtio_scsi_resized(m->scsi.self, b);
    if (m->buslogic.ops != NULL)
        buslogic_resized(m->buslogic.self, b);
}
