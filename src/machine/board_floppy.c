/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DMA controllers, and the floppy disk controller for the first drive. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/machine_internal.h"

enum { DMA_SECOND_MASK = 0xd4, DMA_SECOND_MODE = 0xd6 };
/* CMOS bytes: the drives' types, and which equipment there is. */
enum { CMOS_DRIVES = 0x10, CMOS_EQUIPMENT = 0x14, EQUIPMENT_FLOPPY = 1 };

int board_create_dma(struct machine *m, struct err *e)
{
    int rc = dma_create(m->ram, &m->dma);

    if (rc < 0)
        return err_set(e, -rc, "cannot create the DMA controllers: %s", strerror(-rc));
    rc = machine_own(m, dma_device(m->dma), e);
    return rc == 0 ? dma_map(m->dma, m->ports) : rc;
}

/* As a BIOS leaves them: channel 4 passes the first controller's requests on. */
void board_dma_program(struct machine *m)
{
    bus_write(m->ports, DMA_SECOND_MODE, 0xc0, 1);
    bus_write(m->ports, DMA_SECOND_MASK, 0, 1);
}

static int create(struct machine *m, struct loop *io, struct err *e)
{
    const struct floppy_config cfg = {
        .irq = gsi_pin(&m->gsi, FLOPPY_IRQ), .dma = m->dma, .loop = io};
    int rc;

    if (m->floppy != NULL)
        return 0;
    rc = floppy_create(&cfg, &m->floppy);
    if (rc < 0)
        return err_set(e, -rc, "cannot create the floppy controller: %s", strerror(-rc));
    rc = machine_own(m, floppy_device(m->floppy), e);
    if (rc < 0)
        return rc;
    rc = floppy_map(m->floppy, m->ports);
    return rc < 0 ? err_set(e, -rc, "cannot map the floppy controller: %s", strerror(-rc)) : 0;
}

int machine_add_floppy(struct machine *m, struct block_backend *b, struct loop *io, struct err *e)
{
    int rc = create(m, io, e);
    unsigned type, drive = m->floppies;
    char path[40];

    if (rc == 0)
        rc = floppy_add(m->floppy, b, &type, e);
    if (rc < 0)
        return rc;
    m->drive_types = (uint8_t)(m->drive_types | type << (drive == 0 ? 4 : 0));
    rtc_set_cmos(m->rtc, CMOS_DRIVES, m->drive_types);
    rtc_set_cmos(m->rtc, CMOS_EQUIPMENT, (uint8_t)(EQUIPMENT_FLOPPY | drive << 6));
    snprintf(path, sizeof(path), "isa@%x/fdc@03f0/floppy@%x", m->lpc_devfn >> 3, drive);
    board_bootable(m, 'a', path);
    m->floppies++;
    return 0;
}

int machine_check_floppy(struct block_backend *b, struct err *e)
{
    return floppy_check(b, e);
}

int machine_change_floppy(struct machine *m, unsigned drive, struct block_backend *b)
{
    return floppy_change(m->floppy, drive, b);
}
