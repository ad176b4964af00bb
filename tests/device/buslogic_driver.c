/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "buslogic_driver.h"

#include <string.h>

#include "base/bits.h"
#include "virtio_driver.h"

enum { SENSE = 64, SEGMENTS = 96, STATUS = 14 };

void bld_find(struct bld *d, struct suite_env *env, unsigned devfn)
{
    suite_place(env, devfn);
    *d = (struct bld){.ports = env->ports,
                      .mem = ram_ptr(env->ram, 0, BLD_CCBS + BLD_CCB_COUNT * 256, true),
                      .io = (uint32_t)drv_bar(env->ports, devfn, 0)};
}

uint8_t bld_read(struct bld *d, unsigned reg)
{
    return (uint8_t)bus_read(d->ports, d->io + reg, 1);
}

void bld_write(struct bld *d, unsigned reg, uint8_t value)
{
    bus_write(d->ports, d->io + reg, value, 1);
}

unsigned bld_command(struct bld *d, uint8_t command, const uint8_t *parameters, unsigned count,
                     uint8_t *reply, unsigned room)
{
    unsigned n = 0;

    bld_write(d, 1, command);
    for (unsigned i = 0; i < count; i++)
        bld_write(d, 1, parameters[i]);
    while ((bld_read(d, 0) & 4) != 0 && n < room)
        reply[n++] = bld_read(d, 1);
    bld_write(d, 0, 0x20);
    return n;
}

void bld_start(struct bld *d, bool wide, unsigned boxes)
{
    uint8_t p[5] = {(uint8_t)boxes}, reply[1];

    d->wide = wide;
    d->boxes = boxes;
    d->out = d->in = d->ccb = 0;
    memset(d->mem + BLD_BOXES, 0, boxes * 16);
    if (wide)
        st_le32(p + 1, BLD_BOXES);
    else
        st_be24(p + 1, BLD_BOXES);
    bld_command(d, wide ? 0x81 : 0x01, p, wide ? 5 : 4, reply, 0);
    bld_command(d, 0x8f, (const uint8_t[]){wide}, 1, reply, 0); /* strict round robin, or not */
}

void bld_segment(struct bld *d, struct bld_ccb *c, uint32_t gpa, uint32_t len)
{
    c->segment[c->segments][0] = gpa;
    c->segment[c->segments++][1] = len;
}

static void put_segments(struct bld *d, const struct bld_ccb *c, uint8_t *p)
{
    for (unsigned i = 0; i < c->segments; i++)
        if (d->wide) {
            st_le32(p + 8 * i, c->segment[i][1]);
            st_le32(p + 8 * i + 4, c->segment[i][0]);
        } else {
            st_be24(p + 6 * i, c->segment[i][1]);
            st_be24(p + 6 * i + 3, c->segment[i][0]);
        }
}

static void put_ccb(struct bld *d, const struct bld_ccb *c, uint32_t at)
{
    uint8_t *p = d->mem + at;
    uint32_t data = c->segments != 0 ? at + SEGMENTS : c->data;
    uint32_t len = c->segments != 0 ? c->segments * (d->wide ? 8 : 6) : c->len;

    memset(p, 0, SENSE);
    memset(p + SENSE, 0xee, SEGMENTS - SENSE);
    put_segments(d, c, p + SEGMENTS);
    p[0] = c->opcode;
    p[2] = c->cdb_len;
    p[3] = c->sense_len;
    memcpy(p + 18, c->cdb, sizeof(c->cdb));
    if (d->wide) {
        p[1] = (uint8_t)(c->direction << 3);
        st_le32(p + 4, len);
        st_le32(p + 8, data);
        p[16] = c->target;
        p[17] = c->lun;
        st_le32(p + 36, at + SENSE);
    } else {
        p[1] = (uint8_t)(c->target << 5 | c->direction << 3 | c->lun);
        st_be24(p + 4, len);
        st_be24(p + 7, data);
    }
}

void bld_put(struct bld *d, const struct bld_ccb *c, uint8_t action)
{
    uint32_t at = BLD_CCBS + d->ccb * 256;
    uint8_t *box = d->mem + BLD_BOXES + d->out * (d->wide ? 8 : 4);

    d->ccb = (d->ccb + 1) % BLD_CCB_COUNT;
    d->out = (d->out + 1) % d->boxes;
    put_ccb(d, c, at);
    if (d->wide) {
        st_le32(box, at);
        box[7] = action;
    } else {
        st_be24(box + 1, at);
        box[0] = action;
    }
    bld_write(d, 1, 0x02);
}

void bld_submit(struct bld *d, const struct bld_ccb *c)
{
    bld_put(d, c, 1);
}

bool bld_take(struct bld *d, struct bld_result *r)
{
    unsigned size = d->wide ? 8 : 4;
    uint8_t *box = d->mem + BLD_BOXES + (d->boxes + d->in) * size, *code = box + (d->wide ? 7 : 0);
    uint32_t at = d->wide ? ld_le32(box) : ld_be24(box + 1);
    const uint8_t *p = d->mem + at;

    if (*code == 0)
        return false;
    *r = (struct bld_result){.code = *code, .adapter = p[STATUS], .status = p[STATUS + 1]};
    r->residual = d->wide ? ld_le32(p + 4) : ld_be24(p + 4);
    memcpy(r->sense, d->wide ? p + SENSE : p + 18 + p[2], sizeof(r->sense));
    *code = 0;
    d->in = (d->in + 1) % d->boxes;
    return true;
}
