/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Am79C970A's registers and what they mean; see pcnet_chip.h. */
#include "dev/chip/pcnet_chip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "net/frame.h"

enum csr {
    CSR0 = 0,
    CSR1 = 1,
    CSR2 = 2,
    CSR3 = 3,
    CSR4 = 4,
    CSR5 = 5,
    CSR6 = 6,
    CSR8 = 8,
    CSR12 = 12,
    CSR15 = 15,
    CSR16 = 16,
    CSR17 = 17,
    CSR24 = 24,
    CSR30 = 30,
    CSR58 = 58,
    CSR76 = 76,
    CSR78 = 78,
    CSR80 = 80,
    CSR88 = 88,
    CSR89 = 89,
    CSR112 = 112,
};
enum bcr { BCR2 = 2, BCR4 = 4, BCR7 = 7, BCR9 = 9, BCR18 = 18, BCR20 = 20 };
enum { INTERRUPTS = PCNET_BABL | PCNET_MISS | PCNET_MERR | PCNET_RINT | PCNET_TINT | PCNET_IDON };
enum { STARTED = PCNET_INIT | PCNET_STRT | PCNET_TXON | PCNET_RXON };
enum { SPND = 1 << 0 };                              /* CSR5 */
enum { CSR3_MASKS = 0x5f00, CSR4_CLEARED = 0x026a }; /* UINT among the latter */
enum { SSIZE32 = 1 << 8, CSRPCNET = 1 << 9 };        /* BCR20 */
enum { LEDOUT = 1 << 15 };

/* --- reset --- */

/* What both kinds of reset do: the data sheet's "RESET" chapter. */
static void soft_reset(struct pcnet_chip *c)
{
    uint16_t address[3];

    memcpy(address, &c->csr[CSR12], sizeof(address));
    memset(c->csr, 0, sizeof(c->csr));
    memcpy(&c->csr[CSR12], address, sizeof(address));
    c->csr[CSR0] = PCNET_STOP;
    c->csr[CSR4] = 0x0115;
    c->csr[CSR80] = 0x1410;
    c->csr[CSR88] = 0x1003; /* AMD, part number 0x2621 */
    c->csr[CSR89] = 0x0262;
    c->rap = 0;
    c->rx = c->tx = (struct pcnet_ring){0};
}

void pcnet_reset(struct pcnet_chip *c)
{
    for (unsigned i = 0; i < 3; i++)
        c->csr[CSR12 + i] = ld_le16(c->aprom + 2 * i);
    soft_reset(c);
    c->dwio = false;
    memset(c->bcr, 0, sizeof(c->bcr));
    c->bcr[0] = c->bcr[1] = 5;
    c->bcr[BCR2] = 0x0002;
    c->bcr[BCR4] = 0x00c0;
    c->bcr[5] = 0x0084;
    c->bcr[6] = 0x0088;
    c->bcr[BCR7] = 0x0090;
    c->bcr[BCR18] = 0x9001;
    c->bcr[BCR20] = CSRPCNET;
}

/* The address PROM: the address, and a sum over all of it. */
void pcnet_init(struct pcnet_chip *c, const uint8_t mac[6])
{
    uint16_t sum = 0;

    memset(c, 0, sizeof(*c));
    memcpy(c->aprom, mac, 6);
    c->aprom[9] = 0x11;
    c->aprom[14] = c->aprom[15] = 'W';
    for (unsigned i = 0; i < sizeof(c->aprom); i++)
        sum = (uint16_t)(sum + c->aprom[i]);
    st_le16(c->aprom + 12, sum);
    pcnet_reset(c);
}

/* --- interrupts --- */

void pcnet_raise(struct pcnet_chip *c, uint16_t bits)
{
    c->csr[CSR0] |= bits;
}

static bool interrupt_due(const struct pcnet_chip *c)
{
    /* The masks of CSR3 lie where the causes of CSR0 do, those of CSR4 one below. */
    uint16_t causes4 = c->csr[CSR4] & CSR4_CLEARED;

    return (c->csr[CSR0] & INTERRUPTS & ~c->csr[CSR3]) != 0 ||
           (causes4 & ~(c->csr[CSR4] << 1) & ~0x40) != 0 || (causes4 & 0x40) != 0;
}

bool pcnet_asserted(const struct pcnet_chip *c)
{
    return (c->csr[CSR0] & PCNET_IENA) != 0 && interrupt_due(c);
}

/* --- CSR0: running --- */

bool pcnet_sends(const struct pcnet_chip *c)
{
    return (c->csr[CSR0] & PCNET_TXON) != 0 && (c->csr[CSR5] & SPND) == 0 && c->tx.count != 0;
}

bool pcnet_receives(const struct pcnet_chip *c)
{
    return (c->csr[CSR0] & PCNET_RXON) != 0 && (c->csr[CSR5] & SPND) == 0 && c->rx.count != 0;
}

static unsigned start(struct pcnet_chip *c)
{
    if ((c->csr[CSR15] & PCNET_DTX) == 0)
        c->csr[CSR0] |= PCNET_TXON;
    if ((c->csr[CSR15] & PCNET_DRX) == 0)
        c->csr[CSR0] |= PCNET_RXON;
    c->csr[CSR0] |= PCNET_STRT;
    return PCNET_DID_TX;
}

/* A write of ones clears causes, and STOP ends everything else. */
static unsigned write_csr0(struct pcnet_chip *c, uint16_t value)
{
    uint16_t *csr0 = &c->csr[CSR0];
    unsigned did = 0;

    *csr0 &= (uint16_t) ~(value & (INTERRUPTS | PCNET_CERR));
    *csr0 = (uint16_t)((*csr0 & ~PCNET_IENA) | (value & PCNET_IENA));
    if ((value & PCNET_STOP) != 0) {
        *csr0 = PCNET_STOP;
        return PCNET_DID_RESET;
    }
    if ((value & (PCNET_INIT | PCNET_STRT)) != 0)
        *csr0 &= (uint16_t)~PCNET_STOP;
    if ((value & PCNET_INIT) != 0 && (*csr0 & PCNET_INIT) == 0) {
        *csr0 |= PCNET_INIT;
        did |= PCNET_DID_INIT;
    }
    /* Together with INIT it takes effect after the block was read: pcnet_take_init. */
    if ((value & PCNET_STRT) != 0 && did != 0)
        *csr0 |= PCNET_STRT;
    else if ((value & PCNET_STRT) != 0)
        did |= start(c);
    if ((value & PCNET_TDMD) != 0)
        did |= PCNET_DID_TX;
    return did;
}

static uint16_t read_csr0(const struct pcnet_chip *c)
{
    uint16_t v = c->csr[CSR0];

    if ((v & (PCNET_BABL | PCNET_CERR | PCNET_MISS | PCNET_MERR)) != 0)
        v |= PCNET_ERR;
    return interrupt_due(c) ? v | PCNET_INTR : v;
}

/* --- other registers --- */

static uint16_t read_csr(const struct pcnet_chip *c, unsigned i)
{
    switch (i) {
    case CSR0:
        return read_csr0(c);
    case CSR16:
    case CSR17:
        return c->csr[i - CSR16 + CSR1];
    case CSR24:
    case CSR24 + 1:
        return (uint16_t)(c->rx.base >> (i - CSR24) * 16);
    case CSR30:
    case CSR30 + 1:
        return (uint16_t)(c->tx.base >> (i - CSR30) * 16);
    case CSR58:
        return c->bcr[BCR20];
    case CSR76:
        return (uint16_t)-c->rx.count;
    case CSR78:
        return (uint16_t)-c->tx.count;
    default:
        return c->csr[i];
    }
}

static void write_bcr20(struct pcnet_chip *c, uint16_t value)
{
    unsigned style = value & 0xff;
    uint16_t bits = style == 0 ? CSRPCNET : style == 1 ? SSIZE32 : SSIZE32 | CSRPCNET;

    if (style <= 3)
        c->bcr[BCR20] = (uint16_t)(style | bits);
}

static void set_count(struct pcnet_ring *r, uint16_t value)
{
    uint16_t count = (uint16_t)-value;

    r->count = count <= PCNET_RING_MAX ? count : PCNET_RING_MAX;
    r->at = 0;
}

/* Rings may be set up without a block. */
static bool write_ring(struct pcnet_chip *c, unsigned i, uint16_t value)
{
    switch (i) {
    case CSR24:
    case CSR24 + 1:
        c->rx.base = (uint32_t)bits_set(c->rx.base, (i - CSR24) * 16 + 15, (i - CSR24) * 16, value);
        return true;
    case CSR30:
    case CSR30 + 1:
        c->tx.base = (uint32_t)bits_set(c->tx.base, (i - CSR30) * 16 + 15, (i - CSR30) * 16, value);
        return true;
    case CSR76:
        set_count(&c->rx, value);
        return true;
    case CSR78:
        set_count(&c->tx, value);
        return true;
    default:
        return false;
    }
}

static unsigned write_csr(struct pcnet_chip *c, unsigned i, uint16_t value)
{
    if (write_ring(c, i, value))
        return PCNET_DID_RESET;
    switch (i) {
    case CSR0:
        return write_csr0(c, value);
    case CSR4: /* causes are cleared by ones; UINTCMD makes the cause UINT */
        c->csr[i] = (uint16_t)((value & ~CSR4_CLEARED) | (c->csr[i] & CSR4_CLEARED & ~value));
        if (value & 0x80)
            c->csr[i] = (uint16_t)((c->csr[i] & ~0x80) | 0x40);
        return 0;
    case CSR5: /* a suspended card that goes on looks at its ring */
        c->csr[i] = value & 0x7a1f;
        return PCNET_DID_TX;
    case CSR6:
    case CSR88:
    case CSR89:
    case CSR112:
        return 0;
    case CSR16:
    case CSR17:
        c->csr[i - CSR16 + CSR1] = value;
        return 0;
    case CSR58:
        write_bcr20(c, value);
        return 0;
    default:
        c->csr[i] = value;
        return 0;
    }
}

static uint16_t read_bcr(const struct pcnet_chip *c, unsigned i)
{
    /* The LEDs: the first shows the link unless it was told something else. */
    if (i == BCR4)
        return c->bcr[i] | (c->cable && (c->bcr[i] & 0x40) != 0 ? LEDOUT : 0);
    return c->bcr[i];
}

static void write_bcr(struct pcnet_chip *c, unsigned i, uint16_t value)
{
    if (i == BCR20)
        write_bcr20(c, value);
    else if (i == BCR2 || i == BCR9 || i == BCR18)
        c->bcr[i] = value;
    else if (i >= BCR4 && i <= BCR7)
        c->bcr[i] = value & 0x7fff;
}

/* --- access: two bytes apart, or four with DWIO --- */

enum { RDP = 0, RAP = 1, RESET = 2, BDP = 3, PROM_SIZE = 16 };

/* Which register an access means, or -1: the wrong width. */
static int locate(const struct pcnet_chip *c, unsigned offset, unsigned size)
{
    unsigned width = c->dwio ? 4 : 2, i = (offset - PROM_SIZE) / width;

    return size == width && offset % width == 0 && i <= BDP ? (int)i : -1;
}

static uint32_t read_prom(const struct pcnet_chip *c, unsigned offset, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size && offset + i < PROM_SIZE; i++)
        v |= (uint32_t)c->aprom[offset + i] << 8 * i;
    return v;
}

uint32_t pcnet_io_read(struct pcnet_chip *c, unsigned offset, unsigned size, unsigned *did)
{
    *did = 0;
    if (offset < PROM_SIZE)
        return read_prom(c, offset, size);
    switch (locate(c, offset, size)) {
    case RDP:
        return read_csr(c, c->rap % PCNET_CSRS);
    case RAP:
        return c->rap;
    case RESET:
        soft_reset(c);
        *did = PCNET_DID_RESET;
        return 0;
    case BDP:
        return read_bcr(c, c->rap % PCNET_BCRS);
    default:
        return (uint32_t)mask_bytes(size);
    }
}

/* A first write of 32 bits to RDP makes all registers 32 bits wide, until H_RESET. */
unsigned pcnet_io_write(struct pcnet_chip *c, unsigned offset, unsigned size, uint32_t value)
{
    if (offset < PROM_SIZE)
        return 0;
    if (offset == PROM_SIZE && size == 4)
        c->dwio = true;
    switch (locate(c, offset, size)) {
    case RDP:
        return write_csr(c, c->rap % PCNET_CSRS, (uint16_t)value);
    case RAP:
        c->rap = value & 0x7f;
        return 0;
    case BDP:
        write_bcr(c, c->rap % PCNET_BCRS, (uint16_t)value);
        return 0;
    default:
        return 0;
    }
}

/* --- initialization block --- */

static bool wide(const struct pcnet_chip *c)
{
    return (c->bcr[BCR20] & SSIZE32) != 0;
}

/* Software of 16 bits has 24 address lines; CSR2 tells the others. */
static uint32_t high_address(const struct pcnet_chip *c)
{
    return wide(c) ? 0 : (uint32_t)(c->csr[CSR2] & 0xff00) << 16;
}

uint32_t pcnet_init_address(const struct pcnet_chip *c)
{
    return c->csr[CSR1] | (uint32_t)c->csr[CSR2] << 16;
}

unsigned pcnet_init_length(const struct pcnet_chip *c)
{
    return wide(c) ? PCNET_INIT_MAX : 24;
}

static struct pcnet_ring ring(uint32_t base, unsigned log)
{
    return (struct pcnet_ring){.base = base, .count = (uint16_t)(1u << (log < 9 ? log : 9))};
}

static void take_wide(struct pcnet_chip *c, const uint8_t *b)
{
    for (unsigned i = 0; i < 3; i++)
        c->csr[CSR12 + i] = ld_le16(b + 4 + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        c->csr[CSR8 + i] = ld_le16(b + 12 + 2 * i);
    c->rx = ring(ld_le32(b + 20) & ~15u, b[2] >> 4);
    c->tx = ring(ld_le32(b + 24) & ~15u, b[3] >> 4);
}

static void take_narrow(struct pcnet_chip *c, const uint8_t *b)
{
    for (unsigned i = 0; i < 3; i++)
        c->csr[CSR12 + i] = ld_le16(b + 2 + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        c->csr[CSR8 + i] = ld_le16(b + 8 + 2 * i);
    c->rx = ring((ld_le32(b + 16) & 0xfffff8) | high_address(c), b[19] >> 5);
    c->tx = ring((ld_le32(b + 20) & 0xfffff8) | high_address(c), b[23] >> 5);
}

void pcnet_take_init(struct pcnet_chip *c, const uint8_t *block, bool good)
{
    if (!good) {
        pcnet_raise(c, PCNET_MERR);
        return;
    }
    c->csr[CSR15] = ld_le16(block);
    if (wide(c))
        take_wide(c, block);
    else
        take_narrow(c, block);
    pcnet_raise(c, PCNET_IDON);
    if ((c->csr[CSR0] & PCNET_STRT) != 0)
        start(c);
}

/* --- frames --- */

/* The upper six bits of the address's CRC choose one of the 64 of LADRF. */
static bool hash_match(const struct pcnet_chip *c, const uint8_t *mac)
{
    uint32_t crc = (uint32_t)~crc32(0, mac, 6);
    unsigned bit = crc >> 26;

    return (c->csr[CSR8 + bit / 16] >> bit % 16 & 1) != 0;
}

static bool own_address(const struct pcnet_chip *c, const uint8_t *mac)
{
    for (unsigned i = 0; i < 3; i++)
        if (ld_le16(mac + 2 * i) != c->csr[CSR12 + i])
            return false;
    return true;
}

bool pcnet_accepts(const struct pcnet_chip *c, const uint8_t *frame, size_t len, uint16_t *status)
{
    uint16_t mode = c->csr[CSR15];
    bool broadcast;

    *status = 0;
    if (!pcnet_receives(c) || len < 14 || len + PCNET_FCS > 4095)
        return false;
    broadcast = net_is_broadcast(frame);
    if (broadcast && (mode & PCNET_DRCVBC) == 0)
        *status = PCNET_BAM;
    else if ((frame[0] & 1) != 0 && !broadcast && hash_match(c, frame))
        *status = PCNET_LAFM;
    else if ((mode & PCNET_DRCVPA) == 0 && own_address(c, frame))
        *status = PCNET_PAM;
    return *status != 0 || (mode & PCNET_PROM) != 0;
}

/* --- descriptors --- */

static unsigned style(const struct pcnet_chip *c)
{
    return c->bcr[BCR20] & 0xff;
}

unsigned pcnet_desc_size(const struct pcnet_chip *c)
{
    return wide(c) ? 16 : 8;
}

uint32_t pcnet_desc_at(const struct pcnet_chip *c, const struct pcnet_ring *r, unsigned i)
{
    return r->base + pcnet_desc_size(c) * (i % r->count);
}

static uint32_t buffer_size(uint16_t count)
{
    uint32_t size = (0x1000u - (count & 0xfff)) & 0xfff;

    return size != 0 ? size : 4096;
}

struct pcnet_desc pcnet_desc_load(const struct pcnet_chip *c, const uint8_t *d)
{
    struct pcnet_desc out;

    if (!wide(c)) {
        out.buffer = (ld_le32(d) & 0xffffff) | high_address(c);
        out.status = (uint16_t)(d[3] << 8);
    } else {
        out.buffer = ld_le32(d + (style(c) == 3 ? 8 : 0));
        out.status = ld_le16(d + 6);
    }
    out.size = buffer_size(ld_le16(d + 4));
    return out;
}

void pcnet_desc_done(const struct pcnet_chip *c, uint8_t *d, uint16_t status, uint16_t length)
{
    if (!wide(c)) {
        st_le16(d + 6, length);
        __atomic_store_n(d + 3, (uint8_t)(status >> 8), __ATOMIC_RELEASE);
        return;
    }
    st_le32(d + (style(c) == 3 ? 0 : 8), length);
    st_le16(d + 6, status & (uint16_t)~PCNET_OWN);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* --- state --- */

static const struct state_field ring_fields[] = {
    STATE_U32_F(struct pcnet_ring, base),
    STATE_MAX_F(struct pcnet_ring, count, STATE_U16, PCNET_RING_MAX),
    STATE_U16_F(struct pcnet_ring, at),
    STATE_END_F,
};
static const struct state_table ring_state = {
    .name = "pcnet-ring", .version = 1, .fields = ring_fields};

static int validate(const void *object, struct err *e)
{
    const struct pcnet_chip *c = object;

    if ((c->rx.at >= c->rx.count && c->rx.at != 0) || (c->tx.at >= c->tx.count && c->tx.at != 0))
        return err_set(e, EINVAL, "pcnet: a place outside of a ring");
    if (style(c) > 3 || wide(c) != (style(c) != 0))
        return err_set(e, EINVAL, "pcnet: a style of descriptors that there is not");
    return 0;
}

static const struct state_field fields[] = {
    STATE_BYTES_F(struct pcnet_chip, aprom),
    STATE_ARRAY_F(struct pcnet_chip, csr, STATE_U16, PCNET_CSRS),
    STATE_ARRAY_F(struct pcnet_chip, bcr, STATE_U16, PCNET_BCRS),
    STATE_MAX_F(struct pcnet_chip, rap, STATE_U16, 0x7f),
    STATE_BOOL_F(struct pcnet_chip, dwio),
    STATE_STRUCT_F(struct pcnet_chip, rx, 1, &ring_state),
    STATE_STRUCT_F(struct pcnet_chip, tx, 1, &ring_state),
    STATE_END_F,
};
const struct state_table pcnet_chip_state = {
    .name = "pcnet-chip", .version = 1, .fields = fields, .validate = validate};
