/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and timers of the OPL3: see opl3.h. */
#include <errno.h>
#include <string.h>

#include "dev/chip/opl3_internal.h"

enum { TIMER_CONTROL = 4, RHYTHM = 0xbd, NEW = 5, FOUR = 4, KEY_ON = 0x20 };
enum { STATUS_IRQ = 0x80, TIMER_RESET = 0x80, TIMER1 = 0x40, TIMER2 = 0x20 };

void opl3_reset(struct opl3 *o)
{
    memset(o, 0, sizeof(*o));
    o->noise = 1;
    for (unsigned i = 0; i < OPL3_OPERATORS; i++) {
        o->op[i].env = OPL3_SILENT;
        o->op[i].stage = OPL3_RELEASE;
    }
}

/* --- timers: 80 and 320 microseconds for each count --- */

static void run_timers(struct opl3 *o, uint64_t now)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t period = (256u - o->reg[0][2 + i]) * (i == 0 ? 80000u : 320000u);
        uint64_t passed = now > o->started[i] ? now - o->started[i] : 0;
        uint8_t flag = TIMER1 >> i;

        if ((o->reg[0][TIMER_CONTROL] >> i & 1) == 0 || passed < period)
            continue;
        o->started[i] = now - passed % period;
        if ((o->reg[0][TIMER_CONTROL] & flag) == 0)
            o->status |= flag | STATUS_IRQ;
    }
}

static void timer_control(struct opl3 *o, uint8_t value, uint64_t now)
{
    uint8_t begins = (uint8_t)(value & ~o->reg[0][TIMER_CONTROL]);

    if ((value & TIMER_RESET) != 0) { /* and nothing else */
        o->status = 0;
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        if ((begins >> i & 1) != 0)
            o->started[i] = now;
    o->reg[0][TIMER_CONTROL] = value;
}

void opl3_turn_times(struct opl3 *o, uint64_t now)
{
    for (unsigned i = 0; i < 2; i++)
        o->started[i] = now > o->started[i] ? now - o->started[i] : 0;
}

/* --- registers --- */

static void key_channel(struct opl3 *o, unsigned channel, bool down)
{
    unsigned first = opl3_first(channel);

    if (opl3_four(o, channel, 1)) /* its first half has the key */
        return;
    opl3_key(o, first, OPL3_KEY_CHANNEL, down);
    opl3_key(o, first + 3, OPL3_KEY_CHANNEL, down);
    if (!opl3_four(o, channel, 0))
        return;
    opl3_key(o, first + 6, OPL3_KEY_CHANNEL, down);
    opl3_key(o, first + 9, OPL3_KEY_CHANNEL, down);
}

/* Bits of the rhythm register, and the operators that they hold. */
static void key_rhythm(struct opl3 *o)
{
    static const struct {
        uint8_t bit, op;
    } drums[] = {{0x10, 12}, {0x10, 15}, {0x08, 16}, {0x04, 14}, {0x02, 17}, {0x01, 13}};
    uint8_t v = o->reg[0][RHYTHM];

    for (unsigned i = 0; i < sizeof(drums) / sizeof(drums[0]); i++)
        opl3_key(o, drums[i].op, OPL3_KEY_RHYTHM,
                 (v & OPL3_RHYTHM) != 0 && (v & drums[i].bit) != 0);
}

static void write_register(struct opl3 *o, uint8_t value, uint64_t now)
{
    unsigned set = o->address >> 8, at = o->address & 0xff;

    run_timers(o, now);
    if (set == 1 && at != NEW && !opl3_new(o)) /* an OPL2 has no second set */
        return;
    if (set == 0 && at == TIMER_CONTROL) {
        timer_control(o, value, now);
        return;
    }
    o->reg[set][at] = value;
    if (at >= 0xb0 && at <= 0xb8)
        key_channel(o, set * 9 + at - 0xb0, (value & KEY_ON) != 0);
    else if (set == 0 && at == RHYTHM)
        key_rhythm(o);
}

uint8_t opl3_read(struct opl3 *o, unsigned port, uint64_t now)
{
    if (port != 0)
        return 0xff;
    run_timers(o, now);
    return o->status; /* bits 1 and 2, which an OPL2 has set, are 0 */
}

void opl3_write(struct opl3 *o, unsigned port, uint8_t value, uint64_t now)
{
    if (port % 2 == 0)
        o->address = (uint16_t)(port / 2 << 8 | value);
    else
        write_register(o, value, now);
}

/* --- state --- */

static int validate(const void *object, struct err *e)
{
    const struct opl3 *o = object;

    if (o->noise == 0)
        return err_set(e, EINVAL, "opl3: the noise generator stands still");
    return 0;
}

static const struct state_field op_fields[] = {
    STATE_MAX_F(struct opl3_operator, phase, STATE_U32, 0x7ffff),
    STATE_MAX_F(struct opl3_operator, env, STATE_U16, OPL3_SILENT),
    STATE_MAX_F(struct opl3_operator, stage, STATE_U8, OPL3_STAGES - 1),
    STATE_MAX_F(struct opl3_operator, key, STATE_U8, 3),
    STATE_ARRAY_F(struct opl3_operator, out, STATE_U16, 2),
    STATE_END_F,
};
static const struct state_table op_state = {
    .name = "opl3-operator", .version = 1, .fields = op_fields};

static const struct state_field fields[] = {
    STATE_BYTES_F(struct opl3, reg),
    STATE_MAX_F(struct opl3, address, STATE_U16, 0x1ff),
    STATE_STRUCT_F(struct opl3, op, OPL3_OPERATORS, &op_state),
    STATE_U32_F(struct opl3, clock),
    STATE_MAX_F(struct opl3, noise, STATE_U32, 0x7fffff),
    STATE_U8_F(struct opl3, status),
    STATE_ARRAY_F(struct opl3, started, STATE_U64, 2),
    STATE_END_F,
};
const struct state_table opl3_state = {
    .name = "opl3", .version = 1, .fields = fields, .validate = validate};
