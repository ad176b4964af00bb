/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA's card: PCI, ports, window and lock around the register model. See vga.h. */
#include "dev/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "dev/chip/edid.h"
#include "dev/chip/vga_chip.h"
#include "dev/chip/vga_draw.h"

enum {
    MONO_PORTS = 0x3b4, /* to 3bb; 3bc is a printer's */
    PORTS = 0x3c0,      /* to 3df */
    DISPI_PORTS = 0x1ce,
    REGS_SIZE = 0x1000,
    REGS_VGA = 0x400,
    REGS_DISPI = 0x500,
};

struct vga {
    struct vga_config cfg;
    uint8_t edid[EDID_SIZE];
    uint8_t *rom;
    struct lock lock;       /* all below */
    bool told, told_direct; /* what the board was told of the window, */
    uint32_t told_offset;
    bool busy, again; /* and whether somebody is telling it */
    struct vga_chip chip;
    struct pci_func func; /* not used where cfg.func is */
};

/* One thread tells the board at a time, in the order of the changes. */
static void update_window(struct vga *v)
{
    lock_take(&v->lock);
    v->again = true;
    while (v->again && !v->busy) {
        uint32_t offset = 0;
        bool direct = vga_chip_direct(&v->chip, &offset);

        v->again = false;
        if (v->told && direct == v->told_direct && (!direct || offset == v->told_offset))
            break;
        v->busy = v->told = true;
        v->told_direct = direct;
        v->told_offset = offset;
        lock_drop(&v->lock);
        v->cfg.window(v->cfg.opaque, direct, offset);
        lock_take(&v->lock);
        v->busy = false;
    }
    lock_drop(&v->lock);
}

/* --- ports --- */

static uint8_t port_get(struct vga *v, uint16_t port)
{
    uint64_t now = vclock_now(v->cfg.clock);
    uint8_t value;

    lock_take(&v->lock);
    value = vga_chip_read(&v->chip, port, now);
    lock_drop(&v->lock);
    return value;
}

static void port_put(struct vga *v, uint16_t port, uint8_t value)
{
    lock_take(&v->lock);
    vga_chip_write(&v->chip, port, value);
    lock_drop(&v->lock);
    update_window(v);
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    return port_get(opaque, (uint16_t)(PORTS + offset));
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    port_put(opaque, (uint16_t)(PORTS + offset), (uint8_t)value);
}

static uint64_t mono_read(void *opaque, uint64_t offset, unsigned size)
{
    return port_get(opaque, (uint16_t)(MONO_PORTS + offset));
}

static void mono_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    port_put(opaque, (uint16_t)(MONO_PORTS + offset), (uint8_t)value);
}

static const struct bus_ops ports_ops = {
    .name = "vga", .read = ports_read, .write = ports_write, .min_size = 1, .max_size = 1};
static const struct bus_ops mono_ops = {
    .name = "vga", .read = mono_read, .write = mono_write, .min_size = 1, .max_size = 1};

/* --- dispi --- */

static uint16_t dispi_get(struct vga *v, uint16_t index)
{
    uint16_t value;

    lock_take(&v->lock);
    value = vga_chip_dispi_read(&v->chip, index);
    lock_drop(&v->lock);
    return value;
}

static void dispi_put(struct vga *v, uint16_t index, uint16_t value)
{
    lock_take(&v->lock);
    vga_chip_dispi_write(&v->chip, index, value);
    lock_drop(&v->lock);
    update_window(v);
}

static uint16_t dispi_index(struct vga *v)
{
    uint16_t index;

    lock_take(&v->lock);
    index = v->chip.dispi_index;
    lock_drop(&v->lock);
    return index;
}

/* The data register overlaps the index register's second byte: both are words. */
static uint64_t dispi_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    uint16_t index = dispi_index(v);

    if (size != 2)
        return 0xff;
    return offset == 0 ? index : dispi_get(v, index);
}

static void dispi_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;

    if (size == 2 && offset == 1) {
        dispi_put(v, dispi_index(v), (uint16_t)value);
    } else if (size == 2) {
        lock_take(&v->lock);
        v->chip.dispi_index = (uint16_t)value;
        lock_drop(&v->lock);
    }
}

static const struct bus_ops dispi_ops = {
    .name = "dispi", .read = dispi_read, .write = dispi_write, .min_size = 1, .max_size = 2};

/* --- BAR 2 --- */

static uint64_t regs_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    uint64_t value = 0;

    if (offset >= REGS_DISPI && offset < REGS_DISPI + 2 * DISPI_COUNT)
        return size == 2 ? dispi_get(v, (uint16_t)((offset - REGS_DISPI) / 2)) : 0xff;
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i;
        uint8_t b = 0xff;

        if (at < EDID_SIZE)
            b = v->edid[at];
        else if (at < REGS_VGA)
            b = 0;
        else if (at < REGS_VGA + 0x20)
            b = port_get(v, (uint16_t)(PORTS + at - REGS_VGA));
        value |= (uint64_t)b << 8 * i;
    }
    return value;
}

static void regs_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;

    if (offset >= REGS_DISPI && offset < REGS_DISPI + 2 * DISPI_COUNT) {
        if (size == 2)
            dispi_put(v, (uint16_t)((offset - REGS_DISPI) / 2), (uint16_t)value);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        if (offset + i >= REGS_VGA && offset + i < REGS_VGA + 0x20)
            port_put(v, (uint16_t)(PORTS + offset + i - REGS_VGA), (uint8_t)(value >> 8 * i));
}

static const struct bus_ops regs_ops = {
    .name = "vga-regs", .read = regs_read, .write = regs_write, .min_size = 1, .max_size = 2};

/* --- memory --- */

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    uint64_t value = 0;

    lock_take(&v->lock);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)vga_chip_window_read(&v->chip, (uint32_t)offset + i) << 8 * i;
    lock_drop(&v->lock);
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;

    lock_take(&v->lock);
    for (unsigned i = 0; i < size; i++)
        vga_chip_window_write(&v->chip, (uint32_t)offset + i, (uint8_t)(value >> 8 * i));
    lock_drop(&v->lock);
}

static const struct bus_ops window_ops = {
    .name = "vga-window", .read = window_read, .write = window_write, .min_size = 1, .max_size = 8};

static void memory_placed(void *opaque, uint64_t base)
{
    struct vga *v = opaque;

    v->cfg.placed(v->cfg.opaque, base);
}

static uint64_t rom_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct vga *v = opaque;
    uint64_t value = 0;

    memcpy(&value, v->rom + offset, size); /* aligned */
    return value;
}

static void rom_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const struct bus_ops rom_ops = {
    .name = "vga-rom", .read = rom_read, .write = rom_write, .min_size = 1, .max_size = 8};

/* --- the picture --- */

/* From a copy of the registers: the guest does not wait for the drawing. */
static int draw(void *self, struct video_surface *s)
{
    struct vga *v = self;
    struct vga_chip chip;

    lock_take(&v->lock);
    chip = v->chip;
    lock_drop(&v->lock);
    return vga_draw(&chip, vclock_now(v->cfg.clock), s);
}

struct video vga_video(struct vga *v)
{
    return (struct video){.draw = draw, .self = v};
}

/* --- life --- */

/* The part of a card that another device has the function of. */
static void part_reset(void *self)
{
    struct vga *v = self;

    lock_take(&v->lock);
    vga_chip_reset(&v->chip);
    lock_drop(&v->lock);
    update_window(v);
}

static void part_restore(void *self)
{
    update_window(self);
}

static void part_destroy(void *self)
{
    struct vga *v = self;

    if (v == NULL)
        return;
    lock_finish(&v->lock);
    free(v->rom);
    free(v);
}

static const struct state_field part_fields[] = {
    STATE_STRUCT_F(struct vga, chip, 1, &vga_chip_state),
    STATE_END_F,
};
static const struct state_table part_state = {
    .name = "vga-part", .version = 1, .fields = part_fields};

static const struct device_ops part_ops = {
    .name = "vga",
    .reset = part_reset,
    .restore = part_restore,
    .destroy = part_destroy,
    .state = &part_state,
};

/* A card of its own. */
static void vga_reset(void *self)
{
    struct vga *v = self;

    part_reset(v);
    pci_func_reset(&v->func);
}

static void vga_restore(void *self)
{
    struct vga *v = self;

    part_restore(v);
    pci_func_restore(&v->func);
}

static void vga_destroy(void *self)
{
    struct vga *v = self;

    if (v == NULL)
        return;
    pci_remove(&v->func);
    pci_func_finish(&v->func);
    part_destroy(v);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct vga, chip, 1, &vga_chip_state),
    STATE_STRUCT_F(struct vga, func, 1, &pci_func_state),
    STATE_END_F,
};
static const struct state_table vga_state = {.name = "vga-card", .version = 1, .fields = fields};

static const struct device_ops vga_ops = {
    .name = "vga",
    .reset = vga_reset,
    .restore = vga_restore,
    .destroy = vga_destroy,
    .state = &vga_state,
};

struct device vga_device(struct vga *v)
{
    return (struct device){.ops = v->cfg.func != NULL ? &part_ops : &vga_ops, .self = v};
}

static struct pci_func *func_of(struct vga *v)
{
    return v->cfg.func != NULL ? v->cfg.func : &v->func;
}

static int copy_rom(struct vga *v)
{
    size_t size = 2048; /* a power of two */

    while (size < v->cfg.rom_size)
        size *= 2;
    v->rom = calloc(1, size);
    if (v->rom == NULL)
        return -ENOMEM;
    memcpy(v->rom, v->cfg.rom, v->cfg.rom_size);
    pci_func_rom(func_of(v), size, &rom_ops, v);
    return 0;
}

static int map(struct vga *v, struct err *e)
{
    const struct vga_config *c = &v->cfg;
    int rc = bus_map(c->ports, PORTS, 0x20, &ports_ops, v);

    if (rc == 0)
        rc = bus_map(c->ports, MONO_PORTS, 8, &mono_ops, v);
    if (rc == 0)
        rc = bus_map(c->ports, DISPI_PORTS, 3, &dispi_ops, v);
    if (rc == 0)
        rc = bus_map(c->mmio, VGA_WINDOW_BASE, VGA_WINDOW_SIZE, &window_ops, v);
    return rc < 0 ? err_set(e, -rc, "cannot map the VGA: %s", strerror(-rc)) : 0;
}

/* What the function has of the VGA. */
static int declare(struct vga *v, struct err *e)
{
    const struct vga_config *c = &v->cfg;
    struct pci_func *f = func_of(v);

    pci_func_bar_placed(f, c->memory_bar, PCI_BAR_MEM32_PREFETCH, VGA_MEMORY_SIZE, memory_placed,
                        v);
    if (c->regs_bar != VGA_NO_BAR)
        pci_func_bar(f, c->regs_bar, PCI_BAR_MEM32, REGS_SIZE, &regs_ops, v);
    pci_func_set8(f, PCI_REG_COMMAND, 0, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
    return c->rom != NULL && copy_rom(v) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int init_func(struct vga *v)
{
    static const struct pci_func_info info = {.name = "vga",
                                              .vendor = 0x1234,
                                              .device = 0x1111,
                                              .subsystem_vendor = 0x1af4,
                                              .subsystem = 0x1100,
                                              .class_code = 0x030000};

    v->cfg.memory_bar = VGA_MEMORY_BAR;
    v->cfg.regs_bar = VGA_REGS_BAR;
    return pci_func_init(&v->func, &info, NULL, NULL);
}

int vga_create(const struct vga_config *cfg, struct vga **out, struct err *e)
{
    struct vga *v = calloc(1, sizeof(*v));
    int rc;

    if (v != NULL)
        v->cfg = *cfg;
    if (v == NULL || (cfg->func == NULL && init_func(v) < 0)) {
        free(v);
        return err_set(e, ENOMEM, "out of memory");
    }
    lock_init(&v->lock, LOCK_DEVICE);
    vga_chip_init(&v->chip, cfg->vram, VGA_MEMORY_SIZE);
    edid_make(v->edid, cfg->width, cfg->height);
    rc = declare(v, e);
    if (rc == 0)
        rc = map(v, e);
    if (rc == 0 && cfg->func == NULL)
        rc = pci_add(cfg->pci, cfg->devfn, &v->func, e);
    if (rc < 0) {
        vga_device(v).ops->destroy(v);
        return rc;
    }
    *out = v;
    return 0;
}
