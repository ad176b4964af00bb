/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a logical unit tells about itself: SPC-4 6.6, 6.33, chapter 7; SBC-3 5.15, chapter 6. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/scsi_internal.h"

static bool is_cdrom(const struct scsi_lun *l)
{
    return l->id.kind == SCSI_CDROM;
}

static uint8_t type_of(const struct scsi_lun *l)
{
    return is_cdrom(l) ? 5 : 0;
}

/* --- INQUIRY --- */

/* Padded with spaces. */
static void text(uint8_t *p, const char *s, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        p[i] = *s != '\0' ? (uint8_t)*s++ : ' ';
}

static void names(const struct scsi_lun *l, uint8_t *p)
{
    text(p, "DOPPEL", 8);
    text(p + 8, is_cdrom(l) ? "DVD-ROM" : "HARDDISK", 16);
}

static unsigned page_serial(const struct scsi_lun *l, uint8_t *p)
{
    unsigned n = (unsigned)strnlen(l->id.serial, sizeof(l->id.serial));

    memcpy(p, l->id.serial, n);
    return n;
}

/* A name made of vendor, product and serial number: SPC-4 7.8.6.3. */
static unsigned page_designators(const struct scsi_lun *l, uint8_t *p)
{
    unsigned n;

    p[0] = 0x02; /* ASCII */
    p[1] = 0x01; /* of the unit, T10 vendor ID */
    names(l, p + 4);
    n = 24 + page_serial(l, p + 28);
    p[3] = (uint8_t)n;
    return 4 + n;
}

static unsigned page_limits(const struct scsi_lun *l, uint8_t *p)
{
    p[0] = 0x01;                                             /* WSNZ */
    st_be16(p + 2, (uint16_t)(l->id.physical / SCSI_BLOCK)); /* granularity */
    if (!l->id.readonly) {
        st_be32(p + 16, UINT32_MAX); /* blocks and descriptors of an UNMAP */
        st_be32(p + 20, 255);
        st_be32(p + 24, l->id.physical / SCSI_BLOCK);
        st_be32(p + 36, SCSI_FILL_MAX); /* the upper half of 64 bits is 0 */
    }
    return 60;
}

static unsigned page_characteristics(uint8_t *p)
{
    st_be16(p, 1); /* does not rotate */
    return 60;
}

/* UNMAP, WRITE SAME of both sizes with UNMAP; thin. */
static unsigned page_provisioning(uint8_t *p)
{
    p[1] = 0xe0;
    p[2] = 0x02;
    return 4;
}

static unsigned page_list(const struct scsi_lun *l, uint8_t *p)
{
    static const uint8_t pages[] = {0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2};
    unsigned n = is_cdrom(l) ? 3 : l->id.readonly ? 5 : 6;

    memcpy(p, pages, n);
    return n;
}

static int vital_page(const struct scsi_lun *l, uint8_t page, uint8_t *p)
{
    if (is_cdrom(l) && page >= 0xb0)
        return -1;
    switch (page) {
    case 0x00:
        return (int)page_list(l, p);
    case 0x80:
        return (int)page_serial(l, p);
    case 0x83:
        return (int)page_designators(l, p);
    case 0xb0:
        return (int)page_limits(l, p);
    case 0xb1:
        return (int)page_characteristics(p);
    case 0xb2:
        return l->id.readonly ? -1 : (int)page_provisioning(p);
    default:
        return -1;
    }
}

static struct scsi_step vital(struct scsi_lun *l)
{
    uint8_t *p = l->data, page = l->cdb[2];
    int n;

    memset(p, 0, 128);
    n = vital_page(l, page, p + 4);
    if (n < 0)
        return scsi_illegal(ASC_FIELD);
    p[0] = type_of(l);
    p[1] = page;
    st_be16(p + 2, (uint16_t)n);
    return scsi_answer((uint32_t)n + 4, ld_be16(l->cdb + 3));
}

struct scsi_step scsi_inquiry(struct scsi_lun *l)
{
    uint8_t *p = l->data;

    if ((l->cdb[1] & 1) != 0)
        return vital(l);
    if (l->cdb[2] != 0)
        return scsi_illegal(ASC_FIELD);
    memset(p, 0, 36);
    p[0] = type_of(l);
    p[1] = is_cdrom(l) ? 0x80 : 0; /* removable */
    p[2] = 6;                      /* SPC-4 */
    p[3] = 0x12;                   /* addresses as SAM has them; format 2 */
    p[4] = 31;
    p[7] = 0x32; /* wide and synchronous transfers, queues */
    names(l, p + 8);
    text(p + 32, "1.0", 4);
    return scsi_answer(36, ld_be16(l->cdb + 3));
}

/* There is unit 0. */
struct scsi_step scsi_report_luns(const uint8_t *cdb, uint8_t *data)
{
    uint32_t room = ld_be32(cdb + 6);
    unsigned n = cdb[2] == 1 ? 0 : 8; /* 1: well-known ones only */

    if (cdb[2] > 2 || room < 16)
        return scsi_illegal(ASC_FIELD);
    memset(data, 0, 16);
    st_be32(data, n);
    return scsi_answer(8 + n, room);
}

/* --- capacity --- */

struct scsi_step scsi_capacity(struct scsi_lun *l, bool long_form)
{
    uint64_t last = l->blocks - 1;
    uint8_t *p = l->data;

    if (l->stopped)
        return scsi_fail(SENSE_NOT_READY, ASC_STOPPED);
    memset(p, 0, 32);
    if (!long_form) {
        st_be32(p, last < UINT32_MAX ? (uint32_t)last : UINT32_MAX);
        st_be32(p + 4, SCSI_BLOCK);
        return scsi_answer(8, 8);
    }
    st_be64(p, last);
    st_be32(p + 8, SCSI_BLOCK);
    p[13] = (uint8_t)__builtin_ctz(l->id.physical / SCSI_BLOCK);
    p[14] = l->id.readonly ? 0 : 0x80; /* LBPME */
    return scsi_answer(32, ld_be32(l->cdb + 10));
}

/* --- mode pages --- */

enum mode_control { CURRENT, CHANGEABLE, DEFAULT, SAVED };
enum { WRITE_CACHE = 0x04 };

static unsigned mode_errors(const struct scsi_lun *l, enum mode_control c, uint8_t *p)
{
    p[0] = 0x01;
    p[1] = 10;
    if (c != CHANGEABLE)
        p[2] = 0x80; /* writes are relocated */
    return 12;
}

/* SBC-3 6.4.5 */
static unsigned mode_caching(const struct scsi_lun *l, enum mode_control c, uint8_t *p)
{
    p[0] = 0x08;
    p[1] = 18;
    if (c == CHANGEABLE || c == DEFAULT || l->write_cache)
        p[2] = WRITE_CACHE;
    return 20;
}

/* SPC-4 7.5.7 */
static unsigned mode_control(const struct scsi_lun *l, enum mode_control c, uint8_t *p)
{
    p[0] = 0x0a;
    p[1] = 10;
    if (c != CHANGEABLE)
        p[3] = 0x10; /* the order of commands is free */
    return 12;
}

static unsigned mode_exceptions(const struct scsi_lun *l, enum mode_control c, uint8_t *p)
{
    p[0] = 0x1c;
    p[1] = 10;
    return 12;
}

struct mode_page {
    uint8_t number, len;
    unsigned (*fill)(const struct scsi_lun *l, enum mode_control c, uint8_t *p);
};

static const struct mode_page mode_pages[] = {{0x01, 12, mode_errors},
                                              {0x08, 20, mode_caching},
                                              {0x0a, 12, mode_control},
                                              {0x1c, 12, mode_exceptions}};
#define MODE_PAGES (sizeof(mode_pages) / sizeof(mode_pages[0]))

static const struct mode_page *find_page(uint8_t number)
{
    for (unsigned i = 0; i < MODE_PAGES; i++)
        if (mode_pages[i].number == number)
            return &mode_pages[i];
    return NULL;
}

/* SBC-3 6.4.2: eight bytes, without long LBAs. */
static unsigned block_descriptor(const struct scsi_lun *l, uint8_t *p)
{
    st_be32(p, l->blocks < UINT32_MAX ? (uint32_t)l->blocks : UINT32_MAX);
    st_be32(p + 4, SCSI_BLOCK);
    return 8;
}

struct scsi_step scsi_mode_sense(struct scsi_lun *l, bool ten)
{
    unsigned page = l->cdb[2] & 0x3f, control = l->cdb[2] >> 6, header = ten ? 8 : 4, n = header;
    bool descriptor = (l->cdb[1] & 0x08) == 0;
    uint8_t *p = l->data;

    if (control == SAVED)
        return scsi_illegal(ASC_SAVING);
    if ((l->cdb[3] != 0 && l->cdb[3] != 0xff) || (page != 0x3f && find_page((uint8_t)page) == NULL))
        return scsi_illegal(ASC_FIELD);
    memset(p, 0, 256);
    if (descriptor)
        n += block_descriptor(l, p + n);
    for (unsigned i = 0; i < MODE_PAGES; i++)
        if (page == 0x3f || page == mode_pages[i].number)
            n += mode_pages[i].fill(l, (enum mode_control)control, p + n);
    p[ten ? 3 : 2] = (uint8_t)(0x10 | (l->id.readonly ? 0x80 : 0)); /* knows DPO and FUA */
    p[ten ? 7 : 3] = descriptor ? 8 : 0;
    if (ten)
        st_be16(p, (uint16_t)(n - 2));
    else
        p[0] = (uint8_t)(n - 1);
    return scsi_answer(n, ten ? ld_be16(l->cdb + 7) : l->cdb[4]);
}

/* A page says what it says now but for bits that may change. */
static bool is_acceptable(const struct scsi_lun *l, const struct mode_page *m, const uint8_t *p)
{
    uint8_t now[32] = {0}, mask[32] = {0};

    (void)m->fill(l, CURRENT, now);
    (void)m->fill(l, CHANGEABLE, mask);
    for (unsigned i = 2; i < m->len; i++)
        if (((p[i] ^ now[i]) & ~mask[i]) != 0)
            return false;
    return true;
}

/* All is looked at before anything changes. */
struct scsi_step scsi_mode_select(struct scsi_lun *l, bool ten, uint32_t len)
{
    uint32_t header = ten ? 8 : 4, at;
    bool cache = l->write_cache;

    if ((l->cdb[1] & 1) != 0 || (l->cdb[1] & 0x10) == 0)
        return scsi_illegal(ASC_FIELD); /* to be saved, or not in pages */
    if (len < header)
        return scsi_illegal(ASC_PARAMETER_LENGTH);
    at = header + (ten ? ld_be16(l->data + 6) : l->data[3]);
    while (at < len) {
        const uint8_t *p = l->data + at;
        const struct mode_page *m = find_page(p[0] & 0x7f);

        if (m == NULL)
            return scsi_illegal(ASC_PARAMETER);
        if (len - at < m->len || p[1] != m->len - 2)
            return scsi_illegal(ASC_PARAMETER_LENGTH);
        if (!is_acceptable(l, m, p))
            return scsi_illegal(ASC_PARAMETER);
        if (m->number == 0x08)
            cache = (p[2] & WRITE_CACHE) != 0;
        at += m->len;
    }
    if (l->write_cache && !cache) {
        l->write_cache = false;
        return (struct scsi_step){.next = SCSI_FLUSH};
    }
    l->write_cache = cache;
    return scsi_done();
}
