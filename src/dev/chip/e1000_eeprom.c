/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82540EM's EEPROM (a 93C46 on four wires, section 5.3 and 13.4.3) and its PHY (section 8,
 * and the registers of the 88E1011S), which MDIC (13.4.6) reaches.
 */
#include "dev/chip/e1000_chip.h"

#include <string.h>

#include "base/bits.h"

/* --- EEPROM --- */

enum {
    EECD_SK = 1 << 0,
    EECD_CS = 1 << 1,
    EECD_DI = 1 << 2,
    EECD_DO = 1 << 3,
    EECD_REQ = 1 << 6,
    EECD_GNT = 1 << 7,
    EECD_PRES = 1 << 8,
};
enum { CHECKSUM_WORD = 0x3f, CHECKSUM = 0xbaba };

static void deselect(struct e1000_eeprom *e)
{
    e->select = e->reading = false;
    e->count = e->out_bits = e->address = 0;
    e->shift = 0;
    e->out = true; /* ready, as a poll after a write asks */
}

/* Section 5.6; what is not here is reserved and reads as an erased word would be sold. */
void e1000_eeprom_fill(struct e1000_eeprom *e, const uint8_t mac[6])
{
    static const struct {
        uint8_t at;
        uint16_t word;
    } words[] = {
        {0x08, 0xffff}, {0x09, 0xffff}, /* no printed board assembly number */
        {0x0a, 0x400b},                 /* initialization control 1 */
        {0x0b, 0x1100}, {0x0c, 0x1af4}, /* subsystem */
        {0x0d, 0x100e}, {0x0e, 0x8086}, /* device and vendor */
        {0x0f, 0x3000},                 /* initialization control 2: both kinds of pause */
        {0x10, 0x7061}, {0x21, 0x7061}, /* no wake-up */
        {0x2f, 0x0602},                 /* LEDs */
    };
    uint16_t sum = 0;

    memset(e, 0, sizeof(*e));
    for (unsigned i = 0; i < 3; i++)
        e->word[i] = ld_le16(mac + 2 * i);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        e->word[words[i].at] = words[i].word;
    for (unsigned i = 0; i < CHECKSUM_WORD; i++)
        sum = (uint16_t)(sum + e->word[i]);
    e->word[CHECKSUM_WORD] = (uint16_t)(CHECKSUM - sum);
}

void e1000_eeprom_idle(struct e1000_eeprom *e)
{
    e->clock = e->granted = e->writable = false;
    deselect(e);
}

uint32_t e1000_eecd_read(const struct e1000_eeprom *e)
{
    return (e->clock ? EECD_SK : 0) | (e->select ? EECD_CS : 0) | (e->out ? EECD_DO : 0) |
           (e->granted ? EECD_REQ | EECD_GNT : 0) | EECD_PRES;
}

/* Start bit, two of the operation and six of the address: the last nine bits of `shift`. */
static void begin(struct e1000_eeprom *e)
{
    enum { SPECIAL = 0, READ = 2, ERASE = 3, ENABLE = 3 };
    unsigned operation = e->shift >> 6 & 3;

    e->address = e->shift & 0x3f;
    if (operation == READ) {
        e->shift = e->word[e->address];
        e->out_bits = 16;
        e->reading = true;
        e->out = false; /* a zero goes ahead */
    } else if (operation == ERASE && e->writable) {
        e->word[e->address] = 0xffff;
    } else if (operation == SPECIAL && (e->address >> 4 == 0 || e->address >> 4 == ENABLE)) {
        e->writable = e->address >> 4 == ENABLE;
    }
}

static void clock_out(struct e1000_eeprom *e)
{
    if (e->out_bits == 0) { /* reading goes on with the next word */
        e->address = (e->address + 1) % E1000_EEPROM_WORDS;
        e->shift = e->word[e->address];
        e->out_bits = 16;
    }
    e->out = e->shift >> --e->out_bits & 1;
}

static void clock_in(struct e1000_eeprom *e, bool bit)
{
    enum { COMMAND = 9, WRITE = COMMAND + 16 };

    if ((e->count == 0 && !bit) || e->count == WRITE)
        return;
    e->shift = e->shift << 1 | bit;
    if (++e->count == COMMAND)
        begin(e);
    /* The 16 bits behind a write command; its operation is still in `shift`. */
    if (e->count == WRITE && (e->shift >> 22 & 3) == 1 && e->writable)
        e->word[e->address] = (uint16_t)e->shift;
}

void e1000_eecd_write(struct e1000_eeprom *e, uint32_t value)
{
    bool rises = (value & EECD_SK) != 0 && !e->clock;

    e->granted = (value & EECD_REQ) != 0;
    e->clock = (value & EECD_SK) != 0;
    e->select = (value & EECD_CS) != 0;
    if (!e->select)
        deselect(e);
    else if (rises && e->reading)
        clock_out(e);
    else if (rises)
        clock_in(e, (value & EECD_DI) != 0);
}

/* --- PHY --- */

enum phy_reg {
    PHY_CTRL = 0,
    PHY_STATUS = 1,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    PHY_ADVERTISE = 4,
    PHY_PARTNER = 5,
    PHY_EXPANSION = 6,
    PHY_NEXT_PAGE = 7,
    PHY_1000_CTRL = 9,
    PHY_1000_STATUS = 10,
    PHY_EXT_STATUS = 15,
    PHY_SPECIFIC_CTRL = 16,
    PHY_SPECIFIC_STATUS = 17,
    PHY_INT_ENABLE = 18,
    PHY_EXT_CTRL = 20,
    PHY_LED = 24,
};
enum { PHY_CTRL_RESET = 1 << 15, PHY_CTRL_RESTART = 1 << 9 };

void e1000_phy_reset(struct e1000_chip *c)
{
    memset(c->phy, 0, sizeof(c->phy));
    c->phy[PHY_CTRL] = 0x1140; /* 1 Gb/s, full duplex, auto-negotiation */
    c->phy[PHY_ID1] = 0x0141;
    c->phy[PHY_ID2] = 0x0c24;
    c->phy[PHY_ADVERTISE] = 0x0de1;
    c->phy[PHY_NEXT_PAGE] = 0x2001;
    c->phy[PHY_1000_CTRL] = 0x0e00;
    c->phy[PHY_EXT_STATUS] = 0x3000;
    c->phy[PHY_SPECIFIC_CTRL] = 0x0068;
    c->phy[PHY_EXT_CTRL] = 0x0d60;
    c->phy[PHY_LED] = 0x4100;
}

/* What follows from the cable: the partner can do everything, at once. */
static uint16_t phy_read(const struct e1000_chip *c, unsigned reg)
{
    switch (reg) {
    case PHY_STATUS:
        return 0x7949 | (c->cable ? 0x0024 : 0); /* auto-negotiation complete, link */
    case PHY_PARTNER:
        return c->cable ? 0x4de1 : 0;
    case PHY_EXPANSION:
        return c->cable ? 0x000f : 0x0004;
    case PHY_1000_STATUS:
        return c->cable ? 0x3c00 : 0;
    case PHY_SPECIFIC_STATUS:
        return c->cable ? 0xac08 | 0x0400 : 0x0040; /* 1 Gb/s, full duplex, resolved, link */
    default:
        return c->phy[reg];
    }
}

static void phy_write(struct e1000_chip *c, unsigned reg, uint16_t value)
{
    switch (reg) {
    case PHY_CTRL:
        if (value & PHY_CTRL_RESET)
            e1000_phy_reset(c);
        else
            c->phy[reg] = value & (uint16_t)~PHY_CTRL_RESTART;
        break;
    case PHY_ADVERTISE:
    case PHY_NEXT_PAGE:
    case PHY_1000_CTRL:
    case PHY_SPECIFIC_CTRL:
    case PHY_INT_ENABLE:
    case PHY_EXT_CTRL:
    case PHY_LED:
    case 29: /* page and data of what the 88E1011S does not document */
    case 30:
        c->phy[reg] = value;
        break;
    default:
        break;
    }
}

uint32_t e1000_mdic(struct e1000_chip *c, uint32_t value)
{
    enum { READY = 1 << 28, INTERRUPT = 1 << 29, ERROR = 1 << 30, THIS = 1, WRITE = 1, READ = 2 };
    unsigned reg = value >> 16 & 31, operation = value >> 26 & 3;

    value &= ~(uint32_t)(READY | ERROR);
    if ((value >> 21 & 31) != THIS)
        value |= ERROR;
    else if (operation == READ)
        value = (value & 0xffff0000) | phy_read(c, reg);
    else if (operation == WRITE)
        phy_write(c, reg, (uint16_t)value);
    if (value & INTERRUPT)
        e1000_raise(c, E1000_MDAC);
    return value | READY;
}
