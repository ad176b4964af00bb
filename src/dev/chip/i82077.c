/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82077AA's registers and commands; transfers are in i82077_transfer.c. */
#include "dev/chip/i82077_internal.h"

#include <string.h>

enum {
    DOR_SELECT = 3,
    DOR_RUN = 1 << 2, /* not in reset */
    DOR_GATE = 1 << 3,
    DOR_MOTOR = 1 << 4,
    MSR_BUSY = 1 << 4,
    MSR_NON_DMA = 1 << 5,
    MSR_OUT = 1 << 6, /* data for the host */
    MSR_READY = 1 << 7,
    DSR_RESET = 1 << 7,
    DIR_CHANGED = 1 << 7,
    CONFIG_NO_POLL = 1 << 4,
};

/* --- media --- */

struct format {
    uint16_t kilobytes;
    uint8_t drive, cylinders, heads, sectors, rate;
};

static const struct format formats[] = {
    {160, 1, 40, 1, 8, 2},   {180, 1, 40, 1, 9, 2},   {320, 1, 40, 2, 8, 2},
    {360, 1, 40, 2, 9, 2},   {720, 3, 80, 2, 9, 2},   {800, 4, 80, 2, 10, 2},
    {1200, 2, 80, 2, 15, 0}, {1440, 4, 80, 2, 18, 0}, {1600, 4, 80, 2, 20, 0},
    {1680, 4, 80, 2, 21, 0}, {2880, 5, 80, 2, 36, 3},
};

unsigned fdc_format(uint64_t bytes, struct fdc_medium *out)
{
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct format *f = &formats[i];

        if (bytes != (uint64_t)f->kilobytes * 1024)
            continue;
        *out = (struct fdc_medium){
            .cylinders = f->cylinders, .heads = f->heads, .sectors = f->sectors, .rate = f->rate};
        return f->drive;
    }
    return 0;
}

void fdc_set_medium(struct fdc *f, unsigned drive, const struct fdc_medium *m)
{
    struct fdc_drive *d = &f->drive[drive];

    d->medium = *m;
    d->changed = true;
}

/* --- reset --- */

/* 2.1.3, 4.0: FIFO and thresholds survive when they are locked. */
static void soft_reset(struct fdc *f)
{
    f->phase = FDC_IDLE;
    f->length = f->at = 0;
    f->pos = 0;
    f->seeked = f->ended = false;
    f->irq = false;
    f->senses = 0;
    f->perpendicular &= 0x3c;
    if (!f->locked) {
        f->config[1] = 0x20; /* no FIFO */
        f->config[2] = 0;
    }
}

void fdc_reset(struct fdc *f)
{
    f->locked = false;
    soft_reset(f);
    f->dor = 0;
    f->tdr = f->precomp = 0;
    f->dsr = 2;
    f->st0 = f->scan = 0;
    f->cylinder = f->head = f->sector = 0;
    f->perpendicular = 0;
    memset(f->fifo, 0, sizeof(f->fifo));
    memset(f->specify, 0, sizeof(f->specify));
    memset(f->config, 0, sizeof(f->config));
    f->config[1] = 0x20;
    memset(f->data, 0, sizeof(f->data));
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        f->drive[i].cylinder = 0;
        f->drive[i].changed = true;
    }
}

/* 5.2.4: all four drives are polled and reported as changed. */
static void reset_ends(struct fdc *f)
{
    soft_reset(f);
    if ((f->config[1] & CONFIG_NO_POLL) != 0)
        return;
    f->senses = 4;
    f->irq = true;
}

/* --- commands --- */

struct fdc_command {
    uint8_t mask, value, parameters;
    void (*run)(struct fdc *f);
};

void fdc_result(struct fdc *f, unsigned bytes, bool interrupt)
{
    f->phase = bytes != 0 ? FDC_RESULT : FDC_IDLE;
    f->length = (uint8_t)bytes;
    f->at = 0;
    f->irq = interrupt;
}

static void invalid(struct fdc *f)
{
    f->fifo[0] = 0x80;
    fdc_result(f, 1, false);
}

static void specify(struct fdc *f)
{
    memcpy(f->specify, &f->fifo[1], 2);
    fdc_result(f, 0, false);
}

struct fdc_drive *fdc_drive_of(struct fdc *f, uint8_t select)
{
    unsigned i = select & DOR_SELECT;

    return i < FDC_DRIVES && f->drive[i].present ? &f->drive[i] : NULL;
}

static void sense_drive(struct fdc *f)
{
    const struct fdc_drive *d = fdc_drive_of(f, f->fifo[1]);
    uint8_t st3 = (f->fifo[1] & 7) | 0x28; /* ready; two sides */

    if (d != NULL && d->medium.sectors != 0 && d->medium.readonly)
        st3 |= 0x40;
    if (d != NULL && d->cylinder == 0)
        st3 |= 0x10;
    f->fifo[0] = st3;
    fdc_result(f, 1, false);
}

/* A step with a disk inside clears the change line. */
static void move_to(struct fdc_drive *d, unsigned cylinder)
{
    if (d->medium.sectors != 0)
        d->changed = false;
    d->cylinder = (uint8_t)cylinder;
}

static void seek_ends(struct fdc *f, uint8_t st0)
{
    f->st0 = st0;
    f->seeked = true;
    fdc_result(f, 0, true);
}

/* No drive, no track 0: equipment check. */
static void recalibrate(struct fdc *f)
{
    uint8_t select = f->fifo[1] & DOR_SELECT;
    struct fdc_drive *d = fdc_drive_of(f, select);

    if (d != NULL)
        move_to(d, 0);
    seek_ends(f, (uint8_t)(d != NULL ? 0x20 | select : 0x70 | select));
}

static void seek(struct fdc *f)
{
    struct fdc_drive *d = fdc_drive_of(f, f->fifo[1]);

    if (d != NULL)
        move_to(d, f->fifo[2]);
    seek_ends(f, (uint8_t)(0x20 | (f->fifo[1] & 7)));
}

static void relative_seek(struct fdc *f)
{
    struct fdc_drive *d = fdc_drive_of(f, f->fifo[1]);
    int to = d == NULL ? 0 : d->cylinder + ((f->fifo[0] & 0x40) != 0 ? f->fifo[2] : -f->fifo[2]);

    if (d != NULL)
        move_to(d, (unsigned)(to < 0 ? 0 : to > 255 ? 255 : to));
    seek_ends(f, (uint8_t)(0x20 | (f->fifo[1] & 7)));
}

static void sense_interrupt(struct fdc *f)
{
    if (f->senses != 0) {
        uint8_t drive = (uint8_t)(4 - f->senses--);

        f->fifo[0] = 0xc0 | drive;
        f->fifo[1] = drive < FDC_DRIVES ? f->drive[drive].cylinder : 0;
    } else if (f->seeked) {
        const struct fdc_drive *d = fdc_drive_of(f, f->st0);

        f->seeked = false;
        f->fifo[0] = f->st0;
        f->fifo[1] = d != NULL ? d->cylinder : 0;
    } else {
        invalid(f);
        return;
    }
    fdc_result(f, 2, false);
}

static void dump_registers(struct fdc *f)
{
    uint8_t out[10] = {f->drive[0].cylinder,
                       f->drive[1].cylinder,
                       0,
                       0,
                       f->specify[0],
                       f->specify[1],
                       f->sector,
                       (uint8_t)((f->locked ? 0x80 : 0) | f->perpendicular),
                       f->config[1],
                       f->config[2]};

    memcpy(f->fifo, out, sizeof(out));
    fdc_result(f, sizeof(out), false);
}

static void version(struct fdc *f)
{
    f->fifo[0] = 0x90;
    fdc_result(f, 1, false);
}

static void perpendicular(struct fdc *f)
{
    f->perpendicular = (f->fifo[1] & 0x80) != 0
                           ? f->fifo[1] & 0x3f
                           : (uint8_t)((f->perpendicular & 0x3c) | (f->fifo[1] & 3));
    fdc_result(f, 0, false);
}

static void configure(struct fdc *f)
{
    memcpy(f->config, &f->fifo[1], 3);
    fdc_result(f, 0, false);
}

static void lock(struct fdc *f)
{
    f->locked = (f->fifo[0] & 0x80) != 0;
    f->fifo[0] = f->locked ? 0x10 : 0;
    fdc_result(f, 1, false);
}

/* Table 5-1. The first that fits. */
static const struct fdc_command commands[] = {
    {0x1f, 0x06, 8, fdc_start_read},   /* READ DATA */
    {0x1f, 0x0c, 8, fdc_start_read},   /* READ DELETED DATA */
    {0x9f, 0x02, 8, fdc_start_read},   /* READ TRACK */
    {0x1f, 0x16, 8, fdc_start_read},   /* VERIFY */
    {0x3f, 0x05, 8, fdc_start_write},  /* WRITE DATA */
    {0x3f, 0x09, 8, fdc_start_write},  /* WRITE DELETED DATA */
    {0x1f, 0x11, 8, fdc_start_write},  /* SCAN EQUAL */
    {0x1f, 0x19, 8, fdc_start_write},  /* SCAN LOW OR EQUAL */
    {0x1f, 0x1d, 8, fdc_start_write},  /* SCAN HIGH OR EQUAL */
    {0xbf, 0x0d, 5, fdc_start_format}, /* FORMAT TRACK */
    {0xbf, 0x0a, 1, fdc_read_id},      /* READ ID */
    {0xff, 0x07, 1, recalibrate},
    {0xff, 0x08, 0, sense_interrupt},
    {0xff, 0x03, 2, specify},
    {0xff, 0x04, 1, sense_drive},
    {0xff, 0x13, 3, configure},
    {0xff, 0x0f, 2, seek},
    {0xbf, 0x8f, 2, relative_seek},
    {0xff, 0x0e, 0, dump_registers},
    {0xff, 0x10, 0, version},
    {0xff, 0x12, 1, perpendicular},
    {0x7f, 0x14, 0, lock},
    {0x00, 0x00, 0, invalid},
};

static const struct fdc_command *command_of(uint8_t byte)
{
    const struct fdc_command *c = commands;

    while ((byte & c->mask) != c->value)
        c++;
    return c;
}

/* A byte of a command. Any of them takes the interrupt of a seek or a reset back. */
static void take(struct fdc *f, uint8_t value)
{
    const struct fdc_command *c;

    if (f->length == 0)
        f->irq = false;
    f->fifo[f->length++] = value;
    c = command_of(f->fifo[0]);
    if (f->length <= c->parameters)
        return;
    f->length = 0;
    c->run(f);
}

/* --- registers, 2.1 --- */

static uint8_t main_status(const struct fdc *f)
{
    uint8_t msr = 0;

    if ((f->dor & DOR_RUN) == 0)
        return 0;
    switch (f->phase) {
    case FDC_IDLE:
        msr = MSR_READY | (f->length != 0 ? MSR_BUSY : 0);
        break;
    case FDC_RESULT:
        msr = MSR_READY | MSR_OUT | MSR_BUSY;
        break;
    case FDC_IN:
    case FDC_OUT:
        msr = MSR_BUSY | (f->phase == FDC_IN ? MSR_OUT : 0);
        if (!fdc_by_dma(f))
            msr |= MSR_READY | MSR_NON_DMA;
        break;
    default:
        msr = MSR_BUSY | (fdc_by_dma(f) ? 0 : MSR_NON_DMA);
        break;
    }
    return msr;
}

static uint8_t input(const struct fdc *f)
{
    unsigned select = f->dor & DOR_SELECT;
    bool runs = (f->dor >> (4 + select) & 1) != 0;

    if (select >= FDC_DRIVES || !f->drive[select].present || !runs)
        return 0;
    return f->drive[select].changed ? DIR_CHANGED : 0;
}

static uint8_t take_byte(struct fdc *f)
{
    uint8_t value = 0;

    if (f->phase == FDC_RESULT) {
        f->irq = false;
        value = f->fifo[f->at++];
        if (f->at == f->length) {
            f->phase = FDC_IDLE;
            f->length = f->at = 0;
        }
    } else if (f->phase == FDC_IN && !fdc_by_dma(f)) {
        f->irq = false;
        value = f->data[f->pos];
        fdc_moved(f, NULL, 1, false);
    }
    return value;
}

uint8_t fdc_read(struct fdc *f, unsigned reg)
{
    switch (reg) {
    case FDC_DOR:
        return f->dor;
    case FDC_TDR:
        return f->tdr | 0xfc;
    case FDC_MSR:
        return main_status(f);
    case FDC_FIFO:
        return (f->dor & DOR_RUN) != 0 ? take_byte(f) : 0;
    case FDC_DIR:
        return input(f);
    default: /* SRA and SRB are the PS/2's: an AT reads ones */
        return 0xff;
    }
}

static void put_byte(struct fdc *f, uint8_t value)
{
    if (f->phase == FDC_IDLE) {
        take(f, value);
    } else if (f->phase == FDC_OUT && !fdc_by_dma(f)) {
        f->irq = false;
        fdc_moved(f, &value, 1, false);
    }
}

static void write_dor(struct fdc *f, uint8_t value)
{
    uint8_t old = f->dor;

    f->dor = value;
    if ((old & DOR_RUN) != 0 && (value & DOR_RUN) == 0)
        soft_reset(f);
    else if ((old & DOR_RUN) == 0 && (value & DOR_RUN) != 0)
        reset_ends(f);
}

void fdc_write(struct fdc *f, unsigned reg, uint8_t value)
{
    switch (reg) {
    case FDC_DOR:
        write_dor(f, value);
        break;
    case FDC_TDR:
        f->tdr = value & 3;
        break;
    case FDC_MSR: /* DSR, whose reset ends by itself */
        f->dsr = value & 3;
        f->precomp = value >> 2 & 7;
        if ((value & DSR_RESET) != 0 && (f->dor & DOR_RUN) != 0)
            reset_ends(f);
        break;
    case FDC_FIFO:
        if ((f->dor & DOR_RUN) != 0)
            put_byte(f, value);
        break;
    case FDC_DIR:
        f->dsr = value & 3;
        break;
    default:
        break;
    }
}

bool fdc_irq(const struct fdc *f)
{
    return f->irq && (f->dor & DOR_GATE) != 0;
}

/* --- state --- */

static const struct state_field drive_fields[] = {
    STATE_U8_F(struct fdc_drive, cylinder),
    STATE_BOOL_F(struct fdc_drive, changed),
    STATE_END_F,
};
static const struct state_table drive_state = {
    .name = "fdc-drive", .version = 1, .fields = drive_fields};

static int validate(const void *object, struct err *e)
{
    const struct fdc *f = object;
    unsigned parameters = f->length != 0 ? command_of(f->fifo[0])->parameters : 0;

    if (f->phase == FDC_IDLE && f->length > parameters)
        return err_set(e, EINVAL, "fdc: %u bytes of a command that has fewer", f->length);
    if (f->phase == FDC_RESULT && f->at >= f->length)
        return err_set(e, EINVAL, "fdc: a result without bytes");
    if (!fdc_transfer_valid(f))
        return err_set(e, EINVAL, "fdc: a transfer that no command makes");
    return 0;
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct fdc, drive, FDC_DRIVES, &drive_state),
    STATE_MAX_F(struct fdc, phase, STATE_U32, FDC_PHASES - 1),
    STATE_U8_F(struct fdc, dor),
    STATE_MAX_F(struct fdc, tdr, STATE_U8, 3),
    STATE_MAX_F(struct fdc, dsr, STATE_U8, 3),
    STATE_MAX_F(struct fdc, precomp, STATE_U8, 7),
    STATE_BYTES_F(struct fdc, fifo),
    STATE_MAX_F(struct fdc, length, STATE_U8, 10),
    STATE_MAX_F(struct fdc, at, STATE_U8, 10),
    STATE_BYTES_F(struct fdc, specify),
    STATE_BYTES_F(struct fdc, config),
    STATE_U8_F(struct fdc, perpendicular),
    STATE_BOOL_F(struct fdc, locked),
    STATE_BOOL_F(struct fdc, irq),
    STATE_MAX_F(struct fdc, senses, STATE_U8, 4),
    STATE_BOOL_F(struct fdc, seeked),
    STATE_U8_F(struct fdc, st0),
    STATE_U8_F(struct fdc, cylinder),
    STATE_U8_F(struct fdc, head),
    STATE_U8_F(struct fdc, sector),
    STATE_BOOL_F(struct fdc, ended),
    STATE_U8_F(struct fdc, scan),
    STATE_U16_F(struct fdc, pos),
    STATE_BYTES_F(struct fdc, data),
    STATE_END_F,
};
const struct state_table fdc_state = {
    .name = "i82077", .version = 1, .fields = fields, .validate = validate};
