/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A CD-ROM drive's commands: SPC-3 chapter 6 and MMC-6 chapter 6. */
#include "dev/chip/mmc.h"

#include <string.h>

#include "base/bits.h"
#include "dev/chip/mmc_internal.h"

enum asc {
    ASC_OPCODE = 0x20,
    ASC_RANGE = 0x21,
    ASC_FIELD = 0x24,
    ASC_CHANGED = 0x28,
    ASC_NO_MEDIUM = 0x3a,
    ASC_LOCKED = 0x53,
    ASC_MODE = 0x64, /* illegal mode for this track */
};

/* Events of the medium, MMC-6 table 242. */
enum { EVENT_REQUEST = 1, EVENT_NEW = 2, EVENT_GONE = 3 };

static const struct state_field fields[] = {
    STATE_U8_F(struct mmc, sense),
    STATE_U8_F(struct mmc, asc),
    STATE_U8_F(struct mmc, ascq),
    STATE_BOOL_F(struct mmc, attention),
    STATE_MAX_F(struct mmc, event, STATE_U8, EVENT_GONE),
    STATE_BOOL_F(struct mmc, open),
    STATE_BOOL_F(struct mmc, locked),
    STATE_BOOL_F(struct mmc, eject),
    STATE_END_F,
};
const struct state_table mmc_state = {.name = "mmc", .version = 1, .fields = fields};

/* --- sense --- */

void scsi_fixed_sense(uint8_t *p, uint8_t key, uint8_t asc, uint8_t ascq)
{
    memset(p, 0, SCSI_SENSE);
    p[0] = 0x70;
    p[2] = key;
    p[7] = SCSI_SENSE - 8;
    p[12] = asc;
    p[13] = ascq;
}

void scsi_descriptor_sense(uint8_t *p, uint8_t key, uint8_t asc, uint8_t ascq)
{
    memset(p, 0, SCSI_SENSE_DESCRIPTOR);
    p[0] = 0x72;
    p[1] = key;
    p[2] = asc;
    p[3] = ascq;
}

/* --- ends --- */

static struct mmc_step done(struct mmc *m)
{
    m->sense = m->asc = m->ascq = 0;
    return (struct mmc_step){MMC_DONE};
}

static struct mmc_step fail(struct mmc *m, uint8_t sense, uint8_t asc, uint8_t ascq)
{
    m->sense = sense;
    m->asc = asc;
    m->ascq = ascq;
    return (struct mmc_step){MMC_FAILED};
}

static struct mmc_step illegal(struct mmc *m, uint8_t asc)
{
    return fail(m, SENSE_ILLEGAL, asc, 0);
}

/* Up to `room` bytes of an answer of `len`, which is less than 0 if the command asks wrongly. */
static struct mmc_step answer(struct mmc *m, int len, uint32_t room)
{
    uint32_t n = (uint32_t)len < room ? (uint32_t)len : room;

    if (len < 0)
        return illegal(m, ASC_FIELD);
    if (n == 0)
        return done(m);
    return (struct mmc_step){MMC_GIVE, 0, n};
}

/* --- medium --- */

static bool is_ready(const struct mmc *m)
{
    return m->sectors != 0 && !m->open;
}

static struct mmc_step not_ready(struct mmc *m)
{
    return fail(m, SENSE_NOT_READY, ASC_NO_MEDIUM, m->open ? 2 : 1);
}

static struct mmc_step test_ready(struct mmc *m)
{
    return is_ready(m) ? done(m) : not_ready(m);
}

static struct mmc_step read_sectors(struct mmc *m, uint32_t lba, uint32_t count)
{
    if (!is_ready(m))
        return not_ready(m);
    if (lba > m->sectors || count > m->sectors - lba)
        return illegal(m, ASC_RANGE);
    if (count == 0)
        return done(m);
    return (struct mmc_step){MMC_READ, (uint64_t)lba * MMC_SECTOR, (uint64_t)count * MMC_SECTOR};
}

/* READ CD: whole sectors' user data, which is all that an image holds. */
static struct mmc_step read_cd(struct mmc *m)
{
    const uint8_t *p = m->cdb;
    uint32_t count = ld_be24(p + 6);
    unsigned type = p[1] >> 2 & 7;

    if (!is_ready(m))
        return not_ready(m);
    if ((type != 0 && type != 2 && type != 4) || p[10] != 0 ||
        ((p[9] & 0xf8) != 0x10 && (p[9] & 0xf8) != 0))
        return illegal(m, type == 1 || type == 3 || type == 5 ? ASC_MODE : ASC_FIELD);
    return read_sectors(m, ld_be32(p + 2), p[9] == 0 ? 0 : count);
}

static struct mmc_step seek(struct mmc *m, uint32_t lba)
{
    if (!is_ready(m))
        return not_ready(m);
    return lba < m->sectors ? done(m) : illegal(m, ASC_RANGE);
}

static struct mmc_step read_capacity(struct mmc *m)
{
    if (!is_ready(m))
        return not_ready(m);
    st_be32(m->data, (uint32_t)(m->sectors - 1));
    st_be32(m->data + 4, MMC_SECTOR);
    return answer(m, 8, 8);
}

static struct mmc_step request_sense(struct mmc *m)
{
    if (m->attention && m->sense == 0) {
        m->attention = false;
        scsi_fixed_sense(m->data, SENSE_ATTENTION, ASC_CHANGED, 0);
    } else {
        scsi_fixed_sense(m->data, m->sense, m->asc, m->ascq);
    }
    return answer(m, SCSI_SENSE, m->cdb[4]);
}

/* MMC-6 6.49. The tray opens with the medium in it, and the host decides what is there when it
 * closes. */
static struct mmc_step start_stop(struct mmc *m)
{
    unsigned what = m->cdb[4] & 3;

    if (what == 2 && m->locked)
        return fail(m, m->sectors != 0 ? SENSE_ILLEGAL : SENSE_NOT_READY, ASC_LOCKED, 2);
    if (what == 2 && !m->open) {
        m->open = true;
        m->event = EVENT_GONE;
        m->eject = true;
    } else if (what == 3 && m->open) {
        m->open = false;
        m->attention = m->sectors != 0;
        m->event = m->sectors != 0 ? EVENT_NEW : 0;
    }
    return done(m);
}

void mmc_medium(struct mmc *m, uint64_t sectors)
{
    bool had = m->sectors != 0;

    m->sectors = sectors;
    m->eject = false;
    if (sectors != 0) {
        m->open = false;
        m->attention = true;
        m->event = EVENT_NEW;
    } else if (had) {
        m->event = EVENT_GONE;
    }
}

void mmc_request_eject(struct mmc *m)
{
    m->event = EVENT_REQUEST;
}

/* The speed and other settings do not matter here: what the host gives is dropped. */
static struct mmc_step mode_select(struct mmc *m, uint32_t len)
{
    return len == 0 ? done(m) : (struct mmc_step){MMC_TAKE, 0, len};
}

static struct mmc_step mechanism_status(struct mmc *m)
{
    memset(m->data, 0, 8);
    m->data[1] = m->open ? 0x10 : 0;
    m->data[5] = 1;
    return answer(m, 8, ld_be16(m->cdb + 8));
}

static struct mmc_step format_capacities(struct mmc *m)
{
    memset(m->data, 0, 12);
    m->data[3] = 8;
    st_be32(m->data + 4, (uint32_t)m->sectors);
    m->data[8] = m->sectors != 0 ? 2 : 3;
    m->data[10] = MMC_SECTOR >> 8;
    return answer(m, 12, ld_be16(m->cdb + 7));
}

static struct mmc_step sub_channel(struct mmc *m)
{
    if (!is_ready(m))
        return not_ready(m);
    memset(m->data, 0, 4);
    m->data[1] = 0x15; /* there is no audio to play */
    return answer(m, (m->cdb[2] & 0x40) == 0 ? 4 : m->cdb[3] == 1 ? 4 : -1, ld_be16(m->cdb + 7));
}

/* --- commands --- */

static struct mmc_step lock_tray(struct mmc *m)
{
    m->locked = m->cdb[4] & 1;
    return done(m);
}

static struct mmc_step with_medium(struct mmc *m, int (*fn)(struct mmc *))
{
    if (!is_ready(m))
        return not_ready(m);
    return answer(m, fn(m), ld_be16(m->cdb + (m->cdb[0] == 0xad ? 8 : 7)));
}

/* Those that work with or without a medium, and tell nobody that it changed: SPC-3 5.9.5, and what
 * asks for events. */
static bool quiet(uint8_t opcode)
{
    return opcode == 0x03 || opcode == 0x12 || opcode == 0x46 || opcode == 0x4a;
}

static struct mmc_step run(struct mmc *m)
{
    const uint8_t *p = m->cdb;

    switch (p[0]) {
    case 0x00: /* TEST UNIT READY */
        return test_ready(m);
    case 0x03:
        return request_sense(m);
    case 0x12:
        return answer(m, mmc_inquiry(m), ld_be16(p + 3));
    case 0x15:
        return mode_select(m, p[4]);
    case 0x1a:
        return answer(m, mmc_mode_sense(m, false), p[4]);
    case 0x1b:
        return start_stop(m);
    case 0x1e:
        return lock_tray(m);
    case 0x23:
        return format_capacities(m);
    case 0x25:
        return read_capacity(m);
    case 0x28:
        return read_sectors(m, ld_be32(p + 2), ld_be16(p + 7));
    case 0x2b: /* SEEK */
        return seek(m, ld_be32(p + 2));
    case 0x35: /* SYNCHRONIZE CACHE */
    case 0xa7: /* SET READ AHEAD */
    case 0xbb: /* SET CD SPEED */
        return done(m);
    case 0x42:
        return sub_channel(m);
    case 0x43:
        return with_medium(m, mmc_toc);
    case 0x46:
        return answer(m, mmc_configuration(m), ld_be16(p + 7));
    case 0x4a:
        return answer(m, mmc_event(m), ld_be16(p + 7));
    case 0x51:
        return with_medium(m, mmc_disc_information);
    case 0x52:
        return with_medium(m, mmc_track_information);
    case 0x55:
        return mode_select(m, ld_be16(p + 7));
    case 0x5a:
        return answer(m, mmc_mode_sense(m, true), ld_be16(p + 7));
    case 0xa8:
        return read_sectors(m, ld_be32(p + 2), ld_be32(p + 6));
    case 0xad:
        return with_medium(m, mmc_dvd_structure);
    case 0xbd:
        return mechanism_status(m);
    case 0xbe:
        return read_cd(m);
    default:
        return illegal(m, ASC_OPCODE);
    }
}

struct mmc_step mmc_command(struct mmc *m, const uint8_t *cdb, uint8_t *data)
{
    struct mmc_step s;

    if (m->attention && !m->open && !quiet(cdb[0])) {
        m->attention = false;
        return fail(m, SENSE_ATTENTION, ASC_CHANGED, 0);
    }
    m->cdb = cdb;
    m->data = data;
    s = run(m);
    m->cdb = NULL;
    m->data = NULL;
    return s;
}

void mmc_reset(struct mmc *m)
{
    m->sense = m->asc = m->ascq = m->event = 0;
    m->attention = true;
    m->open = m->locked = m->eject = false;
}
