/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC: Intel 82093AA data sheet, 3.1 and 3.2. The contract is in the header. */
#include "dev/chip/ioapic_chip.h"

#include <errno.h>
#include <string.h>

#define VERSION (0x20u | (IOAPIC_CHIP_PINS - 1) << 16)
#define RTE_WRITABLE (0xff0000000001ffffull & ~(IOAPIC_RTE_STATUS | IOAPIC_RTE_REMOTE_IRR))

enum { INDEX_ID = 0, INDEX_VERSION = 1, INDEX_ARBITRATION = 2, INDEX_RTE = 0x10 };

static int validate(const void *object, struct err *e)
{
    const struct ioapic_chip *c = object;

    for (unsigned i = 0; i < IOAPIC_CHIP_PINS; i++)
        if ((c->rte[i] & ~(RTE_WRITABLE | IOAPIC_RTE_REMOTE_IRR)) != 0)
            return err_set(e, EINVAL, "ioapic: reserved bits in the entry of pin %u", i);
    return 0;
}

static const struct state_field fields[] = {
    STATE_MAX_F(struct ioapic_chip, id_reg, STATE_U8, 15),
    STATE_U8_F(struct ioapic_chip, select),
    STATE_MAX_F(struct ioapic_chip, lines, STATE_U32, (1u << IOAPIC_CHIP_PINS) - 1),
    STATE_ARRAY_F(struct ioapic_chip, rte, STATE_U64, IOAPIC_CHIP_PINS),
    STATE_END_F,
};

const struct state_table ioapic_chip_state = {
    .name = "ioapic", .version = 1, .fields = fields, .validate = validate};

void ioapic_chip_reset(struct ioapic_chip *c)
{
    c->id_reg = c->id;
    c->select = 0;
    for (unsigned i = 0; i < IOAPIC_CHIP_PINS; i++)
        c->rte[i] = IOAPIC_RTE_MASKED;
}

static bool is_level(uint64_t rte)
{
    return (rte & IOAPIC_RTE_LEVEL) != 0;
}

/* Does a level-triggered pin have to send? Fixed and lowest-priority interrupts then wait for their
 * EOI; the others are edges by nature. */
static uint32_t service_level(struct ioapic_chip *c, unsigned pin)
{
    uint64_t *rte = &c->rte[pin];

    if (!is_level(*rte) || (*rte & (IOAPIC_RTE_MASKED | IOAPIC_RTE_REMOTE_IRR)) != 0 ||
        (c->lines >> pin & 1) == 0)
        return 0;
    if ((*rte >> 8 & 7) <= 1)
        *rte |= IOAPIC_RTE_REMOTE_IRR;
    return 1u << pin;
}

uint32_t ioapic_chip_set_line(struct ioapic_chip *c, unsigned pin, bool level)
{
    uint32_t bit = 1u << pin, old = c->lines;

    c->lines = level ? old | bit : old & ~bit;
    if (!level || (old & bit) != 0)
        return 0;
    if (is_level(c->rte[pin]))
        return service_level(c, pin);
    return (c->rte[pin] & IOAPIC_RTE_MASKED) != 0 ? 0 : bit;
}

uint32_t ioapic_chip_eoi(struct ioapic_chip *c, uint8_t vector)
{
    uint32_t send = 0;

    for (unsigned i = 0; i < IOAPIC_CHIP_PINS; i++) {
        if ((uint8_t)c->rte[i] != vector || (c->rte[i] & IOAPIC_RTE_REMOTE_IRR) == 0)
            continue;
        c->rte[i] &= ~IOAPIC_RTE_REMOTE_IRR;
        send |= service_level(c, i);
    }
    return send;
}

static uint32_t read_index(const struct ioapic_chip *c)
{
    unsigned n = c->select - INDEX_RTE;

    switch (c->select) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return (uint32_t)c->id_reg << 24;
    case INDEX_VERSION:
        return VERSION;
    }
    if (c->select < INDEX_RTE || n >= 2 * IOAPIC_CHIP_PINS)
        return 0;
    return (uint32_t)(c->rte[n >> 1] >> (n & 1) * 32);
}

/* Switching a pin to edge forgets that it waits for an EOI: so operating systems clean up. */
static uint32_t write_rte(struct ioapic_chip *c, unsigned n, uint32_t value)
{
    uint64_t *rte = &c->rte[n >> 1], wanted = *rte;

    if ((n & 1) != 0)
        wanted = (wanted & UINT32_MAX) | (uint64_t)value << 32;
    else
        wanted = (wanted & ~(uint64_t)UINT32_MAX) | value;
    *rte = (wanted & RTE_WRITABLE) | (*rte & IOAPIC_RTE_REMOTE_IRR);
    if (!is_level(*rte))
        *rte &= ~IOAPIC_RTE_REMOTE_IRR;
    return service_level(c, n >> 1);
}

uint32_t ioapic_chip_read(const struct ioapic_chip *c, unsigned offset)
{
    if (offset == IOAPIC_REGSEL)
        return c->select;
    return offset == IOAPIC_WIN ? read_index(c) : 0;
}

uint32_t ioapic_chip_write(struct ioapic_chip *c, unsigned offset, uint32_t value)
{
    switch (offset) {
    case IOAPIC_REGSEL:
        c->select = (uint8_t)value;
        return 0;
    case IOAPIC_EOIR:
        return ioapic_chip_eoi(c, (uint8_t)value);
    case IOAPIC_WIN:
        break;
    default:
        return 0;
    }
    if (c->select == INDEX_ID)
        c->id_reg = value >> 24 & 15;
    if (c->select < INDEX_RTE || c->select >= INDEX_RTE + 2 * IOAPIC_CHIP_PINS)
        return 0;
    return write_rte(c, c->select - INDEX_RTE, value);
}

void ioapic_chip_message(const struct ioapic_chip *c, unsigned pin, uint64_t *addr, uint32_t *data)
{
    uint64_t rte = c->rte[pin];

    /* Destination, redirection hint off, destination mode; the trigger mode with the assert bit,
     * delivery mode and vector. */
    *addr = 0xfee00000u | (rte >> 56) << 12 | (rte >> 11 & 1) << 2;
    *data = (uint32_t)(rte & 0x7ff);
    if (is_level(rte))
        *data |= 3u << 14;
}
