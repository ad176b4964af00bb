/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of a disk: SBC-3 chapter 5, in the sizes that there are of them. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/scsi_internal.h"

enum { FUA = 0x08, WS_UNMAP = 0x08, WS_ANCHOR = 0x10, WS_NDOB = 0x01, PROTECT = 0xe0 };
enum { RANGE_HEADER = 8, RANGE = 16, RANGES_MAX = (SCSI_DATA - RANGE_HEADER) / RANGE };

/* Where a command wants what: SPC-4 4.2.2; the upper three bits of the opcode say how long it is.
 */
static void place(const uint8_t *p, uint64_t *lba, uint64_t *count)
{
    switch (p[0] >> 5) {
    case 0:
        *lba = ld_be24(p + 1) & 0x1fffff;
        *count = p[4] != 0 ? p[4] : 256;
        break;
    case 4:
        *lba = ld_be64(p + 2);
        *count = ld_be32(p + 10);
        break;
    case 5:
        *lba = ld_be32(p + 2);
        *count = ld_be32(p + 6);
        break;
    default:
        *lba = ld_be32(p + 2);
        *count = ld_be16(p + 7);
        break;
    }
}

static bool inside(const struct scsi_lun *l, uint64_t lba, uint64_t count)
{
    return lba <= l->blocks && count <= l->blocks - lba;
}

/* Nothing to say against using the medium, or what there is. */
static bool may(const struct scsi_lun *l, bool write, struct scsi_step *s)
{
    if (l->stopped)
        *s = scsi_fail(SENSE_NOT_READY, ASC_STOPPED);
    else if (write && l->id.readonly)
        *s = scsi_fail(SENSE_PROTECT, ASC_READONLY);
    else
        return true;
    return false;
}

/* The command's blocks. */
static struct scsi_step blocks(struct scsi_lun *l, enum scsi_next next)
{
    struct scsi_step s = {.next = next};
    bool write = next != SCSI_READ && next != SCSI_DONE, six = l->cdb[0] >> 5 == 0;
    uint64_t lba, count;

    place(l->cdb, &lba, &count);
    if (!six && (l->cdb[1] & PROTECT) != 0)
        return scsi_illegal(ASC_FIELD); /* there is no protection information */
    if (!may(l, write, &s))
        return s;
    if (!inside(l, lba, count))
        return scsi_illegal(ASC_LBA);
    if (count == 0)
        return scsi_done();
    s.offset = lba * SCSI_BLOCK;
    s.bytes = count * SCSI_BLOCK;
    s.durable = write && (!l->write_cache || (!six && (l->cdb[1] & FUA) != 0));
    return s;
}

static struct scsi_step write_and_verify(struct scsi_lun *l)
{
    struct scsi_step s = blocks(l, SCSI_WRITE);

    s.durable = true;
    return s;
}

/* Without a comparison there is nothing to do: an image has no bad blocks. */
static struct scsi_step verify(struct scsi_lun *l)
{
    return (l->cdb[1] & 0x06) != 0 ? scsi_illegal(ASC_FIELD) : blocks(l, SCSI_DONE);
}

static struct scsi_step seek(struct scsi_lun *l)
{
    struct scsi_step s;

    if (!may(l, false, &s))
        return s;
    return ld_be32(l->cdb + 2) < l->blocks ? scsi_done() : scsi_illegal(ASC_LBA);
}

static struct scsi_step test_ready(struct scsi_lun *l)
{
    struct scsi_step s = scsi_done();

    (void)may(l, false, &s);
    return s;
}

/* A disk that stops has its cache empty, SBC-3 5.25. */
static struct scsi_step start_stop(struct scsi_lun *l)
{
    if (l->cdb[4] >> 4 != 0)
        return scsi_done(); /* power conditions */
    l->stopped = (l->cdb[4] & 1) == 0;
    return l->stopped ? (struct scsi_step){.next = SCSI_FLUSH} : scsi_done();
}

/* --- WRITE SAME --- */

static bool is_long(const struct scsi_lun *l)
{
    return l->cdb[0] == 0x93;
}

static struct scsi_step write_same_place(struct scsi_lun *l, enum scsi_next next)
{
    uint8_t flags = l->cdb[1];
    struct scsi_step s;
    uint64_t lba, count;

    place(l->cdb, &lba, &count);
    if (!may(l, true, &s))
        return s;
    if ((flags & (PROTECT | WS_ANCHOR)) != 0 || (!is_long(l) && (flags & WS_NDOB) != 0) ||
        count == 0 || count > SCSI_FILL_MAX)
        return scsi_illegal(ASC_FIELD);
    if (!inside(l, lba, count))
        return scsi_illegal(ASC_LBA);
    return (struct scsi_step){.next = next,
                              .offset = lba * SCSI_BLOCK,
                              .bytes = count * SCSI_BLOCK,
                              .durable = !l->write_cache,
                              .unmap = (flags & WS_UNMAP) != 0};
}

static struct scsi_step write_same(struct scsi_lun *l)
{
    bool no_data = is_long(l) && (l->cdb[1] & WS_NDOB) != 0;
    struct scsi_step s = write_same_place(l, SCSI_ZERO);

    if (s.next != SCSI_ZERO || no_data)
        return s;
    return (struct scsi_step){.next = SCSI_TAKE, .bytes = SCSI_BLOCK};
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static struct scsi_step write_same_taken(struct scsi_lun *l, uint32_t len)
{
    if (len < SCSI_BLOCK)
        return scsi_illegal(ASC_PARAMETER_LENGTH);
    return write_same_place(l, is_zero(l->data, SCSI_BLOCK) ? SCSI_ZERO : SCSI_FILL);
}

/* --- UNMAP --- */

static struct scsi_step unmap(struct scsi_lun *l)
{
    uint32_t len = ld_be16(l->cdb + 7);
    struct scsi_step s;

    if (!may(l, true, &s))
        return s;
    if ((l->cdb[1] & 1) != 0)
        return scsi_illegal(ASC_FIELD); /* ANCHOR */
    return len == 0 ? scsi_done() : (struct scsi_step){.next = SCSI_TAKE, .bytes = len};
}

void scsi_range(const uint8_t *data, unsigned i, uint64_t *offset, uint64_t *bytes)
{
    const uint8_t *p = data + RANGE_HEADER + i * RANGE;
    uint64_t lba = ld_be64(p);

    *offset = lba * SCSI_BLOCK;
    *bytes = (uint64_t)ld_be32(p + 8) * SCSI_BLOCK;
}

/* SBC-3 5.28. */
static struct scsi_step unmap_taken(struct scsi_lun *l, uint32_t len)
{
    uint32_t list;

    if (len < RANGE_HEADER)
        return scsi_illegal(ASC_PARAMETER_LENGTH);
    list = ld_be16(l->data + 2);
    if (list / RANGE > RANGES_MAX)
        return scsi_illegal(ASC_PARAMETER);
    if (list > len - RANGE_HEADER)
        return scsi_illegal(ASC_PARAMETER_LENGTH);
    for (uint32_t i = 0; i < list / RANGE; i++) {
        const uint8_t *p = l->data + RANGE_HEADER + i * RANGE;

        if (!inside(l, ld_be64(p), ld_be32(p + 8)))
            return scsi_illegal(ASC_LBA);
    }
    if (list < RANGE)
        return scsi_done();
    return (struct scsi_step){.next = SCSI_DISCARD, .ranges = list / RANGE};
}

/* --- commands --- */

static struct scsi_step service_action(struct scsi_lun *l)
{
    return (l->cdb[1] & 0x1f) == 0x10 ? scsi_capacity(l, true) : scsi_illegal(ASC_OPCODE);
}

static struct scsi_step parameters(uint32_t len)
{
    return len == 0 ? scsi_done() : (struct scsi_step){.next = SCSI_TAKE, .bytes = len};
}

static bool medium_command(struct scsi_lun *l, struct scsi_step *s)
{
    switch (l->cdb[0]) {
    case 0x08: /* READ, of 6, 10, 12, 16 bytes */
    case 0x28:
    case 0xa8:
    case 0x88:
        *s = blocks(l, SCSI_READ);
        return true;
    case 0x0a:
    case 0x2a:
    case 0xaa:
    case 0x8a:
        *s = blocks(l, SCSI_WRITE);
        return true;
    case 0x2e:
    case 0xae:
    case 0x8e:
        *s = write_and_verify(l);
        return true;
    case 0x2f:
    case 0xaf:
    case 0x8f:
        *s = verify(l);
        return true;
    case 0x35: /* SYNCHRONIZE CACHE: all of it */
    case 0x91:
        *s = (struct scsi_step){.next = SCSI_FLUSH};
        return true;
    case 0x34: /* PRE-FETCH */
    case 0x90:
        *s = blocks(l, SCSI_DONE);
        return true;
    case 0x41:
    case 0x93:
        *s = write_same(l);
        return true;
    case 0x42:
        *s = unmap(l);
        return true;
    default:
        return false;
    }
}

bool scsi_disk_command(struct scsi_lun *l, struct scsi_step *s)
{
    const uint8_t *p = l->cdb;

    switch (p[0]) {
    case 0x00:
        *s = test_ready(l);
        return true;
    case 0x01: /* REZERO UNIT */
    case 0x1e: /* PREVENT ALLOW MEDIUM REMOVAL: it cannot be removed */
    case 0x16: /* RESERVE and RELEASE, from the only initiator */
    case 0x17:
    case 0x56:
    case 0x57:
        *s = scsi_done();
        return true;
    case 0x15:
        *s = parameters(p[4]);
        return true;
    case 0x55:
        *s = parameters(ld_be16(p + 7));
        return true;
    case 0x1a:
        *s = scsi_mode_sense(l, false);
        return true;
    case 0x5a:
        *s = scsi_mode_sense(l, true);
        return true;
    case 0x1b:
        *s = start_stop(l);
        return true;
    case 0x1d: /* SEND DIAGNOSTIC: the self-test passes */
        *s = (p[1] & 0x04) != 0 ? scsi_done() : scsi_illegal(ASC_FIELD);
        return true;
    case 0x25:
        *s = scsi_capacity(l, false);
        return true;
    case 0x2b:
        *s = seek(l);
        return true;
    case 0x9e:
        *s = service_action(l);
        return true;
    default:
        return medium_command(l, s);
    }
}

struct scsi_step scsi_disk_taken(struct scsi_lun *l, uint32_t len)
{
    switch (l->cdb[0]) {
    case 0x15:
        return scsi_mode_select(l, false, len);
    case 0x55:
        return scsi_mode_select(l, true, len);
    case 0x42:
        return unmap_taken(l, len);
    default:
        return write_same_taken(l, len);
    }
}
