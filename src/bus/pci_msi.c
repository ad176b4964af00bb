/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a PCI function: INTx (PCI Local Bus 3.0, 2.2.6), MSI (6.8.1) and MSI-X (6.8.2).
 *
 * The sinks are called without a lock. For messages that is simple: what to send is read under the
 * lock and sent after it. For the INTx lines, which are levels shared by functions, one thread at a
 * time tells the pin and looks again before it leaves, so that the pin's last word is the truth.
 */
#include "bus/pci_internal.h"

#define CAP_MSI 0x05
#define CAP_MSIX 0x11
#define MSI_ENABLE 1
#define MSIX_ENABLE (1 << 15)
#define MSIX_FUNC_MASK (1 << 14)
#define MSIX_PBA_AT 0x800
#define MSIX_BAR_SIZE 0x1000

/* --- INTx --- */

/* Called with line_lock held; drops it around the pin. */
static void line_tell(struct pci_bus *b, struct pci_line *l)
{
    while (!l->busy && l->sent != (l->count != 0)) {
        bool level = l->count != 0;
        l->busy = true;
        lock_drop(&b->line_lock);
        pin_set(&l->pin, level);
        lock_take(&b->line_lock);
        l->sent = level;
        l->busy = false;
    }
}

void pci_intx_update(struct pci_func *f)
{
    struct pci_bus *b = f->bus;
    unsigned pin = f->init[PCI_REG_INT_PIN];
    if (b == NULL || pin == 0 || b->cfg.intx_count == 0)
        return;
    struct pci_line *l = &b->lines[pci_intx_line(pci_func_slot(f), pin - 1, b->cfg.intx_count)];
    lock_take(&f->lock);
    bool want = f->intx && (pci_get16(f->config + PCI_REG_COMMAND) & PCI_CMD_INTX_OFF) == 0;
    lock_take(&b->line_lock);
    if (want != f->intx_driven)
        l->count += want ? 1 : -1u;
    f->intx_driven = want;
    lock_drop(&f->lock);
    line_tell(b, l);
    lock_drop(&b->line_lock);
}

void pci_intx_store(struct pci_func *f, bool level)
{
    lock_take(&f->lock);
    f->intx = level;
    lock_drop(&f->lock);
}

void pci_intx_set(struct pci_func *f, bool level)
{
    pci_intx_store(f, level);
    pci_intx_update(f);
}

/* --- MSI; control at +2, address at +4 and +8, data at +12, mask at +16, pending at +20 --- */

void pci_func_msi(struct pci_func *f, unsigned vectors)
{
    uint8_t body[22] = {0}, wmask[22] = {0};
    unsigned log = 0;
    while (1u << log < vectors)
        log++;
    pci_put16(body, (uint16_t)(log << 1 | 1 << 7 | 1 << 8)); /* 64-bit, maskable */
    pci_put16(wmask, MSI_ENABLE | 7 << 4);
    pci_put32(wmask + 2, ~UINT32_C(3));
    pci_put32(wmask + 6, UINT32_MAX);
    pci_put16(wmask + 10, UINT16_MAX);
    pci_put32(wmask + 14, (uint32_t)((UINT64_C(1) << vectors) - 1));
    f->msi_vectors = (uint8_t)vectors;
    f->msi_cap = (uint8_t)pci_func_cap(f, CAP_MSI, body, wmask, 24);
}

bool pci_msi_enabled(struct pci_func *f)
{
    return f->msi_cap != 0 && (pci_func_reg(f, f->msi_cap + 2u, 2) & MSI_ENABLE) != 0;
}

static bool master(const struct pci_func *f)
{
    return (f->config[PCI_REG_COMMAND] & PCI_CMD_MASTER) != 0;
}

/* With the lock held: the message of a vector, if it may go out now; else notes it as pending. */
static bool msi_take(struct pci_func *f, unsigned vector, uint64_t *addr, uint32_t *data)
{
    uint8_t *cap = f->config + f->msi_cap;
    unsigned control = pci_get16(cap + 2);
    unsigned granted = 1u << (control >> 4 & 7);
    if ((control & MSI_ENABLE) == 0 || !master(f))
        return false;
    if (granted > f->msi_vectors)
        granted = f->msi_vectors;
    vector &= granted - 1;
    uint32_t bit = UINT32_C(1) << vector, pending = pci_get32(cap + 20);
    bool masked = (pci_get32(cap + 16) & bit) != 0;
    pci_put32(cap + 20, masked ? pending | bit : pending & ~bit);
    *addr = (uint64_t)pci_get32(cap + 8) << 32 | pci_get32(cap + 4);
    *data = (pci_get16(cap + 12) & ~(granted - 1)) | vector;
    return !masked;
}

void pci_msi_notify(struct pci_func *f, unsigned vector)
{
    uint64_t addr;
    uint32_t data;
    if (f->msi_cap == 0 || f->bus == NULL)
        return;
    lock_take(&f->lock);
    bool go = msi_take(f, vector, &addr, &data);
    lock_drop(&f->lock);
    if (go)
        msi_send(&f->bus->cfg.msi, addr, data);
}

/* --- MSI-X --- */

static uint64_t msix_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_func *f = opaque;
    uint64_t v = 0;
    lock_take(&f->lock);
    if (offset < f->msix_vectors * 16u)
        v = f->msix_table[offset / 4];
    else if (offset >= MSIX_PBA_AT && offset < MSIX_PBA_AT + sizeof(f->msix_pba))
        v = f->msix_pba[(offset - MSIX_PBA_AT) / 8] >> (8 * (offset & 4));
    lock_drop(&f->lock);
    return v & UINT32_MAX;
}

static void msix_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_func *f = opaque;
    static const uint32_t writable[4] = {~UINT32_C(3), UINT32_MAX, UINT32_MAX, 1};
    if (offset >= f->msix_vectors * 16u)
        return;
    lock_take(&f->lock);
    f->msix_table[offset / 4] = (uint32_t)value & writable[offset / 4 % 4];
    lock_drop(&f->lock);
    if (offset / 4 % 4 == 3)
        pci_msi_pump(f);
}

static const struct bus_ops msix_ops = {
    .name = "msi-x", .read = msix_read, .write = msix_write, .min_size = 4, .max_size = 4};

void pci_func_msix(struct pci_func *f, unsigned bar, unsigned vectors)
{
    uint8_t body[10] = {0}, wmask[10] = {0};
    if (vectors > PCI_MSIX_MAX)
        vectors = PCI_MSIX_MAX;
    pci_put16(body, (uint16_t)(vectors - 1));
    pci_put16(wmask, (uint16_t)(MSIX_ENABLE | MSIX_FUNC_MASK));
    pci_put32(body + 2, bar);
    pci_put32(body + 6, MSIX_PBA_AT | bar);
    f->msix_vectors = (uint8_t)vectors;
    f->msix_cap = (uint8_t)pci_func_cap(f, CAP_MSIX, body, wmask, 12);
    pci_func_bar(f, bar, PCI_BAR_MEM32, MSIX_BAR_SIZE, &msix_ops, f);
}

bool pci_msix_enabled(struct pci_func *f)
{
    return f->msix_cap != 0 && (pci_func_reg(f, f->msix_cap + 2u, 2) & MSIX_ENABLE) != 0;
}

static unsigned msix_control(const struct pci_func *f)
{
    return f->msix_cap != 0 ? pci_get16(f->config + f->msix_cap + 2) : 0;
}

/* With the lock held, like msi_take. */
static bool msix_take(struct pci_func *f, unsigned vector, uint64_t *addr, uint32_t *data)
{
    unsigned control = msix_control(f);
    const uint32_t *entry = &f->msix_table[4 * vector];
    uint64_t bit = UINT64_C(1) << (vector % 64);
    if ((control & MSIX_ENABLE) == 0 || !master(f))
        return false;
    if ((control & MSIX_FUNC_MASK) != 0 || (entry[3] & 1) != 0) {
        f->msix_pba[vector / 64] |= bit;
        return false;
    }
    f->msix_pba[vector / 64] &= ~bit;
    *addr = (uint64_t)entry[1] << 32 | entry[0];
    *data = entry[2];
    return true;
}

bool pci_msix_notify(struct pci_func *f, unsigned vector)
{
    uint64_t addr;
    uint32_t data;
    lock_take(&f->lock);
    bool enabled = (msix_control(f) & MSIX_ENABLE) != 0;
    bool go = enabled && vector < f->msix_vectors && msix_take(f, vector, &addr, &data);
    lock_drop(&f->lock);
    if (go)
        msi_send(&f->bus->cfg.msi, addr, data);
    return enabled;
}

/* The first vector from `from` on that is pending, or none. */
static unsigned next_pending(const struct pci_func *f, unsigned from, unsigned none)
{
    for (unsigned v = from; v < none; v++)
        if ((f->msix_pba[v / 64] >> (v % 64) & 1) != 0)
            return v;
    return none;
}

static void msix_pump(struct pci_func *f)
{
    uint64_t addr;
    uint32_t data;
    unsigned v = 0, end = f->msix_vectors;
    do {
        lock_take(&f->lock);
        v = next_pending(f, v, end);
        bool go = v < end && msix_take(f, v, &addr, &data);
        lock_drop(&f->lock);
        if (go)
            msi_send(&f->bus->cfg.msi, addr, data);
    } while (v++ < end);
}

static void msi_pump(struct pci_func *f)
{
    uint64_t addr;
    uint32_t data;
    for (unsigned v = 0; v < f->msi_vectors; v++) {
        lock_take(&f->lock);
        bool pending = (pci_get32(f->config + f->msi_cap + 20) >> v & 1) != 0;
        bool go = pending && msi_take(f, v, &addr, &data);
        lock_drop(&f->lock);
        if (go)
            msi_send(&f->bus->cfg.msi, addr, data);
    }
}

void pci_msi_pump(struct pci_func *f)
{
    if (f->bus == NULL)
        return;
    msix_pump(f);
    if (f->msi_cap != 0)
        msi_pump(f);
}
