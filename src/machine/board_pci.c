/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI on the board: host bridge in slot 0, bridge to the legacy devices in slot 31 (ICH9) or 1
 * (PIIX), virtio devices between. Interrupt lines go to GSI 16 - 19 and to the ISA interrupts that
 * the bridge's registers route them to; the DSDT says the same.
 */
#include <errno.h>
#include <string.h>

#include "dev/pci_plain.h"
#include "dev/pic.h"
#include "machine/machine_internal.h"

enum {
    SLOT_PIIX = 1,
    SLOT_LPC = 31,
    ELCR_PORT = 0x4d0,
    ELCR_MASTER = 1 << 5 | 1 << 7,         /* IRQ 5 and 7 */
    ELCR_SLAVE = 1 << 1 | 1 << 2 | 1 << 3, /* IRQ 9 (SCI), 10 and 11 */
    LAPIC_SVR = 0xf0,
    LAPIC_LINT0 = 0x350,
    LAPIC_LINT1 = 0x360,
    PIRQ_ROUTE = 0x60, /* of the bridge to the legacy devices; bit 7: not routed */
    /* A bridge to ISA passes everything on; UEFI looks at no device behind one that does not. */
    ISA_COMMAND = PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER,
    SMI_EN = ACPI_PM_BASE + 0x30,
};

/* Without firmware. */
static const uint8_t pic_irq[MACHINE_INTX] = {5, 7, 10, 11};

uint8_t board_pirq(struct machine *m, unsigned line)
{
    uint32_t route = pci_config_read(m->pci, 0, m->lpc_devfn, PIRQ_ROUTE + line, 1);

    return (route & 0x80) == 0 ? route & 15 : 0;
}

/* The ISA interrupts that the lines are routed to: several may share one. */
static uint16_t routed(struct machine *m)
{
    uint8_t lines = atomic_load(&m->intx);
    uint16_t irqs = 0;

    for (unsigned i = 0; i < MACHINE_INTX; i++)
        if (lines >> i & 1)
            irqs |= (uint16_t)(1u << board_pirq(m, i));
    return irqs & (uint16_t)~1u;
}

/* One thread tells the interrupts at a time; another one leaves a note. */
static void route_lines(struct machine *m)
{
    lock_take(&m->intx_lock);
    m->irq_again = true;
    while (m->irq_again && !m->irq_busy) {
        uint16_t old = m->irq_told, now;

        m->irq_busy = true;
        m->irq_again = false;
        lock_drop(&m->intx_lock);
        now = routed(m);
        for (unsigned i = 1; i < 16; i++)
            if ((old ^ now) >> i & 1)
                gsi_set_line(&m->gsi, i, now >> i & 1);
        lock_take(&m->intx_lock);
        m->irq_told = now;
        m->irq_busy = false;
    }
    lock_drop(&m->intx_lock);
}

/* An interrupt line of the bus, for both kinds of guest. */
static void intx_set(void *opaque, unsigned line, bool level)
{
    struct machine *m = opaque;

    if (level)
        atomic_fetch_or(&m->intx, (uint8_t)(1u << line));
    else
        atomic_fetch_and(&m->intx, (uint8_t) ~(1u << line));
    gsi_set_line(&m->gsi, 16 + line, level);
    route_lines(m);
}

static int add_plain(struct machine *m, unsigned devfn, const struct pci_func_info *info,
                     struct pci_func **func, struct err *e)
{
    struct device d;
    int rc = pci_plain_create(m->pci, devfn, info, &d, e);

    *func = rc == 0 ? pci_plain_func(&d) : NULL;
    return rc == 0 ? machine_own(m, d, e) : rc;
}

static void declare_routes(struct pci_func *f, unsigned reg)
{
    for (unsigned i = 0; i < MACHINE_INTX; i++)
        pci_func_set8(f, reg + i, 0x80, 0x8f);
}

/* ICH9 data sheet, 13.1. The power management block stays where it is and on. */
static int add_ich9(struct machine *m, struct err *e)
{
    struct pci_func *f;
    int rc = add_plain(m, m->lpc_devfn, &pci_plain_ich9_lpc, &f, e);

    if (rc < 0)
        return rc;
    pci_func_set16(f, PCI_REG_COMMAND, ISA_COMMAND, 0);
    declare_routes(f, PIRQ_ROUTE);
    declare_routes(f, PIRQ_ROUTE + 8);
    pci_func_set32(f, 0x40, ACPI_PM_BASE | 1, 0);
    pci_func_set8(f, 0x44, 0x80, 0);        /* ACPI_EN, SCI on IRQ 9 */
    pci_func_set32(f, 0xf0, 0, 0xffffc001); /* RCBA: kept, nothing is there */
    pci_func_reset(f);
    return 0;
}

/* PIIX3 data sheet, 2.2; PIIX4 data sheet, 7.1. Bit 1 of DEVACTB's last byte enables SMIs by port
 * b2: firmware takes it as a sign that system management mode was set up before. */
static int add_piix(struct machine *m, struct err *e)
{
    struct pci_func *isa = NULL, *pm = NULL;
    int rc = add_plain(m, m->lpc_devfn, &pci_plain_piix3_isa, &isa, e);

    if (rc == 0)
        rc = add_plain(m, PCI_DEVFN(SLOT_PIIX, 3), &pci_plain_piix4_pm, &pm, e);
    if (rc < 0)
        return rc;
    pci_func_set16(isa, PCI_REG_COMMAND, ISA_COMMAND, 0);
    declare_routes(isa, PIRQ_ROUTE);
    pci_func_set32(pm, 0x40, ACPI_PM_BASE | 1, 0);
    pci_func_set32(pm, 0x58, 0x02000000, 0);
    pci_func_set8(pm, 0x80, 1, 0);
    pci_func_set8(pm, 0x3c, ACPI_PM_SCI, 0xff);
    pci_func_set8(pm, 0x3d, 1, 0);
    pci_func_reset(isa);
    pci_func_reset(pm);
    return 0;
}

/* SMI_EN of the ICH9 (data sheet 13.8.3.10): APMC_EN, with the same meaning. There are no SMIs. */
static uint64_t smi_en_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x20;
}

static const struct bus_ops smi_en_ops = {
    .name = "smi-en", .read = smi_en_read, .min_size = 4, .max_size = 4};

static void ecam_moved(void *opaque, uint64_t base, unsigned buses)
{
    struct machine *m = opaque;

    m->ecam_base = pci_bus_ecam(m->pci, base, buses) == 0 && buses > 0 ? base : 0;
}

static int add_bridges(struct machine *m, struct err *e)
{
    bool pc = m->cfg.board == MACHINE_PC;
    const struct host_bridge_config cfg = {.bus = m->pci,
                                           .kind = pc ? HOST_BRIDGE_440FX : HOST_BRIDGE_Q35,
                                           .pam = board_pam,
                                           .ecam = ecam_moved,
                                           .opaque = m};
    int rc = host_bridge_create(&cfg, &m->host_bridge, e);

    if (rc == 0)
        rc = machine_own(m, m->host_bridge, e);
    if (rc == 0)
        rc = pc ? add_piix(m, e) : add_ich9(m, e);
    return rc == 0 && !pc ? bus_map(m->ports, SMI_EN, 4, &smi_en_ops, m) : rc;
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

    m->lpc_devfn = PCI_DEVFN(m->cfg.board == MACHINE_PC ? SLOT_PIIX : SLOT_LPC, 0);
    m->intx_shift = m->cfg.board == MACHINE_PC ? 3 : 0; /* 440FX boards begin with slot 1 */
    for (unsigned i = 0; i < MACHINE_INTX; i++)
        intx[i] =
            (struct pin){.set = intx_set, .opaque = m, .line = (i + m->intx_shift) % MACHINE_INTX};
    rc = pci_bus_create(&cfg, &m->pci);
    if (rc < 0)
        return err_set(e, -rc, "cannot create the PCI bus: %s", strerror(-rc));
    return add_bridges(m, e);
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
    uint8_t irq[MACHINE_INTX];
    const struct pci_windows w = {.mem32_base = LAYOUT_PCI32_BASE,
                                  .mem32_size = LAYOUT_PCI32_END - LAYOUT_PCI32_BASE,
                                  .mem64_base = m->layout.pci64_base,
                                  .mem64_size = m->layout.pci64_size,
                                  .io_base = LAYOUT_PCI_IO_BASE,
                                  .io_size = LAYOUT_PCI_IO_SIZE,
                                  .irq = irq};

    bus_write(m->ports, ELCR_PORT, ELCR_MASTER, 1);
    bus_write(m->ports, ELCR_PORT + 1, ELCR_SLAVE, 1);
    for (unsigned i = 0; i < MACHINE_INTX; i++) {
        pci_config_write(m->pci, 0, m->lpc_devfn, PIRQ_ROUTE + i, 1, pic_irq[i]);
        irq[i] = pic_irq[(i + m->intx_shift) % MACHINE_INTX];
    }
    host_bridge_program(&m->host_bridge, LAYOUT_ECAM_BASE);
    board_storage_program(m);
    board_dma_program(m);
    virtual_wire(m);
    return pci_bus_assign(m->pci, &w, e);
}
