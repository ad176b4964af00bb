/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: who is where, and the two ways to configuration space: ports 0xcf8/0xcfc (PCI Local Bus
 * 3.0, 3.2.2.3.2) and ECAM (PCI Express Base, 7.2.2). A function itself is in pci_func.c, its
 * interrupts in pci_msi.c.
 */
#include "bus/pci.h"

#include <errno.h>
#include <stdlib.h>

#include "bus/pci_internal.h"

#define CF8_ENABLE (UINT32_C(1) << 31)

static struct pci_func *find(struct pci_bus *b, unsigned bus, unsigned devfn)
{
    if (bus != 0)
        return pci_bridge_find(b, bus, devfn);
    if (devfn > 255)
        return NULL;
    return atomic_load_explicit(&b->funcs[devfn], memory_order_acquire);
}

uint32_t pci_config_read(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned reg,
                         unsigned size)
{
    uint32_t ones = UINT32_MAX >> (32 - 8 * size);
    struct pci_func *f = find(b, bus, devfn);
    if (f == NULL || reg + size > PCI_CONFIG_SIZE)
        return ones;
    return pci_func_read(f, reg, size) & ones;
}

void pci_config_write(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned reg, unsigned size,
                      uint32_t value)
{
    struct pci_func *f = find(b, bus, devfn);
    if (f != NULL && reg + size <= PCI_CONFIG_SIZE)
        pci_func_write(f, reg, size, value);
}

static uint32_t address_get(struct pci_bus *b)
{
    return __atomic_load_n(&b->address, __ATOMIC_RELAXED);
}

/* Offsets 0 - 3 are the address register (only a 32-bit access is one to it), 4 - 7 the window. */
static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_bus *b = opaque;
    uint32_t address = address_get(b);
    if (offset == 1 && size == 1 && b->cfg.cf9 != NULL)
        return b->cfg.cf9->read(b->cfg.cf9_opaque, 0, 1);
    if (offset < 4)
        return (uint64_t)address >> (8 * offset);
    if ((address & CF8_ENABLE) == 0)
        return UINT64_MAX;
    return pci_config_read(b, address >> 16 & 0xff, address >> 8 & 0xff,
                           (address & 0xfc) + (unsigned)(offset - 4), size);
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_bus *b = opaque;
    if (offset == 1 && size == 1 && b->cfg.cf9 != NULL) {
        b->cfg.cf9->write(b->cfg.cf9_opaque, 0, value, 1);
        return;
    }
    if (offset == 0 && size == 4)
        __atomic_store_n(&b->address, (uint32_t)value & ~UINT32_C(3), __ATOMIC_RELAXED);
    uint32_t address = address_get(b);
    if (offset < 4 || (address & CF8_ENABLE) == 0)
        return;
    pci_config_write(b, address >> 16 & 0xff, address >> 8 & 0xff,
                     (address & 0xfc) + (unsigned)(offset - 4), size, (uint32_t)value);
}

static const struct bus_ops port_ops = {
    .name = "pci-config", .read = port_read, .write = port_write, .min_size = 1, .max_size = 4};

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned size)
{
    return pci_config_read(opaque, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff,
                           size);
}

static void ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    pci_config_write(opaque, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff, size,
                     (uint32_t)value);
}

static const struct bus_ops ecam_ops = {
    .name = "pci-ecam", .read = ecam_read, .write = ecam_write, .min_size = 1, .max_size = 4};

int pci_bus_create(const struct pci_bus_config *cfg, struct pci_bus **out)
{
    struct pci_bus *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return -ENOMEM;
    b->cfg = *cfg;
    lock_init(&b->line_lock, LOCK_LINE);
    for (unsigned i = 0; i < cfg->intx_count && i < PCI_INTX_MAX; i++)
        b->lines[i].pin = cfg->intx[i];
    b->cfg.intx = NULL;
    int r = bus_map(cfg->ports, 0xcf8, 8, &port_ops, b);
    if (r < 0) {
        lock_finish(&b->line_lock);
        free(b);
        return r;
    }
    *out = b;
    return 0;
}

void pci_bus_destroy(struct pci_bus *b)
{
    if (b == NULL)
        return;
    bus_unmap(b->cfg.ports, 0xcf8, &port_ops, b);
    if (b->ecam_buses != 0)
        bus_unmap(b->cfg.mmio, b->ecam_base, &ecam_ops, b);
    lock_finish(&b->line_lock);
    free(b);
}

int pci_bus_ecam(struct pci_bus *b, uint64_t base, unsigned buses)
{
    if (b->ecam_buses != 0)
        bus_unmap(b->cfg.mmio, b->ecam_base, &ecam_ops, b);
    b->ecam_buses = 0;
    if (buses == 0)
        return 0;
    int r = bus_map(b->cfg.mmio, base, (uint64_t)buses << 20, &ecam_ops, b);
    if (r == 0) {
        b->ecam_base = base;
        b->ecam_buses = buses;
    }
    return r;
}

void pci_bus_reset(struct pci_bus *b)
{
    __atomic_store_n(&b->address, 0, __ATOMIC_RELAXED);
}

static const struct state_field bus_fields[] = {
    STATE_U32_F(struct pci_bus, address),
    STATE_END_F,
};
const struct state_table pci_bus_state = {
    .name = "pci-bus", .version = 1, .fields = bus_fields, .validate = NULL};

void *pci_bus_state_object(struct pci_bus *b)
{
    return b;
}

/* Where a function at `devfn`, as pci_add has it, is noted; NULL: there is no such place. */
static struct pci_func *_Atomic *place_of(struct pci_bus *b, unsigned devfn,
                                          struct pci_func **above)
{
    *above = NULL;
    if (devfn < 256)
        return &b->funcs[devfn];
    *above = (devfn & 255) == 0 ? find(b, 0, (devfn >> 8) - 1) : NULL;
    return *above != NULL && (*above)->bridge.is ? &(*above)->bridge.behind : NULL;
}

int pci_add(struct pci_bus *b, unsigned devfn, struct pci_func *f, struct err *e)
{
    struct pci_func *above, *_Atomic *place = place_of(b, devfn, &above);
    if (place == NULL || atomic_load(place) != NULL || (f->bridge.is && pci_bridge_added(b, f) < 0))
        return err_set(e, EEXIST, "PCI slot %u.%u for %s is taken", devfn >> 3, devfn & 7, f->name);
    f->bus = b;
    f->devfn = devfn & 255;
    f->above = above;
    atomic_store_explicit(place, f, memory_order_release);
    pci_func_reset(f);
    return 0;
}

void pci_remove(struct pci_func *f)
{
    if (f->bus == NULL)
        return;
    pci_func_reset(f); /* decode bits clear: unmaps; deasserts INTx */
    atomic_store_explicit(f->above != NULL ? &f->above->bridge.behind : &f->bus->funcs[f->devfn],
                          NULL, memory_order_release);
    if (f->bridge.is)
        pci_bridge_removed(f->bus, f);
    f->bus = NULL;
}

/* --- addresses for BARs --- */

struct pci_want {
    struct pci_func *func;
    unsigned bar;
};

static int larger_first(const void *a, const void *b)
{
    const struct pci_want *x = a, *y = b;
    uint64_t sx = x->func->bars[x->bar].size, sy = y->func->bars[y->bar].size;
    if (sx != sy)
        return sx < sy ? 1 : -1;
    if (x->func->devfn != y->func->devfn)
        return x->func->devfn < y->func->devfn ? -1 : 1;
    return (int)x->bar - (int)y->bar;
}

/* Takes `size` bytes from a window, aligned to their size; 0: no room. */
static uint64_t take(uint64_t *base, uint64_t *left, uint64_t size)
{
    uint64_t pad = -*base & (size - 1);
    if (pad > *left || *left - pad < size)
        return 0;
    uint64_t at = *base + pad;
    *base = at + size;
    *left -= pad + size;
    return at;
}

static uint64_t place_bar(const struct pci_bar *bar, struct pci_windows *w)
{
    uint64_t at;
    if (bar->type == PCI_BAR_IO) {
        uint64_t base = w->io_base, left = w->io_size;
        at = take(&base, &left, bar->size);
        w->io_base = (uint32_t)base;
        w->io_size = (uint32_t)left;
        return at;
    }
    at = take(&w->mem32_base, &w->mem32_size, bar->size);
    if (at == 0 && (bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREFETCH))
        at = take(&w->mem64_base, &w->mem64_size, bar->size);
    return at;
}

static unsigned collect_one(struct pci_func *f, struct pci_want *list)
{
    unsigned n = 0;
    for (unsigned i = 0; f != NULL && i < PCI_BARS; i++)
        if (f->bars[i].size != 0)
            list[n++] = (struct pci_want){f, i};
    return n;
}

static unsigned collect(struct pci_bus *b, struct pci_want *list)
{
    unsigned n = 0;
    for (unsigned devfn = 0; devfn < 256; devfn++)
        n += collect_one(find(b, 0, devfn), list + n);
    return n;
}

/* Decode bits and interrupt lines, after all BARs have addresses. */
static void enable(struct pci_bus *b, struct pci_func *f, const uint8_t *irq)
{
    uint32_t pin = pci_func_reg(f, PCI_REG_INT_PIN, 1);
    uint32_t command = pci_func_reg(f, PCI_REG_COMMAND, 2);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (f->bars[i].size != 0)
            command |= f->bars[i].type == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEM;
    pci_func_write(f, PCI_REG_COMMAND, 2, command);
    if (pin != 0 && irq != NULL && b->cfg.intx_count != 0)
        pci_func_write(f, PCI_REG_INT_LINE, 1,
                       irq[pci_intx_line(pci_func_slot(f), pin - 1, b->cfg.intx_count)]);
}

/* The BARs of a list, largest first. With `all` each must find its place. */
static int place_list(struct pci_want *list, unsigned n, struct pci_windows *left, bool all,
                      struct err *e)
{
    int r = 0;
    qsort(list, n, sizeof(*list), larger_first);
    for (unsigned i = 0; i < n && r == 0; i++) {
        struct pci_func *f = list[i].func;
        const struct pci_bar *bar = &f->bars[list[i].bar];
        unsigned reg = PCI_REG_BAR0 + 4 * list[i].bar;
        uint64_t at = place_bar(bar, left);
        if (at == 0 && all)
            r = err_set(e, ENOSPC, "no address space left for %s's %llu byte window", f->name,
                        (unsigned long long)bar->size);
        pci_func_write(f, reg, 4, (uint32_t)at);
        if (bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREFETCH)
            pci_func_write(f, reg + 4, 4, (uint32_t)(at >> 32));
    }
    return r;
}

static int assign_bridge(struct pci_bus *b, unsigned i, struct pci_windows *left,
                         const uint8_t *irq, struct err *e)
{
    struct pci_func *f = b->bridges[i], *behind = atomic_load(&f->bridge.behind);
    struct pci_want list[PCI_BARS];
    struct pci_windows w = {.mem32_size = PCI_BRIDGE_WINDOW};
    int r;
    w.mem32_base = take(&left->mem32_base, &left->mem32_size, PCI_BRIDGE_WINDOW);
    if (w.mem32_base == 0)
        return err_set(e, ENOSPC, "no address space left for what is behind %s", f->name);
    pci_bridge_program(f, i + 1, w.mem32_base);
    r = place_list(list, collect_one(behind, list), &w, false, e);
    if (r == 0 && behind != NULL)
        enable(b, behind, irq);
    return r;
}

int pci_bus_assign(struct pci_bus *b, const struct pci_windows *w, struct err *e)
{
    struct pci_windows left = *w;
    struct pci_want *list = calloc((size_t)256 * PCI_BARS, sizeof(*list));
    if (list == NULL)
        return err_set(e, ENOMEM, "no memory to place PCI devices");
    int r = place_list(list, collect(b, list), &left, true, e);
    free(list);
    for (unsigned devfn = 0; devfn < 256 && r == 0; devfn++) {
        struct pci_func *f = find(b, 0, devfn);
        if (f != NULL)
            enable(b, f, w->irq);
    }
    for (unsigned i = 0; i < b->bridge_count && r == 0; i++)
        r = assign_bridge(b, i, &left, w->irq, e);
    return r;
}
