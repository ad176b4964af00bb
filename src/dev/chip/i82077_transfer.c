/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers of the 82077AA: one sector after the other until the host says terminal count, the last
 * sector of the track (EOT) was moved, or something is wrong. Data sheet, chapter 5.
 *
 *   read     LOAD  IN   LOAD  IN ...          verify   LOAD  LOAD ...
 *   write    OUT   STORE  OUT  STORE ...      scan     LOAD  OUT  LOAD  OUT ...
 *   format   OUT (4 bytes: one sector's ID)  STORE  OUT ...
 */
#include "dev/chip/i82077_internal.h"

#include <string.h>

enum { /* parameters, in `fifo` */
       P_SELECT = 1,
       P_CYLINDER,
       P_HEAD,
       P_SECTOR,
       P_SIZE,
       P_EOT,
       P_FORMAT_SECTORS = 3,
       P_FORMAT_FILL = 5,
};
enum {
    ST0_ABNORMAL = 0x40,
    ST1_MISSING_MARK = 0x01,
    ST1_NOT_WRITABLE = 0x02,
    ST1_NO_DATA = 0x04,
    ST1_DATA_ERROR = 0x20,
    ST1_END = 0x80,
    ST2_SCAN_FAILED = 0x04,
    ST2_SCAN_HIT = 0x08,
    ST2_WRONG_CYLINDER = 0x10,
    ST2_DATA_ERROR = 0x20,
    ST2_MARK = 0x40,
    CMD_MULTITRACK = 0x80,
    CMD_SKIP = 0x20,
    SPECIFY_NO_DMA = 1,
    CONFIG_IMPLIED_SEEK = 0x40,
    ID_BYTES = 4,
};

enum kind { READ_TRACK = 2, WRITE = 5, READ = 6, WRITE_DELETED = 9, READ_DELETED = 12 };
enum { FORMAT = 0x0d, SCAN_EQUAL = 0x11, VERIFY = 0x16, SCAN_LOW = 0x19, SCAN_HIGH = 0x1d };

static unsigned kind(const struct fdc *f)
{
    return f->fifo[0] & 0x1f;
}

static bool is_scan(const struct fdc *f)
{
    return kind(f) == SCAN_EQUAL || kind(f) == SCAN_LOW || kind(f) == SCAN_HIGH;
}

static bool is_write(const struct fdc *f)
{
    return kind(f) == WRITE || kind(f) == WRITE_DELETED || kind(f) == FORMAT;
}

static bool multitrack(const struct fdc *f)
{
    return (f->fifo[0] & CMD_MULTITRACK) != 0 && kind(f) != READ_TRACK;
}

bool fdc_by_dma(const struct fdc *f)
{
    return (f->specify[1] & SPECIFY_NO_DMA) == 0;
}

static unsigned selected(const struct fdc *f)
{
    return f->fifo[P_SELECT] & 3;
}

static struct fdc_drive *drive(struct fdc *f)
{
    return fdc_drive_of(f, f->fifo[P_SELECT]);
}

/* --- the end --- */

/* The seven result bytes of table 5-2 tell where the next transfer would go on. */
static void end(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    uint8_t out[7] = {(uint8_t)(st0 | (f->head & 1) << 2 | selected(f)),
                      st1,
                      st2,
                      f->cylinder,
                      f->head,
                      f->sector,
                      2};

    memcpy(f->fifo, out, sizeof(out));
    f->pos = 0;
    f->ended = false;
    fdc_result(f, sizeof(out), true);
}

static void fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
    end(f, ST0_ABNORMAL, st1, st2);
}

/* --- one sector --- */

/* Is the sector that comes next on the track below the head? Then 0, else what to tell. */
static uint8_t look(struct fdc *f, uint8_t *st2)
{
    const struct fdc_drive *d = drive(f);
    const struct fdc_medium *m = d != NULL ? &d->medium : NULL;

    *st2 = 0;
    if (m == NULL || m->sectors == 0 || m->rate != f->dsr || d->cylinder >= m->cylinders ||
        (f->head & 1) >= m->heads)
        return ST1_MISSING_MARK;
    if (f->cylinder != d->cylinder) {
        *st2 = ST2_WRONG_CYLINDER;
        return ST1_NO_DATA;
    }
    if (f->sector == 0 || f->sector > m->sectors || f->fifo[P_SIZE] != 2)
        return ST1_NO_DATA;
    return 0;
}

/* Data of the host come next. */
static void want_data(struct fdc *f)
{
    f->pos = 0;
    f->phase = FDC_OUT;
    f->irq = !fdc_by_dma(f);
}

/* Begins with the sector that comes next. */
static void begin(struct fdc *f)
{
    uint8_t st2, st1 = look(f, &st2);

    f->pos = 0;
    if (st1 != 0)
        fail(f, st1, st2);
    else if (is_write(f))
        want_data(f);
    else
        f->phase = FDC_LOAD;
}

/* Where the next one is; true: it is beyond EOT. */
static bool advance(struct fdc *f)
{
    if (f->sector != f->fifo[P_EOT]) {
        f->sector++;
        return false;
    }
    f->sector = 1;
    if (!multitrack(f)) {
        f->cylinder++;
        return true;
    }
    f->head ^= 1;
    if (f->head != 0)
        return false;
    f->cylinder++;
    return true;
}

/* One is done. */
static void next(struct fdc *f)
{
    bool last = advance(f), host = f->ended;
    bool marked = kind(f) == READ_DELETED; /* an image's sectors have the mark of normal data */

    if (is_scan(f) && (f->scan & ST2_SCAN_FAILED) == 0)
        end(f, 0, 0, f->scan);
    else if (host || marked)
        end(f, 0, 0, (uint8_t)((marked ? ST2_MARK : 0) | (is_scan(f) ? f->scan : 0)));
    else if (last && (kind(f) == VERIFY || is_scan(f)))
        end(f, 0, 0, is_scan(f) ? f->scan : 0);
    else if (last)
        fail(f, ST1_END, 0);
    else
        begin(f);
}

/* --- commands --- */

static void seek_first(struct fdc *f)
{
    struct fdc_drive *d = drive(f);

    if (d == NULL || (f->config[1] & CONFIG_IMPLIED_SEEK) == 0)
        return;
    if (d->medium.sectors != 0)
        d->changed = false;
    d->cylinder = f->fifo[P_CYLINDER];
}

/* Where the command says that the transfer begins. */
static void take_place(struct fdc *f)
{
    f->cylinder = f->fifo[P_CYLINDER];
    f->head = f->fifo[P_HEAD] & 1;
    f->sector = kind(f) == READ_TRACK ? 1 : f->fifo[P_SECTOR];
}

static void start(struct fdc *f)
{
    take_place(f);
    f->ended = false;
    f->scan = 0;
    seek_first(f);
    if (f->fifo[P_HEAD] != (f->fifo[P_SELECT] >> 2 & 1)) {
        f->head = f->fifo[P_SELECT] >> 2 & 1;
        fail(f, ST1_NO_DATA, 0);
        return;
    }
    begin(f);
}

void fdc_start_read(struct fdc *f)
{
    /* All sectors carry the other mark: there is nothing to be found. */
    if (kind(f) == READ_DELETED && (f->fifo[0] & CMD_SKIP) != 0) {
        take_place(f);
        fail(f, ST1_NO_DATA, ST2_MARK);
        return;
    }
    start(f);
}

static bool write_protected(struct fdc *f)
{
    const struct fdc_drive *d = drive(f);

    return d != NULL && d->medium.sectors != 0 && d->medium.readonly;
}

void fdc_start_write(struct fdc *f)
{
    if (!is_scan(f) && write_protected(f)) {
        take_place(f);
        fail(f, ST1_NOT_WRITABLE, 0);
        return;
    }
    start(f);
}

void fdc_start_format(struct fdc *f)
{
    const struct fdc_drive *d = drive(f);
    bool there = d != NULL && d->medium.sectors != 0;

    f->head = f->fifo[P_SELECT] >> 2 & 1;
    f->cylinder = there ? d->cylinder : 0;
    f->sector = 1;
    f->ended = false;
    f->scan = 0;
    if (write_protected(f)) {
        fail(f, ST1_NOT_WRITABLE, 0);
    } else if (!there || d->cylinder >= d->medium.cylinders || f->head >= d->medium.heads ||
               d->medium.rate != f->dsr || f->fifo[2] != 2 || f->fifo[P_FORMAT_SECTORS] == 0) {
        fail(f, ST1_MISSING_MARK, 0);
    } else {
        want_data(f);
    }
}

void fdc_read_id(struct fdc *f)
{
    const struct fdc_drive *d = drive(f);

    f->head = f->fifo[P_SELECT] >> 2 & 1;
    f->cylinder = d != NULL ? d->cylinder : 0;
    f->sector = 1;
    f->fifo[P_SIZE] = 2;
    uint8_t st2, st1 = look(f, &st2);
    if (st1 != 0)
        fail(f, st1, st2);
    else
        end(f, 0, 0, 0);
}

/* --- the image --- */

bool fdc_io(const struct fdc *f, struct fdc_io *io)
{
    const struct fdc_medium *m;

    if (f->phase != FDC_LOAD && f->phase != FDC_STORE)
        return false;
    m = &f->drive[selected(f)].medium;
    io->drive = selected(f);
    io->write = f->phase == FDC_STORE;
    io->offset =
        (((uint64_t)f->cylinder * m->heads + f->head) * m->sectors + f->sector - 1) * FDC_SECTOR;
    return true;
}

/* An ID was taken and its sector filled: another one, or the track is done. */
static void format_next(struct fdc *f)
{
    if (--f->fifo[P_FORMAT_SECTORS] != 0 && !f->ended)
        want_data(f);
    else
        end(f, 0, 0, 0);
}

static void loaded(struct fdc *f)
{
    if (kind(f) == VERIFY) {
        next(f);
        return;
    }
    f->phase = is_scan(f) ? FDC_OUT : FDC_IN;
    f->irq = !fdc_by_dma(f);
    f->scan = is_scan(f) ? ST2_SCAN_HIT : 0;
}

void fdc_io_done(struct fdc *f, int result)
{
    bool load = f->phase == FDC_LOAD;

    if (result < 0)
        fail(f, load ? ST1_DATA_ERROR : ST1_NOT_WRITABLE, load ? ST2_DATA_ERROR : 0);
    else if (load)
        loaded(f);
    else if (kind(f) == FORMAT)
        format_next(f);
    else
        next(f);
}

/* --- the host --- */

/* How many bytes of `data` go in this phase. */
static uint32_t wanted(const struct fdc *f)
{
    return kind(f) == FORMAT ? ID_BYTES : FDC_SECTOR;
}

/* A scan's byte: 0xff of the host fits everything. */
static void compare(struct fdc *f, uint8_t host, uint8_t disk)
{
    bool fits = host == 0xff || disk == 0xff || host == disk ||
                (kind(f) == SCAN_LOW && disk < host) || (kind(f) == SCAN_HIGH && disk > host);

    if (!fits)
        f->scan = ST2_SCAN_FAILED;
    else if (host != disk && (f->scan & ST2_SCAN_HIT) != 0)
        f->scan = kind(f) == SCAN_EQUAL ? f->scan : 0;
}

/* The ID says where the sector is to be; images have them in their places only. */
static void format_sector(struct fdc *f)
{
    const struct fdc_medium *m = &f->drive[selected(f)].medium;

    f->cylinder = f->data[0];
    f->sector = f->data[2];
    if (f->data[0] != f->drive[selected(f)].cylinder || f->data[1] != f->head || f->sector == 0 ||
        f->sector > m->sectors || f->data[3] != 2) {
        format_next(f);
        return;
    }
    memset(f->data, f->fifo[P_FORMAT_FILL], sizeof(f->data));
    f->phase = FDC_STORE;
}

static void moved_all(struct fdc *f)
{
    bool in = f->phase == FDC_IN;

    f->pos = 0;
    if (kind(f) == FORMAT)
        format_sector(f);
    else if (in || is_scan(f))
        next(f);
    else
        f->phase = FDC_STORE;
}

static void take(struct fdc *f, const uint8_t *from_host, uint32_t bytes)
{
    if (!is_scan(f))
        memcpy(f->data + f->pos, from_host, bytes);
    for (uint32_t i = 0; i < bytes && is_scan(f); i++)
        compare(f, from_host[i], f->data[f->pos + i]);
}

void fdc_moved(struct fdc *f, const uint8_t *from_host, uint32_t bytes, bool tc)
{
    if (f->phase == FDC_OUT)
        take(f, from_host, bytes);
    f->pos = (uint16_t)(f->pos + bytes);
    if (tc)
        f->ended = true;
    if (f->pos >= wanted(f) || tc) {
        /* A write that ends early is filled up with zeros. */
        if (f->phase == FDC_OUT && f->pos < FDC_SECTOR && kind(f) != FORMAT && !is_scan(f))
            memset(f->data + f->pos, 0, FDC_SECTOR - f->pos);
        moved_all(f);
    }
}

uint32_t fdc_dma(const struct fdc *f, const uint8_t **from)
{
    if ((f->phase != FDC_IN && f->phase != FDC_OUT) || !fdc_by_dma(f))
        return 0;
    *from = f->phase == FDC_IN ? f->data + f->pos : NULL;
    return wanted(f) - f->pos;
}

void fdc_dma_done(struct fdc *f, const uint8_t *from_host, uint32_t bytes, bool tc)
{
    fdc_moved(f, from_host, bytes, tc);
}

/* --- state --- */

bool fdc_transfer_valid(const struct fdc *f)
{
    unsigned k = kind(f);
    bool command = k == READ_TRACK || k == WRITE || k == READ || k == WRITE_DELETED ||
                   k == READ_DELETED || k == FORMAT || k == VERIFY || is_scan(f);

    if (f->phase == FDC_IDLE || f->phase == FDC_RESULT)
        return true;
    return command && selected(f) < FDC_DRIVES && f->head <= 1 && f->sector != 0 &&
           f->pos < wanted(f) && (f->phase != FDC_IN || k != FORMAT);
}
