/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A parallel port: see lpt_chip.h. Timing of the handshake: IEEE 1284-1994, 6.2, compatibility. */
#include "dev/chip/lpt_chip.h"

#include <string.h>

void lpt_reset(struct lpt_chip *c)
{
    memset(c, 0, sizeof(*c));
}

static uint8_t status(struct lpt_chip *c)
{
    uint8_t v = LPT_STATUS_NERROR | LPT_STATUS_SELECT | LPT_STATUS_NACK | 3; /* 0, 1: not there */

    if (!c->busy)
        v |= LPT_STATUS_NBUSY;
    if (!c->interrupted)
        v |= LPT_STATUS_IRQ;
    c->interrupted = false;
    return v;
}

uint8_t lpt_read(struct lpt_chip *c, unsigned reg)
{
    if (reg == LPT_DATA)
        return (c->control & LPT_CONTROL_INPUT) != 0 ? 0xff : c->data; /* nobody drives them */
    return reg == LPT_STATUS ? status(c) : c->control | 0xc0;
}

/* The printer takes a byte when the strobe begins, and acknowledges it when that has ended. */
static unsigned strobe(struct lpt_chip *c, uint8_t *byte)
{
    bool on = (c->control & LPT_CONTROL_STROBE) != 0;
    bool listens = (c->control & LPT_CONTROL_NINIT) != 0 && (c->control & LPT_CONTROL_SELECT) != 0;

    if (on && !c->busy && listens) {
        c->busy = true;
        c->byte = (c->control & LPT_CONTROL_INPUT) != 0 ? 0xff : c->data;
    } else if (!listens) {
        c->busy = false;
    } else if (!on && c->busy) {
        c->busy = false;
        *byte = c->byte;
        if ((c->control & LPT_CONTROL_IRQ) == 0)
            return LPT_PRINTED;
        c->interrupted = true;
        return LPT_PRINTED | LPT_EDGE;
    }
    return 0;
}

unsigned lpt_write(struct lpt_chip *c, unsigned reg, uint8_t value, uint8_t *byte)
{
    if (reg == LPT_DATA)
        c->data = value;
    if (reg != LPT_CONTROL)
        return 0;
    /* A strobe that goes on is no new one. */
    bool again = (c->control & value & LPT_CONTROL_STROBE) != 0;

    c->control = value & 0x3f;
    return again && !c->busy ? 0 : strobe(c, byte);
}

static const struct state_field fields[] = {
    STATE_U8_F(struct lpt_chip, data),
    STATE_MAX_F(struct lpt_chip, control, STATE_U8, 0x3f),
    STATE_BOOL_F(struct lpt_chip, busy),
    STATE_U8_F(struct lpt_chip, byte),
    STATE_BOOL_F(struct lpt_chip, interrupted),
    STATE_END_F,
};
const struct state_table lpt_chip_state = {.name = "lpt", .version = 1, .fields = fields};
