/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AHCI registers: see ahci_chip.h. Names are those of the specification. */
#include "dev/chip/ahci_chip.h"

#include <errno.h>

enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10, PORT_BASE = 0x100 };
enum {
    PX_CLB = 0x00,
    PX_CLBU = 0x04,
    PX_FB = 0x08,
    PX_FBU = 0x0c,
    PX_IS = 0x10,
    PX_IE = 0x14,
    PX_CMD = 0x18,
    PX_TFD = 0x20,
    PX_SIG = 0x24,
    PX_SSTS = 0x28,
    PX_SCTL = 0x2c,
    PX_SERR = 0x30,
    PX_SACT = 0x34,
    PX_CI = 0x38,
};

#define GHC_HR 0x00000001u
#define GHC_IE 0x00000002u
#define GHC_AE 0x80000000u
#define CMD_FR 0x00004000u
#define CMD_CR 0x00008000u
#define CMD_CLO 0x00000008u
#define CMD_ATAPI 0x01000000u
#define CMD_WRITABLE 0x0f000017u /* ST, SUD, POD, FRE, and what only drivers look at */
#define CMD_RESET 0x00000006u    /* SUD, POD: there is no staggered spin-up */
#define SERR_X 0x04000000u
#define SSTS_UP 0x133u /* a device, at 6 Gbit/s, active */
#define VERSION 0x00010301u

/* 6 ports, 32 slots, AHCI only, 6 Gbit/s, CLO, NCQ, 64 bits. */
#define CAPABILITIES (5u | 31u << 8 | 1u << 18 | 3u << 20 | 1u << 24 | 1u << 30 | 1u << 31)

/* --- state --- */

static const struct state_field port_fields[] = {
    STATE_STRUCT_F(struct ahci_port, drive, 1, &ata_drive_state),
    STATE_U64_F(struct ahci_port, clb),
    STATE_U64_F(struct ahci_port, fb),
    STATE_U32_F(struct ahci_port, is),
    STATE_U32_F(struct ahci_port, ie),
    STATE_U32_F(struct ahci_port, cmd),
    STATE_U32_F(struct ahci_port, sctl),
    STATE_U32_F(struct ahci_port, serr),
    STATE_U32_F(struct ahci_port, sact),
    STATE_U32_F(struct ahci_port, ci),
    STATE_U32_F(struct ahci_port, queued),
    STATE_BOOL_F(struct ahci_port, running),
    STATE_BOOL_F(struct ahci_port, halted),
    STATE_BOOL_F(struct ahci_port, srst),
    STATE_MAX_F(struct ahci_port, slot, STATE_U8, AHCI_SLOTS - 1),
    STATE_U32_F(struct ahci_port, header),
    STATE_U64_F(struct ahci_port, table),
    STATE_U32_F(struct ahci_port, prd),
    STATE_U32_F(struct ahci_port, prd_offset),
    STATE_U32_F(struct ahci_port, moved),
    STATE_END_F,
};

static int validate(const void *object, struct err *e)
{
    const struct ahci_port *p = object;

    if (p->queued != 0 && p->drive.id.kind != ATA_DISK)
        return err_set(e, EINVAL, "ahci: queued commands without a disk");
    if (p->running && p->drive.id.kind == ATA_NONE)
        return err_set(e, EINVAL, "ahci: a command without a drive");
    return 0;
}

static const struct state_table port_state = {
    .name = "ahci-port", .version = 1, .fields = port_fields, .validate = validate};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct ahci_chip, port, AHCI_PORTS, &port_state),
    STATE_U32_F(struct ahci_chip, ghc),
    STATE_U32_F(struct ahci_chip, is),
    STATE_END_F,
};

const struct state_table ahci_chip_state = {.name = "ahci-chip", .version = 1, .fields = fields};

/* --- reset --- */

static void drop_commands(struct ahci_port *p)
{
    p->ci = p->sact = p->queued = 0;
    p->halted = false;
    if (p->running)
        ata_reset_bus(&p->drive);
    p->running = false;
}

/* 10.4.3. The drive sends its signature when FISes are received. */
static void port_reset(struct ahci_port *p)
{
    drop_commands(p);
    p->clb = p->fb = 0;
    p->is = p->ie = p->sctl = p->serr = 0;
    p->cmd = CMD_RESET;
    p->srst = p->reset = false;
    p->slot = 0;
    p->header = p->prd = p->prd_offset = p->moved = 0;
    p->table = 0;
    if (p->drive.id.kind != ATA_NONE)
        p->serr = SERR_X;
}

void ahci_init(struct ahci_chip *c, const struct ata_identity id[AHCI_PORTS])
{
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ata_init(&c->port[i].drive, &id[i]);
    ahci_reset(c);
}

void ahci_reset(struct ahci_chip *c)
{
    c->ghc = GHC_AE;
    c->is = 0;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        port_reset(&c->port[i]);
        ata_reset(&c->port[i].drive, false);
    }
}

/* GHC.HR: registers and drives, but not their settings. */
static void host_reset(struct ahci_chip *c)
{
    c->ghc = GHC_AE;
    c->is = 0;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        port_reset(&c->port[i]);
        ata_reset_bus(&c->port[i].drive);
    }
}

/* --- ports --- */

static uint32_t signature(const struct ahci_port *p)
{
    switch (p->drive.id.kind) {
    case ATA_DISK:
        return 0x00000101;
    case ATA_CDROM:
        return 0xeb140101;
    default:
        return 0xffffffff;
    }
}

static uint32_t command_and_status(const struct ahci_port *p)
{
    uint32_t v = p->cmd;

    if (v & AHCI_CMD_FRE)
        v |= CMD_FR;
    if ((v & AHCI_CMD_ST) != 0 || p->under_way > 0 || p->drive.io)
        v |= CMD_CR | (uint32_t)p->slot << 8;
    if (p->drive.id.kind == ATA_CDROM)
        v |= CMD_ATAPI;
    return v;
}

static bool detached(const struct ahci_port *p)
{
    return p->drive.id.kind == ATA_NONE || (p->sctl & 15) != 0;
}

static uint32_t port_read(const struct ahci_port *p, uint32_t reg)
{
    switch (reg) {
    case PX_CLB:
        return (uint32_t)p->clb;
    case PX_CLBU:
        return (uint32_t)(p->clb >> 32);
    case PX_FB:
        return (uint32_t)p->fb;
    case PX_FBU:
        return (uint32_t)(p->fb >> 32);
    case PX_IS:
        return p->is | (p->serr & SERR_X ? AHCI_IS_PC : 0);
    case PX_IE:
        return p->ie;
    case PX_CMD:
        return command_and_status(p);
    case PX_TFD:
        return detached(p) ? 0x7f : (uint32_t)p->drive.error << 8 | p->drive.status;
    case PX_SIG:
        return signature(p);
    case PX_SSTS:
        return detached(p) ? 0 : SSTS_UP;
    case PX_SCTL:
        return p->sctl;
    case PX_SERR:
        return p->serr;
    case PX_SACT:
        return p->sact;
    case PX_CI:
        return p->ci;
    default:
        return 0;
    }
}

static void write_command(struct ahci_port *p, uint32_t value)
{
    uint32_t old = p->cmd;

    if ((value & CMD_CLO) != 0 && !p->running && p->drive.phase == ATA_IDLE)
        p->drive.status &= (uint8_t) ~(ATA_BSY | ATA_DRQ);
    p->cmd = value & CMD_WRITABLE;
    if ((old & ~p->cmd & AHCI_CMD_ST) != 0)
        drop_commands(p);
    if ((p->cmd & ~old & AHCI_CMD_FRE) != 0)
        p->reset = true; /* the signature has waited */
}

/* DET from 1 to 0 ends a COMRESET. */
static void write_control(struct ahci_port *p, uint32_t value)
{
    bool was = (p->sctl & 15) == 1, now = (value & 15) == 1;

    p->sctl = value & 0xfff;
    if (now && !was && p->drive.id.kind != ATA_NONE) {
        drop_commands(p);
        ata_reset_bus(&p->drive);
    } else if (was && !now && p->drive.id.kind != ATA_NONE) {
        p->serr |= SERR_X;
        p->reset = true;
    }
}

static void port_write(struct ahci_port *p, uint32_t reg, uint32_t value)
{
    bool started = (p->cmd & AHCI_CMD_ST) != 0;

    switch (reg) {
    case PX_CLB:
        p->clb = (p->clb & 0xffffffff00000000) | (value & ~0x3ffu);
        break;
    case PX_CLBU:
        p->clb = (p->clb & 0xffffffff) | (uint64_t)value << 32;
        break;
    case PX_FB:
        p->fb = (p->fb & 0xffffffff00000000) | (value & ~0xffu);
        break;
    case PX_FBU:
        p->fb = (p->fb & 0xffffffff) | (uint64_t)value << 32;
        break;
    case PX_IS:
        p->is &= ~value;
        break;
    case PX_IE:
        p->ie = value & 0xfdc000ff;
        break;
    case PX_CMD:
        write_command(p, value);
        break;
    case PX_SCTL:
        write_control(p, value);
        break;
    case PX_SERR:
        p->serr &= ~value;
        break;
    case PX_SACT:
        p->sact |= started ? value : 0;
        break;
    case PX_CI:
        p->ci |= started ? value : 0;
        break;
    }
}

/* --- the adapter --- */

uint32_t ahci_read(const struct ahci_chip *c, uint32_t offset)
{
    if (offset >= PORT_BASE + AHCI_PORTS * 0x80)
        return 0;
    if (offset >= PORT_BASE)
        return port_read(&c->port[(offset - PORT_BASE) / 0x80], offset % 0x80);
    switch (offset) {
    case CAP:
        return CAPABILITIES;
    case GHC:
        return c->ghc;
    case IS:
        return c->is;
    case PI:
        return (1u << AHCI_PORTS) - 1;
    case VS:
        return VERSION;
    default:
        return 0;
    }
}

void ahci_write(struct ahci_chip *c, uint32_t offset, uint32_t value)
{
    if (offset >= PORT_BASE + AHCI_PORTS * 0x80)
        return;
    if (offset >= PORT_BASE)
        port_write(&c->port[(offset - PORT_BASE) / 0x80], offset % 0x80, value);
    else if (offset == IS)
        c->is &= ~value;
    else if (offset == GHC && (value & GHC_HR) != 0)
        host_reset(c);
    else if (offset == GHC)
        c->ghc = GHC_AE | (value & GHC_IE);
}

bool ahci_update(struct ahci_chip *c)
{
    uint32_t pending = 0;
    bool news;

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if ((port_read(&c->port[i], PX_IS) & c->port[i].ie) != 0)
            pending |= 1u << i;
    news = (pending & ~c->is) != 0;
    c->is |= pending;
    return news && (c->ghc & GHC_IE) != 0;
}

bool ahci_level(const struct ahci_chip *c)
{
    return c->is != 0 && (c->ghc & GHC_IE) != 0;
}
