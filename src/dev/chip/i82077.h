/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register model of the Intel 82077AA floppy disk controller (data sheet order number 290166) with
 * two drives. No lock, no clock, no memory: it asks for sectors of an image (fdc_io), and for bytes
 * of a DMA channel (fdc_dma), and is told what came of it. Heads move at once.
 *
 *   IDLE    takes a command and its parameters, byte by byte
 *   LOAD    wants a sector read from the image        STORE  wants one written there
 *   IN      has data for the host                     OUT    wants data of the host
 *   RESULT  has result bytes
 *
 * IN and OUT go by the FIFO, or by DMA.
 */
#ifndef DOPPEL_DEV_CHIP_I82077_H
#define DOPPEL_DEV_CHIP_I82077_H

#include <stdbool.h>
#include <stdint.h>

#include "state/state.h"

#define FDC_DRIVES 2u
#define FDC_SECTOR 512u

/* Offsets from 0x3f0. */
enum fdc_reg {
    FDC_SRA,
    FDC_SRB,
    FDC_DOR,
    FDC_TDR,
    FDC_MSR, /* write: DSR */
    FDC_FIFO,
    FDC_DIR = 7, /* write: CCR */
};

enum fdc_phase { FDC_IDLE, FDC_LOAD, FDC_STORE, FDC_IN, FDC_OUT, FDC_RESULT, FDC_PHASES };

/* What is in a drive: from the size of the image. */
struct fdc_medium {
    uint8_t cylinders, heads, sectors; /* sectors 0: no medium */
    uint8_t rate; /* of data, as in the DSR: 0 500, 1 300, 2 250, 3 1000 kb/s */
    bool readonly;
};

struct fdc_drive {
    /* Not state: it follows from the machine's configuration. */
    bool present;
    struct fdc_medium medium;
    /* State. */
    uint8_t cylinder;
    bool changed; /* the disk change line */
};

struct fdc {
    struct fdc_drive drive[FDC_DRIVES];
    enum fdc_phase phase;
    uint8_t dor, tdr, dsr, precomp; /* dsr: the data rate, by whichever register */
    uint8_t fifo[16];               /* command and parameters, then the result */
    uint8_t length, at;             /* of them: how many, and how many were taken */
    uint8_t specify[2], config[3], perpendicular;
    bool locked, irq;
    uint8_t senses;                 /* SENSE INTERRUPT results to come after a reset */
    bool seeked;                    /* one after a seek */
    uint8_t st0;                    /* its result */
    uint8_t cylinder, head, sector; /* of the transfer: what comes next */
    bool ended;                     /* TC came in the middle of a sector */
    uint8_t scan;                   /* ST2 bits of a scan */
    uint16_t pos;                   /* in `data` */
    uint8_t data[FDC_SECTOR];
};

extern const struct state_table fdc_state;

/* Which drive such a disk belongs in, as CMOS byte 0x10 says it (1 360 K, 2 1.2 M, 3 720 K,
 * 4 1.44 M, 5 2.88 M); 0: no floppy disk has that size. */
unsigned fdc_format(uint64_t bytes, struct fdc_medium *out);

void fdc_reset(struct fdc *f); /* power-on */
/* Another medium, or none. */
void fdc_set_medium(struct fdc *f, unsigned drive, const struct fdc_medium *m);

uint8_t fdc_read(struct fdc *f, unsigned reg);
void fdc_write(struct fdc *f, unsigned reg, uint8_t value);

/* LOAD and STORE: which sector of which drive's image; the data are `data`. false: nothing. */
struct fdc_io {
    unsigned drive;
    bool write;
    uint64_t offset;
};
bool fdc_io(const struct fdc *f, struct fdc_io *io);
void fdc_io_done(struct fdc *f, int result);

/* IN and OUT by DMA: how many bytes the host may move now; `from`: those for it, NULL: it is to
 * give some. 0: none. */
uint32_t fdc_dma(const struct fdc *f, const uint8_t **from);
/* It has moved so many; end: terminal count. */
void fdc_dma_done(struct fdc *f, const uint8_t *from_host, uint32_t bytes, bool end);

/* The interrupt output; with DMAGATE off it floats. */
bool fdc_irq(const struct fdc *f);

#endif
