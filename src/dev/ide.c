/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE adapter: see ide.h. One lock covers both channels. Accesses change registers on the
 * vCPU's thread; what the drives want of their images is done on the loop (ata_unit.h).
 *
 * The channels' ports answer always: IDETIM's enable bits are kept for drivers that look at them.
 */
#include "dev/ide.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/chip/ide_chip.h"
#include "dev/irq_out.h"

enum { IDETIM = 0x40, UDMACTL = 0x48, UDMATIM = 0x4a, IDETIM_DECODE = 0x8000 };

static const uint16_t command_ports[IDE_CHANNELS] = {0x1f0, 0x170};
static const uint16_t control_ports[IDE_CHANNELS] = {0x3f6, 0x376};

struct ide;

struct channel {
    struct ide *ide;
    struct ide_channel chip;
    struct irq_out irq;
};

struct ide {
    struct ide_config cfg;
    struct pci_func func;
    struct lock lock;
    struct ata_unit unit[IDE_DRIVES];
    struct channel channel[IDE_CHANNELS];
};

static const struct pci_func_info info = {
    .name = "piix4-ide",
    .vendor = 0x8086,
    .device = 0x7111,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x010180, /* bus master, ports of old */
    .revision = 1,
};

/* --- after an access --- */

/* Lock held. */
static void note(struct channel *c)
{
    irq_out_set(&c->irq, ide_update(&c->chip));
}

/* Without the lock. */
static void tell(struct channel *c)
{
    struct ide *s = c->ide;
    unsigned first = (unsigned)(c - s->channel) * 2;

    irq_out_flush(&c->irq);
    for (unsigned i = first; i < first + 2; i++)
        ata_unit_kick(&s->unit[i]);
}

/* Lock held: an access in the middle of a block: many come in a row and nothing follows. */
static bool data_goes_on(struct channel *c, uint64_t offset)
{
    const struct ata_drive *d = ide_drive(&c->chip);

    return offset == ATA_REG_DATA && (d->phase == ATA_IN || d->phase == ATA_OUT) &&
           d->pos < d->end && !d->intrq;
}

/* --- ports --- */

static uint64_t command_read(void *opaque, uint64_t offset, unsigned size)
{
    struct channel *c = opaque;
    uint32_t value = 0;
    bool quiet;

    lock_take(&c->ide->lock);
    if (offset == ATA_REG_DATA)
        value = ide_read(&c->chip, ATA_REG_DATA, size < 2 ? 2 : size);
    else
        for (unsigned i = 0; i < size && offset + i < ATA_REGS; i++)
            value |= ide_read(&c->chip, (unsigned)offset + i, 1) << 8 * i;
    quiet = data_goes_on(c, offset);
    note(c);
    lock_drop(&c->ide->lock);
    if (!quiet)
        tell(c);
    return value;
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct channel *c = opaque;
    bool quiet;

    lock_take(&c->ide->lock);
    if (offset == ATA_REG_DATA)
        ide_write(&c->chip, ATA_REG_DATA, (uint32_t)value, size < 2 ? 2 : size);
    else
        for (unsigned i = 0; i < size && offset + i < ATA_REGS; i++)
            ide_write(&c->chip, (unsigned)offset + i, (uint8_t)(value >> 8 * i), 1);
    quiet = data_goes_on(c, offset);
    note(c);
    lock_drop(&c->ide->lock);
    if (!quiet)
        tell(c);
}

static const struct bus_ops command_ops = {
    .name = "ide", .read = command_read, .write = command_write, .min_size = 1, .max_size = 4};

static uint64_t control_read(void *opaque, uint64_t offset, unsigned size)
{
    struct channel *c = opaque;
    uint8_t value;

    lock_take(&c->ide->lock);
    value = ide_control_read(&c->chip);
    lock_drop(&c->ide->lock);
    return value;
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct channel *c = opaque;

    lock_take(&c->ide->lock);
    ide_control_write(&c->chip, (uint8_t)value);
    note(c);
    lock_drop(&c->ide->lock);
    tell(c);
}

static const struct bus_ops control_ops = {.name = "ide-control",
                                           .read = control_read,
                                           .write = control_write,
                                           .min_size = 1,
                                           .max_size = 1};

static uint64_t bm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ide *s = opaque;
    uint8_t value;

    lock_take(&s->lock);
    value = ide_bm_read(&s->channel[offset / IDE_BM_REGS].chip, (unsigned)offset % IDE_BM_REGS);
    lock_drop(&s->lock);
    return value;
}

static void bm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ide *s = opaque;
    struct channel *c = &s->channel[offset / IDE_BM_REGS];

    lock_take(&s->lock);
    ide_bm_write(&c->chip, (unsigned)offset % IDE_BM_REGS, (uint8_t)value);
    note(c);
    lock_drop(&s->lock);
    tell(c);
}

static const struct bus_ops bm_ops = {
    .name = "ide-bus-master", .read = bm_read, .write = bm_write, .min_size = 1, .max_size = 1};

/* --- what the units ask for --- */

static struct channel *channel_of(struct ide *s, const struct ata_unit *u)
{
    return &s->channel[(u - s->unit) / 2];
}

/* Descriptors are read again until their memory was used: nothing of the channel changes here. */
static int memory(void *opaque, struct ata_unit *u, uint64_t want, bool write, struct ata_memory *m)
{
    struct ide *s = opaque;
    struct ide_channel *chip = &channel_of(s, u)->chip, look = {.at = chip->at};

    if (!ide_bm_active(chip) || ide_drive(chip) != u->cfg.drive || !pci_func_master(&s->func))
        return 0;
    look.address = chip->address;
    look.left = chip->left;
    look.last = chip->last;
    while (m->bytes < want && m->count < ATA_UNIT_SEGMENTS - 17) {
        uint8_t bytes[8];

        if (look.left == 0 && !ide_bm_more(&look))
            break;
        if (look.left == 0) {
            if (ram_read(s->cfg.ram, look.at, bytes, sizeof(bytes)) < 0)
                break;
            ide_bm_descriptor(&look, bytes);
        }
        if (!ata_memory_add(m, s->cfg.ram, look.address, look.left, write))
            break;
        look.left = 0;
    }
    if (m->bytes == 0) /* the table has ended, or is none: the drive waits on */
        ide_bm_end(chip, look.left != 0 || ide_bm_more(&look));
    return 0;
}

static void moved(void *opaque, struct ata_unit *u, uint64_t bytes)
{
    struct ide *s = opaque;
    struct ide_channel *chip = &channel_of(s, u)->chip;

    while (bytes > 0) {
        uint8_t d[8];
        uint32_t n;

        if (chip->left == 0) {
            if (ram_read(s->cfg.ram, chip->at, d, sizeof(d)) < 0)
                return;
            ide_bm_descriptor(chip, d);
        }
        n = bytes < chip->left ? (uint32_t)bytes : chip->left;
        ide_bm_moved(chip, n);
        bytes -= n;
    }
}

static void changed(void *opaque, struct ata_unit *u)
{
    struct ide *s = opaque;
    struct channel *c = channel_of(s, u);

    lock_take(&s->lock);
    if (u->cfg.drive->phase == ATA_IDLE && ide_drive(&c->chip) == u->cfg.drive)
        ide_bm_end(&c->chip, false);
    note(c);
    lock_drop(&s->lock);
    irq_out_flush(&c->irq);
}

static void ejected(void *opaque, struct ata_unit *u)
{
    struct ide *s = opaque;

    s->cfg.ejected(s->cfg.opaque, u);
}

static const struct ata_unit_ops unit_ops = {
    .memory = memory, .moved = moved, .changed = changed, .ejected = ejected};

/* --- life --- */

static void ide_pause(void *self)
{
    struct ide *s = self;

    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_unit_pause(&s->unit[i]);
}

static void ide_resume(void *self)
{
    struct ide *s = self;

    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_unit_resume(&s->unit[i]);
}

static void ide_device_reset(void *self)
{
    struct ide *s = self;
    bool ran[IDE_DRIVES];

    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ran[i] = ata_unit_pause(&s->unit[i]);
    pci_func_reset(&s->func);
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        lock_take(&s->lock);
        ata_unit_measure(&s->unit[2 * i]);
        ata_unit_measure(&s->unit[2 * i + 1]);
        ide_reset(&s->channel[i].chip);
        note(&s->channel[i]);
        lock_drop(&s->lock);
        irq_out_flush(&s->channel[i].irq);
    }
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        if (ran[i])
            ata_unit_resume(&s->unit[i]);
}

static void ide_restore(void *self)
{
    struct ide *s = self;

    pci_func_restore(&s->func);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        irq_out_restore(&s->channel[i].irq, ide_update(&s->channel[i].chip));
}

static void ide_destroy(void *self)
{
    struct ide *s = self;

    if (s == NULL)
        return;
    pci_remove(&s->func);
    pci_func_finish(&s->func);
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        bus_unmap(s->cfg.ports, command_ports[i], &command_ops, &s->channel[i]);
        bus_unmap(s->cfg.ports, control_ports[i], &control_ops, &s->channel[i]);
    }
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        ata_unit_finish(&s->unit[i]);
    lock_finish(&s->lock);
    free(s);
}

static const struct state_field channel_fields[] = {
    STATE_STRUCT_F(struct channel, chip, 1, &ide_channel_state),
    STATE_END_F,
};
static const struct state_table channel_state = {
    .name = "ide-channel-port", .version = 1, .fields = channel_fields};

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct ide, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct ide, channel, IDE_CHANNELS, &channel_state),
    STATE_END_F,
};
static const struct state_table state_table = {.name = "ide", .version = 1, .fields = fields};

static const struct device_ops ide_ops = {
    .name = "ide",
    .reset = ide_device_reset,
    .pause = ide_pause,
    .resume = ide_resume,
    .restore = ide_restore,
    .destroy = ide_destroy,
    .state = &state_table,
};

static int map(struct ide *s, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < IDE_CHANNELS && rc == 0; i++) {
        rc = bus_map(s->cfg.ports, command_ports[i], 8, &command_ops, &s->channel[i]);
        if (rc == 0)
            rc = bus_map(s->cfg.ports, control_ports[i], 1, &control_ops, &s->channel[i]);
    }
    if (rc < 0)
        return err_set(e, -rc, "cannot map the ports of the IDE adapter: %s", strerror(-rc));
    return pci_add(s->cfg.bus, s->cfg.devfn, &s->func, e);
}

int ide_create(const struct ide_config *cfg, struct device *out, struct err *e)
{
    static const struct ata_identity none[2];
    struct ide *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL || pci_func_init(&s->func, &info, NULL, NULL) < 0) {
        free(s);
        return err_set(e, ENOMEM, "no memory for the IDE adapter");
    }
    s->cfg = *cfg;
    lock_init(&s->lock, LOCK_DEVICE);
    pci_func_bar(&s->func, 4, PCI_BAR_IO, 16, &bm_ops, s);
    pci_func_set32(&s->func, IDETIM, 0, 0xffffffff);
    pci_func_set8(&s->func, IDETIM + 4, 0, 0xff); /* SIDETIM */
    pci_func_set8(&s->func, UDMACTL, 0, 0x0f);
    pci_func_set16(&s->func, UDMATIM, 0, 0x3333);
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        s->channel[i].ide = s;
        ide_init(&s->channel[i].chip, none);
        irq_out_init(&s->channel[i].irq, cfg->irq[i]);
    }
    rc = map(s, e);
    if (rc < 0) {
        ide_destroy(s);
        return rc;
    }
    *out = (struct device){&ide_ops, s};
    return 0;
}

int ide_add(const struct device *d, unsigned drive, enum ata_kind kind,
            struct block_backend *backend, struct err *e)
{
    struct ide *s = d->self;
    const struct ata_unit_config cfg = {.lock = &s->lock,
                                        .drive = &s->channel[drive / 2].chip.drive[drive % 2],
                                        .place = drive,
                                        .loop = s->cfg.loop,
                                        .ram = s->cfg.ram,
                                        .ops = &unit_ops,
                                        .opaque = s};

    return ata_unit_init(&s->unit[drive], &cfg, kind, backend, e);
}

struct ata_unit *ide_unit(const struct device *d, unsigned drive)
{
    struct ide *s = d->self;

    return s->unit[drive].cfg.drive != NULL ? &s->unit[drive] : NULL;
}

void ide_program(const struct device *d)
{
    struct ide *s = d->self;

    pci_config_write(s->cfg.bus, 0, s->cfg.devfn, IDETIM, 4, IDETIM_DECODE << 16 | IDETIM_DECODE);
}
