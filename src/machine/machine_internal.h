/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board as its own files see it. */
#ifndef DOPPEL_MACHINE_MACHINE_INTERNAL_H
#define DOPPEL_MACHINE_MACHINE_INTERNAL_H

#include "bus/bus.h"
#include "bus/pci.h"
#include "dev/acpi_pm.h"
#include "dev/apic.h"
#include "dev/device.h"
#include "dev/fwcfg.h"
#include "dev/gsi.h"
#include "dev/hpet.h"
#include "dev/i8042.h"
#include "dev/pit.h"
#include "dev/reset_ports.h"
#include "dev/rtc.h"
#include "machine/iostat.h"
#include "machine/kvmclock.h"
#include "machine/layout.h"
#include "machine/machine.h"
#include "machine/msr.h"

#define MACHINE_DEVICES 64
#define MACHINE_INTX 4

struct machine {
    struct machine_config cfg;
    struct layout layout;
    struct cpuid_table cpuid;
    struct ram *ram;
    struct bus *ports, *mmio;
    struct iostat *iostat; /* NULL: nobody wants to know */
    struct vclock *clock;
    uint8_t uuid[16];
    bool paused;

    struct engine *engine;
    struct engine_host host;
    struct engine_vcpu *vcpu[MACHINE_MAX_CPUS];
    struct lapic *lapic[MACHINE_MAX_CPUS];
    struct msr_file msr[MACHINE_MAX_CPUS];      /* each its vCPU's thread's */
    struct kvmclock kvmclock[MACHINE_MAX_CPUS]; /* likewise */

    struct apic_bus *apic;
    struct gsi gsi;
    struct hpet *hpet;
    struct rtc *rtc;
    struct serial *serial;
    struct acpi_pm *pm;
    struct reset_ports *reset_ports;
    struct fwcfg *fwcfg;
    struct pci_bus *pci;
    unsigned disks;
    void *console; /* the virtio console, or NULL */

    struct device devices[MACHINE_DEVICES]; /* in the order of creation */
    unsigned device_count;
};

/* Notes a device for reset, pause and destroy. */
int machine_own(struct machine *m, struct device d, struct err *e) MUST_CHECK;

/* board.c: the chips; board_pci.c: PCI and what sits on it. On an error what was created stays in
 * m and is destroyed with it. */
int board_create(struct machine *m, struct err *e) MUST_CHECK;
int board_create_pci(struct machine *m, struct err *e) MUST_CHECK;
int board_create_rng(struct machine *m, struct err *e) MUST_CHECK; /* board_virtio.c */
/* What firmware does: addresses for BARs, edge/level control, virtual-wire mode. */
int board_firmware(struct machine *m, struct err *e) MUST_CHECK;

/* platform.c: struct engine_host, and the callbacks of the local APICs. */
void platform_init(struct machine *m);
struct kvmclock_now platform_now(struct machine *m, unsigned vcpu);

#endif
