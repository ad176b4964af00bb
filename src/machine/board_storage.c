/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATA disks and CD-ROM drives: on the PIIX's IDE function of a 440FX board, on the ICH9's AHCI
 * function of a Q35 board. The adapter is made for the first drive.
 */
#include <errno.h>
#include <stdio.h>

#include "dev/ide.h"
#include "machine/machine_internal.h"

enum { FN_IDE = 1 };

static void ejected(void *opaque, unsigned drive)
{
    struct machine *m = opaque;

    for (unsigned i = 0; i < m->cdroms; i++)
        if (m->cdrom[i] == drive && m->cfg.hooks.ejected != NULL)
            m->cfg.hooks.ejected(m->cfg.hooks.opaque, i);
}

static int create_ide(struct machine *m, struct loop *io, struct err *e)
{
    const struct ide_config cfg = {
        .bus = m->pci,
        .devfn = m->lpc_devfn + FN_IDE,
        .ports = m->ports,
        .ram = m->ram,
        .loop = io,
        .irq = {gsi_pin(&m->gsi, IDE_IRQ), gsi_pin(&m->gsi, IDE_IRQ + 1)},
        .ejected = ejected,
        .opaque = m};
    int rc = ide_create(&cfg, &m->ata, e);

    return rc == 0 ? machine_own(m, m->ata, e) : rc;
}

/* Disks take places from the first on, CD-ROM drives from the second channel on, as people expect
 * them. */
static int find_place(struct machine *m, enum ata_kind kind)
{
    static const uint8_t cdroms[IDE_DRIVES] = {2, 3, 1, 0};

    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        unsigned at = kind == ATA_CDROM ? cdroms[i] : i;

        if (ide_kind(&m->ata, at) == ATA_NONE)
            return (int)at;
    }
    return -1;
}

static void bootable(struct machine *m, unsigned at, char kind)
{
    char path[40];

    snprintf(path, sizeof(path), "ide@%x,%x/drive@%x/disk@%x", m->lpc_devfn >> 3, FN_IDE, at / 2,
             at % 2);
    board_bootable(m, kind, path);
}

static int add(struct machine *m, enum ata_kind kind, struct block_backend *b, struct loop *io,
               struct err *e)
{
    int rc = m->ata.ops == NULL ? create_ide(m, io, e) : 0, at;

    if (rc < 0)
        return rc;
    at = find_place(m, kind);
    if (at < 0)
        return err_set(e, ENOSPC, "%s: the board has places for %u drives",
                       kind == ATA_CDROM ? "--cdrom" : "--disk", IDE_DRIVES);
    rc = ide_add(&m->ata, (unsigned)at, kind, b, e);
    if (rc < 0)
        return rc;
    bootable(m, (unsigned)at, kind == ATA_CDROM ? 'd' : 'c');
    if (kind == ATA_CDROM)
        m->cdrom[m->cdroms++] = (uint8_t)at;
    return 0;
}

int machine_add_ata_disk(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    return add(m, ATA_DISK, b, io, e);
}

int machine_add_cdrom(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    return add(m, ATA_CDROM, b, io, e);
}

int machine_change_cdrom(struct machine *m, unsigned cdrom, struct block_backend *b)
{
    return ide_change(&m->ata, m->cdrom[cdrom], b);
}

bool machine_cdrom_locked(struct machine *m, unsigned cdrom)
{
    return ide_locked(&m->ata, m->cdrom[cdrom]);
}

void machine_cdrom_request(struct machine *m, unsigned cdrom)
{
    ide_request_eject(&m->ata, m->cdrom[cdrom]);
}

void board_storage_program(struct machine *m)
{
    if (m->ata.ops != NULL)
        ide_program(&m->ata);
}
