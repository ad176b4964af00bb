/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI function: configuration registers, BARs, capabilities. PCI Local Bus 3.0, chapter 6.
 *
 * Each byte of configuration space has a mask of writable bits and one of bits that a written 1
 * clears; what a write means beyond storing is done afterwards, without the lock: BARs move, INTx
 * follows the disable bit, pending MSIs go out, the device's hook is told.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus/pci_internal.h"

#define REG_REVISION 0x08
#define REG_CLASS 0x09
#define REG_CACHE_LINE 0x0c
#define REG_HEADER_TYPE 0x0e
#define REG_SUBSYSTEM_VENDOR 0x2c
#define REG_SUBSYSTEM 0x2e
#define STATUS_CAPS (1 << 4)
#define STATUS_INTX (1 << 3)
#define FIRST_CAP 0x40

static void header_init(struct pci_func *f, const struct pci_func_info *info)
{
    pci_func_set16(f, PCI_REG_VENDOR, info->vendor, 0);
    pci_func_set16(f, PCI_REG_DEVICE, info->device, 0);
    pci_func_set16(f, PCI_REG_COMMAND, 0, PCI_CMD_MASTER | 1 << 6 | 1 << 8);
    pci_put16(f->w1c + PCI_REG_STATUS, 0xf900); /* error bits */
    pci_func_set8(f, REG_REVISION, info->revision, 0);
    pci_func_set8(f, REG_CLASS, (uint8_t)info->class_code, 0);
    pci_func_set16(f, REG_CLASS + 1, (uint16_t)(info->class_code >> 8), 0);
    pci_func_set8(f, REG_CACHE_LINE, 0, 0xff);
    pci_func_set8(f, REG_CACHE_LINE + 1, 0, 0xf8); /* latency timer */
    pci_func_set8(f, REG_HEADER_TYPE, info->multifunction ? 0x80 : 0, 0);
    pci_func_set16(f, REG_SUBSYSTEM_VENDOR, info->subsystem_vendor, 0);
    pci_func_set16(f, REG_SUBSYSTEM, info->subsystem, 0);
    pci_func_set8(f, PCI_REG_INT_LINE, 0, info->pin != 0 ? 0xff : 0);
    pci_func_set8(f, PCI_REG_INT_PIN, info->pin, 0);
    if (info->pin != 0)
        f->wmask[PCI_REG_COMMAND + 1] |= PCI_CMD_INTX_OFF >> 8;
}

int pci_func_init(struct pci_func *f, const struct pci_func_info *info,
                  const struct pci_func_hooks *hooks, void *opaque)
{
    memset(f, 0, sizeof(*f));
    f->wmask = calloc(3, PCI_CONFIG_SIZE);
    if (f->wmask == NULL)
        return -ENOMEM;
    f->w1c = f->wmask + PCI_CONFIG_SIZE;
    f->init = f->w1c + PCI_CONFIG_SIZE;
    lock_init(&f->lock, LOCK_INTERRUPT);
    f->name = info->name;
    f->hooks = hooks;
    f->opaque = opaque;
    f->next_cap = FIRST_CAP;
    f->last_next = PCI_REG_CAPS;
    header_init(f, info);
    for (unsigned i = 0; i <= PCI_BARS; i++)
        f->bars[i].mapped = PCI_UNMAPPED;
    return 0;
}

void pci_func_finish(struct pci_func *f)
{
    if (f->wmask == NULL)
        return;
    lock_finish(&f->lock);
    free(f->wmask);
    f->wmask = NULL;
}

void pci_func_set8(struct pci_func *f, unsigned reg, uint8_t value, uint8_t wmask)
{
    f->init[reg] = f->config[reg] = value;
    f->wmask[reg] = wmask;
}

void pci_func_set16(struct pci_func *f, unsigned reg, uint16_t value, uint16_t wmask)
{
    pci_func_set8(f, reg, (uint8_t)value, (uint8_t)wmask);
    pci_func_set8(f, reg + 1, (uint8_t)(value >> 8), (uint8_t)(wmask >> 8));
}

void pci_func_set32(struct pci_func *f, unsigned reg, uint32_t value, uint32_t wmask)
{
    pci_func_set16(f, reg, (uint16_t)value, (uint16_t)wmask);
    pci_func_set16(f, reg + 2, (uint16_t)(value >> 16), (uint16_t)(wmask >> 16));
}

void pci_func_bar(struct pci_func *f, unsigned bar, enum pci_bar_type type, uint64_t size,
                  const struct bus_ops *ops, void *opaque)
{
    unsigned reg = PCI_REG_BAR0 + 4 * bar;
    uint64_t mask = ~(size - 1);
    f->bars[bar] = (struct pci_bar){
        .type = type, .size = size, .ops = ops, .opaque = opaque, .mapped = PCI_UNMAPPED};
    switch (type) {
    case PCI_BAR_IO:
        /* All 32 bits: firmware takes a BAR's size from all of them. */
        pci_func_set32(f, reg, 1, (uint32_t)mask & 0xfffffffc);
        f->wmask[PCI_REG_COMMAND] |= PCI_CMD_IO;
        return;
    case PCI_BAR_ROM:
        pci_func_set32(f, PCI_REG_ROM, 0, ((uint32_t)mask & 0xfffff800) | 1);
        break;
    case PCI_BAR_MEM32:
    case PCI_BAR_MEM32_PREFETCH:
        pci_func_set32(f, reg, type == PCI_BAR_MEM32 ? 0 : 8, (uint32_t)mask);
        break;
    case PCI_BAR_MEM64:
    case PCI_BAR_MEM64_PREFETCH:
        pci_func_set32(f, reg, type == PCI_BAR_MEM64 ? 4 : 12, (uint32_t)mask);
        pci_func_set32(f, reg + 4, 0, (uint32_t)(mask >> 32));
        break;
    }
    f->wmask[PCI_REG_COMMAND] |= PCI_CMD_MEM;
}

void pci_func_bar_placed(struct pci_func *f, unsigned bar, enum pci_bar_type type, uint64_t size,
                         void (*placed)(void *opaque, uint64_t base), void *opaque)
{
    pci_func_bar(f, bar, type, size, NULL, opaque);
    f->bars[bar].placed = placed;
}

void pci_func_rom(struct pci_func *f, uint64_t size, const struct bus_ops *ops, void *opaque)
{
    pci_func_bar(f, PCI_BARS, PCI_BAR_ROM, size, ops, opaque);
}

void pci_func_bar_moved(struct pci_func *f, unsigned bar,
                        void (*moved)(void *opaque, uint64_t base))
{
    f->bars[bar].moved = moved;
}

unsigned pci_func_cap(struct pci_func *f, uint8_t id, const void *body, const void *wmask,
                      unsigned len)
{
    unsigned at = f->next_cap;
    pci_func_set8(f, PCI_REG_STATUS, STATUS_CAPS, 0);
    pci_func_set8(f, f->last_next, (uint8_t)at, 0);
    pci_func_set8(f, at, id, 0);
    pci_func_set8(f, at + 1, 0, 0);
    for (unsigned i = 2; i < len; i++)
        pci_func_set8(f, at + i, ((const uint8_t *)body)[i - 2],
                      wmask != NULL ? ((const uint8_t *)wmask)[i - 2] : 0);
    f->last_next = (uint8_t)(at + 1);
    f->next_cap = (uint8_t)((at + len + 3) & ~3u);
    return at;
}

/* --- BARs --- */

static bool passes(const struct pci_func *f, bool ports, uint64_t base, uint64_t size)
{
    return f->above == NULL || pci_bridge_passes(f->above, ports, base, size);
}

/* Where the registers want the BAR; called with the lock held. A BAR at 0 or at the top of the
 * 32-bit space is one that nobody placed yet or that is being sized, and decodes nothing. */
static uint64_t bar_wanted(const struct pci_func *f, unsigned i)
{
    const struct pci_bar *bar = &f->bars[i];
    const uint8_t *reg = f->config + (i < PCI_BARS ? PCI_REG_BAR0 + 4 * i : PCI_REG_ROM);
    uint64_t base = pci_get32(reg);
    if (bar->size == 0 || f->bus == NULL)
        return PCI_UNMAPPED;
    if (bar->type == PCI_BAR_IO) {
        base &= 0xfffffffc;
        if ((f->config[PCI_REG_COMMAND] & PCI_CMD_IO) == 0 || base == 0 ||
            base + bar->size > 0x10000 || !passes(f, true, base, bar->size))
            return PCI_UNMAPPED;
        return base;
    }
    if (bar->type == PCI_BAR_ROM && !(base & 1))
        return PCI_UNMAPPED;
    if (bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREFETCH)
        base |= (uint64_t)pci_get32(reg + 4) << 32;
    base &= bar->type == PCI_BAR_ROM ? ~UINT64_C(2047) : ~UINT64_C(15);
    uint64_t last = base + bar->size - 1;
    if ((f->config[PCI_REG_COMMAND] & PCI_CMD_MEM) == 0 || base == 0 || last < base ||
        last == UINT32_MAX || !passes(f, false, base, bar->size))
        return PCI_UNMAPPED;
    return base;
}

/* Moves one BAR; called with the lock held, which it drops around the calls to the bus. */
static void bar_move(struct pci_func *f, struct pci_bar *bar, uint64_t want)
{
    struct bus *space = bar->type == PCI_BAR_IO ? f->bus->cfg.ports : f->bus->cfg.mmio;
    uint64_t have = bar->mapped;
    bar->mapped = want;
    lock_drop(&f->lock);
    int r = 0;
    if (bar->placed != NULL)
        bar->placed(bar->opaque, want);
    else if (have != PCI_UNMAPPED)
        bus_unmap(space, have, bar->ops, bar->opaque);
    if (want != PCI_UNMAPPED && bar->placed == NULL)
        r = bus_map(space, want, bar->size, bar->ops, bar->opaque);
    if (bar->moved != NULL)
        bar->moved(bar->opaque, r < 0 ? PCI_UNMAPPED : want);
    lock_take(&f->lock);
    if (r < 0) /* outside the address space: it decodes nothing */
        bar->mapped = PCI_UNMAPPED;
}

/* One thread moves BARs at a time; another one that changes registers meanwhile leaves a note, so
 * that the last values win without a lock held across the bus. */
void pci_func_remap(struct pci_func *f)
{
    lock_take(&f->lock);
    f->map_again = true;
    while (f->map_again && !f->map_busy) {
        f->map_busy = true;
        f->map_again = false;
        for (unsigned i = 0; i <= PCI_BARS; i++) {
            uint64_t want = bar_wanted(f, i);
            if (f->bars[i].size != 0 && want != f->bars[i].mapped)
                bar_move(f, &f->bars[i], want);
        }
        f->map_busy = false;
    }
    lock_drop(&f->lock);
}

/* --- configuration space --- */

static uint32_t config_get(struct pci_func *f, unsigned reg, unsigned size)
{
    uint32_t v = 0;
    lock_take(&f->lock);
    memcpy(&v, f->config + reg, size);
    if (f->intx && pci_touches(reg, size, PCI_REG_STATUS, 1))
        v |= (uint32_t)STATUS_INTX << (8 * (PCI_REG_STATUS - reg));
    lock_drop(&f->lock);
    return v;
}

uint32_t pci_func_reg(struct pci_func *f, unsigned reg, unsigned size)
{
    return config_get(f, reg, size);
}

bool pci_func_master(struct pci_func *f)
{
    return (config_get(f, PCI_REG_COMMAND, 2) & PCI_CMD_MASTER) != 0;
}

uint32_t pci_func_read(struct pci_func *f, unsigned reg, unsigned size)
{
    uint32_t v;
    if (f->hooks != NULL && f->hooks->config_read != NULL &&
        f->hooks->config_read(f->opaque, reg, size, &v))
        return v;
    return config_get(f, reg, size);
}

void pci_func_write(struct pci_func *f, unsigned reg, unsigned size, uint32_t value)
{
    lock_take(&f->lock);
    for (unsigned i = 0; i < size; i++) {
        uint8_t v = (uint8_t)(value >> (8 * i));
        uint8_t *c = &f->config[reg + i];
        *c = (uint8_t)((*c & ~f->wmask[reg + i]) | (v & f->wmask[reg + i]));
        *c &= (uint8_t) ~(v & f->w1c[reg + i]);
    }
    lock_drop(&f->lock);
    if (pci_touches(reg, size, PCI_REG_COMMAND, 2) ||
        pci_touches(reg, size, PCI_REG_BAR0, 4 * PCI_BARS) ||
        pci_touches(reg, size, PCI_REG_ROM, 4))
        pci_func_remap(f);
    if (f->bridge.is && reg < FIRST_CAP)
        pci_bridge_update(f);
    if (pci_touches(reg, size, PCI_REG_COMMAND, 2))
        pci_intx_update(f);
    if (reg + size > FIRST_CAP || pci_touches(reg, size, PCI_REG_COMMAND, 2))
        pci_msi_pump(f);
    if (f->hooks != NULL && f->hooks->config_written != NULL)
        f->hooks->config_written(f->opaque, reg, size, value);
}

/* --- reset and state --- */

void pci_func_reset(struct pci_func *f)
{
    lock_take(&f->lock);
    memcpy(f->config, f->init, PCI_CONFIG_SIZE);
    memset(f->msix_table, 0, sizeof(f->msix_table));
    memset(f->msix_pba, 0, sizeof(f->msix_pba));
    for (unsigned i = 0; i < f->msix_vectors; i++)
        f->msix_table[4 * i + 3] = 1; /* masked */
    f->intx = false;
    lock_drop(&f->lock);
    pci_func_remap(f);
    if (f->bridge.is)
        pci_bridge_update(f);
    pci_intx_update(f);
}

/* What the record says about read-only bits does not count, except for MSI's pending bits. */
void pci_func_restore(struct pci_func *f)
{
    lock_take(&f->lock);
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t mutable_bits = f->wmask[i] | f->w1c[i];
        if (f->msi_cap != 0 && i >= f->msi_cap + 20u && i < f->msi_cap + 24u)
            mutable_bits = f->wmask[i - 4];
        f->config[i] = (uint8_t)((f->init[i] & ~mutable_bits) | (f->config[i] & mutable_bits));
    }
    for (unsigned i = 0; i < PCI_MSIX_MAX; i++) {
        f->msix_table[4 * i] &= ~UINT32_C(3);
        f->msix_table[4 * i + 3] &= 1;
        if (i >= f->msix_vectors)
            f->msix_pba[i / 64] &= ~(UINT64_C(1) << (i % 64));
    }
    lock_drop(&f->lock);
    pci_func_remap(f);
    if (f->bridge.is)
        pci_bridge_update(f);
    pci_intx_update(f);
}

static const struct state_field func_fields[] = {
    STATE_BYTES_F(struct pci_func, config),
    STATE_ARRAY_F(struct pci_func, msix_table, STATE_U32, PCI_MSIX_MAX * 4),
    STATE_ARRAY_F(struct pci_func, msix_pba, STATE_U64, PCI_MSIX_MAX / 64),
    STATE_BOOL_F(struct pci_func, intx),
    STATE_END_F,
};
const struct state_table pci_func_state = {
    .name = "pci-function", .version = 1, .fields = func_fields, .validate = NULL};
