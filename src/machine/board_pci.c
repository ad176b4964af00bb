/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI on the board: host bridge in slot 0, bridge to the legacy devices in slot 31, virtio devices
 * between. Interrupt pins go to GSI 16 - 19 and, for guests that use the 8259, to ISA interrupts of
 * their own; the DSDT says the same.
 */
#include <errno.h>
#include <string.h>

#include "dev/pci_plain.h"
#include "dev/pic.h"
#include "machine/machine_internal.h"

enum {
    SLOT_HOST = 0,
    SLOT_LPC = 31,
    ELCR_PORT = 0x4d0,
    ELCR_MASTER = 1 << 5 | 1 << 7,         /* IRQ 5 and 7 */
    ELCR_SLAVE = 1 << 1 | 1 << 2 | 1 << 3, /* IRQ 9 (SCI), 10 and 11 */
    LAPIC_SVR = 0xf0,
    LAPIC_LINT0 = 0x350,
    LAPIC_LINT1 = 0x360,
};

static const uint8_t pic_irq[MACHINE_INTX] = {5, 7, 10, 11};

/* An interrupt line of the bus, for both kinds of guest. */
static void intx_set(void *opaque, unsigned line, bool level)
{
    struct machine *m = opaque;

    gsi_set_line(&m->gsi, 16 + line, level);
    pic_set_line(m->gsi.pic, pic_irq[line], level);
}

static int add_bridge(struct machine *m, unsigned slot, const struct pci_func_info *info,
                      struct err *e)
{
    struct device d;
    int rc = pci_plain_create(m->pci, PCI_DEVFN(slot, 0), info, &d, e);

    return rc == 0 ? machine_own(m, d, e) : rc;
}

int board_create_pci(struct machine *m, struct err *e)
{
    struct pin intx[MACHINE_INTX];
    struct pci_bus_config cfg = {.mmio = m->mmio,
                                 .ports = m->ports,
                                 .msi = apic_bus_msi(m->apic),
                                 .intx = intx,
                                 .intx_count = MACHINE_INTX,
                                 .cf9 = &reset_ports_cf9_ops,
                                 .cf9_opaque = m->reset_ports};
    int rc;

    for (unsigned i = 0; i < MACHINE_INTX; i++)
        intx[i] = (struct pin){.set = intx_set, .opaque = m, .line = i};
    rc = pci_bus_create(&cfg, &m->pci);
    if (rc == 0)
        rc = pci_bus_ecam(m->pci, LAYOUT_ECAM_BASE, LAYOUT_ECAM_BUSES);
    if (rc < 0)
        return err_set(e, -rc, "cannot create the PCI bus: %s", strerror(-rc));
    rc = add_bridge(m, SLOT_HOST, &pci_plain_q35_host, e);
    return rc == 0 ? add_bridge(m, SLOT_LPC, &pci_plain_ich9_lpc, e) : rc;
}

/* Virtual-wire mode: the 8259 reaches the boot processor before the guest knows of APICs. Intel
 * MultiProcessor specification 1.4, 3.6.2.2. */
static void virtual_wire(struct machine *m)
{
    for (unsigned i = 0; i < m->cfg.vcpus; i++) {
        lapic_mmio_write(m->lapic[i], LAPIC_SVR, 0x1ff, 4);
        lapic_mmio_write(m->lapic[i], LAPIC_LINT0, i == 0 ? 0x700 : 0x10700, 4);
        lapic_mmio_write(m->lapic[i], LAPIC_LINT1, 0x400, 4);
    }
}

int board_firmware(struct machine *m, struct err *e)
{
    const struct pci_windows w = {.mem32_base = LAYOUT_PCI32_BASE,
                                  .mem32_size = LAYOUT_PCI32_END - LAYOUT_PCI32_BASE,
                                  .mem64_base = m->layout.pci64_base,
                                  .mem64_size = m->layout.pci64_size,
                                  .io_base = LAYOUT_PCI_IO_BASE,
                                  .io_size = LAYOUT_PCI_IO_SIZE,
                                  .irq = pic_irq};

    bus_write(m->ports, ELCR_PORT, ELCR_MASTER, 1);
    bus_write(m->ports, ELCR_PORT + 1, ELCR_SLAVE, 1);
    virtual_wire(m);
    return pci_bus_assign(m->pci, &w, e);
}
