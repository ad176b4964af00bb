/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATA disks and CD-ROM drives: on the PIIX's IDE function of a 440FX board, on the ICH9's AHCI
 * function of a Q35 board. The adapter is made for the first drive.
 */
#include <errno.h>
#include <stdio.h>

#include "dev/ahci.h"
#include "dev/ide.h"
#include "machine/machine_internal.h"

enum { FN_IDE = 1, FN_AHCI = 2 };

static void tell_ejected(struct machine *m, const void *unit)
{
    for (unsigned i = 0; i < m->cdroms; i++)
        if ((m->cdrom[i].ata == unit || m->cdrom[i].scsi == unit) && m->cfg.hooks.ejected != NULL)
            m->cfg.hooks.ejected(m->cfg.hooks.opaque, i);
}

static void ejected(void *opaque, const struct ata_unit *u)
{
    tell_ejected(opaque, u);
}

void board_scsi_ejected(void *opaque, const struct scsi_unit *u)
{
    tell_ejected(opaque, u);
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

static int create_ahci(struct machine *m, struct loop *io, struct err *e)
{
    const struct ahci_config cfg = {.bus = m->pci,
                                    .devfn = m->lpc_devfn + FN_AHCI,
                                    .ram = m->ram,
                                    .loop = io,
                                    .ejected = ejected,
                                    .opaque = m};
    int rc = ahci_create(&cfg, &m->ata, e);

    return rc == 0 ? machine_own(m, m->ata, e) : rc;
}

static bool is_ide(const struct machine *m)
{
    return m->cfg.board == MACHINE_PC;
}

/* What sits at a place of the adapter, or NULL. */
static struct ata_unit *unit_at(const struct machine *m, unsigned at)
{
    return is_ide(m) ? ide_unit(&m->ata, at) : ahci_unit(&m->ata, at);
}

/* The first free place; with IDE CD-ROM drives begin at the second channel, as people expect. */
static int find_place(const struct machine *m, enum ata_kind kind)
{
    static const uint8_t cdroms[IDE_DRIVES] = {2, 3, 1, 0};
    unsigned places = is_ide(m) ? IDE_DRIVES : AHCI_PORTS;

    for (unsigned i = 0; i < places; i++) {
        unsigned at = is_ide(m) && kind == ATA_CDROM ? cdroms[i] : i;

        if (unit_at(m, at) == NULL)
            return (int)at;
    }
    return -1;
}

static void bootable(struct machine *m, unsigned at, char kind)
{
    char path[40];

    if (is_ide(m))
        snprintf(path, sizeof(path), "ide@%x,%x/drive@%x/disk@%x", m->lpc_devfn >> 3, FN_IDE,
                 at / 2, at % 2);
    else
        snprintf(path, sizeof(path), "pci8086,2922@%x,%x/drive@%x/disk@0", m->lpc_devfn >> 3,
                 FN_AHCI, at);
    board_bootable(m, kind, path);
}

static int create_adapter(struct machine *m, struct loop *io, struct err *e)
{
    if (m->ata.ops != NULL)
        return 0;
    return is_ide(m) ? create_ide(m, io, e) : create_ahci(m, io, e);
}

static int add(struct machine *m, enum ata_kind kind, struct block_backend *b, struct loop *io,
               struct ata_unit **unit, struct err *e)
{
    int rc = create_adapter(m, io, e), at;

    if (rc < 0)
        return rc;
    at = find_place(m, kind);
    if (at < 0)
        return err_set(e, ENOSPC, "%s: the board has no place for another drive",
                       kind == ATA_CDROM ? "--cdrom" : "--disk");
    rc = is_ide(m) ? ide_add(&m->ata, (unsigned)at, kind, b, e)
                   : ahci_add(&m->ata, (unsigned)at, kind, b, e);
    if (rc < 0)
        return rc;
    bootable(m, (unsigned)at, kind == ATA_CDROM ? 'd' : 'c');
    if (unit != NULL)
        *unit = unit_at(m, (unsigned)at);
    return 0;
}

int machine_add_ata_disk(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    return add(m, ATA_DISK, b, io, NULL, e);
}

int machine_add_cdrom(struct machine *m, enum machine_adapter adapter, struct block_backend *b,
                      struct loop *io, struct err *e)
{
    struct machine_cdrom *c = &m->cdrom[m->cdroms];
    int rc;

    if (m->cdroms == MACHINE_MAX_CDROMS)
        return err_set(e, ENOSPC, "--cdrom: the board has no place for another drive");
    rc = adapter == MACHINE_ADAPTER_BOARD
             ? add(m, ATA_CDROM, b, io, &c->ata, e)
             : board_add_scsi(m, adapter, SCSI_CDROM, b, io, &c->scsi, e);
    m->cdroms += rc == 0;
    return rc;
}

int machine_change_cdrom(struct machine *m, unsigned cdrom, struct block_backend *b)
{
    const struct machine_cdrom *c = &m->cdrom[cdrom];

    return c->ata != NULL ? ata_unit_change(c->ata, b) : scsi_unit_change(c->scsi, b);
}

bool machine_cdrom_locked(struct machine *m, unsigned cdrom)
{
    const struct machine_cdrom *c = &m->cdrom[cdrom];

    return c->ata != NULL ? ata_unit_locked(c->ata) : scsi_unit_locked(c->scsi);
}

void machine_cdrom_request(struct machine *m, unsigned cdrom)
{
    const struct machine_cdrom *c = &m->cdrom[cdrom];

    if (c->ata != NULL)
        ata_unit_request_eject(c->ata);
    else
        scsi_unit_request_eject(c->scsi);
}

void board_storage_program(struct machine *m)
{
    if (m->ata.ops != NULL && is_ide(m))
        ide_program(&m->ata);
}
