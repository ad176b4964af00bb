/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of an xHCI controller: see xhci_chip.h. Numbers of chapters are xHCI 1.1's. */
#include "dev/chip/xhci_chip.h"

#include <string.h>

enum { OPERATIONAL = 0x40, PORTS = OPERATIONAL + 0x400, RUNTIME = 0x1000, DOORBELLS = 0x2000 };

/* 5.3, 7.2 */
enum {
    CAPLENGTH = 0x00,
    HCSPARAMS1 = 0x04,
    HCCPARAMS1 = 0x10,
    DBOFF = 0x14,
    RTSOFF = 0x18,
    EXTENDED = 0x20,
};
/* 5.4, from OPERATIONAL */
enum {
    USBCMD = 0x00,
    USBSTS = 0x04,
    PAGESIZE = 0x08,
    DNCTRL = 0x14,
    CRCR = 0x18,
    DCBAAP = 0x30,
    CONFIG = 0x38
};
enum { CMD_RS = 1, CMD_HCRST = 2, CMD_INTE = 4, CMD_WRITABLE = 0x0d0d };
enum { STS_HCH = 1, STS_EINT = 8, STS_PCD = 16, STS_W1C = 0x41c };
enum { CRCR_RCS = 1, CRCR_CS = 2, CRCR_CA = 4, CRCR_CRR = 8 };
/* 5.4.8 */
enum { PORTSC = 0, PORTPMSC = 4 };
enum {
    PORT_CCS = 1 << 0,
    PORT_PED = 1 << 1,
    PORT_PR = 1 << 4,
    PORT_PLS = 15 << 5,
    PORT_PP = 1 << 9,
    PORT_SPEED_SHIFT = 10,
    PORT_PIC = 3 << 14,
    PORT_LWS = 1 << 16,
    PORT_CSC = 1 << 17,
    PORT_PRC = 1 << 21,
    PORT_PLC = 1 << 22,
    PORT_CHANGES = 0x7f << 17,
    PORT_WAKES = 7 << 25,
};
#define PORT_WPR 0x80000000u
enum { LINK_U0 = 0, LINK_U3 = 3, LINK_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };
/* 5.5, from RUNTIME */
enum { MFINDEX = 0, IMAN = 0x20, IMOD = 0x24, ERSTSZ = 0x28, ERSTBA = 0x30, ERDP = 0x38 };
enum { IMAN_IP = 1, IMAN_IE = 2, ERDP_EHB = 8 };

static unsigned link_state(const struct xhci_port *p)
{
    return (p->sc & PORT_PLS) >> 5;
}

static void set_link(struct xhci_port *p, unsigned state)
{
    p->sc = (p->sc & ~(uint32_t)PORT_PLS) | state << 5;
}

/* --- ports --- */

static void change(struct xhci_chip *c, struct xhci_port *p, uint32_t bit)
{
    if ((p->sc & bit) != 0)
        return;
    p->sc |= bit;
    p->told = false;
    c->sts |= STS_PCD;
}

/* 4.19.1.1: a USB 2 device waits for a reset. */
static void port_power(struct xhci_port *p)
{
    p->pmsc = 0;
    p->told = p->reset = false;
    p->sc = PORT_PP;
    set_link(p, p->speed != XHCI_NO_DEVICE ? LINK_POLLING : LINK_DETECT);
    if (p->speed != XHCI_NO_DEVICE)
        p->sc |= PORT_CCS | PORT_CSC | (uint32_t)p->speed << PORT_SPEED_SHIFT;
}

static void port_reset(struct xhci_chip *c, struct xhci_port *p)
{
    if ((p->sc & PORT_CCS) == 0)
        return;
    p->reset = true;
    p->sc |= PORT_PED;
    set_link(p, LINK_U0);
    change(c, p, PORT_PRC);
}

/* 4.15: suspend, and the two steps of a resume. */
static void write_link(struct xhci_chip *c, struct xhci_port *p, unsigned state)
{
    unsigned old = link_state(p);

    if ((p->sc & PORT_PED) == 0)
        return;
    if (state == LINK_U3 && old == LINK_U0) {
        set_link(p, LINK_U3);
    } else if (state == LINK_RESUME && old == LINK_U3) {
        set_link(p, LINK_RESUME);
    } else if (state == LINK_U0 && old != LINK_U0) {
        set_link(p, LINK_U0);
        change(c, p, PORT_PLC);
    }
}

static void write_portsc(struct xhci_chip *c, struct xhci_port *p, uint32_t value)
{
    p->sc &= ~(value & PORT_CHANGES);
    p->sc = (p->sc & ~(uint32_t)(PORT_PIC | PORT_WAKES)) | (value & (PORT_PIC | PORT_WAKES));
    if ((value & PORT_PED) != 0 && (p->sc & PORT_PED) != 0) {
        p->sc &= ~(uint32_t)PORT_PED;
        set_link(p, LINK_POLLING);
    }
    if ((value & (PORT_PR | PORT_WPR)) != 0)
        port_reset(c, p);
    else if ((value & PORT_LWS) != 0)
        write_link(c, p, (value & PORT_PLS) >> 5);
}

void xhci_chip_wake(struct xhci_chip *c, unsigned port)
{
    struct xhci_port *p = &c->port[port];

    if ((p->sc & PORT_PED) == 0 || link_state(p) != LINK_U3)
        return;
    set_link(p, LINK_RESUME);
    change(c, p, PORT_PLC);
}

bool xhci_chip_enabled(const struct xhci_chip *c, unsigned port)
{
    return (c->port[port].sc & PORT_PED) != 0 && link_state(&c->port[port]) == LINK_U0;
}

int xhci_chip_port_event(struct xhci_chip *c)
{
    for (unsigned i = 0; i < XHCI_PORTS; i++) {
        if ((c->port[i].sc & PORT_CHANGES) == 0 || c->port[i].told)
            continue;
        c->port[i].told = true;
        return (int)i;
    }
    return -1;
}

/* --- capabilities: 5.3, 7.2 --- */

static uint32_t capability(uint32_t offset)
{
    static const uint32_t name = 0x20425355; /* "USB " */
    static const uint32_t regs[OPERATIONAL / 4] = {
        [CAPLENGTH / 4] = 0x0100u << 16 | OPERATIONAL,
        [HCSPARAMS1 / 4] = XHCI_SLOTS | 1u << 8 | XHCI_PORTS << 24,
        [HCCPARAMS1 / 4] = 1 | EXTENDED / 4u << 16, /* AC64 */
        [DBOFF / 4] = DOORBELLS,
        [RTSOFF / 4] = RUNTIME,
        /* Supported protocols: USB 2.0 and 3.0, their first port and how many. */
        [EXTENDED / 4] = 2 | 4u << 8 | 2u << 24,
        [EXTENDED / 4 + 1] = name,
        [EXTENDED / 4 + 2] = 1 | XHCI_PORTS_USB2 << 8,
        [EXTENDED / 4 + 4] = 2 | 3u << 24,
        [EXTENDED / 4 + 5] = name,
        [EXTENDED / 4 + 6] = (1 + XHCI_PORTS_USB2) | (XHCI_PORTS - XHCI_PORTS_USB2) << 8,
    };

    return regs[offset / 4];
}

/* --- interrupts: 4.17 --- */

void xhci_chip_event(struct xhci_chip *c)
{
    c->ipe = true;
}

bool xhci_chip_update(struct xhci_chip *c)
{
    if (!c->ipe || (c->erdp & ERDP_EHB) != 0)
        return false;
    c->ipe = false;
    c->erdp |= ERDP_EHB;
    c->iman |= IMAN_IP;
    c->sts |= STS_EINT;
    return xhci_chip_level(c);
}

bool xhci_chip_level(const struct xhci_chip *c)
{
    return (c->iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE) && (c->cmd & CMD_INTE) != 0;
}

void xhci_chip_message_sent(struct xhci_chip *c)
{
    c->iman &= ~(uint32_t)IMAN_IP;
}

/* --- registers --- */

bool xhci_chip_running(const struct xhci_chip *c)
{
    return (c->cmd & CMD_RS) != 0 && !c->resetting;
}

static uint32_t high(uint64_t v)
{
    return (uint32_t)(v >> 32);
}

static void put_low(uint64_t *reg, uint32_t value, uint32_t mask)
{
    *reg = (*reg & UINT64_C(0xffffffff00000000)) | (value & mask);
}

static void put_high(uint64_t *reg, uint32_t value)
{
    *reg = (*reg & 0xffffffff) | (uint64_t)value << 32;
}

static uint32_t read_operational(const struct xhci_chip *c, uint32_t reg)
{
    switch (reg) {
    case USBCMD:
        return c->cmd | (c->resetting ? CMD_HCRST : 0);
    case USBSTS:
        return c->sts | (c->cmd & CMD_RS ? 0 : STS_HCH);
    case PAGESIZE:
        return 1; /* 4 KB */
    case DNCTRL:
        return c->dnctrl;
    case CRCR:
        return c->crr ? CRCR_CRR : 0;
    case DCBAAP:
        return (uint32_t)c->dcbaap;
    case DCBAAP + 4:
        return high(c->dcbaap);
    case CONFIG:
        return c->config;
    default:
        return 0;
    }
}

static uint32_t read_runtime(const struct xhci_chip *c, uint32_t reg, uint64_t frames)
{
    switch (reg) {
    case MFINDEX:
        return (c->cmd & CMD_RS) != 0 ? (uint32_t)frames & 0x3fff : 0;
    case IMAN:
        return c->iman;
    case IMOD:
        return c->imod;
    case ERSTSZ:
        return c->erstsz;
    case ERSTBA:
        return (uint32_t)c->erstba;
    case ERSTBA + 4:
        return high(c->erstba);
    case ERDP:
        return (uint32_t)c->erdp;
    case ERDP + 4:
        return high(c->erdp);
    default:
        return 0;
    }
}

static bool is_port(uint32_t offset)
{
    return offset >= PORTS && offset < PORTS + XHCI_PORTS * 16;
}

uint32_t xhci_chip_read(const struct xhci_chip *c, uint32_t offset, uint64_t frames)
{
    if (offset < OPERATIONAL)
        return capability(offset);
    if (is_port(offset)) {
        const struct xhci_port *p = &c->port[(offset - PORTS) / 16];

        return offset % 16 == PORTSC ? p->sc : offset % 16 == PORTPMSC ? p->pmsc : 0;
    }
    if (offset < RUNTIME)
        return read_operational(c, offset - OPERATIONAL);
    if (offset < DOORBELLS)
        return read_runtime(c, offset - RUNTIME, frames);
    return 0;
}

static void write_command(struct xhci_chip *c, uint32_t value)
{
    uint32_t old = c->cmd;

    c->cmd = value & CMD_WRITABLE;
    if ((value & CMD_HCRST) != 0)
        c->resetting = true;
    if ((old & ~c->cmd & CMD_RS) != 0)
        c->crr = false;
}

/* While the ring runs only its stop bits count: 5.4.5. */
static void write_crcr(struct xhci_chip *c, uint32_t value)
{
    if (c->crr) {
        c->stop_command |= (value & (CRCR_CS | CRCR_CA)) != 0;
        return;
    }
    put_low(&c->crcr, value, ~(uint32_t)0x3e);
    c->crcr_changed = true;
}

static void write_operational(struct xhci_chip *c, uint32_t reg, uint32_t value)
{
    switch (reg) {
    case USBCMD:
        write_command(c, value);
        break;
    case USBSTS:
        c->sts &= ~(value & STS_W1C);
        break;
    case DNCTRL:
        c->dnctrl = value & 0xffff;
        break;
    case CRCR:
        write_crcr(c, value);
        break;
    case CRCR + 4:
        if (!c->crr) {
            put_high(&c->crcr, value);
            c->crcr_changed = true;
        }
        break;
    case DCBAAP:
        put_low(&c->dcbaap, value, ~(uint32_t)0x3f);
        break;
    case DCBAAP + 4:
        put_high(&c->dcbaap, value);
        break;
    case CONFIG:
        c->config = value & 0x3ff;
        break;
    }
}

static void write_runtime(struct xhci_chip *c, uint32_t reg, uint32_t value)
{
    switch (reg) {
    case IMAN:
        c->iman = (c->iman & IMAN_IP & ~value) | (value & IMAN_IE);
        break;
    case IMOD:
        c->imod = value;
        break;
    case ERSTSZ:
        c->erstsz = value & 0xffff;
        break;
    case ERSTBA:
        put_low(&c->erstba, value, ~(uint32_t)0x3f);
        c->erst_changed = true;
        break;
    case ERSTBA + 4:
        put_high(&c->erstba, value);
        c->erst_changed = true;
        break;
    case ERDP:
        put_low(&c->erdp, (value & ~(uint32_t)ERDP_EHB) | ((uint32_t)c->erdp & ~value & ERDP_EHB),
                UINT32_MAX);
        break;
    case ERDP + 4:
        put_high(&c->erdp, value);
        break;
    }
}

static void ring(struct xhci_chip *c, uint32_t slot, uint32_t value)
{
    uint32_t target = value & 0xff;

    if (slot > XHCI_SLOTS || !xhci_chip_running(c) || target > 31 || (slot == 0) != (target == 0))
        return;
    c->doorbell[slot] |= UINT32_C(1) << target;
    if (slot == 0)
        c->crr = true;
}

void xhci_chip_write(struct xhci_chip *c, uint32_t offset, uint32_t value)
{
    if (offset < OPERATIONAL || c->resetting)
        return;
    if (is_port(offset) && offset % 16 == PORTSC)
        write_portsc(c, &c->port[(offset - PORTS) / 16], value);
    else if (is_port(offset) && offset % 16 == PORTPMSC)
        c->port[(offset - PORTS) / 16].pmsc = value;
    else if (offset < RUNTIME)
        write_operational(c, offset - OPERATIONAL, value);
    else if (offset < DOORBELLS)
        write_runtime(c, offset - RUNTIME, value);
    else
        ring(c, (offset - DOORBELLS) / 4, value);
}

/* --- life --- */

void xhci_chip_reset(struct xhci_chip *c)
{
    uint8_t speed[XHCI_PORTS];

    for (unsigned i = 0; i < XHCI_PORTS; i++)
        speed[i] = c->port[i].speed;
    xhci_chip_init(c, speed);
}

void xhci_chip_init(struct xhci_chip *c, const uint8_t speed[XHCI_PORTS])
{
    memset(c, 0, sizeof(*c));
    c->imod = 4000; /* 5.5.2.2 */
    for (unsigned i = 0; i < XHCI_PORTS; i++) {
        c->port[i].speed = speed[i];
        port_power(&c->port[i]);
        if (speed[i] != XHCI_NO_DEVICE)
            c->sts |= STS_PCD;
    }
}

static const struct state_field port_fields[] = {
    STATE_U32_F(struct xhci_port, sc),
    STATE_U32_F(struct xhci_port, pmsc),
    STATE_BOOL_F(struct xhci_port, told),
    STATE_BOOL_F(struct xhci_port, reset),
    STATE_END_F,
};
static const struct state_table port_state = {
    .name = "xhci-port", .version = 1, .fields = port_fields};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct xhci_chip, port, XHCI_PORTS, &port_state),
    STATE_U32_F(struct xhci_chip, cmd),
    STATE_U32_F(struct xhci_chip, sts),
    STATE_U32_F(struct xhci_chip, dnctrl),
    STATE_U32_F(struct xhci_chip, config),
    STATE_U64_F(struct xhci_chip, crcr),
    STATE_U64_F(struct xhci_chip, dcbaap),
    STATE_BOOL_F(struct xhci_chip, crr),
    STATE_U32_F(struct xhci_chip, iman),
    STATE_U32_F(struct xhci_chip, imod),
    STATE_U32_F(struct xhci_chip, erstsz),
    STATE_U64_F(struct xhci_chip, erstba),
    STATE_U64_F(struct xhci_chip, erdp),
    STATE_BOOL_F(struct xhci_chip, ipe),
    STATE_BOOL_F(struct xhci_chip, resetting),
    STATE_BOOL_F(struct xhci_chip, erst_changed),
    STATE_BOOL_F(struct xhci_chip, crcr_changed),
    STATE_BOOL_F(struct xhci_chip, stop_command),
    STATE_ARRAY_F(struct xhci_chip, doorbell, STATE_U32, XHCI_SLOTS + 1),
    STATE_END_F,
};
const struct state_table xhci_chip_state = {.name = "xhci-chip", .version = 1, .fields = fields};
