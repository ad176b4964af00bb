/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queued commands of the AHCI adapter: they go from their slot straight to the image, many at a
 * time, and are begun anew after a pause or a restore, for they may be done twice.
 */
#include "base/bits.h"
#include "dev/ahci_internal.h"

enum { FIS_BITS = 0xa1, AT_BITS = 0x58 };

static void slot_start(struct ahci_slot *q);

/* Lock held. Others that are queued stay so until the driver stops the port: 6.2.2.2. */
static void queue_failed(struct ahci_port *p, unsigned tag)
{
    struct ata_drive *d = &p->drive;

    p->halted = true;
    d->queue_failed = true;
    d->queue_tag = (uint8_t)tag;
    d->queue_status = d->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    d->queue_error = d->error = ATA_ABRT;
}

/* The end of one; not under the lock. `failed`: tells the error instead. */
static void slot_finish(struct ahci_slot *q, bool failed)
{
    struct ahci *s = q->ahci;
    struct ahci_port *p = q->port;
    unsigned i = (unsigned)(p - s->chip.port), tag = (unsigned)(q - s->slots[i]);
    uint8_t fis[8] = {FIS_BITS, AHCI_FIS_INTERRUPT};
    uint64_t area = 0;
    bool news;

    lock_take(&s->lock);
    if (failed)
        queue_failed(p, tag);
    fis[2] = p->drive.status & 0x77;
    fis[3] = p->drive.error;
    st_le32(fis + 4, failed ? 0 : 1u << tag);
    if (p->cmd & AHCI_CMD_FRE)
        area = p->fb;
    lock_drop(&s->lock);
    ahci_send(s, area, AT_BITS, fis, sizeof(fis));
    lock_take(&s->lock);
    if (p->queued >> tag & 1) {
        p->is |= AHCI_IS_SDB | (failed ? AHCI_IS_TFE : 0);
        if (!failed) {
            p->queued &= ~(1u << tag);
            p->sact &= ~(1u << tag);
        }
    }
    news = ahci_note(s);
    lock_drop(&s->lock);
    ahci_tell(s, news);
}

static void slot_done(struct block_req *r, int result)
{
    struct ahci_slot *q = r->opaque;
    struct ahci *s = q->ahci;
    struct ahci_port *p = q->port;
    unsigned i = (unsigned)(p - s->chip.port);
    bool mine, more;

    if (result == 0 && !q->write)
        for (unsigned k = 0; k < q->memory.count; k++)
            ram_written(s->cfg.ram, q->memory.gpa[k], q->memory.iov[k].iov_len);
    lock_take(&s->lock);
    q->offset += r->bytes;
    q->left -= r->bytes;
    mine = (p->queued >> (q - s->slots[i]) & 1) != 0 && !p->halted;
    more = mine && result == 0 && q->left > 0;
    if (more)
        ahci_advance(s, &q->at, r->bytes);
    lock_drop(&s->lock);
    if (mine && !more)
        slot_finish(q, result < 0);
    lock_take(&s->lock);
    q->active = false;
    p->under_way--;
    if (more && !s->unit[i].paused)
        slot_start(q);
    ata_unit_quiet(&s->unit[i]);
    lock_drop(&s->lock);
    ata_unit_kick(&s->unit[i]);
}

/* Lock held, on the loop; the request goes out with the next block_kick. */
static void slot_start(struct ahci_slot *q)
{
    struct ahci *s = q->ahci;
    unsigned i = (unsigned)(q->port - s->chip.port);
    uint64_t want = q->left < ATA_UNIT_PIECE ? q->left : ATA_UNIT_PIECE;

    q->memory.count = 0;
    q->memory.bytes = 0;
    ahci_gather(s, q->at, want, !q->write, &q->memory);
    q->req = (struct block_req){.op = q->write ? BLOCK_WRITE : BLOCK_READ,
                                .durable = q->write && (q->fua || !q->port->drive.write_cache),
                                .offset = q->offset,
                                .bytes = q->memory.bytes / ATA_SECTOR * ATA_SECTOR,
                                .iov = q->memory.iov,
                                .done = slot_done,
                                .opaque = q};
    ata_memory_shorten(&q->memory, q->req.bytes);
    q->req.iov_count = q->memory.count;
    if (q->req.bytes == 0) /* no memory: an offset that is none fails */
        q->req.offset = UINT64_MAX;
    q->active = true;
    q->port->under_way++;
    block_submit(s->unit[i].channel, &q->req);
}

/* Lock held: a queued command of the slot, from its FIS. Serial ATA 3.0, 13.6. */
static bool slot_begin(struct ahci *s, unsigned i, unsigned tag, uint32_t header, uint64_t table,
                       const uint8_t *fis)
{
    struct ahci_port *p = &s->chip.port[i];
    struct ahci_slot *q = &s->slots[i][tag];
    uint64_t lba = fis[4] | (uint32_t)fis[5] << 8 | (uint32_t)fis[6] << 16 |
                   (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
    uint32_t count = fis[3] | (uint32_t)fis[11] << 8;

    count = count != 0 ? count : 65536;
    q->ahci = s;
    q->port = p;
    q->write = fis[2] == AHCI_WRITE_QUEUED;
    q->fua = (fis[7] & 0x80) != 0;
    q->offset = lba * ATA_SECTOR;
    q->left = (uint64_t)count * ATA_SECTOR;
    q->at = (struct ahci_cursor){table, header >> 16, 0, 0};
    p->queued |= 1u << tag;
    p->sact |= 1u << tag;
    if ((unsigned)(fis[12] >> 3) != tag || !ata_on_disk(&p->drive, lba, count) ||
        (q->write && p->drive.id.readonly))
        return false;
    slot_start(q);
    return true;
}

enum ata_unit_next ahci_queue_begin(struct ahci *s, unsigned i, unsigned tag, uint32_t header,
                                    uint64_t table, const uint8_t *fis)
{
    struct ahci_port *p = &s->chip.port[i];

    if (slot_begin(s, i, tag, header, table, fis))
        return ATA_UNIT_NONE;
    queue_failed(p, tag);
    p->is |= AHCI_IS_TFE;
    return ATA_UNIT_TELL;
}

static bool is_stalled(const struct ahci *s, unsigned i, unsigned slot)
{
    return (s->chip.port[i].queued >> slot & 1) != 0 && !s->slots[i][slot].active;
}

bool ahci_queue_stalled(const struct ahci *s, unsigned i)
{
    for (unsigned slot = 0; slot < AHCI_SLOTS; slot++)
        if (is_stalled(s, i, slot))
            return true;
    return false;
}

void ahci_queue_again(struct ahci *s, unsigned i)
{
    struct ahci_port *p = &s->chip.port[i];

    for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
        uint32_t header;
        uint64_t table;
        uint8_t fis[20];

        if (!is_stalled(s, i, slot))
            continue;
        if (!ahci_fetch(s, p, slot, &header, &table, fis) ||
            !slot_begin(s, i, slot, header, table, fis)) {
            ahci_bus_error(p);
            return;
        }
    }
}
