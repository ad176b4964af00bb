/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AHCI adapter: see ahci.h. Numbers of chapters are AHCI 1.3.1's.
 *
 * Everything that reads command lists and writes FISes happens on the loop. A command is the
 * drive's (ata_unit.h) unless it is queued: ahci_queue.c.
 */
#include "dev/ahci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO = 0x5f };
enum { AT_PIO = 0x20, AT_D2H = 0x40 }; /* 4.2.1 */
enum { FIS_COMMAND = 0x80, CONTROL_SRST = 0x04 };
enum { TABLE_PACKET = 0x40, TABLE_PRDT = 0x80 };

static const struct pci_func_info info = {
    .name = "ich9-ahci",
    .vendor = 0x8086,
    .device = 0x2922,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x010601,
    .revision = 2,
    .pin = 1,
};

static unsigned number_of(const struct ahci *s, const struct ata_unit *u)
{
    return (unsigned)(u - s->unit);
}

static struct ahci_port *port_of(struct ahci *s, const struct ata_unit *u)
{
    return &s->chip.port[u - s->unit];
}

/* --- interrupts --- */

bool ahci_note(struct ahci *s)
{
    bool news = ahci_update(&s->chip);

    pci_intx_store(&s->func, ahci_level(&s->chip) && !pci_msi_enabled(&s->func));
    return news;
}

void ahci_tell(struct ahci *s, bool news)
{
    pci_intx_update(&s->func);
    if (news && pci_msi_enabled(&s->func))
        pci_msi_notify(&s->func, 0);
}

/* --- memory of a command: 4.2.3.3 --- */

static bool descriptor(struct ahci *s, const struct ahci_cursor *c, gpa_t *at, uint32_t *len)
{
    uint8_t d[16];

    if (c->index >= c->count ||
        ram_read(s->cfg.ram, c->table + TABLE_PRDT + 16 * (uint64_t)c->index, d, sizeof(d)) < 0)
        return false;
    *len = (ld_le32(d + 12) & 0x3ffffe) + 2;
    *at = ld_le64(d) & ~UINT64_C(1);
    if (c->offset >= *len)
        return false;
    *at += c->offset;
    *len -= c->offset;
    return true;
}

void ahci_gather(struct ahci *s, struct ahci_cursor c, uint64_t want, bool write,
                 struct ata_memory *m)
{
    gpa_t at;
    uint32_t len;

    while (m->bytes < want && m->count < ATA_UNIT_SEGMENTS && descriptor(s, &c, &at, &len)) {
        if (len > want - m->bytes)
            len = (uint32_t)(want - m->bytes);
        if (!ata_memory_add(m, s->cfg.ram, at, len, write))
            return;
        c.index++;
        c.offset = 0;
    }
}

void ahci_advance(struct ahci *s, struct ahci_cursor *c, uint64_t bytes)
{
    gpa_t at;
    uint32_t len;

    while (bytes > 0 && descriptor(s, c, &at, &len)) {
        if (bytes < len) {
            c->offset += (uint32_t)bytes;
            return;
        }
        bytes -= len;
        c->index++;
        c->offset = 0;
    }
}

static struct ahci_cursor cursor_of(const struct ahci_port *p)
{
    return (struct ahci_cursor){p->table, p->header >> 16, p->prd, p->prd_offset};
}

static int memory(void *opaque, struct ata_unit *u, uint64_t want, bool write, struct ata_memory *m)
{
    struct ahci *s = opaque;

    ahci_gather(s, cursor_of(port_of(s, u)), want, write, m);
    return m->bytes == 0 ? -EFAULT : 0;
}

static void moved(void *opaque, struct ata_unit *u, uint64_t bytes)
{
    struct ahci *s = opaque;
    struct ahci_port *p = port_of(s, u);
    struct ahci_cursor c = cursor_of(p);

    ahci_advance(s, &c, bytes);
    p->prd = c.index;
    p->prd_offset = c.offset;
    p->moved += (uint32_t)bytes;
    s->pio[number_of(s, u)] |= u->io.phase == ATA_IN || u->io.phase == ATA_OUT;
}

/* --- FISes from the drive: 4.2.1; the lock is not held for the writes --- */

static void fis_d2h(const struct ahci_port *p, uint8_t fis[20])
{
    const struct ata_drive *d = &p->drive;

    memset(fis, 0, 20);
    fis[0] = FIS_D2H;
    fis[1] = AHCI_FIS_INTERRUPT;
    fis[2] = d->status;
    fis[3] = d->error;
    memcpy(fis + 4, d->reg + ATA_REG_LBA_LOW, 3);
    fis[7] = d->reg[ATA_REG_DEVICE];
    memcpy(fis + 8, d->hob + ATA_REG_LBA_LOW, 3);
    fis[12] = d->reg[ATA_REG_COUNT];
    fis[13] = d->hob[ATA_REG_COUNT];
}

static void fis_pio(const struct ahci_port *p, uint8_t fis[20])
{
    fis_d2h(p, fis);
    fis[0] = FIS_PIO;
    fis[15] = fis[2];
    st_le16(fis + 16, (uint16_t)p->moved);
}

void ahci_send(struct ahci *s, uint64_t area, unsigned at, const uint8_t *fis, unsigned len)
{
    if (area != 0 && ram_write(s->cfg.ram, area + at, fis, len) < 0)
        log_guest("ahci: FISes are received at %#llx, which is no memory",
                  (unsigned long long)area);
}

/* --- commands: 5.3 --- */

void ahci_bus_error(struct ahci_port *p)
{
    p->is |= 1u << 29; /* host bus fatal */
    p->halted = true;
}

static void load_registers(struct ata_drive *d, const uint8_t *f)
{
    static const struct {
        uint8_t reg, low, high;
    } map[] = {{ATA_REG_FEATURE, 3, 11},
               {ATA_REG_COUNT, 12, 13},
               {ATA_REG_LBA_LOW, 4, 8},
               {ATA_REG_LBA_MID, 5, 9},
               {ATA_REG_LBA_HIGH, 6, 10}};

    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        ata_reg_write(d, map[i].reg, f[map[i].high]);
        ata_reg_write(d, map[i].reg, f[map[i].low]);
    }
    ata_reg_write(d, ATA_REG_DEVICE, f[7]);
}

/* A control FIS: the software's reset is over when a second one clears SRST. */
static enum ata_unit_next control(struct ahci_port *p, const uint8_t *fis)
{
    bool was = p->srst;

    p->srst = (fis[15] & CONTROL_SRST) != 0;
    if (p->srst && !was)
        ata_reset(&p->drive, true);
    p->reset = was && !p->srst;
    return ATA_UNIT_TELL;
}

bool ahci_fetch(struct ahci *s, struct ahci_port *p, unsigned slot, uint32_t *header,
                uint64_t *table, uint8_t fis[20])
{
    uint8_t h[16];

    if (ram_read(s->cfg.ram, p->clb + 32 * (uint64_t)slot, h, sizeof(h)) < 0)
        return false;
    *header = ld_le32(h);
    *table = ld_le64(h + 8) & ~UINT64_C(0x7f);
    return ram_read(s->cfg.ram, *table, fis, 20) == 0;
}

/* Lock held. */
static enum ata_unit_next begin(struct ahci *s, unsigned i, unsigned slot)
{
    struct ahci_port *p = &s->chip.port[i];
    uint32_t header;
    uint64_t table;
    uint8_t fis[20];

    if (!ahci_fetch(s, p, slot, &header, &table, fis)) {
        ahci_bus_error(p);
        return ATA_UNIT_TELL;
    }
    if (fis[0] != FIS_H2D || (fis[1] & FIS_COMMAND) == 0) {
        p->ci &= ~(1u << slot);
        return fis[0] == FIS_H2D ? control(p, fis) : ATA_UNIT_TELL;
    }
    if ((fis[2] == AHCI_READ_QUEUED || fis[2] == AHCI_WRITE_QUEUED) &&
        p->drive.id.kind == ATA_DISK) {
        p->ci &= ~(1u << slot);
        return ahci_queue_begin(s, i, slot, header, table, fis);
    }
    if (p->queued != 0)
        return ATA_UNIT_NONE;
    p->running = true;
    p->slot = (uint8_t)slot;
    p->header = header;
    p->table = table;
    p->prd = p->prd_offset = p->moved = 0;
    s->pio[i] = false;
    load_registers(&p->drive, fis);
    ata_command(&p->drive, fis[2]);
    return ATA_UNIT_GIVEN;
}

static bool started(struct ahci *s, const struct ahci_port *p)
{
    return (p->cmd & AHCI_CMD_ST) != 0 && !p->halted && pci_func_master(&s->func);
}

static bool waiting(void *opaque, struct ata_unit *u)
{
    struct ahci *s = opaque;
    struct ahci_port *p = port_of(s, u);

    if (p->reset && (p->cmd & AHCI_CMD_FRE) != 0)
        return true;
    if (!started(s, p))
        return false;
    return p->running || p->ci != 0 || ahci_queue_stalled(s, number_of(s, u));
}

static enum ata_unit_next next(void *opaque, struct ata_unit *u)
{
    struct ahci *s = opaque;
    struct ahci_port *p = port_of(s, u);
    unsigned i = number_of(s, u);
    uint8_t packet[ATA_CDB];

    if (p->reset && (p->cmd & AHCI_CMD_FRE) != 0)
        return ATA_UNIT_TELL;
    if (!started(s, p))
        return ATA_UNIT_NONE;
    if (p->running && p->drive.phase == ATA_PACKET) {
        if (ram_read(s->cfg.ram, p->table + TABLE_PACKET, packet, sizeof(packet)) < 0)
            memset(packet, 0xff, sizeof(packet));
        ata_packet(&p->drive, packet);
        return ATA_UNIT_GIVEN;
    }
    if (p->running)
        return p->drive.phase == ATA_IDLE ? ATA_UNIT_TELL : ATA_UNIT_NONE;
    if (ahci_queue_stalled(s, i))
        ahci_queue_again(s, i);
    while (p->ci != 0 && p->drive.phase == ATA_IDLE && !p->halted) {
        uint32_t before = p->ci;
        enum ata_unit_next done = begin(s, i, (unsigned)__builtin_ctz(p->ci));

        if (done != ATA_UNIT_NONE || p->ci == before)
            return done;
    }
    return ATA_UNIT_NONE;
}

/* --- what came of it --- */

/* The end of the drive's command, or of a reset. */
static void changed(void *opaque, struct ata_unit *u)
{
    struct ahci *s = opaque;
    struct ahci_port *p = port_of(s, u);
    uint8_t fis[20], pio_fis[20], count[4];
    uint64_t area, header;
    bool over, reset, pio, news;

    lock_take(&s->lock);
    over = p->running && p->drive.phase == ATA_IDLE;
    reset = p->reset && (p->cmd & AHCI_CMD_FRE) != 0 && p->drive.phase == ATA_IDLE;
    pio = over && s->pio[number_of(s, u)];
    fis_d2h(p, fis);
    fis_pio(p, pio_fis);
    st_le32(count, p->moved);
    area = (p->cmd & AHCI_CMD_FRE) != 0 ? p->fb : 0;
    header = p->clb + 32 * (uint64_t)p->slot;
    lock_drop(&s->lock);
    if (pio)
        ahci_send(s, area, AT_PIO, pio_fis, sizeof(pio_fis));
    if (over || reset)
        ahci_send(s, area, AT_D2H, fis, sizeof(fis));
    if (over && ram_write(s->cfg.ram, header + 4, count, sizeof(count)) < 0)
        log_guest("ahci: a command list that is no memory");
    lock_take(&s->lock);
    if (reset)
        p->reset = false;
    if (over && p->running) {
        p->running = false;
        p->ci &= ~(1u << p->slot);
        p->is |= AHCI_IS_DHR | (pio ? AHCI_IS_PS : 0);
        p->drive.intrq = false;
        if (p->drive.status & ATA_ERR) {
            p->is |= AHCI_IS_TFE;
            p->halted = true;
        }
    }
    news = ahci_note(s);
    lock_drop(&s->lock);
    ahci_tell(s, news);
}

static bool busy(void *opaque, struct ata_unit *u)
{
    return port_of(opaque, u)->under_way > 0;
}

static void ejected(void *opaque, struct ata_unit *u)
{
    struct ahci *s = opaque;

    s->cfg.ejected(s->cfg.opaque, u);
}

static const struct ata_unit_ops unit_ops = {.memory = memory,
                                             .moved = moved,
                                             .next = next,
                                             .waiting = waiting,
                                             .busy = busy,
                                             .changed = changed,
                                             .ejected = ejected};

/* --- registers --- */

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ahci *s = opaque;
    uint32_t value;

    lock_take(&s->lock);
    value = ahci_read(&s->chip, (uint32_t)offset);
    lock_drop(&s->lock);
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ahci *s = opaque;
    bool news;

    lock_take(&s->lock);
    ahci_write(&s->chip, (uint32_t)offset, (uint32_t)value);
    news = ahci_note(s);
    lock_drop(&s->lock);
    ahci_tell(s, news);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ata_unit_kick(&s->unit[i]);
}

static const struct bus_ops mmio_ops = {
    .name = "ahci", .read = mmio_read, .write = mmio_write, .min_size = 4, .max_size = 4};

/* --- life --- */

static void ahci_pause(void *self)
{
    struct ahci *s = self;

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ata_unit_pause(&s->unit[i]);
}

static void ahci_resume(void *self)
{
    struct ahci *s = self;

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ata_unit_resume(&s->unit[i]);
}

static void ahci_device_reset(void *self)
{
    struct ahci *s = self;
    bool ran[AHCI_PORTS];

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ran[i] = ata_unit_pause(&s->unit[i]);
    pci_func_reset(&s->func);
    lock_take(&s->lock);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ata_unit_measure(&s->unit[i]);
    ahci_reset(&s->chip);
    ahci_note(s);
    lock_drop(&s->lock);
    pci_intx_update(&s->func);
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (ran[i])
            ata_unit_resume(&s->unit[i]);
}

static void ahci_restore(void *self)
{
    struct ahci *s = self;

    pci_func_restore(&s->func);
}

static void ahci_destroy(void *self)
{
    struct ahci *s = self;

    if (s == NULL)
        return;
    pci_remove(&s->func);
    pci_func_finish(&s->func);
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ata_unit_finish(&s->unit[i]);
        free(s->slots[i]);
    }
    lock_finish(&s->lock);
    free(s);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct ahci, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct ahci, chip, 1, &ahci_chip_state),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "ahci", .version = 1, .fields = fields};

static const struct device_ops ahci_ops = {
    .name = "ahci",
    .reset = ahci_device_reset,
    .pause = ahci_pause,
    .resume = ahci_resume,
    .restore = ahci_restore,
    .destroy = ahci_destroy,
    .state = &state_table,
};

int ahci_create(const struct ahci_config *cfg, struct device *out, struct err *e)
{
    static const struct ata_identity none[AHCI_PORTS];
    struct ahci *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || pci_func_init(&s->func, &info, NULL, NULL) < 0) {
        free(s);
        return err_set(e, ENOMEM, "no memory for the AHCI adapter");
    }
    s->cfg = *cfg;
    lock_init(&s->lock, LOCK_DEVICE);
    ahci_init(&s->chip, none);
    pci_func_bar(&s->func, 5, PCI_BAR_MEM32, 4096, &mmio_ops, s);
    pci_func_set8(&s->func, 0x90, 0x40, 0);    /* MAP: AHCI, six ports */
    pci_func_set16(&s->func, 0x92, 0, 0x803f); /* PCS */
    pci_func_msi(&s->func, 1);
    rc = pci_add(cfg->bus, cfg->devfn, &s->func, e);
    if (rc < 0) {
        ahci_destroy(s);
        return rc;
    }
    *out = (struct device){&ahci_ops, s};
    return 0;
}

int ahci_add(const struct device *d, unsigned port, enum ata_kind kind,
             struct block_backend *backend, struct err *e)
{
    struct ahci *s = d->self;
    const struct ata_unit_config cfg = {.lock = &s->lock,
                                        .drive = &s->chip.port[port].drive,
                                        .place = port,
                                        .ncq = true,
                                        .loop = s->cfg.loop,
                                        .ram = s->cfg.ram,
                                        .ops = &unit_ops,
                                        .opaque = s};
    int rc;

    s->slots[port] = calloc(AHCI_SLOTS, sizeof(*s->slots[port]));
    if (s->slots[port] == NULL)
        return err_set(e, ENOMEM, "no memory for the commands of an AHCI drive");
    rc = ata_unit_init(&s->unit[port], &cfg, kind, backend, e);
    if (rc == 0)
        ahci_reset(&s->chip); /* the port tells of the drive */
    return rc;
}

struct ata_unit *ahci_unit(const struct device *d, unsigned port)
{
    struct ahci *s = d->self;

    return s->unit[port].cfg.drive != NULL ? &s->unit[port] : NULL;
}
