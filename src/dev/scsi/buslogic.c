/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BT-958 on PCI: registers, targets, life; see buslogic_internal.h. */
#include "dev/scsi/buslogic.h"

#include <errno.h>
#include <stdlib.h>

#include "dev/scsi/buslogic_internal.h"

#define BAR_SIZE 32u

/* --- registers --- */

void buslogic_note_and_unlock(struct buslogic *b)
{
    pci_intx_store(&b->func, buslogic_asserted(&b->chip));
    lock_drop(&b->lock);
    pci_intx_update(&b->func);
}

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    struct buslogic *b = opaque;
    uint8_t v;

    lock_take(&b->lock);
    v = buslogic_read(&b->chip, offset % BUSLOGIC_IO_SIZE, b->inflight == 0);
    buslogic_note_and_unlock(b);
    return v;
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct buslogic *b = opaque;

    lock_take(&b->lock);
    if (buslogic_write(&b->chip, offset % BUSLOGIC_IO_SIZE, (uint8_t)value))
        buslogic_post(b);
    buslogic_note_and_unlock(b);
}

static const struct bus_ops io_ops = {
    .name = "buslogic", .read = io_read, .write = io_write, .min_size = 1, .max_size = 1};

/* --- targets --- */

static void ejected(void *opaque, struct scsi_unit *u)
{
    struct buslogic *b = opaque;

    if (b->cfg.ejected != NULL)
        b->cfg.ejected(b->cfg.opaque, u);
}

/* For the geometry that the card tells: the disks are as large as the guest finds them. */
static void measure(struct buslogic *b)
{
    lock_take(&b->lock);
    for (unsigned i = 0; i < 2; i++)
        b->chip.drive_blocks[i] = b->luns[i].blocks;
    lock_drop(&b->lock);
}

int buslogic_add(void *self, unsigned target, enum scsi_kind kind, struct block_backend *backend,
                 struct err *e)
{
    struct buslogic *b = self;
    const struct scsi_unit_config cfg = {.lun = &b->luns[target],
                                         .loop = b->cfg.loop,
                                         .ram = b->cfg.ram,
                                         .place = target,
                                         .batch_end = buslogic_batch_end,
                                         .ejected = ejected,
                                         .opaque = b};
    int rc = scsi_unit_init(&b->units[target], &cfg, kind, backend, e);

    if (rc < 0)
        return rc;
    b->chip.targets |= (uint16_t)(1u << target);
    measure(b);
    return 0;
}

struct scsi_unit *buslogic_unit(void *self, unsigned target)
{
    struct buslogic *b = self;

    return &b->units[target];
}

void buslogic_resized(void *self, const struct block_backend *backend)
{
    struct buslogic *b = self;

    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]) && b->units[i].backend == backend)
            scsi_unit_resized(&b->units[i]);
}

/* --- life --- */

static void drain(struct buslogic *b)
{
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]))
            scsi_unit_drain(&b->units[i]);
}

/* After it nothing moves; `paused` is set. A loop that does not run is driven from here. */
static bool quiesce(struct buslogic *b)
{
    bool here = loop_is_current(b->cfg.loop) || !loop_is_running(b->cfg.loop), was;

    lock_take(&b->lock);
    was = b->paused;
    b->paused = true;
    lock_drop(&b->lock);
    if (here)
        drain(b);
    lock_take(&b->lock);
    while (!here && (b->running || b->inflight != 0))
        lock_wait(&b->lock, &b->idle);
    lock_drop(&b->lock);
    return was;
}

/* The interrupt that firmware writes to the card is one that the card tells. */
static void take_irq(struct buslogic *b)
{
    uint8_t irq = (uint8_t)pci_func_reg(&b->func, PCI_REG_INT_LINE, 1);

    lock_take(&b->lock);
    b->chip.irq = irq;
    lock_drop(&b->lock);
}

static void device_reset(void *self)
{
    struct buslogic *b = self;
    bool paused = quiesce(b);

    pci_func_reset(&b->func);
    take_irq(b);
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        if (scsi_unit_present(&b->units[i]))
            scsi_unit_reset(&b->units[i]);
    measure(b);
    lock_take(&b->lock);
    buslogic_reset(&b->chip);
    b->paused = paused;
    buslogic_note_and_unlock(b);
}

static void device_pause(void *self)
{
    (void)quiesce(self);
}

static void device_resume(void *self)
{
    struct buslogic *b = self;

    lock_take(&b->lock);
    b->paused = false;
    buslogic_post(b);
    lock_drop(&b->lock);
}

static void device_restore(void *self)
{
    struct buslogic *b = self;

    pci_func_restore(&b->func);
    take_irq(b);
    lock_take(&b->lock);
    buslogic_note_and_unlock(b);
}

static void device_destroy(void *self)
{
    struct buslogic *b = self;

    if (b == NULL)
        return;
    pci_remove(&b->func);
    pci_func_finish(&b->func);
    for (unsigned i = 0; i < BUSLOGIC_TARGETS; i++)
        scsi_unit_finish(&b->units[i]);
    pthread_cond_destroy(&b->idle);
    lock_finish(&b->lock);
    freelist_finish(&b->requests);
    free(b);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct buslogic, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct buslogic, luns, BUSLOGIC_TARGETS, &scsi_lun_state),
    STATE_STRUCT_F(struct buslogic, chip, 1, &buslogic_chip_state),
    STATE_END_F,
};
static const struct state_table buslogic_state = {
    .name = "buslogic", .version = 1, .fields = fields};

static const struct device_ops device_ops = {
    .name = "buslogic",
    .reset = device_reset,
    .pause = device_pause,
    .resume = device_resume,
    .restore = device_restore,
    .destroy = device_destroy,
    .state = &buslogic_state,
};

/* Boxes may have waited for the card to become a bus master. */
static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    struct buslogic *b = opaque;

    take_irq(b);
    lock_take(&b->lock);
    if (b->chip.start)
        buslogic_post(b);
    lock_drop(&b->lock);
}

static const struct pci_func_hooks hooks = {.config_written = config_written};

/* The same registers in ports and in memory. The card's own BIOS makes it a bus master, and drivers
 * count on that; there is none here, so it is one from the start. */
static int init_pci(struct buslogic *b, struct err *e)
{
    static const struct pci_func_info info = {
        .name = "buslogic",
        .vendor = 0x104b,
        .device = 0x1040,
        .subsystem_vendor = 0x104b,
        .subsystem = 0x1040,
        .class_code = 0x010000,
        .revision = 0x08,
        .pin = 1,
    };
    int rc;

    if (pci_func_init(&b->func, &info, &hooks, b) < 0)
        return err_set(e, ENOMEM, "no memory for a SCSI adapter");
    pci_func_bar(&b->func, 0, PCI_BAR_IO, BAR_SIZE, &io_ops, b);
    pci_func_bar(&b->func, 1, PCI_BAR_MEM32, BAR_SIZE, &io_ops, b);
    pci_func_set8(&b->func, PCI_REG_COMMAND, PCI_CMD_MASTER,
                  PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
    pci_func_reset(&b->func);
    rc = pci_add(b->cfg.bus, b->cfg.devfn, &b->func, e);
    if (rc < 0)
        pci_func_finish(&b->func);
    return rc;
}

int buslogic_create(const struct buslogic_config *cfg, struct device *out, struct err *e)
{
    struct buslogic *b = calloc(1, sizeof(*b));
    int rc;

    if (b == NULL ||
        freelist_init(&b->requests, BUSLOGIC_QUEUE, sizeof(struct buslogic_request)) < 0) {
        free(b);
        return err_set(e, ENOMEM, "no memory for a SCSI adapter");
    }
    b->cfg = *cfg;
    buslogic_init(&b->chip);
    lock_init(&b->lock, LOCK_DEVICE);
    pthread_cond_init(&b->idle, NULL);
    rc = init_pci(b, e);
    if (rc < 0) {
        pthread_cond_destroy(&b->idle);
        lock_finish(&b->lock);
        freelist_finish(&b->requests);
        free(b);
        return rc;
    }
    *out = (struct device){&device_ops, b};
    return 0;
}
