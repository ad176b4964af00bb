/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a CD-ROM drive tells about itself and its medium: MMC-6 chapters 5 to 7, SPC-3 6.4. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/mmc_internal.h"

enum { LEAD_OUT = 0xaa, MSF_PREGAP = 150, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };

/* More than 80 minutes with some room: no CD. */
static bool is_dvd(const struct mmc *m)
{
    return m->sectors > 90 * 60 * 75;
}

int mmc_inquiry(struct mmc *m)
{
    uint8_t *p = m->data;

    if (m->cdb[1] & 1)
        return -1; /* vital product data */
    memset(p, 0, 36);
    p[0] = 5;    /* CD/DVD */
    p[1] = 0x80; /* removable */
    p[3] = 0x21; /* ATAPI */
    p[4] = 31;
    memcpy(p + 8, "DOPPEL  DVD-ROM         1.0 ", 28);
    return 36;
}

/* --- mode pages: MMC-6 7 --- */

static unsigned page_errors(uint8_t *p)
{
    p[0] = 0x01;
    p[1] = 6;
    p[3] = 5; /* retries */
    return 8;
}

static unsigned page_power(uint8_t *p)
{
    p[0] = 0x1a;
    p[1] = 10;
    return 12;
}

/* MMC-3 5.5.10; Linux' sr_mod reads it. */
static unsigned page_capabilities(const struct mmc *m, uint8_t *p)
{
    p[0] = 0x2a;
    p[1] = 20;
    p[2] = 0x3b;                                  /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
    p[4] = 0x70;                                  /* mode 2, several sessions */
    p[6] = (uint8_t)(0x29 | (m->locked ? 2 : 0)); /* tray, can eject and lock */
    st_be16(p + 8, 8468);                         /* KB/s */
    st_be16(p + 12, 512);                         /* KB of buffer */
    st_be16(p + 14, 8468);
    return 22;
}

int mmc_mode_sense(struct mmc *m, bool ten)
{
    unsigned page = m->cdb[2] & 0x3f, control = m->cdb[2] >> 6, header = ten ? 8 : 4;
    unsigned n = header;

    if (control == 3)
        return -1; /* nothing is saved */
    memset(m->data, 0, 64);
    if (page == 0x01 || page == 0x3f)
        n += page_errors(m->data + n);
    if (page == 0x1a || page == 0x3f)
        n += page_power(m->data + n);
    if (page == 0x2a || page == 0x3f)
        n += page_capabilities(m, m->data + n);
    if (n == header)
        return -1;
    if (ten)
        st_be16(m->data, (uint16_t)(n - 2));
    else
        m->data[0] = (uint8_t)(n - 1);
    m->data[ten ? 2 : 1] = m->open ? 0x71 : m->sectors != 0 ? 0x01 : 0x70;
    return (int)n;
}

/* --- table of contents: MMC-6 6.26 --- */

static void address(uint8_t *p, uint32_t lba, bool msf)
{
    if (!msf) {
        st_be32(p, lba);
        return;
    }
    lba += MSF_PREGAP;
    p[0] = 0;
    p[1] = (uint8_t)(lba / 75 / 60);
    p[2] = (uint8_t)(lba / 75 % 60);
    p[3] = (uint8_t)(lba % 75);
}

static uint8_t *track(uint8_t *p, uint8_t number, uint32_t lba, bool msf)
{
    memset(p, 0, 8);
    p[1] = 0x14; /* data */
    p[2] = number;
    address(p + 4, lba, msf);
    return p + 8;
}

/* One track of one session. */
static int toc_tracks(struct mmc *m, bool msf)
{
    uint8_t from = m->cdb[6], *p = m->data + 4;

    if (from > 1 && from != LEAD_OUT)
        return -1;
    m->data[2] = m->data[3] = 1;
    if (from <= 1)
        p = track(p, 1, 0, msf);
    p = track(p, LEAD_OUT, (uint32_t)m->sectors, msf);
    st_be16(m->data, (uint16_t)(p - m->data - 2));
    return (int)(p - m->data);
}

static int toc_sessions(struct mmc *m, bool msf)
{
    m->data[2] = m->data[3] = 1;
    track(m->data + 4, 1, 0, msf);
    st_be16(m->data, 10);
    return 12;
}

static uint8_t *full_entry(uint8_t *p, uint8_t point, uint32_t lba, bool msf)
{
    memset(p, 0, 11);
    p[0] = 1;
    p[1] = 0x14;
    p[3] = point;
    if (point == 0xa0 || point == 0xa1)
        p[8] = 1; /* first and last track */
    else
        address(p + 7, lba, msf);
    return p + 11;
}

static int toc_full(struct mmc *m, bool msf)
{
    uint8_t *p = m->data + 4;

    m->data[2] = m->data[3] = 1;
    p = full_entry(p, 0xa0, 0, true);
    p = full_entry(p, 0xa1, 0, true);
    p = full_entry(p, 0xa2, (uint32_t)m->sectors, msf);
    p = full_entry(p, 1, 0, msf);
    st_be16(m->data, (uint16_t)(p - m->data - 2));
    return (int)(p - m->data);
}

int mmc_toc(struct mmc *m)
{
    bool msf = m->cdb[1] & 2;
    unsigned format = m->cdb[2] & 15;

    if (format == 0) /* SFF-8020i: in the last byte */
        format = m->cdb[9] >> 6;
    switch (format) {
    case 0:
        return toc_tracks(m, msf);
    case 1:
        return toc_sessions(m, msf);
    case 2:
        return toc_full(m, msf);
    default:
        return -1;
    }
}

/* --- GET CONFIGURATION: MMC-6 5.3, 6.5 --- */

struct feature {
    uint16_t code;
    uint8_t flags; /* version, persistent, current */
    uint8_t len;
    uint8_t body[8];
};

/* The first one, the profiles, is not among them. */
static const struct feature features[] = {
    {0x0001, 0x0b, 8, {0, 0, 0, 2, 1, 0, 0, 0}}, /* core: ATAPI, device busy events */
    {0x0002, 0x07, 4, {2, 0, 0, 0}},             /* morphing */
    {0x0003, 0x03, 4, {0x29, 0, 0, 0}},          /* removable medium: tray, eject, lock */
    {0x0010, 0x01, 8, {0, 0, 8, 0, 0, 1, 0, 0}}, /* random reads of 2048 bytes */
    {0x001e, 0x09, 4, {0, 0, 0, 0}},             /* CD read */
    {0x001f, 0x01, 4, {0, 0, 0, 0}},             /* DVD read */
    {0x0100, 0x03, 0, {0}},                      /* power */
    {0x0105, 0x07, 4, {0, 0, 0, 8}},             /* time-out */
};
#define FEATURES (sizeof(features) / sizeof(features[0]))

static uint16_t profile(const struct mmc *m)
{
    if (m->sectors == 0 || m->open)
        return 0;
    return is_dvd(m) ? PROFILE_DVD : PROFILE_CD;
}

static uint8_t *profiles(const struct mmc *m, uint8_t *p)
{
    static const uint16_t known[] = {PROFILE_DVD, PROFILE_CD};

    st_be16(p, 0);
    p[2] = 3;
    p[3] = 8;
    p += 4;
    for (unsigned i = 0; i < 2; i++, p += 4) {
        st_be16(p, known[i]);
        p[2] = profile(m) == known[i];
        p[3] = 0;
    }
    return p;
}

/* Those that are about the medium are current if there is one of their kind. */
static bool is_current(const struct mmc *m, const struct feature *f)
{
    switch (f->code) {
    case 0x0010:
        return profile(m) != 0;
    case 0x001e:
        return profile(m) == PROFILE_CD;
    case 0x001f:
        return profile(m) == PROFILE_DVD;
    default:
        return f->flags & 1;
    }
}

int mmc_configuration(struct mmc *m)
{
    unsigned how = m->cdb[1] & 3, from = ld_be16(m->cdb + 2);
    uint8_t *p = m->data + 8;

    if (how == 3)
        return -1;
    memset(m->data, 0, 8);
    st_be16(m->data + 6, profile(m));
    if (from == 0)
        p = profiles(m, p);
    for (unsigned i = 0; i < FEATURES; i++) {
        const struct feature *f = &features[i];
        bool current = is_current(m, f);

        if (f->code < from || (how == 1 && !current) || (how == 2 && f->code != from))
            continue;
        st_be16(p, f->code);
        p[2] = (uint8_t)((f->flags & 0xfe) | current);
        p[3] = f->len;
        memcpy(p + 4, f->body, f->len);
        p += 4 + f->len;
    }
    st_be32(m->data, (uint32_t)(p - m->data) - 4);
    return (int)(p - m->data);
}

/* --- GET EVENT STATUS NOTIFICATION: MMC-6 6.6; of the medium only --- */

int mmc_event(struct mmc *m)
{
    uint8_t *p = m->data;
    bool media = m->cdb[4] & 0x10;

    if ((m->cdb[1] & 1) == 0)
        return -1; /* asynchronous */
    memset(p, 0, 8);
    p[3] = 0x10; /* the classes that there are */
    if (!media) {
        st_be16(p, 2);
        p[2] = 0x80;
        return 4;
    }
    st_be16(p, 6);
    p[2] = 4;
    p[4] = m->event;
    p[5] = (uint8_t)((m->open ? 1 : 0) | (m->sectors != 0 && !m->open ? 2 : 0));
    m->event = 0;
    return 8;
}

/* --- disc, track, DVD structures: MMC-6 6.22, 6.27, 6.23 --- */

int mmc_disc_information(struct mmc *m)
{
    uint8_t *p = m->data;

    if (m->cdb[1] & 7)
        return -1;
    memset(p, 0, 34);
    st_be16(p, 32);
    p[2] = 0x0e; /* complete, last session complete */
    p[3] = p[4] = p[5] = p[6] = 1;
    p[7] = 0x20; /* may be used without restriction */
    memset(p + 16, 0xff, 8);
    return 34;
}

int mmc_track_information(struct mmc *m)
{
    uint8_t *p = m->data;
    uint32_t at = ld_be32(m->cdb + 2);
    unsigned type = m->cdb[1] & 3;

    if ((type == 0 && at >= m->sectors) || (type != 0 && at != 1))
        return -1;
    memset(p, 0, 36);
    st_be16(p, 34);
    p[2] = p[3] = 1;
    p[5] = 4;
    p[6] = 1;
    st_be32(p + 24, (uint32_t)m->sectors);
    return 36;
}

int mmc_dvd_structure(struct mmc *m)
{
    uint8_t *p = m->data;

    if (!is_dvd(m) || m->cdb[7] != 0)
        return -1;
    memset(p, 0, 2052); /* physical format: DVD-ROM, one layer */
    st_be16(p, 2050);
    p[4] = 1;
    p[5] = 0x0f;
    p[6] = 1;
    st_be32(p + 8, 0x30000);
    st_be32(p + 12, 0x30000 + (uint32_t)m->sectors - 1);
    return 2052;
}
