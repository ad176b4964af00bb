/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 6300ESB's watchdog: see i6300esb_chip.h. */
#include "dev/chip/i6300esb_chip.h"

enum { PRELOAD1 = 0x0, PRELOAD2 = 0x4, STATUS = 0x8, RELOAD = 0xc };
enum { RELOAD_KICK = 0x100, RELOAD_TIMEOUT = 0x200, KEY1 = 0x80, KEY2 = 0x86 };
enum { CONFIG_TYPE = 3, CONFIG_FAST = 4, CONFIG_NO_OUTPUT = 0x20, CONFIG_WRITABLE = 0x27 };
enum { TYPE_IRQ = 0 };
enum { LOCKED = 1, ENABLED = 2, FREE_RUNNING = 4, LOCK_WRITABLE = 7 };
enum { PRELOAD_MAX = 0xfffff };

void i6300esb_reset(struct i6300esb_chip *c)
{
    *c = (struct i6300esb_chip){.preload = {PRELOAD_MAX, PRELOAD_MAX}, .timeout = c->timeout};
}

/* The first stage, with its whole time. */
static enum i6300esb_effect restart(struct i6300esb_chip *c)
{
    c->stage = 0;
    return I6300ESB_RESTART;
}

enum i6300esb_effect i6300esb_write_config(struct i6300esb_chip *c, uint16_t value)
{
    bool fast = (c->config & CONFIG_FAST) != 0;

    c->config = value & CONFIG_WRITABLE;
    return fast != ((c->config & CONFIG_FAST) != 0) ? restart(c) : I6300ESB_NOTHING;
}

enum i6300esb_effect i6300esb_write_lock(struct i6300esb_chip *c, uint8_t value)
{
    bool was = (c->lock & ENABLED) != 0;

    if ((c->lock & LOCKED) != 0)
        return I6300ESB_NOTHING;
    c->lock = value & LOCK_WRITABLE;
    return was != ((c->lock & ENABLED) != 0) ? restart(c) : I6300ESB_NOTHING;
}

uint32_t i6300esb_read(const struct i6300esb_chip *c, uint32_t offset)
{
    if (offset / 4 == STATUS / 4)
        return offset % 4 == 0 ? c->interrupt : 0;
    if (offset == RELOAD)
        return c->timeout ? RELOAD_TIMEOUT : 0;
    return 0; /* the preloads are for writing only */
}

static enum i6300esb_effect write_reload(struct i6300esb_chip *c, uint32_t value)
{
    if ((value & RELOAD_TIMEOUT) != 0)
        c->timeout = false;
    return (value & RELOAD_KICK) != 0 ? restart(c) : I6300ESB_NOTHING;
}

/* 16.3.1: two writes open the registers for one more. */
enum i6300esb_effect i6300esb_write(struct i6300esb_chip *c, uint32_t offset, uint32_t value)
{
    uint8_t steps = c->unlock;

    if (offset == STATUS) {
        c->interrupt = c->interrupt && (value & 1) == 0;
        return I6300ESB_NOTHING;
    }
    c->unlock = 0;
    if (offset == RELOAD && value == KEY1 && steps < 2)
        c->unlock = 1;
    else if (offset == RELOAD && value == KEY2 && steps == 1)
        c->unlock = 2;
    else if (steps == 2 && offset == RELOAD)
        return write_reload(c, value);
    else if (steps == 2 && (offset == PRELOAD1 || offset == PRELOAD2))
        c->preload[offset / 4] = value & PRELOAD_MAX;
    return I6300ESB_NOTHING;
}

/* The lower 15 bits of the counter, or 5, are clocks of the PCI bus: 30 ns. */
uint64_t i6300esb_stage_ns(const struct i6300esb_chip *c)
{
    unsigned shift = (c->config & CONFIG_FAST) != 0 ? 5 : 15;

    if ((c->lock & ENABLED) == 0)
        return UINT64_MAX;
    return ((uint64_t)(c->preload[c->stage] + 1) << shift) * 30;
}

enum i6300esb_effect i6300esb_stage_over(struct i6300esb_chip *c)
{
    if ((c->lock & ENABLED) == 0)
        return I6300ESB_NOTHING;
    if (c->stage == 0 && (c->lock & FREE_RUNNING) == 0) {
        c->interrupt = true;
        c->stage = 1;
        return I6300ESB_RESTART;
    }
    c->stage = 0;
    c->interrupt = true;
    if ((c->lock & FREE_RUNNING) != 0)
        return I6300ESB_RESTART;
    if ((c->config & CONFIG_NO_OUTPUT) != 0)
        return I6300ESB_RESTART;
    c->timeout = true;
    return I6300ESB_EXPIRED;
}

bool i6300esb_level(const struct i6300esb_chip *c)
{
    return c->interrupt && (c->config & CONFIG_TYPE) == TYPE_IRQ;
}

static const struct state_field fields[] = {
    STATE_FIELD_(struct i6300esb_chip, preload, STATE_U32, 2, PRELOAD_MAX),
    STATE_U16_F(struct i6300esb_chip, config),
    STATE_MAX_F(struct i6300esb_chip, lock, STATE_U8, LOCK_WRITABLE),
    STATE_MAX_F(struct i6300esb_chip, unlock, STATE_U8, 2),
    STATE_MAX_F(struct i6300esb_chip, stage, STATE_U8, 1),
    STATE_BOOL_F(struct i6300esb_chip, interrupt),
    STATE_BOOL_F(struct i6300esb_chip, timeout),
    STATE_END_F,
};
const struct state_table i6300esb_chip_state = {
    .name = "i6300esb-chip", .version = 1, .fields = fields};
