/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridges of the root bus. PCI-to-PCI Bridge Architecture 1.2, 3.2; behind each is one function, as
 * behind a port of PCI Express, whose device number is 0.
 *
 * Configuration accesses go where the bus numbers say, memory and ports where the windows are: a
 * BAR behind a bridge answers only inside one. A bridge that is written to, and one whose link
 * comes or goes, lets the BARs behind it look again, without a lock held.
 */
#include <errno.h>

#include "bus/pci_internal.h"

enum {
    REG_HEADER_TYPE = 0x0e,
    REG_PRIMARY = 0x18,
    REG_SUBORDINATE = 0x1a,
    REG_IO = 0x1c, /* base and limit */
    REG_SECONDARY_STATUS = 0x1e,
    REG_MEMORY = 0x20,
    REG_PREFETCH = 0x24,
    REG_PREFETCH_BASE_HIGH = 0x28,
    REG_PREFETCH_LIMIT_HIGH = 0x2c,
    CONTROL_BITS = 0x0043, /* parity, SERR#, reset of the bus behind */
};

/* Which of the windows. */
enum { PORTS, MEMORY, PREFETCH };

void pci_func_bridge(struct pci_func *f)
{
    f->bridge.is = true;
    pci_func_set8(f, REG_HEADER_TYPE, (f->init[REG_HEADER_TYPE] & 0x80) | 1, 0);
    f->wmask[PCI_REG_COMMAND] |= PCI_CMD_IO | PCI_CMD_MEM;
    pci_func_set32(f, REG_PRIMARY, 0, 0x00ffffff);
    pci_func_set16(f, REG_IO, 0, 0xf0f0);
    pci_func_set16(f, REG_SECONDARY_STATUS, 0, 0);
    pci_put16(f->w1c + REG_SECONDARY_STATUS, 0xf900);
    pci_func_set32(f, REG_MEMORY, 0, 0xfff0fff0);
    pci_func_set32(f, REG_PREFETCH, 0x00010001, 0xfff0fff0); /* 64 bits */
    pci_func_set32(f, REG_PREFETCH_BASE_HIGH, 0, UINT32_MAX);
    pci_func_set32(f, REG_PREFETCH_LIMIT_HIGH, 0, UINT32_MAX);
    pci_func_set16(f, PCI_REG_BRIDGE_CONTROL, 0, CONTROL_BITS);
}

int pci_bridge_added(struct pci_bus *b, struct pci_func *f)
{
    if (b->bridge_count == PCI_BRIDGES)
        return -ENOSPC;
    b->bridges[b->bridge_count++] = f;
    return 0;
}

void pci_bridge_removed(struct pci_bus *b, struct pci_func *f)
{
    unsigned i = 0;

    while (b->bridges[i] != f)
        i++;
    b->bridge_count--;
    memmove(b->bridges + i, b->bridges + i + 1, (b->bridge_count - i) * sizeof(b->bridges[0]));
}

struct pci_func *pci_bridge_find(struct pci_bus *b, unsigned bus, unsigned devfn)
{
    for (unsigned i = 0; i < b->bridge_count; i++) {
        struct pci_func *f = b->bridges[i];

        if (pci_func_reg(f, PCI_REG_SECONDARY, 1) == bus)
            return devfn == 0 && atomic_load(&f->bridge.link)
                       ? atomic_load_explicit(&f->bridge.behind, memory_order_acquire)
                       : NULL;
    }
    return NULL;
}

/* --- windows --- */

static void set_window(struct pci_bridge *b, unsigned which, bool on, uint64_t first, uint64_t last)
{
    atomic_store(&b->first[which], on ? first : 1);
    atomic_store(&b->last[which], on ? last : 0);
}

/* The last values win: whoever changes registers comes here after it. */
static void read_windows(struct pci_func *f)
{
    const uint8_t *c = f->config;
    unsigned command;

    lock_take(&f->lock);
    command = c[PCI_REG_COMMAND];
    set_window(&f->bridge, PORTS, command & PCI_CMD_IO, (c[REG_IO] & 0xf0u) << 8,
               (c[REG_IO + 1] & 0xf0u) << 8 | 0xfff);
    set_window(&f->bridge, MEMORY, command & PCI_CMD_MEM,
               (uint64_t)(pci_get16(c + REG_MEMORY) & 0xfff0u) << 16,
               (uint64_t)(pci_get16(c + REG_MEMORY + 2) & 0xfff0u) << 16 | 0xfffff);
    set_window(&f->bridge, PREFETCH, command & PCI_CMD_MEM,
               (uint64_t)pci_get32(c + REG_PREFETCH_BASE_HIGH) << 32 |
                   (uint64_t)(pci_get16(c + REG_PREFETCH) & 0xfff0u) << 16,
               (uint64_t)pci_get32(c + REG_PREFETCH_LIMIT_HIGH) << 32 |
                   (uint64_t)(pci_get16(c + REG_PREFETCH + 2) & 0xfff0u) << 16 | 0xfffff);
    lock_drop(&f->lock);
}

void pci_bridge_update(struct pci_func *f)
{
    struct pci_func *behind = atomic_load(&f->bridge.behind);

    read_windows(f);
    if (behind != NULL)
        pci_func_remap(behind);
}

static bool inside(const struct pci_bridge *b, unsigned which, uint64_t base, uint64_t size)
{
    return base >= atomic_load(&b->first[which]) &&
           base + (size - 1) <= atomic_load(&b->last[which]);
}

bool pci_bridge_passes(const struct pci_func *f, bool ports, uint64_t base, uint64_t size)
{
    const struct pci_bridge *b = &f->bridge;

    if (!atomic_load(&b->link))
        return false;
    return ports ? inside(b, PORTS, base, size)
                 : inside(b, MEMORY, base, size) || inside(b, PREFETCH, base, size);
}

void pci_bridge_set_link(struct pci_func *f, bool up)
{
    atomic_store(&f->bridge.link, up);
    pci_bridge_update(f);
}

/* No ports and no prefetchable memory: their windows end before they begin. */
void pci_bridge_program(struct pci_func *f, unsigned number, uint64_t base)
{
    uint32_t last = (uint32_t)base + PCI_BRIDGE_WINDOW - 1;

    pci_func_write(f, REG_PRIMARY, 4, number << 16 | number << 8);
    pci_func_write(f, REG_IO, 2, 0x00f0);
    pci_func_write(f, REG_MEMORY, 4, (last & 0xfff00000) | (uint32_t)base >> 16);
    pci_func_write(f, REG_PREFETCH, 4, 0x0000fff0);
    pci_func_write(f, PCI_REG_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_IO | PCI_CMD_MASTER);
}
