/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the PCI bus share. */
#ifndef DOPPEL_BUS_PCI_INTERNAL_H
#define DOPPEL_BUS_PCI_INTERNAL_H

#include <stdatomic.h>
#include <string.h>

#include "bus/pci.h"

/* One INTx line: wire-or of the functions that drive it. */
struct pci_line {
    struct pin pin;
    unsigned count; /* functions that assert it; line_lock */
    bool sent;      /* what the pin was last told; line_lock */
    bool busy;      /* a thread is telling the pin; line_lock */
};

struct pci_bus {
    struct pci_bus_config cfg;
    struct pci_func *_Atomic funcs[256];   /* by devfn */
    struct pci_func *bridges[PCI_BRIDGES]; /* those of them that are; as they were added */
    unsigned bridge_count;
    struct lock line_lock;
    struct pci_line lines[PCI_INTX_MAX];
    uint64_t ecam_base;
    unsigned ecam_buses;
    uint32_t address; /* 0xcf8; atomic accesses; state */
};

static inline uint16_t pci_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t pci_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void pci_put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void pci_put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline bool pci_touches(unsigned reg, unsigned size, unsigned first, unsigned len)
{
    return reg < first + len && first < reg + size;
}

/* The slot whose interrupt lines it has: a bridge passes those of what is behind it on. */
static inline unsigned pci_func_slot(const struct pci_func *f)
{
    return (f->above != NULL ? f->above->devfn : f->devfn) >> 3;
}

uint32_t pci_func_read(struct pci_func *f, unsigned reg, unsigned size);
void pci_func_write(struct pci_func *f, unsigned reg, unsigned size, uint32_t value);
void pci_func_remap(struct pci_func *f); /* BARs follow the registers */
void pci_msi_pump(struct pci_func *f);   /* pending vectors that became deliverable go out */

/* pci_bridge.c */
int pci_bridge_added(struct pci_bus *b, struct pci_func *f); /* -ENOSPC: too many */
void pci_bridge_removed(struct pci_bus *b, struct pci_func *f);
struct pci_func *pci_bridge_find(struct pci_bus *b, unsigned bus, unsigned devfn);
/* The registers changed: what is behind follows. */
void pci_bridge_update(struct pci_func *f);
/* Is [base, base + size) what the bridge lets through? */
bool pci_bridge_passes(const struct pci_func *f, bool ports, uint64_t base, uint64_t size);
/* Gives the bridge its number, and the memory from `base` on. */
#define PCI_BRIDGE_WINDOW 0x200000u
void pci_bridge_program(struct pci_func *f, unsigned number, uint64_t base);

#endif
