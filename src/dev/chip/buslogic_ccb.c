/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mailboxes, CCBs and segments of the BT-958 in both formats; see buslogic_chip.h. */
#include <string.h>

#include "base/bits.h"
#include "dev/chip/buslogic_chip.h"

enum opcode {
    OP_COMMAND = 0x00,
    OP_SCATTERED = 0x02,
    OP_COMMAND_RESIDUAL = 0x03,
    OP_SCATTERED_RESIDUAL = 0x04,
    OP_RESET = 0x81,
};
enum { SENSE_DEFAULT = 14, SENSE_NONE_WANTED = 1 };

/* --- mailboxes --- */

struct buslogic_mail buslogic_mail(const struct buslogic_chip *c, bool incoming)
{
    struct buslogic_mail m = {.epoch = c->epoch,
                              .at = c->base,
                              .boxes = c->boxes,
                              .next = incoming ? c->incoming : c->outgoing,
                              .wide = c->wide_boxes,
                              .wide_luns = c->wide_luns,
                              .strict = c->strict};

    if (incoming) /* they are behind the outgoing ones */
        m.at += m.boxes * buslogic_box_size(&m);
    return m;
}

unsigned buslogic_box_size(const struct buslogic_mail *m)
{
    return m->wide ? 8 : 4;
}

uint32_t buslogic_box_at(const struct buslogic_mail *m)
{
    return m->at + m->next * buslogic_box_size(m);
}

void buslogic_box_pass(struct buslogic_mail *m)
{
    m->next = (uint8_t)((m->next + 1) % m->boxes);
}

struct buslogic_box buslogic_box(const struct buslogic_mail *m, const uint8_t *p)
{
    if (m->wide)
        return (struct buslogic_box){ld_le32(p), p[7], 7};
    return (struct buslogic_box){ld_be24(p + 1), p[0], 0};
}

void buslogic_box_fill(const struct buslogic_mail *m, uint8_t *p, const struct buslogic_result *r)
{
    if (!m->wide) {
        p[0] = r->code;
        st_be24(p + 1, r->ccb);
        return;
    }
    st_le32(p, r->ccb);
    p[4] = r->adapter;
    p[5] = r->target;
    p[6] = 0;
    p[7] = r->code;
}

/* --- CCBs --- */

static uint8_t wanted_sense(uint8_t len)
{
    return len == 0 ? SENSE_DEFAULT : len == SENSE_NONE_WANTED ? 0 : len;
}

static void wide(const struct buslogic_mail *m, const uint8_t *p, struct buslogic_ccb *b)
{
    b->direction = (enum buslogic_direction)(p[1] >> 3 & 3);
    b->len = ld_le32(p + 4);
    b->data = ld_le32(p + 8);
    b->target = p[16];
    b->lun = p[17] & (m->wide_luns ? 0x3f : 0x07);
    b->sense = ld_le32(p + 36);
}

/* The sense data follow the CDB. */
static void narrow(const uint8_t *p, uint32_t at, struct buslogic_ccb *b)
{
    b->direction = (enum buslogic_direction)(p[1] >> 3 & 3);
    b->target = p[1] >> 5;
    b->lun = p[1] & 7;
    b->len = ld_be24(p + 4);
    b->data = ld_be24(p + 7);
    b->sense = at + 18 + p[2];
}

struct buslogic_ccb buslogic_ccb(const struct buslogic_mail *m, const uint8_t *p, uint32_t at)
{
    struct buslogic_ccb b = {.opcode = p[0], .cdb_len = p[2], .sense_len = wanted_sense(p[3])};

    b.reset = p[0] == OP_RESET;
    b.scattered = p[0] == OP_SCATTERED || p[0] == OP_SCATTERED_RESIDUAL;
    b.residual = p[0] == OP_COMMAND_RESIDUAL || p[0] == OP_SCATTERED_RESIDUAL;
    if (m->wide)
        wide(m, p, &b);
    else
        narrow(p, at, &b);
    memcpy(b.cdb, p + 18, b.cdb_len < BUSLOGIC_CDB ? b.cdb_len : BUSLOGIC_CDB);
    return b;
}

bool buslogic_is_valid(const struct buslogic_ccb *b)
{
    return b->reset || b->scattered || b->residual || b->opcode == OP_COMMAND;
}

unsigned buslogic_put_length(const struct buslogic_mail *m, uint8_t p[4], uint32_t len)
{
    if (m->wide) {
        st_le32(p, len);
        return 4;
    }
    st_be24(p, len);
    return 3;
}

unsigned buslogic_segment_size(const struct buslogic_mail *m)
{
    return m->wide ? 8 : 6;
}

void buslogic_segment(const struct buslogic_mail *m, const uint8_t *p, uint32_t *at, uint32_t *len)
{
    *len = m->wide ? ld_le32(p) : ld_be24(p);
    *at = m->wide ? ld_le32(p + 4) : ld_be24(p + 3);
}
