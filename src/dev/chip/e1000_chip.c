/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM's registers; see e1000_chip.h. Sections 13.4 and following, unless said otherwise. */
#include "dev/chip/e1000_chip.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum offset {
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    ICR = 0x00c0,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    RDBAL = 0x2800,
    TDBAL = 0x3800,
    STATS = 0x4000,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
};
enum { BASE_LOW = 0x00, BASE_HIGH = 0x04, LENGTH = 0x08, HEAD = 0x10, TAIL = 0x18 };
enum { STATUS_FD = 1 << 0, STATUS_LU = 1 << 1, STATUS_SPEED_1000 = 2 << 6 | 2 << 8 };

static const struct {
    uint16_t offset;
    uint32_t mask, reset; /* what can be written */
} plain[E1000_REGS] = {
    [E1000_CTRL] = {0x0000, 0x7bffffff, 0x00000001},
    [E1000_CTRL_EXT] = {0x0018, 0x00ffffff, 0},
    [E1000_MDIC] = {0x0020, 0xffffffff, 0x10000000},
    [E1000_FCAL] = {0x0028, 0xffffffff, 0},
    [E1000_FCAH] = {0x002c, 0x0000ffff, 0},
    [E1000_FCT] = {0x0030, 0x0000ffff, 0},
    [E1000_VET] = {0x0038, 0x0000ffff, 0x8100},
    [E1000_ITR] = {0x00c4, 0x0000ffff, 0},
    [E1000_RCTL] = {0x0100, 0x06dfb3fe, 0},
    [E1000_FCTTV] = {0x0170, 0x0000ffff, 0},
    [E1000_TXCW] = {0x0178, 0xc000ffff, 0},
    [E1000_TCTL] = {0x0400, 0x03fffffa, 0},
    [E1000_TIPG] = {0x0410, 0x3fffffff, 0x00602006},
    [E1000_AIT] = {0x0458, 0x0000ffff, 0},
    [E1000_LEDCTL] = {0x0e00, 0xffffffff, 0x07061302},
    [E1000_PBA] = {0x1000, 0x0000ffff, 0x00100030},
    [E1000_FCRTL] = {0x2160, 0x8000fff8, 0},
    [E1000_FCRTH] = {0x2168, 0x0000fff8, 0},
    [E1000_RDTR] = {0x2820, 0x0000ffff, 0},
    [E1000_RXDCTL] = {0x2828, 0x013f3f3f, 0x00010000},
    [E1000_RADV] = {0x282c, 0x0000ffff, 0},
    [E1000_RSRPD] = {0x2c00, 0x00000fff, 0},
    [E1000_TXDMAC] = {0x3000, 0x00000001, 0},
    [E1000_TIDV] = {0x3820, 0x0000ffff, 0},
    [E1000_TXDCTL] = {0x3828, 0xff3f3f3f, 0},
    [E1000_TADV] = {0x382c, 0x0000ffff, 0},
    [E1000_TSPMT] = {0x3830, 0xffffffff, 0x01000400},
    [E1000_RXCSUM] = {0x5000, 0x000003ff, 0},
    [E1000_WUC] = {0x5800, 0x0000000b, 0},
    [E1000_WUFC] = {0x5808, 0x000f80ff, 0},
    [E1000_WUS] = {0x5810, 0, 0},
    [E1000_MANC] = {0x5820, 0x03f4ff00, 0},
    [E1000_IPAV] = {0x5838, 0x0001000f, 0},
};

/* --- reset and link --- */

static void update_link(struct e1000_chip *c)
{
    bool up = c->cable && (c->reg[E1000_CTRL] & E1000_CTRL_SLU) != 0;

    if (up != c->link_up)
        e1000_raise(c, E1000_LSC);
    c->link_up = up;
}

void e1000_cable(struct e1000_chip *c, bool present)
{
    c->cable = present;
    update_link(c);
}

/* The first address is the EEPROM's. */
void e1000_reset(struct e1000_chip *c, bool power_on)
{
    c->icr = c->ims = c->eerd = c->ioaddr = 0;
    c->link_up = false;
    for (unsigned i = 0; i < E1000_REGS; i++)
        c->reg[i] = plain[i].reset;
    memset(&c->rx, 0, sizeof(c->rx));
    memset(&c->tx, 0, sizeof(c->tx));
    memset(c->ra, 0, sizeof(c->ra));
    memset(c->stats, 0, sizeof(c->stats));
    memset(&c->csum, 0, sizeof(c->csum));
    memset(&c->tso, 0, sizeof(c->tso));
    c->ra[0] = c->eeprom.word[0] | (uint32_t)c->eeprom.word[1] << 16;
    c->ra[1] = c->eeprom.word[2] | E1000_RAH_AV;
    if (!power_on)
        return;
    memset(c->mta, 0, sizeof(c->mta));
    memset(c->vfta, 0, sizeof(c->vfta));
    e1000_eeprom_idle(&c->eeprom);
    e1000_phy_reset(c);
}

void e1000_init(struct e1000_chip *c, const uint8_t mac[6])
{
    memset(c, 0, sizeof(*c));
    e1000_eeprom_fill(&c->eeprom, mac);
    e1000_reset(c, true);
}

void e1000_raise(struct e1000_chip *c, uint32_t causes)
{
    c->icr |= causes & E1000_CAUSES;
}

/* --- rings --- */

uint32_t e1000_available(const struct e1000_ring *r)
{
    uint32_t count = e1000_count(r);

    if (r->head >= count || r->tail >= count)
        return 0;
    return r->tail >= r->head ? r->tail - r->head : count - r->head + r->tail;
}

uint32_t e1000_buffer_size(const struct e1000_chip *c)
{
    uint32_t rctl = c->reg[E1000_RCTL], code = rctl >> 16 & 3;

    /* 13-67: with BSEX the sizes are 16 times as large, and code 0 is reserved. */
    return 2048u >> code << ((rctl & E1000_RCTL_BSEX) != 0 && code != 0 ? 4 : 0);
}

static uint32_t ring_read(const struct e1000_ring *r, uint32_t at)
{
    switch (at) {
    case BASE_LOW:
        return (uint32_t)r->base;
    case BASE_HIGH:
        return (uint32_t)(r->base >> 32);
    case LENGTH:
        return r->len;
    case HEAD:
        return r->head;
    case TAIL:
        return r->tail;
    default:
        return 0;
    }
}

/* Returns whether the tail was written. */
static bool ring_write(struct e1000_ring *r, uint32_t at, uint32_t value)
{
    switch (at) {
    case BASE_LOW:
        r->base = bits_set(r->base, 31, 0, value & ~15u);
        break;
    case BASE_HIGH:
        r->base = bits_set(r->base, 63, 32, value);
        break;
    case LENGTH:
        r->len = value & 0xfff80;
        break;
    case HEAD:
        r->head = value & 0xffff;
        break;
    case TAIL:
        r->tail = value & 0xffff;
        return true;
    default:
        break;
    }
    return false;
}

static bool in_ring(uint32_t offset, uint32_t ring)
{
    return offset >= ring && offset <= ring + TAIL;
}

/* --- access --- */

static int find_plain(uint32_t offset)
{
    for (int i = 0; i < E1000_REGS; i++)
        if (plain[i].offset == offset)
            return i;
    return -1;
}

/* The tables, or NULL. */
static uint32_t *table_word(struct e1000_chip *c, uint32_t offset)
{
    if (offset >= MTA && offset < MTA + 4 * E1000_TABLE)
        return &c->mta[(offset - MTA) / 4];
    if (offset >= RA && offset < RA + 8 * E1000_ADDRESSES)
        return &c->ra[(offset - RA) / 4];
    if (offset >= VFTA && offset < VFTA + 4 * E1000_TABLE)
        return &c->vfta[(offset - VFTA) / 4];
    return NULL;
}

/* Counters are cleared when they are read; those of 64 bits by their upper half: 13.7. */
static uint32_t read_stat(struct e1000_chip *c, uint32_t at)
{
    uint32_t v = c->stats[at / 4];

    switch (at) {
    case E1000_GORC:
    case E1000_GOTC:
    case E1000_TOR:
    case E1000_TOT:
        return v;
    case E1000_GORC + 4:
    case E1000_GOTC + 4:
    case E1000_TOR + 4:
    case E1000_TOT + 4:
        c->stats[at / 4 - 1] = 0;
        break;
    default:
        break;
    }
    c->stats[at / 4] = 0;
    return v;
}

static uint32_t read_other(struct e1000_chip *c, uint32_t offset)
{
    uint32_t v;
    const uint32_t *word = table_word(c, offset);
    int i;

    switch (offset) {
    case STATUS:
        return STATUS_FD | STATUS_SPEED_1000 | (c->link_up ? STATUS_LU : 0);
    case EECD:
        return e1000_eecd_read(&c->eeprom);
    case EERD:
        return c->eerd;
    case ICR:
        v = c->icr;
        c->icr = 0;
        return v;
    case IMS:
        return c->ims;
    default:
        break;
    }
    if (word != NULL)
        return *word;
    i = find_plain(offset);
    return i >= 0 ? c->reg[i] : 0;
}

uint32_t e1000_read(struct e1000_chip *c, uint32_t offset)
{
    if (in_ring(offset, RDBAL))
        return ring_read(&c->rx, offset - RDBAL);
    if (in_ring(offset, TDBAL))
        return ring_read(&c->tx, offset - TDBAL);
    if (offset >= STATS && offset < STATS + 4 * E1000_STATS)
        return read_stat(c, offset - STATS);
    return read_other(c, offset);
}

/* 13.4.4: the word is there at once. */
static void read_word(struct e1000_chip *c, uint32_t value)
{
    enum { START = 1, DONE = 16 };
    unsigned address = value >> 8 & 0xff;

    if ((value & START) != 0)
        c->eerd = (address < E1000_EEPROM_WORDS ? (uint32_t)c->eeprom.word[address] << 16 : 0) |
                  DONE | address << 8;
    else
        c->eerd = value & 0xff00;
}

static unsigned write_ctrl(struct e1000_chip *c, uint32_t value)
{
    enum { PHY_RST = 1u << 31 };

    if (value & PHY_RST)
        e1000_phy_reset(c);
    if (value & E1000_CTRL_RST) {
        e1000_reset(c, false);
        return E1000_DID_RESET;
    }
    c->reg[E1000_CTRL] = value & plain[E1000_CTRL].mask;
    update_link(c);
    return 0;
}

static unsigned write_plain(struct e1000_chip *c, int i, uint32_t value)
{
    c->reg[i] = (c->reg[i] & ~plain[i].mask) | (value & plain[i].mask);
    if (i == E1000_MDIC)
        c->reg[i] = e1000_mdic(c, value);
    return i == E1000_RCTL ? E1000_DID_RX : i == E1000_TCTL ? E1000_DID_TX : 0;
}

static unsigned write_other(struct e1000_chip *c, uint32_t offset, uint32_t value)
{
    uint32_t *word = table_word(c, offset);
    int i;

    switch (offset) {
    case EECD:
        e1000_eecd_write(&c->eeprom, value);
        return 0;
    case EERD:
        read_word(c, value);
        return 0;
    case ICR:
        c->icr &= ~value;
        return 0;
    case ICS:
        e1000_raise(c, value);
        return 0;
    case IMS:
        c->ims |= value & E1000_CAUSES;
        return 0;
    case IMC:
        c->ims &= ~value;
        return 0;
    default:
        break;
    }
    if (word != NULL)
        *word = value;
    i = find_plain(offset);
    return i >= 0 ? write_plain(c, i, value) : 0;
}

unsigned e1000_write(struct e1000_chip *c, uint32_t offset, uint32_t value)
{
    if (offset == plain[E1000_CTRL].offset || offset == 4) /* CTRL, and its duplicate */
        return write_ctrl(c, value);
    if (in_ring(offset, RDBAL))
        return ring_write(&c->rx, offset - RDBAL, value) ? E1000_DID_RX : 0;
    if (in_ring(offset, TDBAL))
        return ring_write(&c->tx, offset - TDBAL, value) ? E1000_DID_TX : 0;
    return write_other(c, offset, value);
}

/* --- state --- */

static const struct state_field ring_fields[] = {
    STATE_U64_F(struct e1000_ring, base),
    STATE_MAX_F(struct e1000_ring, len, STATE_U32, 0xfff80),
    STATE_MAX_F(struct e1000_ring, head, STATE_U32, 0xffff),
    STATE_MAX_F(struct e1000_ring, tail, STATE_U32, 0xffff),
    STATE_END_F,
};
static const struct state_table ring_state = {
    .name = "e1000-ring", .version = 1, .fields = ring_fields};

static const struct state_field context_fields[] = {
    STATE_U8_F(struct e1000_context, ipcss),
    STATE_U8_F(struct e1000_context, ipcso),
    STATE_U8_F(struct e1000_context, tucss),
    STATE_U8_F(struct e1000_context, tucso),
    STATE_U8_F(struct e1000_context, tucmd),
    STATE_U8_F(struct e1000_context, hdrlen),
    STATE_U16_F(struct e1000_context, ipcse),
    STATE_U16_F(struct e1000_context, tucse),
    STATE_U16_F(struct e1000_context, mss),
    STATE_MAX_F(struct e1000_context, paylen, STATE_U32, 0xfffff),
    STATE_END_F,
};
static const struct state_table context_state = {
    .name = "e1000-context", .version = 1, .fields = context_fields};

static const struct state_field eeprom_fields[] = {
    STATE_ARRAY_F(struct e1000_eeprom, word, STATE_U16, E1000_EEPROM_WORDS),
    STATE_BOOL_F(struct e1000_eeprom, clock),
    STATE_BOOL_F(struct e1000_eeprom, select),
    STATE_BOOL_F(struct e1000_eeprom, granted),
    STATE_BOOL_F(struct e1000_eeprom, out),
    STATE_BOOL_F(struct e1000_eeprom, writable),
    STATE_MAX_F(struct e1000_eeprom, count, STATE_U8, 25),
    STATE_BOOL_F(struct e1000_eeprom, reading),
    STATE_MAX_F(struct e1000_eeprom, out_bits, STATE_U8, 16),
    STATE_U32_F(struct e1000_eeprom, shift),
    STATE_MAX_F(struct e1000_eeprom, address, STATE_U8, E1000_EEPROM_WORDS - 1),
    STATE_END_F,
};
static const struct state_table eeprom_state = {
    .name = "e1000-eeprom", .version = 1, .fields = eeprom_fields};

static int validate(const void *object, struct err *e)
{
    const struct e1000_chip *c = object;

    if (c->rx.len % 128 != 0 || c->tx.len % 128 != 0 || c->rx.base % 16 != 0 ||
        c->tx.base % 16 != 0)
        return err_set(e, EINVAL, "e1000: a ring that cannot be where it is");
    if (((c->icr | c->ims) & ~(uint32_t)E1000_CAUSES) != 0)
        return err_set(e, EINVAL, "e1000: causes of interrupts that there are not");
    return 0;
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct e1000_chip, eeprom, 1, &eeprom_state),
    STATE_ARRAY_F(struct e1000_chip, phy, STATE_U16, E1000_PHY_REGS),
    STATE_BOOL_F(struct e1000_chip, link_up),
    STATE_ARRAY_F(struct e1000_chip, reg, STATE_U32, E1000_REGS),
    STATE_U32_F(struct e1000_chip, icr),
    STATE_U32_F(struct e1000_chip, ims),
    STATE_U32_F(struct e1000_chip, eerd),
    STATE_U32_F(struct e1000_chip, ioaddr),
    STATE_STRUCT_F(struct e1000_chip, rx, 1, &ring_state),
    STATE_STRUCT_F(struct e1000_chip, tx, 1, &ring_state),
    STATE_ARRAY_F(struct e1000_chip, ra, STATE_U32, 2 * E1000_ADDRESSES),
    STATE_ARRAY_F(struct e1000_chip, mta, STATE_U32, E1000_TABLE),
    STATE_ARRAY_F(struct e1000_chip, vfta, STATE_U32, E1000_TABLE),
    STATE_ARRAY_F(struct e1000_chip, stats, STATE_U32, E1000_STATS),
    STATE_STRUCT_F(struct e1000_chip, csum, 1, &context_state),
    STATE_STRUCT_F(struct e1000_chip, tso, 1, &context_state),
    STATE_END_F,
};
const struct state_table e1000_chip_state = {
    .name = "e1000-chip", .version = 1, .fields = fields, .validate = validate};
