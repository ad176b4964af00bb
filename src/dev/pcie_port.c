/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A root port: capability, interrupt and lock around the slot. See pcie_port.h. */
#include "dev/pcie_port.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/lock.h"
#include "dev/chip/pcie_slot.h"

/* PCI Express Base 3.0, 7.8: offsets in the capability. */
enum {
    CAP_ID = 0x10,
    CAP_SIZE = 0x3c,
    CAP_FLAGS = 0x02,
    DEVICE_CAPS = 0x04,
    DEVICE_CONTROL = 0x08,
    DEVICE_STATUS = 0x0a,
    LINK_CAPS = 0x0c,
    LINK_CONTROL = 0x10,
    LINK_STATUS = 0x12,
    SLOT_CAPS = 0x14,
    SLOT_CONTROL = 0x18,
    SLOT_STATUS = 0x1a,
    ROOT_CONTROL = 0x1c,
    DEVICE_CONTROL2 = 0x28,
    LINK_CAPS2 = 0x2c,
    FLAGS = 2 | 4 << 4 | 1 << 8, /* version, a root port, with a slot */
    ROLE_BASED_ERRORS = 1 << 15, /* all ports have them */
    LINK = 1 | 1 << 4,           /* 2.5 GT/s, one lane */
    LINK_REPORTS = 1 << 20,      /* whether it is up: */
    LINK_UP = 1 << 13,           /* in LINK_STATUS */
    BUS_RESET = 1 << 6,          /* of the bridge's control register */
};

struct pcie_port {
    struct pcie_port_config cfg;
    struct pci_func func;
    unsigned cap;
    struct lock lock; /* below */
    struct pcie_slot slot;
    bool told;     /* the message of the interrupt that is on */
    bool in_reset; /* state: the guest holds the bus behind in reset */
};

static const struct pci_func_info info = {
    .name = "pcie-port",
    .vendor = 0x8086,
    .device = 0x2940,
    .class_code = 0x060400,
    .revision = 2,
    .pin = 1,
    .multifunction = true,
};

static bool link_now(struct pcie_port *p)
{
    bool link;

    lock_take(&p->lock);
    link = p->slot.link;
    lock_drop(&p->lock);
    return link;
}

/* The last word is right, whichever thread has it: each looks again. */
static void tell_link(struct pcie_port *p)
{
    bool link = link_now(p);

    while (link != atomic_load(&p->func.bridge.link)) {
        pci_bridge_set_link(&p->func, link);
        link = link_now(p);
    }
}

/* Lock held before: tells pin, bridge and board what the slot became. `spent`: what it was. */
static void unlock_and_tell(struct pcie_port *p, bool spent)
{
    bool level = pcie_slot_level(&p->slot), edge = level && !p->told;
    bool tell = p->slot.spent && !spent;

    p->told = level;
    pci_intx_store(&p->func, level && !pci_msi_enabled(&p->func));
    lock_drop(&p->lock);
    tell_link(p);
    pci_intx_update(&p->func);
    if (edge)
        pci_msi_notify(&p->func, 0);
    if (tell)
        p->cfg.spent(p->cfg.opaque);
}

/* --- registers --- */

/* The 16 bits of a register that an access covers, moved to their place in it. */
static uint32_t part(uint16_t value, unsigned at, unsigned reg)
{
    return at >= reg ? (uint32_t)value << 8 * (at - reg) : (uint32_t)value >> 8 * (reg - at);
}

static bool touches(unsigned reg, unsigned size, unsigned at)
{
    return reg < at + 2 && at < reg + size;
}

/* Puts what the hardware has there into the answer. */
static void overlay(uint32_t *answer, unsigned at, unsigned reg, unsigned size, uint16_t value)
{
    if (touches(reg, size, at))
        *answer = (*answer & ~part(0xffff, at, reg)) | part(value, at, reg);
}

static bool config_read(void *opaque, unsigned reg, unsigned size, uint32_t *value)
{
    struct pcie_port *p = opaque;

    if (reg + size <= p->cap || reg >= p->cap + CAP_SIZE)
        return false;
    *value = pci_func_reg(&p->func, reg, size);
    lock_take(&p->lock);
    overlay(value, p->cap + SLOT_CONTROL, reg, size, p->slot.control);
    overlay(value, p->cap + SLOT_STATUS, reg, size, pcie_slot_status(&p->slot));
    overlay(value, p->cap + LINK_STATUS, reg, size, p->slot.link ? LINK | LINK_UP : LINK);
    lock_drop(&p->lock);
    return true;
}

/* What of a write of `size` bytes at `reg` is the 16-bit register's at `at`. */
static uint16_t written(unsigned at, unsigned reg, uint32_t value)
{
    return (uint16_t)(reg >= at ? value << 8 * (reg - at) : value >> 8 * (at - reg));
}

static uint32_t ones(unsigned size)
{
    return UINT32_MAX >> (32 - 8 * size);
}

static void config_written(void *opaque, unsigned reg, unsigned size, uint32_t value)
{
    struct pcie_port *p = opaque;
    unsigned control = p->cap + SLOT_CONTROL, status = p->cap + SLOT_STATUS;
    bool spent, reset = (pci_func_reg(&p->func, PCI_REG_BRIDGE_CONTROL, 2) & BUS_RESET) != 0;

    value &= ones(size);
    lock_take(&p->lock);
    spent = p->slot.spent;
    if (touches(reg, size, control))
        pcie_slot_write_control(&p->slot, written(control, reg, value),
                                written(control, reg, ones(size)));
    if (touches(reg, size, status))
        pcie_slot_write_status(&p->slot, written(status, reg, value));
    if (touches(reg, size, PCI_REG_BRIDGE_CONTROL) && reset && !p->in_reset)
        pcie_slot_bus_reset(&p->slot);
    p->in_reset = reset;
    unlock_and_tell(p, spent);
}

static const struct pci_func_hooks hooks = {.config_read = config_read,
                                            .config_written = config_written};

/* --- the card --- */

static void change(struct device *d, void (*how)(struct pcie_slot *s))
{
    struct pcie_port *p = d->self;

    lock_take(&p->lock);
    how(&p->slot);
    unlock_and_tell(p, p->slot.spent);
}

void pcie_port_insert(struct device *d)
{
    change(d, pcie_slot_insert);
}

void pcie_port_take(struct device *d)
{
    change(d, pcie_slot_take);
}

void pcie_port_renewed(struct device *d)
{
    change(d, pcie_slot_renewed);
}

bool pcie_port_spent(struct device *d)
{
    struct pcie_port *p = d->self;
    bool spent;

    lock_take(&p->lock);
    spent = p->slot.spent;
    lock_drop(&p->lock);
    return spent;
}

bool pcie_port_link(struct device *d)
{
    struct pcie_port *p = d->self;

    return atomic_load(&p->func.bridge.link);
}

int pcie_port_press(struct device *d)
{
    struct pcie_port *p = d->self;
    bool busy;

    lock_take(&p->lock);
    busy = pcie_slot_busy(&p->slot);
    if (!busy)
        pcie_slot_press(&p->slot);
    unlock_and_tell(p, p->slot.spent);
    return busy ? -EBUSY : 0;
}

/* --- life --- */

static void port_reset(void *self)
{
    struct pcie_port *p = self;

    pci_func_reset(&p->func);
    lock_take(&p->lock);
    pcie_slot_reset(&p->slot);
    p->told = p->in_reset = false;
    unlock_and_tell(p, false);
}

static void port_restore(void *self)
{
    struct pcie_port *p = self;

    pci_func_restore(&p->func);
    lock_take(&p->lock);
    pcie_slot_restore(&p->slot);
    p->told = pcie_slot_level(&p->slot); /* its message was sent before */
    unlock_and_tell(p, false);
}

static void port_destroy(void *self)
{
    struct pcie_port *p = self;

    if (p == NULL)
        return;
    pci_remove(&p->func);
    pci_func_finish(&p->func);
    lock_finish(&p->lock);
    free(p);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct pcie_port, func, 1, &pci_func_state),
    STATE_STRUCT_F(struct pcie_port, slot, 1, &pcie_slot_state),
    STATE_BOOL_F(struct pcie_port, in_reset),
    STATE_END_F,
};
static const struct state_table state_table = {
    .name = "pcie-port", .version = 1, .fields = fields, .validate = NULL};

static const struct device_ops port_ops = {
    .name = "pcie-port",
    .reset = port_reset,
    .restore = port_restore,
    .destroy = port_destroy,
    .state = &state_table,
};

static void declare(struct pcie_port *p)
{
    struct pci_func *f = &p->func;
    uint8_t body[CAP_SIZE - 2] = {0};
    unsigned number = p->cfg.number;

    st_le16(body + CAP_FLAGS - 2, FLAGS);
    pci_func_bridge(f);
    p->cap = pci_func_cap(f, CAP_ID, body, NULL, CAP_SIZE);
    pci_func_set32(f, p->cap + DEVICE_CAPS, ROLE_BASED_ERRORS, 0);
    pci_func_set16(f, p->cap + DEVICE_CONTROL, 0, 0x000f);
    pci_func_set32(f, p->cap + LINK_CAPS, LINK | LINK_REPORTS | number << 24, 0);
    pci_func_set16(f, p->cap + LINK_CONTROL, 0, 0x00eb);
    pci_func_set32(f, p->cap + SLOT_CAPS, PCIE_SLOT_CAPS | number << 19, 0);
    pci_func_set16(f, p->cap + ROOT_CONTROL, 0, 0x0007);
    pci_func_set16(f, p->cap + DEVICE_CONTROL2, 0, 0x001f);
    pci_func_set32(f, p->cap + LINK_CAPS2, 1 << 1, 0);
    pci_func_msi(f, 1);
}

int pcie_port_create(const struct pcie_port_config *cfg, struct device *out, struct err *e)
{
    struct pcie_port *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL || pci_func_init(&p->func, &info, &hooks, p) < 0) {
        free(p);
        return err_set(e, ENOMEM, "no memory for a port of PCI Express");
    }
    p->cfg = *cfg;
    lock_init(&p->lock, LOCK_DEVICE);
    declare(p);
    rc = pci_add(cfg->bus, cfg->devfn, &p->func, e);
    if (rc < 0) {
        port_destroy(p);
        return rc;
    }
    *out = (struct device){&port_ops, p};
    port_reset(p);
    return 0;
}
