/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cascaded Intel 8259A. The contract is in the header. */
#include "dev/chip/i8259.h"

#include <string.h>

enum {
    ICW1_IC4 = 0x01,
    ICW1_SNGL = 0x02,
    ICW1_SELECT = 0x10,
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10,
    OCW3_SELECT = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_POLL = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40,
};

enum { MASTER, SLAVE };

/* Lines whose trigger can be chosen: not the timer, keyboard, cascade, RTC and FPU error. */
static const uint8_t elcr_mask[2] = {0xf8, 0xde};

static const struct state_field chip_fields[] = {
    STATE_U8_F(struct i8259, lines),
    STATE_U8_F(struct i8259, irr),
    STATE_U8_F(struct i8259, isr),
    STATE_U8_F(struct i8259, imr),
    STATE_U8_F(struct i8259, elcr),
    STATE_MAX_F(struct i8259, lowest, STATE_U8, 7),
    STATE_U8_F(struct i8259, base),
    STATE_MAX_F(struct i8259, icw, STATE_U8, 4),
    STATE_BOOL_F(struct i8259, icw4),
    STATE_BOOL_F(struct i8259, single),
    STATE_BOOL_F(struct i8259, auto_eoi),
    STATE_BOOL_F(struct i8259, rotate_auto_eoi),
    STATE_BOOL_F(struct i8259, nested),
    STATE_BOOL_F(struct i8259, special_mask),
    STATE_BOOL_F(struct i8259, poll),
    STATE_BOOL_F(struct i8259, read_isr),
    STATE_END_F,
};

static const struct state_table chip_state = {
    .name = "i8259-chip", .version = 1, .fields = chip_fields};

static const struct state_field pair_fields[] = {
    STATE_STRUCT_F(struct i8259_pair, chip, 2, &chip_state),
    STATE_END_F,
};

const struct state_table i8259_pair_state = {.name = "i8259", .version = 1, .fields = pair_fields};

/* The level-triggered requests follow their lines. */
static void follow_levels(struct i8259 *c)
{
    c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->lines & c->elcr));
}

/* The line of highest priority in `set`, as its rank (0: highest), or 8. */
static unsigned best_rank(const struct i8259 *c, uint8_t set)
{
    unsigned rank = 0;

    while (rank < 8 && (set >> ((c->lowest + 1 + rank) & 7) & 1) == 0)
        rank++;
    return rank;
}

static unsigned line_of_rank(const struct i8259 *c, unsigned rank)
{
    return (c->lowest + 1 + rank) & 7;
}

/*
 * The line that the chip requests service for, or -1. A request must beat what is in service; in
 * special mask mode only unmasked lines count as in service, and in special fully nested mode a
 * slave does not block itself. `irr`: requests including the cascade.
 */
static int requested(const struct i8259 *c, uint8_t irr)
{
    uint8_t blocking = c->isr;
    unsigned rank = best_rank(c, irr & (uint8_t)~c->imr);

    if (c->special_mask)
        blocking &= (uint8_t)~c->imr;
    if (c->nested)
        blocking &= (uint8_t) ~(1u << I8259_CASCADE);
    return rank < best_rank(c, blocking) ? (int)line_of_rank(c, rank) : -1;
}

static int slave_request(const struct i8259_pair *p)
{
    return p->chip[SLAVE].icw != 0 ? -1 : requested(&p->chip[SLAVE], p->chip[SLAVE].irr);
}

static int master_request(const struct i8259_pair *p)
{
    const struct i8259 *c = &p->chip[MASTER];
    uint8_t irr = c->irr & (uint8_t) ~(1u << I8259_CASCADE);

    if (slave_request(p) >= 0)
        irr |= 1u << I8259_CASCADE;
    return c->icw != 0 ? -1 : requested(c, irr);
}

void i8259_pair_reset(struct i8259_pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t lines = p->chip[i].lines;

        memset(&p->chip[i], 0, sizeof(p->chip[i]));
        p->chip[i].lines = lines;
        p->chip[i].lowest = 7;
        p->chip[i].base = i == MASTER ? 0x08 : 0x70;
    }
}

void i8259_pair_set_line(struct i8259_pair *p, unsigned line, bool level)
{
    struct i8259 *c = &p->chip[line >> 3 & 1];
    uint8_t bit = (uint8_t)(1u << (line & 7)), old = c->lines;

    if (line == I8259_CASCADE)
        return;
    c->lines = (uint8_t)(level ? old | bit : old & ~bit);
    if (level && (old & bit) == 0)
        c->irr |= bit;
    follow_levels(c);
}

bool i8259_pair_intr(const struct i8259_pair *p)
{
    return master_request(p) >= 0;
}

/* The request becomes the one in service. */
static void enter_service(struct i8259 *c, unsigned line)
{
    uint8_t bit = (uint8_t)(1u << line);

    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->rotate_auto_eoi)
        c->lowest = (uint8_t)line;
    c->irr &= (uint8_t)~bit;
    follow_levels(c);
}

/* A request that vanished before INTA gives line 7, without a bit in service (data sheet,
 * "spurious interrupts"). */
static uint8_t acknowledge_slave(struct i8259_pair *p)
{
    struct i8259 *c = &p->chip[SLAVE];
    int line = slave_request(p);

    if (line < 0)
        return c->base + 7;
    enter_service(c, (unsigned)line);
    return (uint8_t)(c->base + line);
}

uint8_t i8259_pair_acknowledge(struct i8259_pair *p)
{
    struct i8259 *c = &p->chip[MASTER];
    int line = master_request(p);

    if (line < 0)
        return c->base + 7;
    enter_service(c, (unsigned)line);
    return line == I8259_CASCADE ? acknowledge_slave(p) : (uint8_t)(c->base + line);
}

static void write_icw1(struct i8259 *c, uint8_t value)
{
    c->icw = 2;
    c->icw4 = (value & ICW1_IC4) != 0;
    c->single = (value & ICW1_SNGL) != 0;
    c->irr = 0; /* edges must come anew */
    c->isr = c->imr = 0;
    c->lowest = 7;
    c->auto_eoi = c->rotate_auto_eoi = c->nested = false;
    c->special_mask = c->poll = c->read_isr = false;
    follow_levels(c);
}

static void write_icw(struct i8259 *c, uint8_t value)
{
    switch (c->icw) {
    case 2:
        c->base = value & 0xf8;
        c->icw = !c->single ? 3 : c->icw4 ? 4 : 0;
        break;
    case 3: /* the wiring of the cascade is fixed */
        c->icw = c->icw4 ? 4 : 0;
        break;
    default:
        c->auto_eoi = (value & ICW4_AEOI) != 0;
        c->nested = (value & ICW4_SFNM) != 0;
        c->icw = 0;
        break;
    }
}

/* The non-specific EOI ends the service of highest priority that special mask mode does not hide.
 */
static int end_of_interrupt(struct i8259 *c)
{
    uint8_t isr = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
    unsigned rank = best_rank(c, isr);
    unsigned line = line_of_rank(c, rank);

    if (rank == 8)
        return -1;
    c->isr &= (uint8_t) ~(1u << line);
    return (int)line;
}

static void write_ocw2(struct i8259 *c, uint8_t value)
{
    uint8_t level = value & 7;
    int line;

    switch (value >> 5) {
    case 0: /* clear rotate in automatic EOI mode */
    case 4: /* set it */
        c->rotate_auto_eoi = value >> 5 == 4;
        break;
    case 1: /* non-specific EOI */
    case 5: /* the same with rotation */
        line = end_of_interrupt(c);
        if (value >> 5 == 5 && line >= 0)
            c->lowest = (uint8_t)line;
        break;
    case 3: /* specific EOI */
        c->isr &= (uint8_t) ~(1u << level);
        break;
    case 7: /* specific EOI with rotation */
        c->isr &= (uint8_t) ~(1u << level);
        c->lowest = level;
        break;
    case 6: /* set priority */
        c->lowest = level;
        break;
    }
}

static void write_ocw3(struct i8259 *c, uint8_t value)
{
    c->poll = (value & OCW3_POLL) != 0;
    if ((value & OCW3_RR) != 0)
        c->read_isr = (value & OCW3_RIS) != 0;
    if ((value & OCW3_ESMM) != 0)
        c->special_mask = (value & OCW3_SMM) != 0;
}

void i8259_pair_write(struct i8259_pair *p, unsigned which, unsigned a0, uint8_t value)
{
    struct i8259 *c = &p->chip[which & 1];

    if (a0 == 0 && (value & ICW1_SELECT) != 0)
        write_icw1(c, value);
    else if (a0 == 0 && (value & OCW3_SELECT) != 0)
        write_ocw3(c, value);
    else if (a0 == 0)
        write_ocw2(c, value);
    else if (c->icw != 0)
        write_icw(c, value);
    else
        c->imr = value;
}

/* The poll stands for an INTA cycle of this chip alone. */
static uint8_t poll(struct i8259_pair *p, unsigned which)
{
    struct i8259 *c = &p->chip[which];
    int line = which == MASTER ? master_request(p) : slave_request(p);

    c->poll = false;
    if (line < 0)
        return 0;
    enter_service(c, (unsigned)line);
    return (uint8_t)(0x80 | line);
}

/* The cascade shows in the master's IRR while the slave requests. */
static uint8_t irr_shown(const struct i8259_pair *p, unsigned which)
{
    uint8_t irr = p->chip[which].irr;

    if (which == MASTER && slave_request(p) >= 0)
        irr |= 1u << I8259_CASCADE;
    return irr;
}

uint8_t i8259_pair_read(struct i8259_pair *p, unsigned which, unsigned a0)
{
    const struct i8259 *c = &p->chip[which & 1];

    if (c->poll)
        return poll(p, which & 1);
    if (a0 != 0)
        return c->imr;
    return c->read_isr ? c->isr : irr_shown(p, which & 1);
}

uint8_t i8259_pair_elcr_read(const struct i8259_pair *p, unsigned which)
{
    return p->chip[which & 1].elcr;
}

void i8259_pair_elcr_write(struct i8259_pair *p, unsigned which, uint8_t value)
{
    struct i8259 *c = &p->chip[which & 1];

    c->elcr = value & elcr_mask[which & 1];
    follow_levels(c);
}
