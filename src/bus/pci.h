/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI: one root bus (bus 0) of 32 slots with 8 functions each, and bridges on it with a bus of one
 * function each (pci_bridge.c). PCI Local Bus 3.0 chapter 6 (configuration space, BARs, MSI, MSI-X)
 * and PCI Express Base 7.2.2 (ECAM).
 *
 * A function is a `struct pci_func` inside its device's object. The device declares what it has
 * (BARs, capabilities) and adds it to the bus; from then on the bus serves its configuration space,
 * maps its BARs as the guest places them, and carries its interrupts. Declarations come before
 * pci_add, on one thread; the rest may be called from any thread.
 *
 * Locks: each function has its own; BAR handlers, hooks, pins, MSIs and bus_map are called without.
 */
#ifndef DOPPEL_BUS_PCI_H
#define DOPPEL_BUS_PCI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "bus/bus.h"
#include "bus/pin.h"
#include "state/state.h"

#define PCI_CONFIG_SIZE 4096
#define PCI_BARS 6
#define PCI_MSIX_MAX 128 /* vectors of one function */
#define PCI_MSI_MAX 32
#define PCI_INTX_MAX 8 /* interrupt lines the board may give a bus */

#define PCI_DEVFN(slot, fn) ((unsigned)((slot) << 3 | (fn)))
/* For pci_add: the one place on the bus of the bridge at `devfn` of bus 0. */
#define PCI_BEHIND(devfn) (((devfn) + 1u) << 8)
#define PCI_BRIDGES 8 /* of a bus */

/* Registers of the standard header that others need by name. */
enum pci_reg {
    PCI_REG_VENDOR = 0x00,
    PCI_REG_DEVICE = 0x02,
    PCI_REG_COMMAND = 0x04,
    PCI_REG_STATUS = 0x06,
    PCI_REG_BAR0 = 0x10,
    PCI_REG_ROM = 0x30,
    PCI_REG_CAPS = 0x34,
    PCI_REG_INT_LINE = 0x3c,
    PCI_REG_INT_PIN = 0x3d,
    /* of a bridge (PCI-to-PCI Bridge Architecture 1.2, 3.2) */
    PCI_REG_SECONDARY = 0x19,
    PCI_REG_BRIDGE_CONTROL = 0x3e,
};

enum pci_command {
    PCI_CMD_IO = 1 << 0,
    PCI_CMD_MEM = 1 << 1,
    PCI_CMD_MASTER = 1 << 2,
    PCI_CMD_INTX_OFF = 1 << 10,
};

enum pci_bar_type {
    PCI_BAR_MEM32,
    PCI_BAR_MEM32_PREFETCH,
    PCI_BAR_MEM64,
    PCI_BAR_MEM64_PREFETCH,
    PCI_BAR_IO,
    PCI_BAR_ROM, /* in the slot behind the others */
};

struct pci_bus;

struct pci_bus_config {
    struct bus *mmio, *ports;
    struct msi_sink msi;
    /* INTx lines, wire-or of the functions; pin p (0: INTA) of slot s drives line
     * pci_intx_line(s, p, intx_count). Copied. */
    const struct pin *intx;
    unsigned intx_count; /* 0 to PCI_INTX_MAX */
    /* Byte accesses to port 0xcf9 (reset control), which lies inside the 32-bit address register
     * and so cannot be mapped beside it; offset 0. NULL: they read as the address register. */
    const struct bus_ops *cf9;
    void *cf9_opaque;
};

/* The board describes the same function in its ACPI _PRT. */
static inline unsigned pci_intx_line(unsigned slot, unsigned pin, unsigned count)
{
    return (slot + pin) % count;
}

/* Creates the bus and maps ports 0xcf8 - 0xcff. */
int pci_bus_create(const struct pci_bus_config *cfg, struct pci_bus **out) MUST_CHECK;
/* All functions removed before. */
void pci_bus_destroy(struct pci_bus *b);

/* Serves ECAM (1 MB for each bus number) at [base, base + (buses << 20)); replaces an earlier
 * place; buses 0 removes it. */
int pci_bus_ecam(struct pci_bus *b, uint64_t base, unsigned buses) MUST_CHECK;

/* A configuration access as the host bridge would make it: reg + size <= 4096, size 1, 2 or 4.
 * All ones where nothing answers. */
uint32_t pci_config_read(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned reg,
                         unsigned size);
void pci_config_write(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned reg, unsigned size,
                      uint32_t value);

/* The bus's own register (0xcf8): power-on value, and its state. */
void pci_bus_reset(struct pci_bus *b);
extern const struct state_table pci_bus_state;
void *pci_bus_state_object(struct pci_bus *b);

/* What firmware does before it hands over: gives every BAR an address in the windows (naturally
 * aligned, 64-bit BARs that do not fit into the 32-bit window in the other one), sets the decode
 * bits, and writes irq[line] into the interrupt line registers (irq may be NULL). A bridge gets a
 * bus number and a window of memory with room for what may come; a guest that needs ports behind
 * it gives it some. Windows of size 0 are not used. -ENOSPC with a sentence: a window is too small.
 * vCPUs stopped. */
struct pci_windows {
    uint64_t mem32_base, mem32_size, mem64_base, mem64_size;
    uint32_t io_base, io_size;
    const uint8_t *irq;
};
int pci_bus_assign(struct pci_bus *b, const struct pci_windows *w, struct err *e) MUST_CHECK;

struct pci_func_info {
    const char *name;
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem;
    uint32_t class_code; /* base class << 16 | sub-class << 8 | interface */
    uint8_t revision;
    uint8_t pin; /* 0: none, 1: INTA ... 4: INTD */
    bool multifunction;
};

/* Both may be NULL; called with no lock held, on the thread of the access. */
struct pci_func_hooks {
    /* true: *value is the answer, else the configuration space gives it. */
    bool (*config_read)(void *opaque, unsigned reg, unsigned size, uint32_t *value);
    /* After the registers took the value (the part that is writable). */
    void (*config_written)(void *opaque, unsigned reg, unsigned size, uint32_t value);
};

struct pci_bar {
    enum pci_bar_type type;
    uint64_t size; /* 0: there is none */
    const struct bus_ops *ops;
    /* Instead of ops: told where the BAR is now, or PCI_UNMAPPED. */
    void (*placed)(void *opaque, uint64_t base);
    /* Beside ops: likewise, afterwards. */
    void (*moved)(void *opaque, uint64_t base);
    void *opaque;
    uint64_t mapped; /* where it is mapped, or PCI_UNMAPPED; lock */
};
#define PCI_UNMAPPED UINT64_MAX

struct pci_func;

/* What a function has if it is a bridge. */
struct pci_bridge {
    bool is;
    _Atomic bool link; /* what is behind it answers */
    struct pci_func *_Atomic behind;
    /* What its windows let through, as its registers say. */
    _Atomic uint64_t first[3], last[3]; /* ports, memory, prefetchable memory */
};

/* The members belong to pci.c; others use the functions below. */
struct pci_func {
    struct lock lock;
    const char *name;
    struct pci_bus *bus; /* NULL until pci_add */
    unsigned devfn;
    struct pci_func *above; /* the bridge it is behind, or NULL: it is on bus 0 */
    struct pci_bridge bridge;
    const struct pci_func_hooks *hooks;
    void *opaque;
    struct pci_bar bars[PCI_BARS + 1]; /* the last is the expansion ROM */
    uint8_t next_cap;                  /* where the next capability goes */
    uint8_t last_next;                 /* the link that will point to it */
    uint8_t msi_cap, msix_cap;
    uint8_t msi_vectors, msix_vectors;
    uint8_t *wmask;           /* PCI_CONFIG_SIZE bytes each: writable bits, */
    uint8_t *w1c;             /* bits that a written 1 clears, */
    uint8_t *init;            /* values after reset */
    bool map_busy, map_again; /* lock: a thread is moving BARs; it has to look again */
    bool intx_driven;         /* lock: what the bus counts for this function */
    /* State (lock). */
    uint8_t config[PCI_CONFIG_SIZE];
    uint32_t msix_table[PCI_MSIX_MAX * 4]; /* address low, high, data, control */
    uint64_t msix_pba[PCI_MSIX_MAX / 64];
    bool intx; /* the level that the device asks for */
};
extern const struct state_table pci_func_state;

/* -ENOMEM. `info` is copied, its name is not. */
int pci_func_init(struct pci_func *f, const struct pci_func_info *info,
                  const struct pci_func_hooks *hooks, void *opaque) MUST_CHECK;
void pci_func_finish(struct pci_func *f); /* removed from its bus before */

/* `size` is a power of two, at least 16 for memory and 4 for ports; a 64-bit BAR takes two slots.
 * `ops` gets offsets into the BAR. */
void pci_func_bar(struct pci_func *f, unsigned bar, enum pci_bar_type type, uint64_t size,
                  const struct bus_ops *ops, void *opaque);

/* A memory BAR whose place is for somebody else to serve, as with memory that is RAM: `placed` is
 * called when it moves, one call at a time, with no lock held. */
void pci_func_bar_placed(struct pci_func *f, unsigned bar, enum pci_bar_type type, uint64_t size,
                         void (*placed)(void *opaque, uint64_t base), void *opaque);
/* A BAR with ops: `moved` is told where it is now, or PCI_UNMAPPED, as `placed` would be, with the
 * opaque of its ops. */
void pci_func_bar_moved(struct pci_func *f, unsigned bar,
                        void (*moved)(void *opaque, uint64_t base));
/* The expansion ROM; `size` is a power of two, at least 2 KB. */
void pci_func_rom(struct pci_func *f, uint64_t size, const struct bus_ops *ops, void *opaque);

/* Adds a capability of `len` bytes including its two header bytes; body and wmask (may be NULL:
 * read-only) cover the bytes after the header. Returns its offset. */
unsigned pci_func_cap(struct pci_func *f, uint8_t id, const void *body, const void *wmask,
                      unsigned len);
/* MSI with 64-bit address and per-vector mask; vectors is a power of two up to 32. */
void pci_func_msi(struct pci_func *f, unsigned vectors);
/* MSI-X; table and pending bits fill a 32-bit memory BAR of their own. */
void pci_func_msix(struct pci_func *f, unsigned bar, unsigned vectors);

/* Bits of config space that are writable (or write-1-to-clear) beyond what the functions above
 * made so, and values after reset. */
void pci_func_set8(struct pci_func *f, unsigned reg, uint8_t value, uint8_t wmask);
void pci_func_set16(struct pci_func *f, unsigned reg, uint16_t value, uint16_t wmask);
void pci_func_set32(struct pci_func *f, unsigned reg, uint32_t value, uint32_t wmask);

/* Before pci_add: makes it a bridge, whose link is down. */
void pci_func_bridge(struct pci_func *f);
/* Does what is behind the bridge answer? Any thread, no lock held. */
void pci_bridge_set_link(struct pci_func *f, bool up);

/* -EEXIST with a sentence: taken. Behind a bridge also while the machine is paused. */
int pci_add(struct pci_bus *b, unsigned devfn, struct pci_func *f, struct err *e) MUST_CHECK;
/* Unmaps, releases INTx; nothing happens if it was not added. vCPUs stopped. */
void pci_remove(struct pci_func *f);

/* The device's reset, restore (after state_load into pci_func_state: forces read-only bits back,
 * maps BARs, drives INTx). */
void pci_func_reset(struct pci_func *f);
void pci_func_restore(struct pci_func *f);

uint32_t pci_func_reg(struct pci_func *f, unsigned reg, unsigned size); /* without hooks */
bool pci_func_master(struct pci_func *f);                               /* may it do DMA? */

/* Interrupts. What the guest has not enabled is dropped, what it masked becomes pending. */
void pci_intx_set(struct pci_func *f, bool level);
/* The same in two halves, for a device whose level follows a register: `store` calls nobody and may
 * be called with the device's lock held, `update` then tells the pin. */
void pci_intx_store(struct pci_func *f, bool level);
void pci_intx_update(struct pci_func *f);
bool pci_msi_enabled(struct pci_func *f);
bool pci_msix_enabled(struct pci_func *f);
void pci_msi_notify(struct pci_func *f, unsigned vector);
/* false: MSI-X is not enabled. A vector that does not exist is dropped. */
bool pci_msix_notify(struct pci_func *f, unsigned vector);

#endif
